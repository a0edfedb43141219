"""Frozen noise: the draws of one simulation, kept so that networks can be compared on them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tasks_lib.brief import brief
from tasks_lib.errors import ParameterError

if TYPE_CHECKING:
    from torch import Tensor


@brief
@dataclass(frozen=True, eq=False)
class Noise:
    """Standard normal draws of one simulation; the network scales them by its noise levels.

    Attributes
    ----------
    inp : array (n_inputs, T, B)
        Of the input channels.
    rec : array (N, T, B)
        Of the units; that of the last step drives nothing that is reported.
    out : array (N, T, B)
        Of the readout.
    """

    inp: ArrayLike
    rec: ArrayLike
    out: ArrayLike

    @classmethod
    def draw(
        cls, n_units: int, n_inputs: int, n_steps: int, n_trials: int, seed: int | None = None
    ) -> Noise:
        """Draw the noise of a simulation from a seed."""
        rng = np.random.default_rng(seed)
        trial = (n_steps, n_trials)
        return cls(
            inp=rng.standard_normal((n_inputs, *trial)),
            rec=rng.standard_normal((n_units, *trial)),
            out=rng.standard_normal((n_units, *trial)),
        )

    def part(self, name: str, shape: tuple[int, ...]) -> NDArray[np.float64]:
        """Return the draws ``inp``, ``rec`` or ``out`` after checking their shape."""
        draws = np.asarray(getattr(self, name), dtype=np.float64)
        if draws.shape != shape:
            raise ParameterError(
                f"noise.{name}.shape",
                draws.shape,
                f"should be {shape}",
                "draw it for this network and these trials with Noise.draw",
            )
        return draws


@dataclass(frozen=True)
class RunNoise:
    """The noise of one run.

    Attributes
    ----------
    draws : bool or Noise
        Whether there is any, drawn from the networks' own streams, or the draws to use.
    level : float, or Tensor () of float64
        Factor on all of it (annealing); a tensor, on the networks' device, is not looked at.
    number : int, or Tensor () of int64, optional
        Number of the simulation; by default the networks count their own.
    """

    draws: bool | Noise = False
    level: float | Tensor = 1.0
    number: int | Tensor | None = None

    @classmethod
    def of(cls, noise: AnyNoise) -> RunNoise:
        """Return what ``noise`` stands for: draws alone have their full level."""
        return noise if isinstance(noise, RunNoise) else cls(noise)


AnyNoise: TypeAlias = bool | Noise | RunNoise
