"""Placeholder for trajectories that were too large to keep in memory."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from tasks_lib.errors import ParameterError


class NotKept:
    """Stands in for trajectories that were not kept; any use of it raises an error."""

    def __getattr__(self, name: str) -> Any:
        """Refuse."""
        raise _refusal()

    @classmethod
    def __torch_function__(cls, *call: Any) -> Any:
        """Refuse."""
        raise _refusal()


def refuse_trajectories() -> Tensor:
    """Refuse rates."""
    raise _refusal()


def _refusal() -> ParameterError:
    return ParameterError(
        "penalties",
        "states or rates",
        "were not kept, and a penalty asks for them that named its statistics alone",
        "register it without `needs`",
    )
