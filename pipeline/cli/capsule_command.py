"""``rnn capsule``: everything of a selection as one archive that opens again as a database."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated

import typer

from rnn_start import starting
from tasks_lib.errors import ParameterError
from tasks_lib.sizes import bytes_in_words, counted

from .base import app, console, errors, refusal, session
from .choosing import Chosen, chosen
from .export_command import print_check

capsules = typer.Typer(
    pretty_exceptions_enable=False,
    help="Write everything of a selection to one archive, or open such a one as a database.",
)
app.add_typer(capsules, name="capsule")

MOST_TASKS = 5  # for which it is printed how to train again
File = Annotated[Path, typer.Argument(metavar="FILE", help="A capsule.")]


@capsules.callback(invoke_without_command=True)
@chosen
def capsule(
    of: Chosen,
    context: typer.Context,
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", metavar="FILE", help="The archive to write, a .zip file."),
    ] = None,
    update: Annotated[
        bool, typer.Option("--update", help="Replace an earlier capsule of that name.")
    ] = False,
) -> None:
    """Write everything of a selection to one archive that opens again as a database.

    Rows of all tables upstream and downstream, arrays, figures, the version of the code, the
    environment and the report. `rnn capsule open FILE` restores it.
    """
    if context.invoked_subcommand is not None:
        if of.given or out is not None or update:
            name = context.invoked_subcommand
            raise typer.BadParameter(f"options of writing a capsule do not go with {name}")
        return
    if out is None:
        raise typer.BadParameter("nothing is named; give --out FILE, or open FILE, or check FILE")
    with session() as pipeline:
        from pipeline.progress import file_bar

        with file_bar("files") as show:
            made = pipeline.make_capsule(out, of.selection(), update, show)
        whose = f"{counted(made.n_networks, 'network')} in {counted(made.n_cohorts, 'cohort')}"
        console.print(
            f"{whose}: {counted(made.n_rows, 'row')}, "
            f"{counted(made.n_files, 'array or figure', 'arrays and figures')}, "
            f"{bytes_in_words(made.n_bytes)}",
            soft_wrap=True,
        )
        if made.n_others:
            console.print(
                f"{counted(made.n_others, 'cohort')} of them beyond the selection: snapshots of "
                "its networks, or networks that they are compared with",
                soft_wrap=True,
            )
        for package in made.packages:
            console.print(
                f"note: rows name classes of the package {package}, which is not in the capsule; "
                "publish it beside",
                soft_wrap=True,
            )
        if made.code_dirty:
            console.print(
                "note: the code has uncommitted changes, which nobody who opens the capsule has",
                soft_wrap=True,
            )
        console.print(f"{made.path.resolve()}", soft_wrap=True)
        console.print(f"manifest {made.sha256}", soft_wrap=True)


@capsules.command()
def check(file: File) -> None:
    """Compare a capsule with its manifest; needs no database. 0: whole, 1: not."""
    with starting():
        from pipeline.sharing.capsule_file import check_capsule

    try:
        found = check_capsule(file)
    except (ParameterError, OSError) as error:
        raise refusal(error) from None
    print_check(found)


@capsules.command()
def describe(file: File) -> None:
    """Say what a capsule holds and where it was made; needs no database."""
    with starting():
        from pipeline.sharing.capsule_file import opened_capsule
        from pipeline.sharing.manifest import hash_of

    try:
        with opened_capsule(file) as opened:
            manifest, where = opened.manifest, opened.environment()
            lines = {
                "selection": ", ".join(f"{k} {v}" for k, v in manifest["selection"].items())
                or "all",
                "networks": f"{manifest['n_networks']} in "
                + counted(manifest["n_cohorts"], "cohort"),
                "code": f"{manifest['code_version']}"
                + (", with uncommitted changes" if manifest["code_dirty"] else ""),
                "made with": f"Python {where['python'].get('version')}, "
                f"torch {where['packages'].get('torch')}, "
                f"numpy {where['packages'].get('numpy')}",
                "made on": f"{where['platform'].get('machine')}, {where['cpu'].get('model')}, "
                f"{where['cpu'].get('capability')}",
                "packages of others": ", ".join(opened.packages) or "none",
                "unpacked": bytes_in_words(sum(f["bytes"] for f in manifest["files"].values())),
            }
            tables = {one.title: one.n_rows for one in opened.tables.values() if one.n_rows}
            sha256 = hash_of(manifest)
    except (ParameterError, OSError) as error:
        raise refusal(error) from None
    except (KeyError, TypeError, AttributeError):
        problem = "has a manifest that lacks what one of a capsule has"
        raise refusal(ParameterError("FILE", str(file), problem, "copy it anew")) from None
    for what, text in lines.items():
        console.print(f"{what}: {text}", soft_wrap=True)
    for title, number in tables.items():
        console.print(f"rows of {title}: {number}", soft_wrap=True)
    console.print(f"manifest {sha256}", soft_wrap=True)


@capsules.command("open")
def open_(
    file: File,
    prefix: Annotated[
        str | None,
        typer.Option(
            metavar="PREFIX", help="On a server: of the new schemas, none of which may be there."
        ),
    ] = None,
    store: Annotated[
        str | None,
        typer.Option(metavar="STORE", help="For its arrays and figures: a folder, or s3://..."),
    ] = None,
    home: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER", help="Without a server: new folder of the embedded database."
        ),
    ] = None,
) -> None:
    """Restore a capsule into a database of its own: embedded, or schemas on the server.

    Nothing of the network is needed, and no code that the capsule names is run.
    """
    kept = "no row is kept; the same command begins anew"
    with session(kept=kept, connect=False) as pipeline:
        from pipeline.progress import file_bar

        with file_bar("rows", "row") as show:
            opened = pipeline.open_capsule(file, prefix, store, home, show)
        whose = f"{counted(opened.n_networks, 'network')} in {counted(opened.n_cohorts, 'cohort')}"
        console.print(f"{whose}: {counted(opened.n_rows, 'row')} restored", soft_wrap=True)
        console.print(f"manifest {opened.sha256}", soft_wrap=True)
        for line in opened.differences:
            errors.print(f"another environment: {line}", soft_wrap=True)
        if opened.differences:
            errors.print("networks that are trained again may differ in the last bits")
        for package in opened.packages:
            errors.print(
                f"rows name classes of the package {package}: install it, and if you trust it, "
                f"say rnn --allow {shlex.quote(package)}",
                soft_wrap=True,
            )
        console.print("Next:")
        for name, value in opened.variables.items():
            console.print(f"    export {name}={shlex.quote(value)}", soft_wrap=True)
        again = [f"rnn verify --task {shlex.quote(name)}" for name in opened.tasks[:MOST_TASKS]]
        for command in ("rnn status", "rnn show", "rnn verify --all --files --retrain 3", *again):
            console.print(f"    {command}", soft_wrap=True)
