"""Compiled functions of blocks of numbers: noise, activations and exponentials.

Each works on flat contiguous arrays that fit the cache, so that its loop becomes vector
instructions. In float32 the transcendental functions are polynomials after range reduction
(Cephes, https://www.netlib.org/cephes/), right to rounding; in float64 they are those of libm.
"""

from __future__ import annotations

import math

import numpy as np

from .compilation import compiled, compiled_exactly, inline
from .philox import MULTIPLIERS, ROUNDS, WEYL

F = np.float32
I = np.int32  # noqa: E741
U = np.uint32
RELU, LEAKY_RELU, TANH, SIGMOID, SOFTPLUS, GELU = range(6)
CODES = {
    "relu": RELU,
    "leaky_relu": LEAKY_RELU,
    "tanh": TANH,
    "sigmoid": SIGMOID,
    "softplus": SOFTPLUS,
    "gelu": GELU,
}
_M0, _M1 = np.uint64(MULTIPLIERS[0]), np.uint64(MULTIPLIERS[1])
_W0, _W1 = U(WEYL[0]), U(WEYL[1])
_SHIFT = np.uint64(32)


@inline
def _exp32_rest(x, whole):
    """Return exp(x) / 2^whole, which lies about 1."""
    k = F(whole)
    r = x - k * F(0.693359375)
    r = r - k * F(-2.12194440e-4)
    y = F(1.9875691500e-4)
    y = y * r + F(1.3981999507e-3)
    y = y * r + F(8.3334519073e-3)
    y = y * r + F(4.1665795894e-2)
    y = y * r + F(1.6666665459e-1)
    y = y * r + F(5.0000001201e-1)
    return y * r * r + r + F(1.0)


@inline
def _exp32(x):
    # Comparisons that NaN fails: it stays NaN.
    x = F(-87.3) if x < F(-87.3) else x
    x = F(88.7) if x > F(88.7) else x
    t = x * F(1.44269504)
    whole = I(t + (F(0.5) if t > 0 else F(-0.5)))
    y = _exp32_rest(x, whole)
    # 2^k in two factors: one alone would overflow its exponent at k = 128.
    half = whole >> I(1)
    low = I((half + I(127)) << I(23)).view(np.float32)
    high = I((whole - half + I(127)) << I(23)).view(np.float32)
    return y * low * high


@inline
def _exp32_below(x):
    """Return exp(x) of what is 0 or less, or barely more."""
    x = F(-87.3) if x < F(-87.3) else x
    t = x * F(1.44269504)
    whole = I(t - F(0.5))
    y = _exp32_rest(x, whole)
    return y * I((whole + I(127)) << I(23)).view(np.float32)


@inline
def _log32(x):
    """Return the logarithm of a positive normal number."""
    bits = F(x).view(np.int32)
    exponent = (bits - I(0x3F3504F3)) >> I(23)
    m = I(bits - (exponent << I(23))).view(np.float32) - F(1)
    z = m * m
    y = F(7.0376836292e-2)
    y = y * m + F(-1.1514610310e-1)
    y = y * m + F(1.1676998740e-1)
    y = y * m + F(-1.2420140846e-1)
    y = y * m + F(1.4249322787e-1)
    y = y * m + F(-1.6668057665e-1)
    y = y * m + F(2.0000714765e-1)
    y = y * m + F(-2.4999993993e-1)
    y = y * m + F(3.3333331174e-1)
    return y * m * z - F(0.5) * z + m + F(exponent) * F(0.6931471805599453)


@inline
def _tanh32(x):
    z = x * x
    y = F(-5.70498872745e-3)
    y = y * z + F(2.06390887954e-2)
    y = y * z + F(-5.37397155531e-2)
    y = y * z + F(1.33314422036e-1)
    y = y * z + F(-3.33332819422e-1)
    small = y * z * x + x
    e = _exp32(F(2) * abs(x))
    large = F(1) - F(2) / (e + F(1))
    large = large if x > 0 else -large
    return small if abs(x) < F(0.625) else large


@inline
def _logistic32(x):
    return F(1) / (F(1) + _exp32(-x))


@inline
def _softplus32(x):
    e = _exp32(-abs(x))
    u = F(1) + e
    # log(1 + e) without losing e where it is small.
    log1p = _log32(u) * (e / (u - F(1))) if u != F(1) else e
    return max(x, F(0)) + log1p


@inline
def _normal_cdf32(x):
    """Return the cumulative normal; relative error below 2e-7 on both sides."""
    z = abs(x) * F(0.70710678118654752)
    t = F(1) / (F(1) + F(0.5) * z)
    p = F(0.17087277)
    p = p * t + F(-0.82215223)
    p = p * t + F(1.48851587)
    p = p * t + F(-1.13520398)
    p = p * t + F(0.27886807)
    p = p * t + F(-0.18628806)
    p = p * t + F(0.09678418)
    p = p * t + F(0.37409196)
    p = p * t + F(1.00002368)
    p = p * t + F(-1.26551223)
    tail = F(0.5) * t * _exp32(p - z * z)
    return F(1) - tail if x > 0 else tail


@inline
def _logistic64(x):
    return 1.0 / (1.0 + math.exp(-x))


@inline
def _softplus64(x):
    return max(x, 0.0) + math.log1p(math.exp(-abs(x)))


@compiled
def activate(code, p0, p1, x, f):
    """Put f(x) into ``f``."""
    p0, p1 = x.dtype.type(p0), x.dtype.type(p1)
    single = x.itemsize == 4
    n = x.size
    if code == RELU:
        for i in range(n):
            f[i] = p0 * max(x[i], x.dtype.type(0))
    elif code == LEAKY_RELU:
        for i in range(n):
            f[i] = x[i] * (p0 if x[i] > 0 else p1)
    elif code == TANH:
        if single:
            for i in range(n):
                f[i] = _tanh32(F(p0 * x[i]))
        else:
            for i in range(n):
                f[i] = math.tanh(p0 * x[i])
    elif code == SIGMOID:
        if single:
            for i in range(n):
                f[i] = _logistic32(F(p0 * (x[i] - p1)))
        else:
            for i in range(n):
                f[i] = _logistic64(p0 * (x[i] - p1))
    elif code == SOFTPLUS:
        scale = p0 * p1
        if single:
            for i in range(n):
                f[i] = _softplus32(F(scale * x[i])) / F(p0)
        else:
            for i in range(n):
                f[i] = _softplus64(scale * x[i]) / p0
    elif single:
        for i in range(n):
            f[i] = x[i] * _normal_cdf32(F(p0 * x[i]))
    else:
        for i in range(n):
            f[i] = x[i] * 0.5 * math.erfc(-p0 * x[i] * math.sqrt(0.5))


@compiled
def _slope_from_value(code, p0, f, d):
    """Put f'(x) of tanh or sigmoid into ``d``, given f(x); ``d`` may be ``f``."""
    p0, one = f.dtype.type(p0), f.dtype.type(1)
    if code == TANH:
        for i in range(f.size):
            d[i] = p0 * (one - f[i] * f[i])
    else:
        for i in range(f.size):
            d[i] = p0 * f[i] * (one - f[i])


@compiled
def slope(code, p0, p1, x, d):
    """Put f'(x) into ``d``."""
    p0, p1 = x.dtype.type(p0), x.dtype.type(p1)
    single = x.itemsize == 4
    zero = x.dtype.type(0)
    n = x.size
    if code == RELU:
        for i in range(n):
            d[i] = p0 if x[i] > 0 else zero
    elif code == LEAKY_RELU:
        for i in range(n):
            d[i] = p0 if x[i] > 0 else p1
    elif code in (TANH, SIGMOID):
        activate(code, p0, p1, x, d)
        _slope_from_value(code, p0, d, d)
    elif code == SOFTPLUS:
        scale = p0 * p1
        if single:
            for i in range(n):
                d[i] = p1 * _logistic32(F(scale * x[i]))
        else:
            for i in range(n):
                d[i] = p1 * _logistic64(scale * x[i])
    elif single:
        for i in range(n):
            z = F(p0 * x[i])
            d[i] = _normal_cdf32(z) + z * F(0.3989422804014327) * _exp32(F(-0.5) * z * z)
    else:
        for i in range(n):
            z = p0 * x[i]
            density = 0.3989422804014327 * math.exp(-0.5 * z * z)
            d[i] = 0.5 * math.erfc(-z * math.sqrt(0.5)) + z * density


@compiled
def activate_and_slope(code, p0, p1, x, f, d):
    """Put f(x) into ``f`` and f'(x) into ``d``, the derivative from the value where it can be."""
    kind = x.dtype.type
    p0, p1, zero = kind(p0), kind(p1), kind(0)
    if code == RELU:
        for i in range(x.size):
            positive = x[i] > zero
            f[i] = p0 * x[i] if positive else (zero if x[i] <= zero else x[i])
            d[i] = p0 if positive else zero
        return
    activate(code, p0, p1, x, f)
    if code in (TANH, SIGMOID):
        _slope_from_value(code, p0, f, d)
    else:
        slope(code, p0, p1, x, d)


@compiled
def sum_exponentials(x, shift, scale, total):
    """Add the sum over rows of exp(scale (x - shift_i)) to ``total`` (N,).

    ``x`` is (rows, N), and nowhere above the shift.
    """
    scale = x.dtype.type(scale)
    if x.itemsize == 4:
        for r in range(x.shape[0]):
            for i in range(x.shape[1]):
                total[i] += _exp32_below(F(scale * (x[r, i] - shift[i])))
    else:
        for r in range(x.shape[0]):
            for i in range(x.shape[1]):
                total[i] += math.exp(scale * (x[r, i] - shift[i]))


@compiled
def add_exponentials(x, shift, scale, factor, out):
    """Add factor_i exp(scale (x - shift_i)) to ``out`` (rows, N); x is nowhere above the shift."""
    scale = x.dtype.type(scale)
    if x.itemsize == 4:
        for r in range(x.shape[0]):
            for i in range(x.shape[1]):
                out[r, i] += factor[i] * _exp32_below(F(scale * (x[r, i] - shift[i])))
    else:
        for r in range(x.shape[0]):
            for i in range(x.shape[1]):
                out[r, i] += factor[i] * math.exp(scale * (x[r, i] - shift[i]))


@inline
def _philox(c0, c1, c2, c3, k0, k1):
    for _ in range(ROUNDS):
        p0 = _M0 * np.uint64(c0)
        p1 = _M1 * np.uint64(c2)
        c0 = U(p1 >> _SHIFT) ^ c1 ^ k0
        c2 = U(p0 >> _SHIFT) ^ c3 ^ k1
        c1 = U(p1)
        c3 = U(p0)
        k0 = U(k0 + _W0)
        k1 = U(k1 + _W1)
    return c0, c1, c2, c3


@inline
def _box_muller32(a, b):
    uniform = (F(I(a >> U(1))) + F(0.5)) * F(2.0**-31)
    radius = np.sqrt(F(-2) * _log32(uniform))
    signed = I(b)  # the angle in units of pi / 2^31
    quadrant = (signed + I(0x20000000)) >> I(30)
    angle = F(I(signed - (quadrant << I(30)))) * F(np.pi / 2 * 2.0**-30)  # within +-pi / 4
    z = angle * angle
    sine = F(-1.9515295891e-4) * z + F(8.3321608736e-3)
    sine = (sine * z + F(-1.6666654611e-1)) * z * angle + angle
    cosine = F(2.443315711809948e-5) * z + F(-1.388731625493765e-3)
    cosine = (cosine * z + F(4.166664568298827e-2)) * z * z - F(0.5) * z + F(1)
    odd = (quadrant & I(1)) != 0
    c = -sine if odd else cosine
    s = cosine if odd else sine
    if (quadrant & I(2)) != 0:
        c = -c
        s = -s
    return radius * c, radius * s


@inline
def _box_muller64(a, b):
    uniform = (float(a >> U(1)) + 0.5) * 2.0**-31
    radius = math.sqrt(-2.0 * math.log(uniform))
    angle = float(I(b)) * (math.pi * 2.0**-31)
    return radius * math.cos(angle), radius * math.sin(angle)


@compiled
def draw(z, first, n, four, simulation, part, k0, k1):
    """Put normals into ``z`` (4, >= n): four steps, from 4 ``four`` on, of n places from ``first``.

    A place is trial * channels + channel; see `models.engine.philox.normals`.
    """
    c1, c2 = U(four), U(simulation & 0xFFFFFFFF)
    c3 = U((part << 24) + (simulation >> 32))
    z0, z1, z2, z3 = z[0], z[1], z[2], z[3]
    if z.itemsize == 4:
        for j in range(n):
            a, b, c, d = _philox(U(first + j), c1, c2, c3, k0, k1)
            x, y = _box_muller32(a, b)
            z0[j], z1[j] = x, y
            x, y = _box_muller32(c, d)
            z2[j], z3[j] = x, y
    else:
        for j in range(n):
            a, b, c, d = _philox(U(first + j), c1, c2, c3, k0, k1)
            x, y = _box_muller64(a, b)
            z0[j], z1[j] = x, y
            x, y = _box_muller64(c, d)
            z2[j], z3[j] = x, y


@compiled
def fill(out, first, last, simulation, part, k0, k1):
    """Put the normals of steps 4 first ... 4 last - 1 into ``out`` (T, trials * channels)."""
    n_steps, n = out.shape
    z = np.empty((4, n), out.dtype)
    for four in range(first, last):
        draw(z, 0, n, four, simulation, part, k0, k1)
        for w in range(min(4, n_steps - 4 * four)):
            step = out[4 * four + w]
            for i in range(n):
                step[i] = z[w, i]


@compiled_exactly
def fill_share(out, scales, onto, simulation, part, keys, n_parts, share, n_shares):
    """Put ``onto`` + scale z of K networks into ``out``, z normal: one share of several.

    Parameters
    ----------
    out : array (K, T, trials * channels)
    scales : array (K,) of float64
        A network whose scale is 0 has no noise at all.
    onto : array (K or 1, T, trials * channels)
        What noise is added to; empty where that is nothing.
    keys : array (K, 2) of uint32
    n_parts : int
        Into how many the steps of each network are divided.
    """
    n_steps, n = out.shape[1:]
    fours = -(-n_steps // 4)
    for j in range(share, out.shape[0] * n_parts, n_shares):
        i, h = j // n_parts, j % n_parts
        first, last = h * fours // n_parts, (h + 1) * fours // n_parts
        fill(out[i], first, last, simulation, part, keys[i, 0], keys[i, 1])
        scale, is_silent = out.dtype.type(scales[i]), scales[i] == 0
        for t in range(4 * first, min(4 * last, n_steps)):
            z = out[i, t]
            for place in range(n):
                z[place] = 0 if is_silent else z[place] * scale
            if onto.size > 0:
                given = onto[i % len(onto), t]
                for place in range(n):
                    z[place] = given[place] + z[place]
