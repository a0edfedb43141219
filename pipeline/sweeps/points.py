"""Rows of a sweep: itself, its axes, and the values of these at each of its cohorts."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from tasks_lib.errors import ParameterError

from ..tables.hashing import canonical_json
from ..tables.keys import COHORT
from ..tables.rows import Row, in_chunks
from ..tables.sweeps import LONGEST_VALUE, Sweep, SweepPoint
from .design import Axis, Point
from .table import text_of_point


def enter_points(
    name: str, description: str, axes: Sequence[Axis], points: Sequence[Point], rows: Sequence[Row]
) -> int:
    """Enter the points that are not there; return how many cohorts of the sweep are new."""
    key = {"sweep_name": name}
    if not Sweep & key:
        Sweep.insert1({**key, "sweep_description": description})
        Sweep.Axis.insert(
            {**key, "axis": axis.name, "axis_number": number} for number, axis in enumerate(axes)
        )
    columns = COHORT
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
            "value_text": canonical_json(value)[:LONGEST_VALUE],
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
        text = text_of_point(point)
        sets = tuple(row[c] for c in columns[:-1])
        if known.setdefault(text, sets) != sets:
            raise ParameterError(
                "",
                key["sweep_name"],
                f"has the point {point} with other parameter sets ({', '.join(known[text])})",
                "begin with the same sets, or enter it under another name",
            )


def kept_description(name: Any, fields: Mapping[str, Any]) -> list[str]:
    """Return a line where a sweep that is there keeps another description than the given one."""
    given = fields.get("description")
    if not given:
        return []
    kept = (Sweep & {"sweep_name": name}).to_arrays("sweep_description")
    if not len(kept) or kept[0] == given:  # none: it was refused with a set of the same file
        return []
    there = kept[0]
    remedy = (
        f'to change it: pipeline.Sweep.update1({{"sweep_name": {name!r}, '
        f'"sweep_description": {given!r}}})'
    )
    return [f"{name} is there and keeps {str(there)!r}; {remedy}"]


def _as_number(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float) else None
