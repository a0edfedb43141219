"""What a recorded population does, as the same is said of a network's."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from ..populations.population import PopulationAnalysis, describe_population
from ..populations.recording import ANALYSED, FEW, FEWEST_TRIALS, recording_of
from ..populations.settings import PopulationSettings
from ..populations.variables import USABLE
from .sampling import active_units
from .settings import settings_or_default

if TYPE_CHECKING:
    import xarray

FEW_UNITS, ONE_CONDITION = "few_units", "one_condition"
FEWEST_UNITS = 4


def describe_recording(
    trials: xarray.Dataset, settings: PopulationSettings | None = None, *, seed: int = 0
) -> PopulationAnalysis:
    """Describe what recorded units do in trials, as `models.get_population` does of a network.

    Parameters
    ----------
    trials : Dataset
        Of `models.read_recording`, or some of the units of a network (`models.sample_units`).
    settings : PopulationSettings, optional
        Those of the trials of a network (``noise``, ``n_repeats``, ``max_trials``) have no effect.
    seed : int
        Of the permutations.

    Returns
    -------
    PopulationAnalysis
        Without weights. Its status is ``analysed``, ``silent`` or ``constant`` as that of a
        network; ``few_trials`` (fewer than 8) or ``few_units`` (fewer than 4 that are active),
        where there are single units alone; ``one_condition``, where the trials differ in nothing
        and there is no selectivity.
    """
    chosen = settings_or_default(settings, PopulationSettings)
    activity = recording_of(trials)
    n_active = len(active_units(activity.rates, chosen.silent_below))
    refused = None
    if activity.n_trials < FEWEST_TRIALS:
        refused = FEW, f"{activity.n_trials} trials; there have to be {FEWEST_TRIALS}"
    elif n_active < FEWEST_UNITS:
        refused = FEW_UNITS, f"{n_active} active units; there have to be {FEWEST_UNITS}"
    found = describe_population(activity, None, chosen, seed, refused=refused)
    usable = any(variable.status == USABLE for variable in found.variables)
    if found.status == ANALYSED and not usable:
        reason = "the trials differ in no condition: there is no selectivity"
        found = replace(found, status=ONE_CONDITION, reason=reason)
    return found
