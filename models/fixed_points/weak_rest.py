"""Boxes of k where W is of low rank but for weights so weak that f contracts them.

With W = U V + R and a Lipschitz constant L of f such that q = L |R| is below 1, the arguments of f
are z(k), the one solution of z = U k + d + R f(z), and the fixed points are the roots of
g(k) = V f(z(k)) - k, in as many unknowns as the rank of U V (Lyapunov-Schmidt reduction).

With c the centre of a box, z_c = z(c), D = diag f'(z_c), X = (I - R D)^-1 U and Y = V (I - D R)^-1:

- z(k) - z_c is at most |U| w + |R_i| L |U w| / (1 - q) in unit i, with half-widths w;
- g(k) = g(c) + (Y D U - I) (k - c) + Y p, where |p| is what curvature adds to f(z_c) + D (z - z_c);
- between two points of the box g changes by (V T (I - R T)^-1 U - I) with T the secant slopes,
  which differs from Y D U - I by at most |Y| E (|X| + |R_i| |E X| / (1 - q)), E = |T - D|.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..network.rnn_numpy import RNNNumpy
from .chunks import CACHE_BYTES, slices
from .reduction import RANGES, Reduced, Singular, factors

Float = NDArray[np.float64]
LARGEST_SHARE = 0.8  # of q
MOST_UNITS = 100
MOST_RANK = 8
ACCURACY = 1e-15  # of z(k), of its size


@dataclass(frozen=True, eq=False)
class WithRest(Reduced):
    """The equation k = V f(z(k)), z = U k + d + R f(z).

    Attributes
    ----------
    rest : array (N, N)
        R.
    share : float
        q = L |R|, an upper bound of how much R f contracts by.
    """

    rest: Float
    share: float

    def arguments(self, k: Float) -> Float:
        """Return z (P, N) at rows ``k`` (P, r), by iteration."""
        fixed = k @ self.U.T + self.d
        z, f = fixed, self.rnn.activation.f
        for _ in range(int(np.ceil(np.log(ACCURACY) / np.log(self.share)))):
            before, z = z, fixed + f(z) @ self.rest.T
            if np.abs(z - before).max(initial=0.0) <= ACCURACY * (1.0 + np.abs(z).max(initial=0.0)):
                break
        return np.asarray(z)

    def values(self, k: Float) -> Float:
        """Return V f(z(k)) - k (P, r) at rows ``k`` (P, r)."""
        return np.asarray(self.rnn.activation.f(self.arguments(k)) @ self.V.T - k)

    def slopes(self, k: Float) -> Float:
        """Return the Jacobians (P, r, r) of `values`."""
        return self.linear(self.rnn.activation.df(self.arguments(k)))[0]

    def linear(self, gain: Float) -> tuple[Float, Float, Float]:
        """Return Y D U - I (P, r, r), X (P, N, r) and Y (P, r, N) for slopes ``gain`` (P, N)."""
        parts = slices(len(gain), len(self.d), CACHE_BYTES) or [slice(0, 0)]
        some = [self._linear(gain[part]) for part in parts]
        A, X, Y = (np.concatenate(each) for each in zip(*some, strict=True))
        return A, X, Y

    def _linear(self, gain: Float) -> tuple[Float, Float, Float]:
        matrices = -self.rest * gain[:, None, :]
        units, own = np.arange(len(self.d)), np.arange(self.rank)
        matrices[:, units, units] += 1.0
        X = np.linalg.solve(matrices, np.broadcast_to(self.U, (len(gain), *self.U.shape)))
        # (I - D R)^-1 = I + D (I - R D)^-1 R
        turned = np.linalg.solve(
            np.swapaxes(matrices, 1, 2), np.swapaxes(self.V * gain[:, None, :], 1, 2)
        )
        Y = self.V + np.swapaxes(turned, 1, 2) @ self.rest
        A = (Y * gain[:, None, :]) @ self.U
        A[:, own, own] -= 1.0
        return np.asarray(A), np.asarray(X), np.asarray(Y)

    def states(self, k: Float) -> Float:
        """Return the states (P, N) of unknowns ``k`` (P, r), after one more step of iteration."""
        f = self.rnn.activation.f
        z = f(self.arguments(k)) @ self.rnn.W_rec.T + self.d
        return np.asarray(f(z) if self.rnn.equation_type == "s" else z)


def effective_rank(rnn: RNNNumpy, singular: Singular) -> int | None:
    """Return how many singular values of W are above 0.8 over f's largest slope.

    None where more than 8 or half of all are, where f is not bounded, and for more than 100 units.
    """
    f = rnn.activation
    if rnn.gamma or f.name not in RANGES or rnn.N > MOST_UNITS:
        return None
    rank = int((singular.size * f.largest_slope * (1.0 + 1e-9) > LARGEST_SHARE).sum())
    return rank if 0 < rank <= min(MOST_RANK, rnn.N // 2) else None


def with_rest(rnn: RNNNumpy, u: Float, singular: Singular) -> WithRest | None:
    """Return the equation of a network of a bounded f whose W is of low rank but for weak weights.

    None where it is not (`effective_rank`), and where there are no weak weights.
    """
    rank = effective_rank(rnn, singular)
    if rank is None or singular.rank <= rank:
        return None
    U, V = factors(singular, rank)
    rest = rnn.W_rec - U @ V
    eps = float(np.finfo(float).eps)
    rounding = (rank + 4) * eps * (np.abs(U) @ np.abs(V)).sum(axis=1)
    # what is left has the next singular value as its norm, but for rounding
    share = float(singular.size[rank]) * rnn.activation.largest_slope * (1.0 + 1e-9) + 1e-9
    return WithRest(rnn, U, V, rnn.drive(u), rounding, rest, share)
