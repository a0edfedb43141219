"""Plots of fixed points in two or three dimensions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib import rc_context
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator
from numpy.typing import ArrayLike, NDArray

from tasks_lib.errors import check_choice

from ..fixed_points.point_set import FixedPointSet
from .projection import Projection
from .scene import Scene, describe, make_scene
from .style import COLOURS, plain_matplotlib

Float = NDArray[np.float64]
# In points^2.
MARKER_SIZE = {
    "o": 20.0, "s": 18.0, "X": 24.0, "P": 26.0, "^": 26.0, "*": 55.0, "v": 24.0,
}  # fmt: skip
STYLE: dict[Any, Any] = {
    "font.size": 8,
    "axes.titlesize": 8,
    "axes.labelsize": 8,
    "legend.fontsize": 7,
    "xtick.labelsize": 7,
    "ytick.labelsize": 7,
    "axes.linewidth": 0.6,
    "grid.linewidth": 0.4,
    "grid.color": "0.85",
}
MAX_ARROW_MODES = 3  # with more unstable modes than this one direction says little
ARROW_LENGTH = 0.09  # of the picture


@plain_matplotlib()
def plot_fixed_points(
    sets: Mapping[str, FixedPointSet] | Sequence[FixedPointSet],
    projection: str = "2D",
    P: ArrayLike | Projection | None = None,
    trajectories: ArrayLike | None = None,
    connections: Mapping[str, ArrayLike] | None = None,
) -> Figure:
    """Plot fixed points: colour by input, marker by stability, arrows along unstable directions.

    In three dimensions the picture is seen from where its points overlap least.

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
    trajectories : array (N, T, B) or (N, T), optional
        States drawn underneath in grey, 40 of them at most.
    connections : mapping of str to array (N, T, B), optional
        Lines drawn in the colour of an input, by its name: `saddle_connections`, say.
    """
    check_choice("projection", projection, ("2D", "3D"))
    n_axes = 2 if projection == "2D" else 3
    scene = make_scene(sets, n_axes, P, trajectories, connections)
    with rc_context(STYLE):
        return _draw(scene)


def _draw(scene: Scene) -> Figure:
    flat = len(scene.frame.names) == 2
    figure = Figure(figsize=(3.5, 3.6), dpi=300)
    # Fixed places: layout engines do not see the labels of 3D axes.
    legend, kinds = _legend(scene)
    foot = 0.01 + 0.047 * -(-len(legend) // 2)
    if flat:
        ax: Any = figure.add_axes((0.18, foot + 0.12, 0.79, 0.83 - foot))
    else:
        ax = figure.add_axes((0.0, foot, 0.94, 1.02 - foot), projection="3d")
    low, high = scene.window()
    if scene.trajectories is not None:
        for path in np.moveaxis(scene.frame(scene.trajectories), 2, 0):
            path = path if flat else _inside(path, low, high)
            ax.plot(*path, color="0.82", linewidth=0.3, zorder=0)
    length = ARROW_LENGTH * float((high - low).max())
    seen = np.linalg.norm(
        scene.frame.vectors(np.vstack([found.directions for found in scene.sets.values()]).T),
        axis=0,
    )
    unit = max(float(seen.max()), 1e-300)
    for k, (name, points) in enumerate(scene.sets.items()):
        colour = COLOURS[k % len(COLOURS)]
        if name in scene.connections:
            for path in np.moveaxis(scene.frame(scene.connections[name]), 2, 0):
                path = path if flat else _inside(path, low, high)
                ax.plot(*path, color=colour, linewidth=0.8, alpha=0.55, zorder=1)
        places = _inside(scene.frame(points.points.T), low, high)
        arrows = scene.frame.vectors(points.directions.T) / unit
        for i in np.flatnonzero((points.n_unstable > 0) & (points.n_unstable <= MAX_ARROW_MODES)):
            if np.isfinite(places[:, i]).all():
                _arrows(ax, places[:, i], arrows[:, i], length, colour)
        for text, marker in kinds.items():
            chosen = [i for i in range(len(points)) if describe(points, i)[1] == text]
            if chosen:
                ax.scatter(
                    *places[:, chosen],
                    marker=marker,
                    s=MARKER_SIZE[marker],
                    c=[colour],
                    linewidths=0.5,
                    edgecolors="white",
                    zorder=5,
                    **({} if flat else {"depthshade": False}),
                )
    names = [f"{name} (a.u.)" for name in scene.frame.names]
    ax.set_xlabel(names[0])
    ax.set_ylabel(names[1])
    if flat:
        _fill(figure, ax, low, high)
        ax.xaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 5, 10]))
        ax.yaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 5, 10]))
        ax.ticklabel_format(scilimits=(-1, 3), useMathText=True)  # long ones would push labels out
        ax.spines[["top", "right"]].set_visible(False)
    else:
        _style_space(ax, names[2], low, high)
        ax.view_init(*_best_view(scene))
    figure.legend(
        handles=legend, loc="lower center", ncols=2, frameon=False, handletextpad=0.3,
        columnspacing=1.0, borderaxespad=0.1,
    )  # fmt: skip
    return figure


def _inside(path: Float, low: Float, high: Float) -> Float:
    """Return projected states (n_axes, M) with NaN outside the window: 3D axes do not clip."""
    outside = (path < low[:, None]) | (path > high[:, None])
    return np.where(outside.any(axis=0), np.nan, path)


def _fill(figure: Figure, ax: Any, low: Float, high: Float) -> None:
    """Set limits that hold the window and give both axes one scale."""
    box = np.array(ax.get_position().size) * figure.get_size_inches()
    scale = float(((high - low) / box).max())
    middle = (low + high) / 2
    ax.set_xlim(middle[0] - scale * box[0] / 2, middle[0] + scale * box[0] / 2)
    ax.set_ylim(middle[1] - scale * box[1] / 2, middle[1] + scale * box[1] / 2)


def _style_space(ax: Any, name: str, low: Float, high: Float) -> None:
    """Give 3D axes a box to scale that is filled, with labels that do not touch."""
    ax.set_zlabel(name)
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
    ax.set_box_aspect(size, zoom=0.9)


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


def _legend(scene: Scene) -> tuple[list[Line2D], dict[str, str]]:
    """Return entries of the legend, and the marker of each kind of point in its order."""
    kinds = dict(
        describe(points, i)[::-1] for points in scene.sets.values() for i in range(len(points))
    )
    order = ["stable", "marginal"]
    ranked = sorted(kinds, key=lambda text: (order.index(text) if text in order else 9, text))
    handles = [
        Line2D([], [], linestyle="-" if name in scene.connections else "", linewidth=1, marker="o",
               markersize=4, color=COLOURS[k % len(COLOURS)], label=f"input {name}")
        for k, name in enumerate(scene.sets)
    ]  # fmt: skip
    handles += [
        Line2D([], [], linestyle="", marker=kinds[text], markersize=4.5, color="0.35",
               markeredgewidth=0, label=text)
        for text in ranked
    ]  # fmt: skip
    outside = int(np.sum(~scene.near()))
    if outside:
        text = f"({outside} far from the trajectories)"
        handles.append(Line2D([], [], linestyle="", label=text))
    return handles, {text: kinds[text] for text in ranked}


def _arrows(ax: Any, place: Float, direction: Float, length: float, colour: str) -> None:
    """Draw both ways along a direction: the more the projection shows of it, the longer."""
    for sign in (1.0, -1.0):
        step = sign * length * direction
        if len(place) == 3:
            ax.quiver(*place, *step, color=colour, linewidth=0.6, arrow_length_ratio=0.3)
        else:
            ax.annotate(
                "",
                xy=tuple(place + step),
                xytext=tuple(place),
                arrowprops={"arrowstyle": "->", "color": colour, "linewidth": 0.7,
                            "shrinkA": 1.0, "shrinkB": 0.0, "mutation_scale": 5},
            )  # fmt: skip
