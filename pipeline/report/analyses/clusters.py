"""What a report shows of clusters of units."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

import models

from ...tables.clusters import Clusters, clusters_from_rows
from ...tables.training import Training
from .base import Drawing, Grid, Number, Section, Tables
from .queries import ANALYSED, DEFAULT, SETTINGS, STATUS, WHY

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def _draw(rows: Tables) -> Figure:
    """Draw clusters as `Clusters.plot` does, each unit with the mean features of its cluster."""
    W_rec = np.asarray(rows["Training.Network"][0]["w_rec"], dtype=np.float64)
    return models.plot_clusters(clusters_from_rows(rows), W_rec)


CLUSTERS = Section(
    "clusters",
    "Clusters of units",
    (
        Grid(
            Clusters,
            {
                "population_name": "population", "cluster_name": SETTINGS,
                "cluster_status": STATUS, "cluster_reason": WHY,
                "n_clustered": "units clustered", "n_clusters": "clusters",
                "silhouette": "mean silhouette", "silhouette_chance": "by chance",
                "cluster_stability": "stability (Rand index)",
            },
            usual={"cluster_status": ANALYSED},
        ),
        Grid(
            Clusters.Cluster,
            {
                "cluster": "cluster", "cluster_size": "units",
                "cluster_silhouette": "mean silhouette",
            },
        ),
    ),
    (
        Number("clusters", "clusters of units", "Clusters", "n_clusters", "clusters"),
        Number("silhouette", "mean silhouette of units", "Clusters", "silhouette"),
    ),
    {"population_name": DEFAULT, "cluster_name": "task_variance"},
    Drawing(
        "Mean features of each cluster, W_rec sorted by cluster, mean weights, silhouettes",
        ("population_name", "cluster_name"),
        {
            Clusters: ("cluster_status", "cluster_reason", "n_clusters", "silhouette_chance",
                       "cluster_stability", "feature_names", "silhouettes"),
            Clusters.Cluster: ("cluster_centre",),
            Clusters.Member: ("unit_silhouette",),
            Clusters.Weight: ("mean_weight", "weight_z"),
            Training.Network: ("w_rec",),
        },
        _draw,
        when=lambda row: row["n_clusters"] is not None,
    ),
)  # fmt: skip
