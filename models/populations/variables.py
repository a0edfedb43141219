"""What trials differ in: the variables that units may code."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from tasks_lib.brief import brief

from ..activity.coordinates import CHOICES, condition_fields, in_words

if TYPE_CHECKING:
    import xarray

MOST_GROUPS = 20  # values that are told apart as they are
N_BINS = 8  # of numbers with more values
USABLE, ONE_VALUE, TOO_MANY = "usable", "one_value", "too_many_values"
LONGEST_NAME = 64


@brief
@dataclass(frozen=True, eq=False)
class ConditionVariable:
    """A variable of the trials, and the groups of trials that it makes.

    Attributes
    ----------
    name : str
        A field of the conditions, ``choice``, ``correct_choice``, or ``target`` and an output.
    values : array (B,)
        What each trial has.
    groups : array (B,) of int
        Group of each trial, in the order of the values; -1: the trial has no value. A number with
        more than 20 values is divided into 8 groups of about equal size.
    labels : tuple of str
        What the groups are.
    status : str
        ``usable``; ``one_value``: all trials have the same; ``too_many_values``: of a text.
    """

    name: str
    values: NDArray[Any]
    groups: NDArray[np.int64]
    labels: tuple[str, ...]
    status: str

    @property
    def is_number(self) -> bool:
        """Whether its values are numbers."""
        return self.values.dtype.kind in "iuf"

    @property
    def n_groups(self) -> int:
        """Number of groups."""
        return len(self.labels)


def condition_variables(trials: xarray.Dataset) -> list[ConditionVariable]:
    """Return the variables of trials: what may be coded.

    The fields by which the task's scores are grouped (`Task.condition_fields`), or else all fields
    of its conditions; the right choice and the one that was made; and of a task that has none of
    these, the target of each output at the last step where something is asked.

    Parameters
    ----------
    trials : Dataset
        Of `models.get_trials`.
    """
    fields = condition_fields(trials)
    fields += [name for name in CHOICES if name in trials.coords]
    if not fields and "targets" in trials:
        return _last_targets(trials)
    return [variable(name, trials[name].values) for name in fields]


def variable(name: str, values: NDArray[Any]) -> ConditionVariable:
    """Return a variable of its name and its values (B,)."""
    there = np.isfinite(values) if values.dtype.kind == "f" else np.ones(len(values), np.bool_)
    if values.dtype.kind in "US":
        there = values != ""
    distinct, inverse = np.unique(values[there], return_inverse=True)
    groups = np.full(len(values), -1, dtype=np.int64)
    status, name = USABLE, name[:LONGEST_NAME]
    if len(distinct) < 2:
        groups[there] = 0
        labels = tuple(in_words(value) for value in distinct)
        return ConditionVariable(name, values, groups, labels, ONE_VALUE)
    if len(distinct) <= MOST_GROUPS:
        groups[there] = inverse
        labels = tuple(in_words(value) for value in distinct)
    elif values.dtype.kind in "iuf":
        edges = np.quantile(distinct, np.linspace(0, 1, N_BINS + 1))
        groups[there] = np.clip(np.searchsorted(edges, values[there], "right") - 1, 0, N_BINS - 1)
        labels = tuple(f"{in_words(low)} to {in_words(high)}" for low, high in pairwise(edges))
    else:
        status, labels = TOO_MANY, ()
    return ConditionVariable(name, values, groups, labels, status)


def _last_targets(trials: xarray.Dataset) -> list[ConditionVariable]:
    targets = trials["targets"].values  # (B, T, n_outputs)
    n_steps = targets.shape[1]
    found = []
    for o, name in enumerate(trials["output"].values.tolist()):
        known = np.isfinite(targets[..., o])
        last = np.where(known.any(axis=1), n_steps - 1 - known[:, ::-1].argmax(axis=1), 0)
        found.append(variable(f"target {name}", targets[np.arange(len(last)), last, o]))
    return found
