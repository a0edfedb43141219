"""Penalties that are functions of one network, taken of K networks by autograd.

On a GPU of all networks at once, by `torch.func.vmap`: the number of kernels then does not grow
with that of the networks. On a CPU network by network, each from memory of its own: there BLAS
rounds products by where their arrays lie, and a network must not depend on its companions.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor

from ..engine import Statistic, Weights
from ..network.rnn_torch import RNNTorch
from ..penalties import PenaltyContext
from .pulled import Pulled
from .seen import Trials, WeightedTerm
from .trajectories import NotKept, refuse_trajectories

# Penalties of which a warning said that they are taken network by network.
_TOLD: set[str] = set()


class ThroughAutograd:
    """Takes penalties of K networks, and their gradients by all that they may depend on.

    Parameters
    ----------
    rnn : RNNTorch
    mask : Tensor
        Indices of the steps that count.

    Attributes
    ----------
    at_once : bool
        Whether by `torch.func.vmap`. What vmap refuses is taken network by network; a warning
        names the penalty, once in a process.
    """

    def __init__(self, rnn: RNNTorch, mask: Tensor) -> None:
        self.rnn, self.mask = rnn, mask
        self.at_once = rnn.device.type != "cpu"
        self._refused: set[str] = set()

    def pull(
        self,
        groups: Sequence[Sequence[WeightedTerm]],
        trials: Trials,
        weights: Weights,
        values: dict[str, Tensor],
    ) -> list[Pulled]:
        """Return the gradients of groups of terms; see `models.training.terms.Terms.pull`."""
        if self.at_once:
            return self._together(groups, trials, weights, values)
        return self._one_by_one(groups, trials, weights, values)

    def _one_by_one(
        self,
        groups: Sequence[Sequence[WeightedTerm]],
        trials: Trials,
        weights: Weights,
        values: dict[str, Tensor],
    ) -> list[Pulled]:
        run, k = trials.run, self.rnn.n_networks
        every = [term for group in groups for term in group]
        for term in every:
            values[term.name] = run.outputs.new_zeros(k)

        def apart(own: Tensor) -> Tensor:
            return own.detach().clone() if k > 1 else own.detach()

        received: list[list[Sequence[Tensor | None]]] = [[] for _ in groups]
        for i in range(k):
            if not any(term.belongs[i] for term in every):
                for found in received:
                    found.append((None,) * 8)
                continue
            # Of several networks all but the states, which begin on a cache line, are put into
            # memory of their own.
            states = trials.states[i].detach().requires_grad_()
            outputs = apart(run.outputs[i]).requires_grad_()
            statistics = run.simulation.statistics[:, i].clone().requires_grad_()
            own = Weights(*(apart(w[i]).requires_grad_() for w in weights))
            leaves = (outputs, states, statistics, *own)
            silenced = trials.silenced
            with torch.enable_grad():
                context = self.context(
                    states, outputs, apart(trials.inputs[i]), apart(trials.targets[i]), own,
                    None if silenced is None else silenced[i] > 0,
                    trials.asked, statistics, run.is_sliced,
                )  # fmt: skip
                for group, found in zip(groups, received, strict=True):
                    total = None
                    for term in group:
                        if term.belongs[i]:
                            value = term.penalty(context)
                            values[term.name][i] = value.detach()
                            scaled = term.weights[i] * value
                            total = scaled if total is None else total + scaled
                    found.append(_gradients(total, leaves))
        return [Pulled.collected(found) for found in received]

    def _together(
        self,
        groups: Sequence[Sequence[WeightedTerm]],
        trials: Trials,
        weights: Weights,
        values: dict[str, Tensor],
    ) -> list[Pulled]:
        run = trials.run
        outputs = run.outputs.detach().requires_grad_()
        states = trials.states.detach().requires_grad_()
        statistics = run.simulation.statistics.detach().transpose(0, 1).requires_grad_()
        own = Weights(*(w.detach().requires_grad_() for w in weights))
        leaves = (outputs, states, statistics, *own)
        arguments = [states, outputs, trials.inputs, trials.targets, *own, statistics]
        if trials.silenced is not None:
            arguments.append(trials.silenced > 0)
        every = [term for group in groups for term in group]
        scaled: dict[str, Tensor] = {}
        with torch.enable_grad():
            for belongs in dict.fromkeys(term.belongs for term in every):
                alike = [term for term in every if term.belongs == belongs]
                members = alike[0].members
                # Networks without a term have no part in its graph, which they could spoil.
                theirs = [a if members is None else a.index_select(0, members) for a in arguments]
                for term, value in zip(alike, self._of_each(alike, trials, theirs), strict=True):
                    of_all = value.detach()
                    weight = term.weights
                    if members is not None:
                        of_all = torch.zeros_like(weight).index_copy_(0, members, of_all)
                        weight = weight.index_select(0, members)
                    values[term.name] = of_all
                    scaled[term.name] = (weight * value).sum()
            received = []
            for group in groups:
                total = scaled[group[0].name]
                for term in group[1:]:
                    total = total + scaled[term.name]
                received.append(Pulled.of(_gradients(total, leaves)))
        return received

    def _of_each(
        self, terms: Sequence[WeightedTerm], trials: Trials, arguments: Sequence[Tensor]
    ) -> list[Tensor]:
        """Return the values (M,) of terms that all of M networks have, linked to the graph.

        ``arguments`` are states, outputs, inputs, targets, weights, statistics and, with dead
        units, which ones are alive, of these networks.
        """
        easy = [term for term in terms if term.name not in self._refused]

        def shared(*own: Tensor) -> list[Tensor]:
            context = self._context_of(own, trials)
            return [term.penalty(context) for term in easy]

        found: dict[str, Tensor] = {}
        try:
            if easy:
                mapped = torch.func.vmap(shared)(*arguments)
                found = {term.name: v for term, v in zip(easy, mapped, strict=True)}
        except torch.OutOfMemoryError:
            raise
        except Exception:  # vmap refuses in many ways; an error of the penalty's own comes again
            if self.rnn.device.type == "cuda" and torch.cuda.is_current_stream_capturing():
                raise  # it is the capture that failed
            if len(easy) > 1:  # which of them it was
                return [v for term in terms for v in self._of_each([term], trials, arguments)]
            self._refused.add(easy[0].name)
        for term in terms:
            if term.name not in found:
                contexts = [self._context_of(own, trials) for own in zip(*arguments, strict=True)]
                found[term.name] = torch.stack([term.penalty(one) for one in contexts])
                self._tell(term.name)
        return [found[term.name] for term in terms]

    @staticmethod
    def _tell(name: str) -> None:
        if name not in _TOLD:
            _TOLD.add(name)
            warnings.warn(
                f"The penalty {name} cannot be taken of all networks at once (torch.func.vmap "
                "refuses it), and is taken network by network, more slowly.",
                stacklevel=2,
            )

    def _context_of(self, own: Sequence[Tensor], trials: Trials) -> PenaltyContext:
        states, outputs, u, t, *rest = own
        weights, (statistics, *alive) = Weights(*rest[:5]), rest[5:]
        return self.context(
            states, outputs, u, t, weights, alive[0] if alive else None,
            trials.asked, statistics, trials.run.is_sliced,
        )  # fmt: skip

    def context(
        self,
        states: Tensor,
        outputs: Tensor,
        u: Tensor,
        t: Tensor,
        weights: Weights,
        alive: Tensor | None = None,
        asked: Sequence[Statistic] = (),
        statistics: Tensor | None = None,
        is_sliced: bool = False,
    ) -> PenaltyContext:
        """Return one network as penalties see it.

        Parameters
        ----------
        states, outputs, u, t : Tensor (T, B, channels)
        weights : Weights
            Of one network, without a first axis.
        alive : Tensor (N,), optional
            Units that dropout did not silence.
        asked : sequence of Statistic (S,)
        statistics : Tensor (S, N), optional
            Those that were asked for.
        is_sliced : bool
            Whether states were not kept, which a penalty that names what it needs never asks for.
        """
        rnn = self.rnn
        x = states.movedim(-1, 0)
        heard = None if alive is None else alive[:, None, None]

        def rates() -> Tensor:
            r: Tensor = rnn.equation.rates(x)
            return r if heard is None else r * heard

        seen = x if heard is None else x * heard
        taken = {}
        if statistics is not None and asked:
            taken = dict(zip(asked, statistics.unbind(0), strict=True))
        return PenaltyContext(
            states=cast(Tensor, NotKept()) if is_sliced else seen,
            rates_of=refuse_trajectories if is_sliced else rates,
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
            statistics=taken,
            units_of_kinds=rnn.units_of_kinds,
        )


def _gradients(total: Tensor | None, leaves: Sequence[Tensor]) -> Sequence[Tensor | None]:
    """Return the gradients of weighted penalties by all that they may depend on.

    They may depend on none of it: on constants. What a context makes once, such as the rates,
    penalties share, so that the graph stays.
    """
    if total is None or not total.requires_grad:
        return (None,) * len(leaves)
    return torch.autograd.grad(total, leaves, allow_unused=True, retain_graph=True)
