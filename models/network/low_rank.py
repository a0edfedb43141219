"""Recurrent weights of low rank as a product of two factors: their start, and their recovery.

W_rec = left rightᵀ / N, that is the sum over r of m_r n_rᵀ / N, with m_r and n_r the columns of
``left`` and ``right`` (Mastrogiuseppe & Ostojic 2018, Neuron 99, 609; Dubreuil, Valente,
Beiran, Mastrogiuseppe & Ostojic 2022, Nature Neuroscience 25, 783).
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tasks_lib.errors import ParameterError

Float = NDArray[np.float64]
# Weights that were stored in float32 as a product of rank R have singular values of about
# 1e-7 of the largest beyond the R-th.
NO_RANK = 1e-5


class Factors(NamedTuple):
    """Factors of recurrent weights W_rec = left rightᵀ / N.

    Attributes
    ----------
    left : array (N, R)
        Columns m_r: where the recurrent input through each rank-one part points.
    right : array (N, R)
        Columns n_r: which rates each part reads.
    """

    left: Float
    right: Float

    def product(self) -> Float:
        """Return W_rec (N, N)."""
        return np.asarray(self.left @ self.right.T / len(self.left))


def drawn_factors(n_units: int, rank: int, radius: float, seed: np.random.SeedSequence) -> Factors:
    """Draw factors whose product has a spectral radius.

    The entries of both are normal with standard deviation 1, but for the part of ``right`` that
    lies in the space of the columns of ``left``. That is chosen so that the overlaps
    rightᵀ left / N, whose eigenvalues are those of W_rec that are not 0, are a normal matrix scaled
    to the radius: of independent vectors they would vanish as 1 / sqrt(N).

    Parameters
    ----------
    n_units, rank : int
    radius : float
        Largest modulus of the eigenvalues of W_rec.
    seed : SeedSequence
    """
    rng = np.random.default_rng(seed)
    left = rng.standard_normal((n_units, rank))
    right = rng.standard_normal((n_units, rank))
    overlaps = rng.standard_normal((rank, rank))
    overlaps *= radius / np.abs(np.linalg.eigvals(overlaps)).max()
    lacking = n_units * overlaps.T - left.T @ right
    return Factors(left, right + left @ np.linalg.solve(left.T @ left, lacking))


def numerical_rank(weights: Float) -> int:
    """Return the rank of a matrix whose entries are rounded to float32."""
    return _rank(np.linalg.svd(weights, compute_uv=False))


def _rank(singular_values: NDArray[np.floating[Any]]) -> int:
    return int((singular_values > NO_RANK * singular_values[0]).sum())


def factors_of(weights: Float, rank: int) -> Factors:
    """Return the factors of recurrent weights that have them, from their singular vectors.

    Factors are known up to an invertible matrix only (left A, right A⁻ᵀ). These are the ones with
    orthogonal columns, |m_r| = |n_r|, in the order of the singular values of W_rec, which are
    |m_r| |n_r| / N; the largest entry of each m_r is positive.

    Parameters
    ----------
    weights : array (N, N)
    rank : int
        Number of columns; those beyond the rank of the weights are 0.

    Raises
    ------
    ParameterError
        Where the weights have a higher rank.
    """
    u, values, vh = np.linalg.svd(weights)
    found = _rank(values)
    if found > rank:
        raise ParameterError(
            "max_rank",
            rank,
            f"W_rec has rank {found}",
            "raise it, or make it 0, where any rank is allowed",
        )
    largest = np.abs(u[:, :rank]).argmax(axis=0)
    signs = np.where(u[largest, np.arange(rank)] < 0, -1.0, 1.0)
    scale = signs * np.sqrt(len(weights) * values[:rank])
    return Factors(u[:, :rank] * scale, vh[:rank].T * scale)
