"""The error for bad input, and the checks of single values that raise it."""

from __future__ import annotations

import difflib
import math
import numbers
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from typing import Any

SHOWN = 120  # characters of a value
_SHOWN_ITEMS, _SHOWN_TEXT = 200, 1000  # of a value that is shown: the rest is not even looked at


def printable(text: str) -> str:
    """Return a text as one line that any terminal may get.

    White space becomes single spaces. Control characters, such as those with which a terminal is
    told what to do, characters that turn the direction of writing, and halves of surrogate pairs
    become backslash escapes.
    """
    line = " ".join(text.split())
    if line.isprintable():
        return line
    return "".join(
        c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in line
    )


def shown(value: Any) -> str:
    """Return a value in at most about 120 characters, whatever it is and however large."""
    try:
        text = printable(repr(_abridged(value, [_SHOWN_ITEMS])))
    except Exception:  # of whatever kind: the value is of a class that is not ours
        text = f"<{type(value).__name__}>"
    return text if len(text) <= SHOWN else text[: SHOWN - 3] + "..."


class _Verbatim:
    """Words that stand for a value."""

    def __init__(self, words: str) -> None:
        self._words = words

    def __repr__(self) -> str:
        return self._words


def _abridged(value: Any, left: list[int], depth: int = 0) -> Any:
    """Return a plain value without what nobody will read, so that `repr` is quick and can be had.

    ``left`` counts down the items that may still come.
    """
    kind = type(value)
    if kind in (str, bytes):
        return value[:_SHOWN_TEXT]
    if kind is int and value.bit_length() > 1000:
        digits = int(value.bit_length() * math.log10(2)) + 1
        return _Verbatim(f"a whole number of about {digits} digits")
    if kind not in (list, tuple, dict):
        return value
    if depth > 20:
        return _Verbatim("...")
    items: list[Any] = []
    for item in islice(value.items() if kind is dict else value, left[0] + 1):
        if left[0] <= 0:
            break
        left[0] -= 1
        if kind is dict:
            items.append(tuple(_abridged(part, left, depth + 1) for part in item))
        else:
            items.append(_abridged(item, left, depth + 1))
    if kind is dict:
        return {_Verbatim(repr(key)): item for key, item in items}
    return kind(items)


def text_of(error: BaseException) -> str:
    """Return what an exception says as one printable line; its kind where it says nothing.

    The class may be anybody's: one whose text cannot be had is named by its kind.
    """
    try:
        return printable(str(error)) or printable(type(error).__name__)
    except Exception:
        return kind_and_text(error)


def kind_and_text(error: BaseException) -> str:
    """Return an exception's kind and what it says as one printable line: "ValueError: x"."""
    kind = printable(type(error).__name__)
    try:
        text = printable(str(error))
    except Exception:
        text = "its text cannot be had"
    return f"{kind}: {text}" if text else kind


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
        return printable(f"{self.field} = {shown(self.value)}: {self.problem}; {self.remedy}")


class CannotImport(ParameterError):
    """A class that a parameter names cannot be imported here, or may not be.

    Where its package is installed and allowed, the same parameters may be right.
    """


class ParameterErrors(ParameterError):
    """Everything that is wrong with one file, found at once.

    Parameters
    ----------
    errors : sequence of ParameterError
        At least one. The first one's field, value, problem and remedy are those of the whole.
    """

    def __init__(self, errors: Sequence[ParameterError]) -> None:
        first = errors[0]
        super().__init__(first.field, first.value, first.problem, first.remedy)
        self.errors = tuple(errors)

    def __str__(self) -> str:
        """Return a line for each."""
        return "\n".join(map(str, self.errors))


def raise_all(errors: Sequence[ParameterError]) -> None:
    """Raise errors that were collected: one as it is, several together; none: return."""
    if len(errors) == 1:
        raise errors[0]
    if errors:
        raise ParameterErrors(errors)


@contextmanager
def collecting(errors: list[ParameterError]) -> Iterator[None]:
    """Append what is refused inside to a list of errors, and go on behind it."""
    try:
        yield
    except ParameterErrors as several:
        errors += several.errors
    except ParameterError as error:
        errors.append(error)


def renamed(error: ParameterError, name: Callable[[str], str]) -> ParameterError:
    """Return an error, or several, with other names of the fields."""
    each = error.errors if isinstance(error, ParameterErrors) else (error,)
    new = [ParameterError(name(e.field), e.value, e.problem, e.remedy) for e in each]
    return new[0] if len(new) == 1 else ParameterErrors(new)


def are_right(errors: Iterable[ParameterError], *fields: str) -> bool:
    """Return whether no error that was collected is about one of some fields, or a part of it."""
    return not {first_name(error.field) for error in errors} & {*fields}


def first_name(field: str) -> str:
    """Return the first name of a field: "a" of "a.b" and of "a[0]"."""
    return field.partition(".")[0].partition("[")[0]


def use_one_of(name: Any, choices: Iterable[str]) -> str:
    """Return the remedy for a name that does not exist: the one that was meant, or all.

    Meant are also names that differ in capitals, and the only one with a name before it
    (``training.lr`` by ``lr``) or with one of several settings behind it (``accuracy[noisy]`` by
    ``accuracy``).
    """
    known, given = sorted(choices), str(name)[:100]
    meant = [each for each in known if each.lower() == given.lower()]
    meant += difflib.get_close_matches(given, known, n=1, cutoff=0.8)
    parts = [each for each in known if given and given in (each.split(".")[-1], each.split("[")[0])]
    if not meant and len(parts) <= MOST_MEANT:
        meant = [" or ".join(parts)] if parts else []
    return f"did you mean {meant[0]}?" if meant else f"use {', '.join(known) or 'none'}"


MOST_MEANT = 3  # names that one may stand for

# Problems that a value has whatever the other fields are.
WRONG_KINDS = {
    "is not a whole number", "is not a number", "is not finite", "is not true or false",
}  # fmt: skip
MAX_COUNT = 2**31 - 1  # what a column of whole numbers holds


def check_int(
    field: str, value: Any, minimum: int | None = None, maximum: int | None = None
) -> int:
    """Return ``value`` as an int, after checking that it is whole and in its range."""
    if isinstance(value, bool) or not isinstance(value, numbers.Integral):
        problem = "is not a whole number"
        raise ParameterError(field, value, problem, _as_number(value, "give a whole number"))
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
        problem = "is not a number"
        raise ParameterError(field, value, problem, _as_number(value, "give a number"))
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
        written = isinstance(value, str) and value.lower() in ("true", "false", "yes", "no")
        remedy = "give it without quotes" if written else "give true or false"
        raise ParameterError(field, value, "is not true or false", remedy)
    return bool(value)


def _as_number(value: Any, remedy: str) -> str:
    """Return how to write a number that was written as text, or as one with a fraction of 0."""
    if isinstance(value, float) and value.is_integer():
        return f"give {int(value)}" if abs(value) < 1e15 else remedy
    if isinstance(value, str):
        try:
            float(value)
        except ValueError:
            return remedy
        return "give it without quotes"
    return remedy


def check_choice(field: str, value: Any, choices: Sequence[Any]) -> Any:
    """Return that of ``choices`` which ``value`` is, a string of NumPy's too."""
    for choice in choices:
        text = isinstance(value, str) and isinstance(choice, str)
        if (text or type(value) is type(choice)) and value == choice:
            return choice
    raise ParameterError(
        field, value, "does not exist", f"use one of {', '.join(map(repr, choices))}"
    )
