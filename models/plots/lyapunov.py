"""The figure of Lyapunov exponents: of trials and at constant inputs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from numpy.typing import NDArray

from ..populations.lyapunov import LyapunovAnalysis
from .layout import LegendPlan, fit_left, fitted, panel_grid, plan_legend, text_width
from .palette import VERMILLION, grey, ink, pale
from .populations import say_why
from .style import plain_matplotlib, unit

HEIGHT, PLACE = 1.6, 0.45  # inches: of a panel, and of each input along it
MARGINS = (0.6, 0.15, 0.15, 0.15)  # below it also the names
NAME = 0.85  # inches, of an input below the axis
SPREAD = 0.25  # of the dots of one input, in steps between two
FEWEST_PLACES, WIDEST = 4, 5.5  # inches: of a panel


@plain_matplotlib()
def plot_lyapunov(result: LyapunovAnalysis) -> Figure:
    """Plot Lyapunov exponents of trials and at constant inputs.

    Each dot is the largest exponent of one trial, or from one start at an input, in colour where
    it is above 0; grey dots are the smaller exponents. Above 0 neighbouring states part. Exponents
    that are not finite are left out; of inputs at which all states grow without end the figure
    says so.

    Parameters
    ----------
    result : LyapunovAnalysis
        Of `models.get_lyapunov`.
    """
    sets = {name: one.exponents for name, one in result.at_inputs.items()}
    if result.in_trials.size:
        sets = {"trials": result.in_trials, **sets}
    largest = np.concatenate([np.empty(0), *(one[:, 0] for one in sets.values() if one.size)])
    shown = {
        "largest, above 0": (VERMILLION, bool((largest > 0).any())),
        "largest, below 0": (ink(), bool((largest <= 0).any())),
        "smaller": (pale(), any(one.ndim == 2 and one.shape[1] > 1 for one in sets.values())),
    }
    handles = [
        Line2D([], [], marker="o", ls="", ms=3, color=colour, label=label)
        for label, (colour, is_there) in shown.items()
        if is_there
    ]
    _, axes, finish = named_places(list(sets), handles)
    if not sets:
        say_why(axes, result.reason or result.status.replace("_", " "))
        return finish()
    for place, (name, exponents) in enumerate(sets.items()):
        for rank in reversed(range(exponents.shape[1] if exponents.ndim == 2 else 0)):
            own = exponents[:, rank]
            own = own[np.isfinite(own)]
            colours = np.where(own > 0, VERMILLION, ink()) if rank == 0 else [pale()] * len(own)
            axes.scatter(
                place + _beside(len(own)), own, s=6, c=list(colours), lw=0, zorder=3 - min(rank, 1)
            )
        known = result.at_inputs.get(name)
        if known is not None and not np.isfinite(known.exponents).any():
            axes.text(place, 0.0, known.kind, rotation=90, ha="center", va="bottom", fontsize=6)
    axes.axhline(0.0, color=grey("0.7"), lw=0.6, zorder=0)
    axes.set_ylabel("exponent (1/τ)")
    return finish()


def _beside(n: int) -> NDArray[np.float64]:
    """Return places of n dots side by side."""
    found: NDArray[np.float64] = np.zeros(n)
    if n > 1:
        found = np.asarray(np.linspace(-SPREAD, SPREAD, n), dtype=np.float64)
    return found


def named_places(names: Sequence[str], handles: list[Any]) -> tuple[Figure, Any, Any]:
    """Return a figure with one panel that has a place for each name, and what finishes it."""
    size = "xtick.labelsize"
    shown = [fitted(name, NAME * unit(), size, lines=1) for name in names]
    left, right, bottom, top = MARGINS
    bottom += max((text_width(name, size) for name in shown), default=0.0) / unit()
    width = min(PLACE * max(len(names), FEWEST_PLACES), WIDEST)
    room = unit() * (width + left + right)
    legend = plan_legend(handles, room) if handles else LegendPlan([], 1, 0.0)
    figure, grid = panel_grid(
        (1, 1), (width, HEIGHT), (left, right, bottom, top), foot=legend.height
    )
    axes = grid[0, 0]

    def finish() -> Figure:
        if names:
            axes.set_xticks(range(len(names)), shown, rotation=90)
            axes.set_xlim(-0.6, len(names) - 0.4)
        fit_left(figure, grid)
        legend.draw(figure)
        return figure

    return figure, axes, finish
