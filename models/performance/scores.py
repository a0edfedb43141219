"""Scores of predicted against target outputs; arrays are (n_outputs, T, B), batch last."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

Float = NDArray[np.float64]


def _masked(outputs: ArrayLike, targets: ArrayLike, mask: ArrayLike | None) -> tuple[Float, Float]:
    predicted, wanted = np.asarray(outputs, np.float64), np.asarray(targets, np.float64)
    if mask is None:
        return predicted, wanted
    steps = np.asarray(mask)
    return predicted[:, steps], wanted[:, steps]


def mean_squared_error(
    outputs: ArrayLike, targets: ArrayLike, mask: ArrayLike | None = None
) -> float:
    """Return the mean squared error over outputs, masked steps and trials."""
    y, t = _masked(outputs, targets, mask)
    return float(np.mean((y - t) ** 2))


def r2_pooled(
    outputs: ArrayLike, targets: ArrayLike, mask: ArrayLike | None = None
) -> float | None:
    """Return R^2 pooled over trials, 1 - sum (y - t)^2 / sum (t - mean t)^2.

    The mean target is that of each output over masked steps and trials. None where the targets
    do not vary at all.
    """
    y, t = _masked(outputs, targets, mask)
    total = np.sum((t - t.mean(axis=(1, 2), keepdims=True)) ** 2)
    return None if total <= 1e-12 * t.size else float(1.0 - np.sum((y - t) ** 2) / total)


def r2_by_trial(outputs: ArrayLike, targets: ArrayLike, mask: ArrayLike | None = None) -> Float:
    """Return R^2 of each trial (B,), NaN where the trial's target does not vary."""
    y, t = _masked(outputs, targets, mask)
    total = np.sum((t - t.mean(axis=1, keepdims=True)) ** 2, axis=(0, 1))
    defined = total > 1e-12 * t[..., 0].size
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
