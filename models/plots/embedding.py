"""The figure of compared networks: their embedding, their distances, what these go with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib import rcParams
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from tasks_lib.errors import ParameterError, use_one_of

from ..comparison.embedding import NetworkEmbedding
from ..comparison.related import COMPARED
from .layout import equal_scale, fitted, panel_grid, plan_legend
from .palette import SEQUENTIAL, colours_of_values, grey, ink, pale
from .populations import say_why
from .style import plain_matplotlib, unit

PANEL = (2.0, 1.9)  # inches
MARGINS, GAPS = (0.62, 0.15, 0.45, 0.35), (0.85, 0.0)
MOST_BARS = 8  # parameters
MARKERS = "osD^v<>PX*"  # of classes


@plain_matplotlib()
def plot_embedding(
    result: NetworkEmbedding,
    parameters: Mapping[str, Sequence[Any]] | None = None,
    colour: str | None = None,
    distance: str = "distance",
) -> Figure:
    """Plot compared networks, in three panels.

    From left to right: each network in the first two dimensions, its colour the value of a
    parameter and its marker its class; distances, sorted by class and within it by that parameter;
    the share of squared distances that is between values of each parameter, grey the mean of
    permuted networks, a star where no more than 5 % of these reach it. Where there is no
    embedding, the panels say why.

    Parameters
    ----------
    result : NetworkEmbedding
        Of `models.embed_networks`.
    parameters : dict, optional
        Name -> value of each network, as they were given there.
    colour : str, optional
        Which of them is shown; the one that explains most beyond chance by default.
    distance : str
        What the distances are.

    Raises
    ------
    ParameterError
        For a parameter that was not given.
    """
    given = dict(parameters or {})
    if colour is not None and colour not in given:
        raise ParameterError(
            "colour", colour, "is no parameter in which networks differ", use_one_of(colour, given)
        )
    if not len(result.coordinates):
        figure, grid = panel_grid((1, 3), PANEL, MARGINS, GAPS)
        for axes in grid[0]:
            say_why(axes, result.status.replace("_", " "))
        return figure
    shown = colour or _strongest(result, given)
    values = [given[shown][i] for i in result.networks] if shown else [""] * len(result.networks)
    colours = _colours(shown, values)
    width = unit() * (3 * PANEL[0] + 2 * GAPS[0] + 0.4)
    legend = plan_legend(_handles(colours), width, shown or None, most=6)
    figure, grid = panel_grid((1, 3), PANEL, MARGINS, GAPS, legend.height)
    scatter, matrix, bars = grid[0]
    _draw_points(figure, scatter, result, [colours[_text(v)] for v in values])
    _draw_distances(figure, matrix, result, values, distance)
    _draw_bars(bars, result)
    legend.draw(figure)
    return figure


def _strongest(result: NetworkEmbedding, given: Mapping[str, Sequence[Any]]) -> str:
    known = [one for one in result.parameters if one.status == COMPARED and one.name in given]
    if not known:
        return next(iter(given), "")
    # Of several that are as strong, the one with the shortest name to read.
    return min(known, key=lambda one: (-round(one.beyond_chance, 9), len(one.name))).name


def _text(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _colours(name: str, values: Sequence[Any]) -> dict[str, Any]:
    """Return the colour of each value, by its text; numbers in their order."""
    numbers = all(isinstance(v, int | float) and not isinstance(v, bool) for v in values)
    if not numbers:
        distinct = sorted({_text(v) for v in values})
        return dict(zip(distinct, colours_of_values(name, np.array(distinct)), strict=True))
    ordered = sorted(set(values))
    found = colours_of_values(name, np.array(ordered, dtype=np.float64))
    return {_text(v): c for v, c in zip(ordered, found, strict=True)}


def _handles(colours: Mapping[str, Any]) -> list[Line2D]:
    """Return the entries of the legend; of many values some."""
    names = list(colours)
    if len(names) > 12:
        names = [names[i] for i in np.linspace(0, len(names) - 1, 6).round().astype(int)]
    return [
        Line2D([], [], color=colours[name], marker="o", ls="", ms=4, label=name)
        for name in names
        if name
    ]


def _draw_points(figure: Figure, axes: Axes, result: NetworkEmbedding, colours: list[Any]) -> None:
    points = result.coordinates[:, :2]
    for label in range(result.n_classes):
        own = np.flatnonzero(result.labels == label)
        axes.scatter(
            points[own, 0], points[own, 1], c=[colours[i] for i in own], s=16,
            marker=MARKERS[label % len(MARKERS)], linewidths=0.4, edgecolors=grey("white"),
        )  # fmt: skip
    room = 0.08 * float(np.ptp(points, axis=0).max())
    equal_scale(figure, axes, points.min(axis=0) - room, points.max(axis=0) + room)
    axes.set_title(f"{len(points)} networks, stress {result.stress:.2f}")
    axes.set_xlabel("first dimension")
    axes.set_ylabel("second dimension")


def _draw_distances(
    figure: Figure, axes: Axes, result: NetworkEmbedding, values: Sequence[Any], distance: str
) -> None:
    numbers = all(isinstance(v, int | float) for v in values)
    place = {v: i for i, v in enumerate(sorted(set(values), key=None if numbers else str))}
    order = np.lexsort((np.array([place[v] for v in values]), result.labels))
    image = axes.imshow(
        result.distances[np.ix_(order, order)], cmap=SEQUENTIAL, vmin=0.0,
        interpolation="nearest", aspect="auto",
    )  # fmt: skip
    for edge in np.cumsum(np.bincount(result.labels))[:-1] - 0.5:
        axes.axhline(edge, color="white", lw=0.6)
        axes.axvline(edge, color="white", lw=0.6)
    said = f"{result.n_classes} classes"
    if result.class_p is not None:
        said += f", p {result.class_p:.2g}"
    axes.set_title(said)
    axes.set_xlabel("networks by class")
    box = axes.get_position()
    bar = figure.colorbar(image, cax=figure.add_axes((box.x1 + 0.005, box.y0, 0.008, box.height)))
    bar.set_label(distance.replace("_", " "))


def _draw_bars(axes: Axes, result: NetworkEmbedding) -> None:
    known = [one for one in result.parameters if one.status == COMPARED]
    known = sorted(known, key=lambda one: -one.beyond_chance)[:MOST_BARS]
    if not known:
        say_why(axes, "no parameter to compare")
        return
    for i, one in enumerate(known):
        explained = one.explained or 0.0
        axes.barh(i + 0.2, explained, color=ink(), height=0.4)
        if one.explained_chance is not None:
            axes.plot([one.explained_chance] * 2, [i, i + 0.4], color=pale(), lw=2)
        name = fitted(one.name.replace("_", " "), PANEL[0] * unit() * 0.95, "ytick.labelsize", 1)
        is_strong = one.explained_p is not None and one.explained_p <= 0.05
        # Above its bar: names are long, and panels narrow.
        axes.text(0.01, i - 0.02, name + " *" * is_strong, va="bottom", ha="left",
                  fontsize=rcParams["ytick.labelsize"])  # fmt: skip
    axes.set_ylim(max(len(known), 3) - 0.5, -0.6)
    axes.set_xlim(0.0, 1.0)
    axes.set_yticks([])
    axes.set_title("what distances go with")
    axes.set_xlabel("share explained")
