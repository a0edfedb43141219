"""The figure of psychometric curves: choices on the grid of coherences, and their fits."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure

from tasks_lib.cddm import CONTEXTS

from ..performance.psychometrics import PsychometricCurves, marginal_choices
from .palette import CONTEXTS as COLOURS
from .palette import SEQUENTIAL
from .style import plain_matplotlib


@plain_matplotlib()
def plot_psychometrics(result: PsychometricCurves) -> Figure:
    """Plot the grid of right choices and the curves, a row for each context.

    White cells have no right choice. Curves are the fits; where there is none, a dotted
    line joins the points. Those of the irrelevant coherence are dashed, with open points.
    """
    c = result.coherences
    figure = Figure(figsize=(5.6, 4.6), layout="constrained")
    panels = figure.subplots(2, 2, squeeze=False)
    for i, context in enumerate(CONTEXTS):
        grid, curves = panels[i]
        grid.imshow(result.fraction_right[i].T, origin="lower", vmin=0, vmax=1, cmap=SEQUENTIAL)
        ticks = np.unique(np.linspace(0, len(c) - 1, 5).round().astype(int))
        grid.set_xticks(ticks, [f"{c[t]:.2g}" for t in ticks])
        grid.set_yticks(ticks, [f"{c[t]:.2g}" for t in ticks])
        grid.set_xlabel("motion coherence")
        grid.set_ylabel("color coherence")
        grid.set_title(f"{context} context")
        fine = np.linspace(c[0], c[-1], 400)
        marginals = marginal_choices(result.fraction_plus[i], i)
        color = COLOURS[context]
        for which, points in marginals.items():
            relevant = which == "relevant"
            curves.plot(
                c, points, "o", ms=3, color=color, mfc=color if relevant else "white", label=which
            )
            fit = result.fits[context, which]
            if fit.ok:
                curves.plot(fine, fit(fine), color=color, lw=1, ls="-" if relevant else "--")
            else:
                curves.plot(c, points, ":", color=color, lw=0.8)
        curves.set_ylim(-0.05, 1.05)
        curves.set_xlabel("coherence")
        curves.set_ylabel("fraction of + choices")
        curves.legend(loc="lower left", bbox_to_anchor=(0.0, 1.0), borderaxespad=0.2)
    bar = figure.colorbar(panels[0, 0].images[0], ax=panels[:, 0], shrink=0.6, location="left")
    bar.set_label("fraction right")
    return figure
