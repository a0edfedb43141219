"""Pictures of fixed points: what is drawn, where, and what is left out."""

from __future__ import annotations

import io
from dataclasses import replace

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_hex
from matplotlib.quiver import Quiver

from models import (
    DynamicSystemAnalyzer,
    Projection,
    RNNNumpy,
    get_trials,
    plot_fixed_points,
    saddle_connections,
)
from models.plots.palette import CATEGORIES as COLOURS
from models.plots.palette import CHOICES, CONTEXTS
from models.plots.paths import MAX_TRAJECTORIES
from models.plots.scene import make_scene
from tasks_lib import CDDM
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
                to_hex(c.get_edgecolor()[0]).upper(),
                np.array([np.asarray(v) for v in c._offsets3d]),
            )
        elif len(np.asarray(c.get_offsets())) and type(c).__name__ == "PathCollection":
            yield to_hex(c.get_edgecolor()[0]).upper(), np.asarray(c.get_offsets()).T


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
    (drawn,) = (c for c in axes.collections if isinstance(c, Quiver))
    arrows = {}
    for place, step in zip(drawn.XY, zip(drawn.U, drawn.V, strict=True), strict=True):
        arrows.setdefault(tuple(np.round(place, 6)), []).append(np.array(step))
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
    still = plot_fixed_points({"rest": stable}, "2D", frame).axes[0]
    assert not any(isinstance(c, Quiver) for c in still.collections)


@pytest.mark.parametrize("projection", ["2D", "3D"])
def test_connections_have_the_colour_of_their_input(rnn, cube, projection):
    flow = saddle_connections(rnn, cube)
    figure = plot_fixed_points({"rest": cube}, projection, connections={"rest": flow})
    (line,) = (line for line in figure.axes[0].lines if line.get_color() == COLOURS[0])
    # 24 lines as one artist, with a gap after each
    data = line.get_data_3d()[0] if projection == "3D" else line.get_xdata()
    assert np.isnan(data).sum() == 24
    figure.savefig(io.BytesIO(), dpi=50)
    with pytest.raises(ParameterError, match="connections"):
        plot_fixed_points({"rest": cube}, projection, connections={"elsewhere": flow})
    with pytest.raises(ParameterError, match="connections"):
        plot_fixed_points({"rest": cube}, projection, connections={"rest": flow[:2]})
    analyser = DynamicSystemAnalyzer(rnn)
    analyser.get_fixed_points(np.zeros(3))
    again = analyser.plot_fixed_points(projection, connections=True)
    assert len([line for line in again.axes[0].lines if line.get_color() == COLOURS[0]]) == 1


def texts_of(figure):
    return [text.get_text() for text in figure.legends[0].get_texts()]


def test_axes_hold_all_trials(cube):
    wide = 10 * np.random.default_rng(0).normal(size=(3, 30, 50))
    scene = make_scene({"rest": cube}, 3, np.eye(3), wide)
    assert scene.trajectories.shape[2] <= MAX_TRAJECTORIES
    low, high, cut = scene.window()
    assert not cut
    assert (low < scene.trajectories.min(axis=(1, 2))).all()
    assert (high > scene.trajectories.max(axis=(1, 2))).all()
    figure = plot_fixed_points({"rest": cube}, "2D", np.eye(3)[:, :2], wide)
    (axes,) = figure.axes
    assert axes.get_xlim()[0] < scene.trajectories[0].min()
    assert not any("axes hold" in text for text in texts_of(figure))
    assert len(np.hstack([x for _, x in drawn_points(axes)]).T) == 27


def test_few_states_far_out_are_cut_off_and_that_is_said(cube):
    paths = np.random.default_rng(0).normal(size=(3, 300, 5))
    paths[:, 7, 2] = 80.0
    scene = make_scene({"rest": cube}, 3, np.eye(3), paths)
    low, high, cut = scene.window()
    assert cut and high.max() < 10
    figure = plot_fixed_points({"rest": cube}, "3D", np.eye(3), paths)
    assert texts_of(figure)[-1] == "(axes hold 98 % of the states)"
    for line in figure.axes[0].lines:  # nothing is drawn outside the box
        x = np.array(line.get_data_3d())
        inside = np.isfinite(x).all(axis=0)
        assert (x[:, inside] >= low[:, None]).all()
        assert (x[:, inside] <= high[:, None]).all()


@pytest.fixture(scope="module")
def decisions():
    task = CDDM(n_steps=20, stim_on=5, dec_on=14, coherences=[-1.0, 1.0], seed=0)
    # Chooses by the sum of both stimuli, and none where they are against each other.
    W_out = np.array([[0.0, 0, 1, 0, 1, 0], [0, 0, 0, 1, 0, 1]])
    rnn = RNNNumpy(W_rec=np.zeros((6, 6)), W_inp=np.eye(6), W_out=W_out, activation="tanh")
    analyser = DynamicSystemAnalyzer(rnn, task)
    return {name: analyser.get_fixed_points(name) for name in CONTEXTS}, get_trials(rnn, task)


@pytest.mark.parametrize("projection", ["2D", "3D"])
def test_context_choice_start_and_direction_of_trials_are_visible(decisions, projection):
    sets, trials = decisions
    figure = plot_fixed_points(sets, projection, None, trials)
    (axes,) = figure.axes
    lines = axes.lines
    for context, colour in CONTEXTS.items():
        (line,) = (one for one in lines if one.get_color() == colour)
        n = int((trials["context"] == context).sum())
        data = line.get_data_3d()[0] if projection == "3D" else line.get_xdata()
        assert np.isnan(data).sum() == n
    (start,) = (one for one in lines if one.get_marker() == "o")
    assert len(start.get_xdata()) == 1  # all start at the network's initial state
    made = {1: "^", -1: "v", 0: "_"}
    for choice, marker in made.items():
        n = int((trials["choice"] == choice).sum())
        (ends,) = (one for one in lines if one.get_marker() == marker)
        assert len(ends.get_xdata()) == n > 0
        assert ends.get_color() == CHOICES[choice]
    if projection == "2D":
        heads = [c for c in axes.collections if isinstance(c, Quiver) and c.scale == 1e3]
        assert sum(c.N for c in heads) == trials.sizes["trial"]
    texts = texts_of(figure)
    named = {"context = motion", "context = color", "start of trials"}
    named |= {"end: choice +", "end: choice −", "end: no choice"}
    assert {text for text in texts if "input" not in text and "stable" not in text} == named
    labels = [axes.get_xlabel(), axes.get_ylabel()]
    assert all(" %" in label and "PC" in label for label in labels)


def test_an_input_without_points_takes_its_colour_with_it(cube):
    none = cube.filter(cube.n_unstable > 9)
    both = plot_fixed_points({"a": none, "b": cube, "motion": cube})
    colours = {colour for colour, _ in drawn_points(both.axes[0])}
    assert colours == {COLOURS[2].upper(), CONTEXTS["motion"].upper()}  # not that of "a"


def test_markers_are_filled_where_stable_and_open_where_not(cube):
    (axes,) = plot_fixed_points({"rest": cube}).axes
    fills = {
        len(c.get_offsets()): to_hex(c.get_facecolor()[0]).upper()
        for c in axes.collections
        if type(c).__name__ == "PathCollection"
    }
    assert fills == {8: COLOURS[0], 12: "#FFFFFF", 6: "#FFFFFF", 1: "#FFFFFF"}


def test_points_far_from_all_trajectories_are_counted_in_the_legend(cube):
    far = replace(cube, points=np.vstack([cube.points[:-1], [[500.0, 0.0, 0.0]]]))
    paths = np.random.default_rng(0).normal(size=(3, 30, 5))
    figure = plot_fixed_points({"rest": far}, "2D", np.eye(3)[:, :2], paths)
    assert texts_of(figure)[-1] == "(1 far from the trajectories)"
    assert np.ptp(figure.axes[0].get_xlim()) < 50
    # without trajectories there is nothing to be far from
    alone = plot_fixed_points({"rest": far}, "2D", np.eye(3)[:, :2])
    assert np.ptp(alone.axes[0].get_xlim()) > 500


def test_trials_that_diverge_are_left_out(cube):
    paths = np.random.default_rng(0).normal(size=(3, 30, 5))
    paths[:, 20:, 1] = np.inf
    scene = make_scene({"rest": cube}, 2, trajectories=paths)
    assert scene.trajectories.shape == (3, 30, 4)
    texts = texts_of(plot_fixed_points({"rest": cube}, trajectories=paths))
    assert texts[-1] == "(1 trial without bound left out)"
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
        box = axis.get_tightbbox(renderer)
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


def test_flow_is_named_only_where_there_is_some(rnn, cube):
    none, some = np.empty((3, 20, 0)), saddle_connections(rnn, cube)
    for lines, named in ((some, True), (none, False)):
        figure = plot_fixed_points({"a": cube}, connections={"a": lines})
        assert ("flow from saddles" in texts_of(figure)) == named
