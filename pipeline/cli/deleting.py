"""Commands of ``rnn`` that delete and rename."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.prompt import Confirm
from rich.table import Table

from tasks_lib.errors import ParameterError, use_one_of
from tasks_lib.sizes import bytes_in_words, counted

from .base import (
    Modules,
    app,
    console,
    errors,
    key_text,
    session,
)
from .choosing import Chosen, chosen
from .completion import completing

if TYPE_CHECKING:
    from pipeline.upkeep.deletion import Deletion

MOST_JOBS = 10  # that are listed


@app.command()
@chosen
def delete(
    of: Chosen,
    table: Annotated[
        str | None,
        typer.Option(
            metavar="TABLE",
            autocompletion=completing("table"),
            help="Not the cohorts: rows of this computed table, to be computed again.",
        ),
    ] = None,
    comparison: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Not cohorts: this comparison, with its distances."),
    ] = None,
    recording: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Not cohorts: this recording, with what it gave."),
    ] = None,
    module: Modules = None,
    parameters: Annotated[
        bool,
        typer.Option("--parameters", help="Also their parameter sets that no other cohort uses."),
    ] = False,
    all_: Annotated[bool, typer.Option("--all", help="All rows.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only print what would go.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Delete cohorts with their networks, all analyses, files and jobs; asks first.

    With --comparison or --recording: one of these, and no network; --task says of which task.

    A worker that has a job of what is deleted drops it at its next heartbeat.
    """
    kept = "nothing was deleted"
    with session(writes=not dry_run, needs_store=not dry_run, kept=lambda: kept) as pipeline:
        from pipeline.tables.computed import tables_named
        from pipeline.tables.own_tables import own_tables

        named = {
            kind: name
            for kind, name in (("comparison", comparison), ("recording", recording))
            if name is not None
        }
        if named:
            alone = {
                "--table": table,
                "--module": module,
                "--parameters": parameters,
                "--all": all_,
            }
            selected: Any
            rows_of: Any
            rows_of, selected = _named(pipeline, named, of, alone)
        elif not (of.given or all_):
            raise ParameterError(
                "delete", None, "nothing is selected",
                "name a sweep, a task, a network, a training or a seed, or say --all",
            )  # fmt: skip
        else:
            selected = of.selection()
            own = own_tables(module or ())
            rows_of = pipeline.Cohort if table is None else tables_named([table], own)[0]
        preview = pipeline.delete(selected, rows_of, parameters, dry_run=True, everything=all_)
        if not preview.rows:
            console.print("No rows are selected.")
            return
        _print(preview)
        if dry_run:
            return
        if not (yes or _is_confirmed("Delete all of this?")):
            console.print("Nothing was deleted.")
            raise typer.Exit(1)
        kept = (
            "all of these rows are deleted, or none; type it again to be sure; "
            "rnn gc finds files that were left"
        )
        done = pipeline.delete(selected, rows_of, parameters, everything=all_)
        rows, files = counted(sum(done.rows.values()), "row"), counted(done.n_removed, "file")
        console.print(f"{rows} and {files} deleted, {bytes_in_words(done.removed_bytes)}.")
        if done.note:
            errors.print(f"note: {done.note}", markup=False, highlight=False, soft_wrap=True)


def _named(
    pipeline: Any, named: dict[str, str], of: Chosen, alone: dict[str, Any]
) -> tuple[Any, dict[str, Any]]:
    """Return the table of a comparison or a recording, and its key."""
    (kind, name), *more = named.items()
    others = [f"--{other}" for other, _ in more] + [option for option, on in alone.items() if on]
    others += [text.partition("=")[0] for text in of.arguments() if not text.startswith("--task=")]
    if others:
        raise ParameterError(
            others[0], None, f"does not go with --{kind}", f"leave it out, or --{kind}"
        )
    table = {"comparison": pipeline.Comparison, "recording": pipeline.Recording}[kind]
    column = f"{kind}_name"
    rows = [row for row in table.proj().to_dicts() if of.given.items() <= row.items()]
    found = [row for row in rows if row[column] == name]
    if not found:
        remedy = use_one_of(name, sorted({str(row[column]) for row in rows}))
        raise ParameterError(f"--{kind}", name, "has not been entered", remedy)
    if len(found) > 1:
        tasks = ", ".join(sorted(str(row["task_name"]) for row in found))
        problem = f"is one of several tasks ({tasks})"
        raise ParameterError(f"--{kind}", name, problem, "say --task too")
    return table, found[0]


def _is_confirmed(question: str) -> bool:
    """Ask; no where there is nobody to answer. Not by typer, for which Ctrl-C is an answer."""
    try:
        return Confirm.ask(question, console=console, default=False)
    except EOFError:
        return False


def _print(preview: Deletion) -> None:
    page = Table("table")
    page.add_column("rows", justify="right")
    for name, number in preview.rows.items():
        page.add_row(name, str(number))
    console.print(page)
    for sweep, (going, whole) in preview.points.items():
        lost = "all its points" if going == whole else f"{going} of its {whole} points"
        console.print(f"sweep {sweep}: loses {lost}", highlight=False, markup=False)
    console.print(f"files: {len(preview.files)}, {bytes_in_words(preview.n_bytes)}")
    pending = len(preview.jobs) - len(preview.running)
    console.print(f"jobs: {len(preview.running)} running, {pending} not")
    for job in preview.running[:MOST_JOBS]:
        console.print(
            f"running: {job.table} {key_text(job.key)}, on {job.host}, process {job.pid}",
            highlight=False, soft_wrap=True,
        )  # fmt: skip


@app.command()
def rename(
    kind: Annotated[
        str,
        typer.Argument(
            metavar="KIND", help="task, network, training, validation, search or manifolds."
        ),
    ],
    old: Annotated[str, typer.Argument(metavar="OLD", help="Its name.")],
    new: Annotated[str, typer.Argument(metavar="NEW", help="The name that it shall have.")],
) -> None:
    """Rename a parameter set, with all rows, jobs and checkpoints that name it.

    Files keep their paths. Not while a job that names it is running.
    """
    kept = "everything has its new name, or nothing has; type it again to be sure"
    with session(writes=True, kept=kept) as pipeline:
        for name, number in pipeline.rename(kind, old, new).items():
            console.print(f"{name}: {number}")
        console.print(f"{kind} {old} is {new} now.", soft_wrap=True)
