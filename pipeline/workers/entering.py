"""New jobs of a computed table: entered for keys without a row, removed for keys that have gone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TypeVar

import datajoint as dj
from datajoint.condition import Not

from ..database.server import transaction
from ..database.types import Query
from ..tables.keys import COHORT
from ..tables.priorities import JobPriority
from ..tables.selections import Chosen
from .job_table import JobTable, with_a_row

Jobs = TypeVar("Jobs", bound="EnteredJobs")

AGAIN_AT_ONCE = 500  # jobs that become pending again with one commit


@dataclass(frozen=True)
class EnteredJobs(JobTable):
    """The jobs table of one computed table, in which jobs are entered and removed.

    All methods take the connection to do it on.
    """

    def enter(self, connection: dj.Connection, restriction: Sequence[Chosen] = ()) -> int:
        """Enter a job for each key that has neither a row nor a job; return how many are new.

        A job that was kept when it was done, and whose row was deleted since, is pending again.
        Jobs that wait for a key that has gone are removed.
        """
        source = self.table().key_source
        undone = self._undone(source, restriction)
        columns = self.columns
        others = ", ".join(
            self.quoted(n) for n in ("status", "priority", "scheduled_time", "created_time")
        )
        priority, given = self._priority
        # MySQL would wait for, and lock, the rows that it reads, were it not for the isolation that
        # `transaction` sets: those of jobs that are being inserted, for as long as that takes.
        with transaction(connection):
            entered = connection.query(
                self.dialect.insert_new(
                    f"{self.sql_name} ({columns}, {others})",
                    f"SELECT {self._columns_of('new_keys')}, 'pending', {priority}, "
                    f"{self.dialect.jobs_now}, {self.dialect.jobs_now} "
                    f"FROM ({self._new(undone).make_sql()}) AS new_keys{given}",
                )
            ).rowcount
        self._remove_gone(connection, source)
        return max(int(entered), 0) + self._do_again(connection, undone.proj())

    def has_news(self, restriction: Sequence[Chosen] = ()) -> str:
        """Return the SQL condition that `enter` has something to enter, to remove or to look at."""
        if restriction or not self.has_constant_keys:
            return self._has_news(restriction)
        return self._kept_news

    @cached_property
    def _kept_news(self) -> str:
        return self._has_news()

    def _has_news(self, restriction: Sequence[Chosen] = ()) -> str:
        source = self.table().key_source
        new = self._new(self._undone(source, restriction)).make_sql()
        gone = self._gone(source).make_sql()
        return f"EXISTS ({new}) OR EXISTS ({gone}) OR EXISTS ({self._any_done})"

    def _undone(self, source: Query, restriction: Sequence[Chosen]) -> Query:
        """Return the keys that have no row."""
        if restriction:
            source &= self._of_table(restriction)
        return source - self.table.proj()

    def _new(self, undone: Query) -> Query:
        """Return those of some keys that have no job."""
        # The lineage of a jobs table is not that of its target: its attributes are matched by name.
        return undone.restrict(Not(self.jobs), semantic_check=False).proj()

    def _gone(self, source: Query) -> Query:
        """Return the jobs that wait for a key that has gone."""
        gone = self.jobs.restrict(Not(source.proj()), semantic_check=False)
        return gone & "status in ('pending', 'error')"

    @property
    def _any_done(self) -> str:
        """The query of a job that was kept when it was done."""
        return f"SELECT 1 FROM {self.sql_name} WHERE {self._is_done} LIMIT 1"

    @property
    def _is_done(self) -> str:
        return f"{self.quoted('status')}='success'"

    @property
    def _priority(self) -> tuple[str, str]:
        """The SQL of the priority of a job of ``new_keys``, and what is joined for it."""
        default = str(int(dj.config.jobs.default_priority))
        if not {*COHORT} <= {*self.primary_key}:
            return default, ""
        same = " AND ".join(f"p.{self.quoted(n)}=new_keys.{self.quoted(n)}" for n in COHORT)
        joined = f" LEFT JOIN {JobPriority.full_table_name} AS p ON {same}"
        return f"COALESCE(p.{self.quoted('job_priority')}, {default})", joined

    def _do_again(self, connection: dj.Connection, undone: Query) -> int:
        """Make jobs pending whose row was deleted after they were done; return how many.

        Whoever has DataJoint's ``jobs.keep_completed`` keeps the jobs that are done; others, who
        may not have it, are to do them again too.
        """
        if connection.query(self._any_done).fetchone() is None:
            return 0
        is_done = self._is_done
        # Read in one statement: from one commit on a job is done and its row is there. Then key by
        # key, which waits for nobody's insert. Whoever takes a job that others have done again in
        # between finds its row, and lets it be.
        columns = self.columns
        rows = connection.query(
            f"SELECT {columns} FROM {self.sql_name} WHERE {is_done} "
            f"AND ({columns}) IN (SELECT {columns} FROM ({undone.make_sql()}) AS undone)"
        ).fetchall()
        times = ("reserved_time", "completed_time", "duration")
        emptied = ", ".join(f"{self.quoted(name)}=NULL" for name in times)
        update = (
            f"UPDATE {self.sql_name} SET {self.quoted('status')}='pending', {emptied}, "
            f"{self.entered_now()} WHERE {is_done} AND "
        )
        number = 0
        for first in range(0, len(rows), AGAIN_AT_ONCE):
            with transaction(connection):
                for row in rows[first : first + AGAIN_AT_ONCE]:
                    where, arguments = self.where_key(dict(zip(self.primary_key, row, strict=True)))
                    number += connection.query(update + where, args=arguments).rowcount
        return int(number)

    def _remove_gone(self, connection: dj.Connection, source: Query) -> None:
        # Read first, which waits for nothing; then key by key, which locks nothing else.
        gone = self._gone(source).make_sql()
        found = connection.query(f"SELECT {self.columns} FROM ({gone}) AS gone")
        for row in found.fetchall():
            where, arguments = self.where_key(dict(zip(self.primary_key, row, strict=True)))
            connection.query(
                f"DELETE FROM {self.sql_name} WHERE {where} "
                f"AND {self.quoted('status')} IN ('pending', 'error')",
                args=arguments,
            )


def with_news(
    connection: dj.Connection, tables: Sequence[Jobs], restriction: Sequence[Chosen] = ()
) -> list[Jobs]:
    """Return those of some jobs tables in which `enter` has something to do, by one query.

    Where nothing is new, as for all workers that wait, nothing else is asked.
    """
    return with_a_row(connection, tables, lambda table: f"WHERE {table.has_news(restriction)}")
