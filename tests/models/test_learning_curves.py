"""The figure of learning curves."""

from __future__ import annotations

import numpy as np
import pytest
from matplotlib.colors import to_rgb

from models import LearningCurve, plot_learning_curves
from tasks_lib import ParameterError


def curve(losses, scores=(), group="", diverged=False):
    return LearningCurve(
        np.asarray(losses, dtype=float), np.asarray(scores, float).reshape(-1, 2), group, diverged
    )


def test_few_networks_are_lines_and_many_have_a_median():
    one = plot_learning_curves([curve([4, 2, 1], group="a"), curve([3, 0, 2], group="b")])
    (axes,) = one.axes
    assert [line.get_ydata().tolist() for line in axes.lines[:1]] == [[4, 2, 1]]
    assert np.isnan(axes.lines[1].get_ydata()[1])  # 0 has no place on a logarithmic axis
    assert axes.get_yscale() == "log"
    losses = [[8, 4, 2, 1], [8, 2, 1], [4, 1], [2, 1, 1, 1]]
    many = plot_learning_curves([curve(values) for values in losses])
    median = many.axes[0].lines[-1]
    assert median.get_xdata().tolist() == [1, 2, 3, 4]
    assert median.get_ydata().tolist() == [6, 1.5, 1, 1]
    ended = plot_learning_curves([curve([8, 4, 2, 1]), curve([8, 2]), curve([4, 1])])
    assert ended.axes[0].lines[-1].get_xdata().tolist() == [1, 2]  # one of three went on


def test_scores_have_a_panel_and_say_where_it_is_cut():
    figure = plot_learning_curves([curve([1, 0.5], [[1, 0.2], [2, 0.9]]), curve([1.0])])
    assert figure.axes[1].lines[0].get_xydata().tolist() == [[1, 0.2], [2, 0.9]]
    assert figure.axes[1].get_ylabel() == "validation R²"
    cut = plot_learning_curves([curve([1, 0.5], [[1, -30], [2, 0.9]])])
    assert cut.axes[1].get_ylabel() == "validation R² (cut at -0.5)"
    assert cut.axes[1].get_ylim()[0] == -0.5


def test_divergence_is_marked_and_groups_are_named():
    figure = plot_learning_curves(
        [curve([1, 2, 9], group="lr = 1", diverged=True), curve([1, 0.5], group="lr = 0.1")]
    )
    cross = [line for line in figure.axes[0].lines if line.get_marker() == "x"]
    assert [line.get_xydata().tolist() for line in cross] == [[[3, 9]]]
    (legend,) = figure.legends
    assert [t.get_text() for t in legend.get_texts()] == [
        "lr = 1 (1 network)",
        "lr = 0.1 (1 network)",
        "diverged",
    ]


def test_groups_of_numbers_come_in_their_order_and_medians_are_named():
    """Two numbers too: the smaller one first, and darker."""
    curves = [
        LearningCurve(np.array([2.0, 1.0]), group=f"lr = {lr}", value=lr)
        for lr in (0.01, 0.003, 0.003, 0.003)
    ]
    (legend,) = plot_learning_curves(curves).legends
    assert [t.get_text() for t in legend.get_texts()] == [
        "lr = 0.003 (3 networks, thick: median)",
        "lr = 0.01 (1 network)",
    ]
    low, high = (sum(to_rgb(line.get_color())) for line in legend.get_lines())
    assert low < high


def test_what_cannot_be_drawn_is_said():
    with pytest.raises(ParameterError, match="trained here"):
        plot_learning_curves([curve([])])
    with pytest.raises(ParameterError, match="20 groups"):
        plot_learning_curves([curve([1.0], group=str(i)) for i in range(20)])
