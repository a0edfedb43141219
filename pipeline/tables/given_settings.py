"""Settings by the names of their fields, as callers give them, and command lines as texts."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from models.parameters import parameters_of
from tasks_lib.errors import ParameterError, use_one_of


def check_fields(config: type[Any], given: Iterable[tuple[str, Any]], unknown: str) -> None:
    """Refuse a field that settings do not have.

    Parameters
    ----------
    config : dataclass of `models.parameters`
    given : iterable of tuple
        Field and value of each.
    unknown : str
        What is said of a field that there is not.

    Raises
    ------
    ParameterError
    """
    known = list(parameters_of(config))
    for field, value in given:
        if field not in known:
            raise ParameterError(field, value, unknown, use_one_of(field, known))


def settings_from_texts(
    config: type[Any], given: Iterable[tuple[str, str]], unknown: str, unreadable: str
) -> dict[str, Any]:
    """Return the values of settings that a command line has as texts.

    A mapping is written as ``column:field,column:field``.

    Parameters
    ----------
    config, given, unknown
        As of `check_fields`.
    unreadable : str
        What is said of a text that is no value of its field.

    Raises
    ------
    ParameterError
        For a field that there is not, and a text that is no value of it.
    """
    known = parameters_of(config)
    found: dict[str, Any] = {}
    for field, text in given:
        check_fields(config, [(field, text)], unknown)
        kind = known[field].kind
        try:
            found[field] = _READ.get(kind, str)(text)
        except (ValueError, KeyError):
            wanted = _WANTED.get(kind, f"a {kind} one")
            raise ParameterError(field, text, unreadable, f"write {wanted}") from None
    return found


def _mapping(text: str) -> dict[str, str]:
    pairs = [each.split(":") for each in text.split(",")]
    return {column.strip(): field.strip() for column, field in pairs}


_READ: dict[str, Any] = {
    "whole": int,
    "number": float,
    "flag": lambda text: {"true": True, "false": False}[text.lower()],
    "mapping": _mapping,
}
_WANTED = {"mapping": "column:field pairs", "flag": "true or false"}
