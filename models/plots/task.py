"""The figure of a task: inputs and targets of a few of its trials."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib import rcParams
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator
from numpy.typing import ArrayLike, NDArray

from tasks_lib import Task
from tasks_lib.errors import check_int
from tasks_lib.masks import asked, read_mask

from ..activity.coordinates import in_words
from .layout import fit_left, fitted, letter, panel_grid, plan_legend, with_minus
from .palette import MASKED, colours_of_names, grey
from .style import plain_matplotlib, time_label, unit

Float = NDArray[np.float64]
PANEL = 1.75  # width of a trial, inches
LANE = 0.24  # height of a channel's lane, inches
GAP = 0.35  # between lanes, as a share of the range of the channels


@plain_matplotlib()
def plot_task(
    task: Task, trials: Sequence[int] | None = None, n_trials: int = 3, seed: int = 0
) -> Figure:
    """Plot inputs (above) and targets (below) of some trials, a column a trial, a lane a channel.

    Channels of a panel share one scale, which a bar shows; a thin line is 0. Steps that do not
    count in the loss and the scores (outside the mask, or after the end of a shorter trial) are
    grey; targets are drawn where there are any. The task's generator is left as it was.

    Parameters
    ----------
    task : Task
        Also one of your own.
    trials : sequence of int, optional
        Trials of the batch to show; by default ``n_trials`` that differ much from each other.
    n_trials : int
    seed : int
        Seed of the batch.
    """
    generator = task.rng
    try:
        task.reset(seed)
        inputs, targets, conditions = task.get_batch()
    finally:
        task.rng = generator
    if trials is None:
        kinds = [str(task.condition_kind(c)) for c in conditions]
        trials = distinct_trials(inputs, targets, check_int("n_trials", n_trials, minimum=1), kinds)
    else:
        trials = [check_int("trials", b, 0, len(conditions) - 1) for b in trials]
    heights = max(task.n_inputs, 2), max(task.n_outputs, 2)  # a label needs the room of two lanes
    width = PANEL * unit()
    titles = [fitted(_title(task, conditions[b], b), width, "axes.titlesize") for b in trials]
    n_lines = max((title.count("\n") + 1 for title in titles), default=0)
    counts = np.zeros((task.n_steps, len(conditions)), dtype=bool)
    steps, at_steps = asked(targets, read_mask(task.mask, task.n_steps).steps)
    counts[steps] = True if at_steps is None else at_steps.any(axis=0)
    label = "steps that do not count" + (" (outside the mask)" if at_steps is None else "")
    ignores = not counts[:, trials].all()
    legend = plan_legend([Patch(color=grey(MASKED), label=label)] if ignores else [], width + 1.1)
    figure, panels = panel_grid(
        (2, len(trials)), (PANEL, LANE * sum(heights) / 2),
        (0.7, 0.35, 0.4, 0.08 + 1.3 * letter("axes.titlesize") / unit() * n_lines),
        (0.3, 0.15), legend.height, gridspec={"height_ratios": heights},
    )  # fmt: skip
    for row, streams, label, names in (
        (panels[0], inputs, "inputs", task.input_names),
        (panels[1], targets, "targets", task.output_names),
    ):
        shown = np.asarray(streams)[:, :, trials]
        low, high = min(np.nanmin(shown), 0.0), max(np.nanmax(shown), 0.0)
        for i, axes in enumerate(row):
            ignored = np.flatnonzero(~counts[:, trials[i]])
            axes.bar(
                ignored, 1, width=1, align="edge", color=grey(MASKED), lw=0, transform=_spans(axes)
            )
            colours = colours_of_names(names)
            lanes = _draw_lanes(
                axes, shown[:, :, i], low, high if high > low else low + 1.0, list(colours.values())
            )
            axes.set_yticks(lanes, [with_minus(n) for n in names] if i == 0 else [""] * len(names))
            axes.set_xlim(0, task.n_steps)
            axes.xaxis.set_major_locator(MaxNLocator(4, steps=[1, 2, 5, 10], integer=True))
            axes.tick_params(axis="y", length=0)
        row[0].set_ylabel(label)
        _draw_scale(row[-1], max(high, -low))
    for i, title in enumerate(titles):
        panels[0, i].set_title(title, pad=3)
        panels[0, i].tick_params(labelbottom=False)
        panels[1, i].set_xlabel(time_label(1.0))
    figure.align_ylabels()
    fit_left(figure, panels)
    legend.draw(figure)
    return figure


def _spans(axes: Any) -> Any:
    """Return the transform of which x is in data and y from the bottom to the top of the axes."""
    return axes.get_xaxis_transform()


def _draw_lanes(
    axes: Any, streams: Float, low: float, high: float, colours: Sequence[Any]
) -> list[float]:
    """Draw streams (channels, T), one below the other; return the middles of their lanes."""
    spacing = (1 + GAP) * (high - low)
    middles = []
    for channel, values in enumerate(streams):
        zero = -channel * spacing
        axes.axhline(zero, color=grey("0.7"), lw=0.4, zorder=1)
        axes.stairs(zero + values, baseline=None, color=colours[channel], lw=1.1, zorder=2)
        middles.append(zero + (low + high) / 2)
    margin = GAP * (high - low) / 2
    axes.set_ylim(zero + low - margin, high + margin)
    return middles


def _draw_scale(axes: Any, largest: float) -> None:
    """Draw a bar of 1, 2 or 5 times a power of ten beside the uppermost lane."""
    largest = 1.01 * largest or 1.0  # 0.995 is as good as 1
    decade = 10.0 ** np.floor(np.log10(largest))
    size = max(m * decade for m in (1, 2, 5) if m * decade <= largest)
    beside = axes.get_yaxis_transform()
    axes.plot([1.04, 1.04], [0, size], color=grey("black"), lw=1.2, transform=beside, clip_on=False)
    letters = rcParams["legend.fontsize"]
    axes.text(1.07, size / 2, f"{size:g}", transform=beside, va="center", size=letters)


def _title(task: Task, condition: dict[str, Any], trial: int) -> str:
    lines = []
    for field, value in list(task.condition_kind(condition).items())[:3]:
        lines.append(f"{field.replace('_', ' ')} = {in_words(value)}")
    return "\n".join(lines) or f"trial {trial}"


def distinct_trials(
    inputs: ArrayLike, targets: ArrayLike, n_trials: int, kinds: Sequence[str] | None = None
) -> list[int]:
    """Return trials that differ much from each other, ascending.

    The first is farthest from the mean trial, each next one farthest from those chosen.

    Parameters
    ----------
    inputs, targets : array (channels, T, B)
    n_trials : int
    kinds : sequence of B str, optional
        Kinds of the trials: no two of a kind are chosen, where there are enough of them.
    """
    streams = np.nan_to_num(np.concatenate([np.asarray(inputs), np.asarray(targets)]))
    flat = streams.reshape(-1, streams.shape[2]).T
    candidates: NDArray[np.integer[Any]] = np.arange(len(flat))
    if kinds is not None and len(set(kinds)) >= n_trials:
        candidates = np.unique(kinds, return_index=True)[1]
    flat = flat[candidates]
    distance = ((flat - flat.mean(axis=0)) ** 2).sum(axis=1)
    chosen: list[int] = []
    for _ in range(min(n_trials, len(flat))):
        chosen.append(int(distance.argmax()))
        from_last = ((flat - flat[chosen[-1]]) ** 2).sum(axis=1)
        distance = from_last if len(chosen) == 1 else np.minimum(distance, from_last)
        distance[chosen] = -1.0
    return sorted(candidates[chosen].tolist())
