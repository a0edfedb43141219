"""Simulations whose trajectories do not fit in memory: a few trials at a time, computed twice.

Nothing of a trajectory is kept. Gradients run every slice of trials a second time, with the same
noise, which is a function of its place, and go back through it at once.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from operator import add

import torch
from torch import Tensor

from ..formulas.equations import Equation
from .buffers import Buffers
from .simulation import Simulation, simulate
from .statistics import Statistic
from .trajectory import Cotangent, RecurrentNoise
from .weights import Weights


@dataclass(frozen=True)
class SlicedSimulation:
    """Result of a simulation of K networks whose trajectories are not kept; see `Simulation`.

    Attributes
    ----------
    inputs : Tensor (K, T, B, M)
    outputs : Tensor (K, T, B, O)
    statistics : Tensor (S, K, N)
    trials_at_once : int
    """

    equation: Equation
    weights: Weights
    inputs: Tensor
    outputs: Tensor
    statistics: Tensor
    trials_at_once: int
    _noise: RecurrentNoise
    _asked: tuple[Statistic, ...]
    _parts: Tensor  # (slices, S, K, N)
    _buffers: Buffers
    _back_end: str | None

    def pull_back(self, cotangents: Sequence[Cotangent]) -> list[Weights]:
        """Return the gradients by the weights of each of A losses, in one pass."""
        if any(c.states is not None for c in cotangents):
            raise ValueError("what was not kept has no gradient: trajectories are sliced")
        onto_parts = [self._onto_parts(c.statistics) for c in cotangents]
        totals: list[Weights] | None = None
        for i, piece, trials in self._again():
            arriving = [
                Cotangent(c.outputs[:, :, trials], None, None if onto is None else onto[i])
                for c, onto in zip(cotangents, onto_parts, strict=True)
            ]
            found = piece.pull_back(arriving)
            totals = found if totals is None else list(map(add, totals, found))
        assert totals is not None
        return totals

    def pull_back_to_inputs(self, cotangent: Cotangent) -> Tensor:
        """Return the gradient by the inputs, (K, T, B, M)."""
        onto = self._onto_parts(cotangent.statistics)
        pieces = [
            piece.pull_back_to_inputs(
                Cotangent(cotangent.outputs[:, :, trials], None, None if onto is None else onto[i])
            )
            for i, piece, trials in self._again()
        ]
        return torch.cat(pieces, dim=2)

    def _again(self) -> Iterator[tuple[int, Simulation, slice]]:
        return _slices(
            self.equation, self.weights, self.inputs, self._noise, self._asked,
            self._back_end, self._buffers, self.trials_at_once,
        )  # fmt: skip

    def _onto_parts(self, onto: Tensor | None) -> Tensor | None:
        """Return what arrives at the statistics of each slice, (slices, S, K, N)."""
        if onto is None or not self._asked:
            return None
        with torch.enable_grad():
            parts = self._parts.detach().requires_grad_()
            sizes = _sizes(self.inputs.shape[2], self.trials_at_once)
            pooled = _pooled(self._asked, parts, sizes)
            (found,) = torch.autograd.grad(pooled, parts, onto)
        return found


def _sizes(n_trials: int, at_once: int) -> list[int]:
    return [min(at_once, n_trials - first) for first in range(0, n_trials, at_once)]


def _pooled(asked: Sequence[Statistic], parts: Tensor, sizes: Sequence[int]) -> Tensor:
    """Return the statistics (S, K, N) of all trials from those of slices (slices, S, K, N)."""
    share = torch.tensor(sizes, dtype=parts.dtype, device=parts.device)
    share = (share / share.sum()).view(-1, 1, 1)
    return torch.stack([s.pooled(parts[:, i], share) for i, s in enumerate(asked)])


def _slices(
    equation: Equation,
    weights: Weights,
    inputs: Tensor,
    noise: RecurrentNoise,
    asked: Sequence[Statistic],
    back_end: str | None,
    buffers: Buffers,
    at_once: int,
) -> Iterator[tuple[int, Simulation, slice]]:
    for i, first in enumerate(range(0, inputs.shape[2], at_once)):
        trials = slice(first, first + at_once)
        own = replace(
            noise,
            first_trial=noise.first_trial + first,
            given=None if noise.given is None else noise.given[:, :, trials],
        )
        yield (
            i,
            simulate(equation, weights, inputs[:, :, trials], own, asked, back_end, buffers),
            trials,
        )


@torch.no_grad()
def simulate_sliced(
    equation: Equation,
    weights: Weights,
    inputs: Tensor,
    noise: RecurrentNoise,
    statistics: Sequence[Statistic] = (),
    back_end: str | None = None,
    buffers: Buffers | None = None,
    trials_at_once: int = 64,
) -> SlicedSimulation:
    """Run K networks without keeping their trajectories; parameters as of `simulate`."""
    buffers = buffers or Buffers()
    weights = Weights(*(w.detach() for w in weights))
    outputs, parts = [], []
    slices = _slices(
        equation, weights, inputs, noise, statistics, back_end, buffers, trials_at_once
    )
    for _, piece, _ in slices:
        outputs.append(piece.outputs.clone())
        parts.append(piece.statistics)
    found = torch.stack(parts)
    pooled = found[0]
    if statistics:
        pooled = _pooled(statistics, found, _sizes(inputs.shape[2], trials_at_once))
    return SlicedSimulation(
        equation, weights, inputs, torch.cat(outputs, dim=2), pooled, trials_at_once,
        noise, tuple(statistics), found, buffers, back_end,
    )  # fmt: skip
