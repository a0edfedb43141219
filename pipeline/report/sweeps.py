"""Pages of sweeps: their axes, their points, and scores against what was varied."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import compress
from typing import TYPE_CHECKING, Any

import models

from ..store.file_names import file_name
from ..store.stored_figures import to_png
from ..tables.keys import Key, cohort_key
from ..tables.selections import Selection
from ..tables.sweeps import Sweep, SweepPoint
from .drawings import strip
from .names import page_of
from .rows import CohortRows, Row
from .summaries import METRICS, NUMBERS
from .values import median_and_lowest, text_of_value

if TYPE_CHECKING:
    from pandas import DataFrame  # type: ignore[import-untyped]

SHOWN = ("r2", "accuracy", "loss", "n_points")  # of METRICS, a figure each where it is known
# Numbers of the table of points besides R², where they are known of any.
MEDIANS = {"accuracy": "accuracy", "iterations": "iterations", "n_points": "fixed points"} | {
    number.name: number.heading for number in NUMBERS if number.heading
}
MOST_COLOURS, MOST_PANELS, MOST_LISTED = 12, 5, 12
DPI = 150


@dataclass
class SweepRows:
    """What the tables hold of a sweep, of the cohorts of a selection.

    Attributes
    ----------
    name, description : str
    axes : list of str
        In their order.
    values : dict of tuple to dict
        Key of a cohort -> its values, by axis.
    """

    name: str
    description: str
    axes: list[str] = field(default_factory=list)
    values: dict[Key, Row] = field(default_factory=dict)

    @property
    def page(self) -> str:
        """The path of its page."""
        return f"sweeps/{file_name(self.name, ending='.html')}"

    @property
    def points(self) -> dict[str, list[Key]]:
        """The cohorts of each point: there are several where it has further networks."""
        points: dict[str, list[Key]] = {}
        for key, values in self.values.items():
            points.setdefault(json.dumps([values.get(axis) for axis in self.axes]), []).append(key)
        return points

    def figure(self, metric: str, kind: str) -> str:
        """Return the path of the figure of a number."""
        return f"sweeps/{file_name(self.name, metric, kind, ending='.png')}"


def fetch_sweeps(selection: Selection) -> list[SweepRows]:
    """Return the sweeps that have a cohort in a selection, in three queries."""
    points = selection.of_table(SweepPoint).to_dicts(order_by="KEY")
    axes = Sweep.Axis.to_dicts(order_by=("sweep_name", "axis_number"))
    sweeps = {
        row["sweep_name"]: SweepRows(row["sweep_name"], row["sweep_description"])
        for row in Sweep.to_dicts(order_by="KEY")
    }
    for row in axes:
        if row["sweep_name"] in sweeps:
            sweeps[row["sweep_name"]].axes.append(row["axis"])
    for row in points:
        if row["sweep_name"] in sweeps:
            of_cohort = sweeps[row["sweep_name"]].values.setdefault(cohort_key(row), {})
            of_cohort[row["axis"]] = _value(row["value_text"])
    return [sweep for sweep in sweeps.values() if sweep.values]


def _value(text: str) -> Any:
    """Return the value of a point; lists and mappings stay texts, and what was cut does."""
    try:
        value = json.loads(text)
    except ValueError:
        return text
    return text if isinstance(value, dict | list) else value


class SweepPages:
    """The sweeps that have pages, and the links to them.

    Parameters
    ----------
    sweeps : sequence of SweepRows
    cohorts : mapping
        By their keys; points of others are left out.
    """

    def __init__(self, sweeps: Sequence[SweepRows], cohorts: Mapping[Key, CohortRows]) -> None:
        self._sweeps = []
        for sweep in sweeps:
            there = {key: values for key, values in sweep.values.items() if key in cohorts}
            if there:
                self._sweeps.append(replace(sweep, values=there))

    def __iter__(self) -> Iterator[SweepRows]:
        """Yield the sweeps."""
        return iter(self._sweeps)

    def of(self, cohort: CohortRows) -> list[Row]:
        """Return the sweeps that a cohort is a point of: name, page and values."""
        key = cohort_key(cohort.row)
        return [
            {"name": sweep.name, "page": sweep.page, "values": _said(sweep, sweep.values[key])}
            for sweep in self
            if key in sweep.values
        ]

    def listed(self, summaries: Mapping[Key, Sequence[Row]]) -> list[Row]:
        """Return the lines of the index."""
        return [
            {
                "name": sweep.name,
                "page": sweep.page,
                "axes": ", ".join(sweep.axes),
                "n_points": len(sweep.points),
                "n_networks": sum(len(summaries[key]) for key in sweep.values),
                "description": sweep.description,
            }
            for sweep in self
        ]


def _said(sweep: SweepRows, values: Row) -> str:
    return ", ".join(f"{axis} = {text_of_value(values.get(axis))}" for axis in sweep.axes)


def sweep_context(
    sweep: SweepRows,
    cohorts: Mapping[Key, CohortRows],
    summaries: Mapping[Key, Sequence[Row]],
    figures: Sequence[Row],
    drawn: bool,
) -> dict[str, Any]:
    """Return what the page of a sweep shows.

    Parameters
    ----------
    sweep : SweepRows
    cohorts, summaries : mapping
        Rows of the cohorts, and the numbers of their networks, by the cohort's key.
    figures : sequence of dict
        ``path`` and ``caption`` of each that was drawn.
    drawn : bool
        Whether the scores of each point are drawn beside their numbers.
    """
    every = [n["r2"] for key in sweep.values for n in summaries[key]]
    known = [r2 for r2 in every if r2 is not None]
    low, high = (min(known), max(known)) if known else (0.0, 1.0)
    lines = []
    points = sorted(sweep.points.values(), key=lambda keys: _place(sweep, sweep.values[keys[0]]))
    for keys in points:
        networks = [n for key in keys for n in summaries[key]]
        r2 = [n["r2"] for n in networks if n["r2"] is not None]
        middle, lowest = median_and_lowest(r2)
        values = sweep.values[keys[0]]
        lines.append(
            {
                "values": [values.get(axis) for axis in sweep.axes],
                "links": [
                    {"page": page_of(cohorts[k].row), "first": cohorts[k].row["first_seed"]}
                    for k in keys
                ],
                "n_networks": sum(cohorts[k].row["n_networks"] for k in keys),
                "n_trained": len(networks),
                "r2": middle,
                "lowest_r2": lowest,
                "medians": [_median(networks, name) for name in MEDIANS],
                "strip": strip(r2, low, high, "noise-free R²") if drawn else "",
            }
        )
    of_points = [line["medians"] for line in lines]
    known_of_some = [any(v is not None for v in each) for each in zip(*of_points, strict=True)]
    for line in lines:
        line["medians"] = [*compress(line["medians"], known_of_some)]
    return {
        "medians": [*compress(MEDIANS.values(), known_of_some)],
        "root": "../",
        "title": f"Sweep {sweep.name}",
        "description": sweep.description,
        "axes": [{"name": axis, "values": _listed(sweep, axis)} for axis in sweep.axes],
        "points": lines,
        "n_networks": len(every),
        "ends": [text_of_value(low, 3), text_of_value(high, 3)] if known and drawn else [],
        "figures": list(figures),
    }


def _place(sweep: SweepRows, values: Row) -> list[Any]:
    """Return what points are sorted by: their values on the axes, numbers before texts."""
    found = [values.get(axis) for axis in sweep.axes]
    return [(0, v, "") if _is_number(v) else (1, 0, text_of_value(v)) for v in found]


def _median(networks: Iterable[Row], name: str) -> float | None:
    return median_and_lowest([n[name] for n in networks if n[name] is not None])[0]


def _different(sweep: SweepRows, axis: str) -> list[Any]:
    """Return the different values of an axis: numbers in their order, then texts."""
    found = {json.dumps(v.get(axis)): v.get(axis) for v in sweep.values.values()}
    return sorted(found.values(), key=lambda v: (not _is_number(v), v if _is_number(v) else str(v)))


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _listed(sweep: SweepRows, axis: str) -> str:
    values = _different(sweep, axis)
    if len(values) > MOST_LISTED:
        ends = f"{text_of_value(values[0])} to {text_of_value(values[-1])}"
        return f"{len(values)} values, {ends}" if _is_number(values[0]) else f"{len(values)} values"
    return ", ".join(map(text_of_value, values))


# Figures -----------------------------------------------------------------------------------------


def figures_of(sweep: SweepRows, summaries: Mapping[Key, Sequence[Row]]) -> list[Row]:
    """Return which figures a sweep has: path, caption and options of `models.plot_sweep`.

    The axis with most numbers lies across, the others have colours and panels where they have few
    values; of two axes of numbers there is a map of R² too.
    """
    networks = [n for key in sweep.values for n in summaries[key]]
    n_values = {axis: len(_different(sweep, axis)) for axis in sweep.axes}
    numbers = {axis: all(map(_is_number, _different(sweep, axis))) for axis in sweep.axes}
    varied = sorted(
        (axis for axis in sweep.axes if n_values[axis] > 1),
        key=lambda axis: (not numbers[axis], -n_values[axis]),
    )
    if not varied:
        return []
    options = {"x": varied[0]}
    for place, most in (("hue", MOST_COLOURS), ("col", MOST_PANELS)):
        left = [axis for axis in varied if axis not in options.values() and n_values[axis] <= most]
        if left:
            options[place] = left[0]
    found = []
    for metric in SHOWN:
        if len({n[metric] for n in networks if n[metric] is not None}) > 1:
            found.append(_figure(sweep, metric, options | {"y": METRICS[metric]}))
            if metric == "r2" and len([a for a in varied if numbers[a]]) > 1:
                found.append(
                    _figure(sweep, metric, {
                        "x": varied[0], "y": varied[1], "hue": METRICS[metric], "kind": "heat",
                    })
                )  # fmt: skip
    return found


def _figure(sweep: SweepRows, metric: str, options: Row) -> Row:
    kind = options.get("kind", "points")
    by = [options[name] for name in ("x", "y") if options[name] in sweep.axes]
    caption = f"{METRICS[metric]} by {' and '.join(by)}"
    left = [a for a in sweep.axes if a not in options.values() and len(_different(sweep, a)) > 1]
    if left:
        caption += f", over all values of {', '.join(left)}"
    return {"path": sweep.figure(metric, kind), "caption": caption, "options": options}


def draw_figure(
    sweep: SweepRows, summaries: Mapping[Key, Sequence[Row]], options: Mapping[str, Any]
) -> bytes:
    """Return a figure of a sweep as a PNG file."""
    return to_png(models.plot_sweep(_table(sweep, summaries), **options), DPI)


def _table(sweep: SweepRows, summaries: Mapping[Key, Sequence[Row]]) -> DataFrame:
    """Return a row for each trained network: its values on the axes, and its numbers."""
    import pandas as pd

    return pd.DataFrame.from_records(
        [
            {axis: values.get(axis) for axis in sweep.axes}
            | {METRICS[metric]: network[metric] for metric in SHOWN}
            for key, values in sweep.values.items()
            for network in summaries[key]
        ]
    )
