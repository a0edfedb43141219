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
from .layout import panel_grid, plan_legend
from .learning_curves import SMALL_PANEL
from .palette import BLACK, CATEGORIES
from .style import log_axis, plain_matplotlib, score_axis, unit

PANEL = (2.5, 1.8)  # inches
TASK_COLOUR = BLACK
PENALTY_COLOURS = tuple(c for c in CATEGORIES if c != TASK_COLOUR)
DASHES = ("-", "--", ":", "-.")  # a dash for each round of the colours


@plain_matplotlib()
def plot_loss_terms(
    losses: Mapping[str, ArrayLike],
    gradients: Mapping[str, ArrayLike] | None = None,
    scores: ArrayLike | None = None,
) -> Figure:
    """Plot the loss of every term against the iteration, the norms of gradients, and the scores.

    The axes of losses and gradients are logarithmic; where a value is 0 or less its line has a gap.
    Losses are those before the weights, gradients those of weight times loss: a line that is higher
    there pulls harder.

    Parameters
    ----------
    losses : mapping of str to array (iterations,)
        As `TrainedNetwork.term_curves`; of a network without penalties
        ``{"task": network.loss_curve}``.
    gradients : mapping of str to array (iterations,), optional
        As `TrainedNetwork.gradient_curves`; where it is empty there is no second panel.
    scores : array (V, 2), optional
        As `TrainedNetwork.score_curve`; where it is empty there is no panel of scores.

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
    handles = [
        Line2D([], [], color=styles[name][0], ls=styles[name][1], lw=0.9, label=label)
        for name, label in zip(names, labels, strict=True)
    ]
    scored = np.asarray([] if scores is None else scores, dtype=np.float64).reshape(-1, 2)
    n_panels = len(panels) + bool(len(scored))
    size = PANEL if n_panels < 3 else SMALL_PANEL
    legend = plan_legend(handles, unit() * (size[0] + 0.6) * n_panels, most=6)
    figure, grid = panel_grid(
        (1, n_panels), size, (0.62, 0.12, 0.42, 0.1), (0.68, 0.0), legend.height
    )
    for axes, (label, curves) in zip(grid[0], panels, strict=False):
        # The task last, on top of the penalties.
        for name in reversed([name for name in names if name in curves]):
            curve = curves[name]
            colour, dash = styles[name]
            shown = np.where(curve > 0, curve, np.nan)
            marker = "." if len(curve) == 1 else None
            steps = np.arange(1, len(curve) + 1)
            axes.plot(steps, shown, color=colour, ls=dash, lw=0.9, marker=marker)
        axes.set_ylabel(label)
        if any((curve > 0).any() for curve in curves.values()):
            log_axis(axes)
    if len(scored):
        grid[0, -1].plot(*scored.T, color=TASK_COLOUR, lw=0.9, marker="." * (len(scored) == 1))
        score_axis(grid[0, -1], scored[:, 1])
    for axes in grid[0]:
        axes.set_xlabel("iteration")
        axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
    legend.draw(figure)
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
