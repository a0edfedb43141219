"""Scores of predicted against target outputs; arrays are (n_outputs, T, B), batch last.

Masks are any that a task may give (`tasks_lib.masks.read_mask`). An entry counts where the mask
says so and the target is not NaN; every entry that counts has the same weight.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tasks_lib.masks import asked

Float = NDArray[np.float64]
Bool = NDArray[np.bool_]


def _compared(
    outputs: ArrayLike, targets: ArrayLike, mask: ArrayLike | None
) -> tuple[Float, Float, Bool | None]:
    """Return y and t (n_outputs, M, B) at the steps of the mask, and which entries count.

    None: all do. y and t are 0 where nothing is asked.
    """
    predicted, wanted = np.asarray(outputs, np.float64), np.asarray(targets, np.float64)
    steps, counts = asked(wanted, mask)
    if mask is not None:
        predicted, wanted = predicted[:, steps], wanted[:, steps]
    if counts is None:
        return predicted, wanted, None
    return np.where(counts, predicted, 0.0), np.where(counts, wanted, 0.0), counts


def _squared_deviation(t: Float, counts: Bool | None, axes: tuple[int, ...]) -> Float:
    """Return (t - mean of t over axes)^2 of what counts, 0 elsewhere."""
    if counts is None:
        return np.asarray((t - t.mean(axis=axes, keepdims=True)) ** 2)
    number = np.maximum(counts.sum(axis=axes, keepdims=True), 1)
    return np.where(counts, (t - t.sum(axis=axes, keepdims=True) / number) ** 2, 0.0)


def mean_squared_error(
    outputs: ArrayLike, targets: ArrayLike, mask: ArrayLike | None = None
) -> float:
    """Return the mean squared error over all entries that count.

    Raises
    ------
    ParameterError
        Where nothing counts in a trial, as in all scores here.
    """
    y, t, counts = _compared(outputs, targets, mask)
    if counts is None:
        return float(np.mean((y - t) ** 2))
    return float(np.sum((y - t) ** 2) / counts.sum())


def mean_squared_error_by_trial(
    outputs: ArrayLike, targets: ArrayLike, mask: ArrayLike | None = None
) -> Float:
    """Return the mean squared error of each trial (B,)."""
    y, t, counts = _compared(outputs, targets, mask)
    if counts is None:
        return np.asarray(np.mean((y - t) ** 2, axis=(0, 1)))
    return np.asarray(np.sum((y - t) ** 2, axis=(0, 1)) / counts.sum(axis=(0, 1)))


def r2_pooled(
    outputs: ArrayLike, targets: ArrayLike, mask: ArrayLike | None = None
) -> float | None:
    """Return R^2 pooled over trials, 1 - sum (y - t)^2 / sum (t - mean t)^2.

    The sums are over what counts, the mean target is that of each output over what counts of it.
    None where the targets do not vary at all.
    """
    y, t, counts = _compared(outputs, targets, mask)
    total = np.sum(_squared_deviation(t, counts, (1, 2)))
    number = t.size if counts is None else int(counts.sum())
    return None if total <= 1e-12 * number else float(1.0 - np.sum((y - t) ** 2) / total)


def r2_by_trial(outputs: ArrayLike, targets: ArrayLike, mask: ArrayLike | None = None) -> Float:
    """Return R^2 of each trial (B,), NaN where the trial's target does not vary."""
    y, t, counts = _compared(outputs, targets, mask)
    total = np.sum(_squared_deviation(t, counts, (1,)), axis=(0, 1))
    number = t[..., 0].size if counts is None else counts.sum(axis=(0, 1))
    defined = total > 1e-12 * number
    residual = np.sum((y - t) ** 2, axis=(0, 1))
    return np.where(defined, 1.0 - residual / np.where(defined, total, 1.0), np.nan)


def choice_accuracy(choices: ArrayLike, correct: ArrayLike) -> tuple[float | None, int]:
    """Return the fraction of right choices and the number of trials that have a right choice.

    Parameters
    ----------
    choices, correct : array (B,)
        The choice made and the right one; 0 in ``correct`` marks a trial without one.
    """
    made, right = np.asarray(choices), np.asarray(correct)
    counted = right != 0
    n = int(counted.sum())
    return (float(np.mean(made[counted] == right[counted])) if n else None), n
