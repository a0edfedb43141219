"""Which trials of a component a mixture takes: those whose condition has certain values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from .base import Condition, plain
from .errors import ParameterError, use_one_of

Selection = dict[str, list[Any]]
MOST_EMPTY = 1000  # batches one after the other without a trial, of a task that draws its kinds


def read_selection(field: str, given: Any, conditions: Sequence[Condition]) -> Selection:
    """Return field -> values of the trials that are wanted; empty: all are.

    Parameters
    ----------
    field : str
        Where it stands, for messages.
    given : mapping, or None
        Field of the conditions -> a value, or a list of values.
    conditions : sequence of dict
        Of one batch.

    Raises
    ------
    ParameterError
        For a field that the conditions do not have, or values that no trial of the batch has.
    """
    if given is None:
        return {}
    if not isinstance(given, Mapping) or not given:
        remedy = 'write field: value, as {"context": "motion"}'
        raise ParameterError(field, given, "is no selection of trials", remedy)
    known = [name for name in conditions[0] if all(name in one for one in conditions)]
    found: Selection = {}
    for name, value in plain(given).items():
        place = f"{field}.{name}"
        if name not in known:
            problem = "is not a field of this task's conditions"
            raise ParameterError(place, value, problem, use_one_of(str(name), known))
        values = value if isinstance(value, list) else [value]
        there = list(dict.fromkeys(_shown(one[name]) for one in conditions))
        for one in values or [None]:
            if not any(_same(one, condition[name]) for condition in conditions):
                some = ", ".join(there[:8]) + (", ..." if len(there) > 8 else "")
                problem = "is of no trial of this task's batch"
                raise ParameterError(place, one, problem, f"use {some}")
        found[name] = values
    if not selected(conditions, found):
        problem, remedy = "is of no trial of this task's batch", "ask for fewer fields at once"
        raise ParameterError(field, found, problem, remedy)
    return found


def selected(conditions: Sequence[Condition], selection: Selection) -> list[Condition]:
    """Return the conditions that have the values that are wanted."""
    return [
        condition
        for condition in conditions
        if all(
            any(_same(value, condition.get(name)) for value in values)
            for name, values in selection.items()
        )
    ]


def _same(wanted: Any, value: Any) -> bool:
    """Return whether two values are equal; true is no 1."""
    is_bool = isinstance(wanted, bool), isinstance(value, bool)
    return bool(is_bool[0] == is_bool[1] and wanted == value)


def _shown(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)
