"""The fixed points of a network of low rank, solved in as many dimensions as the rank.

Both forms of the equation have the same fixed points in the arguments of f: z = W f(z) + d with
d = W_inp u + b (the state is z in form h and f(z) in form s). Where W = U V has rank r they are
z = U k + d with k = V f(U k + d), an equation in r unknowns.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import inf, log

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import qr

from ..network.rnn_numpy import RNNNumpy

Float = NDArray[np.float64]
NEGLIGIBLE = 1e-13  # singular values below this, relative to the largest, are rounding
WORST_BASIS = 1e4  # condition of the arguments of units as a basis
FACE_SAMPLES = 513  # on each face of the cube that tells how f's slopes at infinity pull inward
RANGES = {"tanh": (-1.0, 1.0), "sigmoid": (0.0, 1.0)}


@dataclass(frozen=True, eq=False)
class Singular:
    """Singular directions, by rows: W = sum_k size_k left_k right_k'."""

    left: Float
    size: Float
    right: Float

    @classmethod
    def of(cls, rnn: RNNNumpy) -> Singular:
        """Return those of a network."""
        left, size, right = np.linalg.svd(rnn.W_rec)
        return cls(left.T, size, right)

    @property
    def rank(self) -> int:
        """Number of singular values that are not 0 to rounding."""
        return int((self.size > NEGLIGIBLE * max(float(self.size[0]), 1e-300)).sum())


@dataclass(frozen=True, eq=False)
class Reduced:
    """The equation k = V f(U k + d) of a network at a constant input.

    It has the attributes that `find_roots` asks of a field, whose states are k here.

    Attributes
    ----------
    rnn : RNNNumpy
    U : array (N, r)
    V : array (r, N)
    d : array (N,)
    rounding : array (N,)
        Largest row sums of |W - U V|: what the reduction leaves out, in units of f.
    """

    rnn: RNNNumpy
    U: Float
    V: Float
    d: Float
    rounding: Float

    @property
    def rank(self) -> int:
        """Number of unknowns r."""
        return len(self.V)

    def values(self, k: Float) -> Float:
        """Return V f(U k + d) - k (P, r) at rows ``k`` (P, r)."""
        return np.asarray(self.rnn.activation.f(k @ self.U.T + self.d) @ self.V.T - k)

    def slopes(self, k: Float) -> Float:
        """Return the Jacobians (P, r, r) of `values`."""
        gain = self.rnn.activation.df(k @ self.U.T + self.d)
        J = (self.V * gain[:, None, :]) @ self.U
        units = np.arange(self.rank)
        J[:, units, units] -= 1.0
        return np.asarray(J)

    def states(self, k: Float) -> Float:
        """Return the states (P, N) of unknowns ``k`` (P, r), after one more step of iteration."""
        f = self.rnn.activation.f
        rates = f(k @ self.U.T + self.d)
        z = rates @ self.rnn.W_rec.T + self.d
        return np.asarray(f(z) if self.rnn.equation_type == "s" else z)


def factors(singular: Singular, rank: int) -> tuple[Float, Float]:
    """Return U (N, r) and V (r, N) whose product has the first singular directions of W.

    Of more than three the unknowns may be other than amounts of singular directions, which mix
    what is apart, as populations are: arguments of f of as many units, or amounts of eigenvectors
    of W. Boxes say most of those whose couplings are least in absolute values.
    """
    root = np.sqrt(singular.size[:rank])
    U, V = singular.left[:rank].T * root, root[:, None] * singular.right[:rank]
    pairs: list[tuple[Float, Float]] = [(U, V)]
    if rank > 3:
        units = qr(U.T, mode="r", pivoting=True)[1][:rank]
        values, vectors = np.linalg.eig(V @ U)
        bases = [np.linalg.pinv(U[units])]
        if not values.imag.any():
            bases.append(vectors.real)
        for T in bases:
            if np.linalg.cond(T) < WORST_BASIS:
                pairs.append((U @ T, np.asarray(np.linalg.solve(T, V), dtype=np.float64)))
    coupling = [np.abs(np.linalg.eigvals(np.abs(b) @ np.abs(a))).max() for a, b in pairs]
    return pairs[int(np.argmin(coupling))]


def reduced(
    rnn: RNNNumpy, u: Float, singular: Singular, most: int, most_units: int = 3
) -> Reduced | None:
    """Return the equation of a network of a rank of at most ``most``, or of so many units.

    Of networks of full rank the unknowns are the arguments of f without the drive (up to three
    units), or the values of f, k = f(W k + d). None for others, and for gamma > 0.
    """
    if rnn.gamma or not most:
        return None
    d, exact = rnn.drive(u), np.zeros(rnn.N)
    if rnn.N <= 3 and most >= rnn.N:
        return Reduced(rnn, np.eye(rnn.N), rnn.W_rec, d, exact)
    rank = singular.rank
    if most_units >= rnn.N and not 0 < rank <= min(most, rnn.N // 2):
        return Reduced(rnn, rnn.W_rec, np.eye(rnn.N), d, exact)
    if not 0 < rank <= most:
        return None
    U, V = factors(singular, rank)
    eps = float(np.finfo(float).eps)
    product = np.abs(U) @ np.abs(V)
    rest = np.abs(rnn.W_rec - U @ V) + (rank + 4) * eps * product
    return Reduced(rnn, U, V, d, rest.sum(axis=1))


def region(equation: Reduced) -> tuple[Float, Float] | None:
    """Return corners (r,) of a box that holds every root, None where none is known.

    For bounded f it is what V makes of f's range. For others f is within a constant of
    its slopes at infinity s, and |k - V s(U k)| grows in proportion to k: where it is at least
    m |k| and the rest at most R, no root is farther than R / m.
    """
    f, V = equation.rnn.activation, equation.V
    if f.name in RANGES:
        low, high = RANGES[f.name]
        middle = 0.5 * (low + high) * V.sum(axis=1)
        half = 0.5 * (high - low) * np.abs(V).sum(axis=1)
        half = half * (1.0 + 1e-9) + 1e-12
        return middle - half, middle + half
    away = _distance_from_asymptotes(equation)
    if away == inf or equation.rank > 2:
        return None
    below, above = f.slopes_at_infinity
    steep = max(abs(below), abs(above))
    rest = float((np.abs(V) @ (steep * np.abs(equation.d) + away)).max())
    least = _least_pull(equation, below, above, steep)
    if least <= 1e-3:
        return None
    reach = np.full(equation.rank, rest / least * (1.0 + 1e-9) + 1e-12)
    return -reach, reach


def _distance_from_asymptotes(equation: Reduced) -> float:
    f = equation.rnn.activation
    if f.half_slopes is not None:
        return 0.0
    if f.name == "softplus":
        return log(2.0) / f.args["beta"]
    if f.name == "gelu":
        return 0.17 / f.args["alpha"]  # the largest x Phi(-x) is 0.16997
    return inf


def _least_pull(equation: Reduced, below: float, above: float, steep: float) -> float:
    """Return a lower bound of |k - V s(U k)| over |k| = 1, in the maximum norm."""
    U, V, rank = equation.U, equation.V, equation.rank
    grid = np.linspace(-1.0, 1.0, FACE_SAMPLES if rank == 2 else 1)
    faces = []
    for axis in range(rank):
        for sign in (1.0, -1.0):
            face = np.empty((len(grid), rank))
            face[:, axis] = sign
            if rank == 2:
                face[:, 1 - axis] = grid
            faces.append(face)
    k = np.vstack(faces)
    z = k @ U.T
    pull = k - np.where(z > 0, above, below) * z @ V.T
    least = float(np.abs(pull).max(axis=1).min())
    if rank == 1:
        return least
    change = 1.0 + steep * float((np.abs(V) @ np.abs(U).sum(axis=1)).max())
    return least - change / (FACE_SAMPLES - 1)
