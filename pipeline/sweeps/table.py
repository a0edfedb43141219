"""One table of all that a sweep has given: a row a network."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from tasks_lib.errors import ParameterError, use_one_of

from ..database.schemas import parts
from ..tables.computed import COMPUTED
from ..tables.rows import Row, kind_of_column
from ..tables.sweeps import Sweep, SweepPoint
from ..tables.training import Cohort, Training

if TYPE_CHECKING:
    import datajoint as dj
    from pandas import DataFrame  # type: ignore[import-untyped]

COHORT = ("task_name", "network_name", "training_name", "first_seed")
Key = tuple[Any, ...]


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
        there is one for each of several settings or inputs, as in ``accuracy[noisy]``. What is not
        computed yet is missing (NaN, None). ``attrs["axes"]`` are the names of the axes.

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
    axes = [str(each) for each in (Sweep.Axis & key).to_arrays("axis", order_by="axis_number")]
    points: dict[Key, Row] = defaultdict(dict)
    for row in (SweepPoint & key).to_dicts():
        points[_cohort(row)][row["axis"]] = _value(row)
    cohorts = (Cohort & (SweepPoint & key).proj()).to_dicts(order_by=COHORT)
    rows: dict[Key, Row] = {}
    for cohort in cohorts:
        values = points[_cohort(cohort)]
        for seed in range(cohort["first_seed"], cohort["first_seed"] + cohort["n_networks"]):
            network = {**{name: cohort[name] for name in COHORT}, "seed": seed}
            rows[(*_cohort(cohort), seed)] = {
                **{axis: values.get(axis) for axis in axes},
                **network,
            }
    for column, network_key, value in _found(key):
        rows[network_key][column] = value
    table = pd.DataFrame.from_records(list(rows.values()))
    table.attrs["axes"] = axes
    return table


def _cohort(row: Row) -> Key:
    return tuple(row[name] for name in COHORT)


def _value(row: Row) -> Any:
    """Return the value of a point as it was given; of a long one the beginning of its text."""
    try:
        value = json.loads(row["value_text"])
    except ValueError:
        return row["value_text"]
    return value if not isinstance(value, dict | list) else row["value_text"]


def _found(key: Row) -> Iterator[tuple[str, Key, Any]]:
    """Yield name of a column, key of the network and value of all that was computed."""
    network_key = list(Training.Network.primary_key)
    of_sweep = (SweepPoint & key).proj()
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
        for row in (table() & of_sweep).proj(*columns).to_dicts():
            which = f"[{', '.join(str(row[name]) for name in further)}]" if further else ""
            network = tuple(row[name] for name in (*COHORT, "seed"))
            for name in columns:
                yield f"{name}{which}", network, row[name]


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
