"""The loss of K networks: the task's error and the penalties on what they did."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from . import penalties as penalty_registry
from .rnn_torch import RNNTorch


@dataclass(frozen=True)
class Losses:
    """Losses of K networks in one iteration.

    Attributes
    ----------
    task : Tensor (K,)
        Masked mean squared error.
    penalty : Tensor (K,)
        Weighted sum of the penalties.
    by_trial : Tensor (K, B)
        Masked mean squared error of each trial.
    rates : Tensor (K, T, B, N)
        Firing rates.
    """

    task: Tensor
    penalty: Tensor
    by_trial: Tensor
    rates: Tensor

    @property
    def total(self) -> Tensor:
        """Task and penalties together, (K,)."""
        return self.task + self.penalty


class LossFunction:
    """Runs K networks on a batch and takes their losses.

    Parameters
    ----------
    rnn : RNNTorch
    mask : Tensor
        Indices of the steps that count.
    penalties : dict
        Penalty name -> {"weight": lambda, "args": {...}}.
    """

    def __init__(self, rnn: RNNTorch, mask: Tensor, penalties: dict[str, dict[str, Any]]) -> None:
        self.rnn = rnn
        self.mask = mask
        self.penalties = [
            (penalty_registry.get(name), spec["weight"], spec["args"])
            for name, spec in penalties.items()
            if spec["weight"] > 0
        ]

    def __call__(
        self,
        u: Tensor,
        t: Tensor,
        noise: bool,
        level: float = 1.0,
        kept: Tensor | None = None,
        dead: bool = False,
    ) -> Losses:
        """Return the losses on inputs u (..., T, B, n_inputs) and targets t (..., n_outputs).

        Other arguments are those of `RNNTorch.simulate`.
        """
        states, outputs = self.rnn.simulate(u, noise, level, kept, dead)
        error = (outputs - t)[:, self.mask]
        by_trial = error.square().mean(dim=(1, 3))
        task_loss = by_trial.mean(dim=1)
        rates = self.rnn.equation.rates(states)
        if not self.penalties:
            return Losses(task_loss, torch.zeros_like(task_loss), by_trial, rates)
        if kept is not None and dead:  # a dead unit is silent to the penalties too
            alive = (kept > 0)[:, None, None, :]
            states, rates = states * alive, rates * alive
        inputs, targets = u.expand(len(states), *u.shape[-3:]), t.expand_as(outputs)
        rows: list[Tensor] = []
        for i in range(len(states)):
            context = self._context(i, states, rates, outputs, inputs, targets)
            terms = [weight * f(context, **args) for f, weight, args in self.penalties]
            rows.append(torch.stack(terms).sum())
        return Losses(task_loss, torch.stack(rows), by_trial, rates)

    def _context(
        self, i: int, states: Tensor, rates: Tensor, outputs: Tensor, u: Tensor, t: Tensor
    ) -> penalty_registry.PenaltyContext:
        rnn = self.rnn
        return penalty_registry.PenaltyContext(
            states=states[i].movedim(-1, 0),
            rates=rates[i].movedim(-1, 0),
            outputs=outputs[i].movedim(-1, 0),
            inputs=u[i].movedim(-1, 0),
            targets=t[i].movedim(-1, 0),
            W_rec=rnn.effective("W_rec")[i],
            W_inp=rnn.effective("W_inp")[i],
            W_out=rnn.effective("W_out")[i],
            b_rec=rnn.effective("b_rec")[i],
            dale=rnn.dale,
            exc_to_inh_ratio=rnn.exc_to_inh_ratio,
            equation_type=rnn.equation.equation_type,
            n_units=rnn.n_units,
            mask=self.mask,
        )


def gradients(losses: Losses, rnn: RNNTorch, task_safe: bool) -> list[Tensor]:
    """Return the gradients of the losses, the penalties' part never against the task's if safe.

    Networks share no weights, so that the gradient of the sum is that of each. Weights that do not
    exist have none: they neither conflict nor count in the norm.
    """
    params = list(rnn.parameters())
    if not (task_safe and losses.penalty.requires_grad):
        return rnn.of_existing(torch.autograd.grad(losses.total.sum(), params))
    # allow_unused: a penalty may not depend on every block of weights.
    wrt_task = torch.autograd.grad(losses.task.sum(), params, retain_graph=True)
    wrt_penalty = torch.autograd.grad(losses.penalty.sum(), params, allow_unused=True)
    filled = [
        torch.zeros_like(p) if g is None else g for p, g in zip(params, wrt_penalty, strict=True)
    ]
    task = rnn.of_existing(wrt_task)
    safe = remove_conflict(task, rnn.of_existing(filled))
    return [g_task + g_penalty for g_task, g_penalty in zip(task, safe, strict=True)]


def remove_conflict(wrt_task: list[Tensor], wrt_penalty: list[Tensor]) -> list[Tensor]:
    """Project out of the penalties' gradient its component against the task's gradient.

    Where their inner product <p, g>, over all blocks of one network, is negative, p becomes
    p - g <p, g> / <g, g>; elsewhere it stays. The first axis of each block is the network.
    """
    pairs = list(zip(wrt_penalty, wrt_task, strict=True))
    inner = torch.stack([(p * g).flatten(1).sum(1) for p, g in pairs]).sum(0)
    square = torch.stack([(g * g).flatten(1).sum(1) for g in wrt_task]).sum(0)
    share = torch.where(inner < 0, inner / square.clamp_min(1e-30), torch.zeros_like(inner))
    return [p - share.view(-1, *[1] * (p.ndim - 1)) * g for p, g in pairs]
