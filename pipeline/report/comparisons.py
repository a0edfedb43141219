"""Pages of comparisons: distances, embeddings, classes, and what distances go with."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import datajoint as dj

import models
from models.comparison.settings import DISTANCES

from ..store.file_names import file_name
from ..store.stored_figures import to_png
from ..tables.comparisons import SETTINGS, Comparison, ComparisonMember
from ..tables.embedding_rows import embedding_from_rows
from ..tables.embeddings import Embedding, EmbeddingPoint
from ..tables.keys import Key, network_key
from ..tables.network_pairs import NetworkPair, NetworkSummary, PairBlock
from ..tables.selections import Selection
from .analyses.base import Grid
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
REASONS = Grid(
    NetworkSummary,
    {
        "summary_status": "status", "summary_reason": "why", "points_reason": "fixed points",
        "operator_reason": "operators (DSA)",
    },
    usual={"summary_status": "analysed", "operator_reason": "not asked for",
           "points_reason": "not asked for"},
)  # fmt: skip


@dataclass
class EmbeddingRows:
    """What the tables hold of an embedding.

    Attributes
    ----------
    row : dict
        Of `Embedding`.
    parameters : list of dict
        Of `Embedding.ByParameter`.
    points : dict of tuple to dict
        Rows of `EmbeddingPoint` of the networks of a selection, by their keys.
    """

    row: Row
    parameters: list[Row]
    points: dict[Key, Row]

    @property
    def name(self) -> str:
        """Of its settings."""
        return str(self.row["embedding_name"])

    @property
    def path(self) -> str:
        """Path of its figure."""
        return f"comparisons/{file_name(self.row['comparison_name'], self.name, ending='.png')}"


@dataclass
class ComparisonRows:
    """What the tables hold of a comparison, of the networks of a selection.

    Attributes
    ----------
    row : dict
        Of `Comparison`.
    n_members : int
        All networks of it.
    n_blocks, n_done : int
        Blocks of pairs, and those that are computed.
    members : dict of tuple to dict
        Rows of `ComparisonMember`, by the key of the network.
    distances : list of tuple
        Distance, pairs that have it, lowest, mean and highest.
    reasons : dict of tuple to dict
        Rows of `NetworkSummary`, by the key of the network.
    embeddings : list of EmbeddingRows
        The newest of each name.
    """

    row: Row
    n_members: int
    n_blocks: int
    n_done: int
    members: dict[Key, Row]
    distances: list[tuple[Any, ...]] = field(default_factory=list)
    reasons: dict[Key, Row] = field(default_factory=dict)
    embeddings: list[EmbeddingRows] = field(default_factory=list)

    @property
    def name(self) -> str:
        """Its name, of one task."""
        return str(self.row["comparison_name"])

    @property
    def page(self) -> str:
        """The path of its page."""
        return f"comparisons/{file_name(self.name, ending='.html')}"


def fetch_comparisons(selection: Selection) -> list[ComparisonRows]:
    """Return the comparisons that have a network of a selection, in a fixed number of queries."""
    # Children before parents, as in `fetch_cohorts`; where there are no members, nothing else.
    members = selection.of_table(ComparisonMember).to_dicts(order_by=("comparison_name", "member"))
    names = sorted({row["comparison_name"] for row in members})
    if not names:
        return []
    chosen = [{"comparison_name": name} for name in names]
    points = (selection.of_table(EmbeddingPoint) & chosen).proj(
        "embedding_x", "embedding_y", "embedding_class", "neighbour_member", "neighbour_distance"
    ).to_dicts(order_by="KEY")  # fmt: skip
    parameters = (Embedding.ByParameter & chosen).to_dicts(order_by="KEY")
    embeddings = (Embedding & chosen).to_dicts(order_by="KEY")
    pairs = {r["comparison_name"]: r for r in _pairs(chosen)}
    summaries = (selection.of_table(NetworkSummary) & chosen).proj(*REASONS.columns)
    done, blocks, n_members = (
        {r["comparison_name"]: int(r["n"]) for r in _count(table, chosen)}
        for table in (PairBlock, Comparison.Block, ComparisonMember)
    )
    found = {
        row["comparison_name"]: ComparisonRows(
            row, n_members.get(row["comparison_name"], 0), blocks.get(row["comparison_name"], 0),
            done.get(row["comparison_name"], 0), {},
        )
        for row in (Comparison & chosen).to_dicts(order_by="KEY")
    }  # fmt: skip
    for row in members:
        if row["comparison_name"] in found:
            found[row["comparison_name"]].members[network_key(row)] = row
    for row in summaries.to_dicts(order_by="KEY"):
        if row["comparison_name"] in found:
            found[row["comparison_name"]].reasons[network_key(row)] = row
    of_embedding: dict[Key, list[Row]] = defaultdict(list)
    for row in parameters:
        of_embedding[_embedding_key(row)].append(row)
    places: dict[Key, dict[Key, Row]] = defaultdict(dict)
    for row in points:
        places[_embedding_key(row)][network_key(row)] = row
    for comparison in found.values():
        newest = {  # later entries come after earlier ones
            row["embedding_name"]: row
            for row in sorted(embeddings, key=lambda row: row["entry"])
            if row["comparison_name"] == comparison.name
        }
        for _, row in sorted(newest.items()):
            key = _embedding_key(row)
            comparison.embeddings.append(EmbeddingRows(row, of_embedding[key], places[key]))
        row = pairs.get(comparison.name, {})
        comparison.distances = [
            (name, row[f"n_{name}"], row[f"low_{name}"], row[f"mean_{name}"], row[f"high_{name}"])
            for name in DISTANCES
            if row and row[f"n_{name}"]
        ]
    return list(found.values())


def _embedding_key(row: Row) -> Key:
    return row["comparison_name"], row["entry"], row["embedding_name"]


def _count(table: type[Any], chosen: Sequence[Row]) -> list[Row]:
    return list(dj.U("comparison_name").aggr(table & chosen, n="count(*)").to_dicts())


def _pairs(chosen: Sequence[Row]) -> list[Row]:
    """Return number, lowest, mean and highest of each distance of comparisons."""
    asked: dict[str, str] = {}
    for name in DISTANCES:
        asked |= {f"n_{name}": f"count({name})", f"mean_{name}": f"avg({name})"}
        asked |= {f"low_{name}": f"min({name})", f"high_{name}": f"max({name})"}
    return list(dj.U("comparison_name").aggr(NetworkPair & chosen, **asked).to_dicts())


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
        if any(REASONS.shown([row])["rows"][0])
    ]
    shown = REASONS.shown(reasons) if reasons else None
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
        "distances": [(name.replace("_", " "), *rest) for name, *rest in comparison.distances],
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
    """Return the figure of an embedding as a PNG file, of all networks that are in it."""
    key = {name: embedding.row[name] for name in Embedding.primary_key}
    found, parameters, distance = embedding_from_rows(key)
    return to_png(models.plot_embedding(found, parameters, distance=distance), CURVES_DPI)
