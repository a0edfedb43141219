"""Pages of comparisons: distances, embeddings, classes, and what distances go with."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import models

from ..store.stored_figures import to_png
from ..tables.comparisons import SETTINGS
from ..tables.embedding_rows import embedding_from_rows
from ..tables.embeddings import Embedding
from ..tables.keys import Key
from ..tables.network_pairs import NetworkSummary
from .analyses.base import Grid
from .comparison_rows import ComparisonRows, EmbeddingRows
from .names import page_of
from .pictures import CURVES_DPI
from .rows import Row
from .site import fingerprint

NUMBERS = Grid(
    Embedding,
    {
        "n_embedded": "networks", "n_without": "without distances", "embedding_status": "status",
        "embedding_reason": "why", "embedding_stress": "stress", "n_classes": "classes",
        "class_silhouette": "mean silhouette", "class_silhouette_chance": "by chance",
        "class_silhouette_p": "p",
    },
    usual={"embedding_status": "embedded"},
)  # fmt: skip
BY_PARAMETER = Grid(
    Embedding.ByParameter,
    {
        "parameter": "parameter", "parameter_status": "status", "parameter_groups": "values",
        "distance_explained": "distances explained", "distance_explained_chance": "by chance",
        "distance_explained_p": "p", "same_neighbour": "nearest has the same",
        "same_neighbour_chance": "by chance", "same_neighbour_p": "p",
        "class_agreement": "agreement with classes (Rand index)", "class_agreement_p": "p",
    },
    "Which parameters distances go with",
    usual={"parameter_status": "compared"},
)  # fmt: skip
NOT_COMPARED = Grid(
    NetworkSummary,
    {
        "summary_status": "status", "summary_reason": "why", "points_reason": "fixed points",
        "operator_reason": "operators (DSA)",
    },
    usual={"summary_status": "analysed", "operator_reason": "not asked for",
           "points_reason": "not asked for"},
)  # fmt: skip
# What distances are called, with their units.
DISTANCES = {
    "output_distance": "outputs (root mean square)",
    "choice_distance": "choices (share of trials)",
    "procrustes_distance": "Procrustes (rad)",
    "matching_distance": "matched units (rad)",
    "cka_distance": "CKA (rad)",
    "rsa_distance": "RSA (rad)",
    "point_number_distance": "number of fixed points",
    "point_index_distance": "fixed points of each index",
    "point_spectrum_distance": "eigenvalues of fixed points (1/τ)",
    "dsa_distance": "dynamical similarity (DSA)",
    "weight_distance": "W_rec, units matched",
    "singular_value_distance": "singular values of W_rec",
}


class ComparisonPages:
    """The comparisons that have pages, and the links to them.

    Parameters
    ----------
    comparisons : iterable of ComparisonRows
    networks : iterable of tuple
        Keys of the networks that have pages: others are left out.
    """

    def __init__(self, comparisons: Iterable[ComparisonRows], networks: Iterable[Key]) -> None:
        there = set(networks)
        self._comparisons = []
        for comparison in comparisons:
            known = {key: row for key, row in comparison.members.items() if key in there}
            if known:
                comparison.members = known
                self._comparisons.append(comparison)

    def __iter__(self) -> Iterator[ComparisonRows]:
        """Yield the comparisons."""
        return iter(self._comparisons)

    def of(self, key: Key) -> list[Row]:
        """Return the comparisons of a network: name, page, and its class in each embedding."""
        return [
            {
                "name": comparison.name,
                "page": comparison.page,
                "embeddings": [
                    f"class {e.points[key]['embedding_class']} of {e.row['n_classes']} in {e.name}"
                    for e in comparison.embeddings
                    if key in e.points and e.row["n_classes"]
                ],
            }
            for comparison in self
            if key in comparison.members
        ]

    def listed(self) -> list[Row]:
        """Return the lines of the index."""
        lines = []
        for comparison in self:
            known = [e for e in comparison.embeddings if e.row["n_classes"]]
            lines.append(
                {
                    "name": comparison.name,
                    "page": comparison.page,
                    "task": comparison.row["task_name"],
                    "n_members": comparison.n_members,
                    "n_here": len(comparison.members),
                    "embedding": ", ".join(e.name for e in known or comparison.embeddings),
                    "n_classes": ", ".join(str(e.row["n_classes"]) for e in known) or None,
                }
            )
        return lines


def comparison_context(comparison: ComparisonRows, figures: Mapping[str, Row]) -> dict[str, Any]:
    """Return what the page of a comparison shows.

    Parameters
    ----------
    comparison : ComparisonRows
    figures : mapping of str to dict
        Name of an embedding -> ``path``, ``caption``, ``width`` and ``problem`` of its figure.
    """
    pages = {row["member"]: page_of(row) for row in comparison.members.values()}
    names = {row["member"]: _name(row) for row in comparison.members.values()}
    networks = []
    for key, row in comparison.members.items():
        places = []
        for embedding in comparison.embeddings:
            point = embedding.points.get(key, {})
            nearest = point.get("neighbour_member")
            places.append(
                {
                    "class": point.get("embedding_class"),
                    "x": point.get("embedding_x"),
                    "y": point.get("embedding_y"),
                    "nearest": names.get(nearest, "" if nearest is None else "not in this report"),
                    "page": pages.get(nearest, ""),
                    "distance": point.get("neighbour_distance"),
                }
            )
        networks.append({"key": row, "page": pages[row["member"]], "places": places})
    reasons = [
        {**row, "network": _name(row)}
        for row in comparison.reasons.values()
        if any(NOT_COMPARED.shown([row])["rows"][0])
    ]
    shown = NOT_COMPARED.shown(reasons) if reasons else None
    if shown:
        shown["headings"] = ["network", *shown["headings"]]
        shown["rows"] = [[r["network"], *c] for r, c in zip(reasons, shown["rows"], strict=False)]
    settings = [(field, comparison.row[column]) for field, column in SETTINGS.items()]
    return {
        "root": "../",
        "title": f"Comparison {comparison.name}",
        "task": comparison.row["task_name"],
        "n_members": comparison.n_members,
        "n_here": len(comparison.members),
        "n_blocks": comparison.n_blocks,
        "n_done": comparison.n_done,
        "settings": [(name.replace("_", " "), value) for name, value in settings],
        "distances": [(DISTANCES[name], *rest) for name, *rest in comparison.distances],
        "embeddings": [_shown(e, figures.get(e.name)) for e in comparison.embeddings],
        "networks": networks,
        "reasons": shown,
    }


def _shown(embedding: EmbeddingRows, figure: Row | None) -> Row:
    here = Counter(p["embedding_class"] for p in embedding.points.values())
    return {
        "name": embedding.name,
        "pictures": [figure] if figure else [],
        "numbers": NUMBERS.shown([embedding.row]),
        "parameters": BY_PARAMETER.shown(embedding.parameters) if embedding.parameters else None,
        "sizes": sorted((c, n) for c, n in here.items() if c is not None),
    }


def _name(row: Row) -> str:
    return f"{row['network_name']}/{row['training_name']} seed {row['seed']}"


def drawn_from(embedding: EmbeddingRows) -> str:
    """Return the fingerprint of what the figure of an embedding shows; rows are never changed."""
    return fingerprint(embedding.row, embedding.parameters, sorted(embedding.points))


def draw_embedding(embedding: EmbeddingRows) -> bytes:
    """Return the figure of an embedding as a PNG file, of all networks that are in it.

    Raises
    ------
    OSError
        Where its rows are gone.
    """
    key = {name: embedding.row[name] for name in Embedding.primary_key}
    if not Embedding & key:
        raise FileNotFoundError(f"{embedding.path}: its rows were deleted while it was drawn")
    found, parameters, distance = embedding_from_rows(key)
    return to_png(models.plot_embedding(found, parameters, distance=distance), CURVES_DPI)
