"""How many dimensions activity and weights have."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tasks_lib.brief import brief

Float = NDArray[np.float64]
MEASURED, FEW_SAMPLES, NO_VARIANCE = "measured", "few_samples", "no_variance"
NOTHING = 1e-24  # of the mean square: a variance of rounding errors


@brief
@dataclass(frozen=True, eq=False)
class Dimensionality:
    """How many dimensions the variance of an activity has.

    Attributes
    ----------
    status : str
        ``measured``; ``few_samples``: no more than units, of which nothing is said;
        ``no_variance``: nothing changes.
    participation_ratio : float or None
        (sum of the variances)² / sum of their squares, over principal components: 1 where all
        variance lies in one, N where all have the same (Gao et al. 2017).
    cumulative : array (N,)
        Share of the variance in the first 1, 2, ... principal components; empty where there is no
        number.
    """

    status: str
    participation_ratio: float | None
    cumulative: Float

    def n_components(self, share: float) -> int | None:
        """Return how many components hold this share of the variance."""
        if not self.cumulative.size:
            return None
        return int(np.searchsorted(self.cumulative, share - 1e-12) + 1)


def dimensionality(samples: ArrayLike) -> Dimensionality:
    """Return how many dimensions the variance of samples (M, N) has.

    Of the covariance C of N units over M samples (steps of all trials), with eigenvalues l_i, the
    participation ratio is (sum l_i)² / sum l_i² = (tr C)² / tr C² (Rajan, Abbott & Sompolinsky
    2010; Gao et al. 2017).
    """
    return Moments.of(np.asarray(samples, dtype=np.float64)).dimensionality()


@dataclass(frozen=True, eq=False)
class Moments:
    """Mean and scatter of samples, from which those of parts and of all of them follow.

    Attributes
    ----------
    n : int
        Number of samples M.
    mean : array (N,)
    scatter : array (N, N)
        Sum of the outer products of the samples' deviations from the mean.
    """

    n: int
    mean: Float
    scatter: Float

    @classmethod
    def of(cls, samples: Float) -> Moments:
        """Return the moments of samples (M, N)."""
        if not len(samples):
            n_units = samples.shape[1]
            return cls(0, np.zeros(n_units), np.zeros((n_units, n_units)))
        mean = samples.mean(axis=0)
        centred = samples - mean
        return cls(len(samples), mean, centred.T @ centred)

    def __add__(self, other: Moments) -> Moments:
        """Return the moments of both together.

        By deviations from each one's own mean (Chan, Golub & LeVeque 1983), which loses no digits
        where the means are far apart.
        """
        n = self.n + other.n
        if not n:
            return self
        apart = other.mean - self.mean
        shared = self.n * other.n / n
        return Moments(
            n,
            self.mean + apart * (other.n / n),
            self.scatter + other.scatter + shared * np.outer(apart, apart),
        )

    def dimensionality(self, units: NDArray[np.bool_] | None = None) -> Dimensionality:
        """Return how many dimensions the variance of all units has, or of some."""
        chosen = np.ones(len(self.mean), np.bool_) if units is None else units
        if self.n <= chosen.sum() or not chosen.any():  # of no unit there is nothing to say
            return Dimensionality(FEW_SAMPLES, None, np.empty(0))
        covariance = self.scatter[np.ix_(chosen, chosen)] / self.n
        total = float(np.trace(covariance))
        if total <= NOTHING * float((self.mean[chosen] ** 2).sum()) or total <= 0.0:
            return Dimensionality(NO_VARIANCE, None, np.empty(0))
        covariance /= total
        values = np.clip(np.linalg.eigvalsh(covariance)[::-1], 0.0, None)
        # From 1 to N, but for rounding.
        ratio = float(np.clip(1.0 / (covariance**2).sum(), 1.0, len(covariance)))
        return Dimensionality(MEASURED, ratio, np.cumsum(values) / values.sum())


def effective_rank(singular_values: ArrayLike) -> float | None:
    """Return the effective rank of a matrix of these singular values s; None where all are 0.

    exp of the entropy of p_i = s_i / sum s (Roy & Vetterli 2007): k where k of them are equal and
    the others 0.
    """
    s = np.asarray(singular_values, dtype=np.float64)
    total = s.sum()
    if not total > 0:
        return None
    p = s[s > 0] / total
    return float(np.exp(-(p * np.log(p)).sum()))


def gini(values: ArrayLike) -> float | None:
    """Return Gini's coefficient of values of at least 0: 0 where all are equal; None: all are 0.

    sum_ij |v_i - v_j| / (2 n sum v); the largest is 1 - 1 / n, where one has everything.
    """
    v = np.sort(np.asarray(values, dtype=np.float64))
    total = v.sum()
    if not total > 0:
        return None
    n = len(v)
    return float(2 * (np.arange(1, n + 1) * v).sum() / (n * total) - (n + 1) / n)
