"""Files and JSON texts that come from outside: read within bounds, refused in one line."""

from __future__ import annotations

import errno
import io
import json
import os
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from .errors import ParameterError, printable, shown
from .sizes import bytes_in_words

MAX_PIPE = 2**29  # bytes that are taken from a pipe, which are kept in memory
_KINDS = (
    (stat.S_ISDIR, "is a folder"),
    (stat.S_ISCHR, "is a device"),
    (stat.S_ISBLK, "is a device"),
    (stat.S_ISSOCK, "is a socket"),
)


@contextmanager
def open_file(
    field: str, path: str | Path, max_bytes: int, remedy: str = "name a readable file"
) -> Iterator[BinaryIO]:
    """Open a file that a user named, for reading; it can be sought in.

    A pipe that somebody writes to, such as ``<(command)`` of a shell, is read to its end. One that
    nobody writes to, a folder, a device and a socket are refused, and nothing is waited for.

    Parameters
    ----------
    field : str
        What the path is called in messages.
    path : str or Path
    max_bytes : int
        Larger files are refused, before they are read.
    remedy : str
        What to do about a file that cannot be read.

    Raises
    ------
    ParameterError
        Where it is not a file, is too large or cannot be read.
    """

    def refusal(problem: str, what: str = remedy) -> ParameterError:
        return ParameterError(field, str(path), problem, what)

    too_large = f"give a file of at most {bytes_in_words(max_bytes)}"
    try:
        # Looked at before it is opened: opening a device can do things.
        _check_kind(os.stat(path).st_mode, refusal)
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))
        with open(descriptor, "rb") as file:
            found = os.fstat(descriptor)
            _check_kind(found.st_mode, refusal)
            if stat.S_ISFIFO(found.st_mode):
                most = min(max_bytes, MAX_PIPE)
                content = _read_pipe(descriptor, most)
                if not content:
                    raise refusal("is a pipe that nobody writes to")
                if len(content) > most:
                    raise refusal(f"holds more than {bytes_in_words(most)}", "give it as a file")
                yield io.BytesIO(content)
                return
            if found.st_size > max_bytes:
                raise refusal(f"has {bytes_in_words(found.st_size)}", too_large)
            yield file
    except OSError as error:
        raise refusal(reason(error)) from None
    except ValueError as error:
        if isinstance(error, ParameterError) or "null" not in str(error):
            raise
        raise refusal("is not a path") from None  # it holds the character NUL


def _check_kind(mode: int, refusal: Any) -> None:
    for is_kind, problem in _KINDS:
        if is_kind(mode):
            raise refusal(problem)


def _read_pipe(descriptor: int, max_bytes: int) -> bytes:
    """Return what is written to a pipe, and a byte more than allowed at most; b"": no writer."""
    content = bytearray()
    try:
        content += os.read(descriptor, 1)
        if not content:
            return b""
    except BlockingIOError:
        pass  # somebody writes, and has written nothing yet
    os.set_blocking(descriptor, True)
    while len(content) <= max_bytes:
        piece = os.read(descriptor, min(1 << 20, max_bytes + 1 - len(content)))
        if not piece:
            break
        content += piece
    return bytes(content)


def read_file(
    field: str, path: str | Path, max_bytes: int, remedy: str = "name a readable file"
) -> bytes:
    """Return the content of a file that a user named; see `open_file`."""
    with open_file(field, path, max_bytes, remedy) as file:
        content = _read_pieces(file, max_bytes) if _has_no_size(file) else file.read()
    if len(content) > max_bytes:
        raise ParameterError(
            field,
            str(path),
            f"holds more than {bytes_in_words(max_bytes)}",
            f"give a file of at most {bytes_in_words(max_bytes)}",
        )
    return content


def _has_no_size(file: BinaryIO) -> bool:
    """Return whether a file does not say how large it is, as those of /proc."""
    return not isinstance(file, io.BytesIO) and os.fstat(file.fileno()).st_size == 0


def _read_pieces(file: BinaryIO, max_bytes: int) -> bytes:
    """Return the content, and a byte more than allowed at most; room is taken as it is needed."""
    content = bytearray()
    while len(content) <= max_bytes:
        piece = file.read(min(1 << 20, max_bytes + 1 - len(content)))
        if not piece:
            break
        content += piece
    return bytes(content)


def reason(error: OSError) -> str:
    """Return what the system says about a failure, without number and path."""
    if error.errno == errno.ELOOP:
        return "is a symbolic link that leads to itself"
    return printable(error.strerror or str(error))


def parse_json(text: str | bytes) -> Any:
    """Return what a JSON text says; `json.loads`, but for what a stranger may have written.

    Raises
    ------
    ValueError
        Where it is not JSON, is nested too deep, holds a number of thousands of digits, or names
        a key twice in one object; in one line.
    """
    try:
        return json.loads(text, object_pairs_hook=_object)
    except RecursionError:
        raise ValueError("it is nested too deep") from None
    except UnicodeDecodeError as error:
        raise ValueError(f"it is not text in UTF-8: {error.reason} at {error.start}") from None
    except ValueError as error:
        if "Exceeds the limit" in str(error):  # int()'s, which names a function of Python
            raise ValueError("it holds a whole number of thousands of digits") from None
        raise


def _object(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) < len(pairs):
        seen: set[str] = set()
        for twice, _ in pairs:
            if twice in seen:
                break
            seen.add(twice)
        raise ValueError(f"the key {shown(twice)} is there twice")
    return result
