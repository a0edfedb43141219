"""What a circuit is fitted to: trials, those that are held out, and principal components."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tasks_lib import Task

from ..network.rnn_numpy import RNNNumpy
from ..populations.intervention_scores import InterventionTrials, run_untouched
from ..populations.recording import ANALYSED, FEW, NOT_FINITE, activity_status
from .settings import CircuitSettings

Float = NDArray[np.float64]
Int = NDArray[np.int64]
FEWEST_CONDITIONS = 4
TOO_MANY, TOO_FEW, ONE_CONDITION = "too_many_nodes", "too_few_nodes", "one_condition"


@dataclass(frozen=True, eq=False)
class PreparedTrials:
    """Trials of a network, divided into those that are fitted and those that are held out.

    Attributes
    ----------
    trials : InterventionTrials
    rates : array (N, T, B)
    seen, held : array of int
        Trials. Those with the same inputs are on the same side.
    """

    trials: InterventionTrials
    rates: Float
    seen: Int
    held: Int


def prepare(
    rnn: RNNNumpy, task: Task, settings: CircuitSettings, seed: int
) -> tuple[PreparedTrials | None, str, str, int]:
    """Run the trials that a circuit is fitted to.

    Returns
    -------
    prepared : PreparedTrials or None
        None where nothing can be fitted.
    status, reason : str
        ``analysed``, or why nothing can be fitted.
    n_trials : int
        Trials run.
    """
    trials = run_untouched(rnn, task, settings.max_trials, 1, seed)
    n_trials = trials.inputs.shape[2]
    rates = rnn.equation.rates(trials.states)
    status, reason = activity_status(rates.transpose(2, 1, 0), settings.silent_below)
    if status == ANALYSED and not np.isfinite(trials.outputs).all():
        status, reason = NOT_FINITE, "outputs overflow in some trial"
    if status == ANALYSED:
        status, reason = _status_of_nodes(rnn, settings)
    if status != ANALYSED:
        return None, status, reason, n_trials
    flat = trials.inputs.reshape(-1, n_trials).T
    condition = np.unique(flat, axis=0, return_inverse=True)[1].ravel()
    n_conditions = int(condition.max()) + 1
    if n_conditions == 1:
        why = f"the inputs of all {n_trials} trials are the same: any circuit with that one answer"
        return None, ONE_CONDITION, f"{why} would fit", n_trials
    if n_conditions < FEWEST_CONDITIONS:
        why = f"{n_conditions} different trials; some are held out, so that there have to be"
        return None, FEW, f"{why} {FEWEST_CONDITIONS} or more", n_trials
    n_held = min(max(1, round(settings.held_out * n_conditions)), n_conditions - 2)
    chosen = np.random.default_rng([seed, 4]).permutation(n_conditions)[:n_held]
    is_held = np.isin(condition, chosen)
    prepared = PreparedTrials(trials, rates, np.flatnonzero(~is_held), np.flatnonzero(is_held))
    return prepared, ANALYSED, "", n_trials


def _status_of_nodes(rnn: RNNNumpy, settings: CircuitSettings) -> tuple[str, str]:
    n = settings.n_nodes
    if n > rnn.n_units:
        return TOO_MANY, f"{n} nodes, and the network has {rnn.n_units} units"
    for what, number, how in (
        ("inputs", rnn.n_inputs, settings.inputs),
        ("outputs", rnn.n_outputs, settings.outputs),
    ):
        if how == "own_node" and n < number:
            return TOO_FEW, f"{n} nodes, and {number} {what} that have one each ({what}: own_node)"
    return ANALYSED, ""


def principal_components(rates: Float, share: float, fewest: int) -> tuple[Float, float]:
    """Return the directions that hold a share of the activity's sum of squares, and their share.

    Of rates as they are, not of their deviation from the mean: y = s Q x has no constant. Nothing
    that a circuit can explain lies outside of these directions, but what is left out of the share.

    Parameters
    ----------
    rates : array (N, T, B)
    share : float
    fewest : int
        Components at least.

    Returns
    -------
    basis : array (N, d)
        Orthonormal columns.
    share : float
        That they hold.
    """
    flat = rates.reshape(len(rates), -1)
    values, vectors = np.linalg.eigh(flat @ flat.T)
    order = np.argsort(-values, kind="stable")
    held = np.cumsum(np.maximum(values[order], 0.0))
    held /= held[-1]
    d = min(len(rates), max(fewest, int(np.searchsorted(held, share * (1 - 1e-12))) + 1))
    return vectors[:, order[:d]], float(held[d - 1])


def explained(real: Float, fitted: Float) -> float | None:
    """Return R^2 over all channels of arrays (channels, T, B); None where the real do not vary."""
    spread = float(np.square(real - real.mean(axis=(1, 2), keepdims=True)).sum())
    varies = spread > 1e-20 * float(np.square(real).sum())
    if not (varies and np.isfinite(fitted).all()):
        return None
    return 1.0 - float(np.square(real - fitted).sum()) / spread
