"""The figure of regression subspaces: coefficients, decoders, angles."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from ..populations.decoding import NUMBER, Decoding
from ..populations.regression import FITTED
from ..populations.subspaces import SubspaceAnalysis
from .layout import LegendPlan, fit_left, fitted, panel_grid, plan_legend
from .palette import SEQUENTIAL, categories, ink
from .populations import say_why
from .style import plain_matplotlib, unit

PANEL = (1.9, 1.6)  # inches
MARGINS, GAPS = (0.55, 0.95, 0.7, 0.25), (1.1, 0.75)


@plain_matplotlib()
def plot_subspaces(result: SubspaceAnalysis) -> Figure:
    """Plot regression subspaces and decoders, in four panels.

    Row by row: the length of each variable's coefficients over the trial; scores of
    decoders trained and tested at the same time, with the 95 % quantile of permuted trials dotted;
    the decoder of the last variable trained at one time and tested at another; the smallest angle
    between the axes of every two variables. Where there is nothing to show, a panel says why.

    Parameters
    ----------
    result : SubspaceAnalysis
        Of `models.get_subspaces`.
    """
    names = [one.name for one in result.subspaces]
    colours = {name: categories()[i % len(categories())] for i, name in enumerate(names)}
    handles = [
        Line2D([], [], color=colours[one.name], label=one.name.replace("_", " ") + _why(one.status))
        for one in result.subspaces
    ]
    if any(np.isfinite(one.chance_95).all() for one in _trained(result)):
        handles.append(Line2D([], [], color=ink(), ls=":", label="95 % of permuted trials"))
    width = unit() * (MARGINS[0] + MARGINS[1] + 2 * PANEL[0] + GAPS[0])
    legend = plan_legend(handles, width) if handles else LegendPlan([], 1, 0.0)
    figure, grid = panel_grid((2, 2), PANEL, MARGINS, GAPS, foot=legend.height)
    over_time, decoders, across, angles = grid.ravel()
    _draw_norms(over_time, result, colours)
    _draw_decoders(decoders, result, colours)
    _draw_across(across, result)
    _draw_angles(angles, result)
    fit_left(figure, grid)
    _draw_bar(figure, across)
    legend.draw(figure)
    return figure


def _in_words(status: str) -> str:
    return status.replace("_", " ")


def _why(status: str) -> str:
    return "" if status == FITTED else f" ({_in_words(status)})"


def _draw_norms(axes: Any, result: SubspaceAnalysis, colours: dict[str, Any]) -> None:
    axes.set_title("regression")
    fitted = [one for one in result.subspaces if one.status == FITTED]
    if not fitted:
        return say_why(axes, "nothing is coded" if result.subspaces else _in_words(result.status))
    for one in fitted:
        axes.plot(one.norms, color=colours[one.name])
    axes.set_ylim(bottom=0)
    axes.set_xlabel("step")
    axes.set_ylabel("coefficients (s.d.)")
    return None


def _trained(result: SubspaceAnalysis) -> list[Decoding]:
    return [one for one in result.decoders if one.scores.size]


def _draw_decoders(axes: Any, result: SubspaceAnalysis, colours: dict[str, Any]) -> None:
    axes.set_title("decoders")
    trained = _trained(result)
    if not trained:
        return say_why(axes, "none")
    for one in trained:
        middle = one.bins.mean(axis=1)
        axes.plot(middle, np.diag(one.scores), "o-", ms=2, color=colours[one.name])
        if np.isfinite(one.chance_95).all():
            axes.plot(middle, one.chance_95, ":", lw=0.8, color=colours[one.name])
    axes.set_ylim(min(-0.1, axes.get_ylim()[0]) if _has_numbers(trained) else 0, 1.05)
    axes.set_ylim(bottom=max(axes.get_ylim()[0], -0.5))
    axes.set_xlabel("step")
    axes.set_ylabel("accuracy or R²" if _has_numbers(trained) else "accuracy")
    return None


def _has_numbers(decoders: list[Decoding]) -> bool:
    return any(one.kind == NUMBER for one in decoders)


def _draw_across(axes: Any, result: SubspaceAnalysis) -> None:
    trained = _trained(result)
    if not trained:
        axes.set_title("across time")
        return say_why(axes, "none")
    last = trained[-1]
    what = "R²" if last.kind == NUMBER else "accuracy"
    axes.set_title(f"{last.name.replace('_', ' ')}, {what}")
    end = float(last.bins[-1, 1])
    axes.imshow(
        last.scores, origin="lower", cmap=SEQUENTIAL, vmin=0, vmax=1, extent=(0, end, 0, end),
        interpolation="nearest",
    )  # fmt: skip
    axes.set_xlabel("tested at step")
    axes.set_ylabel("trained at step")
    axes.locator_params(nbins=4)
    return None


def _draw_bar(figure: Figure, axes: Any) -> None:
    if axes.images:
        axes.apply_aspect()  # where a square is drawn
        box = axes.get_position()
        bar = figure.add_axes((box.x1 + 0.008, box.y0, 0.011, box.height))
        figure.colorbar(axes.images[0], cax=bar)


def _draw_angles(axes: Any, result: SubspaceAnalysis) -> None:
    axes.set_title("angles (°)")
    names = [one.name for one in result.subspaces if one.status == FITTED]
    if len(names) < 2:
        return say_why(axes, "no two variables")
    matrix = np.full((len(names), len(names)), np.nan)
    for angle in result.angles:
        if angle.kind == "variables":
            i, j = sorted((names.index(angle.first), names.index(angle.second)))
            matrix[j, i] = angle.smallest
    axes.imshow(matrix, cmap=SEQUENTIAL, vmin=0, vmax=90)
    for (j, i), value in np.ndenumerate(matrix):
        if np.isfinite(value):
            colour = "white" if value < 60 else "black"
            axes.text(i, j, f"{value:.0f}", ha="center", va="center", color=colour, fontsize=6)
    width = 0.8 * unit()
    shown = [fitted(name.replace("_", " "), width, "ytick.labelsize") for name in names]
    axes.set_xticks(range(len(names)), shown, rotation=45, ha="right")
    axes.set_yticks(range(len(names)), shown)
    axes.yaxis.tick_right()
    return None
