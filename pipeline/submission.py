"""Entering tasks, parameters and cohorts from one YAML file, all or nothing."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from tasks_lib.errors import MAX_COUNT, ParameterError, check_int

from .database.connection import connection
from .database.server import reconnect, transaction
from .tables.network import NetworkParams
from .tables.task import Task
from .tables.training import MOST_NETWORKS, Cohort
from .tables.training_params import TrainingParams

SECTIONS = ("tasks", "networks", "trainings", "cohorts")
COHORT_FIELDS = ("task", "network", "training", "first_seed", "n_networks")


def read_submission(path: str | Path) -> dict[str, Any]:
    """Read and check the outline of a submission file.

    Raises
    ------
    ParameterError
        Where the file cannot be read, is not YAML or has sections that do not exist.
    """
    try:
        content = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise ParameterError(
            "FILE", str(path), error.strerror or str(error), "name a readable YAML file"
        ) from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        problem = " ".join(str(error).split())
        raise ParameterError(
            "FILE", str(path), f"is not YAML: {problem}", "mend the named line"
        ) from None
    if not isinstance(content, Mapping):
        raise ParameterError("FILE", str(path), "holds no sections", f"write {', '.join(SECTIONS)}")
    for name, section in content.items():
        if name not in SECTIONS:
            raise ParameterError(
                "section", name, "does not exist", f"use one of {', '.join(SECTIONS)}"
            )
        kind = list if name == "cohorts" else Mapping
        if not isinstance(section, kind):
            shape = "a list of cohorts" if kind is list else "name: {field: value}"
            raise ParameterError(name, section, "has the wrong form", f"write {shape}")
        rows = section if isinstance(section, list) else section.values()
        for row in rows:
            if not isinstance(row, Mapping):
                raise ParameterError(name, row, "is not a set of fields", "write field: value")
    return dict(content)


def submit(content: Mapping[str, Any]) -> dict[str, int]:
    """Enter a submission in one transaction; return the number of new rows by section.

    What exists already with the same parameters is left as it is.

    Raises
    ------
    ParameterError
        For any field that is wrong; then nothing is entered.
    """
    new = dict.fromkeys(SECTIONS, 0)
    sections: tuple[tuple[str, Any, str], ...] = (
        ("tasks", Task, "task_name"),
        ("networks", NetworkParams, "network_name"),
        ("trainings", TrainingParams, "training_name"),
    )
    reconnect(connection())
    with transaction(connection()):
        for section, table, name_field in sections:
            before = len(table())
            for name, fields in content.get(section, {}).items():
                row = dict(fields)
                if section == "tasks" and "class" in row:
                    row["task_class"] = row.pop("class")
                table().insert1({name_field: name, **row})
            new[section] = len(table()) - before
        before = len(Cohort())
        for entry in content.get("cohorts", []):
            row = _cohort_row(entry)
            # Not skip_duplicates: MySQL asks for the right to UPDATE then, which who submits
            # need not have.
            if not Cohort & row:
                Cohort().insert1(row)
        new["cohorts"] = len(Cohort()) - before
    return new


def _cohort_row(entry: Mapping[str, Any]) -> dict[str, Any]:
    for field in COHORT_FIELDS:
        if field not in entry and field != "first_seed":
            raise ParameterError(
                f"cohorts.{field}", None, "is missing", f"give {', '.join(COHORT_FIELDS)}"
            )
    unknown = sorted(set(entry) - set(COHORT_FIELDS))
    if unknown:
        raise ParameterError(
            f"cohorts.{unknown[0]}",
            entry[unknown[0]],
            "is not a field of a cohort",
            f"use {', '.join(COHORT_FIELDS)}",
        )
    row: dict[str, Any] = {
        "first_seed": check_int("cohorts.first_seed", entry.get("first_seed", 0), 0, MAX_COUNT),
        "n_networks": check_int("cohorts.n_networks", entry["n_networks"], 1, MOST_NETWORKS),
    }
    for field, table in (("task", Task), ("network", NetworkParams), ("training", TrainingParams)):
        name = {f"{field}_name": entry[field]}
        if not table & name:
            raise ParameterError(
                f"cohorts.{field}",
                entry[field],
                "has not been entered",
                f"add it under {field}s: or name one that exists",
            )
        row |= name
    existing = Cohort & {k: v for k, v in row.items() if k != "n_networks"}
    if existing and existing.fetch1("n_networks") != row["n_networks"]:
        raise ParameterError(
            "cohorts.n_networks",
            row["n_networks"],
            f"this cohort exists with {existing.fetch1('n_networks')} networks",
            "enter the further networks as a cohort with another first_seed",
        )
    return row
