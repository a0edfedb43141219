"""Groups of trials that a figure tells apart, and their colours."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from tasks_lib.errors import ParameterError

from ..activity.coordinates import condition_fields, in_words
from .palette import categories, colours_of_values

if TYPE_CHECKING:
    import xarray

MAX_GROUPS = 12  # that a legend and the eye tell apart
KIND, MAX_KINDS = "kind", 6  # told apart by default
N_BINS = 6  # of a number with more values than that


@dataclass(frozen=True, eq=False)
class TrialGroup:
    """Trials that are drawn alike.

    Attributes
    ----------
    label : str
        What they have in common.
    trials : array of int
        Their places in the dataset.
    colour : str or tuple
    """

    label: str
    trials: NDArray[np.int64]
    colour: Any


def trial_groups(trials: xarray.Dataset, by: str | None = None) -> list[TrialGroup]:
    """Return the trials by the value of a coordinate, in the order of its values.

    A number with more than 12 values is divided into 6 bins of equal width.

    Parameters
    ----------
    trials : Dataset
        Of `models.get_trials`.
    by : str, optional
        A coordinate over trials. By default their kind, where there are 2 to 6 kinds, else their
        context, else the first field of the task's conditions that has 2 to 12 values, else the
        right choice, else the first of these fields that is a number, else all trials are one
        group.

    Raises
    ------
    ParameterError
        For what is no coordinate over trials, or has too many values.
    """
    by = _default(trials) if by is None else by
    if by is None:
        everything = np.arange(trials.sizes["trial"])
        return [TrialGroup("all trials", everything, categories()[0])]
    if by not in trials.coords or trials[by].dims != ("trial",):
        known = [str(c) for c in trials.coords if trials[c].dims == ("trial",)]
        raise ParameterError(
            "by", by, "is no coordinate over trials", f"use {', '.join(known)}, or assign one"
        )
    values = trials[by].values
    distinct = np.unique(values)
    name = by.replace("_", " ")
    before = "" if by == KIND else f"{name} = "  # kinds name their fields
    if len(distinct) > MAX_GROUPS:
        return _binned(name, values)
    colours = colours_of_values(by, distinct)
    return [
        TrialGroup(f"{before}{in_words(value)}", np.flatnonzero(values == value), colour)
        for value, colour in zip(distinct, colours, strict=True)
    ]


def _default(trials: xarray.Dataset) -> str | None:
    if KIND in trials.coords and 2 <= len(np.unique(trials[KIND].values)) <= MAX_KINDS:
        return KIND
    fields = _fields(trials)
    for name in ("context", *fields, "correct_choice"):
        if name in trials.coords and 2 <= len(np.unique(trials[name].values)) <= MAX_GROUPS:
            return name
    for name in fields:
        values = trials[name].values if name in trials.coords else np.empty(0)
        numbers = values.dtype.kind in "iuf" and np.isfinite(values).all()
        if numbers and len(np.unique(values)) > MAX_GROUPS:
            return name
    return None


def _fields(trials: xarray.Dataset) -> list[str]:
    """Return the fields by which the task tells kinds of trials apart; none where there is none."""
    if "condition_fields" not in trials.attrs and KIND not in trials.coords:
        return []
    return [name for name in condition_fields(trials) if name != "condition_correct_choice"]


def _binned(name: str, values: NDArray[Any]) -> list[TrialGroup]:
    if values.dtype.kind not in "iuf" or not np.isfinite(values).all():
        raise ParameterError(
            "by",
            name,
            f"has {len(np.unique(values))} values that are no numbers",
            f"group by what has at most {MAX_GROUPS}",
        )
    edges = np.linspace(values.min(), values.max(), N_BINS + 1)
    which = np.clip(np.searchsorted(edges, values, side="right") - 1, 0, N_BINS - 1)
    colours = colours_of_values(name, edges[:-1] + np.diff(edges) / 2)
    return [
        TrialGroup(
            f"{name}: {in_words(edges[k])} to {in_words(edges[k + 1])}",
            np.flatnonzero(which == k),
            colours[k],
        )
        for k in range(N_BINS)
        if (which == k).any()
    ]
