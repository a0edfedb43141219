"""Reports: pages of rows made up here, the folder they lie in, and the drawings; no database."""

from __future__ import annotations

import json
import re
import sys
from dataclasses import asdict
from datetime import datetime
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from markupsafe import escape

from models import NetworkConfig
from pipeline.report import drawings, pages
from pipeline.report.names import page_of, url, verify_command
from pipeline.report.parameters import parameters_shown
from pipeline.report.rows import CohortRows, NetworkRows
from pipeline.report.site import MANIFEST, Site, fingerprint
from pipeline.report.summaries import summary_of
from pipeline.report.sweeps import SweepRows, figures_of
from pipeline.report.values import filled_columns, spread, text_of_value
from pipeline.report.write import Writer
from pipeline.tables.keys import cohort_key
from pipeline.tables.selections import Selection
from tasks_lib import CDDM
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
    return Writer(Site(folder), cohorts, Selection()).write()


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
    shown = [v for v in values if np.isfinite(v) and not (log and v <= 0)]
    steps = re.findall(r' d="m([^"]*)"', svg)
    assert len(steps) == (len(shown) > 1)
    if steps:
        x, y = np.cumsum(np.array(steps[0].split(), int).reshape(-1, 2), axis=0).T
        assert len(x) == min(len(shown), drawings.MOST_POINTS)
        assert (x[0], x[-1]) == (drawings.LEFT, drawings.WIDTH - drawings.RIGHT)
        assert (np.diff(x) >= 0).all()
        assert {y.min(), y.max()} <= {drawings.TOP, drawings.HEIGHT - drawings.BOTTOM}


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


def sweep(cohorts, name="rates"):
    """A sweep of cohorts over two axes of numbers and one of names."""
    values = {
        cohort_key(c.row): {"training.lr": 10.0**-i, "network.tau": 1 + i % 2, "task.x": HOSTILE}
        for i, c in enumerate(cohorts)
    }
    return SweepRows(name, f"what for {HOSTILE}", ["training.lr", "network.tau", "task.x"], values)


def write_with_sweep(folder, cohorts, sweeps):
    return Writer(Site(folder), cohorts, Selection(), sweeps=sweeps).write()


def test_a_page_of_a_sweep_has_every_point_and_its_figures(tmp_path):
    cohorts = [cohort(f"t{i}", 2 + i) for i in range(4)]
    bare = cohort("t9", 2)
    bare.networks.clear()
    cohorts.append(bare)
    for number, each in enumerate(cohorts):
        for network in each.networks:
            network.row["r2"] = 0.1 * number + network.row["seed"] / 100
    made = sweep(cohorts, "a b/ü%41")
    gone = cohort_key(cohort("gone").row)  # of another selection, or deleted
    made.values[gone] = {axis: 1.0 for axis in made.axes}
    report = write_with_sweep(tmp_path, cohorts, [made])
    assert made.page in report.paths
    text = (tmp_path / made.page).read_text()
    table = text[text.index('id="points"') :]
    lines = re.findall(r"<tr><td>(.*)", table)
    assert len(lines) == 5 and "5 points; 14 networks trained" in text
    rates = [line.partition("<td>")[0] for line in lines]
    assert rates == [f"{10.0**-i:.4g}" for i in reversed(range(5))]  # in order
    for each, line in zip(reversed(cohorts), lines, strict=True):
        assert f'href="../{page_of(each.row)}"' in line
        assert line.count("<circle") == len(each.networks)
        if each.networks:
            r2 = sorted(n.row["r2"] for n in each.networks)
            assert f"<td>{np.median(r2):.3g}<td>{r2[0]:.3g}<td>" in line
        else:
            assert "not yet" in line
    found = Links(text)
    figures = {link for link in found.refers if link.endswith(".png")}
    assert len(figures) == 2 and found.tags.count("script") == 1  # r2: dots and a map
    for link in found.refers:
        assert (tmp_path / "sweeps" / unquote(link)).is_file(), link
    for page in (tmp_path / "index.html", tmp_path / page_of(cohorts[0].row)):
        assert f"{url(made.page)}" in page.read_text()
    assert "training.lr = 1, network.tau = 1" in (tmp_path / page_of(cohorts[0].row)).read_text()
    # What has not changed is not written again, and what has gone is removed.
    again = write_with_sweep(tmp_path, cohorts, [made])
    assert (again.n_written, again.n_removed) == (0, 0)
    cohorts[0].networks[0].row["r2"] = 0.95
    assert write_with_sweep(tmp_path, cohorts, [made]).n_written == 1 + 1 + 1 + 3
    assert write_with_sweep(tmp_path, cohorts, []).n_removed == 3
    assert not (tmp_path / made.page).exists()


def test_figures_of_a_sweep_show_the_axes_that_vary():
    cohorts = [cohort(f"t{i}", 2) for i in range(6)]
    summaries = {cohort_key(c.row): [summary_of(c, n) for n in c.networks] for c in cohorts}
    made = sweep(cohorts)
    by_metric = {Path(f["path"]).stem: f for f in figures_of(made, summaries)}
    dots = by_metric["rates--r2--points"]
    assert dots["options"] == {"x": "training.lr", "hue": "network.tau", "y": "noise-free R²"}
    assert dots["caption"] == "noise-free R² by training.lr"
    assert by_metric["rates--r2--heat"]["options"]["y"] == "network.tau"
    # Points at random have as many values as points: no colour for each.
    for number, values in enumerate(made.values.values()):
        values["network.tau"] = number + 0.5
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("pipeline.report.sweeps.MOST_COLOURS", 5)
        dots = figures_of(made, summaries)[0]
    assert dots["options"] == {"x": "training.lr", "y": "noise-free R²"}
    assert dots["caption"].endswith(", over all values of network.tau")
    for values in made.values.values():
        values |= {"training.lr": 1.0, "network.tau": 2.0}
    assert figures_of(made, summaries) == []


@given(st.lists(st.floats(allow_nan=True, allow_infinity=True), max_size=80))
def test_a_strip_lies_within_its_drawing(values):
    svg = drawings.strip(values, -1.0, 1.0, 'R² "<x>"')
    assert "nan" not in svg and "<x>" not in svg
    for x in re.findall(r'c?x="(-?\d+)"', svg):
        assert 0 <= float(x) <= 120


def test_scores_by_condition_are_shown_where_kinds_are_few(tmp_path):
    made = cohort(n_networks=1)
    for number, pulse in enumerate((1, -1)):
        made.networks[0].tables["kinds"].append(
            {"trial_condition": {"pulse_sign": pulse}, "condition_n_trials": 4 + number}
            | {"condition_mse": 0.25, "condition_r2": 0.5 + number / 4, "condition_accuracy": None}
        )
    write(tmp_path, [made])
    text = next((tmp_path / "networks").iterdir()).read_text()
    assert "<td>pulse sign -1<td>5<td>0.75<td>0.25</table>" in text


def test_a_training_that_failed_and_one_that_diverged_are_said(tmp_path):
    failed = cohort("hard", 0)
    failed.row["n_networks"] = 2
    failed.training, failed.failure = None, f"ValueError: {HOSTILE}"
    diverged = cohort("steep", 1, status="diverged")
    diverged.networks[0].tables.pop("sets")
    diverged.networks[0].tables.pop("points")
    write(tmp_path, [failed, diverged])
    index = (tmp_path / "index.html").read_text()
    assert "<td>2<td>failed<td>" in index and "not yet" not in index
    page = next((tmp_path / "cohorts").glob("hard*")).read_text()
    assert "not trained." in page and escape(failed.failure) in page and HOSTILE not in page
    assert "rnn retry" in page and "not trained yet" not in page
    page = next((tmp_path / "networks").glob("steep*")).read_text()
    assert "Not analysed: the training diverged." in page
    assert "The training failed" not in next((tmp_path / "cohorts").glob("steep*")).read_text()


def test_columns_without_values_and_parameters_that_follow_from_others_are_left_out():
    assert filled_columns(["a", "b", "c"], [[1, None, None], [2, None, 0.0]]) == [0, 2]
    one = cohort("cddm", 1)
    config = NetworkConfig(n_units=12, dale=True)
    one.network = {"network_name": "small", **asdict(config)}
    task = CDDM(n_steps=20, stim_on=5, dec_on=14)
    one.task = {"task_name": "cddm", "task_class": "CDDM", "n_steps": 20, "n_inputs": 6}
    one.task |= {"n_outputs": 2, "params": task.params}
    shown = {g["title"]: dict(g["rows"]) for g in parameters_shown(one, whole=False)["parameters"]}
    assert shown["Network"] == {"n_units": 12, "dale": True}  # not activation_args, nonnegative_inp
    assert shown["Task"] == {"task_class": "CDDM", "n_steps": 20, "stim_on": 5, "dec_on": 14}
    one.network["activation_args"] = {"slope": 2.0}
    one.task["params"] = {**task.params, "stim_off": 15}
    shown = {g["title"]: dict(g["rows"]) for g in parameters_shown(one, whole=False)["parameters"]}
    assert shown["Network"]["activation_args"] == {"slope": 2.0} and shown["Task"]["stim_off"] == 15
    whole = {g["title"]: dict(g["rows"]) for g in parameters_shown(one, whole=True)["parameters"]}
    assert whole["Network"]["nonnegative_inp"] is True and whole["Task"]["cue_on"] == 0
