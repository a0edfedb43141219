"""Folders as archives of the same bytes each time, and reading either without unpacking it."""

from __future__ import annotations

import gzip
import hashlib
import os
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO, BinaryIO

from tasks_lib.errors import ParameterError, printable

ZIP, TAR = ".zip", ".tar.gz"
LEVEL = 6  # of the compression
MOST_PADDING = 2**20  # bytes after the last file of a tar
CHUNK = 2**20  # bytes read at a time
# What readers of damaged archives raise.
DAMAGED = (zipfile.BadZipFile, tarfile.TarError, zlib.error, EOFError, gzip.BadGzipFile)
_MODE = 0o644


def ending_of(path: Path) -> str:
    """Return ".zip" or ".tar.gz" where a path ends so (".tgz" too), "" where it is a folder's."""
    name = path.name.lower()
    if name.endswith(ZIP):
        return ZIP
    return TAR if name.endswith((TAR, ".tgz")) else ""


def pack(folder: Path, paths: list[str], root: str, ending: str, file: BinaryIO) -> None:
    """Write files of a folder as an archive: equal files give equal bytes.

    No time, no user and no order of a file system is in it.

    Parameters
    ----------
    folder : Path
    paths : list of str
        From the folder.
    root : str
        The folder that they are in when the archive is unpacked.
    ending : {".zip", ".tar.gz"}
    file : binary file
    """
    if ending == ZIP:
        with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=LEVEL) as archive:
            for path in sorted(paths):
                entry = zipfile.ZipInfo(f"{root}/{path}")  # of 1980-01-01
                entry.compress_type = zipfile.ZIP_DEFLATED
                entry.create_system = 3  # Unix, on every system
                entry.external_attr = _MODE << 16
                entry.file_size = (folder / path).stat().st_size
                with (folder / path).open("rb") as source, archive.open(entry, "w") as target:
                    _copy(source, target)
        return
    with (
        gzip.GzipFile("", "wb", LEVEL, file, mtime=0) as packed,
        tarfile.open(fileobj=packed, mode="w", format=tarfile.PAX_FORMAT) as tar,
    ):
        for path in sorted(paths):
            member = tarfile.TarInfo(f"{root}/{path}")  # of 1970-01-01, of no user
            member.size = (folder / path).stat().st_size
            member.mode = _MODE
            with (folder / path).open("rb") as source:
                tar.addfile(member, source)


def _copy(source: IO[bytes], target: IO[bytes]) -> None:
    while chunk := source.read(CHUNK):
        target.write(chunk)


@dataclass(frozen=True)
class Member:
    """A file of an export.

    Attributes
    ----------
    path : str
        From the export's own folder.
    open : callable or None
        Opens it to be read; None for what is no file: a link, a device.
    """

    path: str
    open: Callable[[], IO[bytes] | None] | None

    def read(self, most: int) -> bytes:
        """Return its content, at most so many bytes."""
        file = self.open and self.open()
        if file is None:
            return b""
        with file:
            return file.read(most)

    def save(self, path: Path) -> None:
        """Write its content to a new file."""
        file = self.open and self.open()
        if file is not None:
            with file, path.open("xb") as target:
                _copy(file, target)

    def hashed(self, most: int) -> tuple[int, str]:
        """Return its number of bytes and their SHA-256; what is longer is not read to its end.

        A file that cannot be unpacked has -1 bytes.
        """
        digest, size = hashlib.sha256(), 0
        try:
            file = self.open and self.open()
            if file is None:
                return -1, ""
            with file:
                while size <= most and (chunk := file.read(CHUNK)):
                    digest.update(chunk)
                    size += len(chunk)
        except (*DAMAGED, RuntimeError):  # also encrypted, or compressed in an unknown way
            return -1, ""
        return size, digest.hexdigest()


@contextmanager
def opened(path: Path) -> Iterator[Iterator[Member]]:
    """Yield the files of a folder or an archive, one after the other; nothing is unpacked.

    Raises
    ------
    ParameterError
        Where there is neither, or a damaged archive.
    """
    try:
        if path.is_dir():
            yield _of_folder(path)
        elif not path.exists():
            raise ParameterError("PATH", str(path), "is not there", "name a folder or an archive")
        elif zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                yield _of_zip(archive)
        else:
            with gzip.open(path) as packed, tarfile.open(fileobj=packed, mode="r:") as tar:
                yield _of_tar(tar, packed)
    except DAMAGED as error:
        problem = f"is no whole archive ({printable(str(error))[:120]})"
        raise ParameterError("PATH", str(path), problem, "copy it anew") from None


def _open(path: Path) -> IO[bytes]:
    return path.open("rb")


def _of_folder(folder: Path) -> Iterator[Member]:
    for at, folders, names in os.walk(folder):
        folders.sort()
        # A link to a folder is not followed, and is nothing that was exported.
        links = [name for name in folders if Path(at, name).is_symlink()]
        for name in sorted([*names, *links]):
            path = Path(at, name)
            relative = path.relative_to(folder).as_posix()
            if path.is_symlink() or not path.is_file():
                yield Member(relative, None)
            else:
                yield Member(relative, partial(_open, path))


def _of_zip(archive: zipfile.ZipFile) -> Iterator[Member]:
    for entry in archive.infolist():
        if not entry.is_dir():
            is_link = stat.S_ISLNK(entry.external_attr >> 16)  # its content would be a path
            opener = None if is_link else partial(archive.open, entry)
            yield Member(inside(entry.filename), opener)


def _of_tar(tar: tarfile.TarFile, packed: gzip.GzipFile) -> Iterator[Member]:
    for member in tar:
        if not member.isdir():
            opener = partial(tar.extractfile, member) if member.isreg() else None
            yield Member(inside(member.name), opener)

    if len(packed.read(MOST_PADDING)) == MOST_PADDING:  # which compares the checksum at the end
        raise tarfile.ReadError("something follows its end")


def inside(name: str) -> str:
    """Return a path in an archive without the folder that all of it is in."""
    return name.partition("/")[2] or name
