"""Optimiser steps of K networks, and undoing those that made a network non-finite."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..engine.passes import runs_on
from ..machine.threads import blas_on_one
from ..machine.torch_modes import without_graph
from ..network.by_network import inner
from ..network.connectivity import NEARLY_ZERO
from ..network.rnn_torch import RNNTorch
from ..network.rows import Rows
from ..network.run import RunMemory
from . import passes
from .adam import BETA_1, BETA_2, Adam
from .batches import Batch
from .config import TrainingConfig
from .dropout import UnitDropout
from .losses import Descent, LossFunction


@dataclass(frozen=True, eq=False)
class StepResult:
    """Losses of one optimiser step of K networks, and which networks diverged.

    Attributes
    ----------
    loss : Tensor (K,)
        Before the step.
    curves : dict
        What else is recorded by name, (K,).
    newly_diverged : array (K,)
        Networks that diverged in it.
    """

    loss: Tensor
    curves: dict[str, Tensor]
    newly_diverged: NDArray[np.bool_]


class Stepper:
    """Takes the optimiser steps of K networks.

    Parameters
    ----------
    rnn : RNNTorch
    losses : LossFunction
    configs : sequence of TrainingConfig (K,)
    memory : RunMemory

    Attributes
    ----------
    params : dict
        Name -> parameter (K, ...).
    previous : Rows of Tensor (K, ...)
        The weights of the last finite loss, to which a diverged network returns.
    """

    def __init__(
        self,
        rnn: RNNTorch,
        losses: LossFunction,
        configs: Sequence[TrainingConfig],
        memory: RunMemory,
    ) -> None:
        self.rnn, self.losses, self.memory = rnn, losses, memory
        self.config = configs[0]
        self.params = dict(rnn.named_parameters())
        self.optimiser = Adam(
            list(self.params.values()),
            [c.learning_rate(rnn.n_units) for c in configs],
            [c.weight_decay for c in configs],
        )
        self._largest_norm = torch.tensor(
            [c.max_grad_norm for c in configs], dtype=rnn.dtype, device=rnn.device
        )
        self.dropout = UnitDropout(rnn, self.config) if self.config.dropout_rate else None
        self.previous = Rows.of(list(self.params.values()))
        self._in_passes = runs_on(self.previous.rows)

    @without_graph
    def step(self, batch: Batch, iteration: int, active: NDArray[np.bool_]) -> StepResult:
        """Do the optimiser step after ``iteration`` others, of the networks (K,) that are active.

        A network whose loss or gradient is not finite goes back to the weights of before the last
        step.
        """
        dropped = None if self.dropout is None else self.dropout.draw()
        with blas_on_one:  # once for all that is run forward and back
            descent = self.losses.descent(
                *batch,
                level=self.config.noise_level(iteration),
                dropout=dropped,
                task_safe=self.config.task_safe_gradients,
                with_norms=self.config.monitor,
                memory=self.memory,
            )
        if self.dropout is not None and self.dropout.observes:
            self.dropout.observe(descent.run.states)
        trains = torch.as_tensor(active, device=self.rnn.device)
        newly_diverged = self.follow(descent, trains)
        return StepResult(descent.total, descent.curves, newly_diverged.cpu().numpy())

    @without_graph
    def follow(
        self,
        descent: Descent,
        trains: Tensor,
        factors: tuple[Tensor, Tensor] | None = None,
    ) -> Tensor:
        """Take the step down a descent; return which networks (K,) diverged in it.

        Parameters
        ----------
        descent : Descent
        trains : Tensor (K,)
            Which networks still train; the others keep the weights of before the last step.
        factors : tuple of Tensor, optional
            As of `Adam.step`. Where they are given, nothing waits for the device.
        """
        loss, slopes = descent.total, descent.gradients
        norms = inner(slopes, slopes).sqrt()
        if factors is None and self._in_passes:
            return self._follow_in_passes(slopes, loss, norms, trains)
        healthy = torch.isfinite(loss) & torch.isfinite(norms)
        newly_diverged = trains & ~healthy
        frozen = ~(trains & healthy)
        rests = True if factors is not None else bool(frozen.any())
        scale = (self._largest_norm / norms.clamp_min(passes.LEAST_NORM)).clamp_max(1.0)
        if rests:  # a diverged network goes back to the weights of its last finite loss
            self.take_back(frozen)
        steps = slopes.with_rows(slopes.rows * scale[:, None])
        if rests:
            steps.rows.masked_fill_(frozen[:, None], 0.0)
        for p, previous in zip(self.params.values(), self.previous, strict=True):
            previous.copy_(p.detach())
        self.optimiser.step(steps, factors)
        self.rnn.enforce_constraints(self.optimiser)
        if rests:
            self.take_back(frozen)
        return newly_diverged

    def _follow_in_passes(
        self, slopes: Rows, loss: Tensor, norms: Tensor, trains: Tensor
    ) -> Tensor:
        """Do what `follow` does, on a CPU and to the same bits, almost without calling torch."""
        optimiser = self.optimiser
        optimiser.n_steps += 1
        factor, epsilon = optimiser.factors(optimiser.n_steps)
        weights = Rows.of(list(self.params.values()))
        rows, before = weights.rows.numpy(), self.previous.rows.numpy()
        first, second = (moment.rows.numpy() for moment in optimiser.moments)
        frozen, diverged = np.empty((2, len(rows)), np.bool_)
        passes.follow_gradients(
            loss.numpy(), norms.numpy(), trains.numpy(), self._largest_norm.numpy(),
            rows, before, slopes.rows.numpy(), first, second, optimiser.weight_decay.numpy(),
            BETA_1, BETA_2, frozen, diverged,
        )  # fmt: skip
        sizes = optimiser.moments[1].rows.sqrt().numpy()
        signs, mask, low, high, fixed, start = self.rnn.bounds()
        passes.step_within_bounds(
            rows, before, first, second, sizes, frozen, optimiser.lr.numpy(), factor, epsilon,
            signs, mask, NEARLY_ZERO, low, high, fixed, start,
        )  # fmt: skip
        for p, own in zip(self.params.values(), weights, strict=True):
            p.copy_(own)
        return torch.from_numpy(diverged)

    @without_graph
    def take_back(self, which: Tensor) -> None:
        """Restore the weights that networks (K,) had before the step."""
        for p, previous in zip(self.params.values(), self.previous, strict=True):
            p.copy_(torch.where(_each(which, p), previous, p))

    @without_graph
    def keep(self, which: Tensor) -> None:
        """Make the present weights of networks (K,) those that `take_back` restores."""
        for p, previous in zip(self.params.values(), self.previous, strict=True):
            previous[which] = p[which]

    def tensors(self) -> dict[str, Tensor]:
        """Return every tensor that a step changes, by name."""
        tensors: dict[str, Tensor] = {}
        for (name, p), previous in zip(self.params.items(), self.previous, strict=True):
            tensors |= {f"weights{name}": p, f"previous{name}": previous}
            for moment, tensor in self.optimiser.state[p].items():
                tensors[f"adam{name}.{moment}"] = tensor
        if self.dropout is not None:
            tensors["participation"] = self.dropout.participation
        return tensors

    def generators(self) -> dict[str, torch.Generator]:
        """Return every random generator of the networks, by name."""
        if self.dropout is None:
            return {}
        return {f"dropout.{i}": g for i, g in enumerate(self.dropout.generators)}


def _each(which: Tensor, like: Tensor) -> Tensor:
    """Return flags (K,) in the shape in which they stand beside a tensor (K, ...)."""
    return which.view(-1, *[1] * (like.ndim - 1))
