"""The figure of a training: each term of the loss against iterations."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator
from numpy.typing import ArrayLike, NDArray

from tasks_lib.errors import ParameterError

from ..training.config import TASK_TERM as TASK
from .palette import BLACK, CATEGORIES
from .style import log_axis, plain_matplotlib

PANEL_WIDTH, PANEL_HEIGHT = 3.4, 2.3  # inches
ROW_HEIGHT = 0.14  # of the legend, inches
LETTER_WIDTH, HANDLE_WIDTH = 0.058, 0.42  # of the legend, inches
TASK_COLOUR = BLACK
PENALTY_COLOURS = tuple(c for c in CATEGORIES if c != TASK_COLOUR)
DASHES = ("-", "--", ":", "-.")  # a dash for each round of the colours


@plain_matplotlib()
def plot_loss_terms(
    losses: Mapping[str, ArrayLike], gradients: Mapping[str, ArrayLike] | None = None
) -> Figure:
    """Plot the loss of every term against the iteration and, beside it, the norms of gradients.

    Both axes of values are logarithmic; where a value is 0 or less its line has a gap. Losses are
    those before the weights, gradients those of weight times loss: a line that is higher on the
    right pulls harder.

    Parameters
    ----------
    losses : mapping of str to array (iterations,)
        As `TrainedNetwork.term_curves`; of a network without penalties
        ``{"task": network.loss_curve}``.
    gradients : mapping of str to array (iterations,), optional
        As `TrainedNetwork.gradient_curves`; where it is empty there is no second panel.

    Examples
    --------
    >>> network = trainer.run_training()[0]
    >>> plot_loss_terms(network.term_curves, network.gradient_curves).savefig("terms.png")
    """
    panels = [("loss before its weight", _curves("losses", losses))]
    panels.append(("norm of weighted gradient", _curves("gradients", gradients or {})))
    panels = [(label, curves) for label, curves in panels if curves]
    names = list(dict.fromkeys(name for _, curves in panels for name in curves))
    if not names:
        raise ParameterError(
            "losses", {}, "holds no term", "train with penalties or with monitor=True"
        )
    names.sort(key=lambda name: name != TASK)  # the task first, the others as they came
    styles = _styles(names)
    empty = {n for n in names if not any((c[n] > 0).any() for _, c in panels if n in c)}
    labels = [f"{name} (never above 0)" if name in empty else name for name in names]
    width = PANEL_WIDTH * len(panels)
    column = LETTER_WIDTH * max(map(len, labels)) + HANDLE_WIDTH
    n_columns = min(len(names), max(1, int(width / column)))
    n_rows = -(-len(names) // n_columns)
    figure = Figure(figsize=(width, PANEL_HEIGHT + ROW_HEIGHT * n_rows), layout="constrained")
    for axes, (label, curves) in zip(
        figure.subplots(1, len(panels), squeeze=False)[0], panels, strict=True
    ):
        # The task last, on top of the penalties.
        for name in reversed([name for name in names if name in curves]):
            curve = curves[name]
            colour, dash = styles[name]
            shown = np.where(curve > 0, curve, np.nan)
            marker = "." if len(curve) == 1 else None
            steps = np.arange(1, len(curve) + 1)
            axes.plot(steps, shown, color=colour, ls=dash, lw=0.9, marker=marker)
        axes.set_xlabel("iteration")
        axes.set_ylabel(label)
        axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
        if any((curve > 0).any() for curve in curves.values()):
            log_axis(axes)
    figure.legend(
        handles=[
            Line2D([], [], color=styles[name][0], ls=styles[name][1], lw=0.9, label=label)
            for name, label in zip(names, labels, strict=True)
        ],
        loc="outside lower center",
        ncols=n_columns,
    )
    return figure


def _curves(field: str, given: Mapping[str, ArrayLike]) -> dict[str, NDArray[np.float64]]:
    """Return curves as arrays (iterations,)."""
    curves = {name: np.asarray(curve, dtype=np.float64) for name, curve in given.items()}
    for name, curve in curves.items():
        if curve.ndim != 1:
            raise ParameterError(
                f"{field}.{name}.shape", curve.shape, "is not (iterations,)", "give one network's"
            )
    return curves


def _styles(names: list[str]) -> dict[str, tuple[str, str]]:
    """Return colour and dash of each term: the task black, penalties told apart in any print."""
    styles = {TASK: (TASK_COLOUR, DASHES[0])}
    for i, name in enumerate(name for name in names if name != TASK):
        n = len(PENALTY_COLOURS)
        styles[name] = PENALTY_COLOURS[i % n], DASHES[i // n % len(DASHES)]
    return styles
