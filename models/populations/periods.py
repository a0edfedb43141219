"""Periods of a trial: what lies between two changes of its inputs or of what is asked."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tasks_lib.brief import brief

Bool = NDArray[np.bool_]
MOST_PERIODS = 8
SHORTEST = 0.02  # of a trial: what is shorter is no period of its own
CHANGE = 1e-6  # of the range of a channel
WHOLE = "whole"


@brief
@dataclass(frozen=True, eq=False)
class TrialPeriod:
    """A part of the trials in which inputs stay as they are.

    Attributes
    ----------
    name : str
        "whole", or "period 1", "period 2", ... in the order of time.
    steps : array (B, T) of bool
        Steps of each trial that belong to it.
    inputs : tuple of str
        Channels that are not 0 in it, in one trial at least.
    asked : float
        Share of its steps that count in the scores.
    """

    name: str
    steps: Bool
    inputs: tuple[str, ...]
    asked: float

    @property
    def on(self) -> float:
        """Its first step, as the mean over trials that have it."""
        there = self.steps.any(axis=1)
        return float(self.steps[there].argmax(axis=1).mean())

    @property
    def off(self) -> float:
        """The step after its last one, as the mean over trials that have it."""
        there = self.steps.any(axis=1)
        last = self.steps.shape[1] - self.steps[there, ::-1].argmax(axis=1)
        return float(last.mean())


def find_periods(
    inputs: NDArray[np.float64], names: tuple[str, ...], counts: Bool | None = None
) -> list[TrialPeriod]:
    """Return the periods of trials, the whole of them first.

    A period ends where an input channel changes, or where it changes whether a step counts. Where
    most trials have equally many such changes, the k-th period of each of these is the same one,
    at whatever time (windows that are shifted from trial to trial); the others (windows that
    touch, say) belong to the whole alone. Otherwise those changes count that come at the same step
    in more than half of the trials. Inputs that change all the time (more than 8 periods) make no
    periods: there is the whole alone. A period that is shorter than 2 % of a trial is one with
    that after it, or at the end with that before it.

    Parameters
    ----------
    inputs : array (B, T, n_inputs)
    names : tuple of str
        Of the channels.
    counts : array (T,) or (B, T) of bool, optional
        Whether a step counts. Of trials that differ in it, what comes after the last step that
        counts is no part of the trial.
    """
    n_trials, n_steps, _ = inputs.shape
    within: Bool = np.ones((n_trials, n_steps), dtype=np.bool_)
    asked: Bool = np.ones((n_trials, n_steps), dtype=np.bool_)
    if counts is not None:
        asked = np.broadcast_to(counts, (n_trials, n_steps))
        if counts.ndim == 2:
            last = n_steps - asked[:, ::-1].argmax(axis=1)
            within = np.arange(n_steps) < np.where(asked.any(axis=1), last, n_steps)[:, None]
    number = _numbers(inputs, asked, within)
    found = [_period(WHOLE, within, inputs, names, asked)]
    highest = int(number.max())
    if highest > 0:
        found += [
            _period(f"period {k + 1}", (number == k) & within, inputs, names, asked)
            for k in range(highest + 1)
        ]
    return [period for period in found if period.steps.any()]


def _period(
    name: str, steps: Bool, inputs: NDArray[np.float64], names: tuple[str, ...], asked: Bool
) -> TrialPeriod:
    size = np.abs(inputs).max(axis=(0, 1))
    active = [
        channel
        for i, channel in enumerate(names)
        if size[i] > 0 and np.abs(inputs[..., i][steps]).max(initial=0.0) > CHANGE * size[i]
    ]
    share = float(asked[steps].mean()) if steps.any() else 0.0
    return TrialPeriod(name, steps, tuple(active), share)


def _numbers(inputs: NDArray[np.float64], asked: Bool, within: Bool) -> NDArray[np.int64]:
    """Return the number of the period of each step (B, T), from 0; all 0 where there is one."""
    n_trials, n_steps = asked.shape
    changes: Bool = np.zeros((n_trials, n_steps), dtype=np.bool_)
    spread = np.ptp(inputs, axis=(0, 1))
    moved = np.abs(np.diff(inputs, axis=1)) > CHANGE * np.where(spread > 0, spread, np.inf)
    changes[:, 1:] = (moved.any(axis=2) | (asked[:, 1:] != asked[:, :-1])) & within[:, 1:]
    number: NDArray[np.int64] = np.zeros((n_trials, n_steps), dtype=np.int64)
    how_many = changes.sum(axis=1)
    usual = int(np.bincount(how_many).argmax())
    alike = how_many == usual
    if alike.mean() > 0.5:
        starts: NDArray[Any] = np.nonzero(changes[alike])[1].reshape(int(alike.sum()), usual)
        kept = _kept(starts.mean(axis=0), n_steps)
        starts = starts[:, kept]
        number[~alike] = -1
    else:
        alike[:] = True
        common = np.flatnonzero(changes.mean(axis=0) > 0.5)
        kept = _kept(common, n_steps)
        starts = np.tile(common[kept], (n_trials, 1))
    if not 0 < len(kept) < MOST_PERIODS:
        return np.zeros((n_trials, n_steps), dtype=np.int64)
    number[alike] = (np.arange(n_steps) >= starts[:, :, None]).sum(axis=1)
    return number


def _kept(starts: NDArray[Any], n_steps: int) -> list[int]:
    """Return which starts of periods are kept, where those that are too short have none."""
    shortest = SHORTEST * n_steps
    kept, last = [], 0.0
    for i, start in enumerate(starts.tolist()):
        if min(start - last, n_steps - start) >= shortest:
            kept.append(i)
            last = start
    return kept
