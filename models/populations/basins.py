"""Basins of attraction: the share of starts that ends in each attractor."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tasks_lib.brief import brief
from tasks_lib.errors import ParameterError

from ..network.rnn_numpy import RNNNumpy
from .recording import ANALYSED
from .settings import BasinSettings

Float = NDArray[np.float64]
NO_ATTRACTOR = "no_attractor"
CONFIDENCE = 1.959964  # standard errors of 95 %


@brief
@dataclass(frozen=True, eq=False)
class BasinShares:
    """Which starts end in which attractor.

    Attributes
    ----------
    status : str
        ``analysed``; ``no_attractor``: there is no stable point.
    reason : str
    attractors : array (P, N)
        Stable points.
    starts, ends : array (S, N)
        States at the beginning and at the end.
    which : array (S,) of int
        Attractor of each start; -1: none of them (a cycle, a point that was not found, or states
        that are still on their way).
    """

    status: str
    reason: str
    attractors: Float
    starts: Float
    ends: Float
    which: NDArray[np.int64]

    @property
    def shares(self) -> Float:
        """Share of the starts that ends in each attractor (P,)."""
        counts = np.bincount(self.which[self.which >= 0], minlength=len(self.attractors))
        return np.asarray(counts / max(len(self.which), 1))

    @property
    def elsewhere(self) -> float | None:
        """Share of the starts that ends in none of them; None: there is no attractor, or start."""
        known = len(self.attractors) and len(self.which)
        return float((self.which < 0).mean()) if known else None

    @property
    def intervals(self) -> Float:
        """Interval of 95 % around each share, by Wilson (1927): (P, 2)."""
        n, p, z = max(len(self.which), 1), self.shares, CONFIDENCE
        middle = (p + z**2 / (2 * n)) / (1 + z**2 / n)
        reach = z / (1 + z**2 / n) * np.sqrt(p * (1 - p) / n + z**2 / (4 * n**2))
        return np.clip(np.column_stack([middle - reach, middle + reach]), 0.0, 1.0)


def basin_starts(states: ArrayLike, settings: BasinSettings, seed: int = 0) -> Float:
    """Return starts (S, N): states of trials, with normal noise of the units' own size.

    Parameters
    ----------
    states : array (N, T, B)
        Of trials.
    settings : BasinSettings
    seed : int
    """
    x = np.asarray(states, dtype=np.float64)
    flat = x.reshape(len(x), -1)
    rng = np.random.default_rng([seed, 4])
    chosen = flat[:, rng.integers(flat.shape[1], size=settings.n_starts)].T
    deviation = flat.std(axis=1)
    return np.asarray(chosen + settings.spread * deviation * rng.standard_normal(chosen.shape))


def get_basins(
    rnn: RNNNumpy,
    u: ArrayLike,
    attractors: ArrayLike,
    starts: ArrayLike,
    settings: BasinSettings | None = None,
) -> BasinShares:
    """Run a network from many starts at a constant input, and see where it ends.

    Parameters
    ----------
    rnn : RNNNumpy
    u : array (n_inputs,)
        The input.
    attractors : array (P, N)
        Stable points: `FixedPointSet.points` of those whose stability is "stable".
    starts : array (S, N)
    settings : BasinSettings, optional

    Raises
    ------
    ParameterError
        For an input, attractors or starts that are none of this network.
    """
    chosen = BasinSettings() if settings is None else settings
    points, x = (np.asarray(a, dtype=np.float64) for a in (attractors, starts))
    if x.ndim != 2 or x.shape[1] != rnn.n_units:
        raise ParameterError("starts", x.shape, "are no states", f"give (S, {rnn.n_units})")
    if points.size % rnn.n_units or not np.isfinite(points).all():
        remedy = f"give finite states (P, {rnn.n_units})"
        raise ParameterError("attractors", points.shape, "are no states", remedy)
    points = points.reshape(-1, rnn.n_units)
    drive = rnn.drive(rnn.check_input(u, (1,)))[:, None]
    ends = x.T.copy()
    with np.errstate(over="ignore", invalid="ignore"):
        for _ in range(max(1, round(chosen.duration / rnn.alpha))):
            field, _ = rnn.equation.field(ends, lambda v: rnn.W_rec @ v + drive)
            ends += rnn.alpha * field
    ends = ends.T
    if not len(points):
        which: NDArray[np.int64] = np.full(len(x), -1, dtype=np.int64)
        return BasinShares(NO_ATTRACTOR, "no stable point was found", points, x, ends, which)
    distances = _distances(ends, points)
    nearest = distances.argmin(axis=1)
    scale = _scale(points, x)
    near = distances[np.arange(len(x)), nearest] <= chosen.tolerance * scale
    which = np.where(near, nearest, -1).astype(np.int64)
    return BasinShares(ANALYSED, "", points, x, ends, which)


def _distances(ends: Float, points: Float) -> Float:
    found = np.stack([np.linalg.norm(ends - point, axis=1) for point in points], axis=1)
    return np.where(np.isfinite(found), found, np.inf)


def _scale(points: Float, starts: Float) -> float:
    """Return the distance of the two closest points; of one the spread of the starts."""
    if len(points) > 1:
        apart = _distances(points, points)
        np.fill_diagonal(apart, np.inf)
        return float(apart.min())
    return float(np.sqrt(((starts - starts.mean(axis=0)) ** 2).sum(axis=1).mean())) or 1.0
