"""Files of the store: hashed when they are written, checked whenever they are read."""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from io import BytesIO
from pathlib import PurePosixPath
from tokenize import TokenError
from typing import Any, BinaryIO, Literal, TypeAlias
from urllib.parse import unquote

import numpy as np
from datajoint.errors import DataJointError, MissingExternalFile
from datajoint.storage import StorageBackend
from datajoint.utils import to_camel_case
from numpy.lib import format as npy_format
from numpy.typing import NDArray

from tasks_lib.errors import text_of

from .mounts import store_is_away

# Shape, whether the first index runs fastest, type.
Header: TypeAlias = tuple[tuple[int, ...], bool, np.dtype[Any]]
# Of all bytes of the file, in hexadecimal: what `sha256sum FILE` prints. It tells more than a
# checksum would: whoever can write to the store but not to the database cannot change a number
# unnoticed. It needs no package, and processors compute it faster than disks read.
HASH = "sha256"
REMEDY = (
    "restore it from a backup, or delete the row and have it computed or imported again; "
    "`rnn verify --files` lists all such files"
)
HEADERS: dict[tuple[int, int], Callable[[BinaryIO], Header]] = {
    (1, 0): npy_format.read_array_header_1_0,
    (2, 0): npy_format.read_array_header_2_0,
}
# What NumPy raises for bytes that it did not write.
NO_ARRAY = (ValueError, TypeError, EOFError, SyntaxError, TokenError)
MAPPED = ("r", "c")
TOKEN_LENGTH = 8  # characters at the end of each file's name, drawn at random by DataJoint


class DamagedFile(DataJointError):
    """A file of the store does not hold what was written: its file, its row and the remedy.

    It does not pass by itself: a job that reads such a file becomes an error.
    """


def described(content: bytes) -> dict[str, Any]:
    """Return size in bytes and hash of a file's content, as a row stores them."""
    return {"n_bytes": len(content), HASH: hashlib.sha256(content).hexdigest()}


def has_hash(stored: Mapping[str, Any]) -> bool:
    """Return whether a row keeps the hash of its file: not where an earlier version wrote it."""
    return HASH in stored


def read_checked(stored: Mapping[str, Any], backend: StorageBackend) -> bytes:
    """Return the content of a file, which is what was written.

    Parameters
    ----------
    stored : mapping
        What the row keeps of the file.
    backend : StorageBackend
        The store.

    Raises
    ------
    DamagedFile
        Where the content is another than the row says.
    MissingExternalFile
        Where there is no such file.
    """
    with _reading(stored, backend):
        content = bytes(backend.get_buffer(stored["path"]))
    _check(stored, backend, len(content), lambda: hashlib.sha256(content).hexdigest())
    return content


def to_array(stored: Mapping[str, Any], content: bytes, backend: StorageBackend) -> NDArray[Any]:
    """Return the array in the content of a file, of the shape and the type that the row names."""
    file = BytesIO(content)
    shape, _, dtype = _header(stored, file, backend)
    if len(content) != file.tell() + dtype.itemsize * int(np.prod(shape, dtype=np.int64)):
        raise damaged(stored, backend, f"its {len(content)} bytes are not those of {shape} {dtype}")
    file.seek(0)
    return npy_format.read_array(file, allow_pickle=False)


def map_array(stored: Mapping[str, Any], backend: StorageBackend, mode: str) -> NDArray[Any]:
    """Return an array that lies in a file and is read as it is used.

    The whole file is checked now; what the disk gives later is not checked again. A file of a
    bucket is copied to a temporary one, which nobody else can open.

    Parameters
    ----------
    stored : mapping
        What the row keeps of the file.
    backend : StorageBackend
        The store.
    mode : {"r", "c"}
        Read only, or with changes that stay in memory.
    """
    if mode not in MAPPED:
        raise DataJointError(
            f"mmap_mode = {mode!r}: would change the stored file, or is none; use 'r' or 'c'"
        )
    if backend.protocol != "file":
        content = read_checked(stored, backend)
        with tempfile.TemporaryFile() as copy:
            copy.write(content)
            copy.flush()
            copy.seek(0)
            return _mapped(stored, copy, backend, mode)
    with _reading(stored, backend):
        file = open(backend._full_path(stored["path"]), "rb")  # noqa: SIM115
    with file:
        # What is mapped is the file that was hashed, whatever becomes of its name.
        n_bytes = os.fstat(file.fileno()).st_size
        _check(stored, backend, n_bytes, lambda: hashlib.file_digest(file, HASH).hexdigest())
        file.seek(0)
        return _mapped(stored, file, backend, mode)


def damaged(stored: Mapping[str, Any], backend: StorageBackend, problem: str) -> DamagedFile:
    """Return the error of a file that does not hold what was written."""
    return DamagedFile(_text(stored, backend, f"is damaged ({problem})"))


def row_of(path: str, schema_prefix: str = "") -> str:
    """Return which row and which column a file belongs to, as its path says.

    A codec is not told the row that it reads for. DataJoint makes the path from it:
    ``prefix/schema/table/name=value/.../column_token.npy``.
    """
    prefix = f"{schema_prefix.strip('/')}/" if schema_prefix.strip("/") else ""
    *folders, name = ("", *PurePosixPath(path.removeprefix(prefix)).parts)
    if len(folders) < 3 or "=" in folders[1]:
        return "not said by its path of which row"
    pairs = [unquote(pair).partition("=") for pair in folders[3:]]
    key = ", ".join(f"{field} {value}" for field, _, value in pairs)
    column = PurePosixPath(name).stem[: -TOKEN_LENGTH - 1]
    return f"{column} of {table_title(folders[2])}, {key}"


def table_title(table_name: str) -> str:
    """Return the name of a table's class, "Training.Network" of ``__training__network``."""
    return ".".join(to_camel_case(part) for part in table_name.lstrip("#_").split("__"))


# Inside ------------------------------------------------------------------------------------------


@contextmanager
def _reading(stored: Mapping[str, Any], backend: StorageBackend) -> Iterator[None]:
    """Name the row of a file that is missing in a store that is there."""
    try:
        yield
    except (MissingExternalFile, FileNotFoundError):
        if store_is_away():
            raise
        raise MissingExternalFile(_text(stored, backend, "is missing")) from None


def _check(
    stored: Mapping[str, Any], backend: StorageBackend, n_bytes: int, digest: Callable[[], str]
) -> None:
    """Refuse a content whose size or hash is not what the row says, if it says so."""
    if stored.get("n_bytes", n_bytes) != n_bytes:
        raise damaged(stored, backend, f"it has {n_bytes} bytes, and had {stored['n_bytes']}")
    if has_hash(stored) and (found := digest()) != stored[HASH]:
        raise damaged(stored, backend, f"its {HASH} is {found}, and was {stored[HASH]}")


def _header(stored: Mapping[str, Any], file: BinaryIO, backend: StorageBackend) -> Header:
    """Read the header of an array; leave the file where its numbers begin."""
    try:
        shape, is_fortran, dtype = HEADERS[npy_format.read_magic(file)](file)
    except KeyError:
        raise damaged(stored, backend, "it has an unknown version of the npy format") from None
    except NO_ARRAY as error:
        raise damaged(stored, backend, f"no array: {text_of(error)}") from None
    if dtype.hasobject:
        raise damaged(stored, backend, "it holds Python objects, which are never read")
    if list(shape) != stored.get("shape") or str(dtype) != stored.get("dtype"):
        was = f"{stored.get('shape')} {stored.get('dtype')}"
        raise damaged(stored, backend, f"it holds {list(shape)} {dtype}, and held {was}")
    return shape, is_fortran, dtype


def _mapped(
    stored: Mapping[str, Any], file: BinaryIO, backend: StorageBackend, mode: str
) -> NDArray[Any]:
    shape, is_fortran, dtype = _header(stored, file, backend)
    order: Literal["F", "C"] = "F" if is_fortran else "C"
    if 0 in shape:  # nothing to map
        return np.empty(shape, dtype, order)
    start = file.tell()
    n_bytes = dtype.itemsize * int(np.prod(shape, dtype=np.int64))
    if file.seek(0, 2) != start + n_bytes:
        raise damaged(stored, backend, f"its bytes are not those of {shape} {dtype}")
    # What `mode` is, `map_array` has looked at.
    return np.memmap(file, dtype, mode, start, shape, order)  # type: ignore[call-overload]


def _text(stored: Mapping[str, Any], backend: StorageBackend, problem: str) -> str:
    path = str(stored["path"])
    row = row_of(path, str(backend.spec.get("schema_prefix", "")))
    return f"file = {backend._full_path(path)!r}: {problem}; it is {row}; {REMEDY}"
