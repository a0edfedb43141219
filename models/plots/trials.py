"""Figures of trials: inputs, targets and outputs."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil

import numpy as np
from matplotlib import colormaps
from matplotlib.figure import Figure
from numpy.typing import ArrayLike, NDArray

from tasks_lib.masks import asked

from .style import FONT_SIZE, MASKED, plain_matplotlib, style_axes


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
    after the end of a shorter trial.

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
    n_columns = min(n_trials, 3)
    n_rows = ceil(n_trials / n_columns)
    figure = Figure(
        figsize=(max(2.35 * n_columns, 3.5), 1.45 * n_rows + 0.55), layout="constrained"
    )
    panels = figure.subplots(n_rows, n_columns, sharex=True, sharey=True, squeeze=False).ravel()
    time = dt * np.arange(n_steps)
    low, high = min(y.min(), np.nanmin(shown)), max(y.max(), np.nanmax(shown))
    margin = 0.05 * max(high - low, 1e-3)
    names = output_names or [f"output {i}" for i in range(n_outputs)]
    for b, axes in enumerate(panels):
        if b >= n_trials:
            axes.set_visible(False)
            continue
        for first, stop in runs(ignored[:, b]):
            axes.axvspan(dt * (first - 0.5), dt * (stop - 0.5), color=MASKED, lw=0, zorder=0)
        for i in range(n_outputs):
            color = colormaps["tab10"](i % 10)
            axes.plot(time, y[i, :, b], color=color, lw=1.2, label=names[i])
            axes.plot(time, shown[i, :, b], color=color, lw=1.2, ls="--", alpha=0.7)
        axes.set_ylim(low - margin, high + margin)
        axes.set_xlim(0, time[-1] if n_steps > 1 else 1)
        if titles is not None:
            axes.set_title(titles[b])
        if b % n_columns == 0:
            axes.set_ylabel("output (a.u.)")
        if b + n_columns >= n_trials:
            axes.set_xlabel("time (units of dt)" if dt == 1 else "time")
            axes.tick_params(labelbottom=True)
        style_axes(axes)
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(
        handles,
        labels,
        loc="outside lower center",
        ncols=min(n_outputs, 4),
        fontsize=FONT_SIZE - 1,
        frameon=False,
        title="solid: network, dashed: target" + (", grey: does not count" * bool(ignored.any())),
        title_fontsize=FONT_SIZE - 1,
    )
    return figure


def runs(chosen: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """Return the half-open intervals of the steps that are chosen (T,)."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], chosen, [False]])))
    return [(int(first), int(stop)) for first, stop in edges.reshape(-1, 2)]
