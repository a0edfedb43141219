"""Networks that are too large for the kernels of whole loops, on a GPU: a launch a step.

A plain torch loop takes some ten launches a step. Here one kernel multiplies, draws and updates a
step of all networks (`models.engine.step_kernels`): T - 1 launches forward and T back, which a CUDA
graph replays without the host; the gradients of the weights are one product over all steps and
trials.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from ...formulas.equations import Equation
from ..buffers import Buffers
from ..statistics import Statistic
from ..trajectory import Cotangent, RecurrentNoise, Trajectory
from ..weights import Weights
from .base import onto_states, statistics_of
from .row_products import rows_by_rows, rows_times, sum_of_parts
from .triton_launch import (
    TritonBackEnd,
    activation_arguments,
    is_split,
    launch,
    noise_on,
    products,
)

MAX_UNITS = 8192
# Of a tile, whatever the number of networks, so that sums are the same in any company: 32 trials
# and 64 units are 128 programs for a network of 1000 units on 225 trials. Compiled for sm_90 they
# take 24 KiB and up to 206 registers a thread, those of the draws, and spill nothing.
ROWS, COLUMNS, CHUNK = 32, 64, 32
WARPS, STAGES = 8, 3
BLOCK = 1024  # numbers that a program parts


class Stepped(TritonBackEnd):
    """Triton kernels of single steps, on a GPU, for networks of any size."""

    name = "stepped"

    @property
    def max_units(self) -> int:
        """Of any size that is trained."""
        return MAX_UNITS

    def forward(
        self,
        equation: Equation,
        weights: Weights,
        inputs: Tensor,
        noise: RecurrentNoise,
        asked: tuple[Statistic, ...],
        buffers: Buffers,
    ) -> Trajectory:
        """Run the networks, a launch a step."""
        states, arguments = _forward(equation, weights, inputs, noise)
        outputs = rows_times(states, weights.W_out.transpose(1, 2), equation=equation)
        values = statistics_of(equation, states, asked, weights.n_units)
        return Trajectory(equation, weights, inputs, states, arguments, outputs, values, asked)

    def backward(self, run: Trajectory, cotangents: Sequence[Cotangent]) -> list[Weights]:
        """Return the gradients of each loss; all adjoints go back side by side."""
        equation, precision = run.equation, products().precision
        on_outputs = torch.stack([c.outputs for c in cotangents]).contiguous()
        delta, on_start = _backward(run, on_outputs, onto_states(run, cotangents))
        on_rec, on_inp, on_bias = rows_by_rows(delta, run.states, run.inputs, equation, precision)
        on_out, _, _ = rows_by_rows(on_outputs, run.states, None, equation, precision)
        assert on_inp is not None and on_bias is not None
        blocks = (on_rec, on_inp, on_out, on_bias, on_start)
        return [Weights(*(block[a] for block in blocks)) for a in range(len(cotangents))]


def padded(matrix: Tensor) -> Tensor:
    """Return matrices (K, I, J) with zeros beside them, up to whole tiles."""
    out = matrix.new_zeros(*matrix.shape[:2], leading_dimension(matrix.shape[2]))
    out[:, :, : matrix.shape[2]] = matrix
    return out


def parted(rows: Tensor, height: int | None = None) -> Tensor:
    """Return (K, I, J) as sums of three of bfloat16, (K, 3, height or I, LD), zeros beside."""
    from .. import split_kernels

    n_networks, n_rows, n_columns = rows.shape
    height, width = height or n_rows, leading_dimension(n_columns)
    out = torch.empty(n_networks, 3, height, width, dtype=torch.bfloat16, device=rows.device)
    n_places = height * width
    n_blocks = -(-n_places // BLOCK)
    launch(
        split_kernels.split_kernel, n_networks * n_blocks, 4, 1, rows.device,
        rows.contiguous(), out, n_rows, n_columns, n_places, n_blocks,
        {"LD": width, "BLOCK": BLOCK},
    )  # fmt: skip
    return out


def leading_dimension(n_units: int) -> int:
    """Return LD: units up to whole tiles."""
    return -(-n_units // COLUMNS) * COLUMNS


def constants_of(equation: Equation, n_units: int) -> dict[str, Any]:
    """Return what both kernels are compiled for."""
    return {
        "N": n_units,
        "LD": leading_dimension(n_units),
        "ROWS": ROWS,
        "COLUMNS": COLUMNS,
        "CHUNK": CHUNK,
        "FORM_S": equation.equation_type == "s",
        "ACTIVATION": equation.activation.name,
        "HAS_GAMMA": equation.gamma != 0,
        "PRECISION": products().precision,
    }


def _scalars(equation: Equation) -> tuple[float, float, float, float]:
    return (equation.alpha, equation.gamma, *activation_arguments(equation))


def _tiles(n_trials: int, n_units: int) -> tuple[int, int]:
    return -(-n_trials // ROWS), -(-n_units // COLUMNS)


def _weights(W_rec: Tensor) -> Tensor:
    """Return recurrent weights (K, N, N) as the kernels of this precision take them."""
    return parted(W_rec, leading_dimension(W_rec.shape[1])) if is_split() else padded(W_rec)


def _room_for_parts(like: Tensor) -> Tensor:
    """Return room for what even and odd steps send, (runs, B, N): (2, runs, 3, B, LD), zeros."""
    runs, n_trials, n = like.shape
    shape = 2, runs, 3, n_trials, leading_dimension(n)
    return torch.zeros(shape, dtype=torch.bfloat16, device=like.device)


def _forward(
    equation: Equation, weights: Weights, inputs: Tensor, noise: RecurrentNoise
) -> tuple[Tensor, Tensor | None]:
    """Return states (K, T, B, N), and in form s the arguments of f."""
    from .. import step_kernels

    k, n_steps, n_trials, n_inputs = inputs.shape
    n, device = weights.n_units, inputs.device
    form_s = equation.equation_type == "s"
    states = inputs.new_empty(k, n_steps, n_trials, n)
    states[:, 0] = weights.x_init[:, None]
    arguments = torch.empty_like(states) if form_s else None
    sent, first = states, equation.rates(weights.x_init)
    if is_split():
        sent = _room_for_parts(states[:, 0])
        sent[0] = parted(first[:, None])
    elif not form_s:
        sent = inputs.new_empty(2, k, n_trials, n)
        sent[0] = first[:, None]
    kind, given, kept = "none", states, states
    scales, keys, number = noise_on(noise, inputs)
    if noise.given is not None:
        kind, given = "given", noise.given.expand(k, -1, -1, -1).contiguous()
    elif scales is not None:
        kind, kept = "drawn", inputs.new_empty(k, 3, n_trials, n)
    tiles = _tiles(n_trials, n)
    arrays = (
        _weights(weights.W_rec.transpose(1, 2)), padded(weights.W_inp.transpose(1, 2)),
        weights.b_rec.contiguous(), sent, inputs.contiguous(),
        states if scales is None else scales, keys, number, kept, given, states,
        states if arguments is None else arguments,
    )  # fmt: skip
    constants = constants_of(equation, n) | {
        "M": n_inputs, "NOISE": kind, "NOISE_INSIDE": equation.noise_inside
    }  # fmt: skip
    for t in range(n_steps - 1):
        launch(
            step_kernels.forward_step_kernel, k * tiles[0] * tiles[1], WARPS, STAGES, device,
            *arrays, t, k, n_steps, n_trials, *tiles, noise.first_trial,
            *_scalars(equation), constants,
        )  # fmt: skip
    return states, arguments


def _backward(
    run: Trajectory, on_outputs: Tensor, on_states: Tensor | None
) -> tuple[Tensor, Tensor]:
    """Return delta (A, K, T, B, N), by which weights are multiplied, and dL/dx_init (A, K, N)."""
    from .. import step_kernels

    equation, states = run.equation, run.states
    k, n_steps, n_trials, n = states.shape
    n_adjoints, n_outputs = len(on_outputs), on_outputs.shape[-1]
    delta = states.new_empty(n_adjoints, *states.shape)
    delta[:, :, -1] = 0.0
    adjoint = states.new_zeros(n_adjoints, k, n_trials, n)
    tiles = _tiles(n_trials, n)
    sent = _room_for_parts(adjoint.flatten(0, 1)) if is_split() else delta
    arrays = (
        _weights(run.weights.W_rec), padded(run.weights.W_out),
        states if run.arguments is None else run.arguments, states, on_outputs,
        states if on_states is None else on_states.contiguous(), delta, sent, adjoint,
    )  # fmt: skip
    constants = constants_of(equation, n) | {
        "OUT": n_outputs, "HAS_DENSE": on_states is not None
    }  # fmt: skip
    for t in range(n_steps - 1, -1, -1):
        launch(
            step_kernels.backward_step_kernel, n_adjoints * k * tiles[0] * tiles[1], WARPS, STAGES,
            states.device, *arrays, t, k, n_steps, n_trials, *tiles, *_scalars(equation), constants,
        )  # fmt: skip
    return delta, sum_of_parts(adjoint.flatten(0, 1)).view(n_adjoints, k, n)
