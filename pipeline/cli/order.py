"""The order of the commands of ``rnn`` in its help: what is typed every day comes first."""

from __future__ import annotations

import typer

COMMANDS = {
    "Every day": (
        "demo", "submit", "search", "worker", "status", "show", "summary", "figures", "report",
        "failures", "retry", "priority",
    ),
    "Networks and tasks": (
        "reproduce", "compare", "export", "import", "verify", "check-task", "capsule",
    ),
    "Change and delete": ("leave-out", "rename", "delete"),
    "Administration": ("declare", "roles", "gc"),
}  # fmt: skip


def arrange(app: typer.Typer) -> None:
    """Put the commands of an application in this order, each under its heading."""
    places = {
        name: (number, heading)
        for number, (heading, name) in enumerate(
            (heading, name) for heading, names in COMMANDS.items() for name in names
        )
    }

    def place(command: typer.models.CommandInfo | typer.models.TyperInfo) -> tuple[int, str]:
        called = command.name or getattr(command.callback, "__name__", "")
        return places[str(called).replace("_", "-")]

    app.registered_commands.sort(key=lambda command: place(command)[0])
    for command in app.registered_commands:
        command.rich_help_panel = place(command)[1]
    for group in app.registered_groups:
        group.rich_help_panel = place(group)[1]
