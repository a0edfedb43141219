"""What follows a run in a training, in passes over memory (`models.engine.passes`)."""

from __future__ import annotations

import numpy as np

from ..engine.passes import compiled_pass

LEAST_NORM = 1e-30  # what a gradient of 0 is divided by


@compiled_pass
def square_errors(outputs, targets, steps, counts, factors, squares, slopes):
    """Take the squared errors of outputs and the slopes of their mean.

    At the steps of the mask, with c = 1 where an entry counts and 0 elsewhere:

        squares = (c (y - t))^2,  slopes = c (y - t) factor

    Parameters
    ----------
    outputs : array (K, T, B, O)
    targets : array (K or 1, T, B, O)
    steps : array (M,) of int
    counts : array (K or 1, M, B, O) of bool
        c; empty where all count.
    factors : array (K or 1,)
    squares : array (K, M B O)
        To be filled.
    slopes : array (K, T, B, O)
        To be filled at the steps; nothing else in it is touched.
    """
    n_trials, n_channels = outputs.shape[2:]
    for k in range(outputs.shape[0]):
        target, factor = targets[k % targets.shape[0]], factors[k % factors.size]
        for s in range(steps.size):
            t = steps[s]
            y, wanted = outputs[k, t].reshape(-1), target[t].reshape(-1)
            slope = slopes[k, t].reshape(-1)
            n = n_trials * n_channels
            square = squares[k, s * n : (s + 1) * n]
            for i in range(n):
                error = y[i] - wanted[i]
                square[i] = error * error
                slope[i] = error * factor
            if counts.size > 0:
                counted = counts[k % counts.shape[0], s].reshape(-1)
                for i in range(n):
                    if not counted[i]:
                        square[i] = 0
                        slope[i] = 0 * factor


@compiled_pass
def follow_gradients(
    losses, norms, trains, largest_norms, weights, previous, gradients, first, second, decays,
    beta_1, beta_2, frozen, diverged,
):  # fmt: skip
    """Bring the moments of Adam up to date; all arrays are (K, n), a row for each network.

    With w a weight, g its gradient and d the weight decay:

        c = min(1, largest norm / norm)
        g' = d w + c g,  first = b1 first + (1 - b1) g',  second = b2 second + (1 - b2) g'^2

    ``previous`` becomes w. The weights of a network that is frozen become ``previous`` instead, and
    its moments follow a gradient of 0.

    Parameters
    ----------
    losses, norms : array (K,)
        Where one is not finite its network is frozen.
    trains : array (K,) of bool
        Networks that still train; the others are frozen.
    largest_norms : array (K,)
    weights, previous, gradients, first, second : array (K, n)
        All but the gradients are changed in place.
    decays : array (K,)
    beta_1, beta_2 : float
    frozen, diverged : array (K,) of bool
        To be filled: networks that are frozen, and those that trained until now.
    """
    kind = weights.dtype.type
    b1, b2, rest_1, rest_2 = kind(beta_1), kind(beta_2), kind(1 - beta_1), kind(1 - beta_2)
    for k in range(weights.shape[0]):
        w, before, g, m, v = weights[k], previous[k], gradients[k], first[k], second[k]
        is_finite = np.isfinite(losses[k]) and np.isfinite(norms[k])
        is_frozen = not (trains[k] and is_finite)
        frozen[k], diverged[k] = is_frozen, trains[k] and not is_finite
        scale, decay = largest_norms[k] / max(norms[k], kind(LEAST_NORM)), decays[k]
        scale = min(scale, kind(1))
        for i in range(w.size):
            if is_frozen:
                w[i] = before[i]
            before[i] = w[i]
            slope = w[i] * decay + (kind(0) if is_frozen else g[i] * scale)
            m[i] = m[i] * b1 + slope * rest_1
            v[i] = v[i] * b2 + slope * slope * rest_2


@compiled_pass
def step_within_bounds(
    weights, previous, first, second, sizes, frozen, rates, factor, epsilon,
    signs, mask, smallest, low, high, fixed, start,
):  # fmt: skip
    """Take Adam's step, and bring weights back to their constraints; arrays (K, n).

        w = w + first / (sizes + epsilon) (rate factor)

    then w = sign ``smallest`` where it left its sign, w and the moments times the mask, w within
    its range, and w what it was, its moments 0, where it is fixed. The weights of a network that is
    frozen become ``previous``.

    Parameters
    ----------
    weights, first, second : array (K, n)
        Weights and moments, changed in place.
    previous : array (K, n)
    sizes : array (K, n)
        Square roots of ``second``.
    frozen : array (K,) of bool
    rates : array (K,)
    factor, epsilon : float
    signs : array (K, n)
        0 where a weight may have either sign.
    mask : array (K, n)
        0 where a weight does not exist, otherwise 1.
    smallest : float
    low, high : array (n,)
        The range of each weight.
    fixed : array (K, n) of bool
    start : array (K, n)
        What fixed weights are.
    """
    kind = weights.dtype.type
    factor, epsilon, smallest = kind(factor), kind(epsilon), kind(smallest)
    for k in range(weights.shape[0]):
        w, before, m, v = weights[k], previous[k], first[k], second[k]
        rate, is_frozen = rates[k] * factor, frozen[k]
        for i in range(w.size):
            x = w[i] + m[i] / (sizes[k, i] + epsilon) * rate
            sign = signs[k, i]
            if sign != 0 and x * sign < smallest:
                x = sign * smallest
            x *= mask[k, i]
            x = low[i] if x < low[i] else (high[i] if x > high[i] else x)
            m[i] *= mask[k, i]
            v[i] *= mask[k, i]
            if fixed[k, i]:
                x = start[k, i]
                m[i] = 0
                v[i] = 0
            w[i] = before[i] if is_frozen else x
