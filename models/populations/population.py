"""What a population of units does: dimensions, rates, selectivity, weights."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import reduce
from operator import add, or_

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tasks_lib import Task
from tasks_lib.brief import brief

from ..network.rnn_numpy import RNNNumpy
from .dimensions import Dimensionality, Moments, gini
from .periods import TrialPeriod
from .recording import NOT_FINITE, SILENT, TrialActivity, activity_status, record
from .recurrent_weights import RecurrentWeights, recurrent_weights
from .selectivity import UnitSelectivity, selectivity
from .settings import PopulationSettings
from .variables import USABLE, ConditionVariable

Float = NDArray[np.float64]
Bool = NDArray[np.bool_]
TOP = 0.1  # share of the units whose energy is given
KINDS = ("all", "active", "excitatory", "inhibitory")


@brief
@dataclass(frozen=True, eq=False)
class UnitActivity:
    """What each of N units does, over all trials and steps.

    Attributes
    ----------
    mean_rate, mean_magnitude, largest : array (N,)
        Mean of r, mean of |r| (NaN: not known) and largest |r|.
    participation : array (N,)
        Quantile of |r| plus its standard deviation, as in trainRNNbrain's dropout.
    silent : array (N,) of bool
        Whether |r| stays below the threshold in all trials.
    energy : array (N,)
        Mean of r².
    within_trial : array (N,)
        Standard deviation over the steps of a trial, as the mean over trials.
    between_trials : array (N,)
        Standard deviation over trials of their mean.
    """

    mean_rate: Float
    mean_magnitude: Float
    largest: Float
    participation: Float
    silent: Bool
    energy: Float
    within_trial: Float
    between_trials: Float


@brief
@dataclass(frozen=True, eq=False)
class UnitGroup:
    """What some of the units do together.

    Attributes
    ----------
    name : str
        all, active, excitatory or inhibitory.
    units : array (N,) of bool
    mean_rate, energy : float or None
        Means over the units of r and of r².
    sigma_log_rate : float or None
        Standard deviation of ln(mean |r|) over the units that are active: their heterogeneity
        (Buzsáki & Mizuseki 2014). None: fewer than two.
    energy_gini : float or None
        Gini's coefficient of the units' energies: 0 where all have the same.
    energy_top_share : float or None
        Share of the energy that the tenth of the units has that has most.
    dimensions : Dimensionality
        Of their rates.
    mean_weights : dict
        "excitatory" or "inhibitory" -> mean recurrent weight from these units to those; empty
        where the network does not obey Dale's law.
    """

    name: str
    units: Bool
    mean_rate: float | None
    energy: float | None
    sigma_log_rate: float | None
    energy_gini: float | None
    energy_top_share: float | None
    dimensions: Dimensionality
    mean_weights: dict[str, float | None]


@brief
@dataclass(frozen=True, eq=False)
class PopulationAnalysis:
    """What the units of a network do in its task.

    Attributes
    ----------
    status : str
        ``analysed``; ``silent``: no unit's rate is above the threshold, there are single units
        alone; ``constant``: no rate changes, there are no dimensions and no selectivity;
        ``not_finite``: states overflow, there are weights alone. Those of a recording are in
        `models.describe_recording`.
    reason : str
        Why, in words; empty where all is analysed.
    n_trials : int
    units : UnitActivity or None
    groups : list of UnitGroup
        All units, the active ones, and of networks that obey Dale's law both kinds.
    periods : list of (TrialPeriod, Dimensionality)
        The whole trial first.
    variables : list of ConditionVariable
    selectivity : list of UnitSelectivity
        Of each usable variable in each period.
    weights : RecurrentWeights or None
        None: of a recording.
    """

    status: str
    reason: str
    n_trials: int
    weights: RecurrentWeights | None
    units: UnitActivity | None = None
    groups: list[UnitGroup] = field(default_factory=list)
    periods: list[tuple[TrialPeriod, Dimensionality]] = field(default_factory=list)
    variables: list[ConditionVariable] = field(default_factory=list)
    selectivity: list[UnitSelectivity] = field(default_factory=list)

    def selectivity_of(self, variable: str) -> list[UnitSelectivity]:
        """Return the selectivity for a variable in each period, the whole trial first."""
        return [one for one in self.selectivity if one.variable == variable]


def get_population(
    rnn: RNNNumpy,
    task: Task,
    settings: PopulationSettings | None = None,
    *,
    W_rec_start: ArrayLike | None = None,
    seed: int = 0,
) -> PopulationAnalysis:
    """Describe what the units of a network do in its task.

    Parameters
    ----------
    rnn : RNNNumpy
    task : Task
    settings : PopulationSettings, optional
    W_rec_start : array (N, N), optional
        Recurrent weights before training.
    seed : int
        Of the trials, the noise and the permutations.
    """
    chosen = PopulationSettings() if settings is None else settings
    weights = recurrent_weights(rnn.W_rec, W_rec_start)
    recording = record(
        rnn, task, noise=chosen.noise, n_repeats=chosen.n_repeats, max_trials=chosen.max_trials,
        seed=seed,
    )  # fmt: skip
    return describe_population(recording, weights, chosen, seed, rnn.W_rec)


def describe_population(
    recording: TrialActivity,
    weights: RecurrentWeights | None,
    settings: PopulationSettings,
    seed: int = 0,
    W_rec: Float | None = None,
    *,
    refused: tuple[str, str] | None = None,
) -> PopulationAnalysis:
    """Describe a population from its trials; see `get_population`.

    Where ``refused`` gives a status and its reason, there are single units alone.
    """
    rates = recording.rates
    status, reason = activity_status(rates, settings.silent_below)
    if status == NOT_FINITE:
        return PopulationAnalysis(status, reason, recording.n_trials, weights)
    whole, *parts = recording.periods
    samples = rates[whole.steps]
    units = _unit_activity(samples, recording, settings)
    if status != SILENT and refused is not None:
        status, reason = refused
    if status == SILENT or refused is not None:
        return PopulationAnalysis(status, reason, recording.n_trials, weights, units)
    cell_types = np.zeros(len(units.silent), np.int64) if weights is None else weights.cell_types
    # The whole is the sum of its periods, which have no step in common, and of what is in none.
    moments = [Moments.of(rates[part.steps]) for part in parts]
    rest = whole.steps & ~reduce(or_, (part.steps for part in parts), np.zeros_like(whole.steps))
    together = reduce(add, moments, Moments.of(rates[rest]))
    found: list[UnitSelectivity] = []
    for period in recording.periods:
        means = recording.period_means(period)
        found += [
            selectivity(means, each, period.name, settings.n_shuffles, seed)
            for each in recording.variables
            if each.status == USABLE
        ]
    return PopulationAnalysis(
        status,
        reason,
        recording.n_trials,
        weights,
        units,
        _groups(units, together, cell_types, W_rec),
        [
            (period, sums.dimensionality())
            for period, sums in zip(recording.periods, (together, *moments), strict=True)
        ],
        recording.variables,
        found,
    )


def _unit_activity(
    samples: Float, recording: TrialActivity, settings: PopulationSettings
) -> UnitActivity:
    magnitude = np.abs(samples)
    largest = magnitude.max(axis=0)
    whole = recording.periods[0]
    means = recording.period_means(whole)
    weights = whole.steps / np.maximum(whole.steps.sum(axis=1, keepdims=True), 1)
    deviation = recording.rates - means[:, None]
    within = np.sqrt(np.einsum("bt,btn,btn->bn", weights, deviation, deviation))
    return UnitActivity(
        mean_rate=samples.mean(axis=0),
        mean_magnitude=magnitude.mean(axis=0),
        largest=largest,
        participation=_quantile(magnitude, settings.participation_quantile) + magnitude.std(axis=0),
        silent=largest <= settings.silent_below,
        energy=np.einsum("mn,mn->n", samples, samples) / len(samples),
        within_trial=within.mean(axis=0),
        between_trials=means.std(axis=0),
    )


def _quantile(values: Float, q: float) -> Float:
    """Return the quantile over samples (M, N); sorting all of them would take far longer."""
    rank = q * (len(values) - 1)
    low = int(rank)
    high = min(low + 1, len(values) - 1)
    parts = np.partition(values, (low, high), axis=0)
    return np.asarray(parts[low] + (rank - low) * (parts[high] - parts[low]))


def _groups(
    units: UnitActivity, moments: Moments, cell_types: NDArray[np.int64], W_rec: Float | None
) -> list[UnitGroup]:
    members = {"all": np.ones(len(units.silent), np.bool_), "active": ~units.silent}
    if cell_types.any():
        members |= {"excitatory": cell_types > 0, "inhibitory": cell_types < 0}
    return [
        _group(name, chosen, units, moments, cell_types, W_rec) for name, chosen in members.items()
    ]


def _group(
    name: str,
    chosen: Bool,
    units: UnitActivity,
    moments: Moments,
    cell_types: NDArray[np.int64],
    W_rec: Float | None,
) -> UnitGroup:
    some = bool(chosen.any())
    active = chosen & ~units.silent
    size = units.mean_magnitude[active]
    energy = units.energy[chosen]
    total = float(energy.sum())
    top = np.sort(energy)[::-1][: max(1, round(TOP * len(energy)))].sum()
    to: dict[str, float | None] = {}
    if cell_types.any() and W_rec is not None:
        for kind, sign in (("excitatory", 1), ("inhibitory", -1)):
            block = W_rec[np.ix_(cell_types == sign, chosen)]
            to[kind] = float(block.mean()) if block.size else None
    return UnitGroup(
        name,
        chosen,
        float(units.mean_rate[chosen].mean()) if some else None,
        total / len(energy) if some else None,
        float(np.log(size).std()) if len(size) > 1 else None,
        gini(energy) if some else None,
        float(top) / total if total > 0 else None,
        moments.dimensionality(chosen),
        to,
    )
