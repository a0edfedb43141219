"""Groups of networks that a figure tells apart, by a column of their parameters."""

from __future__ import annotations

from typing import Any

from tasks_lib.errors import ParameterError

from ..database.types import Query
from .keys import SETS
from .parameter_sets import PARAMETER_TABLES


def grouped(
    networks: Query, by: str | None = None
) -> tuple[list[dict[str, Any]], list[str], list[float | None]]:
    """Return the rows of `Training.Network` that a query selects, and the group of each.

    The third list has what a group is where that is a number, and else None.

    Parameters
    ----------
    networks : query of `Training.Network`
    by : str, optional
        A column of the query, or of `NetworkParams`, `TrainingParams` or `Task`, also as an axis
        of a sweep names it, "training.lr". By default the
        names of task, network and training, those of them that differ.

    Raises
    ------
    ParameterError
        For a column that does not exist.
    """
    rows = networks.to_dicts(order_by="KEY")
    if by is None:
        differ = [f"{n}_name" for n in SETS if len({row[f"{n}_name"] for row in rows}) > 1]
        names = [", ".join(str(row[name]) for name in differ) for row in rows]
        return rows, names, [None] * len(rows)
    values = _values(networks, rows, by)
    numbers = [
        float(v) if isinstance(v, (int, float)) and not isinstance(v, bool) else None
        for v in values
    ]
    return rows, [f"{by} = {_short(value)}" for value in values], numbers


def _values(networks: Query, rows: list[dict[str, Any]], by: str) -> list[Any]:
    if by in networks.heading.names:
        return [row[by] for row in rows]
    for name, table in PARAMETER_TABLES.items():
        if by in table().heading.names:
            key = f"{name}_name"
            chosen = (table & [{key: row[key]} for row in rows]).proj(by).to_dicts()
            values = {row[key]: row[by] for row in chosen}
            return [values[row[key]] for row in rows]
    table_name, _, column = by.partition(".")  # an axis of a sweep, as "training.lr"
    of_axis = PARAMETER_TABLES.get(table_name)
    if of_axis is not None and column in of_axis().heading.names:
        return _values(networks, rows, column)
    known = [
        c for t in PARAMETER_TABLES.values() for c in t().heading.names if not c.endswith("_hash")
    ]
    raise ParameterError(
        "by", by, "is no column of these networks or their parameters", f"use {', '.join(known)}"
    )


def _short(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)
