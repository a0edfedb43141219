"""The distance of recurrent weights whose units may stand in any order."""

from __future__ import annotations

import hashlib
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

Float = NDArray[np.float64]


def permuted_distance(first: Float, second: Float) -> float:
    """Return min_P |W - P W' P^T| (Frobenius) over permutations P of the units.

    Huang et al. 2025 call it the permutation-invariant Frobenius distance. The minimum is a
    quadratic assignment problem, of which there is no exact solution at this size: the permutation
    is that of FAQ (Vogelstein et al. 2015), or the units as they are where that is nearer. So it is
    an upper bound.

    Parameters
    ----------
    first, second : array (N, N)
    """
    sides = [np.ascontiguousarray(weights, dtype=np.float64) for weights in (first, second)]
    return _known_distance(*(_Weights(side) for side in sides))


class _Weights:
    """Weights that are equal where their numbers are, as keys of what has been computed."""

    def __init__(self, values: Float) -> None:
        self.values = values
        self.digest = hashlib.sha256(values.tobytes()).digest()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Weights) and self.digest == other.digest

    def __hash__(self) -> int:
        return hash(self.digest)


@lru_cache(maxsize=10_000)  # several results and the figure ask for the same pairs
def _known_distance(first: _Weights, second: _Weights) -> float:
    from scipy.optimize import quadratic_assignment

    one, other = first.values, second.values
    # It draws nothing from the generator, and warns where it has none of its own.
    options = {"maximize": True, "rng": np.random.default_rng(0)}
    found = quadratic_assignment(one, other, method="faq", options=options).col_ind
    return float(
        min(np.linalg.norm(one - other[np.ix_(found, found)]), np.linalg.norm(one - other))
    )
