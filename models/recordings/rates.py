"""Rates of recorded units: spikes counted in bins of trials, smoothed."""

from __future__ import annotations

from math import ceil

import numpy as np
from numpy.typing import ArrayLike, NDArray

Float = NDArray[np.float64]
REACH = 4.0  # standard deviations of the Gaussian


def bin_edges(on: float, off: float, width: float) -> Float:
    """Return the edges of as many whole bins as a window has room for (s).

    A bin that falls short by a millionth of its width is whole.
    """
    n_bins = int(np.floor((off - on) / width + 1e-6))
    return np.asarray(on + width * np.arange(n_bins + 1, dtype=np.float64))


def aligned_rates(
    spike_times: ArrayLike, zero: ArrayLike, edges: ArrayLike, smoothing: float = 0.0
) -> Float:
    """Return the rate of one unit in bins of trials (B, T), in Hz.

    Counts in bins, divided by their width, convolved with a Gaussian. Spikes before and after the
    window count in it as far as the Gaussian reaches, four standard deviations.

    Parameters
    ----------
    spike_times : array (n,)
        Ascending (s).
    zero : array (B,)
        Time 0 of each trial (s).
    edges : array (T + 1,)
        Of the bins, from time 0, equally spaced (s).
    smoothing : float
        Standard deviation of the Gaussian (s).
    """
    from scipy.ndimage import gaussian_filter1d

    bins = np.asarray(edges, dtype=np.float64)
    width = float(bins[-1] - bins[0]) / (len(bins) - 1)
    sigma = smoothing / width
    beyond = ceil(REACH * sigma)
    n = len(bins) - 1
    wide = bins[0] + width * np.arange(-beyond, n + beyond + 1)
    at = np.asarray(zero, dtype=np.float64)[:, None] + wide
    counts = np.diff(np.searchsorted(np.asarray(spike_times), at, side="left"), axis=1)
    rates = counts / width
    if sigma > 0:
        rates = gaussian_filter1d(rates, sigma, axis=1, mode="nearest", truncate=REACH)
    return np.asarray(rates[:, beyond : beyond + n])
