"""Calls of the members of somebody's task class, whose errors name the member."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NoReturn

from .base import Task
from .errors import ParameterError, kind_and_text


def fail(task: Task, what: str, value: Any, problem: str, remedy: str) -> NoReturn:
    """Raise the error that names a member of the task."""
    raise ParameterError(f"{type(task).__name__}.{what}", value, problem, remedy)


def call(task: Task, what: str, function: Callable[[], Any]) -> Any:
    """Call a member of the task; an error of any kind names the member."""
    try:
        return function()
    except ParameterError:
        raise
    except Exception as error:
        problem = f"fails ({kind_and_text(error)})"
        raise ParameterError(
            f"{type(task).__name__}.{what}", None, problem, "mend the class"
        ) from error
