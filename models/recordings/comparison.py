"""How far a recording is from a network: mean activity by condition and time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from tasks_lib import Task
from tasks_lib.brief import brief

from ..comparison.distances import compare_networks
from ..comparison.reduction import (
    ComparedNetwork,
    binned_rates,
    principal_components,
    trial_dissimilarities,
)
from ..comparison.settings import ComparisonSettings
from ..network.rnn_numpy import RNNNumpy
from ..populations.recording import ANALYSED, FEW, NOT_FINITE, SILENT, activity_status, record
from .conditions import condition_means, shared_conditions, shared_fields
from .description import FEW_UNITS, FEWEST_UNITS, ONE_CONDITION
from .sampling import active_units
from .settings import RecordingComparisonSettings, settings_or_default

if TYPE_CHECKING:
    import xarray

Float = NDArray[np.float64]
Int = NDArray[np.int64]
COMPARED, NO_CONDITION = "compared", "no_condition"
MEASURES = ("procrustes", "cka", "rsa")
UNMATCHED = ComparisonSettings(match="none", search="")


@brief
@dataclass(frozen=True)
class MeasuredDistance:
    """One distance between a recording and a network, with its control.

    Attributes
    ----------
    distance : float
        Mean over samples of the network's units (rad).
    spread : float or None
        Standard deviation over the samples; None: there is one.
    chance : float or None
        Mean where the network's conditions are permuted; None: nothing was permuted.
    p : float or None
        Share (1 + k) / (1 + n) of the permutations that are no further.
    """

    distance: float
    spread: float | None
    chance: float | None
    p: float | None


@brief
@dataclass(frozen=True)
class RecordingComparison:
    """How far a recording is from a network.

    Attributes
    ----------
    status : str
        ``compared``; ``no_condition``: no field of the task's conditions is one of the recording;
        ``few_trials``: of no condition are there enough; ``one_condition``: of one alone;
        ``few_units``: fewer than 4 recorded units, or of the network, are active; ``silent``,
        ``constant``, ``not_finite``: the activity of one of both is.
    reason : str
        Why there is no distance; empty: there is.
    n_conditions : int
        Conditions that are compared.
    n_sampled : int
        Units of the network in each sample.
    distances : dict
        "procrustes", "cka", "rsa" -> `MeasuredDistance`; one that cannot be had is left out.
    half_distance : float or None
        Procrustes distance between two halves of the recording's trials: what noise alone makes.
    """

    status: str
    reason: str = ""
    n_conditions: int = 0
    n_sampled: int = 0
    distances: dict[str, MeasuredDistance] = field(default_factory=dict)
    half_distance: float | None = None


def compare_recording(
    recording: xarray.Dataset,
    rnn: RNNNumpy,
    task: Task,
    settings: RecordingComparisonSettings | None = None,
    *,
    seed: int = 0,
) -> RecordingComparison:
    """Compare recorded units with as many units of a network, by what they do in a task.

    The network runs the task's trials without noise. Rates of both are averaged over the trials of
    each condition that both have, and in as many bins of the window; units are centred. Distances
    are those of docs/comparison.md, which ask for no correspondence of units: Procrustes, linear
    CKA, and RSA over conditions. Of the network, only active units are compared, random samples
    of as many as were recorded (`models.sample_units`).

    Parameters
    ----------
    recording : Dataset
        Of `models.read_recording`; its conditions have the names that the task has for them.
    rnn : RNNNumpy
    task : Task
    settings : RecordingComparisonSettings, optional
    seed : int
        Of the trials, the samples and the permutations.
    """
    chosen = settings_or_default(settings, RecordingComparisonSettings)
    with np.errstate(over="ignore", invalid="ignore"):
        trials = record(rnn, task, max_trials=chosen.max_trials, seed=seed).trials
    fields = shared_fields(recording, trials)
    if not fields:
        theirs = ", ".join(str(n) for n in recording.coords if recording[n].dims == ("trial",))
        return RecordingComparison(
            NO_CONDITION, f"the recording has none of the task's conditions, but {theirs}"
        )
    groups = shared_conditions(recording, trials, fields, chosen.min_trials)
    found = len(groups[0])
    if found < 2:
        several = len(np.unique(recording["trial"].values)) >= 2 * chosen.min_trials
        status = ONE_CONDITION if found and several else FEW
        many = f"{found} with {chosen.min_trials} recorded trials and trials of the network"
        reason = f"of the conditions by {', '.join(fields)} there are {many}"
        return RecordingComparison(status, reason, found)
    first, last = (round(s * trials.sizes["time"]) for s in (chosen.network_on, chosen.network_off))
    own = recording["rates"].values
    theirs_run = trials["rates"].values[:, first : max(last, first + 1)]
    n_times = min(chosen.n_times, own.shape[1], theirs_run.shape[1])
    halves = _halves(groups[0])
    sides = {
        "recording": (binned_rates(own, n_times), groups[0], 0.0),
        "network": (binned_rates(theirs_run, n_times), groups[1], chosen.silent_below),
    }
    means: dict[str, Float] = {}
    for name, (binned, of_condition, silent_below) in sides.items():
        status, reason = activity_status(binned, silent_below)
        if status in (NOT_FINITE, SILENT):
            return RecordingComparison(status, f"{name}: {reason}", found)
        active = active_units(binned, silent_below)
        if len(active) < FEWEST_UNITS:
            said = f"{name}: {len(active)} active units; there have to be {FEWEST_UNITS}"
            return RecordingComparison(FEW_UNITS, said, found)
        means[name] = _scaled(condition_means(binned[:, :, active], of_condition), chosen)
        status, reason = activity_status(means[name], 0.0)
        if status != ANALYSED:
            return RecordingComparison(status, f"{name}: {reason}", found)
    reduced = _reduced(means["recording"], chosen)
    samples = list(_samples(means["network"], means["recording"].shape[2], chosen, seed))
    return RecordingComparison(
        COMPARED,
        n_conditions=found,
        n_sampled=samples[0].shape[2],
        distances=_distances(reduced, samples, chosen, seed),
        half_distance=_half_distance(sides["recording"][0], halves, chosen),
    )


def _scaled(means: Float, settings: RecordingComparisonSettings) -> Float:
    """Return mean activity (C, T, N), where asked with units of standard deviation 1."""
    if not settings.scale_units:
        return means
    size = means.std(axis=(0, 1))
    return means / np.where(size > 1e-12 * np.abs(means).max(), size, np.inf)


def _samples(
    means: Float, n_recorded: int, settings: RecordingComparisonSettings, seed: int
) -> Sequence[Float]:
    n_active = means.shape[2]
    n_kept = min(n_recorded, n_active)
    if not settings.n_samples or n_kept == n_active:
        return [means]
    rng = np.random.default_rng([seed, 4])
    drawn = (rng.choice(n_active, n_kept, replace=False) for _ in range(settings.n_samples))
    return [means[:, :, np.sort(units)] for units in drawn]


def _reduced(means: Float, settings: RecordingComparisonSettings) -> ComparedNetwork:
    """Return mean activity (C, T, N) as it is compared; conditions stand in place of trials."""
    components, loadings, share = principal_components(means, settings.n_components)
    return ComparedNetwork(
        ANALYSED, "", means.shape[2], len(means), components, loadings, share,
        trial_dissimilarities(means),
    )  # fmt: skip


def _distances(
    reduced: ComparedNetwork,
    samples: Sequence[Float],
    settings: RecordingComparisonSettings,
    seed: int,
) -> dict[str, MeasuredDistance]:
    """Return the distances of a recording to samples, and to these with permuted conditions."""
    theirs = [_reduced(each, settings) for each in samples]
    direct = compare_networks([reduced], theirs, UNMATCHED)
    rng = np.random.default_rng([seed, 5])
    orders = [rng.permutation(len(samples[0])) for _ in range(settings.n_shuffles)]
    permuted = [_reduced(samples[i % len(samples)][order], settings)
                for i, order in enumerate(orders)]  # fmt: skip
    control = compare_networks([reduced], permuted, UNMATCHED) if permuted else {}
    found = {}
    for name in MEASURES:
        values = direct[f"{name}_distance"][0]
        if not np.isfinite(values).all():
            continue
        distance, chance, p = float(values.mean()), None, None
        by_chance = control[f"{name}_distance"][0] if control else np.empty(0)
        if by_chance.size and np.isfinite(by_chance).all():
            chance = float(by_chance.mean())
            p = float((1 + (by_chance <= distance + 1e-9).sum()) / (1 + len(by_chance)))
        spread = float(values.std()) if len(values) > 1 else None
        found[name] = MeasuredDistance(distance, spread, chance, p)
    return found


def _halves(groups: list[Int]) -> tuple[list[Int], list[Int]] | None:
    """Return every second trial of each condition, and the others; None where one has none."""
    if min(len(own) for own in groups) < 2:
        return None
    return [own[::2] for own in groups], [own[1::2] for own in groups]


def _half_distance(
    binned: Float,
    halves: tuple[list[Int], list[Int]] | None,
    settings: RecordingComparisonSettings,
) -> float | None:
    if halves is None:
        return None
    means = [_scaled(condition_means(binned, half), settings) for half in halves]
    if any(activity_status(each, 0.0)[0] != ANALYSED for each in means):
        return None
    first, second = (_reduced(each, settings) for each in means)
    found = compare_networks([first], [second], UNMATCHED)["procrustes_distance"]
    return float(found[0, 0])
