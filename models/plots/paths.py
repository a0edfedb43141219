"""Trajectories of trials in a figure: which group each is of, where it starts and where it goes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.lines import Line2D
from numpy.typing import ArrayLike, NDArray

from tasks_lib.errors import ParameterError

from .palette import colour_of_choice, grey, pale
from .projection import Projection
from .trial_groups import TrialGroup, trial_groups

if TYPE_CHECKING:
    import xarray

Float = NDArray[np.float64]
MAX_TRAJECTORIES = 40
MAX_NAMED = 4  # groups that a legend names one by one; of more, the first, middle and last
FARTHEST = 1e3  # |x| of trials that are drawn, for the largest |x| of a point
ENDS = {1: "^", -1: "v", 0: "_"}


@dataclass(frozen=True, eq=False)
class Paths:
    """Trajectories of trials, as a figure shows them.

    Attributes
    ----------
    states : array (N, T, B)
    groups : list of TrialGroup
        Of the trials shown; none where nothing is known of them.
    choices : array of int (B,), optional
    n_left_out : int
        Trials that grow without bound, and are not among the states.
    """

    states: Float
    groups: Sequence[TrialGroup] = ()
    choices: NDArray[np.int64] | None = None
    n_left_out: int = 0


def make_paths(trajectories: ArrayLike | xarray.Dataset | None, points: Float) -> Paths | None:
    """Return what is drawn of trials: 40 of those that stay in sight of ``points`` (N, P).

    Parameters
    ----------
    trajectories : array (N, T, B) or (N, T), or Dataset of `models.get_trials`
    points : array (N, P)
    """
    if trajectories is None:
        return None
    labelled = hasattr(trajectories, "coords")  # to ask its class would import xarray
    if not labelled:
        states = as_lines("trajectories", trajectories, len(points))
    else:
        dataset: Any = trajectories
        states = as_lines(
            "trajectories", dataset["states"].transpose("unit", "time", "trial").values, len(points)
        )
    near = stays_near(states, points)
    kept = np.flatnonzero(near)
    kept = kept[:: max(1, -(-len(kept) // MAX_TRAJECTORIES))]
    if not len(kept):
        return Paths(states[:, :, :0], n_left_out=int((~near).sum()))
    groups: list[TrialGroup] = []
    choices = None
    if labelled:
        # Of all trials, so that a group has the same colour whichever trials are shown.
        for group in trial_groups(dataset):
            shown = np.flatnonzero(np.isin(kept, group.trials))
            if len(shown):
                groups.append(TrialGroup(group.label, shown, group.colour))
        if len(groups) == 1:  # nothing to tell apart
            groups = []
        if "choice" in dataset.coords:
            choices = np.asarray(dataset["choice"].values[kept], dtype=np.int64)
    return Paths(states[:, :, kept], groups, choices, int((~near).sum()))


def mean_paths(trials: xarray.Dataset, points: Float) -> Paths:
    """Return the mean trajectory of each group of trials and each choice that was made in it."""
    states = trials["states"].transpose("unit", "time", "trial").values
    near = stays_near(states, points)
    made = trials["choice"].values if "choice" in trials.coords else np.zeros(len(near), dtype=int)
    means: list[Float] = []
    groups: list[TrialGroup] = []
    choices: list[int] = []
    for group in trial_groups(trials):
        first = len(means)
        for choice in np.unique(made[group.trials]):
            chosen = group.trials[near[group.trials] & (made[group.trials] == choice)]
            if chosen.size:
                means.append(states[:, :, chosen].mean(axis=2))
                choices.append(int(choice))
        if len(means) > first:
            groups.append(TrialGroup(group.label, np.arange(first, len(means)), group.colour))
    shown = np.stack(means, axis=2) if means else states[:, :, :0]
    return Paths(
        shown, groups, np.array(choices) if "choice" in trials.coords else None, int((~near).sum())
    )


def stays_near(trajectories: Float, points: Float) -> NDArray[np.bool_]:
    """Return which trials (B,) of (N, T, B) stay in sight of ``points`` (N, P).

    Those of a network that grows without bound would leave the points too small to be seen, and
    turn the principal components toward where they go: a trial is left out that is not finite, or
    comes to a thousand times the largest |x| of the points (or of 1).
    """
    farthest = FARTHEST * max(1.0, float(np.abs(points).max(initial=0.0)))
    return np.asarray(np.abs(trajectories).max(axis=(0, 1)) <= farthest)  # False for NaN


def trials_near(trajectories: ArrayLike, points: ArrayLike) -> Float:
    """Return the trials (N, T, B) that stay in sight of ``points`` (N, P); see `stays_near`."""
    paths = np.asarray(trajectories, dtype=np.float64)
    near = stays_near(paths, np.asarray(points, dtype=np.float64))
    return paths if near.all() else paths[:, :, near]


def as_lines(field: str, lines: ArrayLike, n_units: int) -> Float:
    """Return states (N, T) or (N, T, B) as (N, T, B), checked."""
    paths = np.asarray(lines, dtype=np.float64)
    paths = paths[:, :, None] if paths.ndim == 2 else paths
    if paths.ndim != 3 or paths.shape[0] != n_units:
        raise ParameterError(
            f"{field}.shape", paths.shape, f"is not ({n_units}, T, B)", "put units first"
        )
    return paths


def joined(lines: Float) -> Float:
    """Return lines (n_axes, T, B) as one, with a gap after each: one artist is cheaper than B."""
    gap = np.full((len(lines), 1, lines.shape[2]), np.nan)
    return np.concatenate([lines, gap], axis=1).transpose(0, 2, 1).reshape(len(lines), -1)


def draw_paths(axes: Any, paths: Paths, frame: Projection, low: Float, high: Float) -> None:
    """Draw trajectories, their starts, their directions and choices.

    Parameters
    ----------
    axes : matplotlib axes of two or three dimensions
    paths : Paths
    frame : Projection
    low, high : array (n_axes,)
        Corners of what is shown.
    """
    if not paths.states.size:
        return
    lines = frame(paths.states)  # (n_axes, T, B)
    for group in _groups(paths):
        own = lines[:, :, group.trials]
        dim = 1.0 if group.colour == pale() else 0.55
        axes.plot(*inside(joined(own), low, high), color=group.colour, lw=0.4, alpha=dim, zorder=0)
        draw_heads(axes, own, group.colour, low, high)
    # Trials that start alike start at one place.
    starts = np.unique(np.round(lines[:, 0].T, 9), axis=0).T
    axes.plot(*inside(starts, low, high), **_start(), zorder=4)
    for choice in _choices(paths):
        ends = inside(lines[:, -1, paths.choices == choice], low, high)
        axes.plot(*ends, **_end(choice), alpha=0.85, zorder=3)


def legend_of_paths(paths: Paths) -> list[Line2D]:
    """Return what a legend names of trajectories that are drawn."""
    if not paths.states.size:
        return []
    groups = _groups(paths)
    if len(groups) > MAX_NAMED:
        groups = [groups[0], groups[len(groups) // 2], groups[-1]]
    handles = [Line2D([], [], color=g.colour, lw=1.0, label=g.label) for g in groups]
    handles.append(Line2D([], [], **_start(), label="start of trials"))
    return handles + [
        Line2D([], [], **_end(choice), label=f"end: {choice_in_words(choice)}")
        for choice in _choices(paths)
    ]


def _groups(paths: Paths) -> Sequence[TrialGroup]:
    return paths.groups or [TrialGroup("trials", np.arange(paths.states.shape[2]), pale())]


def _choices(paths: Paths) -> list[int]:
    return [] if paths.choices is None else sorted(set(paths.choices.tolist()), reverse=True)


def _end(choice: int) -> dict[str, Any]:
    return {
        "ls": "", "marker": ENDS.get(choice, "D"), "color": colour_of_choice(choice), "ms": 3.4,
        "mew": 0.9 if choice == 0 else 0.0,
    }  # fmt: skip


def choice_in_words(choice: int) -> str:
    """Return a choice as a legend names it."""
    signed = {1: "choice +", -1: "choice \N{MINUS SIGN}", 0: "no choice"}
    return signed.get(choice, f"choice {choice}")


def inside(path: Float, low: Float, high: Float) -> Float:
    """Return projected states (n_axes, M) with NaN outside the window: 3D axes do not clip."""
    with np.errstate(invalid="ignore"):
        outside = (path < low[:, None]) | (path > high[:, None])
    return np.where(outside.any(axis=0), np.nan, path)


def draw_heads(axes: Any, lines: Float, colour: Any, low: Float, high: Float) -> None:
    """Draw an arrowhead on each line (n_axes, T, B), halfway along its length."""
    size = float((high - low).max())
    steps = np.linalg.norm(np.diff(lines, axis=1), axis=0)  # (T - 1, B)
    length = steps.sum(axis=0)
    going = np.flatnonzero((length > 0.03 * size) & (length > 0))
    if not going.size:
        return
    way = np.cumsum(steps[:, going], axis=0)
    at = (way < 0.5 * way[-1]).sum(axis=0).clip(max=lines.shape[1] - 2)
    here = lines[:, at, going]
    step = lines[:, at + 1, going] - here
    step = step / np.maximum(np.linalg.norm(step, axis=0), 1e-300)
    within = np.isfinite(inside(here, low, high)).all(axis=0)
    here, step = here[:, within], step[:, within]
    if len(lines) == 2:
        axes.quiver(
            *here, *step, angles="xy", color=colour, units="inches", scale_units="inches",
            scale=1e3, width=0.013, headwidth=4.5, headlength=5.0, headaxislength=4.5,
            minlength=0.0, minshaft=0.01, zorder=1, pivot="mid",
        )  # fmt: skip
    else:
        axes.quiver(
            *here, *step, length=0.03 * size, normalize=False, color=colour, lw=0.6,
            arrow_length_ratio=1.0, pivot="tip",
        )  # fmt: skip


def _start() -> dict[str, Any]:
    """Return how the marker of the start of a trial is drawn."""
    own = {"color": grey("black"), "mfc": grey("white")}
    return {"ls": "", "marker": "o", "ms": 3.2, "mew": 0.7, **own}
