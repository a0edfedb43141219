"""The submission that enters the parameters of an export, and trains its networks again."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from ..sweeps.design import axis_named, value_at
from ..tables.keys import SETS, cohort_key
from ..tables.parameter_sets import PARAMETER_TABLES
from ..tables.rows import Row
from ..tables.sweeps import LONGEST_VALUE
from ..tables.training_params import IMPORTED
from .selection import TableRows

Sets = dict[str, dict[str, Any]]  # name of a set -> its parameters


def submission_of(tables: Sequence[TableRows]) -> dict[str, Any]:
    """Return the submission that enters the parameters of a selection and trains it again.

    What was imported is trained nowhere, and is left out but for its task and its parameters.
    """
    rows = {table.title: table.rows for table in tables}
    sets = {which: _sets(which, rows) for which in SETS}
    cohorts = [row for row in rows["Cohort"] if row["origin"] == "trained"]
    without: dict[tuple[Any, ...], list[str]] = defaultdict(list)
    for row in rows["LeftOut"]:
        without[cohort_key(row)].append(row["left_out"])
    sections: dict[str, Any] = {
        "tasks": {
            name: {"class": fields["task_class"], **{k: v for k, v in fields.items()
                   if k != "task_class"}}
            for name, fields in sets["task"].items()
        },
        "networks": sets["network"],
        "trainings": sets["training"],
        "cohorts": [
            {
                **{which: row[f"{which}_name"] for which in SETS},
                "first_seed": row["first_seed"],
                "n_networks": row["n_networks"],
                **({"without": without[key]} if (key := cohort_key(row)) in without else {}),
            }
            for row in cohorts
        ],
        "sweeps": _sweeps(rows, cohorts, sets),
    }  # fmt: skip
    # In one order, whatever the server's of the fields of JSON.
    return {
        name: json.loads(json.dumps(section, sort_keys=True))
        for name, section in sections.items()
        if section
    }


def _sets(which: str, rows: Mapping[str, list[Row]]) -> Sets:
    """Return the parameter sets of one of the three tables, as they are submitted."""
    table, column = PARAMETER_TABLES[which], f"{which}_name"
    own = [row for row in rows[table.__name__] if row[column] != IMPORTED]
    names = [str(row[column]) for row in own]
    return dict(zip(names, table.parameters_of_rows(own), strict=True))


def _sweeps(
    rows: Mapping[str, list[Row]], cohorts: Sequence[Row], sets: Mapping[str, Sets]
) -> dict[str, list[dict[str, Any]]]:
    """Return the sweeps to which cohorts belong, each with the points of these.

    A point has a value of every axis: with any of the sets of its sweep to begin with it is the
    same. Cohorts with other seeds are further entries of the same sweep.
    """
    there = {cohort_key(row): row for row in cohorts}
    points: dict[str, dict[tuple[Any, ...], Row]] = defaultdict(lambda: defaultdict(dict))
    for row in rows["SweepPoint"]:
        if (key := cohort_key(row)) in there:
            points[row["sweep_name"]][key][row["axis"]] = _value(row, sets)
    described = {row["sweep_name"]: row["sweep_description"] for row in rows["Sweep"]}
    found: dict[str, list[dict[str, Any]]] = {}
    for name, of_sweep in sorted(points.items()):
        entries: dict[tuple[int, int], dict[str, Any]] = {}
        for key, point in sorted(of_sweep.items()):
            cohort = there[key]
            numbers = (cohort["first_seed"], cohort["n_networks"])
            entry = entries.setdefault(
                numbers,
                {
                    **{which: cohort[f"{which}_name"] for which in SETS},
                    "first_seed": numbers[0],
                    "n_networks": numbers[1],
                    "description": described.get(name, ""),
                    "points": [],
                },
            )
            entry["points"].append(dict(point))
        found[name] = list(entries.values())
    return found


def _value(row: Row, sets: Mapping[str, Sets]) -> Any:
    """Return the value of an axis at a point; a long one from the set that has it."""
    text = row["value_text"]
    if len(text) < LONGEST_VALUE:
        return json.loads(text)
    axis = axis_named(row["axis"])
    return value_at(sets[axis.which][row[f"{axis.which}_name"]], axis.path)
