"""Plots of fixed points in two or three dimensions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator
from numpy.typing import ArrayLike, NDArray

from tasks_lib.errors import check_choice

from ..fixed_points.point_set import FixedPointSet
from .layout import LegendPlan, equal_scale, fit_left, fit_space, panel_grid, plan_legend
from .palette import fill, ink
from .paths import draw_paths, inside, joined, legend_of_paths
from .printed import PrintedFigure
from .projection import Projection
from .scene import SHARE_SHOWN, Scene, describe, make_scene
from .style import plain_matplotlib, unit

if TYPE_CHECKING:
    import xarray

Float = NDArray[np.float64]
# In points^2.
MARKER_SIZE = {
    "o": 20.0, "s": 18.0, "X": 24.0, "P": 26.0, "^": 24.0, "*": 50.0, "v": 24.0,
}  # fmt: skip
MAX_ARROW_MODES = 3  # with more unstable modes than this one direction says little
ARROW_LENGTH = 0.09  # of the picture
WIDTH, HEIGHT = 3.5, 3.05  # of the figure without its legend, inches


@plain_matplotlib()
def plot_fixed_points(
    sets: Mapping[str, FixedPointSet] | Sequence[FixedPointSet],
    projection: str = "2D",
    P: ArrayLike | Projection | None = None,
    trajectories: ArrayLike | xarray.Dataset | None = None,
    connections: Mapping[str, ArrayLike] | None = None,
) -> Figure:
    """Plot fixed points: colour by input, filled where stable, arrows along unstable directions.

    Half filled is marginal, open is unstable, with a marker for each number of unstable modes. The
    axes hold all trials, unless the legend says which share. In three dimensions the picture is
    seen from where its points overlap least.

    Parameters
    ----------
    sets : mapping of str to FixedPointSet, or sequence of FixedPointSet
        The sets, by name of their input (without names, its values stand in the legend).
    projection : {"2D", "3D"}
        Number of axes.
    P : Projection, array (N, 2) or array (N, 3), optional
        The frame: a `Projection` (made from another network, say), or directions, one a column,
        which are used without a centre. By default the principal components of the trajectories,
        or of the points without any.
    trajectories : array (N, T, B) or (N, T), or Dataset of `models.get_trials`, optional
        Trials drawn underneath, 40 of them at most. Those of a dataset have the colour of their
        context (or of another field of their condition), a circle where they start, an arrowhead on
        their way, and at their end a triangle that points up or down by their choice.
    connections : mapping of str to array (N, T, B), optional
        Lines drawn in the colour of an input, by its name: `saddle_connections`, say.
    """
    check_choice("projection", projection, ("2D", "3D"))
    n_axes = 2 if projection == "2D" else 3
    return _draw(make_scene(sets, n_axes, P, trajectories, connections))


def _draw(scene: Scene) -> Figure:
    flat = len(scene.frame.names) == 2
    low, high, cut = scene.window()
    kinds = _kinds(scene)
    legend = _legend(scene, kinds, cut)
    u = unit()
    if flat:
        panel = (WIDTH - 0.6, HEIGHT - 0.57)
        figure, grid = panel_grid((1, 1), panel, (0.5, 0.1, 0.4, 0.17), foot=legend.height)
        ax: Any = grid[0, 0]
    else:
        figure = PrintedFigure(figsize=(u * WIDTH, u * HEIGHT + legend.height))
        ax = figure.add_subplot(projection="3d")
    for name, label in zip("xyz", scene.frame.labels(scene.states, short=not flat), strict=False):
        getattr(ax, f"set_{name}label")(label)
    if flat:
        _style_plane(ax)
        equal_scale(figure, ax, low, high)
        fit_left(figure, grid)
        equal_scale(figure, ax, low, high)  # in the room that the labels leave
    else:
        _style_space(ax, low, high)
        ax.view_init(*_best_view(scene))
        foot = legend.height / figure.get_figheight()
        fit_space(figure, ax, (0.01, foot + 0.01, 0.99, 0.99))
    if scene.paths is not None:
        draw_paths(ax, scene.paths, scene.frame, low, high)
    length = ARROW_LENGTH * float((high - low).max())
    seen = np.linalg.norm(
        scene.frame.vectors(np.vstack([found.directions for found in scene.sets.values()]).T),
        axis=0,
    )
    longest = max(float(seen.max()), 1e-300)
    for name, points in scene.sets.items():
        colour = scene.colours[name]
        if name in scene.connections:
            path = inside(joined(scene.frame(scene.connections[name])), low, high)
            ax.plot(*path, color=colour, linewidth=0.8, alpha=0.55, zorder=1)
        places = inside(scene.frame(points.points.T), low, high)
        modes = (points.n_unstable > 0) & (points.n_unstable <= MAX_ARROW_MODES)
        modes &= np.isfinite(places).all(axis=0)
        arrows = length * scene.frame.vectors(points.directions.T)[:, modes] / longest
        _arrows(ax, places[:, modes], arrows, colour)
        for text, marker in kinds.items():
            chosen = [i for i in range(len(points)) if describe(points, i)[1] == text]
            if chosen:
                _markers(ax, places[:, chosen], marker, colour, str(points.stability[chosen[0]]))
    legend.draw(figure)
    return figure


def _markers(ax: Any, places: Float, marker: str, colour: Any, stability: str) -> None:
    ax.scatter(
        *places,
        marker=marker,
        s=MARKER_SIZE[marker],
        facecolors=[fill(colour, stability)],
        linewidths=0.8,
        edgecolors=[colour],
        zorder=5,
        **({} if len(places) == 2 else {"depthshade": False}),
    )


def _style_plane(ax: Any) -> None:
    ax.xaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 5, 10]))
    ax.yaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 5, 10]))
    ax.ticklabel_format(scilimits=(-2, 3), useMathText=True)  # long ones would push labels out


def _style_space(ax: Any, low: Float, high: Float) -> None:
    """Give 3D axes a box to scale that is filled, with labels that do not touch."""
    ax.tick_params(pad=-2)
    ax.zaxis.set_tick_params(pad=1)
    for axis in (ax.xaxis, ax.yaxis, ax.zaxis):
        axis.set_major_locator(MaxNLocator(4, steps=[1, 2, 5, 10]))
        axis.labelpad = -4
    ax.zaxis.labelpad = -2
    # a box as flat as a sheet is hard to look into
    size = np.maximum(high - low, 0.35 * float((high - low).max()))
    middle = (low + high) / 2
    for set_limits, m, s in zip((ax.set_xlim, ax.set_ylim, ax.set_zlim), middle, size, strict=True):
        set_limits(m - 0.5 * s, m + 0.5 * s)
    ax.set_box_aspect(size)


def _best_view(scene: Scene) -> tuple[float, float]:
    """Return elevation and azimuth (degrees) from which the picture overlaps least.

    Least: the mean distance of points to the nearest other point, and of each input's points and
    lines to those of the others, is largest. Distances count up to a twelfth of the picture, beyond
    which two markers are told apart in any case.
    """
    usual = (24.0, -60.0)
    points = scene.points[:, scene.near()]
    if points.shape[1] < 2 or points.shape[1] > 300:
        return usual
    span = float(np.ptp(points, axis=1).max()) or 1.0
    inputs = []
    for name, found in scene.sets.items():
        parts = [scene.frame(found.points.T)]
        if name in scene.connections:
            parts.append(scene.frame(scene.connections[name][:, ::10]).reshape(3, -1))
        inputs.append(np.hstack(parts)[:, :300])

    def separation(one: Float, other: Float) -> float:
        distance = np.linalg.norm(one[:, :, None] - other[:, None], axis=0)
        if one is other:
            np.fill_diagonal(distance, np.inf)
        return float(np.minimum(distance.min(axis=1) / span, 1 / 12).mean())

    best = (-np.inf, usual)
    for elevation in (24.0, 16.0, 32.0):
        for azimuth in np.arange(-70.0, -19.0, 5.0):
            e, a = np.radians(elevation), np.radians(azimuth)
            right = [-np.sin(a), np.cos(a), 0.0]
            up = [-np.sin(e) * np.cos(a), -np.sin(e) * np.sin(a), np.cos(e)]
            eye = np.array([right, up])
            seen = eye @ points
            score = separation(seen, seen)
            for k, one in enumerate(inputs):
                others = inputs[:k] + inputs[k + 1 :]
                if others:
                    score += separation(eye @ one, eye @ np.hstack(others)) / len(inputs)
            if score > best[0] + 1e-9:
                best = (score, (elevation, float(azimuth)))
    return best[1]


def _kinds(scene: Scene) -> dict[str, str]:
    """Return the marker of each kind of point that is there, stable ones first."""
    kinds = dict(
        describe(points, i)[::-1] for points in scene.sets.values() for i in range(len(points))
    )
    order = ["stable", "marginal"]
    ranked = sorted(kinds, key=lambda text: (order.index(text) if text in order else 9, text))
    return {text: kinds[text] for text in ranked}


def _legend(scene: Scene, kinds: Mapping[str, str], cut: bool) -> LegendPlan:
    """Return the legend: inputs, kinds of points, trials, and what is not shown."""
    handles = [
        Line2D([], [], linestyle="", marker="o", markersize=4, color=scene.colours[name],
               label=f"input {name}")
        for name in scene.sets
    ]  # fmt: skip
    handles += [
        Line2D([], [], linestyle="", marker=marker, markersize=5, color=ink(), markeredgewidth=0.8,
               mfc=fill(ink(), text if text in ("stable", "marginal") else "unstable"), label=text)
        for text, marker in kinds.items()
    ]  # fmt: skip
    if scene.connections:
        handles.append(
            Line2D([], [], color=ink(), linewidth=1.0, alpha=0.55, label="flow from saddles")
        )
    notes = []
    if scene.paths is not None:
        handles += legend_of_paths(scene.paths)
        if (n := scene.paths.n_left_out) > 0:
            notes.append(f"({n} trial{'s' * (n > 1)} without bound left out)")
    if outside := int(np.sum(~scene.near())):
        notes.append(f"({outside} far from the trajectories)")
    if cut:
        notes.append(f"(axes hold {100 * SHARE_SHOWN:.0f} % of the states)")
    handles += [Line2D([], [], linestyle="", label=text) for text in notes]
    return plan_legend(handles, unit() * WIDTH, most=2)


def _arrows(ax: Any, places: Float, steps: Float, colour: Any) -> None:
    """Draw both ways along directions: the more the projection shows of it, the longer."""
    if not places.size:
        return
    both = np.hstack([places, places]), np.hstack([steps, -steps])
    if len(places) == 3:
        ax.quiver(*both[0], *both[1], color=colour, linewidth=0.6, arrow_length_ratio=0.3)
    else:
        ax.quiver(
            *both[0], *both[1], angles="xy", scale_units="xy", scale=1, color=colour,
            units="inches", width=0.0095, headwidth=5, headlength=6, headaxislength=5,
            minlength=0.5, zorder=4,
        )  # fmt: skip
