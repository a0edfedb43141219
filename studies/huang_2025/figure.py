"""The figure: degeneracy at each level, by the bits of the task, the size, and with sparsity."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter, StrMethodFormatter
from numpy.typing import NDArray

from models.plots.palette import BLUE, GREEN, INK, ORANGE, TRIALS, VERMILLION
from models.plots.style import plain_matplotlib
from pipeline.reproduction.verdicts import STANDARD_DEVIATION, Summary, summarise, summarise_pairs

Float = NDArray[np.float64]
LEVELS = {
    "behaviour": ("behaviour:\nSD of the error in\nlonger trials", BLUE),
    "dynamics": ("dynamics:\nDSA distance", VERMILLION),
    "activity": ("activity:\nProcrustes\ndistance (rad)", ORANGE),
    "weights": ("weights:\ndistance of W_rec\nper weight (10⁻³)", GREEN),
}
BITS = ("bits_1", "bits_2", "bits_3", "bits_4")
SIZES = ("small", "bits_3", "large")
SPARSE = ("bits_3", "sparse")


@plain_matplotlib()
def draw(found: Mapping[str, Mapping[str, Float]], sizes: Mapping[str, int]) -> Figure:
    """Draw all levels; one of which no pair has a number is left out.

    Parameters
    ----------
    found : mapping of str to mapping
        By level and cohort, the matrix (n, n) of the distances between networks; of behaviour the
        numbers (n,) of the networks. "untrained" are the distances of the weights before training.
    sizes : mapping of str to int
        Units of the networks of each cohort.
    """
    levels = [n for n in LEVELS if any(np.isfinite(v).any() for v in found[n].values())]
    columns = (
        ("bits of the task", BITS, [label[-1] for label in BITS]),
        ("units (3 bits)", SIZES, [str(sizes.get(label, "-")) for label in SIZES]),
        ("penalty (3 bits)", SPARSE, ["none", "l1"]),
    )
    figure = Figure(figsize=(6.2, 1.15 * len(levels) + 0.6), layout="constrained")
    axes = figure.subplots(
        len(levels), 3, squeeze=False, sharey="row", sharex="col", width_ratios=(4, 3, 2)
    )
    for row, level in zip(axes, levels, strict=True):
        name, colour = LEVELS[level]
        scale = 1000.0 if level == "weights" else 1.0
        for ax, (_, labels, _) in zip(row, columns, strict=True):
            _draw_level(ax, [_scaled(found[level].get(label), scale) for label in labels], colour)
        row[0].set_ylabel(name)
        if level != "weights":
            row[0].set_ylim(0, None)
            continue
        row[0].set_yscale("log")
        row[0].yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        row[0].yaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
        row[0].yaxis.set_minor_formatter(NullFormatter())
        for ax, (_, labels, _) in zip(row, columns, strict=True):
            _draw_untrained(ax, [_scaled(found["untrained"].get(n), scale) for n in labels])
        row[0].legend(loc="lower left")
    for ax, (name, labels, ticks) in zip(axes[-1], columns, strict=True):
        ax.set_xticks(range(len(labels)), ticks)
        ax.set(xlabel=name, xlim=(-0.5, len(labels) - 0.5))
    figure.align_ylabels(axes[:, 0])
    return figure


def _draw_level(ax: Axes, groups: list[Float | None], colour: str) -> None:
    """Draw the numbers of pairs, and their mean with its interval; of networks the spread."""
    means = {}
    for x, values in enumerate(groups):
        if values is None:
            continue
        if values.ndim == 2:
            pairs = values[np.triu_indices(len(values), 1)]
            shift = np.linspace(-0.18, 0.18, len(pairs))
            ax.plot(x + shift, pairs, "o", color=TRIALS, ms=1.5, mew=0, zorder=1)
        found = _summary(values)
        if found.value is not None:
            means[x] = found.value
        if found.low is not None and found.high is not None:
            ax.plot([x, x], [found.low, found.high], color=colour, lw=1)
    ax.plot(list(means), list(means.values()), "o-", color=colour, ms=3.5, lw=1)


def _draw_untrained(ax: Axes, groups: list[Float | None]) -> None:
    """Draw the mean distance before training, as a short line for each group."""
    for x, values in enumerate(groups):
        if values is not None and (mean := summarise_pairs(values).value) is not None:
            name = None if x else "before training"
            ax.plot([x - 0.3, x + 0.3], [mean, mean], color=INK, lw=1, ls="--", label=name)


def _scaled(values: Float | None, factor: float) -> Float | None:
    return None if values is None else values * factor


def _summary(values: Float) -> Summary:
    if values.ndim == 2:
        return summarise_pairs(values)
    return summarise(values.tolist(), STANDARD_DEVIATION)
