"""Parameters as the pages of a report show them, and the page of what they mean."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

from models.network.config import NetworkConfig
from models.parameters import default_of, parameters_of, sentence
from models.training.config import TrainingConfig
from tasks_lib import TASKS
from tasks_lib.base import plain

from .rows import CohortRows
from .values import text_of_value

CONFIGURATIONS: dict[str, type[Any]] = {"Network": NetworkConfig, "Training": TrainingConfig}
NO_PARAMETERS = {  # columns
    "task_name", "network_name", "training_name", "task_hash", "network_hash", "training_hash",
    "params",
}  # fmt: skip


def parameters_shown(cohort: CohortRows, whole: bool) -> dict[str, Any]:
    """Return the parameters of a cohort by their table.

    The whole, or those that differ from the defaults, to keep the pages of thousands of networks
    small.
    """
    rows = {
        "Task": cohort.task | (cohort.task["params"] or {}),
        "Network": cohort.network,
        "Training": cohort.parameters,
    }
    groups = []
    for title, row in rows.items():
        shown = [
            (name, value)
            for name, value in row.items()
            if name not in NO_PARAMETERS and (whole or not _is_default(title, row, name))
        ]
        if shown:
            groups.append({"title": title, "rows": shown})
    penalties = [
        (p["penalty"], ", ".join([f"weight {text_of_value(p['weight'])}", *_arguments(p["args"])]))
        for p in cohort.penalties
    ]
    if penalties:
        groups.append({"title": "Penalties", "rows": penalties})
    return {"parameters": groups}


def _arguments(given: Mapping[str, Any] | None) -> list[str]:
    return [f"{name} {text_of_value(value)}" for name, value in (given or {}).items()]


def meanings_context() -> dict[str, Any]:
    """Return what the page of the meanings of parameters shows, once for all networks."""
    groups = []
    for title, config in CONFIGURATIONS.items():
        rows = [
            (name, default_of(config, name), parameter.range, sentence(parameter))
            for name, parameter in parameters_of(config).items()
        ]
        groups.append({"title": title, "rows": rows})
    return {"root": "", "title": "Parameters of networks and trainings", "groups": groups}


def _is_default(title: str, row: Mapping[str, Any], name: str) -> bool:
    """Return whether a parameter is what it would be if nobody had given it.

    Some defaults follow from other parameters: those the rest is asked for.
    """
    make = CONFIGURATIONS.get(title) or TASKS.get(row.get("task_class", ""))
    if make is None:  # a task of somebody's own
        return False
    known = inspect.signature(make).parameters
    if name not in known:
        return False
    default = known[name].default
    if default is known[name].empty:
        return False
    if plain(default) == row[name]:
        return True
    try:
        made = make(**{n: value for n, value in row.items() if n in known and n != name})
    except Exception:  # rows that this version, or this machine, cannot make anything of
        return False
    return bool(plain(getattr(made, name)) == row[name])
