"""Entering a sweep: its parameter sets, its cohorts and its points, many rows at a time."""

from __future__ import annotations

import copy
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tasks_lib.errors import (
    MAX_COUNT,
    ParameterError,
    ParameterErrors,
    check_int,
    collecting,
    first_name,
    use_one_of,
)

from ..tables.hashing import canonical_json
from ..tables.many_cohorts import Refused, enter_cohorts, is_refused, not_entered
from ..tables.parameters import ParameterTable, check_name
from ..tables.rows import Row, in_chunks
from ..tables.sweeps import Sweep, SweepPoint
from ..tables.training import MOST_NETWORKS
from .design import SETS, Axis, Point, axis_named, points_of
from .naming import set_name, with_digest

FIELDS = (*SETS, "vary", "points", "design", "n_points", "seed", "max_points", "first_seed",
          "n_networks", "description")  # fmt: skip
_MISSING = object()
Values = dict[tuple[str, ...], Any]  # path of a field -> its value


def enter_sweep(
    entry: str, name: Any, fields: Mapping[str, Any], errors: list[ParameterError]
) -> int:
    """Enter a sweep, or what it lacks of what is asked for; return the number of new points.

    Parameters
    ----------
    entry : str
        Its place in the submission, by which errors are named.
    name : str
    fields : mapping
    errors : list of ParameterError
        What is wrong is appended; nothing is entered then.
    """
    own: list[ParameterError] = []
    new = 0
    with collecting(own):
        new = _enter(name, fields, own, errors)
    errors += [
        ParameterError(f"{entry}.{e.field}" if e.field else entry, e.value, e.problem, e.remedy)
        for e in own
    ]
    return new


def _enter(
    name: Any, fields: Mapping[str, Any], errors: list[ParameterError], before: list[ParameterError]
) -> int:
    with collecting(errors):
        check_name("", name)
    for field, value in fields.items():
        if field not in FIELDS:
            remedy = use_one_of(field, FIELDS)
            errors.append(ParameterError(str(field), value, "is not a field of a sweep", remedy))
    numbers = _numbers(fields, errors)
    bases = {which: _base(which, table, fields, errors, before) for which, table in SETS.items()}
    points = points_of(fields, errors)
    description = fields.get("description", "")
    if not isinstance(description, str) or len(description) > 255:
        errors.append(
            ParameterError("description", description, "is no short text", "write 255 characters")
        )
    if errors or any(base is None for base in bases.values()):
        return 0
    axes = [axis_named(each) for each in points[0]]
    _refuse_other_axes(name, axes)
    sets = {
        which: _enter_sets(table, bases[which] or {}, axes, which, points, errors)
        for which, table in SETS.items()
    }
    if errors:
        return 0
    rows = [
        {**{f"{which}_name": sets[which][number] for which in SETS}, **numbers}
        for number in range(len(points))
    ]
    refused: Refused = []
    enter_cohorts(rows, refused)
    for number, error in refused[:1]:  # the others are likely to be the same
        where = ", ".join(f"{axis} = {value}" for axis, value in points[number].items())
        problem = f"{error.problem}, at {where}"
        errors.append(ParameterError(error.field, error.value, problem, error.remedy))
    if errors:
        return 0
    return _enter_points(name, description, axes, points, rows)


def _numbers(fields: Mapping[str, Any], errors: list[ParameterError]) -> Row:
    numbers: Row = {"first_seed": 0, "n_networks": 1}
    with collecting(errors):
        numbers["first_seed"] = check_int("first_seed", fields.get("first_seed", 0), 0, MAX_COUNT)
    with collecting(errors):
        given = fields.get("n_networks", 1)
        numbers["n_networks"] = check_int("n_networks", given, 1, MOST_NETWORKS)
    return numbers


def _base(
    which: str,
    table: type[ParameterTable],
    fields: Mapping[str, Any],
    errors: list[ParameterError],
    before: list[ParameterError],
) -> Row | None:
    """Return the row of the set that a sweep begins with; None where there is none."""
    column = table.primary_key[0]
    with collecting(errors):
        if which not in fields:
            raise ParameterError(which, None, "is missing", f"name a {which} to begin with")
        name = check_name(which, fields[which])
        if is_refused(which, name, before):
            return None
        found = (table & {column: name}).to_dicts()
        if not found:
            raise not_entered(which, name)
        return {column: name, **table.parameters_of_row(found[0])}
    return None


def _refuse_other_axes(name: str, axes: Sequence[Axis]) -> None:
    there = {str(each) for each in (Sweep.Axis & {"sweep_name": name}).to_arrays("axis")}
    if there and there != {axis.name for axis in axes}:
        raise ParameterError(
            "vary",
            sorted(axis.name for axis in axes),
            f"are other axes than those of the sweep that is there: {', '.join(sorted(there))}",
            "enter it under another name",
        )


# Parameter sets ----------------------------------------------------------------------------------


@dataclass
class _Set:
    """A parameter set of a sweep, and in what it differs from the one that it begins with."""

    values: Values
    parameters: Row
    name: str = ""


def _enter_sets(
    table: type[ParameterTable], base: Row, axes: Sequence[Axis], which: str,
    points: Sequence[Point], errors: list[ParameterError],
) -> list[str]:  # fmt: skip
    """Enter the sets of one table; return the name of that of each point."""
    own = [axis for axis in axes if axis.which == which]
    column = table.primary_key[0]
    parameters = {k: v for k, v in base.items() if k != column}
    sets: dict[str, _Set] = {}
    texts = []
    for point in points:
        values = {axis.path: point[axis.name] for axis in own}
        text = canonical_json([values[axis.path] for axis in own])
        texts.append(text)
        if text not in sets:
            with collecting(errors):
                changed = _changed(table, parameters, own, values)
                sets[text] = _Set(_that_differ(values, parameters), changed)
    if errors:
        first: dict[tuple[str, str], ParameterError] = {}
        for error in errors:
            first.setdefault((error.field, error.problem), error)
        errors[:] = first.values()
        return []
    different = list(sets.values())
    _name_sets(table, base[column], different)
    return [sets[text].name for text in texts]


def _changed(table: type[ParameterTable], base: Row, axes: Sequence[Axis], values: Values) -> Row:
    """Return complete parameters in which fields have other values."""
    if not values:
        return base
    row = copy.deepcopy(base)
    for path, value in values.items():
        inner = row
        for step in path[:-1]:
            inner = inner.setdefault(step, {})
        inner[path[-1]] = value
    given = {path[0] for path in values}
    try:
        return table.canonical(row)
    except ParameterError as error:
        # How many channels a task has may follow from what varies.
        sizes = {"n_inputs", "n_outputs"} - given
        if not sizes & set(row) or first_name(error.field) not in {"n_inputs", "n_outputs"}:
            raise _of_axis(error, axes, values) from error
    try:
        return table.canonical({k: v for k, v in row.items() if k not in sizes})
    except ParameterError as error:
        raise _of_axis(error, axes, values) from error


def _that_differ(values: Values, base: Row) -> Values:
    """Return the values that are others than those of a set."""
    different = {}
    for path, value in values.items():
        there: Any = base
        for step in path:
            there = there.get(step, _MISSING) if isinstance(there, Mapping) else _MISSING
        if there is _MISSING or canonical_json(there) != canonical_json(value):
            different[path] = value
    return different


def _of_axis(error: ParameterError, axes: Sequence[Axis], values: Values) -> ParameterError:
    """Return an error, or several, under the names of the axes that they are about."""
    each = error.errors if isinstance(error, ParameterErrors) else (error,)
    named = [_named_by_axis(one, axes, values) for one in each]
    return named[0] if len(named) == 1 else ParameterErrors(named)


def _named_by_axis(error: ParameterError, axes: Sequence[Axis], values: Values) -> ParameterError:
    for axis in axes:
        whole = ".".join(axis.path)
        inner = f"{error.field}.".startswith(f"{whole}.")
        if inner or whole.startswith(f"{error.field}.") or error.field == axis.path[-1]:
            field, value = f"vary.{axis.name}", values[axis.path]
            return ParameterError(field, value, error.problem, error.remedy)
    varied = ", ".join(f"{axis.name} = {values[axis.path]}" for axis in axes)
    field = f"vary.{axes[0].which}.{error.field}"
    return ParameterError(field, error.value, f"{error.problem}, with {varied}", error.remedy)


def _name_sets(table: type[ParameterTable], base: str, sets: Sequence[_Set]) -> None:
    """Give each set the name of the equal one that is there; enter those that are not."""
    missing = []
    equal = table().equal_sets_of([each.parameters for each in sets])
    for each, names in zip(sets, equal, strict=True):
        each.name = base if base in names else names[0] if names else ""
        if not each.name:
            missing.append(each)
    names = [set_name(base, each.values) for each in missing]
    taken = _existing(table, names)
    for each, name in zip(missing, names, strict=True):
        each.name = name if name not in taken else with_digest(name, each.values)
        taken.add(each.name)
    table().store_sets({each.name: each.parameters for each in missing})


def _existing(table: type[ParameterTable], names: Sequence[str]) -> set[str]:
    """Return those of some names that sets have."""
    column = table.primary_key[0]
    found: set[str] = set()
    for some in in_chunks(sorted(set(names))):
        found |= {str(name) for name in (table & [{column: n} for n in some]).to_arrays(column)}
    return found


# Points ----------------------------------------------------------------------------------------


def _enter_points(
    name: str, description: str, axes: Sequence[Axis], points: Sequence[Point], rows: Sequence[Row]
) -> int:
    """Enter the points that are not there; return how many cohorts of the sweep are new."""
    key = {"sweep_name": name}
    if not Sweep & key:
        Sweep.insert1({**key, "sweep_description": description})
        Sweep.Axis.insert(
            {**key, "axis": axis.name, "axis_number": number} for number, axis in enumerate(axes)
        )
    columns = [*(f"{which}_name" for which in SETS), "first_seed"]
    stored = (SweepPoint & key & {"axis": axes[0].name}).to_dicts() if axes else []
    there = {tuple(row[column] for column in columns) for row in stored}
    new = [
        (point, row)
        for point, row in zip(points, rows, strict=True)
        if tuple(row[column] for column in columns) not in there
    ]
    _refuse_ambiguous(key, columns, new)
    written = [
        {
            **key,
            "axis": axis,
            **{column: row[column] for column in columns},
            "value": _as_number(value),
            "value_text": canonical_json(value)[:255],
        }
        for point, row in new
        for axis, value in point.items()
    ]
    for some in in_chunks(written):
        SweepPoint.insert(some)
    return len(new)


def _refuse_ambiguous(key: Row, columns: Sequence[str], new: Sequence[tuple[Point, Row]]) -> None:
    """Refuse points whose values stand for other parameter sets in the same sweep."""
    if not new:
        return
    stored: dict[tuple[Any, ...], dict[str, str]] = defaultdict(dict)
    for row in (SweepPoint & key).to_dicts():
        stored[tuple(row[c] for c in columns)][str(row["axis"])] = str(row["value_text"])
    known = {canonical_json(values): cohort[:-1] for cohort, values in stored.items()}
    for point, row in new:
        text = canonical_json({a: canonical_json(v)[:255] for a, v in point.items()})
        sets = tuple(row[c] for c in columns[:-1])
        if known.setdefault(text, sets) != sets:
            raise ParameterError(
                "",
                key["sweep_name"],
                f"has the point {point} with other parameter sets ({', '.join(known[text])})",
                "begin with the same sets, or enter it under another name",
            )


def _as_number(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float) else None
