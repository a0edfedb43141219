"""What all commands of ``rnn`` share: the application, its output, a connection."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Annotated, Any

import typer
from rich.console import Console

from tasks_lib.errors import ParameterError

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    help="Train recurrent networks on behavioural tasks and analyse how they solve them.",
)
console = Console()
errors = Console(stderr=True)
STORE_SECONDS = 3.0  # that a store may take to answer where it is not needed

# Which network.
ItsTask = Annotated[str, typer.Option(help="Its task.")]
ItsNetwork = Annotated[str, typer.Option(help="Its parameters.")]
ItsTraining = Annotated[str, typer.Option(help="Its training.")]
ItsSeed = Annotated[int, typer.Option(help="Its seed.")]


def refusal(error: BaseException, named: bool = False) -> typer.Exit:
    """Print an error that the user can mend in one line; return the exit with status 1.

    One that was not foreseen is named by its kind too.
    """
    line = " ".join((f"{type(error).__name__}: {error}" if named else str(error)).split())
    errors.print(f"error: {line}", style="red", markup=False, highlight=False, soft_wrap=True)
    return typer.Exit(1)


@contextmanager
def session(
    declare: bool | None = None,
    patient: bool = False,
    writes: bool = False,
    interruptible: bool = True,
    needs_store: bool = True,
) -> Iterator[Any]:
    """Connect; end with one line and status 1 on an error that the user can mend.

    A patient one waits for a server or a store that is away; one that writes is refused where the
    store may only be read. An interruptible one ends at Ctrl-C whatever is going on; others see to
    that themselves. One that needs no store does not wait for a folder that does not answer.
    """
    # Imported here, so that `rnn --help` does not wait for torch.
    from datajoint.errors import DataJointError

    import pipeline
    from pipeline.workers.shutdown import Interrupter
    from pipeline.workers.signals import ending_at_signals

    def connect() -> None:
        pipeline.connect(declare=declare, look_at_store=needs_store or _store_answers())
        if writes:
            pipeline.database.connection.check_writing()

    with ending_at_signals(Interrupter()) if interruptible else nullcontext():
        try:
            if patient:
                from pipeline.transient.retry import retry_transient

                retry_transient(connect, threading.Event(), say_waiting)
            else:
                connect()
            yield pipeline
        except (ParameterError, pipeline.DatabaseError, DataJointError, OSError) as error:
            raise refusal(error) from None
        finally:
            pipeline.disconnect()


def _store_answers() -> bool:
    """Return whether the store can be looked at without much waiting; else say so."""
    from pipeline.database.connection import configured_folder
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
    line = " ".join(f"{type(error).__name__}: {error}".split())
    errors.print(f"waiting {seconds:.0f} s: {line}", markup=False, soft_wrap=True)


def key_restriction(
    task: str | None = None, network: str | None = None, training: str | None = None
) -> dict[str, str]:
    """Return the restriction that names make; an empty one selects everything."""
    names = {"task_name": task, "network_name": network, "training_name": training}
    return {name: value for name, value in names.items() if value is not None}


def key_text(key: dict[str, Any]) -> str:
    """Return a key in words."""
    return ", ".join(f"{name} {value}" for name, value in key.items())
