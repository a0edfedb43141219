"""The error for bad input, and the checks of single values that raise it."""

from __future__ import annotations

import math
import numbers
from collections.abc import Sequence
from typing import Any


class ParameterError(ValueError):
    """Invalid parameter: its name, its value, what is wrong and the remedy.

    Parameters
    ----------
    field : str
        Name of the parameter.
    value : object
        What was given.
    problem : str
        What is wrong with it.
    remedy : str
        What to do.
    """

    def __init__(self, field: str, value: Any, problem: str, remedy: str) -> None:
        super().__init__(field, value, problem, remedy)
        self.field = field
        self.value = value
        self.problem = problem
        self.remedy = remedy

    def __str__(self) -> str:
        """Return one line."""
        shown = " ".join(repr(self.value).split())
        if len(shown) > 120:
            shown = shown[:117] + "..."
        return f"{self.field} = {shown}: {self.problem}; {self.remedy}"


MAX_COUNT = 2**31 - 1  # what a column of whole numbers holds


def check_int(
    field: str, value: Any, minimum: int | None = None, maximum: int | None = None
) -> int:
    """Return ``value`` as an int, after checking that it is whole and in its range."""
    if isinstance(value, bool) or not isinstance(value, numbers.Integral):
        raise ParameterError(field, value, "is not a whole number", "give a whole number")
    number = int(value)
    if minimum is not None and number < minimum:
        raise ParameterError(field, number, "is too small", f"give at least {minimum}")
    if maximum is not None and number > maximum:
        raise ParameterError(field, number, "is too large", f"give at most {maximum}")
    return number


def check_float(
    field: str,
    value: Any,
    minimum: float | None = None,
    maximum: float | None = None,
    exclusive_minimum: float | None = None,
    exclusive_maximum: float | None = None,
) -> float:
    """Return ``value`` as a float, after checking that it is finite and in its range."""
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        raise ParameterError(field, value, "is not a number", "give a number")
    try:
        number = float(value)
    except OverflowError:  # a whole number beyond every float
        number = math.inf
    if not math.isfinite(number):
        raise ParameterError(field, number, "is not finite", "give a finite number")
    if minimum is not None and number < minimum:
        raise ParameterError(field, number, "is too small", f"give at least {minimum:g}")
    if exclusive_minimum is not None and number <= exclusive_minimum:
        raise ParameterError(field, number, "is too small", f"give more than {exclusive_minimum:g}")
    if maximum is not None and number > maximum:
        raise ParameterError(field, number, "is too large", f"give at most {maximum:g}")
    if exclusive_maximum is not None and number >= exclusive_maximum:
        raise ParameterError(field, number, "is too large", f"give less than {exclusive_maximum:g}")
    return number


def check_bool(field: str, value: Any) -> bool:
    """Return ``value`` as a bool; 0 and 1 are not accepted."""
    if not isinstance(value, bool) and type(value).__name__ not in ("bool_", "bool"):
        raise ParameterError(field, value, "is not true or false", "give true or false")
    return bool(value)


def check_choice(field: str, value: Any, choices: Sequence[Any]) -> Any:
    """Return ``value`` after checking that it is one of ``choices``."""
    if not any(type(value) is type(choice) and value == choice for choice in choices):
        raise ParameterError(
            field, value, "does not exist", f"use one of {', '.join(map(repr, choices))}"
        )
    return value
