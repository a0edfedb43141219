"""The command line: ``rnn``."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from rnn_start import starting
from tasks_lib.errors import ParameterError
from tasks_lib.sizes import counted

from . import (  # noqa: F401  (their commands)
    capsule_command,
    compare_command,
    deleting,
    export_command,
    figures_command,
    leaving_out,
    looking,
    report_command,
    reproduce_command,
    search_command,
    upkeep,
    work,
)
from .base import (
    MOST_PRIORITY,
    UNCHANGED,
    announce,
    app,
    console,
    errors,
    halves,
    refusal,
    session,
    show_log,
)
from .looking import print_networks
from .order import arrange
from .text_table import number

__all__ = ["app"]


def _print_version(is_asked: bool) -> None:
    if is_asked:
        with starting():
            from pipeline.tables.provenance import PACKAGE, code_version
        version, is_dirty = code_version()
        changes = ", with uncommitted changes" if is_dirty else ""
        console.print(f"{PACKAGE} {version}{changes}")
        raise typer.Exit


@app.callback()
def _import_from_here(
    version: Annotated[
        bool,
        typer.Option(
            "--version",
            is_eager=True,
            callback=_print_version,
            help="Print the version and the commit, and end.",
        ),
    ] = False,
    allow: Annotated[
        list[str] | None,
        typer.Option(
            metavar="PACKAGE",
            help="A package of your own whose tasks and penalties rows may name; repeatable, and "
            "added to RNN_ALLOWED_PACKAGES.",
        ),
    ] = None,
) -> None:
    show_log()
    # Classes of a user's own may lie in the current directory; last, so that they hide nothing.
    if os.getcwd() not in sys.path:
        sys.path.append(os.getcwd())
    if allow:
        from pipeline.tables.allowed_imports import allow as allow_packages

        try:
            allow_packages(allow)
        except ParameterError as error:
            raise refusal(error) from None


@app.command()
def demo(
    figures: Annotated[Path, typer.Option(metavar="FOLDER", help="Folder for the figures.")] = Path(
        "demo_figures"
    ),
) -> None:
    """Enter a decision-making task, train four networks and analyse them: takes a minute or two."""
    kept = (
        "all rows that were computed are kept, and the state of a training that was going on; "
        "rnn demo goes on"
    )
    with session(kept=kept):
        from pipeline.cli.demo import NEXT, REQUIRED_R2, run_demo

        result = run_demo(figures, announce=announce)
        for line in result.used:
            console.print(line, soft_wrap=True)
        print_networks(result.reports)
        for name, key, message in result.errors:
            errors.print(f"error: {name} {key}: {message}", style="red", markup=False)
        if result.made:
            rows = counted(result.made, "row")
            console.print(f"{rows} computed in {result.seconds:.0f} s.")
        elif not result.errors:
            console.print(f"Everything was done already ({result.seconds:.1f} s).")
        n_figures = counted(len(result.figures), "figure")
        console.print(f"{n_figures} in {figures.resolve()}", soft_wrap=True)
        for r in result.failures:
            errors.print(
                f"error: {r.name} reached a noise-free R² of {number(r.r2, 4)}, "
                f"below {REQUIRED_R2}",
                style="red",
                markup=False,
            )
        if result.errors or result.failures or not result.reports:
            raise typer.Exit(1)
        console.print(NEXT)


@app.command()
def submit(
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="YAML file of tasks, parameters and cohorts.")
    ],
    use_equal: Annotated[
        bool,
        typer.Option(
            "--use-equal",
            help="Where equal parameters are there under another name, use those, and say so.",
        ),
    ] = False,
    dry_run: Annotated[
        bool,
        typer.Option(
            "--dry-run", help="Enter nothing: say what it would be, and how long trainings take."
        ),
    ] = False,
    priority: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            min=0,
            max=MOST_PRIORITY,
            help="Priority of their jobs: lower numbers first; 5.",
        ),
    ] = None,
) -> None:
    """Enter tasks, parameters and cohorts from one file: all of it, or nothing."""
    kept = "all of it is entered, or nothing; type it again to be sure"
    with session(kept=UNCHANGED if dry_run else kept) as pipeline:
        if dry_run:
            from pipeline.cli.cost_lines import cost_lines

            planned = pipeline.dry_run(file, "use" if use_equal else "refuse")
            for line in cost_lines(*planned):
                console.print(line, soft_wrap=True)
            return
        for line in pipeline.submit(file, "use" if use_equal else "refuse", priority).lines():
            console.print(line, soft_wrap=True)


@app.command("import")
def import_(
    file: Annotated[
        Path,
        typer.Argument(
            metavar="FILE",
            help="Params JSON or npz of trainRNNbrain, our npz, a state_dict; a whole export; or a "
            "recording (.nwb).",
        ),
    ],
    task: Annotated[
        str | None, typer.Option(metavar="NAME", help="The task that the network was trained on.")
    ] = None,
    network: Annotated[
        str | None, typer.Option(metavar="NAME", help="Name for its parameters.")
    ] = None,
    config: Annotated[
        Path | None, typer.Option(metavar="FILE", help="YAML that the run saved beside it.")
    ] = None,
    mapping: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="YAML of names, for another program's state_dict."),
    ] = None,
    recording: Annotated[
        str | None, typer.Option(metavar="NAME", help="Of a .nwb file: name of the recording.")
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="FIELD=VALUE",
            help="Of a .nwb file: how it is read, as align=go_time; repeatable.",
        ),
    ] = None,
) -> None:
    """Enter a network that was trained elsewhere, all networks of an export, or a recording."""
    kept = "each network is entered, or nothing of it is; type it again to be sure"
    given = halves(settings)
    is_recording = file.suffix.lower() == ".nwb"
    for option, is_given in (("recording", recording), ("set", settings)):
        if is_given and not is_recording:
            raise typer.BadParameter(f"--{option} goes with a .nwb file; leave it out")
    with session(kept=kept) as pipeline:
        if is_recording:
            for option, other in (("network", network), ("config", config), ("mapping", mapping)):
                if other is not None:
                    problem = "goes with the file of a network"
                    raise ParameterError(f"--{option}", str(other), problem, "leave it out")
            _import_recording(file, task, recording, given)
            return
        if task is None:
            for option, value in (("network", network), ("config", config), ("mapping", mapping)):
                if value is not None:
                    raise ParameterError(
                        "--task", None, f"is not given beside --{option}", "give it"
                    )
            _import_export(file)
            return
        key = pipeline.import_network(file, task, network, config, mapping)
        name = "/".join(key[f"{part}_name"] for part in ("task", "network", "training"))
        r2 = (pipeline.Training.Network & key).fetch1("r2")
        console.print(f"{name} seed {key['seed']}: noise-free R² {number(r2, 4)}", soft_wrap=True)
        for note in (pipeline.Training.Source & key).fetch1("notes"):
            console.print(f"note: {note}", markup=False, soft_wrap=True)


def _import_recording(
    path: Path, task: str | None, name: str | None, given: list[tuple[str, str]]
) -> None:
    """Enter a recording; say what was read of it."""
    from pipeline import Recording
    from pipeline.tables.recording_files import enter_recording, parse_reading_settings

    if task is None:
        raise ParameterError("--task", None, "is not given", "name the task that was recorded")
    key = enter_recording(path, task, name, **parse_reading_settings(given))
    row = (Recording & key).fetch1()
    units = f"{row['recording_units']} of {counted(row['units_in_file'], 'unit')}"
    trials = counted(row["recording_trials"], "trial")
    left = f", {row['trials_left_out']} left out" if row["trials_left_out"] else ""
    window = f"{row['recording_window_on']:g} to {row['recording_end']:g} s"
    where = f"{key['task_name']}/{key['recording_name']}"
    console.print(f"{where}: {units}, {trials}{left}, {window}", soft_wrap=True)


def _import_export(path: Path) -> None:
    """Import what an export holds; say which network is which here."""
    from pipeline.progress import file_bar
    from pipeline.sharing.receive import import_export, is_export

    if not is_export(path):
        raise ParameterError(
            "--task", None, "is not given, which the file of one network needs",
            "name the task that it was trained on; without one, name an export",
        )  # fmt: skip
    with file_bar("networks", "network") as show:
        received = import_export(path, show)
    for name, key in received.keys.items():
        here = f"{key['task_name']}/{key['network_name']}/{key['training_name']} seed {key['seed']}"
        console.print(f"{name}: {here}", soft_wrap=True)
    before = f", {len(received.known)} imported before" if received.known else ""
    new = f"{counted(received.n_tasks, 'task')} and {counted(len(received.keys), 'network')} new"
    console.print(f"{new}{before}", soft_wrap=True)


@app.command()
def check_task(
    name: Annotated[
        str,
        typer.Argument(metavar="NAME", help='"package.module:ClassName", or a task from here.'),
    ],
    params: Annotated[
        str, typer.Option(metavar="JSON", help="Arguments of the class, as JSON.")
    ] = "{}",
) -> None:
    """Say what is wrong with a task of your own, or what it is; needs no database."""
    with starting():
        from tasks_lib.summary import check_and_summarise

    try:
        summary = check_and_summarise(name, params)
    except ParameterError as error:
        raise refusal(error) from None
    for what, value in summary.items():
        console.print(f"{what}: {value}", markup=False, highlight=False, soft_wrap=True)


arrange(app)
