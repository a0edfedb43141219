"""All fixed points of small and of low-rank networks, by code that shares nothing with the search.

Both forms of the equation have the same fixed points in the arguments of f: z = W f(z) + d with
d = W_inp u + b. A network of rank r has z = U k + d with k = V f(U k + d) in r dimensions, which
are scanned.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import product
from typing import Any

import numpy as np

from models.formulas.activations import get_activation


def crossings(g: Callable[[np.ndarray], np.ndarray], grid: np.ndarray) -> np.ndarray:
    """Return where g crosses zero between the points of a fine grid.

    Where |g| has a minimum between them, the grid is made finer there, so that two crossings within
    one step are seen.
    """
    value = g(grid)
    dips = np.flatnonzero(
        (np.abs(value[1:-1]) < np.abs(value[:-2])) & (np.abs(value[1:-1]) <= np.abs(value[2:]))
    )
    finer = [np.linspace(grid[i], grid[i + 2], 1001) for i in dips]
    finest = []
    for part in finer:
        inner = np.abs(g(part))
        j = min(max(int(inner.argmin()), 1), len(part) - 2)
        finest.append(np.linspace(part[j - 1], part[j + 1], 1001))
    grid = np.unique(np.concatenate([grid, *finer, *finest]))
    value = g(grid)
    at = np.flatnonzero(np.sign(value[:-1]) * np.sign(value[1:]) < 0)
    low, high, sign = grid[at], grid[at + 1], np.sign(value[at])
    for _ in range(80):
        middle = 0.5 * (low + high)
        same = np.sign(g(middle)) == sign
        low, high = np.where(same, middle, low), np.where(same, high, middle)
    exact = grid[value == 0.0]
    return np.sort(np.concatenate([0.5 * (low + high), exact]))


def rank_one(
    u: np.ndarray, v: np.ndarray, d: np.ndarray, f: Any, n_grid: int = 40_001
) -> np.ndarray:
    """Return the arguments z (P, N) of all fixed points of W = u v', by scanning k."""
    act = get_activation(f)

    def g(k: np.ndarray) -> np.ndarray:
        parts = np.array_split(k, max(1, len(k) * len(d) // 4_000_000 + 1))
        values = [act.f(p[:, None] * u + d) @ v for p in parts]
        return np.concatenate(values) - k

    top = extent(u, v, d, act)
    if top is None:
        return np.full((0, len(d)), np.nan)
    inner = np.linspace(-top, top, n_grid)
    small = top * np.geomspace(1e-8, 1.0, 4001)
    return crossings(g, np.unique(np.concatenate([inner, small, -small])))[:, None] * u + d


def extent(u: np.ndarray, v: np.ndarray, d: np.ndarray, act: Any) -> float | None:
    """Return |k| beyond which there is no fixed point, None where none is known."""
    if act.is_bounded:
        return float(np.abs(v).sum()) * 1.01 + 1e-3  # |f| is at most 1
    low, high = act.slopes_at_infinity
    slack = act.f(np.linspace(-60, 60, 4001))
    line = np.where(np.linspace(-60, 60, 4001) > 0, high, low) * np.linspace(-60, 60, 4001)
    most = float(np.abs(slack - line).max())  # how far f is from its asymptotes
    gain = max(abs(low), abs(high))
    rest = float(np.abs(v) @ (most + gain * np.abs(d)))
    away = min(abs(1 - v @ (np.where(s * u > 0, high, low) * u)) for s in (1.0, -1.0))
    return None if away < 0.05 else rest / away * 1.01 + 1e-3


def low_rank(
    U: np.ndarray, V: np.ndarray, d: np.ndarray, f: Any, rng: np.random.Generator,
    n_starts: int = 4000, radius: float | None = None,
) -> np.ndarray:  # fmt: skip
    """Return the arguments of the fixed points of W = U V, by Newton from all over k's region."""
    act, rank = get_activation(f), U.shape[1]
    box = np.abs(V).sum(axis=1) if radius is None else np.full(rank, radius)
    k = box * rng.uniform(-1, 1, (n_starts, rank))
    k[: n_starts // 2] *= 10.0 ** rng.uniform(-2, 0, (n_starts // 2, 1))
    found = np.empty((0, rank))
    for part in np.array_split(k, max(1, len(k) * len(d) // 400_000)):
        ends = newton(lambda c: act.f(c @ U.T + d) @ V.T - c,
                       lambda c: (V * act.df(c @ U.T + d)[:, None, :]) @ U - np.eye(rank),
                       part, float(box.max()))  # fmt: skip
        found = distinct(np.vstack([found, ends]), 1e-7)
    return found @ U.T + d


def newton(F: Any, J: Any, x: np.ndarray, most: float, n_steps: int = 60) -> np.ndarray:
    """Return the roots that damped Newton's method leads to from rows ``x`` (P, r)."""
    for _ in range(n_steps):
        value = F(x)
        jac = J(x) + 1e-14 * np.eye(x.shape[1])
        step = np.linalg.solve(jac, -value[:, :, None])[:, :, 0]
        long = np.linalg.norm(step, axis=1, keepdims=True)
        step *= np.minimum(1.0, 0.5 * most / np.maximum(long, 1e-300))
        size, scale = np.linalg.norm(value, axis=1), np.ones(len(x))
        for _ in range(6):
            bad = np.linalg.norm(F(x + scale[:, None] * step), axis=1) > size
            scale[bad] *= 0.5
        x = x + scale[:, None] * step
    value = np.linalg.norm(F(x), axis=1)
    return x[value < 1e-11 * (1 + np.linalg.norm(x, axis=1))]


def distinct(points: np.ndarray, cutoff: float) -> np.ndarray:
    """Return the rows of ``points`` that are farther than ``cutoff`` from those before them."""
    kept: list[np.ndarray] = []
    for p in points:
        if not kept or np.abs(np.array(kept) - p).max(axis=1).min() > cutoff:
            kept.append(p)
    return np.array(kept).reshape(-1, points.shape[1])


def small_box(W: np.ndarray, d: np.ndarray, f: Any, width: float = 2e-3) -> np.ndarray:
    """Return the arguments of all fixed points of a few units with a bounded, rising f.

    Interval arithmetic: a box of arguments z is cut to what W f(box) + d allows, dropped where
    nothing is left, and halved where it is not cut much. Newton's method starts from what is left.
    """
    act, n = get_activation(f), len(d)
    plus, minus = np.maximum(W, 0), np.minimum(W, 0)

    def image(low: np.ndarray, high: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        a, b = act.f(low), act.f(high)
        return a @ plus.T + b @ minus.T + d - 1e-12, b @ plus.T + a @ minus.T + d + 1e-12

    low, high = image(np.full((1, n), -1e3), np.full((1, n), 1e3))
    left: list[np.ndarray] = []
    while len(low):
        for _ in range(3):
            a, b = image(low, high)
            low, high = np.maximum(low, a), np.minimum(high, b)
            keep = (low <= high).all(axis=1)
            low, high = low[keep], high[keep]
        small = (high - low).max(axis=1) < width
        left.append(0.5 * (low + high)[small])
        low, high = low[~small], high[~small]
        axis, rows = (high - low).argmax(axis=1), np.arange(len(low))
        middle = 0.5 * (low + high)[rows, axis]
        first, second = high.copy(), low.copy()
        first[rows, axis] = middle
        second[rows, axis] = middle
        low, high = np.concatenate([low, second]), np.concatenate([first, high])
    starts = np.concatenate(left)
    ends = newton(lambda z: act.f(z) @ W.T + d - z,
                   lambda z: W * act.df(z)[:, None, :] - np.eye(n), starts, 1.0)  # fmt: skip
    return distinct(ends, 1e-8)


def rectified(W: np.ndarray, d: np.ndarray, f: Any) -> np.ndarray:
    """Return the arguments of all fixed points of a (leaky) rectified network, region by region."""
    act, n = get_activation(f), len(d)
    low, high = act.slopes_at_infinity
    found = []
    for first in range(0, 2**n, 8192):
        codes = np.arange(first, min(first + 8192, 2**n))
        on = (codes[:, None] >> np.arange(n)) & 1 == 1
        matrices = np.eye(n) - W * np.where(on, high, low)[:, None, :]
        z = np.linalg.solve(matrices, np.broadcast_to(d, on.shape)[:, :, None])[:, :, 0]
        found.append(z[((z > 0) == on).all(axis=1)])
    return np.concatenate(found)


def joined(blocks: list[tuple[np.ndarray, np.ndarray, np.ndarray]], order: np.ndarray) -> Any:
    """Return W, d and all arguments of independent blocks (W, d, z), units in ``order``."""
    n = sum(len(d) for _, d, _ in blocks)
    W, first = np.zeros((n, n)), 0
    for block, _, _ in blocks:
        W[first : first + len(block), first : first + len(block)] = block
        first += len(block)
    d = np.concatenate([b for _, b, _ in blocks])
    z = np.array([np.concatenate(parts) for parts in product(*(z for _, _, z in blocks))])
    return W[np.ix_(order, order)], d[order], z.reshape(-1, n)[:, order]


def at_fold(
    u: np.ndarray, v: np.ndarray, b: np.ndarray, f: Any, distance: float, rng: Any
) -> np.ndarray | None:
    """Return biases d = b + c u with a pair of fixed points ``distance`` (of c) from their fold.

    None where W = u v' has no fold at any c.
    """
    act = get_activation(f)
    s = np.linspace(-1, 1, 40_001) * (np.abs(v).sum() + 3.0)
    c = s - act.f(s[:, None] * u + b) @ v
    inner = (c[1:-1] - c[:-2]) * (c[2:] - c[1:-1]) < 0
    at = np.flatnonzero(inner) + 1
    if not len(at):
        return None
    i = int(rng.choice(at))
    fine = np.linspace(s[i - 1], s[i + 1], 20_001)
    value = fine - act.f(fine[:, None] * u + b) @ v
    up = c[i] > c[i - 1]
    fold = value.max() if up else value.min()
    return np.asarray(b + (fold - distance if up else fold + distance) * u)
