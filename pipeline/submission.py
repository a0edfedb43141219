"""Entering tasks, parameters and cohorts from one YAML file, all or nothing."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from models.files.yaml_documents import read_yaml
from tasks_lib.errors import (
    MAX_COUNT,
    ParameterError,
    ParameterErrors,
    check_int,
    raise_all,
)

from .database.connection import connection
from .database.server import reconnect, transaction
from .tables.network import NetworkParams
from .tables.parameters import check_name
from .tables.task import Task
from .tables.training import MOST_NETWORKS, Cohort
from .tables.training_params import TrainingParams

SECTIONS = ("tasks", "networks", "trainings", "cohorts")
NAMING = ("task", "network", "training")
COHORT_FIELDS = (*NAMING, "first_seed", "n_networks")


def read_submission(path: str | Path) -> dict[str, Any]:
    """Read and check the outline of a submission file.

    Raises
    ------
    ParameterError
        Where the file cannot be read, is not YAML or has sections that do not exist; where several
        things are wrong, as `ParameterErrors`.
    """
    content = read_yaml("FILE", path)
    if not isinstance(content, Mapping):
        raise ParameterError("FILE", str(path), "holds no sections", f"write {', '.join(SECTIONS)}")
    errors: list[ParameterError] = []
    for name, section in content.items():
        with _collecting(errors):
            _check_section(name, section)
    raise_all(errors)
    return dict(content)


def _check_section(name: Any, section: Any) -> None:
    if name not in SECTIONS:
        raise ParameterError("section", name, "does not exist", f"use one of {', '.join(SECTIONS)}")
    kind = list if name == "cohorts" else Mapping
    if not isinstance(section, kind):
        shape = "a list of cohorts" if kind is list else "name: {field: value}"
        raise ParameterError(name, section, "has the wrong form", f"write {shape}")
    named: Iterable[tuple[str, Any]]
    if isinstance(section, list):
        named = ((f"{name}[{number}]", row) for number, row in enumerate(section))
    else:
        named = ((f"{name}.{entry}", row) for entry, row in section.items())
    errors = [
        ParameterError(entry, row, "is not a set of fields", "write field: value")
        for entry, row in named
        if not isinstance(row, Mapping)
    ]
    raise_all(errors)


@contextmanager
def _collecting(errors: list[ParameterError]) -> Iterator[None]:
    """Append what is refused inside to the errors, and go on behind it."""
    try:
        yield
    except ParameterErrors as several:
        errors += several.errors
    except ParameterError as error:
        errors.append(error)


def submit(content: Mapping[str, Any]) -> dict[str, int]:
    """Enter a submission in one transaction; return the number of new rows by section.

    What exists already with the same parameters is left as it is.

    Raises
    ------
    ParameterError
        For any field that is wrong, named as it is written (``networks.small.tau``); then nothing
        is entered. Where several are, as `ParameterErrors`.
    """
    new = dict.fromkeys(SECTIONS, 0)
    errors: list[ParameterError] = []
    refused: set[tuple[str, Any]] = set()  # entries; what is said of them is not said of cohorts
    sections: tuple[tuple[str, Any, str], ...] = (
        ("tasks", Task, "task_name"),
        ("networks", NetworkParams, "network_name"),
        ("trainings", TrainingParams, "training_name"),
    )
    for section in content:
        with _collecting(errors):
            _check_section(section, content[section])
    raise_all(errors)
    reconnect(connection())
    with transaction(connection()):
        for section, table, name_field in sections:
            before = len(table())
            for name, fields in content.get(section, {}).items():
                row = dict(fields)
                if section == "tasks" and "class" in row:
                    row["task_class"] = row.pop("class")
                found = len(errors)
                with _collecting(errors), _of_entry(f"{section}.{name}", name_field, row):
                    table().insert1({**row, name_field: name})
                if len(errors) > found:
                    refused.add((section, name))
            new[section] = len(table()) - before
        before = len(Cohort())
        for number, entry in enumerate(content.get("cohorts", [])):
            if any((f"{field}s", _hashable(entry.get(field))) in refused for field in NAMING):
                continue
            with _collecting(errors), _of_entry(f"cohorts[{number}]", "", {}):
                row = _cohort_row(entry)
                # Not skip_duplicates: MySQL asks for the right to UPDATE then, which who submits
                # need not have.
                if not Cohort & row:
                    Cohort().insert1(row)
        new["cohorts"] = len(Cohort()) - before
        raise_all(errors)  # which rolls back
    return new


@contextmanager
def _of_entry(entry: str, name_field: str, row: Mapping[str, Any]) -> Iterator[None]:
    """Let errors say in which entry of the file their field is, and call it as it is written."""
    try:
        yield
    except ParameterError as error:
        field = error.field
        if field == name_field:
            written = entry
        else:
            if field == "task_class":
                field = "class"
            elif row.get("params") and _first(field) not in {*row, "params"}:
                inner = row["params"]
                if isinstance(inner, Mapping) and _first(field) in inner:
                    field = f"params.{field}"
            written = f"{entry}.{field}"
        raise ParameterError(written, error.value, error.problem, error.remedy) from error


def _first(field: str) -> str:
    """Return the first name of a field: "a" of "a.b" and of "a[0]"."""
    return field.partition(".")[0].partition("[")[0]


def _hashable(value: Any) -> Any:
    return value if isinstance(value, str) else None


def _cohort_row(entry: Mapping[str, Any]) -> dict[str, Any]:
    for field in COHORT_FIELDS:
        if field not in entry and field != "first_seed":
            raise ParameterError(field, None, "is missing", f"give {', '.join(COHORT_FIELDS)}")
    unknown = [name for name in entry if name not in COHORT_FIELDS]
    if unknown:
        raise ParameterError(
            unknown[0],
            entry[unknown[0]],
            "is not a field of a cohort",
            f"use {', '.join(COHORT_FIELDS)}",
        )
    row: dict[str, Any] = {
        "first_seed": check_int("first_seed", entry.get("first_seed", 0), 0, MAX_COUNT),
        "n_networks": check_int("n_networks", entry["n_networks"], 1, MOST_NETWORKS),
    }
    for field, table in (("task", Task), ("network", NetworkParams), ("training", TrainingParams)):
        name = {f"{field}_name": check_name(field, entry[field])}
        if not table & name:
            raise ParameterError(
                field,
                entry[field],
                "has not been entered",
                f"add it under {field}s: or name one that exists",
            )
        row |= name
    existing = Cohort & {k: v for k, v in row.items() if k != "n_networks"}
    if existing and existing.fetch1("n_networks") != row["n_networks"]:
        raise ParameterError(
            "n_networks",
            row["n_networks"],
            f"this cohort exists with {existing.fetch1('n_networks')} networks",
            "enter the further networks as a cohort with another first_seed",
        )
    return row
