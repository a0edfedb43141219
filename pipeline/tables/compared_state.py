"""How far a comparison is, and what its newest embeddings say."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tasks_lib.brief import brief

from .comparisons import Comparison, ComparisonMember
from .embeddings import Embedding
from .network_pairs import NetworkPair, PairBlock


@brief
@dataclass(frozen=True)
class EmbeddingState:
    """What an embedding says.

    Attributes
    ----------
    name, status : str
    n_classes : int or None
    class_p : float or None
    parameter : str
        The one that explains most of the squared distances beyond chance; "": none is compared.
    explained, explained_p : float or None
    """

    name: str
    status: str
    n_classes: int | None
    class_p: float | None
    parameter: str = ""
    explained: float | None = None
    explained_p: float | None = None


@brief
@dataclass(frozen=True)
class ComparisonState:
    """How far a comparison is.

    Attributes
    ----------
    n_members : int
    n_pairs, n_wanted : int
        Pairs that are there, and those of all members.
    n_jobs_left : int
        Blocks of pairs that are still to be computed.
    embeddings : list of EmbeddingState
        Of the newest entry.
    """

    n_members: int
    n_pairs: int
    n_wanted: int
    n_jobs_left: int
    embeddings: list[EmbeddingState]


def comparison_state(name: str) -> ComparisonState:
    """Return how far a comparison is, by its name."""
    key = {"comparison_name": name}
    n_members = len(ComparisonMember & key)
    newest = (Comparison.Entry & key).to_arrays("entry", order_by="entry desc", limit=1)
    rows: list[dict[str, Any]] = []
    if len(newest):
        rows = (Embedding & key & {"entry": int(newest[0])}).to_dicts(order_by="embedding_name")
    return ComparisonState(
        n_members,
        len(NetworkPair & key),
        n_members * (n_members - 1) // 2,
        len((Comparison.Block & key) - PairBlock.proj()),
        [_embedding(row) for row in rows],
    )


def _embedding(row: dict[str, Any]) -> EmbeddingState:
    own = {name: row[name] for name in Embedding.primary_key}
    found = (Embedding.ByParameter & own & {"parameter_status": "compared"}).to_dicts(
        order_by="parameter"
    )
    state = (
        row["embedding_name"], row["embedding_status"], row["n_classes"],
        row["class_silhouette_p"],
    )  # fmt: skip
    if not found:
        return EmbeddingState(*state)
    best = max(found, key=lambda r: r["distance_explained"] - (r["distance_explained_chance"] or 0))
    return EmbeddingState(
        *state, best["parameter"], best["distance_explained"], best["distance_explained_p"]
    )
