"""The noise of one run of K networks: how it is drawn, and from which random streams."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from numpy.typing import ArrayLike
from torch import Tensor

from ..engine import RecurrentNoise, draw
from ..formulas.equations import Equation
from .by_network import orthonormal_rows, products
from .noise import Noise, RunNoise

PARTS = ("inp", "rec", "out")


def to_internal(array: ArrayLike | Tensor, dtype: torch.dtype, device: torch.device) -> Tensor:
    """Turn (..., channels, T, B) into the internal layout (..., T, B, channels)."""
    tensor = torch.as_tensor(array, dtype=dtype, device=device)
    return tensor.movedim(-3, -1).contiguous()


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
class NoiseDraws:
    """The noise of one run, part by part: inputs, units, readout.

    Attributes
    ----------
    given : Noise or None
        Draws to use, the same for all networks; otherwise each network's own.
    scales : dict
        Part ``inp``, ``rec`` or ``out`` -> standard deviation of one step's noise, (K,).
    keys : sequence (K,)
        Of the networks' streams.
    number : int
        Of the simulation; with the key it names the draws.
    like : Tensor
        Of the precision and on the device of the run.
    """

    given: Noise | None
    scales: dict[str, list[float]]
    keys: Sequence[Any]
    number: int
    like: Tensor

    @classmethod
    def of(
        cls,
        noise: RunNoise,
        equations: Sequence[Equation],
        keys: Sequence[Any],
        number: int,
        like: Tensor,
    ) -> NoiseDraws:
        """Return the noise of a run of networks with these equations."""
        level = noise.level if noise.draws else 0.0
        scales = {
            part: [e.noise_scale(getattr(e, f"sigma_{part}")) * level for e in equations]
            for part in PARTS
        }
        given = noise.draws if isinstance(noise.draws, Noise) else None
        return cls(given, scales, keys, number, like)

    def on_inputs(self, inputs: Tensor) -> Tensor:
        """Return inputs (K, T, B, M) with their noise."""
        if not any(self.scales["inp"]):
            return inputs
        _, n_steps, n_trials, n_channels = inputs.shape
        return inputs + self._part("inp", n_steps, n_trials, n_channels)

    def of_units(self, n_steps: int, n_trials: int, n_units: int) -> RecurrentNoise:
        """Return the recurrent noise, which is drawn while the networks run if it is their own."""
        silent = RecurrentNoise([0.0] * len(self.keys), self.keys, self.number)
        if not any(self.scales["rec"]):
            return silent
        if self.given is None:
            return replace(silent, scales=self.scales["rec"])
        return replace(silent, given=self._part("rec", n_steps, n_trials, n_units))

    def of_readout(self, n_steps: int, n_trials: int, w_out: Tensor) -> ReadoutNoise | None:
        """Return the noise of the readout through W_out (K, O, N); None where there is none."""
        if not any(self.scales["out"]):
            return None
        if self.given is not None:
            return ReadoutNoise(self._part("out", n_steps, n_trials, w_out.shape[-1]), None)
        basis = orthonormal_rows(w_out)
        return ReadoutNoise(self._part("out", n_steps, n_trials, basis.shape[-1]), basis)

    def _part(self, part: str, n_steps: int, n_trials: int, n_channels: int) -> Tensor:
        """Return scaled draws (K, T, B, channels)."""
        scales = self.scales[part]
        if self.given is not None:
            drawn = self.given.part(part, (n_channels, n_steps, n_trials))
            one = to_internal(drawn, self.like.dtype, self.like.device)
            return torch.stack([one * scale for scale in scales])
        shape = (n_steps, n_trials, n_channels)
        draws = draw(shape, self.keys, self.number, part, self.like)
        # A network without noise has exactly none, as alone.
        for own, scale in zip(draws, scales, strict=True):
            own.mul_(scale) if scale else own.zero_()
        return draws
