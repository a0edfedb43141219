"""Garbage collection: removing files of the store that no row refers to."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import NamedTuple

from tasks_lib.brief import brief
from tasks_lib.errors import check_float, text_of
from tasks_lib.sizes import counted

from ..database.configuration import DatabaseError
from ..database.connection import check_writing, connection
from ..database.schemas import plain_name
from ..store.file_names import leads_out
from ..store.pending_files import SAVING
from ..tables.computed import COMPUTED
from ..workers.checkpoints import FOLDER as CHECKPOINTS
from ..workers.checkpoints import checkpoint_folder
from ..workers.queue import Queue, n_reserved
from ..workers.worker_sql import live_workers
from .store_files import StoredFile, StoreFiles, check_marks
from .stored_paths import (
    names_in_database,
    referenced_paths,
    schema_names,
    tables_with_files,
    unfinished_jobs,
)

OLDER_THAN = 24.0  # hours
# Files that are removed from one look at the workers to the next.
REMOVED_AT_ONCE = 200
KINDS = {".npy": "arrays", ".png": "figures"}
# Files that a kill left half-written: of DataJoint, and of `write_atomically`.
UNFINISHED = re.compile(rf".*{re.escape(SAVING)}|\..*\.[0-9a-f]{{8}}")


class Orphan(NamedTuple):
    """A file that no row refers to, and that no job will resume from."""

    path: str  # from the store's root
    n_bytes: int
    age: float  # seconds since it was last written
    kind: str  # arrays, figures, checkpoints, unfinished files, unfinished uploads, others
    modified: float  # when that was, by the store's clock
    upload: str = ""  # of an unfinished upload: its id


@brief
@dataclass(frozen=True)
class StoreScan:
    """What is in the store.

    Attributes
    ----------
    n_live, live_bytes : int
        Files that rows refer to, and checkpoints that jobs will go on from.
    orphans : list of Orphan
        Files that can be removed.
    n_young : int
        Files that nothing refers to yet, too young to be removed: they may be of an insert.
    n_references : int
        Files that rows refer to, in the store or not.
    n_foreign : int
        Files in our schemas' folders, but not in one of a table that there is.
    missing : list of str
        Files that rows refer to and that are not in the store.
    empty_folders : list of str
        Old folders that hold nothing, or orphans alone; innermost first.
    note : str
        Why unfinished uploads could not be looked for; empty where they could.
    """

    n_live: int
    live_bytes: int
    orphans: list[Orphan]
    n_young: int
    n_references: int
    n_foreign: int
    missing: list[str]
    empty_folders: list[str]
    note: str = ""

    def by_kind(self) -> dict[str, tuple[int, int]]:
        """Return the number of orphans of each kind, and their bytes."""
        numbers: Counter[str] = Counter()
        sizes: Counter[str] = Counter()
        for orphan in self.orphans:
            numbers[orphan.kind] += 1
            sizes[orphan.kind] += orphan.n_bytes
        return {kind: (numbers[kind], sizes[kind]) for kind in sorted(numbers)}


@brief
@dataclass(frozen=True)
class Collection:
    """Result of `collect`: what was found, and what was removed (nothing in a dry run)."""

    scan: StoreScan
    n_removed: int = 0
    removed_bytes: int = 0
    n_folders: int = 0
    note: str = ""  # of a dry run: who may be writing meanwhile


def scan(older_than: float = OLDER_THAN) -> StoreScan:
    """Compare the files of the store with all rows; nothing is changed.

    The store must be writable nevertheless: its clock is read off a file that is written for that.

    Parameters
    ----------
    older_than : float
        Hours for which a file must have been left alone, by the store's clock, to be an orphan.

    Raises
    ------
    DatabaseError
        Where a table or the store cannot be read, the store cannot be written, or another database
        uses it too.
    """
    grace = 3600.0 * check_float("older_than", older_than, minimum=0.0)
    if connection().in_transaction:
        raise DatabaseError("transaction: is open, and hides what others insert; end it first")
    check_writing()
    store = StoreFiles()
    check_marks(store)
    return _scan(store, grace)


def collect(
    older_than: float = OLDER_THAN, delete: bool = False, empty: bool = False
) -> Collection:
    """Find, and remove if asked, the files of the active prefix that nothing refers to.

    Parameters
    ----------
    older_than : float
        Hours for which a file must have been left alone, by the store's clock.
    delete : bool
        Whether to remove them.
    empty : bool
        Whether to remove them also where no row refers to any file.

    Raises
    ------
    DatabaseError
        Where a table or the store cannot be read, or another database uses the store too. With
        ``delete`` also while a job is reserved or a worker lives, and where no row refers to any
        file and ``empty`` is not given.
    """
    note = ""
    try:
        refuse_while_working()
    except DatabaseError as error:
        if delete:
            raise
        note = str(error)
    found = scan(older_than)
    if not delete:
        return Collection(found, note=note)
    whole = [orphan for orphan in found.orphans if not orphan.kind.startswith("unfinished")]
    if whole and not found.n_references and not empty:
        raise DatabaseError(
            f"rows = 0: none refers to any file, and {counted(len(whole), 'file')} would be "
            "removed; see that "
            "DJ_HOST and RNN_PREFIX name the database of this store; if its rows were deleted on "
            "purpose, `rnn gc --delete --empty`"
        )
    store = StoreFiles()
    n_removed = removed_bytes = n_folders = 0
    try:
        for first in range(0, len(found.orphans), REMOVED_AT_ONCE):
            batch = found.orphans[first : first + REMOVED_AT_ONCE]
            refuse_while_working()
            check_marks(store)
            # A key that was deleted and entered again has the same checkpoints as before.
            has_checkpoints = any(orphan.kind == "checkpoints" for orphan in batch)
            unfinished = unfinished_jobs() if has_checkpoints else {}
            for orphan in batch:
                if orphan.kind == "checkpoints" and (
                    _is_of_a_job(orphan.path, unfinished)
                    or store.modified(orphan.path) != orphan.modified
                ):
                    continue
                store.remove(orphan.path, orphan.upload)
                n_removed, removed_bytes = n_removed + 1, removed_bytes + orphan.n_bytes
        refuse_while_working()
        n_folders = sum(store.remove_empty(folder) for folder in found.empty_folders)
    except Exception as error:  # of whatever store
        text = text_of(error)
        files = f"{counted(n_removed, 'file')} {'was' if n_removed == 1 else 'were'}"
        raise DatabaseError(f"{text}; {files} removed before") from None
    return Collection(found, n_removed, removed_bytes, n_folders)


def refuse_while_working() -> None:
    """Raise an error while a worker or a job may be writing files.

    Raises
    ------
    DatabaseError
        While a job is reserved or a worker lives.
    """
    here = connection()
    queues = {queue.sql_name for queue in map(Queue, COMPUTED)}
    for schema_name in schema_names():  # of a user's own tables too
        names = (name for name in names_in_database(schema_name) if name.startswith("~~"))
        queues |= {here.adapter.make_full_table_name(schema_name, name) for name in names}
    for sql_name in sorted(queues):
        reserved = n_reserved(here, sql_name)
        if reserved:
            table = plain_name(sql_name).replace("~~", "")
            raise DatabaseError(
                f"jobs = {table}: {reserved} are reserved, so that files may be being written; "
                "wait until they are done; those of dead workers are given back when a worker "
                "runs, others with `rnn retry --stuck`"
            )
    alive = live_workers(here)
    if alive:
        host, pid = alive[0]
        raise DatabaseError(
            f"workers = {len(alive)}: live, one on {host} as process {pid}, and may be writing "
            "files; wait until they end, or end them"
        )


# Inside ------------------------------------------------------------------------------------------


def _scan(store: StoreFiles, grace: float) -> StoreScan:
    tables = tables_with_files()
    names = {checkpoint_folder(table) for table in COMPUTED}
    folders = [f"{store.schema_prefix}/{name}".lstrip("/") for name in schema_names()]
    folders += [f"{CHECKPOINTS}/{name}" for name in sorted(names)]
    now = store.now(f"{CHECKPOINTS}/{sorted(names)[-1]}")
    old_folders = [
        path
        for folder in folders
        for path, modified in store.folders(folder)
        if now - modified >= grace and _may_go(path, store.schema_prefix)
    ]
    # The store first, then the rows: what is inserted meanwhile has its file in neither, or its
    # row in the second.
    files = {file.path: file for folder in folders for file in store.files(folder)}
    unfinished = unfinished_jobs() if any(_is_checkpoint(path) for path in files) else {}
    n_live, live_bytes, n_references = 0, 0, 0
    missing, whole_folders = [], set()
    for table, columns in tables.values():
        for path in referenced_paths(table, columns):
            n_references += 1
            file = files.pop(path, None)
            if file is not None:
                n_live, live_bytes = n_live + 1, live_bytes + file.n_bytes
            elif leads_out(path) or not store.exists(path):
                missing.append(path)
            else:  # younger than the listing, or a folder with all that is in it
                whole_folders.add(path)
    if n_references and len(missing) == n_references:
        raise DatabaseError(
            f"store: of {counted(n_references, 'file')} that rows refer to none is there; nothing "
            "is removed; "
            "see that the store is the one of these tables"
        )
    uploads, note = _uploads(store, folders)
    orphans, n_young, n_foreign = [], 0, 0
    depth = len(PurePosixPath(store.schema_prefix).parts) if store.schema_prefix else 0
    for file in (*files.values(), *uploads):
        path = file.path
        # Nobody goes on with an upload: whoever writes that file again begins another.
        if not file.upload and (_is_kept(path, unfinished) or _is_within(path, whole_folders)):
            n_live, live_bytes = n_live + 1, live_bytes + file.n_bytes
        elif (
            not _is_checkpoint(path) and PurePosixPath(path).parts[depth : depth + 2] not in tables
        ):
            n_foreign += 1
        elif now - file.modified < grace:
            n_young += 1
        else:
            orphans.append(_orphan(file, store.n_bytes_of(file), now))
    return StoreScan(
        n_live, live_bytes, orphans, n_young, n_references, n_foreign, missing, old_folders, note
    )


def _uploads(store: StoreFiles, folders: list[str]) -> tuple[list[StoredFile], str]:
    """Return the unfinished uploads to some folders, and why they cannot be listed, if so.

    That takes a right of its own, and not every server can do it.
    """
    ours = tuple(f"{folder}/" for folder in folders)
    try:
        return [upload for upload in store.uploads() if upload.path.startswith(ours)], ""
    except Exception as error:  # of whatever server
        text = text_of(error)
        return [], f"unfinished uploads cannot be listed ({text})"


def _orphan(file: StoredFile, n_bytes: int, now: float) -> Orphan:
    place = PurePosixPath(file.path)
    if file.upload:
        kind = "unfinished uploads"
    elif UNFINISHED.fullmatch(place.name):
        kind = "unfinished files"
    elif _is_checkpoint(file.path):
        kind = "checkpoints"
    else:
        kind = KINDS.get(place.suffix, "others")
    return Orphan(file.path, n_bytes, now - file.modified, kind, file.modified, file.upload)


def _is_checkpoint(path: str) -> bool:
    return path.startswith(f"{CHECKPOINTS}/")


def _is_of_a_job(path: str, unfinished: dict[str, set[str]]) -> bool:
    """Return whether a checkpoint lies in the folder of a job that may yet be done."""
    _, table, *rest = PurePosixPath(path).parts
    return bool(rest) and rest[0] in unfinished.get(table, ())


def _is_kept(path: str, unfinished: dict[str, set[str]]) -> bool:
    """Return whether a file is a checkpoint that a job will go on from."""
    whole = not UNFINISHED.fullmatch(PurePosixPath(path).name)
    return _is_checkpoint(path) and whole and _is_of_a_job(path, unfinished)


def _is_within(path: str, folders: set[str]) -> bool:
    """Return whether a file is in one of some folders, or their list of files."""
    if not folders:
        return False
    place = PurePosixPath(path.removesuffix(".manifest.json"))
    return any(str(p) in folders for p in (place, *place.parents))


def _may_go(folder: str, schema_prefix: str) -> bool:
    """Return whether a folder is that of a row or a job, not one that all of a table share."""
    inside = folder.removeprefix(f"{schema_prefix}/") if schema_prefix else folder
    return len(PurePosixPath(inside).parts) > 2
