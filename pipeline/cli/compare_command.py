"""``rnn compare``: distances between the networks of a selection."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from tasks_lib.sizes import counted

from .base import app, console, halves, session
from .choosing import Chosen, chosen

if TYPE_CHECKING:
    from pipeline.tables.compared_state import ComparisonState


@app.command()
@chosen
def compare(
    name: Annotated[
        str, typer.Argument(metavar="NAME", help="A name that you choose for the comparison.")
    ],
    of: Chosen,
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="FIELD=VALUE",
            help="A setting of a comparison that is new, as max_trials=32; repeatable.",
        ),
    ] = None,
) -> None:
    """Compare trained networks of one task with each other; workers compute the distances.

    The same name again adds networks that are new, and shows what is computed.
    """
    kept = "the networks are entered, all of them or none; type it again to be sure"
    with session(kept=kept, needs_store=False) as pipeline:
        from pipeline.tables.compared_state import comparison_state
        from pipeline.tables.comparing import parse_settings

        given = parse_settings(halves(settings))
        done = pipeline.compare(name, of.selection(), **given)
        networks = counted(done.n_members, "network")
        added = f", {done.n_new} of them new" if done.n_new else ""
        console.print(f"{name}: {networks}{added}", soft_wrap=True)
        _print(comparison_state(name))


def _print(state: ComparisonState) -> None:
    pairs = f"pairs: {state.n_pairs} of {state.n_wanted}"
    if state.n_jobs_left:
        pairs += f"; workers have {counted(state.n_jobs_left, 'job')} to do"
    elif state.n_pairs < state.n_wanted:
        pairs += (
            "; the others were deleted: rnn delete --table PairBlock, then rnn delete --table "
            "Embedding, computes all again"
        )
    console.print(pairs, soft_wrap=True)
    for one in state.embeddings:
        line = f"embedding {one.name}: {one.status.replace('_', ' ')}"
        if one.n_classes:
            p = "" if one.class_p is None else f" (p {one.class_p:.2g})"
            line += f", {counted(one.n_classes, 'class', 'classes')}{p}"
        if one.parameter:
            p = "" if one.explained_p is None else f", p {one.explained_p:.2g}"
            line += f"; {one.parameter} explains {one.explained:.2f}{p}"
        console.print(line, soft_wrap=True)
