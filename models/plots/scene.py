"""The content of a plot of fixed points, shared by matplotlib and plotly."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tasks_lib.errors import ParameterError, check_choice

from ..fixed_points.point_set import FixedPointSet, format_input
from .palette import colours_of_names
from .paths import Paths, as_lines, make_paths
from .projection import Projection

if TYPE_CHECKING:
    import xarray

Float = NDArray[np.float64]
UNSTABLE_MARKERS = ("X", "P", "^", "*")  # for 1, 2, 3 and more unstable modes
KINK_MARKER = "v"
# Axes hold all trials, unless that would make them so many times wider than this share of their
# states does: then they hold the share, and the figure says so.
SHARE_SHOWN, TOO_WIDE = 0.98, 2.5


@dataclass(frozen=True, eq=False)
class Scene:
    """Sets of fixed points, the frame that they are drawn in, and lines."""

    sets: Mapping[str, FixedPointSet]
    frame: Projection
    paths: Paths | None
    connections: Mapping[str, Float]
    colours: Mapping[str, Any]

    @property
    def trajectories(self) -> Float | None:
        """States of the trials shown (N, T, B); None where there are none."""
        return None if self.paths is None or not self.paths.states.size else self.paths.states

    @property
    def states(self) -> Float:
        """What the variance on the axes is of (N, ...): the trials, or the points without any."""
        if self.trajectories is not None:
            return self.trajectories
        return np.vstack([found.points for found in self.sets.values()]).T

    @property
    def points(self) -> Float:
        """All points, projected (n_axes, P)."""
        return self.frame(np.vstack([found.points for found in self.sets.values()]).T)

    def near(self) -> NDArray[np.bool_]:
        """Whether a point is near the trajectories: no farther than twice their extent (P,)."""
        points = self.points
        if self.trajectories is None:
            return np.ones(points.shape[1], dtype=bool)
        paths = self.frame(self.trajectories).reshape(len(points), -1)
        low, high = paths.min(axis=1), paths.max(axis=1)
        away = np.abs(points - 0.5 * (high + low)[:, None])
        near = (away <= 2.0 * float((high - low).max())).all(axis=0)
        return near if near.any() else np.ones_like(near)

    def window(self) -> tuple[Float, Float, bool]:
        """Return the corners (n_axes,) of what is shown, and whether it cuts trials off.

        It holds the points, what flows from them, and all trials; few states far out, which would
        make the rest too small to read, are cut off.
        """
        points = self.points[:, self.near()]
        n_axes = len(points)
        flow = [self.frame(line).reshape(n_axes, -1) for line in self.connections.values()]
        if self.trajectories is not None:
            flow.append(self.frame(self.trajectories).reshape(n_axes, -1))
        around = np.hstack([points, *flow])
        low, high = around.min(axis=1), around.max(axis=1)
        out = (1 - SHARE_SHOWN) / 2
        core = np.quantile(around, [out, 1 - out], axis=1)
        core_low = np.minimum(core[0], points.min(axis=1))
        core_high = np.maximum(core[1], points.max(axis=1))
        wide = (high - low) > TOO_WIDE * max(float((core_high - core_low).max()), 1e-300)
        cut = bool(flow) and bool(wide.any())
        if cut:
            low, high = core_low, core_high
        edge = 0.06 * (float((high - low).max()) or 1.0)
        return low - edge, high + edge, cut


def make_scene(
    sets: Mapping[str, FixedPointSet] | Sequence[FixedPointSet],
    n_axes: int,
    P: ArrayLike | Projection | None = None,
    trajectories: ArrayLike | xarray.Dataset | None = None,
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
    paths = make_paths(trajectories, everything)
    joined = {
        name: as_lines("connections", lines, n_units) for name, lines in (connections or {}).items()
    }
    for name in joined:
        check_choice("connections", name, tuple(sets))
    joined = {name: lines for name, lines in joined.items() if lines.size}
    if P is None:
        seen = everything if paths is None or not paths.states.size else paths.states
        frame = Projection.principal(seen, n_axes)
    else:
        frame = Projection.of(P, n_units, n_axes)
    flow = {name: joined[name] for name in shown if name in joined}
    return Scene(shown, frame, paths, flow, colours_of_names(list(sets)))


def describe(points: FixedPointSet, i: int) -> tuple[str, str]:
    """Return marker and legend text of one point."""
    if points.stability[i] == "stable":
        return "o", "stable"
    if points.stability[i] == "marginal":
        return "s", "marginal"
    if points.kink[i] or not points.n_unstable[i]:
        return KINK_MARKER, f"{points.kink[i] or 'unstable'}, at a kink of f"
    modes = min(int(points.n_unstable[i]), len(UNSTABLE_MARKERS))
    more = "+" if modes == len(UNSTABLE_MARKERS) else ""
    plural = "" if modes == 1 and not more else "s"
    return UNSTABLE_MARKERS[modes - 1], f"{modes}{more} unstable mode{plural}"
