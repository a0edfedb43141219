"""The figure: accuracies with and without Dale's law, and weights sorted by selectivity."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from models.plots.palette import BLUE, DIVERGING, VERMILLION
from models.plots.style import plain_matplotlib

Float = NDArray[np.float64]
TASKS = {"detection": "one stimulus", "context": "context", "memory": "two intervals"}
CRITERION = 0.85


@plain_matplotlib()
def draw(accuracies: Mapping[str, Sequence[float]], W_rec: Float, selectivity: Float) -> Figure:
    """Draw both.

    Parameters
    ----------
    accuracies : mapping of str to sequence of float
        By cohort, dale or free and the task.
    W_rec : array (N, N)
        Of a network under Dale's law.
    selectivity : array (N,)
        For choice +, as d'.
    """
    figure = Figure(figsize=(6.2, 2.6), layout="constrained")
    left, right = figure.subplots(1, 2)
    for law, colour, name, shift in (
        ("dale", BLUE, "Dale's law", -0.15),
        ("free", VERMILLION, "without", 0.15),
    ):
        for place, task in enumerate(TASKS):
            values = accuracies.get(f"{law}_{task}", [])
            x = place + shift + np.linspace(-0.06, 0.06, len(values))
            left.plot(x, values, "o", color=colour, ms=4, mew=0, label=name if not place else None)
    left.axhline(CRITERION, color="0.6", lw=0.6, ls="--")
    left.set_xticks(range(len(TASKS)), list(TASKS.values()))
    left.set(ylabel="accuracy with noise", ylim=(0.45, 1.02), title="dashed: the paper's criterion")
    left.legend(loc="lower left")
    excites = (W_rec >= 0).all(axis=0)
    order = np.lexsort((-selectivity, ~excites))
    shown = W_rec[np.ix_(order, order)]
    largest = float(np.quantile(np.abs(shown), 0.97)) or 1.0
    image = right.imshow(shown, cmap=DIVERGING, vmin=-largest, vmax=largest)
    border = int(excites.sum()) - 0.5
    right.axhline(border, color="black", lw=0.5)
    right.axvline(border, color="black", lw=0.5)
    right.set(
        xlabel="from: excitatory | inhibitory,\neach from choice + to choice −", ylabel="to",
        xticks=[], yticks=[],
    )  # fmt: skip
    figure.colorbar(image, ax=right, label="weight", shrink=0.8)
    return figure
