"""The options that choose networks: the same for every command, added to it by `chosen`."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.models import ArgumentInfo

from tasks_lib.errors import MAX_COUNT

from .completion import completing

if TYPE_CHECKING:
    from pipeline.tables.selections import Selection


def _by_name(of: str, what: str) -> tuple[str, Any]:
    """Return the option that chooses by the name of something, which shells complete."""
    option = typer.Option(
        f"--{of}", metavar="NAME", help=f"Only of {what}.", autocompletion=completing(of)
    )
    return f"{of}_name", Annotated[str | None, option]


# Option -> its name in a `Selection`, and how it is declared.
OPTIONS: dict[str, tuple[str, Any]] = {
    "sweep": _by_name("sweep", "this sweep"),
    "task": _by_name("task", "this task"),
    "network": _by_name("network", "these network parameters"),
    "training": _by_name("training", "this training"),
    "first_seed": (
        "first_seed",
        Annotated[
            int | None,
            typer.Option(
                "--first-seed", metavar="N", min=0, max=MAX_COUNT,
                help="Only of cohorts with this first seed.",
            ),
        ],
    ),
    "seed": (
        "seed",
        Annotated[
            int | None,
            typer.Option(
                "--seed", metavar="N", min=0, max=MAX_COUNT, help="Only networks with this seed."
            ),
        ],
    ),
    "where": (
        "where",
        Annotated[
            list[str] | None,
            typer.Option(
                "--where", metavar="CONDITION",
                help='Only where this holds, as "r2 > 0.9": of a column of any table; repeatable.',
            ),
        ],
    ),
}  # fmt: skip


@dataclass(frozen=True)
class Chosen:
    """What the options of a command choose.

    Attributes
    ----------
    given : dict
        Of a `Selection`, by its name there: those that were given.
    """

    given: dict[str, Any]

    def selection(self) -> Selection:
        """Return the selection; to be called with a connection.

        Raises
        ------
        ParameterError
            For a name that nothing has, and a condition that cannot be asked.
        """
        from pipeline.tables.selections import Selection

        selection = Selection.of(self.given)
        selection.check()
        return selection

    def arguments(self) -> list[str]:
        """Return them as a command line has them."""
        names = {name: option for option, (name, _) in OPTIONS.items()}
        found = []
        for name, value in self.given.items():
            option = f"--{names[name].replace('_', '-')}"
            found += [f"{option}={each}" for each in (value if name == "where" else (value,))]
        return found


def chosen(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options that choose networks; it gets them as ``of``, a `Chosen`."""
    signature = inspect.signature(command, eval_str=True)
    own = [
        each.replace(kind=inspect.Parameter.KEYWORD_ONLY)
        for name, each in signature.parameters.items()
        if name != "of"
    ]

    @wraps(command)
    def with_options(**values: Any) -> Any:
        asked = {name: values.pop(option) for option, (name, _) in OPTIONS.items()}
        if asked["where"] is not None:
            asked["where"] = tuple(asked["where"])
        given = {name: value for name, value in asked.items() if value not in (None, ())}
        return command(of=Chosen(given), **values)

    added = [
        inspect.Parameter(option, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=kind)
        for option, (_, kind) in OPTIONS.items()
    ]
    arguments = [each for each in own if _is_argument(each)]
    options = [each for each in own if not _is_argument(each)]
    parameters = [*arguments, *added, *options]
    # Which typer reads.
    with_options.__signature__ = signature.replace(  # type: ignore[attr-defined]
        parameters=parameters
    )
    with_options.__annotations__ = {each.name: each.annotation for each in parameters}
    return with_options


def _is_argument(parameter: inspect.Parameter) -> bool:
    """Return whether a parameter is an argument of the command line, which comes first."""
    metadata = getattr(parameter.annotation, "__metadata__", ())
    return any(isinstance(each, ArgumentInfo) for each in metadata)
