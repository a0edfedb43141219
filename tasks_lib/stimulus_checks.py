"""Checks of what a task says of the signed stimuli by which psychometric curves are drawn."""

from __future__ import annotations

from functools import partial
from math import isfinite
from numbers import Real

from .base import Condition, Task
from .checked_calls import call, fail

WHICH = ("relevant", "irrelevant")
LONGEST_CONTEXT = 32  # characters: that of the column


def check_signed_stimuli(task: Task, conditions: list[Condition]) -> None:
    """Check that every trial's signed stimuli are a context and finite strengths, or None."""
    for trial, condition in enumerate(conditions):
        said = call(task, "signed_stimuli", partial(task.signed_stimuli, dict(condition)))
        if said is None:
            continue
        what = f"signed_stimuli of trial {trial}"
        if not isinstance(said, tuple) or len(said) != 2 or not isinstance(said[1], dict):
            wanted = 'return ("all", {"relevant": strength})'
            fail(task, what, said, "is not a context and strengths", wanted)
        context, strengths = said
        if not isinstance(context, str) or not 0 < len(context) <= LONGEST_CONTEXT:
            wanted = f"give 1 to {LONGEST_CONTEXT} characters"
            fail(task, what, context, "is not the name of a context", wanted)
        if not strengths or not set(strengths) <= set(WHICH):
            wanted = "name them relevant and irrelevant"
            fail(task, what, strengths, "does not name its stimuli", wanted)
        for name, value in strengths.items():
            is_number = isinstance(value, Real) and not isinstance(value, bool)
            if not is_number or not isfinite(value):
                fail(
                    task, f"{what}[{name!r}]", value, "is not a finite number", "give its strength"
                )
