"""Triton kernels of one step of all trials of all networks, for networks that are too large.

Where the weights of a network and the states of some of its trials do not fit one multiprocessor,
`models.engine.fused_kernels` has nothing to keep between steps. Here a launch is one step: each
program makes a tile of trials and units, reads what the launch before it has written, and
multiplies, updates and draws in one go. States go through global memory, which the second-level
cache holds. The formulas are those of `models.engine.loops`.

Products of parts (``PRECISION`` is "bf16x6") find both factors parted already: the weights are once
for all steps, and what a step sends to the next is where it is made. They are padded to LD with
zeros.
"""

# mypy: ignore-errors
from __future__ import annotations

import triton
import triton.language as tl

from .fused_kernels import _PART, _activate, _normals, _slope, _words
from .split_kernels import add_product, add_product_of_parts, load_parts, store_parts


@triton.jit
def _add_product(
    total, rows, matrix, row, is_row, column, n_inner,
    WIDTH: tl.constexpr, LD: tl.constexpr, CHUNK: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """Add (rows, WIDTH) times a matrix of WIDTH rows of LD columns; the first n_inner terms."""
    some = tl.arange(0, CHUNK)
    for first in range(0, n_inner, CHUNK):
        inner = first + some
        is_inner = inner < WIDTH
        factor = tl.load(
            rows + row * WIDTH + inner[None, :], mask=is_row & is_inner[None, :], other=0.0
        )
        block = tl.load(matrix + inner[:, None] * LD + column, mask=is_inner[:, None], other=0.0)
        total = add_product(factor, block, total, PRECISION)
    return total


@triton.jit
def _add_product_of_parts(
    total, rows, matrix, row, n_rows, column, n_inner, LD: tl.constexpr, CHUNK: tl.constexpr
):
    """Add parted rows (3, n_rows, LD) times a parted matrix (3, LD, LD); the first n_inner terms.

    A row that is not there is the last one.
    """
    some = tl.arange(0, CHUNK)
    row = tl.minimum(row, n_rows - 1)
    for first in range(0, n_inner, CHUNK):
        inner = first + some
        a, b, c = load_parts(rows + row * LD + inner[None, :], n_rows * LD)
        a2, b2, c2 = load_parts(matrix + inner[:, None] * LD + column, LD * LD)
        total = add_product_of_parts(a, b, c, a2, b2, c2, total)
    return total


@triton.jit
def _add_recurrent_product(
    total, plain, sent, weights, buffer, network, n_trials, row, is_row, column, n_inner,
    N: tl.constexpr, LD: tl.constexpr, CHUNK: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """Add what the step before has sent times the weights of a network; the first n_inner terms.

    It is rows (n_trials, N) of float32, or of products of parts one of the buffers (3, n_trials,
    LD) of ``sent``.
    """
    if PRECISION == "bf16x6":
        return _add_product_of_parts(
            total, sent + buffer * 3 * n_trials * LD, weights + network * 3 * LD * LD,
            row, n_trials, column, n_inner, LD, CHUNK,
        )  # fmt: skip
    else:
        return _add_product(
            total, plain, weights + network * N * LD, row, is_row, column, n_inner,
            N, LD, CHUNK, PRECISION,
        )  # fmt: skip


@triton.jit
def _tile(n_row_tiles, n_column_tiles, ROWS: tl.constexpr, COLUMNS: tl.constexpr):
    """Return the run of this program, its trials and its units.

    Program = (run * n_row_tiles + tile of trials) * n_column_tiles + tile of units.
    """
    program = tl.program_id(0)
    rest = program // n_column_tiles
    run = (rest // n_row_tiles).to(tl.int64)
    trial = (rest % n_row_tiles) * ROWS + tl.arange(0, ROWS)[:, None]
    unit = (program % n_column_tiles) * COLUMNS + tl.arange(0, COLUMNS)[None, :]
    return run, trial, unit


@triton.jit(
    do_not_specialize=[
        "t", "n_networks", "n_steps", "n_trials", "n_row_tiles", "n_column_tiles", "first_trial",
    ]
)  # fmt: skip
def forward_step_kernel(
    weights, w_inp, bias, sent, inputs, scales, keys, number, kept, given, states, arguments,
    t, n_networks, n_steps, n_trials, n_row_tiles, n_column_tiles, first_trial,
    alpha, gamma, p0, p1,
    N: tl.constexpr, M: tl.constexpr, LD: tl.constexpr,
    ROWS: tl.constexpr, COLUMNS: tl.constexpr, CHUNK: tl.constexpr,
    FORM_S: tl.constexpr, ACTIVATION: tl.constexpr, HAS_GAMMA: tl.constexpr,
    NOISE: tl.constexpr, NOISE_INSIDE: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """Make the states of step t + 1 from those of step t, of all networks.

    Arrays: weights (K, N, LD) and w_inp (K, M, LD), both transposed, bias (K, N), inputs (K, T, B,
    M), scales (K), keys (K, 2), number (1) of the simulation, given, states, arguments (K, T, B,
    N); sent (2, K, B, N): what even and odd steps send, f(x), in form h; kept (K, 3, B, N): the
    draws of the next three steps. NOISE is "none", "drawn" or "given". Of products of parts weights
    are (K, 3, LD, LD), and sent is (2, K, 3, B, LD), in form s too.
    """
    network, trial, unit = _tile(n_row_tiles, n_column_tiles, ROWS, COLUMNS)
    is_row = trial < n_trials
    is_unit = unit < N
    mask = is_row & is_unit
    size = n_trials * N
    place = trial * N + unit
    step = network * n_steps + t
    states += step * size
    even_or_odd = (t & 1) * n_networks + network
    following = ((t + 1) & 1) * n_networks + network
    argument = tl.zeros((ROWS, COLUMNS), tl.float32)
    argument = _add_recurrent_product(
        argument, states if FORM_S else sent + even_or_odd * size, sent, weights,
        even_or_odd, network, n_trials, trial, is_row, unit, N, N, LD, CHUNK, PRECISION,
    )  # fmt: skip
    if M > 0:
        argument = _add_product(
            argument, inputs + step * n_trials * M, w_inp + network * M * LD, trial, is_row, unit,
            M, M, LD, 16, PRECISION,
        )  # fmt: skip
    argument += tl.load(bias + network * N + unit, mask=is_unit, other=0.0)
    x = tl.load(states + place, mask=mask, other=0.0)
    if NOISE == "drawn":
        scale = tl.load(scales + network)
        kept += network * 3 * size + place
        xi = tl.zeros((ROWS, COLUMNS), tl.float32)
        if scale != 0:
            if (t & 3) == 0:
                # Words come for four steps in a row.
                low, high = _words(number)
                z0, z1, z2, z3 = _normals(
                    (place + first_trial * N).to(tl.uint32),
                    tl.cast(t >> 2, tl.uint32),
                    low,
                    high + _PART,
                    tl.load(keys + 2 * network).to(tl.uint32),
                    tl.load(keys + 2 * network + 1).to(tl.uint32),
                )
                tl.store(kept, z1, mask=mask)
                tl.store(kept + size, z2, mask=mask)
                tl.store(kept + 2 * size, z3, mask=mask)
                xi = scale * z0
            else:
                xi = scale * tl.load(kept + ((t & 3) - 1) * size, mask=mask, other=0.0)
    elif NOISE == "given":
        xi = tl.load(given + step * size + place, mask=mask, other=0.0)
    if NOISE != "none" and NOISE_INSIDE:
        argument += xi
    field = argument
    if FORM_S:
        tl.store(arguments + step * size + place, argument, mask=mask)
        field = _activate(argument, p0, p1, ACTIVATION)
    if HAS_GAMMA:
        field -= gamma * x * x * x
    if NOISE != "none" and not NOISE_INSIDE:
        field += xi
    x += alpha * (field - x)
    tl.store(states + size + place, x, mask=mask)
    if not FORM_S:
        x = _activate(x, p0, p1, ACTIVATION)
    if PRECISION == "bf16x6":
        own = sent + following * 3 * n_trials * LD + trial * LD + unit
        store_parts(own, n_trials * LD, x, mask)
    elif not FORM_S:
        tl.store(sent + following * size + place, x, mask=mask)


@triton.jit(
    do_not_specialize=["t", "n_networks", "n_steps", "n_trials", "n_row_tiles", "n_column_tiles"]
)
def backward_step_kernel(
    weights, w_out, points, states, on_outputs, dense, delta, sent, adjoint,
    t, n_networks, n_steps, n_trials, n_row_tiles, n_column_tiles, alpha, gamma, p0, p1,
    N: tl.constexpr, OUT: tl.constexpr, LD: tl.constexpr,
    ROWS: tl.constexpr, COLUMNS: tl.constexpr, CHUNK: tl.constexpr,
    FORM_S: tl.constexpr, ACTIVATION: tl.constexpr, HAS_GAMMA: tl.constexpr,
    HAS_DENSE: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """Make the adjoints of the states of step t from those of step t + 1, and delta of step t - 1.

    Run = adjoint * K + network. Arrays: weights (K, N, LD), w_out (K, O, LD), points where f' is
    taken and states (K, T, B, N), on_outputs (A, K, T, B, O), dense and delta (A, K, T, B, N), of
    which delta of the last step is zero; adjoint (A, K, B, N), zero before the first launch. Of
    products of parts weights are (K, 3, LD, LD), and sent (2, A, K, 3, B, LD) is delta of even and
    odd steps once more.
    """
    run, trial, unit = _tile(n_row_tiles, n_column_tiles, ROWS, COLUMNS)
    network = run % n_networks
    is_row = trial < n_trials
    mask = is_row & (unit < N)
    size = n_trials * N
    place = trial * N + unit
    step = run * n_steps + t
    delta += step * size
    points += (network * n_steps + t) * size
    back = tl.zeros((ROWS, COLUMNS), tl.float32)
    n_inner = N * tl.minimum(n_steps - 1 - t, 1)  # the last step sends nothing on
    n_runs = tl.num_programs(0) // (n_row_tiles * n_column_tiles)
    even_or_odd = (t & 1) * n_runs + run
    following = ((t + 1) & 1) * n_runs + run
    back = _add_recurrent_product(
        back, delta, sent, weights, even_or_odd, network, n_trials, trial, is_row, unit, n_inner,
        N, LD, CHUNK, PRECISION,
    )  # fmt: skip
    back = _add_product(
        back, on_outputs + step * n_trials * OUT, w_out + network * OUT * LD, trial, is_row, unit,
        OUT, OUT, LD, 16, PRECISION,
    )  # fmt: skip
    if not FORM_S:
        back *= _slope(tl.load(points + place, mask=mask, other=0.0), p0, p1, ACTIVATION)
    if HAS_DENSE:
        back += tl.load(dense + step * size + place, mask=mask, other=0.0)
    adjoint += run * size
    before = tl.load(adjoint + place, mask=mask, other=0.0)
    leak = 1.0 - alpha
    if HAS_GAMMA:
        x = tl.load(states + (network * n_steps + t) * size + place, mask=mask, other=0.0)
        after = (leak - 3.0 * alpha * gamma * x * x) * before + back
    else:
        after = leak * before + back
    tl.store(adjoint + place, after, mask=mask)
    is_sent = mask & (trial < n_trials * tl.minimum(t, 1))  # nothing before the first step
    before_it = alpha * after
    if FORM_S:
        point = tl.load(points - size + place, mask=is_sent, other=0.0)
        before_it *= _slope(point, p0, p1, ACTIVATION)
    tl.store(delta - size + place, before_it, mask=is_sent)
    if PRECISION == "bf16x6":
        own = sent + following * 3 * n_trials * LD + trial * LD + unit
        store_parts(own, n_trials * LD, before_it, is_sent)
