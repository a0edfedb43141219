"""Plots of continuous attractors: where they lie, and the drift along them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
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
from .layout import LegendPlan, equal_scale, fit_space, make_room_left, plan_legend
from .palette import colours_of_names, fill, grey, ink
from .paths import draw_paths, legend_of_paths, make_paths
from .printed import PrintedFigure
from .projection import Projection
from .style import plain_matplotlib, unit

if TYPE_CHECKING:
    import xarray

Float = NDArray[np.float64]


@plain_matplotlib()
def plot_manifolds(
    manifolds: Mapping[str, Sequence[SlowManifold]],
    projection: str = "2D",
    P: ArrayLike | Projection | None = None,
    points: Mapping[str, FixedPointSet] | None = None,
    trajectories: ArrayLike | xarray.Dataset | None = None,
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
    trajectories : array (N, T, B) or (N, T), or Dataset of `models.get_trials`, optional
        Trials drawn underneath, as by `plot_fixed_points`.
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
    paths = make_paths(trajectories, samples)
    drawn = frame(samples)
    if paths is not None and paths.states.size:
        drawn = np.hstack([drawn, frame(paths.states).reshape(n_axes, -1)])
    low, high = drawn.min(axis=1), drawn.max(axis=1)
    edge = 0.05 * float((high - low).max()) or 1.0
    low, high = low - edge, high + edge
    colours = colours_of_names(list(manifolds))
    stable = _kinds(shown, points)
    legend = _legend(shown, colours, stable)
    if paths is not None:
        more = legend_of_paths(paths)
        legend = plan_legend([*legend.handles, *more], unit() * 7.0, most=3)
    u = unit()
    width, height = 7.0 * u, 2.7 * u + legend.height
    figure = PrintedFigure(figsize=(width, height))
    foot = legend.height / height
    bottom, top = foot + 0.4 * u / height, 1 - 0.2 * u / height
    labels = frame.labels(samples, short=n_axes == 3)
    if n_axes == 2:
        space: Any = figure.add_axes((0.08, bottom, 0.37, top - bottom))
        _style_space(space, low, high, labels)
        equal_scale(figure, space, low, high)
        make_room_left(figure, space)
        equal_scale(figure, space, low, high)
    else:
        space = figure.add_subplot(projection="3d")
        _style_space(space, low, high, labels)
        fit_space(figure, space, (0.005, foot + 0.005, 0.47, 0.995))
    along = figure.add_axes((0.6, bottom, 0.38, top - bottom))
    if paths is not None:
        draw_paths(space, paths, frame, low, high)
    every = [m for found in shown.values() for m in found]
    # the drift on a sheet has no sign: its |F| is drawn only where there is no curve
    plain = [m for m in every if m.dimension == 1] or every
    for name, found in shown.items():
        for manifold in found:
            _draw_manifold(space, manifold, frame, colours[name])
        for manifold in (m for m in found if m in plain):
            _draw_drift(along, manifold, colours[name])
        if points is not None and name in points:
            _draw_points(space, points[name], frame, colours[name])
    _style_drift(along, plain)
    legend.draw(figure)
    return figure


def _kinds(
    manifolds: Mapping[str, Sequence[SlowManifold]], points: Mapping[str, FixedPointSet] | None
) -> dict[str, bool]:
    """Return whether stable points are drawn, and unstable ones."""
    every = [m for found in manifolds.values() for m in found]
    shown = [points[name] for name in manifolds if name in points] if points else []
    shown = [found for found in shown if not found.need_not_be_isolated.all()]
    return {
        "stable": any(m.n_stable for m in every)
        or any((found.stability == "stable").any() for found in shown),
        "unstable": any(m.n_unstable for m in every)
        or any((found.stability != "stable").any() for found in shown),
    }


def _shades(colour: str, manifold: SlowManifold, n: int) -> NDArray[np.float64]:
    """Return colours (n, 4) from light to full; a ring's come back to light."""
    full = np.array(to_rgb(colour))
    shades = LinearSegmentedColormap.from_list("along", [tuple(0.65 + 0.35 * full), tuple(full)])
    share = np.linspace(0.0, 1.0, n)
    if manifold.is_ring:
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
    segments = _segments(states, manifold.is_ring)
    kind: Any = LineCollection if states.shape[1] == 2 else Line3DCollection
    shades = _shades(colour, manifold, len(segments))
    ax.add_collection(kind(segments, colors=shades, linewidths=2.0, capstyle="round"))


def _draw_points(ax: Any, found: FixedPointSet, frame: Projection, colour: str) -> None:
    for stable in (True, False):
        chosen = (found.stability == "stable") == stable
        if not chosen.any() or found.need_not_be_isolated.all():  # a continuum is the line itself
            continue
        ax.scatter(
            *frame(found.points[chosen].T), s=16, linewidths=0.9, edgecolors=grey("black") if stable
            else colour, facecolors=[fill(colour, "stable" if stable else "unstable")], zorder=5,
            **({"depthshade": False} if len(frame.names) == 3 else {}),
        )  # fmt: skip


def _draw_drift(ax: Any, manifold: SlowManifold, colour: str) -> None:
    if manifold.dimension > 1:
        order = manifold.positions[:, 0].argsort()
        shades = _shades(colour, manifold, len(order))
        ax.scatter(manifold.positions[order, 0], manifold.speed[order], s=4, c=shades, linewidths=0)
        return
    closed = manifold.is_ring
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
            mec=grey("black") if drift[i] > 0 else colour, zorder=5,
            mfc=fill(colour, "stable" if drift[i] > 0 else "unstable"),
        )  # fmt: skip


def _style_space(ax: Any, low: Float, high: Float, labels: Sequence[str]) -> None:
    for name, label, m, n in zip("xyz", labels, low, high, strict=False):
        getattr(ax, f"set_{name}label")(label)
        getattr(ax, f"set_{name}lim")(m, n)
    if len(labels) == 3:
        ax.locator_params(nbins=4)
        ax.tick_params(pad=-2)
        for axis in (ax.xaxis, ax.yaxis, ax.zaxis):
            axis.labelpad = -4


def _style_drift(ax: Any, manifolds: Sequence[SlowManifold]) -> None:
    ax.axhline(0.0, color=grey("0.6"), lw=0.6, zorder=0)
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
    ax.ticklabel_format(axis="y", style="sci", scilimits=(-2, 3), useMathText=True)


def _legend(
    manifolds: Mapping[str, Sequence[SlowManifold]],
    colours: Mapping[str, Any],
    stable: Mapping[str, bool],
) -> LegendPlan:
    handles = []
    for name, found in manifolds.items():
        of_kind: dict[str, list[SlowManifold]] = {}
        for manifold in found:
            of_kind.setdefault(manifold.topology, []).append(manifold)
        label = f"input {name}: {', '.join(map(_kind_in_words, of_kind.values()))}"
        handles.append(Line2D([], [], lw=2.0, color=colours[name], label=label))
    for kind, there in stable.items():
        if there:
            handles.append(
                Line2D(
                    [], [], ls="", marker="o", ms=4, mec=ink(), mfc=fill(ink(), kind), label=kind
                )
            )
    return plan_legend(handles, unit() * 7.0, most=3)


def _kind_in_words(found: Sequence[SlowManifold]) -> str:
    """Return how many there are of a kind, and what share W_out does not read."""
    shares = [round(100 * manifold.null_space_fraction) for manifold in found]
    low, high = min(shares), max(shares)
    unread = f"{low} % unread" if low == high else f"{low} to {high} % unread"
    many = f"{len(found)} " if len(found) > 1 else ""
    return f"{many}{found[0].topology}{'s' * (len(found) > 1)} ({unread})"
