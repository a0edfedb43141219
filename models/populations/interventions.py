"""Interventions: what a network still does when something is taken from it or added."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tasks_lib import Task
from tasks_lib.brief import brief
from tasks_lib.errors import ParameterError

from ..network.rnn_numpy import RNNNumpy
from .intervention_scores import MEASURES, InterventionScore, InterventionTrials, run_untouched
from .recording import ANALYSED, NOT_FINITE, activity_status
from .settings import InterventionSettings, PopulationSettings
from .variants import Variant, variants
from .variants import silenced as silenced

Float = NDArray[np.float64]
NO_TARGET = "no_target"
SOUGHT = {
    "readout": "output",
    "selection_vector": "selection vector",
    "fixed_point": "fixed point",
    "regressor": "axis of a variable",
    "cluster": "cluster",
}


@brief
@dataclass(frozen=True, eq=False)
class InterventionCurve:
    """Scores of a network against the strength of an intervention.

    Attributes
    ----------
    status : str
        ``analysed``; ``not_finite``: the untouched network overflows; ``silent``, ``constant``:
        no unit of it is active, or changes its rate, so that nothing can be taken from it;
        ``no_target``: there is nothing to act on.
    reason : str
    n_trials : int
    settings : InterventionSettings
    untouched : dict
        Scores without the intervention, as `InterventionScore.measures`.
    untouched_by_component : dict of str to dict
        The same on the trials of each task of a mixture; empty for any other task.
    scores : list of InterventionScore
        In the order of the strengths.
    """

    status: str
    reason: str
    n_trials: int
    settings: InterventionSettings
    untouched: dict[str, float | None] = field(default_factory=dict)
    scores: list[InterventionScore] = field(default_factory=list)
    untouched_by_component: dict[str, dict[str, float | None]] = field(default_factory=dict)


def intervene(
    rnn: RNNNumpy,
    task: Task,
    settings: InterventionSettings | None = None,
    *,
    vector: ArrayLike | None = None,
    units: ArrayLike | None = None,
    seed: int = 0,
) -> InterventionCurve:
    """Run a network with an intervention of growing strength, and matched random controls.

    Runs are noise-free but for kind ``noise``. Controls are units drawn at random, as many of
    them (none where all are silenced); vectors of random direction, as long (none of one unit);
    for quantised weights noise of the same size; and for more noise the network's own noise.
    Interventions that are random themselves (noise of weights, of states) are drawn
    ``n_controls`` times, at least once; those of weights have no further control.

    Parameters
    ----------
    rnn : RNNNumpy
    task : Task
    settings : InterventionSettings, optional
    vector : array (N,), optional
        Direction in states for kind ``perturb``, in place of the target.
    units : array of int, optional
        Units for kind ``silence``, in the order in which they are silenced, in place of the target.
        Strengths are shares of these then: a cluster, say.
    seed : int
        Of the trials and of what is random.

    Raises
    ------
    ParameterError
        For a vector or units that are none of this network.
    """
    chosen = InterventionSettings() if settings is None else settings
    order, direction = _checked(rnn, task, chosen, vector, units)
    n_runs = len(_strengths(chosen)) * (1 + chosen.n_controls)
    trials = run_untouched(rnn, task, chosen.max_trials, n_runs, seed)
    n_trials = trials.inputs.shape[2]
    if not np.isfinite(trials.states).all():
        why = "states of the untouched network overflow"
        return InterventionCurve(NOT_FINITE, why, n_trials, chosen)
    rates = rnn.equation.rates(trials.states)
    status, reason = activity_status(rates.transpose(2, 1, 0), PopulationSettings().silent_below)
    if status != ANALYSED:
        return InterventionCurve(status, reason, n_trials, chosen)
    if chosen.target in ("participation", "mean_rate") and units is None:
        flat = np.abs(rates).reshape(rnn.n_units, -1)
        size = flat.mean(axis=1)
        if chosen.target == "participation":
            size = np.quantile(flat, 0.9, axis=1) + flat.std(axis=1)
        order = np.argsort(-size, kind="stable")
    if chosen.kind == "silence" and not len(order):
        return without_target(chosen, n_trials)
    if chosen.kind == "perturb":
        if direction is None:
            return without_target(chosen, n_trials)
        if not np.linalg.norm(direction) > 0:
            why = "the direction that states are moved along is 0"
            return InterventionCurve(NO_TARGET, why, n_trials, chosen)
    rng = np.random.default_rng([seed, 2])
    scores = [
        _score(rnn, trials, chosen, strength, order, direction, rng)
        for strength in _strengths(chosen)
    ]
    untouched = trials.measure(trials.states, trials.outputs)
    by_component = {}
    for name, own in trials.of_components().items():
        part = trials.chosen(own)
        by_component[name] = part.measure(part.states, part.outputs)
    return InterventionCurve(ANALYSED, "", n_trials, chosen, untouched, scores, by_component)


def without_target(settings: InterventionSettings, n_trials: int = 0) -> InterventionCurve:
    """Return the intervention that finds nothing to act on, with what was sought as the reason."""
    of = f" {settings.target_of!r}" if settings.target_of else ""
    why = f"the network has no {SOUGHT.get(settings.target, 'unit to silence')}{of}"
    return InterventionCurve(NO_TARGET, why, n_trials, settings)


def _checked(
    rnn: RNNNumpy,
    task: Task,
    settings: InterventionSettings,
    vector: ArrayLike | None,
    units: ArrayLike | None,
) -> tuple[NDArray[np.int64], Float | None]:
    """Return units in the order in which they are silenced, and the direction of states."""
    order: NDArray[np.int64] = np.arange(rnn.n_units)
    if units is not None:
        given = np.asarray(units)
        order = given.astype(np.int64) if given.dtype.kind in "iu" or not given.size else given
        if order.dtype != np.int64 or order.ndim != 1 or len(np.unique(order)) < len(order) or (
            order.size and not 0 <= order.min() <= order.max() < rnn.n_units
        ):  # fmt: skip
            remedy = f"give each of some of the units 0 to {rnn.n_units - 1} once"
            raise ParameterError("units", units, "are not units of this network", remedy)
    elif settings.target == "cluster":
        remedy = "give its units, as `units`"
        raise ParameterError("target", "cluster", "is not known of a network alone", remedy)
    elif settings.target == "output_weights":
        order = np.argsort(-np.abs(rnn.W_out).sum(axis=0), kind="stable")
    direction = None
    if vector is not None:
        direction = np.asarray(vector, dtype=np.float64)
        if direction.shape != (rnn.n_units,) or not np.isfinite(direction).all():
            remedy = f"give {rnn.n_units} finite numbers"
            raise ParameterError("vector", np.shape(vector), "is no direction of states", remedy)
    elif settings.target == "readout":
        names = list(task.output_names)
        if settings.target_of and settings.target_of not in names:
            remedy = f"use {', '.join(names)}"
            raise ParameterError("target_of", settings.target_of, "is no output", remedy)
        direction = rnn.W_out[names.index(settings.target_of) if settings.target_of else 0]
    return order, direction


def _strengths(settings: InterventionSettings) -> list[float]:
    steps = settings.largest * np.arange(1, settings.n_strengths + 1) / settings.n_strengths
    if settings.kind in ("perturb", "input_gain"):
        return [*(-steps[::-1]).tolist(), *steps.tolist()]
    return steps.tolist()


def _score(
    rnn: RNNNumpy,
    trials: InterventionTrials,
    settings: InterventionSettings,
    strength: float,
    order: NDArray[np.int64],
    direction: Float | None,
    rng: np.random.Generator,
) -> InterventionScore:
    own, controls, n_units = variants(rnn, trials, settings, strength, order, direction, rng)
    components = {
        name: (part, trials.chosen(part)) for name, part in trials.of_components().items()
    }

    def measured(variant: Variant) -> dict[str, dict[str, float | None]]:
        """Return the measures over all trials, under "", and over those of each component."""
        states, outputs = variant()
        found = {"": trials.measure(states, outputs)}
        for name, (part, chosen) in components.items():
            found[name] = chosen.measure(states[:, :, part], outputs[:, :, part])
        return found

    with np.errstate(over="ignore", invalid="ignore"):
        touched = [measured(variant) for variant in own]
        by_chance = [measured(variant) for variant in controls]

    def score(name: str) -> InterventionScore:
        return InterventionScore(
            strength,
            n_units,
            {m: _mean([one[name][m] for one in touched]) for m in MEASURES},
            {m: _known([one[name][m] for one in by_chance]) for m in MEASURES},
        )

    return replace(score(""), by_component={name: score(name) for name in components})


def _known(values: list[float | None]) -> Float:
    return np.array([v for v in values if v is not None], dtype=np.float64)


def _mean(values: list[float | None]) -> float | None:
    known = _known(values)
    return float(known.mean()) if len(known) == len(values) and len(known) else None
