"""One table of all that a sweep has given: a row a network."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from tasks_lib.errors import ParameterError, use_one_of

from ..database.schemas import parts
from ..tables.computed import COMPUTED
from ..tables.hashing import canonical_json
from ..tables.keys import COHORT, Key, cohort_key
from ..tables.rows import Row, kind_of_column
from ..tables.sweeps import LONGEST_VALUE, Sweep, SweepPoint
from ..tables.training import Cohort, Training

if TYPE_CHECKING:
    import datajoint as dj
    from pandas import DataFrame  # type: ignore[import-untyped]


def sweep_table(sweep_name: str) -> DataFrame:
    """Return the networks of a sweep as a table: values of its axes, and all numbers found of them.

    Parameters
    ----------
    sweep_name : str

    Returns
    -------
    DataFrame
        A row for each network of each cohort of the sweep, those that are not trained yet too.
        Columns: the axes, by their names; the key of the network; each number, text and truth value
        of every computed table that has one row for a network, by the name of its column, and where
        there is one for each of several settings or inputs, as in ``accuracy[noisy]``, as soon as
        any is computed. What is not computed yet is missing (NaN, None). ``attrs["axes"]`` are the
        names of the axes; ``attrs["columns"]`` those of all columns that analyses fill, and whether
        there is one for each of several settings.

    Raises
    ------
    ParameterError
        Where there is no such sweep.
    """
    import pandas as pd

    key = {"sweep_name": sweep_name}
    if not Sweep & key:
        known = [str(name) for name in Sweep.to_arrays("sweep_name")]
        remedy = use_one_of(sweep_name, known) if known else "enter it with rnn submit"
        raise ParameterError("sweep", sweep_name, "has not been entered", remedy)
    axes = axes_of_sweep(sweep_name)
    points = points_by_cohort(sweep_name)
    cohorts = (Cohort & (SweepPoint & key).proj()).to_dicts(order_by=COHORT)
    rows: dict[Key, Row] = {}
    for cohort in cohorts:
        values = points[cohort_key(cohort)]
        for seed in range(cohort["first_seed"], cohort["first_seed"] + cohort["n_networks"]):
            network = {**{name: cohort[name] for name in COHORT}, "seed": seed}
            rows[(*cohort_key(cohort), seed)] = {
                **{axis: values.get(axis) for axis in axes},
                **network,
            }
    for column, network_key, value in _found(key):
        if network_key in rows:  # else its cohort was entered meanwhile
            rows[network_key][column] = value
    table = pd.DataFrame.from_records(list(rows.values()))
    filled = {
        name: bool(further) for _, columns, further in tables_of_networks() for name in columns
    }
    columns = [
        *axes,
        *COHORT,
        "seed",
        *(name for name, has_several in filled.items() if not has_several),
    ]
    table = table.reindex(columns=[*columns, *(c for c in table.columns if c not in columns)])
    table.attrs |= {"axes": axes, "columns": filled}
    return table


def axes_of_sweep(sweep_name: str) -> list[str]:
    """Return the axes of a sweep, in the order of its submission."""
    key = {"sweep_name": sweep_name}
    return [str(each) for each in (Sweep.Axis & key).to_arrays("axis", order_by="axis_number")]


def points_of_sweep(sweep_name: str) -> list[dict[str, Any]]:
    """Return the points of a sweep, each once, in the order of their values: axis -> value."""
    points = points_by_cohort(sweep_name).values()  # several where one has further networks
    each = {canonical_json(point): point for point in points}
    return sorted(each.values(), key=lambda point: [rank_of(v) for v in point.values()])


def rank_of(value: Any) -> tuple[bool, float, str]:
    """Return what sorts values of an axis: numbers by size, then texts."""
    if isinstance(value, int | float):
        return False, float(value), ""
    return True, 0.0, str(value)


def points_by_cohort(sweep_name: str) -> dict[Key, dict[str, Any]]:
    """Return the point of each cohort of a sweep: axis -> value."""
    points: dict[Key, Row] = defaultdict(dict)
    key = {"sweep_name": sweep_name}
    for row in (SweepPoint * Sweep.Axis & key).to_dicts(order_by=(*COHORT, "axis_number")):
        points[cohort_key(row)][row["axis"]] = _value(row)
    return dict(points)


def text_of_point(point: Mapping[str, Any]) -> str:
    """Return a point as a text that is the same for the same values, as far as rows hold them."""
    return canonical_json({a: canonical_json(v)[:LONGEST_VALUE] for a, v in point.items()})


def cohorts_of_points(sweep_name: str) -> dict[str, list[Key]]:
    """Return the cohorts of each point of a sweep, by its `text_of_point`."""
    texts: dict[Key, dict[str, str]] = defaultdict(dict)
    for row in (SweepPoint & {"sweep_name": sweep_name}).to_dicts(order_by="KEY"):
        texts[cohort_key(row)][str(row["axis"])] = str(row["value_text"])
    found: dict[str, list[Key]] = defaultdict(list)
    for key, values in texts.items():
        found[canonical_json(values)].append(key)
    return dict(found)


def _value(row: Row) -> Any:
    """Return the value of a point as it was given; of a long one the beginning of its text."""
    try:
        value = json.loads(row["value_text"])
    except ValueError:
        return row["value_text"]
    return value if not isinstance(value, dict | list) else row["value_text"]


def _found(key: Row) -> Iterator[tuple[str, Key, Any]]:
    """Yield name of a column, key of the network and value of all that was computed."""
    of_sweep = (SweepPoint & key).proj()
    for table, columns, further in tables_of_networks():
        for row in (table() & of_sweep).proj(*columns).to_dicts():
            which = f"[{', '.join(str(row[name]) for name in further)}]" if further else ""
            network = tuple(row[name] for name in (*COHORT, "seed"))
            for name in columns:
                yield f"{name}{which}", network, row[name]


def tables_of_networks() -> Iterator[tuple[type[dj.Table], list[str], list[str]]]:
    """Yield tables with rows of networks, their plain columns, and what names several of one."""
    network_key = list(Training.Network.primary_key)
    for table in _tables():
        names = table().primary_key
        columns = [name for name in _plain_columns(table) if name not in names]
        if not columns or not set(COHORT) <= set(names):
            continue
        further = [name for name in names if name not in network_key]
        if "seed" not in names or any(
            kind_of_column(table().heading[name]) != "text" for name in further
        ):
            continue  # of a cohort as a whole, or several of a network, with numbers of their own
        yield table, columns, further


def _tables() -> Iterator[type[dj.Table]]:
    for table in COMPUTED:
        yield table
        yield from parts(table)


def _plain_columns(table: type[dj.Table]) -> list[str]:
    """Return the columns that hold a number, a text or a truth value each."""
    attributes = table().heading.attributes
    return [
        name
        for name, attribute in attributes.items()
        if kind_of_column(attribute) not in ("array", "mapping")
    ]
