"""Weights of K networks, and the gradients with respect to them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class Weights:
    """Effective weights of K networks, constraints applied; or gradients by them.

    Attributes
    ----------
    W_rec : Tensor (K, N, N)
    W_inp : Tensor (K, N, n_inputs)
    W_out : Tensor (K, n_outputs, N)
    b_rec : Tensor (K, N)
    x_init : Tensor (K, N)
    """

    W_rec: Tensor
    W_inp: Tensor
    W_out: Tensor
    b_rec: Tensor
    x_init: Tensor

    @property
    def n_units(self) -> int:
        """Number of units N."""
        return self.W_rec.shape[-1]

    def __add__(self, other: Weights) -> Weights:
        """Return the sum, block by block."""
        return Weights(*(a + b for a, b in zip(self, other, strict=True)))

    def __iter__(self) -> Iterator[Tensor]:
        """Go through the blocks, in the order of the attributes."""
        return iter((self.W_rec, self.W_inp, self.W_out, self.b_rec, self.x_init))
