"""The figure: fixed points with the transitions between memories, and how many there are."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

import models
from models.plots.palette import BLUE, GREEN, ORANGE, TRIALS, VERMILLION
from models.plots.style import plain_matplotlib

Float = NDArray[np.float64]
COLOURS, MARKERS = (BLUE, VERMILLION, ORANGE, GREEN), "osD^"
PAPER = (8, 12, 6, 1)


@plain_matplotlib()
def draw(
    points: models.FixedPointSet, runs: Float | None, counts: Sequence[Sequence[int]]
) -> Figure:
    """Draw one network's points in three dimensions, and the counts of all networks.

    Parameters
    ----------
    points : FixedPointSet
    runs : array (N, T, B), optional
        Transitions at the weakest pulse.
    counts : sequence of (4,)
        Of each network, points with 0, 1, 2 and 3 unstable modes.
    """
    figure = Figure(figsize=(6.6, 2.9), layout="constrained")
    left = figure.add_subplot(1, 2, 1, projection="3d")
    right = figure.add_subplot(1, 2, 2)
    left.set_box_aspect(None, zoom=0.92)
    states = points.points
    centre = states.mean(axis=0)
    axes = np.linalg.svd(states - centre, full_matrices=False)[2][:3].T  # (N, 3)
    if runs is not None:
        for i in range(runs.shape[2]):
            left.plot(*((runs[:, :, i].T - centre) @ axes).T, color=TRIALS, lw=0.7, zorder=1)
    for modes, (colour, marker) in enumerate(zip(COLOURS, MARKERS, strict=True)):
        shown = (states[points.n_unstable == modes] - centre) @ axes
        left.scatter(
            *shown.T, c=colour, marker=marker, s=22, depthshade=False, edgecolors="white",
            linewidths=0.4, label=f"{modes}", zorder=2,
        )  # fmt: skip
    left.set(xlabel="PC 1", ylabel="PC 2", zlabel="PC 3")
    for axis in (left.xaxis, left.yaxis, left.zaxis):
        axis.labelpad = -12
    left.set_xticks([])
    left.set_yticks([])
    left.set_zticks([])
    left.view_init(elev=18, azim=-62)
    left.legend(title="unstable modes", ncols=4, loc="upper center", bbox_to_anchor=(0.5, 1.12))
    numbers = np.asarray(counts)
    for modes in range(4):
        shift = np.linspace(-0.2, 0.2, len(numbers)) if len(numbers) > 1 else np.zeros(1)
        right.plot(
            modes + shift, numbers[:, modes], MARKERS[modes], color=COLOURS[modes], ms=4, mew=0
        )
        right.plot([modes - 0.35, modes + 0.35], [PAPER[modes]] * 2, color="0.4", lw=1, zorder=0)
    right.set(
        xlabel="unstable modes", ylabel="fixed points", xticks=range(4), ylim=(0, None),
        title=f"{len(numbers)} networks; line: Sussillo & Barak 2013",
    )  # fmt: skip
    return figure
