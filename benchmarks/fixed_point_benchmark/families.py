"""Families of networks whose fixed points are known, by code that shares nothing with the search.

Both forms of the equation have the same fixed points in the arguments of f: z = W f(z) + d with
d = W_inp u + b. In form h the state is z, in form s it is f(z). A network of rank r has z = U k + d
with k = V f(U k + d) in r dimensions, which are scanned.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np

from models import RNNNumpy
from models.formulas.activations import get_activation

ACTIVATIONS: tuple[dict[str, Any], ...] = (
    {"name": "tanh"},
    {"name": "sigmoid", "slope": 4.0},
    {"name": "softplus"},
    {"name": "gelu"},
    {"name": "relu"},
    {"name": "leaky_relu", "leak_slope": 0.1},
)


@dataclass(frozen=True)
class Known:
    """A network and all of its fixed points.

    Attributes
    ----------
    family : str
    rnn : RNNNumpy
        With one input, at 0.
    points : array (P, N)
    trials : array (N, M) or None
        States that the search is given to start from, as those of a task's trials.
    """

    family: str
    rnn: RNNNumpy
    points: np.ndarray
    trials: np.ndarray | None = None


def network(W: np.ndarray, d: np.ndarray, f: Any, form: str) -> RNNNumpy:
    """Return a network of weights W (N, N) and biases d (N,)."""
    n = len(d)
    return RNNNumpy(
        W_rec=W, W_inp=np.zeros((n, 1)), W_out=np.ones((1, n)) / n, b_rec=d, activation=f,
        equation_type=form,
    )  # fmt: skip


def states(z: np.ndarray, f: Any, form: str) -> np.ndarray:
    """Return the states of arguments ``z`` (P, N)."""
    return z if form == "h" else get_activation(f).f(z)


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

    top = _extent(u, v, d, act)
    if top is None:
        return np.full((0, len(d)), np.nan)
    inner = np.linspace(-top, top, n_grid)
    small = top * np.geomspace(1e-8, 1.0, 4001)
    return crossings(g, np.unique(np.concatenate([inner, small, -small])))[:, None] * u + d


def _extent(u: np.ndarray, v: np.ndarray, d: np.ndarray, act: Any) -> float | None:
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
        ends = _newton(lambda c: act.f(c @ U.T + d) @ V.T - c,
                       lambda c: (V * act.df(c @ U.T + d)[:, None, :]) @ U - np.eye(rank),
                       part, float(box.max()))  # fmt: skip
        found = distinct(np.vstack([found, ends]), 1e-7)
    return found @ U.T + d


def _newton(F: Any, J: Any, x: np.ndarray, most: float, n_steps: int = 60) -> np.ndarray:
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
    ends = _newton(lambda z: act.f(z) @ W.T + d - z,
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
    """Return W, d and all arguments of independent blocks (W, d, z), with the units in ``order``."""
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


def _shifted_sigmoid(rng: np.random.Generator, n: int = 50) -> tuple[Any, ...]:
    m, z, bias = rng.standard_normal((3, n))
    return m, (8 * m + 3 * z) / n, 0.3 * bias, {"name": "sigmoid", "slope": 3.0, "shift": 0.2}


def _switch(rng: np.random.Generator, n: int) -> tuple[Any, ...]:
    w = rng.uniform(5.5, 9.0)
    low = -w * rng.uniform(0.42, 0.58)
    return np.ones(n) * w, np.ones(n) / n, low + 0.3 * rng.standard_normal(n), {"name": "sigmoid"}


def bistable(rng: np.random.Generator) -> Iterator[Known]:
    """Yield networks of rank one with a shifted sigmoid, N 50, form h."""
    while True:
        u, v, d, f = _shifted_sigmoid(rng)
        z = rank_one(u, v, d, f, 4001)
        yield Known("bistable", network(np.outer(u, v), d, f, "h"), z)


def switches(rng: np.random.Generator) -> Iterator[Known]:
    """Yield population switches W = w 1 1' / N of both forms."""
    while True:
        u, v, d, f = _switch(rng, int(rng.integers(20, 80)))
        z, form = rank_one(u, v, d, f, 4001), str(rng.choice(["s", "h"]))
        yield Known("switch", network(np.outer(u, v), d, f, form), states(z, f, form))


def ranks_one(rng: np.random.Generator) -> Iterator[Known]:
    """Yield networks of rank one of every activation and both forms."""
    while True:
        for f, form in product(ACTIVATIONS, "sh"):
            n = int(rng.integers(5, 60))
            m, w, b = rng.standard_normal((3, n))
            v = (rng.uniform(-3, 8) * m + rng.uniform(0, 4) * w) / n
            d = rng.uniform(0, 1.5) * b
            z = rank_one(m, v, d, f, 8001)
            if not np.isnan(z).any() and _extent(m, v, d, get_activation(f)) is not None:
                yield Known("rank 1", network(np.outer(m, v), d, f, form), states(z, f, form))


def ranks_two(rng: np.random.Generator) -> Iterator[Known]:
    """Yield networks of rank two with tanh and sigmoid, both forms."""
    while True:
        for f, form in product(ACTIVATIONS[:2], "sh"):
            n = int(rng.integers(10, 60))
            U = rng.standard_normal((n, 2))
            V = (rng.uniform(-2, 6, (2, 2)) @ U.T + 2 * rng.standard_normal((2, n))) / n
            d = rng.uniform(0, 1) * rng.standard_normal(n)
            z = low_rank(U, V, d, f, rng)
            yield Known("rank 2", network(U @ V, d, f, form), states(z, f, form))


def few_units(rng: np.random.Generator) -> Iterator[Known]:
    """Yield networks of two and three units with tanh and sigmoid, both forms."""
    while True:
        for f, form, n in product(ACTIVATIONS[:2], "sh", (2, 3)):
            W = rng.uniform(1, 4) * rng.standard_normal((n, n))
            W += rng.uniform(0, 4) * np.eye(n)
            gain = 1.0 if f["name"] == "tanh" else 2.0
            d = 0.5 * rng.standard_normal(n) - (0.5 * W.sum(axis=1) if gain > 1 else 0.0)
            z = small_box(W, d, f)
            yield Known("2 and 3 units", network(W, d, f, form), states(z, f, form))


def hopfield(rng: np.random.Generator) -> Iterator[Known]:
    """Yield networks that hold two to four patterns, tanh."""
    while True:
        n, p = int(rng.integers(30, 70)), int(rng.integers(2, 5))
        patterns = rng.choice([-1.0, 1.0], (p, n))
        U, V = patterns.T.copy(), rng.uniform(1.4, 2.6) * patterns / n
        d = rng.uniform(0, 0.1) * rng.standard_normal(n)
        z = low_rank(U, V, d, "tanh", rng, 6000 * p, 3.0)
        form = str(rng.choice(["s", "h"]))
        yield Known("Hopfield", network(U @ V, d, "tanh", form), states(z, "tanh", form))


def _block(rng: np.random.Generator, f: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    n = int(rng.integers(1, 4))
    W = rng.standard_normal((n, n)) + rng.uniform(1.5, 3.0) * np.eye(n)
    d = 0.3 * rng.standard_normal(n)
    return W, d, small_box(W, d, f)


def products_of_blocks(rng: np.random.Generator) -> Iterator[Known]:
    """Yield two to four independent blocks of one to three units, units in any order."""
    while True:
        blocks = [_block(rng, "tanh") for _ in range(int(rng.integers(2, 5)))]
        W, d, z = joined(blocks, rng.permutation(sum(len(b[1]) for b in blocks)))
        form = str(rng.choice(["s", "h"]))
        if len(z) <= 300:
            yield Known("blocks", network(W, d, "tanh", form), states(z, "tanh", form))


def beside_switch(rng: np.random.Generator, coupling: float = 0.0) -> Iterator[Known]:
    """Yield a memory of two or three bits beside a switch that its trials leave off.

    With a coupling the whole is one network of full rank; its points are followed from those
    without, and there may be more.
    """
    f = {"name": "sigmoid"}
    while True:
        bits, n = int(rng.integers(2, 4)), int(rng.integers(30, 50))
        U = np.linalg.qr(rng.standard_normal((n, bits)))[0] * np.sqrt(n)
        V = rng.uniform(6.0, 8.0, (bits, 1)) * U.T / n
        d = -0.5 * (U @ V).sum(axis=1) + 0.02 * rng.standard_normal(n)
        memory = low_rank(U, V, d, f, rng, 2000, 8.0)
        u, v, b, _ = _switch(rng, int(rng.integers(10, 30)))
        blocks = [(U @ V, d, memory), (np.outer(u, v), b, rank_one(u, v, b, f, 4001))]
        W, d, z = joined(blocks, rng.permutation(n + len(b)))
        form = str(rng.choice(["s", "h"]))
        name = "beside a switch"
        if coupling:
            name = "coupled switch"
            W = W + coupling * rng.standard_normal(W.shape) / np.sqrt(len(W))
            followed = _followed(W, d, z, f)
            if followed is None:
                continue
            z = followed
        # trials go between the memory's states; the switch is off
        rates = get_activation(f).f(z).mean(axis=1)
        off = z[rates <= np.median(rates)]
        weights = rng.dirichlet(np.full(len(off), 0.3), 256)
        trials = states(weights @ off + 0.05 * rng.standard_normal((256, len(d))), f, form).T
        yield Known(name, network(W, d, f, form), states(z, f, form), trials)


def _followed(W: np.ndarray, d: np.ndarray, z: np.ndarray, f: Any) -> np.ndarray | None:
    """Return the fixed points that ``z`` (P, N) move to, None where two become one or one is lost."""
    act, eye = get_activation(f), np.eye(len(d))
    ends = _newton(lambda x: act.f(x) @ W.T + d - x,
                   lambda x: W * act.df(x)[:, None, :] - eye, z, 20.0, 20)  # fmt: skip
    kept = len(ends) == len(z) and len(distinct(ends, 1e-3)) == len(z)
    return ends if kept else None


def with_random_part(rng: np.random.Generator) -> Iterator[Known]:
    """Yield bistable networks and switches with random weights so small that f contracts them.

    At each k, z = u k + d + R f(z) has one solution then, and k is scanned as in rank one.
    """
    while True:
        if rng.random() < 0.5:
            (u, v, d, f), most = _shifted_sigmoid(rng), 0.6
        else:
            (u, v, d, f), most = _switch(rng, int(rng.integers(20, 60))), 1.8
        n, act = len(d), get_activation(f)
        R = rng.uniform(0.2, 1.0) * most * rng.standard_normal((n, n)) / np.sqrt(n)

        def arguments(k: np.ndarray, u: Any = u, d: Any = d, R: Any = R, act: Any = act) -> Any:
            z = fixed = k[:, None] * u + d
            for _ in range(40):
                z = fixed + act.f(z) @ R.T
            return z

        def g(k: np.ndarray, v: Any = v, act: Any = act, arguments: Any = arguments) -> Any:
            parts = np.array_split(k, len(k) // 4000 + 1)
            return np.concatenate([act.f(arguments(p)) @ v for p in parts]) - k

        top = float(np.abs(v).sum()) * 1.01
        k = crossings(g, np.linspace(-top, top, 1501))
        z, form = arguments(k), str(rng.choice(["s", "h"]))
        yield Known("random part", network(np.outer(u, v) + R, d, f, form), states(z, f, form))


def staircases(rng: np.random.Generator) -> Iterator[Known]:
    """Yield networks of rank one whose units switch one after the other: many folds."""
    f = {"name": "tanh", "slope": 1.0}
    while True:
        steps = int(rng.integers(3, 20))
        n = 2 * steps
        gain = rng.uniform(4.0, 12.0)
        u = gain * np.ones(n)
        at = np.linspace(-1, 1, steps) * steps + rng.uniform(-0.1, 0.1, steps)
        d = -gain * np.repeat(at, 2)
        v = np.repeat(np.full(steps, 0.25 * np.mean(np.diff(at))), 2)
        z, form = rank_one(u, v, d, f), str(rng.choice(["s", "h"]))
        yield Known("staircase", network(np.outer(u, v), d, f, form), states(z, f, form))


def near_folds(rng: np.random.Generator) -> Iterator[Known]:
    """Yield networks of rank one with a pair of points 10^-1 to 10^-6 (of drive) from its fold."""
    while True:
        distance = 10.0 ** rng.uniform(-6, -1)
        u, v, b, f = _shifted_sigmoid(rng) if rng.random() < 0.5 else _switch(rng, 30)
        d = at_fold(u, v, b, f, distance, rng)
        if d is not None:
            z, form = rank_one(u, v, d, f, 8001), str(rng.choice(["s", "h"]))
            yield Known("near a fold", network(np.outer(u, v), d, f, form), states(z, f, form))


def rectified_networks(rng: np.random.Generator) -> Iterator[Known]:
    """Yield rectified and leaky networks of 3 to 14 units."""
    while True:
        f = ACTIVATIONS[4 + int(rng.integers(2))]
        n, form = int(rng.choice([3, 6, 9, 11, 13, 14])), str(rng.choice(["s", "h"]))
        W = rng.uniform(0.8, 4.0) * rng.standard_normal((n, n)) / np.sqrt(n)
        d = rng.standard_normal(n)
        z = rectified(W, d, f)
        yield Known(f"rectified, {'over' if n > 12 else 'up to'} 12 units",
                    network(W, d, f, form), states(z, f, form))  # fmt: skip


FAMILIES: dict[str, Callable[[np.random.Generator], Iterator[Known]]] = {
    "bistable": bistable,
    "switch": switches,
    "rank 1": ranks_one,
    "rank 2": ranks_two,
    "2 and 3 units": few_units,
    "Hopfield": hopfield,
    "blocks": products_of_blocks,
    "beside a switch": beside_switch,
    "coupled switch": lambda rng: beside_switch(rng, 0.15),
    "random part": with_random_part,
    "staircase": staircases,
    "near a fold": near_folds,
    "rectified": rectified_networks,
}
