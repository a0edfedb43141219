"""Figures of trials: inputs, targets and outputs."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator
from numpy.typing import ArrayLike, NDArray

from tasks_lib.masks import asked

from .layout import fit_left, fitted, letter, panel_grid, plan_legend
from .palette import MASKED, colours_of_names, grey, ink
from .style import plain_matplotlib, time_label, unit

PANEL = (1.85, 1.0)  # inches


@plain_matplotlib()
def plot_trials(
    outputs: ArrayLike,
    targets: ArrayLike,
    mask: ArrayLike | None = None,
    dt: float = 1.0,
    titles: Sequence[str] | None = None,
    output_names: Sequence[str] | None = None,
) -> Figure:
    """Plot predicted (solid) and target (dashed, where it counts) outputs, a panel a trial.

    Steps at which no output is asked for anything are grey: those outside the mask, and those
    after the end of a shorter trial. An output that is asked nothing in all of a trial is not
    drawn there.

    Parameters
    ----------
    outputs, targets : array (n_outputs, T, B)
        Targets are NaN where nothing is asked.
    mask : array, optional
        Steps that count, as indices, booleans (T,) or (T, B). All by default.
    dt : float
        Duration of a step, for the time axis.
    titles : sequence of B str, optional
    output_names : sequence of str, optional
    """
    y, t = np.asarray(outputs), np.asarray(targets, dtype=np.float64)
    n_outputs, n_steps, n_trials = y.shape
    steps, counts = asked(t, mask)
    shown = np.full(t.shape, np.nan)
    shown[:, steps] = t[:, steps] if counts is None else np.where(counts, t[:, steps], np.nan)
    ignored = np.isnan(shown).all(axis=0)  # (T, B)
    # Of a task that is joined with others the outputs are asked nothing in trials of those.
    idle = np.isnan(shown).all(axis=1) & ~ignored.all(axis=0)  # (n_outputs, B)
    y = np.where(idle[:, None], np.nan, y)
    n_columns = min(n_trials, 3)
    n_rows = ceil(n_trials / n_columns)
    names = list(output_names or [f"output {i}" for i in range(n_outputs)])
    colours = list(colours_of_names(names).values())
    width = (PANEL[0] - 0.12) * unit()  # titles side by side are apart
    shown_titles = [fitted(title, width, "axes.titlesize") for title in titles or ()]
    n_lines = max((title.count("\n") + 1 for title in shown_titles), default=0)
    gap = 0.09 + 1.3 * letter("axes.titlesize") / unit() * n_lines
    least = 3.5
    legend = plan_legend(
        _handles(names, colours, shown, ignored),
        unit() * max(least, n_columns * (PANEL[0] + 0.12) + 0.6),
        most=n_outputs + 3,
    )
    figure, grid = panel_grid(
        (n_rows, n_columns), PANEL, (0.5, 0.1, 0.38, gap), (0.12, gap + 0.03), legend.height,
        least, sharex=True, sharey=True,
    )  # fmt: skip
    panels = grid.ravel()
    time = dt * np.arange(n_steps)
    low, high = (
        min(np.nanmin(y), np.nanmin(shown)),
        max(np.nanmax(y), np.nanmax(shown)),
    )
    margin = 0.05 * max(high - low, 1e-3)
    for b, axes in enumerate(panels):
        if b >= n_trials:
            axes.set_visible(False)
            continue
        for first, stop in runs(ignored[:, b]):
            axes.axvspan(dt * (first - 0.5), dt * (stop - 0.5), color=grey(MASKED), lw=0, zorder=0)
        for i in range(n_outputs):
            axes.plot(time, y[i, :, b], color=colours[i], lw=1.2)
            axes.plot(time, shown[i, :, b], color=colours[i], lw=1.2, ls="--", alpha=0.7)
        if titles is not None:
            axes.set_title(shown_titles[b], pad=3)
        if b % n_columns == 0:
            axes.set_ylabel("output (a.u.)")
        if b + n_columns >= n_trials:
            axes.set_xlabel(time_label(dt))
            axes.tick_params(labelbottom=True)
    panels[0].set_ylim(low - margin, high + margin)
    panels[0].set_xlim(0, time[-1] if n_steps > 1 else 1)
    panels[0].xaxis.set_major_locator(MaxNLocator(4))
    panels[0].yaxis.set_major_locator(MaxNLocator(5))
    fit_left(figure, grid)
    legend.draw(figure)
    return figure


def _handles(
    names: Sequence[str], colours: Sequence[Any], shown: NDArray[Any], ignored: NDArray[np.bool_]
) -> list[Any]:
    """Return what a legend names: outputs, the network and its targets, what does not count."""
    handles: list[Any] = [
        Line2D([], [], color=colour, lw=1.5, label=name)
        for name, colour in zip(names, colours, strict=True)
    ]
    handles.append(Line2D([], [], color=ink(), lw=1.2, label="network"))
    if np.isfinite(shown).any():
        handles.append(Line2D([], [], color=ink(), lw=1.2, ls="--", alpha=0.7, label="target"))
    if ignored.any():
        handles.append(Patch(color=grey(MASKED), label="does not count"))
    return handles


def runs(chosen: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """Return the half-open intervals of the steps that are chosen (T,)."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], chosen, [False]])))
    return [(int(first), int(stop)) for first, stop in edges.reshape(-1, 2)]
