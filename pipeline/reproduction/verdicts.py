"""What networks give for a published number, and whether that is what was published."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Float = NDArray[np.float64]
STATISTICS = ("median", "mean", "share")
COMPARISONS = ("difference", "ratio")
VERDICTS = ("reproduced", "not reproduced", "too few networks")
CONFIDENCE = 0.95
N_RESAMPLES = 9999
SEED = 0  # of the resamples: the same networks have the same interval


@dataclass(frozen=True)
class Summary:
    """A number over networks, and how sure it is.

    Attributes
    ----------
    value : float or None
        None: there is none, as without networks.
    low, high : float or None
        Ends of the interval of 95 %; None where there is none.
    n : int
        Networks that have a value; of two groups, those of the smaller one.
    interval : str
        How the interval was made.
    """

    value: float | None
    low: float | None
    high: float | None
    n: int
    interval: str


def summarise(
    values: Sequence[float],
    statistic: str = "median",
    others: Sequence[float] | None = None,
    comparison: str = "difference",
) -> Summary:
    """Return a statistic over networks with its interval of 95 %.

    The interval of a median or a mean, and of the difference or the ratio of two, is the percentile
    bootstrap over networks; that of a share is Wilson's (1927).

    Parameters
    ----------
    values : sequence of float
        One of each network; of a share, 0 or 1.
    statistic : {"median", "mean", "share"}
    others : sequence of float, optional
        Of another group of networks, that the statistic is compared with.
    comparison : {"difference", "ratio"}
        Values minus, or over, others.
    """  # fmt: skip
    own = np.asarray(values, dtype=np.float64)
    if others is not None:
        return _compared(own, np.asarray(others, dtype=np.float64), statistic, comparison)
    if not own.size:
        return Summary(None, None, None, 0, "none")
    if statistic == "share":
        from scipy.stats import binomtest

        hits = int(own.sum())
        wilson = binomtest(hits, own.size).proportion_ci(CONFIDENCE, method="wilson")
        return Summary(hits / own.size, float(wilson.low), float(wilson.high), own.size, "Wilson")
    of = np.median if statistic == "median" else np.mean
    value = float(of(own))
    if own.size < 2:
        return Summary(value, None, None, own.size, "none")
    drawn = np.random.default_rng(SEED).integers(own.size, size=(N_RESAMPLES, own.size))
    return _with_percentiles(value, of(own[drawn], axis=1), own.size)


def _compared(own: Float, others: Float, statistic: str, comparison: str) -> Summary:
    n = min(own.size, others.size)
    if not n:
        return Summary(None, None, None, 0, "none")
    of = np.median if statistic == "median" else np.mean  # a share is a mean of 0 and 1
    value = _compare(float(of(own)), float(of(others)), comparison)
    if value is None or n < 2:
        return Summary(value, None, None, n, "none")
    rng = np.random.default_rng(SEED)
    first = of(own[rng.integers(own.size, size=(N_RESAMPLES, own.size))], axis=1)
    second = of(others[rng.integers(others.size, size=(N_RESAMPLES, others.size))], axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        resampled = first - second if comparison == "difference" else first / second
    return _with_percentiles(value, resampled, n)


def _compare(own: float, other: float, comparison: str) -> float | None:
    if comparison == "difference":
        return own - other
    return None if other == 0 else own / other


def _with_percentiles(value: float, resampled: Float, n: int) -> Summary:
    tail = (1 - CONFIDENCE) / 2
    if not np.isfinite(resampled).all():  # a ratio to 0 in some resample
        return Summary(value, None, None, n, "none")
    low, high = np.quantile(resampled, (tail, 1 - tail))
    return Summary(value, float(low), float(high), n, "bootstrap")


def judge(found: Summary, within: tuple[float, float], least: int) -> tuple[str, bool]:
    """Return the verdict on a number, and whether its interval leaves no doubt.

    Parameters
    ----------
    found : Summary
    within : (float, float)
        What counts as the published result, ends included; infinite where there is none.
    least : int
        Networks that a verdict takes.

    Returns
    -------
    verdict : {"reproduced", "not reproduced", "too few networks"}
        By the value, whatever the interval.
    is_clear : bool
        Whether the whole interval is on the same side.
    """
    if found.value is None or found.n < least:
        return "too few networks", False
    low, high = within
    hit = low <= found.value <= high
    if found.low is None or found.high is None:
        return VERDICTS[0 if hit else 1], False
    if hit:
        return VERDICTS[0], low <= found.low and found.high <= high
    return VERDICTS[1], found.high < low or high < found.low


def range_in_words(within: tuple[float, float]) -> str:
    """Return what counts as the published result: "8", "0.9 or more", "1 to 2"."""
    low, high = within
    if low == high:
        return f"{low:g}"
    if math.isinf(high):
        return f"{low:g} or more"
    if math.isinf(low):
        return f"{high:g} or less"
    return f"{low:g} to {high:g}"
