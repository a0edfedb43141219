"""Verification of files: reading every stored array and figure and comparing its hash."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from typing import Any, NamedTuple

import datajoint as dj
from datajoint.errors import DataJointError, MissingExternalFile
from datajoint.hash_registry import get_store_backend
from datajoint.storage import StorageBackend

from tasks_lib.brief import brief
from tasks_lib.errors import ParameterError, text_of

from ..store.checked_files import DamagedFile, has_hash, table_title
from ..store.codecs import CheckedCodec, check_reference
from ..store.mounts import store_answers, store_is_away
from ..store.pending_files import STORE
from ..tables.keys import NETWORK
from ..tables.selections import Selection
from ..transient.errors import is_transient
from .stored_paths import KeptValue, count_values, kept_values, tables_with_files

READERS = 8  # threads: the time to read from a bucket is spent waiting
AT_ONCE = 64  # files that the threads are given
DAMAGED, MISSING, REFUSED, UNREADABLE = "damaged", "missing", "refused", "unreadable"


@dataclass(frozen=True)
class Fault:
    """A file that is not what was stored, or cannot be read.

    Attributes
    ----------
    kind : str
        "damaged", "missing", "refused" where the row names no file of the store, or "unreadable"
        where nothing can be said: no right to read it, a disk or a server that fails.
    table : str
        Name of the table's class, such as "Training.Network".
    key : dict
        Of the row.
    column : str
    path : str
        From the store's root.
    problem : str
        With the remedy, in one line.
    """

    kind: str
    table: str
    key: dict[str, Any]
    column: str
    path: str
    problem: str

    def __str__(self) -> str:
        """Return one line."""
        key = ", ".join(f"{name} {value}" for name, value in self.key.items())
        return f"{self.kind}: {self.column} of {self.table}, {key}: {self.problem}"


@brief
@dataclass(frozen=True)
class FilesVerification:
    """Result of reading stored files: how many, and which are damaged.

    Attributes
    ----------
    n_files : int
        Files that rows refer to.
    n_bytes : int
        Of those that hold what was stored.
    n_without_hash : int
        Files whose row keeps no hash, because an earlier version wrote it. Of these only the form
        can be checked: an array of the right shape and type, a PNG whose own checksums agree.
    faults : list of Fault
    """

    n_files: int
    n_bytes: int
    n_without_hash: int
    faults: list[Fault]

    @property
    def is_whole(self) -> bool | None:
        """Whether all files are what was stored; None where some could not be read."""
        kinds = {fault.kind for fault in self.faults}
        if kinds - {UNREADABLE}:
            return False
        return None if kinds else True


class _Checked(NamedTuple):
    n_bytes: int
    has_hash: bool
    path: str
    kind: str = ""
    problem: str = ""


def verify_files(
    restriction: Selection | Mapping[str, Any] | None = None,
    progress: Callable[[int, int], None] | None = None,
    found: Callable[[Fault], None] | None = None,
) -> FilesVerification:
    """Read the stored arrays and figures of all tables, and compare them with their hashes.

    Nothing is written, and nothing is computed. Tables of a user's own in our schemas are read too.

    Parameters
    ----------
    restriction : Selection or mapping, optional
        Such as ``{"task_name": "cddm", "seed": 3}``. A table whose key lacks one of these columns,
        or with conditions a network's, is left out. By default every file of every table is read.
    progress : callable, optional
        Called as ``progress(n_done, n_files)``.
    found : callable, optional
        Called with each fault when it is found.

    Raises
    ------
    ParameterError
        Where a restriction selects no file.
    DatabaseError
        Where a table cannot be read.
    Exception
        Of whatever kind, where the store is away: that says nothing of the files.
    """
    selection = Selection.of(restriction)
    needed = {*selection.plain} if selection.given == selection.plain else {*NETWORK}
    tables = [
        (table & selection.restriction(table), columns)
        for table, columns in tables_with_files().values()
        if columns and needed <= set(table.heading.primary_key)
    ]
    n_files = sum(count_values(table, columns) for table, columns in tables)
    if selection and not n_files:
        problem = "selects no stored file"
        raise ParameterError(
            "selection", selection.in_words(), problem, "mend the names, or leave one out"
        )
    backend = get_store_backend(STORE)
    n_done = n_bytes = n_without_hash = 0
    faults = []
    with ThreadPoolExecutor(READERS) as readers:
        for table, columns in tables:
            values = kept_values(table, columns)
            while batch := list(islice(values, AT_ONCE)):
                results = readers.map(lambda kept: _checked(kept, backend), batch)
                for kept, result in zip(batch, results, strict=True):
                    n_done += 1
                    n_bytes += result.n_bytes
                    n_without_hash += not result.has_hash
                    if result.kind and _is_kept(table, kept):
                        title = table_title(table.table_name)
                        where = (title, kept.key, kept.column, result.path)
                        faults.append(Fault(result.kind, *where, result.problem))
                        if found is not None:
                            found(faults[-1])
                if progress is not None:
                    progress(n_done, max(n_files, n_done))
    return FilesVerification(n_done, n_bytes, n_without_hash, faults)


def _checked(kept: KeptValue, backend: StorageBackend) -> _Checked:
    """Read the file of one column of a row."""
    stored = _stored(kept.value)
    path = str(stored.get("path")) if isinstance(stored, dict) else ""
    try:
        check_reference(stored)
    except DataJointError as error:
        return _Checked(0, True, path, REFUSED, _line(error))
    ours = kept.codec if isinstance(kept.codec, CheckedCodec) else None
    known, n_bytes = ours is not None and has_hash(stored), 0
    try:
        if ours is not None:
            n_bytes = ours.check(stored, backend)
        elif not backend.exists(path):  # of another codec, in a table of a user's own
            raise MissingExternalFile(f"file = {path!r}: is missing")
    except DamagedFile as error:
        return _Checked(0, known, path, DAMAGED, _line(error))
    except Exception as error:
        if store_is_away() or (is_transient(error) and not store_answers()):
            raise
        missing = isinstance(error, MissingExternalFile | FileNotFoundError)
        return _Checked(0, known, path, MISSING if missing else UNREADABLE, _line(error))
    return _Checked(n_bytes, known, path)


def _is_kept(table: dj.Table, kept: KeptValue) -> bool:
    """Return whether a row still refers to a file: it may have been deleted, and the file too."""
    now: Iterator[KeptValue] = kept_values(table, [kept.column], kept.key)
    return any(_stored(one.value) == _stored(kept.value) for one in now)


def _stored(value: Any) -> Any:
    """Return what a column keeps: PostgreSQL gives it read, MySQL as its text."""
    return json.loads(value) if isinstance(value, str) else value


def _line(error: BaseException) -> str:
    return text_of(error)
