"""A short description of a task."""

from __future__ import annotations

import json
from collections.abc import Sequence

import numpy as np

from .base import Float, Task
from .checks import check_task
from .documents import parse_json
from .errors import ParameterError
from .masks import asked, read_mask
from .registry import create_task


def check_and_summarise(name: str, params: str = "{}") -> dict[str, str]:
    """Make a task from its class's name and arguments in JSON, check it, and say what it is.

    Raises
    ------
    ParameterError
        Naming what is wrong, as `check_task` does.
    """
    try:
        given = parse_json(params)
    except ValueError as error:
        remedy = 'give an object, such as {"n_steps": 50}'
        raise ParameterError("params", params, f"is not JSON ({error})", remedy) from None
    if not isinstance(given, dict):
        remedy = 'write field: value, such as {"n_steps": 50}'
        raise ParameterError("params", given, "is not a set of fields", remedy)
    size = {n: given.pop(n) for n in ("n_steps", "n_inputs", "n_outputs") if n in given}
    task = create_task(name, **size, params=given, seed=0)
    check_task(task)
    return summarise(task)


def summarise(task: Task) -> dict[str, str]:
    """Return a summary of a valid task: sizes, batch, mask, analysis inputs, kinds of trials."""
    _, targets, conditions = task.get_batch()
    kinds = {json.dumps(task.condition_kind(c)) for c in conditions}
    grouped = task.condition_fields
    by = "their scalar fields" if grouped is None else ", ".join(grouped) or "nothing"
    return {
        "task": repr(task),
        "steps": str(task.n_steps),
        "inputs": f"{task.n_inputs} ({', '.join(task.input_names)})",
        "outputs": f"{task.n_outputs} ({', '.join(task.output_names)})",
        "trials in a batch": str(len(conditions)),
        "mask": _mask(task, targets),
        "analysis inputs": ", ".join(task.analysis_inputs),
        "kinds of trials": f"{len(kinds)}, by {by}",
    }


def _mask(task: Task, targets: Float) -> str:
    """Return which steps count, and how many in each trial where trials differ."""
    steps, counts = asked(targets, read_mask(task.mask, task.n_steps).steps)
    text = f"{intervals(steps.tolist())}, {len(steps)} of {task.n_steps} steps"
    if counts is None:
        return text
    numbers = counts.any(axis=0).sum(axis=0)
    each = f"{numbers.min()} to {numbers.max()}" if np.ptp(numbers) else f"{numbers[0]}"
    return f"{text}; of these {each} in a trial, where the target is not NaN"


def intervals(steps: Sequence[int]) -> str:
    """Return steps as a union of half-open intervals: [0, 100) ∪ [200, 300)."""
    ordered = sorted(steps)
    starts = [t for i, t in enumerate(ordered) if i == 0 or t > ordered[i - 1] + 1]
    stops = [t + 1 for i, t in enumerate(ordered) if t + 1 not in ordered[i + 1 : i + 2]]
    return " ∪ ".join(f"[{a}, {b})" for a, b in zip(starts, stops, strict=True))
