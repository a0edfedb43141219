"""Conversion between lists of conditions and arrays over trials."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .base import Batch, Condition, Float, Trial
from .errors import ParameterError, check_choice, check_float, check_int


def check_fields(task: str, conditions: Iterable[Condition], known: Iterable[str]) -> None:
    """Refuse fields of conditions that the task does not have."""
    accepted = frozenset(known)
    for condition in conditions:
        if not condition.keys() <= accepted:
            field = next(f for f in condition if f not in accepted)
            raise ParameterError(
                field,
                condition[field],
                f"is not a field of {task}'s conditions",
                "see the task's docstring",
            )


# Values that all are of the plain type are checked at once; any others one by one, which accepts
# NumPy's numbers and finds the one that is wrong.


def check_floats(
    field: str, values: Sequence[Any], minimum: float = -np.inf, maximum: float = np.inf
) -> Float:
    """Return numbers as an array, checked as by `check_float`."""
    if set(map(type, values)) <= {float}:
        array = np.array(values, dtype=np.float64)
        if np.isfinite(array).all() and (array >= minimum).all() and (array <= maximum).all():
            return array
    return np.array([check_float(field, v, minimum, maximum) for v in values], dtype=np.float64)


def check_ints(field: str, values: Sequence[Any], minimum: int, maximum: int) -> NDArray[np.int64]:
    """Return whole numbers as an array, checked as by `check_int`."""
    plain = set(map(type, values)) <= {int} and minimum <= min(values, default=minimum)
    if not plain or max(values, default=maximum) > maximum:
        values = [check_int(field, v, minimum, maximum) for v in values]
    return np.array(values, dtype=np.int64)


def read_floats(
    conditions: Iterable[Condition],
    field: str,
    minimum: float = -np.inf,
    maximum: float = np.inf,
) -> Float:
    """Return a field of every condition (B,), checked as by `check_float`."""
    return check_floats(field, [c.get(field) for c in conditions], minimum, maximum)


def read_ints(
    conditions: Iterable[Condition], field: str, minimum: int, maximum: int
) -> NDArray[np.int64]:
    """Return a field of every condition (B,), checked as by `check_int`."""
    return check_ints(field, [c.get(field) for c in conditions], minimum, maximum)


def read_choices(
    conditions: Iterable[Condition], field: str, choices: Sequence[str]
) -> NDArray[np.int64]:
    """Return which of the choices a field of every condition is (B,)."""
    values = [c.get(field) for c in conditions]
    if not (set(map(type, values)) <= {str} and set(values) <= set(choices)):
        values = [check_choice(field, v, choices) for v in values]
    return np.array([choices.index(v) for v in values], dtype=np.int64)


def draw_missing(conditions: Iterable[Condition], **draws: Callable[[], int]) -> list[Condition]:
    """Return the conditions with the fields that they lack drawn, trial by trial."""

    def complete(condition: Condition) -> Condition:
        drawn = {f: draw() for f, draw in draws.items() if condition.get(f) is None}
        return {**condition, **drawn} if drawn else condition

    return [complete(c) for c in conditions]


def make_conditions(n_trials: int, **columns: Any) -> list[Condition]:
    """Return conditions from their fields: arrays or lists over trials, or one value for all."""
    lists = [
        v.tolist() if isinstance(v, np.ndarray) else v if isinstance(v, list) else [v] * n_trials
        for v in columns.values()
    ]
    return [dict(zip(columns, values, strict=True)) for values in zip(*lists, strict=True)]


def first_trial(batch: Batch) -> Trial:
    """Return the first trial of a batch."""
    inputs, targets, conditions = batch
    return inputs[:, :, 0], targets[:, :, 0], conditions[0]
