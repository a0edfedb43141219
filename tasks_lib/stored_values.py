"""Values that earlier versions stored, which stay readable where they are refused by now."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_as_stored: ContextVar[bool] = ContextVar("as_stored", default=False)


@contextmanager
def as_stored() -> Iterator[None]:
    """Make tasks and settings as rows have them, with values that cannot be entered any more."""
    token = _as_stored.set(True)
    try:
        yield
    finally:
        _as_stored.reset(token)


def are_stored() -> bool:
    """Return whether values come from rows, and not from a user."""
    return _as_stored.get()
