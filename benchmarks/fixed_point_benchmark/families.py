"""Families of networks whose fixed points are known (`known_sets`), from a generator each."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import product
from typing import Any

import numpy as np

from models.formulas.activations import get_activation

from .cascades import cascades, populations
from .cases import ACTIVATIONS, Known, network, states
from .known_sets import (
    at_fold,
    crossings,
    distinct,
    extent,
    joined,
    low_rank,
    newton,
    rank_one,
    rectified,
    small_box,
)
from .planted import planted
from .unbounded import unbounded


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
            if not np.isnan(z).any() and extent(m, v, d, get_activation(f)) is not None:
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
    """Return the fixed points that ``z`` (P, N) move to, None where one is lost."""
    act, eye = get_activation(f), np.eye(len(d))
    ends = newton(lambda x: act.f(x) @ W.T + d - x,
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
    "unbounded": unbounded,
    "cascade": cascades,
    "populations": populations,
    "planted": planted,
}
