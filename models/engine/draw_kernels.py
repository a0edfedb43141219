"""Triton kernel of the noise of inputs and readout: the draws of `models.engine.philox`.

In torch a draw takes a hundred operations on 64-bit words, each of which goes through memory. Here
the words stay in registers, and what is written is the normals.
"""

# mypy: ignore-errors
from __future__ import annotations

import triton
import triton.language as tl

from .fused_kernels import _normals, _words


@triton.jit(do_not_specialize=["n_steps", "size", "n_fours", "n_blocks"])
def draw_kernel(
    out, keys, number, n_steps, size, n_fours, n_blocks, PART: tl.constexpr, BLOCK: tl.constexpr
):
    """Write standard normals (K, T, size), of which size is trials times channels.

    Program = (network * n_fours + four steps) * n_blocks + block of places. Arrays: keys (K, 2),
    number (1) of the simulation. PART is what is disturbed, where the counter has it.
    """
    program = tl.program_id(0)
    pair = program // n_blocks
    network = (pair // n_fours).to(tl.int64)
    four = pair % n_fours
    place = (program % n_blocks) * BLOCK + tl.arange(0, BLOCK)
    low, high = _words(number)
    z0, z1, z2, z3 = _normals(
        place.to(tl.uint32),
        four.to(tl.uint32),
        low,
        high + PART,
        tl.load(keys + 2 * network).to(tl.uint32),
        tl.load(keys + 2 * network + 1).to(tl.uint32),
    )
    step = 4 * four
    out += (network * n_steps + step) * size + place
    left = n_steps - step  # steps; beyond them no place is written
    tl.store(out, z0, mask=place < size)
    tl.store(out + size, z1, mask=place < size * tl.minimum(left - 1, 1))
    tl.store(out + 2 * size, z2, mask=place < size * tl.minimum(left - 2, 1))
    tl.store(out + 3 * size, z3, mask=place < size * tl.minimum(left - 3, 1))
