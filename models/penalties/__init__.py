"""Penalties that can be added to a training's loss, and the registry that users extend.

A penalty is a function ``f(context, **arguments)`` that returns a scalar tensor for one network.
In a training it is named by its short name, or by ``"package.module:function"`` where it lives
outside this project; see `register` for short names of one's own.
"""

from __future__ import annotations

from importlib import import_module
from pkgutil import iter_modules
from typing import Any

from ..engine import Statistic
from .registry import (
    Penalty,
    PenaltyContext,
    check,
    defined_name,
    get,
    names,
    needs_trajectories,
    normal_args,
    register,
    statistics,
)
from .term import PenaltyTerm

# Importing the modules of this folder registers their penalties: a new one needs no other mention.
for _module in sorted(module.name for module in iter_modules(__path__)):
    import_module(f"{__name__}.{_module}")

__all__ = [
    "Penalty",
    "PenaltyContext",
    "PenaltyTerm",
    "Statistic",
    "check",
    "defined_name",
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
