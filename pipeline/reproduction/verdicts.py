"""What networks give for a published number, and whether that is what was published."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

Float = NDArray[np.float64]
STATISTICS = ("median", "mean", "share", "standard_deviation")
STANDARD_DEVIATION = STATISTICS[-1]
COMPARISONS = ("difference", "ratio")
VERDICTS = ("reproduced", "not reproduced", "too few networks")
CONFIDENCE = 0.95
N_RESAMPLES = 9999
LEAST_PAIRED = 3  # networks: two have one pair, which has no interval
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

    The interval of a median, a mean or a standard deviation, and of the difference or the ratio of
    two, is the percentile bootstrap over networks; that of a share is Wilson's (1927).

    Parameters
    ----------
    values : sequence of float
        One of each network; of a share, 0 or 1.
    statistic : {"median", "mean", "share", "standard_deviation"}
        The standard deviation is that of a sample, with n - 1.
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
    if own.size < 2 and statistic == STANDARD_DEVIATION:
        return Summary(None, None, None, own.size, "none")
    of = _function(statistic)
    value = float(of(own, axis=0))
    if own.size < 2:
        return Summary(value, None, None, own.size, "none")
    drawn = np.random.default_rng(SEED).integers(own.size, size=(N_RESAMPLES, own.size))
    return _with_percentiles(value, of(own[drawn], axis=1), own.size)


def _compared(own: Float, others: Float, statistic: str, comparison: str) -> Summary:
    n = min(own.size, others.size)
    if n < (2 if statistic == STANDARD_DEVIATION else 1):
        return Summary(None, None, None, n, "none")
    of = _function(statistic)
    value = _compare(float(of(own, axis=0)), float(of(others, axis=0)), comparison)
    if value is None or n < 2:
        return Summary(value, None, None, n, "none")
    rng = np.random.default_rng(SEED)
    first = of(own[rng.integers(own.size, size=(N_RESAMPLES, own.size))], axis=1)
    second = of(others[rng.integers(others.size, size=(N_RESAMPLES, others.size))], axis=1)
    return _with_percentiles(value, _compare_resampled(first, second, comparison), n)


def _function(statistic: str) -> Callable[..., Any]:
    """Return the function of values along an axis; a share is a mean of 0 and 1."""
    if statistic == STANDARD_DEVIATION:
        return partial(np.std, ddof=1)
    return np.median if statistic == "median" else np.mean


def summarise_pairs(
    matrix: ArrayLike, others: ArrayLike | None = None, comparison: str = "difference"
) -> Summary:
    """Return the mean over the pairs of networks with its interval of 95 %.

    Pairs that share a network are not independent. So networks are drawn, not pairs (the vertex
    bootstrap; Snijders & Borgatti 1999): the number of a resample is the mean over the pairs of
    different networks in it, each as often as it is there. Resamples without such a pair, as where
    one network was drawn all the time, do not count.

    Parameters
    ----------
    matrix : array (n, n)
        A number of each pair of networks, symmetric; NaN where a pair has none. The diagonal is
        not read.
    others : array (m, m), optional
        Of another group of networks, that the mean is compared with.
    comparison : {"difference", "ratio"}
        Values minus, or over, others.

    Returns
    -------
    Summary
        ``n`` counts the networks that are in a pair.
    """
    own = _Pairs.of(matrix)
    if others is None:
        value, n = own.mean, own.n
        if value is None or n < LEAST_PAIRED:
            return Summary(value, None, None, n, "none")
        return _with_percentiles(value, own.resampled(np.random.default_rng(SEED)), n)
    other = _Pairs.of(others)
    n = min(own.n, other.n)
    if own.mean is None or other.mean is None:
        return Summary(None, None, None, n, "none")
    value = _compare(own.mean, other.mean, comparison)
    if value is None or n < LEAST_PAIRED:
        return Summary(value, None, None, n, "none")
    rng = np.random.default_rng(SEED)
    first, second = own.resampled(rng), other.resampled(rng)
    least = min(len(first), len(second))
    resampled = _compare_resampled(first[:least], second[:least], comparison)
    return _with_percentiles(value, resampled, n)


@dataclass(frozen=True, eq=False)
class _Pairs:
    """Numbers of pairs: values and which there are, both (n, n) and 0 elsewhere."""

    values: Float
    there: Float

    @classmethod
    def of(cls, matrix: ArrayLike) -> _Pairs:
        given = np.asarray(matrix, dtype=np.float64)
        there = np.isfinite(given) & ~np.eye(len(given), dtype=bool)
        return cls(np.where(there, given, 0.0), there.astype(np.float64))

    @property
    def n(self) -> int:
        return int(self.there.any(axis=0).sum())

    @property
    def mean(self) -> float | None:
        return float(self.values.sum() / self.there.sum()) if self.there.any() else None

    def resampled(self, rng: np.random.Generator) -> Float:
        """Return the means of resamples of the networks; fewer than there are resamples."""
        n = len(self.values)
        # How often each network is drawn: a pair is there as often as the product of both.
        counts = rng.multinomial(n, np.full(n, 1 / n), size=N_RESAMPLES).astype(np.float64)
        sums = ((counts @ self.values) * counts).sum(axis=1)
        numbers = ((counts @ self.there) * counts).sum(axis=1)
        found: Float = sums[numbers > 0] / numbers[numbers > 0]
        return found


def _compare_resampled(first: Float, second: Float, comparison: str) -> Float:
    with np.errstate(divide="ignore", invalid="ignore"):
        return first - second if comparison == "difference" else first / second


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
