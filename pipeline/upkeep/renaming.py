"""Renaming a parameter set, with all rows, jobs and checkpoints that name it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import datajoint as dj

from tasks_lib.errors import ParameterError, text_of
from tasks_lib.sizes import counted

from ..database.configuration import DatabaseError
from ..database.connection import connection
from ..database.dialects import dialect_of
from ..database.schemas import jobs_name, plain_name
from ..database.server import transaction
from ..tables.comparisons import Comparison, settings_hash
from ..tables.continuous_attractors import ManifoldParams
from ..tables.fixed_points import FixedPointParams
from ..tables.network import NetworkParams
from ..tables.parameters import check_name
from ..tables.performance import ValidationParams
from ..tables.snapshot_networks import SnapshotNetwork
from ..tables.task import Task
from ..tables.training_params import IMPORTED, TrainingParams
from ..transient.errors import is_transient
from ..workers.checkpoints import StoredCheckpoints
from ..workers.queue import job_hash
from ..workers.registry import LostJob
from .deletion import LOCK_SECONDS
from .stored_paths import names_in_database

# What can be renamed, by the word that `rnn rename` takes.
KINDS: dict[str, type[dj.Manual] | type[dj.Lookup]] = {
    "task": Task,
    "network": NetworkParams,
    "training": TrainingParams,
    "validation": ValidationParams,
    "search": FixedPointParams,
    "manifolds": ManifoldParams,
}


def rename(kind: str, old: str, new: str) -> dict[str, int]:
    """Rename a parameter set; return the number of rows that name it, by table.

    The rows of all tables that name the set are moved in one transaction, by copies under the new
    name where others depend on them: no foreign key is broken at any moment, or switched off. ``ON
    UPDATE CASCADE`` cannot do it: a table that is reached on two ways, as fixed points are from a
    task, would be changed on one before the other. Files keep their paths, which rows name.

    Parameters
    ----------
    kind : str
        task, network, training, validation, search or manifolds.
    old, new : str

    Raises
    ------
    ParameterError
        Where there is no such set, the new name is taken or none, or the set is one that comes with
        the tables.
    DatabaseError
        While a worker has a job that names it, and where the database refuses; nothing is renamed
        then.
    """
    if kind not in KINDS:
        raise ParameterError("kind", kind, "cannot be renamed", f"use one of {', '.join(KINDS)}")
    table = KINDS[kind]()
    (column,) = table.primary_key
    check_name(column, new)
    here = connection()
    if here.in_transaction:
        raise DatabaseError("transaction: is open; end it first, then rename")
    _check(kind, table, column, old, new)
    jobs: list[tuple[str, dict[str, Any]]] = []
    try:
        with transaction(here):
            here.query(dialect_of(here).limit_lock_wait(LOCK_SECONDS))
            full, quoted = table.full_table_name, here.adapter.quote_identifier
            here.query(f"SELECT 1 FROM {full} WHERE {quoted(column)}=%s FOR UPDATE", args=(old,))
            here.dependencies.load_all_downstream()
            tables = list(_that_name(full, column, old))
            jobs = _rename_jobs(tables, column, old, new)
            counts = _move_rows(tables, old, new, getattr(table, "hash_field", None))
            _rename_losses(column, old, new)
            _rename_unreferenced(kind, old, new)
    except (ParameterError, DatabaseError):
        raise
    except Exception as error:
        hint = "; try again when the workers have inserted" if is_transient(error) else ""
        raise DatabaseError(
            f"{column} = {old!r}: cannot be renamed ({text_of(error)}); nothing was{hint}"
        ) from error
    _move_checkpoints(jobs, column, new)
    return {plain_name(name): number for name, number in counts.items() if number}


def _rename_unreferenced(kind: str, old: str, new: str) -> None:
    """Rename a set where tables name it without a foreign key."""
    here = connection()
    if kind == "training":
        table = SnapshotNetwork.full_table_name
        statement = f"UPDATE {table} SET origin_training=%s WHERE origin_training=%s"
        here.query(statement, args=(new, old))
    elif kind == "search":
        for row in (Comparison & {"comparison_search": old}).to_dicts():
            row["comparison_search"] = new
            here.query(
                f"UPDATE {Comparison.full_table_name} SET comparison_search=%s, "
                "comparison_hash=%s WHERE task_name=%s AND comparison_name=%s",
                args=(new, settings_hash(Comparison.build(row)), row["task_name"],
                      row["comparison_name"]),
            )  # fmt: skip


def _check(kind: str, table: dj.Table, column: str, old: str, new: str) -> None:
    # Not by a restriction: MySQL takes names for equal that differ in case only.
    names = {str(row[column]) for row in table.proj().to_dicts()}
    if old not in names:
        known = ", ".join(sorted(names)[:10]) or "none"
        raise ParameterError(column, old, f"is no {kind} that there is", f"there are {known}")
    given = {str(row[column]) for row in getattr(table, "contents", ()) if isinstance(row, dict)}
    if old in given or old == IMPORTED or new == IMPORTED:
        raise ParameterError(
            column, old, "comes with the tables, which look for it", "enter a set of your own"
        )
    if new == old:
        raise ParameterError(column, new, "is its name already", "give another name")
    taken = {name.lower() for name in names - {old}}
    if new in names or (new.lower() in taken and table.connection.adapter.backend == "mysql"):
        raise ParameterError(column, new, "is the name of another set", "choose another name")
    if new.lower() == old.lower() and table.connection.adapter.backend == "mysql":
        raise ParameterError(
            column, new, f"is {old!r} in other capitals, which MySQL takes for the same",
            "rename it to another name first, then to this one",
        )  # fmt: skip


def _that_name(full: str, column: str, old: str) -> Iterator[tuple[str, str]]:
    """Yield the tables that name a set, each after those it depends on, and its columns of it.

    Raises
    ------
    DatabaseError
        Where rows of a table name it in two columns, and others depend on the table.
    """
    here = connection()
    graph = here.dependencies
    columns = {full: column}
    for name in graph.descendants(full):
        of_table = {columns[name]} if name in columns else set()
        for parent, edge in graph.parents(name):
            if parent in columns:
                for child, referred in edge["attr_map"].items():
                    if referred == columns[parent]:
                        of_table.add(child)
        if len(of_table) > 1 and any(dj.FreeTable(here, name) & [{c: old} for c in of_table]):
            if list(graph.children(name)):
                raise DatabaseError(
                    f"table = {plain_name(name)}: names the set in two columns, and others depend "
                    "on it; it cannot be renamed with the rest"
                )
            for each in sorted(of_table):  # as a pair does, of which each may name the set
                yield str(name), each
        if of_table:
            columns[name] = min(of_table)
        if len(of_table) == 1:
            yield str(name), columns[name]


def _move_rows(
    tables: list[tuple[str, str]], old: str, new: str, hash_field: str | None
) -> dict[str, int]:
    """Move rows to the new name; return how many of each table.

    Those on which others depend are copied, then those on which none does are changed, then the
    old ones of the first are deleted.

    Parameters
    ----------
    hash_field : str, optional
        Column of the first table whose values may be there once only.
    """
    here = connection()
    quoted = here.adapter.quote_identifier
    counts: dict[str, int] = {}
    copied = [(name, key) for name, key in tables if list(here.dependencies.children(name))]
    for number, (name, key) in enumerate(copied):
        where = f"{name} WHERE {quoted(key)}=%s"
        others = [n for n in dj.FreeTable(here, name).heading.attributes if n != key]
        values, arguments = [quoted(n) for n in others], [new, old]
        if number == 0 and hash_field is not None:
            field = quoted(hash_field)
            digest = here.query(f"SELECT {field} FROM {where}", args=(old,)).fetchone()[0]
            here.query(
                f"UPDATE {name} SET {field}=%s WHERE {quoted(key)}=%s", args=("is renamed", old)
            )
            values[others.index(hash_field)] = "%s"
            arguments.insert(1, digest)
        columns = ", ".join(quoted(n) for n in (key, *others))
        listed = "".join(f", {value}" for value in values)
        counts[name] = here.query(
            f"INSERT INTO {name} ({columns}) SELECT %s{listed} FROM {where}", args=arguments
        ).rowcount
    for name, key in tables:
        if (name, key) not in copied:
            counts[name] = (
                counts.get(name, 0)
                + here.query(
                    f"UPDATE {name} SET {quoted(key)}=%s WHERE {quoted(key)}=%s", args=(new, old)
                ).rowcount
            )
    for name, key in reversed(copied):
        here.query(f"DELETE FROM {name} WHERE {quoted(key)}=%s", args=(old,))
    return counts


def _job_tables(tables: list[tuple[str, str]]) -> Iterator[tuple[str, str, str]]:
    """Yield the jobs tables of computed tables: full name, column of the set, table's name."""
    here = connection()
    for name, key in tables:
        schema, table = here.adapter.split_full_table_name(name)
        jobs = jobs_name(table)
        if table.startswith("_") and jobs in names_in_database(schema):
            yield here.adapter.make_full_table_name(schema, jobs), key, plain_name(name)


def _rename_jobs(
    tables: list[tuple[str, str]], column: str, old: str, new: str
) -> list[tuple[str, dict[str, Any]]]:
    """Rename jobs; return table and key of those that there are, which may have checkpoints."""
    here = connection()
    quoted = here.adapter.quote_identifier
    found = []
    for jobs, key, table in _job_tables(tables):
        names = list(dj.FreeTable(here, jobs).heading.primary_key)
        if key not in names:
            continue
        listed = ", ".join(quoted(n) for n in (*names, "status"))
        rows = here.query(
            f"SELECT {listed} FROM {jobs} WHERE {quoted(key)}=%s FOR UPDATE", args=(old,)
        ).fetchall()
        running = sum(row[-1] == "reserved" for row in rows)
        if running:
            raise DatabaseError(
                f"{column} = {old!r}: {counted(running, 'job')} of {table} that "
                f"{'names it is' if running == 1 else 'name it are'} running; wait until that is "
                "done, or end the workers, then rename"
            )
        found += [(table, dict(zip(names, row, strict=False))) for row in rows]
        here.query(f"UPDATE {jobs} SET {quoted(key)}=%s WHERE {quoted(key)}=%s", args=(new, old))
    return found


def _rename_losses(column: str, old: str, new: str) -> None:
    """Rename the keys of jobs that were lost with workers, so that they count on."""
    here = connection()
    for row in LostJob.to_dicts():
        key = row["job_key"]
        key = json.loads(key) if isinstance(key, str) else dict(key)
        if key.get(column) == old:
            key[column] = new
            here.query(
                f"UPDATE {LostJob.full_table_name} SET job_hash=%s, job_key=%s "
                "WHERE job_table=%s AND job_hash=%s AND worker_id=%s",
                args=(job_hash(key), json.dumps(key), row["job_table"], row["job_hash"],
                      row["worker_id"]),
            )  # fmt: skip


def _move_checkpoints(jobs: list[tuple[str, dict[str, Any]]], column: str, new: str) -> None:
    """Move the checkpoints of jobs, so that trainings go on from them; else they begin anew."""
    for table, key in jobs:
        before = StoredCheckpoints(table, job_hash(key))
        before.move_to(StoredCheckpoints(table, job_hash({**key, column: new})))
