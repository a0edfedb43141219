"""The result of a fixed-point search: points, their stability, and how complete the set is."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tasks_lib.brief import brief
from tasks_lib.errors import ParameterError

from .searched_set import SearchedSet
from .set_in_words import GROWING, PROBABLY, in_words

Float = NDArray[np.float64]


@brief
@dataclass(frozen=True, eq=False)
class FixedPointSet(SearchedSet):
    """Fixed points (or slow points) of one network at one constant input; see `SearchedSet`."""

    @property
    def message(self) -> str:
        """What the search says about completeness, kinks of f, and where steps of dt matter."""
        return in_words(self)

    def by_index(self) -> dict[int, int]:
        """Return how many points have 0, 1, 2, ... unstable modes, by that number."""
        return dict(sorted(Counter(self.n_unstable.tolist()).items()))

    def filter(self, keep: ArrayLike) -> FixedPointSet:
        """Return the points selected by ``keep``, a mask (P,) or indices.

        Counts of the search stay; a part of a set is never "complete".
        """
        chosen = np.asarray(keep)
        if chosen.dtype == bool and chosen.shape != (len(self),):
            raise ParameterError(
                "keep.shape", chosen.shape, "is no mask of these points", f"use ({len(self)},)"
            )
        per_point: dict[str, Any] = {name: getattr(self, name)[chosen] for name in _PER_POINT}
        part = replace(self, **per_point)
        if len(np.unique(np.arange(len(self))[chosen])) == len(part) == len(self):
            return part
        return replace(
            part,
            enumerated=False,
            unseen=float("nan"),
            status=_status_of(self.status, len(part)),
            index_sum=index_sum(part.index, part.mode),
        )

    def merge(self, other: FixedPointSet) -> FixedPointSet:
        """Return the union with another search at the same input; hits of shared points add up."""
        if self.mode != other.mode or not np.array_equal(self.input, other.input):
            raise ParameterError(
                "other", other.mode, "is of another input or mode", "merge sets of one input"
            )
        if len(self) and len(other):
            distance = np.linalg.norm(self.points[:, None] - other.points[None], axis=2)
            near = distance.argmin(axis=0)
            shared = distance.min(axis=0) <= self.diff_cutoff
        else:
            near = np.zeros(len(other), dtype=np.int64)
            shared = np.zeros(len(other), dtype=bool)
        hits = self.hits.copy()
        np.add.at(hits, near[shared], other.hits[shared])
        joined: dict[str, Any] = {
            name: np.concatenate([getattr(self, name), getattr(other, name)[~shared]])
            for name in _PER_POINT
        }
        joined["hits"] = np.concatenate([hits, other.hits[~shared]])
        total = index_sum(joined["index"], self.mode)
        statuses = (self.status, other.status)
        ranked = ("complete", GROWING, PROBABLY, "incomplete")
        status = next((s for s in ranked if s in statuses), "incomplete")
        expected = other.index_expected if self.index_expected is None else self.index_expected
        enumerated = self.enumerated or other.enumerated
        if enumerated:
            status = "complete"
        elif status in ("complete", PROBABLY) and None not in (expected, total):
            status = status if total == expected else "incomplete"
        return replace(
            self,
            **joined,
            coverage=float("nan") if status == GROWING else good_turing(joined["hits"]),
            unseen=float("nan") if enumerated else float(np.fmin(self.unseen, other.unseen)),
            index_sum=total,
            index_expected=expected,
            enumerated=enumerated,
            n_starts=self.n_starts + other.n_starts,
            n_converged=self.n_converged + other.n_converged,
            seconds=self.seconds + other.seconds,
            status=status if status == GROWING or len(joined["hits"]) else "none_found",
        )


_PER_POINT = (
    "points",
    "residual",
    "hits",
    "eigenvalues",
    "directions",
    "n_unstable",
    "stability",
    "kink",
    "growth",
    "index",
    "degenerate",
    "existence_radius",
    "uniqueness_radius",
)


def _status_of(status: str, n_points: int) -> str:
    """Return the status of a part of a set."""
    if status == GROWING:
        return GROWING
    return "incomplete" if n_points else "none_found"


def good_turing(hits: NDArray[np.int64]) -> float:
    """Return 1 - singletons / hits, NaN without hits."""
    return float(1.0 - np.sum(hits == 1) / hits.sum()) if hits.sum() else float("nan")


def index_sum(index: Float, mode: str) -> int | None:
    """Return the sum of the indices of points (P,), None where one is not known."""
    if mode != "exact" or np.isnan(index).any():
        return None
    return int(index.sum())


def format_input(u: Float) -> str:
    """Return a constant input as short text."""
    short = [f"{value:g}" for value in u]
    exact = [s if float(s) == v else repr(float(v)) for s, v in zip(short, u, strict=True)]
    return "[" + ", ".join(exact) + "]"
