"""Triton functions of products, on tensor cores with the accuracy of float32 where that is asked.

A tensor core multiplies numbers of 8 significant bits, bfloat16, exactly and adds them in float32.
A number of float32, which has 24, is the sum of three such parts, each the rounded rest of those
before (the last is exact, of numbers above 2^-109 = 1.5e-33), so that

    x w = a a' + (a b' + b a') + (b b' + a c' + c a') + what float32 would not hold

Six products of parts make one, the small ones first. To part a number takes some eight
instructions; what is multiplied more than once is parted once (`split_kernel`, and the weights of
`models.engine.fused_kernels`).
"""

# mypy: ignore-errors
from __future__ import annotations

import os

import triton
import triton.language as tl

# The interpreter does not multiply bfloat16: there parts are the same numbers in float32, whose
# products are as exact.
_INTERPRETED = tl.constexpr(os.environ.get("TRITON_INTERPRET") == "1")


@triton.jit
def _upper(x):
    """Return the bits of what is nearest to x among the numbers of 8 significant bits."""
    # Words, and not a conversion, of which a multiprocessor does but 16 in a cycle.
    return (x.to(tl.uint32, bitcast=True) + 0x8000) & 0xFFFF0000


@triton.jit
def _part(bits):
    if _INTERPRETED:
        return bits.to(tl.float32, bitcast=True)
    else:
        return (bits >> 16).to(tl.uint16).to(tl.bfloat16, bitcast=True)


@triton.jit
def parts(x):
    """Return three tensors of bfloat16 whose sum is x, of float32."""
    a = _upper(x)
    rest = x - a.to(tl.float32, bitcast=True)
    b = _upper(rest)
    rest -= b.to(tl.float32, bitcast=True)
    return _part(a), _part(b), _part(rest.to(tl.uint32, bitcast=True))


@triton.jit
def load_parts(place, distance):
    """Load three tensors of bfloat16 that lie at a distance from each other."""
    a = tl.load(place)
    b = tl.load(place + distance)
    c = tl.load(place + 2 * distance)
    if _INTERPRETED:
        return a.to(tl.float32), b.to(tl.float32), c.to(tl.float32)
    else:
        return a, b, c


@triton.jit
def store_parts(place, distance, x, mask):
    """Store x, of float32, as three tensors of bfloat16; see `load_parts`."""
    a, b, c = parts(x)
    tl.store(place, a, mask=mask)
    tl.store(place + distance, b, mask=mask)
    tl.store(place + 2 * distance, c, mask=mask)


@triton.jit
def add_product_of_parts(a, b, c, a2, b2, c2, total):
    """Add the product of two matrices that are given by their parts."""
    # A tensor core rounds towards zero whatever it adds to: a long sum would shrink by half a digit
    # with each product. So that of a few terms begins at 0, the small ones first, and is added
    # as float32 are.
    some = tl.dot(c, a2)
    some = tl.dot(a, c2, some)
    some = tl.dot(b, b2, some)
    some = tl.dot(b, a2, some)
    some = tl.dot(a, b2, some)
    return total + tl.dot(a, a2, some)


@triton.jit
def product_of_parts(a, b, c, a2, b2, c2):
    """Multiply two matrices that are given by their parts, in chains that do not wait for others.

    For a program that has no other work while it waits. (A product that begins at 0 would be made
    one that begins at what it is added to: no chain has only one.)
    """
    one = tl.dot(c, a2)
    one = tl.dot(a, a2, one)
    two = tl.dot(a, c2)
    two = tl.dot(b, a2, two)
    three = tl.dot(b, b2)
    three = tl.dot(a, b2, three)
    return one + (two + three)


@triton.jit
def add_product(x, w, total, PRECISION: tl.constexpr):
    """Add the product of two matrices, in the precision of `models.engine.products_in`."""
    if PRECISION == "bf16x6":
        a, b, c = parts(x)
        a2, b2, c2 = parts(w)
        return add_product_of_parts(a, b, c, a2, b2, c2, total)
    else:
        return tl.dot(x, w, total, input_precision="ieee", out_dtype=total.dtype)


@triton.jit(do_not_specialize=["n_rows", "n_columns", "n_places", "n_blocks"])
def split_kernel(
    matrix, out, n_rows, n_columns, n_places, n_blocks, LD: tl.constexpr, BLOCK: tl.constexpr
):
    """Part matrices (K, n_rows, n_columns) to (K, 3, n_places / LD, LD), zeros beside them."""
    program = tl.program_id(0)
    network = (program // n_blocks).to(tl.int64)
    place = (program % n_blocks) * BLOCK + tl.arange(0, BLOCK)
    row, column = place // LD, place % LD
    x = tl.load(
        matrix + network * n_rows * n_columns + row * n_columns + column,
        mask=(row < n_rows) & (column < n_columns),
        other=0.0,
    )
    store_parts(out + network * 3 * n_places + place, n_places, x, place < n_places)
