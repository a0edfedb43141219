"""Plots of fixed points in two or three dimensions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib import rc_context
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from numpy.typing import ArrayLike, NDArray

from tasks_lib.errors import ParameterError, check_choice

from .fixed_points.point_set import FixedPointSet, format_input

Float = NDArray[np.float64]
# Okabe and Ito's colours, told apart with any colour vision
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
UNSTABLE_MARKERS = ("x", "+", "^", "*")  # for 1, 2, 3 and more unstable modes
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


def principal_directions(states: ArrayLike, n_directions: int) -> Float:
    """Return the first principal directions (N, n_directions) of states (N, M).

    Signs are fixed (largest entry positive), so that the same states give the same picture.
    """
    data = np.asarray(states, dtype=np.float64)
    centred = data - data.mean(axis=1, keepdims=True)
    if centred.shape[1] < n_directions:  # fewer states than axes: complete the basis
        centred = np.hstack([centred, 1e-12 * np.eye(centred.shape[0])])
    directions = np.linalg.svd(centred, full_matrices=False)[0]
    if directions.shape[1] < n_directions:  # fewer units than axes
        missing = n_directions - directions.shape[1]
        directions = np.hstack([directions, np.zeros((directions.shape[0], missing))])
    directions = directions[:, :n_directions]
    peak = directions[np.abs(directions).argmax(axis=0), np.arange(n_directions)]
    return directions * np.where(peak < 0, -1.0, 1.0)


def _kind(points: FixedPointSet, i: int) -> tuple[str, str]:
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
    P: ArrayLike | None = None,
    trajectories: ArrayLike | None = None,
) -> Figure:
    """Plot fixed points: colour by input, marker by stability, arrows along unstable directions.

    Parameters
    ----------
    sets : mapping of str to FixedPointSet, or sequence of FixedPointSet
        The sets, by name of their input (without names, its values stand in the legend).
    projection : {"2D", "3D"}
        Number of axes.
    P : array (N, 2) or (N, 3), optional
        Directions to project on, one a column (``principal_directions`` of another network, say).
        By default the principal components of the trajectories, or of the points without any.
    trajectories : array (N, T, B) or (N, T), optional
        States drawn underneath in grey.
    """
    check_choice("projection", projection, ("2D", "3D"))
    n_axes = 2 if projection == "2D" else 3
    if not isinstance(sets, Mapping):
        sets = {format_input(points.input): points for points in sets}
    shown = {name: points for name, points in sets.items() if len(points)}
    if not shown:
        raise ParameterError("sets", list(sets), "holds no points to plot", "find some first")
    everything = np.vstack([points.points for points in shown.values()]).T
    n_units = everything.shape[0]
    paths = None
    if trajectories is not None:
        paths = np.asarray(trajectories, dtype=np.float64)
        paths = paths[:, :, None] if paths.ndim == 2 else paths
        if paths.ndim != 3 or paths.shape[0] != n_units:
            raise ParameterError(
                "trajectories.shape", paths.shape, f"is not ({n_units}, T, B)", "put units first"
            )
        paths = paths[:, :, :: -(-paths.shape[2] // MAX_TRAJECTORIES)]
    if P is None:
        states = everything if paths is None else paths.reshape(n_units, -1)
        axes_matrix = principal_directions(states, n_axes)
        label = "PC"
    else:
        axes_matrix = np.asarray(P, dtype=np.float64)
        label = "Axis"
        if axes_matrix.shape != (n_units, n_axes):
            raise ParameterError(
                "P.shape", axes_matrix.shape, f"is not ({n_units}, {n_axes})", "one axis a column"
            )
    with rc_context(STYLE):
        return _draw(shown, axes_matrix, label, paths)


def _draw(sets: Mapping[str, FixedPointSet], P: Float, label: str, paths: Float | None) -> Figure:
    n_axes = P.shape[1]
    flat = n_axes == 2
    figure = Figure(figsize=(3.5, 3.4 if flat else 3.8), dpi=300)
    if flat:
        figure.set_layout_engine("constrained")
        ax: Any = figure.add_subplot()
    else:  # layout engines do not see the labels of 3D axes: leave room for them by hand
        ax = figure.add_axes((0.0, 0.22, 0.9, 0.78), projection="3d")
    if paths is not None:
        for b in range(paths.shape[2]):
            ax.plot(*(P.T @ paths[:, :, b]), color="0.8", linewidth=0.4, zorder=0)
    every = np.vstack([points.points for points in sets.values()]) @ P
    extent = float(np.ptp(every, axis=0).max()) or 1.0
    kinds: dict[str, str] = {}
    for k, points in enumerate(sets.values()):
        colour = COLOURS[k % len(COLOURS)]
        projected = points.points @ P
        arrows = points.directions @ P
        for i, place in enumerate(projected):
            marker, text = _kind(points, i)
            kinds[text] = marker
            if 0 < points.n_unstable[i] <= MAX_ARROW_MODES:
                _arrows(ax, place, arrows[i], 0.12 * extent, colour)
        for text, marker in kinds.items():
            chosen = [i for i in range(len(points)) if _kind(points, i)[1] == text]
            if chosen:
                crossed = marker in "x+"
                ax.scatter(
                    *projected[chosen].T,
                    marker=marker,
                    s=22,
                    c=[to_rgba(colour)],
                    linewidths=1.1 if crossed else 0.4,
                    edgecolors=None if crossed else "white",
                    zorder=3,
                    **({"depthshade": False} if n_axes == 3 else {}),
                )
    names = [f"{label} {i + 1} (a.u.)" for i in range(n_axes)]
    ax.set_xlabel(names[0])
    ax.set_ylabel(names[1])
    if n_axes == 3:
        ax.set_zlabel(names[2])
        ax.locator_params(nbins=4)
        ax.tick_params(pad=-1)
        for axis in (ax.xaxis, ax.yaxis, ax.zaxis):
            axis.labelpad = -3
    else:
        ax.set_aspect("equal", adjustable="datalim")
        ax.spines[["top", "right"]].set_visible(False)
    order = ["stable", "marginal"]
    ranked = sorted(kinds, key=lambda text: (order.index(text) if text in order else 9, text))
    handles = [
        Line2D([], [], linestyle="", marker="o", markersize=4, color=COLOURS[k % len(COLOURS)],
               label=f"input {name}")
        for k, name in enumerate(sets)
    ]  # fmt: skip
    handles += [
        Line2D([], [], linestyle="", marker=kinds[text], markersize=4, color="0.35", label=text)
        for text in ranked
    ]
    figure.legend(
        handles=handles,
        loc="outside lower center" if flat else "lower center",
        ncols=2,
        frameon=False,
        handletextpad=0.3,
        columnspacing=1.0,
    )
    return figure


def _arrows(ax: Any, place: Float, direction: Float, length: float, colour: str) -> None:
    """Draw both ways along a unit vector, as long as the projection shows of it."""
    for sign in (1.0, -1.0):
        step = sign * length * direction
        if len(place) == 3:
            ax.quiver(*place, *step, color=colour, linewidth=0.7, arrow_length_ratio=0.35)
        else:
            ax.annotate(
                "",
                xy=tuple(place + step),
                xytext=tuple(place),
                arrowprops={"arrowstyle": "->", "color": colour, "linewidth": 0.7,
                            "shrinkA": 2.0, "shrinkB": 0.0, "mutation_scale": 6},
            )  # fmt: skip
