"""Which entries of the targets count in the loss and the scores: masks and NaN targets."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .errors import ParameterError

Float = NDArray[np.float64]
Bool = NDArray[np.bool_]
FORMS = "give step indices, booleans (T,), or booleans (T, B), one column a trial"


@dataclass(frozen=True, eq=False)
class Mask:
    """A mask in normal form.

    Attributes
    ----------
    steps : array (M,) of int
        Steps that may count, in the order in which they were given; all T where trials differ.
    by_trial : array (T, B) of bool, or None
        Steps that count in each trial; None where all trials have the same.
    """

    steps: NDArray[np.int64]
    by_trial: Bool | None = None


def read_mask(
    mask: Any, n_steps: int, n_trials: int | None = None, field: str = "mask", trials: str = ""
) -> Mask:
    """Return a mask in normal form, whichever way it was given.

    Parameters
    ----------
    mask : array
        Indices of steps, each once, in any order; or booleans (T,); or booleans (T, B), one
        column a trial. What is neither is refused: 0 and 1 could be indices.
    n_steps : int
        Length of a trial T.
    n_trials : int, optional
        Number of trials B; by default any.
    field : str
        What the error names.
    trials : str
        Which trials they are, for the error.

    Raises
    ------
    ParameterError
        Where it is no mask, selects nothing, or selects nothing of one trial, which is named.
    """
    given = np.asarray(mask)
    if given.dtype == bool:
        return _booleans(given, n_steps, n_trials, field, trials)
    if given.ndim != 1 or given.size == 0 or not np.issubdtype(given.dtype, np.integer):
        return _refuse_form(given, field)
    outside = given[(given < 0) | (given >= n_steps)]
    if outside.size:
        remedy = f"use 0..{n_steps - 1}"
        raise ParameterError(field, int(outside[0]), "is no step of the trial", remedy)
    if np.unique(given).size < given.size:
        remedy = "name each step once"
        if given.size == n_steps and given.max() <= 1:
            remedy = "write mask.astype(bool) if 1 is to say that a step counts"
        raise ParameterError(field, given, "repeats steps", remedy)
    return Mask(given.astype(np.int64))


def _refuse_form(given: NDArray[Any], field: str) -> Mask:
    shown: str | None = f"{given.dtype} {given.shape}"
    problem, remedy = "is no mask of steps", FORMS
    if given.ndim == 0 and given.dtype == object and given.item() is None:
        shown, remedy = None, f"return it from the property: {FORMS}"
    elif given.size and given.ndim in (1, 2) and np.issubdtype(given.dtype, np.number):
        if np.isin(given, (0, 1)).all():
            problem, remedy = "is not boolean", "write mask.astype(bool)"
        elif np.issubdtype(given.dtype, np.floating):
            problem, remedy = "has weights or fractions", f"no step counts in part: {FORMS}"
    raise ParameterError(field, shown, problem, remedy)


def _booleans(given: Bool, n_steps: int, n_trials: int | None, field: str, trials: str) -> Mask:
    of_trials = "B" if n_trials is None else n_trials
    fits = given.ndim in (1, 2) and len(given) == n_steps
    if not fits or (given.ndim == 2 and n_trials not in (None, given.shape[1])):
        problem = f"is the wrong shape for {of_trials} trials{trials} of {n_steps} steps"
        remedy = f"give booleans ({n_steps},) or ({n_steps}, {of_trials})"
        raise ParameterError(field, given.shape, problem, remedy)
    if not given.any():
        remedy = "say True where a step counts"
        raise ParameterError(field, "all False", "leaves no step that counts", remedy)
    if given.ndim == 1:
        return Mask(np.flatnonzero(given))
    empty = np.flatnonzero(~given.any(axis=0))
    if empty.size:
        problem = "is all False: nothing counts in this trial"
        raise ParameterError(f"{field}[:, {empty[0]}]", False, problem, "leave the trial out")
    return Mask(np.arange(n_steps), given)


def as_nan(targets: ArrayLike, counts: Bool) -> Float:
    """Return targets (n_outputs, T, B) with NaN where ``counts`` (T,) or (T, B) is False."""
    values = np.asarray(targets)
    if not np.issubdtype(values.dtype, np.floating):
        values = values.astype(np.float64)
    where = counts if counts.ndim == 2 else counts[:, None]
    return np.where(where, values, np.asarray(np.nan, dtype=values.dtype))


def steps_of_batch(mask: Any, targets: ArrayLike, task: str) -> NDArray[np.int64]:
    """Return the steps of a task's mask, after checking that a batch follows a mask for each trial.

    `Task.get_batch` puts NaN into the targets (n_outputs, T, B) where such a mask says no; one of
    a class's own may not, and would train on what is masked out.

    Raises
    ------
    ParameterError
        Naming the class, ``task``.
    """
    values = np.asarray(targets, dtype=np.float64)
    read = read_mask(mask, values.shape[1], values.shape[2], f"{task}.mask", " in this batch")
    if read.by_trial is not None and not np.isnan(values[:, ~read.by_trial]).all():
        problem = "of its own does not put NaN where the mask of a trial says no"
        remedy = "call super().get_batch(), or return NaN targets"
        raise ParameterError(f"{task}.get_batch", None, problem, remedy)
    return read.steps


def asked(targets: Float, mask: Any = None) -> tuple[NDArray[np.int64], Bool | None]:
    """Return which entries of targets count: the steps of a mask, and what is not NaN at them.

    Parameters
    ----------
    targets : array (n_outputs, T, B)
        NaN where nothing is asked.
    mask : array, optional
        Any that `read_mask` reads; all steps by default.

    Returns
    -------
    steps : array (M,) of int
    counts : array (n_outputs, M, B) of bool, or None
        Which of ``targets[:, steps]`` count; None where all do.

    Raises
    ------
    ParameterError
        Where nothing is asked in a trial, which is named.
    """
    _, n_steps, n_trials = targets.shape
    read = Mask(np.arange(n_steps)) if mask is None else read_mask(mask, n_steps, n_trials)
    counts = ~np.isnan(targets[:, read.steps])
    if read.by_trial is not None:
        counts &= read.by_trial[read.steps]
    if counts.all():
        return read.steps, None
    check_asked(np.asarray(counts.any(axis=(0, 1))))
    return read.steps, counts


def check_asked(is_asked: Bool, field: str = "targets") -> None:
    """Refuse trials (B,) in which nothing is asked, naming the first."""
    empty = np.flatnonzero(~is_asked)
    if empty.size:
        problem = "no step counts in this trial: all are NaN or outside the mask"
        remedy = "give a target where something is asked, or leave the trial out"
        raise ParameterError(f"{field}[:, :, {empty[0]}]", float("nan"), problem, remedy)


def held_to_the_end(values: Float, targets: Float) -> Float:
    """Return outputs or targets (n_outputs, T, B) that keep the value of each trial's last step.

    A trial's last step is the last one at which its target is not NaN; what a network does later
    is nobody's choice. Without NaN the values are returned as they are.
    """
    given = ~np.isnan(targets)
    if given.all():
        return values
    n_steps = targets.shape[1]
    backwards: Bool = np.any(given, axis=0)[::-1]
    last = np.where(backwards.any(axis=0), n_steps - 1 - backwards.argmax(axis=0), n_steps)
    steps = np.minimum(np.arange(n_steps)[:, None], last)
    return np.take_along_axis(values, np.broadcast_to(steps, values.shape), axis=1)
