"""Commands of ``rnn`` that print what there is: networks, and cohorts."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tasks_lib.errors import ParameterError, use_one_of
from tasks_lib.sizes import counted

from .base import (
    UNCHANGED,
    Limit,
    OfNetwork,
    OfTask,
    OfTraining,
    Reverse,
    app,
    console,
    finite,
    key_restriction,
    nothing_matches,
    session,
)
from .text_table import Column, table_lines

if TYPE_CHECKING:
    from .cohort_report import CohortReport
    from .report import NetworkReport

NETWORK_ORDERS = ("name", "r2", "accuracy", "points", "eigenvalue", "seconds")
COHORT_ORDERS = ("name", "solved", "r2", "accuracy", "iterations", "seconds")


@app.command()
def show(
    task: OfTask = None,
    network: OfNetwork = None,
    training: OfTraining = None,
    sort: Annotated[
        str,
        typer.Option(
            metavar="COLUMN",
            help=f"The largest first: {', '.join(NETWORK_ORDERS[1:])}; or name.",
        ),
    ] = "name",
    reverse: Reverse = False,
    limit: Limit = None,
    figures: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Write the figures of these here.")
    ] = None,
) -> None:
    """Print trained networks with their scores and fixed points."""
    kept = UNCHANGED if figures is None else "figures that were written are kept"
    with session(kept=kept):
        from pipeline.cli.report import network_reports, sorted_networks
        from pipeline.sharing.figures import export_figures

        _check_order(sort, NETWORK_ORDERS)
        restriction = key_restriction(task, network, training)
        reports = network_reports(restriction)
        if not reports:
            nothing_matches(restriction)
            console.print("No trained networks.")
            return
        shown = sorted_networks(reports, sort, reverse)[:limit]
        print_networks(shown, grouped=sort == "name")
        if len(shown) < len(reports):
            console.print(f"{len(shown)} of {counted(len(reports), 'network')}")
        if figures is not None:
            chosen = restriction if len(shown) == len(reports) else [r.key for r in shown]
            written = export_figures(figures, chosen)
            where = f"{counted(len(written), 'figure')} in {figures.resolve()}"
            console.print(where, soft_wrap=True)


@app.command()
def summary(
    task: OfTask = None,
    network: OfNetwork = None,
    training: OfTraining = None,
    r2: Annotated[
        float,
        typer.Option(
            metavar="R2", max=1, callback=finite, help="A network solves its task with this R²,"
        ),
    ] = 0.9,
    accuracy: Annotated[
        float,
        typer.Option(
            metavar="FRACTION",
            min=0,
            max=1,
            callback=finite,
            help="and this accuracy, if it has choices.",
        ),
    ] = 0.95,
    sort: Annotated[
        str,
        typer.Option(
            metavar="COLUMN",
            help=f"The largest first: {', '.join(COHORT_ORDERS[1:])}; or name.",
        ),
    ] = "name",
    reverse: Reverse = False,
    limit: Limit = None,
    markdown: Annotated[bool, typer.Option("--markdown", help="Print Markdown.")] = False,
) -> None:
    """Print trained cohorts: how many of their networks solve the task, how well, how fast."""
    with session():
        from pipeline.cli.cohort_report import (
            cohort_reports,
            markdown_table,
            sorted_cohorts,
            summary_rows,
        )

        _check_order(sort, COHORT_ORDERS)
        restriction = key_restriction(task, network, training)
        reports = cohort_reports(restriction, r2, accuracy)
        if not reports:
            nothing_matches(restriction)
            console.print("No trained networks.")
            return
        shown = sorted_cohorts(reports, sort, reverse)[:limit]
        if markdown:
            console.print(markdown_table(*summary_rows(shown)), soft_wrap=True)
            return
        print_cohorts(shown, grouped=sort == "name")
        if len(shown) < len(reports):
            console.print(f"{len(shown)} of {counted(len(reports), 'cohort')}")


def print_networks(reports: Sequence[NetworkReport], grouped: bool = True) -> None:
    """Print the table of networks; grouped, cohort by cohort."""
    from .report import network_columns

    _print(network_columns(reports), [r.cohort for r in reports], grouped, "cohort")


def print_cohorts(reports: Sequence[CohortReport], grouped: bool = True) -> None:
    """Print the table of cohorts; grouped, those with equal parameters together."""
    from .cohort_report import cohort_columns

    _print(cohort_columns(reports), [r.name for r in reports], grouped, "no.")


def _print(columns: Sequence[Column], names: Sequence[str], grouped: bool, heading: str) -> None:
    """Print a table whose rows have long names: above them, or by number where rows are mixed."""
    different = {name: str(number) for number, name in enumerate(dict.fromkeys(names), start=1)}
    if grouped or len(different) == 1:
        lines = table_lines(columns, names, _width())
    else:
        for name, number in different.items():
            console.print(f"{heading} {number}: {name}", soft_wrap=True)
        numbers = Column(heading, [different[name] for name in names])
        lines = table_lines([numbers, *columns], width=_width())
    for line in lines:
        console.print(line, soft_wrap=True)


def _width() -> int | None:
    """Return the width that lines have to fit; None where they go to a file or a program."""
    return console.width if console.is_terminal or "COLUMNS" in os.environ else None


def _check_order(order: str, orders: Sequence[str]) -> None:
    if order not in orders:
        raise ParameterError("--sort", order, "is no column", use_one_of(order, orders))
