"""What a sweep begins with: the same parameters for all of its points, those of later ones too."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

from tasks_lib.errors import ParameterError, first_name, shown

from ..tables.hashing import canonical_json
from ..tables.keys import SETS
from ..tables.parameter_sets import PARAMETER_TABLES
from ..tables.parameters import ParameterTable
from ..tables.rows import Row
from ..tables.sweeps import SweepPoint
from .design import MISSING, Axis, value_at

MOST_SAID = 3  # fields in a message
CHANNELS = frozenset({"n_inputs", "n_outputs"})  # of a task: they may follow from what varies
Values = Mapping[tuple[str, ...], Any]  # path of a field -> its value


def with_values(table: type[ParameterTable], base: Row, values: Values) -> Row:
    """Return complete parameters in which fields have other values.

    Raises
    ------
    ParameterError
        Where a value is wrong, or does not fit the others.
    """
    if not values:
        return base
    row = copy.deepcopy(base)
    for path, value in values.items():
        inner = row
        for step in path[:-1]:
            inner = inner.setdefault(step, {})
        inner[path[-1]] = value
    try:
        return table.canonical(row)
    except ParameterError as error:
        # How many channels a task has may follow from what varies.
        sizes = CHANNELS - {path[0] for path in values}
        if not sizes & set(row) or first_name(error.field) not in CHANNELS:
            raise
    return table.canonical({k: v for k, v in row.items() if k not in sizes})


def refuse_other_bases(
    sweep_name: str,
    bases: Mapping[str, Row],
    axes: Sequence[Axis],
    errors: list[ParameterError],
) -> None:
    """Refuse parameter sets that are others than those with which a sweep's points begin.

    With the values of a point that is there, a base is to become the set of that point.

    Parameters
    ----------
    sweep_name : str
    bases : mapping
        "task", "network" or "training" -> a set's row, its name included.
    axes : sequence of Axis
    errors : list of ParameterError
        What is wrong is appended.
    """
    point = (SweepPoint & {"sweep_name": sweep_name}).to_dicts(order_by="KEY", limit=1)
    if not point:
        return  # a new one, or one of which no point is left
    for which in SETS:
        table, base = PARAMETER_TABLES[which], bases[which]
        column = table.primary_key[0]
        if point[0][column] == base[column]:
            continue
        there = table.parameters_of_row((table & {column: point[0][column]}).fetch1())
        own = [axis for axis in axes if axis.which == which]
        given = {k: v for k, v in base.items() if k != column}
        different = list(_differences(table, given, there, own))
        if different:
            said = ", ".join(islice(different, MOST_SAID))
            more = f", and {len(different) - MOST_SAID} more" * (len(different) > MOST_SAID)
            problem = f"begins otherwise than the sweep {sweep_name!r} that is there ({said}{more})"
            same = f"begin with {point[0][column]}" if not own else f"begin with the same {which}"
            remedy = f"{same}, or enter it under another name"
            errors.append(ParameterError(which, base[column], problem, remedy))


def _differences(
    table: type[ParameterTable], base: Row, there: Row, axes: Sequence[Axis]
) -> Iterator[str]:
    """Yield in which fields the set of a point is not what a base becomes with its values."""
    values = {axis.path: value_at(there, axis.path) for axis in axes}
    base = copy.deepcopy(base)
    for path in [path for path, value in values.items() if value is MISSING]:
        inner = value_at(base, path[:-1])  # the point has the default, which is not written
        if isinstance(inner, dict):
            inner.pop(path[-1], None)
    values = {path: value for path, value in values.items() if value is not MISSING}
    try:
        made = table.canonical(with_values(table, base, values))
        wanted = table.canonical(there)
    except ParameterError as error:
        yield str(error)
        return
    passed = CHANNELS if axes and axes[0].which == "task" else frozenset()
    for field in sorted((made.keys() | wanted.keys()) - passed):
        here, known = made.get(field), wanted.get(field)
        if canonical_json(here) != canonical_json(known):
            name = "class" if field == "task_class" else field
            yield f"{name} is {shown(here)} here and {shown(known)} there"
