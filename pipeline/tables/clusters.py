"""Clusters of the units of trained networks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import datajoint as dj
import numpy as np

import models
from models.populations.settings import ClusterSettings

from ..database import schemas
from ..database.types import Query
from .fixed_points import finite_or_null
from .left_out import Analysis
from .one_row import one_key
from .parameters import columns, stored
from .performance import VALIDATION_SEED, fetch_network
from .populations import Population
from .rows import Row
from .settings import CheckedSettings, prefixed

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@schemas.dynamics
class ClusterParams(CheckedSettings):
    config = ClusterSettings
    renamed = prefixed(config, "cluster")

    definition = f"""
    # how units are clustered
    cluster_name : varchar(64)  # readable name
    ---
    {columns(config, (), renamed)}
    """

    contents = ({"cluster_name": "task_variance", **stored(config(), (), renamed)},)


@schemas.dynamics
class Clusters(Analysis):
    needs = (Population,)

    definition = """
    # clusters of a network's units by what they do in its task
    -> Population
    -> ClusterParams
    ---
    cluster_status : varchar(16)   # analysed, silent, constant, few_units, alike (docs)
    cluster_reason : varchar(255)  # why there are none; empty: there are
    n_clustered    : int32         # units that are clustered: those that do something
    n_clusters=null        : int32    # with the largest mean silhouette
    silhouette=null        : float64  # that mean, -1 to 1
    silhouette_chance=null : float64  # with as many clusters of features permuted over units
    cluster_stability=null : float64  # adjusted Rand index with halves of the trials: 1: the same
    feature_names          : json     # what the numbers of a centre are
    silhouettes=null       : <blob>   # mean silhouette with 2, 3, ... clusters
    """

    class Cluster(dj.Part):
        definition = """
        # one cluster
        -> master
        cluster : int32  # number, larger ones first
        ---
        cluster_size       : int32    # units
        cluster_silhouette : float64  # mean over them
        cluster_centre     : <blob>   # mean features (F,)
        """

    class Member(dj.Part):
        definition = """
        # unit of a cluster
        -> Clusters.Cluster
        -> Population.Unit
        ---
        unit_silhouette : float64  # 1: well inside, below 0: nearer to another cluster
        """

    class Weight(dj.Part):
        definition = """
        # recurrent weights from one cluster to another
        -> master
        from_cluster : int32
        to_cluster   : int32
        ---
        mean_weight    : float64    # mean over all pairs of units
        weight_z=null  : float64    # in deviations of permuted clusters; null: these are 0
        """

    @property
    def all_keys(self) -> Query:
        """Described populations, with every way of clustering."""
        return Population.proj() * ClusterParams.proj()

    def make(self, key: dict[str, Any]) -> None:
        """Cluster the units of one network."""
        found, _ = self._analyse(key)
        k = found.n_clusters
        numbers = sorted(found.silhouettes)
        self.insert1(
            {
                **key,
                "cluster_status": found.status,
                "cluster_reason": found.reason,
                "n_clustered": len(found.units),
                "n_clusters": k or None,
                "silhouette": found.silhouettes.get(k),
                "silhouette_chance": found.chance,
                "cluster_stability": found.stability,
                "feature_names": list(found.feature_names),
                "silhouettes": np.array([found.silhouettes[n] for n in numbers]) if k else None,
            }
        )
        members = [found.labels == cluster for cluster in range(k)]
        self.Cluster.insert(
            {
                **key,
                "cluster": cluster,
                "cluster_size": int(own.sum()),
                "cluster_silhouette": float(found.unit_silhouettes[own].mean()),
                "cluster_centre": found.features[own].mean(axis=0),
            }
            for cluster, own in enumerate(members)
        )
        self.Member.insert(
            {**key, "cluster": cluster, "unit": unit, "unit_silhouette": silhouette}
            for cluster, unit, silhouette in zip(
                found.labels.tolist(), found.units.tolist(), found.unit_silhouettes.tolist(),
                strict=False,  # units that are alike have no labels
            )
        )  # fmt: skip
        self.Weight.insert(
            {
                **key,
                "from_cluster": j,
                "to_cluster": i,
                "mean_weight": float(found.weights[i, j]),
                "weight_z": finite_or_null(found.weights_z[i, j]),
            }
            for i in range(k)
            for j in range(k)
        )

    def plot(self) -> Figure:
        """Draw the clusters of the one row that this query selects."""
        found, rnn = self._analyse(one_key(self))
        return models.plot_clusters(found, rnn.W_rec)

    def _analyse(self, key: dict[str, Any]) -> tuple[models.UnitClusters, models.RNNNumpy]:
        rnn, task = fetch_network(key)
        settings = ClusterParams.build((ClusterParams & key).fetch1())
        return models.get_clusters(rnn, task, settings, seed=VALIDATION_SEED), rnn


def clusters_from_rows(tables: Mapping[str, Sequence[Row]]) -> models.UnitClusters:
    """Return clusters as their rows have them, for their figure.

    Rows keep the mean features of clusters: each unit has those of its own here.

    Parameters
    ----------
    tables : mapping of str to sequence of dict
        "Clusters", "Clusters.Cluster", ... -> rows of one key, in the order of their keys.
    """
    (row,) = tables["Clusters"]
    if not row["n_clusters"]:
        return models.UnitClusters(row["cluster_status"], row["cluster_reason"])
    k = row["n_clusters"]
    members = sorted(tables["Clusters.Member"], key=lambda member: member["unit"])
    labels = np.array([member["cluster"] for member in members], np.int64)
    centres = np.array([one["cluster_centre"] for one in tables["Clusters.Cluster"]])
    weights = np.full((2, k, k), np.nan)
    for one in tables["Clusters.Weight"]:
        values = one["mean_weight"], np.nan if one["weight_z"] is None else one["weight_z"]
        weights[:, one["to_cluster"], one["from_cluster"]] = values
    return models.UnitClusters(
        status=row["cluster_status"],
        reason=row["cluster_reason"],
        units=np.array([member["unit"] for member in members], np.int64),
        labels=labels,
        features=centres[labels],
        feature_names=tuple(row["feature_names"]),
        silhouettes=dict(enumerate(np.asarray(row["silhouettes"]).tolist(), start=2)),
        unit_silhouettes=np.array([member["unit_silhouette"] for member in members]),
        chance=row["silhouette_chance"],
        stability=row["cluster_stability"],
        weights=weights[0],
        weights_z=weights[1],
    )
