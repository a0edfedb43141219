"""Backpropagation through time, written by hand.

The time loop runs outside autograd: the forward pass stores the states and the argument of f, the
backward pass is one loop of the adjoint equation, and the gradients of the weights are single
large products over all steps and trials. Layout: (K, T, B, N) for K networks, so that each
network's steps and trials are the rows of one matrix.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from torch import Tensor

from .equations import Equation


def _affine(transposed: Tensor, drive: Tensor, v: Tensor) -> Tensor:
    return torch.baddbmm(drive, v, transposed)


class _Dynamics(torch.autograd.Function):
    """States of K networks from their recurrent weights, drive and initial states."""

    @staticmethod
    def forward(
        ctx: Any,
        W_rec: Tensor,
        drive: Tensor,
        x_init: Tensor,
        noise: Tensor | None,
        equation: Equation,
    ) -> Tensor:
        n_networks, n_steps, n_trials, n_units = drive.shape
        transposed = W_rec.transpose(1, 2)
        states = drive.new_empty(n_networks, n_steps, n_trials, n_units)
        states[:, 0] = x_init
        keeps_argument = equation.equation_type == "s"
        arguments = torch.empty_like(states) if keeps_argument else states
        for t in range(n_steps - 1):
            field, argument = equation.field(
                states[:, t],
                partial(_affine, transposed, drive[:, t]),
                None if noise is None else noise[:, t],
            )
            if keeps_argument:
                arguments[:, t] = argument
            torch.add(states[:, t], field, alpha=equation.alpha, out=states[:, t + 1])
        ctx.save_for_backward(W_rec, states, arguments)
        ctx.equation = equation
        return states

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> Any:
        (gradient,) = gradients
        W_rec, states, arguments = ctx.saved_tensors
        eq: Equation = ctx.equation
        alpha, form_s = eq.alpha, eq.equation_type == "s"
        n_steps = states.shape[1]
        # The last input drives no reported state, so its column stays zero.
        drive_gradient = torch.zeros_like(states)
        adjoint = gradient[:, -1].clone()
        for t in range(n_steps - 2, -1, -1):
            gain = eq.activation.df(arguments[:, t])
            direct = (1.0 + alpha * eq.leak(states[:, t])) * adjoint
            delta = drive_gradient[:, t]
            torch.mul(adjoint, alpha, out=delta)
            if form_s:
                delta *= gain
                adjoint = torch.baddbmm(direct, delta, W_rec)
            else:
                adjoint = direct + gain * torch.bmm(delta, W_rec)
            adjoint += gradient[:, t]
        presynaptic = eq.rates(states).flatten(1, 2)
        weight_gradient = drive_gradient.flatten(1, 2).transpose(1, 2) @ presynaptic
        return weight_gradient, drive_gradient, adjoint, None, None


def run_dynamics(
    W_rec: Tensor, drive: Tensor, x_init: Tensor, noise: Tensor | None, equation: Equation
) -> Tensor:
    """Simulate K networks, differentiably.

    Parameters
    ----------
    W_rec : Tensor (K, N, N)
        Recurrent weights.
    drive : Tensor (K, T, B, N)
        W_inp (u + input noise) + b_rec.
    x_init : Tensor (K, B, N)
        Initial states.
    noise : Tensor (K, T, B, N) or None
        Recurrent noise, scaled.
    equation : Equation
        The dynamics.

    Returns
    -------
    Tensor (K, T, B, N)
        States before each update.
    """
    return _Dynamics.apply(W_rec, drive, x_init, noise, equation)  # type: ignore[no-any-return,no-untyped-call]
