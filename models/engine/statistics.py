"""Statistics of a unit's activity over all steps and trials, taken while the network runs.

A penalty that depends on activity through these alone costs no pass over the trajectories.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import log

import torch
from torch import Tensor

SOFT_MAXIMUM_RATE = "soft_maximum_rate"
SOFT_MAXIMUM_STATE = "soft_maximum_state"
MEAN_SQUARE_RATE = "mean_square_rate"
MEAN_ABS_STATE = "mean_abs_state"
KINDS = (SOFT_MAXIMUM_RATE, SOFT_MAXIMUM_STATE, MEAN_SQUARE_RATE, MEAN_ABS_STATE)


@dataclass(frozen=True)
class Statistic:
    """A number for each unit.

    Attributes
    ----------
    kind : str
        ``soft_maximum_rate``: tau (logsumexp(r / tau) - ln TB) over steps and trials, which is the
        maximum as tau -> 0; ``soft_maximum_state``: that of |x|; ``mean_square_rate``: mean r^2;
        ``mean_abs_state``: mean |x|.
    tau : float
        Of the soft maximum.
    """

    kind: str
    tau: float = 1.0

    @property
    def is_soft_maximum(self) -> bool:
        """Whether it is a soft maximum."""
        return self.kind in (SOFT_MAXIMUM_RATE, SOFT_MAXIMUM_STATE)

    def of(self, states: Tensor, rates: Tensor, dims: tuple[int, ...]) -> Tensor:
        """Return the statistic over ``dims``, the steps and trials, of states and rates."""
        if self.kind == MEAN_SQUARE_RATE:
            return rates.square().mean(dim=dims)
        magnitude = rates if self.kind == SOFT_MAXIMUM_RATE else states.abs()
        if self.kind == MEAN_ABS_STATE:
            return magnitude.mean(dim=dims)
        count = 1
        for dim in dims:
            count *= states.shape[dim]
        return self.tau * (torch.logsumexp(magnitude / self.tau, dim=dims) - log(count))

    def pooled(self, parts: Tensor, share: Tensor) -> Tensor:
        """Return the statistic of all trials from those of slices of them (slices, ...).

        ``share`` is each slice's share of the trials, shaped (slices, 1, ...).
        """
        if not self.is_soft_maximum:
            return (parts * share).sum(dim=0)
        return self.tau * torch.logsumexp(parts / self.tau + share.log(), dim=0)
