"""``rnn report``: networks as a static site."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tasks_lib.sizes import counted

from .base import (
    app,
    console,
    errors,
    finite,
    say_waiting,
    session,
)
from .choosing import Chosen, chosen

if TYPE_CHECKING:
    from pipeline.report.write import Report

SHOWN_FAULTS = 10
# Of the time of a report that is kept fresh, at most this part is spent looking for changes.
SHARE = 0.2


@app.command()
@chosen
def report(
    out: Annotated[
        Path, typer.Option(metavar="FOLDER", help="A new folder, or one of an earlier report.")
    ],
    of: Chosen,
    figures: Annotated[
        bool, typer.Option(help="Whether there are figures, curves and distributions.")
    ] = True,
    interactive: Annotated[
        bool, typer.Option("--interactive", help="With fixed points that turn, by plotly.")
    ] = False,
    draw: Annotated[
        bool | None,
        typer.Option(
            "--draw/--no-draw",
            help="Whether figures of analyses are drawn, about a second a network. By default "
            "where there are no more than 100 networks.",
        ),
    ] = None,
    serve: Annotated[
        bool, typer.Option("--serve", help="Show it to browsers, and keep it fresh, until Ctrl-C.")
    ] = False,
    host: Annotated[
        str,
        typer.Option(
            metavar="ADDRESS", help="With --serve: address; others than this one let others read."
        ),
    ] = "127.0.0.1",
    port: Annotated[
        int, typer.Option(metavar="N", min=0, max=65535, help="With --serve; 0: any.")
    ] = 8040,
    every: Annotated[
        float,
        typer.Option(
            metavar="SECONDS",
            min=0.2,
            max=1e6,
            callback=finite,
            help="With --serve: between two checks.",
        ),
    ] = 5.0,
) -> None:
    """Write a site of networks that opens from disk; a second time, what has changed."""
    kept = "the pages that were written are kept; the same command finishes the report"
    with session(kept=kept):
        from pipeline.progress import file_bar
        from pipeline.report.write import write_report

        write = partial(write_report, out, of.selection(), figures, serve, interactive, draw)
        with file_bar("report", "network") as show:
            made = write(progress=show)
        _say(made)
        if serve:
            _serve(write, made, host, port, every)


def _say(made: Report) -> None:
    for fault in made.faults[:SHOWN_FAULTS]:
        errors.print(f"missing: {fault}", style="red", soft_wrap=True)
    if len(made.faults) > SHOWN_FAULTS:
        errors.print(f"and {len(made.faults) - SHOWN_FAULTS} more; see rnn verify --files")
    whose = f"{counted(made.n_networks, 'network')} in {counted(made.n_cohorts, 'cohort')}"
    files = f"files written: {made.n_written}, removed: {made.n_removed}"
    console.print(f"{whose}; {files}", highlight=False, soft_wrap=True)
    console.print(f"{made.index.resolve()}", highlight=False, soft_wrap=True)


def _serve(write: Callable[[], Report], made: Report, host: str, port: int, every: float) -> None:
    """Serve a report and write it again and again, until Ctrl-C."""
    from pipeline.database.connection import connection
    from pipeline.database.server import reconnect
    from pipeline.report.server import serving
    from pipeline.transient.errors import is_transient

    with serving(made.index.parent, host, port) as server, suppress(KeyboardInterrupt):
        server.paths = frozenset(made.paths)
        if not server.is_loopback:
            errors.print("note: whoever reaches this address can read the report")
        console.print(f"{server.url} (Ctrl-C ends it; the folder stays)", highlight=False)
        seconds = 0.0
        while True:
            time.sleep(max(every, seconds / SHARE))
            began = time.monotonic()
            try:
                made = write()
            except Exception as error:  # of a server or a store that is away for a while
                if not is_transient(error):
                    raise
                say_waiting(error, every)
                with suppress(Exception):
                    reconnect(connection())
                continue
            seconds = time.monotonic() - began
            server.paths = frozenset(made.paths)
            if made.n_written or made.n_removed:
                _say_change(made)


def _say_change(made: Report) -> None:
    said = f"files written: {made.n_written}, removed: {made.n_removed}"
    console.print(f"{time.strftime('%H:%M:%S')} {said}", highlight=False)
