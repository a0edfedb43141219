"""The protocol of an engine back end: run networks forward, then backpropagate through the run."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from ...formulas.equations import Equation
from .. import philox
from ..buffers import Buffers
from ..philox import Draws
from ..statistics import Statistic
from ..trajectory import Cotangent, RecurrentNoise, Trajectory, stacked
from ..weights import Weights


class BackEndUnavailableError(RuntimeError):
    """A back end failed to compile for, or does not fit, this device."""


@dataclass(frozen=True)
class NetworkKind:
    """Properties of networks by which a back end is chosen.

    Attributes
    ----------
    equation : Equation
    n_units : int
    dtype : torch.dtype
    device : torch.device
    """

    equation: Equation
    n_units: int
    dtype: torch.dtype
    device: torch.device


class BackEnd(ABC):
    """One implementation of the engine; all back ends compute the same, up to rounding.

    Attributes
    ----------
    name : str
        By which `models.engine.simulate` knows it.
    takes_statistics : bool
        Whether statistics of the units are taken while the networks run, at no cost in memory.
    can_be_captured : bool
        Whether a CUDA graph can hold its runs: it takes the scales and the number of noise from
        the memory of the device (`RecurrentNoise`), and never waits for the device.
    splits_products : bool
        Whether it multiplies in the precision that `models.engine.products_in` sets; others do in
        that of the arrays.
    """

    name: ClassVar[str]
    takes_statistics: ClassVar[bool] = False
    can_be_captured: ClassVar[bool] = False
    splits_products: ClassVar[bool] = False

    @abstractmethod
    def is_for(self, device: torch.device) -> bool:
        """Return whether it is meant for a device; users are warned if it lacks something."""

    @abstractmethod
    def supports(self, kind: NetworkKind) -> str | None:
        """Return None where it can run these networks, else what it lacks, in words."""

    @abstractmethod
    def forward(
        self,
        equation: Equation,
        weights: Weights,
        inputs: Tensor,
        noise: RecurrentNoise,
        asked: tuple[Statistic, ...],
        buffers: Buffers,
    ) -> Trajectory:
        """Run K networks on inputs (K, T, B, M); see `models.engine.simulate`.

        Raises
        ------
        BackEndUnavailableError
            Where that turns out to be impossible on this device.
        """

    @abstractmethod
    def backward(self, run: Trajectory, cotangents: Sequence[Cotangent]) -> list[Weights]:
        """Return the gradients by the weights of each of A losses, in one pass.

        Raises
        ------
        BackEndUnavailableError
            Where that turns out to be impossible on this device.
        """

    @abstractmethod
    def arrays_held(self, equation: Equation, n_adjoints: int) -> float:
        """Return the arrays (K, T, B, N) that a step of training holds at its peak.

        Parameters
        ----------
        equation : Equation
        n_adjoints : int
            Losses whose gradients are taken by themselves.
        """

    def normals(self, draws: Draws, like: Tensor) -> Tensor:
        """Return standard normals (K, T, B, channels), as `models.engine.philox.normals`."""
        return philox.normals(*draws, like.device, like.dtype)

    def noise(
        self, draws: Draws, like: Tensor, scales: Sequence[float], onto: Tensor | None
    ) -> Tensor | None:
        """Return `normals` times the scale of each network (K,), added to ``onto`` (K, ...).

        None where that is not faster here than one after the other.
        """
        return None


def statistics_of(
    equation: Equation, states: Tensor, asked: Sequence[Statistic], n_units: int
) -> Tensor:
    """Return statistics (S, K, N) of states (K, T, B, N)."""
    if not asked:
        return states.new_empty((0, len(states), n_units))
    rates = equation.rates(states)
    return torch.stack([s.of(states, rates, (1, 2)) for s in asked])


def onto_states(run: Trajectory, cotangents: Sequence[Cotangent]) -> Tensor | None:
    """Return gradients of A losses with respect to the states, (A, K, T, B, N), or None.

    For back ends that take statistics from the trajectories: autograd goes back through them.
    """
    return stacked([_onto_states(run, cotangent) for cotangent in cotangents])


def _onto_states(run: Trajectory, cotangent: Cotangent) -> Tensor | None:
    if cotangent.statistics is None or not run.asked:
        return cotangent.states
    with torch.enable_grad():
        states = run.states.detach().requires_grad_()
        values = statistics_of(run.equation, states, run.asked, run.weights.n_units)
        (onto,) = torch.autograd.grad(values, states, cotangent.statistics)
    return onto if cotangent.states is None else onto + cotangent.states
