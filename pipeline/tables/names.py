"""Names of classes and functions in rows: one for each, however it is imported."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import datajoint as dj

from tasks_lib.errors import ParameterError
from tasks_lib.imports import one_name

from ..database.types import Query

Defined = Callable[[str], str]  # name -> the name of the definition


def the_name(name: str, defined: Defined) -> str:
    """Return the one name of what a name leads to, as rows have it."""
    return one_name(name, defined(name))


def other_names(name: str, stored: Iterable[Any], defined: Defined) -> list[str]:
    """Return the names among stored ones that lead to the same object by another path.

    Parameters
    ----------
    name : str
        The one name.
    stored : iterable
        What rows have. A name that leads nowhere here is another.
    defined : callable
    """
    own = defined(name)
    others = []
    for other in sorted({o for o in stored if isinstance(o, str) and o != name}):
        # A short name leads to nothing but itself.
        if other == own or (":" in other and _defined(other, defined) == own):
            others.append(other)
    return others


def given_names(query: Query, column: str) -> list[str]:
    """Return the different texts in a column."""
    return [str(name) for name in (dj.U(column) & query).to_arrays(column)]


def _defined(name: str, defined: Defined) -> str | None:
    try:
        return defined(name)
    except ParameterError:  # it cannot be imported here, or may not be
        return None
