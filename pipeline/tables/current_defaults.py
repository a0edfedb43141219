"""Defaults of the arguments of this library's tasks and activations, as the code has them now."""

from __future__ import annotations

import inspect
from typing import Any

import tasks_lib
from models.formulas.functions import FUNCTIONS


def current_defaults(kind: str) -> dict[str, Any]:
    """Return argument -> default of ``"Task NAME"`` or ``"activation NAME"``.

    Empty where it is not one of this library, whose defaults a user may change at any time.
    """
    what, _, name = kind.partition(" ")
    if what == "Task" and name in tasks_lib.TASKS:
        return _of_signature(tasks_lib.TASKS[name])
    if what == "activation" and name in FUNCTIONS:
        return dict(FUNCTIONS[name].defaults)
    return {}


def _of_signature(called: Any) -> dict[str, Any]:
    return {
        name: parameter.default
        for name, parameter in inspect.signature(called).parameters.items()
        if name != "seed" and parameter.default is not inspect.Parameter.empty
    }
