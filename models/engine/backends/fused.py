"""The time loop of many networks on a GPU: one kernel launch forward, one backward.

A plain torch loop launches some ten kernels a step, each too small to fill the chip. Here a program
runs all steps of a tile of trials of one network (`models.engine.fused_kernels`, in Triton); the
gradients of the weights are products over all steps and trials (`row_products`).

Noise is that of `models.engine.philox`. Triton is imported when it is first needed.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from tasks_lib.errors import check_choice

from ...formulas.equations import Equation
from ..buffers import Buffers
from ..fused_tiles import MAX_RESIDENT, Layout, Tile, choose_tile, sums_on_chip
from ..statistics import Statistic
from ..trajectory import Cotangent, RecurrentNoise, Trajectory
from ..weights import Weights
from .base import NetworkKind, onto_states, statistics_of
from .row_products import rows_by_rows, rows_times, sum_of_parts
from .triton_launch import (
    PRECISIONS,
    TritonBackEnd,
    activation_arguments,
    is_interpreted,
    is_split,
    lack_of,
    launch,
    noise_on,
    products,
)

MAX_UNITS = 256


class Gradients(NamedTuple):
    """Gradients of each of A losses, in the order of `backward`."""

    W_rec: Tensor
    W_inp: Tensor
    W_out: Tensor
    b_rec: Tensor
    x_init: Tensor


def is_available(n_units: int, dtype: torch.dtype, device: torch.device) -> bool:
    """Tell whether networks of this size, type and place can be run here.

    Parameters
    ----------
    n_units : int
    dtype : torch.dtype
        float32 is needed.
    device : torch.device
        A CUDA device of compute capability 8.0 or more; any device if Triton only interprets.
    """
    return n_units <= MAX_UNITS and lack_of(dtype, device) is None


class Fused(TritonBackEnd):
    """Triton kernels of whole time loops, on a GPU."""

    name = "fused"

    @property
    def max_units(self) -> int:
        """Those whose weights are read again at each step too, if they need not be parted for it.

        To part them takes more instructions than to multiply them: `stepped` finds them parted.
        """
        return MAX_RESIDENT if is_split() else MAX_UNITS

    def supports(self, kind: NetworkKind) -> str | None:
        """Return what is lacking; parts of the weights may be too large for a card's chip."""
        lack = super().supports(kind)
        if lack is not None or not is_split() or is_interpreted():
            return lack
        properties = torch.cuda.get_device_properties(kind.device)
        has = getattr(properties, "shared_memory_per_block_optin", None)
        needed = Layout(kind.n_units, 0, 0).bytes_with_gradients
        if has is None or has >= needed:
            return None
        return (
            f"takes {needed // 1024} KiB of shared memory for the parts of {kind.n_units} units, "
            f"and {kind.device} gives a program {has // 1024} KiB"
        )

    def forward(
        self,
        equation: Equation,
        weights: Weights,
        inputs: Tensor,
        noise: RecurrentNoise,
        asked: tuple[Statistic, ...],
        buffers: Buffers,
    ) -> Trajectory:
        """Run the networks in one launch."""
        w = weights
        scales, keys, number = noise_on(noise, inputs)
        states, arguments, outputs = forward(
            equation, w.W_rec, w.W_inp, w.W_out, w.b_rec, w.x_init, inputs,
            scales, keys, number, noise.first_trial, noise.given, precision=products().precision,
        )  # fmt: skip
        values = statistics_of(equation, states, asked, weights.n_units)
        return Trajectory(equation, weights, inputs, states, arguments, outputs, values, asked)

    def backward(self, run: Trajectory, cotangents: Sequence[Cotangent]) -> list[Weights]:
        """Return the gradients of each loss, propagated in one launch."""
        w = run.weights
        blocks = backward(
            run.equation, w.W_rec, w.W_inp, w.W_out, run.inputs, run.states, run.arguments,
            torch.stack([c.outputs for c in cotangents]), onto_states(run, cotangents),
            precision=products().precision,
        )  # fmt: skip
        return [Weights(*(block[a] for block in blocks)) for a in range(len(cotangents))]


def _constants(
    equation: Equation, layout: Layout, tile: Tile, precision: str, n_beside: int
) -> tuple[tuple[float, ...], dict[str, Any]]:
    """Return the arguments alpha, gamma, p0, p1 and what kernels are compiled for."""
    check_choice("precision", precision, PRECISIONS)
    p0, p1 = activation_arguments(equation)
    constants = {
        "N": layout.n_units,
        "OUT": layout.n_outputs,
        "INNER": layout.inner(n_beside, tile),
        "P": layout.padded,
        "ROWS": tile.rows,
        "CHUNK": 16,
        "FORM_S": equation.equation_type == "s",
        "ACTIVATION": equation.activation.name,
        "HAS_GAMMA": equation.gamma != 0,
        "FOLDED": layout.folded,
        "RESIDENT": layout.resident,
        "PRECISION": precision,
    }
    return (equation.alpha, equation.gamma, p0, p1), constants


def forward(
    equation: Equation,
    W_rec: Tensor,
    W_inp: Tensor,
    W_out: Tensor,
    b_rec: Tensor,
    x_init: Tensor,
    inputs: Tensor,
    noise_scales: Tensor | None,
    keys: Tensor,
    simulation: int | Tensor,
    first_trial: int = 0,
    given: Tensor | None = None,
    *,
    precision: str = "ieee",
    tile: Tile | None = None,
) -> tuple[Tensor, Tensor | None, Tensor]:
    """Simulate K networks.

    Parameters
    ----------
    equation : Equation
    W_rec : Tensor (K, N, N)
    W_inp : Tensor (K, N, M)
    W_out : Tensor (K, O, N)
    b_rec : Tensor (K, N)
    x_init : Tensor (K, N)
    inputs : Tensor (K, T, B, M)
        With their noise.
    noise_scales : Tensor (K,) or None
        Of the recurrent noise; 0 or None: none.
    keys : Tensor (K, 2), int64
        Of each network's noise.
    simulation : int or Tensor (1,), int64
        Number of the simulation.
    first_trial : int
        Number of the first of these trials in the simulation.
    given : Tensor (K, T, B, N), optional
        Scaled noise to be used instead of drawn one.
    precision : {"ieee", "bf16x6"}
        Of the products with the recurrent weights.
    tile : Tile, optional
        Instead of that of `choose_tile`.

    Returns
    -------
    states : Tensor (K, T, B, N)
        Before each update.
    arguments : Tensor (K, T, B, N) or None
        Of f, in form s; that of the last step drives nothing.
    outputs : Tensor (K, T, B, O)
        Without the noise of the readout.

    Raises
    ------
    FusedUnavailableError
        If the kernel does not fit the device.
    """
    from .. import fused_kernels

    n_networks, n_steps, n_trials, n_inputs = inputs.shape
    n_outputs, n_units = W_out.shape[1:]
    layout = Layout(n_units, n_inputs, n_outputs)
    tile = tile or choose_tile(layout, n_networks, n_trials, inputs.device, precision)
    form_s = equation.equation_type == "s"
    p = layout.padded
    weights = W_rec.new_zeros(n_networks, p, p)
    weights[:, :n_units, :n_units] = W_rec.transpose(1, 2)
    states = W_rec.new_empty(n_networks, n_steps, n_trials, n_units)
    arguments = torch.empty_like(states) if form_s else None
    outputs = states
    fed = inputs.contiguous()
    if layout.folded:
        outputs = W_rec.new_empty(n_networks, n_steps, n_trials, n_outputs)
        weights[:, :n_units, n_units : n_units + n_outputs] = W_out.transpose(1, 2)
        weights[:, n_units : n_units + n_inputs, :n_units] = W_inp.transpose(1, 2)
        weights[:, n_units + n_inputs, :n_units] = b_rec
    else:
        fed = rows_times(inputs, W_inp.transpose(1, 2), b_rec)
    noise = "none" if noise_scales is None else "drawn"
    if given is not None:
        noise, given = "given", given.contiguous()
    scalars, constants = _constants(equation, layout, tile, precision, n_inputs + 1)
    n_tiles = -(-n_trials // tile.rows)
    number = simulation
    if not isinstance(number, Tensor):
        number = torch.tensor([number], dtype=torch.int64, device=inputs.device)
    launch(
        fused_kernels.forward_kernel, n_networks * n_tiles, tile.n_warps, tile.n_stages,
        inputs.device,
        weights, x_init.contiguous(), fed,
        states if noise_scales is None else noise_scales.contiguous(), keys.contiguous(), number,
        states if given is None else given, states, states if arguments is None else arguments,
        outputs, n_steps, n_trials, n_tiles, first_trial, *scalars,
        constants | {"M": n_inputs, "NOISE": noise, "NOISE_INSIDE": equation.noise_inside},
    )  # fmt: skip
    if not layout.folded:
        outputs = rows_times(states, W_out.transpose(1, 2), equation=equation)
    return states, arguments, outputs


def backward(
    equation: Equation,
    W_rec: Tensor,
    W_inp: Tensor,
    W_out: Tensor,
    inputs: Tensor,
    states: Tensor,
    arguments: Tensor | None,
    on_outputs: Tensor,
    on_states: Tensor | None = None,
    *,
    precision: str = "ieee",
    tile: Tile | None = None,
    on_chip: bool | None = None,
) -> Gradients:
    """Return the gradients of A losses of each of K networks.

    Parameters
    ----------
    equation : Equation
    W_rec : Tensor (K, N, N)
    W_inp : Tensor (K, N, M)
    W_out : Tensor (K, O, N)
    inputs : Tensor (K, T, B, M)
        As `forward` was given them.
    states, arguments : Tensor (K, T, B, N)
        As `forward` returned them.
    on_outputs : Tensor (A, K, T, B, O)
        dL/dy.
    on_states : Tensor (A, K, T, B, N), optional
        dL/dx beside what outputs bring.
    precision : {"ieee", "bf16x6"}
        Of the products with the recurrent weights.
    tile : Tile, optional
        Instead of that of `choose_tile`.
    on_chip : bool, optional
        Whether gradients are summed as adjoints go back; instead of what `sums_on_chip` says.

    Returns
    -------
    W_rec : Tensor (A, K, N, N)
    W_inp : Tensor (A, K, N, M)
    W_out : Tensor (A, K, O, N)
    b_rec : Tensor (A, K, N)
    x_init : Tensor (A, K, N)
        Summed over trials.

    Raises
    ------
    FusedUnavailableError
        If the kernel does not fit the device.
    """
    from .. import fused_kernels

    n_adjoints, n_networks, n_steps, n_trials, n_outputs = on_outputs.shape
    n_inputs, n_units = inputs.shape[3], states.shape[3]
    n_runs = n_adjoints * n_networks
    layout = Layout(n_units, n_inputs, n_outputs)
    sums = sums_on_chip(layout, precision) if on_chip is None else on_chip
    tile = tile or choose_tile(layout, n_runs, n_trials, states.device, precision, sums)
    p = layout.padded
    weights = W_rec.new_zeros(n_networks, p, p)
    weights[:, :n_units, :n_units] = W_rec
    on_outputs = on_outputs.contiguous()
    fed = on_outputs
    if layout.folded:
        weights[:, n_units : n_units + n_outputs, :n_units] = W_out
    else:
        fed = rows_times(on_outputs, W_out)
    n_tiles = -(-n_trials // tile.rows)
    # One of them is written.
    delta = states if sums else states.new_empty(n_adjoints, *states.shape)
    gradients = states.new_empty(n_runs, n_tiles, p, p) if sums else states
    on_start = states.new_empty(n_runs, n_trials, n_units)
    scalars, constants = _constants(equation, layout, tile, precision, n_outputs)
    launch(
        fused_kernels.backward_kernel, n_runs * n_tiles, tile.n_warps, tile.n_stages,
        states.device,
        weights, states if arguments is None else arguments, states, inputs.contiguous(), fed,
        states if on_states is None else on_states.contiguous(), delta, gradients, on_start,
        n_networks, n_steps, n_trials, n_tiles, *scalars,
        constants | {"M": n_inputs, "HAS_DENSE": on_states is not None, "SUMS": sums},
    )  # fmt: skip
    # Trial after trial: tiles are not the same in every company.
    first = sum_of_parts(on_start).view(n_adjoints, n_networks, n_units)
    if sums:
        n, total = n_units, sum_of_parts(gradients.flatten(2)).view(n_adjoints, n_networks, p, p)
        of_units = total[:, :, :n]
        return Gradients(
            of_units[..., :n], of_units[..., n : n + n_inputs],
            total[:, :, n : n + n_outputs, :n], of_units[..., n + n_inputs], first,
        )  # fmt: skip
    on_rec, on_inp, on_bias = rows_by_rows(delta, states, inputs, equation, precision)
    on_out, _, _ = rows_by_rows(on_outputs, states, None, equation, precision)
    assert on_inp is not None and on_bias is not None
    return Gradients(on_rec, on_inp, on_out, on_bias, first)
