"""Recurrent weights by the choice that units prefer."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Float = NDArray[np.float64]
CLEAR = 0.5  # least |d'| of a unit that prefers a choice


def d_prime(rates: Float, choices: NDArray[np.int64]) -> Float:
    """Return the selectivity (N,) of rates (B, N) for choice 1 against choice -1.

    The difference of the means over the root of the mean of the variances; 0 where a unit does not
    vary. Without trials of both choices, 0.
    """
    first, second = rates[choices == 1], rates[choices == -1]
    if not len(first) or not len(second):
        return np.zeros(rates.shape[1])
    spread = np.sqrt((first.var(axis=0) + second.var(axis=0)) / 2)
    difference = first.mean(axis=0) - second.mean(axis=0)
    return np.where(spread > 1e-12, difference / np.where(spread > 1e-12, spread, 1.0), 0.0)


def mean_weights(
    W_rec: Float, selectivity: Float, senders: NDArray[np.bool_]
) -> tuple[float, float] | None:
    """Return the mean |weight| from some units to those of the same choice, and of the other.

    Self-connections do not count. None where senders or receivers of either choice are missing.
    """
    preferred = np.where(np.abs(selectivity) >= CLEAR, np.sign(selectivity), 0)
    product = np.where(senders, preferred, 0)[None] * preferred[:, None]
    np.fill_diagonal(product, 0)
    if not (product == 1).any() or not (product == -1).any():
        return None
    strength = np.abs(W_rec)
    return float(strength[product == 1].mean()), float(strength[product == -1].mean())
