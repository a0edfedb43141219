"""Figures of basins of attraction: on the flow in a plane of states, and their shares."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from numpy.typing import ArrayLike

from ..network.rnn_numpy import RNNNumpy
from ..populations.basins import BasinShares
from .layout import panel_grid, plan_legend
from .lyapunov import named_places
from .palette import categories, grey, ink, pale
from .populations import say_why
from .projection import Projection
from .style import plain_matplotlib, unit

PANEL = (2.6, 2.4)  # inches
N_ARROWS = 15
MOST_POINTS = 8  # attractors that are told apart


@plain_matplotlib()
def plot_basins(
    rnn: RNNNumpy, u: ArrayLike, basins: BasinShares, P: ArrayLike | Projection | None = None
) -> Figure:
    """Plot where starts end, over the flow in a plane of states.

    Dots are starts in the colour of the attractor (large) in which they end, grey those that end
    elsewhere. Arrows are F in the plane through the centre of the frame, as far as it lies in the
    plane: what leads out of it is not seen.

    Parameters
    ----------
    rnn : RNNNumpy
    u : array (n_inputs,)
        The input.
    basins : BasinShares
        Of `models.get_basins`.
    P : Projection or array (N, 2), optional
        Frame; by default the principal components of starts and attractors.
    """
    states = np.concatenate([basins.starts, basins.attractors]).T
    if P is None:
        n_axes = min(2, rnn.n_units)
        frame = Projection.principal(states, n_axes)
    else:
        frame = Projection.of(P, rnn.n_units, 2)
    at = frame(states)
    if len(at) == 1:  # one unit: the line is drawn in a plane
        at = np.vstack([at, np.zeros(at.shape[1])])
    n_starts = len(basins.starts)
    starts, points = at[:, :n_starts], at[:, n_starts:]
    colours = [categories()[i % len(categories())] for i in range(len(basins.attractors))]
    handles = [
        Line2D([], [], marker="o", ls="", color=colours[i], label=f"{100 * share:.0f} %")
        for i, share in enumerate(basins.shares[:MOST_POINTS])
    ]
    if not len(basins.attractors):
        handles.append(Line2D([], [], marker="o", ls="", color=pale(), label="no stable point"))
    elif basins.elsewhere:
        label = f"elsewhere {100 * basins.elsewhere:.0f} %"
        handles.append(Line2D([], [], marker="o", ls="", color=pale(), label=label))
    legend = plan_legend(handles, unit() * 3.3, "share of starts")
    figure, grid = panel_grid((1, 1), PANEL, (0.6, 0.1, 0.45, 0.1), foot=legend.height)
    axes = grid[0, 0]
    low, high = at.min(axis=1), at.max(axis=1)
    edge = 0.05 * np.maximum(high - low, 1e-9)
    if frame.directions.shape[1] == 2:
        x, y = np.meshgrid(
            *(np.linspace(a, b, N_ARROWS) for a, b in zip(low - edge, high + edge, strict=True))
        )
        plane = frame.centre[:, None] + np.linalg.pinv(frame.directions.T) @ np.stack(
            [x.ravel(), y.ravel()]
        )
        flow = frame.vectors(rnn.rhs(plane, np.asarray(u, dtype=np.float64)))
        size = np.linalg.norm(flow, axis=0)
        shown = flow / np.maximum(size, 1e-300) * np.sqrt(size / max(float(size.max()), 1e-300))
        axes.quiver(x.ravel(), y.ravel(), *shown, color=grey("0.75"), width=0.004, zorder=0)
    for which in (-1, *range(len(basins.attractors))):
        own = basins.which == which
        colour = pale() if which < 0 else colours[which]
        axes.plot(*starts[:, own], "o", ms=2, color=colour, mew=0)
    for i in range(points.shape[1]):
        axes.plot(*points[:, i : i + 1], "o", ms=7, color=colours[i], mec=grey("white"), mew=0.8)
    labels = [f"{name} (a.u.)" for name in frame.names]
    axes.set_xlabel(labels[0])
    axes.set_ylabel(labels[1] if len(labels) > 1 else "")
    legend.draw(figure)
    return figure


@plain_matplotlib()
def plot_basin_shares(basins: Mapping[str, BasinShares]) -> Figure:
    """Plot the share of starts that ends at each stable point, at several inputs.

    A dot is a stable point, with its interval of 95 % (Wilson 1927), from the largest share to the
    smallest; a grey dot is the share that ends at none. At an input without a stable point there
    is no share, and the figure says so.

    Parameters
    ----------
    basins : mapping of str to BasinShares
        Name of a constant input -> its basins, of `models.get_basins`.
    """
    handles = [
        Line2D([], [], marker="o", ls="-", lw=0.8, ms=3, color=ink(), label="stable point"),
        Line2D([], [], marker="o", ls="", ms=3, color=pale(), label="elsewhere"),
    ]
    _, axes, finish = named_places(list(basins), handles)
    if not basins:
        say_why(axes, "no fixed points were searched")
        return finish()
    for place, one in enumerate(basins.values()):
        if not len(one.attractors):
            axes.text(place, 0.5, "no stable point", rotation=90, ha="center", va="center",
                      fontsize=6)  # fmt: skip
            continue
        order = np.argsort(-one.shares, kind="stable")
        beside = place + np.linspace(-0.25, 0.15 if len(order) > 1 else -0.25, len(order))
        shares, intervals = one.shares[order], one.intervals[order]
        axes.vlines(beside, *intervals.T, color=ink(), lw=0.8)
        axes.plot(beside, shares, "o", ms=3, mew=0, color=ink())
        axes.plot([place + 0.3], [one.elsewhere], "o", ms=3, mew=0, color=pale())
    axes.set_ylim(-0.03, 1.03)
    axes.set_ylabel("share of starts")
    return finish()
