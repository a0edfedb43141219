"""The figure of a recording: its units, one of them by condition, and its distance to networks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from tasks_lib.errors import ParameterError, check_choice

from ..recordings.comparison import MEASURES, RecordingComparison
from .layout import fitted, panel_grid, plan_legend
from .palette import SEQUENTIAL, VERMILLION, ink, pale
from .style import plain_matplotlib, unit
from .trial_groups import TrialGroup, trial_groups

if TYPE_CHECKING:
    import xarray

PANEL = (1.7, 1.6)  # inches
MARGINS, GAPS = (0.55, 0.15, 0.45, 0.25), (0.95, 0.0)
MOST_NAMED = 12  # networks whose names stand in the figure
TITLES = {"procrustes": "Procrustes distance", "cka": "CKA distance", "rsa": "RSA distance"}


@plain_matplotlib()
def plot_recording(
    trials: xarray.Dataset,
    comparisons: Mapping[str, RecordingComparison] | None = None,
    *,
    by: str | None = None,
    measure: str = "procrustes",
) -> Figure:
    """Plot what recorded units do, and how far networks are from them.

    Left: mean rates of all units over the trials, each divided by its largest, in the order of
    their peaks; white lines are events, at their mean time. Middle: the unit whose rate differs
    most between groups of trials, as the mean of each group. Right, with ``comparisons``: distance
    of each network, nearest first, with the standard deviation over samples of its units; grey,
    the mean where its conditions are permuted; dashed, the distance between two halves of the
    recording's trials.

    Parameters
    ----------
    trials : Dataset
        Of `models.read_recording`.
    comparisons : dict, optional
        Name of a network -> `models.compare_recording`; those without a distance are left out.
    by : str, optional
        The coordinate over trials by which groups are told apart; see docs/activity.md.
    measure : {"procrustes", "cka", "rsa"}

    Raises
    ------
    ParameterError
        For what is no coordinate over trials, and where no network has a distance.
    """
    check_choice("measure", measure, MEASURES)
    known = {name: one for name, one in (comparisons or {}).items() if measure in one.distances}
    if comparisons is not None and not known:
        said = next((one.reason for one in comparisons.values()), "there is no network")
        raise ParameterError("comparisons", len(comparisons), "have no distance", said)
    groups = trial_groups(trials, by)
    handles = [Line2D([], [], color=group.colour, label=group.label) for group in groups]
    n_panels = 3 if known else 2
    width = unit() * (MARGINS[0] + MARGINS[1] + n_panels * PANEL[0] + (n_panels - 1) * GAPS[0])
    legend = plan_legend(handles if len(groups) > 1 else [], width)
    figure, grid = panel_grid((1, n_panels), PANEL, MARGINS, GAPS, foot=legend.height)
    panels = grid.ravel()
    _draw_units(panels[0], trials)
    _draw_one(panels[1], trials, groups)
    if known:
        _draw_distances(panels[2], known, measure)
    legend.draw(figure)
    return figure


def _draw_units(axes: Any, trials: xarray.Dataset) -> None:
    means = trials["rates"].mean("trial").transpose("unit", "time").values
    largest = means.max(axis=1, keepdims=True)
    means = means / np.where(largest > 0, largest, 1.0)
    times = trials["time"].values
    half = (times[1] - times[0]) / 2 if len(times) > 1 else 0.5
    axes.imshow(
        means[np.argsort(means.argmax(axis=1), kind="stable")], aspect="auto", vmin=0, vmax=1,
        extent=(times[0] - half, times[-1] + half, len(means), 0), cmap=SEQUENTIAL,
        interpolation="nearest",
    )  # fmt: skip
    on = trials["inputs"].transpose("trial", "time", "input").values > 0
    for event in np.moveaxis(on, 2, 0):
        came = event.any(axis=1) & ~event[:, 0]
        if came.any():
            axes.axvline(times[event[came].argmax(axis=1)].mean() - half, color="w", lw=0.8)
    axes.set_title("rate / its largest, 0 to 1")
    axes.set_xlabel("time (s)")
    axes.set_ylabel(f"{len(means)} units by time of peak")


def _draw_one(axes: Any, trials: xarray.Dataset, groups: list[TrialGroup]) -> None:
    rates = trials["rates"].transpose("trial", "time", "unit").values
    means = np.stack([rates[group.trials].mean(axis=0) for group in groups])
    # By means and not by single trials, which spikes alone make different.
    chosen = int(means.var(axis=0).sum(axis=0).argmax())
    for group, mean in zip(groups, means, strict=True):
        axes.plot(trials["time"].values, mean[:, chosen], color=group.colour)
    axes.set_ylim(bottom=0)
    name = trials["unit_id"].values[chosen] if "unit_id" in trials.coords else chosen
    axes.set_title(f"unit {name}")
    axes.set_xlabel("time (s)")
    axes.set_ylabel("rate (Hz)")


def _draw_distances(axes: Any, known: Mapping[str, RecordingComparison], measure: str) -> None:
    names = sorted(known, key=lambda name: known[name].distances[measure].distance)
    found = [known[name].distances[measure] for name in names]
    rows = np.arange(len(names))
    distances = [one.distance for one in found]
    spread = [one.spread or 0.0 for one in found]
    chance = [np.nan if one.chance is None else one.chance for one in found]
    axes.plot(chance, rows, "|", color=pale(), ms=6, mew=1.5)
    axes.errorbar(distances, rows, xerr=spread, fmt="o", ms=3, color=ink(), elinewidth=0.8)
    axes.plot(distances[:1], rows[:1], "o", ms=4, color=VERMILLION, zorder=3)
    half = known[names[0]].half_distance
    if half is not None and measure == "procrustes":
        axes.axvline(half, color=ink(), lw=0.8, ls="--")
    shown = [fitted(name, GAPS[0] * 0.6 * unit(), "ytick.labelsize", 1) for name in names]
    if len(names) <= MOST_NAMED:
        axes.set_yticks(rows, shown)
    else:
        axes.set_yticks(rows[:1], shown[:1])
        axes.set_ylabel(f"{len(names)} networks", labelpad=-8)
    axes.invert_yaxis()
    axes.set_xlim(left=0)
    axes.set_title("networks, nearest first")
    axes.set_xlabel(f"{TITLES[measure]} (rad)")
