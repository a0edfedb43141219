"""Scores and plots of every task."""

from __future__ import annotations

import numpy as np
import pytest

from models import NetworkConfig, PerformanceAnalyzer, RNNTorch
from tasks_lib import TASKS, Task

KINDS = {
    "CDDM": 450,
    "DMTS": 4,
    "NBitFlipFlop": 1,
    "MemoryNumber": 256,
    "MemoryAntiNumber": 128,
    "MemoryAngle": 72,
    "MemoryAntiAngle": 72,
    "GoNoGo": 256,
    "XOR": 4,
    "HalfAdder": 4,
    "AngleIntegration": 1,
    "ReferenceFrame": 225,
}


def analyzer_of(task):
    rnn = RNNTorch.from_config(NetworkConfig(n_units=6), task.n_inputs, task.n_outputs, seed=0)
    return PerformanceAnalyzer(rnn.to_numpy(), task)


class Oracle:
    """A network whose outputs are the targets."""

    def __init__(self, task):
        self.n_inputs, self.n_outputs, self.task = task.n_inputs, task.n_outputs, task

    def run(self, u, noise=False):
        self.task.reset()
        return None, self.task.get_batch()[1]


@pytest.mark.parametrize("name", TASKS)
def test_every_task_has_scores_for_each_kind_of_trials(name):
    task = TASKS[name](seed=1)
    scores = analyzer_of(task).validate()
    assert np.isfinite(scores.r2_pooled)
    assert scores.r2_pooled < 0.9  # it was not trained
    assert len(scores.by_condition) == KINDS.get(name, len(scores.by_condition))
    assert sum(c.n_trials for c in scores.by_condition) == scores.n_trials
    weighted = sum(c.n_trials * c.mse for c in scores.by_condition) / scores.n_trials
    assert weighted == pytest.approx(scores.mse)


@pytest.mark.parametrize("name", TASKS)
def test_the_targets_themselves_have_perfect_scores(name):
    task = TASKS[name](seed=1)
    scores = PerformanceAnalyzer(Oracle(task), task).validate()
    assert scores.r2_pooled == 1.0
    assert scores.mse == 0.0
    assert scores.accuracy == (None if task.get_choices(task.get_batch()[1]) is None else 1.0)
    for kind in scores.by_condition:
        assert kind.mse == 0.0
        assert kind.r2_pooled in (None, 1.0)
        assert kind.accuracy in (None, 1.0)


@pytest.mark.slow
@pytest.mark.parametrize("name", TASKS)
@pytest.mark.parametrize("n_trials", [1, 5])
def test_trial_plots_hold_all_that_they_show(name, n_trials):
    figure = analyzer_of(TASKS[name](seed=1)).plot_trials(n_trials=n_trials)
    panels = [axes for axes in figure.axes if axes.get_visible()]
    assert len(panels) == n_trials
    for axes in panels:
        low, high = axes.get_ylim()
        shown = np.concatenate([line.get_ydata() for line in axes.lines])
        shown = shown[np.isfinite(shown)]
        assert low <= shown.min()
        assert shown.max() <= high


class OneTrial(Task):
    """One trial between -1 and 1: the smallest thing that can be scored and plotted."""

    def __init__(self, n_steps=20, n_inputs=1, n_outputs=1, seed=None):
        super().__init__(n_steps, n_inputs, n_outputs, seed)

    def conditions(self):
        return [{}]

    def generate_input_target_stream(self):
        wave = np.sin(np.arange(self.n_steps))[None]
        return wave, wave.copy(), {}


def test_a_single_trial_is_scored_and_plotted():
    analyzer = analyzer_of(OneTrial(seed=0))
    scores = analyzer.validate()
    assert scores.n_trials == scores.n_r2_trials == 1
    assert [c.condition for c in scores.by_condition] == [{}]
    (axes,) = analyzer.plot_trials().axes
    assert axes.get_ylim()[0] < -0.99
    assert axes.get_ylim()[1] > 0.99
