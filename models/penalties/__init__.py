"""Penalties that can be added to a training's loss, and the registry that users extend.

A penalty is a function ``f(context, **arguments)`` that returns a scalar tensor for one network.
In a training it is named by its short name, or by ``"package.module:function"`` where it lives
outside this project; see `register` for short names of one's own.
"""

from __future__ import annotations

from . import activity, weights  # noqa: F401  (importing them registers their penalties)
from .registry import Penalty, PenaltyContext, check, get, names, register

__all__ = ["Penalty", "PenaltyContext", "check", "get", "names", "register"]
