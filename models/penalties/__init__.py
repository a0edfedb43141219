"""Penalties that can be added to a training's loss, and the registry that users extend.

A penalty is a function ``f(context, **arguments)`` that returns a scalar tensor for one network.
In a training it is named by its short name, or by ``"package.module:function"`` where it lives
outside this project; see `register` for short names of one's own.
"""

from __future__ import annotations

from typing import Any

from ..engine import Statistic
from . import activity, weights  # noqa: F401  (importing them registers their penalties)
from .registry import (
    Penalty,
    PenaltyContext,
    check,
    get,
    names,
    needs_trajectories,
    normal_args,
    register,
    statistics,
)

__all__ = [
    "Penalty",
    "PenaltyContext",
    "Statistic",
    "check",
    "get",
    "names",
    "needs_trajectories",
    "normal_args",
    "register",
    "statistics",
]


def __getattr__(name: str) -> Any:
    """Return a penalty by its short name: ``penalties.metabolic`` is ``penalties.get(...)``."""
    if name in names():
        return get(name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
