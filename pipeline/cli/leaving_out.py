"""The command of ``rnn`` by which cohorts do without tables."""

from __future__ import annotations

from typing import Annotated

import typer

from tasks_lib.sizes import counted

from .base import (
    app,
    console,
    session,
)
from .choosing import Chosen, chosen


@app.command()
@chosen
def leave_out(
    tables: Annotated[
        list[str], typer.Argument(metavar="TABLE...", help="Computed tables, as TrialPlot.")
    ],
    of: Chosen,
    undo: Annotated[
        bool, typer.Option("--undo", help="The other way: compute them from now on.")
    ] = False,
) -> None:
    """Have cohorts do without computed tables, and those that need them; rows there are kept."""
    kept = "it is done for all of them, or for none; type it again to be sure"
    with session(kept=kept) as pipeline:
        from pipeline.tables.left_out import LeftOut, checked_tables, not_wanted, tables_that_need

        names = checked_tables("TABLE", tables)
        selection = of.selection()
        n_cohorts = len(selection.cohorts())
        if not n_cohorts:
            console.print("No cohorts.")
            return
        changed = pipeline.leave_out(names, selection.restriction(pipeline.Cohort), undo)
        what = "not left out any more" if undo else "left out"
        changes = f"{counted(changed, 'change')} in {counted(n_cohorts, 'cohort')}"
        console.print(f"{', '.join(names)}: {what}, {changes}", soft_wrap=True)
        others = tables_that_need(names)
        if others and not undo:
            console.print(f"so are {', '.join(others)}, which need them", soft_wrap=True)
        left = {
            name
            for of_cohort in not_wanted(selection.restriction(LeftOut)).values()
            for name in of_cohort
        }
        if undo and left.intersection(names):
            still = ", ".join(sorted(left.intersection(names)))
            console.print(f"{still}: not wanted still, for tables are left out that they need")
