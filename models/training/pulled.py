"""Gradients of losses with respect to trajectories and weights: collected, and added up."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from ..engine import Cotangent, Weights, stacked
from ..network.by_network import inner
from ..network.connectivity import WEIGHTS
from ..network.rows import Rows


@dataclass(frozen=True, eq=False)
class Pulled:
    """Gradients of weighted penalties of K networks; those that are None or absent are 0.

    Attributes
    ----------
    outputs : Tensor (K, T, B, O), optional
    states : Tensor (K, T, B, N), optional
    statistics : Tensor (S, K, N), optional
    weights : mapping
        Name of a block of weights -> gradient (K, ...).
    """

    outputs: Tensor | None = None
    states: Tensor | None = None
    statistics: Tensor | None = None
    weights: Mapping[str, Tensor] = field(default_factory=dict)

    @classmethod
    def of(cls, found: Sequence[Tensor | None]) -> Pulled:
        """Return gradients by outputs, states, statistics (K, S, N), and blocks of weights."""
        outputs, states, statistics, *blocks = found
        by_name = zip(WEIGHTS, blocks, strict=True)
        return cls(
            outputs,
            states,
            None if statistics is None else statistics.transpose(0, 1),
            {name: block for name, block in by_name if block is not None},
        )

    @classmethod
    def collected(cls, received: Sequence[Sequence[Tensor | None]]) -> Pulled:
        """Return what `of` does from the gradients of each of K networks by itself."""
        return cls.of([stacked(each) for each in zip(*received, strict=True)])

    def cloned(self) -> Pulled:
        """Return the same in memory of its own, every number in a place of its own."""
        own = {name: _clone(gradient) for name, gradient in self._all().items()}
        outputs, states, statistics = (
            own.pop(n, None) for n in ("outputs", "states", "statistics")
        )
        return Pulled(outputs, states, statistics, own)

    def overwrite(self, new: Pulled) -> None:
        """Take the numbers of other gradients, which are by the same things, into these."""
        mine, theirs = self._all(), new._all()
        if mine.keys() != theirs.keys():
            raise ValueError("a penalty depends on other things than in the iteration before")
        for name, kept in mine.items():
            kept.copy_(theirs[name])

    def _all(self) -> dict[str, Tensor]:
        activity = {"outputs": self.outputs, "states": self.states, "statistics": self.statistics}
        return {**{n: g for n, g in activity.items() if g is not None}, **self.weights}

    @property
    def reaches_activity(self) -> bool:
        """Whether there is anything to backpropagate."""
        return not (self.outputs is None and self.states is None and self.statistics is None)

    def cotangent(self, like: Tensor) -> Cotangent:
        """Return what is to be backpropagated, from outputs shaped like ``like``."""
        outputs = torch.zeros_like(like) if self.outputs is None else self.outputs
        return Cotangent(outputs, self.states, self.statistics)

    def added_to(self, task: Cotangent) -> Cotangent:
        """Return the gradients of the task and of these penalties together."""
        outputs, states, statistics = task.outputs, task.states, task.statistics
        if self.outputs is not None:
            outputs = outputs + self.outputs
        if self.states is not None:
            states = self.states if states is None else states + self.states
        if self.statistics is not None:
            more = self.statistics
            statistics = more if statistics is None else statistics + more
        return Cotangent(outputs, states, statistics)

    def beside(self, propagated: Weights | None, like: Weights) -> Weights:
        """Return the gradients by all weights, with those that came through the run."""
        blocks = []
        for name, block in zip(WEIGHTS, like if propagated is None else propagated, strict=True):
            own = self.weights.get(name)
            if propagated is None:
                blocks.append(torch.zeros_like(block) if own is None else own)
            else:
                blocks.append(block if own is None else block + own)
        return Weights(*blocks)


def remove_conflict(wrt_task: Sequence[Tensor], wrt_penalty: Sequence[Tensor]) -> Rows:
    """Project out of the penalties' gradient its component against the task's gradient.

    Where their inner product <p, g>, over all blocks of one network, is negative, p becomes
    p - g <p, g> / <g, g>; elsewhere it stays. The first axis of each block is the network.
    """
    g, p = Rows.of(wrt_task), Rows.of(wrt_penalty)
    product, square = inner(p, g), inner(g, g)
    share = torch.where(product < 0, product / square.clamp_min(1e-30), torch.zeros_like(product))
    return p.with_rows(p.rows - share[:, None] * g.rows)


def _clone(tensor: Tensor) -> Tensor:
    return tensor.clone(memory_format=torch.contiguous_format)
