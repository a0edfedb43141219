"""Stacks of matrices, processed in chunks."""

from __future__ import annotations

CACHE_BYTES = 4_000_000  # of one stack of Jacobians: a chunk of states stays in the cache


def slices(n_rows: int, n_units: int, max_bytes: int, most: int | None = None) -> list[slice]:
    """Return slices of rows whose stacks (P, N, N) in float64 take at most so many bytes.

    A slice has one row at least, and ``most`` at most.
    """
    size = max(1, min(n_rows if most is None else most, max_bytes // (8 * n_units * n_units)))
    return [slice(i, min(i + size, n_rows)) for i in range(0, n_rows, size)]
