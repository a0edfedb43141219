"""How far the pipeline is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from .computed import COMPUTED


@dataclass(frozen=True)
class TableStatus:
    """Rows of one table: done, to be done, being done, failed."""

    table: str
    done: int
    pending: int
    running: int
    failed: int


def table_status(tables: Sequence[Any] = COMPUTED) -> list[TableStatus]:
    """Count the keys of each computed table."""
    result = []
    for table in tables:
        instance = table()
        remaining, total = instance.progress(display=False)
        # A job whose row has come in meanwhile is neither running nor failed.
        left = instance.key_source - instance.proj()
        running = len(left & (instance.jobs & {"status": "reserved"}).keys())
        failed = len(left & (instance.jobs & {"status": "error"}).keys())
        pending = max(remaining - running - failed, 0)
        result.append(TableStatus(table.__name__, total - remaining, pending, running, failed))
    return result
