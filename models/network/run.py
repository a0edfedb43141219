"""One run of the networks of an `RNNTorch`: noise, dropout, trajectories, and gradients back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from tasks_lib.errors import ParameterError

from ..engine import (
    Buffers,
    Cotangent,
    RecurrentNoise,
    Simulation,
    SlicedSimulation,
    Statistic,
    Weights,
    draw,
    simulate,
    simulate_sliced,
)
from .by_network import orthonormal_rows, products
from .noise import Noise

if TYPE_CHECKING:
    from .rnn_torch import RNNTorch


@dataclass(frozen=True)
class ReadoutNoise:
    """Noise that the readout adds to the rates.

    Only what lies in the space that W_out reads reaches an output, so that only that is drawn: the
    noise of the units is ``basis`` times ``draws``, basis orthonormal (a draw in all directions,
    and its part in any subspace, are both standard normal).

    Attributes
    ----------
    draws : Tensor (K, T, B, D)
        Scaled.
    basis : Tensor (K, N, D) or None
        None: the draws are those of the units themselves, D = N.
    """

    draws: Tensor
    basis: Tensor | None

    def reaches(self, w_out: Tensor) -> Tensor:
        """Return what reaches the outputs, (K, T, B, O)."""
        read = w_out if self.basis is None else products(w_out, self.basis)
        k, n_steps, n_trials, _ = self.draws.shape
        onto = products(self.draws.flatten(1, 2), read.transpose(1, 2))
        return onto.view(k, n_steps, n_trials, -1)

    def gradient(self, on_outputs: Tensor) -> Tensor:
        """Return what the noise adds to the gradient by W_out, (K, O, N)."""
        part = products(on_outputs.flatten(1, 2).transpose(1, 2), self.draws.flatten(1, 2))
        return part if self.basis is None else products(part, self.basis.transpose(1, 2))


@dataclass(frozen=True)
class Run:
    """What K networks did, and how gradients go back to their weights.

    Attributes
    ----------
    simulation : Simulation or SlicedSimulation
        The trajectories, or what is left of those that were too long to keep.
    outputs : Tensor (K, T, B, O)
        With the noise of the readout.
    readout_noise : ReadoutNoise, optional
    kept : Tensor (K, N), optional
        Dropout's factor on what units send.
    dead : bool
        Whether it applies to other units too.
    """

    simulation: Simulation | SlicedSimulation
    outputs: Tensor
    readout_noise: ReadoutNoise | None
    kept: Tensor | None
    dead: bool

    @property
    def states(self) -> Tensor:
        """States (K, T, B, N), before each update.

        Raises
        ------
        ParameterError
            Where they were not kept, because they are too many.
        """
        if isinstance(self.simulation, SlicedSimulation):
            raise ParameterError(
                "trials_at_once",
                self.simulation.trials_at_once,
                "trajectories were not kept, and something asks for them",
                "train on smaller batches",
            )
        return self.simulation.states

    @property
    def is_sliced(self) -> bool:
        """Whether trajectories were not kept."""
        return isinstance(self.simulation, SlicedSimulation)

    def effective_gradients(self, cotangents: Sequence[Cotangent]) -> list[Weights]:
        """Return the gradients by the effective weights of each loss, in one pass."""
        found = self.simulation.pull_back(cotangents)
        return [self._with_readout(g, c) for g, c in zip(found, cotangents, strict=True)]

    def _with_readout(self, gradient: Weights, cotangent: Cotangent) -> Weights:
        w_rec, w_out = gradient.W_rec, gradient.W_out
        if self.readout_noise is not None:
            w_out = w_out + self.readout_noise.gradient(cotangent.outputs)
        if self.kept is not None:
            w_out = w_out * self.kept[:, None]
            w_rec = w_rec * self.kept[:, None] if self.dead else w_rec
        return replace(gradient, W_rec=w_rec, W_out=w_out)

    def input_gradient(self, cotangent: Cotangent) -> Tensor:
        """Return the gradient by the inputs, (K, T, B, M)."""
        return self.simulation.pull_back_to_inputs(cotangent)


@torch.no_grad()
def run_networks(
    rnn: RNNTorch,
    u: Tensor,
    noise: bool | Noise,
    level: float,
    kept: Tensor | None,
    dead: bool,
    statistics: Sequence[Statistic],
    buffers: Buffers | None,
    trials_at_once: int | None,
) -> Run:
    """Run the networks; see `RNNTorch.run`."""
    k = rnn.n_networks
    inputs = u.expand(k, *u.shape[-3:])
    n_steps, n_trials = inputs.shape[1:3]
    weights = Weights(*(w.detach() for w in rnn.effective_weights()))
    if kept is not None:
        # What a unit sends passes through its column of W_rec and of W_out.
        weights = replace(
            weights,
            W_out=weights.W_out * kept[:, None],
            W_rec=weights.W_rec * kept[:, None] if dead else weights.W_rec,
        )
    number = rnn.n_simulations
    scales = {part: [s * level for s in rnn.noise_scales(part)] for part in ("inp", "rec", "out")}

    def given(part: str, n_channels: int) -> Tensor:
        assert isinstance(noise, Noise)
        draws = rnn.to_internal(noise.part(part, (n_channels, n_steps, n_trials)))
        return torch.stack([draws * scale for scale in scales[part]])

    def drawn(part: str, n_channels: int) -> Tensor:
        like, shape = weights.W_rec, (n_steps, n_trials, n_channels)
        draws = draw(shape, rnn.noise_keys, number, part, like)
        # A network without noise has exactly none, as alone.
        for own, scale in zip(draws, scales[part], strict=True):
            own.mul_(scale) if scale else own.zero_()
        return draws

    make = given if isinstance(noise, Noise) else drawn
    units = RecurrentNoise([0.0] * k, rnn.noise_keys, number)
    readout = None
    if noise:
        if any(scales["inp"]):
            inputs = inputs + make("inp", rnn.n_inputs)
        if any(scales["rec"]):
            if isinstance(noise, Noise):
                units = replace(units, given=given("rec", rnn.n_units))
            else:
                units = replace(units, scales=scales["rec"])
        if any(scales["out"]):
            if isinstance(noise, Noise):
                readout = ReadoutNoise(given("out", rnn.n_units), None)
            else:
                basis = orthonormal_rows(weights.W_out)
                readout = ReadoutNoise(drawn("out", basis.shape[-1]), basis)
        if not isinstance(noise, Noise):
            rnn.n_simulations += 1
    simulation: Simulation | SlicedSimulation
    if trials_at_once is None or trials_at_once >= n_trials:
        simulation = simulate(rnn.equation, weights, inputs, units, statistics, buffers=buffers)
    else:
        simulation = simulate_sliced(
            rnn.equation, weights, inputs, units, statistics,
            buffers=buffers, trials_at_once=trials_at_once,
        )  # fmt: skip
    outputs = simulation.outputs
    if readout is not None:
        outputs = outputs + readout.reaches(weights.W_out)
    return Run(simulation, outputs, readout, kept, dead)
