"""The figure: task variances of the units by cluster, and what lesions of clusters change."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.colors import Colormap
from matplotlib.figure import Figure
from numpy.typing import NDArray

from models.plots.palette import DIVERGING, INK, SEQUENTIAL
from models.plots.style import plain_matplotlib

from .lesions import Float, Lesions

LARGEST = 0.5  # change of R^2 at the ends of the colours, as in the paper
NUMBER_SIZE = 5.5  # points, of clusters


@plain_matplotlib()
def draw(
    variances: Float, labels: NDArray[np.int64], found: Lesions, tasks: Sequence[str]
) -> Figure:
    """Draw one network.

    Parameters
    ----------
    variances : array (M, F)
        Normalised task variance of M units, in the tasks of ``found``.
    labels : array (M,) of int
        Cluster of each.
    found : Lesions
    tasks : sequence of str
        In the order in which they are drawn.
    """
    rows = [found.tasks.index(name) for name in tasks if name in found.tasks]
    order = np.argsort(found.variances[:, rows].argmax(axis=1), kind="stable")  # as in the paper
    units = np.concatenate(
        [np.flatnonzero(labels == cluster) for cluster in order]
    )  # sorted by cluster
    edges = np.concatenate([[0], np.cumsum(np.array(found.sizes)[order])]) - 0.5
    figure = Figure(figsize=(6.9, 2.5), layout="constrained")
    first, second, third = figure.subplots(1, 3, width_ratios=(2.1, 1, 1), sharey=True)
    image = _matrix(first, variances[units][:, rows].T, SEQUENTIAL, 0.0, 1.0)
    for edge in edges[1:-1]:
        first.axvline(edge, color="white", lw=0.8)
    first.set_xticks(
        (edges[1:] + edges[:-1]) / 2, [str(i + 1) for i in range(len(order))], fontsize=NUMBER_SIZE
    )
    first.set_yticks(range(len(rows)), [found.tasks[row] for row in rows])
    first.set(
        title=f"task variance of {len(units)} units,\nover a unit's largest", xlabel="cluster"
    )
    figure.colorbar(image, ax=first, ticks=[0, 0.5, 1], pad=0.02)
    for axes, values, title in (
        (second, found.falls, "change of R² without\nthe cluster"),
        (third, found.random_falls, "without as many\nrandom units"),
    ):
        image = _matrix(axes, -values[order][:, rows].T, DIVERGING, -LARGEST, LARGEST)
        axes.set_xticks(
            range(len(order)), [str(i + 1) for i in range(len(order))], fontsize=NUMBER_SIZE
        )
        axes.set(title=title, xlabel="cluster")
    figure.colorbar(
        image, ax=[second, third], ticks=[-LARGEST, 0, LARGEST], pad=0.02, extend="min"
    )  # fmt: skip
    return figure


def _matrix(axes: Any, values: Float, colours: str | Colormap, low: float, high: float) -> Any:
    image = axes.imshow(
        values, aspect="auto", interpolation="nearest", cmap=colours, vmin=low, vmax=high
    )
    axes.tick_params(length=0, colors=INK)
    axes.spines[:].set_visible(False)
    return image
