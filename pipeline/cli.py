"""The command line: ``rnn``."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from tasks_lib.errors import ParameterError

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    help="Train recurrent networks on behavioural tasks and analyse how they solve them.",
)
console = Console()
errors = Console(stderr=True)


@app.callback()
def _import_from_here(
    allow: Annotated[
        list[str] | None,
        typer.Option(
            metavar="PACKAGE",
            help="A package of your own whose tasks and penalties rows may name; repeatable, and "
            "added to RNN_ALLOWED_PACKAGES.",
        ),
    ] = None,
) -> None:
    # Classes of a user's own may lie in the current directory; last, so that they hide nothing.
    if os.getcwd() not in sys.path:
        sys.path.append(os.getcwd())
    if allow:
        from pipeline.allowed import allow as allow_packages

        try:
            allow_packages(allow)
        except ParameterError as error:
            raise _refusal(error) from None


def _refusal(error: Exception) -> typer.Exit:
    """Print an error that the user can mend in one line; return the exit with status 1."""
    line = " ".join(str(error).split())
    errors.print(f"error: {line}", style="red", markup=False, highlight=False, soft_wrap=True)
    return typer.Exit(1)


@contextmanager
def _session(declare: bool | None = None, patient: bool = False) -> Iterator[Any]:
    """Connect; end with one line and status 1 on an error that the user can mend.

    A patient one waits for a server that is away.
    """
    # Imported here, so that `rnn --help` does not wait for torch.
    from datajoint.errors import DataJointError

    import pipeline

    try:
        if patient:
            from pipeline.server import patiently

            patiently(pipeline.connect, threading.Event(), _say_waiting)
        else:
            pipeline.connect(declare=declare)
        yield pipeline
    except (ParameterError, pipeline.DatabaseError, DataJointError, OSError) as error:
        raise _refusal(error) from None
    finally:
        pipeline.disconnect()


def _announce(table: str, n_keys: int) -> None:
    errors.print(f"{table}: {n_keys} to do", style="bold")


def _number(value: float | None, digits: int = 3) -> str:
    return "-" if value is None else f"{value:.{digits}f}"


def print_reports(reports: list[Any]) -> None:
    """Print the table of networks."""
    table = Table(title=None)
    table.add_column("network", overflow="fold")
    headings = ("R²", "accuracy", "fixed points by unstable modes", "max Re λ", "seconds")
    for heading in headings:
        table.add_column(heading, justify="right")
    for r in reports:
        by_modes = ", ".join(f"{modes}: {n}" for modes, n in r.by_unstable_modes.items())
        table.add_row(
            r.name if r.status == "finished" else f"{r.name} ({r.status})",
            _number(r.r2, 4),
            _number(r.accuracy),
            by_modes or "none",
            _number(r.max_eigenvalue, 4),
            _number(r.seconds, 1),
        )
    console.print(table)


@app.command()
def demo(
    figures: Annotated[Path, typer.Option(help="Folder for the figures.")] = Path("demo_figures"),
) -> None:
    """Enter a decision-making task, train four networks and analyse them."""
    with _session():
        from pipeline.demo import REQUIRED_R2, run_demo

        result = run_demo(figures, announce=_announce)
        print_reports(result.reports)
        for name, key, message in result.errors:
            errors.print(f"error: {name} {key}: {message}", style="red", markup=False)
        if result.made:
            console.print(f"{result.made} rows computed in {result.seconds:.0f} s.")
        elif not result.errors:
            console.print(f"Everything was done already ({result.seconds:.1f} s).")
        console.print(f"{len(result.figures)} figures in {figures.resolve()}", soft_wrap=True)
        for r in result.failures:
            errors.print(
                f"error: {r.name} reached a noise-free R² of {_number(r.r2, 4)}, "
                f"below {REQUIRED_R2}",
                style="red",
                markup=False,
            )
        if result.errors or result.failures or not result.reports:
            raise typer.Exit(1)


@app.command()
def submit(
    file: Annotated[Path, typer.Argument(help="YAML file of tasks, parameters and cohorts.")],
) -> None:
    """Enter tasks, parameters and cohorts from one file: all of it, or nothing."""
    with _session() as pipeline:
        for section, n in pipeline.submit(pipeline.read_submission(file)).items():
            console.print(f"{section}: {n} new")


@app.command()
def worker(
    quiet: Annotated[bool, typer.Option("--quiet", help="No progress bars.")] = False,
    forever: Annotated[bool, typer.Option("--forever", help="Wait for more jobs.")] = False,
    processes: Annotated[int, typer.Option(min=1, help="Workers, each a process.")] = 1,
    threads: Annotated[int, typer.Option(min=1, help="Threads of each worker.")] = 1,
    device: Annotated[str | None, typer.Option(help="cpu, cuda or cuda:N.")] = None,
    table: Annotated[list[str] | None, typer.Option(help="Only this table; repeatable.")] = None,
    heartbeat: Annotated[float, typer.Option(min=0.1, help="Seconds between heartbeats.")] = 10.0,
    checkpoint_seconds: Annotated[
        float, typer.Option(min=0.01, help="Seconds between checkpoints of a training.")
    ] = 60.0,
    max_losses: Annotated[
        int, typer.Option(min=1, help="Workers that may die with a job until it fails.")
    ] = 5,
) -> None:
    """Fill all tables until there is nothing left: any number of workers, on any machines.

    At SIGTERM, SIGINT, SIGUSR1 or SIGHUP a worker writes a checkpoint, gives its job back and ends
    with status 0. Status 1: jobs failed.
    """
    # Until there is a job to give back, a signal just ends it.
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1):
        signal.signal(number, lambda *_: sys.exit(0))
    # Before torch is imported.
    for library in ("OMP", "MKL", "OPENBLAS", "NUMBA"):
        os.environ[f"{library}_NUM_THREADS"] = str(threads)
    # Whoever is to stay, or was started by one that had connected, is not sent away by a restart.
    with _session(patient=forever or "RNN_SUPERVISOR" in os.environ):
        from pipeline import progress, supervisor, worker

        tables = worker.tables_named(table)
        if processes > 1:
            arguments = [f"--threads={threads}", f"--heartbeat={heartbeat}", "--quiet"]
            arguments += [f"--max-losses={max_losses}"] + ["--forever"] * forever
            arguments += [f"--checkpoint-seconds={checkpoint_seconds}"]
            arguments += [f"--device={device}"] * (device is not None)
            arguments += [f"--table={name}" for name in table or ()]
            say = lambda line: errors.print(line, markup=False, soft_wrap=True)  # noqa: E731
            watcher = supervisor.Supervisor(processes, arguments, forever, say, max_losses)
            raise typer.Exit(watcher.run())
        progress.quiet.set(quiet)
        supervised = os.environ.get(supervisor.WORKER_ID)
        loop = worker.WorkLoop(
            tables,
            until="forever" if forever else "nothing running" if supervised else "nothing pending",
            announce=None if quiet else _announce,
            waiting=_say_waiting,
            beat_seconds=heartbeat,
            max_losses=max_losses,
            worker_id=None if supervised is None else int(supervised),
            shares=True,
            device=device,
            checkpoint_seconds=checkpoint_seconds,
        )
        from pipeline.stopping import stopping_at_signals

        supervisor.end_with_supervisor()
        with stopping_at_signals(loop):
            filled = loop.run()
        for name, key, message in filled.errors:
            errors.print(f"error: {name} {key}: {message}", style="red", markup=False)
        console.print(f"{filled.made} rows computed, {len(filled.errors)} jobs failed.")
        if filled.errors and not loop.stop.is_set():
            raise typer.Exit(1 if supervised is None else supervisor.JOBS_FAILED)


def _say_waiting(error: BaseException, seconds: float) -> None:
    line = " ".join(f"{type(error).__name__}: {error}".split())
    errors.print(f"waiting {seconds:.0f} s: {line}", markup=False, soft_wrap=True)


@app.command()
def status(
    watch: Annotated[bool, typer.Option("--watch", help="Show it again and again.")] = False,
    every: Annotated[float, typer.Option(min=0.2, help="Seconds between looks.")] = 3.0,
    n_failures: Annotated[int, typer.Option("--failures", min=0, help="Failures shown.")] = 5,
) -> None:
    """Say how far each table is, what each worker does, and what failed."""
    with _session() as pipeline:
        from pipeline.server import passes, reconnect
        from pipeline.status import Pace
        from pipeline.status_page import status_page

        pace = Pace()
        if not watch:
            console.print(status_page(pace, n_failures))
            return
        from rich.live import Live

        with Live(console=console, auto_refresh=False, screen=console.is_terminal) as live:
            while True:
                try:
                    live.update(status_page(pace, n_failures), refresh=True)
                    time.sleep(every)
                except KeyboardInterrupt:
                    return
                except Exception as error:  # of a server that is away for a while
                    if not passes(error):
                        raise
                    live.update(f"waiting: {type(error).__name__}: {error}", refresh=True)
                    time.sleep(every)
                    with suppress(Exception):
                        reconnect(pipeline.database.connection())


@app.command()
def show(
    task: Annotated[str | None, typer.Option(help="Only networks of this task.")] = None,
    figures: Annotated[Path | None, typer.Option(help="Write their figures here.")] = None,
) -> None:
    """Print trained networks with their scores and fixed points."""
    with _session():
        from pipeline.report import export_figures, network_reports

        restriction = None if task is None else {"task_name": task}
        reports = network_reports(restriction)
        if not reports:
            console.print("No trained networks." if task is None else f"No networks of {task}.")
            return
        print_reports(reports)
        if figures is not None:
            written = export_figures(figures, restriction)
            console.print(f"{len(written)} figures in {figures.resolve()}", soft_wrap=True)


@app.command("import")
def import_(
    file: Annotated[
        Path, typer.Argument(help="Params JSON or npz of trainRNNbrain, our npz, or a state_dict.")
    ],
    task: Annotated[str, typer.Option(help="The task that the network was trained on.")],
    network: Annotated[str | None, typer.Option(help="Name for its parameters.")] = None,
    config: Annotated[Path | None, typer.Option(help="YAML that the run saved beside it.")] = None,
) -> None:
    """Enter a network that was trained elsewhere."""
    with _session() as pipeline:
        key = pipeline.import_network(file, task, network, config)
        name = "/".join(key[f"{part}_name"] for part in ("task", "network", "training"))
        r2 = (pipeline.Training.Network & key).fetch1("r2")
        console.print(f"{name} seed {key['seed']}: noise-free R² {_number(r2, 4)}", soft_wrap=True)
        for note in (pipeline.Training.Source & key).fetch1("notes"):
            console.print(f"note: {note}", markup=False, soft_wrap=True)


@app.command()
def export(
    path: Annotated[Path, typer.Argument(help="File to write; replaced where it exists.")],
    task: Annotated[str, typer.Option(help="Its task.")],
    network: Annotated[str, typer.Option(help="Its parameters.")],
    training: Annotated[str, typer.Option(help="Its training.")],
    seed: Annotated[int, typer.Option(help="Its seed.")],
    format: Annotated[str, typer.Option(help="npz, state_dict, seed-json or seed-npz.")] = "npz",
) -> None:
    """Write a network to a file."""
    with _session() as pipeline:
        names = {"task_name": task, "network_name": network, "training_name": training}
        written = pipeline.export_network({**names, "seed": seed}, path, format)
        console.print(f"{written}", markup=False, soft_wrap=True)


@app.command()
def check_task(
    name: Annotated[str, typer.Argument(help='"package.module:ClassName", or a task from here.')],
    params: Annotated[str, typer.Option(help="Arguments of the class, as JSON.")] = "{}",
) -> None:
    """Say what is wrong with a task of your own, or what it is; needs no database."""
    from tasks_lib.summary import check_and_summarise

    try:
        summary = check_and_summarise(name, params)
    except ParameterError as error:
        raise _refusal(error) from None
    for what, value in summary.items():
        console.print(f"{what}: {value}", markup=False, highlight=False, soft_wrap=True)


@app.command()
def summary(
    task: Annotated[str | None, typer.Option(help="Only cohorts of this task.")] = None,
    r2: Annotated[float, typer.Option(help="A network solves its task with this R²,")] = 0.9,
    accuracy: Annotated[float, typer.Option(help="and this accuracy, if it has choices.")] = 0.95,
    markdown: Annotated[bool, typer.Option("--markdown", help="Print Markdown.")] = False,
) -> None:
    """Print trained cohorts: how many of their networks solve the task, how well, how fast."""
    with _session():
        from pipeline.report import cohort_reports, markdown_table, summary_rows

        restriction = None if task is None else {"task_name": task}
        headings, rows = summary_rows(cohort_reports(restriction, r2, accuracy))
        if not rows:
            console.print("No trained networks." if task is None else f"No networks of {task}.")
        elif markdown:
            print(markdown_table(headings, rows))
        else:
            table = Table()
            for number, heading in enumerate(headings):
                justify = "left" if number < 3 else "right"
                table.add_column(heading, justify=justify, overflow="fold")
            for row in rows:
                table.add_row(*row)
            console.print(table)


@app.command()
def declare() -> None:
    """Make every schema and table that is missing; for an administrator."""
    with _session(declare=True) as pipeline:
        schemas = [schema.database for schema in pipeline.schemas.SCHEMAS.values()]
        console.print(f"All tables are there, in {', '.join(schemas)}.", soft_wrap=True)


@app.command()
def roles(
    backend: Annotated[
        str | None, typer.Option(help="mysql or postgresql; DJ_BACKEND, else mysql.")
    ] = None,
    prefix: Annotated[
        str | None, typer.Option(help="Names of schemas start with it; RNN_PREFIX, else rnn.")
    ] = None,
) -> None:
    """Print the SQL that makes the roles admin, worker, experimenter and analyst."""
    import pipeline
    from pipeline.roles import roles_sql

    try:
        # Not through rich, which would take [...] for its markup.
        print(roles_sql(backend, prefix), end="")
    except pipeline.DatabaseError as error:
        raise _refusal(error) from None


def _key_restriction(
    task: str | None, network: str | None, training: str | None
) -> dict[str, str] | None:
    names = {"task_name": task, "network_name": network, "training_name": training}
    return {name: value for name, value in names.items() if value is not None} or None


def _key_text(key: dict[str, Any]) -> str:
    return ", ".join(f"{name} {value}" for name, value in key.items())


def _size(n_bytes: float) -> str:
    for unit in ("B", "kB", "MB"):
        if n_bytes < 1000:
            return f"{n_bytes:.3g} {unit}"
        n_bytes /= 1000
    return f"{n_bytes:.3g} GB"


@app.command()
def failures(
    table: Annotated[str | None, typer.Option(help="Only of this table.")] = None,
    task: Annotated[str | None, typer.Option(help="Only of this task.")] = None,
    traceback: Annotated[bool, typer.Option("--traceback", help="With tracebacks.")] = False,
) -> None:
    """Print the jobs that failed, and why."""
    with _session():
        from pipeline.computed import COMPUTED
        from pipeline.failed_jobs import failures as failed
        from pipeline.failed_jobs import table_named

        tables = COMPUTED if table is None else (table_named(table),)
        found = failed(_key_restriction(task, None, None), tables)
        for f in found:
            where = f"{f.when:%Y-%m-%d %H:%M:%S} on {f.host}" if f.when else f"on {f.host}"
            version = f", {f.code_version}" if f.code_version else ""
            console.print(
                f"{f.table} {_key_text(f.key)}\n  {f.error}: {f.message}\n  {where}{version}",
                markup=False, highlight=False, soft_wrap=True,
            )  # fmt: skip
            if traceback and f.traceback:
                console.print(f.traceback, markup=False, highlight=False, soft_wrap=True)
        console.print(f"{len(found)} jobs failed.")


@app.command()
def retry(
    table: Annotated[str | None, typer.Option(help="Only of this table.")] = None,
    task: Annotated[str | None, typer.Option(help="Only of this task.")] = None,
    network: Annotated[str | None, typer.Option(help="Only of these network parameters.")] = None,
    training: Annotated[str | None, typer.Option(help="Only of this training.")] = None,
    error: Annotated[str | None, typer.Option(help="Only with this in the error.")] = None,
    all_: Annotated[bool, typer.Option("--all", help="All that failed.")] = False,
    stuck: Annotated[
        bool, typer.Option("--stuck", help="Instead: jobs that a killed populate has reserved.")
    ] = False,
) -> None:
    """Have failed jobs done again by the workers."""
    with _session():
        from pipeline.failed_jobs import retry as put_back
        from pipeline.failed_jobs import table_named

        given = put_back(
            _key_restriction(task, network, training),
            None if table is None else [table_named(table)],
            error,
            everything=all_,
            stuck=stuck,
        )
        for name, number in given.items():
            console.print(f"{name}: {number}")
        console.print(f"{sum(given.values())} jobs are pending again.")


@app.command()
def gc(
    delete: Annotated[bool, typer.Option("--delete", help="Remove them.")] = False,
    older_than: Annotated[float, typer.Option(help="Only files as old as this, in hours.")] = 24.0,
    paths: Annotated[bool, typer.Option("--paths", help="Print the path of each.")] = False,
) -> None:
    """Find files in the store that no row refers to; with --delete, remove them."""
    with _session():
        from pipeline.gc import collect

        done = collect(older_than, delete)
        scan = done.scan
        for orphan in scan.orphans if paths else ():
            print(orphan.path)
        for kind, (number, n_bytes) in scan.by_kind().items():
            console.print(f"{kind}: {number}, {_size(n_bytes)}")
        console.print(f"in use: {scan.n_live}, {_size(scan.live_bytes)}")
        notes = {
            "referred to by nothing, but too young": scan.n_young,
            "in folders of no table, left alone": scan.n_foreign,
            "missing, though rows refer to them": len(scan.missing),
        }
        for note, number in notes.items():
            if number:
                console.print(f"{note}: {number}")
        for path in scan.missing[:10]:
            errors.print(f"missing: {path}", style="red", markup=False, soft_wrap=True)
        if delete:
            folders = f" and {done.n_folders} empty folders" if done.n_folders else ""
            console.print(f"{done.n_removed} files{folders} removed, {_size(done.removed_bytes)}.")
        else:
            console.print(f"{len(scan.orphans)} files would be removed; `rnn gc --delete` does it.")


@app.command()
def verify(
    task: Annotated[str, typer.Option(help="Its task.")],
    network: Annotated[str, typer.Option(help="Its parameters.")],
    training: Annotated[str, typer.Option(help="Its training.")],
    seed: Annotated[int, typer.Option(help="Its seed.")],
    device: Annotated[str | None, typer.Option(help="cpu or cuda; the kind of then.")] = None,
) -> None:
    """Train a stored network again: is it the same to the bit? 0: yes, 1: no, 2: cannot say."""
    try:
        with _session():
            from pipeline.progress import progress_bar
            from pipeline.verify import verify as train_again

            key = {"task_name": task, "network_name": network, "training_name": training}
            with progress_bar(f"{task}/{network}") as show:
                result = train_again({**key, "seed": seed}, device, show)
    except typer.Exit:
        raise typer.Exit(2) from None
    answer = "identical" if result.identical else "not identical"
    name = f"{task}/{network}/{training} seed {seed}"
    console.print(f"{name}, on {result.device}: {answer}", markup=False, soft_wrap=True)
    for number, difference in enumerate(result.differences):
        first = "differs first" if not number else "then"
        console.print(f"{first}: {difference}", markup=False, highlight=False, soft_wrap=True)
    for change in result.changed:
        console.print(f"changed: {change}", markup=False, highlight=False, soft_wrap=True)
    if any(change.what == "device" for change in result.changed):
        console.print("On another kind of device it cannot be the same to the bit.")
    if not result.identical:
        raise typer.Exit(1)


def main() -> None:
    """Run the command line."""
    app()


if __name__ == "__main__":
    main()
