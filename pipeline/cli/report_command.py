"""``rnn report``: networks as a static site."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .base import app, console, errors, key_restriction, session

SHOWN_FAULTS = 10


@app.command()
def report(
    out: Annotated[
        Path, typer.Option(metavar="FOLDER", help="A new folder, or one of an earlier report.")
    ],
    task: Annotated[str | None, typer.Option(help="Only networks of this task.")] = None,
    network: Annotated[str | None, typer.Option(help="Only those with these parameters.")] = None,
    training: Annotated[str | None, typer.Option(help="Only those of this training.")] = None,
    figures: Annotated[bool, typer.Option(help="Whether figures are copied.")] = True,
) -> None:
    """Write a site of networks that opens from disk; a second time, what has changed."""
    with session():
        from pipeline.progress import file_bar
        from pipeline.report.values import counted
        from pipeline.report.write import write_report

        restriction = key_restriction(task, network, training)
        with file_bar("report", "network") as show:
            made = write_report(out, restriction, figures, progress=show)
        for fault in made.faults[:SHOWN_FAULTS]:
            errors.print(f"missing: {fault}", style="red", soft_wrap=True)
        if len(made.faults) > SHOWN_FAULTS:
            errors.print(f"and {len(made.faults) - SHOWN_FAULTS} more; see rnn verify --files")
        whose = f"{counted(made.n_networks, 'network')} in {counted(made.n_cohorts, 'cohort')}"
        files = f"files written: {made.n_written}, removed: {made.n_removed}"
        console.print(f"{whose}; {files}", highlight=False, soft_wrap=True)
        console.print(f"{made.index.resolve()}", highlight=False, soft_wrap=True)
