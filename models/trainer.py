"""Training K networks of one shape together."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from tasks_lib import Task
from tasks_lib.errors import ParameterError

from . import penalties as penalty_registry
from .config import NetworkConfig, TrainingConfig
from .connectivity import stream
from .rnn_torch import RNNTorch
from .scores import r2_pooled

SINGLE_THREAD_UNITS = 64
Progress = Callable[[int, int, float], None]  # iteration, of how many, mean loss


@dataclass(frozen=True)
class TrainedNetwork:
    """One network after its training.

    Attributes
    ----------
    seed : int
    status : {"finished", "diverged"}
        Diverged: loss or gradient stopped being finite; weights are the last finite ones.
    iterations : int
        Optimiser steps that its weights have seen.
    loss : float
        Loss of the last finite iteration.
    r2 : float or None
        Noise-free pooled R^2 on the task's batch.
    weights : dict
        W_rec, W_inp, W_out, b_rec, x_init as NumPy arrays.
    loss_curve : array (iterations,)
        Loss of each iteration, in order.
    """

    seed: int
    status: str
    iterations: int
    loss: float
    r2: float | None
    weights: dict[str, NDArray[Any]]
    loss_curve: NDArray[np.float32]


@dataclass(frozen=True)
class CohortResult:
    """What `train_cohort` returns: the networks, in the order of their seeds, and the cost."""

    networks: list[TrainedNetwork]
    device: str
    seconds: float


class Trainer:
    """Trains the networks of an `RNNTorch` on a task.

    Parameters
    ----------
    rnn : RNNTorch
        One network or K networks.
    task : Task or sequence of K Tasks
        The task. With ``same_batch=False`` every network draws its batches from its own copy.
    config : TrainingConfig, optional
        How to train.
    """

    def __init__(
        self, rnn: RNNTorch, task: Task | Sequence[Task], config: TrainingConfig | None = None
    ) -> None:
        self.rnn = rnn
        self.tasks = [task] * rnn.n_networks if isinstance(task, Task) else list(task)
        if len(self.tasks) != rnn.n_networks:
            raise ParameterError(
                "task", len(self.tasks), f"there are {rnn.n_networks} networks", "give one for each"
            )
        self.config = config or TrainingConfig()
        first = self.tasks[0]
        for field in ("n_inputs", "n_outputs"):
            if getattr(first, field) != getattr(rnn, field):
                raise ParameterError(
                    field,
                    getattr(rnn, field),
                    f"the task has {getattr(first, field)}",
                    "make the network with the task's numbers",
                )
        self.mask = torch.as_tensor(first.mask, device=rnn.device)
        self.optimizer = torch.optim.Adam(
            rnn.parameters(),
            lr=self.config.learning_rate(rnn.n_units),
            weight_decay=self.config.weight_decay,
        )
        self.penalties = [
            (name, penalty_registry.get(name), spec["weight"], spec["args"])
            for name, spec in self.config.penalties.items()
            if spec["weight"] > 0
        ]
        self.active = torch.ones(rnn.n_networks, dtype=torch.bool, device=rnn.device)
        self.rnn.enforce_constraints()
        # The weights of the last finite loss, to which a diverged network returns.
        self._previous = [p.detach().clone() for p in rnn.parameters()]

    # Single steps ------------------------------------------------------------------------------

    def train_step(
        self, input_batch: ArrayLike | Tensor, target_batch: ArrayLike | Tensor
    ) -> tuple[Tensor, Tensor]:
        """Return the loss, linked to the graph, and the loss of each trial.

        Parameters
        ----------
        input_batch : array (n_inputs, T, B)
        target_batch : array (n_outputs, T, B)

        Returns
        -------
        loss : Tensor, scalar or (K,)
            Masked mean squared error plus weighted penalties, with noise.
        trial_losses : Tensor (B,) or (K, B)
            Mean squared error of each trial.
        """
        u, t = self.rnn.to_internal(input_batch), self.rnn.to_internal(target_batch)
        task_loss, penalty_loss, by_trial = self._losses(u, t, noise=True)
        return self.rnn._public(task_loss + penalty_loss), self.rnn._public(by_trial)

    @torch.no_grad()
    def eval_step(
        self, input_batch: ArrayLike | Tensor, target_batch: ArrayLike | Tensor, noise: bool = False
    ) -> Tensor:
        """Return the loss detached from the graph, noise-free by default; scalar or (K,)."""
        u, t = self.rnn.to_internal(input_batch), self.rnn.to_internal(target_batch)
        task_loss, penalty_loss, _ = self._losses(u, t, noise)
        return self.rnn._public(task_loss + penalty_loss)

    def run_training(self, progress: Progress | None = None) -> list[TrainedNetwork]:
        """Train, and return every network.

        Parameters
        ----------
        progress : callable, optional
            Called as ``progress(iteration, max_iter, mean_loss)`` after every iteration.
        """
        k, max_iter = self.rnn.n_networks, self.config.max_iter
        curves: list[Tensor] = []
        iterations = np.full(k, max_iter)
        inputs, targets = self._draw()
        for i in range(max_iter):
            if i and not self.config.same_batch:
                inputs, targets = self._draw()
            loss, diverged = self._iterate(inputs, targets, self.config.noise_level(i))
            curves.append(loss)
            if diverged is not None:
                iterations[diverged.cpu().numpy()] = max(i - 1, 0)
                if not bool(self.active.any()):
                    break
            if progress is not None:
                progress(i + 1, max_iter, float(loss[self.active].mean()))
        curve = torch.stack(curves, dim=1).cpu().numpy().astype(np.float32)
        scores = self._final_r2()
        networks = []
        for index, seed in enumerate(self.rnn.seeds):
            finished = bool(self.active[index])
            finite = curve[index][np.isfinite(curve[index])]
            networks.append(
                TrainedNetwork(
                    seed=seed,
                    status="finished" if finished else "diverged",
                    iterations=int(iterations[index]),
                    loss=float(finite[-1]) if finite.size else float("nan"),
                    r2=scores[index],
                    weights=self.rnn.weights(index),
                    loss_curve=finite,
                )
            )
        return networks

    # Inside ------------------------------------------------------------------------------------

    def _draw(self) -> tuple[Tensor, Tensor]:
        """Return a batch in the internal layout; (K, ...) where networks draw their own."""
        if all(task is self.tasks[0] for task in self.tasks):
            inputs, targets, _ = self.tasks[0].get_batch()
        else:
            batches = [task.get_batch() for task in self.tasks]
            inputs = np.stack([b[0] for b in batches])
            targets = np.stack([b[1] for b in batches])
        return self.rnn.to_internal(inputs), self.rnn.to_internal(targets)

    def _losses(
        self, u: Tensor, t: Tensor, noise: bool, level: float = 1.0
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Return task loss (K,), penalties (K,) and task loss of each trial (K, B)."""
        states, outputs = self.rnn.simulate(u, noise, level)
        error = (outputs - t)[:, self.mask]
        by_trial = error.square().mean(dim=(1, 3))
        task_loss = by_trial.mean(dim=1)
        if not self.penalties:
            return task_loss, torch.zeros_like(task_loss), by_trial
        inputs, targets = u.expand(len(states), *u.shape[-3:]), t.expand_as(outputs)
        rates = self.rnn.equation.rates(states)
        rows = [
            sum(
                (weight * f(self._context(i, states, rates, outputs, inputs, targets), **args))
                for _, f, weight, args in self.penalties
            )
            for i in range(len(states))
        ]
        return task_loss, torch.stack(rows), by_trial  # type: ignore[arg-type]

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

    def _iterate(self, u: Tensor, t: Tensor, level: float) -> tuple[Tensor, Tensor | None]:
        """Do one optimiser step; return the loss (K,) and which networks diverged in it, if any."""
        params = list(self.rnn.parameters())
        self.optimizer.zero_grad(set_to_none=False)
        task_loss, penalty_loss, _ = self._losses(u, t, noise=True, level=level)
        loss = task_loss + penalty_loss
        self._backward(task_loss, penalty_loss, params)
        norms = torch.sqrt(sum(p.grad.flatten(1).square().sum(1) for p in params))  # type: ignore[union-attr,misc,arg-type]
        healthy = torch.isfinite(loss) & torch.isfinite(norms)
        newly = self.active & ~healthy
        diverged = newly if bool(newly.any()) else None
        scale = (self.config.max_grad_norm / norms.clamp_min(1e-30)).clamp_max(1.0)
        with torch.no_grad():
            if diverged is not None:  # back to the weights of the last finite loss, and stay there
                self._restore(params, ~healthy)
                self.active &= healthy
            frozen = None if bool(self.active.all()) else ~self.active
            for p, previous in zip(params, self._previous, strict=True):
                p.grad *= scale.view(-1, *[1] * (p.ndim - 1))  # type: ignore[operator]
                if frozen is not None:
                    p.grad[frozen] = 0.0  # type: ignore[index]
                    previous[~frozen] = p[~frozen]
                else:
                    previous.copy_(p)
        self.optimizer.step()
        self.rnn.enforce_constraints(self.optimizer)
        if frozen is not None:
            self._restore(params, frozen)
        return loss.detach(), diverged

    @torch.no_grad()
    def _restore(self, params: list[torch.nn.Parameter], which: Tensor) -> None:
        for p, previous in zip(params, self._previous, strict=True):
            p[which] = previous[which]

    def _backward(
        self, task_loss: Tensor, penalty_loss: Tensor, params: list[torch.nn.Parameter]
    ) -> None:
        if not (self.config.task_safe_gradients and self.penalties):
            (task_loss + penalty_loss).sum().backward()  # type: ignore[no-untyped-call]
            return
        # allow_unused: a penalty may not depend on every block of weights.
        wrt_task = torch.autograd.grad(task_loss.sum(), params, retain_graph=True)
        wrt_penalty = torch.autograd.grad(penalty_loss.sum(), params, allow_unused=True)
        safe = remove_conflict(
            list(wrt_task),
            [
                torch.zeros_like(p) if g is None else g
                for p, g in zip(params, wrt_penalty, strict=True)
            ],
        )
        for p, g_task, g_penalty in zip(params, wrt_task, safe, strict=True):
            p.grad = g_task + g_penalty

    def _final_r2(self) -> list[float | None]:
        """Noise-free pooled R^2 of each network on the batch that a fresh task draws."""
        for task in self.tasks:
            task.reset()
        with torch.no_grad():
            inputs, targets = self._draw()
            _, outputs = self.rnn.simulate(inputs, noise=False)
        wanted = targets.expand_as(outputs)
        scores = []
        for y, t in zip(outputs, wanted, strict=True):
            predicted, target = (a.movedim(-1, 0).double().cpu().numpy() for a in (y, t))
            score = r2_pooled(predicted, target, self.tasks[0].mask)
            scores.append(score if score is not None and np.isfinite(score) else None)
        return scores


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


def default_device() -> str:
    """Return "cuda" where there is a GPU, else "cpu"."""
    return "cuda" if torch.cuda.is_available() else "cpu"


def train_cohort(
    task: Callable[[int], Task] | Task,
    network: NetworkConfig,
    training: TrainingConfig,
    seeds: Sequence[int],
    device: str | None = None,
    progress: Progress | None = None,
    dtype: torch.dtype = torch.float32,
) -> CohortResult:
    """Train networks that are alike but for their seed.

    On a GPU all networks are one batched computation. On a CPU they are trained one after the
    other: there a batch of them gains nothing, and alone each is bit-identical whatever its
    companions.

    Parameters
    ----------
    task : Task, or callable seed -> Task
        A callable makes the task that a network draws its batches from; it is called with a seed
        derived from the network's. A Task is reset and used for every network.
    network, training : NetworkConfig, TrainingConfig
    seeds : sequence of int
        One for each network.
    device : str, optional
        A torch device; the GPU where there is one.
    progress : callable, optional
        Called as ``progress(step, n_steps, mean_loss)``, counted over the whole cohort.
    """
    chosen = device or default_device()
    started = time.perf_counter()
    groups = [[s] for s in seeds] if torch.device(chosen).type == "cpu" else [list(seeds)]
    networks: list[TrainedNetwork] = []
    with _threads_for(network, chosen):
        for number, group in enumerate(groups):
            tasks = [_task_of(task, seed) for seed in group]
            rnn = RNNTorch.from_config(
                network, tasks[0].n_inputs, tasks[0].n_outputs, group, chosen, dtype
            )

            def report(step: int, n_steps: int, loss: float, done: int = number) -> None:
                if progress is not None:
                    progress(done * n_steps + step, len(groups) * n_steps, loss)

            networks += Trainer(rnn, tasks, training).run_training(report)
    return CohortResult(networks, chosen, time.perf_counter() - started)


@contextmanager
def _threads_for(network: NetworkConfig, device: str) -> Iterator[None]:
    """Use one thread on a CPU for networks whose steps are too short to share.

    Threads that wait for each other at every step cost more than they bring, and many times more
    where other processes want the same cores.
    """
    before = torch.get_num_threads()
    if torch.device(device).type == "cpu" and network.n_units <= SINGLE_THREAD_UNITS:
        torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _task_of(task: Callable[[int], Task] | Task, seed: int) -> Task:
    if isinstance(task, Task):
        task.reset()
        return task
    return task(int(stream(seed, "task").generate_state(1)[0]))
