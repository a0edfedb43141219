"""Capsules as files: their layout and bounds, and reading and checking one without a database."""

from __future__ import annotations

import hashlib
import json
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any, NoReturn

from numpy.typing import NDArray

from tasks_lib.errors import ParameterError, printable, shown
from tasks_lib.sizes import bytes_in_words

from ..store.stored_figures import PNG_SIGNATURE
from .archives import DAMAGED, inside
from .capsule_values import ARRAY, ENDINGS, TYPES, array_in, problem_of, refuse_constant
from .manifest import CAPSULE, ExportCheck, check_export, read_manifest

ROWS, FILES, REPORT = "rows", "files", "report"
ENVIRONMENT, LOCK, SUBMISSION, README = (
    "environment.json", "requirements.txt", "submission.yaml", "README.txt"
)  # fmt: skip
# Bounds: what a capsule says of its sizes is held against them before anything of it is unpacked,
# and nothing is read beyond what it says.
MOST_FILES = 2 * 10**6
MOST_FILE = 2**32  # bytes
MOST_TIMES = 200  # the size of the archive; what is packed well below it is no capsule of networks
ANY_CASE = 2**26  # bytes that any archive may unpack to


@dataclass(frozen=True)
class CapsuleTable:
    """A table of a capsule.

    Attributes
    ----------
    title : str
        "Training.Network".
    n_rows : int
    columns : dict
        Column -> its kind, as of `pipeline.sharing.selection.Column`, or "figure".
    key : list of str
        The primary key.
    """

    title: str
    n_rows: int
    columns: dict[str, str]
    key: list[str]


def rows_path(title: str) -> str:
    """Return the path of a table's rows in a capsule."""
    return f"{ROWS}/{title}.jsonl"


class CapsuleFile:
    """A capsule that is open for reading; nothing is unpacked to the disk.

    Whatever it gives has been compared with its hash. Made by `opened_capsule`.

    Attributes
    ----------
    manifest : dict
    tables : dict of str to CapsuleTable
    migrations : list of str
        Those that the database had had of which it was made.
    packages : list of str
        Packages of one's own that rows name.
    n_networks, n_cohorts : int
    """

    def __init__(self, path: Path, archive: zipfile.ZipFile, manifest: dict[str, Any]) -> None:
        self.path, self.manifest = path, manifest
        self._archive = archive
        self._files: dict[str, Any] = manifest["files"]
        self._by_hash = {str(file["sha256"]): name for name, file in self._files.items()}
        self._entries: dict[str, zipfile.ZipInfo] = {}
        for entry in archive.infolist():
            self._entries.setdefault(inside(entry.filename), entry)
        try:
            self.tables = {
                title: CapsuleTable(
                    title, int(one["rows"]),
                    {str(name): str(kind) for name, kind in one["columns"].items()},
                    [str(name) for name in one["key"]],
                )
                for title, one in manifest["tables"].items()
            }  # fmt: skip
            self.migrations = [str(name) for name in manifest["migrations"]]
            self.packages = [str(name) for name in manifest["packages"]]
            self.n_networks, self.n_cohorts = (
                int(manifest["n_networks"]),
                int(manifest["n_cohorts"]),
            )
        except (KeyError, TypeError, ValueError, AttributeError):
            self._refuse("has a manifest that lacks what one of a capsule has")
        for table in self.tables.values():
            known = {*TYPES, "json"}
            if not {*table.columns.values()} <= known or not {*table.key} <= {*table.columns}:
                self._refuse(f"has a table {shown(table.title)} with columns of no kind")

    @property
    def n_files(self) -> int:
        """Files that rows name."""
        return len(self._by_hash)

    def bytes_of(self, path: str) -> bytes:
        """Return the content of a file.

        Raises
        ------
        ParameterError
            Where it is not what the manifest says.
        """
        wanted = self._files.get(path)
        entry = self._entries.get(path)
        if wanted is None or entry is None:
            self._refuse(f"has no file {shown(path)}")
        try:
            with self._archive.open(entry) as file:
                content = file.read(wanted["bytes"] + 1)
        except (*DAMAGED, RuntimeError, NotImplementedError):
            content = b""
        digest = hashlib.sha256(content).hexdigest()
        if (len(content), digest) != (wanted["bytes"], wanted["sha256"]):
            self._refuse(f"is not as it was made (changed: {printable(path)})")
        return content

    def has(self, sha256: str | None, kind: str) -> bool:
        """Return whether there is a file of this content, of the kind that a column has."""
        return sha256 is None or self._by_hash.get(sha256, "").endswith(ENDINGS[kind])

    def array(self, sha256: str) -> NDArray[Any]:
        """Return the array of this content."""
        path = self._by_hash.get(sha256, "")
        content = self.bytes_of(path)
        try:
            return array_in(content)
        except ValueError as error:
            self._refuse(f"has no array of numbers in {printable(path)} ({error})")

    def figure(self, sha256: str) -> bytes:
        """Return the PNG file of this content."""
        path = self._by_hash.get(sha256, "")
        content = self.bytes_of(path)
        if not content.startswith(PNG_SIGNATURE):
            self._refuse(f"has no PNG file in {printable(path)}")
        return content

    def rows(self, title: str) -> Iterator[dict[str, Any]]:
        """Yield the rows of a table as JSON has them, checked: arrays and figures by their hash."""
        table = self.tables[title]
        number = 0
        for number, line in enumerate(BytesIO(self.bytes_of(rows_path(title))), start=1):
            try:
                row = json.loads(line, parse_constant=refuse_constant)
            except (ValueError, RecursionError):
                self._refuse_row(title, number, "is no JSON")
            if not isinstance(row, dict) or row.keys() != table.columns.keys():
                self._refuse_row(title, number, "has other columns than the table")
            for name, kind in table.columns.items():
                problem = problem_of(row[name], kind, name in table.key)
                if not problem and kind in ENDINGS and not self.has(row[name], kind):
                    problem = f"names no {kind} of this capsule"
                if problem:
                    self._refuse_row(title, number, f"has a {shown(name)} that {problem}")
            yield row
        if number != table.n_rows:
            self._refuse(f"has {number} rows of {title}, and its manifest says {table.n_rows}")

    def environment(self) -> dict[str, Any]:
        """Return the environment in which it was made."""
        content = self.bytes_of(ENVIRONMENT)
        try:
            found = json.loads(content)
            if not all(isinstance(found[n], dict) for n in ("python", "platform", "cpu",
                                                              "packages")):  # fmt: skip
                raise ValueError
        except (ValueError, KeyError, TypeError, RecursionError):
            self._refuse(f"has no environment in {ENVIRONMENT}")
        return dict(found)

    def check(self, progress: Callable[[int, int], object] = lambda done, total: None) -> None:
        """Read all of it.

        Raises
        ------
        ParameterError
            For rows that are none of their tables, that name files which are not there, arrays that
            are no numbers, and files that no row names.
        """
        self.environment()
        named: dict[str, str] = {}
        for done, title in enumerate(self.tables, start=1):
            kinds = {n: k for n, k in self.tables[title].columns.items() if k in ENDINGS}
            for row in self.rows(title):
                for name, kind in kinds.items():
                    if row[name] is not None and named.get(row[name]) != kind:
                        (self.array if kind == ARRAY else self.figure)(row[name])
                        named[row[name]] = kind
            progress(done, len(self.tables))
        paths = {rows_path(title) for title in self.tables}
        paths |= {ENVIRONMENT, LOCK, SUBMISSION, README}
        for path, file in self._files.items():
            if path not in paths and file["sha256"] not in named and not _is_in_report(path):
                self._refuse(f"has a file {shown(path)} that no row names")

    def _refuse_row(self, title: str, number: int, problem: str) -> NoReturn:
        self._refuse(f"has a row of {printable(title)} (line {number}) that {problem}")

    def _refuse(self, problem: str) -> NoReturn:
        raise ParameterError(
            "PATH", str(self.path), problem, "copy it anew, or ask whoever made it"
        ) from None


@contextmanager
def opened_capsule(path: Path) -> Iterator[CapsuleFile]:
    """Open a capsule for reading, after a look at the sizes that it says.

    Raises
    ------
    ParameterError
        Where there is none, it is damaged, of a later version, or larger than any capsule.
    """
    manifest = checked_sizes(path)
    try:
        with zipfile.ZipFile(path) as archive:
            yield CapsuleFile(path, archive, manifest)
    except DAMAGED as error:
        problem = f"is no whole archive ({printable(str(error))[:120]})"
        raise ParameterError("PATH", str(path), problem, "copy it anew") from None


def check_capsule(
    path: str | Path, progress: Callable[[int, int], object] = lambda done, total: None
) -> ExportCheck:
    """Compare a capsule with its manifest, and look at every row and array; nothing is unpacked.

    Needs no database and no network, and runs nothing of what is in it.

    Parameters
    ----------
    path : str or Path
    progress : callable, optional
        Called with the number of tables that are done, and of all.

    Returns
    -------
    ExportCheck
        Its ``faults`` say what is missing, what has changed, and what is not of a capsule.

    Raises
    ------
    ParameterError
        Where there is no capsule, or one of a later version or beyond all bounds.
    """
    target = Path(path)
    checked_sizes(target)
    found = check_export(target, CAPSULE)
    if found.is_whole:
        try:
            with opened_capsule(target) as capsule:
                capsule.check(progress)
        except ParameterError as error:
            found.faults.append(error.problem)
    return found


def checked_sizes(path: Path) -> dict[str, Any]:
    """Return the manifest of a capsule whose sizes are within bounds.

    Raises
    ------
    ParameterError
        Where they are not.
    """
    if path.is_dir():
        raise ParameterError(
            "PATH", str(path), "is a folder", "name the capsule as it was made: a .zip file"
        )
    if path.is_file() and not zipfile.is_zipfile(path):
        raise ParameterError("PATH", str(path), "is no whole zip archive", "copy it anew")
    manifest = read_manifest(path, CAPSULE)
    sizes = [file["bytes"] for file in manifest["files"].values()]
    packed = path.stat().st_size
    most = max(ANY_CASE, MOST_TIMES * packed)
    problem = ""
    if len(sizes) > MOST_FILES:
        problem = f"has {len(sizes)} files, and a capsule {MOST_FILES} at most"
    elif any(isinstance(n, bool) or not 0 <= n <= MOST_FILE for n in sizes):
        problem = f"has a file that is larger than {bytes_in_words(MOST_FILE)}, or says so"
    elif sum(sizes) > most:
        problem = (
            f"would unpack to {bytes_in_words(sum(sizes))}, more than {MOST_TIMES} times its "
            f"{bytes_in_words(packed)}"
        )
    if problem:
        raise ParameterError("PATH", str(path), problem, "ask whoever made it")
    return manifest


def _is_in_report(path: str) -> bool:
    return path.startswith(f"{REPORT}/")
