"""The figure of clusters of units: features, sorted weights, weights between clusters."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from ..populations.clusters import COMPONENT, UnitClusters
from .layout import fitted, panel_grid, text_width
from .palette import DIVERGING, SEQUENTIAL, ink, pale
from .populations import say_why
from .style import plain_matplotlib, unit

PANEL = (1.9, 1.5)  # inches
MARGINS, GAPS = (0.5, 0.65, 0.45, 0.25), (1.25, 1.25)
LONGEST = 1.1  # name of a feature that is drawn whole, inches
WHY_SIZE = (3.5, 1.0)  # of a figure that says why there is none, inches


@plain_matplotlib()
def plot_clusters(result: UnitClusters, W_rec: NDArray[np.float64]) -> Figure:
    """Plot clusters of units, in four panels.

    Row by row: features of the units, sorted by cluster (variances over a unit's largest, or scores
    of its response); W_rec in the same order; mean
    weights between clusters; mean silhouette by the number of clusters, grey the value of permuted
    features. Where there are no clusters, the figure says why.

    Parameters
    ----------
    result : UnitClusters
        Of `models.get_clusters`.
    W_rec : array (N, N)
        Recurrent weights of the network.
    """
    if not result.n_clusters:
        figure, grid = panel_grid((1, 1), WHY_SIZE, (0.1, 0.1, 0.1, 0.1))
        say_why(grid[0, 0], f"no clusters:\n{result.reason}")
        return figure
    named = len(result.feature_names) == result.features.shape[1]
    size = "xtick.labelsize"
    names = [fitted(name, LONGEST * unit(), size, lines=1) for name in result.feature_names]
    left, right, bottom, top = MARGINS
    if named:  # turned, they begin left of the panel
        first = text_width(names[0], size) / unit() - PANEL[0] / len(names)
        left = max(left, first * np.sqrt(0.5) + 0.1)
    figure, grid = panel_grid((2, 2), PANEL, (left, right, bottom, top), GAPS)
    features, weights, blocks, silhouette = grid.ravel()
    order = np.lexsort((-result.unit_silhouettes, result.labels))
    edges = np.cumsum(np.bincount(result.labels))[:-1] - 0.5
    image = features.imshow(
        result.features[order], aspect="auto", interpolation="nearest", cmap=SEQUENTIAL
    )
    what = "scores" if result.feature_names == (COMPONENT,) else "relative variance"
    features.set_title(f"{what}, {len(order)} units")
    features.set_ylabel("units by cluster")
    if named:
        features.set_xticks(range(len(names)), names, rotation=45, ha="right")
    else:
        features.set_xlabel(result.feature_names[0])
    _bar(figure, features, image)
    sorted_units = result.units[order]
    _matrix(figure, weights, W_rec[np.ix_(sorted_units, sorted_units)], "W_rec")
    weights.set_xlabel("from unit")
    weights.set_ylabel("to unit")
    for axes, across in ((features, False), (weights, True)):
        for edge in edges:
            axes.axhline(edge, color=ink(), lw=0.6)
            if across:
                axes.axvline(edge, color=ink(), lw=0.6)
    _matrix(figure, blocks, result.weights, "mean weight")
    blocks.set_xlabel("from cluster")
    blocks.set_ylabel("to cluster")
    numbers = sorted(result.silhouettes)
    silhouette.plot(numbers, [result.silhouettes[k] for k in numbers], "o-", ms=3, color=ink())
    if result.chance is not None:
        (chance,) = silhouette.plot([result.n_clusters], [result.chance], "o", ms=4, color=pale())
        # Above the panel: the curve may be anywhere in it.
        silhouette.legend(
            [chance], ["permuted features"], loc="lower right", bbox_to_anchor=(1.0, 1.1),
            borderaxespad=0.0,
        )  # fmt: skip
    silhouette.set_title(
        "silhouette" if result.stability is None else f"stability {result.stability:.2f}"
    )
    silhouette.set_xlabel("clusters")
    silhouette.set_ylabel("mean silhouette")
    for axis in (blocks.xaxis, blocks.yaxis, silhouette.xaxis):
        axis.set_major_locator(MaxNLocator(5, integer=True))
    return figure


def _matrix(figure: Figure, axes: Any, matrix: NDArray[np.float64], title: str) -> None:
    limit = float(np.abs(matrix).max()) or 1.0
    image = axes.imshow(
        matrix, cmap=DIVERGING, vmin=-limit, vmax=limit, aspect="auto", interpolation="nearest"
    )
    axes.set_title(title)
    _bar(figure, axes, image)


def _bar(figure: Figure, axes: Any, image: Any) -> None:
    box = axes.get_position()
    figure.colorbar(image, cax=figure.add_axes((box.x1 + 0.008, box.y0, 0.011, box.height)))
