"""Numbers of K networks that are shaped like their parameters, in one row for each network.

One operation then serves all blocks: a network of 10 units spends its time on the number of
operations, not on their size.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import prod
from typing import overload

import torch
from torch import Tensor


class Rows(Sequence[Tensor]):
    """Blocks of numbers of K networks, one after the other in the row of each network.

    Parameters
    ----------
    rows : Tensor (K, n)
    shapes : sequence of tuple
        Of each block, without the axis of networks; their sizes add up to n.

    Notes
    -----
    As a sequence it is the blocks, (K, ...) each, which share the memory of ``rows``.
    """

    def __init__(self, rows: Tensor, shapes: Sequence[tuple[int, ...]]) -> None:
        self.rows, self.shapes = rows, tuple(shapes)
        self.sizes = [prod(shape) for shape in self.shapes]

    @classmethod
    def of(cls, blocks: Sequence[Tensor]) -> Rows:
        """Return blocks (K, ...) in rows; those that are in rows as they are."""
        if isinstance(blocks, Rows):
            return blocks
        joined = torch.cat([block.flatten(1) for block in blocks], dim=1)
        return cls(joined.detach(), [tuple(block.shape[1:]) for block in blocks])

    @classmethod
    def empty(cls, n_networks: int, shapes: Sequence[tuple[int, ...]], like: Tensor) -> Rows:
        """Return rows with anything in them, of the precision and on the device of a tensor."""
        return cls(like.new_empty((n_networks, sum(map(prod, shapes)))), shapes)

    def with_rows(self, rows: Tensor) -> Rows:
        """Return other rows of the same blocks."""
        return Rows(rows, self.shapes)

    def each(self, number: int) -> list[Rows]:
        """Return as many parts of as many rows each."""
        return [self.with_rows(rows) for rows in self.rows.chunk(number)]

    def __len__(self) -> int:
        """Return the number of blocks."""
        return len(self.shapes)

    @overload
    def __getitem__(self, index: int) -> Tensor: ...

    @overload
    def __getitem__(self, index: slice) -> list[Tensor]: ...

    def __getitem__(self, index: int | slice) -> Tensor | list[Tensor]:
        """Return a block (K, ...), or some."""
        return list(self)[index]

    def __iter__(self) -> Iterator[Tensor]:
        """Go through the blocks, (K, ...) each."""
        parts = self.rows.split_with_sizes(self.sizes, dim=1)
        k = len(self.rows)
        return (part.view(k, *shape) for part, shape in zip(parts, self.shapes, strict=True))
