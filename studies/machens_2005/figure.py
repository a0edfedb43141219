"""The figure: trials over the line of the delay, units' codes, and weights between them."""

from __future__ import annotations

import numpy as np
from matplotlib import colormaps
from matplotlib.figure import Figure
from numpy.typing import NDArray

import models
from models.plots.palette import BLACK, DIVERGING, SEQUENTIAL
from models.plots.style import plain_matplotlib
from tasks_lib import TwoIntervalComparison

from .tuning import Codes

Float = NDArray[np.float64]


@plain_matplotlib()
def draw(
    rnn: models.RNNNumpy, task: TwoIntervalComparison, found: Codes, line: Float | None, seed: int
) -> Figure:
    """Draw one network.

    Parameters
    ----------
    rnn, task
    found : Codes
    line : array (M, N), optional
        States along the line of the delay.
    seed : int
        Of the trials.
    """
    figure = Figure(figsize=(6.9, 2.3), layout="constrained")
    plane, tuning, weights = figure.subplots(1, 3)
    trials = models.get_trials(rnn, task, seed=seed)
    delay = trials.states.isel(time=slice(task.stim_on_first, task.stim_on_second - 20)).values
    frequencies = found.frequencies
    colours = colormaps[SEQUENTIAL](np.linspace(0, 0.9, len(frequencies)))
    means = np.stack(
        [delay[trials.first_frequency.values == f].mean(axis=0) for f in frequencies]
    )  # (F, T, N)
    centre = means.reshape(-1, rnn.N).mean(axis=0)
    axes = np.linalg.svd(means.reshape(-1, rnn.N) - centre, full_matrices=False)[2][:2].T
    for colour, f, path in zip(colours, frequencies, means, strict=True):
        plane.plot(*((path - centre) @ axes).T, color=colour, lw=1, label=f"{f:g}")
        plane.plot(*((path[-1] - centre) @ axes), "o", color=colour, ms=3)
    low, high = (
        np.array(limits) for limits in zip(plane.get_xlim(), plane.get_ylim(), strict=True)
    )
    if line is not None:
        plane.plot(*((line - centre) @ axes).T, color=BLACK, lw=0.8, ls="--", label="line")
    margin = 0.15 * (high - low)
    plane.set_xlim(low[0] - margin[0], high[0] + margin[0])
    plane.set_ylim(low[1] - margin[1], high[1] + margin[1])
    plane.set(xlabel="PC 1 of the delay", ylabel="PC 2")
    plane.legend(
        title="first (Hz)", fontsize=5, title_fontsize=5, handlelength=1, ncols=2, loc="upper left",
        columnspacing=0.6,
    )  # fmt: skip
    signs = found.signs
    for unit in np.flatnonzero(signs):
        colour = colormaps[DIVERGING](0.85 if signs[unit] > 0 else 0.15)
        tuning.plot(frequencies, found.delay[:, unit], color=colour, lw=0.6)
    tuning.set(xlabel="first frequency (Hz)", ylabel="rate late in the delay")
    order = np.argsort(-signs, kind="stable")
    order = order[signs[order] != 0]
    matrix = rnn.W_rec[np.ix_(order, order)]
    largest = float(np.quantile(np.abs(matrix), 0.98)) if matrix.size else 1.0
    image = weights.imshow(matrix, cmap=DIVERGING, vmin=-largest, vmax=largest)
    border = int((signs == 1).sum()) - 0.5
    weights.axhline(border, color="black", lw=0.5)
    weights.axvline(border, color="black", lw=0.5)
    weights.set(xlabel="from: rising | falling units", ylabel="to", xticks=[], yticks=[])
    figure.colorbar(image, ax=weights, label="weight", shrink=0.8)
    return figure
