"""The loss of K networks: the task's error and the penalties on what they did."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import reduce
from operator import add
from typing import cast

import torch
from torch import Tensor

from ..engine import Cotangent, Statistic, Weights
from ..network.by_network import inner
from ..network.dropout_mask import DropoutMask
from ..network.noise import AnyNoise, RunNoise
from ..network.rnn_torch import RNNTorch
from ..network.run import Run, RunMemory
from ..penalties import PenaltyContext, PenaltyTerm
from .config import TASK_TERM as TASK
from .pulled import Pulled, added, collected, remove_conflict
from .task_error import TaskErrors
from .trajectories import NotKept, refuse_trajectories


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
    gradients : list of Tensor (K, ...)
        By the raw parameters, in their order; of what the step follows.
    norms : dict
        Name -> norm (K,) of the gradient of each term times its weight, where they were asked for.
    run : Run
        What the networks did.
    """

    total: Tensor
    terms: dict[str, Tensor]
    gradients: list[Tensor]
    norms: dict[str, Tensor]
    run: Run


@dataclass(frozen=True)
class _Term:
    penalty: PenaltyTerm
    weights: Tensor  # (K,), in the networks' precision
    belongs: tuple[bool, ...]  # (K,): whether it is a term of this network

    @property
    def name(self) -> str:
        return self.penalty.name


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
        self.terms = [
            _Term(penalty, weights, tuple((weights != 0).tolist()))
            for penalty in penalties
            if (weights := self._per_network(penalty.weights)).any()
        ]
        self.statistics = tuple(
            dict.fromkeys(s for term in self.terms for s in term.penalty.statistics)
        )

    @property
    def names(self) -> tuple[str, ...]:
        """Names of all terms."""
        return (TASK, *(term.name for term in self.terms))

    def names_of(self, index: int) -> tuple[str, ...]:
        """Return the names of the terms of one network, those without weight left out."""
        return (TASK, *(term.name for term in self.terms if term.belongs[index]))

    def _per_network(self, weights: Sequence[float]) -> Tensor:
        values = torch.as_tensor(weights, dtype=self.rnn.dtype, device=self.rnn.device)
        return values.expand(self.rnn.n_networks)

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
            own = [term for term in self.terms if term.belongs[i]]
            if not own:
                continue
            context = self._context(
                states[i], outputs[i], inputs[i], targets[i], Weights(*(w[i] for w in weights))
            )
            terms = [term.weights[i] * term.penalty(context) for term in own]
            rows[i] = torch.stack(terms).sum()
        return Losses(task_loss, torch.stack(rows), by_trial)

    @torch.no_grad()
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
        # What dead units send is silent to the penalties too, which the statistics do not know.
        silenced = dropout.factor if dropout is not None and dropout.dead else None
        asked = self.statistics if silenced is None else ()
        run = self.rnn.run(u, RunNoise(True, level), dropout, asked, memory)
        outputs = run.outputs
        error = self.errors(outputs, t)
        losses = {TASK: error.loss()}
        on_outputs = torch.zeros_like(outputs)
        on_outputs[:, self.mask] = error.slope()
        groups = self._pull_terms(run, asked, u, t, silenced, with_norms, losses)
        total = losses[TASK]
        for term in self.terms:
            total = total + term.weights * losses[term.name]

        task = Cotangent(on_outputs)
        active = [c for c, _ in groups if c is not None]
        if not (with_norms or (groups and task_safe)):
            # One adjoint for all.
            found = run.effective_gradients([added(task, *active)])
            gradient = self._raw(found[0], *(by_weights for _, by_weights in groups))
            return Descent(total, losses, gradient, {}, run)
        found = run.effective_gradients([task, *active])
        wrt_task, rest = self._raw(found[0]), iter(found[1:])
        by_group = [
            self._raw(*(() if c is None else (next(rest),)), by_weights) for c, by_weights in groups
        ]
        norms: dict[str, Tensor] = {}
        if with_norms:
            every = zip(self.names, (wrt_task, *by_group), strict=True)
            norms = {name: inner(g, g).sqrt() for name, g in every}
        if not by_group:
            return Descent(total, losses, wrt_task, norms, run)
        # One after the other: terms of its companions, 0 in a network, then change nothing.
        wrt_penalty = by_group[0]
        for more in by_group[1:]:
            wrt_penalty = [a + b for a, b in zip(wrt_penalty, more, strict=True)]
        if task_safe:
            wrt_penalty = remove_conflict(wrt_task, wrt_penalty)
        both = [g_task + g for g_task, g in zip(wrt_task, wrt_penalty, strict=True)]
        return Descent(total, losses, both, norms, run)

    def _raw(self, *gradients: Weights | None) -> list[Tensor]:
        """Return the sum of gradients by the effective weights as one by the raw parameters."""
        return self.rnn.raw_gradients(reduce(add, (g for g in gradients if g is not None)))

    def _pull_terms(
        self,
        run: Run,
        asked: Sequence[Statistic],
        u: Tensor,
        t: Tensor,
        silenced: Tensor | None,
        separately: bool,
        losses: dict[str, Tensor],
    ) -> list[tuple[Cotangent | None, Weights]]:
        """Take the penalties of every network; return what they send to activity and to weights.

        One pair for all of them, or one for each if ``separately``. The losses are put into
        ``losses``, without their weights; 0 where a term has no weight.
        """
        if not self.terms:
            return []
        rnn, k = self.rnn, self.rnn.n_networks
        groups = [[term] for term in self.terms] if separately else [self.terms]
        inputs, targets = u.expand(k, *u.shape[-3:]), t.expand_as(run.outputs)
        weights = rnn.effective_weights()
        for term in self.terms:
            losses[term.name] = run.outputs.new_zeros(k)

        def apart(own: Tensor) -> Tensor:
            return own.detach().clone() if k > 1 else own.detach()

        pulled: list[list[Pulled]] = [[] for _ in groups]  # of each group, of each network
        for i in range(k):
            # Of several networks all but the states, which begin on a cache line, are put into
            # memory of their own: BLAS rounds by where an array lies.
            # A penalty that names what it needs never asks for states that were not kept.
            kept_states = run.outputs.new_empty(0, 0, 0) if run.is_sliced else run.states[i]
            states = kept_states.detach().requires_grad_()
            outputs = apart(run.outputs[i]).requires_grad_()
            statistics = run.simulation.statistics[:, i].clone().requires_grad_()
            own = Weights(*(apart(w[i]).requires_grad_() for w in weights))
            leaves = (outputs, states, statistics, *own)
            with torch.enable_grad():
                context = self._context(
                    states, outputs, apart(inputs[i]), apart(targets[i]), own,
                    None if silenced is None else silenced[i] > 0,
                    dict(zip(asked, statistics.unbind(0), strict=True)),
                )  # fmt: skip
                if run.is_sliced:
                    context = replace(
                        context, states=cast(Tensor, NotKept()), rates_of=refuse_trajectories
                    )
                for group, received in zip(groups, pulled, strict=True):
                    total = self._add_terms(context, group, i, losses)
                    # A penalty may depend on any of the leaves, or on none: it is a constant then.
                    # Penalties share what the context makes once, such as the rates.
                    received.append(
                        torch.autograd.grad(total, leaves, allow_unused=True, retain_graph=True)
                        if total is not None and total.requires_grad
                        else (None,) * len(leaves)
                    )
        return [collected(received, run.outputs, weights) for received in pulled]

    @staticmethod
    def _add_terms(
        context: PenaltyContext,
        group: Sequence[_Term],
        network: int,
        losses: dict[str, Tensor],
    ) -> Tensor | None:
        """Return the weighted sum of the terms that a network has, if any, and note each."""
        total = None
        for term in group:
            if term.belongs[network]:
                value = term.penalty(context)
                losses[term.name][network] = value.detach()
                scaled = term.weights[network] * value
                total = scaled if total is None else total + scaled
        return total

    def _context(
        self,
        states: Tensor,
        outputs: Tensor,
        u: Tensor,
        t: Tensor,
        weights: Weights,
        alive: Tensor | None = None,
        statistics: dict[Statistic, Tensor] | None = None,
    ) -> PenaltyContext:
        """Return one network as penalties see it; arrays in the internal layout (T, B, ...)."""
        rnn = self.rnn
        x = states.movedim(-1, 0)
        heard = None if alive is None else alive[:, None, None]

        def rates() -> Tensor:
            r: Tensor = rnn.equation.rates(x)
            return r if heard is None else r * heard

        return PenaltyContext(
            states=x if heard is None else x * heard,
            rates_of=rates,
            outputs=outputs.movedim(-1, 0),
            inputs=u.movedim(-1, 0),
            targets=t.movedim(-1, 0),
            W_rec=weights.W_rec,
            W_inp=weights.W_inp,
            W_out=weights.W_out,
            b_rec=weights.b_rec,
            dale=rnn.dale,
            exc_to_inh_ratio=rnn.exc_to_inh_ratio,
            equation_type=rnn.equation.equation_type,
            n_units=rnn.n_units,
            mask=self.mask,
            statistics=statistics or {},
        )
