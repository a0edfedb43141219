"""Which of DataJoint's log messages a user sees."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

LOGGER = logging.getLogger("datajoint")
# Of its tables: what a delete or a drop would take with it, and has taken. Who is asked whether to
# commit decides by this list.
SHOWN = {"delete", "drop", "drop_quick"}


class _Deletions(logging.Filter):
    """Lets errors through, and the lists of what is deleted.

    The rest is about DataJoint's own tables (native types in the jobs tables), or said by
    `connect` in its own words.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        """Return whether a message is shown."""
        return record.levelno >= logging.ERROR or record.funcName in SHOWN


_filter = _Deletions()


def limit_log() -> None:
    """Show of DataJoint's messages only errors, and the lists of what is deleted."""
    if _filter not in LOGGER.filters:
        LOGGER.addFilter(_filter)


@contextmanager
def deleting_quietly() -> Iterator[None]:
    """Show no lists inside: who deletes has shown its own."""
    level = LOGGER.level
    LOGGER.setLevel(logging.ERROR)
    try:
        yield
    finally:
        LOGGER.setLevel(level)
