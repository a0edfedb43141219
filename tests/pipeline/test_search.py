"""Searches: points chosen by what earlier ones gave, with the study on the same server."""

from __future__ import annotations

import copy
import re
from pathlib import Path
from types import SimpleNamespace

import pytest
from typer.testing import CliRunner

import pipeline
from pipeline.cli.commands import app
from pipeline.database.connection import connection
from pipeline.searching.search import is_shared, search, step
from pipeline.searching.settings import FIELDS, read_search
from pipeline.searching.study import schema_of_studies, study_of
from pipeline.tables.keys import COHORT
from tasks_lib.errors import ParameterError

pytestmark = pytest.mark.either_backend

optuna = pytest.importorskip("optuna")

SEARCH = {
    "tasks": {"ff": {"class": "NBitFlipFlop", "n_steps": 20,
                     "params": {"pulse": 3, "batch_size": 8}}},
    "networks": {"n8": {"n_units": 8}},
    "trainings": {"base": {"max_iter": 3}},
    "search": {
        "name": "best", "task": "ff", "network": "n8", "training": "base", "n_points": 4,
        "at_once": 2, "n_networks": 2, "sampler": "random", "seed": 1,
        "space": {
            "training.lr": {"log_uniform": [0.001, 0.1]},
            "network.n_units": {"uniform": [5, 9]},
            "network.activation": ["tanh", "relu"],
        },
        "objectives": [{"minimize": "loss"}],
    },
}  # fmt: skip


@pytest.fixture
def p(database):
    yield database
    here = connection()
    name = here.adapter.quote_identifier(schema_of_studies())
    cascade = " CASCADE" if here.adapter.backend == "postgresql" else ""
    here.query(f"DROP SCHEMA IF EXISTS {name}{cascade}")


def asked(**fields):
    given = copy.deepcopy(SEARCH)
    given["search"] |= fields
    return given


def test_a_search_asks_enters_and_tells(p):
    looks = []

    def wait(found):
        looks.append((found.n_told, found.n_running))
        assert not p.fill([p.Training]).errors

    found = search(SEARCH, wait)
    assert (found.n_told, found.n_running, found.n_failed) == (4, 0, 0)
    assert looks == [(0, 2), (2, 2)]
    # Its points are those of a sweep, so that all that is done with sweeps can be done with them.
    table = p.sweep_table("best")
    assert len(table) == 8 and len(p.Cohort()) == 4
    assert table["training.lr"].between(0.001, 0.1).all()
    assert set(table["network.n_units"]) <= set(range(5, 10))
    means = table.groupby("training.lr")["loss"].mean()
    ((values, point),) = found.best
    assert values[0] == pytest.approx(means.min())
    assert point["training.lr"] == means.idxmin()
    # Again it is over at once.
    assert search(SEARCH, lambda _: 1 / 0).n_told == 4
    # More points of the same study.
    more = search(asked(n_points=5), lambda _: p.fill([p.Training]))
    assert more.n_told == 5 and len(p.Cohort()) == 5


def test_a_search_that_was_killed_goes_on(p, monkeypatch):
    """Between asking and entering, between entering and telling; and two at once share points."""
    settings = read_search(SEARCH)
    p.submit(settings.sections)
    import pipeline.searching.search as module

    with monkeypatch.context() as patch, study_of(settings) as study:
        patch.setattr(module, "_enter", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            step(settings, study)
    assert not len(p.Cohort())
    with study_of(settings) as one, study_of(settings) as other:
        assert step(settings, one).n_running == 2 and len(p.Cohort()) == 2
        p.fill([p.Training])
        assert step(settings, other).n_told == 2
        assert step(settings, one).n_running == 2 and len(p.Cohort()) == 4
        p.fill([p.Training])
        assert step(settings, one).n_told == 4 == step(settings, other).n_told


def test_several_objectives_of_any_columns(p):
    several = asked(
        objectives=[{"maximize": "r2_pooled[noise_free]"}, {"minimize": "loss"}], n_points=3
    )
    found = search(several, lambda _: p.fill([p.Training, p.Validation]))
    assert found.n_told == 3 and 1 <= len(found.best) <= 3
    table = p.sweep_table("best")
    for values, point in found.best:
        rows = table[table["training.lr"] == point["training.lr"]]
        assert values[0] == pytest.approx(rows["r2_pooled[noise_free]"].mean())
        assert values[1] == pytest.approx(rows["loss"].mean())
    with pytest.raises(ParameterError, match="are others than those of the search there is"):
        search(asked(), lambda _: None)


def test_jobs_that_fail_are_told(p, monkeypatch):
    monkeypatch.setattr(p.Training, "make_fetch", lambda *_: 1 / 0)
    found = search(asked(n_points=2), lambda _: p.fill([p.Training]))
    assert (found.n_told, found.n_failed) == (0, 2) and not found.best


def test_a_deleted_point_does_not_count_and_another_is_chosen(p):
    fill = lambda _: p.fill([p.Training])  # noqa: E731
    ((_, best),) = search(SEARCH, fill).best
    rate = p.SweepPoint & "axis = 'training.lr'" & f"value = {best['training.lr']!r}"
    (p.Cohort & (p.Cohort & rate.proj()).keys()).delete(prompt=False)
    looks = []
    found = search(SEARCH, lambda now: (looks.append(now), fill(now)))
    assert (looks[0].n_told, looks[0].n_running, looks[0].n_deleted) == (3, 1, 1)
    assert looks[0].best[0][1] != best
    (note,) = looks[0].notes.values()
    assert note.startswith("its cohort was deleted, at training.lr ")
    assert (found.n_told, found.n_deleted, found.n_failed) == (4, 1, 0)
    # Of one that was still to be trained the same: it does not come back.
    settings = read_search(asked(n_points=6))
    with study_of(settings) as study:
        step(settings, study)
        undone = (p.Cohort - p.Training.proj()).to_dicts(limit=1)
        (p.Cohort & undone).delete(prompt=False)
        found = step(settings, study)
        assert (found.n_told, found.n_running, found.n_deleted) == (4, 2, 2)
    found = search(asked(n_points=6), fill)
    assert (found.n_told, found.n_deleted) == (6, 2) and not p.Cohort & undone


def test_points_that_will_have_no_value_fail_and_it_is_said_why(p):
    """A task without choices has no accuracy; some cohort does without; some job is never done."""
    given = asked(objectives=[{"maximize": "accuracy[noise_free]"}], n_points=3, at_once=3)
    given["search"] |= {"n_networks": 1, "space": {"training.lr": [0.1, 0.2, 0.3]}}
    settings = read_search(given)
    p.submit(settings.sections)
    with study_of(settings) as study:
        while step(settings, study).n_running < 3 or len(p.Cohort()) < 3:
            pass
        one, other, third = p.Cohort.proj().to_dicts(order_by="KEY")
        p.leave_out(["Validation"], one)
        p.fill([p.Training], [one, third])
        p.Training.jobs.ignore({k: other[k] for k in p.Training.primary_key})
        p.fill([p.Validation], third)
        found = step(settings, study)
    assert (found.n_failed, found.n_running) == (3, 0)
    said = " ".join(sorted(found.notes.values()))
    for words in ("accuracy[noise_free] has no value, of seed 0, and nothing is left to compute",
                  "its cohort does without Validation", "1 job of Training failed"):  # fmt: skip
        assert words in said


def test_points_that_cannot_be_entered_fail(p):
    """Others go on; what all points begin with is refused."""
    given = asked(n_points=2, at_once=2)
    given["search"]["space"] = {"network.dt": [1.0, 50.0], "task.params": [
        {"pulse": 3, "batch_size": 8}, {"pulse": 4, "batch_size": 8}]}  # fmt: skip
    given["search"] |= {"n_points": 8, "at_once": 8}
    found = search(given, lambda _: p.fill([p.Training]))
    assert found.n_told + found.n_failed == 8 and found.n_told and found.n_failed
    assert all("search.space.network.dt" in note for note in found.notes.values())
    given["networks"]["n9"] = {"n_units": 9}
    given["search"] |= {"network": "n9", "n_points": 20}
    with pytest.raises(ParameterError, match=r"search\.network = 'n9': begins otherwise than"):
        search(given, lambda _: None)


def test_a_training_that_is_worse_than_others_is_given_up(p):
    settings = read_search(asked(prune=True, n_points=6, at_once=5))
    p.submit(settings.sections)
    with study_of(settings) as study:
        step(settings, study)
        keys = p.Cohort.proj().to_dicts()
        p.fill([p.Training], keys[:4])
        running = keys[4]
        p.Worker.insert1(
            {"worker_id": 1, "host": "h", "pid": 1, "device": "cpu", "n_threads": 1,
             "code_version": "", "state": "working", "started_at": "2026-01-01 00:00:00",
             "beat_at": "2026-01-01 00:00:00", "beat_seconds": 10.0, "job_table": "Training",
             "job_key": running, "iteration": 2, "n_iterations": 3, "loss": 1e9}
        )  # fmt: skip
        found = step(settings, study)
        assert (found.n_told, found.n_pruned, found.n_running) == (4, 1, 1)
        assert not p.Cohort & running and len(p.Training()) == 4
    p.Worker.delete(prompt=False)


def test_a_cohort_of_another_sweep_is_not_given_up(p):
    settings = read_search(asked(space={"training.lr": [0.001, 0.01]}))
    p.submit(settings.sections)
    sweep = {"task": "ff", "network": "n8", "training": "base", "n_networks": 2}
    p.submit({"sweeps": {"best": {**sweep, "vary": {"training.lr": [0.001, 0.01]}}}})
    p.submit({"sweeps": {"theirs": {**sweep, "vary": {"training.lr": [0.01]}}}})
    shared = (p.SweepPoint & "sweep_name = 'theirs'").fetch1("KEY")
    keys = {tuple(row[k] for k in COHORT) for row in p.Cohort.proj().to_dicts()}
    (theirs,) = [key for key in keys if key == tuple(shared[k] for k in COHORT)]
    assert [key for key in keys if is_shared(settings, key)] == [theirs]


def test_choices_may_not_be_others_of_a_search_that_is_there(p):
    """Points that are known would have other values."""
    space = {"training.lr": [0.001, 0.01]}
    with study_of(read_search(asked(space=space))):
        pass
    for others in ({"training.lr": [0.01, 0.1]}, {"network.n_units": [5, 9]}):
        with (
            pytest.raises(ParameterError, match="other axes or choices"),
            study_of(read_search(asked(space=others))),
        ):
            pass
    with study_of(read_search(asked(space=space, n_points=9))):
        pass


@pytest.mark.parametrize(
    ("fields", "field", "words"),
    [
        ({"space": {}}, "space", "names no axis"),
        ({"space": {"training.lrr": [1, 2]}}, "space.training.lrr", "did you mean lr?"),
        ({"space": {"training.lr": {"log": [1, 2]}}}, "space.training.lr", "nothing to choose"),
        ({"space": {"training.lr": {"log_uniform": [0, 2]}}},
         "space.training.lr.log_uniform", "reaches 0"),
        ({"space": {"training.lr": [0.1]}}, "space.training.lr", "nothing to choose"),
        ({"objectives": []}, "objectives", "are none"),
        ({"objectives": [{"most": "loss"}]}, "objectives[0]", "no objective"),
        ({"n_points": 0}, "n_points", "at least 1"),
        ({"sampler": "grid"}, "sampler", "tpe"),
        ({"prune": "yes"}, "prune", "write true or false"),
        ({"prune": True, "objectives": [{"minimize": "loss"}, {"maximize": "r2"}]}, "prune",
         "several objectives"),
        ({"n_trials": 3}, "n_trials", "not a field of a search"),
        ({"name": "a b"}, "name", "name"),
        ({"description": "x" * 256}, "description", "255 characters at most"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named(database, fields, field, words):
    with pytest.raises(ParameterError) as caught:
        read_search(asked(**fields))
    errors = getattr(caught.value, "errors", (caught.value,))
    (error,) = [e for e in errors if e.field == f"search.{field}"]
    assert words in str(error)


def test_a_column_that_is_none_is_refused(p):
    with pytest.raises(ParameterError, match=r"search\.objectives = 'status'"):
        search(asked(objectives=[{"minimize": "status"}]), lambda _: p.fill([p.Training]))


@pytest.mark.parametrize(
    ("column", "says"),
    [
        ("r2_poled[noise_free]", "is no column of a network; did you mean r2_pooled"),
        ("accuracy", r"several settings or inputs; name one of them, as in accuracy\[...\]"),
        ("loss[noisy]", "has one value for a network; write loss"),
        ("accuracy[nois]", "names a validation_name that there is not; did you mean noisy"),
        ("accuracy[noisy, zero]", "names 2 of validation_name; name one of each"),
    ],
)
def test_an_objective_that_nothing_gives_is_refused_before_points_are_entered(p, column, says):
    with pytest.raises(ParameterError, match=rf"search\.objectives\[0\] = .*{says}"):
        search(asked(objectives=[{"maximize": column}]), lambda _: None)
    assert not len(p.Sweep())


def test_an_objective_of_a_table_that_the_file_does_without_is_refused(p):
    given = {**asked(objectives=[{"maximize": "r2_pooled[noisy]"}]), "without": ["Validation"]}
    with pytest.raises(ParameterError, match="needs Validation, which the file does without"):
        search(given, lambda _: 1 / 0)
    assert not len(p.Task())


def test_files_are_told_apart(database):
    with pytest.raises(ParameterError, match="enter the file with rnn search FILE"):
        database.submit(SEARCH)
    without = {name: section for name, section in SEARCH.items() if name != "search"}
    with pytest.raises(ParameterError, match="or enter the file with rnn submit FILE"):
        read_search(without)


def test_the_command(p, arguments, monkeypatch, tmp_path):
    import yaml

    file = tmp_path / "search.yaml"
    file.write_text(yaml.safe_dump(asked(n_points=1, at_once=1)))
    connect = pipeline.connect
    monkeypatch.setattr(pipeline, "connect", lambda **_: connect(**arguments))
    clock = SimpleNamespace(sleep=lambda _: p.fill([p.Training]))
    monkeypatch.setattr("pipeline.cli.search_command.time", clock)
    result = CliRunner().invoke(app, ["search", str(file)])
    connect(**arguments)
    assert result.exit_code == 0, result.output
    lines = [s for s in result.stdout.splitlines() if s.startswith(("points", "best"))]
    assert lines[0] == "points: 0 with results, 1 running"
    assert lines[1].startswith("points: 1 with results; best ") and "training.lr" in lines[2]


def test_who_has_no_optuna_is_told(monkeypatch):
    import builtins

    from pipeline.searching.study import optuna_library

    real = builtins.__import__

    def without(name, *more):
        if name == "optuna":
            raise ImportError(name)
        return real(name, *more)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(ParameterError, match=r"rnn-pipeline\[search\]"):
        optuna_library()


def test_the_page_is_true(p, monkeypatch, tmp_path):
    """Its file, its block of Python, and the columns of its table of fields."""
    page = (Path(__file__).parents[2] / "docs" / "howto" / "search.md").read_text()
    (given,) = re.findall(r"```yaml\n(.*?)```", page, re.DOTALL)
    file = tmp_path / "search.yaml"
    file.write_text(given)
    found = search(file, lambda _: p.fill([p.Training, p.Validation]))
    assert found.n_told == 4 and len(p.sweep_table("best_rate")) == 8
    (code,) = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    monkeypatch.chdir(tmp_path)
    exec(code.replace("pipeline.connect()\n", ""), {})
    assert (tmp_path / "search.png").exists()
    for name in FIELDS:
        assert f"{name}:" in given or f"`{name}`" in page, name
