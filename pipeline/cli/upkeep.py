"""Commands of ``rnn`` for administrators and keepers: tables, roles, the store, verification."""

from __future__ import annotations

from typing import Annotated

import typer

from .base import (
    ItsNetwork,
    ItsSeed,
    ItsTask,
    ItsTraining,
    app,
    console,
    errors,
    key_restriction,
    refusal,
    session,
)


@app.command()
def declare() -> None:
    """Make every schema and table that is missing; for an administrator."""
    with session(declare=True) as pipeline:
        schemas = [schema.database for schema in pipeline.database.schemas.SCHEMAS.values()]
        console.print(f"All tables are there, in {', '.join(schemas)}.", soft_wrap=True)


@app.command()
def roles(
    backend: Annotated[
        str | None, typer.Option(help="mysql or postgresql; DJ_BACKEND, else mysql.")
    ] = None,
    prefix: Annotated[
        str | None, typer.Option(help="Names of schemas start with it; RNN_PREFIX, else rnn.")
    ] = None,
) -> None:
    """Print the SQL that makes the roles admin, worker, experimenter and analyst."""
    import pipeline
    from pipeline.database.roles import roles_sql

    try:
        # Not through rich, which would take [...] for its markup.
        print(roles_sql(backend, prefix), end="")
    except pipeline.DatabaseError as error:
        raise refusal(error) from None


def _size(n_bytes: float) -> str:
    for unit in ("B", "kB", "MB"):
        if n_bytes < 1000:
            return f"{n_bytes:.3g} {unit}"
        n_bytes /= 1000
    return f"{n_bytes:.3g} GB"


@app.command()
def gc(
    delete: Annotated[bool, typer.Option("--delete", help="Remove them.")] = False,
    older_than: Annotated[float, typer.Option(help="Only files as old as this, in hours.")] = 24.0,
    paths: Annotated[bool, typer.Option("--paths", help="Print the path of each.")] = False,
    empty: Annotated[
        bool, typer.Option("--empty", help="Even where no row refers to any file.")
    ] = False,
) -> None:
    """Find files in the store that no row refers to; with --delete, remove them."""
    with session():
        from pipeline.upkeep.gc import collect

        done = collect(older_than, delete, empty)
        scan = done.scan
        for orphan in scan.orphans if paths else ():
            print(orphan.path)
        about_workers = f"what is found may change: {done.note}" if done.note else ""
        for text in filter(None, (about_workers, scan.note)):
            errors.print(f"note: {text}", markup=False, highlight=False, soft_wrap=True)
        for kind, (number, n_bytes) in scan.by_kind().items():
            console.print(f"{kind}: {number}, {_size(n_bytes)}")
        console.print(f"in use: {scan.n_live}, {_size(scan.live_bytes)}")
        notes = {
            "referred to by nothing, but too young": scan.n_young,
            "in folders of no table, left alone": scan.n_foreign,
            "missing, though rows refer to them": len(scan.missing),
        }
        for note, number in notes.items():
            if number:
                console.print(f"{note}: {number}")
        for path in scan.missing[:10]:
            errors.print(f"missing: {path}", style="red", markup=False, soft_wrap=True)
        if delete:
            folders = f" and {done.n_folders} empty folders" if done.n_folders else ""
            console.print(f"{done.n_removed} files{folders} removed, {_size(done.removed_bytes)}.")
        else:
            console.print(f"{len(scan.orphans)} files would be removed; `rnn gc --delete` does it.")


@app.command()
def verify(
    task: ItsTask,
    network: ItsNetwork,
    training: ItsTraining,
    seed: ItsSeed,
    device: Annotated[str | None, typer.Option(help="cpu or cuda; the kind of then.")] = None,
) -> None:
    """Train a stored network again: is it the same to the bit? 0: yes, 1: no, 2: cannot say."""
    try:
        with session():
            from pipeline.progress import progress_bar
            from pipeline.upkeep.verify import verify as train_again

            key = {**key_restriction(task, network, training), "seed": seed}
            with progress_bar(f"{task}/{network}") as show:
                result = train_again(key, device, show)
    except typer.Exit:
        raise typer.Exit(2) from None
    # Of whatever kind: a device, a driver, the code of a task, which may even call `sys.exit`.
    except (Exception, SystemExit) as error:
        refusal(error, named=True)
        raise typer.Exit(2) from None
    answer = "identical" if result.identical else "not identical"
    name = f"{task}/{network}/{training} seed {seed}"
    console.print(f"{name}, on {result.device}: {answer}", markup=False, soft_wrap=True)
    for number, difference in enumerate(result.differences):
        first = "differs first" if not number else "then"
        console.print(f"{first}: {difference}", markup=False, highlight=False, soft_wrap=True)
    for change in result.changed:
        console.print(f"changed: {change}", markup=False, highlight=False, soft_wrap=True)
    if any(change.what == "device" for change in result.changed):
        console.print("On another kind of device it cannot be the same to the bit.")
    if not result.identical:
        raise typer.Exit(1)
