"""The content of a plot of fixed points, shared by matplotlib and plotly."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tasks_lib.errors import ParameterError, check_choice

from ..fixed_points.point_set import FixedPointSet, format_input
from .projection import Projection

Float = NDArray[np.float64]
UNSTABLE_MARKERS = ("X", "P", "^", "*")  # for 1, 2, 3 and more unstable modes
KINK_MARKER = "v"
MAX_TRAJECTORIES = 40
FARTHEST = 1e3  # |x| of trials that are drawn, for the largest |x| of a point


@dataclass(frozen=True, eq=False)
class Scene:
    """Sets of fixed points, the frame that they are drawn in, and lines."""

    sets: Mapping[str, FixedPointSet]
    frame: Projection
    trajectories: Float | None
    connections: Mapping[str, Float]

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

    def window(self) -> tuple[Float, Float]:
        """Return the corners (n_axes,) of what is shown: the points, and what goes on around them.

        Trajectories that swing far out, or a point far from all of them, would leave the rest too
        small to read.
        """
        points = self.points[:, self.near()]
        n_axes = len(points)
        paths = points if self.trajectories is None else self.frame(self.trajectories)
        paths = np.hstack([points, paths.reshape(n_axes, -1)])
        flow = [self.frame(line).reshape(n_axes, -1) for line in self.connections.values()]
        whole = np.hstack([paths, *flow])
        extent = max(np.ptp(points, axis=1).max(), 0.35 * np.ptp(paths, axis=1).max())
        low = np.maximum(whole.min(axis=1), points.min(axis=1) - 0.35 * extent)
        high = np.minimum(whole.max(axis=1), points.max(axis=1) + 0.35 * extent)
        edge = 0.06 * (float((high - low).max()) or 1.0)
        return low - edge, high + edge


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
        paths = as_lines("trajectories", trajectories, n_units)
        paths = some_of(trials_near(paths, everything))
        paths = paths if paths.size else None
    joined = {
        name: as_lines("connections", lines, n_units) for name, lines in (connections or {}).items()
    }
    for name in joined:
        check_choice("connections", name, tuple(sets))
    joined = {name: lines for name, lines in joined.items() if lines.size}
    if P is None:
        frame = Projection.principal(everything if paths is None else paths, n_axes)
    else:
        frame = Projection.of(P, n_units, n_axes)
    return Scene(shown, frame, paths, {name: joined[name] for name in shown if name in joined})


def trials_near(trajectories: ArrayLike, points: ArrayLike) -> Float:
    """Return the trials (N, T, B) that stay in sight of ``points`` (N, P).

    Those of a network that grows without bound would leave the points too small to be seen, and
    turn the principal components toward where they go: a trial is left out that is not finite, or
    comes to a thousand times the largest |x| of the points (or of 1).
    """
    paths = np.asarray(trajectories, dtype=np.float64)
    farthest = FARTHEST * max(1.0, float(np.abs(points).max(initial=0.0)))
    near = np.abs(paths).max(axis=(0, 1)) <= farthest  # False for NaN
    return paths if near.all() else paths[:, :, near]


def some_of(paths: Float) -> Float:
    """Return the finite ones of trajectories (N, T, B), thinned to as many as a picture bears."""
    paths = paths[:, :, np.isfinite(paths).all(axis=(0, 1))]
    return paths[:, :, :: max(1, -(-paths.shape[2] // MAX_TRAJECTORIES))]


def as_lines(field: str, lines: ArrayLike, n_units: int) -> Float:
    """Return states (N, T) or (N, T, B) as (N, T, B), checked."""
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
    if not points.n_unstable[i]:
        return KINK_MARKER, "unstable, at a kink of f"
    modes = min(int(points.n_unstable[i]), len(UNSTABLE_MARKERS))
    more = "+" if modes == len(UNSTABLE_MARKERS) else ""
    plural = "" if modes == 1 and not more else "s"
    return UNSTABLE_MARKERS[modes - 1], f"{modes}{more} unstable mode{plural}"
