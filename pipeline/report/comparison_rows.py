"""What the tables hold of comparisons of networks, for their pages."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import datajoint as dj

from models.comparison.settings import DISTANCES

from ..store.file_names import file_name
from ..tables.comparisons import Comparison, ComparisonMember
from ..tables.embeddings import Embedding, EmbeddingPoint
from ..tables.keys import Key, network_key
from ..tables.network_pairs import NetworkPair, NetworkSummary, PairBlock
from ..tables.selections import Selection
from .rows import Row

REASONS = ("summary_status", "summary_reason", "points_reason", "operator_reason")


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
    summaries = (selection.of_table(NetworkSummary) & chosen).proj(*REASONS)
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
            (
                name,
                row[f"n_{name}"],
                row[f"low_{name}"],
                _rounded(row[f"mean_{name}"]),
                row[f"high_{name}"],
            )
            for name in DISTANCES
            if row and row[f"n_{name}"]
        ]
    return list(found.values())


def _embedding_key(row: Row) -> Key:
    return row["comparison_name"], row["entry"], row["embedding_name"]


def _rounded(mean: float) -> float:
    """Return a mean without its last digits: a server may add in another order each time."""
    return float(f"{mean:.6g}")


def _count(table: type[Any], chosen: Sequence[Row]) -> list[Row]:
    return list(dj.U("comparison_name").aggr(table & chosen, n="count(*)").to_dicts())


def _pairs(chosen: Sequence[Row]) -> list[Row]:
    """Return number, lowest, mean and highest of each distance of comparisons."""
    asked: dict[str, str] = {}
    for name in DISTANCES:
        asked |= {f"n_{name}": f"count({name})", f"mean_{name}": f"avg({name})"}
        asked |= {f"low_{name}": f"min({name})", f"high_{name}": f"max({name})"}
    return list(dj.U("comparison_name").aggr(NetworkPair & chosen, **asked).to_dicts())
