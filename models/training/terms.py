"""The penalties of K networks: their values, and what they send to activity and to weights."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from ..engine import Statistic, Weights
from ..network.rnn_torch import RNNTorch
from ..penalties import PenaltyTerm
from ..penalties.closed_forms import Networks
from .pulled import Pulled
from .seen import Trials, WeightedTerm
from .through_autograd import ThroughAutograd


class Terms:
    """Takes the penalties of K networks.

    Those with a closed form (`models.penalties.closed_forms`) are taken of all networks at once,
    the others `ThroughAutograd`.

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
        self.all = [
            WeightedTerm.of(penalty, weights)
            for penalty in penalties
            if (weights := self._per_network(penalty.weights)).any()
        ]
        self.statistics = tuple(
            dict.fromkeys(s for term in self.all for s in term.penalty.statistics)
        )
        self.through_autograd = ThroughAutograd(rnn, mask)

    def _per_network(self, weights: Sequence[float]) -> Tensor:
        values = torch.as_tensor(weights, dtype=self.rnn.dtype, device=self.rnn.device)
        return values.expand(self.rnn.n_networks)

    def pull(self, trials: Trials, separately: bool) -> tuple[list[Pulled], dict[str, Tensor]]:
        """Return the gradients of the penalties, of all together or of each if ``separately``.

        Also the value (K,) of each, before its weight; 0 where a network lacks it.
        """
        if not self.all:
            return [], {}
        groups = [[term] for term in self.all] if separately else [self.all]
        weights = self.rnn.effective_weights()
        values: dict[str, Tensor] = {}
        found = [self._by_formulas(group, trials, weights, values) for group in groups]
        rest = [g for g, pulled in zip(groups, found, strict=True) if pulled is None]
        more = iter(self.through_autograd.pull(rest, trials, weights, values) if rest else [])
        return [next(more) if pulled is None else pulled for pulled in found], values

    def _by_formulas(
        self,
        group: Sequence[WeightedTerm],
        trials: Trials,
        weights: Weights,
        values: dict[str, Tensor],
    ) -> Pulled | None:
        """Return the gradients of a group by formulas; None where one of them has none."""
        if any(term.penalty.closed_form is None for term in group):
            return None
        taken = trials.taken
        rnn = self.rnn
        networks = Networks(weights, taken, rnn.units_of_kinds, rnn.exc_to_inh_ratio, rnn.n_units)
        own: dict[str, Tensor] = {}
        by_statistic: dict[Statistic, Tensor] = {}
        by_block: dict[str, Tensor] = {}
        for term in reversed(group):  # in this order autograd adds them up
            form = term.penalty.closed_form
            assert form is not None
            slopes = form(networks, term.weights, **term.penalty.args)
            if slopes is None:
                return None
            own[term.name] = term.of_members(slopes.value)
            _add(by_statistic, slopes.statistics, term)
            _add(by_block, slopes.weights, term)
        values |= own
        on_statistics = None
        if by_statistic:
            zero = torch.zeros_like(next(iter(by_statistic.values())))
            on_statistics = torch.stack([by_statistic.get(s, zero) for s in trials.asked])
        return Pulled(statistics=on_statistics, weights=by_block)


def _add(totals: dict[Any, Tensor], more: dict[Any, Tensor], term: WeightedTerm) -> None:
    for key, slope in more.items():
        own = term.of_members(slope)
        totals[key] = totals[key] + own if key in totals else own
