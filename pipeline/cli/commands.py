"""The command line: ``rnn``."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from rnn_start import starting
from tasks_lib.errors import ParameterError

from . import (  # noqa: F401  (their commands)
    deleting,
    export_command,
    figures_command,
    report_command,
    upkeep,
    work,
)
from .base import (
    announce,
    app,
    console,
    errors,
    finite,
    key_restriction,
    nothing_matches,
    refusal,
    session,
)

if TYPE_CHECKING:
    from .report import NetworkReport

__all__ = ["app"]


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
        from pipeline.tables.allowed_imports import allow as allow_packages

        try:
            allow_packages(allow)
        except ParameterError as error:
            raise refusal(error) from None


def _number(value: float | None, digits: int = 3) -> str:
    return "-" if value is None else f"{value:.{digits}f}"


def print_reports(reports: list[NetworkReport]) -> None:
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
    with session():
        from pipeline.cli.demo import REQUIRED_R2, run_demo

        result = run_demo(figures, announce=announce)
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
    with session() as pipeline:
        for section, n in pipeline.submit(file).items():
            console.print(f"{section}: {n} new")


@app.command()
def show(
    task: Annotated[str | None, typer.Option(help="Only networks of this task.")] = None,
    figures: Annotated[Path | None, typer.Option(help="Write their figures here.")] = None,
) -> None:
    """Print trained networks with their scores and fixed points."""
    with session():
        from pipeline.cli.report import network_reports
        from pipeline.sharing.figures import export_figures

        restriction = key_restriction(task)
        reports = network_reports(restriction)
        if not reports:
            nothing_matches(restriction)
            console.print("No trained networks." if task is None else f"No networks of {task}.")
            return
        print_reports(reports)
        if figures is not None:
            written = export_figures(figures, restriction)
            console.print(f"{len(written)} figures in {figures.resolve()}", soft_wrap=True)


@app.command("import")
def import_(
    file: Annotated[
        Path,
        typer.Argument(
            help="Params JSON or npz of trainRNNbrain, our npz, a state_dict; or a whole export."
        ),
    ],
    task: Annotated[
        str | None, typer.Option(help="The task that the network was trained on.")
    ] = None,
    network: Annotated[str | None, typer.Option(help="Name for its parameters.")] = None,
    config: Annotated[Path | None, typer.Option(help="YAML that the run saved beside it.")] = None,
    mapping: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="YAML of names, for another program's state_dict."),
    ] = None,
) -> None:
    """Enter a network that was trained elsewhere, or all networks of an export and their tasks."""
    with session() as pipeline:
        if task is None:
            for option, value in (("network", network), ("config", config), ("mapping", mapping)):
                if value is not None:
                    raise ParameterError(
                        "--task", None, f"is not given beside --{option}", "give it"
                    )
            _import_export(file)
            return
        key = pipeline.import_network(file, task, network, config, mapping)
        name = "/".join(key[f"{part}_name"] for part in ("task", "network", "training"))
        r2 = (pipeline.Training.Network & key).fetch1("r2")
        console.print(f"{name} seed {key['seed']}: noise-free R² {_number(r2, 4)}", soft_wrap=True)
        for note in (pipeline.Training.Source & key).fetch1("notes"):
            console.print(f"note: {note}", markup=False, soft_wrap=True)


def _import_export(path: Path) -> None:
    """Import what an export holds; say which network is which here."""
    from pipeline.progress import file_bar
    from pipeline.report.values import counted
    from pipeline.sharing.receive import import_export, is_export

    if not is_export(path):
        raise ParameterError(
            "--task", None, "is not given, which the file of one network needs",
            "name the task that it was trained on; without one, name an export",
        )  # fmt: skip
    with file_bar("networks", "network") as show:
        received = import_export(path, show)
    for name, key in received.keys.items():
        here = f"{key['task_name']}/{key['network_name']}/{key['training_name']} seed {key['seed']}"
        console.print(f"{name}: {here}", soft_wrap=True)
    before = f", {len(received.known)} imported before" if received.known else ""
    new = f"{counted(received.n_tasks, 'task')} and {counted(len(received.keys), 'network')} new"
    console.print(f"{new}{before}", soft_wrap=True)


@app.command()
def check_task(
    name: Annotated[str, typer.Argument(help='"package.module:ClassName", or a task from here.')],
    params: Annotated[str, typer.Option(help="Arguments of the class, as JSON.")] = "{}",
) -> None:
    """Say what is wrong with a task of your own, or what it is; needs no database."""
    with starting():
        from tasks_lib.summary import check_and_summarise

    try:
        summary = check_and_summarise(name, params)
    except ParameterError as error:
        raise refusal(error) from None
    for what, value in summary.items():
        console.print(f"{what}: {value}", markup=False, highlight=False, soft_wrap=True)


@app.command()
def summary(
    task: Annotated[str | None, typer.Option(help="Only cohorts of this task.")] = None,
    r2: Annotated[
        float, typer.Option(max=1, callback=finite, help="A network solves its task with this R²,")
    ] = 0.9,
    accuracy: Annotated[
        float,
        typer.Option(min=0, max=1, callback=finite, help="and this accuracy, if it has choices."),
    ] = 0.95,
    markdown: Annotated[bool, typer.Option("--markdown", help="Print Markdown.")] = False,
) -> None:
    """Print trained cohorts: how many of their networks solve the task, how well, how fast."""
    with session():
        from pipeline.cli.report import cohort_reports, markdown_table, summary_rows

        restriction = key_restriction(task)
        headings, rows = summary_rows(cohort_reports(restriction, r2, accuracy))
        if not rows:
            nothing_matches(restriction)
            console.print("No trained networks." if task is None else f"No networks of {task}.")
        elif markdown:
            console.print(markdown_table(headings, rows), highlight=False, soft_wrap=True)
        else:
            table = Table()
            for number, heading in enumerate(headings):
                table.add_column(
                    heading, justify="left" if number < 3 else "right", overflow="fold"
                )
            for row in rows:
                table.add_row(*row)
            console.print(table)
