"""What hangs on a row: rows that refer to it, and jobs that run with it.

Such a row is not changed: what was computed with it would be said to come of something else.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import datajoint as dj
from datajoint.errors import AccessError

from tasks_lib.errors import ParameterError

from ..database.configuration import DatabaseError
from ..database.schemas import jobs_name
from ..database.server import LONGEST_TURN, alone, transaction
from ..store.checked_files import table_title

NEW_SET = "enter a new set under another name"


def all_or_nothing(connection: dj.Connection) -> AbstractContextManager[None]:
    """Return a transaction, or the one that is open already."""
    return nullcontext() if connection.in_transaction else transaction(connection)


def entering_alone(connection: dj.Connection, database: str | None) -> AbstractContextManager[None]:
    """Have one process at a time enter cohorts: they may not share seeds, which no index forbids.

    In a transaction that is open already it does nothing, for that commits after it.

    Parameters
    ----------
    connection : Connection
    database : str or None
        Name of the schema of tasks.

    Raises
    ------
    DatabaseError
        Where others are busy for too long.
    """
    if connection.in_transaction:
        return nullcontext()
    purpose = f"{database} is submitted to"
    busy = DatabaseError(
        f"database: other processes have been busy for {LONGEST_TURN:.0f} s ({purpose}); wait for "
        "them, or end them"
    )
    return alone(connection, purpose, busy)


def class_title(table: dj.Table) -> str:
    """Return the name of a table's class, "TrainingParams.Penalty" of a part's."""
    return table_title(table.table_name)


def locked_row(table: dj.Table, key: Mapping[str, Any], remedy: str = NEW_SET) -> dict[str, Any]:
    """Return one row, locked until the transaction ends.

    Who enters a row that refers to it waits until then.

    Raises
    ------
    ParameterError
        Where there is no such row, or this user may not change it.
    """
    query = table & key
    try:
        found = table.connection.query(
            f"SELECT 1 FROM {table.full_table_name}{query.where_clause()} FOR UPDATE"
        ).fetchall()
    except AccessError as error:
        problem = "may not be changed by this user of the database"
        raise ParameterError(class_title(table), dict(key), problem, remedy) from error
    if not found:
        raise ParameterError(class_title(table), dict(key), "is not there", "enter it, with insert")
    return dict(query.fetch1())


def refuse_in_use(
    table: dj.Table,
    key: Mapping[str, Any],
    remedy: str = NEW_SET,
    what: Callable[[], str] | None = None,
    besides: Collection[str] = (),
) -> None:
    """Refuse to change a row on which something hangs, of which its own parts are nothing.

    Parameters
    ----------
    table : Table
    key : mapping
        Of the row, which is locked.
    remedy : str
    what : callable, optional
        Returns what was to be changed, where it is not the row itself.
    besides : collection of str
        Names of tables in the database whose rows do not count: nothing was computed for them.

    Raises
    ------
    ParameterError
        Naming the table, the row and what hangs on it.
    """
    table.connection.dependencies.load_all_downstream()
    hanging = ", ".join(_hanging(table.connection, table.full_table_name, key, besides))
    if hanging:
        kept = f", so that {what() if what else 'it'} stays as it is"
        raise ParameterError(class_title(table), dict(key), f"is used by {hanging}{kept}", remedy)


def _hanging(
    connection: dj.Connection,
    full_name: str,
    key: Mapping[str, Any],
    besides: Collection[str] = (),
) -> Iterator[str]:
    """Yield in words which rows refer to a row, and which jobs run with it."""
    for child, reference in sorted(connection.dependencies.children(full_name), key=str):
        there = {
            column: key[referred]
            for column, referred in reference["attr_map"].items()
            if referred in key
        }
        dependent = dj.FreeTable(connection, child)
        if _is_part(dependent, full_name):
            yield from _hanging(connection, child, there)
            continue
        if dependent.table_name in besides:
            continue
        rows = len(dependent & there)
        if rows:
            yield f"{rows} row{'s' * (rows > 1)} of {class_title(dependent)}"
        running = _running_jobs(dependent, there)
        if running:
            yield f"{running} running job{'s' * (running > 1)} of {class_title(dependent)}"


def _is_part(table: dj.Table, full_name: str) -> bool:
    master = dj.FreeTable(table.connection, full_name)
    return table.database == master.database and table.table_name.startswith(
        f"{master.table_name}__"
    )


def _running_jobs(table: dj.Table, key: Mapping[str, Any]) -> int:
    """Return how many jobs of a computed table run with a key; nobody takes one from here on."""
    if not table.table_name.startswith("__") or "__" in table.table_name.lstrip("_"):
        return 0
    adapter = table.connection.adapter
    full_name = adapter.make_full_table_name(str(table.database), jobs_name(table.table_name))
    jobs = dj.FreeTable(table.connection, full_name)
    if not jobs.is_declared:
        return 0
    query = jobs & key
    found = table.connection.query(
        f"SELECT {adapter.quote_identifier('status')} FROM {jobs.full_table_name}"
        f"{query.where_clause()} FOR UPDATE"
    ).fetchall()
    return sum(status == "reserved" for (status,) in found)
