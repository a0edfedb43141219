"""The figure of a population: dimensions, rates, selectivity, weights."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from ..populations.population import PopulationAnalysis
from .layout import LegendPlan, fit_left, fitted, panel_grid, plan_legend
from .palette import BLUE, VERMILLION, categories, colours_of_names, grey, ink, pale
from .style import plain_matplotlib, unit

PANEL = (2.4, 1.45)  # inches
MARGINS, GAPS = (0.75, 0.12, 0.45, 0.25), (0.7, 0.75)
NAME_WIDTH = 0.75  # inches, of a variable beside its bars
CELL_COLOURS = {"excitatory": VERMILLION, "inhibitory": BLUE}


@plain_matplotlib()
def plot_population(result: PopulationAnalysis) -> Figure:
    """Plot what a population does, in four panels.

    Row by row: the share of the variance in the first principal components, by period,
    with the participation ratio in the legend; rates of the units, silent ones counted in the
    title; mean eta squared for each variable by period, with its value by chance as a grey line;
    singular values of W_rec and of its change since the start. Of a network whose activity cannot
    be analysed the panels say why.

    Parameters
    ----------
    result : PopulationAnalysis
        Of `models.get_population`.
    """
    colours = _period_colours(result)
    handles = [
        Line2D([], [], color=colour, label=_said(result, name)) for name, colour in colours.items()
    ]
    if any(np.isfinite(one.chance).any() for one in result.selectivity):
        handles.append(Line2D([], [], color=pale(), label="by chance"))
    width = unit() * (MARGINS[0] + MARGINS[1] + 2 * PANEL[0] + GAPS[0])
    legend = plan_legend(handles, width) if handles else LegendPlan([], 1, 0.0)
    figure, grid = panel_grid((2, 2), PANEL, MARGINS, GAPS, foot=legend.height)
    variance, rates, coding, weights = grid.ravel()
    _draw_variance(variance, result, colours)
    _draw_rates(rates, result)
    _draw_coding(coding, result, colours)
    _draw_weights(weights, result)
    fit_left(figure, grid)
    legend.draw(figure)
    return figure


def _period_colours(result: PopulationAnalysis) -> dict[str, Any]:
    names = [period.name for period, _ in result.periods]
    return dict(zip(names, [ink(), *categories()[: len(names)]], strict=False))


def _said(result: PopulationAnalysis, name: str) -> str:
    dimensions = next(d for period, d in result.periods if period.name == name)
    ratio = dimensions.participation_ratio
    said = dimensions.status.replace("_", " ") if ratio is None else f"PR {ratio:.1f}"
    return f"{name}: {said}"


def say_why(axes: Any, text: str) -> None:
    """Write into a panel why it shows nothing."""
    axes.text(0.5, 0.5, text, ha="center", va="center", transform=axes.transAxes, wrap=True)
    axes.set_xticks([])
    axes.set_yticks([])


def _draw_variance(axes: Any, result: PopulationAnalysis, colours: dict[str, Any]) -> None:
    axes.set_title("principal components")
    drawn = False
    for period, dimensions in result.periods:
        share = dimensions.cumulative
        if share.size:
            n = np.arange(1, len(share) + 1)
            axes.plot(n, share, "-", color=colours[period.name])
            drawn = True
    if not drawn:
        return say_why(axes, result.status.replace("_", " "))
    if max(len(d.cumulative) for _, d in result.periods) >= 10:
        axes.set_xscale("log")
    else:  # within one decade a logarithmic scale has no labels that can be read
        axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
    axes.set_ylim(0, 1.03)
    axes.axhline(0.9, color=grey("0.7"), lw=0.6, ls=":")
    axes.set_xlabel("components")
    axes.set_ylabel("share of variance")
    return None


def _draw_rates(axes: Any, result: PopulationAnalysis) -> None:
    units = result.units
    if units is None:
        axes.set_title("units")
        return say_why(axes, result.status.replace("_", " "))
    silent = int(units.silent.sum())
    axes.set_title(f"units ({silent} of {len(units.silent)} silent)")
    # Rows of a database keep the mean square alone.
    known = bool(np.isfinite(units.mean_magnitude).all())
    size = units.mean_magnitude if known else np.sqrt(units.energy)
    active = ~units.silent & (size > 0)
    if not active.any():
        return say_why(axes, "all silent")
    logs = np.log10(size[active])
    edges = np.linspace(logs.min() - 1e-3, logs.max() + 1e-3, 16)
    types = None if result.weights is None else result.weights.cell_types
    if types is not None and types.any():
        for name, sign in (("excitatory", 1), ("inhibitory", -1)):
            own = np.log10(size[active & (types == sign)])
            axes.hist(own, edges, histtype="step", color=CELL_COLOURS[name], label=name)
        axes.set_ylim(top=1.4 * axes.get_ylim()[1])  # the legend above the bars
        axes.legend(loc="upper left", handlelength=1.0, borderaxespad=0.1)
    else:
        axes.hist(logs, edges, color=ink(), lw=0)
    axes.yaxis.set_major_locator(MaxNLocator(5, integer=True))
    axes.set_xlabel("log10 of mean |rate|" if known else "log10 of root mean square rate")
    axes.set_ylabel("units")
    return None


def _draw_coding(axes: Any, result: PopulationAnalysis, colours: dict[str, Any]) -> None:
    axes.set_title("selectivity")
    names = list(dict.fromkeys(one.variable for one in result.selectivity))
    if not names:
        return say_why(axes, "no variable of\nthe trials")
    assert result.units is not None
    everyone = np.ones(len(result.units.silent), np.bool_)
    if not any(one.summary(everyone)["n"] for one in result.selectivity):
        return say_why(axes, "no unit differs\nbetween trials")
    height = 0.8 / len(result.periods)
    for row, name in enumerate(names):
        for k, one in enumerate(result.selectivity_of(name)):
            summary = one.summary(everyone)
            if summary["eta"] is None:
                continue
            at = row + (k - (len(result.periods) - 1) / 2) * height
            axes.barh(at, summary["eta"], height, color=colours[one.period], lw=0)
            if summary["chance"] is not None:
                ends = [at - height / 2, at + height / 2]
                axes.plot([summary["chance"]] * 2, ends, color=pale(), lw=1.5)
    width = NAME_WIDTH * unit()
    shown = [fitted(name.replace("_", " "), width, "ytick.labelsize") for name in names]
    axes.set_yticks(range(len(names)), shown)
    axes.invert_yaxis()
    axes.set_xlim(0, 1)
    axes.set_xlabel("mean eta²")
    return None


def _draw_weights(axes: Any, result: PopulationAnalysis) -> None:
    weights = result.weights
    if weights is None:
        axes.set_title("recurrent weights")
        return say_why(axes, "not recorded")
    colours = colours_of_names(["W_rec", "change"])
    shown = {"W_rec": weights.singular_values, "change": weights.change_singular_values}
    ranks = {"W_rec": weights.effective_rank, "change": weights.change_effective_rank}
    for name, values in shown.items():
        if values is not None and values.size and values[0] > 0:
            n = np.arange(1, len(values) + 1)
            kept = values > 1e-12 * values[0]
            label = f"{name}: rank {ranks[name]:.1f}"
            axes.plot(n[kept], values[kept], "-", color=colours[name], label=label)
    axes.set_title("recurrent weights")
    if not axes.lines:
        return say_why(axes, "all weights are 0")
    axes.set_yscale("log")
    axes.legend(loc="lower left", handlelength=1.0, borderaxespad=0.1)
    axes.set_xlabel("number")
    axes.set_ylabel("singular value")
    return None
