"""Whether networks with the same value of a parameter are closer than chance."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tasks_lib.brief import brief

Float = NDArray[np.float64]
Int = NDArray[np.int64]
COMPARED, ONE_VALUE, ALL_DIFFERENT = "compared", "one_value", "all_different"
MOST_VALUES, N_GROUPS = 20, 4  # of a number with more values groups of about equal size are made


@brief
@dataclass(frozen=True, eq=False)
class RelatedParameter:
    """How distances, classes and neighbours of networks go with a parameter.

    Attributes
    ----------
    name : str
    status : str
        ``compared``; ``one_value``: all networks have the same; ``all_different``: no two have.
    n_groups : int
        Values, or groups of them.
    explained : float or None
        Share of the squared distances that is between groups: R^2 of PERMANOVA (Anderson 2001).
    explained_chance, explained_p : float or None
        Mean over permutations of the networks, and the share (1 + k) / (1 + n) of permutations
        with no smaller value.
    same_neighbour : float or None
        Share of networks whose nearest neighbour has the same value.
    same_neighbour_chance, same_neighbour_p : float or None
    class_agreement : float or None
        Adjusted Rand index of classes and values (Hubert & Arabie 1985): 1: the same, 0: chance.
    class_agreement_p : float or None
    """

    name: str
    status: str
    n_groups: int
    explained: float | None = None
    explained_chance: float | None = None
    explained_p: float | None = None
    same_neighbour: float | None = None
    same_neighbour_chance: float | None = None
    same_neighbour_p: float | None = None
    class_agreement: float | None = None
    class_agreement_p: float | None = None

    @property
    def beyond_chance(self) -> float:
        """What is explained beyond permuted networks: many values explain much by chance."""
        return (self.explained or 0.0) - (self.explained_chance or 0.0)


def related_parameters(
    distances: Float,
    parameters: Mapping[str, Sequence[Any]],
    labels: Int,
    neighbours: Int,
    n_shuffles: int,
    rng: np.random.Generator,
) -> tuple[RelatedParameter, ...]:
    """Return how distances go with each parameter.

    Parameters
    ----------
    distances : array (M, M)
    parameters : dict
        Name -> value of each network.
    labels, neighbours : array (M,) of int
    n_shuffles : int
        Permutations of the networks.
    rng : Generator
    """
    return tuple(
        _related(name, _groups(values), distances, labels, neighbours, n_shuffles, rng)
        for name, values in parameters.items()
    )


def _groups(values: Sequence[Any]) -> Int:
    """Return the group of each value (M,); of numbers with many values quantiles."""
    numbers = all(isinstance(v, int | float) and not isinstance(v, bool) for v in values)
    distinct = {v if numbers else repr(v) for v in values}
    if numbers and len(distinct) > MOST_VALUES:
        array = np.asarray(values, dtype=np.float64)
        edges = np.quantile(array, np.arange(1, N_GROUPS) / N_GROUPS)
        quarter = np.searchsorted(edges, array, side="right")
        return np.asarray(np.unique(quarter, return_inverse=True)[1], dtype=np.int64)
    keys = np.array([v if numbers else repr(v) for v in values])
    return np.asarray(np.unique(keys, return_inverse=True)[1], dtype=np.int64)


def _related(
    name: str, groups: Int, distances: Float, labels: Int, neighbours: Int, n_shuffles: int,
    rng: np.random.Generator,
) -> RelatedParameter:  # fmt: skip
    n_groups = int(groups.max()) + 1
    if n_groups == 1 or n_groups == len(groups):
        return RelatedParameter(name, ONE_VALUE if n_groups == 1 else ALL_DIFFERENT, n_groups)
    truth = _measures(groups, distances, labels, neighbours)
    chance = np.array(
        [_measures(rng.permutation(groups), distances, labels, neighbours)
         for _ in range(n_shuffles)]
    ).reshape(n_shuffles, 3)  # fmt: skip
    if not n_shuffles:
        return RelatedParameter(
            name, COMPARED, n_groups, truth[0], None, None, truth[1], None, None, truth[2], None
        )
    # What rounding makes of equal values is no difference.
    at_least = (chance >= np.array(truth) - 1e-12).sum(axis=0)
    p = [float((1 + k) / (1 + n_shuffles)) for k in at_least]
    mean = chance.mean(axis=0)
    return RelatedParameter(
        name, COMPARED, n_groups, truth[0], float(mean[0]), p[0], truth[1], float(mean[1]), p[1],
        truth[2], p[2],
    )  # fmt: skip


def _measures(
    groups: Int, distances: Float, labels: Int, neighbours: Int
) -> tuple[float, float, float]:
    from sklearn.metrics import adjusted_rand_score

    members = (groups == np.arange(groups.max() + 1)[:, None]).astype(np.float64)
    squares = distances**2
    within = np.einsum("gi,ij,gj->g", members, squares, members, optimize=True)
    total = squares.sum() / len(groups)
    explained = 1.0 - float((within / members.sum(axis=1)).sum()) / float(total)
    same = float((groups[neighbours] == groups).mean())
    return explained, same, float(adjusted_rand_score(labels, groups))
