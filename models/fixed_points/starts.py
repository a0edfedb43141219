"""Starting states of a search: trial states, and states near the points found so far."""

from __future__ import annotations

from math import pi, sqrt

import numpy as np
from numpy.typing import NDArray

from ..network.rnn_numpy import RNNNumpy
from .found import Found

Float = NDArray[np.float64]
MANY = 12  # points, from which on half of the starts are combinations
SEVERAL = 8  # points, beyond which rare ones may have to be looked for longer


def first_starts(
    states: Float, spread: float, noise: float, n_starts: int, rng: np.random.Generator
) -> Float:
    """Return starts (n_starts, N): some of the ``states`` (N, M), half with more noise."""
    starts = states[:, rng.integers(states.shape[1], size=n_starts)].T
    level = noise * 10.0 ** np.where(np.arange(n_starts) % 2, rng.uniform(0, 1, n_starts), 0.0)
    return np.asarray(starts + level[:, None] * spread * rng.standard_normal(starts.shape))


def next_starts(
    found: Found,
    states: Float,
    spread: float,
    n_starts: int,
    level: int,
    rng: np.random.Generator,
    rare: bool = False,
) -> Float:
    """Return starts (n_starts, N) made from the points found and from noisier states.

    Parameters
    ----------
    found : Found
        The points so far.
    states : array (N, M)
        States of the network.
    spread : float
        Scale of the noise per unit, see `scales`.
    n_starts : int
        How many.
    level : int
        Number of the round: noise grows with it.
    rng : Generator
    rare : bool
        Whether rare points are looked for: they are met along the slow and unstable directions of
        others, and in noise hardly ever.
    """
    rnn, points = found.rnn, found.points
    n_units = rnn.N
    known = len(points)
    # few points have few combinations, and leave more to be found elsewhere
    n_combined = n_starts * min(known, MANY) // (2 * MANY)
    n_modes = (2 * n_starts // 5 if rare else n_starts // 5) if known else 0
    n_box = n_starts // 16 if rare else n_starts // 8
    n_noisy = n_starts - n_combined - n_modes - n_box
    parts = []
    if known:
        # means of 2 to 8 points lie near the saddles between them; the differences p + q - r
        # complete parallelograms, the shape of memories that combine independent bits
        means = np.empty((n_combined // 2, n_units))
        halves = len(means) // 2
        means[:halves] = points[rng.integers(known, size=(2, halves))].mean(axis=0)
        for i in range(halves, len(means)):
            members = rng.integers(known, size=int(rng.integers(2, 9)))
            means[i] = rng.dirichlet(np.ones(len(members))) @ points[members]
        p, q, r = points[rng.integers(known, size=(3, n_combined - len(means)))]
        even = rng.random(len(p)) < 0.5
        parallel = np.where(even[:, None], p + q - r, 2.0 * p - q)
        parts += [means, parallel]
        # along the slow and unstable directions of a point, both ways
        base = rng.integers(known, size=n_modes)
        vectors = found.leading[base, :, rng.integers(found.leading.shape[2], size=n_modes)]
        turned = (vectors * np.exp(1j * rng.uniform(0, 2 * pi, n_modes))[:, None]).real
        unit = turned / np.maximum(np.linalg.norm(turned, axis=1), 1e-300)[:, None]
        reach = spread * sqrt(n_units) * 10.0 ** rng.uniform(-1.5, 0.5, n_modes)
        parts.append(points[base] + reach[:, None] * unit)
    noisy = states[:, rng.integers(states.shape[1], size=n_noisy)].T
    noise = spread * 10.0 ** rng.uniform(-1.0, min(0.25 * level, 1.0), (n_noisy, 1))
    noisy = noisy + noise * rng.standard_normal(noisy.shape)
    # normal deviates with the covariance of what is known, twice as wide
    cloud = np.vstack([states.T[rng.integers(states.shape[1], size=512)], points])
    centre = cloud.mean(axis=0)
    weights = rng.standard_normal((n_box, len(cloud))) / sqrt(len(cloud))
    parts += [noisy, centre + 2.0 * weights @ (cloud - centre)]
    starts = np.vstack(parts)
    return np.asarray(starts + 0.02 * spread * rng.standard_normal(starts.shape))


def scales(rnn: RNNNumpy, u: Float, states: Float, rng: np.random.Generator) -> tuple[float, float]:
    """Return the spread of starts per unit, and the longest Newton step.

    States that hardly differ (a network at rest) say nothing about where else points may be: the
    states that the network is driven towards from random ones then set the scale.
    """
    size = float(np.sqrt(np.mean(states**2)))
    spread = float(np.sqrt(np.mean((states - states.mean(axis=1, keepdims=True)) ** 2)))
    anywhere = rng.standard_normal((rnn.N, 64))
    driven = rnn.rhs(anywhere, u) + anywhere + rnn.gamma * anywhere**3
    natural = float(np.sqrt(np.mean(driven**2)))
    spread = max(spread, 0.25 * size, 0.25 * natural) or 1e-3
    return spread, 2.0 * sqrt(rnn.N) * (spread + size)
