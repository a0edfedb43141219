"""Choices of a context-dependent decision network on the grid of coherences."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import OptimizeWarning, curve_fit

from tasks_lib import CDDM
from tasks_lib.brief import brief
from tasks_lib.cddm import CONTEXTS
from tasks_lib.errors import ParameterError, check_bool, check_float, check_int
from tasks_lib.masks import held_to_the_end

from ..network.rnn_numpy import RNNNumpy
from .scores import mean_squared_error_by_trial

Float = NDArray[np.float64]


@brief
@dataclass(frozen=True)
class PsychometricFit:
    """P(choose +) = lapse_low + (1 - lapse_low - lapse_high) / (1 + exp(-slope (c - bias))).

    Attributes
    ----------
    bias : float
        Coherence at the middle of the curve.
    slope : float
        Per unit of coherence.
    lapse_low, lapse_high : float
        Distance of the curve's ends from 0 and from 1.
    ok : bool
        Whether the fit converged and the choices determine bias and slope; if not (a flat curve, a
        step between two coherences), the parameters are NaN.
    """

    bias: float
    slope: float
    lapse_low: float
    lapse_high: float
    ok: bool

    def __call__(self, coherence: Float) -> Float:
        """Return the fitted probability of choosing +."""
        return psychometric_curve(coherence, self.bias, self.slope, self.lapse_low, self.lapse_high)


@brief
@dataclass(frozen=True, eq=False)
class PsychometricCurves:
    """Choices on the grid of motion and colour coherence.

    Attributes
    ----------
    coherences : array (C,)
    fraction_right : array (2, C, C)
        Right choices by context (motion, color), motion and colour coherence; NaN where the
        relevant coherence is 0.
    fraction_plus : array (2, C, C)
        Choices of +; a trial without choice (equal outputs) counts half.
    mse : array (2, C, C)
        Masked mean squared error.
    fits : dict
        (context, "relevant" or "irrelevant") -> PsychometricFit.
    """

    coherences: Float
    fraction_right: Float
    fraction_plus: Float
    mse: Float
    fits: dict[tuple[str, str], PsychometricFit]


Psychometrics = PsychometricCurves  # its name until 0.1, which is that of a table now


def psychometric_curve(
    coherence: Float, bias: float, slope: float, lapse_low: float, lapse_high: float
) -> Float:
    """Return the probability of choosing + at a coherence."""
    z = np.clip(slope * (np.asarray(coherence) - bias), -500, 500)
    return lapse_low + (1 - lapse_low - lapse_high) / (1 + np.exp(-z))


def fit_psychometric(
    coherences: Float, fraction_plus: Float, n_trials: int = 100
) -> PsychometricFit:
    """Fit a psychometric curve by least squares, slope in +-500, lapses in [0, 0.5].

    Parameters
    ----------
    coherences : array (C,)
    fraction_plus : array (C,)
        Choices of + at each coherence.
    n_trials : int
        Trials of each coherence: what the choices determine is judged by their sampling error.
    """
    failed = PsychometricFit(np.nan, np.nan, np.nan, np.nan, ok=False)
    c, p = np.asarray(coherences, dtype=np.float64), np.asarray(fraction_plus, dtype=np.float64)
    if len(np.unique(c)) < 4 or not np.isfinite(p).all():  # four parameters
        return failed
    rising = np.polyfit(c, p, 1)[0] >= 0
    try:
        with warnings.catch_warnings():
            # a singular covariance is how a flat curve shows: judged below, not warned about
            warnings.simplefilter("ignore", OptimizeWarning)
            values, covariance = curve_fit(
                psychometric_curve,
                c,
                p,
                p0=(0.0, 5.0 if rising else -5.0, 0.02, 0.02),
                sigma=np.full(len(c), np.sqrt(0.25 / n_trials)),
                absolute_sigma=True,
                bounds=((-2.0, -500.0, 0.0, 0.0), (2.0, 500.0, 0.5, 0.5)),
                maxfev=5000,
            )
    except RuntimeError:  # no convergence
        return failed
    bias, slope, low, high = (float(v) for v in values)
    bias_error, slope_error = np.sqrt(np.diag(covariance))[:2]
    # A NaN error compares as false. A bias outside the coherences would be extrapolated.
    determined = bias_error < np.ptp(c) / 2 and slope_error < abs(slope)
    if not (determined and c.min() <= bias <= c.max()):
        return failed
    return PsychometricFit(bias, slope, low, high, ok=True)


def get_psychometrics(
    rnn: RNNNumpy,
    task: CDDM,
    n_repeats: int = 7,
    coherences: Sequence[float] | None = None,
    noise: bool = True,
) -> PsychometricCurves:
    """Measure choices on the grid of coherences.

    Parameters
    ----------
    rnn : RNNNumpy
    task : CDDM
    n_repeats : int
        Trials of each cell.
    coherences : sequence of float, optional
        The task's by default.
    noise : bool
        Whether the network runs with its noise.

    Returns
    -------
    PsychometricCurves
        Choices are the sign of output 0 minus output 1, or of the only output, at the last step
        (of a trial whose targets end early, NaN, its own last step).
    """
    if not isinstance(task, CDDM):
        raise ParameterError("task", type(task).__name__, "is not CDDM", "use a CDDM task")
    if rnn.n_outputs != task.n_outputs:
        raise ParameterError(
            "n_outputs", rnn.n_outputs, f"the task has {task.n_outputs}", "use the network's task"
        )
    check_int("n_repeats", n_repeats, minimum=1)
    check_bool("noise", noise)
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
    counts: list[Float] = [np.zeros(len(trials)) for _ in range(3)]
    right, plus, error = counts
    for _ in range(n_repeats):
        _, outputs = rnn.run(inputs, noise=noise)
        last = held_to_the_end(outputs, targets)[:, -1]
        evidence = last[0] if task.n_outputs == 1 else last[0] - last[1]
        choice = np.sign(evidence)
        right += choice == correct
        plus += (1 + choice) / 2
        error += mean_squared_error_by_trial(outputs, targets, task.mask)
    # counted whole and divided once, so that all is exactly 1
    right, plus, error = right / n_repeats, plus / n_repeats, error / n_repeats
    shape = (2, len(values), len(values))
    fraction_right = np.where(correct == 0, np.nan, right).reshape(shape)
    plus = plus.reshape(shape)
    fits = {}
    for i, context in enumerate(CONTEXTS):
        for which, points in marginal_choices(plus[i], i).items():
            fits[context, which] = fit_psychometric(values, points, n_repeats * len(values))
    return PsychometricCurves(values, fraction_right, plus, error.reshape(shape), fits)


def _checked(coherences: Sequence[float]) -> Float:
    """Return coherences (C,), ascending, after checking that they are distinct and in [-1, 1]."""
    values = [check_float("coherences", c, -1.0, 1.0) for c in coherences]
    if not values or len(set(values)) < len(values):
        raise ParameterError(
            "coherences", values, "is empty or has duplicates", "give distinct coherences"
        )
    return np.sort(np.array(values))


def marginal_choices(plus: Float, context: int) -> dict[str, Float]:
    """Return the choices of + by relevant and by irrelevant coherence, from (motion, color)."""
    by_motion, by_color = plus.mean(axis=1), plus.mean(axis=0)
    relevant, irrelevant = (by_motion, by_color) if context == 0 else (by_color, by_motion)
    return {"relevant": relevant, "irrelevant": irrelevant}
