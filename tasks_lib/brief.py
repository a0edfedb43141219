"""Results that show themselves in a few lines, and as a table in notebooks."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sized
from dataclasses import fields
from html import escape
from typing import Any, TypeVar

import numpy as np

Result = TypeVar("Result")
WIDTH = 88  # characters of a line
MOST_LETTERS = 60  # of one value
MOST_ENTRIES = 4  # of an array, a list or a mapping whose values are shown


def brief(cls: type[Result]) -> type[Result]:
    """Let a dataclass show itself briefly: its values, of arrays and long lists their sizes.

    To be written above ``@dataclass``.
    """
    cls.__repr__ = _text  # type: ignore[method-assign]
    cls._repr_html_ = _table  # type: ignore[attr-defined]
    return cls


def brief_value(value: Any) -> str:
    """Return a value as a short text, whatever it is."""
    if value is None or isinstance(value, bool | int | np.bool_ | np.integer):
        return str(value)
    if isinstance(value, float | np.floating):
        return f"{value:.4g}"
    if isinstance(value, str):
        return _cut(repr(value))
    if isinstance(value, np.ndarray):
        return _array(value)
    if isinstance(shape := getattr(value, "shape", None), tuple):  # it may lie in a file
        return f"array {tuple(shape)}"
    if isinstance(value, Mapping):
        if len(value) > MOST_ENTRIES:
            return f"{len(value)} entries"
        each = (f"{_name(key)}: {brief_value(inner)}" for key, inner in value.items())
        return _fitting("{" + ", ".join(each) + "}", f"{len(value)} entries")
    if isinstance(value, list | tuple | set | frozenset):
        counted = f"{len(value)} {_kinds(value)}"
        if len(value) > MOST_ENTRIES or any(_is_brief(each) for each in value):
            return counted
        return _fitting(f"[{', '.join(map(brief_value, value))}]", counted)
    if _is_brief(value):
        return f"{type(value).__name__}(...)"
    return _cut(" ".join(repr(value).split()))


def _name(key: Any) -> str:
    return key if isinstance(key, str) and key.isprintable() else repr(key)


def _is_brief(value: Any) -> bool:
    return getattr(type(value), "_repr_html_", None) is _table


def _array(array: np.ndarray[Any, Any]) -> str:
    if array.ndim == 0:
        return brief_value(array.item())
    if array.ndim == 1 and 0 < array.size <= MOST_ENTRIES:
        return f"[{', '.join(brief_value(each) for each in array.tolist())}]"
    return f"array {array.shape}"


def _kinds(values: Sized) -> str:
    """Return what a collection holds, in the plural but for one."""
    kinds = {type(each).__name__ for each in values}  # type: ignore[attr-defined]
    name = kinds.pop() if len(kinds) == 1 else "value"
    if name in ("int", "float", "str", "tuple", "list", "dict", "ndarray"):
        name = "value"
    return name if len(values) == 1 else f"{name}s"


def _cut(text: str) -> str:
    return text if len(text) <= MOST_LETTERS else f"{text[: MOST_LETTERS - 3]}..."


def _fitting(text: str, else_this: str) -> str:
    return text if len(text) <= MOST_LETTERS else else_this


def _shown(result: Any) -> list[tuple[str, str]]:
    names = [field.name for field in fields(result) if not field.name.startswith("_")]
    return [(name, brief_value(getattr(result, name))) for name in names]


def _text(result: Any) -> str:
    """Return the result in a few lines."""
    values = ", ".join(f"{name}={value}" for name, value in _shown(result))
    whole = f"{type(result).__name__}({values})"
    return "\n".join(textwrap.wrap(whole, WIDTH, subsequent_indent="  ", break_long_words=False))


def _table(result: Any) -> str:
    """Return the result as a table, for notebooks."""
    rows = "".join(
        f"<tr><th style='text-align: left'>{escape(name)}</th>"
        f"<td style='text-align: left'>{escape(value)}</td></tr>"
        for name, value in _shown(result)
    )
    return f"<table><caption>{escape(type(result).__name__)}</caption>{rows}</table>"
