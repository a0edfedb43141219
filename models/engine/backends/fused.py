"""The time loop of many networks on a GPU: one kernel launch forward, one backward.

A plain torch loop launches some ten kernels a step, each too small to fill the chip. Here a program
runs all steps of a tile of trials of one network (`models.engine.fused_kernels`, in Triton); the
gradients of the weights are products over all steps and trials, which torch does well.

Noise is that of `models.engine.philox`. Triton is imported when it is first needed.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from importlib.util import find_spec
from typing import Any, NamedTuple

import torch
from torch import Tensor

from ...formulas.equations import Equation
from ..buffers import Buffers
from ..fused_tiles import Layout, Tile, choose_tile, for_precision
from ..philox import WORD
from ..statistics import Statistic
from ..trajectory import Cotangent, RecurrentNoise, Trajectory
from ..weights import Weights
from .base import BackEnd, BackEndUnavailableError, NetworkKind, onto_states, statistics_of

MAX_UNITS = 256
OLDEST_CAPABILITY = (8, 0)
# Those that `models.engine.fused_kernels` has formulas of, in `_activate` and `_slope`.
ACTIVATIONS_WITH_CODE = ("relu", "leaky_relu", "tanh", "sigmoid", "softplus", "gelu")
PRECISIONS = ("ieee", "tf32x3", "tf32")
# Bytes of rates that may be made at a time from states, for the gradients of form h.
_BYTES_OF_RATES = 2**28


class FusedUnavailableError(BackEndUnavailableError):
    """The kernels cannot be compiled for, or do not fit, this device: use another engine."""


class Gradients(NamedTuple):
    """Gradients of each of A losses, in the order of `backward`."""

    W_rec: Tensor
    W_inp: Tensor
    W_out: Tensor
    b_rec: Tensor
    x_init: Tensor


def _is_interpreted() -> bool:
    return os.environ.get("TRITON_INTERPRET") == "1"


def _lack(n_units: int, dtype: torch.dtype, device: torch.device) -> str | None:
    """Return what networks of this size, type and place lack here, None where nothing."""
    if n_units > MAX_UNITS:
        return f"takes at most {MAX_UNITS} units, and there are {n_units}"
    if dtype != torch.float32:
        return f"computes in float32, and not in {dtype}"
    if find_spec("triton") is None:
        return "needs Triton, which is not installed"
    if _is_interpreted():
        return None
    if device.type != "cuda":
        return f"runs on a CUDA device, and not on {device}"
    capability = torch.cuda.get_device_capability(device)
    if capability < OLDEST_CAPABILITY:
        return f"needs compute capability 8.0, and {device} has {'.'.join(map(str, capability))}"
    return None


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
    return _lack(n_units, dtype, device) is None


class Fused(BackEnd):
    """Triton kernels of whole time loops, on a GPU."""

    name = "fused"

    def is_for(self, device: torch.device) -> bool:
        """Return whether it is a CUDA device."""
        return device.type == "cuda"

    def supports(self, kind: NetworkKind) -> str | None:
        """Return what is lacking: size, precision, Triton, a newer GPU, or the code of f."""
        name = kind.equation.activation.name
        if name not in ACTIVATIONS_WITH_CODE:
            return f"has no code for the activation {name!r}"
        return _lack(kind.n_units, kind.dtype, kind.device)

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
        scales = torch.tensor(list(noise.scales), dtype=inputs.dtype, device=inputs.device)
        keys = torch.tensor(list(noise.keys), dtype=torch.int64, device=inputs.device)
        states, arguments, outputs = forward(
            equation, w.W_rec, w.W_inp, w.W_out, w.b_rec, w.x_init, inputs,
            None if not any(noise.scales) else scales, keys,
            noise.simulation, noise.first_trial, noise.given,
        )  # fmt: skip
        values = statistics_of(equation, states, asked, weights.n_units)
        return Trajectory(equation, weights, inputs, states, arguments, outputs, values, asked)

    def backward(self, run: Trajectory, cotangents: Sequence[Cotangent]) -> list[Weights]:
        """Return the gradients of each loss, propagated in one launch."""
        w = run.weights
        blocks = backward(
            run.equation, w.W_rec, w.W_inp, w.W_out, run.inputs, run.states, run.arguments,
            torch.stack([c.outputs for c in cotangents]), onto_states(run, cotangents),
        )  # fmt: skip
        return [Weights(*(block[a] for block in blocks)) for a in range(len(cotangents))]

    def arrays_held(self, equation: Equation, n_adjoints: int) -> float:
        """Return the arrays held: states, arguments of form s, and adjoints for later products."""
        return 1.0 + (equation.equation_type == "s") + 2.0 * n_adjoints


def _launch(kernel: Any, n_programs: int, tile: Tile, device: torch.device, *args: Any) -> None:
    """Run a kernel; ``args`` are its arguments in order, constants last, as a dict."""
    from triton.compiler.errors import CompilationError
    from triton.runtime.errors import OutOfResources, PTXASError

    *arrays, constants = args
    with torch.cuda.device(device) if device.type == "cuda" else nullcontext():
        try:
            kernel[(n_programs,)](
                *arrays,
                **constants,
                num_warps=tile.n_warps,
                num_stages=tile.n_stages,
                enable_fp_fusion=True,
            )
        except (OutOfResources, CompilationError, PTXASError) as error:
            raise FusedUnavailableError(
                f"the GPU kernels do not run on this device ({error}); use another engine"
            ) from error


def _constants(
    equation: Equation, layout: Layout, tile: Tile, precision: str
) -> tuple[tuple[float, ...], dict[str, Any]]:
    """Return the arguments alpha, gamma, p0, p1 and what kernels are compiled for."""
    if precision not in PRECISIONS:
        raise ValueError(f"precision {precision!r} is none of {', '.join(PRECISIONS)}")
    p0, p1 = (*equation.activation.args.values(), 0.0)[:2]
    constants = {
        "N": layout.n_units,
        "OUT": layout.n_outputs,
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


def _signed(word: int) -> int:
    """Return the 32-bit integer of the same bits, which has one type whatever its value."""
    word &= WORD
    return word - (WORD + 1) if word > WORD >> 1 else word


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
    simulation: int,
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
    simulation : int
        Number of the simulation.
    first_trial : int
        Number of the first of these trials in the simulation.
    given : Tensor (K, T, B, N), optional
        Scaled noise to be used instead of drawn one.
    precision : {"ieee", "tf32x3", "tf32"}
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
    tile = tile or choose_tile(layout, n_networks, n_trials, inputs.device)
    tile = for_precision(tile, precision)
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
        fed = torch.baddbmm(b_rec[:, None], inputs.flatten(1, 2), W_inp.transpose(1, 2))
    noise = "none" if noise_scales is None else "drawn"
    if given is not None:
        noise, given = "given", given.contiguous()
    scalars, constants = _constants(equation, layout, tile, precision)
    n_tiles = -(-n_trials // tile.rows)
    _launch(
        fused_kernels.forward_kernel, n_networks * n_tiles, tile, inputs.device,
        weights, x_init.contiguous(), fed,
        states if noise_scales is None else noise_scales.contiguous(), keys.contiguous(),
        states if given is None else given, states, states if arguments is None else arguments,
        outputs, n_steps, n_trials, n_tiles, first_trial,
        _signed(simulation), _signed(simulation >> 32), *scalars,
        constants | {"M": n_inputs, "NOISE": noise, "NOISE_INSIDE": equation.noise_inside},
    )  # fmt: skip
    if not layout.folded:
        outputs = W_rec.new_empty(n_networks, n_steps, n_trials, n_outputs)
        for some in _slices_of_networks(states):
            rates = equation.rates(states[some]).flatten(1, 2)
            outputs[some] = torch.bmm(rates, W_out[some].transpose(1, 2)).view_as(outputs[some])
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
    precision : {"ieee", "tf32x3", "tf32"}
        Of the products with the recurrent weights.
    tile : Tile, optional
        Instead of that of `choose_tile`.

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
    tile = tile or choose_tile(layout, n_runs, n_trials, states.device)
    tile = for_precision(tile, precision)
    p = layout.padded
    weights = W_rec.new_zeros(n_networks, p, p)
    weights[:, :n_units, :n_units] = W_rec
    on_outputs = on_outputs.contiguous()
    fed = on_outputs
    if layout.folded:
        weights[:, n_units : n_units + n_outputs, :n_units] = W_out
    else:
        fed = torch.matmul(on_outputs.flatten(2, 3), W_out)
    delta = states.new_empty(n_adjoints, *states.shape)
    n_tiles = -(-n_trials // tile.rows)
    on_start = states.new_empty(n_adjoints, n_networks, n_tiles, n_units)
    scalars, constants = _constants(equation, layout, tile, precision)
    _launch(
        fused_kernels.backward_kernel, n_runs * n_tiles, tile, states.device,
        weights, states if arguments is None else arguments, states, fed,
        states if on_states is None else on_states.contiguous(), delta, on_start,
        n_networks, n_steps, n_trials, n_tiles, *scalars,
        constants | {"HAS_DENSE": on_states is not None},
    )  # fmt: skip
    on_rec = W_rec.new_empty(n_adjoints, *W_rec.shape)
    on_inp = W_inp.new_empty(n_adjoints, *W_inp.shape)
    on_out = W_out.new_empty(n_adjoints, *W_out.shape)
    for some in _slices_of_networks(states):
        rates = equation.rates(states[some])
        for a in range(n_adjoints):
            on_rec[a, some] = _product_of_rows(delta[a, some], rates)
            on_inp[a, some] = _product_of_rows(delta[a, some], inputs[some])
            on_out[a, some] = _product_of_rows(on_outputs[a, some], rates)
    return Gradients(on_rec, on_inp, on_out, delta.sum(dim=(2, 3)), on_start.sum(dim=2))


def _slices_of_networks(states: Tensor) -> Iterator[slice]:
    """Divide the networks so that their rates are not too much to hold beside the states."""
    n_together = max(1, _BYTES_OF_RATES // (states[0].numel() * states.element_size()))
    for first in range(0, len(states), n_together):
        yield slice(first, first + n_together)


def _product_of_rows(left: Tensor, right: Tensor) -> Tensor:
    """Return leftᵀ right over steps and trials: (K, T, B, m), (K, T, B, n) -> (K, m, n).

    A product of one network is but a few tiles wide and as long as all steps and trials: as several
    products of a part of the rows each, it occupies the whole chip.
    """
    n_networks, n_rows = left.shape[0], left.shape[1] * left.shape[2]
    wanted = -(-256 // n_networks)
    n_parts = next((d for d in range(wanted, 8 * wanted + 1) if n_rows % d == 0), 1)
    left = left.reshape(n_networks * n_parts, n_rows // n_parts, left.shape[3])
    right = right.reshape(n_networks * n_parts, n_rows // n_parts, right.shape[3])
    product = torch.bmm(left.transpose(1, 2), right)
    return product.view(n_networks, n_parts, *product.shape[1:]).sum(dim=1)
