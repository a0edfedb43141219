"""Writing a capsule: all rows, arrays and figures of a selection, in one archive."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from models.machine.atomic_file import naming, write_atomically
from tasks_lib.errors import ParameterError

from ..database.connection import connection, pending_migrations
from ..database.server import reconnect, snapshot
from ..database.upgrades import known_migrations
from ..report.rows import Row
from ..store.checked_files import read_checked
from ..store.codecs import StoredArray, StoredFigure
from ..tables.provenance import code_version
from ..tables.selections import Selection
from .archives import ZIP, ending_of
from .capsule_file import (
    ENVIRONMENT,
    FILES,
    LOCK,
    README,
    REPORT,
    ROWS,
    SUBMISSION,
    rows_path,
)
from .capsule_rows import CapsuleRows
from .capsule_values import ARRAY, ENDINGS, FIGURE, row_text
from .environment import environment, lock
from .manifest import CAPSULE, MANIFEST, described, hash_of, manifest_text, read_manifest
from .selection import TableRows
from .submission import submission_of
from .table_files import cell
from .target import beside, check_target, put
from .write import add_report

NAMED_BY = 32  # characters of a hash in the name of a file; the whole of it is in the manifest
READERS = 8  # threads: the time to read from a bucket is spent waiting
# For whoever receives a capsule and knows nothing of us.
TEXT = """\
A capsule of rnn-pipeline: trained recurrent networks, and everything that was computed from them,
in a form that opens again as a database.

report/index.html  all of it to look at, in a browser; needs nothing else
rows/              the rows of each table, a line of JSON each; arrays by their SHA-256
files/             arrays (numpy.load reads them) and figures, by half of their SHA-256
submission.yaml    all parameters: rnn submit enters them, and workers train the same networks again
environment.json   what was installed where the capsule was made, and on what it ran
requirements.txt   the same for pip
manifest.json      selection, version of the code, tables, and the SHA-256 of every file

rnn capsule check PATH says whether it is as it was made;
rnn capsule open PATH restores it into a database of its own; rnn verify there trains it again.
"""
# Columns that may name a class or a function of somebody's package.
NAMING = {"Task": "task_class", "NetworkParams": "activation", "TrainingParams.Penalty": "penalty"}
MADE_ON = ("code_version", "code_dirty", "python_version", "torch_version", "numpy_version")
Progress = Callable[[int, int], object]


@dataclass(frozen=True)
class Capsule:
    """What was put into a capsule.

    Attributes
    ----------
    path : Path
    n_networks, n_cohorts, n_rows, n_files : int
        Files are arrays and figures of different content.
    n_others : int
        Cohorts that were not selected and came with the others: snapshots of their networks, and
        networks with which theirs were compared.
    n_bytes : int
        Of the archive.
    sha256 : str
        Of the manifest's content.
    packages : list of str
        Packages of one's own whose tasks, penalties or activations its rows name: they are not in
        it, and who opens it needs them.
    code_dirty : bool
        Whether the code that made it has changes that no commit has.
    """

    path: Path
    n_networks: int
    n_cohorts: int
    n_rows: int
    n_files: int
    n_others: int
    n_bytes: int
    sha256: str
    packages: list[str]
    code_dirty: bool


def make_capsule(
    target: str | Path,
    restriction: Selection | Mapping[str, Any] | None = None,
    update: bool = False,
    progress: Progress = lambda done, total: None,
) -> Capsule:
    """Write all that belongs to a selection of networks to one archive that opens as a database.

    Rows of everything upstream and downstream, arrays, figures, the version of the code, the
    environment, and the report. All of it is of one moment, whatever workers insert meanwhile.
    Cohorts are whole; networks with which theirs are compared come with them. Equal content gives
    equal bytes in the same environment. What is interrupted leaves nothing under the target's name.
    Tables of one's own, jobs and the histories of searches are not part of it.

    Parameters
    ----------
    target : str or Path
        The archive; its name ends in ``.zip``.
    restriction : Selection or mapping, optional
        ``task_name``, ``network_name``, ``training_name``, ``first_seed``, ``seed``,
        ``sweep_name`` and ``where``, those of them that are given; all networks by default.
    update : bool
        Whether an earlier capsule of that name is replaced. Anything else is never replaced.
    progress : callable, optional
        Called with the number of arrays and figures that are done, and of all.

    Raises
    ------
    ParameterError
        Where the selection is empty, or the target is there or no name of an archive.
    DatabaseError, OSError
        Where what is to be in it cannot be read or written. The target is then as it was.
    """
    where = Path(target)
    if ending_of(where) != ZIP:
        raise ParameterError(
            "--out", str(where), "does not end in .zip", f"name it {where.name}.zip"
        )
    check_target(where, update, CAPSULE)
    work = beside(where, "unfinished")
    try:
        with naming(work):
            work.mkdir()
        reconnect(connection())  # which an interrupt may have closed
        with snapshot(connection()):
            rows = CapsuleRows(Selection.of(restriction))
            manifest = _write(work, rows, progress)
        paths = [p.relative_to(work).as_posix() for p in work.rglob("*") if p.is_file()]
        manifest["files"] = described(work, paths, sync=False)
        text = manifest_text(manifest, CAPSULE)
        write_atomically(work / MANIFEST, lambda file: file.write(text.encode()))
        whole = read_manifest(work, CAPSULE)
        sha256 = hash_of(whole)
        put(work, where, sorted([*whole["files"], MANIFEST]), f"rnn-capsule-{sha256[:12]}", update)
    finally:
        with suppress(OSError):
            shutil.rmtree(work)
    return Capsule(
        where, whole["n_networks"], whole["n_cohorts"],
        sum(table["rows"] for table in whole["tables"].values()), whole["n_named"],
        whole["n_cohorts"] - rows.n_selected, where.stat().st_size, sha256, whole["packages"],
        whole["code_dirty"],
    )  # fmt: skip


def _write(work: Path, rows: CapsuleRows, progress: Progress) -> dict[str, Any]:
    """Write everything but the manifest; return what that says, but for the files."""
    tables = rows.tables()
    by_title = {table.title: table for table in tables}
    add_report(work / REPORT, rows)
    files = _Files(work)
    (work / ROWS).mkdir()
    for table in tables:
        lines = [row_text(row, table.title) for row in _plain_rows(table, files)]
        (work / rows_path(table.title)).write_text("".join(lines), encoding="utf-8")
    files.write(progress)
    submission = yaml.safe_dump(submission_of(tables), allow_unicode=True, width=100)
    here = environment()
    for name, text in (
        (SUBMISSION, submission), (README, TEXT), (LOCK, lock(here)),
        (ENVIRONMENT, row_text(here, ENVIRONMENT)),
    ):  # fmt: skip
        (work / name).write_text(text, encoding="utf-8")
    version, dirty = code_version()
    pending = pending_migrations()
    return {
        "code_version": version,
        "code_dirty": dirty,
        "selection": rows.selection.written,
        "n_cohorts": len(by_title["Cohort"].rows),
        "n_networks": len(by_title["Training.Network"].rows),
        "n_named": files.n_named,
        "packages": _packages(by_title),
        "trained_on": _trained_on(by_title["Training"].rows),
        "migrations": [name for name in known_migrations() if name not in pending],
        "tables": {
            table.title: {
                "rows": len(table.rows), "key": table.primary_key, "columns": _kinds(table),
            }
            for table in tables
        },
    }  # fmt: skip


class _Files:
    """The arrays and figures that rows name: each content once, by its hash.

    A figure that the report has is not written a second time.
    """

    def __init__(self, work: Path) -> None:
        self._folder = work / FILES
        self._folder.mkdir()
        self._there = {
            hashlib.sha256(path.read_bytes()).hexdigest() for path in (work / REPORT).rglob("*.png")
        }
        self._named: set[str] = set()
        self._to_write: dict[str, StoredArray | StoredFigure] = {}

    @property
    def n_named(self) -> int:
        """How many rows name."""
        return len(self._named)

    def name(self, value: Any, kind: str, where: str) -> str:
        """Return the hash of an array or a figure, whose content is written now or later."""
        if isinstance(value, StoredArray | StoredFigure):
            sha256 = value.stored.get("sha256")  # not where an early version wrote it
            if sha256 is None:
                return self._keep(read_checked(value.stored, value._backend), kind)
            self._named.add(str(sha256))
            if sha256 not in self._there:
                self._to_write.setdefault(str(sha256), value)
            return str(sha256)
        if not isinstance(value, np.ndarray) or value.dtype.hasobject:
            raise ParameterError(
                where, type(value).__name__, "is no array of numbers", "delete the row"
            )
        buffer = BytesIO()
        np.save(buffer, value, allow_pickle=False)
        return self._keep(buffer.getvalue(), kind)

    def _keep(self, content: bytes, kind: str) -> str:
        sha256 = hashlib.sha256(content).hexdigest()
        self._named.add(sha256)
        if sha256 not in self._there:
            self._path(sha256, kind).write_bytes(content)
            self._there.add(sha256)
        return sha256

    def _path(self, sha256: str, kind: str) -> Path:
        return self._folder / f"{sha256[:NAMED_BY]}{ENDINGS[kind]}"

    def write(self, progress: Progress) -> None:
        """Write those that have only been named so far, as they are in the store."""
        with ThreadPoolExecutor(READERS) as readers:
            for done, _ in enumerate(readers.map(self._copy, self._to_write.items()), start=1):
                progress(done, len(self._to_write))

    def _copy(self, one: tuple[str, StoredArray | StoredFigure]) -> None:
        sha256, value = one
        kind = ARRAY if isinstance(value, StoredArray) else FIGURE
        self._path(sha256, kind).write_bytes(read_checked(value.stored, value._backend))


def _kinds(table: TableRows) -> dict[str, str]:
    kinds = {column.name: str(column.kind) for column in table.columns}
    return {**kinds, **dict.fromkeys(table.figures, FIGURE)}


def _plain_rows(table: TableRows, files: _Files) -> Iterator[Row]:
    """Yield rows as JSON has them."""
    kinds = _kinds(table)
    for row in table.rows:
        yield {
            name: _plain(row[name], kind, files, f"{table.title}.{name}")
            for name, kind in kinds.items()
        }


def _plain(value: Any, kind: str, files: _Files, where: str) -> Any:
    if value is None or kind == "json":
        return value
    if kind in ENDINGS:
        return files.name(value, kind, where)
    if kind == "time":
        return value.isoformat(sep=" ")
    return cell(kind, value)  # type: ignore[arg-type]  # one of the others


def _packages(tables: Mapping[str, TableRows]) -> list[str]:
    """Return the packages of one's own that rows name."""
    named = (str(row[column]) for title, column in NAMING.items() for row in tables[title].rows)
    modules = {name.partition(":")[0] for name in named if ":" in name}
    return sorted({module.partition(".")[0] for module in modules})


def _trained_on(trainings: Iterable[Row]) -> list[dict[str, Any]]:
    """Return the versions of code and libraries that trained the networks, each once."""
    found = {
        tuple(bool(row[n]) if n == "code_dirty" else row[n] for n in MADE_ON) for row in trainings
    }
    return [dict(zip(MADE_ON, one, strict=True)) for one in sorted(found, key=str)]
