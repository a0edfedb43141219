"""``rnn export``: one network as a file, or a selection as a folder or an archive."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rnn_start import starting
from tasks_lib.errors import ParameterError
from tasks_lib.sizes import bytes_in_words, counted

from .base import (
    Modules,
    app,
    console,
    errors,
    halves,
    refusal,
    session,
)
from .choosing import Chosen, chosen

if TYPE_CHECKING:
    from pipeline.sharing.manifest import ExportCheck

MOST_FAULTS = 20  # that are listed


@app.command()
@chosen
def export(
    of: Chosen,
    path: Annotated[
        Path | None,
        typer.Argument(metavar="FILE", help="Of one network; replaced where it exists."),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="TARGET",
            help="All of the selection: a new folder, or an archive (.zip, .tar.gz).",
        ),
    ] = None,
    format: Annotated[
        str,
        typer.Option(
            metavar="FORMAT",
            help="npz, state_dict, seed-json or seed-npz; nwb: spikes in its trials.",
        ),
    ] = "npz",
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="FIELD=VALUE",
            help="With nwb: how units are recorded, as n_units=50; repeatable.",
        ),
    ] = None,
    parquet: Annotated[
        bool, typer.Option("--parquet", help="With --out: tables as Parquet too, by pyarrow.")
    ] = False,
    figures: Annotated[bool, typer.Option(help="With --out: whether figures are there.")] = True,
    report: Annotated[bool, typer.Option(help="With --out: whether the report is there.")] = True,
    module: Modules = None,
    update: Annotated[
        bool, typer.Option("--update", help="With --out: replace an earlier export.")
    ] = False,
    check: Annotated[
        Path | None,
        typer.Option(
            metavar="TARGET",
            help="Compare an exported folder or archive with its manifest. 0: whole, 1: not.",
        ),
    ] = None,
) -> None:
    """Write a network to a file, or all of a selection to a folder or an archive."""
    given = [name for name, value in (("FILE", path), ("--out", out), ("--check", check)) if value]
    if len(given) != 1:
        problem = f"{' and '.join(given)} are given" if given else "nothing is named"
        remedy = "give FILE for one network, or --out TARGET, or --check TARGET"
        raise typer.BadParameter(f"{problem}; {remedy}")
    if check is not None:
        _check(check)
        return
    given_set = halves(settings)
    if given_set and format != "nwb":
        raise typer.BadParameter("--set goes with FILE --format nwb; leave it out")
    with session() as pipeline:
        if path is not None:
            for name, value in (("out", out), ("update", update), ("parquet", parquet)):
                if value:
                    raise ParameterError(f"--{name}", value, "goes with --out", "leave it out")
            selection = of.selection()
            networks = selection.networks()
            if (number := len(networks)) != 1:
                raise ParameterError(
                    "selection", selection.in_words(), f"has {counted(number, 'network')}",
                    "name one, with --seed for example, or write all with --out TARGET",
                )  # fmt: skip
            key = networks.fetch1("KEY")
            if format == "nwb":
                from pipeline.tables.recording_files import parse_spike_settings

                written = pipeline.export_recording(key, path, **parse_spike_settings(given_set))
            else:
                written = pipeline.export_network(key, path, format)
            console.print(f"{written}", markup=False, soft_wrap=True)
            return
        assert out is not None
        from pipeline.progress import file_bar

        selected = of.selection()
        with file_bar("networks", "network") as show:
            made = pipeline.export(
                out, selected, format, parquet, figures, report, module or (), update, show
            )
        whose = f"{counted(made.n_networks, 'network')} in {counted(made.n_cohorts, 'cohort')}"
        size = bytes_in_words(made.n_bytes)
        console.print(f"{whose}: {counted(made.n_files, 'file')}, {size}", soft_wrap=True)
        console.print(f"{made.path.resolve()}", soft_wrap=True)
        console.print(f"manifest {made.sha256}", soft_wrap=True)


def _check(path: Path) -> None:
    """Print what is wrong with an export; exit with 1 where something is."""
    with starting():
        from pipeline.sharing.manifest import check_export

    try:
        found = check_export(path)
    except (ParameterError, OSError) as error:
        raise refusal(error) from None
    print_check(found)


def print_check(found: ExportCheck) -> None:
    """Print what a check has found; exit with 1 where something is wrong."""
    for fault in found.faults[:MOST_FAULTS]:
        errors.print(fault, style="red", soft_wrap=True)
    if len(found.faults) > MOST_FAULTS:
        errors.print(f"and {len(found.faults) - MOST_FAULTS} more")
    about = f"{counted(found.n_files, 'file')}, {bytes_in_words(found.n_bytes)}"
    number = counted(len(found.faults), "fault")
    console.print(f"{about}: {'whole' if found.is_whole else number}", soft_wrap=True)
    console.print(f"manifest {found.sha256}", soft_wrap=True)
    if not found.is_whole:
        raise typer.Exit(1)
