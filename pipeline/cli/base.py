"""Shared by all commands of ``rnn``: the application, its output, a connection."""

from __future__ import annotations

import logging
import math
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.text import Text

from rnn_start import OutputError, starting
from tasks_lib.documents import reason
from tasks_lib.errors import (
    MAX_COUNT,
    ParameterError,
    ParameterErrors,
    printable,
    text_of,
)

from .completion import completing

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,  # they show the values of variables: passwords too
    help="Train recurrent networks on behavioural tasks and analyse how they solve them.",
)


class SafeConsole(Console):
    """A console that prints texts as they are: no markup, no codes of emoji, no control characters.

    Progress bars are taken away while it prints, and drawn again below.

    Names and messages come from files and from the database. What they hold must not tell the
    terminal what to do.
    """

    def __init__(self, **options: Any) -> None:
        # No highlighting: its expressions take hours for a text of 300 000 characters.
        super().__init__(markup=False, emoji=False, highlight=False, **options)

    def print(self, *objects: Any, **options: Any) -> None:
        """Print objects, above the progress bars that are shown."""
        tqdm = getattr(sys.modules.get("tqdm"), "tqdm", None)  # without it there is no bar
        with nullcontext() if tqdm is None else tqdm.external_write_mode():
            super().print(*objects, **options)

    def render_str(self, text: str, **options: Any) -> Text:
        """Return a text for printing; its lines and tabs stay."""
        lines = (
            "\t".join(_visible(part) for part in line.split("\t")) for line in text.split("\n")
        )
        return super().render_str("\n".join(lines), **options)


def _visible(text: str) -> str:
    return text if text.isprintable() else printable(text.replace(" ", "\0")).replace("\\x00", " ")


console = SafeConsole()
errors = SafeConsole(stderr=True)
UNCHANGED = "nothing was changed"
MOST_PRIORITY = 127  # of jobs
STORE_SECONDS = 3.0  # that a store may take to answer where it is not needed


class LogHandler(logging.Handler):
    """Prints warnings of the log as lines among the others."""

    def emit(self, record: logging.LogRecord) -> None:
        """Print the message."""
        try:
            errors.print(self.format(record), soft_wrap=True)
        except Exception:
            self.handleError(record)


def show_log() -> None:
    """Print warnings of the log, unless somebody has said where they go."""
    if not logging.getLogger().handlers:
        logging.getLogger().addHandler(LogHandler(logging.WARNING))


def cut(text: str, most: int = 1000) -> str:
    """Return a text of somebody else's, cut where it is long."""
    return text if len(text) <= most else f"{text[:most]}... ({len(text)} characters)"


def finite(value: float | None) -> float | None:
    """Refuse nan as an option's value: it is neither below nor above any bound."""
    if value is not None and not math.isfinite(value):
        raise typer.BadParameter(f"{value} is not a finite number")
    return value


def number_or_auto(value: str) -> str:
    """Refuse what is neither "auto" nor a whole number from 1 on."""
    if value != "auto" and not (value.isascii() and value.isdigit() and 1 <= int(value) <= 10**6):
        raise typer.BadParameter(f"{value!r} is neither auto nor a whole number from 1 to 1000000")
    return value


# Of which table.
OfTable = Annotated[
    str | None,
    typer.Option(
        "--table", metavar="TABLE", help="Only of this table.", autocompletion=completing("table")
    ),
]

# In which order, and how many.
Reverse = Annotated[bool, typer.Option("--reverse", help="In the other direction.")]
Limit = Annotated[
    int | None,
    typer.Option("--limit", metavar="N", min=1, max=MAX_COUNT, help="Only the first so many."),
]


# A lab's own tables.
Modules = Annotated[
    list[str] | None,
    typer.Option(
        "--module",
        metavar="PACKAGE.MODULE",
        help="A module with tables of your own below those of the pipeline; repeatable.",
    ),
]


def refusal(error: BaseException, named: bool = False) -> typer.Exit:
    """Print an error that the user can mend in one line; return the exit with status 1.

    One that was not foreseen is named by its kind too. Several that were found at once are a line
    each.
    """
    several = error.errors if isinstance(error, ParameterErrors) else (error,)
    for each in several:
        text = message(each)
        line = f"{type(each).__name__}: {text}" if named else text
        errors.print(f"error: {line}", style="red", highlight=False, soft_wrap=True)
    return typer.Exit(1)


def message(error: BaseException) -> str:
    """Return what an error says, in one line; of one of the system, the path and what is wrong."""
    is_plain = type(error).__str__ is OSError.__str__  # it has no words of its own
    if isinstance(error, OSError) and is_plain and error.filename is not None and error.strerror:
        return f"{error.filename!r}: {reason(error)}"
    return text_of(error)


@contextmanager
def session(
    declare: bool | None = None,
    patient: bool = False,
    writes: bool = False,
    interruptible: bool = True,
    needs_store: bool = True,
    kept: str | Callable[[], str] = UNCHANGED,
    connect: bool = True,
) -> Iterator[Any]:
    """Connect; end with one line and status 1 on an error that the user can mend.

    A patient one waits for a server or a store that is away; one that writes is refused where the
    store may only be read. An interruptible one ends at Ctrl-C whatever is going on, and says what
    is kept of its work; others see to that themselves. One that needs no store does not wait for a
    folder that does not answer. Without ``connect`` whoever uses it connects.
    """
    with starting():  # not before, so that `rnn --help` does not wait
        import psycopg2
        import pymysql
        from datajoint.errors import DataJointError

        import pipeline
        from pipeline.workers.shutdown import Interrupter
        from pipeline.workers.signals import ending_at_signals

    def open_database() -> None:
        pipeline.connect(declare=declare, look_at_store=needs_store or _store_answers())
        if writes:
            pipeline.database.connection.check_writing()

    def say_kept() -> None:
        errors.print(f"interrupted: {kept if isinstance(kept, str) else kept()}", soft_wrap=True)

    interrupter = Interrupter(last_words=say_kept)
    with ending_at_signals(interrupter) if interruptible else nullcontext():
        try:
            if patient:
                from pipeline.transient.retry import retry_transient

                retry_transient(open_database, threading.Event(), say_waiting)
            elif connect:
                open_database()
            yield pipeline
        except (BrokenPipeError, OutputError):
            raise  # what is printed cannot be: nothing that a message here would mend
        except KeyboardInterrupt:
            say_kept()
            raise
        except (ParameterError, pipeline.DatabaseError, DataJointError, OSError) as error:
            raise refusal(error) from None
        except (psycopg2.Error, pymysql.Error) as error:  # which DataJoint has not translated
            raise refusal(error, named=True) from None
        finally:
            pipeline.disconnect()


def _store_answers() -> bool:
    """Return whether the store can be looked at without much waiting; else say so."""
    from pipeline.database.configuration import configured_folder
    from pipeline.store.mounts import answers_in_time

    folder = configured_folder()
    if folder is None or answers_in_time(folder, STORE_SECONDS):
        return True
    errors.print(
        f"store = {str(folder)!r}: has not answered for {STORE_SECONDS:.0f} s; workers wait for it",
        markup=False,
        soft_wrap=True,
    )
    return False


def announce(table: str, n_keys: int) -> None:
    """Print that a table is begun."""
    errors.print(f"{table}: {n_keys} to do", style="bold")


def say_waiting(error: BaseException, seconds: float) -> None:
    """Print what is waited for."""
    line = f"{type(error).__name__}: {message(error)}"
    errors.print(f"waiting {seconds:.0f} s: {line}", soft_wrap=True)


def say_missing_class(name: str, reason: str) -> None:
    """Print that jobs are passed over."""
    errors.print(f"{name}: {reason}; jobs that need it are left to other workers", soft_wrap=True)


def key_text(key: dict[str, Any]) -> str:
    """Return a key in words."""
    return ", ".join(f"{name} {value}" for name, value in key.items())


def halves(settings: Sequence[str] | None) -> list[tuple[str, str]]:
    """Return the field and the value of each ``--set FIELD=VALUE``."""
    found = []
    for text in settings or ():
        field, sign, value = text.partition("=")
        if not (sign and field.strip()):
            problem, remedy = "is no setting", "write FIELD=VALUE, as max_trials=32"
            raise ParameterError("--set", text, problem, remedy)
        found.append((field.strip(), value.strip()))
    return found
