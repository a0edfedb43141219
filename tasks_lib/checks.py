"""A test kit for task classes: it returns a list of what is wrong."""

from __future__ import annotations

import json
from functools import partial
from typing import Any

import numpy as np

from .base import Batch, Condition, Task, plain
from .checked_calls import call, fail
from .errors import ParameterError, text_of
from .mask_checks import check_choices, check_mask, mask_of
from .masks import as_nan
from .stimulus_checks import check_signed_stimuli

N_CHECKED = 16  # trials of a batch whose conditions are looked at one by one
TOLERANCE = 1e-9  # of a trial that is made again


def check_task(task: Task) -> None:
    """Check that a task class keeps the contract of `Task`, and return what is wrong.

    Batches, mask, analysis inputs, names and choices have the right shapes and hold numbers; the
    same seed gives the same batch; conditions are plain values, in the order of the trials, and
    each makes its trial again; the parameters make the task again. Of a large batch, conditions
    are checked on trials spread over it. The task's own generator is left as it was.

    Raises
    ------
    ParameterError
        Naming what is wrong and what to return instead.
    """
    if not isinstance(task, Task):
        raise ParameterError("task", task, "is not a Task", "subclass tasks_lib.Task")
    if not hasattr(task, "rng"):
        remedy = "call super().__init__(n_steps, n_inputs, n_outputs, seed) in it"
        fail(task, "__init__", None, "does not call that of Task", remedy)
    generator = task.rng
    task.check_memory()  # before the first trial is made
    try:
        _check_first_trial(task)
        call(task, "mask", lambda: task.mask)  # `get_batch` asks for it too
        batch = _seeded_batch(task)
        _check_batch(task, batch)
        check_mask(task, batch)
        _check_analysis_inputs(task)
        _check_names(task)
        check_choices(task, batch)
        _check_conditions(task, batch[2])
        _check_condition_fields(task, batch[2])
        check_signed_stimuli(task, batch[2])
        _check_seed(task, batch)
        _check_order(task, batch[2])
        _check_trials(task, batch)
        _check_params(task, batch)
    finally:
        task.rng = generator
    for component in task.component_tasks.values():
        check_task(component)


def _check_first_trial(task: Task) -> None:
    """Check a single trial first, so that its errors are not reported as errors of the batch."""
    task.reset(0)
    conditions = call(task, "conditions", task.conditions)
    if not isinstance(conditions, list) or not conditions or not isinstance(conditions[0], dict):
        return  # said of the batch
    what = "generate_input_target_stream"
    trial = call(task, what, lambda: task.generate_input_target_stream(**conditions[0]))
    if not isinstance(trial, tuple) or len(trial) != 3:
        wanted = "return (input, target, condition)"
        fail(task, what, type(trial).__name__, "does not give a trial", wanted)
    shapes = [np.shape(stream) for stream in trial[:2]]
    length = shapes[0][-1] if shapes[0] else 0
    if shapes == [(n, length) for n in (task.n_inputs, task.n_outputs)] and length < task.n_steps:
        problem = f"gives a trial shorter than n_steps = {task.n_steps}"
        wanted = "pad both to n_steps, the target with NaN: what is NaN does not count"
        fail(task, what, shapes[0], problem, wanted)


def _seeded_batch(task: Task) -> Batch:
    task.reset(0)
    batch = call(task, "get_batch", task.get_batch)
    if not isinstance(batch, tuple) or len(batch) != 3:
        wanted = "return (inputs, targets, conditions)"
        fail(task, "get_batch", type(batch).__name__, "does not give a batch", wanted)
    return batch


def _finite(array: Any, nan: bool = False) -> bool:
    """Return whether all are finite numbers, or NaN where that is allowed."""
    try:
        return bool((np.isfinite(array) | (np.isnan(array) if nan else False)).all())
    except TypeError:
        return False


def _equal(a: Batch, b: Batch) -> bool:
    conditions = all(plain(a[2][i]) == plain(b[2][i]) for i in _spread(a[2]) if i < len(b[2]))
    one, other = (np.asarray(batch[1], dtype=np.float64) for batch in (a, b))
    same = np.array_equal(one, other, equal_nan=True)
    return conditions and same and np.array_equal(a[0], b[0])


def _spread(conditions: list[Condition]) -> list[int]:
    """Return trials spread over a batch, all of a small one."""
    return sorted(set(np.linspace(0, len(conditions) - 1, N_CHECKED).astype(int).tolist()))


def _check_batch(task: Task, batch: Batch) -> None:
    inputs, targets, conditions = batch
    if not isinstance(conditions, list) or not all(isinstance(c, dict) for c in conditions):
        fail(task, "conditions", conditions, "are not dicts", "return a list, one dict a trial")
    if not conditions:
        fail(task, "conditions", conditions, "are none", "return one dict for each trial")
    n_trials = len(conditions)
    for what, array, channels in (
        ("inputs", inputs, task.n_inputs),
        ("targets", targets, task.n_outputs),
    ):
        wanted = (channels, task.n_steps, n_trials)
        if np.shape(array) != wanted:
            problem = f"is the wrong shape for {n_trials} conditions"
            fail(task, what, np.shape(array), problem, f"return {wanted}")
        nan = what == "targets"
        if np.iscomplexobj(array) or not _finite(array, nan):
            kinds = "infinite or other values" if nan else "NaN, infinite or other values"
            remedy = "return finite real numbers" + (", or NaN where nothing is asked" * nan)
            fail(task, what, "non-finite", f"hold {kinds}", remedy)


def _check_analysis_inputs(task: Task) -> None:
    vectors = call(task, "analysis_inputs", lambda: task.analysis_inputs)
    if not isinstance(vectors, dict) or not vectors:
        fail(task, "analysis_inputs", vectors, "is no dict of inputs", "return {name: vector}")
    for key, vector in vectors.items():
        if not isinstance(key, str) or not 0 < len(key) <= 64:
            fail(task, "analysis_inputs", key, "is no name", "use 1 to 64 characters")
        if np.shape(vector) != (task.n_inputs,) or not _finite(vector):
            remedy = f"return {task.n_inputs} finite numbers"
            fail(task, f"analysis_inputs[{key!r}]", vector, "is not an input vector", remedy)


def _check_names(task: Task) -> None:
    for what, n in (("input_names", task.n_inputs), ("output_names", task.n_outputs)):
        names = call(task, what, partial(getattr, task, what))
        listed = isinstance(names, (list, tuple)) and all(isinstance(s, str) for s in names)
        if not listed or len(names) != n:
            fail(task, what, names, "does not name the channels", f"return {n} strings")


def _check_conditions(task: Task, conditions: list[Condition]) -> None:
    for trial in _spread(conditions):
        what, condition = f"conditions[{trial}]", conditions[trial]
        if not all(isinstance(field, str) for field in condition):
            fail(task, what, condition, "has a field whose name is no string", "use strings")
        try:
            json.dumps(condition, allow_nan=False)
        except (TypeError, ValueError) as error:
            remedy = "use float(...), int(...), bool(...) or array.tolist()"
            fail(task, what, condition, f"cannot be stored ({text_of(error)})", remedy)


def _check_condition_fields(task: Task, conditions: list[Condition]) -> None:
    fields = call(task, "condition_fields", lambda: task.condition_fields)
    if fields is None:
        call(task, "condition_kind", lambda: [task.condition_kind(c) for c in conditions])
        return
    if not isinstance(fields, (tuple, list)) or not all(isinstance(f, str) for f in fields):
        remedy = "give a tuple of field names, () or None"
        fail(task, "condition_fields", fields, "does not name fields of conditions", remedy)
    # A class that has its own idea of kinds may have fields that some trials lack.
    may_lack = type(task).condition_kind is not Task.condition_kind
    for trial, condition in enumerate(conditions):
        for field in fields:
            if may_lack and field not in condition:
                continue
            if not isinstance(condition.get(field), (str, int, float)):
                there = "is not a single value" if field in condition else "is missing"
                problem = f"{there} in the condition of trial {trial}"
                remedy = f"name some of {sorted(condition)} that are strings or numbers"
                fail(task, "condition_fields", field, problem, remedy)
    call(task, "condition_kind", lambda: [task.condition_kind(c) for c in conditions])


def _check_seed(task: Task, batch: Batch) -> None:
    saved = np.random.get_state()  # noqa: NPY002
    np.random.random()  # noqa: NPY002 - so that seeding it anew shows too
    before = _global_state()
    try:
        again = _seeded_batch(task)
        untouched = _global_state() == before
    finally:
        np.random.set_state(saved)  # noqa: NPY002
    if not untouched:
        problem = "draws from (or seeds) NumPy's global generator"
        fail(task, "get_batch", None, problem, "draw from self.rng alone")
    if not _equal(batch, again):
        problem = "differs for the same seed"
        fail(task, "get_batch", None, problem, "draw from self.rng alone, at every batch")


def _global_state() -> tuple[Any, ...]:
    _, keys, *rest = np.random.get_state()  # noqa: NPY002
    return (np.asarray(keys).tobytes(), *rest)


def _check_order(task: Task, conditions: list[Condition]) -> None:
    """Check that the trials of a batch are those of `conditions`, in order."""
    task.reset(0)
    asked = call(task, "conditions", task.conditions)
    remedy = "return one trial for each of conditions(), in its order"
    if not isinstance(asked, list):
        wanted = "return a list, one dict a trial"
        fail(task, "conditions", type(asked).__name__, "is not a list", wanted)
    if len(asked) != len(conditions):
        problem = f"gives another number of trials than conditions() has, {len(asked)}"
        fail(task, "get_batch", len(conditions), problem, remedy)
    for trial in _spread(conditions):
        for field, value in asked[trial].items():
            given = conditions[trial].get(field, value)
            if value is not None and plain(given) != plain(value):
                problem = f"is not what conditions() asks for, {field} = {value!r}"
                fail(task, f"conditions[{trial}][{field!r}]", given, problem, remedy)


def _check_trials(task: Task, batch: Batch) -> None:
    """Check that the conditions of a batch, as they are stored, make its trials again."""
    mask = mask_of(task, len(batch[2])).by_trial
    task.reset(1)  # other draws than those of the batch
    for trial in _spread(batch[2]):
        condition = batch[2][trial]
        what = f"conditions[{trial}]"
        stored = json.loads(json.dumps(condition))
        try:
            again: Any = task.generate_input_target_stream(**stored)
        except Exception as error:
            problem = f"is refused by generate_input_target_stream ({text_of(error)})"
            remedy = "let it take every field that it returns, those that it computes as **rest"
            fail(task, what, condition, problem, remedy)
        if not isinstance(again, tuple) or len(again) != 3:
            given = type(again).__name__
            remedy = "return (input, target, condition)"
            fail(task, "generate_input_target_stream", given, "does not give a trial", remedy)
        for i, name in enumerate(("input", "target")):
            stream, wanted = again[i], np.asarray(batch[i])[:, :, trial]
            fits = np.shape(stream) == wanted.shape
            if fits and i == 1 and mask is not None:
                stream = as_nan(np.asarray(stream)[:, :, None], mask[:, trial])[:, :, 0]
            if not fits or not np.allclose(
                stream, wanted, rtol=TOLERANCE, atol=TOLERANCE, equal_nan=True
            ):
                problem = f"does not make the {name} of its trial again"
                remedy = "put all that is drawn into the condition, not rounded; noise by its seed"
                fail(task, what, condition, problem, remedy)


def _check_params(task: Task, batch: Batch) -> None:
    params = call(task, "params", lambda: task.params)
    try:
        stored = json.loads(json.dumps(params, allow_nan=False))
    except (TypeError, ValueError) as error:
        fail(
            task,
            "params",
            params,
            f"cannot be stored ({text_of(error)})",
            "keep plain numbers and lists",
        )
    seeded = call(task, "__init__", lambda: type(task)(**stored, seed=1)).seed
    if seeded != 1:
        remedy = "pass it to super().__init__"
        fail(task, "seed", seeded, "is not the argument seed", remedy)
    again = call(task, "__init__", lambda: type(task)(**stored, seed=task.seed))
    if not _equal(batch, _seeded_batch(again)):
        problem = "do not make the same task again"
        fail(task, "params", params, problem, "keep each argument in an attribute of its name")
