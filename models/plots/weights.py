"""Figures of a network's weights: matrices, distributions, eigenvalues."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from tasks_lib.errors import ParameterError

from ..network.rnn_numpy import RNNNumpy
from .layout import fit_left, panel_grid, plan_legend
from .palette import DIVERGING, grey, ink
from .style import plain_matplotlib, unit

BLOCKS = ("W_inp", "W_rec", "W_out")


@plain_matplotlib()
def plot_weight_matrices(rnn: RNNNumpy, order: Sequence[int] | None = None) -> Figure:
    """Plot W_inp, W_rec and W_out as matrices, each on a scale that is symmetric about zero.

    Parameters
    ----------
    rnn : RNNNumpy
    order : sequence of int, optional
        Order of the units, a permutation; by default as they are.
    """
    units = np.arange(rnn.n_units) if order is None else np.asarray(order)
    if sorted(units.tolist()) != list(range(rnn.n_units)):
        raise ParameterError(
            "order", list(units[:5]), f"is no order of {rnn.n_units} units", "name each unit once"
        )
    blocks = {
        "W_inp": (rnn.W_inp[units], "input", "unit"),
        "W_rec": (rnn.W_rec[np.ix_(units, units)], "from unit", "to unit"),
        "W_out": (rnn.W_out[:, units].T, "output", "unit"),
    }
    narrow = {k: max(0.55, 0.12 * m[0].shape[1]) for k, m in blocks.items()}
    widths = [min(narrow["W_inp"], 0.95), 2.2, min(narrow["W_out"], 0.95)]
    u = unit()
    figure, grid = panel_grid(
        (1, 3), (sum(widths) / 3, 2.2), (0.5, 0.55, 0.42, 0.22), (1.02, 0.0),
        gridspec={"width_ratios": widths},
    )  # fmt: skip
    panels = grid[0]
    for axes, (name, (matrix, across, down)) in zip(panels, blocks.items(), strict=True):
        limit = float(np.abs(matrix).max()) or 1.0
        image = axes.imshow(
            matrix, cmap=DIVERGING, vmin=-limit, vmax=limit, aspect="auto", interpolation="nearest"
        )
        axes.set_title(name + (" transposed" if name == "W_out" else ""), pad=3)
        axes.set_xlabel(across)
        axes.set_ylabel(down)
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_major_locator(MaxNLocator(5, integer=True))
        place = axes.get_position()
        across_inch, bottom = u / figure.get_figwidth(), place.y0 + 0.15 * place.height
        bar = (place.x1 + 0.08 * across_inch, bottom, 0.07 * across_inch, 0.7 * place.height)
        figure.colorbar(image, cax=figure.add_axes(bar))
    return figure


@plain_matplotlib()
def plot_weight_histograms(rnn: RNNNumpy) -> Figure:
    """Plot the distribution of the weights of W_inp, W_rec and W_out that are not zero."""
    figure, grid = panel_grid((1, 3), (1.55, 1.25), (0.5, 0.1, 0.42, 0.22), (0.38, 0.0))
    for axes, name in zip(grid[0], BLOCKS, strict=True):
        weights = np.asarray(getattr(rnn, name)).ravel()
        present = weights[weights != 0]
        if present.size:
            axes.hist(present, bins=_bins(present), color=ink(), lw=0)
            axes.axvline(0, color=grey("0.5"), lw=0.6)
        share = 1 - present.size / weights.size
        axes.set_title(name + (f", {100 * share:.0f} % are zero" if share else ""), pad=3)
        axes.set_xlabel("weight (a.u.)")
        axes.locator_params(nbins=4)
    grid[0, 0].set_ylabel("number of weights")
    fit_left(figure, grid)
    return figure


@plain_matplotlib()
def plot_weight_eigenvalues(rnn: RNNNumpy) -> Figure:
    """Plot the eigenvalues of W_rec, and of the random matrix with as large entries.

    The grey circle has the radius sd(W_rec) sqrt(N), within which the eigenvalues of a random
    matrix lie (circular law); what lies outside is structure. The dashed line is real part 1: a
    linear network with W_rec alone would be unstable beyond.
    """
    values = np.linalg.eigvals(rnn.W_rec)
    radius = float(rnn.W_rec.std() * np.sqrt(rnn.n_units))
    angle = np.linspace(0, 2 * np.pi, 200)
    handles = [
        Line2D([], [], color=ink(), marker="o", ms=3, ls="", label="eigenvalues of W_rec"),
        Line2D([], [], color=grey("0.7"), lw=0.8, label="random, equal variance"),
        Line2D([], [], color=grey("0.4"), lw=0.8, ls="--", label="real part 1"),
    ]
    legend = plan_legend(handles, unit() * 3.0)
    figure, grid = panel_grid((1, 1), (2.3, 2.2), (0.5, 0.1, 0.42, 0.1), foot=legend.height)
    axes = grid[0, 0]
    axes.plot(radius * np.cos(angle), radius * np.sin(angle), color=grey("0.7"), lw=0.8)
    axes.axvline(1.0, color=grey("0.4"), lw=0.8, ls="--")
    axes.plot(values.real, values.imag, "o", ms=3, color=ink())
    axes.set_aspect("equal", adjustable="datalim")
    axes.set_xlabel("real part")
    axes.set_ylabel("imaginary part")
    fit_left(figure, grid)
    legend.draw(figure)
    return figure


def _bins(values: NDArray[np.float64]) -> int:
    """Return a number of bins: the square root of the number of values, 5 to 50."""
    return int(np.clip(np.sqrt(values.size), 5, 50))
