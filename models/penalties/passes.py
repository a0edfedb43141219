"""What penalties take of each number by itself, in passes over memory (`models.engine.passes`)."""

from __future__ import annotations

from ..engine.passes import compiled_pass


@compiled_pass
def distances_from_cap(values, cap, unit, low, high):
    """Put max(0, cap - v) / unit into ``low``, and max(0, v - cap) / unit into ``high``.

    Arrays (K, N).
    """
    kind = values.dtype.type
    cap, unit, zero = kind(cap), kind(unit), kind(0)
    for k in range(values.shape[0]):
        for i in range(values.shape[1]):
            below, above = cap - values[k, i], values[k, i] - cap
            low[k, i] = (zero if below < zero else below) / unit
            high[k, i] = (zero if above < zero else above) / unit


@compiled_pass
def slopes_beside_cap(
    values, cap, unit, under, over, under_slopes, over_slopes, scales, alpha, beta, g_bot, g_top,
    pooled, slopes,
):  # fmt: skip
    """Take what units pay for their distance from a cap, and its derivative by their values.

    With p = low^g_bot and q = high^g_top of `distances_from_cap`, p' and q' the powers one below
    and c = scale / N:

        pooled = alpha p + beta q
        slopes = [v > cap] c beta g_top q' / unit - [v < cap] c alpha g_bot p' / unit

    Parameters
    ----------
    values : array (K, N)
    under, over : array (K, N)
        p and q.
    under_slopes, over_slopes : array (K, N)
        p' and q'.
    scales : array (K,)
    pooled, slopes : array (K, N)
        To be filled.
    """
    kind = values.dtype.type
    cap, unit, zero = kind(cap), kind(unit), kind(0)
    alpha, beta, g_bot, g_top = kind(alpha), kind(beta), kind(g_bot), kind(g_top)
    n = values.shape[1]
    for k in range(values.shape[0]):
        share = scales[k] / kind(n)
        on_under, on_over = share * alpha, share * beta
        for i in range(n):
            v = values[k, i]
            pooled[k, i] = alpha * under[k, i] + beta * over[k, i]
            up = on_over * (g_top * over_slopes[k, i]) / unit
            down = on_under * (g_bot * under_slopes[k, i]) / unit
            slopes[k, i] = (up if v - cap > zero else zero) - (down if cap - v > zero else zero)


@compiled_pass
def ratios_to_cap(weights, cap, eps, ratios):
    """Put max(0, (|w| + eps) / (cap + eps) - 1) + 1 into ``ratios``; arrays (K, n)."""
    kind = weights.dtype.type
    unit, eps, zero, one = kind(cap + eps), kind(eps), kind(0), kind(1)
    for k in range(weights.shape[0]):
        for i in range(weights.shape[1]):
            above = (abs(weights[k, i]) + eps) / unit - one
            ratios[k, i] = (zero if above < zero else above) + one


@compiled_pass
def slopes_over_cap(weights, cap, eps, powers, power_slopes, factors, gamma, excess, slopes):
    """Take what weights above a cap pay, and its derivative by them; arrays (K, n).

    With p the powers ``gamma`` of `ratios_to_cap` and p' those one below:

        excess = p - 1
        slopes = [ratio > 1] factor gamma p' / (cap + eps) sign(w)

    Parameters
    ----------
    weights, powers, power_slopes : array (K, n)
        w, p and p'.
    factors : array (K,)
    excess, slopes : array (K, n)
        To be filled.
    """
    kind = weights.dtype.type
    unit, eps, zero, one, gamma = kind(cap + eps), kind(eps), kind(0), kind(1), kind(gamma)
    for k in range(weights.shape[0]):
        for i in range(weights.shape[1]):
            w = weights[k, i]
            above = (abs(w) + eps) / unit - one
            excess[k, i] = powers[k, i] - one
            slope = factors[k] * (gamma * power_slopes[k, i]) if above > zero else zero
            sign = one if w > zero else (-one if w < zero else zero)
            slopes[k, i] = slope / unit * sign


@compiled_pass
def standard_scores(values, centres, spreads, most, scores):
    """Put (v - centre) / spread, clipped to +-``most``, into ``scores``; arrays (K, N)."""
    most = values.dtype.type(most)
    for k in range(values.shape[0]):
        for i in range(values.shape[1]):
            z = (values[k, i] - centres[k]) / spreads[k]
            scores[k, i] = -most if z < -most else (most if z > most else z)


@compiled_pass
def squared_shares(shares, factors, squares, slopes):
    """Put p^2 into ``squares`` and factor 2 p into ``slopes``; arrays (K, N), factors (K,)."""
    two = shares.dtype.type(2)
    for k in range(shares.shape[0]):
        for i in range(shares.shape[1]):
            squares[k, i] = shares[k, i] * shares[k, i]
            slopes[k, i] = factors[k] * (two * shares[k, i])


@compiled_pass
def slopes_of_scores(values, centres, spreads, most, on_scores, slopes):
    """Put on_scores / spread into ``slopes``, 0 where a score of `standard_scores` was clipped."""
    most, zero = values.dtype.type(most), values.dtype.type(0)
    for k in range(values.shape[0]):
        for i in range(values.shape[1]):
            z = (values[k, i] - centres[k]) / spreads[k]
            slopes[k, i] = (on_scores[k, i] if -most <= z <= most else zero) / spreads[k]
