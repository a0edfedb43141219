"""Pictures of fixed points: what is drawn, where, and what is left out."""

from __future__ import annotations

import io
from dataclasses import replace

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_hex

from models import (
    DynamicSystemAnalyzer,
    Projection,
    RNNNumpy,
    plot_fixed_points,
    saddle_connections,
)
from models.plots.fixed_points import COLOURS
from models.plots.scene import MAX_TRAJECTORIES, make_scene
from tasks_lib.errors import ParameterError


@pytest.fixture(scope="module")
def rnn():
    return RNNNumpy(
        W_rec=2.0 * np.eye(3), W_inp=np.eye(3), W_out=np.ones((1, 3)), activation="tanh"
    )


@pytest.fixture(scope="module")
def cube(rnn):
    return DynamicSystemAnalyzer(rnn).get_fixed_points(np.zeros(3))


def drawn_points(axes):
    """Return what scatter plots show, by colour and number of points: 3D ones too."""
    for c in axes.collections:
        if hasattr(c, "_offsets3d"):
            yield (
                to_hex(c.get_facecolor()[0]).upper(),
                np.array([np.asarray(v) for v in c._offsets3d]),
            )
        elif len(np.asarray(c.get_offsets())) and type(c).__name__ == "PathCollection":
            yield to_hex(c.get_facecolor()[0]).upper(), np.asarray(c.get_offsets()).T


@pytest.mark.parametrize("projection", ["2D", "3D"])
def test_colour_is_the_input_and_several_share_one_frame(rnn, cube, projection):
    pushed = DynamicSystemAnalyzer(rnn).get_fixed_points([0.3, 0.0, 0.0])
    frame = Projection.principal(np.random.default_rng(0).normal(size=(3, 40)))
    axes = plot_fixed_points({"rest": cube, "pushed": pushed}, projection, frame).axes[0]
    n_axes = int(projection[0])
    for colour, found in zip(COLOURS, (cube, pushed), strict=False):
        shown = np.hstack([x for c, x in drawn_points(axes) if c == colour.upper()])
        expected = frame.first(n_axes)(found.points.T)
        assert np.allclose(np.sort(shown, axis=1), np.sort(expected, axis=1))
    axes.figure.savefig(io.BytesIO(), dpi=50)


def test_saddles_have_arrows_along_what_the_projection_shows(cube):
    frame = Projection(np.eye(3), np.zeros(3), ("a", "b", "c"))
    saddles = cube.filter(cube.n_unstable == 1)
    axes = plot_fixed_points({"rest": saddles}, "2D", frame).axes[0]
    arrows = {}
    for note in axes.texts:
        arrows.setdefault(tuple(np.round(note.xyann, 6)), []).append(
            np.subtract(note.xy, note.xyann)
        )
    assert sum(len(both) for both in arrows.values()) == 24
    for place, steps in arrows.items():
        here = [p for p in saddles.points if np.allclose(p[:2], place, atol=1e-5)]
        # an edge along c is seen from its end: its arrow has no length in the picture
        lengths = sorted(round(float(np.linalg.norm(step)), 6) for step in steps)
        assert lengths[0] == 0 or len(here) == 1 or len(set(lengths)) == 1
        assert np.allclose(np.sum(steps, axis=0), 0)  # both ways
    extent = np.ptp(axes.get_ylim())
    longest = max(np.linalg.norm(step) for steps in arrows.values() for step in steps)
    assert 0.03 * extent < longest < 0.15 * extent
    stable = cube.filter(cube.n_unstable == 0)
    assert not plot_fixed_points({"rest": stable}, "2D", frame).axes[0].texts


@pytest.mark.parametrize("projection", ["2D", "3D"])
def test_connections_have_the_colour_of_their_input(rnn, cube, projection):
    flow = saddle_connections(rnn, cube)
    figure = plot_fixed_points({"rest": cube}, projection, connections={"rest": flow})
    lines = [line for line in figure.axes[0].lines if line.get_color() == COLOURS[0]]
    assert len(lines) == 24
    figure.savefig(io.BytesIO(), dpi=50)
    with pytest.raises(ParameterError, match="connections"):
        plot_fixed_points({"rest": cube}, projection, connections={"elsewhere": flow})
    with pytest.raises(ParameterError, match="connections"):
        plot_fixed_points({"rest": cube}, projection, connections={"rest": flow[:2]})
    analyser = DynamicSystemAnalyzer(rnn)
    analyser.get_fixed_points(np.zeros(3))
    again = analyser.plot_fixed_points(projection, connections=True)
    assert len([line for line in again.axes[0].lines if line.get_color() == COLOURS[0]]) == 24


def test_trajectories_do_not_dwarf_the_points(cube):
    wide = 10 * np.random.default_rng(0).normal(size=(3, 30, 50))
    scene = make_scene({"rest": cube}, 3, np.eye(3), wide)
    assert scene.trajectories.shape[2] <= MAX_TRAJECTORIES
    low, high = scene.window()
    assert (low < -1).all()
    assert (high > 1).all()
    assert (high - low).max() < 0.8 * np.ptp(wide, axis=(1, 2)).min()
    figure = plot_fixed_points({"rest": cube}, "3D", np.eye(3), wide)
    for line in figure.axes[0].lines:  # nothing is drawn outside the box
        x = np.array(line.get_data_3d())
        inside = np.isfinite(x).all(axis=0)
        assert (x[:, inside] >= low[:, None]).all()
        assert (x[:, inside] <= high[:, None]).all()
    assert len(np.hstack([x for _, x in drawn_points(figure.axes[0])]).T) == 27


def test_points_far_from_all_trajectories_are_counted_in_the_legend(cube):
    far = replace(cube, points=np.vstack([cube.points[:-1], [[500.0, 0.0, 0.0]]]))
    paths = np.random.default_rng(0).normal(size=(3, 30, 5))
    figure = plot_fixed_points({"rest": far}, "2D", np.eye(3)[:, :2], paths)
    texts = [text.get_text() for text in figure.legends[0].get_texts()]
    assert texts[-1] == "(1 far from the trajectories)"
    assert np.ptp(figure.axes[0].get_xlim()) < 50
    # without trajectories there is nothing to be far from
    alone = plot_fixed_points({"rest": far}, "2D", np.eye(3)[:, :2])
    assert np.ptp(alone.axes[0].get_xlim()) > 500


def test_trials_that_diverge_are_left_out(cube):
    paths = np.random.default_rng(0).normal(size=(3, 30, 5))
    paths[:, 20:, 1] = np.inf
    scene = make_scene({"rest": cube}, 2, trajectories=paths)
    assert scene.trajectories.shape == (3, 30, 4)
    assert make_scene({"rest": cube}, 2, trajectories=paths[:, :, 1:2]).trajectories is None


@pytest.mark.slow
def test_a_3d_picture_is_seen_from_where_its_points_are_apart(cube):
    axes = plot_fixed_points({"rest": cube}, "3D", np.eye(3)).axes[0]
    e, a = np.radians(axes.elev), np.radians(axes.azim)
    eye = np.array([
        [-np.sin(a), np.cos(a), 0], [-np.sin(e) * np.cos(a), -np.sin(e) * np.sin(a), np.cos(e)],
    ])  # fmt: skip
    seen = eye @ cube.points.T
    distance = np.linalg.norm(seen[:, :, None] - seen[:, None], axis=0)
    np.fill_diagonal(distance, np.inf)
    # from 45 degrees a column of the cube hides another; here no two of 27 points coincide
    assert distance.min() > 0.05
    one = cube.filter([0])
    assert plot_fixed_points({"rest": one}, "3D", np.eye(3)).axes[0].azim == -60


@pytest.mark.parametrize("projection", ["2D", "3D"])
def test_labels_stay_within_the_figure(rnn, cube, projection):
    scaled = replace(cube, points=1e-3 * cube.points)  # long tick labels
    figure = plot_fixed_points({"an input with a name": scaled}, projection)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    renderer = canvas.get_renderer()
    axes = figure.axes[0]
    shown = [axes.xaxis, axes.yaxis] + ([axes.zaxis] if projection == "3D" else [])
    for axis in shown:
        box = axis.label.get_window_extent(renderer)
        assert box.x0 >= 0
        assert box.y0 >= 0
        assert box.x1 <= figure.bbox.x1
        assert box.y1 <= figure.bbox.y1
    legend = figure.legends[0].get_window_extent(renderer)
    assert legend.x0 >= 0
    assert legend.x1 <= figure.bbox.x1
    assert legend.y0 >= 0
    for axis in shown:
        assert not legend.overlaps(axis.label.get_window_extent(renderer))


def test_an_input_without_connections_has_no_line_in_the_legend(rnn, cube):
    none = np.empty((3, 20, 0))
    some = saddle_connections(rnn, cube)
    figure = plot_fixed_points({"a": cube, "b": cube}, connections={"a": some, "b": none})
    styles = [handle.get_linestyle() for handle in figure.legends[0].legend_handles[:2]]
    assert styles == ["-", "None"]
