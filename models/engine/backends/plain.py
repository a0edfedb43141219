"""The time loops in torch: the reference for all other back ends, and the fallback."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import torch
from torch import Tensor

from ...formulas.equations import Equation
from .. import philox
from ..buffers import Buffers
from ..statistics import Statistic
from ..trajectory import Cotangent, RecurrentNoise, Trajectory
from ..weights import Weights
from .base import BackEnd, NetworkKind, onto_states, statistics_of


class Plain(BackEnd):
    """The reference back end in torch operations: every equation on every device."""

    name = "plain"
    can_be_captured = True

    def is_for(self, device: torch.device) -> bool:
        """Return True: it runs everywhere."""
        return True

    def supports(self, kind: NetworkKind) -> str | None:
        """Return None: it lacks nothing."""
        return None

    def forward(
        self,
        equation: Equation,
        weights: Weights,
        inputs: Tensor,
        noise: RecurrentNoise,
        asked: tuple[Statistic, ...],
        buffers: Buffers,
    ) -> Trajectory:
        """Run the networks; the noise of all steps is drawn before."""
        n = weights.n_units
        xi = None if noise.is_silent else _drawn(noise, inputs, n)
        states, arguments, outputs = forward(equation, weights, inputs, xi)
        values = statistics_of(equation, states, asked, n)
        return Trajectory(equation, weights, inputs, states, arguments, outputs, values, asked)

    def backward(self, run: Trajectory, cotangents: Sequence[Cotangent]) -> list[Weights]:
        """Return the gradients of each loss."""
        return self._propagated(run, cotangents)[0]

    def backward_to_inputs(self, run: Trajectory, cotangent: Cotangent) -> Tensor:
        """Return the gradient by the inputs, (K, T, B, M), of what any back end ran."""
        _, onto = self._propagated(run, [cotangent], with_inputs=True)
        assert onto is not None
        return onto[0]

    def _propagated(
        self, run: Trajectory, cotangents: Sequence[Cotangent], with_inputs: bool = False
    ) -> tuple[list[Weights], Tensor | None]:
        outputs = torch.stack([c.outputs for c in cotangents])
        return backward(
            run.equation, run.weights, run.inputs, run.states, run.arguments,
            outputs, onto_states(run, cotangents), with_inputs,
        )  # fmt: skip

    def arrays_held(self, equation: Equation, n_adjoints: int) -> float:
        """Return the arrays held: every intermediate, and noise drawn from words of 64 bits."""
        arrays = 5.0 + (equation.equation_type == "s")
        if equation.sigma_rec:
            arrays += 8.0
        return arrays + 2.0 * n_adjoints  # adjoints are kept, for products over all steps


def _drawn(noise: RecurrentNoise, like: Tensor, n_units: int) -> Tensor:
    if noise.given is not None:
        return noise.given
    shape = (like.shape[1], like.shape[2], n_units)
    draws = philox.normals(
        shape, noise.keys, noise.simulation, "rec", like.device, like.dtype,
        first_trial=noise.first_trial,
    )  # fmt: skip
    return draws * noise.scales_like(like)[:, None, None, None]


def _affine(transposed: Tensor, drive: Tensor, v: Tensor) -> Tensor:
    return torch.baddbmm(drive, v, transposed)


def forward(
    equation: Equation, weights: Weights, inputs: Tensor, noise: Tensor | None
) -> tuple[Tensor, Tensor | None, Tensor]:
    """Return states, arguments of f (form s) and outputs, see `models.engine.simulate`."""
    k, n_steps, n_trials, _ = inputs.shape
    n = weights.n_units
    drive = torch.baddbmm(
        weights.b_rec[:, None], inputs.flatten(1, 2), weights.W_inp.transpose(1, 2)
    ).view(k, n_steps, n_trials, n)
    transposed = weights.W_rec.transpose(1, 2)
    states = torch.empty_like(drive)
    states[:, 0] = weights.x_init[:, None]
    # The argument of f takes the place of the drive, which is needed no more.
    arguments = drive if equation.equation_type == "s" else None
    for t in range(n_steps - 1):
        field, argument = equation.field(
            states[:, t],
            partial(_affine, transposed, drive[:, t]),
            None if noise is None else noise[:, t],
        )
        if arguments is not None:
            arguments[:, t] = argument
        torch.add(states[:, t], field, alpha=equation.alpha, out=states[:, t + 1])
    outputs = torch.bmm(equation.rates(states).flatten(1, 2), weights.W_out.transpose(1, 2))
    return states, arguments, outputs.view(k, n_steps, n_trials, -1)


def backward(
    equation: Equation,
    weights: Weights,
    inputs: Tensor,
    states: Tensor,
    arguments: Tensor | None,
    on_outputs: Tensor,
    on_states: Tensor | None,
    with_inputs: bool = False,
) -> tuple[list[Weights], Tensor | None]:
    """Return the gradients of each adjoint, and those of the inputs, (A, K, T, B, M), if wanted."""
    n_adjoints = len(on_outputs)
    k, n_steps, n_trials, _ = states.shape
    alpha, form_s = equation.alpha, equation.equation_type == "s"
    rates = equation.rates(states)
    flat_rates, flat_inputs = rates.flatten(1, 2), inputs.flatten(1, 2)
    found: list[Weights] = []
    onto_inputs = []
    for a in range(n_adjoints):
        # The last input drives no reported state, so that its column stays zero.
        delta = torch.zeros_like(states)
        adjoint = torch.zeros_like(states[:, 0])
        for t in range(n_steps - 1, -1, -1):
            if t < n_steps - 1:
                torch.mul(adjoint, alpha, out=delta[:, t])
                if form_s:
                    assert arguments is not None
                    delta[:, t] *= equation.activation.df(arguments[:, t])
            onto_rates = torch.bmm(on_outputs[a, :, t], weights.W_out)
            onto_rates.baddbmm_(delta[:, t], weights.W_rec)
            if not form_s:
                onto_rates *= equation.activation.df(states[:, t])
            adjoint = (1.0 + alpha * equation.leak(states[:, t])) * adjoint + onto_rates
            if on_states is not None:
                adjoint += on_states[a, :, t]
        flat_delta = delta.flatten(1, 2)
        back = flat_delta.transpose(1, 2)
        found.append(
            Weights(
                W_rec=torch.bmm(back, flat_rates),
                W_inp=torch.bmm(back, flat_inputs),
                W_out=torch.bmm(on_outputs[a].flatten(1, 2).transpose(1, 2), flat_rates),
                b_rec=flat_delta.sum(dim=1),
                x_init=adjoint.sum(dim=1),
            )
        )
        if with_inputs:
            onto = torch.bmm(flat_delta, weights.W_inp)
            onto_inputs.append(onto.view(k, n_steps, n_trials, -1))
    return found, torch.stack(onto_inputs) if with_inputs else None
