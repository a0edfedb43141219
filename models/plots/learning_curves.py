"""Learning curves of many networks: losses and validation scores, overlaid."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from tasks_lib.brief import brief
from tasks_lib.errors import ParameterError

from .style import COLOURS, FONT_SIZE, log_axis, plain_matplotlib, style_axes

Float = NDArray[np.float64]
MAX_GROUPS = 2 * len(COLOURS)
LOWEST_SCORE = -0.5


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
    """

    losses: Float
    scores: Float = field(default_factory=lambda: np.empty((0, 2)))
    group: str = ""
    diverged: bool = False


@plain_matplotlib()
def plot_learning_curves(curves: Sequence[LearningCurve]) -> Figure:
    """Plot the losses of networks against iterations and, where there are any, their scores.

    A thin line a network, a thick one for the median of a group of three and more, as far as half
    of its networks went. A cross marks where a network diverged. Losses are drawn on a logarithmic
    axis, on which 0 is a gap.

    Parameters
    ----------
    curves : sequence of LearningCurve

    Raises
    ------
    ParameterError
        Where no network has a loss, or there are more groups than colours and dashes.
    """
    shown = [curve for curve in curves if len(curve.losses)]
    if not shown:
        raise ParameterError(
            "curves", len(curves), "hold no loss", "choose networks that were trained here"
        )
    groups = list(dict.fromkeys(curve.group for curve in shown))
    if len(groups) > MAX_GROUPS:
        raise ParameterError(
            "curves", f"{len(groups)} groups", "are too many to be told apart",
            f"group them by what has at most {MAX_GROUPS} values",
        )  # fmt: skip
    styles = {
        group: (COLOURS[i % len(COLOURS)], "-" if i < len(COLOURS) else "--")
        for i, group in enumerate(groups)
    }
    has_scores = any(len(curve.scores) for curve in shown)
    figure = Figure(figsize=(6.4 if has_scores else 3.4, 2.7), layout="constrained")
    panels = figure.subplots(1, 2 if has_scores else 1, squeeze=False)[0]
    for group in groups:
        members = [curve for curve in shown if curve.group == group]
        colour, dash = styles[group]
        lines = [(np.arange(1.0, len(c.losses) + 1), _positive(c.losses)) for c in members]
        _overlay(panels[0], lines, colour, dash)
        for (steps, losses), curve in zip(lines, members, strict=True):
            if curve.diverged:
                finite = np.flatnonzero(np.isfinite(losses))
                panels[0].plot(steps[finite[-1:]], losses[finite[-1:]], "x", color=colour, ms=5)
        if has_scores:
            scores = [(c.scores[:, 0], c.scores[:, 1]) for c in members if len(c.scores)]
            _overlay(panels[1], scores, colour, dash)
    panels[0].set_ylabel("loss")
    log_axis(panels[0])
    if has_scores:
        low = min(float(np.nanmin(c.scores[:, 1])) for c in shown if len(c.scores))
        cut = low < LOWEST_SCORE  # the first scores may lie far below what is of interest
        panels[1].set_ylabel("validation R²" + (f" (cut at {LOWEST_SCORE:g})" if cut else ""))
        panels[1].set_ylim(LOWEST_SCORE if cut else low - 0.05, 1.02)
    for axes in panels:
        axes.set_xlabel("iteration")
        axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
        style_axes(axes)
    _legend(figure, shown, groups, styles)
    return figure


def _positive(losses: Float) -> Float:
    return np.where(np.asarray(losses) > 0, losses, np.nan)


def _overlay(axes, lines: Sequence[tuple[NDArray[Any], Float]], colour: str, dash: str) -> None:  # type: ignore[no-untyped-def]
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


def _legend(
    figure: Figure,
    curves: Sequence[LearningCurve],
    groups: Sequence[str],
    styles: dict[str, tuple[str, str]],
) -> None:
    handles = []
    for group in groups:
        n = sum(curve.group == group for curve in curves)
        networks = f"{n} network{'s' if n > 1 else ''}"
        label = f"{group} ({networks})" if group else networks
        colour, dash = styles[group]
        handles.append(Line2D([], [], color=colour, ls=dash, lw=1.6, label=label))
    if any(curve.diverged for curve in curves):
        handles.append(Line2D([], [], color="0.3", marker="x", ls="", ms=5, label="diverged"))
    widest = max(len(str(h.get_label())) for h in handles)
    figure.legend(
        handles=handles,
        loc="outside lower center",
        ncols=max(1, min(len(handles), int(figure.get_figwidth() * 16 // (widest + 6)))),
        fontsize=FONT_SIZE - 1,
        frameon=False,
    )
