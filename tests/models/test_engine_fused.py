"""The GPU back end without a GPU: its kernels interpreted, and compiled for two GPUs."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

from models.engine import fused_kernels, row_kernels, step_kernels
from models.engine.backends import fused, row_products, stepped
from models.engine.backends.triton_launch import products_in
from models.formulas.equations import Equation

ROOT = Path(__file__).parents[2]
TOOLS = Path(triton.__file__).parent / "backends" / "nvidia" / "bin"
SHARED = {80: 163 * 1024, 90: 227 * 1024, 100: 227 * 1024}  # bytes that a program may have
# Spilling once in four steps, where noise is drawn, costs nothing; thousands of bytes would.
STACK = 256
POINTERS = {
    "weights", "start", "fed", "scales", "keys", "given", "states", "arguments", "outputs",
    "points", "dense", "delta", "on_start", "w_inp", "bias", "sent", "inputs", "kept", "w_out",
    "on_outputs", "adjoint", "rows", "matrix", "out", "left", "parts", "number",
}  # fmt: skip
REALS = {"alpha", "gamma", "p0", "p1"}


@pytest.mark.slow
@pytest.mark.parametrize("module", ["fused_interpreted", "stepped_interpreted"])
def test_interpreted(module):
    """What needs Triton to interpret, in a process in which it does."""
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider",
         f"tests/models/{module}.py"],
        cwd=ROOT, env={**os.environ, "TRITON_INTERPRET": "1"}, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-8000:] + done.stderr[-2000:]
    assert "skipped" not in done.stdout


def _compile(kernel, constants, n_warps, n_stages, capability):
    signature, aligned = {}, {}
    for position, name in enumerate(kernel.arg_names):
        if name in constants:
            signature[name] = "constexpr"
        elif name in POINTERS:
            signature[name] = "*i64" if name in ("keys", "number") else "*fp32"
            aligned[(position,)] = [["tt.divisibility", 16]]
        else:
            signature[name] = "fp32" if name in REALS else "i32"
    return triton.compile(
        ASTSource(kernel, signature, constants, aligned),
        target=GPUTarget("cuda", capability, 32),
        options={
            "num_warps": n_warps,
            "num_stages": n_stages,
            "enable_fp_fusion": True,
        },
    )


def _check_fits(kernel, constants, n_warps, n_stages, capability, folder):
    """Compile a kernel; it has the shared memory that it needs, and hardly spills."""
    compiled = _compile(kernel, constants, n_warps, n_stages, capability)
    assert compiled.metadata.shared <= SHARED[capability]
    cubin = folder / "kernel.cubin"
    cubin.write_bytes(compiled.asm["cubin"])
    usage = subprocess.run(
        [TOOLS / "cuobjdump", "-res-usage", cubin], capture_output=True, text=True, check=True
    )
    stack = re.search(r"STACK:(\d+)", usage.stdout + usage.stderr)
    assert stack is not None and int(stack[1]) <= STACK, usage.stdout


@pytest.mark.slow
@pytest.mark.parametrize(
    ("capability", "n", "activation", "form", "gamma"),
    [
        (80, 50, "tanh", "s", 0.0),
        (80, 100, "relu", "h", 0.1),
        (80, 128, "gelu", "s", 0.1),
        (80, 200, "softplus", "s", 0.0),
        (90, 50, "sigmoid", "h", 0.1),
        (90, 100, "softplus", "s", 0.1),
        (90, 128, "tanh", "h", 0.0),
        (90, 200, "leaky_relu", "h", 0.1),
    ],
)
def test_compiled(capability, n, activation, form, gamma, tmp_path):
    """The kernels that the launcher chooses become machine code that fits, without spills."""
    equation = Equation(activation, form, gamma=gamma)
    layout = fused.Layout(n, 6, 2)
    tile = fused.choose_tile(layout, 64, 225, torch.device("cpu"))
    _, constants = fused._constants(equation, layout, tile, "ieee")
    for kernel, more in (
        (fused_kernels.forward_kernel, {"M": 6, "NOISE": "drawn", "NOISE_INSIDE": False}),
        (fused_kernels.backward_kernel, {"HAS_DENSE": True}),
    ):
        _check_fits(kernel, constants | more, tile.n_warps, tile.n_stages, capability, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["ieee", "tf32x3", "bf16x6"])
@pytest.mark.parametrize(
    ("capability", "n", "activation", "form"),
    [(80, 257, "tanh", "s"), (90, 1000, "gelu", "h"), (100, 513, "softplus", "s")],
)
def test_steps_compiled(capability, n, activation, form, precision, tmp_path):
    """So do those of single steps, for three GPUs."""
    equation = Equation(activation, form, gamma=0.1)
    with products_in(precision):
        constants = stepped.constants_of(equation, n)
    for kernel, more in (
        (step_kernels.forward_step_kernel, {"M": 6, "NOISE": "drawn", "NOISE_INSIDE": form == "s"}),
        (step_kernels.backward_step_kernel, {"OUT": 2, "HAS_DENSE": True}),
    ):
        _check_fits(kernel, constants | more, stepped.WARPS, stepped.STAGES, capability, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("capability", [80, 90, 100])
@pytest.mark.parametrize(
    ("kernel", "constants", "n_stages"),
    [
        (row_kernels.rows_by_rows_kernel,
         {"L": 100, "N": 100, "M": 6, "HAS_ONE": True, "LEFT": 64, "RIGHT": 64}, 2),
        (row_kernels.rows_by_rows_kernel,
         {"L": 2, "N": 1000, "M": 0, "HAS_ONE": False, "LEFT": 16, "RIGHT": 64}, 2),
        (row_kernels.rows_times_matrix_kernel,
         {"INNER": 1000, "OUT": 2, "HAS_BIAS": False, "ROWS": 64, "COLUMNS": 16}, 2),
        (row_kernels.rows_times_matrix_kernel,
         {"INNER": 6, "OUT": 200, "HAS_BIAS": True, "ROWS": 64, "COLUMNS": 64}, 2),
        (row_kernels.sum_of_parts_kernel, {"BLOCK": 128, "GROUP": 16}, 1),
    ],
    ids=["weights", "readout", "outputs", "drive", "sums"],
)  # fmt: skip
def test_products_compiled(kernel, constants, n_stages, capability, tmp_path):
    """And those of all steps and trials."""
    if kernel is not row_kernels.sum_of_parts_kernel:
        constants = constants | {
            "ACTIVATION": "tanh", "CHUNK": row_products.CHUNK, "PRECISION": "ieee"
        }  # fmt: skip
    _check_fits(kernel, constants, row_products.WARPS, n_stages, capability, tmp_path)


def test_tiles_fill_the_chip():
    """Few networks are divided into small tiles, many into those that work least."""
    layout = fused.Layout(100, 6, 2)

    class _Processors:
        multi_processor_count = 132

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch.cuda, "get_device_properties", lambda device: _Processors)
        assert fused.choose_tile(layout, 1, 225, torch.device("cuda")).rows == 2
        assert fused.choose_tile(layout, 64, 225, torch.device("cuda")).rows == 16
