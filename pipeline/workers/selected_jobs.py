"""The next job of a selection, found quickly wherever it stands in the queue.

The index of a jobs table is in the order in which jobs are taken. Where many are pending and few of
them are chosen, looking along it takes seconds; where most are chosen, looking up all of them does.
So the first jobs of the queue are looked at, then the chosen ones; what is found is kept for a
short while.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

import datajoint as dj

from ..database.dialects import dialect_of
from ..database.server import transaction
from ..tables.selections import Chosen
from .job_table import Key, Sets
from .queue import Queue

LOOKED_AT = 500  # jobs at the beginning of the queue
KEPT = 100  # jobs that are found at once
KEPT_SECONDS = 5.0  # for which others do not come before them


@dataclass
class SelectedJobs:
    """The jobs of one queue that belong to a selection.

    Parameters
    ----------
    queue : Queue
    restriction : sequence of Selection or restrictions
    """

    queue: Queue
    restriction: Sequence[Chosen]
    _keys: deque[Key] = field(default_factory=deque, init=False)
    _found_at: float = field(default=0.0, init=False)

    def take_next(
        self, connection: dj.Connection, worker_id: int, version: str, pid: int, excluded: Sets
    ) -> Key | None:
        """Reserve the first pending job that no other worker is taking; return its key, or None."""
        if time.monotonic() - self._found_at > KEPT_SECONDS:
            self._keys.clear()
        for is_new in (False, True):
            if is_new:
                self._keys.extend(self.first(connection, KEPT, excluded))
                self._found_at = time.monotonic()
            while self._keys:
                key = self._keys.popleft()
                if any(key.get(column) in names for column, names in excluded.items()):
                    continue
                with transaction(connection):
                    if self.queue.lock_pending(connection, key) and self.queue.take(
                        connection, key, worker_id, version, pid
                    ):
                        return key
        return None

    def first(self, connection: dj.Connection, number: int, excluded: Sets) -> list[Key]:
        """Return the keys of so many pending jobs, in the order in which they are to be taken."""
        queue = self.queue
        order = f"{queue.quoted('priority')}, {queue.quoted('scheduled_time')}"
        end = f"ORDER BY {order} LIMIT {number}"
        chosen = f"{queue.is_wanted(self.restriction)}{queue.is_of_none(excluded)}"
        columns = f"{queue.columns}, {order}"
        all_of = f"SELECT {columns} FROM {queue.sql_name} WHERE {queue.is_pending()}"
        begin, hint = dialect_of(connection).computed_first("chosen")
        for query in (
            f"SELECT {queue.columns} FROM ({all_of} ORDER BY {order} LIMIT {LOOKED_AT}) AS "
            f"beginning WHERE TRUE{chosen} {end}",
            f"{begin} ({all_of}{chosen}) SELECT {hint}{queue.columns} FROM chosen {end}",
        ):
            if rows := connection.query(query).fetchall():
                return [dict(zip(queue.primary_key, row, strict=True)) for row in rows]
        return []
