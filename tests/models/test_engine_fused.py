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

from models.engine import fused_kernels
from models.engine.backends import fused
from models.formulas.equations import Equation

ROOT = Path(__file__).parents[2]
TOOLS = Path(triton.__file__).parent / "backends" / "nvidia" / "bin"
SHARED = {80: 163 * 1024, 90: 227 * 1024}  # bytes that a program may have
# Spilling once in four steps, where noise is drawn, costs nothing; thousands of bytes would.
STACK = 256
POINTERS = {
    "weights", "start", "fed", "scales", "keys", "given", "states", "arguments", "outputs",
    "points", "dense", "delta", "on_start",
}  # fmt: skip
REALS = {"alpha", "gamma", "p0", "p1"}


@pytest.mark.slow
def test_interpreted():
    """All of `fused_interpreted`, in a process in which Triton interprets."""
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider",
         "tests/models/fused_interpreted.py"],
        cwd=ROOT, env={**os.environ, "TRITON_INTERPRET": "1"}, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-8000:] + done.stderr[-2000:]
    assert "skipped" not in done.stdout


def _compile(kernel, constants, tile, capability):
    signature, aligned = {}, {}
    for position, name in enumerate(kernel.arg_names):
        if name in constants:
            signature[name] = "constexpr"
        elif name in POINTERS:
            signature[name] = "*i64" if name == "keys" else "*fp32"
            aligned[(position,)] = [["tt.divisibility", 16]]
        else:
            signature[name] = "fp32" if name in REALS else "i32"
    return triton.compile(
        ASTSource(kernel, signature, constants, aligned),
        target=GPUTarget("cuda", capability, 32),
        options={
            "num_warps": tile.n_warps,
            "num_stages": tile.n_stages,
            "enable_fp_fusion": True,
        },
    )


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
        compiled = _compile(kernel, constants | more, tile, capability)
        assert compiled.metadata.shared <= SHARED[capability]
        cubin = tmp_path / "kernel.cubin"
        cubin.write_bytes(compiled.asm["cubin"])
        usage = subprocess.run(
            [TOOLS / "cuobjdump", "-res-usage", cubin], capture_output=True, text=True, check=True
        )
        stack = re.search(r"STACK:(\d+)", usage.stdout + usage.stderr)
        assert stack is not None and int(stack[1]) <= STACK, usage.stdout


def test_tiles_fill_the_chip():
    """Few networks are divided into small tiles, many into those that work least."""
    layout = fused.Layout(100, 6, 2)

    class _Processors:
        multi_processor_count = 132

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch.cuda, "get_device_properties", lambda device: _Processors)
        assert fused.choose_tile(layout, 1, 225, torch.device("cuda")).rows == 2
        assert fused.choose_tile(layout, 64, 225, torch.device("cuda")).rows == 16
