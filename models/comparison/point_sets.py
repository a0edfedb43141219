"""Sets of fixed points as they are compared: how many, of which index, with which spectra."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import permutations

import numpy as np
from numpy.typing import ArrayLike, NDArray

Float = NDArray[np.float64]
Complex = NDArray[np.complex128]
MOST_TRIED = 4  # points of which all permutations are tried


@dataclass(frozen=True, eq=False)
class PointSpectra:
    """The fixed points of a network at one constant input.

    Attributes
    ----------
    n_unstable : array (P,) of int
        Modes that grow, of each point: its index.
    eigenvalues : array (P, K)
        Complex eigenvalues with the largest real parts, descending, per tau.
    """

    n_unstable: NDArray[np.int64]
    eigenvalues: Complex

    def __len__(self) -> int:
        return len(self.n_unstable)


def point_spectra(n_unstable: ArrayLike, eigenvalues: ArrayLike, n_kept: int) -> PointSpectra:
    """Return the fixed points at one input as they are compared.

    Parameters
    ----------
    n_unstable : array (P,) of int
    eigenvalues : array (P, N)
        By real part, descending. Of a pair that is complex conjugate both are kept as the one with
        the positive imaginary part: which of the two comes first means nothing.
    n_kept : int
        Eigenvalues of each.
    """
    counts = np.asarray(n_unstable, dtype=np.int64).reshape(-1)
    values = np.asarray(eigenvalues, dtype=np.complex128)
    kept = values[:, :n_kept] if len(counts) else np.empty((0, n_kept), dtype=np.complex128)
    return PointSpectra(counts, kept.real + 1j * np.abs(kept.imag))


def point_set_distances(
    first: Mapping[str, PointSpectra], second: Mapping[str, PointSpectra], cutoff: float
) -> tuple[float, float, float]:
    """Return how far apart the fixed points of two networks are, as means over constant inputs.

    Parameters
    ----------
    first, second : dict
        Input -> its points; the same inputs.
    cutoff : float
        Largest distance between the spectra of two points, per tau.

    Returns
    -------
    number : float
        Difference of the numbers of points.
    index : float
        Sum over k of the difference of the numbers of points with k growing modes.
    spectrum : float
        Optimal subpattern assignment (Schuhmacher, Vo & Vo 2008) of order 1: points are assigned
        one to one so that the mean distance of their spectra, cut off, is smallest; a point that
        is left over counts the cutoff. The distance of two spectra is the root mean square over
        eigenvalues. 0 where neither has a point.
    """
    each = [_distances(first[name], second[name], cutoff) for name in first]
    number, index, spectrum = np.mean(each, axis=0)
    return float(number), float(index), float(spectrum)


def _distances(a: PointSpectra, b: PointSpectra, cutoff: float) -> tuple[float, float, float]:
    most = max([0, *a.n_unstable.tolist(), *b.n_unstable.tolist()]) + 1
    counts = [np.bincount(s.n_unstable, minlength=most) for s in (a, b)]
    number, index = abs(len(a) - len(b)), float(np.abs(counts[0] - counts[1]).sum())
    larger, smaller = (a, b) if len(a) >= len(b) else (b, a)
    if not len(larger):
        return number, index, 0.0
    total = cutoff * (len(larger) - len(smaller))
    if len(smaller):
        kept = min(larger.eigenvalues.shape[1], smaller.eigenvalues.shape[1])
        apart = smaller.eigenvalues[:, None, :kept] - larger.eigenvalues[None, :, :kept]
        cost = np.minimum(np.sqrt((np.abs(apart) ** 2).mean(axis=2)), cutoff)
        total += _assigned(cost)
    return number, index, total / len(larger)


def _assigned(cost: Float) -> float:
    """Return the smallest sum over one-to-one assignments of rows to columns, of which more."""
    n, m = cost.shape
    if n == 1:
        return float(cost.min())
    if m <= MOST_TRIED:
        return min(sum(cost[i, j] for i, j in enumerate(order)) for order in _orders(m, n))
    from scipy.optimize import linear_sum_assignment

    rows, columns = linear_sum_assignment(cost)
    return float(cost[rows, columns].sum())


def _orders(m: int, n: int) -> Iterator[Sequence[int]]:
    return permutations(range(m), n)
