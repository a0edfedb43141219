"""The learning curves of trainings that run: written with heartbeats, and gone with the job."""

from __future__ import annotations

import io
import json
import math

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rich.console import Console

import models
from pipeline.cli.status_page import status_page
from pipeline.progress import TableBar
from pipeline.workers.live_curves import MOST_POINTS, LiveCurves, read_curves, sparkline
from pipeline.workers.status import Pace, worker_status
from pipeline.workers.worker import WorkLoop
from tests.pipeline.test_selections import SUBMISSION

pytestmark = pytest.mark.either_backend


@pytest.mark.parametrize("n_cohorts", [1, 2])  # alone, and as one batch
def test_a_query_sees_the_curves_of_what_runs(database, monkeypatch, n_cohorts):
    p = database
    given_ = {**SUBMISSION, "sweeps": {}}
    given_["trainings"] = {"base": {"max_iter": 200, "penalties": {"metabolic": {"weight": 0.1}}}}
    given_["cohorts"] = [
        {**given_["cohorts"][0], "first_seed": 10 * n} for n in range(n_cohorts)
    ]  # fmt: skip
    p.submit(given_)
    seen = []
    loop = WorkLoop([p.Training], together=n_cohorts)
    add = LiveCurves.add

    def adding(self, iteration, values):
        add(self, iteration, values)
        if iteration == 120:  # in the middle of the training
            loop.heartbeat.on_connection(lambda _: loop.heartbeat._send())
            (row,) = (p.Worker & "live_curves is not null").to_dicts()
            seen.append(read_curves(row["live_curves"]))
            (status,) = worker_status()
            seen.append(status.curves)
            page = Console(file=io.StringIO(), width=200)
            page.print(status_page(Pace(), 0))
            seen.append(page.file.getvalue())

    monkeypatch.setattr(LiveCurves, "add", adding)
    assert loop.run().made == n_cohorts
    assert set(p.Training.to_arrays("n_together")) == {n_cohorts}
    curves, of_status, page = seen
    assert curves == of_status and list(curves) == ["iteration", "loss", "metabolic", "task"]
    assert curves["iteration"][0] == 1 and curves["iteration"][-1] == 120
    assert len(curves["loss"]) == len(curves["iteration"]) > 30
    # They are the curves that are stored in the end: means over the networks.
    losses = np.array([np.asarray(c) for c in p.Training.Network.to_arrays("loss_curve")])
    at = np.array(curves["iteration"]) - 1
    np.testing.assert_allclose(curves["loss"], losses.mean(axis=0)[at], rtol=1e-3)
    assert "metabolic" in page and sparkline(curves["loss"]) in page and "curve" in page
    assert not len(p.Worker & "live_curves is not null")  # gone with the job


def test_a_training_is_watched_at_so_many_iterations():
    from models.training.watching import POINTS

    task = models_task()
    told = []
    with models.watching(lambda *each: told.append(each)):
        network, training = models.NetworkConfig(n_units=5), models.TrainingConfig(max_iter=130)
        (trained,) = models.train_cohort(task, network, training, seeds=[0]).networks
    iterations = [iteration for iteration, _, _ in told]
    assert iterations == [1, *range(2, 131, 2)] and len(told) <= POINTS + 6
    for iteration, number, values in told:
        assert number == 130
        assert values == {"loss": pytest.approx(float(trained.loss_curve[iteration - 1]))}
    told.clear()
    models.train_cohort(task, network, models.TrainingConfig(max_iter=2), seeds=[0])
    assert not told


def models_task():
    from tasks_lib import NBitFlipFlop

    return NBitFlipFlop(n_steps=20, pulse=3, batch_size=4, seed=0)


VALUE = st.floats(allow_nan=True, allow_infinity=True)


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.tuples(st.integers(1, 10**6), VALUE), max_size=300))
def test_curves_are_json_of_any_values(points):
    curves = LiveCurves()
    for iteration, value in points:
        curves.add(iteration, {"loss": value, "loss.task": value})
    text = curves.as_json()
    if not points:
        assert text is None
        return
    found = json.loads(text, parse_constant=lambda name: 1 / 0)
    assert list(found) == ["iteration", "loss", "task"]
    assert len({len(each) for each in found.values()}) == 1 and len(found["loss"]) <= MOST_POINTS
    assert found["iteration"] == sorted(found["iteration"])
    assert read_curves(text) == read_curves(found) == found
    curves.clear()
    assert curves.as_json() is None


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.none() | st.floats(-1e6, 1e6), max_size=100), st.integers(1, 30))
def test_a_sparkline_fits_and_has_the_extremes(values, width):
    line = sparkline(values, width)
    known = [value for value in values if value is not None]
    assert len(line) == min(len(known), width)
    if len(known) <= width and known and max(known) - min(known) > 1e-3:
        assert line[known.index(max(known))] == "█" and line[known.index(min(known))] == "▁"


def test_losses_are_drawn_by_their_logarithms():
    assert sparkline([math.exp(-n) for n in range(8)]) == "█▇▆▅▄▃▂▁"
    assert sparkline([1.0, 1.0]) == "▁▁" and sparkline([None]) == ""


def test_a_training_that_is_stopped_is_not_counted_as_done(entered, monkeypatch):
    """The bar of the table's jobs says how many are, and it was given back."""
    p, advanced = entered, []
    monkeypatch.setattr(TableBar, "advance", lambda _: advanced.append(True))
    loop = WorkLoop([p.Training])
    with monkeypatch.context() as patch:
        patch.setattr(LiveCurves, "add", lambda *_: loop.stop.set())
        assert loop.run().made == 0 == len(advanced)
    assert WorkLoop([p.Training]).run().made == 1 == len(advanced)
