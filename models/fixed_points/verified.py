"""Linear algebra with proven error bounds, for stacks of matrices in float64.

A dot product of n terms is off by at most n eps |a|.|b| in whatever order it is added (Higham,
Accuracy and Stability of Numerical Algorithms, 2002, section 3.1; eps is twice the unit roundoff
used there). Bounds are sums of positive terms, which ``SAFE`` covers the rounding of. It is assumed
that products are formed in the conventional way (no Strassen) and that nothing overflows.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .chunks import slices

Float = NDArray[np.float64]
EPS = float(np.finfo(np.float64).eps)
TINY = 1e-290  # above what underflow can lose
SAFE = 1.0 + 1e-9
MAX_CHUNK_BYTES = 6_000_000  # of one stack of matrices; about eight such stacks live at a time


def chunks(n_units: int, n_points: int) -> list[slice]:
    """Return slices of ``n_points`` whose stacks (P, N, N) fit into memory."""
    return slices(n_points, n_units, MAX_CHUNK_BYTES)


def approximate_inverse(matrices: NDArray[Any]) -> NDArray[Any]:
    """Return the inverses of a stack (P, N, N), NaN for those that are exactly singular."""
    try:
        return np.asarray(np.linalg.inv(matrices))
    except np.linalg.LinAlgError:
        result = np.full(matrices.shape, np.nan, dtype=matrices.dtype)
        if len(matrices) == 1:
            return result
        pivots = np.flatnonzero(np.linalg.slogdet(matrices)[0] != 0)
        if len(pivots) == len(matrices):  # the two factorizations round differently
            half = len(matrices) // 2
            parts = (matrices[:half], matrices[half:])
            return np.concatenate([approximate_inverse(part) for part in parts])
        if len(pivots):
            result[pivots] = approximate_inverse(matrices[pivots])
        return result


def apply(matrices: Float, vectors: Float) -> Float:
    """Return the products (P, M) of matrices (P, M, N) with vectors (P, N)."""
    return np.asarray((matrices @ vectors[:, :, None])[:, :, 0], dtype=np.float64)


def defect(inverse: Float, matrices: Float, error: Float) -> tuple[Float, Float]:
    """Bound row and column sums of |I - R A| for all A within ``error`` of ``matrices``.

    Parameters
    ----------
    inverse, matrices, error : array (P, N, N)
        R, the computed A, and an entrywise bound on its distance to the true one.

    Returns
    -------
    rows, columns : array (P, N)
        Sums over each row, and over each column.
    """
    n_units = matrices.shape[-1]
    units = np.arange(n_units)
    product = inverse @ matrices
    product[:, units, units] -= 1.0
    np.abs(product, out=product)
    size = np.abs(inverse)
    doubt = error + (n_units + 4) * EPS * np.abs(matrices) + TINY
    rows = product.sum(axis=2) + apply(size, doubt.sum(axis=2)) + EPS
    columns = product.sum(axis=1) + (size.sum(axis=1)[:, None, :] @ doubt)[:, 0] + EPS
    return SAFE * rows, SAFE * columns


def enclose_solution(
    matrices: Float, error: Float, constants: Float, doubt: Float
) -> tuple[Float, Float]:
    """Solve A z = b with an error bound that is proven.

    With R about A^-1 and E = I - R A, the error is z* - z = R (b - A z) + E (z* - z), so that
    |z* - z| <= |R (b - A z)| + |E| 1 max|R (b - A z)| / (1 - max |E| 1), where the last is positive
    (which also proves that A is regular).

    Parameters
    ----------
    matrices, error : array (P, N, N)
        A, and an entrywise bound on what it is off by.
    constants, doubt : array (P, N)
        b, and a bound on what it is off by.

    Returns
    -------
    solutions : array (P, N)
        z; NaN where A could not be proven regular.
    bounds : array (P, N)
        Of |z* - z|, entrywise; NaN likewise.
    """
    n_units = matrices.shape[-1]
    with np.errstate(all="ignore"):
        inverse = approximate_inverse(matrices)
        rows, _ = defect(inverse, matrices, error)
        solutions = apply(inverse, constants)
        solutions = solutions + apply(inverse, constants - apply(matrices, solutions))
        residual = constants - apply(matrices, solutions)
        doubt = (
            doubt
            + apply(error, np.abs(solutions))
            + (n_units + 4) * EPS * (np.abs(constants) + apply(np.abs(matrices), np.abs(solutions)))
        )
        doubt = doubt + (n_units + 2) * EPS * np.abs(residual) + TINY
        step = np.abs(apply(inverse, residual)) + apply(np.abs(inverse), doubt)
        worst = rows.max(axis=1, initial=0.0)
        bounds = SAFE * (step + rows * (step.max(axis=1, initial=0.0) / (1.0 - worst))[:, None])
        regular = (worst < 0.9) & np.isfinite(bounds).all(axis=1)
    solutions[~regular] = np.nan
    bounds[~regular] = np.nan
    return solutions, bounds


def spectral_norm_bound(matrix: Float) -> float:
    """Return an upper bound of the 2-norm of one matrix (M, N), tight to rounding.

    From the right singular vectors V: |W| <= |W V| |V^-1|, where W V has nearly orthogonal columns
    and V'V is nearly the identity. Both are checked, so nothing is taken on trust from the SVD.
    """
    _, _, vectors = np.linalg.svd(matrix)
    n = max(matrix.shape)
    turned = matrix @ vectors.T
    frobenius = float(np.linalg.norm(matrix))
    rounding = (n + 4) * EPS * frobenius * np.linalg.norm(vectors)
    gram = np.abs(turned.T @ turned)
    length = np.linalg.norm(turned, axis=0)
    gram += (n + 4) * EPS * np.outer(length, length)
    unit = np.abs(vectors @ vectors.T - np.eye(len(vectors))).sum(axis=1).max()
    unit += (n + 4) * EPS * len(vectors) * 1.1
    norm = (np.sqrt(gram.sum(axis=1).max()) + rounding) / np.sqrt(1.0 - unit)
    return float(SAFE * min(norm, frobenius) + TINY)
