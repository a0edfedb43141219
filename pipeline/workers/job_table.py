"""The jobs table of a computed table: its names, and the SQL conditions that select jobs in it.

It is DataJoint's own. A reserved job carries the number of its worker in the column
``connection_id``.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeVar

import datajoint as dj
from datajoint.condition import AndList

from ..database.catalogue import CatalogueHeading
from ..database.dialects import Dialect, dialect_of
from ..database.jobs_tables import jobs_table
from ..database.schemas import is_ours, title_of
from ..database.types import Job, Populated
from ..tables.left_out import Analysis
from ..tables.selections import Chosen, Selection
from ..tables.training import Cohort
from ..transient.errors import is_transient

Key = dict[str, Any]
Sets = Mapping[str, Sequence[str]]  # names of parameter sets, by the column that holds them
Jobs = TypeVar("Jobs", bound="JobTable")

DECLARE_ATTEMPTS = 5
CONDITION_SECONDS = 10.0  # a key source may depend on rows that are entered meanwhile


@dataclass(frozen=True)
class JobTable:
    """The jobs table of one computed table.

    Parameters
    ----------
    table : Computed or Imported table
    """

    table: type[Populated]

    @property
    def name(self) -> str:
        """The table's name; of a lab's own, with its schema."""
        return title_of(self.table)

    @cached_property
    def is_ours(self) -> bool:
        """Whether it is a table of the pipeline, and not of a lab's own schema."""
        return is_ours(self.table)

    @cached_property
    def has_constant_keys(self) -> bool:
        """Whether the query of the keys to be computed is the same, whatever rows there are."""
        # Of a lab's own table it may be another one from call to call.
        return self.is_ours and getattr(self.table, "has_constant_keys", True)

    @property
    def lease_table(self) -> str | None:
        """The table's full name where a lease of its own is taken for it (`leases.lease_name`)."""
        return None if self.is_ours else str(self.table.full_table_name)

    @cached_property
    def jobs(self) -> Job:
        """DataJoint's jobs table, declared where it is missing."""
        jobs, heading = jobs_table(self.table()), self.table._heading
        if isinstance(heading, CatalogueHeading):
            jobs._heading = heading.sibling(jobs.table_name)
        return jobs

    @cached_property
    def sql_name(self) -> str:
        """Quoted name of the jobs table."""
        return str(self.jobs.full_table_name)

    @cached_property
    def primary_key(self) -> tuple[str, ...]:
        """Names of the columns of a key."""
        return tuple(self.jobs.primary_key)

    @cached_property
    def dialect(self) -> Dialect:
        """SQL of the back end that the table is on."""
        return dialect_of(self.jobs.connection)

    def prepare(self) -> None:
        """Declare the jobs table and read its names, on the table's own connection.

        Other threads need the names later, and a connection serves one thread at a time.
        """
        for attempt in range(1, DECLARE_ATTEMPTS + 1):
            try:
                assert self.sql_name and self.primary_key and self.dialect
                return
            except Exception as error:
                # Where others declare it at this moment, PostgreSQL fails because the table, its
                # type or its index exists already.
                if is_transient(error) or attempt == DECLARE_ATTEMPTS:
                    raise
                time.sleep(random.uniform(0.05, 0.5))

    # Conditions ----------------------------------------------------------------------------------

    def is_pending(self, restriction: Sequence[Chosen] = ()) -> str:
        """Return the SQL condition of jobs that may be taken."""
        scheduled, created = self.quoted("scheduled_time"), self.quoted("created_time")
        # One that is not to wait may be taken also where the server's clock was set back since.
        return (
            f"{self.quoted('status')}='pending' AND ({scheduled} <= {self.dialect.jobs_now} "
            f"OR {scheduled} <= {created}){self._is_not_left_out}{self.is_wanted(restriction)}"
        )

    @cached_property
    def _is_not_left_out(self) -> str:
        """The SQL condition, after others, of jobs whose cohort does not leave the table out.

        `enter` removes the others; one is not to be taken before.
        """
        if not issubclass(self.table, Analysis):
            return ""
        columns = ", ".join(self.quoted(name) for name in Cohort.primary_key)
        without = self.table.cohorts_without().proj().make_sql()
        return f" AND ({columns}) NOT IN (SELECT {columns} FROM ({without}) AS without)"

    def is_of_none(self, excluded: Sets) -> str:
        """Return the SQL condition, after others, of jobs that need none of some parameter sets."""
        return "".join(
            f" AND {self.quoted(column)} NOT IN ({self._listed(names)})"
            for column, names in excluded.items()
            if names and column in self.primary_key
        )

    def is_of_any(self, sets: Sets) -> str:
        """Return the SQL condition of jobs that need some of these parameter sets."""
        conditions = [
            f"{self.quoted(column)} IN ({self._listed(names)})"
            for column, names in sets.items()
            if names and column in self.primary_key
        ]
        return f"({' OR '.join(conditions)})" if conditions else "FALSE"

    def is_of_all(self, sets: Sets) -> str:
        """Return the SQL condition, after others, of jobs whose sets are among these, by column."""
        return "".join(
            f" AND {self.quoted(column)} IN ({self._listed(names)})" if names else " AND FALSE"
            for column, names in sets.items()
        )

    def _listed(self, names: Iterable[str]) -> str:
        # The driver takes %% for %.
        return ", ".join(self.jobs.adapter.quote_string(n).replace("%", "%%") for n in names)

    def entered_now(self) -> str:
        """Return the SQL assignments of a job that is pending from now on, without a delay."""
        return ", ".join(
            f"{self.quoted(name)}={self.dialect.jobs_now}"
            for name in ("scheduled_time", "created_time")
        )

    def is_wanted(self, restriction: Sequence[Chosen]) -> str:
        """Return the SQL condition, after others, of jobs whose key satisfies a restriction."""
        selections = [each for each in restriction if isinstance(each, Selection)]
        others = [each for each in restriction if not isinstance(each, Selection)]
        conditions = "".join(map(self._is_selected, selections))
        if not others:
            return conditions
        return conditions + self._satisfies(tuple(others))

    def _satisfies(self, restrictions: tuple[Chosen, ...]) -> str:
        """Return the SQL condition, after others, of jobs whose key satisfies restrictions.

        It is kept for some seconds: a worker asks for it with each job that it takes.
        """
        numbers = tuple(map(id, restrictions))
        known = self._conditions.get(numbers)
        if known is None or time.monotonic() - known[2] > CONDITION_SECONDS:
            columns = self.columns
            wanted = (self.table().key_source & AndList(restrictions)).proj()
            text = f" AND ({columns}) IN (SELECT {columns} FROM ({wanted.make_sql()}) AS wanted)"
            known = (restrictions, text, time.monotonic())
            self._conditions[numbers] = known
        return known[1]

    @cached_property
    def _conditions(self) -> dict[tuple[int, ...], tuple[tuple[Chosen, ...], str, float]]:
        """Conditions that were made, with their restrictions: numbers of objects stay theirs."""
        return {}

    def _is_selected(self, selection: Selection) -> str:
        """Return the SQL condition, after others, of jobs that belong to a selection.

        It is asked of the job's own key, which has all columns that a selection may name: the
        tables themselves are not read.
        """
        values, keys = selection.parts(self.primary_key)
        conditions = [
            f"{self.quoted(name)}={value}"
            if isinstance(value, int)
            else f"{self.quoted(name)} IN ({self._listed([value])})"
            for name, value in values.items()
        ]
        for key in keys:
            columns = ", ".join(map(self.quoted, key))
            chosen = selection.keys(key).make_sql()
            conditions.append(f"({columns}) IN (SELECT {columns} FROM ({chosen}) AS selected)")
        return "".join(f" AND {condition}" for condition in conditions)

    def _of_table(self, restriction: Sequence[Chosen]) -> AndList:
        return AndList(
            each.restriction(self.table) if isinstance(each, Selection) else each
            for each in restriction
        )

    def chosen(self, jobs: Job, restriction: Chosen) -> Job:
        """Return those of some jobs that belong to a selection, or satisfy another restriction."""
        if restriction is None:
            return jobs
        if isinstance(restriction, Selection):
            restriction = restriction.restriction(self.table)
        elif isinstance(restriction, Mapping) and not set(restriction) <= set(self.primary_key):
            return jobs & "FALSE"  # DataJoint would pass over the field, and select all
        # The lineage of a jobs table is not that of its target: its attributes are matched by name.
        return jobs.restrict(restriction, semantic_check=False)

    def quoted(self, name: str) -> str:
        """Return the name of a column as the back end has it quoted."""
        return str(self.jobs.adapter.quote_identifier(name))

    def _columns_of(self, name: str) -> str:
        """Return the columns of a key, of a table or a query by its name in the statement."""
        return ", ".join(f"{name}.{self.quoted(column)}" for column in self.primary_key)

    @property
    def columns(self) -> str:
        """The columns of a key, as SQL has a list."""
        return ", ".join(self.quoted(name) for name in self.primary_key)

    def where_key(self, key: Key) -> tuple[str, tuple[Any, ...]]:
        """Return the SQL condition that a job has this key, and its arguments."""
        return " AND ".join(f"{self.quoted(n)}=%s" for n in self.primary_key), tuple(
            key[n] for n in self.primary_key
        )

    def where_held(self, key: Key, worker_id: int) -> tuple[str, tuple[Any, ...]]:
        """Return the SQL condition that a worker has reserved a job, and its arguments."""
        where, arguments = self.where_key(key)
        where += f" AND {self.quoted('status')}='reserved' AND {self.quoted('connection_id')}=%s"
        return where, (*arguments, worker_id)


def with_a_row(
    connection: dj.Connection, tables: Sequence[Jobs], rest: Callable[[Jobs], str]
) -> list[Jobs]:
    """Return those of some jobs tables for which a query has a row, asked all at once.

    Parameters
    ----------
    connection : Connection
    tables : sequence of JobTable
    rest : callable
        Jobs table -> what stands after ``SELECT 1`` in its query.
    """
    asked = " UNION ALL ".join(
        f"(SELECT {number} {rest(table)} LIMIT 1)" for number, table in enumerate(tables)
    )
    if not asked:
        return []
    return [tables[int(number)] for (number,) in sorted(connection.query(asked).fetchall())]
