"""One run of K networks: noise, dropout, trajectories, and gradients back."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from tasks_lib.errors import ParameterError

from ..engine import (
    Buffers,
    Cotangent,
    Simulation,
    SlicedSimulation,
    Statistic,
    Weights,
    simulate,
    simulate_sliced,
)
from ..formulas.equations import Equation
from ..machine.torch_modes import without_graph
from .connectivity import WEIGHTS
from .dropout_mask import DropoutMask
from .noise_draws import NoiseDraws, ReadoutNoise


@dataclass(frozen=True, eq=False)
class RunMemory:
    """What memory a run uses.

    Attributes
    ----------
    buffers : Buffers, optional
        Memory to use; the next run with it overwrites this one's.
    trials_at_once : int, optional
        Trials whose trajectories are in memory at a time, where those of all are too many:
        none are then kept, and gradients run the trials again.
    """

    buffers: Buffers | None = None
    trials_at_once: int | None = None


@dataclass(frozen=True)
class Run:
    """A simulated run of K networks: trajectories, and gradients with respect to the weights.

    Attributes
    ----------
    simulation : Simulation or SlicedSimulation
        The trajectories, or what is left of those that were too long to keep.
    outputs : Tensor (K, T, B, O)
        With the noise of the readout.
    readout_noise : ReadoutNoise, optional
    dropout : DropoutMask, optional
    """

    simulation: Simulation | SlicedSimulation
    outputs: Tensor
    readout_noise: ReadoutNoise | None
    dropout: DropoutMask | None

    @property
    def states(self) -> Tensor:
        """States (K, T, B, N), before each update.

        Raises
        ------
        ParameterError
            Where they were not kept, because they are too many.
        """
        if isinstance(self.simulation, SlicedSimulation):
            raise ParameterError(
                "trials_at_once",
                self.simulation.trials_at_once,
                "trajectories were not kept, and something asks for them",
                "train on smaller batches",
            )
        return self.simulation.states

    @property
    def is_sliced(self) -> bool:
        """Whether trajectories were not kept."""
        return isinstance(self.simulation, SlicedSimulation)

    def effective_gradients(self, cotangents: Sequence[Cotangent]) -> list[Weights]:
        """Return the gradients by the effective weights of each loss, in one pass."""
        found = self.simulation.pull_back(cotangents)
        return [self._with_readout(g, c) for g, c in zip(found, cotangents, strict=True)]

    def _with_readout(self, gradient: Weights, cotangent: Cotangent) -> Weights:
        if self.readout_noise is not None:
            more = self.readout_noise.gradient(cotangent.outputs)
            gradient = replace(gradient, W_out=gradient.W_out + more)
        return gradient if self.dropout is None else self.dropout.applied_to(gradient)

    def input_gradient(self, cotangent: Cotangent) -> Tensor:
        """Return the gradient by the inputs, (K, T, B, M)."""
        return self.simulation.pull_back_to_inputs(cotangent)


@without_graph
def run_networks(
    equation: Equation,
    weights: Weights,
    inputs: Tensor,
    noise: NoiseDraws,
    dropout: DropoutMask | None,
    statistics: Sequence[Statistic],
    memory: RunMemory,
    back_end: str | None = None,
) -> Run:
    """Run K networks from their effective weights and inputs (K, T, B, M), linked to no graph."""
    n_steps, n_trials = inputs.shape[1:3]
    weights = Weights(*(w.detach() for w in weights))
    if dropout is not None:
        weights = dropout.applied_to(weights)
    inputs = noise.on_inputs(inputs)
    units = noise.of_units(n_steps, n_trials, weights.W_rec.shape[-1])
    readout = noise.of_readout(n_steps, n_trials, weights.W_out)
    simulation: Simulation | SlicedSimulation
    if memory.trials_at_once is None or memory.trials_at_once >= n_trials:
        simulation = simulate(
            equation, weights, inputs, units, statistics, back_end, buffers=memory.buffers
        )
    else:
        simulation = simulate_sliced(
            equation, weights, inputs, units, statistics, back_end,
            buffers=memory.buffers, trials_at_once=memory.trials_at_once,
        )  # fmt: skip
    outputs = simulation.outputs
    if readout is not None:
        outputs = outputs + readout.reaches(weights.W_out)
    return Run(simulation, outputs, readout, dropout)


def differentiable_run(
    run: Callable[[Tensor], Run], weights: Weights, u: Tensor
) -> tuple[Tensor, Tensor]:
    """Return states and outputs of a run, linked to the graph of the weights and inputs.

    Parameters
    ----------
    run : callable
        Runs the networks with these weights on inputs.
    weights : Weights
        Effective weights of K networks.
    u : Tensor (T, B, M) or (K, T, B, M)
    """
    tracked = (*weights, u) if torch.is_grad_enabled() else ()
    if not any(tensor.requires_grad for tensor in tracked):
        found = run(u)
        return found.states, found.outputs
    states, outputs = _Node.apply(*weights, u, run)  # type: ignore[no-untyped-call]
    return states, outputs


class _Node(torch.autograd.Function):
    """A run as one node of the graph, from the effective weights and the inputs."""

    @staticmethod
    def forward(ctx: Any, *arguments: Any) -> tuple[Tensor, Tensor]:
        *tensors, run_on = arguments
        u = tensors[-1]
        run: Run = run_on(u.detach())
        ctx.run, ctx.shape = run, u.shape
        # Saved so that torch notices where they change before the way back: the run shares them.
        ctx.save_for_backward(*tensors)
        # What leaves the node is not the run's own: a change in place would spoil the gradients.
        return run.states.clone(), run.outputs.clone()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Any) -> Any:
        _ = ctx.saved_tensors
        states, outputs = gradients
        (found,) = ctx.run.effective_gradients([Cotangent(outputs.contiguous(), states)])
        onto_inputs = None
        if ctx.needs_input_grad[len(WEIGHTS)]:
            onto = ctx.run.input_gradient(Cotangent(outputs.contiguous(), states))
            onto_inputs = onto if len(ctx.shape) == 4 else onto.sum(dim=0)
        return (*found, onto_inputs, None)
