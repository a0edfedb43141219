"""Embeddings as their rows have them, for figures."""

from __future__ import annotations

from typing import Any

import numpy as np

import models

from .embeddings import Embedding, EmbeddingParams, EmbeddingPoint, differing_parameters
from .keys import network_key
from .network_pairs import distance_matrix
from .rows import Row

PARAMETER = {
    "name": "parameter",
    "status": "parameter_status",
    "n_groups": "parameter_groups",
    **{f"explained{end}": f"distance_explained{end}" for end in ("", "_chance", "_p")},
    **{name: name for name in ("same_neighbour", "same_neighbour_chance", "same_neighbour_p")},
    **{name: name for name in ("class_agreement", "class_agreement_p")},
}


def embedding_from_rows(key: Row) -> tuple[models.NetworkEmbedding, dict[str, list[Any]], str]:
    """Return the embedding of a row, what its networks differ in, and which distance it is of.

    Networks that were deleted since are not in it. Nothing is embedded or permuted anew.

    Parameters
    ----------
    key : dict
        Of a row of `Embedding`.
    """
    row = (Embedding & key).fetch1()
    settings = EmbeddingParams.build((EmbeddingParams & key).fetch1())
    networks, matrix = distance_matrix(key["comparison_name"], settings.distance)
    place = {network_key(network): i for i, network in enumerate(networks)}
    points = (EmbeddingPoint & key).to_dicts()
    there = sorted((p for p in points if network_key(p) in place),
                   key=lambda p: place[network_key(p)])  # fmt: skip
    chosen = np.array([place[network_key(p)] for p in there], np.int64)
    placed = [p for p in there if p["embedding_coordinates"] is not None]
    found = models.NetworkEmbedding(
        status=row["embedding_status"],
        reason=row["embedding_reason"],
        networks=chosen,
        distances=matrix[np.ix_(chosen, chosen)],
        coordinates=np.array([p["embedding_coordinates"] for p in placed]),
        stress=row["embedding_stress"],
        labels=np.array([p["embedding_class"] for p in placed], np.int64),
        silhouettes={row["n_classes"]: row["class_silhouette"]} if row["n_classes"] else {},
        chance=row["class_silhouette_chance"],
        class_p=row["class_silhouette_p"],
        parameters=tuple(
            models.RelatedParameter(**{name: one[column] for name, column in PARAMETER.items()})
            for one in (Embedding.ByParameter & key).to_dicts(order_by="KEY")
        ),
    )
    return found, differing_parameters(networks), settings.distance
