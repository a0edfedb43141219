"""The jobs of a computed table: entered by one statement, taken, given back, failed, finished.

The queue is DataJoint's own jobs table of each computed table. A reserved job carries the number of
its worker in the column ``connection_id``. That number fences the job: whoever finishes it takes
its row away first, in the transaction that inserts the results, and only under his own number.
"""

from __future__ import annotations

import json
import platform
import random
import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import datajoint as dj
from datajoint.condition import AndList, Not
from datajoint.jobs import ERROR_MESSAGE_LENGTH

from ..database.server import jobs_now, transaction
from ..tables.hashing import parameter_hash
from ..transient.errors import is_transient
from .registry import Worker

Key = dict[str, Any]

# Jobs that are looked at together: workers choose among them at random.
CANDIDATES = 64
VERSION_LENGTH = 64
DECLARE_ATTEMPTS = 5
AGAIN_AT_ONCE = 500  # jobs that become pending again with one commit


def job_hash(key: Mapping[str, Any]) -> str:
    """Return the hash of a job's key."""
    return str(parameter_hash(key))


def key_of(value: Any) -> Key:
    """Return a key stored as JSON: the two servers give it back as text or as a dictionary."""
    return dict(json.loads(value) if isinstance(value, str | bytes) else value)


@dataclass(frozen=True)
class Queue:
    """The jobs of one computed table.

    All methods that change jobs take the connection to do it on: the worker's own, or the one of
    its heart.
    """

    table: Any

    @property
    def name(self) -> str:
        """The table's name."""
        return str(self.table.__name__)

    @cached_property
    def jobs(self) -> Any:
        """DataJoint's jobs table, declared where it is missing."""
        return self.table().jobs

    @cached_property
    def sql_name(self) -> str:
        """Quoted name of the jobs table."""
        return str(self.jobs.full_table_name)

    @cached_property
    def primary_key(self) -> tuple[str, ...]:
        """Names of the columns of a key."""
        return tuple(self.jobs.primary_key)

    # Which jobs there are ------------------------------------------------------------------------

    def enter(self, connection: dj.Connection, restriction: Sequence[Any] = ()) -> int:
        """Enter a job for each key that has neither a row nor a job; return how many are new.

        A job that was kept when it was done, and whose row was deleted since, is pending again.
        Jobs that wait for a key that has gone are removed.
        """
        table = self.table()
        source = table.key_source
        if restriction:
            source &= AndList(restriction)
        # The lineage of a jobs table is not that of its target: its attributes are matched by name.
        undone = source - table.proj()
        new = undone.restrict(Not(self.jobs), semantic_check=False).proj()
        columns = self._columns
        others = ", ".join(
            self._quoted(n) for n in ("status", "priority", "scheduled_time", "created_time")
        )
        priority = int(dj.config.jobs.default_priority)
        mysql = connection.adapter.backend == "mysql"
        # MySQL would wait for, and lock, the rows that it reads, were it not for the isolation that
        # `transaction` sets: those of jobs that are being inserted, for as long as that takes.
        with transaction(connection):
            entered = connection.query(
                f"INSERT {'IGNORE ' if mysql else ''}INTO {self.sql_name} ({columns}, {others}) "
                f"SELECT {columns}, 'pending', {priority}, {jobs_now(connection)}, "
                f"{jobs_now(connection)} "
                f"FROM ({new.make_sql()}) AS new_keys"
                f"{'' if mysql else ' ON CONFLICT DO NOTHING'}"
            ).rowcount
        self._remove_gone(connection)
        return max(int(entered), 0) + self._do_again(connection, undone.proj())

    def _do_again(self, connection: dj.Connection, undone: Any) -> int:
        """Make jobs pending that were done, and are among the keys without a row; return how many.

        Whoever has DataJoint's ``jobs.keep_completed`` keeps the jobs that are done; others, who
        may not have it, are to do them again too.
        """
        is_done = f"{self._quoted('status')}='success'"
        any_done = f"SELECT 1 FROM {self.sql_name} WHERE {is_done} LIMIT 1"
        if connection.query(any_done).fetchone() is None:
            return 0
        # Read in one statement: from one commit on a job is done and its row is there. Then key by
        # key, which waits for nobody's insert. Whoever takes a job that others have done again in
        # between finds its row, and lets it be.
        columns = self._columns
        rows = connection.query(
            f"SELECT {columns} FROM {self.sql_name} WHERE {is_done} "
            f"AND ({columns}) IN (SELECT {columns} FROM ({undone.make_sql()}) AS undone)"
        ).fetchall()
        times = ("reserved_time", "completed_time", "duration")
        emptied = ", ".join(f"{self._quoted(name)}=NULL" for name in times)
        update = (
            f"UPDATE {self.sql_name} SET {self._quoted('status')}='pending', {emptied}, "
            f"{self.entered_now(connection)} WHERE {is_done} AND "
        )
        number = 0
        for first in range(0, len(rows), AGAIN_AT_ONCE):
            with transaction(connection):
                for row in rows[first : first + AGAIN_AT_ONCE]:
                    where, arguments = self._where(dict(zip(self.primary_key, row, strict=True)))
                    number += connection.query(update + where, args=arguments).rowcount
        return int(number)

    def _remove_gone(self, connection: dj.Connection) -> None:
        gone = self.jobs.restrict(Not(self.table().key_source.proj()), semantic_check=False)
        gone &= "status in ('pending', 'error')"
        # Read first, which waits for nothing; then key by key, which locks nothing else.
        found = connection.query(f"SELECT {self._columns} FROM ({gone.make_sql()}) AS gone")
        for row in found.fetchall():
            where, arguments = self._where(dict(zip(self.primary_key, row, strict=True)))
            connection.query(
                f"DELETE FROM {self.sql_name} WHERE {where} "
                f"AND {self._quoted('status')} IN ('pending', 'error')",
                args=arguments,
            )

    def candidates(
        self, connection: dj.Connection, restriction: Sequence[Any] = (), first: int = 0
    ) -> list[Key]:
        """Return keys of jobs that may be taken, some in the order of their priority, shuffled."""
        rows = connection.query(
            f"SELECT {self._columns} FROM {self.sql_name} WHERE {self.is_pending(restriction)} "
            f"ORDER BY {self._quoted('priority')}, {self._quoted('scheduled_time')} "
            f"LIMIT {CANDIDATES} OFFSET {int(first)}"
        ).fetchall()
        keys = [dict(zip(self.primary_key, row, strict=True)) for row in rows]
        random.shuffle(keys)
        return keys

    def n_pending(self, connection: dj.Connection, restriction: Sequence[Any] = ()) -> int:
        """Return the number of jobs that may be taken."""
        query = f"SELECT COUNT(*) FROM {self.sql_name} WHERE {self.is_pending(restriction)}"
        return int(connection.query(query).fetchone()[0])

    def n_running(
        self, connection: dj.Connection, condition: str, restriction: Sequence[Any] = ()
    ) -> int:
        """Return the number of jobs whose worker, ``w``, satisfies a condition in SQL."""
        return int(
            connection.query(
                f"SELECT COUNT(*) FROM {self.sql_name} AS j JOIN {Worker.full_table_name} AS w "
                f"ON w.worker_id = j.{self._quoted('connection_id')} "
                f"WHERE j.{self._quoted('status')}='reserved' AND {condition}"
                f"{self._is_wanted(restriction)}"
            ).fetchone()[0]
        )

    def is_pending(self, restriction: Sequence[Any] = ()) -> str:
        """Return the SQL condition of jobs that may be taken."""
        scheduled, created = self._quoted("scheduled_time"), self._quoted("created_time")
        # One that is not to wait may be taken also where the server's clock was set back since.
        return (
            f"{self._quoted('status')}='pending' AND ({scheduled} <= "
            f"{jobs_now(self.jobs.connection)} OR {scheduled} <= {created})"
            f"{self._is_wanted(restriction)}"
        )

    def entered_now(self, connection: dj.Connection) -> str:
        """Return the SQL assignments of a job that is pending from now on, without a delay."""
        return ", ".join(
            f"{self._quoted(name)}={jobs_now(connection)}"
            for name in ("scheduled_time", "created_time")
        )

    def _is_wanted(self, restriction: Sequence[Any]) -> str:
        if not restriction:
            return ""
        columns = self._columns
        wanted = (self.table().key_source & AndList(restriction)).proj()
        return f" AND ({columns}) IN (SELECT {columns} FROM ({wanted.make_sql()}) AS wanted)"

    # One job -------------------------------------------------------------------------------------

    def take(
        self, connection: dj.Connection, key: Key, worker_id: int, version: str, pid: int
    ) -> bool:
        """Reserve a pending job; return whether it is ours."""
        values = {
            "status": "reserved",
            "host": platform.node()[:255],
            "pid": pid,
            "connection_id": worker_id,
            "user": str(connection.conn_info["user"])[:255],
            "version": version[:VERSION_LENGTH],
        }
        assignments = ", ".join(f"{self._quoted(name)}=%s" for name in values)
        where, arguments = self._where(key)
        taken = connection.query(
            f"UPDATE {self.sql_name} SET {assignments}, {self._quoted('reserved_time')}="
            f"{jobs_now(connection)} WHERE {where} AND {self._quoted('status')}='pending'",
            args=(*values.values(), *arguments),
        ).rowcount
        # After a reconnection the statement may have been done twice: then the first one took it.
        return bool(taken == 1) or self.is_held(connection, key, worker_id)

    def is_held(self, connection: dj.Connection, key: Key, worker_id: int) -> bool:
        """Return whether a worker has reserved a job."""
        where, arguments = self._held(key, worker_id)
        query = f"SELECT COUNT(*) FROM {self.sql_name} WHERE {where}"
        return bool(connection.query(query, args=arguments).fetchone()[0])

    def finish(self, connection: dj.Connection, key: Key, worker_id: int) -> bool:
        """Take a worker's job away because it is done; return whether it was still that worker's.

        Inside a transaction nobody else can have the job from here until its end.
        """
        where, arguments = self._held(key, worker_id)
        if dj.config.jobs.keep_completed:
            query = (
                f"UPDATE {self.sql_name} SET {self._quoted('status')}='success', "
                f"{self._quoted('completed_time')}={jobs_now(connection)} WHERE {where}"
            )
        else:
            query = f"DELETE FROM {self.sql_name} WHERE {where}"
        return bool(connection.query(query, args=arguments).rowcount == 1)

    def give_back(self, connection: dj.Connection, key: Key, worker_id: int) -> bool:
        """Make a worker's job pending again; return whether it was that worker's."""
        where, arguments = self._held(key, worker_id)
        return bool(
            connection.query(
                f"UPDATE {self.sql_name} SET {self._quoted('status')}='pending', "
                f"{self._quoted('reserved_time')}=NULL WHERE {where}",
                args=arguments,
            ).rowcount
            == 1
        )

    def fail(
        self, connection: dj.Connection, key: Key, worker_id: int, message: str, stack: str
    ) -> bool:
        """Record why a worker's job failed; return whether it was still that worker's."""
        packed = dj.blob.pack(stack)
        values = {
            "status": "error",
            "error_message": message[:ERROR_MESSAGE_LENGTH],
            "error_stack": packed,
        }
        assignments = ", ".join(f"{self._quoted(name)}=%s" for name in values)
        where, arguments = self._held(key, worker_id)
        return bool(
            connection.query(
                f"UPDATE {self.sql_name} SET {assignments}, {self._quoted('completed_time')}="
                f"{jobs_now(connection)} WHERE {where}",
                args=(*values.values(), *arguments),
            ).rowcount
            == 1
        )

    def give_back_all(self, connection: dj.Connection, worker_id: int) -> int:
        """Make all jobs of a worker pending again; return how many."""
        return int(
            connection.query(
                f"UPDATE {self.sql_name} SET {self._quoted('status')}='pending', "
                f"{self._quoted('reserved_time')}=NULL WHERE {self._quoted('status')}='reserved' "
                f"AND {self._quoted('connection_id')}=%s",
                args=(worker_id,),
            ).rowcount
        )

    def prepare(self) -> None:
        """Declare and look up all that is asked of the jobs table, on the table's connection.

        Later another thread asks, and the connection is not for two at a time.
        """
        for attempt in range(1, DECLARE_ATTEMPTS + 1):
            try:
                assert self.sql_name and self.primary_key
                return
            except Exception as error:
                # Where others declare it at this moment, PostgreSQL says of this and that, the
                # table, its type, its index, that it exists already.
                if is_transient(error) or attempt == DECLARE_ATTEMPTS:
                    raise
                time.sleep(random.uniform(0.05, 0.5))

    def has_failed(self, connection: dj.Connection, worker_ids: Collection[int]) -> bool:
        """Return whether a job failed that one of these workers had last."""
        numbers = ", ".join(str(int(number)) for number in worker_ids) or "0"
        query = (
            f"SELECT 1 FROM {self.sql_name} WHERE {self._quoted('status')}='error' "
            f"AND {self._quoted('connection_id')} IN ({numbers}) LIMIT 1"
        )
        return connection.query(query).fetchone() is not None

    def lock(self, connection: dj.Connection, key: Key, worker_id: int) -> bool:
        """Lock a worker's job inside a transaction; return False where it is locked already."""
        where, arguments = self._held(key, worker_id)
        query = f"SELECT 1 FROM {self.sql_name} WHERE {where} FOR UPDATE SKIP LOCKED"
        return connection.query(query, args=arguments).fetchone() is not None

    # Inside --------------------------------------------------------------------------------------

    def _quoted(self, name: str) -> str:
        return str(self.jobs.adapter.quote_identifier(name))

    @property
    def _columns(self) -> str:
        return ", ".join(self._quoted(name) for name in self.primary_key)

    def _where(self, key: Key) -> tuple[str, tuple[Any, ...]]:
        return " AND ".join(f"{self._quoted(n)}=%s" for n in self.primary_key), tuple(
            key[n] for n in self.primary_key
        )

    def _held(self, key: Key, worker_id: int) -> tuple[str, tuple[Any, ...]]:
        where, arguments = self._where(key)
        where += f" AND {self._quoted('status')}='reserved' AND {self._quoted('connection_id')}=%s"
        return where, (*arguments, worker_id)


def with_pending_jobs(
    connection: dj.Connection, queues: Sequence[Queue], restriction: Sequence[Any] = ()
) -> list[Queue]:
    """Return those queues that have a job that may be taken, found with one query."""
    exist = " UNION ALL ".join(
        f"(SELECT {i} FROM {queue.sql_name} WHERE {queue.is_pending(restriction)} LIMIT 1)"
        for i, queue in enumerate(queues)
    )
    if not exist:
        return []
    return [queues[int(i)] for (i,) in sorted(connection.query(exist).fetchall())]
