"""Commands of ``rnn`` for workers: start them, show their progress, show and retry failed jobs."""

from __future__ import annotations

import os
import time
from contextlib import suppress
from typing import Annotated

import typer

from rnn_start import starting
from tasks_lib.errors import MAX_COUNT, ParameterError, kind_and_text
from tasks_lib.sizes import counted

from .base import (
    MOST_PRIORITY,
    Modules,
    OfTable,
    announce,
    app,
    console,
    cut,
    errors,
    finite,
    key_text,
    number_or_auto,
    say_missing_class,
    say_waiting,
    session,
)
from .choosing import Chosen, chosen
from .completion import completing

STOPPED = (
    "stopped: all rows that were computed are kept, and the state of a training that was going on; "
    "rnn worker goes on"
)
MOST_AT_ONCE = 1024  # workers of one supervisor, threads of one worker


@app.command()
@chosen
def worker(
    of: Chosen,
    quiet: Annotated[bool, typer.Option("--quiet", help="No progress bars.")] = False,
    patient: Annotated[
        bool, typer.Option("--patient", help="Wait for a server or store that is away at first.")
    ] = False,
    forever: Annotated[bool, typer.Option("--forever", help="Wait for more jobs.")] = False,
    processes: Annotated[
        int, typer.Option(metavar="N", min=1, max=MOST_AT_ONCE, help="Workers, each a process.")
    ] = 1,
    threads: Annotated[
        int, typer.Option(metavar="N", min=1, max=MOST_AT_ONCE, help="Threads of each worker.")
    ] = 1,
    device: Annotated[
        str | None,
        typer.Option(metavar="DEVICE", help="cpu, cuda or cuda:N; cuda if there is a GPU."),
    ] = None,
    table: Annotated[
        list[str] | None,
        typer.Option(
            metavar="TABLE", help="Only this table; repeatable.", autocompletion=completing("table")
        ),
    ] = None,
    module: Modules = None,
    heartbeat: Annotated[
        float,
        typer.Option(
            metavar="SECONDS", min=0.1, max=3600, callback=finite, help="Between heartbeats."
        ),
    ] = 10.0,
    checkpoint_seconds: Annotated[
        float,
        typer.Option(
            metavar="SECONDS",
            min=0.01,
            max=1e6,
            callback=finite,
            help="Between checkpoints of a training.",
        ),
    ] = 60.0,
    together: Annotated[
        str,
        typer.Option(
            metavar="N",
            callback=number_or_auto,
            help="Jobs done at once at most, as one batch; auto: as many as pay.",
        ),
    ] = "auto",
    max_losses: Annotated[
        int,
        typer.Option(
            metavar="N",
            min=1,
            max=MAX_COUNT,
            help="Workers that may die with a job.",
        ),
    ] = 5,
) -> None:
    """Fill all tables until there is nothing left: any number of workers, on any machines.

    At SIGTERM, SIGINT, SIGUSR1 or SIGHUP a worker writes a checkpoint, gives its job back and ends
    with status 0. Status 3: jobs failed, which `rnn failures` prints, or are left that need a class
    which cannot be imported here; 1: it could not work.
    """
    from models.machine.threads import set_threads

    set_threads(threads)  # before NumPy and torch are loaded, which start threads then
    # Whoever is to stay, or was started by one that had connected, is not sent away by a restart.
    patient = forever or patient or "RNN_SUPERVISOR" in os.environ
    with starting():
        from pipeline.workers.shutdown import Stopper
        from pipeline.workers.signals import ending_at_signals

    stopper = Stopper()
    # Workers ask themselves; one who starts several is refused once and not by each.
    with (
        ending_at_signals(stopper, guarded=processes == 1),
        session(patient=patient, writes=processes > 1, interruptible=False),
    ):
        from pipeline import progress
        from pipeline.tables.computed import load_code, tables_named
        from pipeline.tables.own_tables import own_tables
        from pipeline.workers import supervisor, worker

        own = own_tables(module or ())
        tables = tables_named(table or (), own)
        selection = of.selection() if of.given else None
        if processes > 1 and device is not None and ":" in device:
            raise ParameterError(
                "device", device, "is one GPU for several workers", "use cuda: each gets its own"
            )
        if processes > 1:
            arguments = [f"--threads={threads}", f"--heartbeat={heartbeat}", "--quiet"]
            arguments += [f"--max-losses={max_losses}"] + ["--forever"] * forever
            arguments += [f"--checkpoint-seconds={checkpoint_seconds}", f"--together={together}"]
            arguments += [f"--device={device}"] * (device is not None)
            arguments += [f"--table={name}" for name in table or ()]
            arguments += [f"--module={name}" for name in module or ()]
            arguments += of.arguments()
            say = lambda line: errors.print(line, markup=False, soft_wrap=True)  # noqa: E731
            watcher = supervisor.Supervisor(processes, arguments, forever, say, max_losses, own=own)
            ended = watcher.run()
            if stopper.is_asked:
                errors.print(STOPPED, soft_wrap=True)
            raise typer.Exit(ended)
        progress.quiet.set(quiet)
        with starting():
            load_code()
        set_threads(threads)  # whatever has been loaded by now, in whatever order
        supervised = os.environ.get(supervisor.WORKER_ID)
        loop = worker.WorkLoop(
            tables,
            selection,
            until="forever" if forever else "nothing running" if supervised else "nothing pending",
            announce=None if quiet else announce,
            waiting=say_waiting,
            beat_seconds=heartbeat,
            max_losses=max_losses,
            worker_id=None if supervised is None else int(supervised),
            shares=True,
            device=device,
            checkpoint_seconds=checkpoint_seconds,
            missing=say_missing_class,
            also=own,
            together=None if together == "auto" else int(together),
        )
        stopper.loop = loop
        supervisor.end_with_supervisor()
        filled = loop.run()
        for name, key, message in filled.errors:
            errors.print(f"error: {name} {key}: {cut(message)}", style="red", soft_wrap=True)
        failed = f"{counted(len(filled.errors), 'job')} failed"
        console.print(f"{counted(filled.made, 'row')} computed, {failed}.")
        for name, number in filled.waiting.items():
            are = "is" if number == 1 else "are"
            errors.print(
                f"{counted(number, 'job')} {are} left for a worker that can import {name}",
                markup=False, soft_wrap=True,
            )  # fmt: skip
        if stopper.is_asked:
            errors.print(STOPPED, soft_wrap=True)
        if (filled.errors or filled.waiting) and not loop.stop.is_set():
            raise typer.Exit(supervisor.JOBS_FAILED)


@app.command()
@chosen
def status(
    of: Chosen,
    watch: Annotated[bool, typer.Option("--watch", help="Show it again and again.")] = False,
    every: Annotated[
        float,
        typer.Option(metavar="SECONDS", min=0.2, max=1e6, callback=finite, help="Between looks."),
    ] = 3.0,
    n_failures: Annotated[
        int, typer.Option("--failures", metavar="N", min=0, max=MAX_COUNT, help="Failures shown.")
    ] = 5,
    module: Modules = None,
) -> None:
    """Say how far each table is, what each worker does, and what failed."""
    with session(needs_store=False) as pipeline:
        from pipeline.cli.status_page import status_page
        from pipeline.database.server import reconnect
        from pipeline.tables.computed import tables_named
        from pipeline.tables.own_tables import own_tables
        from pipeline.transient.errors import is_transient
        from pipeline.workers.status import Pace

        tables = tables_named((), own_tables(module or ()))
        pace, selection = Pace(), of.selection() if of.given else None
        if not watch:
            console.print(status_page(pace, n_failures, tables, selection))
            return
        from rich.live import Live

        with Live(console=console, auto_refresh=False, screen=console.is_terminal) as live:
            while True:
                try:
                    live.update(status_page(pace, n_failures, tables, selection), refresh=True)
                    time.sleep(every)
                except KeyboardInterrupt:
                    return
                except Exception as error:  # of a server that is away for a while
                    if not is_transient(error):
                        raise
                    live.update(f"waiting: {kind_and_text(error)}", refresh=True)
                    time.sleep(every)
                    with suppress(Exception):
                        reconnect(pipeline.database.connection.connection())


@app.command()
@chosen
def failures(
    of: Chosen,
    table: OfTable = None,
    traceback: Annotated[bool, typer.Option("--traceback", help="With tracebacks.")] = False,
    module: Modules = None,
) -> None:
    """Print the jobs that failed, and why."""
    with session(needs_store=False):
        from pipeline.tables.computed import tables_named
        from pipeline.tables.own_tables import own_tables
        from pipeline.workers.failures import failures as failed

        tables = tables_named([] if table is None else [table], own_tables(module or ()))
        found = failed(of.selection() if of.given else None, tables)
        for f in found:
            where = f"{f.when:%Y-%m-%d %H:%M:%S} on {f.host}" if f.when else f"on {f.host}"
            version = f", {f.code_version}" if f.code_version else ""
            message = f.message if traceback else cut(f.message)
            console.print(
                f"{f.table} {key_text(f.key)}\n  {f.error}: {message}\n  {where}{version}",
                markup=False, highlight=False, soft_wrap=True,
            )  # fmt: skip
            if traceback and f.traceback:
                console.print(f.traceback, markup=False, highlight=False, soft_wrap=True)
        console.print(f"{counted(len(found), 'job')} failed.")


@app.command()
@chosen
def retry(
    of: Chosen,
    table: OfTable = None,
    error: Annotated[
        str | None, typer.Option(metavar="TEXT", help="Only with this in the error.")
    ] = None,
    all_: Annotated[bool, typer.Option("--all", help="All that failed.")] = False,
    stuck: Annotated[
        bool, typer.Option("--stuck", help="Instead: jobs that a killed populate has reserved.")
    ] = False,
    module: Modules = None,
) -> None:
    """Have failed jobs done again by the workers."""
    with session(needs_store=False):
        from pipeline.tables.computed import tables_named
        from pipeline.tables.own_tables import own_tables
        from pipeline.workers.failures import retry as put_back

        own = own_tables(module or ())
        tables = tables_named([] if table is None else [table], own)
        selected = of.selection() if of.given else None
        is_said = table is not None or module or selected or error is not None or all_ or stuck
        given = put_back(
            selected,
            (own if table is None and not all_ and module else tables) if is_said else None,
            error,
            everything=all_,
            stuck=stuck,
        )
        for name, number in given.items():
            console.print(f"{name}: {number}")
        n_given = sum(given.values())
        console.print(f"{counted(n_given, 'job')} {'is' if n_given == 1 else 'are'} pending again.")


@app.command()
@chosen
def priority(
    of: Chosen,
    number: Annotated[
        int,
        typer.Argument(
            metavar="N", min=0, max=MOST_PRIORITY, help="Lower numbers first; 5 by default."
        ),
    ],
    module: Modules = None,
) -> None:
    """Have workers take the jobs of some cohorts before or after those of others."""
    kept = "cohorts that have it keep it; type it again for the others"
    with session(needs_store=False, kept=kept) as pipeline:
        from pipeline.tables.computed import tables_named
        from pipeline.tables.own_tables import own_tables

        if not of.given:
            raise ParameterError(
                "selection", None, "is not given", "name a sweep, a task, a network or a training"
            )
        tables = tables_named((), own_tables(module or ()))
        n_cohorts, n_jobs = pipeline.prioritize(of.selection(), number, tables)
        jobs = f"{counted(n_jobs, 'job')} changed"
        console.print(f"priority {number}: {counted(n_cohorts, 'cohort')}, {jobs}")
