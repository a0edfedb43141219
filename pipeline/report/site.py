"""The folder of a report: what was written there is known, and nothing else is touched."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Collection
from contextlib import suppress
from pathlib import Path
from typing import Any

from models.machine.atomic_file import write_atomically
from tasks_lib.errors import ParameterError

from ..store.file_names import leads_out

MANIFEST = "report-manifest.json"
KIND, VERSION = "rnn report", 1
OPTION = "--out"


def fingerprint(*what: Any) -> str:
    """Return a short hash of values that JSON can hold; equal values have the same."""
    text = json.dumps(what, sort_keys=True, default=str)
    return hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()[:16]


class Site:
    """A folder with a report, and its manifest: each file, what it was made from, and its size.

    First `begin`, which says which files there will be, then `write` each, then `finish`. What is
    broken off leaves a folder that the next report takes up.

    Parameters
    ----------
    folder : Path
        A new or an empty one, or one of an earlier report.

    Raises
    ------
    ParameterError
        Where the folder holds other things.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._before = self._read()
        self._after: dict[str, list[Any]] = {}
        self.n_written = self.n_removed = 0

    @property
    def paths(self) -> Collection[str]:
        """The files of the report, from its folder, as the manifest has them."""
        return self._before.keys()

    def begin(self, paths: Collection[str]) -> None:
        """Say which files there will be, before one is written.

        Raises
        ------
        ParameterError
            Where one of them is there already and was not written by a report.
        """
        for path in sorted({*paths, MANIFEST}):
            target = self.folder / path
            for parent in target.parents[: len(Path(path).parts) - 1]:
                if parent.is_symlink() or (parent.exists() and not parent.is_dir()):
                    raise _refusal(parent, "is not a folder of a report")
            there = target.is_symlink() or target.exists()
            if there and path not in self._before and path != MANIFEST:
                raise _refusal(target, "is a file that no report has written")
        # Before they are there, so that after a kill they are known as ours.
        begun = {path: ["", -1] for path in paths} | self._before
        if begun != self._before or not (self.folder / MANIFEST).exists():
            self.folder.mkdir(parents=True, exist_ok=True)
            self._write_manifest(begun)
        for parent in {(self.folder / path).parent for path in paths}:
            parent.mkdir(exist_ok=True)

    def is_current(self, path: str, made_from: str) -> bool:
        """Return whether a file is there, whole, and was made from the same."""
        known = self._before.get(path)
        if known is None or not made_from or known[0] != made_from:
            return False
        try:
            return (self.folder / path).stat().st_size == known[1]
        except OSError:
            return False

    def keep(self, path: str) -> None:
        """Let a file be as it is."""
        self._after[path] = self._before[path]

    def write(self, path: str, made_from: str, make: Callable[[], bytes]) -> None:
        """Write a file, unless it is there and was made from the same.

        Parameters
        ----------
        path : str
            From the folder; one of those that `begin` was told.
        made_from : str
            The `fingerprint` of what the file depends on; "": made anew each time.
        make : callable
            Returns the content.
        """
        if self.is_current(path, made_from):
            self.keep(path)
            return
        content, target = make(), self.folder / path
        if target.is_symlink() or _content(target) != content:
            write_atomically(target, lambda file: file.write(content))
            self.n_written += 1
        self._after[path] = [made_from, len(content)]

    def finish(self) -> None:
        """Remove files of an earlier report that this one does not have, and write the manifest."""
        for path in sorted(self._before.keys() - self._after.keys()):
            target = self.folder / path
            if target.parent.is_symlink():
                continue
            with suppress(FileNotFoundError, IsADirectoryError, PermissionError):
                target.unlink()
                self.n_removed += 1
            with suppress(OSError):  # unless something is left in it
                if target.parent != self.folder:
                    target.parent.rmdir()
        if self._after != self._before or self._read() != self._after:
            self._write_manifest(self._after)
        self._before, self._after = self._after, {}

    def _write_manifest(self, files: dict[str, list[Any]]) -> None:
        content = {"kind": KIND, "version": VERSION, "files": dict(sorted(files.items()))}
        text = json.dumps(content, separators=(",", ":")).replace("],", "],\n")  # a line a file
        write_atomically(self.folder / MANIFEST, lambda file: file.write(text.encode()))

    def _read(self) -> dict[str, list[Any]]:
        """Return what the manifest says; refuse a folder of something else."""
        if not self.folder.exists():
            return {}
        if not self.folder.is_dir():
            raise _refusal(self.folder, "is not a folder")
        path = self.folder / MANIFEST
        if not path.exists():
            # What a kill has left of the first manifest is ours.
            if any(not entry.name.startswith(f".{MANIFEST}.") for entry in self.folder.iterdir()):
                raise _refusal(self.folder, "holds other things than a report")
            return {}
        try:
            read = json.loads(path.read_text(encoding="utf-8"))
            files = read["files"]
            if (read["kind"], read["version"]) != (KIND, VERSION):
                raise ValueError
            for name, (made_from, n_bytes) in files.items():
                if not isinstance(made_from, str) or not isinstance(n_bytes, int):
                    raise ValueError
                if leads_out(name) or name.startswith("/"):
                    raise ValueError
        except (ValueError, KeyError, TypeError, AttributeError):
            raise _refusal(path, "is not the manifest of a report of this version") from None
        return dict(files)


def _content(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except OSError:
        return None


def _refusal(path: Path, problem: str) -> ParameterError:
    return ParameterError(
        OPTION, str(path), problem, "name a new or an empty folder, or one of an earlier report"
    )
