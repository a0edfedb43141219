"""Compiled time loops of some trials of one network, forward and backward.

A loop runs all steps of so few trials that what it works on stays in the cache. At each step one
product makes the argument of f, from rates, input and the constant 1 that the bias multiplies, and
a small one the output; backward, one product makes the adjoint of the rates and one the gradients
of all weights.

With r the rates and a the argument of f, λ the adjoint (dL/dx) and e = dL/dy:

    W_rec r + W_inp u + b = [r, u, 1] [W_recᵀ; W_inpᵀ; b]
    form s: δ = α f'(a) λ⁺,  λ = (1 - α - 3αγx²) λ⁺ + [δ, e] [W_rec; W_out]
    form h: δ = α λ⁺,        λ = (1 - α - 3αγx²) λ⁺ + f'(x) [δ, e] [W_rec; W_out]
    gradients of [[W_rec, W_inp, b], [W_out, -, -]] = Σ [δ, e]ᵀ [r, u, 1]

where λ⁺ belongs to the next step.
"""

from __future__ import annotations

import numpy as np

from .compilation import compiled, inline
from .elementwise import (
    activate,
    activate_and_slope,
    add_exponentials,
    draw,
    slope,
    sum_exponentials,
)
from .philox import PARTS
from .products import multiply

_REC = PARTS["rec"]
# Kinds of statistics of a unit over steps and trials; see `models.engine.statistics`.
SOFT_MAXIMUM_RATE, SOFT_MAXIMUM_STATE, MEAN_SQUARE_RATE, MEAN_ABS_STATE = range(4)


@inline
def _copy(source, target, offset):
    """Copy (rows, n) into the columns of ``target`` from ``offset`` on."""
    for b in range(source.shape[0]):
        for i in range(source.shape[1]):
            target[b, offset + i] = source[b, i]


@compiled
def _observe(kinds, scales, states, rates, top, part, work, totals):
    """Add a step's states and rates (rows, N) to the sums of the statistics.

    ``totals`` (S, 2, N) holds for soft maxima the largest value and the sum of the exponentials
    relative to it, for means the sum in the second row.
    """
    rows, n = states.shape
    for s in range(kinds.size):
        largest, total = totals[s, 0], totals[s, 1]
        for i in range(n):
            part[i] = 0
        if kinds[s] == SOFT_MAXIMUM_RATE or kinds[s] == SOFT_MAXIMUM_STATE:
            values = rates
            if kinds[s] == SOFT_MAXIMUM_STATE:
                for r in range(rows):
                    for i in range(n):
                        work[r, i] = abs(states[r, i])
                values = work
            for i in range(n):
                top[i] = largest[i]
            for r in range(rows):
                for i in range(n):
                    top[i] = values[r, i] if values[r, i] > top[i] else top[i]
            for i in range(n):
                if top[i] > largest[i]:
                    total[i] *= np.exp((largest[i] - top[i]) * scales[s])
                    largest[i] = top[i]
            sum_exponentials(values, top, scales[s], part)
        elif kinds[s] == MEAN_SQUARE_RATE:
            for r in range(rows):
                for i in range(n):
                    part[i] += rates[r, i] * rates[r, i]
        else:
            for r in range(rows):
                for i in range(n):
                    part[i] += abs(states[r, i])
        for i in range(n):
            total[i] += part[i]


@compiled
def _add_slopes(
    kinds, scales, shifts, factors, network, states, rates, work, extra, on_states, on_rates
):
    """Add factors times the statistics' derivatives by states and rates, (rows, N) each."""
    rows, n = states.shape
    two = states.dtype.type(2)
    for s in range(kinds.size):
        factor, shift = factors[s, network], shifts[s, network]
        if kinds[s] == SOFT_MAXIMUM_RATE:
            add_exponentials(rates, shift, scales[s], factor, on_rates)
        elif kinds[s] == SOFT_MAXIMUM_STATE:
            for r in range(rows):
                for i in range(n):
                    work[r, i] = abs(states[r, i])
                    extra[r, i] = 0
            add_exponentials(work, shift, scales[s], factor, extra)
            for r in range(rows):
                for i in range(n):
                    x = states[r, i]
                    on_states[r, i] += extra[r, i] if x > 0 else (-extra[r, i] if x < 0 else 0 * x)
        elif kinds[s] == MEAN_SQUARE_RATE:
            for r in range(rows):
                for i in range(n):
                    on_rates[r, i] += factor[i] * two * rates[r, i]
        else:
            for r in range(rows):
                for i in range(n):
                    x = states[r, i]
                    on_states[r, i] += factor[i] if x > 0 else (-factor[i] if x < 0 else 0 * x)


@compiled
def forward(
    form_s, code, p0, p1, alpha, gamma,
    weights, readout, inputs, states, arguments, outputs,
    first, last, first_trial,
    noise_scale, noise_inside, given_noise, simulation, k0, k1,
    kinds, scales, totals,
):  # fmt: skip
    """Run trials first ... last - 1 of one network; states[0] holds the initial states.

    Parameters
    ----------
    weights : array (N + M + 1, N)
        [W_recᵀ; W_inpᵀ; b].
    readout : array (N, O)
        W_outᵀ.
    inputs : array (T, B, M)
        With their noise.
    states, arguments : array (T, B, N)
        To be filled; arguments are of form s, and empty otherwise.
    outputs : array (T, B, O)
        To be filled.
    first_trial : int
        Number of trial 0 of these arrays, which names its noise.
    noise_scale : float
        Of the recurrent noise; 0: none.
    given_noise : array (T, B, N)
        Scaled noise to be used instead of drawn one, or empty.
    kinds, scales, totals
        Statistics to be taken; see `_observe`.
    """
    n_steps, _, n = states.shape
    m = inputs.shape[2]
    rows = last - first
    kind = weights.dtype.type
    alpha, gamma, noise_scale = kind(alpha), kind(gamma), kind(noise_scale)
    integers, reals = np.empty(8, np.int32), np.empty(2, weights.dtype)
    sent = np.empty((rows, n + m + 1), weights.dtype)
    sent[:, n + m] = 1
    argument, rate = np.empty((rows, n), weights.dtype), np.empty((rows, n), weights.dtype)
    work = np.empty((rows, n), weights.dtype)
    top, part = np.empty(n, weights.dtype), np.empty(n, weights.dtype)
    z = np.empty((4, rows * n), weights.dtype)
    is_given = given_noise.size > 0
    is_noisy = is_given or noise_scale != 0
    if is_given:
        noise_scale = kind(1)
    flat = argument.reshape(-1)
    for t in range(n_steps):
        states_now = states[t, first:last]
        x = states_now.reshape(-1)
        r = states_now
        if not form_s:
            activate(code, p0, p1, x, rate.reshape(-1))
            r = rate
        _copy(r, sent, 0)
        _copy(inputs[t, first:last], sent, n)
        if kinds.size:
            _observe(kinds, scales, states_now, r, top, part, work, totals)
        multiply(r, readout, outputs[t, first:last], False, 0.0, integers, reals)
        if t == n_steps - 1:
            break
        xi = z[t & 3]
        if is_given:
            xi = given_noise[t, first:last].reshape(-1)
        elif is_noisy and t & 3 == 0:
            draw(z, (first_trial + first) * n, rows * n, t >> 2, simulation, _REC, k0, k1)
        following = states[t + 1, first:last].reshape(-1)
        if form_s:
            a = arguments[t, first:last]
            multiply(sent, weights, a, False, 0.0, integers, reals)
            if is_noisy and noise_inside:
                inside = a.reshape(-1)
                for i in range(x.size):
                    inside[i] += noise_scale * xi[i]
            activate(code, p0, p1, a.reshape(-1), flat)
        else:
            multiply(sent, weights, argument, False, 0.0, integers, reals)
        if gamma != 0:
            for i in range(x.size):
                flat[i] -= gamma * x[i] * x[i] * x[i]
        if is_noisy and not noise_inside:
            for i in range(x.size):
                following[i] = x[i] + alpha * (flat[i] + noise_scale * xi[i] - x[i])
        else:
            for i in range(x.size):
                following[i] = x[i] + alpha * (flat[i] - x[i])


@compiled
def backward(
    form_s, code, p0, p1, alpha, gamma,
    weights, inputs, states, arguments,
    network, first, last,
    on_outputs, on_states, kinds, scales, shifts, factors,
    n_together, gradients, on_start,
):  # fmt: skip
    """Propagate A adjoints through trials first ... last - 1 of one network.

    Parameters
    ----------
    weights : array (N + O, N)
        W_rec above W_out.
    network : int
        Which of the K networks.
    on_outputs : array (A, K, T, B, O)
        dL/dy of each adjoint.
    on_states : array (A, K, T, B, N)
        dL/dx beside what outputs and statistics bring, or empty.
    kinds, scales, shifts, factors
        Statistics, the values that their exponentials are relative to (S, K, N), and dL/ds times
        their normalisers (A, S, K, N).
    n_together : int
        Steps whose gradients are one product.
    gradients : array (A, N + O, N + M + 1)
        Of all weights, as in the module's formula; to be filled.
    on_start : array (A, N)
        Of the initial state; to be filled.
    """
    n_steps, _, n = states.shape
    m, o = inputs.shape[2], on_outputs.shape[4]
    n_adjoints = on_outputs.shape[0]
    rows = last - first
    kind = weights.dtype.type
    alpha, gamma = kind(alpha), kind(gamma)
    integers, reals = np.empty(8, np.int32), np.empty(2, weights.dtype)
    adjoint = np.zeros((n_adjoints, rows, n), weights.dtype)
    sent = np.empty((n_together * rows, n + m + 1), weights.dtype)
    sent[:, n + m] = 1
    delta = np.empty((n_adjoints, n_together * rows, n + o), weights.dtype)
    gain, back = np.empty((rows, n), weights.dtype), np.empty((rows, n), weights.dtype)
    rate, more = np.empty((rows, n), weights.dtype), np.empty((rows, n), weights.dtype)
    work, extra = np.empty((rows, n), weights.dtype), np.empty((rows, n), weights.dtype)
    flat_gain, flat_back, flat_more = gain.reshape(-1), back.reshape(-1), more.reshape(-1)
    one, cubed = kind(1), kind(3) * alpha * gamma
    leak = one - alpha
    has_dense = on_states.size > 0
    on_rates_only = True
    for s in range(kinds.size):
        if kinds[s] == SOFT_MAXIMUM_STATE or kinds[s] == MEAN_ABS_STATE:
            on_rates_only = False
    gradients[:] = 0
    held = 0  # rows that wait for their product
    for t in range(n_steps - 1, -1, -1):
        states_now = states[t, first:last]
        x = states_now.reshape(-1)
        r = states_now
        if not form_s:
            activate_and_slope(code, p0, p1, x, rate.reshape(-1), flat_gain)
            r = rate
        elif t < n_steps - 1:
            slope(code, p0, p1, arguments[t, first:last].reshape(-1), flat_gain)
        block = sent[held : held + rows]
        _copy(r, block, 0)
        _copy(inputs[t, first:last], block, n)
        for a in range(n_adjoints):
            later = adjoint[a]
            now = delta[a, held : held + rows]
            if t == n_steps - 1:
                for b in range(rows):
                    for i in range(n):
                        now[b, i] = 0
            elif form_s:
                for b in range(rows):
                    for i in range(n):
                        now[b, i] = alpha * gain[b, i] * later[b, i]
            else:
                for b in range(rows):
                    for i in range(n):
                        now[b, i] = alpha * later[b, i]
            _copy(on_outputs[a, network, t, first:last], now, n)
            multiply(now, weights, back, False, 0.0, integers, reals)
            has_statistics = False
            for s in range(kinds.size):
                has_statistics = has_statistics or factors[a, s, network].any()
            if has_statistics:
                if not on_rates_only:
                    more[:] = 0
                _add_slopes(
                    kinds, scales, shifts, factors[a], network, states_now, r,
                    work, extra, more, back,
                )  # fmt: skip
            flat_later = later.reshape(-1)
            keep = leak
            if gamma != 0:
                keep = one
                for i in range(x.size):
                    flat_later[i] *= leak - cubed * x[i] * x[i]
            if form_s:
                for i in range(x.size):
                    flat_later[i] = keep * flat_later[i] + flat_back[i]
            else:
                for i in range(x.size):
                    flat_later[i] = keep * flat_later[i] + flat_gain[i] * flat_back[i]
            if has_statistics and not on_rates_only:
                for i in range(x.size):
                    flat_later[i] += flat_more[i]
            if has_dense:
                dense = on_states[a, network, t, first:last].reshape(-1)
                for i in range(x.size):
                    flat_later[i] += dense[i]
        held += rows
        if held == n_together * rows or t == 0:
            for a in range(n_adjoints):
                multiply(delta[a, :held], sent[:held], gradients[a], True, 1.0, integers, reals)
            held = 0
    for a in range(n_adjoints):
        for i in range(n):
            total = kind(0)
            for b in range(rows):
                total += adjoint[a, b, i]
            on_start[a, i] = total


@compiled
def forward_share(
    form_s, code, p0, p1, alpha, gamma,
    weights, readout, inputs, states, arguments, outputs,
    parts, first_trial, noise_scales, noise_inside, given_noise, simulation, keys,
    kinds, scales, totals, share, n_shares,
):  # fmt: skip
    """Run `forward` on one of ``n_shares`` shares of K networks' C chunks of trials.

    Parameters
    ----------
    weights, readout, given_noise, totals
        As of `forward`, with a leading axis K, ``totals`` with K and C.
    inputs : array (K or 1, T, B, M)
    states, arguments, outputs : array (K, >= T B channels)
        The rows of `Buffers`: a network begins on a cache line.
    parts : array (C, 2)
        First and last + 1 of the trials of each chunk.
    noise_scales : array (K,)
    keys : array (K, 2) of uint32
    """
    n_steps, n_trials = inputs.shape[1:3]
    n, o = weights.shape[2], readout.shape[2]
    kept = n_steps if form_s else 0
    n_chunks = parts.shape[0]
    for j in range(share, weights.shape[0] * n_chunks, n_shares):
        i, c = j // n_chunks, j % n_chunks
        forward(
            form_s, code, p0, p1, alpha, gamma, weights[i], readout[i], inputs[i % len(inputs)],
            states[i, : n_steps * n_trials * n].reshape((n_steps, n_trials, n)),
            arguments[i, : kept * n_trials * n].reshape((kept, n_trials, n)),
            outputs[i, : n_steps * n_trials * o].reshape((n_steps, n_trials, o)),
            parts[c, 0], parts[c, 1], first_trial, noise_scales[i], noise_inside, given_noise[i],
            simulation, keys[i, 0], keys[i, 1], kinds, scales, totals[i, c],
        )  # fmt: skip


@compiled
def backward_share(
    form_s, code, p0, p1, alpha, gamma,
    weights, inputs, states, arguments, parts,
    on_outputs, on_states, kinds, scales, shifts, factors,
    n_together, gradients, on_start, share, n_shares,
):  # fmt: skip
    """Run `backward` on one of ``n_shares`` shares of K networks' C chunks of trials.

    Parameters
    ----------
    weights
        As of `backward`, with a leading axis K.
    inputs, states, arguments, parts
        As of `forward_share`.
    gradients, on_start
        As of `backward`, with leading axes K and C.
    """
    n_steps, n_trials = inputs.shape[1:3]
    n = weights.shape[2]
    kept = n_steps if form_s else 0
    n_chunks = parts.shape[0]
    for j in range(share, weights.shape[0] * n_chunks, n_shares):
        i, c = j // n_chunks, j % n_chunks
        backward(
            form_s, code, p0, p1, alpha, gamma, weights[i], inputs[i % len(inputs)],
            states[i, : n_steps * n_trials * n].reshape((n_steps, n_trials, n)),
            arguments[i, : kept * n_trials * n].reshape((kept, n_trials, n)),
            i, parts[c, 0], parts[c, 1], on_outputs, on_states, kinds, scales, shifts, factors,
            n_together, gradients[i, c], on_start[i, c],
        )  # fmt: skip
