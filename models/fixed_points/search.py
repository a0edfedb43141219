"""Search for all fixed points of a network at one constant input."""

from __future__ import annotations

import time
from dataclasses import dataclass
from math import pi, sqrt

import numpy as np
from numpy.typing import NDArray

from ..rnn_numpy import RNNNumpy
from .certificates import newton_kantorovich
from .newton import find_roots, minimise_speed
from .point_set import FixedPointSet, good_turing, index_sum
from .spectrum import sorted_spectrum

Float = NDArray[np.float64]
Complex = NDArray[np.complex128]
QUIET_ROUNDS = 2  # rounds of starts in a row that must bring nothing new
MAX_POINTS = 512  # more than this is a continuum, or a job for a larger budget


@dataclass(frozen=True)
class SearchSettings:
    """Settings of a search.

    Attributes
    ----------
    mode : str
        "exact" or "approx".
    n_starts : int
        Starts of each round; the first round is drawn from the given states.
    max_starts : int
        Budget of starts over all rounds.
    noise : float
        Spread added to starts, in units of the states' own spread (root mean square per unit).
    diff_cutoff : float
        Points nearer than this are one.
    fun_tol : float
        Largest |F| of a point (exact), largest |F|^2 / 2 (approx).
    eig_cutoff : float
        Real parts within +-eig_cutoff count as zero.
    coverage : float
        Good-Turing coverage that counts as complete.
    seed : int
        Seed of the starts.
    """

    mode: str = "exact"
    n_starts: int = 512
    max_starts: int = 16384
    noise: float = 0.1
    diff_cutoff: float = 1e-5
    fun_tol: float = 1e-10
    eig_cutoff: float = 1e-6
    coverage: float = 0.99
    seed: int = 0


class _Found:
    """The distinct points so far, with their hits and spectra."""

    def __init__(self, rnn: RNNNumpy, u: Float, diff_cutoff: float) -> None:
        self.rnn, self.u, self.diff_cutoff = rnn, u, diff_cutoff
        self.points: Float = np.empty((0, rnn.N))
        self.residual: Float = np.empty(0)
        self.hits: NDArray[np.int64] = np.empty(0, dtype=np.int64)
        self.values: Complex = np.empty((0, rnn.N), dtype=np.complex128)
        self.leading: Complex = np.empty((0, rnn.N, min(rnn.N, 6)), dtype=np.complex128)

    def add(self, points: Float, residual: Float) -> int:
        """Count hits of known points, append new ones, and return the number of those."""
        known = len(self.points)
        order = np.argsort(residual, kind="stable")  # the best residual represents its group
        fresh: list[int] = []
        for i in order:
            if len(self.points):
                distance = np.linalg.norm(self.points - points[i], axis=1)
                near = int(distance.argmin())
                if distance[near] <= self.diff_cutoff:
                    self.hits[near] += 1
                    continue
            self.points = np.vstack([self.points, points[i]])
            self.residual = np.append(self.residual, residual[i])
            self.hits = np.append(self.hits, 1)
            fresh.append(i)
        for first in range(known, len(self.points), 64):
            batch = self.points[first : first + 64]
            values, vectors = sorted_spectrum(self.rnn.jacobian(batch.T, self.u))
            self.values = np.concatenate([self.values, values])
            self.leading = np.concatenate([self.leading, vectors[:, :, : self.leading.shape[2]]])
        return len(self.points) - known


def _next_starts(
    found: _Found, states: Float, spread: float, n_starts: int, level: int, rng: np.random.Generator
) -> Float:
    """Return starts (N, n_starts) made from the points found and from noisier states."""
    rnn, points = found.rnn, found.points
    n_units = rnn.N
    known = len(points)
    n_combined, n_modes = (n_starts // 2, n_starts // 5) if known else (0, 0)
    n_box = n_starts // 8
    n_noisy = n_starts - n_combined - n_modes - n_box
    parts = []
    if known:
        # means of 2 to 8 points lie near the saddles between them; the differences p + q - r
        # complete parallelograms, the shape of memories that combine independent bits
        means = np.empty((n_combined // 2, n_units))
        for i in range(len(means)):
            members = rng.integers(known, size=int(rng.integers(2, 9)))
            means[i] = rng.dirichlet(np.ones(len(members))) @ points[members]
        p, q, r = points[rng.integers(known, size=(3, n_combined - len(means)))]
        even = rng.random(len(p)) < 0.5
        means[: len(means) // 2] = 0.5 * np.sum(
            points[rng.integers(known, size=(2, len(means) // 2))], axis=0
        )
        parallel = np.where(even[:, None], p + q - r, 2.0 * p - q)
        parts += [means, parallel]
        # along the slow and unstable directions of a point, both ways
        base = rng.integers(known, size=n_modes)
        vectors = found.leading[base, :, rng.integers(found.leading.shape[2], size=n_modes)]
        turned = (vectors * np.exp(1j * rng.uniform(0, 2 * pi, n_modes))[:, None]).real
        unit = turned / np.maximum(np.linalg.norm(turned, axis=1), 1e-300)[:, None]
        reach = spread * sqrt(n_units) * 10.0 ** rng.uniform(-1.5, 0.5, n_modes)
        parts.append(points[base] + reach[:, None] * unit)
    noisy = states[:, rng.integers(states.shape[1], size=n_noisy)].T
    noise = spread * 10.0 ** rng.uniform(-1.0, min(0.25 * level, 1.0), (n_noisy, 1))
    noisy = noisy + noise * rng.standard_normal(noisy.shape)
    # normal deviates with the covariance of what is known, twice as wide
    cloud = np.vstack([states.T[rng.integers(states.shape[1], size=512)], points])
    centre = cloud.mean(axis=0)
    weights = rng.standard_normal((n_box, len(cloud))) / sqrt(len(cloud))
    parts += [noisy, centre + 2.0 * weights @ (cloud - centre)]
    starts = np.vstack(parts)
    return (starts + 0.02 * spread * rng.standard_normal(starts.shape)).T


def _scales(
    rnn: RNNNumpy, u: Float, states: Float, rng: np.random.Generator
) -> tuple[float, float]:
    """Return the spread of starts per unit, and the longest Newton step.

    States that hardly differ (a network at rest) say nothing about where else points may be: the
    states that the network is driven towards from random ones then set the scale.
    """
    size = float(np.sqrt(np.mean(states**2)))
    spread = float(np.sqrt(np.mean((states - states.mean(axis=1, keepdims=True)) ** 2)))
    anywhere = rng.standard_normal((rnn.N, 64))
    driven = rnn.rhs(anywhere, u) + anywhere + rnn.gamma * anywhere**3
    natural = float(np.sqrt(np.mean(driven**2)))
    spread = max(spread, 0.25 * size, 0.25 * natural, 1e-3)
    return spread, 2.0 * sqrt(rnn.N) * (spread + size)


def find_fixed_points(
    rnn: RNNNumpy, u: Float, states: Float, settings: SearchSettings | None = None
) -> FixedPointSet:
    """Search for all fixed points at the constant input ``u`` (n_inputs,).

    Rounds of damped Newton: first from ``states`` plus noise, then from what was found
    (combinations, slow and unstable directions) and from noisier states, until two rounds in a row
    bring nothing new, the Good-Turing coverage reaches its goal and the index sum is as expected,
    or the budget is spent. Starts made from points found are not independent draws, which is why
    coverage alone does not end a search.

    Parameters
    ----------
    rnn : RNNNumpy
        The network.
    u : array (n_inputs,)
        Constant input.
    states : array (N, M)
        States to start from, e.g. of the network's own trajectories.
    settings : SearchSettings, optional
        Tolerances, budget and seed.
    """
    began = time.perf_counter()
    opts = settings or SearchSettings()
    rng = np.random.default_rng(opts.seed)
    spread, max_step = _scales(rnn, u, states, rng)
    found = _Found(rnn, u, opts.diff_cutoff)
    expected = 1 if rnn.activation.is_bounded or rnn.gamma > 0 else None
    used = level = quiet = converged = 0
    done = False
    while used < opts.max_starts and not done:
        count = min(opts.n_starts, opts.max_starts - used)
        if level == 0:
            starts = states[:, rng.integers(states.shape[1], size=count)]
            starts = starts + opts.noise * spread * rng.standard_normal(starts.shape)
        else:
            starts = _next_starts(found, states, spread, count, level, rng)
        if opts.mode == "exact":
            ends = find_roots(rnn, starts, u, opts.fun_tol, max_step)
            good = ends.converged
        else:
            ends = minimise_speed(rnn, starts, u, max_step)
            good = ends.converged & (0.5 * ends.residual**2 <= opts.fun_tol)
        used += count
        level += 1
        new = found.add(ends.points[:, good].T, ends.residual[good])
        converged += int(good.sum())
        quiet = 0 if new or not len(found.points) else quiet + 1
        flat = np.abs(found.values).min(axis=1) <= opts.eig_cutoff
        # a continuum gives new points for ever: stop sampling it
        endless = len(flat) > MAX_POINTS or (level > 1 and flat.sum() > 0.5 * len(flat) and new)
        unstable = (found.values.real > opts.eig_cutoff).sum(axis=1)
        total = index_sum(unstable, flat, opts.mode)
        agrees = expected is None or total is None or total == expected
        done = agrees and quiet >= QUIET_ROUNDS and good_turing(found.hits) >= opts.coverage
        if endless:
            break
    status = "complete" if done else "incomplete"
    order = np.lexsort((-found.hits, unstable))
    points, residual = found.points[order], found.residual[order]
    jacobian = rnn.jacobian(points.T, u) if len(points) else np.empty((0, rnn.N, rnn.N))
    if opts.mode == "exact":
        exists, unique = newton_kantorovich(rnn, points, residual, jacobian)
    else:
        exists = unique = np.full(len(points), np.nan)
    top = found.values.real[:, 0]
    stability = np.where(
        top > opts.eig_cutoff, "unstable", np.where(top < -opts.eig_cutoff, "stable", "marginal")
    )
    directions = found.leading[:, :, 0].real
    directions = directions / np.maximum(np.linalg.norm(directions, axis=1), 1e-300)[:, None]
    return FixedPointSet(
        points=points,
        residual=residual,
        hits=found.hits[order],
        eigenvalues=found.values[order],
        directions=directions[order],
        n_unstable=unstable[order].astype(np.int64),
        stability=stability[order].astype(np.str_),
        degenerate=flat[order],
        existence_radius=exists,
        uniqueness_radius=unique,
        coverage=good_turing(found.hits),
        index_sum=total if len(points) else None,
        index_expected=expected,
        n_starts=used,
        n_converged=converged,
        seconds=time.perf_counter() - began,
        status=status if len(points) else "none_found",
        input=np.array(u, dtype=np.float64),
        mode=opts.mode,
        fun_tol=opts.fun_tol,
        diff_cutoff=opts.diff_cutoff,
        eig_cutoff=opts.eig_cutoff,
    )
