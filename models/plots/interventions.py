"""The figure of an intervention: scores and changes against its strength."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from ..populations.interventions import InterventionCurve
from .layout import fit_left, panel_grid, plan_legend
from .palette import VERMILLION, ink, pale
from .populations import say_why
from .style import plain_matplotlib, unit

PANEL = (1.7, 1.5)  # inches
MARGINS, GAPS = (0.55, 0.1, 0.45, 0.25), (0.65, 0.0)
LABELS = {
    "accuracy": "accuracy", "r2": "R²", "choice_changed": "choices changed",
    "output_change": "output change", "trajectory_change": "trajectory change",
}  # fmt: skip


@plain_matplotlib()
def plot_intervention(result: InterventionCurve) -> Figure:
    """Plot scores and changes of a network against the strength of an intervention.

    From left to right: accuracy (R² of tasks without choices), the share of changed choices (the
    change of outputs), and the change of trajectories. Lines are the intervention, grey bands the
    range of its matched random controls around their mean; a dashed line is the untouched network.

    Parameters
    ----------
    result : InterventionCurve
        Of `models.intervene`.
    """
    has_choices = result.untouched.get("accuracy") is not None
    names = ("accuracy", "choice_changed") if has_choices else ("r2", "output_change")
    handles: list[Any] = [Line2D([], [], color=VERMILLION, label=_title(result))]
    if any(values.size for score in result.scores for values in score.controls.values()):
        handles.append(Line2D([], [], color=pale(), lw=4, label="random controls"))
    handles.append(Line2D([], [], color=ink(), ls="--", label="untouched"))
    width = unit() * (MARGINS[0] + MARGINS[1] + 3 * PANEL[0] + 2 * GAPS[0])
    legend = plan_legend(handles, width)
    figure, grid = panel_grid((1, 3), PANEL, MARGINS, GAPS, foot=legend.height)
    for axes, name in zip(grid[0], (*names, "trajectory_change"), strict=True):
        if result.scores:
            _draw(axes, result, name)
        else:
            say_why(axes, result.status.replace("_", " "))
        axes.set_ylabel(LABELS[name])
    fit_left(figure, grid)
    legend.draw(figure)
    return figure


def _title(result: InterventionCurve) -> str:
    settings = result.settings
    target = "" if settings.target == "none" else f", {settings.target.replace('_', ' ')}"
    return settings.kind.replace("_", " ") + target


def _draw(axes: Any, result: InterventionCurve, name: str) -> None:
    scores = result.scores
    bands = [(s.strength, s.controls[name]) for s in scores if s.controls[name].size]
    if bands:
        at = [strength for strength, _ in bands]
        low, high = ([f(v) for _, v in bands] for f in (np.min, np.max))
        axes.fill_between(at, low, high, color=pale(), alpha=0.5, lw=0)
        axes.plot(at, [v.mean() for _, v in bands], color=pale())
    known = [(s.strength, s.measures[name]) for s in scores if s.measures[name] is not None]
    if not (known or bands):
        return say_why(axes, "not defined")
    if known:
        axes.plot(*zip(*known, strict=True), "o-", ms=3, color=VERMILLION)
    untouched = result.untouched.get(name)
    if untouched is not None:
        axes.axhline(untouched, color=ink(), ls="--", lw=0.8)
    if name in ("accuracy", "choice_changed"):
        axes.set_ylim(-0.03, 1.03)
    axes.set_xlabel("strength")
    return None
