"""Networks with all of their fixed points, as the families make them."""

from __future__ import annotations

from dataclasses import dataclass
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
