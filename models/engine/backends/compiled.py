"""The compiled loops on CPU tensors: trials in chunks, chunks of all networks on all threads."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from functools import cache
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ...formulas.equations import Equation
from ...machine.threads import blas_on_one, n_threads
from .. import loops
from ..buffers import Buffers
from ..elementwise import CODES, fill_share
from ..philox import PARTS, Draws
from ..statistics import KINDS, Statistic
from ..trajectory import Cotangent, RecurrentNoise, Trajectory, stacked
from ..weights import Weights
from .base import BackEnd, NetworkKind

# A product of so many multiplications or fewer takes the short way through OpenBLAS.
SMALL_PRODUCT = 1_000_000
MOST_VALUES = 8_000  # of the units of a chunk: what is at work stays in a second-level cache
FEWEST_SMALL_ROWS = 40
MOST_ROWS_LARGE = 256
FEWEST_ROWS = 8
SMALL_UNITS = 128
TOGETHER_ROWS = 64  # of the products over steps, of small networks
FEWEST_VALUES = 20_000  # that are worth a second thread
PRECISIONS = (torch.float32, torch.float64)


class Compiled(BackEnd):
    """Time loops compiled by Numba, on the CPU."""

    name = "compiled"
    takes_statistics = True

    def is_for(self, device: torch.device) -> bool:
        """Return whether it is a CPU."""
        return device.type == "cpu"

    def supports(self, kind: NetworkKind) -> str | None:
        """Return what is lacking: another precision, another device, or the code of f."""
        if not self.is_for(kind.device):
            return f"runs on a CPU, and not on {kind.device}"
        if kind.dtype not in PRECISIONS:
            return f"computes in float32 or float64, and not in {kind.dtype}"
        name = kind.equation.activation.name
        return None if name in CODES else f"has no code for the activation {name!r}"

    def forward(
        self,
        equation: Equation,
        weights: Weights,
        inputs: Tensor,
        noise: RecurrentNoise,
        asked: tuple[Statistic, ...],
        buffers: Buffers,
    ) -> Trajectory:
        """Run the networks, and take the statistics on the way."""
        k, n_steps, n_trials, _ = inputs.shape
        shape = (k, n_steps, n_trials, weights.n_units)
        form_s = equation.equation_type == "s"
        states = buffers.take("states", shape, inputs)
        # Form h has no arguments of its own.
        arguments = buffers.take("arguments", shape if form_s else (k, 0, 0, 0), inputs)
        outputs = buffers.take("outputs", (*shape[:3], weights.W_out.shape[1]), inputs)
        totals = forward(
            equation, weights, inputs, noise.scales_on_host(), noise.keys_on_host(), noise.number,
            noise.first_trial, noise.given, asked, states, arguments, outputs,
        )  # fmt: skip
        values = torch.from_numpy(totals.values).to(states.dtype)
        return Trajectory(
            equation, weights, inputs, states, arguments, outputs, values, asked, totals
        )

    def backward(self, run: Trajectory, cotangents: Sequence[Cotangent]) -> list[Weights]:
        """Return the gradients of each loss; those of statistics come out of the same pass."""
        return backward(
            run.equation, run.weights, run.inputs, run.states, run.arguments,
            cotangents[0].outputs[None] if len(cotangents) == 1
            else torch.stack([c.outputs for c in cotangents]),
            stacked([c.states for c in cotangents]),
            run.totals,
            stacked([c.statistics for c in cotangents]),
        )  # fmt: skip

    def arrays_held(self, equation: Equation, n_adjoints: int) -> float:
        """Return the arrays held: the states, and in form s the arguments of f."""
        return 1.0 + (equation.equation_type == "s")

    def normals(self, draws: Draws, like: Tensor) -> Tensor:
        """Return standard normals, drawn on all threads."""
        found = self.noise(draws, like, [1.0] * len(draws.keys), None)
        return super().normals(draws, like) if found is None else found

    def noise(
        self, draws: Draws, like: Tensor, scales: Sequence[float], onto: Tensor | None
    ) -> Tensor | None:
        """Return normals times scales, added to something, in one pass on all threads."""
        return noise(draws, like.dtype, scales, onto) if like.dtype in PRECISIONS else None


@cache
def chunks(n_trials: int, n_units: int, n_sent: int) -> NDArray[np.int64]:
    """Return the first and last + 1 of the trials of each chunk, (chunks, 2).

    They depend on the sizes alone, and not on the number of threads, so that sums are rounded
    alike on any number of them. Their number is even where it can be: two cores share them.
    """
    rows = min(SMALL_PRODUCT // (n_units * n_sent), max(1, MOST_VALUES // n_units))
    if rows < FEWEST_SMALL_ROWS:
        rows = MOST_ROWS_LARGE
    number = -(-n_trials // rows)
    number = min(number + number % 2, max(n_trials // FEWEST_ROWS, 1))
    edges = [i * n_trials // number for i in range(number + 1)]
    return np.array(list(pairwise(edges)), np.int64)


@cache
def _pool(number: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(number, thread_name_prefix="rnn-engine")


# The threads of a pool do not follow into a forked process, which makes a pool of its own.
os.register_at_fork(after_in_child=_pool.cache_clear)


def _run(work: Callable[[int, int], None], n_tasks: int, n_values: int) -> None:
    """Have work done on as many threads as there are for it, this one included.

    Parameters
    ----------
    work : callable
        Does one share of several: it is given its number, and how many there are.
    n_tasks : int
        Parts that it can be divided into.
    n_values : int
        Numbers that it computes, by which a second thread pays or does not.
    """
    number = min(n_threads(), n_tasks) if n_values > FEWEST_VALUES else 1
    with blas_on_one:
        if number == 1:
            work(0, 1)
            return
        others = [_pool(number - 1).submit(work, i, number) for i in range(1, number)]
        try:
            work(0, number)
        finally:  # what the others work on must stay until they are done
            wait(others)
        for other in others:
            other.result()


def _array(tensor: Tensor) -> NDArray[Any]:
    return tensor.detach().contiguous().numpy()


def _rows(tensor: Tensor) -> NDArray[Any]:
    """Return an array of `Buffers` as it lies in memory: a row for each network, (K, >= n)."""
    size = tensor[0].numel()
    stride = tensor.stride(0) if size and len(tensor) > 1 else size
    return tensor.detach().as_strided((len(tensor), stride), (stride, 1)).numpy()


def _inputs(inputs: Tensor) -> NDArray[Any]:
    """Return inputs (K, T, B, M), or (1, T, B, M) where they are the same ones of all networks."""
    return _array(inputs[:1] if inputs.stride(0) == 0 else inputs)


def _empty(shape: tuple[int, ...], like: Tensor) -> NDArray[Any]:
    """Return an array with anything in it, from memory that begins where torch's arrays do."""
    return torch.empty(shape, dtype=like.dtype).numpy()


def _codes(equation: Equation) -> tuple[bool, int, float, float, float, float]:
    args = [*equation.activation.args.values(), 0.0, 0.0][:2]
    form_s = equation.equation_type == "s"
    code = CODES[equation.activation.name]
    return form_s, code, args[0], args[1], equation.alpha, equation.gamma


class Totals:
    """Statistics of K networks and what their derivatives need, (S, K, N) each."""

    def __init__(
        self, statistics: Sequence[Statistic], sums: NDArray[np.float64], n_samples: int
    ) -> None:
        """Pool the sums (K, chunks, S, 2, N) of all chunks."""
        self.kinds = np.array([KINDS.index(s.kind) for s in statistics], np.int32)
        self.scales = np.array([1.0 / s.tau for s in statistics])
        if not statistics:
            self.values = self.shifts = np.empty((0, len(sums), sums.shape[-1]))
            self.slopes: NDArray[Any] = np.empty(0)
            return
        largest, totals = sums[:, :, :, 0], sums[:, :, :, 1]  # (K, chunks, S, N)
        values, shifts, slopes = [], [], []
        for s, statistic in enumerate(statistics):
            if statistic.is_soft_maximum:
                tau = statistic.tau
                top = largest[:, :, s].max(axis=1)
                with np.errstate(all="ignore"):  # a diverged network's are not finite
                    parts = totals[:, :, s] * np.exp((largest[:, :, s] - top[:, None]) / tau)
                    shift = top + tau * np.log(parts.sum(axis=1))
                values.append(shift - tau * np.log(n_samples))
                shifts.append(shift)
                slopes.append(1.0)
            else:
                values.append(totals[:, :, s].sum(axis=1) / n_samples)
                shifts.append(np.zeros_like(values[-1]))
                slopes.append(1.0 / n_samples)
        self.values, self.shifts = np.stack(values), np.stack(shifts)
        self.slopes = np.array(slopes)


def forward(
    equation: Equation,
    weights: Weights,
    inputs: Tensor,
    noise_scales: Sequence[float],
    keys: Sequence[tuple[int, int]],
    simulation: int,
    first_trial: int,
    given: Tensor | None,
    statistics: Sequence[Statistic],
    states: Tensor,
    arguments: Tensor,
    outputs: Tensor,
) -> Totals:
    """Fill states, arguments and outputs; see `models.engine.simulate`."""
    k, _, n_trials, n_inputs = inputs.shape
    n = weights.n_units
    codes = _codes(equation)
    w, readout = (
        _empty((k, rows, columns), states)
        for rows, columns in ((n + n_inputs + 1, n), (n, outputs.shape[-1]))
    )
    w[:, :n] = _array(weights.W_rec).swapaxes(1, 2)
    w[:, n:-1] = _array(weights.W_inp).swapaxes(1, 2)
    w[:, -1] = _array(weights.b_rec)
    readout[:] = _array(weights.W_out).swapaxes(1, 2)
    u, x, a, y = _inputs(inputs), _rows(states), _rows(arguments), _rows(outputs)
    states.numpy()[:, 0] = _array(weights.x_init)[:, None]
    levels, words = np.array(noise_scales, np.float64), np.array(keys, np.uint32)
    xi = np.empty((k, 0, 0, 0), x.dtype) if given is None else _array(given.expand(k, -1, -1, -1))
    parts = chunks(n_trials, n, n + n_inputs + 1)
    kinds = np.array([KINDS.index(s.kind) for s in statistics], np.int32)
    scales = np.array([1.0 / s.tau for s in statistics])
    sums = np.zeros((k, len(parts), len(kinds), 2, n))
    sums[:, :, :, 0] = -np.inf

    def run(share: int, n_shares: int) -> None:
        loops.forward_share(
            *codes, w, readout, u, x, a, y, parts, first_trial,
            levels, equation.noise_inside, xi, simulation, words,
            kinds, scales, sums, share, n_shares,
        )  # fmt: skip

    _run(run, k * len(parts), states.numel())
    return Totals(statistics, sums, states.shape[1] * n_trials)


def backward(
    equation: Equation,
    weights: Weights,
    inputs: Tensor,
    states: Tensor,
    arguments: Tensor | None,
    on_outputs: Tensor,
    on_states: Tensor | None,
    totals: Totals,
    on_statistics: Tensor | None,
) -> list[Weights]:
    """Return the gradients of each adjoint; see `models.engine.Simulation.pull_back`."""
    n_adjoints = len(on_outputs)
    k, _, n_trials, n = states.shape
    m, o = inputs.shape[-1], on_outputs.shape[-1]
    assert arguments is not None  # empty in form h
    codes = _codes(equation)
    w = _empty((k, n + o, n), states)
    w[:, :n], w[:, n:] = _array(weights.W_rec), _array(weights.W_out)
    u, x, a = _inputs(inputs), _rows(states), _rows(arguments)
    dtype = x.dtype
    e = _array(on_outputs)
    dense = np.empty((0, 0, 0, 0, 0), dtype) if on_states is None else _array(on_states)
    if on_statistics is None:
        factors = np.zeros((n_adjoints, len(totals.kinds), k, n), dtype)
    else:
        factors = _array(on_statistics) * totals.slopes[:, None, None].astype(dtype)
    shifts = totals.shifts.astype(dtype)
    parts = chunks(n_trials, n, n + m + 1)
    at_once = TOGETHER_ROWS if n <= SMALL_UNITS else MOST_ROWS_LARGE
    together = max(1, at_once // max(1, int(parts[0, 1] - parts[0, 0])))
    gradients = np.empty((k, len(parts), n_adjoints, n + o, n + m + 1), dtype)
    starts = np.empty((k, len(parts), n_adjoints, n), dtype)

    def run(share: int, n_shares: int) -> None:
        loops.backward_share(
            *codes, w, u, x, a, parts, e, dense, totals.kinds, totals.scales, shifts, factors,
            together, gradients, starts, share, n_shares,
        )  # fmt: skip

    _run(run, k * len(parts), states.numel())
    joined, start = gradients.sum(axis=1), starts.sum(axis=1)
    found = []
    for i in range(n_adjoints):
        g = joined[:, i]
        blocks = g[:, :n, :n], g[:, :n, n : n + m], g[:, n:, :n], g[:, :n, n + m], start[:, i]
        found.append(Weights(*map(torch.from_numpy, blocks)))
    return found


def noise(draws: Draws, dtype: torch.dtype, scales: Sequence[float], onto: Tensor | None) -> Tensor:
    """Return what `BackEnd.noise` says, of `models.engine.philox.normals`."""
    shape, keys, simulation, part = draws
    keys, simulation = keys.tolist() if isinstance(keys, Tensor) else keys, int(simulation)
    out = torch.empty((len(keys), *shape), dtype=dtype)
    arrays = out.view(len(keys), shape[0], -1).numpy()
    given = np.empty((0, 0, 0), arrays.dtype)
    if onto is not None:
        given = _inputs(onto)
        given = given.reshape(len(given), *arrays.shape[1:])
    words, each = np.array(keys, np.uint32), np.array(scales, np.float64)
    n_parts = 2 if arrays[0].size > FEWEST_VALUES else 1

    def run(share: int, n_shares: int) -> None:
        fill_share(arrays, each, given, simulation, PARTS[part], words, n_parts, share, n_shares)

    _run(run, len(keys) * n_parts, arrays.size)
    return out
