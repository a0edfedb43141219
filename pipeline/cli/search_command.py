"""``rnn search``: points that are chosen by what earlier ones gave."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .base import app, console, finite, session

if TYPE_CHECKING:
    from pipeline.searching.search import Found

MOST_BEST = 5  # points that are printed
NO_WORKER = "no worker is alive: start one with rnn worker --forever"


@app.command()
def search(
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="YAML file with a section `search`.")
    ],
    every: Annotated[
        float,
        typer.Option(metavar="SECONDS", min=0.1, max=1e6, callback=finite, help="Between looks."),
    ] = 5.0,
) -> None:
    """Choose points of a sweep by what earlier ones gave, until enough are there.

    Workers train them. What is interrupted goes on when it is typed again.
    """
    kept = "all points are kept, and workers go on with them; the same command goes on"
    with session(kept=kept, patient=True, needs_store=False):
        from pipeline.database.connection import connection
        from pipeline.searching.search import search as run
        from pipeline.workers.worker_sql import live_workers

        said: set[str] = set()

        def say(found: Found) -> None:
            for number, note in found.notes.items():
                _say_once(f"point {number}: {note}", said)
            _say_once(_line(found), said)

        def wait(found: Found) -> None:
            say(found)
            if not live_workers(connection()):
                _say_once(NO_WORKER, said)
            time.sleep(every)

        found = run(file, wait)
        say(found)
        for values, point in found.best[:MOST_BEST]:
            scores = ", ".join(f"{value:.4g}" for value in values)
            at = ", ".join(f"{axis} {value}" for axis, value in point.items())
            console.print(f"best: {scores} at {at}", soft_wrap=True)


def _say_once(line: str, said: set[str]) -> None:
    if line not in said:
        console.print(line, soft_wrap=True)
        said.add(line)


def _line(found: Found) -> str:
    numbers = {
        "with results": found.n_told, "running": found.n_running, "failed": found.n_failed,
        "given up": found.n_pruned, "deleted": found.n_deleted,
    }  # fmt: skip
    said = ", ".join(f"{n} {what}" for what, n in numbers.items() if n or what == "with results")
    best = f"; best {found.best[0][0][0]:.4g}" if found.best else ""
    return f"points: {said}{best}"
