"""What is known of each trial, as coordinates of a dataset."""

from __future__ import annotations

import json
import re
from collections.abc import Container, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from tasks_lib import Task
from tasks_lib.base import plain

if TYPE_CHECKING:
    import xarray

Coordinates = dict[str, tuple[Any, ...]]
# A coordinate may not have the name of a dimension or of a variable.
TAKEN = (
    *("trial", "time", "unit", "input", "output"),
    *("states", "rates", "inputs", "outputs", "targets", "counts"),
    *("kind", "repeat", "choice", "correct_choice", "correct"),
)
CHOICES = ("correct_choice", "choice")
# Coordinates over trials that are no field of a condition.
NOT_CONDITIONS = ("trial", "repeat", "kind", "correct", *CHOICES)
CONTEXT, OF_STIMULI = "context", {"source": "signed_stimuli"}


def trial_coordinates(
    conditions: Sequence[Mapping[str, Any]], task: Task | None = None
) -> Coordinates:
    """Return every field of the conditions of B trials as a coordinate over trials.

    What no name in Python or netCDF holds is "_" in the coordinate's; a field with the name of a
    variable gets the prefix ``condition_``. Fields that are no single
    values (times of pulses, say) are given as JSON text. A field that a trial lacks is NaN among
    numbers and "" among texts. With a task, ``kind`` says in words what kind of trial each is,
    by `Task.condition_kind`, and where the task has several contexts (`Task.signed_stimuli`)
    ``context`` names that of each trial, unless a field of the conditions has this name.
    """
    fields = dict.fromkeys(name for condition in conditions for name in condition)
    coordinates: Coordinates = {}
    for field in fields:
        coordinates[_name(field, coordinates)] = (
            "trial",
            _values([plain(c.get(field)) for c in conditions]),
        )
    if task is not None:
        kinds = [kind_in_words(task.condition_kind(dict(c))) for c in conditions]
        coordinates["kind"] = ("trial", np.array(kinds, dtype=np.str_))
        contexts = _contexts(task, conditions)
        if CONTEXT not in coordinates and set(contexts) - {"", "all"}:
            coordinates[CONTEXT] = ("trial", np.array(contexts, dtype=np.str_), OF_STIMULI)
    return coordinates


def condition_fields(trials: xarray.Dataset) -> list[str]:
    """Return the fields by which a task tells kinds of trials apart; all where it does not say."""
    if "condition_fields" in trials.attrs:
        named = str(trials.attrs["condition_fields"]).split()
        return [name for name in named if name in trials.coords]
    return [
        str(name)
        for name in trials.coords
        if trials[name].dims == ("trial",)
        and name not in NOT_CONDITIONS
        and "source" not in trials[name].attrs  # a context: one of the fields says it too
    ]


def _contexts(task: Task, conditions: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return the context of each trial by its signed stimuli; "" where it has none."""
    if not task.has_signed_stimuli(task.params):
        return []
    said = [task.signed_stimuli(dict(condition)) for condition in conditions]
    return ["" if one is None else str(one[0]) for one in said]


def kind_in_words(kind: Mapping[str, Any]) -> str:
    """Return what kind of trial it is as text; "all" where a task has one kind of trials."""
    return ", ".join(f"{field} {in_words(value)}" for field, value in kind.items()) or "all"


def _name(field: str, taken: Container[str]) -> str:
    name = re.sub(r"\W", "_", field)
    if name in TAKEN or not name or name[0].isdigit():
        name = f"condition_{name}"
    while name in taken:
        name += "_"
    return name


def in_words(value: Any) -> str:
    """Return a value of a condition as labels have it: numbers to three digits."""
    return f"{value:.3g}" if isinstance(value, (float, np.floating)) else str(value)


def _values(values: list[Any]) -> NDArray[Any]:
    """Return an array that every format of files holds: of flags, numbers or text."""
    present = [v for v in values if v is not None]
    if all(isinstance(v, bool) for v in present) and len(present) == len(values):
        return np.array(values, dtype=np.bool_)
    if all(isinstance(v, (int, float)) for v in present):
        whole = all(isinstance(v, int) for v in values)
        numbers = [np.nan if v is None else v for v in values]
        return np.array(numbers, dtype=np.int64 if whole else np.float64)
    texts = ["" if v is None else v if isinstance(v, str) else json.dumps(v) for v in values]
    return np.array(texts, dtype=np.str_)
