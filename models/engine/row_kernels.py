"""Triton kernels of products of all rows at once: those of all steps and trials of a network.

What torch does with cuBLAS is here a kernel of our own, because cuBLAS chooses how it adds by the
number of products in a batch. These add in an order that depends on one network's sizes alone, so
that a network has the same bits alone and among others.

A row is a step of a trial; a run is an adjoint of a network (run = adjoint * K + network), or a
network.
"""

# mypy: ignore-errors
from __future__ import annotations

import triton
import triton.language as tl

from .fused_kernels import _activate
from .split_kernels import add_product


@triton.jit(do_not_specialize=["n_rows", "n_networks", "n_row_tiles", "n_column_tiles"])
def rows_times_matrix_kernel(
    rows, matrix, bias, out, n_rows, n_networks, n_row_tiles, n_column_tiles, p0, p1,
    INNER: tl.constexpr, OUT: tl.constexpr, ACTIVATION: tl.constexpr, HAS_BIAS: tl.constexpr,
    ROWS: tl.constexpr, COLUMNS: tl.constexpr, CHUNK: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """Multiply rows, or f of them, by a matrix of their network.

    Program = (run * n_row_tiles + row tile) * n_column_tiles + column tile. Arrays: rows (runs,
    n_rows, INNER), matrix (K, INNER, OUT), bias (K, OUT), out (runs, n_rows, OUT).
    """
    program = tl.program_id(0)
    tile = program // n_column_tiles
    run = (tile // n_row_tiles).to(tl.int64)
    network = run % n_networks
    row = (tile % n_row_tiles).to(tl.int64) * ROWS + tl.arange(0, ROWS)[:, None]
    column = (program % n_column_tiles) * COLUMNS + tl.arange(0, COLUMNS)[None, :]
    is_row = row < n_rows
    is_column = column < OUT
    rows += run * n_rows * INNER
    matrix += network * INNER * OUT
    total = tl.zeros((ROWS, COLUMNS), out.dtype.element_ty)
    some = tl.arange(0, CHUNK)
    for first in range(0, INNER, CHUNK):
        inner = first + some
        is_inner = inner < INNER
        factor = tl.load(
            rows + row * INNER + inner[None, :], mask=is_row & is_inner[None, :], other=0.0
        )
        if ACTIVATION != "":
            factor = _activate(factor, p0, p1, ACTIVATION)
        # What lies beyond is zero in the matrix, whatever f(0) is.
        block = tl.load(
            matrix + inner[:, None] * OUT + column, mask=is_inner[:, None] & is_column, other=0.0
        )
        total = add_product(factor, block, total, PRECISION)
    if HAS_BIAS:
        total += tl.load(bias + network * OUT + column, mask=is_column, other=0.0)
    tl.store(out + (run * n_rows + row) * OUT + column, total, mask=is_row & is_column)


@triton.jit(
    do_not_specialize=[
        "n_rows", "n_networks", "n_parts", "rows_each", "n_left_tiles", "n_right_tiles",
    ]
)  # fmt: skip
def rows_by_rows_kernel(
    left, states, inputs, out,
    n_rows, n_networks, n_parts, rows_each, n_left_tiles, n_right_tiles, p0, p1,
    L: tl.constexpr, N: tl.constexpr, M: tl.constexpr, HAS_ONE: tl.constexpr,
    ACTIVATION: tl.constexpr, LEFT: tl.constexpr, RIGHT: tl.constexpr, CHUNK: tl.constexpr,
    PRECISION: tl.constexpr,
):  # fmt: skip
    """Sum left^T [f(states), inputs, 1] over a part of the rows: gradients of all weights.

    Program = ((run * n_parts + part) * n_left_tiles + left tile) * n_right_tiles + right tile.
    Arrays: left (runs, n_rows, L), states (K, n_rows, N), inputs (K, n_rows, M), out (runs,
    n_parts, L, N + M + HAS_ONE).
    """
    program = tl.program_id(0)
    width: tl.constexpr = N + M + (1 if HAS_ONE else 0)
    l = (program // n_right_tiles % n_left_tiles) * LEFT + tl.arange(0, LEFT)  # noqa: E741
    r = (program % n_right_tiles) * RIGHT + tl.arange(0, RIGHT)
    part = program // (n_right_tiles * n_left_tiles)
    run = (part // n_parts).to(tl.int64)
    part = part % n_parts
    network = run % n_networks
    left += run * n_rows * L
    states += network * n_rows * N
    inputs += network * n_rows * M
    total = tl.zeros((LEFT, RIGHT), out.dtype.element_ty)
    end = tl.minimum((part + 1) * rows_each, n_rows)
    is_unit = (r < N)[None, :]
    for first in range(part * rows_each, end, CHUNK):
        row = (first + tl.arange(0, CHUNK)).to(tl.int64)[:, None]
        is_row = row < end
        a = tl.load(left + row * L + l[None, :], mask=is_row & (l < L)[None, :], other=0.0)
        b = tl.load(states + row * N + r[None, :], mask=is_row & is_unit, other=0.0)
        if ACTIVATION != "":
            b = tl.where(is_unit, _activate(b, p0, p1, ACTIVATION), 0.0)
        if M > 0:
            is_channel = ((r >= N) & (r < N + M))[None, :]
            b += tl.load(inputs + row * M + (r - N)[None, :], mask=is_row & is_channel, other=0.0)
        if HAS_ONE:
            b = tl.where((r == N + M)[None, :], 1.0, b)
        total = add_product(tl.trans(a), b, total, PRECISION)
    place = ((run * n_parts + part) * L + l[:, None]) * width + r[None, :]
    tl.store(out + place, total, mask=(l < L)[:, None] & (r < width)[None, :])


@triton.jit(do_not_specialize=["n_parts", "size", "n_blocks"])
def sum_of_parts_kernel(
    parts, out, n_parts, size, n_blocks, BLOCK: tl.constexpr, GROUP: tl.constexpr
):
    """Sum parts (runs, n_parts, size) to out (runs, size), group after group."""
    program = tl.program_id(0)
    run = (program // n_blocks).to(tl.int64)
    place = (program % n_blocks) * BLOCK + tl.arange(0, BLOCK)[None, :]
    parts += run * n_parts * size
    total = tl.zeros((BLOCK,), out.dtype.element_ty)
    for first in range(0, n_parts, GROUP):
        part = first + tl.arange(0, GROUP)[:, None]
        some = tl.load(
            parts + part.to(tl.int64) * size + place,
            mask=(part < n_parts) & (place < size),
            other=0.0,
        )
        total += tl.sum(some, axis=0)
    units = (program % n_blocks) * BLOCK + tl.arange(0, BLOCK)
    tl.store(out + run * size + units, total, mask=units < size)
