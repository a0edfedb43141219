"""One training step on each side, in PyTorch: ours, the textbook loop, and that loop compiled."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from math import log
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch._functorch import config as functorch_config

from models import RNNTorch, Trainer, TrainingConfig
from models.training.ahead import MOST_AT_ONCE

from .problem import (
    ALPHA,
    BLOCKS,
    MAX_GRAD_NORM,
    NEARLY_ZERO,
    RATE_CAP,
    RATE_POWER,
    RATE_TAU,
    RATE_WEIGHT,
    SPARSITY_WEIGHT,
    TARGET_DEGREE,
    WEIGHT_DECAY,
    Arrays,
    Problem,
    existing,
)

NO_CLIPPING = 1e9


class Unavailable(Exception):
    """A side that cannot be measured here, and why."""


class Peer:
    """One side of the comparison.

    Attributes
    ----------
    name : str
    work : str
        What its step does, for the page.
    buffers : int
        About how many arrays of all units, steps and trials a step holds at its peak.
    projects_alike : bool
        Whether its task-safe projection passes over weights that do not exist, as ours does.
    """

    name: ClassVar[str]
    work: ClassVar[str]
    buffers: ClassVar[int]
    projects_alike: ClassVar[bool] = True

    def __init__(self, problem: Problem) -> None:
        self.problem = problem

    @property
    def networks_per_step(self) -> int:
        """How many networks one call of `step` trains."""
        return self.problem.n_networks

    def prepare(self) -> None:
        """Make all that a step needs; `Unavailable` where that is not possible."""
        raise NotImplementedError

    def gradients(self, safe: bool) -> Arrays:
        """Return the gradients (n, ...) at the initial weights, noise off, before clipping."""
        raise NotImplementedError

    def step(self) -> None:
        """Do one whole training step."""
        raise NotImplementedError


class Ours(Peer):
    """The trainer of this project."""

    name = "ours"
    work = (
        "`models.Trainer`: noise of every input channel, unit and readout at every step; K "
        "networks are one batch, or with `--group G` batches of G, of which one is timed"
    )
    buffers = 9
    group: ClassVar[int | None] = None

    @property
    def networks_per_step(self) -> int:
        """All, or a group of them."""
        return min(self.problem.n_networks, self.group or self.problem.n_networks)

    def prepare(self) -> None:
        """Make the trainer."""
        self._trainer = self._make(noise=True, safe=True, monitor=True)

    def _make(self, noise: bool, safe: bool, monitor: bool, **changes: Any) -> Trainer:
        problem, config = self.problem, self.problem.network_config(noise)
        rnn = RNNTorch(
            [problem.connectivity_of(i) for i in range(self.networks_per_step)],
            config,
            device=problem.device,
        )
        training = TrainingConfig(
            max_grad_norm=MAX_GRAD_NORM,
            weight_decay=WEIGHT_DECAY,
            gpu_precision=problem.precision,
        )
        if problem.penalised:
            rates = {"cap_fr": RATE_CAP, "tau": RATE_TAU, "g_top": RATE_POWER, "g_bot": RATE_POWER}
            training = replace(
                training,
                task_safe_gradients=safe,
                penalties={
                    "rec_weights_sparsity": {
                        "weight": SPARSITY_WEIGHT,
                        "args": {"tg_deg": TARGET_DEGREE},
                    },
                    "fr_magnitude": {"weight": RATE_WEIGHT, "args": rates},
                },
                monitor=monitor,
            )
        return Trainer(rnn, problem.task(), replace(training, **changes))

    def gradients(self, safe: bool) -> Arrays:
        """Return what the first iteration follows."""
        trainer = self._make(noise=False, safe=safe, monitor=False, max_grad_norm=NO_CLIPPING)
        descent = trainer.losses.descent(*trainer.batches.next(), task_safe=safe)
        names = (name.lstrip("_") for name, _ in trainer.rnn.named_parameters())
        grads = dict(zip(names, descent.gradients, strict=True))
        return existing({name: grads[name].cpu() for name in BLOCKS}, self.problem)

    def step(self) -> None:
        """Do one iteration, on threads as `Trainer.run_training` does."""
        self.steps(1)

    def steps(self, number: int) -> None:
        """Do so many; a GPU is waited for as seldom as in a training."""
        trainer = self._trainer
        end = trainer.iteration + number
        with trainer._threads():
            while trainer.iteration < end and not trainer.is_over:
                trainer.advance(min(MOST_AT_ONCE, end - trainer.iteration))

    @property
    def is_captured(self) -> bool:
        """Whether iterations are replayed as CUDA graphs."""
        ahead = self._trainer.ahead
        return ahead is not None and ahead.iteration.is_captured


def advance(x: Tensor, drive: Tensor, transposed: Tensor) -> Tensor:
    """Return the states of the next step; ``drive`` holds the input and the noise of this one."""
    return x + ALPHA * (torch.baddbmm(drive, torch.relu(x), transposed) - x)


class Loop(Peer):
    """The textbook: a loop over time under autograd."""

    name = "loop"
    work = (
        "a textbook PyTorch loop under autograd, `baddbmm` over K networks; the inputs' part and "
        "all noise are made before the loop, the same draws as ours"
    )
    buffers = 12

    def prepare(self) -> None:
        """Make weights, batch and optimiser."""
        problem, device = self.problem, self.problem.device
        torch.manual_seed(0)

        def on_device(array: Any) -> Tensor:
            return torch.tensor(array, device=device)

        self._advance: Callable[[Tensor, Tensor, Tensor], Tensor] = advance
        self._weights = {k: on_device(problem.weights[k]).requires_grad_() for k in BLOCKS}
        self._masks = [on_device(problem.masks[k]) for k in BLOCKS]
        self._signs = [on_device(problem.signs[k]) for k in BLOCKS]
        self._inputs, self._targets = (
            on_device(a).movedim(0, -1).contiguous() for a in problem.batch
        )
        self._steps = on_device(problem.task().mask)
        self._params = list(self._weights.values())
        self._adam = torch.optim.Adam(
            self._params, lr=problem.learning_rate, weight_decay=WEIGHT_DECAY
        )

    def _simulate(self, noise: bool) -> tuple[Tensor, Tensor]:
        """Return rates (K, T, B, N) and outputs (K, T, B, n_outputs)."""
        problem, scales = self.problem, self.problem.noise_scales()
        w_rec, w_inp, w_out = (w.transpose(1, 2) for w in self._params)
        u = self._inputs.expand(problem.n_networks, *self._inputs.shape)
        if noise:
            u = u + scales["inp"] * torch.randn_like(u)
        drive = torch.bmm(u.flatten(1, 2), w_inp).view(*u.shape[:3], problem.n_units)
        if noise:
            drive = drive + scales["rec"] * torch.randn_like(drive)
        x = torch.zeros_like(drive[:, 0])
        states = [x]
        for step in drive.unbind(1)[:-1]:  # indexing would cost a whole array at each step back
            x = self._advance(x, step, w_rec)
            states.append(x)
        rates = torch.relu(torch.stack(states, dim=1))
        read = rates + scales["out"] * torch.randn_like(rates) if noise else rates
        outputs = torch.bmm(read.flatten(1, 2), w_out)
        return rates, outputs.view(*u.shape[:3], -1)

    def _terms(self, noise: bool) -> list[Tensor]:
        """Return the terms of the loss (K,), the task's first."""
        rates, outputs = self._simulate(noise)
        terms = [(outputs - self._targets)[:, self._steps].square().mean(dim=(1, 2, 3))]
        if self.problem.penalised:
            w = self._weights["W_rec"]
            support = w.abs().sum(2).square() / (w.square().sum(2) + 1e-12)
            over = torch.relu(support - TARGET_DEGREE).square().mean(1) / TARGET_DEGREE**2
            terms.append(SPARSITY_WEIGHT * over)
            cap, samples = self.problem.rate_cap, rates[0, ..., 0].numel()
            peak = RATE_TAU * (torch.logsumexp(rates / RATE_TAU, dim=(1, 2)) - log(samples))
            off = (torch.relu(peak - cap) / cap) ** RATE_POWER
            off = off + (torch.relu(cap - peak) / cap) ** RATE_POWER
            terms.append(RATE_WEIGHT * off.mean(1))
        return terms

    def _slopes(self, noise: bool, safe: bool) -> list[Tensor]:
        terms = self._terms(noise)
        each = []
        for i, term in enumerate(terms):
            keep = i < len(terms) - 1
            grads = torch.autograd.grad(
                term.sum(), self._params, retain_graph=keep, materialize_grads=True
            )
            each.append([g * m for g, m in zip(grads, self._masks, strict=True)])
        if len(each) == 1:
            return each[0]
        self.monitor = [product(g, g).sqrt() for g in each]
        task, penalty = each[0], [sum(blocks) for blocks in zip(*each[1:], strict=True)]
        inner = product(penalty, task)
        share = torch.where(inner < 0, inner / product(task, task), torch.zeros_like(inner))
        share = share * safe
        pairs = zip(task, penalty, strict=True)
        return [g + p - share.view(-1, 1, 1) * g for g, p in pairs]

    def gradients(self, safe: bool) -> Arrays:
        """Take the gradients once without noise."""
        slopes = self._slopes(noise=False, safe=safe)
        return existing({k: g.cpu() for k, g in zip(BLOCKS, slopes, strict=True)}, self.problem)

    def step(self) -> None:
        """Gradients, clipping, Adam, constraints."""
        slopes = self._slopes(noise=True, safe=True)
        scale = (MAX_GRAD_NORM / product(slopes, slopes).sqrt()).clamp_max(1.0).view(-1, 1, 1)
        for p, g in zip(self._params, slopes, strict=True):
            p.grad = g * scale
        self._adam.step()
        with torch.no_grad():
            for p, mask, sign in zip(self._params, self._masks, self._signs, strict=True):
                p.copy_(torch.where(p * sign < NEARLY_ZERO, sign * NEARLY_ZERO, p) * mask)
                for moment in ("exp_avg", "exp_avg_sq"):
                    self._adam.state[p][moment].mul_(mask)


def product(a: list[Tensor], b: list[Tensor]) -> Tensor:
    """Return the inner product of each network's gradients, (K,)."""
    return sum((x * y).flatten(1).sum(1) for x, y in zip(a, b, strict=True))  # type: ignore[return-value]


class Compiled(Loop):
    """That loop, its time step compiled."""

    name = "compile"
    work = (
        "the loop with `torch.compile` of one time step (compiled whole, the loop is unrolled T "
        "times, which takes minutes)"
    )
    buffers = 9

    def prepare(self) -> None:
        """Compile for these shapes."""
        super().prepare()
        torch.compiler.reset()
        if self.problem.penalised:  # several gradients of one graph want its buffers more than once
            functorch_config.donated_buffer = False
        self._advance = torch.compile(advance, dynamic=False, fullgraph=True)
        first = self._params[0]
        x = first.new_zeros(len(first), self.problem.n_trials, self.problem.n_units)
        try:
            self._advance(x, x, first.transpose(1, 2)).sum().backward()
        except Exception as error:  # no compiler, no Triton, or a version it does not support
            reason = (str(error).strip().splitlines() or [""])[0]
            raise Unavailable(f"torch.compile failed: {type(error).__name__}: {reason}") from error
        first.grad = None
