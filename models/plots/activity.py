"""Figures of a network's activity: trajectories, responses of units, and the whole matrix."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from numpy.typing import ArrayLike, NDArray

from tasks_lib.errors import ParameterError, check_bool, check_choice, check_int

from .layout import LegendPlan, fit_left, fit_space, fitted, letter, panel_grid, plan_legend
from .palette import DIVERGING, SEQUENTIAL, grey, ink
from .paths import draw_heads
from .printed import PrintedFigure
from .projection import Projection
from .style import plain_matplotlib, time_label, unit
from .trial_groups import TrialGroup, trial_groups

if TYPE_CHECKING:
    import xarray

Float = NDArray[np.float64]
ACTIVITIES = ("rates", "states")
UNIT_PANEL, MATRIX_PANEL = (1.3, 0.85), (1.5, 1.5)  # inches
ORDERS = {"peak": "units, by time of peak", "cluster": "units, by similarity", None: "units"}
MAX_PATHS = 40  # single trials of a group that a picture bears


@plain_matplotlib()
def plot_trajectories(
    trials: xarray.Dataset,
    by: str | None = None,
    projection: str = "2D",
    P: ArrayLike | Projection | None = None,
    average: bool | None = None,
    of: str = "states",
) -> Figure:
    """Plot trajectories on principal components, coloured by condition.

    A circle marks where trials start, an arrowhead (in 3D a square) where they end.

    Parameters
    ----------
    trials : Dataset
        Of `models.get_trials`.
    by : str, optional
        The coordinate over trials that tells groups apart; see `trial_groups`.
    projection : {"2D", "3D"}
    P : Projection or array (N, n_axes), optional
        The frame. By default the principal components of what is drawn; the labels then say which
        share of its variance each axis has.
    average : bool, optional
        Whether to draw the mean of each group, or its single trials (40 at most). By default means,
        but where all trials are one group, whose mean is that of different streams.
    of : {"states", "rates"}
    """
    n_axes = 2 if check_choice("projection", projection, ("2D", "3D")) == "2D" else 3
    groups, activity = grouped_activity(trials, by, of)
    average = len(groups) > 1 if average is None else check_bool("average", average)
    paths = [_paths(activity[group.trials], average) for group in groups]
    frame, labels = frame_of(paths, P, n_axes)
    lines = [frame(np.moveaxis(p, 0, 2)) for p in paths]  # (n_axes, T, P)
    around = np.hstack([line.reshape(n_axes, -1) for line in lines])
    low, high = around.min(axis=1), around.max(axis=1)
    edge = 0.06 * np.maximum(high - low, 1e-9)
    low, high = low - edge, high + edge
    u = unit()
    legend = group_legend(groups, u * 3.5, "mean of" if average else "", n_axes=n_axes)
    if n_axes == 2:
        figure, grid = panel_grid((1, 1), (2.9, 2.33), (0.5, 0.1, 0.4, 0.17), foot=legend.height)
        axes: Any = grid[0, 0]
    else:
        figure = PrintedFigure(figsize=(u * 3.5, u * 2.9 + legend.height))
        axes = figure.add_subplot(projection="3d")
        axes.set_zlim(low[2], high[2])
    axes.set_xlim(low[0], high[0])
    axes.set_ylim(low[1], high[1])
    label_axes(axes, labels)
    if n_axes == 2:
        fit_left(figure, grid)
    else:
        foot = legend.height / figure.get_figheight()
        fit_space(figure, axes, (0.01, foot + 0.01, 0.99, 0.99))
    for group, own in zip(groups, lines, strict=True):
        for b in range(own.shape[2]):
            _draw_path(axes, own[:, :, b], group.colour, thin=not average)
        draw_heads(axes, own, group.colour, low, high)
    legend.draw(figure)
    return figure


@plain_matplotlib()
def plot_unit_responses(
    trials: xarray.Dataset,
    units: Sequence[int] | None = None,
    by: str | None = None,
    of: str = "rates",
) -> Figure:
    """Plot the mean response of single units by condition (PSTH), with the spread over trials.

    Parameters
    ----------
    trials : Dataset
        Of `models.get_trials`.
    units : sequence of int, optional
        By default the 12 whose mean responses differ most between the groups; of one group, those
        that change most over time.
    by : str, optional
        The coordinate over trials that tells groups apart; see `trial_groups`.
    of : {"rates", "states"}
    """
    groups, activity = grouped_activity(trials, by, of)
    n_units = activity.shape[1]
    if units is None:
        means = np.stack([activity[g.trials].mean(axis=0) for g in groups])
        # Of one group, the units that change most over time.
        differs = means.var(axis=0).mean(axis=-1) if len(groups) > 1 else means[0].var(axis=-1)
        units = np.argsort(-differs, kind="stable")[:12].tolist()
    chosen = [check_int("units", int(u), 0, n_units - 1) for u in units]
    n_columns = min(len(chosen), 4)
    n_rows = ceil(len(chosen) / n_columns)
    width = n_columns * (UNIT_PANEL[0] + 0.4) + 0.3
    legend = group_legend(
        groups, unit() * max(width, 3.5), "mean ± standard deviation of", always=True
    )
    figure, grid = panel_grid(
        (n_rows, n_columns), UNIT_PANEL, (0.6, 0.12, 0.4, 0.2), (0.4, 0.25), legend.height, 3.5,
        sharex=True,
    )  # fmt: skip
    panels = grid.ravel()
    time = trials["time"].values
    for place, axes in enumerate(panels):
        if place >= len(chosen):
            axes.set_visible(False)
            continue
        for group in groups:
            of_unit = activity[group.trials, chosen[place]]
            mean, spread = of_unit.mean(axis=0), of_unit.std(axis=0)
            axes.plot(time, mean, color=group.colour, lw=1.1)
            axes.fill_between(
                time, mean - spread, mean + spread, color=group.colour, alpha=0.18, lw=0
            )
        axes.set_title(f"unit {int(trials['unit'].values[chosen[place]])}", pad=3)
        if place % n_columns == 0:
            axes.set_ylabel("rate (a.u.)" if of == "rates" else "state (a.u.)")
        axes.set_xlim(time[0], time[-1] if len(time) > 1 else time[0] + 1)
        axes.locator_params(nbins=4)
        if place + n_columns >= len(chosen):
            axes.tick_params(labelbottom=True)
            axes.set_xlabel(time_label(step_of(time)))
    fit_left(figure, grid)
    legend.draw(figure)
    return figure


@plain_matplotlib()
def plot_activity_matrix(
    trials: xarray.Dataset,
    by: str | None = None,
    sort: str | None = "peak",
    of: str = "rates",
) -> Figure:
    """Plot the mean activity of all units over time, a panel a group, units in one order.

    Each unit is divided by its largest absolute value over all groups.

    Parameters
    ----------
    trials : Dataset
        Of `models.get_trials`.
    by : str, optional
        The coordinate over trials that tells groups apart; see `trial_groups`.
    sort : {"peak", "cluster"} or None
        Order of the units: by the time of the largest absolute activity in the mean over groups,
        by similarity of their responses (average linkage of correlations), or as they are. Sorting
        by peaks shows a sequence also in noise: compare with trials that were not used.
    of : {"rates", "states"}
    """
    check_choice("sort", sort, ("peak", "cluster", None))
    groups, activity = grouped_activity(trials, by, of)
    means = np.stack([activity[g.trials].mean(axis=0) for g in groups])  # (G, N, T)
    largest = np.abs(means).max(axis=(0, 2), keepdims=True)
    scaled = np.divide(means, largest, out=np.zeros_like(means), where=largest > 0)
    order = _unit_order(scaled, sort)
    n_columns = 2 if len(groups) == 4 else min(len(groups), 3)  # three are as wide as a page
    n_rows = ceil(len(groups) / n_columns)
    width = unit() * MATRIX_PANEL[0]
    titles = [fitted(group.label, width, "axes.titlesize", lines=2) for group in groups]
    n_lines = max(title.count("\n") + 1 for title in titles)
    above = 0.06 + 1.3 * letter("axes.titlesize") / unit() * n_lines
    figure, panels = panel_grid(
        (n_rows, n_columns), MATRIX_PANEL, (0.6, 0.75, 0.4, above), (0.3, above + 0.05),
        sharex=True, sharey=True,
    )  # fmt: skip
    time = trials["time"].values
    step = time[1] - time[0] if len(time) > 1 else 1.0
    signed = bool((scaled < -1e-9).any())
    image = None
    for k, axes in enumerate(panels.ravel()):
        if k >= len(groups):
            axes.set_visible(False)
            continue
        image = axes.imshow(
            scaled[k, order],
            aspect="auto",
            interpolation="nearest",
            vmin=-1 if signed else 0,
            vmax=1,
            cmap=DIVERGING if signed else SEQUENTIAL,
            extent=(time[0], time[-1] + step, len(order) - 0.5, -0.5),
        )
        axes.set_title(titles[k], pad=3)
        if k % n_columns == 0:
            axes.set_ylabel(ORDERS[sort])
        axes.locator_params(axis="x", nbins=4)
        if k + n_columns >= len(groups):
            axes.tick_params(labelbottom=True)
            axes.set_xlabel(time_label(step_of(time)))
    fit_left(figure, panels)
    assert image is not None
    last = panels[0, -1].get_position()
    beside = (last.x1 + 0.1 * unit() / figure.get_figwidth(), last.y0)
    size = (0.07 * unit() / figure.get_figwidth(), last.height)
    bar = figure.colorbar(image, cax=figure.add_axes((*beside, *size)))
    bar.set_label(f"{of[:-1]} / largest of the unit")
    return figure


def grouped_activity(
    trials: xarray.Dataset, by: str | None, of: str
) -> tuple[list[TrialGroup], Float]:
    """Return the groups of trials, and the states or rates of all trials (B, N, T)."""
    check_choice("of", of, ACTIVITIES)
    return trial_groups(trials, by), trials[of].transpose("trial", "unit", "time").values


def _paths(activity: Float, average: bool) -> Float:
    """Return the trajectories of a group (P, N, T): its mean, or some of its trials."""
    if average:
        return activity.mean(axis=0, keepdims=True)
    finite = activity[np.isfinite(activity).all(axis=(1, 2))]
    return finite[:: max(1, ceil(len(finite) / MAX_PATHS))]


def frame_of(
    paths: Sequence[Float], P: ArrayLike | Projection | None, n_axes: int
) -> tuple[Projection, list[str]]:
    """Return the frame of trajectories (P, N, T), and the labels of its axes."""
    states = np.concatenate([np.moveaxis(p, 1, 0).reshape(p.shape[1], -1) for p in paths], axis=1)
    if P is not None:
        frame = Projection.of(P, len(states), n_axes)
        return frame, frame.labels(states, short=n_axes == 3)
    if not np.isfinite(states).all():
        raise ParameterError(
            "trials", "not finite", "holds states that overflow", "choose trials that stay finite"
        )
    frame = Projection.principal(states, n_axes)
    return frame, frame.labels(states, short=n_axes == 3)


def _draw_path(axes: Any, path: Float, colour: Any, thin: bool) -> None:
    width = 0.5 if thin else 1.3
    size = 2.0 if thin else 4.0
    axes.plot(*path, color=colour, lw=width, alpha=0.6 if thin else 1.0)
    axes.plot(*path[:, :1], "o", color=grey("white"), mec=colour, mew=0.8, ms=size)
    if len(path) == 3:
        axes.plot(*path[:, -1:], "s", color=colour, ms=size)
    elif path.shape[1] > 1:
        # The last step may be none: the head points along the last that went anywhere.
        moved = np.linalg.norm(path - path[:, -1:], axis=0)
        away = np.flatnonzero(moved > 0.01 * max(float(np.ptp(path)), 1e-300))
        if away.size:
            axes.annotate(
                "",
                xy=path[:, -1],
                xytext=path[:, away[-1]],
                arrowprops={
                    "arrowstyle": "-|>",
                    "color": colour,
                    "lw": width,
                    "shrinkB": 0,
                    "mutation_scale": 4 if thin else 8,
                },
            )


def label_axes(axes: Any, labels: Sequence[str]) -> None:
    """Label two or three axes."""
    axes.set_xlabel(labels[0])
    axes.set_ylabel(labels[1])
    axes.locator_params(nbins=5 if len(labels) == 2 else 4)
    if len(labels) == 3:
        axes.set_zlabel(labels[2])
        axes.tick_params(pad=-2)
        for axis in (axes.xaxis, axes.yaxis, axes.zaxis):
            axis.labelpad = -4


def group_legend(
    groups: Sequence[TrialGroup], width: float, what: str, always: bool = False, n_axes: int = 0
) -> LegendPlan:
    """Return the legend of the groups, which comes below a figure of some width in inches.

    With ``n_axes``, 2 or 3, it says how their starts and ends are marked.
    """
    handles = [Line2D([], [], color=g.colour, lw=1.5, label=g.label) for g in groups]
    if n_axes:
        mark: dict[str, Any] = {"ls": "", "ms": 4, "color": ink()}
        handles.append(
            Line2D([], [], marker="o", mfc=grey("white"), label="start of trials", **mark)
        )
        marker, end = (">", "direction and end") if n_axes == 2 else ("s", "end of trials")
        handles.append(Line2D([], [], marker=marker, label=end, **mark))
    title = f"{what} trials by condition".strip() if len(groups) > 1 else None
    if always and title is None:
        title = f"{what} trials"
    return plan_legend(handles, width, title, most=6)


def _unit_order(scaled: Float, sort: str | None) -> NDArray[np.intp]:
    """Return the order of the units of mean responses (G, N, T)."""
    n_units = scaled.shape[1]
    if sort is None or n_units < 3:
        return np.arange(n_units)
    if sort == "peak":
        return np.argsort(np.abs(scaled.mean(axis=0)).argmax(axis=1), kind="stable")
    from scipy.cluster.hierarchy import leaves_list, linkage
    from scipy.spatial.distance import squareform

    responses = np.moveaxis(scaled, 1, 0).reshape(n_units, -1)
    centred = responses - responses.mean(axis=1, keepdims=True)
    norms = np.linalg.norm(centred, axis=1, keepdims=True)
    unit_length = np.divide(centred, norms, out=np.zeros_like(centred), where=norms > 1e-12)
    distance = np.clip(1.0 - unit_length @ unit_length.T, 0.0, 2.0)
    np.fill_diagonal(distance, 0.0)
    tree = linkage(squareform(distance, checks=False), "average", optimal_ordering=n_units <= 500)
    return np.asarray(leaves_list(tree), dtype=np.intp)


def step_of(time: NDArray[Any]) -> float:
    """Return the time from one step to the next; what was computed from trials keeps its times."""
    return float(time[1] - time[0]) if len(time) > 1 else 1.0
