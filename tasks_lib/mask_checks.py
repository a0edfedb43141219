"""Checks of what a task says of which steps count: its mask, NaN targets, and choices there."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

from .base import Batch, Task
from .checked_calls import call, fail
from .errors import ParameterError, text_of
from .masks import Mask, asked, held_to_the_end, read_mask, steps_of_batch


def mask_of(task: Task, n_trials: int) -> Mask:
    """Return a task's mask in normal form; what is wrong with it names the task."""
    mask = call(task, "mask", lambda: task.mask)
    return read_mask(mask, task.n_steps, n_trials, f"{type(task).__name__}.mask")


def check_mask(task: Task, batch: Batch) -> None:
    """Check the mask, that batches follow it, and that something counts in every trial."""
    targets, n_trials = np.asarray(batch[1], dtype=np.float64), len(batch[2])
    mask = mask_of(task, n_trials)
    try:
        asked(targets, mask.steps)
    except ParameterError as error:
        fail(task, error.field, error.value, error.problem, error.remedy)
    if mask.by_trial is None:
        return
    task.reset(1)
    other = call(task, "get_batch", task.get_batch)
    again = mask_of(task, len(other[2])).by_trial
    if again is None or not np.array_equal(mask.by_trial, again):
        problem = "differs from batch to batch"
        fail(task, "mask", f"bool {mask.by_trial.shape}", problem, "put NaN into the targets")
    steps_of_batch(task.mask, targets, type(task).__name__)


def check_choices(task: Task, batch: Batch) -> None:
    """Check that choices are a whole number a trial, and read none where nothing is asked."""
    targets = np.asarray(batch[1], dtype=np.float64)

    def choices() -> Any:
        with warnings.catch_warnings():
            if np.isnan(targets).any():  # NumPy makes some whole number of NaN, and warns
                warnings.simplefilter("error", RuntimeWarning)
            try:
                return task.get_choices(held_to_the_end(targets, targets))
            except RuntimeWarning as warning:
                problem = f"reads targets where nothing is asked ({text_of(warning)})"
                fail(task, "get_choices", None, problem, "return 0 where a target is NaN")

    made = call(task, "get_choices", choices)
    if made is None:
        return
    wanted = (len(batch[2]),)
    if np.shape(made) != wanted or not np.issubdtype(np.asarray(made).dtype, np.integer):
        problem = "is not one whole number a trial"
        given = f"{np.asarray(made).dtype} {np.shape(made)}"
        fail(task, "get_choices", given, problem, f"return integers {wanted}")
