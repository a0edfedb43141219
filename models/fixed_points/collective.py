"""Starting states along the collective directions of a network, wherever its own trials go."""

from __future__ import annotations

from math import sqrt

import numpy as np
from numpy.typing import NDArray

from ..network.rnn_numpy import RNNNumpy
from .reduction import RANGES, Singular

Float = NDArray[np.float64]
MOST_DIRECTIONS = 16  # singular directions that patterns are made of
SCANNED = 8  # of these that are scanned one by one
N_SCANNED = 40  # states along a line
SCAN_STEPS = 16  # of iteration that the other directions are given at each
RELAXATION_STEPS = 24  # of half a time constant
FARTHEST = 1e6  # states beyond this are no starts


class Collective:
    """Starts from W's singular directions: patterns of rates, and lines that are scanned.

    With W = sum_k s_k u_k v_k' the arguments of f at a fixed point are z = d + sum_k k_k u_k with
    k_k = s_k v_k . f(z): for bounded f, k_k lies in an interval that s_k, v_k and f's range give.

    Parameters
    ----------
    rnn : RNNNumpy
        The network.
    u : array (n_inputs,)
        Its constant input.
    spread : float
        Scale of the states, see `scales`; lines of unbounded f are as long as it says.
    singular : Singular
        Of W.
    """

    def __init__(self, rnn: RNNNumpy, u: Float, spread: float, singular: Singular) -> None:
        self.rnn, self.u, self.spread = rnn, u, spread
        self.drive = rnn.drive(u)
        self._bounded = rnn.activation.is_bounded
        number = min(singular.rank, MOST_DIRECTIONS)
        self.left, self.size = singular.left[:number], singular.size[:number]
        self.right = singular.right[:number]
        lines = self.size * rnn.activation.largest_slope > 0.5
        self._lines = np.flatnonzero(lines)[:SCANNED]

    def _states(self, z: Float) -> Float:
        """Return the states (P, N) of arguments ``z`` (P, N) of f."""
        x = self.rnn.activation.f(z) if self.rnn.equation_type == "s" else z
        return np.asarray(np.clip(x, -FARTHEST, FARTHEST))

    def arguments(self, x: Float) -> Float:
        """Return the arguments of f (P, N) at states ``x`` (P, N)."""
        return x @ self.rnn.W_rec.T + self.drive if self.rnn.equation_type == "s" else x

    def patterns(self, number: int, relaxed: float, rng: np.random.Generator) -> Float:
        """Return starts (number, N) that rates in collective patterns drive the network to.

        Patterns are sums of one to three singular directions and a common level, from hardly any to
        such that f saturates. A share of the states, ``relaxed``, is left to relax for a while.
        """
        n_units = self.rnn.N
        if not number or not len(self.size):
            return np.empty((0, n_units))
        share = self.size / self.size.sum()
        weights = np.zeros((number, len(self.size)))
        rows = np.arange(number)
        for _ in range(3):
            columns = rng.choice(len(share), size=number, p=share)
            weights[rows, columns] += rng.standard_normal(number) * (rng.random(number) < 0.6)
        level = rng.standard_normal((number, 1)) * (rng.random((number, 1)) < 0.6)
        # saturated for bounded f; others reach as far as the noisiest starts
        largest, most = (max(self.spread, 1.0), 0.8) if self._bounded else (self.spread, 0.3)
        scale = largest * 10.0 ** rng.uniform(-1.0, most, (number, 1))
        z = scale * (sqrt(n_units) * weights @ self.right + level)
        rates = self.rnn.activation.f(z)
        x = self._states(rates @ self.rnn.W_rec.T + self.drive)
        some = int(relaxed * number)
        x[:some] = self._relaxed(x[:some])
        return x

    def _relaxed(self, x: Float) -> Float:
        y = x.T
        with np.errstate(over="ignore", invalid="ignore"):
            for _ in range(RELAXATION_STEPS):
                y = y + 0.5 * self.rnn.rhs(y, self.u)
        stays = np.abs(y).max(axis=0, initial=0.0) < FARTHEST
        return np.where(stays[:, None], y.T, x)

    def scans(self, points: Float, number: int, rng: np.random.Generator) -> Float:
        """Return starts (at most about ``number``, N) where lines through the region cross a root.

        Along u_k the coordinate k_k is given values all over its interval, and the other
        directions follow by iteration, from where they are at one of ``points`` (P, N). Where
        s_k v_k . f(z) - k_k changes its sign, or nearly so, a root is near.
        """
        n_units = self.rnn.N
        if not len(self._lines) or not number or not len(points):
            return np.empty((0, n_units))
        n_pairs = max(1, number // 5)
        lines = self._lines[rng.permutation(n_pairs) % len(self._lines)]
        bases = self.arguments(points[rng.integers(len(points), size=n_pairs)])
        f, W = self.rnn.activation.f, self.rnn.W_rec
        s, u, v = self.size[lines], self.left[lines], self.right[lines]
        low, high = self._interval(s, v, bases)
        k = low[:, None] + (high - low)[:, None] * np.linspace(0.0, 1.0, N_SCANNED)
        own = np.sum((bases - self.drive) * u, axis=1)
        z = bases[:, None, :] + (k - own[:, None])[:, :, None] * u[:, None, :]
        size = z.shape
        with np.errstate(over="ignore", invalid="ignore"):
            for _ in range(SCAN_STEPS):
                moved = f(z).reshape(-1, n_units) @ W.T + self.drive
                moved = moved.reshape(size)
                given = np.einsum("pqn,pn->pq", moved - self.drive, u)
                gap = given - k  # along u_k, the step that is left out
                z = 0.5 * (z + moved - gap[:, :, None] * u[:, None, :])
            gap = np.einsum("pqn,pn->pq", f(z), v) * s[:, None] - k
        return self._near_roots(z, gap)

    def _interval(self, s: Float, v: Float, bases: Float) -> tuple[Float, Float]:
        name = self.rnn.activation.name
        if name in RANGES and not self.rnn.gamma:
            a, b = RANGES[name]
            middle = 0.5 * (a + b) * s * v.sum(axis=1)
            half = 0.5 * (b - a) * s * np.abs(v).sum(axis=1)
            return middle - half, middle + half
        at = s * np.sum(v * self.rnn.activation.f(bases), axis=1)
        half = 2.0 * np.maximum(np.abs(at), self.spread * sqrt(self.rnn.N))
        return at - half, at + half

    def _near_roots(self, z: Float, gap: Float) -> Float:
        """Return states where ``gap`` (P, Q) changes its sign along Q, or dips."""
        size = np.abs(gap)
        crosses = (np.sign(gap[:, :-1]) * np.sign(gap[:, 1:]) <= 0) & np.isfinite(
            gap[:, :-1] + gap[:, 1:]
        )
        p, q = np.nonzero(crosses)
        share = size[p, q] / np.maximum(size[p, q] + size[p, q + 1], 1e-300)
        found = [z[p, q] + share[:, None] * (z[p, q + 1] - z[p, q])]
        dips = (size[:, 1:-1] < size[:, :-2]) & (size[:, 1:-1] <= size[:, 2:])
        dips &= ~crosses[:, :-1] & ~crosses[:, 1:]
        p, q = np.nonzero(dips)
        found += [z[p, q], z[p, q + 2]]
        return self._states(np.vstack(found))
