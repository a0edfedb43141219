"""Places in figures: text that fits, and nothing beyond the edge, in any kind of figure."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.lines import Line2D

from models import (
    LearningCurve,
    PerformanceAnalyzer,
    RNNNumpy,
    figure_style,
    get_trials,
    plot_learning_curves,
    plot_loss_terms,
    plot_trajectories,
)
from models.plots.files import DescribedFigure, figure_file
from models.plots.layout import corners, fitted, plan_legend, text_width
from tasks_lib import CDDM, MemoryNumber

LONG = "a_name_of_sixty_four_letters_as_the_tables_allow_it_and_no_longer"


def cddm():
    task = CDDM(n_steps=20, stim_on=5, dec_on=14, coherences=[-1.0, 0.0, 1.0], seed=0)
    rng = np.random.default_rng(0)
    return RNNNumpy(
        W_rec=rng.normal(size=(5, 5)), W_inp=1e-3 * rng.normal(size=(5, 6)),
        W_out=np.ones((2, 5)), activation="tanh",
    ), task  # fmt: skip


def curves(n, group="group {}", terms=()):
    losses = np.geomspace(10, 1e-7, 30)
    return [
        LearningCurve(
            losses * (i + 1), np.array([[10, -0.2], [30, 0.9]]), group.format(i),
            terms=dict.fromkeys(terms, losses), gradients=dict.fromkeys(terms, losses),
        )
        for i in range(n)
    ]  # fmt: skip


def trajectories(projection):
    rnn, task = cddm()
    return plot_trajectories(get_trials(rnn, task), projection=projection)


def numbers():
    task = MemoryNumber(seed=0)
    rnn = RNNNumpy(W_rec=np.eye(3), W_inp=np.ones((3, 3)), W_out=np.ones((1, 3)), activation="tanh")
    return plot_trajectories(get_trials(rnn, task))


FIGURES = {
    "trials": lambda: PerformanceAnalyzer(*cddm()).plot_trials(),
    "one trial": lambda: PerformanceAnalyzer(*cddm()).plot_trials(n_trials=1),
    "trajectories": lambda: trajectories("2D"),
    "in space": lambda: trajectories("3D"),
    "numbers": numbers,
    "curves": lambda: plot_learning_curves(curves(3)),
    "many curves": lambda: plot_learning_curves(curves(12, terms=("task", "metabolic"))),
    "long names": lambda: plot_learning_curves(curves(3, LONG + "{}")),
    "terms": lambda: plot_loss_terms({"task": [3e-9, 2e-9], LONG: [1.0, 2.0]}, {}, [[1, 0.5]]),
}


@pytest.mark.parametrize("letters", [8, 13])
@pytest.mark.parametrize("name", FIGURES)
def test_nothing_is_beyond_the_edge(name, letters):
    style = {"font.size": letters} if letters != 8 else {}
    if letters != 8:
        style |= {f"{each}.labelsize": letters for each in ("axes", "xtick", "ytick")}
        style |= {"legend.fontsize": letters, "axes.titlesize": letters}
    with figure_style(style):
        figure = FIGURES[name]()
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    renderer = canvas.get_renderer()
    shown = [axes for axes in figure.axes if axes.get_visible()]
    parts = [axis for axes in shown for axis in (axes.xaxis, axes.yaxis)]
    parts += [axes.zaxis for axes in shown if axes.name == "3d"]
    boxes = [axis.get_tightbbox(renderer) for axis in parts]
    boxes += [axes.title.get_window_extent(renderer) for axes in shown if axes.get_title()]
    boxes += [corners(axes) for axes in shown if axes.name == "3d"]
    legends = [legend.get_window_extent(renderer) for legend in figure.legends]
    for box in filter(None, boxes + legends):
        assert box.x0 >= -1 and box.y0 >= -1
        assert box.x1 <= figure.bbox.x1 + 1 and box.y1 <= figure.bbox.y1 + 1
    labels = [axis.label.get_window_extent(renderer) for axis in parts if axis.label.get_text()]
    assert not any(legend.overlaps(label) for legend in legends for label in labels)


@given(st.text(st.sampled_from("abc dW_ij,+"), max_size=120), st.floats(0.4, 4.0))
def test_a_text_that_is_fitted_is_no_wider(text, width):
    shown = fitted(text, width)
    assert shown.count("\n") < 3
    assert all(text_width(line) <= 1.35 * width for line in shown.split("\n"))
    if text_width(text) <= width:
        assert shown == text


@given(st.lists(st.integers(1, 60), max_size=20), st.floats(2.0, 8.0))
def test_a_legend_has_the_columns_that_its_figure_bears(lengths, width):
    handles = [Line2D([], [], label="x" * n) for n in lengths]
    plan = plan_legend(handles, width)
    assert (plan.height > 0) == bool(handles)
    assert 1 <= plan.n_columns <= 4


def test_files_are_the_same_each_time_and_say_what_they_are_of():
    shown = DescribedFigure(
        FIGURES["curves"](), {"table": "T", "of": {"task_name": "ä", "seed": 3}, "code": "c 1"}
    )
    assert shown.title == "T · ä · seed 3"
    for kind in ("png", "pdf", "svg"):
        content = figure_file(shown, kind)
        assert content == figure_file(shown, kind)
        plain = figure_file(DescribedFigure(FIGURES["curves"]()), kind)
        assert plain == figure_file(FIGURES["curves"](), kind) != content
        assert len(figure_file(shown, kind, footer=True)) > len(content) - 2000
    assert "seed 3" in figure_file(shown, "svg").decode()


def test_a_sweep_has_colours_in_the_order_of_its_number_however_many_there_are():
    many = [
        LearningCurve(np.array([2.0, 1.0]), group=f"lr = {v:g}", value=v)
        for v in np.geomspace(1e-4, 1, 20)[::-1]
    ]
    figure = plot_learning_curves(many)
    colours = [line.get_color() for line in figure.axes[0].lines]
    light = [sum(colour[:3]) for colour in colours]
    assert len(set(colours)) == 20 and light == sorted(light)
    named = [text.get_text() for text in figure.legends[0].get_texts()]
    assert len(named) == 6
    assert named[0] == "lr = 0.0001 (1 network)" and named[-1] == "lr = 1 (1 network)"
