"""The figure of a task: which trials it shows, and that it shows them as they are."""

from __future__ import annotations

import numpy as np
import pytest

from models import plot_task
from models.plots.task import distinct_trials
from tasks_lib import CDDM, TASKS, XOR, NBitFlipFlop, ParameterError, Task


@pytest.mark.slow
@pytest.mark.parametrize("name", TASKS)
def test_every_task_is_drawn_as_it_is(name):
    task = TASKS[name](seed=3)
    figure = plot_task(task, seed=5)
    task.reset(5)
    inputs, targets, conditions = task.get_batch()
    kinds = [str(task.condition_kind(c)) for c in conditions]
    panels = figure.axes
    assert len(panels) == 6
    drawn = [[p.get_data()[0] for p in axes.patches if hasattr(p, "get_data")] for axes in panels]
    for column, trial in enumerate(distinct_trials(inputs, targets, 3, kinds)):
        for row, streams in enumerate((inputs, targets)):
            values = drawn[3 * row + column]
            assert len(values) == len(streams)
            for curve, stream in zip(values, streams[:, :, trial], strict=True):
                # NaN: a target of another task of a mixture
                assert np.allclose(np.diff(curve), np.diff(stream), atol=1e-12, equal_nan=True)
    labels = [label.get_text() for label in panels[0].get_yticklabels()]
    assert labels == [name.replace(" -", " −") for name in task.input_names]
    n_grey = sum(not hasattr(p, "get_data") for p in panels[0].patches)
    assert n_grey == task.n_steps - len(task.mask)


def test_the_generator_of_the_task_is_left_alone():
    task, twin = NBitFlipFlop(seed=1), NBitFlipFlop(seed=1)
    plot_task(task)
    assert np.array_equal(task.get_batch()[0], twin.get_batch()[0])


def test_trials_can_be_chosen():
    figure = plot_task(CDDM(), trials=[343])
    assert len(figure.axes) == 2
    assert "color coh = 0" in figure.axes[0].get_title()
    with pytest.raises(ParameterError, match="trials = 450"):
        plot_task(CDDM(), trials=[450])
    with pytest.raises(ParameterError, match="n_trials"):
        plot_task(CDDM(), n_trials=0)


def test_trials_differ_in_kind_where_they_can():
    inputs, targets, conditions = XOR().get_batch()
    kinds = [str(XOR().condition_kind(c)) for c in conditions]
    assert len({kinds[b] for b in distinct_trials(inputs, targets, 4, kinds)}) == 4
    assert len(set(distinct_trials(inputs, targets, 6, kinds))) == 6
    assert distinct_trials(inputs[:, :, :2], targets[:, :, :2], 5) == [0, 1]


class Silent(Task):
    """Nothing is shown and nothing wanted: no range, one step, one trial."""

    def __init__(self, n_steps=1, n_inputs=1, n_outputs=1, seed=None):
        super().__init__(n_steps, n_inputs, n_outputs, seed)

    def conditions(self):
        return [{}]

    def generate_input_target_stream(self):
        return np.zeros((1, self.n_steps)), np.zeros((1, self.n_steps)), {}


def test_a_task_without_any_range_is_drawn():
    figure = plot_task(Silent())
    figure.draw_without_rendering()
    assert figure.axes[0].get_title() == "trial 0"
