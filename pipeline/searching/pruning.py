"""Giving up trainings whose loss is worse than that of others at the same place."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ..tables.keys import COHORT, Key
from ..tables.training import Training
from ..workers.queue import key_of
from ..workers.registry import LIVE_STATES, Worker
from .settings import SearchSettings
from .study import optuna_library

if TYPE_CHECKING:
    import optuna

STEPS = 10  # of a training at which its loss is compared


def live_losses() -> dict[Key, tuple[float, float]]:
    """Return how far each training is that runs, from 0 to 1, and its loss."""
    found = {}
    alive = Worker & [{"state": state} for state in LIVE_STATES] & {"job_table": "Training"}
    for row in (alive & "loss is not null").to_dicts():
        key = key_of(row["job_key"])
        if row["n_iterations"]:
            share = row["iteration"] / row["n_iterations"]
            found[tuple(key[k] for k in COHORT)] = (share, float(row["loss"]))
    return found


def _sign(settings: SearchSettings) -> float:
    """Return the sign by which a smaller loss is better in the direction of the objective."""
    return 1.0 if settings.objectives[0].direction == "minimize" else -1.0


def is_to_end(
    settings: SearchSettings, study: optuna.Study, trial: Any, share: float, loss: float
) -> bool:
    """Return whether a running training is worse at its step than the median of the others."""
    number = int(share * STEPS)
    if number < 1:
        return False
    running = optuna_library().trial.Trial(study, trial._trial_id)
    if number not in trial.intermediate_values:
        running.report(_sign(settings) * loss, number)
    return bool(running.should_prune())


def report_curves(settings: SearchSettings, study: optuna.Study, trial: Any, key: Key) -> None:
    """Keep the mean losses of a finished training at each step, for others to be compared with."""
    networks = Training.Network & dict(zip(COHORT, key, strict=True))
    curves = [np.asarray(curve) for curve in networks.to_arrays("loss_curve")]
    curves = [curve for curve in curves if curve.size]
    running = optuna_library().trial.Trial(study, trial._trial_id)
    for number in range(1, STEPS):
        at = [curve[min(len(curve) - 1, number * len(curve) // STEPS)] for curve in curves]
        if at and number not in trial.intermediate_values:
            running.report(_sign(settings) * float(np.mean(at)), number)
