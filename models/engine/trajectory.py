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
    scales : sequence of float (K,)
        Standard deviation of one step's noise, of each network.
    keys : sequence of (int, int) (K,)
        What names each network's draws; see `models.engine.philox`.
    simulation : int
        Number of the simulation.
    first_trial : int
        Number of the first of these trials in the simulation.
    given : Tensor (K, T, B, N), optional
        Scaled noise to use instead.
    """

    scales: Sequence[float]
    keys: Sequence[tuple[int, int]]
    simulation: int
    first_trial: int = 0
    given: Tensor | None = None

    @property
    def is_silent(self) -> bool:
        """Whether there is none."""
        return self.given is None and not any(self.scales)


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
