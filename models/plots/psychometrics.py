"""The figure of psychometric curves: choices by the strength of stimuli, and their fits."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from ..performance.psychometrics import PsychometricCurves
from .layout import LINE, letter, panel_grid, text_width, with_minus
from .palette import SEQUENTIAL, colours_of_names, grey, ink
from .style import plain_matplotlib, unit

PANEL = (1.75, 1.6)  # inches


@plain_matplotlib()
def plot_psychometrics(result: PsychometricCurves) -> Figure:
    """Plot the curves, a row for each context, and the grid of correct choices where there is one.

    White cells have no correct choice. Bars are intervals of 95 %. Curves are the fits; where there
    is none, a dotted line joins the points and the legend says why. Colour is the context; the
    irrelevant stimulus has open points and a dashed curve.
    """
    contexts = list(dict.fromkeys(context for context, _ in result.points))
    with_grid = result.fraction_right is not None
    # In the order of their names, as trajectories have them.
    colours = colours_of_names(sorted(contexts)) if len(contexts) > 1 else {contexts[0]: ink()}
    most = max(sum(own == context for own, _ in result.points) for context in contexts)
    titled = len(contexts) > 1 and not with_grid
    above = letter() / unit() * (LINE * (most + titled) + 1.0)  # legends, and names of contexts
    said = max(text_width(_said(which, fit)) for (_, which), fit in result.fits.items())
    beyond = (said + 4 * letter()) / unit() - PANEL[0]  # of a legend, beside its panel
    figure, panels = panel_grid(
        (len(contexts), 1 + with_grid), PANEL,
        (1.15 if with_grid else 0.5, max(beyond, 0.12), 0.4, above),
        (0.62, above + 0.4),
    )  # fmt: skip
    for i, context in enumerate(contexts):
        curves = panels[i, -1]
        if with_grid:
            _draw_grid(panels[i, 0], result, i)
            panels[i, 0].set_title(f"{context} context")
        _draw_curves(curves, result, context, f"{context} context" if titled else None, colours)
    if with_grid:
        top, bottom = panels[0, 0].get_position(), panels[-1, 0].get_position()
        middle, height = (top.y1 + bottom.y0) / 2, PANEL[1] * unit() / figure.get_figheight()
        place = (0.47 * unit() / figure.get_figwidth(), middle - height / 2, 0.012, height)
        bar = figure.colorbar(panels[0, 0].images[0], cax=figure.add_axes(place))
        bar.ax.yaxis.set_ticks_position("left")
        bar.ax.yaxis.set_label_position("left")
        bar.set_label("fraction correct")
    return figure


def _draw_grid(axes: Any, result: PsychometricCurves, context: int) -> None:
    c, right = result.coherences, result.fraction_right
    assert c is not None and right is not None
    axes.imshow(right[context].T, origin="lower", vmin=0, vmax=1, cmap=SEQUENTIAL)
    ticks = np.unique(np.linspace(0, len(c) - 1, 5).round().astype(int))
    names = [with_minus(f"{c[t]:.2g}") for t in ticks]
    axes.set_xticks(ticks, names)
    axes.set_yticks(ticks, names)
    axes.set_xlabel("motion coherence")
    axes.set_ylabel("color coherence")


def _draw_curves(
    axes: Any,
    result: PsychometricCurves,
    context: str,
    title: str | None,
    colours: Mapping[str, Any],
) -> None:
    for (own, which), points in result.points.items():
        if own != context:
            continue
        color, fit = colours[context], result.fits[own, which]
        is_relevant = which == "relevant"
        low, high = points.interval
        p = points.fraction
        reach = np.maximum([p - low, high - p], 0)
        axes.errorbar(
            points.stimulus, p, reach, fmt="o", ms=3, lw=0.6, color=color,
            mfc=color if is_relevant else grey("white"), label=_said(which, fit),
        )  # fmt: skip
        fine = np.linspace(points.stimulus[0], points.stimulus[-1], 400)
        if fit.ok:
            axes.plot(fine, fit(fine), color=color, lw=1, ls="-" if is_relevant else "--")
        else:
            axes.plot(points.stimulus, p, ":", color=color, lw=0.8)
    axes.set_ylim(-0.05, 1.05)
    axes.set_xlabel("stimulus" if result.coherences is None else "coherence")
    axes.set_ylabel("fraction of + choices")
    # Above the panel: curves rise, fall or stay in the middle, so that no corner is free of them.
    axes.legend(
        loc="lower left", bbox_to_anchor=(0.0, 1.0), borderaxespad=0.2, title=title,
        alignment="left",
    )  # fmt: skip


def _said(which: str, fit: Any) -> str:
    """Return the legend of a curve: its slope with its error, or why it has none."""
    if np.isfinite(fit.slope):
        return with_minus(f"{which}: slope {_with_error(fit.slope, fit.slope_error)}")
    if np.isfinite(fit.slope_bound):
        sign = ">" if fit.slope_bound > 0 else "<"
        return with_minus(f"{which}: step, slope {sign} {float(f'{fit.slope_bound:.2g}'):g}")
    return f"{which}: {fit.status.replace('_', ' ')}"


def _with_error(value: float, error: float) -> str:
    """Return a number and its standard error, both to two digits of the error."""
    if not (np.isfinite(error) and error > 0):
        return f"{value:.2g}"
    decimals = max(1 - int(np.floor(np.log10(error))), 0)
    rounded = round(float(value), decimals) + 0.0  # without the sign of -0
    return f"{rounded:.{decimals}f} ± {error:.{decimals}f}"
