"""Entering tasks, parameters and cohorts from one YAML file, all or nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tasks_lib.errors import (
    MAX_COUNT,
    ParameterError,
    check_int,
    collecting,
    first_name,
    raise_all,
    renamed,
    use_one_of,
)

from .database.connection import connection
from .database.schemas import SCHEMAS
from .database.server import reconnect, transaction
from .submission_file import NAMING, outline, read_submission
from .sweeps.entering import enter_sweep
from .tables.checked import CheckedTable
from .tables.hashing import check_storable
from .tables.in_use import entering_alone
from .tables.many_cohorts import Refused, enter_cohorts
from .tables.network import NetworkParams
from .tables.parameters import ParameterTable, check_name
from .tables.rows import Row, in_chunks
from .tables.task import Task
from .tables.training import MOST_NETWORKS, Cohort
from .tables.training_params import IMPORTED, TrainingParams
from .transient.conflicts import retry_conflicts

__all__ = ["read_submission", "submit"]

COHORT_FIELDS = (*NAMING, "first_seed", "n_networks")
PARAMETERS: dict[str, type[ParameterTable]] = {
    "tasks": Task,
    "networks": NetworkParams,
    "trainings": TrainingParams,
}


def submit(content: Mapping[str, Any] | str | Path) -> dict[str, int]:
    """Enter a submission in one transaction; return the number of new rows by section.

    What exists already with the same parameters is left as it is. Any number of processes may
    enter submissions at once: they take turns, and each row is new to one of them.

    Parameters
    ----------
    content : mapping, str or Path
        The sections, or the YAML file that holds them.

    Raises
    ------
    ParameterError
        For any field that is wrong, named as it is written (``networks.small.tau``); then nothing
        is entered. Where several are, as `ParameterErrors`.
    """
    errors: list[ParameterError] = []
    sections = outline(content, errors)
    reconnect(connection())
    with entering_alone(connection(), SCHEMAS["task"].database):
        return retry_conflicts(lambda: _enter(sections, list(errors)))


def _enter(sections: Mapping[str, Any], errors: list[ParameterError]) -> dict[str, int]:
    """Enter sections that have the right form, unless there are errors, which are raised."""
    tables: dict[str, type[CheckedTable]] = {**PARAMETERS, "cohorts": Cohort}
    with transaction(connection()):
        before = {section: len(table()) for section, table in tables.items()}
        for section, table in PARAMETERS.items():
            for name, fields in sections.get(section, {}).items():
                if isinstance(name, str):  # else an error has said it
                    _enter_parameters(table, f"{section}.{name}", name, fields, errors)
        _enter_cohorts(sections.get("cohorts", []), errors)
        n_points = sum(
            enter_sweep(f"sweeps.{name}", name, fields, errors)
            for name, fields in sections.get("sweeps", {}).items()
            if isinstance(name, str)
        )
        new = {section: len(table()) - before[section] for section, table in tables.items()}
        if "sweeps" in sections:
            new["sweep points"] = n_points
        raise_all(_one_for_each_field(errors))  # which rolls back
    return new


def _one_for_each_field(errors: list[ParameterError]) -> list[ParameterError]:
    first: dict[str, ParameterError] = {}
    for error in errors:
        first.setdefault(error.field, error)
    return list(first.values())


def _enter_parameters(
    table: type[ParameterTable],
    entry: str,
    name: str,
    fields: Mapping[str, Any],
    errors: list[ParameterError],
) -> None:
    """Enter a parameter set; append all that is wrong with it, under its name as written."""
    if any(error.field == entry for error in errors):
        return  # it is there twice
    row = {field: value for field, value in fields.items() if isinstance(field, str)}
    if table is Task and "class" in row:
        row["task_class"] = row.pop("class")
    unusable = _unknown(table, entry, row)
    for error in unusable:
        del row[error.field.removeprefix(f"{entry}.")]
    errors += unusable

    def written(field: str) -> str:
        if field == table().name_field:
            return entry
        if field == "task_class":
            field = "class"
        elif first_name(field) not in {*row, "params"}:
            inner = row.get("params")
            if isinstance(inner, Mapping) and first_name(field) in inner:
                field = f"params.{field}"
        return f"{entry}.{field}"

    no_values = _no_values(table, row)
    errors += [renamed(error, written) for error in no_values]
    in_mapping = any(error.field not in row for error in no_values)
    for error in no_values:
        row.pop(first_name(error.field), None)
    unusable += no_values
    with collecting(errors):
        try:
            if unusable:  # what else is wrong
                check_name(table().name_field, name)
                if not in_mapping:  # without it others would be wrong by its defaults only
                    table.canonical(row)
            else:
                table().insert1({**row, table().name_field: name})
        except ParameterError as error:
            raise renamed(error, written) from error


def _no_values(table: type[ParameterTable], row: Mapping[str, Any]) -> list[ParameterError]:
    """Return an error for each field whose value no table can hold: a NaN, a text with a NUL."""
    errors: list[ParameterError] = []
    for field, value in row.items():
        with collecting(errors):
            check_storable("", table().normal({field: value}))
    return errors


def _unknown(
    table: type[ParameterTable], entry: str, row: Mapping[str, Any]
) -> list[ParameterError]:
    """Return an error for each field that no column or part holds."""
    known = {*table().heading.names, *table.default_columns(), *table.extra_fields}
    known -= {table().name_field}
    names = {"class" if f == "task_class" else f for f in known - {table.hash_field}}
    errors = []
    for field, value in row.items():
        if field in known:
            continue
        remedy = use_one_of(field, names)
        if table is Task and not remedy.endswith("?"):
            remedy += "; arguments of the class stand under params"
        errors.append(ParameterError(f"{entry}.{field}", value, "does not exist", remedy))
    return errors


def _enter_cohorts(
    cohorts: Sequence[Mapping[str, Any] | None], errors: list[ParameterError]
) -> None:
    """Enter cohorts; append all that is wrong with them."""
    known = {field: _known(field, cohorts) for field in NAMING}
    rows, entries = [], []
    for number, fields in enumerate(cohorts):
        row = None if fields is None else _cohort(f"cohorts[{number}]", fields, known, errors)
        if row is not None:
            rows.append(row)
            entries.append(f"cohorts[{number}]")
    refused: Refused = []
    enter_cohorts(rows, refused)
    for number, e in refused:
        field = f"{entries[number]}.{e.field}"
        errors.append(ParameterError(field, e.value, e.problem, e.remedy))


def _known(field: str, cohorts: Sequence[Mapping[str, Any] | None]) -> set[str]:
    """Return the names that cohorts give as task, network or training, and that are there."""
    table = PARAMETERS[f"{field}s"]
    given = (fields.get(field) for fields in cohorts if fields is not None)
    names = sorted({name for name in given if isinstance(name, str) and name.isprintable()})
    there: set[str] = set()
    for some in in_chunks(names):
        found = table & [{f"{field}_name": name} for name in some]
        there |= {str(name) for name in found.to_arrays(f"{field}_name")}
    return there


def _cohort(
    entry: str,
    fields: Mapping[str, Any],
    known: Mapping[str, set[str]],
    errors: list[ParameterError],
) -> Row | None:
    """Return the row of a cohort; None where it is refused: append all that is wrong with it."""
    own: list[ParameterError] = []
    row: Row = {}
    for field, value in fields.items():
        if isinstance(field, str) and field not in COHORT_FIELDS:
            remedy = use_one_of(field, COHORT_FIELDS)
            own.append(ParameterError(field, value, "is not a field of a cohort", remedy))
    for field in COHORT_FIELDS:
        if field not in fields and field != "first_seed":
            remedy = f"give {', '.join(COHORT_FIELDS)}"
            own.append(ParameterError(field, None, "is missing", remedy))
    with collecting(own):
        first = fields.get("first_seed", 0)
        row["first_seed"] = check_int("first_seed", first, 0, MAX_COUNT)
    if "n_networks" in fields:
        with collecting(own):
            row["n_networks"] = check_int("n_networks", fields["n_networks"], 1, MOST_NETWORKS)
    is_refused = False  # something that it names, of which an error speaks
    for field in NAMING:
        if field not in fields:
            continue
        value = fields[field]
        with collecting(own):
            row[f"{field}_name"] = check_name(field, value)
            refused = any(f"{error.field}.".startswith(f"{field}s.{value}.") for error in errors)
            is_refused |= refused
            if field == "training" and value == IMPORTED:
                problem = f"only imported networks have the training {IMPORTED!r}, and no other"
                remedy = "name a training that you entered, or use import_network"
                raise ParameterError(field, value, problem, remedy)
            if not refused and value not in known[field]:
                remedy = f"add it under {field}s: or name one that exists"
                raise ParameterError(field, value, "has not been entered", remedy)
    errors += [ParameterError(f"{entry}.{e.field}", e.value, e.problem, e.remedy) for e in own]
    return None if own or is_refused else row
