"""``rnn reproduce``: published results, and what our networks give."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rnn_start import starting
from tasks_lib.errors import ParameterError
from tasks_lib.sizes import counted

from .base import announce, app, console, errors, refusal, session

if TYPE_CHECKING:
    from pipeline.reproduction.results import Reproduction
    from pipeline.reproduction.study import Study

MOST_WORKERS = 256


@app.command()
def reproduce(
    name: Annotated[
        str | None,
        typer.Argument(metavar="NAME", help="A study, or a folder of your own with study.yaml."),
    ] = None,
    list_: Annotated[bool, typer.Option("--list", help="Print the studies, and end.")] = False,
    whole: Annotated[
        bool, typer.Option("--whole", help="As published; reduced to minutes without it.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Enter nothing: say what it takes.")
    ] = False,
    out: Annotated[
        Path, typer.Option(metavar="FOLDER", help="Folder for the table and the figure.")
    ] = Path("studies_out"),
    workers: Annotated[
        int, typer.Option(metavar="N", min=1, max=MOST_WORKERS, help="Processes.")
    ] = 1,
) -> None:
    """Train and analyse the networks of a published study; print its numbers beside ours.

    Typed again, it goes on where it stopped, and computes nothing twice.
    """
    if list_:
        _print_studies()
        return
    from models.machine.threads import set_threads

    set_threads(1)  # before torch is loaded: workers are processes
    with starting():
        from pipeline.reproduction.study import shipped_studies
        from pipeline.reproduction.study_file import read_study
    try:
        if name is None:
            known = ", ".join(shipped_studies())
            raise ParameterError("NAME", None, "is missing", f"name one of {known}, or --list")
        study = read_study(name, whole)
    except (ParameterError, OSError) as error:
        raise refusal(error) from None
    kept = "all rows that were computed are kept; the same command goes on"
    with session(kept=kept):
        if dry_run:
            from pipeline.cli.cost_lines import cost_lines
            from pipeline.reproduction.filling import dry_run as run_dry

            for line in cost_lines(*run_dry(study)):
                console.print(line, soft_wrap=True)
            return
        from pipeline.reproduction.results import reproduce as reproduce_study
        from pipeline.reproduction.results import write_results

        _print_heading(study)
        found = reproduce_study(study, workers, announce)
        _print_results(found)
        for path in write_results(found, out):
            console.print(f"{path.resolve()}", soft_wrap=True)
        for table, key, message in found.errors:
            errors.print(f"error: {table} {key}: {message}", style="red", soft_wrap=True)
        for fault in found.faults:
            errors.print(f"missing: {fault}", style="red", soft_wrap=True)
        if found.errors or found.faults:
            raise typer.Exit(1)


def _print_studies() -> None:
    with starting():
        from pipeline.reproduction.study import shipped_studies
        from pipeline.reproduction.study_file import read_study
    for name in shipped_studies():
        study = read_study(name)
        console.print(f"{name}: {study.title}. {study.citation}", soft_wrap=True)


def _print_heading(study: Study) -> None:
    console.print(f"{study.title}. {study.citation}", soft_wrap=True)
    if study.form == "reduced":
        console.print("reduced form; --whole is the whole one:", soft_wrap=True)
        for line in study.changes:
            console.print(f"  {line}", soft_wrap=True)
    for line in study.conditions:
        console.print(f"not as published: {line}", soft_wrap=True)


def _print_results(found: Reproduction) -> None:
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    from .text_table import number

    table = Table(box=SIMPLE_HEAD, pad_edge=False, show_lines=True)
    for heading in ("result", "paper", "ours [95 %]", f"verdict ({found.study.form})"):
        table.add_column(heading, overflow="fold")
    for each in found.outcomes:
        e = each.expected
        statistic = e.statistic.replace("_", " ")
        over = statistic if e.versus is None else f"{e.comparison} of {statistic}s to {e.versus}"
        kind = "pairs of " if e.of_pairs else ""
        doubt = "" if each.is_clear or each.verdict == "too few networks" else ", not clearly"
        undefined = f", {each.n_left_out} undefined" if each.n_left_out else ""
        table.add_row(
            e.text,
            f"{e.paper} (here: {each.wanted})",
            f"{each.ours_in_words()}, {over}, {kind}{each.ours.n} of {e.cohort}{undefined}",
            f"{each.verdict}{doubt}",
        )
    console.print(table)
    for source in dict.fromkeys(each.expected.source for each in found.outcomes):
        texts = [each.expected.name for each in found.outcomes if each.expected.source == source]
        console.print(f"{', '.join(texts)}: {source}", soft_wrap=True)
    for label, (n_solved, n) in found.solved.items():
        limits = ", ".join(f"{k} {number(v, 2)}" for k, v in found.study.solved.items())
        which = f"solve their task ({limits} or more)" if limits else "trained"
        console.print(f"{label}: {n_solved} of {n} networks {which}", soft_wrap=True)
    console.print(
        "intervals: percentile bootstrap over networks, of pairs too; of shares Wilson's. "
        "A verdict is by the value; not clearly: the interval crosses the bound.",
        soft_wrap=True,
    )
    if found.made:
        rows = counted(found.made, "row")
        console.print(f"{rows} computed in {found.seconds:.0f} s.")
    elif not found.errors:
        console.print(f"Everything was done already ({found.seconds:.1f} s).")
