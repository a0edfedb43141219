"""Measures of the fixed points of a three-bit memory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import pipeline as p
from pipeline.tables.performance import fetch_network

from .dynamics import joined_memories, one_bit_edges, share_through_saddles, threshold_runs

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Key = Mapping[str, Any]
CUBE = (8, 12, 6, 1)  # points with 0, 1, 2 and 3 unstable modes


def points_with_modes(key: Key, modes: int) -> int | None:
    """Count the fixed points with so many unstable modes; None where the set may lack some."""
    if (p.FixedPoints & key).fetch1("search_status") not in ("complete", "probably complete"):
        return None
    return len(p.FixedPoints.Point & key & {"n_unstable_modes": modes})


def _counts(key: Key) -> tuple[int, ...]:
    return tuple(len(p.FixedPoints.Point & key & {"n_unstable_modes": m}) for m in range(4))


def has_all_points(key: Key) -> bool:
    """Return whether there are 8, 12, 6 and 1 points with 0 to 3 unstable modes, and no other."""
    return _counts(key) == CUBE and len(p.FixedPoints.Point & key) == sum(CUBE)


def joined_edges(key: Key) -> int:
    """Count the pairs of memories one bit apart that a saddle's unstable manifold joins."""
    rnn, _ = fetch_network(dict(key))
    return len(one_bit_edges(joined_memories(rnn, (p.FixedPoints & key).load())))


def through_saddles(key: Key) -> float | None:
    """Return the share of one-bit transitions that pass a saddle between their memories."""
    rnn, _ = fetch_network(dict(key))
    points = (p.FixedPoints & key).load()
    found = threshold_runs(rnn, points)
    return None if found is None else share_through_saddles(rnn, points, found)


def transitions(key: Key) -> int | None:
    """Count the one-bit transitions that some pulse brings about; None without eight memories."""
    rnn, _ = fetch_network(dict(key))
    found = threshold_runs(rnn, (p.FixedPoints & key).load())
    return None if found is None else len(found.pairs)


def plot(networks: Mapping[str, Sequence[Key]]) -> Figure | None:
    """Draw fixed points and threshold transitions of one network, and counts of all."""
    from .figure import draw

    keys = networks["trained"]
    if not keys:
        return None
    shown = next((key for key in keys if has_all_points(key)), keys[0])
    rnn, _ = fetch_network(dict(shown))
    points = (p.FixedPoints & shown).load()
    found = threshold_runs(rnn, points)
    return draw(points, None if found is None else found.runs, [_counts(key) for key in keys])
