"""Networks of full rank that are given some fixed points, whatever other points they have."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from models.formulas.activations import get_activation

from .cases import Known, network, states

# Activations, and the gain of random weights for each, such that f makes of them about as much.
FUNCTIONS: tuple[tuple[dict[str, Any], float], ...] = (
    ({"name": "tanh"}, 1.0),
    ({"name": "sigmoid"}, 4.0),
    ({"name": "sigmoid", "slope": 3.0, "shift": 0.2}, 1.3),
)


def planted(rng: np.random.Generator) -> Iterator[Known]:
    """Yield networks of 12 to 60 units of tanh and sigmoid with two to six chosen fixed points.

    A fixed point with arguments z of f has z = W f(z) + d. For chosen Z (N, P) the weights
    (Z - d) f(Z)^+ say so, and R (1 - f(Z) f(Z)^+) may be added for any R: random weights that are
    0 at these rates. In a third of the networks two of the points are near each other, which makes
    a pair near a fold. There are up to some dozens of other points, which are not known.
    """
    while True:
        n, chosen = int(rng.choice([12, 20, 30, 40, 60])), int(rng.integers(2, 7))
        f, scale = FUNCTIONS[rng.integers(len(FUNCTIONS))]
        form = str(rng.choice(["h", "s"]))
        z = rng.standard_normal((n, chosen)) * rng.choice([0.5, 1.0, 2.0])
        if rng.random() < 1 / 3:
            z[:, 1] = z[:, 0] + rng.standard_normal(n) * rng.choice([0.3, 0.1, 0.03])
        d = 0.3 * rng.standard_normal(n)
        rates = get_activation(f).f(z)
        inverse = np.linalg.pinv(rates)
        gain = scale * rng.choice([0.0, 0.3, 0.6, 0.9, 1.3]) / np.sqrt(n)
        R = gain * rng.standard_normal((n, n))
        W = (z - d[:, None]) @ inverse + R @ (np.eye(n) - rates @ inverse)
        if np.abs(W @ rates + d[:, None] - z).max() < 1e-10:
            yield Known("planted", network(W, d, f, form), states(z.T, f, form))
