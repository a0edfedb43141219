"""The activity that analyses of populations are made of: trials, periods, variables."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from tasks_lib import Task
from tasks_lib.errors import ParameterError

from ..activity.trials import get_trials
from ..network.rnn_numpy import RNNNumpy
from .periods import TrialPeriod, find_periods
from .variables import ConditionVariable, condition_variables

if TYPE_CHECKING:
    import xarray

Float = NDArray[np.float64]
# Values of one array of activity: 0.2 GB, and about four of them are held at a time.
MOST_VALUES = 25_000_000
FEWEST_TRIALS = 8
ANALYSED, SILENT, CONSTANT, FEW, NOT_FINITE = (
    "analysed", "silent", "constant", "few_trials", "not_finite",
)  # fmt: skip


@dataclass(frozen=True, eq=False)
class TrialActivity:
    """Trials of a network, with what they are told apart by.

    Attributes
    ----------
    trials : Dataset
        Of `models.get_trials`.
    rates : array (B, T, N)
    periods : list of TrialPeriod
        The whole trial first.
    variables : list of ConditionVariable
    """

    trials: xarray.Dataset
    rates: Float
    periods: list[TrialPeriod]
    variables: list[ConditionVariable]

    @property
    def n_trials(self) -> int:
        """Number of trials, repeats among them."""
        return int(self.trials.sizes["trial"])

    def period_means(self, period: TrialPeriod) -> Float:
        """Return the mean rate of each unit in a period of each trial (B, N); NaN: not in it."""
        n_steps = period.steps.sum(axis=1, keepdims=True)
        weights = period.steps / np.maximum(n_steps, 1)
        means = np.matmul(weights[:, None, :], self.rates)[:, 0]
        means[n_steps[:, 0] == 0] = np.nan
        return np.asarray(means)


def record(
    rnn: RNNNumpy,
    task: Task,
    *,
    noise: bool = False,
    n_repeats: int = 1,
    max_trials: int = 256,
    seed: int = 0,
) -> TrialActivity:
    """Run trials of a task for an analysis of a population; of large networks fewer.

    Parameters
    ----------
    rnn : RNNNumpy
    task : Task
    noise : bool
        Whether the network runs with its noise.
    n_repeats : int
        How often each trial is run.
    max_trials : int
        Trials at most, spread evenly over the task's batch. There are no more than so many that
        their activity takes 0.2 GB, nor fewer than 8.
    seed : int
        Of the task's trials and of the noise.
    """
    room = MOST_VALUES // (rnn.n_units * task.n_steps * n_repeats)
    wanted = min(max_trials, max(room, FEWEST_TRIALS))
    with np.errstate(over="ignore", invalid="ignore"):  # what overflows has a status
        trials = get_trials(
            rnn, task, noise=noise, n_repeats=n_repeats, seed=seed, max_trials=wanted
        )
    return recording_of(trials)


def recording_of(trials: xarray.Dataset) -> TrialActivity:
    """Return trials of `models.get_trials`, with their periods and variables.

    Raises
    ------
    ParameterError
        Where there is no trial or no unit.
    """
    if not (trials.sizes.get("trial") and trials.sizes.get("unit")):
        raise ParameterError("trials", dict(trials.sizes), "are none", "run trials of a network")
    names = tuple(str(name) for name in trials["input"].values) if "input" in trials.coords else ()
    inputs = trials["inputs"].values
    if not names:
        names = tuple(f"input {i}" for i in range(inputs.shape[2]))
    counts = trials["counts"].values if "counts" in trials.coords else None
    rates = np.ascontiguousarray(trials["rates"].values)
    return TrialActivity(
        trials, rates, find_periods(inputs, names, counts), condition_variables(trials)
    )


def activity_status(rates: Float, silent_below: float) -> tuple[str, str]:
    """Return whether activity can be analysed, and why it cannot.

    Parameters
    ----------
    rates : array (B, T, N)
    silent_below : float
        Largest |rate| of a silent unit.
    """
    high, low = rates.max(initial=-np.inf), rates.min(initial=np.inf)
    if not (np.isfinite(high) and np.isfinite(low)):
        return NOT_FINITE, "states overflow in some trial"
    if max(abs(high), abs(low)) <= silent_below:
        return SILENT, f"no unit's |rate| is above {silent_below:g} in any trial"
    if np.ptp(rates, axis=(0, 1)).max() <= 1e-12 * max(abs(high), abs(low)):
        return CONSTANT, "no unit's rate changes over time or from trial to trial"
    return ANALYSED, ""
