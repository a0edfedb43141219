"""Learning curves of many networks, overlaid: losses, scores, terms and norms of gradients."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from tasks_lib.brief import brief
from tasks_lib.errors import ParameterError

from .layout import panel_grid, plan_legend
from .palette import CATEGORIES, categories, in_order, ink
from .style import SCORE, log_axis, plain_matplotlib, score_axis, unit

Float = NDArray[np.float64]
LOSS = "loss"
MAX_GROUPS = 2 * len(CATEGORIES)  # that are no numbers
MAX_NAMED = 6  # groups of numbers that a legend names
COLUMNS, PANEL = 3, (2.35, 1.75)  # panels side by side, and their size in inches
SMALL_PANEL = (1.7, 1.5)  # of three side by side: a page is 7.2 inches wide


@brief
@dataclass(frozen=True, eq=False)
class LearningCurve:
    """How one network learnt.

    Attributes
    ----------
    losses : array (iterations,)
        The loss at each iteration.
    scores : array (V, 2)
        Iteration and R^2 of each validation; V is 0 where there was none.
    group : str
        What it has in common with the networks that are drawn in the same colour.
    diverged : bool
        Whether its training ended because it diverged.
    terms : mapping of str to array (iterations,)
        The loss of each term, before its weight; empty where there is one term.
    gradients : mapping of str to array (iterations,)
        Norm of the gradient of each term times its weight; empty where it was not monitored.
    value : float, optional
        What the group is, where that is a number: groups then have colours in its order.
    """

    losses: Float
    scores: Float = field(default_factory=lambda: np.empty((0, 2)))
    group: str = ""
    diverged: bool = False
    terms: Mapping[str, Float] = field(default_factory=dict)
    gradients: Mapping[str, Float] = field(default_factory=dict)
    value: float | None = None


@plain_matplotlib()
def plot_learning_curves(curves: Sequence[LearningCurve]) -> Figure:
    """Plot what networks have of losses, validation scores, terms and norms of gradients.

    A thin line a network, a thick one for the median of a group of three and more, as far as half
    of its networks went. A cross marks where a network diverged. A panel each for the loss, the
    scores, each term and its gradient, where there are any. Losses and gradients are drawn on
    logarithmic axes, on which 0 is a gap.

    Parameters
    ----------
    curves : sequence of LearningCurve

    Raises
    ------
    ParameterError
        Where no network has a loss, or there are more groups than colours and dashes, which are no
        numbers.
    """
    shown = [curve for curve in curves if len(curve.losses)]
    if not shown:
        raise ParameterError(
            "curves", len(curves), "hold no loss", "choose networks that were trained here"
        )
    styles = _styles(shown)
    legend = plan_legend(_handles(shown, styles), unit() * 3.2, most=2)
    kinds = _panels(shown)
    n_columns = min(len(kinds), COLUMNS)
    n_rows = -(-len(kinds) // n_columns)
    size = SMALL_PANEL if n_columns == COLUMNS else PANEL
    if n_columns > 1:
        legend = plan_legend(_handles(shown, styles), unit() * (size[0] + 0.65) * n_columns)
    figure, grid = panel_grid(
        (n_rows, n_columns), size, (0.6, 0.12, 0.42, 0.1), (0.65, 0.5), legend.height
    )
    for axes in grid.ravel()[len(kinds) :]:
        axes.set_visible(False)
    for axes, (label, of) in zip(grid.ravel(), kinds.items(), strict=False):
        is_score = label == SCORE
        for group, (colour, dash) in styles.items():
            members = [curve for curve in shown if curve.group == group]
            drawn = [(of(curve), curve.diverged) for curve in members]
            lines = [(x, y if is_score else _positive(y)) for (x, y), _ in drawn if len(x)]
            _overlay(axes, lines, colour, dash)
            if label == LOSS:
                for (x, y), diverged in drawn:
                    finite = np.flatnonzero(np.isfinite(_positive(y)))[-1:]
                    if diverged:
                        axes.plot(x[finite], y[finite], "x", color=colour, ms=5)
        axes.set_ylabel(label)
        axes.set_xlabel("iteration")
        axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
        if is_score:
            score_axis(axes, np.concatenate([c.scores[:, 1] for c in shown]))
        elif any(np.isfinite(line.get_ydata()).any() for line in axes.lines):
            log_axis(axes)
    legend.draw(figure)
    return figure


Curve = Callable[[LearningCurve], tuple[NDArray[Any], Float]]


def _panels(curves: Sequence[LearningCurve]) -> dict[str, Curve]:
    """Return the panels by the label of their values, and what each shows of a network."""
    panels: dict[str, Curve] = {LOSS: lambda curve: _steps(curve.losses)}
    if any(len(curve.scores) for curve in curves):
        panels[SCORE] = lambda curve: (curve.scores[:, 0], curve.scores[:, 1])
    for attribute, what in (("terms", "loss of {}"), ("gradients", "gradient of {}")):
        for name in dict.fromkeys(n for curve in curves for n in getattr(curve, attribute)):
            panels[what.format(name)] = _of_term(attribute, name)
    return panels


def _of_term(attribute: str, name: str) -> Curve:
    return lambda curve: _steps(getattr(curve, attribute).get(name, np.empty(0)))


def _steps(values: Float) -> tuple[NDArray[Any], Float]:
    y = np.asarray(values, dtype=np.float64)
    return np.arange(1.0, len(y) + 1), y


def _styles(curves: Sequence[LearningCurve]) -> dict[str, tuple[Any, str]]:
    """Return colour and dash of each group; groups of numbers come in their order."""
    groups = list(dict.fromkeys(curve.group for curve in curves))
    values = {curve.group: curve.value for curve in curves}
    numbers = np.array([values[g] for g in groups if values[g] is not None], dtype=np.float64)
    if len(numbers) == len(groups) > 1 and np.isfinite(numbers).all():
        groups = [groups[i] for i in np.argsort(numbers, kind="stable")]
        colours = in_order(np.sort(numbers))
        return {g: (colour, "-") for g, colour in zip(groups, colours, strict=True)}
    if len(groups) > MAX_GROUPS:
        raise ParameterError(
            "curves", f"{len(groups)} groups", "are too many to be told apart",
            f"group them by what has at most {MAX_GROUPS} values, or by a number",
        )  # fmt: skip
    plain = categories()
    return {
        group: (plain[i % len(plain)], "-" if i < len(plain) else "--")
        for i, group in enumerate(groups)
    }


def _positive(losses: Float) -> Float:
    return np.where(np.asarray(losses) > 0, losses, np.nan)


def _overlay(
    axes: Any, lines: Sequence[tuple[NDArray[Any], Float]], colour: Any, dash: str
) -> None:
    many = len(lines) > 2
    for x, y in lines:
        axes.plot(x, y, color=colour, ls=dash, lw=0.5 if many else 1.0, alpha=0.4 if many else 1.0,
                  marker="." if len(x) == 1 else None)  # fmt: skip
    if many:
        longest = max((x for x, _ in lines), key=len)
        values = np.full((len(lines), len(longest)), np.nan)
        for row, (x, y) in zip(values, lines, strict=True):
            row[np.searchsorted(longest, x).clip(max=len(longest) - 1)] = y
        most = np.isfinite(values).sum(axis=0) * 2 >= len(lines)
        axes.plot(
            longest[most], np.nanmedian(values[:, most], axis=0), color=colour, ls=dash, lw=1.6
        )


def _handles(
    curves: Sequence[LearningCurve], styles: Mapping[str, tuple[Any, str]]
) -> list[Line2D]:
    groups = list(styles)
    if len(groups) > MAX_GROUPS:  # numbers: some of them say what the colours mean
        groups = [groups[i] for i in np.linspace(0, len(groups) - 1, MAX_NAMED).round().astype(int)]
    handles = []
    for group in groups:
        n = sum(curve.group == group for curve in curves)
        networks = f"{n} network{'s' if n > 1 else ''}{', thick: median' if n > 2 else ''}"
        label = f"{group} ({networks})" if group else networks
        colour, dash = styles[group]
        handles.append(Line2D([], [], color=colour, ls=dash, lw=1.6, label=label))
    if any(curve.diverged for curve in curves):
        handles.append(Line2D([], [], color=ink(), marker="x", ls="", ms=5, label="diverged"))
    return handles
