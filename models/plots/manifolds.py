"""Plots of continuous attractors: where they lie, and the drift along them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib import rc_context
from matplotlib.collections import LineCollection
from matplotlib.colors import LinearSegmentedColormap, to_rgb
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from mpl_toolkits.mplot3d.art3d import Line3DCollection
from numpy.typing import ArrayLike, NDArray

from tasks_lib.errors import ParameterError, check_choice

from ..fixed_points.point_set import FixedPointSet
from ..manifolds import SlowManifold
from ..manifolds.attractor import rounding_floor, sign_changes
from .fixed_points import STYLE
from .projection import Projection
from .scene import as_lines, some_of, trials_near
from .style import COLOURS, plain_matplotlib

Float = NDArray[np.float64]


@plain_matplotlib()
def plot_manifolds(
    manifolds: Mapping[str, Sequence[SlowManifold]],
    projection: str = "2D",
    P: ArrayLike | Projection | None = None,
    points: Mapping[str, FixedPointSet] | None = None,
    trajectories: ArrayLike | None = None,
) -> Figure:
    """Plot manifolds in two or three dimensions, and the drift along them.

    Colour says which input, and runs from light to full along a manifold (there and back on a
    ring), the same in both panels. Fixed points are filled where stable and open where not. The
    legend says what share of the variance W_out does not read.

    Parameters
    ----------
    manifolds : mapping of str to sequence of SlowManifold
        By name of their input.
    projection : {"2D", "3D"}
        Number of axes.
    P : Projection, array (N, 2) or array (N, 3), optional
        The frame, or directions to project on, one a column; principal components of all samples
        by default.
    points : mapping of str to FixedPointSet, optional
        Fixed points at the same inputs.
    trajectories : array (N, T, B) or (N, T), optional
        States drawn underneath in grey.
    """
    check_choice("projection", projection, ("2D", "3D"))
    n_axes = 2 if projection == "2D" else 3
    shown = {name: list(found) for name, found in manifolds.items() if len(found)}
    if not shown:
        raise ParameterError("manifolds", list(manifolds), "holds none to plot", "find some first")
    samples = np.vstack([m.points for found in shown.values() for m in found]).T
    n_units = samples.shape[0]
    if P is None:
        frame = Projection.principal(samples, n_axes)
    else:
        frame = Projection.of(P, n_units, n_axes)
    paths = None
    if trajectories is not None:
        paths = some_of(trials_near(as_lines("trajectories", trajectories, n_units), samples))
        paths = paths if paths.size else None
    with rc_context(STYLE):
        figure = Figure(figsize=(7.0, 3.1), dpi=300)
        if n_axes == 2:
            space: Any = figure.add_axes((0.075, 0.27, 0.37, 0.69))
        else:  # layout engines do not know how far the labels of 3D axes reach
            space = figure.add_axes((0.0, 0.2, 0.44, 0.8), projection="3d")
        along = figure.add_axes((0.58, 0.27, 0.4, 0.69))
        if paths is not None:
            for b in range(paths.shape[2]):
                space.plot(*frame(paths[:, :, b]), color="0.75", lw=0.4, zorder=0)
        every = [m for found in shown.values() for m in found]
        # the drift on a sheet has no sign: its |F| is drawn only where there is no curve
        plain = [m for m in every if m.dimension == 1] or every
        for k, (name, found) in enumerate(shown.items()):
            for manifold in found:
                _draw_manifold(space, manifold, frame, COLOURS[k % len(COLOURS)])
            for manifold in (m for m in found if m in plain):
                _draw_drift(along, manifold, COLOURS[k % len(COLOURS)])
            if points is not None and name in points:
                _draw_points(space, points[name], frame, COLOURS[k % len(COLOURS)])
        drawn = samples if paths is None else np.hstack([samples, paths.reshape(n_units, -1)])
        _style_space(space, frame(drawn), frame.names)
        _style_drift(along, plain)
        _legend(figure, shown, points is not None)
    return figure


def _shades(colour: str, manifold: SlowManifold, n: int) -> NDArray[np.float64]:
    """Return colours (n, 4) from light to full; a ring's come back to light."""
    full = np.array(to_rgb(colour))
    shades = LinearSegmentedColormap.from_list("along", [tuple(0.65 + 0.35 * full), tuple(full)])
    share = np.linspace(0.0, 1.0, n)
    if manifold.topology == "ring":
        share = 1.0 - np.abs(2.0 * share - 1.0)
    return np.asarray(shades(share))


def _segments(states: Float, closed: bool) -> Float:
    """Return the segments (S, 2, axes) between neighbouring states (M, axes)."""
    following = np.roll(states, -1, axis=0)
    segments = np.stack([states, following], axis=1)
    return segments if closed else segments[:-1]


def _draw_manifold(ax: Any, manifold: SlowManifold, frame: Projection, colour: str) -> None:
    states = frame(manifold.points.T).T
    if manifold.dimension > 1:
        order = manifold.positions[:, 0].argsort()
        ax.scatter(*states[order].T, s=4, c=_shades(colour, manifold, len(order)), linewidths=0)
        return
    segments = _segments(states, manifold.topology == "ring")
    kind: Any = LineCollection if states.shape[1] == 2 else Line3DCollection
    shades = _shades(colour, manifold, len(segments))
    ax.add_collection(kind(segments, colors=shades, linewidths=2.0, capstyle="round"))


def _draw_points(ax: Any, found: FixedPointSet, frame: Projection, colour: str) -> None:
    for stable in (True, False):
        chosen = (found.stability == "stable") == stable
        if not chosen.any() or found.degenerate.all():  # a continuum is the line itself
            continue
        ax.scatter(
            *frame(found.points[chosen].T), s=16, linewidths=0.9, edgecolors="black" if stable
            else colour, facecolors=colour if stable else "white", zorder=5,
            **({"depthshade": False} if len(frame.names) == 3 else {}),
        )  # fmt: skip


def _draw_drift(ax: Any, manifold: SlowManifold, colour: str) -> None:
    if manifold.dimension > 1:
        order = manifold.positions[:, 0].argsort()
        shades = _shades(colour, manifold, len(order))
        ax.scatter(manifold.positions[order, 0], manifold.speed[order], s=4, c=shades, linewidths=0)
        return
    closed = manifold.topology == "ring"
    position, drift = manifold.positions[:, 0], manifold.drift[:, 0]
    if closed:  # up to the first sample again
        position, drift = np.append(position, manifold.length), np.append(drift, drift[0])
    segments: Any = _segments(np.stack([position, drift], axis=1), False)
    shades = _shades(colour, manifold, len(segments))
    ax.add_collection(LineCollection(segments, colors=shades, linewidths=1.4, capstyle="round"))
    # the dots are the points that the manifold counts
    floor = rounding_floor(manifold.points, manifold.length)
    for i, k in zip(*sign_changes(manifold.drift[:, 0], closed, floor), strict=True):
        gap = position[k] - position[i] + (manifold.length if k < i else 0.0)
        place = position[i] + gap * drift[i] / (drift[i] - drift[k])
        ax.plot(
            place % manifold.length if closed else place, 0.0, "o", ms=3.5, mew=0.9,
            mec="black" if drift[i] > 0 else colour, mfc=colour if drift[i] > 0 else "white",
            zorder=5,
        )  # fmt: skip


def _style_space(ax: Any, drawn: Float, axes: Sequence[str]) -> None:
    names = [f"{name} (a.u.)" for name in axes]
    low, high = drawn.min(axis=1), drawn.max(axis=1)
    margin = 0.05 * float((high - low).max()) or 1.0
    ax.set_xlim(low[0] - margin, high[0] + margin)
    ax.set_ylim(low[1] - margin, high[1] + margin)
    ax.set_xlabel(names[0])
    ax.set_ylabel(names[1])
    if len(drawn) == 3:
        ax.set_zlim(low[2] - margin, high[2] + margin)
        ax.set_zlabel(names[2])
        ax.locator_params(nbins=4)
        ax.tick_params(pad=-2)
        for axis in (ax.xaxis, ax.yaxis, ax.zaxis):
            axis.labelpad = -4
    else:
        ax.set_aspect("equal", adjustable="box", anchor="C")
        ax.spines[["top", "right"]].set_visible(False)


def _style_drift(ax: Any, manifolds: Sequence[SlowManifold]) -> None:
    ax.axhline(0.0, color="0.6", lw=0.6, zorder=0)
    curves = [m for m in manifolds if m.dimension == 1]
    shown = [m.drift for m in curves] if curves else [m.speed for m in manifolds]
    low, high = min(float(v.min()) for v in shown), max(float(v.max()) for v in shown)
    # a continuum's drift is rounding: show it as flat
    margin = max(0.08 * (max(high, 0.0) - min(low, 0.0)), 1e-6)
    ax.set_ylim(min(low, 0.0) - margin, max(high, 0.0) + margin)
    start = min(float(m.positions[:, 0].min()) for m in manifolds)
    stop = max(m.length if m.dimension == 1 else float(m.positions[:, 0].max()) for m in manifolds)
    ax.set_xlim(start - 0.02 * (stop - start), stop + 0.02 * (stop - start))
    ax.set_xlabel("position along the manifold (a.u.)")
    ax.set_ylabel("drift along it (a.u. per τ)" if curves else "|F| (a.u. per τ)")
    ax.ticklabel_format(axis="y", style="sci", scilimits=(-2, 3))
    ax.spines[["top", "right"]].set_visible(False)


def _legend(
    figure: Figure, manifolds: Mapping[str, Sequence[SlowManifold]], has_points: bool
) -> None:
    handles = []
    for k, (name, found) in enumerate(manifolds.items()):
        kinds = [f"{m.topology} ({m.null_space_fraction:.0%} unread)" for m in found[:2]]
        more = f" and {len(found) - 2} more" if len(found) > 2 else ""
        handles.append(
            Line2D([], [], lw=2.0, color=COLOURS[k % len(COLOURS)],
                   label=f"input {name}: {', '.join(kinds)}{more}")
        )  # fmt: skip
    points = any(m.n_stable or m.n_unstable for found in manifolds.values() for m in found)
    if points or has_points:
        for label, colour in (("stable", "0.35"), ("unstable", "white")):
            handles.append(
                Line2D([], [], ls="", marker="o", ms=4, mec="0.2", mfc=colour, label=label)
            )
    figure.legend(
        handles=handles,
        loc="lower center",
        ncols=2 if len(handles) > 3 else len(handles),
        frameon=False,
        handletextpad=0.5,
        columnspacing=1.5,
        bbox_to_anchor=(0.5, 0.0),
    )
