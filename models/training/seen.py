"""What the penalties of K networks are, and what they look at."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from ..engine import Statistic
from ..network.run import Run
from ..penalties import PenaltyTerm


@dataclass(frozen=True)
class WeightedTerm:
    """A penalty of K networks, and which of them have it.

    Attributes
    ----------
    penalty : PenaltyTerm
    weights : Tensor (K,)
        In the networks' precision.
    belongs : tuple of bool (K,)
        Whether it is a term of this network.
    members : Tensor or None
        Indices of the networks that have it; None where all do.
    """

    penalty: PenaltyTerm
    weights: Tensor
    belongs: tuple[bool, ...]
    members: Tensor | None

    @classmethod
    def of(cls, penalty: PenaltyTerm, weights: Tensor) -> WeightedTerm:
        """Return the term of a penalty with these weights (K,)."""
        belongs = tuple((weights != 0).tolist())
        members = None
        if not all(belongs):
            own = [i for i, has in enumerate(belongs) if has]
            members = torch.tensor(own, device=weights.device)
        return cls(penalty, weights, belongs, members)

    @property
    def name(self) -> str:
        """The penalty's name."""
        return self.penalty.name

    def of_members(self, each: Tensor) -> Tensor:
        """Return what is given of each network (K, ...), exactly 0 where it is not its term."""
        if self.members is None:
            return each
        kept = torch.zeros_like(each)
        return kept.index_copy_(0, self.members, each.index_select(0, self.members))


@dataclass(frozen=True, eq=False)
class Trials:
    """A run of K networks on a batch, as penalties see it.

    Attributes
    ----------
    run : Run
    asked : sequence of Statistic
        Those that were taken in it.
    inputs, targets : Tensor (K, T, B, channels)
    silenced : Tensor (K, N) or None
        0 where a unit was silenced by dropout.
    """

    run: Run
    asked: Sequence[Statistic]
    inputs: Tensor
    targets: Tensor
    silenced: Tensor | None

    @cached_property
    def taken(self) -> Mapping[Statistic, Tensor]:
        """The statistics that were taken, (K, N) each."""
        if not self.asked:
            return {}
        return dict(zip(self.asked, self.run.simulation.statistics.unbind(0), strict=True))

    @property
    def states(self) -> Tensor:
        """States (K, T, B, N), none where they were not kept."""
        if self.run.is_sliced:
            return self.run.outputs.new_empty((len(self.run.outputs), 0, 0, 0))
        return self.run.states
