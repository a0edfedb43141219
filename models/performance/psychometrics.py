"""Choices by the strength of signed stimuli, and the psychometric curves through them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tasks_lib import CDDM, Task
from tasks_lib.brief import brief
from tasks_lib.cddm import CONTEXTS
from tasks_lib.errors import ParameterError, check_bool, check_float, check_int
from tasks_lib.masks import held_to_the_end

from ..network.outputs import network_outputs
from ..network.rnn_numpy import RNNNumpy
from .psychometric_fit import PsychometricFit as PsychometricFit
from .psychometric_fit import fit_psychometric as fit_psychometric
from .psychometric_fit import psychometric_curve as psychometric_curve
from .scores import mean_squared_error_by_trial

Float = NDArray[np.float64]
MOST_POINTS = 32  # strengths that are shown one by one
CONFIDENCE = 1.959964  # standard errors of 95 %


@brief
@dataclass(frozen=True, eq=False)
class ChoicePoints:
    """Choices of + at each strength of a stimulus, whatever else differs between the trials.

    Attributes
    ----------
    stimulus : array (P,)
        Signed strengths, ascending; where there are more than 32, the mean of neighbouring ones.
    n_plus : array (P,)
        Choices of +. A trial without choice (equal outputs) counts half.
    n_trials : array (P,) of int
    """

    stimulus: Float
    n_plus: Float
    n_trials: NDArray[np.int64]

    @property
    def fraction(self) -> Float:
        """Fraction of choices of + (P,)."""
        return np.asarray(self.n_plus / self.n_trials)

    @property
    def interval(self) -> tuple[Float, Float]:
        """Interval of 95 % around each fraction, by Wilson (1927): (P,), (P,)."""
        n, p, z = self.n_trials, self.fraction, CONFIDENCE
        middle = (p + z**2 / (2 * n)) / (1 + z**2 / n)
        reach = z / (1 + z**2 / n) * np.sqrt(p * (1 - p) / n + z**2 / (4 * n**2))
        # An end at 0 or at 1 is so exactly, and not up to a rounding error.
        return (
            np.where(self.n_plus <= 0, 0.0, middle - reach),
            np.where(self.n_plus >= n, 1.0, middle + reach),
        )


@brief
@dataclass(frozen=True, eq=False)
class PsychometricCurves:
    """Choices by the strength of each stimulus, and the curves through them.

    Attributes
    ----------
    points : dict
        (context, "relevant" or "irrelevant") -> ChoicePoints.
    fits : dict
        (context, "relevant" or "irrelevant") -> PsychometricFit.
    coherences : array (C,) or None
        Of motion and of colour, for context-dependent decision making; None for other tasks, as
        are the following.
    fraction_right : array (2, C, C) or None
        Right choices by context (motion, color), motion and colour coherence; NaN where the
        relevant coherence is 0.
    fraction_plus : array (2, C, C) or None
        Choices of +; a trial without choice (equal outputs) counts half.
    mse : array (2, C, C) or None
        Masked mean squared error.
    """

    points: dict[tuple[str, str], ChoicePoints]
    fits: dict[tuple[str, str], PsychometricFit]
    coherences: Float | None = None
    fraction_right: Float | None = None
    fraction_plus: Float | None = None
    mse: Float | None = None


Psychometrics = PsychometricCurves  # its name until 0.1, which is that of a table now


def get_psychometrics(
    rnn: RNNNumpy,
    task: Task,
    n_repeats: int = 7,
    coherences: Sequence[float] | None = None,
    noise: bool = True,
    device: str = "cpu",
) -> PsychometricCurves:
    """Measure choices by the strength of the task's signed stimuli, and fit curves.

    Parameters
    ----------
    rnn : RNNNumpy
    task : Task
        One with choices and signed stimuli (`Task.signed_stimuli`): CDDM, GoNoGo, or your own.
    n_repeats : int
        Batches of trials; of CDDM the trials of each pair of coherences.
    coherences : sequence of float, optional
        Of CDDM; the task's by default.
    noise : bool
        Whether the network runs with its noise.
    device : str
        Torch device that it runs on.

    Returns
    -------
    PsychometricCurves
        Choices are the task's. Those of CDDM are the sign of output 0 minus output 1, or of the
        only output, at the last step (of a trial whose targets end early, NaN, its own last step).

    Raises
    ------
    ParameterError
        Where the task has no choices or no signed stimulus, or the network is of another task.
    """
    if not (isinstance(task, Task) and task.has_signed_stimuli(task.params)):
        raise ParameterError(
            "task",
            type(task).__name__,
            "has no choices by a signed stimulus",
            "use CDDM, GoNoGo or a task that defines get_choices and signed_stimuli",
        )
    task.check_network(rnn, "use the network's task")
    check_int("n_repeats", n_repeats, minimum=1)
    check_bool("noise", noise)
    if isinstance(task, CDDM):
        return _on_the_grid(rnn, task, n_repeats, coherences, noise, device)
    if coherences is not None:
        raise ParameterError(
            "coherences", coherences, "are those of CDDM", "leave it out: the task's own are used"
        )
    task.reset()
    conditions: list[Mapping[str, Any]] = []
    choices = []
    for _ in range(n_repeats):
        inputs, targets, batch = task.get_batch()
        outputs = network_outputs(rnn, inputs, noise, device)
        made, _ = task.read_choices(outputs, targets, batch)
        choices.append(_one_of_two(task, made, batch))
        conditions += batch
    plus = (1 + np.concatenate(choices)) / 2
    points, fits = _curves(task, conditions, plus, 1)
    return PsychometricCurves(points, fits)


def _one_of_two(task: Task, choices: Any, conditions: Sequence[Mapping[str, Any]]) -> Float:
    made = np.asarray(choices, dtype=np.float64)
    # Of tasks that are joined others may have choices between more than two.
    shown = [i for i, c in enumerate(conditions) if task.signed_stimuli(dict(c)) is not None]
    if choices is None or not np.isin(made[shown], (-1, 0, 1)).all():
        raise ParameterError(
            f"{type(task).__name__}.get_choices",
            None if choices is None else np.unique(made),
            "are not -1, 0 and 1",
            "return 1 for the choice +, -1 for the choice - and 0 for none",
        )
    return made


def _curves(
    task: Task, conditions: Sequence[Mapping[str, Any]], plus: Float, n_each: int
) -> tuple[dict[tuple[str, str], ChoicePoints], dict[tuple[str, str], PsychometricFit]]:
    """Return the choices of + by each stimulus, and the fits.

    Parameters
    ----------
    task : Task
    conditions : sequence of B dicts
    plus : array (B,)
        Choices of + of all that were made with each condition.
    n_each : int
        How many these are.
    """
    trials: dict[tuple[str, str], list[tuple[float, float]]] = {}
    for condition, chosen in zip(conditions, plus.tolist(), strict=True):
        said = task.signed_stimuli(dict(condition))
        if said is None:
            continue
        context, strengths = said
        for which, strength in strengths.items():
            trials.setdefault((context, which), []).append((strength, chosen))
    points, fits = {}, {}
    for key, pairs in trials.items():
        strength, chosen_plus = np.array(pairs, dtype=np.float64).T
        values, group = _distinct(strength)
        n = np.bincount(group, minlength=len(values)) * n_each
        k: Float = np.bincount(group, chosen_plus, len(values)).astype(np.float64)
        fits[key] = fit_psychometric(values, k / n, n)
        points[key] = _shown(values, k, n)
    return points, fits


def _distinct(strength: Float) -> tuple[Float, NDArray[np.int64]]:
    """Return the distinct strengths, ascending, and the one of each trial.

    Differences of decimal numbers, such as 0.4 - 0.2 and 0.6 - 0.4, are equal but for rounding.
    """
    scale = float(np.abs(strength).max()) or 1.0
    _, first, group = np.unique(
        np.round(strength / scale, 9), return_index=True, return_inverse=True
    )
    return strength[first], group


def _shown(values: Float, plus: Float, n: NDArray[np.int64]) -> ChoicePoints:
    if len(values) <= MOST_POINTS:
        return ChoicePoints(values, plus, n)
    bins = np.array_split(np.arange(len(values)), MOST_POINTS // 2)
    return ChoicePoints(
        np.array([np.average(values[b], weights=n[b]) for b in bins]),
        np.array([plus[b].sum() for b in bins]),
        np.array([n[b].sum() for b in bins]),
    )


def _on_the_grid(
    rnn: RNNNumpy,
    task: CDDM,
    n_repeats: int,
    coherences: Sequence[float] | None,
    noise: bool,
    device: str,
) -> PsychometricCurves:
    values = _checked(task.coherences if coherences is None else coherences)
    grid = product(CONTEXTS, values.tolist(), values.tolist())
    fields = ("context", "motion_coh", "color_coh")
    trials = [dict(zip(fields, cell, strict=True)) for cell in grid]
    inputs, targets, conditions = task.generate_trials(trials)
    if np.ndim(task.mask) == 2:
        raise ParameterError(
            "task.mask",
            np.shape(task.mask),
            "is of the trials of a batch, and the grid has others",
            "let the task put NaN into its targets",
        )
    correct = np.array([c["correct_choice"] for c in conditions])
    right, plus, error = (np.zeros(len(trials)) for _ in range(3))
    for _ in range(n_repeats):
        outputs = network_outputs(rnn, inputs, noise, device)
        last = held_to_the_end(outputs, targets)[:, -1]
        evidence = last[0] if task.n_outputs == 1 else last[0] - last[1]
        choice = np.sign(evidence)
        right += choice == correct
        plus += (1 + choice) / 2
        error += mean_squared_error_by_trial(outputs, targets, task.mask)
    points, fits = _curves(task, conditions, plus, n_repeats)
    shape = (2, len(values), len(values))
    # counted whole and divided once, so that all is exactly 1
    return PsychometricCurves(
        points=points,
        fits=fits,
        coherences=values,
        fraction_right=np.where(correct == 0, np.nan, right / n_repeats).reshape(shape),
        fraction_plus=(plus / n_repeats).reshape(shape),
        mse=(error / n_repeats).reshape(shape),
    )


def _checked(coherences: Sequence[float]) -> Float:
    """Return coherences (C,), ascending, after checking that they are distinct and in [-1, 1]."""
    values = [check_float("coherences", c, -1.0, 1.0) for c in coherences]
    if not values or len(set(values)) < len(values):
        raise ParameterError(
            "coherences", values, "is empty or has duplicates", "give distinct coherences"
        )
    return np.sort(np.array(values))
