"""Spikes that are drawn from the rates of a network."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tasks_lib.errors import ParameterError

Float = NDArray[np.float64]
MOST_SPIKES = 100_000_000


def firing_rates(rates: ArrayLike, gain: float, negative: str = "shift") -> Float:
    """Return what a network's rates are as rates of spikes (B, T, N), in Hz.

    gain · r, where r is at least 0 in all trials. Of a unit whose smallest rate r_min over all
    trials is below 0: gain · (r - r_min), or where negative rates are rectified gain · max(r, 0).

    Parameters
    ----------
    rates : array (B, T, N)
    gain : float
        Spikes a second for a rate of 1 (Hz).
    negative : {"shift", "rectify"}
    """
    r = np.asarray(rates, dtype=np.float64)
    if negative == "rectify":
        return np.asarray(gain * np.maximum(r, 0.0))
    return np.asarray(gain * (r - np.minimum(r.min(axis=(0, 1)), 0.0)))


def draw_spikes(
    rates: ArrayLike,
    starts: ArrayLike,
    step: float,
    *,
    within: ArrayLike | None = None,
    seed: int = 0,
) -> list[Float]:
    """Draw the spikes of each unit, an inhomogeneous Poisson process.

    In each step the number of spikes is Poisson with mean rate · step, and their times are uniform
    in it. Units and trials are independent given the rates.

    Parameters
    ----------
    rates : array (B, T, N)
        In Hz, at least 0.
    starts : array (B,)
        When each trial begins (s), ascending.
    step : float
        Length of a step (s).
    within : array (B, T) of bool, optional
        Steps that belong to the trial; in others there are no spikes. All by default.
    seed : int

    Returns
    -------
    list of array
        N of them, times ascending (s).

    Raises
    ------
    ParameterError
        For rates that are negative or not finite, and of more than 10^8 spikes.
    """
    mean = np.asarray(rates, dtype=np.float64) * step
    if not (np.isfinite(mean).all() and (mean >= 0).all()):
        worst = float(np.asarray(rates).min())
        raise ParameterError("rates", worst, "are not all numbers of at least 0", "see gain")
    if within is not None:
        mean = mean * np.asarray(within)[:, :, None]
    if (expected := float(mean.sum())) > MOST_SPIKES:
        problem = f"would give about {expected:.2g} spikes"
        raise ParameterError("rates", f"up to {mean.max() / step:.3g} Hz", problem, "lower gain")
    begin = np.asarray(starts, dtype=np.float64)[:, None] + step * np.arange(mean.shape[1])
    return list(_of_units(mean, begin.ravel(), step, seed))


def _of_units(mean: Float, begin: Float, step: float, seed: int) -> Iterator[Float]:
    for i in range(mean.shape[2]):
        rng = np.random.default_rng([seed, 3, i])
        counts = rng.poisson(mean[:, :, i].ravel())
        times = np.repeat(begin, counts)
        yield np.sort(times + step * rng.random(len(times)))
