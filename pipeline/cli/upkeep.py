"""Commands of ``rnn`` for administrators: tables, roles, the store, verification."""

from __future__ import annotations

from collections import Counter
from typing import Annotated, Any

import typer

from rnn_start import OutputError, starting
from tasks_lib.errors import MAX_COUNT, ParameterError
from tasks_lib.sizes import bytes_in_words, counted

from .base import (
    UNCHANGED,
    app,
    console,
    errors,
    finite,
    refusal,
    session,
)
from .choosing import Chosen, chosen


@app.command()
def declare() -> None:
    """Make tables that are missing, bring the others up to this version; for an administrator."""
    with session(declare=True, kept="what was made is kept; rnn declare goes on") as pipeline:
        for change in pipeline.database.connection.changes_made():
            console.print(change, highlight=False, soft_wrap=True)
        schemas = [schema.database for schema in pipeline.database.schemas.SCHEMAS.values()]
        from pipeline.searching.study import declare_studies

        schemas += filter(None, [declare_studies()])  # where searches can run
        console.print(f"All tables are there, in {', '.join(schemas)}.", soft_wrap=True)


@app.command()
def roles(
    backend: Annotated[
        str | None,
        typer.Option(metavar="BACKEND", help="mysql or postgresql; DJ_BACKEND, else mysql."),
    ] = None,
    prefix: Annotated[
        str | None,
        typer.Option(
            metavar="PREFIX", help="Names of schemas start with it; RNN_PREFIX, else rnn."
        ),
    ] = None,
) -> None:
    """Print the SQL that makes the roles admin, worker, experimenter and analyst."""
    with starting():
        import pipeline
        from pipeline.database.roles import roles_sql

    try:
        # Not through rich, which would take [...] for its markup.
        print(roles_sql(backend, prefix), end="")
    except pipeline.DatabaseError as error:
        raise refusal(error) from None


@app.command()
def gc(
    delete: Annotated[bool, typer.Option("--delete", help="Remove them.")] = False,
    older_than: Annotated[
        float,
        typer.Option(
            metavar="HOURS", min=0, max=1e6, callback=finite, help="Only files as old as this."
        ),
    ] = 24.0,
    paths: Annotated[bool, typer.Option("--paths", help="Print the path of each.")] = False,
    empty: Annotated[
        bool, typer.Option("--empty", help="Even where no row refers to any file.")
    ] = False,
) -> None:
    """Find files in the store that no row refers to; with --delete, remove them."""
    kept = "files that were removed are gone, nothing else was changed; type it again to go on"
    with session(kept=kept if delete else UNCHANGED):
        from pipeline.upkeep.gc import collect

        done = collect(older_than, delete, empty)
        scan = done.scan
        for orphan in scan.orphans if paths else ():
            console.print(orphan.path, highlight=False, soft_wrap=True)
        about_workers = f"what is found may change: {done.note}" if done.note else ""
        for text in filter(None, (about_workers, scan.note)):
            errors.print(f"note: {text}", markup=False, highlight=False, soft_wrap=True)
        for kind, (number, n_bytes) in scan.by_kind().items():
            console.print(f"{kind}: {number}, {bytes_in_words(n_bytes)}")
        console.print(f"in use: {scan.n_live}, {bytes_in_words(scan.live_bytes)}")
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
            folders = f" and {counted(done.n_folders, 'empty folder')}" if done.n_folders else ""
            files = counted(done.n_removed, "file")
            console.print(f"{files}{folders} removed, {bytes_in_words(done.removed_bytes)}.")
        else:
            files = counted(len(scan.orphans), "file")
            console.print(f"{files} would be removed; `rnn gc --delete` does it.")


@app.command()
@chosen
def verify(
    of: Chosen,
    device: Annotated[
        str | None,
        typer.Option(metavar="DEVICE", help="cpu or cuda; by default the kind it was trained on."),
    ] = None,
    files: Annotated[
        bool, typer.Option("--files", help="Read stored files instead: of these, or all.")
    ] = False,
    every_row: Annotated[
        bool, typer.Option("--all", help="Look at every row of parameters instead.")
    ] = False,
    retrain: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            min=1,
            max=MAX_COUNT,
            help="Train so many of the networks again, some of each cohort; with --all, also.",
        ),
    ] = None,
) -> None:
    """Train a stored network again: is it the same to the bit? 0: yes, 1: no, 2: cannot say.

    With --files nothing is trained: is every stored array and figure what was stored? With --all:
    are all parameters, settings and cohorts what was entered? Both may be asked at once, and with
    --retrain N networks are trained again too.
    """
    try:
        with session():
            answers: list[bool | None] = []
            if every_row:
                answers.append(_verify_rows(of, device, retrain))
            if files:
                answers.append(_verify_files(of, device, retrain))
            if retrain is not None or not (every_row or files):
                answers.append(_train_again(of, device, retrain))
            elif every_row:
                _print_not_trained()
            whole = False if False in answers else None if None in answers else True
    except typer.Exit:
        raise typer.Exit(2) from None
    except (BrokenPipeError, OutputError):
        raise typer.Exit(2) from None  # what cannot be printed is said once, at the end
    # Of whatever kind: a device, a driver, the code of a task, which may even call `sys.exit`.
    except (Exception, SystemExit) as error:
        refusal(error, named=True)
        raise typer.Exit(2) from None
    if not whole:
        raise typer.Exit(2 if whole is None else 1)


def _train_again(of: Chosen, device: str | None, most: int | None) -> bool | None:
    """Train networks again, and print what differs; return whether all are identical."""
    from pipeline.upkeep.verify_some import networks_to_train

    if not of.given and most is None:
        raise ParameterError(
            "selection", None, "is not given",
            "name a network, or say --files to read files, or --retrain N to train some",
        )  # fmt: skip
    selection = of.selection()
    keys = selection.networks().keys(order_by="KEY")
    if not keys:
        raise ParameterError(
            "selection", selection.in_words(), "selects 0 networks", "see `rnn show`"
        )
    if most is None:
        return all([_is_the_same(key, device) for key in keys])  # each, whatever one is
    some = networks_to_train(selection.networks(), most)
    same = [_is_the_same(key, device) for key in some.keys]
    found = [f"{sum(same)} identical", *([f"{same.count(False)} not"] if False in same else [])]
    counts = counted(len(same), "network")
    console.print(f"{counts} trained again: {', '.join(found)}", highlight=False, soft_wrap=True)
    for number, why in (
        (some.n_others, "not trained again"),
        (some.n_elsewhere, "not trained here, so that nothing can be trained again"),
    ):
        if number:
            console.print(f"{counted(number, 'network')} {why}", highlight=False, soft_wrap=True)
    return all(same) if same else None


def _print_not_trained() -> None:
    """Say that rows and files alone do not say whether networks come out again."""
    from pipeline.tables.training import Training
    from pipeline.upkeep.verify_some import networks_to_train

    if number := networks_to_train(Training.Network(), 0).n_others:
        console.print(
            f"no network was trained again: --retrain N does it with N of {number}",
            highlight=False, soft_wrap=True,
        )  # fmt: skip


def _is_the_same(key: dict[str, Any], device: str | None) -> bool:
    """Train a network again, and print what differs; return whether it is identical."""
    from pipeline.progress import progress_bar
    from pipeline.upkeep.verify import verify as train_again

    title = f"{key['task_name']}/{key['network_name']}"
    with progress_bar(title) as show:
        result = train_again(key, device, show)
    answer = "identical" if result.identical else "not identical"
    name = f"{title}/{key['training_name']} seed {key['seed']}"
    console.print(f"{name}, on {result.device}: {answer}", markup=False, soft_wrap=True)
    for number, difference in enumerate(result.differences):
        first = "differs first" if not number else "then"
        console.print(f"{first}: {difference}", markup=False, highlight=False, soft_wrap=True)
    for change in result.changed:
        console.print(f"changed: {change}", markup=False, highlight=False, soft_wrap=True)
    if any(change.what == "device" for change in result.changed):
        console.print("On another kind of device it cannot be the same to the bit.")
    return bool(result.identical)


def _verify_rows(of: Chosen, device: str | None, retrain: int | None) -> bool | None:
    """Look at every row of parameters, and print those that are not what was entered."""
    from pipeline.upkeep.verify_rows import RowFault, verify_rows

    if retrain is None and (of.given or device is not None):
        option = [*of.arguments(), f"--device={device}"][0]
        name, _, value = option.partition("=")
        raise ParameterError(name, value, "chooses nothing with --all", "leave it out")

    def say(fault: RowFault) -> None:
        console.print(f"{fault}", markup=False, highlight=False, soft_wrap=True)

    result = verify_rows(say)
    kinds = Counter(fault.kind for fault in result.faults)
    counts = [f"{number} {kind}" for kind, number in sorted(kinds.items())]
    about = ", ".join(counts) or "all are as they were entered"
    n_rows = sum(result.n_rows.values())
    console.print(
        f"{counted(n_rows, 'row')} of parameters: {about}", highlight=False, soft_wrap=True
    )
    return result.is_whole


def _verify_files(of: Chosen, device: str | None, retrain: int | None) -> bool | None:
    """Read stored files, and print those that are not what was stored."""
    from tqdm import tqdm

    from pipeline.progress import file_bar
    from pipeline.upkeep.verify_files import Fault, verify_files

    if device is not None and retrain is None:
        raise ParameterError("--device", device, "trains nothing with --files", "leave it out")

    def say(fault: Fault) -> None:
        with tqdm.external_write_mode():
            console.print(f"{fault}", markup=False, highlight=False, soft_wrap=True)

    with file_bar("stored files") as show:
        result = verify_files(of.selection(), show, say)
    kinds = Counter(fault.kind for fault in result.faults)
    counts = [f"{number} {kind}" for kind, number in sorted(kinds.items())]
    about = ", ".join(counts) or "none damaged, none missing"
    console.print(
        f"{counted(result.n_files, 'file')}, {bytes_in_words(result.n_bytes)}: {about}",
        highlight=False,
        soft_wrap=True,
    )
    if result.n_without_hash:
        console.print(
            f"without a hash, as an earlier version wrote their rows: {result.n_without_hash}; "
            "of these only the form was checked.",
            highlight=False,
            soft_wrap=True,
        )
    return result.is_whole
