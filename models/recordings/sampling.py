"""Units as an electrode sees them: those that are active, and a random sample of these."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from tasks_lib.errors import MAX_COUNT, ParameterError, check_float, check_int

if TYPE_CHECKING:
    import xarray


def active_units(rates: NDArray[np.float64], silent_below: float = 1e-3) -> NDArray[np.int64]:
    """Return the numbers of the units whose |rate| exceeds a threshold in some trial.

    Parameters
    ----------
    rates : array (B, T, N)
    silent_below : float
        Largest |rate| of a silent unit.
    """
    return np.flatnonzero(np.abs(rates).max(axis=(0, 1)) > silent_below)


def sample_units(
    trials: xarray.Dataset, n_units: int = 0, *, silent_below: float = 1e-3, seed: int = 0
) -> xarray.Dataset:
    """Return the trials of the units that an electrode would see.

    An electrode finds a neuron by its spikes: silent units are never recorded, and which of the
    active ones are is chance.

    Parameters
    ----------
    trials : Dataset
        Of `models.get_trials` or `models.read_recording`.
    n_units : int
        Active units that are kept, a random sample without replacement; 0: all.
    silent_below : float
        Largest |rate| of a silent unit, over all trials and steps.
    seed : int
        Of the sample.

    Raises
    ------
    ParameterError
        Where fewer units are active than are to be kept, or none is.
    """
    check_int("n_units", n_units, 0, MAX_COUNT)
    check_float("silent_below", silent_below, minimum=0.0)
    check_int("seed", seed, 0, 2**63 - 1)
    active = active_units(trials["rates"].values, silent_below)
    if len(active) < max(n_units, 1):
        there = f"only {len(active)} of {trials.sizes['unit']} units are active"
        raise ParameterError("n_units", n_units, there, "ask for fewer, or lower silent_below")
    if n_units:
        drawn = np.random.default_rng([seed, 2]).choice(active, n_units, replace=False)
        active = np.sort(drawn)
    return trials.isel(unit=active)
