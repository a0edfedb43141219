"""The figure: units by their largest rate, and the spread of mean rates."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from models.plots.palette import BLUE, GREEN, VERMILLION
from models.plots.style import plain_matplotlib

Float = NDArray[np.float64]
SILENT = 0.01
FLOOR = 1e-6  # rates below are drawn there
NAMES = {
    "none_h": ("no penalty, form h", BLUE),
    "frm_h": ("fr_magnitude, form h", VERMILLION),
    "none_s": ("no penalty, form s", GREEN),
}


@plain_matplotlib()
def draw(found: Mapping[str, Sequence[tuple[Float, Float]]]) -> Figure:
    """Draw both distributions.

    Parameters
    ----------
    found : mapping of str to sequence of (array, array)
        By cohort, of each network the largest and the mean rate of each unit.
    """
    figure = Figure(figsize=(5.6, 2.3), layout="constrained")
    peaks, means = figure.subplots(1, 2)
    for label, networks in found.items():
        name, colour = NAMES[label]
        for i, (largest, mean) in enumerate(networks):
            order = np.sort(np.maximum(largest, FLOOR))
            share = np.arange(1, len(order) + 1) / len(order)
            own = {"color": colour, "lw": 0.9, "label": name if i == 0 else None}
            peaks.step(order, share, where="post", **own)
            active = np.sort(np.maximum(mean[largest >= SILENT], FLOOR))
            if active.size:
                means.step(active, np.arange(1, len(active) + 1) / len(active), where="post", **own)
    peaks.axvline(SILENT, color="0.6", lw=0.6, ls="--")
    peaks.set(xscale="log", xlabel="largest rate (a.u.)", ylabel="share of units", ylim=(0, 1.02))
    means.set(
        xscale="log", xlabel="mean rate of active units (a.u.)", ylabel="share", ylim=(0, 1.02)
    )
    peaks.legend(loc="upper left")
    peaks.set_title("dashed: silent below")
    return figure
