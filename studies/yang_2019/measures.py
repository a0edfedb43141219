"""Measures of clusters by task variance, and of lesions of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

import models
import pipeline as p
from pipeline.tables.clusters import ClusterParams
from pipeline.tables.performance import VALIDATION_SEED, fetch_network

from . import lesions as lesioned
from .lesions import Lesions

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Key = Mapping[str, Any]
LESION = "yang_2019_lesion_{}"  # of the cluster of this number
SERVES = 0.5  # least mean variance of a cluster in a task that it serves


def n_clusters(key: Key) -> int | None:
    """Return the number of clusters with the largest silhouette."""
    return (p.Clusters & key).fetch1("n_clusters")


def silhouette_above_chance(key: Key) -> float | None:
    """Return the silhouette minus that of variances that are permuted over units."""
    row = (p.Clusters & key).fetch1()
    return None if row["silhouette"] is None else row["silhouette"] - row["silhouette_chance"]


def _lesions(key: Key) -> Lesions | None:
    """Return the lesions of all clusters of a network; None without clusters or scores of these."""
    tasks = list((p.Clusters & key).fetch1("feature_names"))
    clusters = (p.Clusters.Cluster & key).to_dicts(order_by="cluster")
    if not clusters:
        return None
    falls: list[list[float]] = []
    by_chance: list[list[float]] = []
    for one in clusters:
        name = LESION.format(one["cluster"])
        scored = p.Intervention.TaskScore & key & {"intervention_name": name}
        rows = {row["scored_task"]: row for row in scored.to_dicts()}
        if not rows.keys() >= set(tasks):
            return None
        before = [rows[task]["task_untouched_r2"] for task in tasks]
        for found, column in ((falls, "task_touched_r2"), (by_chance, "task_control_r2")):
            after = [rows[task][column] for task in tasks]
            found.append([lesioned.fall(b, a) for b, a in zip(before, after, strict=True)])
    return Lesions(
        tasks,
        [one["cluster_size"] for one in clusters],
        np.stack([one["cluster_centre"] for one in clusters]),
        np.array(falls),
        np.array(by_chance),
    )


def share_served(key: Key) -> float | None:
    """Return the share of tasks that a cluster serves, mean over clusters."""
    found = _lesions(key)
    return None if found is None else float((found.variances >= SERVES).mean())


def specificity(key: Key) -> float | None:
    """Return the correlation over clusters and tasks of variance and what the lesion costs."""
    found = _lesions(key)
    return None if found is None else lesioned.correlation(found.variances, found.falls)


def specificity_above_chance(key: Key) -> float | None:
    """Return the same minus that of lesions of as many random units."""
    found = _lesions(key)
    if found is None:
        return None
    own = lesioned.correlation(found.variances, found.falls)
    random = lesioned.correlation(found.variances, found.random_falls)
    return None if own is None or random is None else own - random


def excess(key: Key, least: float = 0.0, below: float = np.inf) -> float | None:
    """Return by how much more R^2 falls than without random units, in tasks of some variance."""
    found = _lesions(key)
    return None if found is None else lesioned.mean_excess(found, least, below)


def selective_share(key: Key) -> float | None:
    """Return the share of clusters whose lesion harms a task and spares another."""
    found = _lesions(key)
    return None if found is None else lesioned.share_selective(found.falls)


def relatedness(key: Key, pairs: Sequence[Sequence[str]]) -> float | None:
    """Return the correlation over units of variances in related tasks minus that in others."""
    settings = ClusterParams.build((ClusterParams & key).fetch1())
    rnn, task = fetch_network(dict(key))
    # The variances do not depend on how units are clustered by them.
    quick = replace(settings, max_clusters=2, n_resamples=0, n_shuffles=0)
    found = models.get_clusters(rnn, task, quick, seed=VALIDATION_SEED)
    if not found.n_clusters:
        return None
    return lesioned.related_minus_others(found.features, list(found.feature_names), pairs)


def shown(keys: Sequence[Key]) -> dict[str, Any] | None:
    """Return what the figure shows, as arguments of `figure.draw`: the network in the middle.

    That is the one whose specificity is the median of all that have one.
    """
    known = sorted(
        (value, i) for i, key in enumerate(keys) if (value := specificity(key)) is not None
    )
    if not known:
        return None
    key = keys[known[len(known) // 2][1]]
    rnn, task = fetch_network(dict(key))
    settings = ClusterParams.build((ClusterParams & key).fetch1())
    clusters = models.get_clusters(rnn, task, settings, seed=VALIDATION_SEED)
    return {
        "variances": clusters.features,
        "labels": clusters.labels,
        "found": _lesions(key),
        "tasks": list(task.component_tasks),
    }


def plot(networks: Mapping[str, Sequence[Key]]) -> Figure | None:
    """Draw clusters and lesions of the network in the middle."""
    from .figure import draw

    chosen = shown(networks["softplus"])
    return None if chosen is None else draw(**chosen)
