"""Entering a sweep: its parameter sets, its cohorts and its points, many rows at a time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tasks_lib.errors import (
    MAX_COUNT,
    ParameterError,
    ParameterErrors,
    check_int,
    collecting,
    use_one_of,
)

from ..tables.hashing import canonical_json
from ..tables.keys import SETS
from ..tables.left_out import checked_tables, enter_left_out
from ..tables.many_cohorts import Refused, enter_cohorts, is_refused, not_entered
from ..tables.parameter_sets import PARAMETER_TABLES
from ..tables.parameters import ParameterTable, check_name
from ..tables.rows import Row, in_chunks
from ..tables.sweeps import Sweep
from ..tables.training import MOST_NETWORKS
from .bases import Values, refuse_other_bases, with_values
from .design import MISSING, Axis, Point, axis_named, points_of, value_at
from .effects import refuse_without_effect
from .naming import set_name, with_digest
from .points import enter_points, kept_description

FIELDS = (*SETS, "vary", "points", "design", "n_points", "seed", "max_points", "first_seed",
          "n_networks", "description", "without")  # fmt: skip


def enter_sweep(
    entry: str,
    name: Any,
    fields: Mapping[str, Any],
    errors: list[ParameterError],
    notes: list[str],
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
    notes : list of str
        What is not done as asked for is appended, a line each.
    """
    own: list[ParameterError] = []
    new = 0
    with collecting(own):
        new = _enter(name, fields, own, errors)
    if not own:
        notes += [f"{entry}.description: {note}" for note in kept_description(name, fields)]
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
    bases = {
        which: _base(which, table, fields, errors, before)
        for which, table in PARAMETER_TABLES.items()
    }
    points = points_of(fields, errors)
    without: list[str] = []
    with collecting(errors):
        without = checked_tables("without", fields.get("without", []))
    description = fields.get("description", "")
    if not isinstance(description, str) or len(description) > 255:
        errors.append(
            ParameterError("description", description, "is no short text", "write 255 characters")
        )
    own = {which: base for which, base in bases.items() if base is not None}
    if not points or len(own) < len(bases):
        return 0
    axes = [axis_named(each) for each in points[0]]
    if not errors:
        _refuse_other_axes(name, axes)
        refuse_other_bases(name, own, axes, errors)
    sets = {
        which: _enter_sets(table, own[which], axes, which, points, errors)
        for which, table in PARAMETER_TABLES.items()
    }
    if errors:
        return 0
    _refuse_equal_points(points, sets, "points" in fields)
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
    enter_left_out([(row, without) for row in rows])
    return enter_points(name, description, axes, points, rows)


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


def _refuse_equal_points(
    points: Sequence[Point], sets: Mapping[str, Sequence[str]], are_listed: bool
) -> None:
    """Refuse points whose values are written otherwise, and whose networks are the same."""
    seen: dict[tuple[str, ...], Point] = {}
    for number, (point, key) in enumerate(
        zip(points, zip(*(sets[which] for which in SETS), strict=True), strict=True)
    ):
        other = seen.setdefault(key, point)
        if other is not point:
            raise ParameterError(
                f"points[{number}]" if are_listed else "vary",
                point,
                f"gives the same task, network and training as {other}",
                "drop one of the values",
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
    texts, wrong = [], list[ParameterError]()
    for point in points:
        values = {axis.path: point[axis.name] for axis in own}
        text = canonical_json([values[axis.path] for axis in own])
        texts.append(text)
        if text not in sets:
            with collecting(wrong):
                changed = _changed(table, parameters, own, values)
                sets[text] = _Set(_that_differ(values, parameters), changed)
    if wrong:
        first: dict[tuple[str, str], ParameterError] = {}
        for error in wrong:
            first.setdefault((error.field, error.problem), error)
        errors += first.values()
        return []
    by_parameters: dict[str, _Set] = {}
    for text, each in sets.items():  # values may be written otherwise, and mean the same
        sets[text] = by_parameters.setdefault(canonical_json(each.parameters), each)
    different = list(by_parameters.values())
    with collecting(errors):
        refuse_without_effect(own, [each.parameters for each in different])
    _name_sets(table, base[column], different)
    return [sets[text].name for text in texts]


def _changed(table: type[ParameterTable], base: Row, axes: Sequence[Axis], values: Values) -> Row:
    """Return complete parameters in which fields have other values."""
    try:
        return with_values(table, base, values)
    except ParameterError as error:
        raise _of_axis(error, axes, values) from error


def _that_differ(values: Values, base: Row) -> Values:
    """Return the values that are others than those of a set."""
    different = {}
    for path, value in values.items():
        there = value_at(base, path)
        if there is MISSING or canonical_json(there) != canonical_json(value):
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
