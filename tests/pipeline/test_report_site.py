"""Reports: pages of rows made up here, the folder they lie in, and the drawings; no database."""

from __future__ import annotations

import json
import re
import sys
from datetime import datetime
from html.parser import HTMLParser
from urllib.parse import unquote

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.report import drawings, pages
from pipeline.report.names import url, verify_command
from pipeline.report.rows import CohortRows, NetworkRows
from pipeline.report.site import MANIFEST, Site, fingerprint
from pipeline.report.values import spread, text_of_value
from pipeline.report.write import Writer
from tasks_lib.errors import ParameterError

HOSTILE = "</script><img src=x onerror=alert(1)>\"'&{{7*7}}"


class Array:
    """A reference to an array, as a fetched row has one."""

    def __init__(self, values):
        self.values = np.asarray(values, dtype=float)

    @property
    def stored(self):
        return {"path": "x", "sha256": fingerprint(self.values.tolist())}

    def __array__(self, dtype=None, copy=None):
        return self.values


def cohort(task="cddm", n_networks=3, **changes):
    names = {"task_name": task, "network_name": "small", "training_name": "short"}
    key = {**names, "first_seed": 5}
    made = CohortRows(
        row={**key, "n_networks": n_networks, "origin": "trained"},
        training={
            **key, "device": "cpu", "iterations": 9, "seconds": 3.0, "code_version": "1+abc",
            "code_dirty": False, "python_version": "3.11", "torch_version": "2.6",
            "numpy_version": "2.2", "trained_at": datetime(2026, 1, 2, 3, 4, 5),
        },
        task={"task_name": task, "task_class": "CDDM", "n_steps": 20, "params": {"note": task}},
        network={"network_name": "small", "n_units": 12, "tau": 100.0},
        parameters={"training_name": "short", "max_iter": 9, "lr": 0.02},
        penalties=[{"penalty": "metabolic", "weight": 0.1, "args": {}}],
    )  # fmt: skip
    for i in range(n_networks):
        row = {
            **key, "seed": 5 + i, "status": "finished", "iterations_done": 9, "loss": 0.5,
            "r2": 0.5 + i / 10, "stopped_by": None, "loss_curve": Array([3, 2, 1 + i]),
            "score_curve": Array([[3, 0.1], [9, 0.5]]),
        }  # fmt: skip
        network = NetworkRows(row | changes)
        point = {**key, "seed": 5 + i, "input_name": task, "search_name": "exact"}
        network.tables["sets"].append(
            point | {"n_points": 1, "n_stable": 1, "n_marginal": 0, "n_unstable": 0}
            | {"search_status": "complete", "message": task}
        )  # fmt: skip
        network.tables["points"].append(
            point | {"point": 0, "stability": "stable", "map_stability": "stable"}
            | {"n_unstable_modes": 0, "max_eigenvalue": -0.5, "time_constant": 2.0, "residual": 0.0}
        )  # fmt: skip
        made.networks.append(network)
    return made


def write(folder, cohorts):
    return Writer(Site(folder), cohorts, {}).write()


class Links(HTMLParser):
    """Gathers what a page refers to, its elements and its attributes."""

    def __init__(self, text):
        super().__init__()
        self.refers, self.tags, self.handlers = [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.refers += [v for k, v in attrs if k in ("href", "src")]
        self.handlers += [k for k, _ in attrs if k.startswith("on")]


def test_links_of_every_page_lead_to_files_that_are_there(tmp_path):
    write(tmp_path, [cohort("a b/ü%41"), cohort("other", 1)])
    files = sorted(tmp_path.rglob("*.html"))
    assert len(files) == 2 + 2 + 4
    for file in files:
        for link in Links(file.read_text()).refers:
            path = unquote(link.partition("#")[0])
            assert path == "data:," or (file.parent / path).is_file(), (file, link)
            assert "//" not in link  # no network


def test_names_and_texts_of_the_database_stay_texts(tmp_path):
    write(tmp_path, [cohort(HOSTILE, stopped_by=HOSTILE)])
    for file in tmp_path.rglob("*.html"):
        text = file.read_text()
        found = Links(text)
        assert found.tags.count("script") == 1 and not found.handlers, file
        assert not [link for link in found.refers if link == "x"], file
        assert "<img src=x" not in text
        if file.name != "parameters.html":
            assert "&lt;img src=x onerror=alert(1)&gt;" in text and "{{7*7}}" in text
    assert all(path.resolve().is_relative_to(tmp_path) for path in tmp_path.rglob("*"))


def test_a_second_report_writes_what_has_changed_alone(tmp_path):
    first, other = cohort(), cohort("other", 2)
    assert write(tmp_path, [first, other]).n_written == 2 + 2 + 2 + 5 + 2  # 2 of curves
    times = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    again = write(tmp_path, [first, other])
    assert (again.n_written, again.n_removed) == (0, 0)
    assert times == {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    first.networks[1].row["r2"] = 0.9999
    changed = write(tmp_path, [first, other])
    assert changed.n_written == 3  # the network, its cohort, the index
    assert "0.9999" in (tmp_path / "index.html").read_text()
    first.networks[0].row["loss_curve"] = Array([9, 8, 7])
    assert write(tmp_path, [first, other]).n_written == 2  # its page, the cohort's curves


def test_pages_of_networks_that_are_gone_are_removed_and_nothing_else(tmp_path):
    write(tmp_path, [cohort(), cohort("other", 2)])
    own = tmp_path / "networks" / "notes.txt"
    own.write_text("mine")
    report = write(tmp_path, [cohort("other", 2)])
    assert report.n_removed == 3 + 1 + 1
    assert own.read_text() == "mine"
    assert {p.name for p in (tmp_path / "networks").iterdir()} == {
        "notes.txt", "other--small--short--seed5.html", "other--small--short--seed6.html",
    }  # fmt: skip
    assert "cddm" not in (tmp_path / "index.html").read_text()


def test_a_damaged_page_is_written_again(tmp_path):
    write(tmp_path, [cohort()])
    page = tmp_path / "networks" / "cddm--small--short--seed5.html"
    page.write_text("half")
    assert write(tmp_path, [cohort()]).n_written == 1
    assert page.read_text().startswith("<!doctype html>")


@pytest.mark.parametrize("there", ["notes.txt", MANIFEST, "index.html"])
def test_a_folder_with_other_things_is_refused_in_one_line(tmp_path, there):
    (tmp_path / there).write_text('{"files": {"../x": ["", 0]}}')
    with pytest.raises(ParameterError) as raised:
        write(tmp_path, [cohort()])
    assert "\n" not in str(raised.value) and "--out" in str(raised.value)
    assert [path.name for path in tmp_path.iterdir()] == [there]


def test_a_manifest_that_leads_out_of_its_folder_removes_nothing(tmp_path):
    outside = tmp_path / "outside"
    outside.write_text("mine")
    folder = tmp_path / "report"
    write(folder, [cohort()])
    manifest = folder / MANIFEST
    content = json.loads(manifest.read_text())
    for path in ("../outside", str(outside)):
        content["files"] = {path: ["", 4]}
        manifest.write_text(json.dumps(content))
        with pytest.raises(ParameterError, match="is not the manifest"):
            write(folder, [cohort()])
    assert outside.read_text() == "mine"


def test_a_file_of_somebody_else_is_not_replaced(tmp_path):
    write(tmp_path, [cohort()])
    (tmp_path / "networks" / "new--small--short--seed5.html").write_text("mine")
    with pytest.raises(ParameterError, match="no report has written"):
        write(tmp_path, [cohort("new")])
    assert (tmp_path / "networks" / "cddm--small--short--seed5.html").exists()


def test_folders_that_are_links_are_not_followed(tmp_path):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    folder = tmp_path / "report"
    write(folder, [])
    (folder / "networks").symlink_to(elsewhere)
    with pytest.raises(ParameterError, match="is not a folder of a report"):
        write(folder, [cohort()])
    assert not list(elsewhere.iterdir())


def test_what_is_broken_off_is_taken_up(tmp_path, monkeypatch):
    render = pages.render

    def fail(template, context):
        if template == "cohort.html":
            raise KeyboardInterrupt
        return render(template, context)

    monkeypatch.setattr(pages, "render", fail)
    with pytest.raises(KeyboardInterrupt):
        write(tmp_path, [cohort()])
    monkeypatch.undo()
    write(tmp_path, [cohort()])
    other = tmp_path.parent / f"{tmp_path.name}_whole"
    write(other, [cohort()])
    assert {p.relative_to(tmp_path): p.read_bytes() for p in tmp_path.rglob("*.*")} == {
        p.relative_to(other): p.read_bytes() for p in other.rglob("*.*")
    }


def test_what_is_not_there_is_said(tmp_path):
    untrained = cohort("later", 3)
    untrained.training, untrained.networks = None, []
    write(tmp_path, [untrained])
    assert "not yet" in (tmp_path / "index.html").read_text()
    assert "not trained yet" in next((tmp_path / "cohorts").iterdir()).read_text()
    bare = cohort(n_networks=1)
    bare.networks[0].tables.clear()
    write(tmp_path, [bare])
    assert next((tmp_path / "networks").iterdir()).read_text().count("Not computed yet.") == 2


def test_an_imported_network_has_its_file_and_nothing_to_verify(tmp_path):
    imported = cohort(n_networks=1, status="imported", iterations_done=0, loss=None)
    imported.networks[0].row["loss_curve"] = Array([])
    imported.networks[0].row["score_curve"] = Array([])
    imported.source = {"file": "old.json", "format": "seed-json", "sha256": "ab", "notes": ["n1"]}
    write(tmp_path, [imported])
    text = next((tmp_path / "networks").iterdir()).read_text()
    assert "old.json" in text and "n1" in text and "rnn verify --task" not in text


def test_the_command_that_verifies_is_one_of_a_shell(tmp_path):
    import shlex

    key = {"task_name": "a'b $(x)", "network_name": "-n", "training_name": "t", "seed": 4}
    assert shlex.split(verify_command(key)) == [
        "rnn", "verify", "--task=a'b $(x)", "--network=-n", "--training=t", "--seed=4",
    ]  # fmt: skip


@given(st.text(min_size=1, max_size=30))
def test_a_link_leads_to_its_file_whatever_its_name(name):
    from pipeline.store.file_names import file_name

    path = f"networks/{file_name(name, ending='.html')}"
    assert unquote(url(path)) == path
    assert not re.search(r"[\s\"'<>#?]", url(path))


@given(
    st.lists(st.floats(allow_nan=True, allow_infinity=True), max_size=200),
    st.booleans(),
)
def test_curves_of_whatever_values_are_drawn_within_the_drawing(values, log):
    svg = drawings.curve(np.arange(len(values)), values, 'loss "<x>"', log)
    assert "nan" not in svg.lower().replace("loss", "") and "<x>" not in svg
    points = re.findall(r'points="([^"]*)"', svg)
    for pair in points[0].split() if points else []:
        x, y = map(float, pair.split(","))
        assert 0 <= x <= drawings.WIDTH and 0 <= y <= drawings.HEIGHT


@pytest.mark.parametrize("n", [2, 60, 61, 500])
def test_a_distribution_shows_every_network(n):
    values = list(np.linspace(0, 1, n) ** 2)
    svg = drawings.distribution(values, range(n), "R²")
    if n <= drawings.MOST_DOTS:
        assert svg.count("<circle") == n
    else:
        heights = [float(h) for h in re.findall(r'height="([\d.]+)"', svg)]
        counts, _ = np.histogram(values, drawings.N_BINS)
        assert np.allclose(
            np.array(heights) / max(heights), counts[counts > 0] / counts.max(), atol=0.01
        )


def test_views_without_plotly_are_refused_in_one_line(monkeypatch):
    from pipeline.report.interactive import Views

    monkeypatch.setitem(sys.modules, "plotly.offline", None)
    with pytest.raises(ParameterError, match=r"rnn-pipeline\[interactive\]"):
        Views({})


def test_a_view_is_data_whatever_its_names():
    figure = {"data": [{"name": HOSTILE}], "layout": {}}
    text = pages.view_page(cohort(HOSTILE).networks[0].row, HOSTILE, json.dumps(figure)).decode()
    content = re.search(r'<script id="figure"[^>]*>(.*?)</script>', text, re.DOTALL)[1]
    assert json.loads(content) == figure and "<" not in content
    assert Links(text).tags.count("img") == 0


def test_values_as_texts():
    assert [text_of_value(v) for v in (None, True, 1, 0.123456, float("inf"), {"a": [1]})] == [
        "–", "yes", "1", "0.1235", "inf", '{"a": [1]}',
    ]  # fmt: skip
    assert spread([1.0, 2.0, 3.0, 4.0, 5.0]) == ["5", "1", "2", "3", "4", "5"]
