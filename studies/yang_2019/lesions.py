"""What lesions of clusters cost each task, beside what the clusters do in it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Float = NDArray[np.float64]
HARMED, SPARED = 0.1, 0.02  # fall of a task's R^2 that is a harm, and one that is none


@dataclass(frozen=True)
class Lesions:
    """Lesions of the K clusters of a network, in its F tasks.

    Attributes
    ----------
    tasks : list of str (F,)
    sizes : list of int (K,)
        Units of each cluster.
    variances : array (K, F)
        Mean normalised task variance of a cluster's units.
    falls : array (K, F)
        R^2 of a task, no less than 0, minus that without the cluster.
    random_falls : array (K, F)
        The same without as many units drawn at random, mean over draws.
    """

    tasks: list[str]
    sizes: list[int]
    variances: Float
    falls: Float
    random_falls: Float


def fall(untouched: float | None, touched: float | None) -> float:
    """Return by how much R^2 falls; below 0, or without a finite state, it counts as 0."""
    return max(untouched or 0.0, 0.0) - max(touched or 0.0, 0.0)


def correlation(first: Float, second: Float) -> float | None:
    """Return Pearson's correlation of all entries; None where one of both never varies."""
    x, y = first.ravel() - first.mean(), second.ravel() - second.mean()
    size = float(np.linalg.norm(x) * np.linalg.norm(y))
    return float(x @ y) / size if size > 1e-12 else None


def mean_excess(found: Lesions, least: float, below: float) -> float | None:
    """Return the mean fall minus that of random lesions, where variances are in [least, below)."""
    chosen = (found.variances >= least) & (found.variances < below)
    return float((found.falls - found.random_falls)[chosen].mean()) if chosen.any() else None


def share_selective(falls: Float) -> float:
    """Return the share of lesions that harm a task and spare another."""
    return float(((falls.max(axis=1) >= HARMED) & (falls.min(axis=1) < SPARED)).mean())


def related_minus_others(
    variances: Float, tasks: Sequence[str], pairs: Sequence[Sequence[str]]
) -> float | None:
    """Return the mean correlation of variances (N, F) in related tasks, minus that of all others.

    Over the N units, between the variances in two tasks. None where a task has the same in all
    units.
    """
    if (np.ptp(variances, axis=0) < 1e-12).any():
        return None
    between = np.corrcoef(variances.T)
    related = {frozenset(tasks.index(name) for name in pair) for pair in pairs}
    rows, columns = np.triu_indices(len(tasks), 1)
    is_related = np.array([frozenset(pair) in related for pair in zip(rows, columns, strict=True)])
    values = between[rows, columns]
    return float(values[is_related].mean() - values[~is_related].mean())
