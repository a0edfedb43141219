"""``rnn figures``: the figures of networks as files."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tasks_lib.errors import ParameterError
from tasks_lib.sizes import counted

from .base import (
    app,
    console,
    session,
)
from .choosing import Chosen, chosen


@app.command()
@chosen
def figures(
    out: Annotated[Path, typer.Option(metavar="FOLDER", help="Folder for the files.")],
    of: Chosen,
    kind: Annotated[
        list[str] | None,
        typer.Option("--format", metavar="FORMAT", help="png, pdf or svg; repeatable. png."),
    ] = None,
    style: Annotated[
        str | None,
        typer.Option(metavar="STYLE", help="A matplotlib style: a file *.mplstyle, or a name."),
    ] = None,
    footer: Annotated[
        bool, typer.Option("--footer", help="Name network, settings and version below each.")
    ] = False,
    by: Annotated[
        str | None,
        typer.Option(
            metavar="COLUMN", help="Learning curves of all together, grouped by it: lr, say."
        ),
    ] = None,
) -> None:
    """Write the figures of networks, and their learning curves, as files."""
    with session():
        from pipeline.sharing.figures import export_figures

        selection = of.selection()
        written = export_figures(out, selection, kind or ("png",), style, footer, by)
        if not written:
            raise ParameterError(
                "networks", selection.in_words(), "have no figures yet",
                "run workers, and see `rnn status`",
            )  # fmt: skip
        console.print(f"{counted(len(written), 'figure')} in {out.resolve()}", soft_wrap=True)
