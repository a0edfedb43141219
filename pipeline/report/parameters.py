"""Parameters as the pages of a report show them, and the page of what they mean."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING
from typing import Any

from models.network.config import NetworkConfig
from models.parameters import default_of, parameters_of, sentence
from models.training.config import TrainingConfig

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
        config = CONFIGURATIONS.get(title)
        shown = [
            (name, value)
            for name, value in row.items()
            if name not in NO_PARAMETERS
            and (whole or config is None or not _is_default(config, name, value))
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


def _is_default(config: type[Any], name: str, value: Any) -> bool:
    known = config.__dataclass_fields__.get(name)
    if known is None:
        return False
    default = known.default if known.default is not MISSING else known.default_factory()
    return bool(value == default)
