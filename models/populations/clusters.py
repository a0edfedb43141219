"""Clusters of units by what they do in the task."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tasks_lib import Task
from tasks_lib.brief import brief

from ..network.rnn_numpy import RNNNumpy
from .recording import ANALYSED, TrialActivity, activity_status, record
from .settings import ClusterSettings
from .variables import USABLE, ConditionVariable

Float = NDArray[np.float64]
Int = NDArray[np.int64]
FEW_UNITS, ALIKE = "few_units", "alike"
FEWEST = 4  # units
COMPONENT = "principal component"  # the name of features that have none of their own
N_BINS = 30  # of a trial, in which responses are compared
N_COMPONENTS = 20  # of responses
N_PERMUTED = 100  # labels, for the control of weights


@brief
@dataclass(frozen=True, eq=False)
class UnitClusters:
    """Clusters of the units that do something.

    Attributes
    ----------
    status : str
        ``analysed``; ``silent``, ``constant``, ``not_finite``: as of populations; ``few_units``:
        fewer than four that do something; ``alike``: these have the same features.
    reason : str
    units : array (M,) of int
        The units that are clustered.
    labels : array (M,) of int
        Cluster of each, 0 the largest.
    features : array (M, F)
    feature_names : tuple of str
    silhouettes : dict
        Number of clusters -> mean silhouette (Rousseeuw 1987), from -1 to 1.
    unit_silhouettes : array (M,)
        With the number that was chosen, that of the largest mean.
    chance : float or None
        Mean silhouette, with as many clusters, where each feature is permuted over units.
    stability : float or None
        Mean adjusted Rand index (Hubert & Arabie 1985) with the clusters of random halves of the
        trials: 1: the same, 0: as by chance.
    weights : array (K, K)
        Mean recurrent weight to cluster (row) from cluster (column).
    weights_z : array (K, K)
        In standard deviations from its mean over permuted labels; NaN where there are none.
    """

    status: str
    reason: str
    units: Int = field(default_factory=lambda: np.empty(0, dtype=np.int64))
    labels: Int = field(default_factory=lambda: np.empty(0, dtype=np.int64))
    features: Float = field(default_factory=lambda: np.empty((0, 0)))
    feature_names: tuple[str, ...] = ()
    silhouettes: dict[int, float] = field(default_factory=dict)
    unit_silhouettes: Float = field(default_factory=lambda: np.empty(0))
    chance: float | None = None
    stability: float | None = None
    weights: Float = field(default_factory=lambda: np.empty((0, 0)))
    weights_z: Float = field(default_factory=lambda: np.empty((0, 0)))

    @property
    def n_clusters(self) -> int:
        """Number of clusters."""
        return len(self.weights)


def get_clusters(
    rnn: RNNNumpy, task: Task, settings: ClusterSettings | None = None, *, seed: int = 0
) -> UnitClusters:
    """Cluster the units of a network by what they do in its task, without noise.

    K-means of scikit-learn; the number of clusters is that of the largest mean silhouette (Yang,
    Joglekar, Song, Newsome & Wang 2019).

    Parameters
    ----------
    rnn : RNNNumpy
    task : Task
    settings : ClusterSettings, optional
    seed : int
        Of the trials, of k-means, of halves and permutations.
    """
    chosen = ClusterSettings() if settings is None else settings
    recording = record(rnn, task, max_trials=chosen.max_trials, seed=seed)
    return cluster_units(recording, rnn.W_rec, chosen, seed)


def cluster_units(
    recording: TrialActivity, W_rec: Float, settings: ClusterSettings, seed: int = 0
) -> UnitClusters:
    """Cluster units by their activity in trials; see `get_clusters`."""
    status, reason = activity_status(recording.rates, settings.silent_below)
    if status != ANALYSED:
        return UnitClusters(status, reason)
    everyone = np.arange(recording.n_trials)
    features, names = _features(recording, settings, everyone)
    does = (np.abs(recording.rates).max(axis=(0, 1)) > settings.silent_below) & (
        np.isfinite(features).all(axis=1)
    )
    units = np.flatnonzero(does)
    if len(units) < FEWEST:
        n_active = int((np.abs(recording.rates).max(axis=(0, 1)) > settings.silent_below).sum())
        why = f"of {n_active} active units {len(units)} do not do the same in all trials"
        return UnitClusters(FEW_UNITS, f"{why}; there have to be {FEWEST}", units)
    features = features[units]
    n_distinct = len(np.unique(features.round(9), axis=0))
    if n_distinct < 2:
        why = f"all {len(units)} units have the same features"
        if features.shape[1] == 1:
            # A unit's largest variance is 1: of one period and no groups there is nothing else.
            why = "trials have one period and no variable that is a name; use features = response"
        return UnitClusters(ALIKE, why)
    rng = np.random.default_rng(seed)
    most = min(settings.max_clusters, n_distinct, len(units) - 1)
    found = {k: _k_means(features, k, seed) for k in range(2, most + 1)}
    silhouettes = {k: float(_silhouettes(features, own).mean()) for k, own in found.items()}
    k = max(silhouettes, key=lambda number: silhouettes[number])
    labels = _by_size(found[k])
    chance, stability = None, None
    if settings.n_shuffles:
        mixed = [rng.permuted(features, axis=0) for _ in range(settings.n_shuffles)]
        each = [_silhouettes(one, _k_means(one, k, seed)).mean() for one in mixed]
        chance = float(np.mean(each))
    if settings.n_resamples and recording.n_trials >= 4:
        from sklearn.metrics import adjusted_rand_score

        indices = []
        for _ in range(settings.n_resamples):
            half = np.sort(rng.permutation(recording.n_trials)[: recording.n_trials // 2])
            again, _ = _features(recording, settings, half)
            again = np.nan_to_num(again[units])
            indices.append(adjusted_rand_score(labels, _k_means(again, k, seed)))
        stability = float(np.mean(indices))
    weights, z = _between(W_rec[np.ix_(units, units)], labels, rng)
    return UnitClusters(
        ANALYSED, "", units, labels, features, names, silhouettes,
        _silhouettes(features, labels), chance, stability, weights, z,
    )  # fmt: skip


def task_variance(rates: Float, steps: NDArray[np.bool_]) -> Float:
    """Return the variance of each unit between trials, as the mean over steps (N,).

    Yang et al. (2019): of f(j, t), trials j and steps t, < (f(j, t) - <f(j, t)>_j)² >_{j, t}.

    Parameters
    ----------
    rates : array (B, T, N)
    steps : array (B, T) of bool
        Which steps of each trial count; a step of fewer than two trials does not.
    """
    n = steps.sum(axis=0)
    kept = n > 1
    if not kept.any():
        return np.full(rates.shape[2], np.nan)
    weights = (steps[:, kept] / n[kept])[:, :, None]
    part = rates[:, kept]
    mean = (weights * part).sum(axis=0)
    return np.asarray((weights * (part - mean) ** 2).sum(axis=0).mean(axis=0))


def _features(
    recording: TrialActivity, settings: ClusterSettings, trials: Int
) -> tuple[Float, tuple[str, ...]]:
    """Return what units are compared by (N, F); NaN: a unit without."""
    rates, grouping = recording.rates[trials], _grouping(recording.variables)
    groups: Int = np.zeros(len(trials), dtype=np.int64)
    labels: tuple[str, ...] = ("",)
    if grouping is not None:
        groups, labels = grouping.groups[trials], grouping.labels
    if settings.features == "task_variance":
        values, names = [], []
        # Periods of tasks that are joined are not the same: each is taken as a whole.
        joined = "component_field" in recording.trials.attrs
        whole = recording.periods[:1]
        for period in whole if joined else recording.periods[1:] or whole:
            for g, label in enumerate(labels):
                own = groups == g
                if own.sum() > 1:
                    values.append(task_variance(rates[own], period.steps[trials][own]))
                    names.append(label if joined else f"{period.name} {label}".strip())
        found = np.stack(values, axis=1) if values else np.full((rates.shape[2], 1), np.nan)
        found = found[:, np.isfinite(found).all(axis=0)]
        largest = found.max(axis=1, initial=0.0, keepdims=True)
        # Of variance as small as rounding errors there is no share.
        noise = 1e-20 * (recording.rates**2).max()
        return np.divide(
            found, largest, out=np.full_like(found, np.nan), where=largest > noise
        ), tuple(names[: found.shape[1]])
    return _responses(rates, recording.variables, trials), (COMPONENT,)


def _responses(rates: Float, variables: list[ConditionVariable], trials: Int) -> Float:
    """Return principal components of standardised mean responses by condition and time (N, F)."""
    edges = np.linspace(0, rates.shape[1], min(N_BINS, rates.shape[1]) + 1).round().astype(int)
    binned = np.stack([rates[:, a:b].mean(axis=1) for a, b in pairwise(edges)], axis=1)
    means = [binned.mean(axis=0)]
    for one in variables:
        if one.status == USABLE:
            own = one.groups[trials]
            means += [
                binned[own == g].mean(axis=0) for g in range(one.n_groups) if (own == g).any()
            ]
    flat = np.concatenate(means).T  # (N, conditions * bins)
    flat = flat - flat.mean(axis=1, keepdims=True)
    size = np.linalg.norm(flat, axis=1, keepdims=True)
    alive = size > 1e-9 * max(float(np.abs(rates).max()), 1e-300)
    flat = np.divide(flat, size, out=np.zeros_like(flat), where=alive)
    left, values, _ = np.linalg.svd(flat, full_matrices=False)
    kept = (left * values)[:, :N_COMPONENTS]
    return np.asarray(np.where(alive, kept, np.nan))


def _grouping(variables: list[ConditionVariable]) -> ConditionVariable | None:
    """Return the first variable whose values are names, a context or a rule; None: none is."""
    return next((v for v in variables if v.status == USABLE and not v.is_number), None)


def _k_means(features: Float, k: int, seed: int) -> Int:
    from sklearn.cluster import KMeans

    model: Any = KMeans(n_clusters=k, n_init=4, random_state=seed % 2**32)
    return np.asarray(model.fit_predict(features), dtype=np.int64)


def _silhouettes(features: Float, labels: Int) -> Float:
    from sklearn.metrics import silhouette_samples

    if not 1 < len(np.unique(labels)) < len(labels):
        return np.zeros(len(labels))
    return np.asarray(silhouette_samples(features, labels))


def _by_size(labels: Int) -> Int:
    """Return labels in the order of the clusters' sizes, the largest 0."""
    _, own, sizes = np.unique(labels, return_inverse=True, return_counts=True)
    rank = np.empty(len(sizes), dtype=np.int64)
    rank[np.argsort(-sizes, kind="stable")] = np.arange(len(sizes))
    return np.asarray(rank[own])


def _between(W: Float, labels: Int, rng: np.random.Generator) -> tuple[Float, Float]:
    """Return mean weights between clusters (to, from), and in deviations of permuted labels."""
    weights = _block_means(W, labels)
    by_chance = np.stack([_block_means(W, rng.permutation(labels)) for _ in range(N_PERMUTED)])
    deviation = by_chance.std(axis=0)
    apart = weights - by_chance.mean(axis=0)
    z = np.divide(apart, deviation, out=np.full_like(apart, np.nan), where=deviation > 1e-12)
    return weights, z


def _block_means(W: Float, labels: Int) -> Float:
    members = (labels == np.arange(labels.max() + 1)[:, None]).astype(np.float64)
    sizes = members.sum(axis=1)
    return np.asarray(members @ W @ members.T / np.outer(sizes, sizes))
