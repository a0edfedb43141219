"""The command ``rnn``: what must hold before anything large is imported.

Imports take seconds, in which a user may press Ctrl-C; and whatever is printed later must reach a
terminal that knows ASCII only, a pipe that is closed early, and a disk that is full. So this
package imports nothing but the standard library until that is arranged.
"""

from __future__ import annotations

import errno
import io
import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NoReturn

INTERRUPTED = 130  # what shells give for a command that Ctrl-C ended


class OutputError(OSError):
    """Standard output cannot be written: its disk is full, or it is away."""


class _NamedOutput(io.FileIO):
    """Standard output whose failures say that it is that."""

    def write(self, data: Any) -> int:
        try:
            return super().write(data)
        except BrokenPipeError:
            raise
        except OSError as error:
            raise OutputError(error.errno, error.strerror, "standard output") from None


def main() -> NoReturn:
    """Run the command line; ends the process."""
    interruptible = _is_interruptible()
    with starting():
        prepare_streams()
        from pipeline.cli.commands import app
    status: Any = 0
    try:
        app(prog_name="rnn")
    except SystemExit as end:
        status = end.code
    except KeyboardInterrupt:
        status = INTERRUPTED
    except OutputError:
        status = 1  # `_flushed` says why
    if interruptible:  # nothing is left to be interrupted in but the end of the process
        signal.signal(signal.SIGINT, _leave)
    sys.exit(_flushed(status))


@contextmanager
def starting() -> Iterator[None]:
    """Import in here what takes long: Ctrl-C ends the process at once, a failure is one line."""
    interruptible = _is_interruptible()
    if interruptible:
        signal.signal(signal.SIGINT, _leave)
    try:
        yield
    except Exception as error:
        _refuse_start(error)
    finally:
        if interruptible:
            signal.signal(signal.SIGINT, signal.default_int_handler)


def _is_interruptible() -> bool:
    """Return whether Ctrl-C does what it does in any Python program, and may be changed here."""
    is_main = threading.current_thread() is threading.main_thread()
    return is_main and signal.getsignal(signal.SIGINT) is signal.default_int_handler


def _leave(*_: Any) -> NoReturn:
    """End at once: nothing has been begun that would have to be left in order."""
    os._exit(INTERRUPTED)


def prepare_streams() -> None:
    """Let standard output and error take any text, whatever they are.

    A character that the encoding does not have is replaced. A stream that is closed becomes one
    that goes nowhere, so that no file or socket gets its number, and what is printed.
    """
    for descriptor in (0, 1, 2):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest number that is free: this one
    if sys.stdout is None:
        sys.stdout = open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
    if sys.stderr is None:
        sys.stderr = open(2, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
    out = sys.stdout
    if out is sys.__stdout__ and isinstance(out, io.TextIOWrapper) and out.fileno() == 1:
        out.flush()
        sys.stdout = io.TextIOWrapper(
            io.BufferedWriter(_NamedOutput(1, "wb", closefd=False)),
            encoding=out.encoding,
            errors="backslashreplace" if out.encoding.lower().startswith("utf") else "replace",
            line_buffering=out.line_buffering,
        )
    if isinstance(sys.stderr, io.TextIOWrapper):
        sys.stderr.reconfigure(errors="backslashreplace")


def _flushed(status: Any) -> Any:
    """Write what is left to standard output; return the status, another where that fails."""
    try:
        sys.stdout.flush()
    except OSError as error:
        # What cannot be written must not fail again when the interpreter ends.
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, 1)
        if error.errno != errno.EPIPE:
            sys.stderr.write(f"error: standard output: {error.strerror}\n")
        return status or 1
    return status


def _refuse_start(error: Exception) -> NoReturn:
    text = " ".join(f"{type(error).__name__}: {error}".split())
    text = text.partition(" For further information")[0]  # where pydantic advertises itself
    line = "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)
    sys.stderr.write(
        f"error: rnn cannot start ({line}); see that the packages are whole (pip check), and the "
        "variables DJ_* and the file datajoint.json right\n"
    )
    sys.exit(1)
