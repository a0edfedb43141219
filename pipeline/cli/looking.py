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
    Reverse,
    app,
    console,
    errors,
    finite,
    session,
)
from .choosing import Chosen, chosen
from .text_table import Column, table_lines

if TYPE_CHECKING:
    from pipeline.tables.selections import Selection

    from .cohort_report import CohortReport
    from .report import NetworkReport

NONE_TRAINED = "No trained networks: `rnn status` says what waits, `rnn worker` trains it."
NETWORK_ORDERS = ("name", "r2", "accuracy", "points", "eigenvalue", "seconds")
SOLVED_R2, SOLVED_ACCURACY = 0.9, 0.95
COHORT_ORDERS = ("name", "solved", "r2", "accuracy", "iterations", "seconds")


@app.command()
@chosen
def show(
    of: Chosen,
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
    networks: Annotated[
        bool, typer.Option("--networks", help="With --sweep: the networks, not the points.")
    ] = False,
) -> None:
    """Print trained networks with their scores and fixed points; of a sweep, a line a point."""
    kept = UNCHANGED if figures is None else "figures that were written are kept"
    with session(kept=kept):
        from pipeline.cli.report import network_reports, sorted_networks
        from pipeline.sharing.figures import export_figures

        selection = of.selection()
        if selection.sweep_name is not None and not networks and figures is None:
            _show_points(selection, sort, reverse, limit)
            return
        _check_order(sort, NETWORK_ORDERS)
        reports = network_reports(selection)
        if not reports:
            console.print(NONE_TRAINED)
            return
        shown = sorted_networks(reports, sort, reverse)[:limit]
        print_networks(shown, grouped=sort == "name")
        if len(shown) < len(reports):
            console.print(f"{len(shown)} of {counted(len(reports), 'network')}")
        if figures is not None:
            drawn = selection if len(shown) == len(reports) else [r.key for r in shown]
            written = export_figures(figures, drawn)
            where = f"{counted(len(written), 'figure')} in {figures.resolve()}"
            console.print(where, soft_wrap=True)


@app.command()
@chosen
def summary(
    of: Chosen,
    r2: Annotated[
        float,
        typer.Option(
            metavar="R2", max=1, callback=finite, help="A network solves its task with this R²,"
        ),
    ] = SOLVED_R2,
    accuracy: Annotated[
        float,
        typer.Option(
            metavar="FRACTION",
            min=0,
            max=1,
            callback=finite,
            help="and this accuracy, if it has choices.",
        ),
    ] = SOLVED_ACCURACY,
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
        selection = of.selection()
        reports = cohort_reports(selection, r2, accuracy)
        if not reports:
            console.print(NONE_TRAINED)
            return
        shown = sorted_cohorts(reports, sort, reverse)[:limit]
        if markdown:
            console.print(markdown_table(*summary_rows(shown)), soft_wrap=True)
            _explain_scores(shown, r2, accuracy)
            return
        print_cohorts(shown, grouped=sort == "name")
        if len(shown) < len(reports):
            console.print(f"{len(shown)} of {counted(len(reports), 'cohort')}")
        if selection.asks_results:
            _explain("only networks that the conditions choose are counted")
        _explain_scores(shown, r2, accuracy)


def _show_points(selection: Selection, sort: str, reverse: bool, limit: int | None) -> None:
    """Print the points of a sweep."""
    from .sweep_report import POINT_ORDERS, point_columns, point_reports, sorted_points

    _check_order(sort, POINT_ORDERS)
    axes, reports = point_reports(selection)
    shown = sorted_points(reports, sort, reverse)[:limit]
    chosen = selection.asks_results
    names = [str(selection.sweep_name)] * len(shown)
    _print(point_columns(axes, shown, chosen), names, True, "sweep")
    if len(shown) < len(reports):
        console.print(f"{len(shown)} of {counted(len(reports), 'point')}")
    if not reports:
        _explain(f"no point of the sweep {selection.sweep_name} is chosen")
    elif chosen:
        asked = " and ".join(selection.where)
        words = f"chosen: of all networks of a point those with {asked}"
        _explain(f"{words}; points without any are left out")
    cohorts = [cohort for r in shown for cohort in r.cohorts]
    _explain_scores(cohorts, SOLVED_R2, SOLVED_ACCURACY)


def _explain(line: str) -> None:
    """Print what a column means, beside the table: a program that reads it gets the table alone."""
    errors.print(line, soft_wrap=True)


def _explain_scores(reports: Sequence[CohortReport], r2: float, accuracy: float) -> None:
    """Say what "solved" is, and which R² is shown."""
    if any(report.n_validated for report in reports):
        _explain(
            f"solved: R² of at least {r2:g} in Validation without noise, and accuracy of at least "
            f"{accuracy:g} where the task has choices; rnn summary takes --r2 and --accuracy"
        )
    _explain_r2([report.is_of_training for report in reports])


def _explain_r2(of_training: Sequence[bool]) -> None:
    """Say which R² is shown, of networks or of cohorts."""
    if not all(of_training):
        _explain(
            "R²: without noise, on trials that training never saw: "
            "r2_pooled[noise_free] of Validation"
        )
    if any(of_training):
        _explain("*: not validated, so R² on the training's own trials: r2")


def print_networks(reports: Sequence[NetworkReport], grouped: bool = True) -> None:
    """Print the table of networks; grouped, cohort by cohort."""
    from .report import network_columns

    _print(network_columns(reports), [r.cohort for r in reports], grouped, "cohort")
    _explain_r2([r.is_of_training for r in reports if r.r2 is not None])


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
