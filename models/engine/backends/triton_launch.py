"""What all back ends made of Triton kernels share: what they lack, how they launch and multiply."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from contextvars import ContextVar
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

import torch
from torch import Tensor

from tasks_lib.errors import check_choice

from ...formulas.equations import Equation
from ..philox import PARTS, Draws
from ..trajectory import RecurrentNoise
from .base import BackEnd, BackEndUnavailableError, NetworkKind

OLDEST_CAPABILITY = (8, 0)
# Those that `models.engine.fused_kernels` has formulas of, in `_activate` and `_slope`.
ACTIVATIONS_WITH_CODE = ("relu", "leaky_relu", "tanh", "sigmoid", "softplus", "gelu")
PRECISIONS = ("ieee", "bf16x6")
DRAWS, DRAW_WARPS = 256, 4  # places of a program that draws noise: two for each thread


class FusedUnavailableError(BackEndUnavailableError):
    """The kernels cannot be compiled for, or do not fit, this device: use another engine."""


@dataclass(frozen=True)
class Products:
    """How kernels multiply.

    Attributes
    ----------
    precision : {"ieee", "bf16x6"}
        float32; or on tensor cores, each product as six of parts of 8 bits, as exact.
    same_bits : bool
        Whether products over all steps and trials are kernels of our own, which add in an order
        that companions do not change, or cuBLAS's.
    """

    precision: str = "ieee"
    same_bits: bool = True


_products: ContextVar[Products] = ContextVar("products", default=Products())  # noqa: B039


def products() -> Products:
    """Return how kernels multiply here."""
    return _products.get()


def is_split() -> bool:
    """Return whether kernels multiply parts that are made beforehand."""
    return products().precision == "bf16x6"


@contextmanager
def products_in(precision: str = "ieee", same_bits: bool = True) -> Iterator[None]:
    """Let the kernels that run inside multiply in a way; see `Products`."""
    check_choice("precision", precision, PRECISIONS)
    token = _products.set(Products(precision, same_bits))
    try:
        yield
    finally:
        _products.reset(token)


def is_interpreted() -> bool:
    """Return whether Triton interprets kernels, on any device, and does not compile them."""
    return os.environ.get("TRITON_INTERPRET") == "1"


def lack_of(dtype: torch.dtype, device: torch.device) -> str | None:
    """Return what networks of this type and place lack here, None where nothing."""
    if dtype != torch.float32:
        return f"computes in float32, and not in {dtype}"
    if find_spec("triton") is None:
        return "needs Triton, which is not installed"
    if is_interpreted():
        return None
    if device.type != "cuda":
        return f"runs on a CUDA device, and not on {device}"
    capability = torch.cuda.get_device_capability(device)
    if capability < OLDEST_CAPABILITY:
        return f"needs compute capability 8.0, and {device} has {'.'.join(map(str, capability))}"
    return None


class TritonBackEnd(BackEnd):
    """What back ends made of Triton kernels share; each says how large networks may be."""

    can_be_captured = True
    splits_products = True

    @property
    def max_units(self) -> int:
        """Of the largest networks that it runs."""
        raise NotImplementedError

    def is_for(self, device: torch.device) -> bool:
        """Return whether it is a CUDA device."""
        return device.type == "cuda"

    def supports(self, kind: NetworkKind) -> str | None:
        """Return what is lacking: size, precision, Triton, a newer GPU, or the code of f."""
        if kind.n_units > self.max_units:
            return f"takes at most {self.max_units} units, and there are {kind.n_units}"
        name = kind.equation.activation.name
        if name not in ACTIVATIONS_WITH_CODE:
            return f"has no code for the activation {name!r}"
        return lack_of(kind.dtype, kind.device)

    def arrays_held(self, equation: Equation, n_adjoints: int) -> float:
        """Return the arrays held: states, arguments of form s, and adjoints with their sources."""
        # Weight gradients are summed in parts, which are up to a quarter of an array each.
        return 1.0 + (equation.equation_type == "s") + 2.25 * n_adjoints

    def normals(self, draws: Draws, like: Tensor) -> Tensor:
        """Return standard normals, drawn in one launch; by torch where kernels do not run."""
        if lack_of(like.dtype, like.device) is None:
            try:
                return _normals(draws, like)
            except FusedUnavailableError:
                pass  # the kernels of the loops say so, which do not run either
        return super().normals(draws, like)


def launch(
    kernel: Any, n_programs: int, n_warps: int, n_stages: int, device: torch.device, *args: Any
) -> None:
    """Run a kernel; ``args`` are its arguments in order, constants last, as a dict."""
    from triton.compiler.errors import CompilationError
    from triton.runtime.errors import OutOfResources, PTXASError

    *arrays, constants = args
    with torch.cuda.device(device) if device.type == "cuda" else nullcontext():
        try:
            kernel[(n_programs,)](
                *arrays,
                **constants,
                num_warps=n_warps,
                num_stages=n_stages,
                enable_fp_fusion=True,
            )
        except (OutOfResources, CompilationError, PTXASError) as error:
            raise FusedUnavailableError(
                f"the GPU kernels do not run on this device ({error}); use another engine"
            ) from error


def _normals(draws: Draws, like: Tensor) -> Tensor:
    from .. import draw_kernels

    shape, keys, simulation, part = draws
    n_steps, n_trials, n_channels = shape
    if not isinstance(keys, Tensor):
        keys = torch.tensor(list(keys), dtype=torch.int64, device=like.device)
    if not isinstance(simulation, Tensor):
        simulation = torch.tensor(simulation, dtype=torch.int64, device=like.device)
    size = n_trials * n_channels
    n_fours, n_blocks = -(-n_steps // 4), -(-size // DRAWS)
    out = like.new_empty(len(keys), n_steps, n_trials, n_channels)
    if out.numel():
        launch(
            draw_kernels.draw_kernel, len(keys) * n_fours * n_blocks, DRAW_WARPS, 1, like.device,
            out, keys.contiguous(), simulation, n_steps, size, n_fours, n_blocks,
            {"PART": PARTS[part] << 24, "BLOCK": DRAWS},
        )  # fmt: skip
    return out


def activation_arguments(equation: Equation) -> tuple[float, float]:
    """Return the two parameters of f, 0 where it has fewer."""
    p0, p1 = (*equation.activation.args.values(), 0.0, 0.0)[:2]
    return p0, p1


def noise_on(noise: RecurrentNoise, like: Tensor) -> tuple[Tensor | None, Tensor, Tensor]:
    """Return scales (K,), keys (K, 2) and number (1,) of a simulation on a device.

    Scales are None where there is certainly no noise. What is a tensor already stays where it is,
    so that nothing waits for the device, and a CUDA graph reads it anew each time.
    """
    number = noise.simulation
    if not isinstance(number, Tensor):
        number = torch.tensor([number], dtype=torch.int64, device=like.device)
    keys = noise.keys_on(like.device).contiguous()
    if not isinstance(noise.scales, Tensor) and not any(noise.scales):
        return None, keys, number
    return noise.scales_like(like).contiguous(), keys, number
