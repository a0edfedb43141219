"""Memory buffers that simulations of one shape reuse."""

from __future__ import annotations

from math import prod

import torch
from torch import Tensor

CACHE_LINE = 64  # bytes


class Buffers:
    """Arrays by name, kept for the next simulation: fresh pages cost as much as a step does.

    What the first axis counts (networks) begins on a cache line each: BLAS rounds by where an
    array lies, and so a network's products are those that it has alone.
    """

    def __init__(self) -> None:
        self._kept: dict[str, Tensor] = {}

    def take(self, name: str, shape: tuple[int, ...], like: Tensor) -> Tensor:
        """Return a tensor of this name and shape, with anything in it."""
        kept = self._kept.get(name)
        if kept is None or kept.shape != shape or kept.dtype != like.dtype:
            line = CACHE_LINE // like.element_size()
            size = prod(shape[1:])
            rows = torch.empty(
                (shape[0], -(-size // line) * line), dtype=like.dtype, device=like.device
            )
            kept = rows[:, :size].view(shape)
            self._kept[name] = kept
        return kept
