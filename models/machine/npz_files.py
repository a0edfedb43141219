"""Zip files from outside, of NumPy and PyTorch: what their headers say, before anything is read.

A file of a few megabytes can unfold to any size. The directory of the file is bounded, a member of
a name that is not asked for is never unfolded, and one that is has its size checked by its header.
"""

from __future__ import annotations

import math
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, Any, BinaryIO, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tasks_lib.errors import ParameterError, shown
from tasks_lib.sizes import bytes_in_words

MAX_MEMBERS = 1000
MEMBER_BYTES = 1024  # of each in the list of members at the end of the file
MAX_TEXT = 2**20  # bytes of an array that is a text
NUMBERS, TEXTS = "fiub", "SU"  # kinds of dtype
PICKLE = (
    "no pickle is ever read: where the file was made, write the numbers as a params JSON, or with "
    "numpy.savez(path, W_rec=..., W_inp=..., W_out=..., activation_args=json.dumps(...), ...)"
)
_PLAIN = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)


class Header(NamedTuple):
    """What an array is, before it is read."""

    name: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]

    @property
    def n_bytes(self) -> int:
        """Size of the array as float64, or as it is where that is more."""
        return math.prod(self.shape) * max(self.dtype.itemsize, 8)


class _Bounded:
    """A file that gives no more than a number of bytes, for `zipfile` to read its directory."""

    def __init__(self, file: BinaryIO, left: int) -> None:
        self._file = file
        self._left: int | None = left

    def read(self, size: int = -1) -> bytes:
        if self._left is None:
            return self._file.read(size)
        content = self._file.read(self._left + 1 if size < 0 else min(size, self._left + 1))
        self._left -= len(content)
        if self._left < 0:
            raise zipfile.BadZipFile("its list of arrays is too long")
        return content

    def unbind(self) -> None:
        """Let everything be read."""
        self._left = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)


@contextmanager
def open_zip(file: BinaryIO, max_members: int = MAX_MEMBERS) -> Iterator[zipfile.ZipFile]:
    """Open a zip file whose directory is of a sane size, and which names every member once.

    Raises
    ------
    zipfile.BadZipFile
        Where it is damaged, or not like this.
    """
    bounded = _Bounded(
        file, max_members * MEMBER_BYTES + 2**17
    )  # and what is searched for the directory's end
    with zipfile.ZipFile(bounded) as archive:
        bounded.unbind()
        members = archive.infolist()
        if len(members) > max_members:
            raise zipfile.BadZipFile(
                f"it holds {len(members)} arrays, and {max_members} are allowed"
            )
        seen: set[str] = set()
        for member in members:
            if member.filename in seen:
                raise zipfile.BadZipFile(f"it holds {shown(member.filename)} twice")
            seen.add(member.filename)
            if member.flag_bits & 1:
                raise zipfile.BadZipFile(f"{shown(member.filename)} is encrypted")
            if member.compress_type not in _PLAIN:
                raise zipfile.BadZipFile(
                    f"{shown(member.filename)} is compressed otherwise than NumPy compresses"
                )
        yield archive


def names_of(archive: zipfile.ZipFile) -> list[str]:
    """Return the names of the arrays in an npz file."""
    return [name.removesuffix(".npy") for name in archive.namelist()]


def read_header(archive: zipfile.ZipFile, name: str) -> Header:
    """Return what an array is, without reading it.

    Raises
    ------
    ParameterError
        Where it is neither numbers nor a short text.
    ValueError, zipfile.BadZipFile
        Where it is damaged, or not as long as its header says.
    """
    member = archive.getinfo(f"{name}.npy")
    with archive.open(member) as content:
        header, start = _parsed(name, content)
    if header.dtype.hasobject:
        raise ParameterError(name, "objects", "is a pickle", PICKLE)
    if header.dtype.kind not in NUMBERS + TEXTS:
        problem = f"is an array of {shown(str(header.dtype))}"
        raise ParameterError(name, header.shape, problem, "write real numbers")
    size = math.prod(header.shape) * header.dtype.itemsize
    if member.file_size - start != size:
        raise ValueError(
            f"{name} should have {bytes_in_words(size)} and has "
            f"{bytes_in_words(member.file_size - start)}"
        )
    if header.dtype.kind in TEXTS and size > MAX_TEXT:
        problem = f"is a text of {bytes_in_words(size)}"
        raise ParameterError(
            name, header.shape, problem, f"give at most {bytes_in_words(MAX_TEXT)}"
        )
    return header


def _parsed(name: str, content: IO[bytes]) -> tuple[Header, int]:
    version = np.lib.format.read_magic(content)
    if version == (1, 0):
        shape, _, dtype = np.lib.format.read_array_header_1_0(content)
    elif version in ((2, 0), (3, 0)):
        # The third has names of fields in UTF-8, which arrays of numbers do not have.
        shape, _, dtype = np.lib.format.read_array_header_2_0(content)
    else:
        raise ValueError(f"{name} has version {version} of NumPy's format")
    return Header(name, tuple(shape), dtype), content.tell()


def read_array(archive: zipfile.ZipFile, name: str) -> NDArray[Any]:
    """Return an array whose header was found sound; never a pickle."""
    with archive.open(f"{name}.npy") as content:
        array: NDArray[Any] = np.lib.format.read_array(content, allow_pickle=False)
        if content.read(1):
            raise ValueError(f"{name} is longer than its header says")
    return array
