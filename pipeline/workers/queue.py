"""The jobs of a computed table: taken, given back, failed, finished.

The queue is DataJoint's own jobs table of each computed table. A reserved job carries the number of
its worker in the column ``connection_id``. That number fences the job: the worker that finishes it
removes its row first, in the transaction that inserts the results, and only under its own number.
"""

from __future__ import annotations

import json
import platform
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from types import MappingProxyType
from typing import Any

import datajoint as dj
from datajoint.jobs import ERROR_MESSAGE_LENGTH

from ..database.server import transaction
from ..database.types import Job
from ..tables.hashing import parameter_hash
from ..tables.selections import Chosen
from .entering import EnteredJobs
from .job_table import Key, Sets, with_a_row
from .registry import Worker
from .worker_sql import reset_losses

VERSION_LENGTH = 64
# What is asked of a dead worker's row before its job is given back.
WORKER_COLUMNS = ("worker_id", "state", "note", "host", "pid", "session_id", "job_table",
                  "job_key", "first_iteration")  # fmt: skip


def job_hash(key: Mapping[str, Any]) -> str:
    """Return the hash of a job's key."""
    return str(parameter_hash(key))


def key_of(value: Any) -> Key:
    """Return a key stored as JSON: the two servers give it back as text or as a dictionary."""
    return dict(json.loads(value) if isinstance(value, str | bytes) else value)


@dataclass(frozen=True)
class Queue(EnteredJobs):
    """The jobs of one computed table: entered, counted, taken, given back, failed and finished.

    All methods take the connection to do it on: the worker's own, or the one of its heartbeat.
    """

    # Which jobs there are ------------------------------------------------------------------------

    def n_pending(self, connection: dj.Connection, restriction: Sequence[Chosen] = ()) -> int:
        """Return the number of jobs that may be taken."""
        query = f"SELECT COUNT(*) FROM {self.sql_name} WHERE {self.is_pending(restriction)}"
        return int(connection.query(query).fetchone()[0])

    def n_pending_of(
        self, connection: dj.Connection, sets: Sets, restriction: Sequence[Chosen] = ()
    ) -> list[tuple[Key, int]]:
        """Return how many jobs that may be taken need which of some parameter sets."""
        columns = [name for name in sets if name in self.primary_key]
        if not columns:
            return []
        named = ", ".join(self.quoted(name) for name in columns)
        rows = connection.query(
            f"SELECT {named}, COUNT(*) FROM {self.sql_name} "
            f"WHERE {self.is_pending(restriction)} AND {self.is_of_any(sets)} GROUP BY {named}"
        ).fetchall()
        return [(dict(zip(columns, row, strict=False)), int(row[-1])) for row in rows]

    # One job -------------------------------------------------------------------------------------

    def take_next(
        self, connection: dj.Connection, worker_id: int, version: str, pid: int,
        restriction: Sequence[Chosen] = (), excluded: Sets = MappingProxyType({}),
    ) -> Key | None:  # fmt: skip
        """Reserve the first pending job that no other worker is taking; return its key, or None.

        In the order of priority, then of the time for which it was scheduled. Jobs that others are
        taking at this moment are passed over, not waited for: None may be returned although such a
        job stays pending.
        """
        with transaction(connection):
            row = connection.query(self.next_pending(restriction, excluded)).fetchone()
            if row is None:
                return None
            key = dict(zip(self.primary_key, row, strict=True))
            return key if self.take(connection, key, worker_id, version, pid) else None

    def next_pending(
        self, restriction: Sequence[Chosen] = (), excluded: Sets = MappingProxyType({})
    ) -> str:
        """Return the query that finds the next pending job, and locks its row."""
        return (
            f"SELECT {self._jobs_first}{self.columns} FROM {self.sql_name} "
            f"WHERE {self.is_pending(restriction)}{self.is_of_none(excluded)} "
            f"ORDER BY {self.quoted('priority')}, {self.quoted('scheduled_time')} "
            "LIMIT 1 FOR UPDATE SKIP LOCKED"
        )

    @property
    def _jobs_first(self) -> str:
        """Hints that have MySQL read the jobs first, in the order of their index.

        Otherwise it may sort, as it does with few rows or where it reads the tables of a
        restriction first, and would lock every job that it has read.
        """
        table = self.sql_name.rpartition(".")[2]
        return f"/*+ JOIN_PREFIX({table}) INDEX({table} {self.quoted('status')}) */ "

    def pending_with(
        self, connection: dj.Connection, key: Key, sets: Sets, restriction: Sequence[Chosen],
        excluded: Sets, limit: int,
    ) -> list[Key]:  # fmt: skip
        """Return the keys of pending jobs of some parameter sets, in their order.

        They have the priority of a key's own job. Nothing is locked: others may take them.
        """
        where, arguments = self.where_key(key)
        priority = f"(SELECT {self.quoted('priority')} FROM {self.sql_name} WHERE {where})"
        rows = connection.query(
            f"SELECT {self._jobs_first}{self.columns} FROM {self.sql_name} "
            f"WHERE {self.is_pending(restriction)}{self.is_of_none(excluded)}"
            f"{self.is_of_all(sets)} AND {self.quoted('priority')}={priority} "
            f"ORDER BY {self.quoted('scheduled_time')} LIMIT {int(limit)}",
            args=arguments,
        ).fetchall()
        return [dict(zip(self.primary_key, row, strict=True)) for row in rows]

    def take_some(
        self, connection: dj.Connection, keys: Sequence[Key], worker_id: int, version: str, pid: int
    ) -> list[Key]:
        """Reserve those of some pending jobs that no other worker is taking; return their keys.

        Those too that an earlier call has reserved, whose answer was lost.
        """
        if not keys:
            return []
        status = self.quoted("status")
        each = "(" + ", ".join(["%s"] * len(self.primary_key)) + ")"
        query = (
            f"SELECT {self.columns} FROM {self.sql_name} "
            f"WHERE ({self.columns}) IN ({', '.join([each] * len(keys))}) AND ({status}='pending' "
            f"OR ({status}='reserved' AND {self.quoted('connection_id')}=%s)) "
            "FOR UPDATE SKIP LOCKED"
        )
        values = [key[name] for key in keys for name in self.primary_key]
        with transaction(connection):
            rows = connection.query(query, args=(*values, worker_id)).fetchall()
            free = {tuple(row) for row in rows}
            chosen = [key for key in keys if tuple(key[n] for n in self.primary_key) in free]
            return [k for k in chosen if self.take(connection, k, worker_id, version, pid)]

    def take(
        self, connection: dj.Connection, key: Key, worker_id: int, version: str, pid: int
    ) -> bool:
        """Reserve a pending job by its key; return whether this worker has it now."""
        values = {
            "status": "reserved",
            "host": platform.node()[:255],
            "pid": pid,
            "connection_id": worker_id,
            "user": str(connection.conn_info["user"])[:255],
            "version": version[:VERSION_LENGTH],
        }
        assignments = ", ".join(f"{self.quoted(name)}=%s" for name in values)
        where, arguments = self.where_key(key)
        taken = connection.query(
            f"UPDATE {self.sql_name} SET {assignments}, {self.quoted('reserved_time')}="
            f"{self.dialect.jobs_now} WHERE {where} AND {self.quoted('status')}='pending'",
            args=(*values.values(), *arguments),
        ).rowcount
        # After a reconnection the statement may have been done twice: then the first one took it.
        return bool(taken == 1) or self.is_held(connection, key, worker_id)

    def lock_pending(self, connection: dj.Connection, key: Key) -> bool:
        """Lock a job inside a transaction, where it may be taken and nobody is taking it."""
        where, arguments = self.where_key(key)
        query = (
            f"SELECT 1 FROM {self.sql_name} WHERE {where} AND {self.is_pending()} "
            "FOR UPDATE SKIP LOCKED"
        )
        return connection.query(query, args=arguments).fetchone() is not None

    def is_held(self, connection: dj.Connection, key: Key, worker_id: int) -> bool:
        """Return whether a worker has reserved a job."""
        where, arguments = self.where_held(key, worker_id)
        query = f"SELECT COUNT(*) FROM {self.sql_name} WHERE {where}"
        return bool(connection.query(query, args=arguments).fetchone()[0])

    def _wanted_keys(self) -> str:
        return str(self.table().key_source.proj().make_sql())

    @cached_property
    def _kept_keys(self) -> str:
        return self._wanted_keys()

    def wanted_key(self, key: Key) -> tuple[str, tuple[Any, ...]]:
        """Return the query that has a row where a key is to be computed, and its arguments.

        To be called on the table's own connection; any may ask it.
        """
        where, arguments = self.where_key(key)
        wanted = self._kept_keys if self.has_constant_keys else self._wanted_keys()
        return f"SELECT 1 FROM ({wanted}) AS wanted WHERE {where} LIMIT 1", arguments

    def remove(self, connection: dj.Connection, key: Key, worker_id: int) -> None:
        """Remove a worker's job whose key has gone."""
        where, arguments = self.where_held(key, worker_id)
        connection.query(f"DELETE FROM {self.sql_name} WHERE {where}", args=arguments)

    def is_there(self, connection: dj.Connection, key: Key) -> bool:
        """Return whether there is a job of a key, whoever has it."""
        where, arguments = self.where_key(key)
        query = f"SELECT COUNT(*) FROM {self.sql_name} WHERE {where}"
        return bool(connection.query(query, args=arguments).fetchone()[0])

    def finish(self, connection: dj.Connection, key: Key, worker_id: int) -> bool:
        """Remove a worker's job because it is done; return whether it was still that worker's.

        Inside a transaction nobody else can have the job from here until its end.
        """
        where, arguments = self.where_held(key, worker_id)
        if dj.config.jobs.keep_completed:
            query = (
                f"UPDATE {self.sql_name} SET {self.quoted('status')}='success', "
                f"{self.quoted('completed_time')}={self.dialect.jobs_now} WHERE {where}"
            )
        else:
            query = f"DELETE FROM {self.sql_name} WHERE {where}"
        return bool(connection.query(query, args=arguments).rowcount == 1)

    def give_back(self, connection: dj.Connection, key: Key, worker_id: int) -> bool:
        """Make a worker's job pending again; return whether it was that worker's."""
        where, arguments = self.where_held(key, worker_id)
        return bool(
            connection.query(
                f"UPDATE {self.sql_name} SET {self.quoted('status')}='pending', "
                f"{self.quoted('reserved_time')}=NULL WHERE {where}",
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
        assignments = ", ".join(f"{self.quoted(name)}=%s" for name in values)
        where, arguments = self.where_held(key, worker_id)
        return bool(
            connection.query(
                f"UPDATE {self.sql_name} SET {assignments}, {self.quoted('completed_time')}="
                f"{self.dialect.jobs_now} WHERE {where}",
                args=(*values.values(), *arguments),
            ).rowcount
            == 1
        )

    def give_back_all(self, connection: dj.Connection, worker_id: int) -> int:
        """Make all jobs of a worker pending again; return how many."""
        return int(
            connection.query(
                f"UPDATE {self.sql_name} SET {self.quoted('status')}='pending', "
                f"{self.quoted('reserved_time')}=NULL WHERE {self.quoted('status')}='reserved' "
                f"AND {self.quoted('connection_id')}=%s",
                args=(worker_id,),
            ).rowcount
        )

    def has_failed(self, connection: dj.Connection, worker_ids: Collection[int]) -> bool:
        """Return whether a job failed whose last worker was one of these."""
        numbers = ", ".join(str(int(number)) for number in worker_ids) or "0"
        query = (
            f"SELECT 1 FROM {self.sql_name} WHERE {self.quoted('status')}='error' "
            f"AND {self.quoted('connection_id')} IN ({numbers}) LIMIT 1"
        )
        return connection.query(query).fetchone() is not None

    def put_back(self, connection: dj.Connection, jobs: Job, error: str | None = None) -> int:
        """Make jobs pending again, as if they had never failed; return how many.

        Parameters
        ----------
        jobs : query
            Of the jobs table.
        error : str, optional
            Only jobs whose error contains this, in capitals or not.
        """
        where = jobs.where_clause()
        arguments: tuple[str, ...] = ()
        if error is not None:
            where += f" AND LOWER({self.quoted('error_message')}) LIKE %s ESCAPE '!'"
            arguments = (f"%{_literally(error.lower())}%",)
        empty = {"reserved_time": "NULL", "completed_time": "NULL", "error_message": "''",
                 "error_stack": "NULL"}  # fmt: skip
        assignments = ", ".join(f"{self.quoted(name)}={value}" for name, value in empty.items())
        with transaction(connection):
            rows = connection.query(
                f"SELECT {self.columns} FROM {self.sql_name}{where}", args=arguments
            ).fetchall()
            keys = [dict(zip(self.primary_key, row, strict=True)) for row in rows]
            if not keys:
                return 0
            reset_losses(connection, self.name, {job_hash(key) for key in keys})
            return int(
                connection.query(
                    f"UPDATE {self.sql_name} SET {self.quoted('status')}='pending', {assignments}, "
                    f"{self.entered_now()}{where}",
                    args=arguments,
                ).rowcount
            )

    def jobs_of_dead_workers(self, connection: dj.Connection) -> list[dict[str, Any]]:
        """Return each job whose worker is lost or has ended, with ``worker``, the row of that."""
        columns = [f"w.{self.quoted(name)}" for name in WORKER_COLUMNS]
        columns += [f"j.{self.quoted(name)}" for name in self.primary_key]
        rows = connection.query(
            f"SELECT {', '.join(columns)} FROM {self.jobs_with_workers} "
            f"AND w.{self.quoted('state')} IN ('lost', 'ended')"
        ).fetchall()
        n_columns = len(WORKER_COLUMNS)
        return [
            {
                "worker": dict(zip(WORKER_COLUMNS, row[:n_columns], strict=True)),
                "key": dict(zip(self.primary_key, row[n_columns:], strict=True)),
            }
            for row in rows
        ]

    @property
    def jobs_with_workers(self) -> str:
        """Reserved jobs ``j``, each with the worker ``w`` that has it."""
        return (
            f"{self.sql_name} AS j JOIN {Worker.full_table_name} AS w "
            f"ON w.worker_id = j.{self.quoted('connection_id')} "
            f"WHERE j.{self.quoted('status')}='reserved'"
        )

    def lock(self, connection: dj.Connection, key: Key, worker_id: int) -> bool:
        """Lock a worker's job inside a transaction; return False where it is locked already."""
        where, arguments = self.where_held(key, worker_id)
        query = f"SELECT 1 FROM {self.sql_name} WHERE {where} FOR UPDATE SKIP LOCKED"
        return connection.query(query, args=arguments).fetchone() is not None


def with_pending_jobs(
    connection: dj.Connection,
    queues: Sequence[Queue],
    restriction: Sequence[Chosen] = (),
    excluded: Sets = MappingProxyType({}),
) -> list[Queue]:
    """Return those queues that have a job that may be taken, found with one query."""
    return with_a_row(connection, queues, lambda queue: (
        f"FROM {queue.sql_name} WHERE {queue.is_pending(restriction)}{queue.is_of_none(excluded)}"
    ))  # fmt: skip


def with_running_jobs(
    connection: dj.Connection,
    queues: Sequence[Queue],
    condition: str,
    restriction: Sequence[Chosen] = (),
) -> list[Queue]:
    """Return those queues that have a job whose worker, ``w``, satisfies a condition in SQL."""
    return with_a_row(connection, queues, lambda queue: (
        f"FROM {queue.jobs_with_workers} AND {condition}{queue.is_wanted(restriction)}"
    ))  # fmt: skip


def n_reserved(connection: dj.Connection, sql_name: str) -> int:
    """Return the number of jobs that are reserved in any jobs table, by its quoted name."""
    status = connection.adapter.quote_identifier("status")
    query = f"SELECT COUNT(*) FROM {sql_name} WHERE {status}='reserved'"
    return int(connection.query(query).fetchone()[0])


def _literally(text: str) -> str:
    """Return the pattern of SQL that matches a text and nothing else."""
    for sign in "!%_":
        text = text.replace(sign, f"!{sign}")
    return text
