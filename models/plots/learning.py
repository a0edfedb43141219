"""Figures of learning: traces of trainings, and fixed points from snapshot to snapshot."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from tasks_lib.brief import brief
from tasks_lib.errors import ParameterError

from ..learning.branches import LearningBranches, NetworkSnapshot
from ..training.config import WINDOWS
from ..training.traces import TrainingTrace
from .layout import panel_grid, plan_legend
from .palette import categories, grey, ink
from .projection import Projection
from .style import log_axis, plain_matplotlib, unit

Float = NDArray[np.float64]
PANEL = (1.7, 1.5)  # inches: three side by side are as wide as a page
MARKERS = {
    "saddle_node": "d", "pitchfork": "P", "transcritical": "X", "hopf": "o", "border": "v",
    "crossing": "s", "degenerate": "*",
}  # fmt: skip
NAMES = {"saddle_node": "saddle-node", "hopf": "Hopf", "border": "at a kink"}


@plain_matplotlib()
def plot_traces(traces: Sequence[Sequence[TrainingTrace]]) -> Figure:
    """Plot what was recorded of networks while they were trained, in five panels.

    Participation ratio of the rates; silent units; norm of the change of the weights over 100,
    1,000 and 10,000 iterations, each by the number of iterations; cosine of successive changes;
    square of the gradient and its variance from trial to trial, of which estimates that are not
    above 0 are gaps. A thin line a network.

    Parameters
    ----------
    traces : sequence of sequences of TrainingTrace
        Of each network.

    Raises
    ------
    ParameterError
        Where nothing was recorded.
    """
    shown = [own for own in traces if own]
    if not shown:
        raise ParameterError(
            "traces",
            len(traces),
            "hold nothing",
            "choose networks that were trained for `trace_interval` iterations at least",
        )
    colours = dict(zip(WINDOWS, categories(), strict=False))
    square, variance = categories()[3], categories()[4]
    windows = [n for n in WINDOWS if any(n in t.changes for own in shown for t in own)]
    handles = [Line2D([], [], color=colours[n], label=f"over {n:,} iterations") for n in windows]
    handles += [
        Line2D([], [], color=square, label="squared gradient"),
        Line2D([], [], color=variance, label="variance, trial to trial"),
    ]
    legend = plan_legend(handles, unit() * 3.0 * PANEL[0])
    figure, grid = panel_grid(
        (2, 3), PANEL, (0.6, 0.15, 0.42, 0.1), (0.62, 0.48), foot=legend.height
    )
    dimension, silent, change, cosine, gradient, free = grid.ravel()
    free.set_visible(False)
    for own in shown:
        _line(dimension, own, [t.participation_ratio for t in own], ink())
        _line(silent, own, [t.n_silent for t in own], ink())
        for n in windows:
            _line(change, own, [_divided(t.changes.get(n), n) for t in own], colours[n])
            _line(cosine, own, [t.cosines.get(n) for t in own], colours[n])
        for name, colour in (("gradient_square", square), ("gradient_variance", variance)):
            values = [_positive(getattr(t, name)) for t in own]
            gaps = [np.nan if value is None else value for value in values]
            at = [t.iteration for t in own]
            gradient.plot(at, gaps, "o-", color=colour, lw=0.9, ms=1.5)
    labels = ("participation ratio", "silent units", "change an iteration", "cosine", "gradient")
    for axes, label in zip(grid.ravel(), labels, strict=False):
        axes.set_ylabel(label)
        axes.set_xlabel("iteration")
        axes.locator_params(axis="x", nbins=4)
    dimension.set_ylim(bottom=0)
    silent.set_ylim(0, max(1.0, silent.get_ylim()[1]))
    silent.yaxis.set_major_locator(MaxNLocator(5, integer=True))
    cosine.set_ylim(-1.05, 1.05)
    cosine.axhline(0.0, color=grey("0.7"), lw=0.6)
    for axes in (change, gradient):
        if any(np.isfinite(line.get_ydata()).any() for line in axes.lines):
            log_axis(axes)
    legend.draw(figure)
    return figure


def _divided(value: float | None, by: int) -> float | None:
    return None if value is None else _positive(value / by)


def _positive(value: float | None) -> float | None:
    return value if value is not None and value > 0 else None


def _line(
    axes: Any, traces: Sequence[TrainingTrace], values: Sequence[float | None], colour: Any
) -> None:
    known = [(t.iteration, v) for t, v in zip(traces, values, strict=True) if v is not None]
    if known:
        axes.plot(*zip(*known, strict=True), "-", color=colour, lw=0.9,
                  marker="o" if len(known) < 3 else None, ms=3)  # fmt: skip


@brief
@dataclass(frozen=True, eq=False)
class BranchLine:
    """One followed fixed point, as a figure shows it.

    Attributes
    ----------
    places : array (M,)
        Where its states are: 0 at the first snapshot, 1 at the second, and shares between.
    states : array (M, N)
    stable : array (M,) of bool
    """

    places: Float
    states: Float
    stable: NDArray[np.bool_]


def lines_of(found: LearningBranches, snapshots: Sequence[NetworkSnapshot]) -> list[BranchLine]:
    """Return the branches of `models.follow_learning` as a figure shows them."""
    lines = []
    for branch in found.branches:
        places, numbers = zip(*sorted(branch.points.items()), strict=True)
        sets = [snapshots[place].points for place in places]
        states = [own.points[i] for own, i in zip(sets, numbers, strict=True)]
        stable = [bool(own.n_unstable[i] == 0) for own, i in zip(sets, numbers, strict=True)]
        at = list(map(float, places))
        for number, end in ((branch.born_at, 0), (branch.ended_at, len(at))):
            if number is not None:
                place, met = found.bifurcations[number]
                at.insert(end and len(at), place + met.share)
                states.insert(end and len(states), met.state)
                stable.insert(end and len(stable), stable[-1 if end else 0])
        lines.append(BranchLine(np.array(at), np.array(states), np.array(stable)))
    return lines


@plain_matplotlib()
def plot_branches(
    iterations: Sequence[int],
    lines: Sequence[BranchLine],
    bifurcations: Sequence[tuple[float, NDArray[Any], str]],
) -> Figure:
    """Plot fixed points through learning, along the direction in which they differ most.

    Snapshots stand side by side at equal distances. A full dot is a stable point, an open one an
    unstable one; a line joins what is one point, a symbol of its own is a bifurcation, where it was
    located between two snapshots.

    Parameters
    ----------
    iterations : sequence of int
        Of the snapshots.
    lines : sequence of BranchLine
        Of `lines_of`, say.
    bifurcations : sequence of (float, array (N,), str)
        Place, state and kind of each.

    Raises
    ------
    ParameterError
        Where there is no point.
    """
    if not lines:
        raise ParameterError(
            "lines", 0, "there is no fixed point", "look at the searches' messages"
        )
    frame = Projection.principal(np.concatenate([line.states for line in lines]).T, 1)
    kinds = [kind for kind in MARKERS if any(one[2] == kind for one in bifurcations)]
    handles = [
        Line2D([], [], marker="o", ls="", ms=4, color=ink(), label="stable"),
        Line2D([], [], marker="o", ls="", ms=4, color=ink(), mfc=grey("white"), label="unstable"),
        *(Line2D([], [], marker=MARKERS[kind], ls="", ms=6, color=ink(), mfc="none",
                 label=NAMES.get(kind, kind)) for kind in kinds),
    ]  # fmt: skip
    legend = plan_legend(handles, unit() * 3.9)
    is_turned = len(iterations) > 6
    bottom = 0.7 if is_turned else 0.45
    figure, grid = panel_grid((1, 1), (3.2, 2.4), (0.6, 0.1, bottom, 0.1), foot=legend.height)
    axes = grid[0, 0]
    for number, line in enumerate(lines):
        colour = categories()[number % len(categories())]
        y = frame(line.states.T)[0]
        axes.plot(line.places, y, "-", color=colour, lw=0.9)
        whole = line.places == np.round(line.places)
        for which, face in ((line.stable, colour), (~line.stable, grey("white"))):
            chosen = whole & which
            axes.plot(line.places[chosen], y[chosen], "o", ms=4, color=colour, mfc=face)
    for place, state, kind in bifurcations:
        at = frame(np.asarray(state, dtype=np.float64)[:, None])[0]
        axes.plot([place], at, MARKERS[kind], ms=6, color=ink(), mfc="none", zorder=3)
    axes.set_xticks(range(len(iterations)), [f"{i:,}" for i in iterations])
    if is_turned:
        axes.tick_params(axis="x", labelrotation=45)
    axes.set_xlabel("iteration")
    axes.set_ylabel(f"{frame.names[0]} (a.u.)")
    legend.draw(figure)
    return figure
