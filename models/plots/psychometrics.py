"""The figure of psychometric curves: choices by the strength of stimuli, and their fits."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.figure import Figure

from ..performance.psychometrics import PsychometricCurves
from .palette import CONTEXTS, INK, SEQUENTIAL
from .style import plain_matplotlib, unit


@plain_matplotlib()
def plot_psychometrics(result: PsychometricCurves) -> Figure:
    """Plot the curves, a row for each context, and the grid of right choices where there is one.

    White cells have no right choice. Bars are intervals of 95 %. Curves are the fits; where there
    is none, a dotted line joins the points and the legend says why. Colour is the context; the
    irrelevant stimulus has open points and a dashed curve.
    """
    contexts = list(dict.fromkeys(context for context, _ in result.points))
    with_grid = result.fraction_right is not None
    size = (5.6, 0.6 + 2.0 * len(contexts)) if with_grid else (3.2, 0.4 + 2.2 * len(contexts))
    figure = Figure(figsize=(size[0] * unit(), size[1] * unit()), layout="constrained")
    panels = figure.subplots(len(contexts), 1 + with_grid, squeeze=False)
    for i, context in enumerate(contexts):
        curves = panels[i, -1]
        if with_grid:
            _draw_grid(panels[i, 0], result, i)
            panels[i, 0].set_title(f"{context} context")
        elif len(contexts) > 1:
            curves.set_title(context, pad=24)
        _draw_curves(curves, result, context)
    if with_grid:
        bar = figure.colorbar(panels[0, 0].images[0], ax=panels[:, 0], shrink=0.6, location="left")
        bar.set_label("fraction right")
    return figure


def _draw_grid(axes: Any, result: PsychometricCurves, context: int) -> None:
    c, right = result.coherences, result.fraction_right
    assert c is not None and right is not None
    axes.imshow(right[context].T, origin="lower", vmin=0, vmax=1, cmap=SEQUENTIAL)
    ticks = np.unique(np.linspace(0, len(c) - 1, 5).round().astype(int))
    axes.set_xticks(ticks, [f"{c[t]:.2g}" for t in ticks])
    axes.set_yticks(ticks, [f"{c[t]:.2g}" for t in ticks])
    axes.set_xlabel("motion coherence")
    axes.set_ylabel("color coherence")


def _draw_curves(axes: Any, result: PsychometricCurves, context: str) -> None:
    for (own, which), points in result.points.items():
        if own != context:
            continue
        color, fit = CONTEXTS.get(context, INK), result.fits[own, which]
        is_relevant = which == "relevant"
        low, high = points.interval
        p = points.fraction
        reach = np.maximum([p - low, high - p], 0)
        axes.errorbar(
            points.stimulus, p, reach, fmt="o", ms=3, lw=0.6, color=color,
            mfc=color if is_relevant else "white", label=_said(which, fit),
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
    axes.legend(loc="lower left", bbox_to_anchor=(0.0, 1.0), borderaxespad=0.2)


def _said(which: str, fit: Any) -> str:
    """Return the legend of a curve: its slope with its error, or why it has none."""
    if np.isfinite(fit.slope):
        return f"{which}: slope {_with_error(fit.slope, fit.slope_error)}"
    if np.isfinite(fit.slope_bound):
        sign = ">" if fit.slope_bound > 0 else "<"
        return f"{which}: step, slope {sign} {fit.slope_bound:.2g}"
    return f"{which}: {fit.status.replace('_', ' ')}"


def _with_error(value: float, error: float) -> str:
    """Return a number and its standard error, both to two digits of the error."""
    if not (np.isfinite(error) and error > 0):
        return f"{value:.2g}"
    decimals = max(1 - int(np.floor(np.log10(error))), 0)
    rounded = round(float(value), decimals) + 0.0  # without the sign of -0
    return f"{rounded:.{decimals}f} ± {error:.{decimals}f}"
