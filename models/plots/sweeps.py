"""Figures of sweeps: a number of each network against what was varied."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from scipy import stats

from tasks_lib.errors import ParameterError, check_choice, use_one_of

from .palette import SEQUENTIAL, colours_of_values
from .style import plain_matplotlib, unit

if TYPE_CHECKING:
    from pandas import DataFrame  # type: ignore[import-untyped]

Kind = Literal["line", "strip", "heat"]
KINDS: tuple[Kind, ...] = ("line", "strip", "heat")
LEVEL = 0.95  # of intervals
PANEL = (2.6, 2.3)  # inches
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
        For a column that is not there, or whose values are not numbers where they are drawn.
    """
    named = {"x": x, "y": y} | ({"hue": hue} if hue else {}) | ({"col": col} if col else {})
    for field, name in named.items():
        if name not in table.columns:
            remedy = use_one_of(name, map(str, table.columns))
            raise ParameterError(field, name, "is no column of the table", remedy)
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
    width = PANEL[0] * len(panels) + 0.9
    figure, all_axes = _figure(width, PANEL[1] + 0.5, len(panels))
    shown = table.assign(**{value: table[value].astype(float)})
    for axes, panel in zip(all_axes, panels, strict=True):
        rows = shown if panel is None else shown[shown[col] == panel]
        missing = int(rows[value].isna().sum())
        title = "" if panel is None else f"{col} = {_text(panel)}"
        note = f"{missing} of {len(rows)} missing" if missing else ""
        axes.set_title("\n".join(filter(None, (title, note))))
        if kind == "heat":
            _heat(figure, axes, rows, x, y, value, _range(shown[value]))
        else:
            _points(axes, rows.dropna(subset=[value]), x, y, hue, table, kind == "line")
    if kind != "heat" and hue is not None:
        all_axes[-1].legend(title=hue, loc="upper left", bbox_to_anchor=(1.0, 1.0))
    return figure


def _figure(width: float, height: float, n_panels: int) -> tuple[Figure, list[Axes]]:
    figure = Figure(figsize=(width * unit(), height * unit()), layout="constrained")
    axes = figure.subplots(1, n_panels, squeeze=False, sharey=True)
    return figure, list(axes[0])


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
    colours = colours_of_values(hue or "", np.array(groups, dtype=None if hue else str))
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
        label = None if group is None else _text(group)
        axes.errorbar(
            at, means, yerr=errors, fmt="-o" if lines else "_", markersize=3.5 if lines else 9,
            color=color, label=label, linewidth=1.2, elinewidth=1.0, capsize=2,
        )  # fmt: skip
    if logarithmic:
        axes.set_xscale("log")
    if not lines:
        axes.set_xticks(range(len(places)), [_text(place) for place in places])
        axes.set_xlim(-0.5, len(places) - 0.5)
    axes.set_xlabel(x)
    if axes.get_subplotspec().is_first_col():  # type: ignore[union-attr]
        axes.set_ylabel(y)


def _half_interval(values: Any) -> float:
    """Return half the confidence interval of a mean; NaN of a single value."""
    if len(values) < 2:
        return float("nan")
    t = stats.t.ppf(0.5 + LEVEL / 2, len(values) - 1)
    return float(t * values.std(ddof=1) / np.sqrt(len(values)))


def _heat(
    figure: Figure, axes: Axes, rows: DataFrame, x: str, y: str, value: str,
    limits: tuple[float, float],
) -> None:  # fmt: skip
    """Draw the mean over networks by colour."""
    across, up = _values(rows, x), _values(rows, y)
    grid = np.full((len(up), len(across)), np.nan)
    for (along, above), group in rows.dropna(subset=[value]).groupby([x, y]):
        grid[up.index(above), across.index(along)] = group[value].mean()
    image = axes.imshow(
        grid, origin="lower", aspect="auto", cmap=SEQUENTIAL, vmin=limits[0], vmax=limits[1]
    )
    axes.set_xticks(range(len(across)), [_text(v) for v in across], rotation=45, ha="right")
    axes.set_yticks(range(len(up)), [_text(v) for v in up])
    axes.set_xlabel(x)
    if axes.get_subplotspec().is_first_col():  # type: ignore[union-attr]
        axes.set_ylabel(y)
    if axes.get_subplotspec().is_last_col():  # type: ignore[union-attr]
        figure.colorbar(image, ax=axes, label=f"mean {value}")
