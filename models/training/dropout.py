"""Dropout of units while training."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from ..machine.torch_modes import without_graph
from ..network.connectivity import stream
from ..network.dropout_mask import DropoutMask
from ..network.rnn_torch import RNNTorch
from .config import TrainingConfig

MAX_PROBABILITY = 0.999
# What a unit's participation is before any activity has been seen.
INITIAL_PARTICIPATION = 1e-6


def _generator(seed_sequence: np.random.SeedSequence, device: torch.device) -> torch.Generator:
    generator = torch.Generator(device=device)
    # 63 bits: torch keeps the seed as a signed integer on some back ends.
    generator.manual_seed(int(seed_sequence.generate_state(1, np.uint64)[0] >> np.uint64(1)))
    return generator


class UnitDropout:
    """Draws which units of each network are dropped in an iteration.

    Unit i is dropped with probability min(rate N softmax(beta v)_i, 0.999), for all steps and
    trials of an iteration, where v is 1 (``uniform``), the unit's participation or sum_o |W_oi|
    over outputs (``output_weights``). Participation is a running mean, p <- (1 - eta) p + eta a,
    of a = quantile_q |r| + standard deviation of |r| over steps and trials. These are
    trainRNNbrain's definitions; it took the task's loss without dropout, here the whole loss has
    it. What the other units send is divided by their probability to stay, so that others receive
    on average what they do without dropout (Srivastava et al. 2014); ``dropout_rescale=False``
    leaves it as it is.

    A unit that is dropped is not read (``mute``), or sends nothing at all: neither to the readout
    nor to other units nor to the penalties (``dead``).

    Parameters
    ----------
    rnn : RNNTorch
        K networks of N units. Each draws from a stream of its own.
    config : TrainingConfig
    """

    def __init__(self, rnn: RNNTorch, config: TrainingConfig) -> None:
        self.rnn = rnn
        self.config = config
        self.generators = [_generator(stream(s, "dropout"), rnn.device) for s in rnn.seeds]
        self.participation = torch.full(
            (rnn.n_networks, rnn.n_units),
            INITIAL_PARTICIPATION,
            device=rnn.device,
            dtype=rnn.dtype,
        )

    @property
    def observes(self) -> bool:
        """Whether it follows what units do."""
        return self.config.dropout_sampling == "participation"

    @without_graph
    def probabilities(self) -> Tensor:
        """Return the probability of each unit to be dropped, (K, N)."""
        sampling = self.config.dropout_sampling
        if sampling == "participation":
            preference = self.participation
        elif sampling == "output_weights":
            w_out = self.rnn.effective("W_out").abs()
            preference = torch.cat([own.sum(dim=1) for own in self._parts(w_out)])
        else:
            preference = torch.ones_like(self.participation)
        scaled = self._parts(self.config.dropout_beta * preference)
        share = torch.cat([torch.softmax(own, dim=1) for own in scaled])
        return (self.config.dropout_rate * self.rnn.n_units * share).clamp(max=MAX_PROBABILITY)

    @without_graph
    def draw(self) -> DropoutMask:
        """Return which units are dropped in this iteration."""
        stay = 1.0 - self.probabilities()
        # A network that diverged has no probabilities; it draws nothing that counts.
        stay = torch.nan_to_num(stay, nan=1.0)
        rows = zip(stay, self.generators, strict=True)
        kept = torch.stack([torch.bernoulli(row, generator=g) for row, g in rows])
        factor = kept / stay if self.config.dropout_rescale else kept
        return DropoutMask(factor, dead=self.config.dropout_kind == "dead")

    @without_graph
    def observe(self, states: Tensor) -> None:
        """Update the participation from the states (K, T, B, N) of an iteration."""
        if not self.observes:
            return
        activity = torch.cat([self._activity(own) for own in self._parts(states)])
        self.participation += self.config.participation_rate * (activity - self.participation)

    def _activity(self, states: Tensor) -> Tensor:
        magnitude = self.rnn.equation.rates(states).abs().flatten(1, 2)
        rank = self.config.participation_quantile * (magnitude.shape[1] - 1)
        # torch.quantile takes no more than 16 million values; a k-th value does.
        low, high = int(rank), min(int(rank) + 1, magnitude.shape[1] - 1)
        below = magnitude.kthvalue(low + 1, dim=1).values
        above = magnitude.kthvalue(high + 1, dim=1).values
        return torch.lerp(below, above, rank - low) + magnitude.std(dim=1, correction=0)

    @staticmethod
    def _parts(each: Tensor) -> tuple[Tensor, ...]:
        """Return what is worked on together; on a CPU each network by itself (`by_network`)."""
        return torch.split(each, 1 if each.device.type == "cpu" else len(each))
