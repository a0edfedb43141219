"""How units code a stimulus, and the weights between those that code it with opposite signs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

import models
from tasks_lib import TwoIntervalComparison

Float = NDArray[np.float64]
SILENT = 1e-3  # largest rate of a silent unit
MONOTONIC = 0.9  # least |rank correlation| of a mean rate with the frequency


@dataclass(frozen=True)
class Codes:
    """Codes of both frequencies by each unit.

    Attributes
    ----------
    active : array (N,) of bool
        Units that are not silent in the trials.
    first, second : array (N,)
        Rank correlation of the mean rate with the first frequency late in the delay, and with the
        second at the end of the decision; 0 where the rate is always the same.
    slope_first, slope_second : array (N,)
        Slopes of the rate there by each frequency, in one regression on both.
    frequencies : array (F,)
    delay : array (F, N)
        Mean rate late in the delay by first frequency.
    """

    active: NDArray[np.bool_]
    first: Float
    second: Float
    slope_first: Float
    slope_second: Float
    frequencies: Float
    delay: Float

    @property
    def signs(self) -> NDArray[np.int64]:
        """1 of active units that rise monotonically with the first frequency, -1 if they fall."""
        clear = self.active & (np.abs(self.first) >= MONOTONIC)
        return np.where(clear, np.sign(self.first), 0).astype(np.int64)


def codes(rnn: models.RNNNumpy, task: TwoIntervalComparison, seed: int) -> Codes:
    """Return how the units of a network code both frequencies, in trials without noise."""
    trials = models.get_trials(rnn, task, seed=seed)
    rates = trials.rates.values  # (B, T, N)
    first, second = trials.first_frequency.values, trials.second_frequency.values
    late = rates[np.arange(len(rates)), trials.second_on.values.astype(int) - 1]
    end = rates[:, task.dec_off - 1]
    frequencies, by_first = mean_by(first, late)
    _, by_second = mean_by(second, end)
    regressors = np.column_stack([first, second, np.ones(len(first))])
    slopes = np.linalg.lstsq(regressors, end, rcond=None)[0]
    delay_slopes = np.linalg.lstsq(regressors[:, [0, 2]], late, rcond=None)[0]
    return Codes(
        active=np.abs(rates).max(axis=(0, 1)) >= SILENT,
        first=rank_correlation(by_first),
        second=rank_correlation(by_second),
        slope_first=delay_slopes[0],
        slope_second=slopes[1],
        frequencies=frequencies,
        delay=by_first,
    )


def mean_by(values: Float, rates: Float) -> tuple[Float, Float]:
    """Return the distinct values (F,), ascending, and the mean rates (F, N) at each."""
    found = np.unique(values)
    return found, np.stack([rates[values == value].mean(axis=0) for value in found])


def rank_correlation(means: Float) -> Float:
    """Return Spearman's correlation (N,) of mean rates (F, N) with the order of their rows."""
    from scipy.stats import rankdata

    ranks = rankdata(means, axis=0)
    order = np.arange(len(means), dtype=np.float64)
    order -= order.mean()
    ranks = ranks - ranks.mean(axis=0)
    norms = np.linalg.norm(ranks, axis=0) * np.linalg.norm(order)
    flat = np.ptp(means, axis=0) < 1e-9
    return np.where(flat, 0.0, order @ ranks / np.where(norms > 0, norms, 1.0))


def mean_weights(W_rec: Float, signs: NDArray[np.int64]) -> tuple[float, float] | None:
    """Return the mean weight within and between units of sign 1 and of sign -1.

    Without self-connections. None where one of both groups has fewer than two units.
    """
    if min((signs == 1).sum(), (signs == -1).sum()) < 2:
        return None
    product = signs[:, None] * signs[None]
    others = ~np.eye(len(signs), dtype=bool)
    return float(W_rec[(product == 1) & others].mean()), float(W_rec[product == -1].mean())
