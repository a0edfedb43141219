"""Plots of fixed points in two or three dimensions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib import rc_context
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator
from numpy.typing import ArrayLike, NDArray

from tasks_lib.errors import ParameterError, check_choice

from .fixed_points.point_set import FixedPointSet, format_input
from .projection import Projection

Float = NDArray[np.float64]
# Okabe and Ito's colours, told apart with any colour vision
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
UNSTABLE_MARKERS = ("X", "P", "^", "*")  # for 1, 2, 3 and more unstable modes
MARKER_SIZE = {"o": 20.0, "s": 18.0, "X": 24.0, "P": 26.0, "^": 26.0, "*": 40.0}  # points^2
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
MAX_TRAJECTORIES = 60
MAX_ARROW_MODES = 3  # with more unstable modes than this one direction says little
ARROW_LENGTH = 0.09  # of the picture


@dataclass(frozen=True, eq=False)
class Scene:
    """What a picture of fixed points shows, whoever draws it: sets, frame and lines."""

    sets: Mapping[str, FixedPointSet]
    frame: Projection
    trajectories: Float | None
    connections: Mapping[str, Float]

    @property
    def points(self) -> Float:
        """All points, projected (n_axes, P)."""
        return self.frame(np.vstack([found.points for found in self.sets.values()]).T)

    @property
    def everything(self) -> Float:
        """All that is drawn, projected (n_axes, M)."""
        lines = [
            line for line in (self.trajectories, *self.connections.values()) if line is not None
        ]
        shown = [self.frame(line).reshape(len(self.frame.names), -1) for line in lines]
        return np.hstack([self.points, *shown])


def make_scene(
    sets: Mapping[str, FixedPointSet] | Sequence[FixedPointSet],
    n_axes: int,
    P: ArrayLike | Projection | None = None,
    trajectories: ArrayLike | None = None,
    connections: Mapping[str, ArrayLike] | None = None,
) -> Scene:
    """Check what is to be drawn and choose the frame; see `plot_fixed_points`."""
    if not isinstance(sets, Mapping):
        sets = {format_input(points.input): points for points in sets}
    shown = {name: points for name, points in sets.items() if len(points)}
    if not shown:
        raise ParameterError("sets", list(sets), "holds no points to plot", "find some first")
    everything = np.vstack([points.points for points in shown.values()]).T
    n_units = everything.shape[0]
    paths = None
    if trajectories is not None:
        paths = _lines("trajectories", trajectories, n_units)
        paths = paths[:, :, :: -(-paths.shape[2] // MAX_TRAJECTORIES)]
    joined = {
        name: _lines("connections", lines, n_units) for name, lines in (connections or {}).items()
    }
    for name in joined:
        check_choice("connections", name, tuple(sets))
    if P is None:
        frame = Projection.principal(everything if paths is None else paths, n_axes)
    else:
        frame = Projection.of(P, n_units, n_axes)
    return Scene(shown, frame, paths, {name: joined[name] for name in shown if name in joined})


def _lines(field: str, lines: ArrayLike, n_units: int) -> Float:
    paths = np.asarray(lines, dtype=np.float64)
    paths = paths[:, :, None] if paths.ndim == 2 else paths
    if paths.ndim != 3 or paths.shape[0] != n_units:
        raise ParameterError(
            f"{field}.shape", paths.shape, f"is not ({n_units}, T, B)", "put units first"
        )
    return paths


def describe(points: FixedPointSet, i: int) -> tuple[str, str]:
    """Return marker and legend text of one point."""
    if points.stability[i] == "stable":
        return "o", "stable"
    if points.stability[i] == "marginal":
        return "s", "marginal"
    modes = min(int(points.n_unstable[i]), len(UNSTABLE_MARKERS))
    more = "+" if modes == len(UNSTABLE_MARKERS) else ""
    plural = "" if modes == 1 and not more else "s"
    return UNSTABLE_MARKERS[modes - 1], f"{modes}{more} unstable mode{plural}"


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
        States drawn underneath in grey, 60 of them at most.
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
    n_rows = -(-len(legend) // 2)
    foot = 0.01 + 0.047 * n_rows
    if flat:
        ax: Any = figure.add_axes((0.16, foot + 0.12, 0.81, 0.86 - foot))
    else:
        ax = figure.add_axes((0.01, foot + 0.02, 0.90, 0.96 - foot), projection="3d")
    if scene.trajectories is not None:
        for path in np.moveaxis(scene.frame(scene.trajectories), 2, 0):
            ax.plot(*path, color="0.8", linewidth=0.35, zorder=0)
    shown = scene.everything
    length = ARROW_LENGTH * (float(np.ptp(shown, axis=1).max()) or 1.0)
    length = min(length, 0.5 * (float(np.ptp(scene.points, axis=1).max()) or 1.0))
    for k, (name, points) in enumerate(scene.sets.items()):
        colour = COLOURS[k % len(COLOURS)]
        if name in scene.connections:
            for path in np.moveaxis(scene.frame(scene.connections[name]), 2, 0):
                ax.plot(*path, color=colour, linewidth=0.8, alpha=0.55, zorder=1)
        places, arrows = scene.frame(points.points.T), scene.frame.vectors(points.directions.T)
        arrows = arrows / np.maximum(np.linalg.norm(scene.frame.directions, axis=0).max(), 1e-300)
        for i in np.flatnonzero((points.n_unstable > 0) & (points.n_unstable <= MAX_ARROW_MODES)):
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
        ax.set_aspect("equal", adjustable="datalim")
        ax.spines[["top", "right"]].set_visible(False)
    else:
        _style_space(ax, names[2], shown, scene.points)
    figure.legend(
        handles=legend, loc="lower center", ncols=2, frameon=False, handletextpad=0.3,
        columnspacing=1.0, borderaxespad=0.1,
    )  # fmt: skip
    return figure


def _style_space(ax: Any, name: str, shown: Float, points: Float) -> None:
    """Fit the box of 3D axes to what is in it, to scale, and look from a good side."""
    ax.set_zlabel(name)
    ax.tick_params(pad=-2)
    for axis in (ax.xaxis, ax.yaxis, ax.zaxis):
        axis.set_major_locator(MaxNLocator(4, steps=[1, 2, 5, 10]))
        axis.labelpad = -4
    low, high = shown.min(axis=1), shown.max(axis=1)
    # a box as flat as a sheet is hard to look into
    size = np.maximum(high - low, 0.35 * (float((high - low).max()) or 1.0))
    middle = (low + high) / 2
    for set_limits, m, s in zip((ax.set_xlim, ax.set_ylim, ax.set_zlim), middle, size, strict=True):
        set_limits(m - 0.52 * s, m + 0.52 * s)
    ax.set_box_aspect(size, zoom=0.9)
    ax.view_init(*_best_view(points))


def _best_view(points: Float) -> tuple[float, float]:
    """Return elevation and azimuth (degrees) from which points (3, P) overlap least.

    Least: the mean distance to the nearest neighbour in the picture is largest, each counted up to
    a twelfth of the picture, beyond which two markers are told apart in any case.
    """
    usual = (24.0, -60.0)
    if points.shape[1] < 2 or points.shape[1] > 300:
        return usual
    best = (-np.inf, usual)
    span = float(np.ptp(points, axis=1).max()) or 1.0
    for elevation in (24.0, 16.0, 32.0, 40.0):
        for azimuth in (-60.0, *np.arange(-85.0, -4.0, 5.0)):
            e, a = np.radians((elevation, azimuth))
            right = np.array([-np.sin(a), np.cos(a), 0.0])
            up = np.array([-np.sin(e) * np.cos(a), -np.sin(e) * np.sin(a), np.cos(e)])
            seen = np.stack([right, up]) @ points
            distance = np.linalg.norm(seen[:, :, None] - seen[:, None], axis=0)
            np.fill_diagonal(distance, np.inf)
            score = float(np.minimum(distance.min(axis=0) / span, 1 / 12).mean())
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
    return handles, {text: kinds[text] for text in ranked}


def _arrows(ax: Any, place: Float, direction: Float, length: float, colour: str) -> None:
    """Draw both ways along a unit vector, as long as the projection shows of it."""
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
