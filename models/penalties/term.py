"""One penalty term of a batch of networks: its name, arguments, and weight for each network."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from torch import Tensor

from ..engine import Statistic
from . import closed_forms, registry
from .closed_forms import ClosedForm
from .registry import Penalty, PenaltyContext


@dataclass(frozen=True)
class PenaltyTerm:
    """A penalty with its weights and arguments.

    Attributes
    ----------
    name : str
        Short name or ``"package.module:function"``.
    weights : tuple of float (K,)
        Of each network; 0 where it lacks the penalty.
    args : dict
        Arguments, the same for all networks.
    """

    name: str
    weights: tuple[float, ...]
    args: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, penalties: Mapping[str, Mapping[str, Any]]) -> list[PenaltyTerm]:
        """Return the penalties of one network, as `TrainingConfig` has them: name -> values."""
        return [cls(name, (spec["weight"],), spec["args"]) for name, spec in penalties.items()]

    @property
    def largest(self) -> dict[str, Any]:
        """What `TrainingConfig` has of the penalty, with the largest of the weights."""
        return {"weight": max(self.weights), "args": dict(self.args)}

    @cached_property
    def function(self) -> Penalty:
        """The penalty itself, looked up once."""
        return registry.get(self.name)

    @cached_property
    def closed_form(self) -> ClosedForm | None:
        """Its formulas for many networks, if it has any."""
        return closed_forms.of(self.function)

    @property
    def is_used(self) -> bool:
        """Whether any network has it."""
        return any(self.weights)

    @property
    def statistics(self) -> tuple[Statistic, ...]:
        """Statistics of the units that it needs."""
        return registry.statistics(self.name, self.args)

    @property
    def needs_trajectories(self) -> bool:
        """Whether it may look at states and rates, and not only at what it names."""
        return registry.needs_trajectories(self.name)

    def __call__(self, context: PenaltyContext) -> Tensor:
        """Return the penalty of one network, before its weight."""
        return self.function(context, **self.args)
