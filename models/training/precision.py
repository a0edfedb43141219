"""In what precision a training multiplies, on a GPU."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, Protocol, TypeVar

from ..engine import NetworkKind, choose_back_end, products, products_in
from ..network.rnn_torch import RNNTorch
from .config import TrainingConfig

Result = TypeVar("Result")


class _HasConfig(Protocol):
    config: TrainingConfig


def multiplying(method: Callable[..., Result]) -> Callable[..., Result]:
    """Let a method of a training multiply in the precision that its settings ask for."""

    @wraps(method)
    def in_precision(self: _HasConfig, *args: Any) -> Result:
        with products_in(self.config.gpu_precision, products().same_bits):
            return method(self, *args)

    return in_precision


def product_precision(rnn: RNNTorch, asked: str) -> str:
    """Return in what precision networks are multiplied where one is asked for.

    That one by the kernels of a GPU; ``ieee`` on a CPU and in plain torch, which have the
    precision of their arrays.
    """
    kind = NetworkKind(rnn.equation, rnn.n_units, rnn.dtype, rnn.device)
    return asked if choose_back_end(kind).splits_products else "ieee"
