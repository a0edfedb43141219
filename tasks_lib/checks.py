"""A test kit for tasks: what is wrong with a class, in words."""

from __future__ import annotations

from typing import Any

import numpy as np

from .base import Task
from .errors import ParameterError


def check_task(task: Task) -> None:
    """Check that a task is one: shapes, values, mask, reproducibility, analysis inputs.

    Raises
    ------
    ParameterError
        Naming what is wrong and what to return instead.
    """
    name = type(task).__name__

    def fail(what: str, value: Any, problem: str, remedy: str) -> None:
        raise ParameterError(f"{name}.{what}", value, problem, remedy)

    task.reset(0)
    try:
        inputs, targets, conditions = task.get_batch()
    except ParameterError:
        raise
    except Exception as error:
        raise ParameterError(
            f"{name}.get_batch", None, f"fails ({type(error).__name__}: {error})", "mend the class"
        ) from error
    n_trials = len(conditions)
    for what, array, channels in (
        ("inputs", inputs, task.n_inputs),
        ("targets", targets, task.n_outputs),
    ):
        shape = np.shape(array)
        if n_trials == 0 or shape != (channels, task.n_steps, n_trials):
            wanted = f"({channels}, {task.n_steps}, {n_trials})"
            fail(what, shape, f"have the wrong shape for {n_trials} conditions", f"return {wanted}")
        if not np.isfinite(array).all():
            fail(what, "non-finite", "hold NaN or infinite values", "return finite numbers")
    if not all(isinstance(c, dict) for c in conditions):
        fail("conditions", conditions[0], "are not dicts", "return one dict for each trial")
    mask = np.asarray(task.mask)
    if mask.ndim != 1 or mask.size == 0 or not np.issubdtype(mask.dtype, np.integer):
        fail("mask", mask.shape, "is not a list of steps", "return step indices")
    if mask.min() < 0 or mask.max() >= task.n_steps or np.unique(mask).size < mask.size:
        fail(
            "mask",
            int(mask.max()),
            "is out of range or repeats steps",
            f"use 0..{task.n_steps - 1}",
        )
    for key, vector in task.analysis_inputs.items():
        if np.shape(vector) != (task.n_inputs,) or not np.isfinite(vector).all():
            fail(
                f"analysis_inputs[{key!r}]",
                np.shape(vector),
                "is not a finite input vector",
                f"return {task.n_inputs} numbers",
            )
    for what, names, n in (
        ("input_names", task.input_names, task.n_inputs),
        ("output_names", task.output_names, task.n_outputs),
    ):
        if len(names) != n:
            fail(what, names, "has the wrong length", f"name {n} channels")
    task.reset(0)
    again = task.get_batch()
    if not (np.array_equal(inputs, again[0]) and np.array_equal(targets, again[1])):
        fail("get_batch", None, "differs for the same seed", "draw from self.rng alone")
    choices = task.get_choices(targets)
    if choices is not None and np.shape(choices) != (n_trials,):
        fail("get_choices", np.shape(choices), "is not one choice a trial", f"return ({n_trials},)")
    task.reset()
