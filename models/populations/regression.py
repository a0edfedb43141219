"""Regression of rates on the variables of the trials (targeted dimensionality reduction)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tasks_lib.brief import brief

from .periods import TrialPeriod
from .variables import USABLE, ConditionVariable

Float = NDArray[np.float64]
FITTED, COLLINEAR, NOT_CODED = "fitted", "collinear", "not_coded"
DEPENDENT = 1e-8  # of a regressor's length: what others do not explain of it
NOTHING = 1e-9  # of the largest singular value


@brief
@dataclass(frozen=True, eq=False)
class RegressionSubspace:
    """The directions in which a variable moves the rates.

    Attributes
    ----------
    name : str
        Of the variable.
    status : str
        ``fitted``; ``one_value``, ``too_many_values``: as the variable; ``collinear``: variables
        before it say the same; ``not_coded``: its coefficients are 0.
    norms : array (T,)
        Length of the coefficients, d x N, at each step.
    peak : int or None
        Step at which they are longest: there the axes are taken.
    axes : array (d, N)
        Orthonormal basis of the coefficients at the peak, in units of standard deviations of the
        rates.
    orthogonal : array (d', N)
        The same without what lies in the axes of the variables before it.
    share : float or None
        Share of the variance between trials, over all steps and units, that is not explained any
        more when this variable is left out.
    by_period : dict
        Name of a period -> axes of the coefficients of the mean rates in it.
    """

    name: str
    status: str
    norms: Float
    peak: int | None
    axes: Float
    orthogonal: Float
    share: float | None
    by_period: dict[str, Float]


def regressors(variable: ConditionVariable) -> Float:
    """Return the regressors of a usable variable (B, d); rows of trials without a value are NaN.

    A number with more than two values is one regressor, in units of its largest distance from the
    middle of its range. Other variables with G values are G - 1 regressors whose sum over the
    groups is 0 (-1 and 1 of two values).
    """
    there = variable.groups >= 0
    if variable.is_number and variable.n_groups > 2:
        values = variable.values.astype(np.float64)
        low, high = values[there].min(), values[there].max()
        column = (2 * values - low - high) / (high - low)
        return np.asarray(np.where(there, column, np.nan)[:, None])
    n = variable.n_groups - 1
    codes = np.vstack([-np.ones(n), np.eye(n)])
    return np.asarray(np.where(there[:, None], codes[variable.groups], np.nan))


def fit_subspaces(
    z: Float,
    variables: Sequence[ConditionVariable],
    components: Float,
    periods: Sequence[tuple[TrialPeriod, Float]] = (),
) -> list[RegressionSubspace]:
    """Regress standardised rates on variables, at each step by itself.

    As Mante, Sussillo, Shenoy & Newsome (2013): r_{i,t}(k) = sum_v beta_{v,i,t} c_v(k) by least
    squares over trials k; the vector of coefficients of a variable at each step is projected onto
    the principal components (the de-noising), taken where it is longest, and made orthogonal to
    those of the variables before it.

    Parameters
    ----------
    z : array (B, T, N)
        Standardised rates, of trials that have a value of each usable variable.
    variables : sequence of ConditionVariable
        In the order in which they are made orthogonal.
    components : array (K, N)
        Orthonormal rows.
    periods : sequence of (TrialPeriod, array (B, N))
        Further: with the mean of z in it.
    """
    n_trials, n_steps, n_units = z.shape
    blocks, status = _design(variables)
    flat = z.reshape(n_trials, -1)
    slices, columns = _columns(blocks)
    betas, explained = _solve(columns, flat)
    betas = betas.reshape(-1, n_steps, n_units) @ components.T @ components
    total = float(((flat - flat.mean(axis=0)) ** 2).sum())
    in_periods = {}
    for period, means in periods:
        there = np.isfinite(means).all(axis=1)
        if (
            there.sum() > columns.shape[1]
            and np.linalg.matrix_rank(columns[there]) == (columns.shape[1])
        ):
            in_periods[period.name] = _solve(columns[there], means[there])[0] @ (
                components.T @ components
            )
    found: list[RegressionSubspace] = []
    before: Float = np.empty((0, n_units))
    for variable in variables:
        own = slices.get(variable.name)
        if own is None:
            found.append(_without(variable.name, status[variable.name], n_units))
            continue
        beta = betas[own]  # (d, T, N)
        norms = np.sqrt((beta**2).sum(axis=(0, 2)))
        peak = int(norms.argmax())
        axes = row_space(beta[:, peak])
        # Of what is as long as the rounding errors of the rates there is no direction.
        if not axes.size or norms[peak] < 1e-9:
            found.append(_without(variable.name, NOT_CODED, n_units))
            continue
        others = np.delete(columns, np.arange(own.start + 1, own.stop + 1), axis=1)
        share = (explained - _solve(others, flat)[1]) / total if total > 0 else None
        orthogonal = row_space(axes - axes @ before.T @ before, of=1.0)
        before = np.vstack([before, orthogonal])
        by_period = {name: row_space(b[own], of=norms[peak]) for name, b in in_periods.items()}
        found.append(
            RegressionSubspace(
                variable.name, FITTED, norms, peak, axes, orthogonal,
                None if share is None else max(share, 0.0),
                {name: axes for name, axes in by_period.items() if axes.size},
            )
        )  # fmt: skip
    return found


def _without(name: str, status: str, n_units: int) -> RegressionSubspace:
    none = np.empty((0, n_units))
    return RegressionSubspace(name, status, np.empty(0), None, none, none, None, {})


def _design(
    variables: Sequence[ConditionVariable],
) -> tuple[dict[str, Float], dict[str, str]]:
    """Return the regressors of each variable that says something new, and what the others are."""
    blocks: dict[str, Float] = {}
    status = {}
    known: Any = None
    for variable in variables:
        status[variable.name] = variable.status
        if variable.status != USABLE:
            continue
        block = regressors(variable)
        known = np.ones((len(block), 1)) / np.sqrt(len(block)) if known is None else known
        basis, lengths, _ = np.linalg.svd(block - known @ (known.T @ block), full_matrices=False)
        if lengths.min() <= DEPENDENT * np.linalg.norm(block):
            status[variable.name] = COLLINEAR
            continue
        blocks[variable.name] = block
        known = np.hstack([known, basis])
    return blocks, status


def _columns(blocks: dict[str, Float]) -> tuple[dict[str, slice], Float]:
    """Return which coefficients are a variable's, and all regressors after a constant."""
    slices, at = {}, 0
    for name, block in blocks.items():
        slices[name] = slice(at, at + block.shape[1])
        at += block.shape[1]
    n_trials = len(next(iter(blocks.values())))
    return slices, np.hstack([np.ones((n_trials, 1)), *blocks.values()])


def _solve(columns: Float, flat: Float) -> tuple[Float, float]:
    """Return coefficients without that of the constant, and the sum of squares they explain."""
    q, r = np.linalg.qr(columns)
    projected = q.T @ flat
    betas = np.linalg.solve(r, projected)
    return betas[1:], float((projected[1:] ** 2).sum())


def row_space(matrix: Float, of: float | None = None) -> Float:
    """Return an orthonormal basis of the rows; those that are as good as 0 have no part in it.

    Parameters
    ----------
    matrix : array (d, N)
    of : float, optional
        Length beside which rows are judged; by default that of the longest.
    """
    if not matrix.size:
        return np.empty((0, matrix.shape[1]))
    _, lengths, basis = np.linalg.svd(matrix, full_matrices=False)
    scale = lengths.max() if of is None else of
    return np.asarray(basis[lengths > NOTHING * max(scale, 1e-300)])


def principal_angles(first: Float, second: Float) -> Float:
    """Return the principal angles between two subspaces, ascending, in degrees (0 to 90).

    Björck & Golub (1973), with the sine of small ones (as SciPy's `subspace_angles`).

    Parameters
    ----------
    first, second : array (d, N)
        Orthonormal rows.
    """
    from scipy.linalg import subspace_angles

    return np.asarray(np.degrees(subspace_angles(first.T, second.T))[::-1])
