"""Reports of what the tables hold, on both back ends."""

from __future__ import annotations

import copy
import json
import re

import pytest
from PIL import Image
from typer.testing import CliRunner

from models.network.connectivity import WEIGHTS
from pipeline.cli.commands import app
from pipeline.database.connection import connection
from pipeline.report.write import write_report
from pipeline.store.mounts import folder_of_store
from pipeline.tables import training
from pipeline.tables.fixed_point_plots import FixedPointPlot
from pipeline.tables.fixed_points import FixedPoints
from pipeline.tables.linearization import Linearization
from tasks_lib.errors import ParameterError

pytestmark = pytest.mark.either_backend


def contents(folder):
    return {p.relative_to(folder): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_a_report_of_a_database(database, submission, tmp_path, monkeypatch):
    p = database
    second = copy.deepcopy(submission["tasks"]["cddm"]) | {"n_steps": 22}
    submission["tasks"]["other_task"] = second
    submission["trainings"]["short"]["max_iter"] = 20
    other = {"task": "other_task", "network": "small", "training": "short", "n_networks": 3}
    submission["cohorts"].append(other)
    p.submit(submission)
    assert p.fill((p.Training,), {"task_name": "cddm"}).errors == []
    one = {"task_name": "cddm", "seed": 3}
    tables = (p.Validation, p.TrialPlot, FixedPoints, Linearization, FixedPointPlot)
    assert p.fill(tables, one).errors == []

    # The command opens and closes a session of its own; here it is the test's.
    monkeypatch.setattr(p, "connect", lambda **options: None)
    monkeypatch.setattr(p, "disconnect", lambda: None)
    folder = tmp_path / "report"

    def command(*words):
        result = CliRunner().invoke(app, ["report", "--out", str(folder), *words])
        return result.exit_code, result.output

    code, said = command()
    assert code == 0 and "2 networks in 2 cohorts" in said, said
    page = (folder / "networks" / "cddm--small--short--seed3.html").read_text()
    r2 = (p.Validation & one & {"validation_name": "noise_free"}).fetch1("r2_pooled")
    assert f"<td>{r2:.4g}<td>" in page
    assert "rnn verify --task=cddm --network=small --training=short --seed=3" in page
    for point in (FixedPoints.Point & one).to_dicts():
        assert f"<td>{point['max_eigenvalue']:.4g}<td>" in page
    figure = (p.TrialPlot & one & {"validation_name": "noisy"}).fetch1("figure")
    copied = folder / "figures" / "cddm--small--short--seed3--trials--noisy.png"
    assert copied.read_bytes() == figure.png
    # An inch of every picture is as wide, so that narrow ones have no larger letters.
    with Image.open(copied) as image:
        width = round(image.width / 300 * 144)
    assert f'trials--noisy.png" width="{width}" alt' in page
    assert (folder / "figures" / "cddm--small--short--seed3--fixed_points--exact--3d.png").exists()
    assert "thumbnails/cddm--small--short--seed3" in (folder / "index.html").read_text()
    assert "not yet" in (folder / "index.html").read_text()  # the other cohort

    before = contents(folder)
    code, said = command()
    assert "files written: 0, removed: 0" in said and contents(folder) == before

    interactive = write_report(tmp_path / "turning", interactive=True)
    view = tmp_path / "turning" / "views" / "cddm--small--short--seed3--exact.html"
    figure = json.loads(
        re.search(r'<script id="figure"[^>]*>(.*?)</script>', view.read_text(), re.DOTALL)[1]
    )
    named = {trace["name"] for trace in figure["data"]}
    wanted = set((FixedPoints.Point & one).to_arrays("input_name"))
    assert named == {"trials", *(f"input {name}" for name in wanted)}
    assert (tmp_path / "turning" / "assets" / "plotly.min.js").stat().st_size > 1e6
    page = (tmp_path / "turning" / "networks" / "cddm--small--short--seed3.html").read_text()
    assert "../views/cddm--small--short--seed3--exact.html" in page
    assert interactive.faults == []
    assert write_report(tmp_path / "turning", interactive=True).n_written == 0

    # The queries are as many for more networks, and so is what a new cohort changes.
    def n_queries():
        with pytest.MonkeyPatch.context() as patch:
            sent, query = [], connection().query

            def count(text, *args, **options):
                sent.append(text)
                return query(text, *args, **options)

            patch.setattr(connection(), "query", count)
            made = write_report(folder)
            write_report(tmp_path / "turning", interactive=True)
        return len(sent), made

    few, _ = n_queries()
    with pytest.MonkeyPatch.context() as patch:  # the other cohort's training fails at first
        patch.setattr(training, "train_from_rows", fail)
        assert len(p.fill((p.Training,)).errors) == 1
    assert n_queries()[0] == few
    assert "<td>failed<td>" in (folder / "index.html").read_text()
    (page,) = (folder / "cohorts").glob("other_task*")
    assert "The training failed: ValueError: no such thing" in page.read_text()
    assert sum(p.retry(everything=True).values()) == 1
    assert p.fill((p.Training,)).made == 1
    assert p.fill((p.Validation,)).errors == []
    more, made = n_queries()
    assert (more, made.n_networks) == (few, 5) and few < 250
    assert (
        folder / "figures" / "other_task--small--short--seeds_from0--learning_curves.png"
    ).exists()

    code, said = command("--task", "cddm", "--no-figures")
    assert "2 networks in 1 cohort;" in said
    assert not (folder / "figures").exists() and not (folder / "thumbnails").exists()
    assert not list(folder.rglob("other_task*"))
    code, said = command("--task", "nobody")
    assert code == 1 and "has not been entered" in said
    assert (folder / "networks" / "cddm--small--short--seed3.html").exists()


def fail(*arguments, **options):
    raise ValueError("no such thing")


def test_a_report_says_what_the_store_has_lost(database, submission, tmp_path):
    p = database
    submission["trainings"]["short"]["max_iter"] = 3
    p.submit(submission)
    assert p.fill((p.Training, p.TrialPlot)).errors == []
    store = tmp_path / "store"
    assert str(store) == folder_of_store()
    key = {"seed": 3, "validation_name": "noisy"}
    lost = store / (p.TrialPlot & key).fetch1("figure").path
    content = lost.read_bytes()
    lost.write_bytes(content[:-1])
    curve = store / (p.Training.Network & {"seed": 4}).fetch1("loss_curve").stored["path"]
    curve_content = curve.read_bytes()
    curve.unlink()
    for column in WEIGHTS:  # which a report does not read
        (store / (p.Training.Network & {"seed": 4}).fetch1(column.lower()).stored["path"]).unlink()
    folder = tmp_path / "report"
    report = write_report(folder)
    assert len(report.faults) == 3  # the figure, the curve, and the curves of the cohort
    assert "missing or damaged" in (folder / "networks/cddm--small--short--seed3.html").read_text()
    assert "missing or damaged" in (folder / "networks/cddm--small--short--seed4.html").read_text()
    assert not (folder / "figures/cddm--small--short--seed3--trials--noisy.png").exists()
    lost.write_bytes(content)
    curve.write_bytes(curve_content)
    assert write_report(folder).faults == []  # they are back
    assert (folder / "figures/cddm--small--short--seed3--trials--noisy.png").read_bytes() == content
    assert "missing or damaged" not in "".join(f.read_text() for f in folder.rglob("*.html"))


def test_a_report_of_an_empty_database_is_refused(database, tmp_path):
    with pytest.raises(ParameterError, match="has no cohort"):
        write_report(tmp_path / "report")
    assert not (tmp_path / "report").exists()


def test_a_report_has_sweeps_scores_by_condition_and_what_is_not_wanted(database, tmp_path):
    p = database
    names = {"task": "xor", "network": "small", "training": "short"}
    p.submit(
        {
            "tasks": {"xor": {"class": "XOR", "n_steps": 30, "params": {"n_repeats": 2}}},
            "networks": {"small": {"n_units": 8, "tau": 2.0}},
            "trainings": {"short": {"max_iter": 3}},
            "sweeps": {
                "rates": {
                    **names, "vary": {"training.lr": [0.01, 0.1]}, "n_networks": 2,
                    "without": ["FixedPoints"], "description": "what for",
                },
                "others": {**names, "vary": {"network.tau": [3.0]}},
            },
        }
    )  # fmt: skip
    assert p.fill((p.Training, p.Validation), {"network_name": "small"}).errors == []
    folder = tmp_path / "report"
    report = write_report(folder, {"network_name": "small"})
    # Of a selection, the sweeps that have a cohort in it.
    assert {"sweeps/rates.html", "sweeps/rates--r2--points.png"} <= report.paths
    assert not [path for path in report.paths if "others" in path]
    page = (folder / "sweeps" / "rates.html").read_text()
    assert "what for. 2 points; 4 networks trained" in page
    for lr in (0.01, 0.1):
        point = (p.SweepPoint & {"sweep_name": "rates", "value": lr}).fetch1("KEY")
        cohort = {name: point[name] for name in p.Cohort.primary_key}
        lowest = min(
            (p.Validation & cohort & {"validation_name": "noise_free"}).to_arrays("r2_pooled")
        )
        assert f"<tr><td>{lr:g}<td>" in page and f"<td>{lowest:.3g}<td>" in page
    assert 'href="sweeps/rates.html"' in (folder / "index.html").read_text()
    key = {"seed": 0, "training_name": "short-lr_0.1", "validation_name": "noise_free"}
    text = (folder / "networks" / "xor--small--short-lr_0.1--seed0.html").read_text()
    kinds = (p.Validation.Condition & key).to_dicts()
    assert len(kinds) == 4
    for kind in kinds:
        accuracy = kind["condition_accuracy"]
        said = "–" if accuracy is None else f"{accuracy:.4g}"
        assert f"<td>{kind['condition_mse']:.4g}<td>{said}" in text
    assert "<p>Not wanted.</p>" in text and "<p>Not computed yet.</p>" not in text
    assert "Not computed yet: Lyapunov exponents, Population, " in text  # and not Basins
    assert "Not wanted of its cohort: Basins, ContinuousAttractor, " in text
    whole = write_report(folder)
    assert "sweeps/others.html" in whole.paths and not whole.faults
    # An export by a condition, on an axis or on a result, has the page of the points that fit.
    out = tmp_path / "export"
    for where in ("training.lr = 0.01", "r2_pooled > -100000000 and lr = 0.01"):
        p.export(out, {"where": where}, figures=False, update=True)
        page = (out / "report" / "sweeps" / "rates.html").read_text()
        assert "what for. 1 point; 2 networks trained" in page
        assert 'href="sweeps/rates.html"' in (out / "report" / "index.html").read_text()
        assert {path.name for path in (out / "report" / "sweeps").iterdir()} == {"rates.html"}
