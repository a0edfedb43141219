"""Running K networks, and pulling gradients back through what they did.

The same two functions on every back end: compiled loops on a CPU, fused kernels on a GPU, and
torch where there is nothing better.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

import torch
from torch import Tensor

from tasks_lib.errors import ParameterError

from ..formulas.equations import Equation
from . import fused, philox, plain
from .statistics import Statistic
from .weights import Weights

try:
    from . import compiled
except ImportError:  # no numba for this Python or this machine
    compiled = None  # type: ignore[assignment]

CACHE_LINE = 64  # bytes


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
    """What arrives at a simulation from a loss L of K networks.

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
class Simulation:
    """What K networks did.

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
    back_end : {"compiled", "fused", "plain"}
    """

    equation: Equation
    weights: Weights
    inputs: Tensor
    states: Tensor
    arguments: Tensor | None
    outputs: Tensor
    statistics: Tensor
    back_end: str
    _asked: tuple[Statistic, ...] = ()
    _totals: Any = None

    def pull_back(self, cotangents: Sequence[Cotangent]) -> list[Weights]:
        """Return the gradients by the weights of each of A losses, in one pass."""
        outputs = torch.stack([c.outputs for c in cotangents])
        if self.back_end == "compiled":
            return compiled.backward(
                self.equation,
                self.weights,
                self.inputs,
                self.states,
                self.arguments,
                outputs,
                stacked([c.states for c in cotangents]),
                self._totals,
                stacked([c.statistics for c in cotangents]),
            )
        onto = stacked([self._onto_states(c) for c in cotangents])
        if self.back_end == "fused":
            w = self.weights
            try:
                blocks = fused.backward(
                    self.equation, w.W_rec, w.W_inp, w.W_out, self.inputs, self.states,
                    self.arguments, outputs, onto,
                )  # fmt: skip
                return [Weights(*(block[a] for block in blocks)) for a in range(len(outputs))]
            except fused.FusedUnavailableError as error:
                _remember_misfit(self.states.device, w.n_units, error)
        found, _ = plain.backward(
            self.equation,
            self.weights,
            self.inputs,
            self.states,
            self.arguments,
            outputs,
            onto,
        )
        return found

    def pull_back_to_inputs(self, cotangent: Cotangent) -> Tensor:
        """Return the gradient by the inputs, (K, T, B, M)."""
        states = self._onto_states(cotangent)
        _, onto = plain.backward(
            self.equation,
            self.weights,
            self.inputs,
            self.states,
            self.arguments,
            cotangent.outputs[None],
            None if states is None else states[None],
            with_inputs=True,
        )
        assert onto is not None
        return onto[0]

    def _onto_states(self, cotangent: Cotangent) -> Tensor | None:
        """Return all that arrives at the states beside what comes through the outputs."""
        if cotangent.statistics is None or not self._asked:
            return cotangent.states
        with torch.enable_grad():
            states = self.states.detach().requires_grad_()
            values = _statistics(self.equation, states, self._asked)
            (onto,) = torch.autograd.grad(values, states, cotangent.statistics)
        return onto if cotangent.states is None else onto + cotangent.states


def stacked(parts: Sequence[Tensor | None]) -> Tensor | None:
    """Return tensors as one, 0 for those that are None; None where all are."""
    like = next((part for part in parts if part is not None), None)
    if like is None:
        return None
    return torch.stack([torch.zeros_like(like) if part is None else part for part in parts])


def _statistics(equation: Equation, states: Tensor, asked: Sequence[Statistic]) -> Tensor:
    rates = equation.rates(states)
    return torch.stack([s.of(states, rates, (1, 2)) for s in asked])


# Devices and sizes that the GPU kernels turned out not to fit.
_MISFITS: set[tuple[str, int]] = set()


def _misfit(device: torch.device, n_units: int) -> tuple[str, int]:
    return str(device), n_units


def _remember_misfit(device: torch.device, n_units: int, error: Exception) -> None:
    """Warn once that networks of this size run in plain torch on this device."""
    if _misfit(device, n_units) not in _MISFITS:
        _MISFITS.add(_misfit(device, n_units))
        warnings.warn(f"{error}. Networks run in plain torch, more slowly.", stacklevel=3)


def default_back_end(device: torch.device, n_units: int, dtype: torch.dtype) -> str:
    """Return the fastest back end for networks of a size, on a device, in a precision."""
    if device.type == "cpu":
        loops_fit = compiled is not None and dtype in (torch.float32, torch.float64)
        return "compiled" if loops_fit else "plain"
    return "fused" if fused.is_available(n_units, dtype, device) else "plain"


@torch.no_grad()
def simulate(
    equation: Equation,
    weights: Weights,
    inputs: Tensor,
    noise: RecurrentNoise,
    statistics: Sequence[Statistic] = (),
    back_end: str | None = None,
    buffers: Buffers | None = None,
) -> Simulation:
    """Run K networks; nothing is linked to a graph.

    Parameters
    ----------
    equation, weights
        The networks.
    inputs : Tensor (K, T, B, M)
        With their noise.
    noise : RecurrentNoise
        Of the units.
    statistics : sequence of Statistic
        To be taken.
    back_end : {"compiled", "fused", "plain"}, optional
        Which loops; the fastest there are by default.
    buffers : Buffers, optional
        Where to put the trajectories; a later simulation with the same buffers overwrites them.
    """
    weights = Weights(*(w.detach() for w in weights))
    for w in weights:
        if w.dtype != inputs.dtype:
            raise ParameterError(
                "u.dtype",
                str(inputs.dtype),
                f"the weights are {w.dtype}",
                "make the network with the dtype that it should have, and inputs alike",
            )
    back_end = back_end or default_back_end(inputs.device, weights.n_units, inputs.dtype)
    asked = tuple(statistics)
    if back_end == "compiled":
        return _simulate_compiled(equation, weights, inputs, noise, asked, buffers or Buffers())
    if back_end == "fused" and _misfit(inputs.device, weights.n_units) in _MISFITS:
        back_end = "plain"
    if back_end == "fused":
        try:
            states, arguments, outputs = _run_fused(equation, weights, inputs, noise)
        except fused.FusedUnavailableError as error:
            _remember_misfit(inputs.device, weights.n_units, error)
            back_end = "plain"
    if back_end == "plain":
        xi = None if noise.is_silent else _drawn(noise, inputs, weights.n_units)
        states, arguments, outputs = plain.forward(equation, weights, inputs, xi)
    values = states.new_empty((0, len(states), weights.n_units))
    if asked:
        values = _statistics(equation, states, asked)
    return Simulation(
        equation, weights, inputs, states, arguments, outputs, values, back_end, asked
    )


def _simulate_compiled(
    equation: Equation,
    weights: Weights,
    inputs: Tensor,
    noise: RecurrentNoise,
    asked: tuple[Statistic, ...],
    buffers: Buffers,
) -> Simulation:
    k, n_steps, n_trials, _ = inputs.shape
    shape = (k, n_steps, n_trials, weights.n_units)
    form_s = equation.equation_type == "s"
    states = buffers.take("states", shape, inputs)
    # Form h has no arguments of its own.
    arguments = buffers.take("arguments", shape if form_s else (k, 0, 0, 0), inputs)
    outputs = buffers.take("outputs", (*shape[:3], weights.W_out.shape[1]), inputs)
    totals = compiled.forward(
        equation, weights, inputs, noise.scales, noise.keys, noise.simulation,
        noise.first_trial, noise.given, asked, states, arguments, outputs,
    )  # fmt: skip
    values = torch.from_numpy(totals.values).to(states.dtype)
    return Simulation(
        equation, weights, inputs, states, arguments, outputs, values, "compiled", asked, totals
    )


def _run_fused(
    equation: Equation, weights: Weights, inputs: Tensor, noise: RecurrentNoise
) -> tuple[Tensor, Tensor | None, Tensor]:
    scales = torch.tensor(list(noise.scales), dtype=inputs.dtype, device=inputs.device)
    keys = torch.tensor(list(noise.keys), dtype=torch.int64, device=inputs.device)
    w = weights
    return fused.forward(
        equation, w.W_rec, w.W_inp, w.W_out, w.b_rec, w.x_init, inputs,
        None if not any(noise.scales) else scales, keys,
        noise.simulation, noise.first_trial, noise.given,
    )  # fmt: skip


def _drawn(noise: RecurrentNoise, like: Tensor, n_units: int) -> Tensor:
    if noise.given is not None:
        return noise.given
    shape = (like.shape[1], like.shape[2], n_units)
    draws = philox.normals(
        shape, noise.keys, noise.simulation, "rec", like.device, like.dtype,
        first_trial=noise.first_trial,
    )  # fmt: skip
    scales = torch.tensor(list(noise.scales), dtype=like.dtype, device=like.device)
    return draws * scales[:, None, None, None]


def draw(
    shape: tuple[int, int, int],
    keys: Sequence[tuple[int, int]],
    simulation: int,
    part: str,
    like: Tensor,
) -> Tensor:
    """Return standard normals (K, T, B, channels), by the fastest way there is."""
    if like.device.type == "cpu" and compiled is not None:
        return compiled.normals(shape, keys, simulation, part, like.dtype)
    return philox.normals(shape, keys, simulation, part, like.device, like.dtype)


class Buffers:
    """Memory that simulations of one shape use again: fresh pages cost as much as a step does.

    What the first axis counts (networks) begins on a cache line each: BLAS rounds by where an
    array lies, and so a network's products are those that it has alone.
    """

    def __init__(self) -> None:
        self._kept: dict[str, Tensor] = {}

    def take(self, name: str, shape: tuple[int, ...], like: Tensor) -> Tensor:
        """Return a tensor of this name and shape, with anything in it."""
        kept = self._kept.get(name)
        if kept is None or kept.shape != shape or kept.dtype != like.dtype:
            line = CACHE_LINE // like.element_size()
            size = prod(shape[1:])
            rows = torch.empty(
                (shape[0], -(-size // line) * line), dtype=like.dtype, device=like.device
            )
            kept = rows[:, :size].view(shape)
            self._kept[name] = kept
        return kept
