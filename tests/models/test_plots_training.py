"""The figure of the terms of a loss."""

from __future__ import annotations

import io
import warnings

import numpy as np
import pytest

from models import plot_loss_terms
from tasks_lib import ParameterError


def drawn(figure):
    """The figure, after everything in it has been laid out without a warning."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        figure.savefig(io.BytesIO(), format="png")
    return figure


def legend(figure):
    return [text.get_text() for text in figure.legends[0].get_texts()]


def tick_labels(axes):
    low, high = axes.get_ylim()
    pairs = zip(axes.get_yticks(), axes.get_yticklabels(), strict=True)
    return [text.get_text() for value, text in pairs if low <= value <= high]


def test_losses_and_gradients_stand_side_by_side():
    losses = {"metabolic": np.geomspace(1, 1e-4, 50), "task": np.geomspace(10, 1e-2, 50)}
    figure = drawn(plot_loss_terms(losses, {name: 2 * c for name, c in losses.items()}))
    left, right = figure.axes
    assert (left.get_xlabel(), left.get_yscale(), right.get_yscale()) == ("iteration", "log", "log")
    assert "loss" in left.get_ylabel() and "gradient" in right.get_ylabel()
    assert legend(figure) == ["task", "metabolic"]
    task = right.lines[-1]  # on top
    assert np.array_equal(task.get_xdata(), np.arange(1, 51))
    assert np.allclose(task.get_ydata(), 2 * losses["task"])


@pytest.mark.parametrize(
    ("low", "high"), [(1e-12, 1e9), (0.02, 0.6), (0.0567, 0.0602), (3.0, 3.0), (0.4, 5.0)]
)
def test_the_axis_of_values_has_labels_whatever_its_range(low, high):
    (axes,) = drawn(plot_loss_terms({"task": np.linspace(low, high, 9)})).axes
    labels = tick_labels(axes)
    assert 2 <= len(labels) <= 9
    assert len(set(labels)) == len(labels)


def test_what_has_no_logarithm_is_said_or_left_out():
    curves = {"task": np.array([1.0, 0.0, 2.0]), "fr_magnitude": np.zeros(3), "own": -np.ones(3)}
    figure = drawn(plot_loss_terms(curves))
    assert legend(figure) == ["task", "fr_magnitude (never above 0)", "own (never above 0)"]
    (line,) = (line for line in figure.axes[0].lines if line.get_color() == "#000000")
    assert np.isnan(line.get_ydata()[1])
    drawn(plot_loss_terms({"task": np.zeros(3)}))  # nothing at all to draw
    drawn(plot_loss_terms({"task": np.empty(0)}))  # diverged at once
    drawn(plot_loss_terms({"task": [0.5]}))  # a single iteration


def test_many_terms_are_told_apart_and_fit():
    curves = {f"penalty_number_{i}": np.full(5, i + 1.0) for i in range(20)}
    figure = drawn(plot_loss_terms(curves, curves))
    styles = {(line.get_color(), line.get_linestyle()) for line in figure.axes[0].lines}
    assert len(styles) == 20
    box = figure.legends[0].get_window_extent().transformed(figure.transFigure.inverted())
    assert box.x0 >= 0 and box.x1 <= 1 and box.y0 >= 0
    assert figure.axes[0].get_position().height > 0.25


def test_no_terms_and_wrong_shapes_are_refused():
    with pytest.raises(ParameterError, match="monitor"):
        plot_loss_terms({}, {})
    with pytest.raises(ParameterError, match=r"losses\.task"):
        plot_loss_terms({"task": np.zeros((2, 3))})
