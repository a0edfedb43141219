"""Deleting rows with all that depends on them: their files, and their jobs."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import datajoint as dj

from tasks_lib.brief import brief
from tasks_lib.errors import ParameterError, text_of
from tasks_lib.sizes import counted

from ..database.configuration import DatabaseError
from ..database.connection import connection
from ..database.datajoint_log import deleting_quietly
from ..database.dialects import dialect_of
from ..database.schemas import SCHEMAS, jobs_name, parts, plain_name, title_of
from ..database.server import transaction
from ..database.types import Populated, Query
from ..tables.keys import cohort_key
from ..tables.parameter_sets import TABLES_BY_COLUMN
from ..tables.recordings import Recording
from ..tables.selections import Chosen, Selection
from ..tables.sweeps import SweepPoint
from ..tables.training import Cohort
from ..tables.training_params import IMPORTED
from ..transient.errors import is_transient
from ..workers.checkpoints import StoredCheckpoints
from ..workers.queue import job_hash
from ..workers.registry import Worker
from .store_files import StoreFiles, check_marks
from .stored_paths import (
    kept_values,
    names_in_database,
    referenced_paths,
    schema_names,
    tables_with_files,
)

LOCK_SECONDS = 20  # for a job that is inserting rows of what is to go
ATTEMPTS = 3  # of a transaction that the server gave up, as where two wait for each other


@dataclass(frozen=True)
class DeletedJob:
    """A job of what is deleted."""

    table: str
    key: dict[str, Any]
    status: str
    host: str
    pid: int
    folder: str  # of its checkpoints

    @property
    def is_running(self) -> bool:
        """Whether a worker has it."""
        return self.status == "reserved"


@brief
@dataclass
class Deletion:
    """What is deleted, or would be.

    Attributes
    ----------
    rows : dict
        Table -> number of rows, what others depend on first.
    files : dict
        Path in the store -> bytes, of the files that these rows name.
    jobs : list of DeletedJob
    points : dict
        Sweep -> number of its points that go, and of all its points: sweeps share cohorts.
    n_removed, removed_bytes : int
        Files that were removed: those that nothing else names.
    note : str
        Why files were left; empty where none were.
    """

    rows: dict[str, int] = field(default_factory=dict)
    files: dict[str, int] = field(default_factory=dict)
    jobs: list[DeletedJob] = field(default_factory=list)
    points: dict[str, tuple[int, int]] = field(default_factory=dict)
    n_removed: int = 0
    removed_bytes: int = 0
    note: str = ""

    @property
    def n_bytes(self) -> int:
        """Bytes of all files."""
        return sum(self.files.values())

    @property
    def running(self) -> list[DeletedJob]:
        """The jobs that a worker has."""
        return [job for job in self.jobs if job.is_running]


def delete(
    restriction: Chosen = None,
    table: type[dj.Manual] | type[Populated] = Cohort,
    parameters: bool = False,
    dry_run: bool = False,
    everything: bool = False,
) -> Deletion:
    """Delete rows of a table, and all that depends on them, without asking.

    All rows go in one transaction, with their jobs: a worker that has one drops it at its next
    heartbeat. Then the files go that nothing else names. What is interrupted in between leaves
    files only, which `rnn gc` finds.

    Parameters
    ----------
    restriction : Selection or restriction, optional
        Which rows of the table. An empty one is refused: it may be a selection that went wrong.
    table : table
        Cohorts by default, with their networks and all analyses. A computed table: its rows, which
        workers then compute again.
    parameters : bool
        Whether to delete their tasks, network parameters and trainings too, but for those that
        other cohorts use, and tasks that were recorded. Sets that no cohort has named stay.
    dry_run : bool
        Only say what would be deleted.
    everything : bool
        Whether all rows of the table are meant, where there is no restriction.

    Returns
    -------
    Deletion

    Raises
    ------
    ParameterError
        Where nothing is selected and not everything is meant, where the table is one of parameters
        that cohorts use, or where parameters are to go with another table than cohorts.
    DatabaseError
        Where rows cannot be deleted: nothing is deleted then.
    """
    if parameters and table is not Cohort:
        raise ParameterError(
            "parameters", True, "go with cohorts only", "leave out the table, or --parameters"
        )
    empty = restriction is None or (
        isinstance(restriction, Selection | Mapping | Sequence | set) and not restriction
    )
    if empty and not everything:
        raise ParameterError(
            "restriction", restriction, "selects nothing", "say which rows, or everything=True"
        )
    if isinstance(restriction, Selection):
        _refuse_parts_of_cohorts(restriction, table)
        # By their keys: DataJoint's cascade takes no restriction by other tables' columns.
        restriction = restriction.of_table(table).proj().keys() if restriction else None
    if restriction is not None and isinstance(restriction, Mapping):
        _check_columns(restriction, table)
    chosen = table() if restriction is None else table & restriction
    here = connection()
    if here.in_transaction:
        raise DatabaseError("transaction: is open; end it first, then delete")
    if dry_run:
        return _found(_roots(chosen, parameters))
    for attempt in range(1, ATTEMPTS + 1):
        try:
            with transaction(here):
                here.query(dialect_of(here).limit_lock_wait(LOCK_SECONDS))
                _lock(chosen)
                roots = _roots(chosen, parameters)
                done = _found(roots)
                _delete_jobs(done.jobs)
                with deleting_quietly():
                    for root in roots:
                        root.delete(transaction=False, prompt=False)
            break
        except Exception as error:
            # Two that wait for each other, or rows that came in between: once more.
            again = is_transient(error) or "Delete blocked" in text_of(error)
            if not again or attempt == ATTEMPTS:
                raise _refused(error) from error
    _remove_files(done)
    return done


def _refuse_parts_of_cohorts(selection: Selection, table: type[dj.Table]) -> None:
    """Refuse to delete cohorts because of one of their networks."""
    if "seed" not in table.primary_key and selection.is_of_networks:
        problem = "is of single networks, and a cohort goes as a whole"
        raise ParameterError(
            "selection", selection.in_words(), problem,
            "choose cohorts (--first-seed, say), or --table for the analyses of these networks",
        )  # fmt: skip


def _check_columns(restriction: Mapping[str, Any], table: type[dj.Table]) -> None:
    """Refuse a column that the table lacks: DataJoint would pass over it, and select all."""
    names = table().heading.names
    for name, value in restriction.items():
        if name not in names:
            raise ParameterError(
                name, value, f"is no column of {title_of(table)}", f"use {', '.join(names)}"
            )


def _lock(chosen: dj.Table) -> None:
    """Lock rows and all that depends on them, so that nothing new can come to depend on them.

    What others are inserting below them is waited for: it then is there, and goes too.
    """
    for table in dj.Diagram.cascade(chosen):
        query = f"SELECT 1 FROM {table.full_table_name}{table.where_clause()} FOR UPDATE"
        connection().query(query).fetchall()


def _roots(chosen: dj.Table, parameters: bool) -> list[dj.Table]:
    """Return the rows that are chosen, then the parameter sets that are left without cohorts."""
    roots = [chosen]
    if parameters:
        kept = (Cohort - chosen.proj()).to_dicts()
        going = chosen.proj().to_dicts()
        for column, table in TABLES_BY_COLUMN.items():
            names = {row[column] for row in going} - {row[column] for row in kept} - {IMPORTED}
            if column in Recording.primary_key:  # which is not of networks
                names -= set(Recording.to_arrays(column).tolist())
            if names:
                roots.append(table & [{column: name} for name in sorted(names)])
    return roots


def _found(roots: list[dj.Table]) -> Deletion:
    """Return what depends on rows: rows by table, files, jobs."""
    found, titles = Deletion(), _titles()
    if not len(roots[0]):
        return found
    for root in roots:
        for table in dj.Diagram.cascade(root):
            number = len(table)
            name = str(table.full_table_name)
            title = titles.get(name, plain_name(name))
            if number and name == SweepPoint.full_table_name:
                going, whole = _points(table), _points(SweepPoint())
                found.points = {sweep: (n, whole[sweep]) for sweep, n in sorted(going.items())}
            if number:
                # All that depends on the parameters depends on their cohorts, which come first.
                found.rows[title] = max(number, found.rows.get(title, 0))
                columns = [n for n, a in table.heading.attributes.items() if a.is_schema_object]
                for kept in kept_values(table, columns):
                    for path, _ in kept.codec.referenced_paths(kept.value):
                        found.files[str(path)] = _n_bytes(kept.value)
    found.jobs = list(_jobs_below(roots[0]))
    return found


def _points(rows: dj.Table) -> Counter[str]:
    """Return of how many cohorts each sweep has points."""
    keys = rows.proj().to_dicts()
    return Counter(sweep for sweep, _ in {(k["sweep_name"], cohort_key(k)) for k in keys})


def _titles() -> dict[str, str]:
    titles = {}
    for schema in SCHEMAS.values():
        for master, _ in schema.declare_list:
            titles[str(master.full_table_name)] = master.__name__
            for part in parts(master):
                titles[str(part.full_table_name)] = f"{master.__name__}.{part.__name__}"
    return titles


def _n_bytes(value: Any) -> int:
    """Return the size that a row keeps of its file; 0 of one that an earlier version wrote."""
    kept = json.loads(value) if isinstance(value, str | bytes) else value
    return int(kept.get("n_bytes") or 0) if isinstance(kept, dict) else 0


def _jobs_below(root: dj.Table) -> Iterator[DeletedJob]:
    """Yield the jobs of a table's rows, and of all tables that depend on it."""
    here = connection()
    split = here.adapter.split_full_table_name
    known: dict[str, set[str]] = {}
    titles = _titles()
    wanted: Query = root.proj()
    for name in here.dependencies.descendants(root.full_table_name):
        schema, table = split(name)
        if schema not in known:
            known[schema] = set(names_in_database(schema))
        of_jobs = jobs_name(table)
        if of_jobs not in known[schema] or not table.startswith("_"):
            continue
        jobs = dj.FreeTable(here, here.adapter.make_full_table_name(schema, of_jobs))
        key = list(jobs.heading.primary_key)
        if not set(root.primary_key) <= set(key):
            continue  # under other names: workers drop them as they find their keys gone
        quoted = here.adapter.quote_identifier
        columns = ", ".join(quoted(column) for column in root.primary_key)
        shown = ", ".join(quoted(n) for n in (*key, "status", "host", "pid", "connection_id"))
        rows = here.query(
            f"SELECT {shown} FROM {jobs.full_table_name} WHERE ({columns}) IN "
            f"(SELECT {columns} FROM ({wanted.make_sql()}) AS going)"
        ).fetchall()
        folder = plain_name(str(name))
        for *values, status, host, pid, _ in rows:
            yield DeletedJob(
                titles.get(name, folder), dict(zip(key, values, strict=True)), status, host or "",
                pid or 0, folder,
            )  # fmt: skip


def _delete_jobs(jobs: list[DeletedJob]) -> None:
    """Delete jobs, but for those that somebody is changing.

    Such a job computes in its worker's transaction. That worker finds its key gone, and drops it.
    """
    here = connection()
    quoted = here.adapter.quote_identifier
    for job in jobs:
        schema, _, table = job.folder.partition(".")
        name = here.adapter.make_full_table_name(schema, jobs_name(table))
        where = " AND ".join(f"{quoted(column)}=%s" for column in job.key)
        values = tuple(job.key.values())
        free = f"SELECT 1 FROM {name} WHERE {where} FOR UPDATE SKIP LOCKED"
        if here.query(free, args=values).fetchone() is not None:
            here.query(f"DELETE FROM {name} WHERE {where}", args=values)


def _refused(error: BaseException) -> DatabaseError:
    if is_transient(error):
        alive = len(Worker & "state='working'")
        if alive:
            have = "has a job" if alive == 1 else "have jobs"
            remedy = "try again when that is inserted, or end the worker"
            who = f"{counted(alive, 'worker')} {have}: {remedy}"
        else:
            who = "another session, no worker's, holds a lock on them: end it, or try again later"
        return DatabaseError(f"rows: cannot be deleted now ({text_of(error)}); nothing was; {who}")
    return DatabaseError(f"rows: cannot be deleted ({text_of(error)}); nothing was")


def _remove_files(done: Deletion) -> None:
    """Remove the files of rows that are gone, but for those that something else names."""
    for job in done.jobs:
        if job.status != "success":
            StoredCheckpoints(job.folder, job_hash(job.key)).remove()
    if not done.files:
        return
    try:
        store = StoreFiles()
        check_marks(store)
        named = _still_named(set(done.files))
        for path, n_bytes in done.files.items():
            if path not in named:
                store.remove(path)
                done.n_removed += 1
                done.removed_bytes += n_bytes
        if named:
            are = "is" if len(named) == 1 else "are"
            done.note = f"{counted(len(named), 'file')} {are} left, because other rows name them"
    except Exception as error:  # of whatever store
        left = len(done.files) - done.n_removed
        files = counted(left, "file")
        done.note = f"{files} could not be removed ({text_of(error)}); `rnn gc` finds them"


def _still_named(paths: set[str]) -> set[str]:
    """Return those of some paths that rows name, of ours or of a lab's tables below."""
    here = connection()
    here.dependencies.load_all_downstream()
    below = {here.adapter.split_full_table_name(name)[0] for name in here.dependencies.nodes}
    found: set[str] = set()
    for table, columns in tables_with_files(sorted(below - set(schema_names()))).values():
        found.update(path for path in referenced_paths(table, columns) if path in paths)
    return found
