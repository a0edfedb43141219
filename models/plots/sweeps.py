"""Figures of sweeps: a number of each network against what was varied."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import NullFormatter
from scipy import stats

from tasks_lib.errors import ParameterError, check_choice, use_one_of

from .layout import LegendPlan, fit_left, fitted, letter, panel_grid, plan_legend, text_width
from .palette import SEQUENTIAL, colours_of_values
from .style import plain_matplotlib, unit

if TYPE_CHECKING:
    from pandas import DataFrame  # type: ignore[import-untyped]

Kind = Literal["line", "strip", "heat"]
KINDS: tuple[Kind, ...] = ("line", "strip", "heat")
LEVEL = 0.95  # of intervals
PANEL = (2.3, 1.9)  # inches
LOG_RATIO = 3.0  # of neighbouring values that all grow by such a factor: a logarithmic axis
SPREAD = 0.25  # of the points of a strip, in steps between two


@plain_matplotlib()
def plot_sweep(
    table: DataFrame,
    x: str,
    y: str,
    hue: str | None = None,
    col: str | None = None,
    kind: Kind | None = None,
) -> Figure:
    """Draw a number of each network of a sweep against what was varied.

    Parameters
    ----------
    table : DataFrame
        Of `pipeline.sweep_table`, or any with a row a network.
    x, y : str
        Columns. Of a heat map both are axes of the sweep.
    hue : str, optional
        Column whose values are told apart by colour; of a heat map the number that is shown.
    col : str, optional
        Column whose values are told apart by panels, side by side.
    kind : {"line", "strip", "heat"}, optional
        Line: every network is a dot, lines join the means over networks, and bars are their 95 %
        confidence intervals (Student's t), where there are two networks at least. Strip: the same
        without lines, for values that are no numbers. Heat: the mean of ``hue`` over networks by
        colour. By default a line where ``x`` holds numbers, and a strip otherwise.

    Returns
    -------
    Figure
        Networks whose value is missing are left out, and counted in the title of their panel.

    Raises
    ------
    ParameterError
        For a column that is not there, or that has no value yet, and for one whose values are not
        numbers where they are drawn.
    """
    named = {"x": x, "y": y} | ({"hue": hue} if hue else {}) | ({"col": col} if col else {})
    if not len(table):
        raise ParameterError("table", "no rows", "holds no network", "enter points of the sweep")
    for field, name in named.items():
        _check_column(table, field, name)
    if kind is None:
        kind = "line" if _are_numbers(table, x) else "strip"
    check_choice("kind", kind, KINDS)
    value = y
    if kind == "heat":
        if hue is None:
            raise ParameterError("hue", None, "is missing", "name the number that is shown")
        value = hue
    if not _are_numbers(table, value):
        raise ParameterError(value, value, "holds no numbers", "name a column of numbers")
    panels = [None] if col is None else _values(table, col)
    titles = [_title(table, value, col, panel) for panel in panels]
    legend = _legend(table, None if kind == "heat" else hue, len(panels))
    figure, grid = _figure(table, x, kind, titles, legend)
    all_axes = list(grid[0])
    shown = table.assign(**{value: table[value].astype(float)})
    for axes, panel, title in zip(all_axes, panels, titles, strict=True):
        rows = shown if panel is None else shown[shown[col] == panel]
        axes.set_title(title, pad=3)
        if kind == "heat":
            _heat(axes, rows, x, y, value, _range(shown[value]))
        else:
            _points(axes, rows.dropna(subset=[value]), x, y, hue, table, kind == "line")
    if kind == "heat":
        _draw_bar(figure, all_axes[-1], f"mean {value}")
    fit_left(figure, grid)
    legend.draw(figure)
    return figure


def _check_column(table: DataFrame, field: str, name: str) -> None:
    """Refuse a column that is not there, or of which nothing is known yet."""
    column, bracket, _ = name.partition("[")
    is_to_come = table.attrs.get("columns", {}).get(column) == bool(bracket)
    if name not in table.columns and not is_to_come:
        remedy = use_one_of(name, map(str, table.columns))
        raise ParameterError(field, name, "is no column of the table", remedy)
    if name not in table.columns or table[name].isna().all():
        problem = f"has no value for any of {len(table)} networks"
        remedy = "have it computed first (rnn worker), and make the table anew"
        raise ParameterError(field, name, problem, remedy)


def _title(table: DataFrame, value: str, col: str | None, panel: Any) -> str:
    """Return the title of a panel: its value, and how many networks lack theirs."""
    rows = table if col is None else table[table[col] == panel]
    missing = int(rows[value].isna().sum())
    title = "" if col is None else f"{col} = {_text(panel)}"
    note = f"{missing} of {len(rows)} missing" if missing else ""
    lines = "\n".join(filter(None, (title, note)))
    return fitted(lines, (PANEL[0] - 0.1) * unit(), "axes.titlesize")


def _legend(table: DataFrame, hue: str | None, n_panels: int) -> LegendPlan:
    """Return the legend of the values of ``hue``, which comes below the panels."""
    if hue is None:
        return plan_legend([], 1.0)
    groups = _values(table, hue)
    colours = colours_of_values(hue, np.array(groups, dtype=_kind_of(groups)))
    handles = [
        Line2D([], [], color=colour, marker="o", ms=3.5, lw=1.2, label=_text(group))
        for group, colour in zip(groups, colours, strict=True)
    ]
    return plan_legend(handles, unit() * (n_panels * (PANEL[0] + 0.12) + 0.6), hue, most=6)


def _figure(
    table: DataFrame, x: str, kind: Kind, titles: Sequence[str], legend: LegendPlan
) -> tuple[Figure, Any]:
    """Return the figure and its panels, with room for all that stands around them."""
    lines = max(title.count("\n") + 1 if title else 0 for title in titles)
    above = 0.1 + 1.3 * letter("axes.titlesize") / unit() * lines
    below, right = 0.42, 0.12
    if kind != "line":  # texts that lean
        longest = max((text_width(_text(v), "xtick.labelsize") for v in _values(table, x)),
                      default=0.0)  # fmt: skip
        below += 0.75 * longest / unit()
    if kind == "heat":
        right = 0.75
    least = legend.height and 3.0
    return panel_grid(
        (1, len(titles)), PANEL, (0.55, right, below, above), (0.12, 0.0), legend.height, least,
        sharey=True,
    )  # fmt: skip


def _kind_of(groups: Sequence[Any]) -> Any:
    """Return the type of an array of values: numbers keep their order, all else are names."""
    is_number = all(isinstance(g, int | float | np.number) for g in groups)
    return np.float64 if is_number and not any(isinstance(g, bool) for g in groups) else str


def _values(table: DataFrame, column: str) -> list[Any]:
    """Return the different values of a column, sorted where they can be."""
    values = list(table[column].dropna().unique())
    try:
        return sorted(values)
    except TypeError:
        return sorted(values, key=str)


def _are_numbers(table: DataFrame, column: str) -> bool:
    values = [v for v in table[column] if v is not None and v == v]
    return bool(values) and all(
        isinstance(v, int | float | np.number) and not isinstance(v, bool | np.bool_)
        for v in values
    )


def _text(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float | np.floating) else str(value)


def _range(values: Any) -> tuple[float, float]:
    finite = values[np.isfinite(values)]
    return (float(finite.min()), float(finite.max())) if len(finite) else (0.0, 1.0)


def _is_spaced_by_factors(values: Sequence[float]) -> bool:
    if len(values) < 3 or values[0] <= 0:
        return False
    ratios = np.divide(values[1:], values[:-1])
    return bool(np.exp(np.mean(np.log(ratios))) >= LOG_RATIO**0.5 and ratios.min() > 1.2)


def _points(
    axes: Axes, rows: DataFrame, x: str, y: str, hue: str | None, table: DataFrame, lines: bool
) -> None:
    """Draw every network as a dot, with means and their intervals."""
    places = _values(table, x)
    logarithmic = lines and _is_spaced_by_factors(places)
    groups = [None] if hue is None else _values(table, hue)
    colours = colours_of_values(hue or "", np.array(groups, dtype=_kind_of(groups)))
    for number, group in enumerate(groups):
        own = rows if group is None else rows[rows[hue] == group]
        color = colours[number]
        shift = (number - (len(groups) - 1) / 2) * 2 * SPREAD / max(len(groups), 2)
        means, errors, at = [], [], []
        for index, place in enumerate(places):
            values = own.loc[own[x] == place, y].to_numpy(float)
            if not len(values):
                continue
            where = float(place) if lines else index + shift
            axes.plot([where] * len(values), values, ".", color=color, alpha=0.4, markersize=4)
            at.append(where)
            means.append(values.mean())
            errors.append(_half_interval(values))
        axes.errorbar(
            at, means, yerr=errors, fmt="-o" if lines else "_", markersize=3.5 if lines else 9,
            color=color, linewidth=1.2, elinewidth=1.0, capsize=2,
        )  # fmt: skip
    if logarithmic:
        axes.set_xscale("log")
        texts = [_text(place) for place in places]
        if 1.25 * sum(text_width(text, "xtick.labelsize") for text in texts) < PANEL[0] * unit():
            axes.set_xticks(places, texts)
            axes.xaxis.set_minor_formatter(NullFormatter())
    if not lines:
        axes.set_xticks(
            range(len(places)), [_text(place) for place in places], rotation=45, ha="right"
        )
        axes.set_xlim(-0.5, len(places) - 0.5)
    axes.set_xlabel(fitted(x, PANEL[0] * unit(), "axes.labelsize"))
    if axes.get_subplotspec().is_first_col():  # type: ignore[union-attr]
        axes.set_ylabel(fitted(y, PANEL[1] * unit(), "axes.labelsize"))


def _half_interval(values: Any) -> float:
    """Return half the confidence interval of a mean; NaN of a single value."""
    if len(values) < 2:
        return float("nan")
    t = stats.t.ppf(0.5 + LEVEL / 2, len(values) - 1)
    return float(t * values.std(ddof=1) / np.sqrt(len(values)))


def _heat(
    axes: Axes, rows: DataFrame, x: str, y: str, value: str, limits: tuple[float, float]
) -> None:
    """Draw the mean over networks by colour."""
    across, up = _values(rows, x), _values(rows, y)
    grid = np.full((len(up), len(across)), np.nan)
    for (along, above), group in rows.dropna(subset=[value]).groupby([x, y]):
        grid[up.index(above), across.index(along)] = group[value].mean()
    axes.imshow(
        grid, origin="lower", aspect="auto", cmap=SEQUENTIAL, vmin=limits[0], vmax=limits[1]
    )
    axes.set_xticks(range(len(across)), [_text(v) for v in across], rotation=45, ha="right")
    axes.set_yticks(range(len(up)), [_text(v) for v in up])
    axes.set_xlabel(fitted(x, PANEL[0] * unit(), "axes.labelsize"))
    if axes.get_subplotspec().is_first_col():  # type: ignore[union-attr]
        axes.set_ylabel(fitted(y, PANEL[1] * unit(), "axes.labelsize"))


def _draw_bar(figure: Figure, axes: Axes, label: str) -> None:
    """Draw the scale of a map's colours beside it."""
    place, inch = axes.get_position(), unit() / figure.get_figwidth()
    beside = figure.add_axes((place.x1 + 0.08 * inch, place.y0, 0.07 * inch, place.height))
    figure.colorbar(axes.images[0], cax=beside, label=label)
