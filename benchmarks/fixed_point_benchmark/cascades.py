"""Units, and populations of units, that switch where the earlier ones let them: hidden pairs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from models.formulas.activations import get_activation

from .cases import Known, network, states

SIGMOID = {"name": "sigmoid", "slope": 3.0, "shift": 0.2}
MOST = 120  # points of a network
FAR = 40.0  # no argument is farther
STEPS = 10  # in which random weights are brought in


def cascades(rng: np.random.Generator) -> Iterator[Known]:
    """Yield 4 to 9 units that drive themselves and the later ones, tanh and sigmoid.

    A unit has one point or three at each point of those before it, and many have three at few of
    them only. Units come in any order.
    """
    while True:
        f = SIGMOID if rng.random() < 0.5 else "tanh"
        W, d, z = _cascade(rng, int(rng.integers(4, 10)), f)
        if len(z) > MOST:
            continue
        order, form = rng.permutation(len(d)), str(rng.choice(["s", "h"]))
        rnn = network(W[np.ix_(order, order)], d[order], f, form)
        yield Known("cascade", rnn, states(z[:, order], f, form))


def populations(rng: np.random.Generator) -> Iterator[Known]:
    """Yield cascades of populations of 4 to 8 units each, with weak random weights between all.

    They have full rank and 26 to 60 units. The points are those of the cascade, followed while the
    random weights are brought in; there may be more.
    """
    act = get_activation(SIGMOID)
    while True:
        B, d, z = _cascade(rng, int(rng.integers(4, 10)), SIGMOID)
        sizes = rng.integers(4, 9, len(d))
        n = int(sizes.sum())
        if len(z) > MOST or n < 26:
            continue
        of = np.repeat(np.arange(len(d)), sizes)
        W = B[np.ix_(of, of)] / sizes[of]
        R = 0.1 * rng.standard_normal((n, n)) / np.sqrt(n)
        followed = _followed(W, R, d[of], z[:, of], act)
        form = str(rng.choice(["s", "h"]))
        if followed is not None:
            points = states(followed, SIGMOID, form)
            yield Known("populations", network(W + R, d[of], SIGMOID, form), points)


def _cascade(rng: np.random.Generator, n: int, f: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return W, d and all arguments z (P, N), solved one unit after the other."""
    act = get_activation(f)
    gain = 2.0 if act.name == "sigmoid" else 1.0
    own = gain * rng.uniform(0.3, 3.0, n)
    W = rng.standard_normal((n, n)) * rng.uniform(0.2, 2.0) * (rng.random((n, n)) < 0.6)
    W = np.tril(W, -1)
    d = 0.5 * rng.standard_normal(n)
    if gain > 1.0:
        d += 0.2 - 0.5 * (own + W.sum(axis=1))
    z = np.empty((1, 0))
    for i in range(n):
        drives = d[i] + act.f(z) @ W[i, :i]
        longer = [
            np.append(before, root)
            for before, c in zip(z, drives, strict=True)
            for root in _of_one_unit(float(own[i]), float(c), act)
        ]
        z = np.array(longer)
        if len(z) > MOST:
            break
    W[np.diag_indices(n)] = own
    return W, d, z


def _of_one_unit(w: float, c: float, act: Any) -> np.ndarray:
    """Return the roots of g(z) = z - w f(z) - c by bisection where it rises and where it falls."""
    slope = act.args["slope"]
    turns: list[float] = []
    if act.name == "tanh" and w * slope > 1:
        turns = [-np.arccosh(np.sqrt(w * slope)) / slope, np.arccosh(np.sqrt(w * slope)) / slope]
    elif act.name == "sigmoid" and w * slope > 4:
        p = 0.5 + 0.5 * np.sqrt(1 - 4 / (w * slope)) * np.array([-1.0, 1.0])
        turns = (act.args["shift"] + np.log(p / (1 - p)) / slope).tolist()
    edges = np.array([-FAR, *turns, FAR])

    def g(z: np.ndarray) -> np.ndarray:
        return z - w * act.f(z) - c

    at = np.flatnonzero(np.sign(g(edges[:-1])) * np.sign(g(edges[1:])) < 0)
    low, high, sign = edges[at], edges[at + 1], np.sign(g(edges[at]))
    for _ in range(80):
        middle = 0.5 * (low + high)
        same = np.sign(g(middle)) == sign
        low, high = np.where(same, middle, low), np.where(same, high, middle)
    return np.asarray(0.5 * (low + high))


def _followed(
    W: np.ndarray, R: np.ndarray, d: np.ndarray, z: np.ndarray, act: Any
) -> np.ndarray | None:
    """Return the points that ``z`` (P, N) move to as R comes in, None where one or two are lost."""
    eye = np.eye(len(d))
    for share in np.linspace(0.0, 1.0, STEPS + 1)[1:]:
        weights = W + share * R
        for _ in range(8):
            J = weights * act.df(z)[:, None, :] - eye
            F = act.f(z) @ weights.T + d - z
            steps = np.linalg.solve(J, -F[:, :, None])[:, :, 0]
            if not np.linalg.norm(steps, axis=1).max() < 1.0:
                return None
            z = z + steps
    apart = np.linalg.norm(z[:, None] - z, axis=2) + 9 * np.eye(len(z))
    return z if apart.min() > 1e-3 and np.abs(F).max() < 1e-10 else None
