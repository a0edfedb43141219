"""Verification of rows: whether parameters are what they were when they were entered."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import datajoint as dj

from models.parameters import parameters_of
from tasks_lib.brief import brief
from tasks_lib.errors import ParameterError, text_of

from ..database.schemas import SCHEMAS
from ..sweeps.design import MISSING, axis_named, value_at
from ..tables.comparisons import Comparison, settings_hash
from ..tables.hashing import canonical_json
from ..tables.in_use import class_title
from ..tables.left_out import LEFT_OUT, LeftOut, checked_tables
from ..tables.parameter_sets import PARAMETER_TABLES
from ..tables.parameters import ParameterTable
from ..tables.settings import CheckedSettings
from ..tables.sweeps import LONGEST_VALUE, SweepPoint
from ..tables.task import Task
from ..tables.training import Cohort, Training
from ..tables.training_params import TrainingParams, penalties_of

CHANGED, UNUSABLE, UNKNOWN = "changed", "unusable", "unknown"
_RESTORE = "put the values right, or delete the row with what hangs on it"


@dataclass(frozen=True)
class RowFault:
    """A row whose values are not those with which it was entered, or cannot be used.

    Attributes
    ----------
    kind : str
        "changed", "unusable" where the values are refused, or "unknown" where nothing can be said:
        a later version of this package has added columns.
    table : str
        Name of the table's class, such as "TrainingParams".
    key : dict
        Of the row.
    problem : str
        With the remedy, in one line.
    """

    kind: str
    table: str
    key: dict[str, Any]
    problem: str

    def __str__(self) -> str:
        """Return one line."""
        key = ", ".join(f"{name} {value}" for name, value in self.key.items())
        return f"{self.kind}: {self.table}, {key}: {self.problem}"


@brief
@dataclass(frozen=True)
class RowsVerification:
    """Result of looking at every row of parameters: how many, and which are not as entered.

    Attributes
    ----------
    n_rows : dict
        Name of each table -> its number of rows.
    faults : list of RowFault
    """

    n_rows: dict[str, int]
    faults: list[RowFault]

    @property
    def is_whole(self) -> bool | None:
        """Whether all rows are as they were entered; None where of some nothing can be said."""
        kinds = {fault.kind for fault in self.faults}
        if kinds - {UNKNOWN}:
            return False
        return None if kinds else True


def verify_rows(found: Callable[[RowFault], None] | None = None) -> RowsVerification:
    """Look at every row of tasks, parameters, settings, cohorts, comparisons and sweeps.

    Nothing is written.

    Of a parameter set its hash is to be that of its columns and parts, by the present recipe or an
    earlier one. Settings are to be usable, inputs of tasks finite numbers, one for each channel,
    the stored networks of a cohort those that it names, and the points of a sweep what the
    parameter sets of their cohorts have.

    Parameters
    ----------
    found : callable, optional
        Called with each fault when it is found.
    """
    n_rows: dict[str, int] = {}
    faults: list[RowFault] = []

    def keep(table: dj.Table, rows: list[dict[str, Any]], wrong: Iterator[RowFault]) -> None:
        n_rows[class_title(table)] = len(rows)
        for fault in wrong:
            faults.append(fault)
            if found is not None:
                found(fault)

    for schema in SCHEMAS.values():
        for cls in schema.tables:
            table = cls()
            if isinstance(table, ParameterTable):
                rows = table.to_dicts()
                keep(table, rows, _changed_sets(table, rows))
            elif isinstance(table, CheckedSettings):
                rows = table.to_dicts()
                keep(table, rows, _unusable_settings(table, rows))
    inputs = Task.Input.to_dicts()
    keep(Task.Input(), inputs, _unusable_inputs(inputs))
    cohorts = Cohort.to_dicts()
    keep(Cohort(), cohorts, _changed_cohorts(cohorts))
    left_out = LeftOut.to_dicts()
    keep(LeftOut(), left_out, _unknown_tables(left_out))
    comparisons = Comparison.to_dicts()
    keep(Comparison(), comparisons, _changed_comparisons(comparisons))
    points = SweepPoint.to_dicts()
    keep(SweepPoint(), points, _changed_points(points))
    return RowsVerification(n_rows, faults)


def _fault(kind: str, table: dj.Table, row: dict[str, Any], problem: str) -> RowFault:
    return RowFault(kind, class_title(table), {k: row[k] for k in table.primary_key}, problem)


def _changed_sets(table: ParameterTable, rows: list[dict[str, Any]]) -> Iterator[RowFault]:
    """Yield the sets whose hash is not that of their columns and parts."""
    penalties = defaultdict(list)
    if isinstance(table, TrainingParams):
        for penalty in TrainingParams.Penalty.to_dicts():
            penalties[penalty[table.name_field]].append(penalty)
    known = {table.name_field, table.hash_field}
    if table.config is not None:
        known |= set(parameters_of(table.config))
        later = [name for name in table.heading.names if name not in known]
    else:
        later = []
    for row in rows:
        parameters = table.fields_of_row(row, table.name_field)
        if isinstance(table, TrainingParams):
            parameters["penalties"] = penalties_of(penalties[row[table.name_field]])
        try:
            hashes = table.hashes(parameters)
        except ParameterError as error:  # values that no parameter has
            yield _fault(UNUSABLE, table, row, f"{text_of(error)}; {_RESTORE}")
            continue
        if row[table.hash_field] in hashes:
            continue
        problem = f"{table.hash_field} is not that of its values: it was changed since it came in"
        if later:
            yield _fault(
                UNKNOWN, table, row,
                f"a later version has added {', '.join(later)}; update this package",
            )  # fmt: skip
        else:
            yield _fault(CHANGED, table, row, f"{problem}; {_RESTORE}")


def _unusable_settings(table: CheckedSettings, rows: list[dict[str, Any]]) -> Iterator[RowFault]:
    known = {*table.primary_key, *table.default_columns()}  # others are of a later version
    for row in rows:
        try:
            table.build(table.normal({k: v for k, v in row.items() if k in known}))
        except ParameterError as error:
            yield _fault(UNUSABLE, table, row, text_of(error))


def _changed_comparisons(rows: list[dict[str, Any]]) -> Iterator[RowFault]:
    """Yield the comparisons whose hash is not that of their settings."""
    table = Comparison()
    for row in rows:
        try:
            known = {name: row[name] for name in table.default_columns() if name in row}
            same = settings_hash(table.build(table.normal(known))) == row["comparison_hash"]
        except ParameterError as error:
            yield _fault(UNUSABLE, table, row, f"{text_of(error)}; {_RESTORE}")
            continue
        if not same:
            problem = "comparison_hash is not that of its settings: they were changed since"
            yield _fault(CHANGED, table, row, f"{problem}; {_RESTORE}")


def _unusable_inputs(rows: list[dict[str, Any]]) -> Iterator[RowFault]:
    n_inputs = {row["task_name"]: row["n_inputs"] for row in Task.proj("n_inputs").to_dicts()}
    for row in rows:
        try:
            Task.Input.check(row, n_inputs[row["task_name"]])
        except ParameterError as error:
            yield _fault(UNUSABLE, Task.Input(), row, text_of(error))


def _unknown_tables(rows: list[dict[str, Any]]) -> Iterator[RowFault]:
    """Yield the rows by which cohorts do without tables that there are not here."""
    for row in rows:
        try:
            checked_tables(LEFT_OUT, [row[LEFT_OUT]])
        except ParameterError as error:
            yield _fault(UNKNOWN, LeftOut(), row, f"{text_of(error)}, or update this package")


def _changed_cohorts(rows: list[dict[str, Any]]) -> Iterator[RowFault]:
    """Yield the trained cohorts whose networks are not of the seeds that they name."""
    named = {tuple(row[k] for k in Cohort.primary_key): row for row in rows}
    extremes = {"low": "min(seed)", "high": "max(seed)", "number": "count(*)"}
    seeds = Cohort.aggr(Training.Network, exclude_nonmatching=True, **extremes)
    for trained in seeds.to_dicts():
        row = named.get(tuple(trained[k] for k in Cohort.primary_key))
        if row is None:  # entered since, or deleted
            continue
        first, last = row["first_seed"], row["first_seed"] + row["n_networks"] - 1
        there = (trained["low"], trained["high"], trained["number"])
        if there == (first, last, row["n_networks"]):
            continue
        problem = (
            f"its seeds are {first} to {last}, and it has {there[2]} networks of seeds {there[0]} "
            f"to {there[1]}: n_networks was changed since it was trained; put it right"
        )
        yield _fault(CHANGED, Cohort(), row, problem)


def _changed_points(rows: list[dict[str, Any]]) -> Iterator[RowFault]:
    """Yield the points of sweeps that are not what the parameter sets of their cohorts have."""
    sets: dict[str, dict[str, dict[str, Any]]] = {}
    for which, of_sets in PARAMETER_TABLES.items():
        stored = of_sets.to_dicts()
        names = [row[f"{which}_name"] for row in stored]
        sets[which] = dict(zip(names, of_sets.parameters_of_rows(stored), strict=True))
    table = SweepPoint()
    for row in rows:
        try:
            axis = axis_named(row["axis"])
        except ParameterError as error:
            yield _fault(UNUSABLE, table, row, f"{text_of(error)}; {_RESTORE}")
            continue
        there = value_at(sets[axis.which][row[f"{axis.which}_name"]], axis.path)
        text = "nothing" if there is MISSING else canonical_json(there)[:LONGEST_VALUE]
        number = float(there) if isinstance(there, int | float) else None
        if text != row["value_text"] or number != row["value"]:
            said = f"says {row['axis']} = {row['value_text']} ({row['value']}), and its cohort has"
            yield _fault(CHANGED, table, row, f"{said} {text}; {_RESTORE}")
