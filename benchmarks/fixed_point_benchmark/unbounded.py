"""Larger networks of unbounded f whose points are known, without trials: many of them grow."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from models.formulas.activations import get_activation

from .cases import ACTIVATIONS, Known, network, states
from .known_sets import extent, rank_one, rectified

MOST = 300  # points of a network
Stage = tuple[np.ndarray, Callable[[np.ndarray], np.ndarray]]  # weights, and all z at a drive


def unbounded(rng: np.random.Generator) -> Iterator[Known]:
    """Yield chains of blocks, each driven by all before it, of every f that is not bounded.

    They are two blocks of 9 or 10 (leaky) rectified units, of which all linear regions are solved
    at each point of the first, or four blocks of rank one. Without connections back the set is that
    of the first block, and for each of its points that of the second at this drive, and so on.
    """
    while True:
        f = ACTIVATIONS[2 + int(rng.integers(4))]
        rectifies = f["name"] in ("relu", "leaky_relu")
        if rectifies and rng.random() < 0.5:
            blocks = [_rectified(rng, f) for _ in range(2)]
        else:
            blocks = [_rank_one(rng, f) for _ in range(4)]
        chained = _chain(blocks, f, rng)
        if chained is None:
            continue
        W, d, z = chained
        form = str(rng.choice(["s", "h"]))
        yield Known("unbounded", network(W, d, f, form), states(z, f, form))


def _rectified(rng: np.random.Generator, f: Any) -> Stage:
    n = int(rng.integers(9, 11))
    W = rng.uniform(0.8, 3.0) * rng.standard_normal((n, n)) / np.sqrt(n)
    return W, lambda d: rectified(W, d, f)


def _rank_one(rng: np.random.Generator, f: Any) -> Stage:
    n = int(rng.integers(4, 10))
    m, w = rng.standard_normal((2, n))
    v = (rng.uniform(-3, 8) * m + rng.uniform(0, 4) * w) / n

    def solve(d: np.ndarray) -> np.ndarray:
        if extent(m, v, d, get_activation(f)) is None:
            return np.full((1, n), np.nan)
        return rank_one(m, v, d, f, 4001)

    return np.outer(m, v), solve


def _chain(
    blocks: list[Stage], f: Any, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, np.ndarray] | None:
    """Return W, d and the arguments of all points; None where they are not known, or too many."""
    act = get_activation(f)
    sizes = [len(W) for W, _ in blocks]
    first = np.concatenate([[0], np.cumsum(sizes)])
    n = int(first[-1])
    W, d = np.zeros((n, n)), rng.standard_normal(n)
    z = np.empty((1, 0))
    for k, (inner, solve) in enumerate(blocks):
        own = slice(first[k], first[k + 1])
        W[own, own] = inner
        W[own, : first[k]] = 0.5 * rng.standard_normal((sizes[k], first[k])) / np.sqrt(sizes[k])
        longer = []
        for before in z:
            ends = solve(d[own] + W[own, : first[k]] @ act.f(before))
            longer.append(np.hstack([np.repeat(before[None], len(ends), axis=0), ends]))
        z = np.vstack(longer) if longer else np.empty((0, first[k + 1]))
        if np.isnan(z).any() or len(z) > MOST:
            return None
    if not len(z):
        z = np.empty((0, n))
    order = rng.permutation(n)
    return W[np.ix_(order, order)], d[order], z[:, order]
