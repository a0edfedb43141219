"""Scores of a network with an intervention, and how far it is from the untouched one."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tasks_lib import Task
from tasks_lib.base import Condition
from tasks_lib.brief import brief

from ..network.rnn_numpy import RNNNumpy
from ..performance.scores import choice_accuracy, mean_squared_error, r2_pooled
from .recording import MOST_VALUES

Float = NDArray[np.float64]
FEWEST_TRIALS = 8
MOST_PRODUCTS = 10**11  # multiplications of weights and rates in all runs together
MEASURES = ("r2", "accuracy", "mse", "choice_changed", "trajectory_change", "output_change")


@brief
@dataclass(frozen=True, eq=False)
class InterventionScore:
    """What a network does at one strength of an intervention.

    Attributes
    ----------
    strength : float
    n_units : int
        Units that it acts on.
    measures : dict
        ``r2`` (pooled), ``accuracy``, ``mse``: scores, None where they are not defined.
        ``choice_changed``: share of trials with another choice than the untouched network.
        ``trajectory_change``, ``output_change``: root mean square difference of states and of
        outputs from the untouched network's, over the root mean square deviation of those from
        their mean; None where they overflow. Of interventions that are drawn, means over draws.
    controls : dict of str to array
        The same of each matched control; empty where there are none.
    by_component : dict of str to InterventionScore
        The same on the trials of each task of a mixture; empty for any other task.
    """

    strength: float
    n_units: int
    measures: dict[str, float | None]
    controls: dict[str, Float]
    by_component: dict[str, InterventionScore] = field(default_factory=dict)

    def control_mean(self, measure: str) -> float | None:
        """Return the mean of a measure over controls; None where there is none."""
        values = self.controls.get(measure, np.empty(0))
        return float(values.mean()) if values.size else None

    def control_std(self, measure: str) -> float | None:
        """Return the standard deviation of a measure over controls."""
        values = self.controls.get(measure, np.empty(0))
        return float(values.std()) if values.size else None

    def p(self, measure: str) -> float | None:
        """Return how often a control is as far from the untouched network, (1 + k) / (1 + n).

        For scores: is as low; for changes and mse: is as large.
        """
        own, values = self.measures.get(measure), self.controls.get(measure, np.empty(0))
        if own is None or not values.size:
            return None
        lower = measure in ("r2", "accuracy")
        worse = values <= own + 1e-12 if lower else values >= own - 1e-12
        return float((1 + worse.sum()) / (1 + len(values)))


@dataclass(frozen=True, eq=False)
class InterventionTrials:
    """Inputs, targets, the steps that count, and the untouched network's answer."""

    task: Task
    mask: Any
    inputs: Float
    targets: Float
    states: Float
    outputs: Float
    conditions: list[Condition]

    def of_components(self) -> dict[str, NDArray[np.int64]]:
        """Return the trials of each task of a mixture that has some; empty of any other task."""
        of = np.array([str(self.task.component_of(c)) for c in self.conditions])
        found = {name: np.flatnonzero(of == name) for name in self.task.component_tasks}
        return {name: trials for name, trials in found.items() if len(trials)}

    def chosen(self, trials: NDArray[np.int64]) -> InterventionTrials:
        """Return some of the trials."""
        arrays = {
            name: getattr(self, name)[:, :, trials]
            for name in ("inputs", "targets", "states", "outputs")
        }
        return replace(self, **arrays, conditions=[self.conditions[i] for i in trials])

    def measure(self, states: Float, outputs: Float) -> dict[str, float | None]:
        """Return all measures."""
        none: dict[str, float | None] = dict.fromkeys(MEASURES)
        if not (np.isfinite(states).all() and np.isfinite(outputs).all()):
            return none
        made, right = self.task.read_choices(outputs, self.targets, self.conditions)
        before, _ = self.task.read_choices(self.outputs, self.targets, self.conditions)
        accuracy, changed = None, None
        if made is not None and right is not None and before is not None:
            accuracy, _ = choice_accuracy(made, right)
            choosing = self.task.trials_with_choices(self.conditions)
            changed = float(np.mean(made[choosing] != before[choosing]))
        found = {
            "r2": r2_pooled(outputs, self.targets, self.mask),
            "accuracy": accuracy,
            "mse": mean_squared_error(outputs, self.targets, self.mask),
            "choice_changed": changed,
            "trajectory_change": _relative(states, self.states),
            "output_change": _relative(outputs, self.outputs),
        }
        return {n: None if v is None or not np.isfinite(v) else v for n, v in found.items()}


def _relative(changed: Float, before: Float) -> float | None:
    spread = float(np.sqrt(np.mean((before - before.mean(axis=(1, 2), keepdims=True)) ** 2)))
    if spread <= 1e-12:
        return None
    return float(np.sqrt(np.mean((changed - before) ** 2))) / spread


def run_untouched(
    rnn: RNNNumpy, task: Task, max_trials: int, n_runs: int, seed: int
) -> InterventionTrials:
    """Run some trials of a task without an intervention; of large networks fewer.

    Parameters
    ----------
    rnn : RNNNumpy
    task : Task
    max_trials : int
    n_runs : int
        That will be made of them.
    seed : int
        Of the task's trials.
    """
    before = task.rng
    try:
        task.reset(seed)
        inputs, targets, conditions = task.get_batch()
    finally:
        task.rng = before
    each = rnn.n_units * task.n_steps
    room = min(MOST_VALUES // (2 * each), MOST_PRODUCTS // (each * rnn.n_units * n_runs))
    n = min(inputs.shape[2], max_trials, max(room, FEWEST_TRIALS))
    spread = np.linspace(0, inputs.shape[2] - 1, n).round().astype(int)
    inputs, targets = inputs[:, :, spread], targets[:, :, spread]
    with np.errstate(over="ignore", invalid="ignore"):
        states, outputs = rnn.run(inputs)
    mask = None if np.ndim(task.mask) == 2 else task.mask  # of trials: it is in the targets
    kept = [conditions[i] for i in spread]
    return InterventionTrials(task, mask, inputs, targets, states, outputs, kept)
