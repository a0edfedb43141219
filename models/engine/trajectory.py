"""Inputs, outputs and gradients of a simulation of K networks.

All arrays are (K, T, B, channels): network, step, trial, unit or channel. That is the orientation
of everything between `models.network.RNNTorch` and the penalties; it changes at their faces alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ..formulas.equations import Equation
from .statistics import Statistic
from .weights import Weights


@dataclass(frozen=True)
class RecurrentNoise:
    """Noise of the units in one simulation.

    Attributes
    ----------
    scales : sequence of float (K,), or Tensor (K,) of float64
        Standard deviation of one step's noise, of each network.
    keys : sequence of (int, int) (K,), or Tensor (K, 2) of int64
        What names each network's draws; see `models.engine.philox`.
    simulation : int, or Tensor () of int64
        Number of the simulation.
    first_trial : int
        Number of the first of these trials in the simulation.
    given : Tensor (K, T, B, N), optional
        Scaled noise to use instead.

    Notes
    -----
    Scales, keys and number are tensors where they lie in the memory of a GPU, which is then not
    waited for: a captured CUDA graph reads them anew each time that it is replayed.
    """

    scales: Sequence[float] | Tensor
    keys: Sequence[tuple[int, int]] | Tensor
    simulation: int | Tensor
    first_trial: int = 0
    given: Tensor | None = None

    @property
    def is_silent(self) -> bool:
        """Whether there is none; scales that are a tensor are taken to be some."""
        if self.given is not None or isinstance(self.scales, Tensor):
            return False
        return not any(self.scales)

    @property
    def number(self) -> int:
        """Number of the simulation; a tensor is waited for."""
        return int(self.simulation)

    def scales_on_host(self) -> list[float]:
        """Return the scales as numbers; a tensor is waited for."""
        return self.scales.tolist() if isinstance(self.scales, Tensor) else list(self.scales)

    def keys_on_host(self) -> list[tuple[int, int]]:
        """Return the keys as numbers; a tensor is waited for."""
        keys = self.keys.tolist() if isinstance(self.keys, Tensor) else self.keys
        return [(int(low), int(high)) for low, high in keys]

    def scales_like(self, like: Tensor) -> Tensor:
        """Return the scales (K,) as a tensor of the precision and on the device of another."""
        if isinstance(self.scales, Tensor):
            return self.scales.to(like.dtype)
        return torch.tensor(list(self.scales), dtype=like.dtype, device=like.device)

    def keys_on(self, device: torch.device) -> Tensor:
        """Return the keys (K, 2) as a tensor of int64 on a device."""
        if isinstance(self.keys, Tensor):
            return self.keys
        return torch.tensor(list(self.keys), dtype=torch.int64, device=device)


@dataclass(frozen=True)
class Cotangent:
    """Gradients of a loss L with respect to outputs, states and statistics of K networks.

    Attributes
    ----------
    outputs : Tensor (K, T, B, O)
        dL/dy.
    states : Tensor (K, T, B, N), optional
        dL/dx beside what comes through outputs and statistics.
    statistics : Tensor (S, K, N), optional
        dL/ds.
    """

    outputs: Tensor
    states: Tensor | None = None
    statistics: Tensor | None = None


@dataclass(frozen=True)
class Trajectory:
    """Trajectories of K networks, as a back end returns them.

    Attributes
    ----------
    equation, weights
        The networks.
    inputs : Tensor (K, T, B, M)
        With their noise.
    states : Tensor (K, T, B, N)
        Before each update.
    arguments : Tensor (K, T, B, N) or None
        Arguments of f, form s; none or empty in form h.
    outputs : Tensor (K, T, B, O)
        Without the noise of the readout.
    statistics : Tensor (S, K, N)
        Those that were asked for.
    asked : tuple of Statistic (S,)
        What they are.
    totals
        What the back end itself needs for the derivatives of the statistics, if anything.
    """

    equation: Equation
    weights: Weights
    inputs: Tensor
    states: Tensor
    arguments: Tensor | None
    outputs: Tensor
    statistics: Tensor
    asked: tuple[Statistic, ...] = ()
    totals: Any = None


def stacked(parts: Sequence[Tensor | None]) -> Tensor | None:
    """Stack tensors, with 0 for those that are None; None if all are."""
    like = next((part for part in parts if part is not None), None)
    if like is None:
        return None
    return torch.stack([torch.zeros_like(like) if part is None else part for part in parts])
