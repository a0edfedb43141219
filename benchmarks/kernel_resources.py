"""Registers, shared memory and spills of the GPU's kernels, compiled ahead; no GPU is needed.

    python benchmarks/kernel_resources.py [--capability 80 90 100] [--write FILE]

Triton compiles each kernel as the back ends launch it, and the assembler that comes with Triton
says what it takes. ``programs`` is how many of them one multiprocessor holds by that; ``FMA`` are
the instructions of float32 products in the code of a program's thread, ``tensor`` those of tensor
cores, ``loop`` all of its longest loop.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

from models.engine import (
    draw_kernels,
    fused_kernels,
    row_kernels,
    split_kernels,
    step_kernels,
)
from models.engine.backends import fused, row_products, stepped, triton_launch
from models.engine.backends.triton_launch import products_in
from models.engine.philox import PARTS
from models.formulas.equations import Equation

TOOLS = Path(triton.__file__).parent / "backends" / "nvidia" / "bin"
CAPABILITIES = (80, 90, 100)
# Of a multiprocessor: registers, and bytes of shared memory, of which a program leaves 1 KiB.
REGISTERS = 65536
SHARED = {80: 164 * 1024, 90: 228 * 1024, 100: 228 * 1024}
POINTERS = {
    "weights", "start", "fed", "scales", "keys", "given", "states", "arguments", "outputs",
    "points", "dense", "delta", "on_start", "w_inp", "bias", "sent", "inputs", "kept", "w_out",
    "on_outputs", "adjoint", "rows", "matrix", "out", "left", "parts", "number", "gradients",
}  # fmt: skip
OF_WHOLE_NUMBERS = {"keys", "number"}
REALS = {"alpha", "gamma", "p0", "p1"}
N_INPUTS, N_OUTPUTS = 6, 2


@dataclass(frozen=True)
class Kernel:
    """A kernel as it is launched."""

    name: str
    function: Any
    constants: dict[str, Any]
    n_warps: int
    n_stages: int = 1


@dataclass(frozen=True)
class Resources:
    """What a kernel takes on a GPU.

    Attributes
    ----------
    registers : int
        Of a thread.
    shared : int
        Bytes of a program.
    stack : int
        Bytes that a thread keeps in local memory: what it spills.
    programs : int
        That one multiprocessor holds.
    """

    registers: int
    shared: int
    stack: int
    programs: int


def whole_loops(
    n: int,
    activation: str,
    form: str,
    rows: int | None = None,
    precision: str = "ieee",
    warps: int | None = None,
    sums: bool = False,
) -> Iterator[Kernel]:
    """Yield the kernels of whole time loops, with noise, damping and all adjoints."""
    equation = Equation(activation, form, gamma=0.1)
    layout = fused.Layout(n, N_INPUTS, N_OUTPUTS)
    tile = fused.choose_tile(layout, 64, 225, torch.device("cpu"), precision)
    if rows is not None:
        tile = replace(tile, rows=rows)
    if warps is not None:
        tile = replace(tile, n_warps=warps)
    what = f"loop, N {n}, {tile.rows} trials, {activation} {form}, {precision}"
    if warps is not None:
        what += f", {warps} warps"
    if sums:
        what += ", gradients"
    for direction, function, beside, more in (
        ("forward", fused_kernels.forward_kernel, N_INPUTS + 1,
         {"M": N_INPUTS, "NOISE": "drawn", "NOISE_INSIDE": False}),
        ("backward", fused_kernels.backward_kernel, N_OUTPUTS,
         {"M": N_INPUTS, "HAS_DENSE": True, "SUMS": sums}),
    ):  # fmt: skip
        _, constants = fused._constants(equation, layout, tile, precision, beside)
        yield Kernel(f"{direction} {what}", function, constants | more, tile.n_warps, tile.n_stages)


def single_steps(n: int, activation: str, form: str, precision: str = "ieee") -> Iterator[Kernel]:
    """Yield the kernels of single steps."""
    with products_in(precision):
        constants = stepped.constants_of(Equation(activation, form, gamma=0.1), n)
    what = f"step, N {n}, {activation} {form}, {precision}"
    for direction, function, more in (
        ("forward", step_kernels.forward_step_kernel,
         {"M": N_INPUTS, "NOISE": "drawn", "NOISE_INSIDE": form == "s"}),
        ("backward", step_kernels.backward_step_kernel, {"OUT": N_OUTPUTS, "HAS_DENSE": True}),
    ):  # fmt: skip
        yield Kernel(
            f"{direction} {what}", function, constants | more, stepped.WARPS, stepped.STAGES
        )


def products_of_all_rows(precision: str = "ieee") -> Iterator[Kernel]:
    """Yield the kernels of products over all steps and trials, and of the sums of their parts."""
    side, chunk = row_products.tile_of(precision)
    warps = row_products.WARPS
    common = {"ACTIVATION": "tanh", "CHUNK": chunk}
    split = common | {"PRECISION": precision}
    yield Kernel(
        f"gradients of weights, N 100, {precision}", row_kernels.rows_by_rows_kernel,
        split | {"L": 100, "N": 100, "M": N_INPUTS, "HAS_ONE": True, "LEFT": side, "RIGHT": side},
        warps, 2,
    )  # fmt: skip
    yield Kernel(
        f"gradients of the readout, N 1000, {precision}", row_kernels.rows_by_rows_kernel,
        split | {"L": N_OUTPUTS, "N": 1000, "M": 0, "HAS_ONE": False, "LEFT": 16, "RIGHT": side},
        warps, 2,
    )  # fmt: skip
    if precision != "ieee":  # the others are always in float32
        return
    for name, inner, out, has_bias, columns in (
        ("outputs, N 1000", 1000, N_OUTPUTS, False, 16), ("drive, N 200", N_INPUTS, 200, True, side)
    ):  # fmt: skip
        yield Kernel(
            name, row_kernels.rows_times_matrix_kernel,
            split | {"INNER": inner, "OUT": out, "HAS_BIAS": has_bias, "ROWS": side,
                     "COLUMNS": columns},
            warps, 2,
        )  # fmt: skip
    yield Kernel(
        "sums of parts", row_kernels.sum_of_parts_kernel,
        {"BLOCK": row_products.BLOCK, "GROUP": row_products.GROUP}, warps,
    )  # fmt: skip


def draws() -> Iterator[Kernel]:
    """Yield the kernel of the noise of inputs and readout."""
    constants = {"PART": PARTS["out"] << 24, "BLOCK": triton_launch.DRAWS}
    yield Kernel(
        "noise of inputs and readout", draw_kernels.draw_kernel, constants, triton_launch.DRAW_WARPS
    )


def splitting() -> Iterator[Kernel]:
    """Yield the kernel that parts weights."""
    constants = {"LD": 1024, "BLOCK": stepped.BLOCK}
    yield Kernel("parts of weights, N 1000", split_kernels.split_kernel, constants, 4)


def all_kernels() -> list[Kernel]:
    """Return every kernel, in sizes and precisions that stand for the others."""
    return [
        *whole_loops(50, "tanh", "s"),
        *whole_loops(70, "relu", "h"),
        *whole_loops(100, "softplus", "h"),
        *whole_loops(100, "relu", "h"),
        *whole_loops(100, "relu", "h", rows=2),
        *whole_loops(100, "relu", "h", precision="bf16x6", warps=8),
        *whole_loops(100, "relu", "h", precision="bf16x6", warps=4),
        *list(whole_loops(100, "relu", "h", precision="bf16x6", warps=8, sums=True))[1:],
        *list(whole_loops(50, "tanh", "s", precision="bf16x6", warps=4, sums=True))[1:],
        *whole_loops(128, "gelu", "s"),
        *whole_loops(200, "sigmoid", "s"),
        *single_steps(1000, "leaky_relu", "h"),
        *single_steps(257, "gelu", "s", "bf16x6"),
        *single_steps(1000, "relu", "h", "bf16x6"),
        *products_of_all_rows(),
        *products_of_all_rows("bf16x6"),
        *splitting(),
        *draws(),
    ]


def resources(kernel: Kernel, capability: int) -> Resources:
    """Compile a kernel for a GPU of a compute capability; return what it takes."""
    compiled = _compiled(kernel, capability)
    usage = _said("-res-usage", compiled)
    found = {name: int(number) for name, number in re.findall(r"\b(REG|STACK):(\d+)", usage)}
    shared = int(compiled.metadata.shared)
    threads = 32 * kernel.n_warps
    programs = min(
        REGISTERS // (threads * -(-found["REG"] // 8) * 8),
        SHARED[capability] // (shared + 1024),
        2048 // threads,
    )
    return Resources(found["REG"], shared, found["STACK"], programs)


def products_in_code(kernel: Kernel, capability: int) -> tuple[int, int]:
    """Return how many instructions of products a kernel has: float32, and of tensor cores."""
    code = _said("-sass", _compiled(kernel, capability))
    tensor = re.findall(r"\b(?:HMMA|HGMMA|UTC\w*MMA)\b", code)
    return len(re.findall(r"\bFFMA2?\b", code)), len(tensor)


def loop_in_code(kernel: Kernel, capability: int) -> tuple[int, int]:
    """Return how many instructions a thread has in its longest loop, and how many are not always.

    The second are those of the longest part that a branch passes over: the draws, which are for
    four steps.
    """
    code = _said("-sass", _compiled(kernel, capability))
    places = [int(at, 16) for at in re.findall(r"^\s+/\*([0-9a-f]{4,})\*/\s", code, re.MULTILINE)]
    branches = [
        (int(at, 16), int(to, 16))
        for at, to in re.findall(
            r"^\s+/\*([0-9a-f]{4,})\*/\s.*\bBRA\b.*?0x([0-9a-f]+)", code, re.MULTILINE
        )
    ]

    def between(first: int, last: int) -> int:
        return sum(first <= place <= last for place in places)

    loops = [(to, at) for at, to in branches if to <= at]
    if not loops:
        return 0, 0
    first, last = max(loops, key=lambda loop: between(*loop))
    # The code ends with a branch to itself.
    total = between(first, last) if last > first else 0
    passed = [between(at + 1, to - 1) for at, to in branches if first <= at < to <= last]
    seldom = max(passed, default=0)
    return total - seldom, seldom


def _compiled(kernel: Kernel, capability: int) -> Any:
    signature, aligned = {}, {}
    for position, name in enumerate(kernel.function.arg_names):
        if name in kernel.constants:
            signature[name] = "constexpr"
        elif name in POINTERS:
            signature[name] = "*i64" if name in OF_WHOLE_NUMBERS else "*fp32"
            if name in _parted(kernel):
                signature[name] = "*bf16"
            aligned[(position,)] = [["tt.divisibility", 16]]
        else:
            signature[name] = "fp32" if name in REALS else "i32"
    return triton.compile(
        ASTSource(kernel.function, signature, kernel.constants, aligned),
        target=GPUTarget("cuda", capability, 32),
        options={
            "num_warps": kernel.n_warps,
            "num_stages": kernel.n_stages,
            "enable_fp_fusion": True,
        },
    )


def _parted(kernel: Kernel) -> tuple[str, ...]:
    """Return which arrays are parted."""
    if kernel.function is split_kernels.split_kernel:
        return ("out",)
    of_steps = (step_kernels.forward_step_kernel, step_kernels.backward_step_kernel)
    if kernel.function in of_steps and kernel.constants["PRECISION"] == "bf16x6":
        return ("weights", "sent")
    return ()


def _said(option: str, compiled: Any) -> str:
    """Return what the tool for machine code says of a compiled kernel."""
    with tempfile.TemporaryDirectory() as folder:
        cubin = Path(folder) / "kernel.cubin"
        cubin.write_bytes(compiled.asm["cubin"])
        done = subprocess.run(
            [TOOLS / "cuobjdump", option, cubin], capture_output=True, text=True, check=True
        )
    return done.stdout + done.stderr


def table(capabilities: Sequence[int]) -> str:
    """Return what all kernels take as a page of Markdown."""
    lines = [
        "# What the kernels of a GPU take",
        "",
        f"Compiled ahead by `python benchmarks/kernel_resources.py` with Triton "
        f"{triton.__version__}; no GPU has run these. Registers are of a thread, shared memory in "
        "KiB of a program, spills in bytes of a thread; *programs* is how many a multiprocessor "
        "holds, *FMA* and *tensor* the instructions of float32 products and of tensor cores in a "
        "thread's code, *loop* all that its longest loop has (a step of a whole loop, a chunk of "
        "terms of the others), those of draws for four steps by themselves. Loops with *gradients* "
        "sum those of all weights as adjoints go back.",
    ]
    for capability in capabilities:
        lines += [
            "",
            f"## sm_{capability}",
            "",
            "| kernel | warps | registers | shared | spills | programs | FMA | tensor | loop |",
            "|---|---:|---:|---:|---:|---:|---:|---:|---:|",
        ]
        for kernel in all_kernels():
            r = resources(kernel, capability)
            n_fma, n_tensor = products_in_code(kernel, capability)
            always, seldom = loop_in_code(kernel, capability)
            loop = f"{always} + {seldom}" if seldom > always / 4 else f"{always + seldom or '–'}"
            lines.append(
                f"| {kernel.name} | {kernel.n_warps} | {r.registers} | {r.shared / 1024:.1f} | "
                f"{r.stack} | {r.programs} | {n_fma} | {n_tensor} | {loop} |"
            )
    return "\n".join(lines) + "\n"


def main() -> None:
    """Print the table, and write it if asked to."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--capability", type=int, nargs="+", choices=CAPABILITIES,
                        default=CAPABILITIES, help="of the GPU, without its point")  # fmt: skip
    parser.add_argument("--write", type=Path, help="file of Markdown to write")
    options = parser.parse_args()
    if os.environ.get("TRITON_INTERPRET") == "1":
        parser.error("TRITON_INTERPRET=1: nothing is compiled; leave it out")
    if options.write is not None and not options.write.parent.is_dir():
        parser.error(f"--write {options.write}: there is no folder {options.write.parent}")
    text = table(options.capability)
    print(text, end="")
    if options.write is not None:
        options.write.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
