"""Opening a capsule: its rows, arrays and figures in a database of their own, or nothing at all."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import datajoint as dj
from datajoint.hash_registry import get_store_backend

from tasks_lib.errors import ParameterError
from tasks_lib.sizes import bytes_in_words

from ..database import connection as database
from ..database.configuration import (
    checked_prefix,
    configure_store,
    configured_folder,
    configured_host,
    home,
)
from ..database.schemas import SCHEMAS
from ..database.server import alone, base_tables, reconnect, transaction
from ..store.mounts import remembered_mark
from ..store.pending_files import STORE, WrittenFiles
from ..store.settings import is_s3
from .archives import ZIP
from .capsule_file import CapsuleFile, check_capsule, opened_capsule
from .capsule_insert import check_fits, insert_rows
from .environment import differences, environment
from .target import beside

OPENING = "capsules"  # folder of the store with a file for each prefix that is being filled
Progress = Callable[[int, int], object]


@dataclass
class Opened:
    """What was restored, and where.

    Attributes
    ----------
    n_networks, n_cohorts, n_rows : int
    sha256 : str
        Of the capsule's manifest.
    variables : dict
        Variables of the environment with which `connect` and `rnn` find it.
    tasks : list of str
        Names of its tasks.
    packages : list of str
        Packages of one's own that rows name; they have to be installed, and allowed
        (RNN_ALLOWED_PACKAGES), for anything to be computed.
    differences : list of str
        What is not here as it was where the capsule was made, and may let a training end in other
        bits.
    """

    n_networks: int = 0
    n_cohorts: int = 0
    n_rows: int = 0
    sha256: str = ""
    variables: dict[str, str] = field(default_factory=dict)
    tasks: list[str] = field(default_factory=list)
    packages: list[str] = field(default_factory=list)
    differences: list[str] = field(default_factory=list)


def open_capsule(
    path: str | Path,
    prefix: str | None = None,
    store: str | Path | None = None,
    home: str | Path | None = None,
    progress: Progress = lambda done, total: None,
    **server: Any,
) -> Opened:
    """Restore a capsule into a database of its own; neither network nor code of it is needed.

    Without a server it is a new embedded database in a folder of its own. On a server it is the
    schemas of a prefix that is not there yet. The capsule is checked whole before anything is made;
    then all rows come in together, as they were, or none: what is interrupted is removed, and what
    a kill leaves is no obstacle to the same call. An open connection is closed.

    Parameters
    ----------
    path : str or Path
    prefix : str, optional
        Names of schemas start with it. On a server it has to be given; otherwise RNN_PREFIX or
        "rnn" by default.
    store : str or Path, optional
        For arrays and figures: a folder, made where it is not there, or ``s3://bucket/prefix``. On
        a server by default the configured one, otherwise the folder ``store`` of the home.
    home : str or Path, optional
        New folder of the embedded database; by default called as the capsule, without its ending,
        in the current folder.
    progress : callable, optional
        Called with the number of rows that are done, and of all.
    **server : optional
        ``backend``, ``host``, ``port``, ``user`` and ``password``, as of `connect`.

    Returns
    -------
    Opened
        Its ``variables`` are those with which `connect` finds the database.

    Raises
    ------
    ParameterError
        Where the capsule is not whole, of a later version, or what it is to go into is there.
    DatabaseError, OSError
        Where there is no room, or the server or the store cannot be used.
    """
    source = Path(path)
    check = check_capsule(source)
    if not check.is_whole:
        raise ParameterError(
            "PATH", str(source), f"is not as it was made ({check.faults[0]})",
            "copy it anew; see `rnn capsule check`",
        )  # fmt: skip
    on_server = (server.get("host") or configured_host()) is not None
    database.disconnect()
    with opened_capsule(source) as capsule, _as_configured():
        check_fits(capsule)
        if on_server:
            if home is not None:
                raise ParameterError(
                    "--home", str(home), "is for an embedded database, and a server is configured",
                    "say --prefix, or unset DJ_HOST (or rename datajoint.json)",
                )  # fmt: skip
            variables = _on_server(capsule, prefix, store, progress, server)
        else:
            name = checked_prefix(prefix or os.environ.get("RNN_PREFIX") or "rnn")
            place = Path(source.name[: -len(ZIP)] if home is None else home)
            variables = _embedded(capsule, name, store, place, progress)
        return Opened(
            n_networks=capsule.n_networks,
            n_cohorts=capsule.n_cohorts,
            n_rows=sum(table.n_rows for table in capsule.tables.values()),
            sha256=check.sha256,
            variables=variables,
            tasks=[str(row["task_name"]) for row in capsule.rows("Task")],
            packages=capsule.packages,
            differences=differences(capsule.environment(), environment()),
        )


@contextmanager
def _as_configured() -> Iterator[None]:
    """Leave the configuration, and no connection, as it was."""
    stores, named = dict(dj.config.stores), os.environ.get("RNN_HOME")
    try:
        yield
    finally:
        database.disconnect()
        dj.config.stores.clear()
        dj.config.stores.update(stores)
        os.environ.pop("RNN_HOME", None)
        if named is not None:
            os.environ["RNN_HOME"] = named


# An embedded database ----------------------------------------------------------------------------


def _embedded(
    capsule: CapsuleFile, prefix: str, store: str | Path | None, place: Path, progress: Progress
) -> dict[str, str]:
    """Fill a home under a hidden name, and give it its own when all is there."""
    target = Path(os.path.abspath(place.expanduser()))
    _check_home(target)
    work = beside(target, "unfinished")
    with _made_folder(store):
        os.environ["RNN_HOME"] = str(work)
        written = WrittenFiles()
        try:
            work.mkdir(mode=0o700)
            if store is None:
                (work / "store").mkdir(mode=0o700)
            _check_room(capsule, work if store is None else store)
            where = work / "store" if store is None else store
            database.connect(prefix=prefix, store=where, declare=True)
            _fill(capsule, written, progress)
            database.disconnect()  # the server ends with its last user
            if target.exists():
                target.rmdir()
            os.rename(work, target)
        except BaseException:
            with suppress(Exception):
                written.remove()
            database.disconnect()
            shutil.rmtree(work, ignore_errors=True)
            raise
    named = target / "store" if store is None else store
    return {"RNN_HOME": str(target), "RNN_PREFIX": prefix, "RNN_STORE": _absolute(named)}


def _check_home(target: Path) -> None:
    if target.exists() and not (target.is_dir() and not any(target.iterdir())):
        raise ParameterError(
            "--home", str(target), "is there already",
            "name a folder that is not: the database of the capsule is made there",
        )  # fmt: skip
    if not target.parent.is_dir():
        problem = f"there is no folder {str(target.parent)!r}"
        raise ParameterError("--home", str(target), problem, "make it first")


# A server ----------------------------------------------------------------------------------------


def _on_server(
    capsule: CapsuleFile,
    prefix: str | None,
    store: str | Path | None,
    progress: Progress,
    server: Mapping[str, Any],
) -> dict[str, str]:
    """Fill schemas of a new prefix."""
    if prefix is None:
        raise ParameterError(
            "--prefix", None, "is not given, which a server needs",
            "name one that is not there yet: the capsule gets schemas of its own",
        )  # fmt: skip
    checked_prefix(prefix)
    if store is None and configured_folder() == home() / "store":
        raise ParameterError(
            "--store", None, "is not given, and no store is configured",
            "name a folder that all who use the server see, or set RNN_STORE",
        )  # fmt: skip
    mark = f"{OPENING}/{prefix}.opening"
    written = WrittenFiles()
    began: list[Callable[[], dj.Connection]] = []
    with _made_folder(store), ExitStack() as turn:
        configure_store(store or os.environ.get("RNN_STORE"))
        folder = configured_folder(store)
        if folder is not None:
            _check_room(capsule, folder)

        def begin(opened: dj.Connection, name: str) -> None:
            busy = ParameterError("--prefix", name, "is being opened by others", "wait for them")
            turn.enter_context(alone(opened, f"{name} is opened from a capsule", busy))
            backend = get_store_backend(STORE)
            _refuse_existing(opened, name, backend.exists(mark))
            backend.put_buffer(f"{capsule.manifest['sha256']}\n".encode(), mark)
            began.append(database.reopener())

        try:
            database.connect(prefix=prefix, store=store, declare=True, first=begin, **server)
            _fill(capsule, written, progress)
            get_store_backend(STORE).remove(mark)
        except BaseException:
            if began:
                _take_back(prefix, written, mark, began[0])
                _remove_folders(folder, prefix)
            raise
    variables = {"RNN_PREFIX": prefix}
    if store is not None:
        variables["RNN_STORE"] = _absolute(store)
    return variables


def _refuse_existing(opened: dj.Connection, prefix: str, was_begun: bool) -> None:
    """Refuse a prefix whose schemas are there, but for those without rows that a kill has left."""
    names = [f"{prefix}_{name}" for name in SCHEMAS]
    exists = opened.adapter.schema_exists_sql
    there = [name for name in names if opened.query(exists(name)).rowcount]
    task = f"{prefix}_task"
    if there and was_begun:
        tables = base_tables(opened, task) if task in there else []
        full = opened.adapter.make_full_table_name(task, "task")
        if "task" not in tables or not opened.query(f"SELECT count(*) FROM {full}").fetchone()[0]:
            return
    if there:
        raise ParameterError(
            "--prefix", prefix, f"is there already ({', '.join(there)})",
            "name another: a capsule gets schemas of its own, and is added to none",
        )  # fmt: skip


def _take_back(
    prefix: str, written: WrittenFiles, mark: str, reopen: Callable[[], dj.Connection]
) -> None:
    """Remove what was made of schemas that did not exist before; what cannot be is left empty."""
    with suppress(Exception):
        of_store = remembered_mark()
        written.remove()
        if of_store:
            get_store_backend(STORE).remove(of_store)
    with suppress(Exception), closing(reopen()) as opened:
        cascade = "" if opened.adapter.backend == "mysql" else " CASCADE"
        for name in reversed(SCHEMAS):
            quoted = opened.adapter.quote_identifier(f"{prefix}_{name}")
            opened.query(f"DROP SCHEMA IF EXISTS {quoted}{cascade}")
        get_store_backend(STORE).remove(mark)  # last: without it the schemas are another's


# Both --------------------------------------------------------------------------------------------


def _fill(capsule: CapsuleFile, written: WrittenFiles, progress: Progress) -> None:
    """Insert all rows in one transaction; their files are on the disk before it ends."""
    opened = database.connection()
    reconnect(opened)
    with transaction(opened), written.noting():
        insert_rows(capsule, progress)
        written.make_durable()


@contextmanager
def _made_folder(store: str | Path | None) -> Iterator[None]:
    """Make the folder of a store where it is not there; remove it again where nothing came in."""
    folder = None if store is None or is_s3(store) else Path(store).expanduser()
    made = folder is not None and not folder.exists()
    if folder is not None and made:
        folder.mkdir()
    try:
        yield
    except BaseException:
        if folder is not None and made:
            _remove_empty(folder)
        raise


def _remove_folders(store: Path | None, prefix: str) -> None:
    """Remove the folders that the schemas of a new prefix have made in a store that was there."""
    if store is not None:
        beginning = str(get_store_backend(STORE).spec.get("schema_prefix", ""))
        for name in SCHEMAS:
            _remove_empty(store / beginning / f"{prefix}_{name}")


def _remove_empty(folder: Path) -> None:
    """Remove a folder and those in it, where there are no files."""
    for at, _, _ in os.walk(folder, topdown=False):
        with suppress(OSError):
            os.rmdir(at)


def _check_room(capsule: CapsuleFile, store: str | Path) -> None:
    """Refuse a capsule that is larger than what is free."""
    if is_s3(store):
        return
    needed = sum(file["bytes"] for file in capsule.manifest["files"].values())
    free = shutil.disk_usage(Path(store).expanduser()).free
    if needed > free:
        raise OSError(
            f"store = {str(store)!r}: {bytes_in_words(needed)} are to go into it, and "
            f"{bytes_in_words(free)} are free; name another"
        )


def _absolute(store: str | Path) -> str:
    return str(store) if is_s3(store) else os.path.abspath(Path(store).expanduser())
