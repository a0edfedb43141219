"""Triton kernels of the whole time loop of a tile of trials of one network.

The formulas are those of `models.engine.loops`. A program keeps the state (or the adjoint) of its
trials in registers and the weights in shared memory from the first step to the last, so that a
step reads and writes nothing but what it has to report.

Triton's tiles have powers of two as their sides: N units are padded to P columns. What the padding
leaves free carries the rest of the products (``FOLDED``), so that one product makes a step:

    forward   [r, u, 1] [[W_recᵀ, W_outᵀ]; [W_inpᵀ, 0]; [b, 0]] = [W_rec r + W_inp u + b, W_out r]
    backward  [δ, e] [W_rec; W_out]

Only the rows of the second factor that count are kept and multiplied, up to a multiple of 16: 112
of 128 at 100 units and 6 channels. Where the padding is too narrow (N = 128, say), the caller makes
W_inp u + b and e W_out for all steps at once. Weights that do not fit the chip (``RESIDENT`` false)
are read again at each step in chunks of rows, and the other factor with them, from what the step
has just written.
"""

# mypy: ignore-errors
from __future__ import annotations

import triton
import triton.language as tl

from .philox import PARTS, ROUNDS
from .split_kernels import add_product, add_product_of_parts, parts, product_of_parts

_ROUNDS = tl.constexpr(ROUNDS)
_PART = tl.constexpr(PARTS["rec"] << 24)


@triton.jit
def _tanh(x):
    z = x * x
    y = -5.70498872745e-3 * z + 2.06390887954e-2
    y = y * z - 5.37397155531e-2
    y = y * z + 1.33314422036e-1
    y = y * z - 3.33332819422e-1
    small = y * z * x + x
    large = 1.0 - 2.0 / (tl.exp(2.0 * tl.abs(x)) + 1.0)
    large = tl.where(x > 0, large, -large)
    return tl.where(tl.abs(x) < 0.625, small, large)


@triton.jit
def _logistic(x):
    return 1.0 / (1.0 + tl.exp(-x))


@triton.jit
def _positive_part(x):
    # NaN is not below zero: it stays, so that a network that is lost can be seen to be.
    return tl.where(x < 0, 0.0, x)


@triton.jit
def _softplus(x):
    e = tl.exp(-tl.abs(x))
    u = 1.0 + e
    # log(1 + e) without losing e where it is small.
    exact = u - 1.0
    ratio = e / tl.where(exact == 0, 1.0, exact)
    return _positive_part(x) + tl.where(exact == 0, e, tl.log(u) * ratio)


@triton.jit
def _normal_cdf(x):
    z = tl.abs(x) * 0.70710678118654752
    t = 1.0 / (1.0 + 0.5 * z)
    p = 0.17087277 * t - 0.82215223
    p = p * t + 1.48851587
    p = p * t - 1.13520398
    p = p * t + 0.27886807
    p = p * t - 0.18628806
    p = p * t + 0.09678418
    p = p * t + 0.37409196
    p = p * t + 1.00002368
    p = p * t - 1.26551223
    tail = 0.5 * t * tl.exp(p - z * z)
    return tl.where(x > 0, 1.0 - tail, tail)


@triton.jit
def _activate(x, p0, p1, ACTIVATION: tl.constexpr):
    if ACTIVATION == "relu":
        return p0 * _positive_part(x)
    elif ACTIVATION == "leaky_relu":
        return x * tl.where(x > 0, p0, p1)
    elif ACTIVATION == "tanh":
        return _tanh(p0 * x)
    elif ACTIVATION == "sigmoid":
        return _logistic(p0 * (x - p1))
    elif ACTIVATION == "softplus":
        return _softplus(p0 * p1 * x) / p0
    else:
        tl.static_assert(ACTIVATION == "gelu")
        return x * _normal_cdf(p0 * x)


@triton.jit
def _slope(x, p0, p1, ACTIVATION: tl.constexpr):
    if ACTIVATION == "relu":
        return tl.where(x > 0, p0, 0.0)
    elif ACTIVATION == "leaky_relu":
        return tl.where(x > 0, p0, p1)
    elif ACTIVATION == "tanh":
        f = _tanh(p0 * x)
        return p0 * (1.0 - f * f)
    elif ACTIVATION == "sigmoid":
        f = _logistic(p0 * (x - p1))
        return p0 * f * (1.0 - f)
    elif ACTIVATION == "softplus":
        return p1 * _logistic(p0 * p1 * x)
    else:
        tl.static_assert(ACTIVATION == "gelu")
        z = p0 * x
        return _normal_cdf(z) + z * 0.3989422804014327 * tl.exp(-0.5 * z * z)


@triton.jit
def _box_muller(a, b):
    uniform = ((a >> 1).to(tl.int32).to(tl.float32) + 0.5) * 4.656612873077393e-10
    radius = tl.sqrt(-2.0 * tl.log(uniform))
    # The angle in units of pi / 2^31, reduced to +-pi / 4; sums of whole numbers wrap.
    signed = b.to(tl.int32, bitcast=True)
    quadrant = (signed + 0x20000000) >> 30
    angle = (signed - (quadrant << 30)).to(tl.float32) * 1.4629180792671596e-09
    z = angle * angle
    sine = -1.9515295891e-4 * z + 8.3321608736e-3
    sine = (sine * z - 1.6666654611e-1) * z * angle + angle
    cosine = 2.443315711809948e-5 * z - 1.388731625493765e-3
    cosine = (cosine * z + 4.166664568298827e-2) * z * z - 0.5 * z + 1.0
    odd = (quadrant & 1) != 0
    sign = tl.where((quadrant & 2) != 0, -radius, radius)
    return sign * tl.where(odd, -sine, cosine), sign * tl.where(odd, cosine, sine)


@triton.jit
def _normals(place, four, low, high, k0, k1):
    """Return the normals of four steps in a row; see `models.engine.philox.normals`."""
    # Triton's rounds are those of models.engine.philox, in words and order.
    a, b, c, d = tl.philox_impl(place, four, low, high, k0, k1, _ROUNDS)
    z0, z1 = _box_muller(a, b)
    z2, z3 = _box_muller(c, d)
    return z0, z1, z2, z3


@triton.jit
def _words(number):
    """Load a number of 64 bits, which a CUDA graph reads anew each time, as its two words."""
    value = tl.load(number)
    return value.to(tl.uint32), (value >> 32).to(tl.uint32)


@triton.jit
def _fed(
    source, trial, unit, is_row,
    N: tl.constexpr, M: tl.constexpr, FOLDED: tl.constexpr, HAS_ONE: tl.constexpr,
):  # fmt: skip
    """Load what a step is fed with: (trials, M) beside the units if folded, else (trials, N)."""
    if FOLDED:
        is_channel = (unit >= N) & (unit < N + M)
        fed = tl.load(source + trial * M + (unit - N), mask=is_row & is_channel, other=0.0)
        if HAS_ONE:
            fed = tl.where(unit == N + M, 1.0, fed)
    else:
        fed = tl.load(source + trial * N + unit, mask=is_row & (unit < N), other=0.0)
    return fed


@triton.jit
def _halves(x, ROWS: tl.constexpr, WIDTH: tl.constexpr):
    """Return the left and the right half of (ROWS, WIDTH)."""
    return tl.split(tl.permute(tl.reshape(x, (ROWS, 2, WIDTH // 2)), (0, 2, 1)))


@triton.jit
def _rows_of_weights(weights, FIRST: tl.constexpr, INNER: tl.constexpr, P: tl.constexpr):
    """Load a quarter of the rows of (P, P) from FIRST on, as far as they count."""
    quarter: tl.constexpr = P // 4
    rows: tl.constexpr = min(quarter, INNER - FIRST) if FIRST < INNER else quarter
    # What lies beyond is not used; it is of the first rows, so that the compiler drops it.
    first: tl.constexpr = FIRST if FIRST < INNER else 0
    inner = first + tl.arange(0, rows)[:, None]
    return tl.load(weights + inner * P + tl.arange(0, P)[None, :])


@triton.jit
def _kept_weights(weights, INNER: tl.constexpr, P: tl.constexpr, PRECISION: tl.constexpr):
    """Load (P, P) as it is multiplied at each step: four tensors.

    They are four blocks of rows, the first INNER in all; of products of parts they are the parts,
    made here once for all steps, and the last is not used.
    """
    if PRECISION == "bf16x6":
        all_rows = tl.arange(0, P)
        a, b, c = parts(tl.load(weights + all_rows[:, None] * P + all_rows[None, :]))
        return a, b, c, c
    else:
        w0 = _rows_of_weights(weights, 0, INNER, P)
        w1 = _rows_of_weights(weights, P // 4, INNER, P)
        w2 = _rows_of_weights(weights, P // 2, INNER, P)
        w3 = _rows_of_weights(weights, 3 * (P // 4), INNER, P)
        return w0, w1, w2, w3


@triton.jit
def _add_block(
    total, x, w, FIRST: tl.constexpr, INNER: tl.constexpr,
    ROWS: tl.constexpr, P: tl.constexpr,
):  # fmt: skip
    """Add the product of a quarter of the factor and a block of weights, as far as they count."""
    quarter: tl.constexpr = P // 4
    if FIRST < INNER:
        if FIRST + quarter > INNER:
            x, _ = _halves(x, ROWS, quarter)
        total = tl.dot(x, w, total, input_precision="ieee")
        tl.debug_barrier()
    return total


@triton.jit
def _product(
    x, w0, w1, w2, w3,
    INNER: tl.constexpr, ROWS: tl.constexpr, P: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """Multiply (ROWS, P) by the four blocks of rows of (P, P) that stay on the chip.

    From INNER on, a multiple of 16, both factors are padding, and are left out.

    One product of P terms is compiled to a single run of instructions, whose loads ptxas may move
    to its start until registers spill by the thousand. A barrier is where no load passes. Products
    of parts are not divided: to take columns of x apart costs more than tensor cores need for
    what the padding is.
    """
    if PRECISION == "bf16x6":
        a, b, c = parts(x)
        return product_of_parts(a, b, c, w0, w1, w2)
    else:
        left, right = _halves(x, ROWS, P)
        x0, x1 = _halves(left, ROWS, P // 2)
        x2, x3 = _halves(right, ROWS, P // 2)
        total = tl.dot(x0, w0, input_precision="ieee")
        tl.debug_barrier()
        total = _add_block(total, x1, w1, P // 4, INNER, ROWS, P)
        total = _add_block(total, x2, w2, P // 2, INNER, ROWS, P)
        total = _add_block(total, x3, w3, 3 * (P // 4), INNER, ROWS, P)
        return total


@triton.jit
def _product_by_chunks(
    source, weights, trial, unit, is_row, p0, p1,
    N: tl.constexpr, P: tl.constexpr, ROWS: tl.constexpr, CHUNK: tl.constexpr,
    ACTIVATION: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """Multiply (trials, N) that this program has written, or f of it, by weights (P, P)."""
    tl.debug_barrier()  # each thread reads what others have written
    total = tl.zeros((ROWS, P), tl.float32)
    some = tl.arange(0, CHUNK)
    for first in range(0, N, CHUNK):
        inner = first + some
        factor = tl.load(
            source + trial * N + inner[None, :], mask=is_row & (inner[None, :] < N), other=0.0
        )
        if ACTIVATION != "":
            factor = _activate(factor, p0, p1, ACTIVATION)
        # Rows of the weights from N on are zero, whatever f(0) is.
        block = tl.load(weights + inner[:, None] * P + unit)
        total = add_product(factor, block, total, PRECISION)
    return total


@triton.jit(do_not_specialize=["n_steps", "n_trials", "n_tiles", "first_trial"])
def forward_kernel(
    weights, start, fed, scales, keys, number, given, states, arguments, outputs,
    n_steps, n_trials, n_tiles, first_trial, alpha, gamma, p0, p1,
    N: tl.constexpr, M: tl.constexpr, OUT: tl.constexpr, INNER: tl.constexpr, P: tl.constexpr,
    ROWS: tl.constexpr, CHUNK: tl.constexpr,
    FORM_S: tl.constexpr, ACTIVATION: tl.constexpr, HAS_GAMMA: tl.constexpr,
    NOISE: tl.constexpr, NOISE_INSIDE: tl.constexpr,
    FOLDED: tl.constexpr, RESIDENT: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """Run ROWS trials of one network; program = network * n_tiles + tile.

    Arrays: weights (K, P, P), start (K, N), fed (K, T, B, M) if folded, else (K, T, B, N) with the
    bias, scales (K), keys (K, 2), number (1) of the simulation, given, states, arguments (K, T, B,
    N), outputs (K, T, B, O) if folded. NOISE is "none", "drawn" or "given".
    """
    program = tl.program_id(0)
    network = (program // n_tiles).to(tl.int64)
    trial = (program % n_tiles) * ROWS + tl.arange(0, ROWS)[:, None]
    unit = tl.arange(0, P)[None, :]
    is_row = trial < n_trials
    is_unit = unit < N
    mask = is_row & is_unit
    place = trial * N + unit
    first_row = network * n_steps * n_trials
    states += first_row * N
    arguments += first_row * N
    outputs += first_row * OUT
    given += first_row * N
    width: tl.constexpr = M if FOLDED else N
    fed += first_row * width
    weights += network * P * P
    if RESIDENT:
        w0, w1, w2, w3 = _kept_weights(weights, INNER, P, PRECISION)
    x = tl.load(start + network * N + unit, mask=is_unit, other=0.0)
    x = tl.broadcast_to(x, (ROWS, P))
    if NOISE == "drawn":
        scale = tl.load(scales + network)
        k0 = tl.load(keys + 2 * network).to(tl.uint32)
        k1 = tl.load(keys + 2 * network + 1).to(tl.uint32)
        low, high = _words(number)
        z0 = tl.zeros((ROWS, P), tl.float32)
        z1 = z0
        z2 = z0
        z3 = z0
    # What the next step is fed with is loaded one step ahead, behind the product.
    following = _fed(fed, trial, unit, is_row, N, M, FOLDED, True)
    for t in range(n_steps):
        now = following
        tl.store(states + place, x, mask=mask)
        fed += n_trials * width
        is_next = trial < n_trials * tl.minimum(n_steps - 1 - t, 1)  # no trial after the last
        following = _fed(fed, trial, unit, is_next, N, M, FOLDED, True)
        if RESIDENT:
            r = x
            if not FORM_S:
                r = _activate(x, p0, p1, ACTIVATION)
            if FOLDED:
                r = tl.where(is_unit, r, now)
            argument = _product(r, w0, w1, w2, w3, INNER, ROWS, P, PRECISION)
        else:
            argument = _product_by_chunks(
                states, weights, trial, unit, is_row, p0, p1,
                N, P, ROWS, CHUNK, "" if FORM_S else ACTIVATION, PRECISION,
            )  # fmt: skip
        if FOLDED:
            is_output = (unit >= N) & (unit < N + OUT)
            tl.store(outputs + trial * OUT + (unit - N), argument, mask=is_row & is_output)
        else:
            argument += now
        if NOISE == "drawn":
            if ((t & 3) == 0) & (scale != 0):
                z0, z1, z2, z3 = _normals(
                    (place + first_trial * N).to(tl.uint32),
                    tl.cast(t >> 2, tl.uint32),
                    low,
                    high + _PART,
                    k0,
                    k1,
                )
            xi = scale * z0
            z0 = z1
            z1 = z2
            z2 = z3
        elif NOISE == "given":
            xi = tl.load(given + place, mask=mask, other=0.0)
        if NOISE != "none" and NOISE_INSIDE:
            argument += xi
        field = argument
        if FORM_S:
            tl.store(arguments + place, argument, mask=mask)
            field = _activate(argument, p0, p1, ACTIVATION)
        if HAS_GAMMA:
            field -= gamma * x * x * x
        if NOISE != "none" and not NOISE_INSIDE:
            field += xi
        x += alpha * (field - x)
        states += n_trials * N
        arguments += n_trials * N
        outputs += n_trials * OUT
        given += n_trials * N


@triton.jit(do_not_specialize=["n_networks", "n_steps", "n_trials", "n_tiles"])
def backward_kernel(
    weights, points, states, inputs, fed, dense, delta, gradients, on_start,
    n_networks, n_steps, n_trials, n_tiles, alpha, gamma, p0, p1,
    N: tl.constexpr, M: tl.constexpr, OUT: tl.constexpr, INNER: tl.constexpr, P: tl.constexpr,
    ROWS: tl.constexpr, CHUNK: tl.constexpr,
    FORM_S: tl.constexpr, ACTIVATION: tl.constexpr, HAS_GAMMA: tl.constexpr,
    HAS_DENSE: tl.constexpr, FOLDED: tl.constexpr, RESIDENT: tl.constexpr, SUMS: tl.constexpr,
    PRECISION: tl.constexpr,
):  # fmt: skip
    """Propagate one adjoint through ROWS trials of one network, from the last step to the first.

    Program = (adjoint * K + network) * n_tiles + tile. Arrays: weights (K, P, P), points where f'
    is taken and states (K, T, B, N), fed (A, K, T, B, O) if folded, else (A, K, T, B, N): dL/dr,
    dense (A, K, T, B, N), delta (A, K, T, B, N) and on_start (A, K, B, N) to be filled. With SUMS,
    of products of parts that are folded, delta is not written: a program keeps the gradients of
    all weights by its trials, [δ, e]ᵀ [r, u, 1], and writes them, (programs, P, P), at the end;
    inputs are (K, T, B, M).
    """
    program = tl.program_id(0)
    pair = (program // n_tiles).to(tl.int64)
    tile = program % n_tiles
    network = pair % n_networks
    trial = tile * ROWS + tl.arange(0, ROWS)[:, None]
    unit = tl.arange(0, P)[None, :]
    is_row = trial < n_trials
    is_unit = unit < N
    mask = is_row & is_unit
    place = trial * N + unit
    last_row = (network * n_steps + n_steps - 1) * n_trials
    points += last_row * N
    states += last_row * N
    inputs += last_row * M
    last_row = (pair * n_steps + n_steps - 1) * n_trials
    width: tl.constexpr = OUT if FOLDED else N
    fed += last_row * width
    dense += last_row * N
    delta += last_row * N
    weights += network * P * P
    if RESIDENT:
        w0, w1, w2, w3 = _kept_weights(weights, INNER, P, PRECISION)
    adjoint = tl.zeros((ROWS, P), tl.float32)
    leak = 1.0 - alpha
    # As in the forward kernel, a step's tiles are loaded one step ahead. The argument of the last
    # step counts for nothing, and need not have been written.
    if FORM_S:
        next_point = tl.zeros((ROWS, P), tl.float32)
    else:
        next_point = tl.load(points + place, mask=mask, other=0.0)
    next_fed = _fed(fed, trial, unit, is_row, N, OUT, FOLDED, False)
    if FORM_S and (HAS_GAMMA or SUMS):  # in form h the points are the states
        next_state = tl.load(states + place, mask=mask, other=0.0)
    if SUMS:
        next_input = _fed(inputs, trial, unit, is_row, N, M, True, True)
        total = tl.zeros((P, P), tl.float32)
    if HAS_DENSE:
        next_dense = tl.load(dense + place, mask=mask, other=0.0)
    for step in range(n_steps):
        point = next_point
        state = point
        if FORM_S and (HAS_GAMMA or SUMS):
            state = next_state
        fed_now = next_fed
        is_next = trial < n_trials * tl.minimum(n_steps - 1 - step, 1)  # no trial before the first
        points -= n_trials * N
        next_point = tl.load(points + place, mask=is_next & is_unit, other=0.0)
        fed -= n_trials * width
        next_fed = _fed(fed, trial, unit, is_next, N, OUT, FOLDED, False)
        back = alpha * adjoint
        if FORM_S:
            back *= _slope(point, p0, p1, ACTIVATION)
        if not SUMS:
            tl.store(delta + place, back, mask=mask)
        if RESIDENT:
            if FOLDED:
                back = tl.where(is_unit, back, fed_now)
            if SUMS:
                r = state if FORM_S else _activate(point, p0, p1, ACTIVATION)
                r = tl.where(is_unit, r, next_input)
                inputs -= n_trials * M
                next_input = _fed(inputs, trial, unit, is_next, N, M, True, True)
                a, b, c = parts(back)
                a2, b2, c2 = parts(r)
                total = add_product_of_parts(
                    tl.trans(a), tl.trans(b), tl.trans(c), a2, b2, c2, total
                )
                back = product_of_parts(a, b, c, w0, w1, w2)
            else:
                back = _product(back, w0, w1, w2, w3, INNER, ROWS, P, PRECISION)
        else:
            back = _product_by_chunks(
                delta, weights, trial, unit, is_row, p0, p1,
                N, P, ROWS, CHUNK, "", PRECISION,
            )  # fmt: skip
        if not FOLDED:
            back += fed_now
        if not FORM_S:
            back *= _slope(point, p0, p1, ACTIVATION)
        if HAS_DENSE:
            back += next_dense
            dense -= n_trials * N
            next_dense = tl.load(dense + place, mask=is_next & is_unit, other=0.0)
        if HAS_GAMMA:
            cubic = 3.0 * alpha * gamma * state * state
            adjoint = (leak - cubic) * adjoint + back
        else:
            adjoint = leak * adjoint + back
        if FORM_S and (HAS_GAMMA or SUMS):
            states -= n_trials * N
            next_state = tl.load(states + place, mask=is_next & is_unit, other=0.0)
        delta -= n_trials * N
    tl.store(on_start + pair * n_trials * N + place, adjoint, mask=mask)
    if SUMS:
        left = tl.arange(0, P)[:, None]
        tl.store(gradients + program.to(tl.int64) * P * P + left * P + unit, total)
