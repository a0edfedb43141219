"""The noise of one run of K networks: how it is drawn, and from which random streams."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from numpy.typing import ArrayLike
from torch import Tensor

from ..engine import Draws, RecurrentNoise, draw, draw_noise
from ..formulas.equations import Equation
from .by_network import orthonormal_rows, products
from .noise import Noise, RunNoise

PARTS = ("inp", "rec", "out")


def to_internal(array: ArrayLike | Tensor, dtype: torch.dtype, device: torch.device) -> Tensor:
    """Turn (..., channels, T, B) into the internal layout (..., T, B, channels)."""
    if device.type == "cuda" and not isinstance(array, Tensor):
        # From such memory it is copied while the device does other things, and not waited for.
        tensor = torch.as_tensor(array, dtype=dtype).pin_memory().to(device, non_blocking=True)
    else:
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


class NoiseSources:
    """What the noise of K networks comes from: their levels and the keys of their streams.

    Parameters
    ----------
    equations : sequence of Equation (K,)
    keys : sequence of (int, int) (K,)
    device : torch.device
        The tensors lie there, and stay where they are: captured CUDA graphs read them.

    Attributes
    ----------
    scales : dict
        Part ``inp``, ``rec`` or ``out`` -> standard deviation of one step's noise of each network,
        of the parts of which any has noise.
    scales_there : dict
        The same as tensors (K,) of float64.
    silent_there : dict
        Part -> Tensor (K,) of bool: networks without noise, where others have some.
    keys, keys_there
        As numbers, and as Tensor (K, 2) of int64.
    """

    def __init__(
        self,
        equations: Sequence[Equation],
        keys: Sequence[tuple[int, int]],
        device: torch.device,
    ) -> None:
        each = {p: [e.noise_scale(getattr(e, f"sigma_{p}")) for e in equations] for p in PARTS}
        self.scales = {part: own for part, own in each.items() if any(own)}
        # A level that differs from iteration to iteration is rounded once, as on a CPU.
        kind = torch.float32 if device.type == "mps" else torch.float64
        self.scales_there = {
            part: torch.tensor(own, dtype=kind, device=device) for part, own in self.scales.items()
        }
        self.silent_there = {
            part: there == 0 for part, there in self.scales_there.items() if 0 in self.scales[part]
        }
        self.keys = list(keys)
        self.keys_there = torch.tensor(self.keys, dtype=torch.int64, device=device)


@dataclass(frozen=True)
class NoiseDraws:
    """The noise of one run, part by part: inputs, units, readout.

    Attributes
    ----------
    noise : RunNoise
        Which noise there is, and how much of it.
    sources : NoiseSources
        Of the networks.
    number : int or Tensor ()
        Of the simulation; with the key it names the draws.
    like : Tensor
        Of the precision and on the device of the run.
    """

    noise: RunNoise
    sources: NoiseSources
    number: int | Tensor
    like: Tensor

    @property
    def _given(self) -> Noise | None:
        return self.noise.draws if isinstance(self.noise.draws, Noise) else None

    def _has(self, part: str) -> bool:
        if not self.noise.draws or part not in self.sources.scales:
            return False
        return isinstance(self.noise.level, Tensor) or self.noise.level != 0

    def _scales(self, part: str) -> Tensor:
        """Return the standard deviations (K,) of this run as a tensor, in float64."""
        return self.sources.scales_there[part] * self.noise.level

    def on_inputs(self, inputs: Tensor) -> Tensor:
        """Return inputs (K, T, B, M) with their noise."""
        if not self._has("inp"):
            return inputs
        _, n_steps, n_trials, n_channels = inputs.shape
        return self._part("inp", n_steps, n_trials, n_channels, inputs)

    def of_units(self, n_steps: int, n_trials: int, n_units: int) -> RecurrentNoise:
        """Return the recurrent noise, which is drawn while the networks run if it is their own."""
        own, level = self.sources, self.noise.level
        keys = own.keys if isinstance(self.number, int) else own.keys_there
        silent = RecurrentNoise([0.0] * len(own.keys), keys, self.number)
        if not self._has("rec"):
            return silent
        if self._given is not None:
            return replace(silent, given=self._part("rec", n_steps, n_trials, n_units))
        if isinstance(level, Tensor):
            return replace(silent, scales=self._scales("rec"))
        return replace(silent, scales=[scale * level for scale in own.scales["rec"]])

    def of_readout(self, n_steps: int, n_trials: int, w_out: Tensor) -> ReadoutNoise | None:
        """Return the noise of the readout through W_out (K, O, N); None where there is none."""
        if not self._has("out"):
            return None
        if self._given is not None:
            return ReadoutNoise(self._part("out", n_steps, n_trials, w_out.shape[-1]), None)
        basis = orthonormal_rows(w_out)
        return ReadoutNoise(self._part("out", n_steps, n_trials, basis.shape[-1]), basis)

    def _part(
        self, part: str, n_steps: int, n_trials: int, n_channels: int, onto: Tensor | None = None
    ) -> Tensor:
        """Return scaled draws (K, T, B, channels), added to ``onto`` where it is given."""
        shape, level, number = (n_steps, n_trials, n_channels), self.noise.level, self.number
        if self._given is None and not isinstance(level, Tensor) and isinstance(number, int):
            scales = [scale * level for scale in self.sources.scales[part]]
            own = Draws(shape, self.sources.keys, number, part)
            found = draw_noise(own, self.like, scales, onto)
            if found is not None:
                return found
        draws = self._scaled(part, shape)
        return draws if onto is None else onto + draws

    def _scaled(self, part: str, shape: tuple[int, int, int]) -> Tensor:
        each = self._scales(part).to(self.like.dtype).view(-1, 1, 1, 1)
        if self._given is not None:
            n_steps, n_trials, n_channels = shape
            drawn = self._given.part(part, (n_channels, n_steps, n_trials))
            return to_internal(drawn, self.like.dtype, self.like.device) * each
        keys = self.sources.keys if isinstance(self.number, int) else self.sources.keys_there
        draws = draw(Draws(shape, keys, self.number, part), self.like).mul_(each)
        silent = self.sources.silent_there.get(part)
        if silent is not None:  # a network without noise has exactly none, as alone
            draws.masked_fill_(silent.view(-1, 1, 1, 1), 0.0)
        return draws
