"""The loss of K networks: the task's error and the penalties on what they did."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ..engine import Cotangent, Weights
from ..machine.torch_modes import without_graph
from ..network.by_network import inner
from ..network.dropout_mask import DropoutMask
from ..network.noise import AnyNoise, RunNoise
from ..network.rnn_torch import RNNTorch
from ..network.rows import Rows
from ..network.run import Run, RunMemory
from ..penalties import PenaltyTerm
from .config import TASK_TERM as TASK
from .pulled import Pulled, remove_conflict
from .seen import Trials
from .task_error import TaskErrors
from .terms import Terms


@dataclass(frozen=True)
class Losses:
    """Losses of K networks in one iteration, linked to the graph.

    Attributes
    ----------
    task : Tensor (K,)
        Masked mean squared error.
    penalty : Tensor (K,)
        Weighted sum of the penalties.
    by_trial : Tensor (K, B)
        Masked mean squared error of each trial.
    """

    task: Tensor
    penalty: Tensor
    by_trial: Tensor

    @property
    def total(self) -> Tensor:
        """Task and penalties together, (K,)."""
        return self.task + self.penalty


@dataclass(frozen=True)
class Descent:
    """Losses of K networks in one iteration and where they fall.

    Attributes
    ----------
    total : Tensor (K,)
        Task and weighted penalties.
    terms : dict
        Name -> loss (K,) before its weight: ``task`` and each penalty.
    gradients : Rows of Tensor (K, ...)
        By the raw parameters, in their order; of what the step follows.
    norms : dict
        Name -> norm (K,) of the gradient of each term times its weight, where they were asked for.
    run : Run
        What the networks did.
    """

    total: Tensor
    terms: dict[str, Tensor]
    gradients: Rows
    norms: dict[str, Tensor]
    run: Run

    @property
    def curves(self) -> dict[str, Tensor]:
        """What is recorded beside the total, by the names of `TrainingRecord`."""
        curves = {f"loss.{name}": value for name, value in self.terms.items()}
        return curves | {f"gradient.{name}": norm for name, norm in self.norms.items()}


@dataclass(frozen=True, eq=False)
class Started:
    """A run of K networks of which the task's loss has been taken.

    Attributes
    ----------
    trials : Trials
    loss : Tensor (K,)
        Of the task.
    slope : Cotangent
        Its gradient by the outputs.
    """

    trials: Trials
    loss: Tensor
    slope: Cotangent


class LossFunction:
    """Runs K networks on a batch and takes their losses.

    Parameters
    ----------
    rnn : RNNTorch
    mask : Tensor
        Indices of the steps that count.
    penalties : sequence of PenaltyTerm
        With one weight for all networks, or one for each.
    """

    def __init__(self, rnn: RNNTorch, mask: Tensor, penalties: Sequence[PenaltyTerm]) -> None:
        self.rnn = rnn
        self.mask = mask
        self.errors = TaskErrors(mask)
        self.terms = Terms(rnn, mask, penalties)

    @property
    def names(self) -> tuple[str, ...]:
        """Names of all terms."""
        return (TASK, *(term.name for term in self.terms.all))

    def names_of(self, index: int) -> tuple[str, ...]:
        """Return the names of the terms of one network, those without weight left out."""
        return (TASK, *(term.name for term in self.terms.all if term.belongs[index]))

    def __call__(self, u: Tensor, t: Tensor, noise: AnyNoise) -> Losses:
        """Return the losses on inputs u (..., T, B, n_inputs) and targets t (..., n_outputs)."""
        rnn = self.rnn
        states, outputs = rnn.simulate(u, noise)
        error = self.errors(outputs, t)
        by_trial, task_loss = error.by_trial(), error.loss()
        inputs, targets = u.expand(len(states), *u.shape[-3:]), t.expand_as(outputs)
        weights = rnn.effective_weights()
        rows = [torch.zeros_like(task_loss[0])] * len(states)
        for i in range(len(states)):
            own = [term for term in self.terms.all if term.belongs[i]]
            if not own:
                continue
            context = self.terms.through_autograd.context(
                states[i], outputs[i], inputs[i], targets[i], Weights(*(w[i] for w in weights))
            )
            terms = [term.weights[i] * term.penalty(context) for term in own]
            rows[i] = torch.stack(terms).sum()
        return Losses(task_loss, torch.stack(rows), by_trial)

    @without_graph
    def descent(
        self,
        u: Tensor,
        t: Tensor,
        level: float = 1.0,
        dropout: DropoutMask | None = None,
        task_safe: bool = False,
        with_norms: bool = False,
        memory: RunMemory | None = None,
    ) -> Descent:
        """Return the losses, with noise, and their gradients, in one run forward and one back.

        Parameters
        ----------
        u, t : Tensor
            Inputs (..., T, B, n_inputs) and targets (..., T, B, n_outputs), NaN where nothing is
            asked.
        level : float
            Factor on the noise (annealing).
        dropout, memory
            As of `RNNTorch.run`.
        task_safe : bool
            Remove from the penalties' gradient its component against the task's.
        with_norms : bool
            Return the norm of each term's gradient too. Every penalty on activity is then
            propagated by itself.
        """
        started = self.start(u, t, level, None, dropout, memory)
        pulled, values = self.terms.pull(started.trials, with_norms)
        return self.finish(started, pulled, values, task_safe, with_norms)

    def start(
        self,
        u: Tensor,
        t: Tensor,
        level: float | Tensor = 1.0,
        number: int | Tensor | None = None,
        dropout: DropoutMask | None = None,
        memory: RunMemory | None = None,
        errors: TaskErrors | None = None,
    ) -> Started:
        """Run the networks on a batch.

        Parameters
        ----------
        u, t, level, dropout, memory
            As of `descent`; ``level`` may lie in the memory of the device.
        number : int or Tensor, optional
            As of `RunNoise`.
        errors : TaskErrors, optional
            What takes the task's errors, in place of this function's own.
        """
        # What dead units send is silent to the penalties too, which the statistics do not know.
        silenced = dropout.factor if dropout is not None and dropout.dead else None
        asked = self.terms.statistics if silenced is None else ()
        run = self.rnn.run(u, RunNoise(True, level, number), dropout, asked, memory)
        loss, on_outputs = (errors or self.errors).loss_and_slope(run.outputs, t)
        inputs = u.expand(self.rnn.n_networks, *u.shape[-3:])
        trials = Trials(run, asked, inputs, t.expand_as(run.outputs), silenced)
        return Started(trials, loss, Cotangent(on_outputs))

    def finish(
        self,
        started: Started,
        pulled: Sequence[Pulled],
        values: Mapping[str, Tensor],
        task_safe: bool,
        with_norms: bool,
    ) -> Descent:
        """Return where losses fall, from the run and what `Terms.pull` made of it."""
        run, task = started.trials.run, started.slope
        losses = {TASK: started.loss, **{term.name: values[term.name] for term in self.terms.all}}
        total = started.loss
        for term in self.terms.all:
            total = total + term.weights * losses[term.name]
        if not (with_norms or (pulled and task_safe)):
            # One adjoint for all.
            joint = task
            for own in pulled:
                joint = own.added_to(joint)
            (propagated,) = run.effective_gradients([joint])
            for own in pulled:
                propagated = own.beside(propagated, propagated)
            return Descent(total, losses, self.rnn.raw_gradients(propagated), {}, run)
        arriving = [own.cotangent(run.outputs) for own in pulled if own.reaches_activity]
        found = run.effective_gradients([task, *arriving])
        rest = iter(found[1:])
        by_group = [
            own.beside(next(rest) if own.reaches_activity else None, found[0]) for own in pulled
        ]
        raw = self.rnn.raw_gradients_of([found[0], *by_group])
        wrt_task, *wrt_group = raw.each(1 + len(by_group))
        norms: dict[str, Tensor] = {}
        if with_norms:
            sizes = inner(raw, raw).sqrt().view(1 + len(by_group), -1)
            norms = dict(zip(self.names, sizes.unbind(0), strict=True))
        if not wrt_group:
            return Descent(total, losses, wrt_task, norms, run)
        # One after the other: terms of its companions, 0 in a network, then change nothing.
        wrt_penalty = wrt_group[0]
        for more in wrt_group[1:]:
            wrt_penalty = wrt_penalty.with_rows(wrt_penalty.rows + more.rows)
        if task_safe:
            wrt_penalty = remove_conflict(wrt_task, wrt_penalty)
        both = wrt_task.with_rows(wrt_task.rows + wrt_penalty.rows)
        return Descent(total, losses, both, norms, run)
