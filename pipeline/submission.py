"""Entering tasks, parameters and cohorts from one YAML file, all or nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tasks_lib.errors import (
    MAX_COUNT,
    ParameterError,
    check_choice,
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
from .submission_file import outline, read_submission, sweep_entries
from .submitted import Submitted
from .sweeps.cost import Cost, Probe, plan, stored_trainings
from .sweeps.entering import enter_sweep
from .sweeps.probe import probe as measure_iterations
from .sweeps.table import points_of_sweep
from .tables.checked import CheckedTable
from .tables.hashing import check_storable
from .tables.in_use import entering_alone
from .tables.keys import SETS
from .tables.left_out import LeftOut, checked_tables, enter_left_out
from .tables.many_cohorts import Refused, enter_cohorts, is_refused, not_entered
from .tables.parameter_sets import PARAMETER_TABLES
from .tables.parameters import ParameterTable, check_name
from .tables.rows import Row, in_chunks
from .tables.sweeps import SweepPoint
from .tables.task import Task
from .tables.training import MOST_NETWORKS, Cohort, only_imported
from .tables.training_params import IMPORTED
from .transient.conflicts import retry_conflicts
from .workers.priorities import check_priority, prioritize

__all__ = ["Submitted", "read_submission", "submit"]

NEEDED = (*SETS, "n_networks")  # by a cohort
COHORT_FIELDS = (*SETS, "first_seed", "n_networks", "without")
PARAMETERS: dict[str, type[ParameterTable]] = {
    f"{name}s": table for name, table in PARAMETER_TABLES.items()
}


def submit(
    content: Mapping[str, Any] | str | Path, equal: str = "refuse", priority: int | None = None
) -> Submitted:
    """Enter a submission in one transaction; return the number of new rows by section.

    What exists already with the same parameters is left as it is. Any number of processes may
    enter submissions at once: they take turns, and each row is new to one of them.

    Parameters
    ----------
    content : mapping, str or Path
        The sections, or the YAML file that holds them.
    equal : {"refuse", "use"}
        What becomes of parameters that are there under another name, and of seeds that other
        cohorts of the same parameters have: an error, or those that are there are used, and the
        result says so.
    priority : int, optional
        Of the cohorts of the file and of its sweeps, whether they are new or not (`prioritize`).

    Raises
    ------
    ParameterError
        For any field that is wrong, named as it is written (``networks.small.tau``); then nothing
        is entered. Where several are, as `ParameterErrors`.
    """
    check_choice("equal", equal, ("refuse", "use"))
    if priority is not None:
        check_priority(priority)
    errors: list[ParameterError] = []
    sections = outline(content, errors)
    reconnect(connection())
    with entering_alone(connection(), SCHEMAS["task"].database):
        done = retry_conflicts(lambda: _enter(sections, list(errors), equal == "use"))
    if priority is not None:
        prioritize(done.cohorts, priority)
        for name in sections.get("sweeps", {}):
            prioritize({"sweep_name": name}, priority)
    return done


class _Planned(Exception):
    """What a submission costs: raised so that its transaction is rolled back."""

    def __init__(self, done: Submitted, cost: Cost) -> None:
        super().__init__()
        self.done, self.cost = done, cost


def dry_run(
    content: Mapping[str, Any] | str | Path,
    equal: str = "refuse",
    probe: Probe = measure_iterations,
) -> tuple[Submitted, Cost]:
    """Return what a submission would enter, and what its cohorts cost; nothing is written.

    Parameters
    ----------
    content, equal :
        As of `submit`.
    probe : callable
        Measures a few iterations of trainings of whose shape none is stored.

    Returns
    -------
    Submitted
        The numbers of new rows.
    Cost
        Of all cohorts of the file that are not trained, whether they are new or not.

    Raises
    ------
    ParameterError
        As of `submit`.
    """
    check_choice("equal", equal, ("refuse", "use"))
    errors: list[ParameterError] = []
    sections = outline(content, errors)
    reconnect(connection())

    def enter() -> Submitted:
        return _enter(sections, list(errors), equal == "use", is_dry=True)

    try:
        with entering_alone(connection(), SCHEMAS["task"].database):
            retry_conflicts(enter)
    except _Planned as planned:
        cost = planned.cost
        stored = stored_trainings((cohort.shape for cohort in cost.cohorts), cost.device)
        cost.estimate(probe, stored)
        return planned.done, cost
    raise AssertionError("a dry run has entered rows")


def _planned(sections: Mapping[str, Any], done: Submitted) -> Cost:
    """Return what the cohorts of a submission cost, whose rows are there."""
    names = [name for name in sections.get("sweeps", {}) if isinstance(name, str)]
    points = {name: points_of_sweep(name) for name in names}
    asked: list[Any] = [*done.cohorts]
    if names:
        asked.append((SweepPoint & [{"sweep_name": name} for name in names]).proj())
    return plan(Cohort & asked, points)


def _enter(
    sections: Mapping[str, Any],
    errors: list[ParameterError],
    use_equal: bool,
    is_dry: bool = False,
) -> Submitted:
    """Enter sections that have the right form, unless there are errors, which are raised."""
    done = Submitted()
    tables: dict[str, type[CheckedTable]] = {**PARAMETERS, "cohorts": Cohort}
    with transaction(connection()):
        before = {section: len(table()) for section, table in tables.items()}
        for section, table in PARAMETERS.items():
            for name, fields in sections.get(section, {}).items():
                if isinstance(name, str):  # else an error has said it
                    used = _enter_parameters(
                        table, f"{section}.{name}", name, fields, errors, use_equal
                    )
                    done.names[section][name] = used
        n_left_out = len(LeftOut())
        of_all: list[str] = []  # left out of the whole file
        with collecting(errors):
            of_all = checked_tables("without", sections.get("without", []))
        _enter_cohorts(sections.get("cohorts", []), errors, use_equal, done, of_all)
        n_points = sum(
            enter_sweep(
                entry, name, {"without": of_all, **_as_entered(fields, done)}, errors, done.notes
            )
            for entry, name, fields in sweep_entries(sections.get("sweeps", {}))
            if isinstance(name, str) and isinstance(fields, Mapping)
        )
        done.update({section: len(each()) - before[section] for section, each in tables.items()})
        if "sweeps" in sections:
            done["sweep points"] = n_points
        raise_all(_one_for_each_field(errors))  # which rolls back
        for _, _, fields in sweep_entries(sections.get("sweeps", {})):
            if isinstance(fields, Mapping):
                done.without.update(fields.get("without", of_all))
        if done.without:
            done["left out"] = len(LeftOut()) - n_left_out
        if is_dry:
            raise _Planned(done, _planned(sections, done))  # and so does this
    return done


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
    use_equal: bool,
) -> str:
    """Enter a parameter set; return the name under which it is there.

    All that is wrong with it is appended to the errors, under its name as written.
    """
    if any(error.field == entry for error in errors):
        return name  # it is there twice
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
                return name
            whole = {**row, table().name_field: name}
            equal = table().equal_names(whole) if use_equal else []
            if equal and name not in equal:
                return equal[0]
            table().insert1(whole)
        except ParameterError as error:
            raise renamed(error, written) from error
    return name


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


def _as_entered(fields: Mapping[str, Any], done: Submitted) -> dict[str, Any]:
    """Return fields that name sets, a sweep's, with the names under which these were entered."""
    found = dict(fields)
    for field in SETS:
        if isinstance(name := fields.get(field), str):
            found[field] = done.names[f"{field}s"].get(name, name)
    return found


def _enter_cohorts(
    cohorts: Sequence[Mapping[str, Any] | None],
    errors: list[ParameterError],
    use_equal: bool,
    done: Submitted,
    of_all: Sequence[str],
) -> None:
    """Enter cohorts, and note their keys; append all that is wrong with them."""
    left_out: list[tuple[Row, list[str]]] = []
    known = {field: _known(field, cohorts, done) for field in SETS}
    rows, entries = [], []
    keys: dict[tuple[Any, ...], Row] = {}
    for number, fields in enumerate(cohorts):
        entry = f"cohorts[{number}]"
        row = None if fields is None else _cohort(entry, fields, known, errors, done)
        if row is None:
            continue
        without = row.pop("without", list(of_all))
        own = {name: row[name] for name in Cohort.primary_key}
        holding = _cohorts_with(row) if use_equal else []
        if holding in ([], [own]):
            left_out.append((own, without))
            done.without.update(without)
        elif without:
            done.kept.append(entry)
        if not holding:
            rows.append(row)
            entries.append(entry)
            holding = [own]
        keys |= {tuple(key.values()): key for key in holding}
    done.cohorts = list(keys.values())
    refused: Refused = []
    enter_cohorts(rows, refused)
    for number, e in refused:
        field = f"{entries[number]}.{e.field}"
        errors.append(ParameterError(field, e.value, e.problem, e.remedy))
    if not errors:
        enter_left_out(left_out)


def _cohorts_with(row: Row) -> list[Row]:
    """Return the keys of the cohorts that hold all networks of a cohort; none where some lack."""
    start, stop = row["first_seed"], row["first_seed"] + row["n_networks"]
    others = Cohort.sharing(row).to_dicts(order_by="first_seed")
    n_held = sum(  # no two cohorts share a seed
        min(stop, other["first_seed"] + other["n_networks"]) - max(start, other["first_seed"])
        for other in others
    )
    keys = [{name: other[name] for name in Cohort.primary_key} for other in others]
    return keys if n_held == stop - start else []


def _known(field: str, cohorts: Sequence[Mapping[str, Any] | None], done: Submitted) -> set[str]:
    """Return the names that cohorts give as task, network or training, and that are there."""
    table, names_used = PARAMETERS[f"{field}s"], done.names[f"{field}s"]
    given = (fields.get(field) for fields in cohorts if fields is not None)
    texts = {name for name in given if isinstance(name, str) and name.isprintable()}
    names = sorted({names_used.get(name, name) for name in texts})
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
    done: Submitted,
) -> Row | None:
    """Return the row of a cohort; None where it is refused: append all that is wrong with it."""
    own: list[ParameterError] = []
    row: Row = {}
    for field, value in fields.items():
        if isinstance(field, str) and field not in COHORT_FIELDS:
            remedy = use_one_of(field, COHORT_FIELDS)
            own.append(ParameterError(field, value, "is not a field of a cohort", remedy))
    for field in NEEDED:
        if field not in fields:
            remedy = f"give {', '.join(COHORT_FIELDS)}"
            own.append(ParameterError(field, None, "is missing", remedy))
    with collecting(own):
        first = fields.get("first_seed", 0)
        row["first_seed"] = check_int("first_seed", first, 0, MAX_COUNT)
    if "n_networks" in fields:
        with collecting(own):
            row["n_networks"] = check_int("n_networks", fields["n_networks"], 1, MOST_NETWORKS)
    if "without" in fields:
        with collecting(own):
            row["without"] = checked_tables("without", fields["without"])
    names_refused = False  # something of which an error speaks
    for field in SETS:
        if field not in fields:
            continue
        value = fields[field]
        with collecting(own):
            name = check_name(field, value)
            row[f"{field}_name"] = done.names[f"{field}s"].get(name, name)
            refused = is_refused(field, value, errors)
            names_refused |= refused
            if field == "training" and value == IMPORTED:
                raise only_imported(field, value)
            if not refused and row[f"{field}_name"] not in known[field]:
                raise not_entered(field, value)
    errors += [ParameterError(f"{entry}.{e.field}", e.value, e.problem, e.remedy) for e in own]
    return None if own or names_refused else row
