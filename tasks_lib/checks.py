"""A test kit for tasks: what is wrong with a class, in words."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from typing import Any, NoReturn

import numpy as np

from .base import Batch, Task
from .errors import ParameterError


def check_task(task: Task) -> None:
    """Check that a task is one: batches, mask, analysis inputs, names, seed and parameters.

    The task's own generator is left as it was.

    Raises
    ------
    ParameterError
        Naming what is wrong and what to return instead.
    """
    if not isinstance(task, Task):
        raise ParameterError("task", task, "is not a Task", "subclass tasks_lib.Task")
    generator = task.rng
    try:
        batch = _seeded_batch(task)
        _check_batch(task, batch)
        _check_mask(task)
        _check_analysis_inputs(task)
        _check_names(task)
        _check_choices(task, batch)
        if not _equal(batch, _seeded_batch(task)):
            _fail(task, "get_batch", None, "differs for the same seed", "draw from self.rng alone")
        _check_params(task, batch)
    finally:
        task.rng = generator


def _fail(task: Task, what: str, value: Any, problem: str, remedy: str) -> NoReturn:
    raise ParameterError(f"{type(task).__name__}.{what}", value, problem, remedy)


def _call(task: Task, what: str, function: Callable[[], Any]) -> Any:
    """Return what a member of the task gives; an error of any kind names the member."""
    try:
        return function()
    except ParameterError:
        raise
    except Exception as error:
        problem = f"fails ({type(error).__name__}: {error})"
        raise ParameterError(
            f"{type(task).__name__}.{what}", None, problem, "mend the class"
        ) from error


def _seeded_batch(task: Task) -> Batch:
    task.reset(0)
    batch = _call(task, "get_batch", task.get_batch)
    if not isinstance(batch, tuple) or len(batch) != 3:
        wanted = "return (inputs, targets, conditions)"
        _fail(task, "get_batch", type(batch).__name__, "does not give a batch", wanted)
    return batch  # type: ignore[return-value]


def _finite(array: Any) -> bool:
    try:
        return bool(np.isfinite(array).all())
    except TypeError:
        return False


def _equal(a: Batch, b: Batch) -> bool:
    return np.array_equal(a[0], b[0]) and np.array_equal(a[1], b[1])


def _check_batch(task: Task, batch: Batch) -> None:
    inputs, targets, conditions = batch
    if not isinstance(conditions, list) or not all(isinstance(c, dict) for c in conditions):
        _fail(task, "conditions", conditions, "are not dicts", "return a list, one dict a trial")
    if not conditions:
        _fail(task, "conditions", conditions, "are none", "return one dict for each trial")
    n_trials = len(conditions)
    for what, array, channels in (
        ("inputs", inputs, task.n_inputs),
        ("targets", targets, task.n_outputs),
    ):
        wanted = (channels, task.n_steps, n_trials)
        if np.shape(array) != wanted:
            problem = f"is the wrong shape for {n_trials} conditions"
            _fail(task, what, np.shape(array), problem, f"return {wanted}")
        if not _finite(array):
            remedy = "return finite numbers"
            _fail(task, what, "non-finite", "hold NaN, infinite or other values", remedy)


def _check_mask(task: Task) -> None:
    mask = np.asarray(_call(task, "mask", lambda: task.mask))
    if mask.ndim != 1 or mask.size == 0 or not np.issubdtype(mask.dtype, np.integer):
        given = f"{mask.dtype} {mask.shape}"
        _fail(task, "mask", given, "is not a list of steps", "return step indices")
    outside = mask[(mask < 0) | (mask >= task.n_steps)]
    if outside.size:
        remedy = f"use 0..{task.n_steps - 1}"
        _fail(task, "mask", int(outside[0]), "is no step of the trial", remedy)
    if np.unique(mask).size < mask.size:
        _fail(task, "mask", mask, "repeats steps", "name each step once")


def _check_analysis_inputs(task: Task) -> None:
    vectors = _call(task, "analysis_inputs", lambda: task.analysis_inputs)
    if not isinstance(vectors, dict) or not vectors:
        _fail(task, "analysis_inputs", vectors, "is no dict of inputs", "return {name: vector}")
    for key, vector in vectors.items():
        if not isinstance(key, str) or not 0 < len(key) <= 64:
            _fail(task, "analysis_inputs", key, "is no name", "use 1 to 64 characters")
        if np.shape(vector) != (task.n_inputs,) or not _finite(vector):
            remedy = f"return {task.n_inputs} finite numbers"
            _fail(task, f"analysis_inputs[{key!r}]", vector, "is not an input vector", remedy)


def _check_names(task: Task) -> None:
    for what, n in (("input_names", task.n_inputs), ("output_names", task.n_outputs)):
        names = _call(task, what, partial(getattr, task, what))
        if isinstance(names, str) or len(names) != n or not all(isinstance(s, str) for s in names):
            _fail(task, what, names, "does not name the channels", f"return {n} strings")


def _check_choices(task: Task, batch: Batch) -> None:
    choices = _call(task, "get_choices", lambda: task.get_choices(batch[1]))
    if choices is None:
        return
    wanted = (len(batch[2]),)
    if np.shape(choices) != wanted or not np.issubdtype(np.asarray(choices).dtype, np.integer):
        problem = "is not one whole number a trial"
        _fail(task, "get_choices", np.shape(choices), problem, f"return integers {wanted}")


def _check_params(task: Task, batch: Batch) -> None:
    params = _call(task, "params", lambda: task.params)
    try:
        stored = json.loads(json.dumps(params, allow_nan=False))
    except (TypeError, ValueError) as error:
        _fail(task, "params", params, f"cannot be stored ({error})", "keep plain numbers and lists")
    again = _call(task, "__init__", lambda: type(task)(**stored, seed=task.seed))
    if not _equal(batch, _seeded_batch(again)):
        problem = "do not make the same task again"
        _fail(task, "params", params, problem, "keep each argument in an attribute of its name")
