"""One published result beside ours: of networks, or of pairs of networks."""

from __future__ import annotations

import traceback
from collections.abc import Callable
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from datajoint.errors import DataJointError

from tasks_lib.errors import ParameterError, kind_and_text

from ..tables.rows import Row
from .study import LEAST_NETWORKS, Expected
from .verdicts import Float, Summary, judge, range_in_words, summarise, summarise_pairs

Seeds: TypeAlias = int | str  # the seed of a network, or those of a pair


@dataclass(frozen=True)
class Outcome:
    """A published result beside ours.

    Attributes
    ----------
    expected : Expected
    ours : Summary
    verdict : str
    is_clear : bool
        Whether the whole interval is on the same side.
    values : dict of str to dict of int or str to float
        By cohort and seed; of pairs by both seeds, "0-1".
    n_left_out : int
        Networks, or pairs, without a value: the measure is not defined for them.
    """

    expected: Expected
    ours: Summary
    verdict: str
    is_clear: bool
    values: dict[str, dict[Seeds, float]]
    n_left_out: int

    @property
    def wanted(self) -> str:
        """What counts as reproduced, in words."""
        return range_in_words(self.expected.within)

    def ours_in_words(self) -> str:
        """Return our number with its interval: "8 [8, 8]"."""
        ours = self.ours
        if ours.value is None:
            return "-"
        if ours.low is None or ours.high is None:
            return f"{ours.value:.3g}"
        return f"{ours.value:.3g} [{ours.low:.3g}, {ours.high:.3g}]"


def network_outcome(
    measure: Callable[..., Any],
    expected: Expected,
    keys: dict[str, list[Row]],
    faults: list[str],
) -> Outcome:
    """Return a result of which each network has a number."""
    values: dict[str, dict[Seeds, float]] = {}
    n_left_out = 0
    for label, networks in keys.items():
        found = {key["seed"]: _measured(measure, expected, key, faults) for key in networks}
        values[label] = {seed: v for seed, v in found.items() if v is not None}
        n_left_out += len(found) - len(values[label])
    own, others = _own_and_others(expected, {k: list(v.values()) for k, v in values.items()})
    ours = summarise(own, expected.statistic, others, expected.comparison)
    return _outcome(expected, ours, values, n_left_out)


def _measured(
    measure: Callable[..., Any], expected: Expected, key: Row, faults: list[str]
) -> float | None:
    try:
        value = measure(key, **expected.arguments)
        return None if value is None or not np.isfinite(float(value)) else float(value)
    except Exception as error:  # as where a job failed, whose row is missing; or of the measure
        faults.append(f"{expected.name}, seed {key['seed']}: {fault_of(error)}")
        return None


def fault_of(error: Exception) -> str:
    """Return what went wrong in a measure, with the line of its code where that is the cause."""
    said = kind_and_text(error)
    if isinstance(error, DataJointError | ParameterError):
        return said
    last = traceback.extract_tb(error.__traceback__)[-1]
    return f"{said} ({Path(last.filename).name}, line {last.lineno})"


def pair_outcome(
    measure: Callable[..., Any],
    expected: Expected,
    keys: dict[str, list[Row]],
    faults: list[str],
) -> Outcome:
    """Return a result of which each pair of networks has a number."""
    matrices, n_left_out = {}, 0
    values: dict[str, dict[Seeds, float]] = {}
    for label, networks in keys.items():
        matrix: Float = np.full((len(networks), len(networks)), np.nan)
        try:
            if len(networks) > 1:
                matrix = _checked_matrix(measure(networks, **expected.arguments), len(networks))
        except Exception as error:
            faults.append(f"{expected.name}, {label}: {fault_of(error)}")
        seeds = [key["seed"] for key in networks]
        pairs = list(combinations(range(len(seeds)), 2))
        values[label] = {
            f"{seeds[i]}-{seeds[j]}": float(matrix[i, j])
            for i, j in pairs
            if np.isfinite(matrix[i, j])
        }
        matrices[label], n_left_out = matrix, n_left_out + len(pairs) - len(values[label])
    own, others = _own_and_others(expected, matrices)
    ours = summarise_pairs(own, others, expected.comparison)
    return _outcome(expected, ours, values, n_left_out)


def _checked_matrix(given: Any, n: int) -> Float:
    matrix = np.asarray(given, dtype=np.float64)
    if matrix.shape != (n, n) or not np.array_equal(matrix, matrix.T, equal_nan=True):
        problem = f"is no symmetric matrix of {n} networks"
        raise ParameterError("measure", matrix.shape, problem, "return one row for each key")
    return matrix


def _own_and_others(expected: Expected, found: dict[str, Any]) -> tuple[Any, Any]:
    others = None if expected.versus is None else found[expected.versus]
    return found[expected.cohort], others


def _outcome(
    expected: Expected, ours: Summary, values: dict[str, dict[Seeds, float]], n_left_out: int
) -> Outcome:
    verdict, is_clear = judge(ours, expected.within, LEAST_NETWORKS)
    return Outcome(expected, ours, verdict, is_clear, values, n_left_out)
