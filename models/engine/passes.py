"""Passes over memory that take the place of several operations of torch, on a CPU.

Torch takes operations one by one, and a network of 10 units spends its time on calling them. Every
operation of a pass is rounded by itself, and they keep torch's order, so that the numbers are
torch's to the bit. What torch takes from a library of functions, square roots and powers, and its
sums, which it cuts into parts, are left to torch.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

_compiled: Callable[[Callable[..., Any]], Any] | None = None
try:
    from .compilation import compiled_exactly

    _compiled = compiled_exactly
except ImportError:  # no numba for this Python or this machine
    pass


def compiled_pass(function: Callable[..., Any]) -> Any:
    """Compile a function; where there is no Numba it stays as it is, and `runs_on` says so."""
    return function if _compiled is None else _compiled(function)


def runs_on(numbers: Tensor) -> bool:
    """Return whether passes take arrays like a tensor; torch's operations are taken otherwise."""
    is_real = numbers.dtype in (torch.float32, torch.float64)
    return _compiled is not None and is_real and numbers.device.type == "cpu"
