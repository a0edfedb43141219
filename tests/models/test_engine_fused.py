"""The GPU back end without a GPU: its kernels interpreted, and compiled for three GPUs."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from tests.needs import optional_module

optional_module("triton")
# These import it.
sys.path.append(str(Path(__file__).parents[2] / "benchmarks"))

import kernel_resources  # noqa: E402

from models.engine import (  # noqa: E402
    NetworkKind,
    draw_kernels,
    fused_kernels,
    products_in,
    row_kernels,
    split_kernels,
    step_kernels,
)
from models.engine.backends import fused, registry  # noqa: E402
from models.formulas.equations import Equation  # noqa: E402

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
@pytest.mark.parametrize(
    "module", ["fused_interpreted", "stepped_interpreted", "split_interpreted"]
)
def test_interpreted(module):
    """What needs Triton to interpret, in a process in which it does."""
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider",
         f"tests/models/{module}.py"],
        cwd=ROOT, env={**os.environ, "TRITON_INTERPRET": "1"}, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-8000:] + done.stderr[-2000:]
    assert "skipped" not in done.stdout


# Kernel -> most registers of a thread, KiB of shared memory, bytes that a thread spills, and how
# many programs a multiprocessor holds at least. Spilling some bytes once in four steps, where
# noise is drawn, costs nothing; a product that spills would take thousands.
BOUNDS = {
    "loop, N 50, 16 trials, tanh s, ieee": (255, 20, 96, 2),
    "loop, N 70, 16 trials, relu h, ieee": (255, 48, 96, 2),
    "loop, N 100, 16 trials, softplus h, ieee": (255, 64, 96, 2),
    "loop, N 100, 16 trials, relu h, ieee": (255, 64, 96, 2),
    "loop, N 100, 2 trials, relu h, ieee": (96, 65, 0, 2),
    "loop, N 100, 16 trials, relu h, bf16x6, 8 warps": (255, 108, 32, 1),
    "loop, N 100, 16 trials, relu h, bf16x6, 4 warps": (255, 108, 384, 1),
    "loop, N 100, 16 trials, relu h, bf16x6, 8 warps, gradients": (255, 124, 320, 1),
    "loop, N 50, 16 trials, tanh s, bf16x6, 4 warps, gradients": (255, 40, 96, 2),
    "step, N 1000, relu h, bf16x6": (128, 36, 0, 2),
    "parts of weights, N 1000": (48, 0, 0, 10),
    "loop, N 128, 16 trials, gelu s, ieee": (255, 72, 96, 2),
    "loop, N 200, 16 trials, sigmoid s, ieee": (255, 18, 256, 1),
    "step, N 1000, leaky_relu h, ieee": (128, 24, 0, 2),
    "step, N 257, gelu s, bf16x6": (192, 36, 0, 1),
    "gradients of weights, N 100, ieee": (128, 16, 32, 2),
    "gradients of the readout, N 1000, ieee": (80, 9, 0, 3),
    "outputs, N 1000": (64, 9, 0, 4),
    "drive, N 200": (80, 16, 0, 3),
    "sums of parts": (48, 1, 0, 5),
    "gradients of weights, N 100, bf16x6": (255, 80, 64, 1),
    "gradients of the readout, N 1000, bf16x6": (128, 44, 32, 2),
    "noise of inputs and readout": (48, 0, 0, 10),
}
# These on three GPUs, the others on one of them each.
EVERYWHERE = (
    "loop, N 100, 2 trials", "loop, N 200", "step, N 1000, leaky_relu",
    "gradients of weights, N 100, ieee", "outputs", "sums", "noise",
    "loop, N 100, 16 trials, relu h, bf16x6, 8 warps, gradients",
)  # fmt: skip


def _compilations():
    for number, kernel in enumerate(kernel_resources.all_kernels()):
        what = kernel.name.removeprefix("forward ").removeprefix("backward ")
        some = kernel_resources.CAPABILITIES
        if not what.startswith(EVERYWHERE):
            some = (some[number // 2 % len(some)],)
        for capability in some:
            yield pytest.param(kernel, what, capability, id=f"{kernel.name}, sm_{capability}")


@pytest.mark.slow
@pytest.mark.parametrize(("kernel", "what", "capability"), list(_compilations()))
def test_compiled(kernel, what, capability):
    """What the back ends launch becomes machine code that fits, and does not spill."""
    found = kernel_resources.resources(kernel, capability)
    registers, shared, stack, programs = BOUNDS[what]
    assert found.registers <= registers, found
    assert found.shared <= 1024 * shared, found
    assert found.stack <= stack, found
    assert found.programs >= programs, found


def test_every_kernel_is_compiled():
    """Of each module of kernels all that can be launched, and each bound is used."""
    kernels = kernel_resources.all_kernels()
    ours = {
        value for module in (draw_kernels, fused_kernels, row_kernels, split_kernels, step_kernels)
        for name, value in vars(module).items() if name.endswith("_kernel")
    }  # fmt: skip
    assert {kernel.function for kernel in kernels} == ours
    assert {param.values[1] for param in _compilations()} == BOUNDS.keys()


@pytest.mark.slow
def test_padding_is_not_multiplied():
    """Of 100 units 112 rows of 128 are, of 70 it is 80: instructions say so."""
    for n, rows in ((100, 112), (70, 80)):
        kernel = list(kernel_resources.whole_loops(n, "relu", "h"))[1]
        assert kernel.constants["INNER"] == rows
        threads = 32 * kernel.n_warps
        products = kernel.constants["ROWS"] * rows * kernel.constants["P"] // threads
        n_fma, n_tensor = kernel_resources.products_in_code(kernel, 90)
        assert products <= n_fma < products + 64 and n_tensor == 0


def test_tiles_fill_the_chip():
    """Few networks are divided into small tiles, many into those that work least."""
    layout = fused.Layout(100, 6, 2)

    class _Processors:
        multi_processor_count = 132

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch.cuda, "get_device_properties", lambda device: _Processors)
        cuda = torch.device("cuda")
        assert fused.choose_tile(layout, 1, 225, cuda).rows == 2
        assert fused.choose_tile(layout, 64, 225, cuda).rows == 16
        # Tensor cores take 16 rows; two programs share a multiprocessor where there is room.
        for kib, warps in ((228, 4), (164, 8)):
            _Processors.shared_memory_per_multiprocessor = 1024 * kib
            assert fused.choose_tile(layout, 64, 225, cuda, "bf16x6") == fused.Tile(16, warps)
            assert fused.choose_tile(layout, 1, 225, cuda, "bf16x6") == fused.Tile(16, 8)
            assert fused.choose_tile(layout, 64, 225, cuda, "bf16x6", True) == fused.Tile(16, 8)


def test_shared_memory_is_what_tiles_are_chosen_by():
    """What is said of a program that multiplies parts is what the compiler gives it, or more."""
    for n in (50, 100):
        kernel = next(iter(kernel_resources.whole_loops(n, "relu", "h", precision="bf16x6")))
        shared = kernel_resources.resources(kernel, 90).shared
        assert 0 <= fused.Layout(n, 6, 2).bytes_of_parts - shared <= 4096


def _chosen(n, shared, precision, monkeypatch):
    """Return the back end for n units on a card that gives a program so many KiB."""

    class _Card:
        shared_memory_per_block_optin = 1024 * shared

    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda device: _Card)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (8, 9))
    with products_in(precision):
        return registry.choose(
            NetworkKind(Equation("tanh"), n, torch.float32, torch.device("cuda"))
        ).name


def test_parts_that_do_not_fit_a_card_are_not_kept_on_it(monkeypatch, recwarn):
    """Not found out at the first launch, which would run in plain torch, in float32."""
    for n, shared, precision, name in (
        (64, 99, "bf16x6", "fused"), (65, 99, "bf16x6", "stepped"), (128, 99, "ieee", "fused"),
        (128, 163, "bf16x6", "fused"), (129, 163, "bf16x6", "stepped"),
    ):  # fmt: skip
        assert _chosen(n, shared, precision, monkeypatch) == name, (n, shared, precision)
    assert not recwarn.list


def test_what_does_not_fit_in_parts_may_fit_in_float32(monkeypatch):
    monkeypatch.setattr(registry, "_UNFIT", set())
    kind = NetworkKind(Equation("tanh"), 60, torch.float32, torch.device("cuda"))
    with products_in("bf16x6"), pytest.warns(UserWarning, match="too small a chip"):
        registry.remember_unfit(registry.get("fused"), kind, RuntimeError("too small a chip"))
    assert _chosen(60, 163, "bf16x6", monkeypatch) == "stepped"
    assert _chosen(60, 163, "ieee", monkeypatch) == "fused"


def test_gradients_on_the_chip_take_what_is_said():
    for n, warps in ((50, 4), (100, 8)):
        kernels = kernel_resources.whole_loops(
            n, "tanh", "s", precision="bf16x6", warps=warps, sums=True
        )
        shared = kernel_resources.resources(list(kernels)[1], 90).shared
        assert 0 <= fused.Layout(n, 6, 2).bytes_with_gradients - shared <= 4096


@pytest.mark.slow
def test_products_of_parts_run_on_tensor_cores():
    """Six for each product of 16 rows, 16 terms and 8 units, and hardly any others."""
    for kernel in kernel_resources.whole_loops(100, "relu", "h", precision="bf16x6", warps=8):
        n_fma, n_tensor = kernel_resources.products_in_code(kernel, 90)
        assert n_tensor == 6 * (128 // 16) * (128 // 8) // 8
        assert n_fma < 400  # of noise and what is done element by element
