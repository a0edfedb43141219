"""What a submission would cost: said before anything is entered."""

from __future__ import annotations

import copy
import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.sweeps.cost import Measured, makespan, network_bytes, seconds_each
from pipeline.sweeps.probe import probe
from pipeline.tables.training_rows import TrainingRows
from tasks_lib.errors import ParameterError
from tests.pipeline.test_selections import SUBMISSION

pytestmark = pytest.mark.either_backend


@pytest.fixture
def p(database):
    return database


def everything(p):
    tables = (p.Task, p.NetworkParams, p.TrainingParams, p.Cohort, p.Sweep, p.SweepPoint)
    return [len(table()) for table in tables]


@pytest.mark.both_backends
def test_nothing_is_entered_and_all_of_it_is_said(p):
    probed = []

    def measure(rows, n_networks, device):
        probed.append((rows.network["tau"], n_networks, device))
        return 0.5

    done, cost = p.dry_run(SUBMISSION, probe=measure)
    assert not any(everything(p))
    assert done["sweep points"] == 4 and done["cohorts"] == 5
    assert (cost.n_networks, len(cost.cohorts)) == (10, 5)
    points = [tuple(point.items()) for point in cost.points["rates"]]
    assert len(points) == len(set(points)) == 4
    assert (("training.lr", 0.001), ("network.tau", 20)) in points
    # Learning rates make no difference to the time of an iteration; tau and n_steps may.
    assert len(probed) == 3 and cost.n_probed == 3 and not cost.n_measured
    # 3 iterations of 2 networks each.
    assert cost.seconds == [3.0] * 5
    assert cost.time_with(1) == 15.0 and cost.time_with(2) == 9.0 and cost.time_with(9) == 3.0
    n_searches, n_ways = len(p.FixedPointParams()), len(p.ValidationParams())
    assert cost.jobs["Training"] == 5
    assert cost.jobs["Validation"] == 10 * n_ways
    assert cost.jobs["FixedPoints"] == cost.jobs["Linearization"] == 10 * n_searches
    assert cost.jobs["LineAttractor"] == 0
    # A point that is given further networks is one point.
    more = {**SUBMISSION["sweeps"]["rates"], "first_seed": 2}
    several = {**SUBMISSION, "sweeps": {"rates": [SUBMISSION["sweeps"]["rates"], more]}}
    _, cost = p.dry_run(several, probe=lambda *_: 0.5)
    assert len(cost.points["rates"]) == 4 and len(cost.cohorts) == 9
    wrong = copy.deepcopy(SUBMISSION)
    wrong["sweeps"]["rates"]["n_networks"] = 0
    with pytest.raises(ParameterError, match=r"sweeps\.rates\.n_networks = 0"):
        p.dry_run(wrong)


def test_jobs_and_bytes_are_those_that_come(p):
    submission = {**SUBMISSION, "sweeps": {}}
    _, cost = p.dry_run(submission, probe=lambda *_: 1.0)
    p.submit(submission)
    tables = [p.Training, p.Validation, p.FixedPoints, p.Linearization, p.TrialPlot]
    assert not p.fill(tables).errors
    for table in tables:
        assert cost.jobs[table.__name__] == len(table()), table
    rows = TrainingRows.fetch({"task_name": "long", "network_name": "n8", "training_name": "base"})
    from pipeline.upkeep.stored_paths import kept_values, tables_with_files

    def stored(tables):
        found = 0
        for table, columns in tables:
            for kept in kept_values(table, columns):
                value = kept.value if isinstance(kept.value, dict) else json.loads(kept.value)
                found += value["n_bytes"]
        return found

    files = tables_with_files().values()
    of_training = [(t, c) for t, c in files if "__training__" in t.table_name]
    assert stored(of_training) == pytest.approx(2 * network_bytes(rows), rel=0.2)
    # What is trained costs nothing more; what is stored judges the rest.
    further = copy.deepcopy(submission)
    further["cohorts"] += [{**further["cohorts"][0], "first_seed": 20, "n_networks": 3}]
    _, cost = p.dry_run(further, probe=lambda *_: 1 / 0)
    assert (cost.n_networks, cost.n_measured, cost.n_probed) == (3, 1, 0)
    training = p.Training.fetch1("seconds")
    assert cost.seconds == [pytest.approx(training / 6 * 9)]
    others = stored([(t, c) for t, c in files if "__training__" not in t.table_name])
    assert cost.n_bytes == pytest.approx(3 * network_bytes(rows) + 1.5 * others, rel=0.01)
    assert "TrialPlot" not in cost.unjudged and "FixedPointPlot" in cost.unjudged


def test_the_command_says_it(p, tmp_path, arguments, monkeypatch):
    import yaml
    from typer.testing import CliRunner

    import pipeline
    from pipeline.cli.commands import app

    connect = pipeline.connect
    monkeypatch.setattr(pipeline, "connect", lambda **_: connect(**arguments))
    file = tmp_path / "sweep.yaml"
    file.write_text(yaml.safe_dump({**SUBMISSION, "without": ["FixedPoints"]}))
    monkeypatch.setattr("pipeline.sweeps.probe.PROBE_SECONDS", 0.05)
    said = CliRunner().invoke(app, ["submit", str(file), "--dry-run"]).output
    connect(**arguments)
    assert not any(everything(p))
    for words in (
        "would enter sweep points: 4 new", "sweep rates: 4 points", "training.lr 0.001",
        "to train: 10 networks in 5 cohorts", "5 Training, ", "files: about ",
        "for one worker (0 workers alive), on cpu, 3 shapes by iterations measured here",
        "\nwithout FixedPoints: so also without ",
    ):  # fmt: skip
        assert words in said, said
    assert "would enter without" not in said


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.floats(0.01, 100), min_size=1, max_size=30), st.integers(1, 8))
def test_the_last_worker_ends_between_the_bounds_of_scheduling(seconds, n_workers):
    end = makespan(seconds, n_workers)
    least = max(max(seconds), sum(seconds) / n_workers)
    assert least * (1 - 1e-9) <= end <= sum(seconds) / n_workers + max(seconds) + 1e-9
    assert makespan(seconds, 1) == pytest.approx(sum(seconds))
    assert makespan([], n_workers) == 0.0


def test_the_nearest_number_of_networks_counts():
    measured = [Measured(1, 3.0), Measured(16, 1.0), Measured(16, 1.2), Measured(16, 9.0)]
    assert seconds_each(measured, 1) == seconds_each(measured, 2) == 3.0
    assert seconds_each(measured, 10) == seconds_each(measured, 1000) == 1.2


def test_a_probe_is_of_this_machine(p):
    p.submit(SUBMISSION)
    rows = TrainingRows.fetch({"task_name": "ff", "network_name": "n8", "training_name": "base"} |
                              {"training_name": "base-lr_0.01"})  # fmt: skip
    seconds = probe(rows, 2, "cpu", 0.1)
    assert 1e-6 < seconds < 5.0
