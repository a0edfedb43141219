"""Fixed points of (leaky) ReLU networks, solved exactly within their linear regions.

A region is the set of states at which the same units are on (argument z > 0). Within it the fixed
points solve a linear system, z = W D z + d with D the slopes of f there and d = W_inp u + b: in
form h the state is z itself, in form s it is D z. Both forms are solved for z.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tasks_lib.errors import ParameterError

from ..network.rnn_numpy import RNNNumpy
from .verified import EPS, SAFE, TINY, chunks, enclose_solution

Float = NDArray[np.float64]
Bool = NDArray[np.bool_]
MAX_MOVES = 8  # from a region to the one that its solution lies in
LONGEST = 2.0**20  # radius reported where nothing bounds it


def region_system(rnn: RNNNumpy, u: ArrayLike) -> tuple[Float, Float, tuple[float, float]]:
    """Return d = W_inp u + b (N,), a bound on its rounding (N,), and the slopes of f on and off.

    Raises
    ------
    ParameterError
        Where a network is not linear within regions: another activation, or gamma > 0.
    """
    f = rnn.activation
    slopes = f.half_slopes
    if slopes is None:
        raise ParameterError(
            "activation",
            f.name,
            "is not piecewise linear with its kink at 0",
            "use relu or leaky_relu",
        )
    if rnn.gamma:
        raise ParameterError(
            "gamma", rnn.gamma, "makes no region linear", "set gamma to 0, or use the search"
        )
    inputs = np.asarray(u, dtype=np.float64)
    size = np.abs(rnn.W_inp) @ np.abs(inputs) + np.abs(rnn.b_rec)
    rounding = (rnn.n_inputs + 4) * EPS * size
    return rnn.drive(inputs), rounding, (slopes[1], slopes[0])


def solve_pattern(
    W: Float, active: Bool, drive: Float, rounding: Float, slopes: tuple[float, float]
) -> tuple[Float, Float]:
    """Solve z = W D z + d for P patterns, with proven error bounds.

    Parameters
    ----------
    W : array (N, N)
        Recurrent weights.
    active : array (P, N) of bool
        Which units are on. Where units that are off have no slope, all patterns must have the same
        number on: only their block is solved then.
    drive, rounding : array (N,)
        d, and a bound on what it is off by.
    slopes : tuple of float
        Of f, on and off.

    Returns
    -------
    arguments, bounds : array (P, N)
        z and a bound on its error, entrywise; NaN where the system could not be proven regular.
    """
    on, off = slopes
    n_points, n_units = active.shape
    if off:
        inner = np.broadcast_to(np.arange(n_units), active.shape)
    else:  # units that are off add nothing: the others' block, then one product
        inner = np.nonzero(active)[1].reshape(n_points, -1)
    gain = np.where(active, on, off)
    taken = np.take_along_axis(gain, inner, axis=1)
    coupling = W[inner[:, :, None], inner[:, None, :]] * taken[:, None, :]
    units = np.arange(inner.shape[1])
    error = 2 * EPS * np.abs(coupling)
    matrices = -coupling
    matrices[:, units, units] += 1.0
    error[:, units, units] += EPS * np.abs(matrices[:, units, units])
    z, bounds = enclose_solution(matrices, error, drive[inner], rounding[inner])
    if off:
        return z, bounds
    scaled = np.zeros(active.shape)
    np.put_along_axis(scaled, inner, z * on, axis=1)
    spread = np.zeros(active.shape)
    np.put_along_axis(spread, inner, bounds * on + 2 * EPS * np.abs(z * on), axis=1)
    arguments = scaled @ W.T + drive
    weights = np.abs(W).T
    outer = (n_units + 4) * EPS * (np.abs(scaled) @ weights + np.abs(drive))
    outer = SAFE * (outer + spread @ weights + rounding) + TINY
    np.put_along_axis(arguments, inner, z, axis=1)
    np.put_along_axis(outer, inner, bounds, axis=1)
    lost = np.isnan(z).any(axis=1)
    arguments[lost] = outer[lost] = np.nan
    return arguments, outer


def states_of(rnn: RNNNumpy, arguments: Float, bounds: Float, gain: Float) -> tuple[Float, Float]:
    """Return the states (P, N) whose arguments are given, and a bound on their error (P,)."""
    if rnn.equation_type == "h":
        return arguments, SAFE * np.linalg.norm(bounds, axis=1)
    states = gain * arguments
    spread = np.abs(gain) * bounds + EPS * np.abs(states)
    return states, SAFE * np.linalg.norm(spread, axis=1)


@dataclass(frozen=True)
class RegionSolution:
    """Points polished within their linear regions.

    Attributes
    ----------
    points : array (P, N)
        The fixed point of each region ("verified", "boundary"), else the point as it was given.
    status : array (P,) of str
        "verified": proven to be a fixed point, the only one of its region. "boundary": likewise,
        but for an argument within rounding of 0, so that the region is not certain. "none": the
        regions that were followed hold no fixed point. "singular": the region's system could not
        be proven regular, the point may be part of a continuum.
    existence_radius : array (P,)
        The true fixed point lies within this Euclidean distance; NaN unless "verified".
    uniqueness_radius : array (P,)
        No other lies within this distance, that of the region's boundary (at most 2^20); NaN
        unless "verified".
    active : array (P, N) of bool
        Units on in the region that was solved last.
    """

    points: Float
    status: NDArray[np.str_]
    existence_radius: Float
    uniqueness_radius: Float
    active: Bool


def solve_in_region(rnn: RNNNumpy, u: ArrayLike, points: ArrayLike) -> RegionSolution:
    """Polish points of a (leaky) ReLU network to the exact solutions of their linear regions.

    Where the solution of a point's region lies in another region, that one is solved next, and so
    on for a few regions. All of it is proven with rounding bounds: see `verified`.

    Parameters
    ----------
    rnn : RNNNumpy
        ``relu`` or ``leaky_relu`` with any slopes, gamma = 0, of either form.
    u : array (n_inputs,)
        Constant input.
    points : array (P, N)
        States near fixed points, such as the results of a search.

    Raises
    ------
    ParameterError
        For another activation, or gamma > 0.
    """
    drive, rounding, slopes = region_system(rnn, u)
    states = np.array(points, dtype=np.float64)
    argument = states @ rnn.W_rec.T + drive if rnn.equation_type == "s" else states
    n_points = len(states)
    status = np.full(n_points, "none", dtype="<U8")
    exists, unique = np.full((2, n_points), np.nan)
    active = argument > 0
    reach = np.linalg.norm(rnn.W_rec, axis=1) if rnn.equation_type == "s" else np.ones(rnn.N)
    live: NDArray[np.int64] = np.arange(n_points)
    for _ in range(MAX_MOVES):
        if not live.size:
            break
        z, bounds = _solve_each(rnn.W_rec, active[live], drive, rounding, slopes)
        known = ~np.isnan(z).any(axis=1)
        status[live[~known]] = "singular"
        live, z, bounds = live[known], z[known], bounds[known]
        unsure = np.abs(z) <= bounds
        wrong = ((z > 0) != active[live]) & ~unsure
        ends = ~wrong.any(axis=1)
        done, z_done, bounds_done = live[ends], z[ends], bounds[ends]
        gain = np.where(active[done], *slopes)
        states[done], radius = states_of(rnn, z_done, bounds_done, gain)
        sure = ~unsure[ends].any(axis=1)
        status[done] = np.where(sure, "verified", "boundary")
        # a second solution has an argument of the other sign
        with np.errstate(divide="ignore"):
            room = (np.abs(z_done) - bounds_done) / (SAFE * reach)
        exists[done[sure]] = radius[sure]
        clear = np.clip((room.min(axis=1) - radius) / SAFE, 0.0, LONGEST)
        unique[done[sure]] = clear[sure]
        active[live[~ends]] = (active[live] ^ wrong)[~ends]
        live = live[~ends]
    return RegionSolution(states, status, exists, unique, active)


def _solve_each(
    W: Float, active: Bool, drive: Float, rounding: Float, slopes: tuple[float, float]
) -> tuple[Float, Float]:
    """Call `solve_pattern` for patterns (P, N) of any kind, in pieces that fit into memory."""
    z, bounds = np.full((2, *active.shape), np.nan)
    count = np.full(len(active), active.shape[1]) if slopes[1] else active.sum(axis=1)
    for size in np.unique(count):
        alike = np.flatnonzero(count == size)
        for part in chunks(max(int(size), 1), len(alike)):
            rows = alike[part]
            z[rows], bounds[rows] = solve_pattern(W, active[rows], drive, rounding, slopes)
    return z, bounds
