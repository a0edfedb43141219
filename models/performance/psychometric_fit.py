"""Psychometric curves fitted to counts of choices by maximum likelihood, and what they determine.

Whether the choices determine a slope is asked of likelihood ratios: against choices that do not
depend on the stimulus, and against a step, of which any steeper slope is as likely
(`models.performance.choice_likelihood`).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import expit, logit, xlogy

from tasks_lib.brief import brief
from tasks_lib.errors import ParameterError

from .choice_likelihood import CONFIDENT, Choices

Float = NDArray[np.float64]
FEWEST_VALUES = 4  # stimuli of different strength, for four parameters
FLAT = 7.815  # 95 % of chi^2 with the 3 parameters that a constant has less than a curve

MESSAGES = {
    "fitted": "bias and slope are determined",
    "flat": "choices do not depend on the stimulus (likelihood ratio, 5 %): the slope is that of a "
    "curve without lapses, and there is no bias",
    "step": "choices turn over between neighbouring strengths, so that any slope steeper than "
    "slope_bound is as likely: use smaller strengths, more noise or more trials",
    "slope_only": "the choices determine the slope, and not where the middle of the curve is: it "
    "is outside of the stimuli, or its error is above half their range",
    "too_few": f"a curve needs {FEWEST_VALUES} strengths of the stimulus",
}


@brief
@dataclass(frozen=True)
class PsychometricFit:
    """P(choose +) = lapse_low + (1 - lapse_low - lapse_high) / (1 + exp(-slope (c - bias))).

    What the choices do not determine is NaN. Errors are standard errors.

    Attributes
    ----------
    status : str
        "fitted"; "flat", "step", "slope_only" or "too_few", which `message` explains.
    bias, bias_error : float
        Stimulus at the middle of the curve, half way between its ends.
    indifference, indifference_error : float
        Stimulus at which both choices are equally frequent: the bias where the lapses are equal,
        and NaN where no stimulus in the curve's reach has it.
    slope, slope_error : float
        Per unit of stimulus.
    slope_bound : float
        Of a step: 95 % confidence that the slope is steeper than this, with its sign.
    lapse_low, lapse_high : float
        Distance of the curve's lower end from 0 and of its upper end from 1. The lower end is
        that of the most negative stimuli where the slope is positive.
    lapse_low_error, lapse_high_error : float
        NaN for a lapse of 0, at which no error is defined.
    """

    status: str
    bias: float = np.nan
    slope: float = np.nan
    lapse_low: float = np.nan
    lapse_high: float = np.nan
    indifference: float = np.nan
    bias_error: float = np.nan
    slope_error: float = np.nan
    lapse_low_error: float = np.nan
    lapse_high_error: float = np.nan
    indifference_error: float = np.nan
    slope_bound: float = np.nan

    @property
    def ok(self) -> bool:
        """Whether the choices determine bias and slope."""
        return self.status == "fitted"

    @property
    def message(self) -> str:
        """What the status means, in words."""
        return MESSAGES[self.status]

    def __call__(self, stimulus: ArrayLike) -> Float:
        """Return the fitted probability of choosing +; NaN where there is no whole curve."""
        return psychometric_curve(stimulus, self.bias, self.slope, self.lapse_low, self.lapse_high)


def psychometric_curve(
    stimulus: ArrayLike, bias: float, slope: float, lapse_low: float, lapse_high: float
) -> Float:
    """Return the probability of choosing + at a stimulus."""
    z = slope * (np.asarray(stimulus, dtype=np.float64) - bias)
    return np.asarray(lapse_low + (1 - lapse_low - lapse_high) * expit(z))


def fit_psychometric(
    stimuli: ArrayLike, fraction_plus: ArrayLike, n_trials: ArrayLike = 100
) -> PsychometricFit:
    """Fit a psychometric curve to choices by maximum likelihood, lapses in [0, 0.5].

    Lapses have the prior Beta(1, 10) of psignifit (Schuett et al. 2016), which a few trials of each
    strength do not outweigh.

    Parameters
    ----------
    stimuli : array (C,)
        Signed strengths; the same one may come several times.
    fraction_plus : array (C,)
        Choices of + at each, of all trials. A trial without choice counts half.
    n_trials : int or array (C,)
        Trials of each.

    Raises
    ------
    ParameterError
        For fractions out of [0, 1], numbers of trials that are not above 0, values that are not
        finite, and arrays of different lengths.
    """
    c, fraction = (np.asarray(v, dtype=np.float64).ravel() for v in (stimuli, fraction_plus))
    n = np.asarray(n_trials, dtype=np.float64)
    if c.shape != fraction.shape or not np.isfinite(c).all():
        raise ParameterError(
            "stimuli", c, "are not one finite number for each fraction", "give as many as fractions"
        )
    if not ((fraction >= 0) & (fraction <= 1)).all():
        raise ParameterError("fraction_plus", fraction, "is not in [0, 1]", "give fractions")
    if n.ndim and n.ravel().shape != c.shape:
        raise ParameterError(
            "n_trials", n_trials, "are not one number for each stimulus", "give one, or as many"
        )
    n = np.broadcast_to(n.ravel(), c.shape)
    if not ((n > 0) & np.isfinite(n)).all():
        raise ParameterError("n_trials", n_trials, "is not above 0", "leave out what has no trials")
    values, group = np.unique(c, return_inverse=True)
    total: Float = np.bincount(group, n, len(values)).astype(np.float64)
    plus: Float = np.bincount(group, n * fraction, len(values)).astype(np.float64)
    if len(values) < 2:
        return PsychometricFit("too_few")
    return _fit(Choices(values, plus, total))


def _fit(choices: Choices) -> PsychometricFit:
    intercept, slope, slope_error = choices.without_lapses()
    best, likelihood = choices.most_likely(intercept, slope)
    share = choices.k.sum() / choices.n.sum()
    constant = float(np.sum(xlogy(choices.k, share) + xlogy(choices.n - choices.k, 1 - share)))
    if 2 * (likelihood - constant) < FLAT:
        return PsychometricFit(
            "flat", slope=slope / choices.half, slope_error=slope_error / choices.half
        )
    if len(choices.x) < FEWEST_VALUES:
        return PsychometricFit("too_few")
    step, sign = choices.step()
    if 2 * (likelihood - step) < CONFIDENT:
        bound = choices.least_slope(max(likelihood, step), sign, best)
        return PsychometricFit("step", slope_bound=bound / choices.half)
    return _described(choices, best)


def _described(choices: Choices, curve: Float) -> PsychometricFit:
    a, s, low, high = (float(v) for v in curve)
    errors, covariance = choices.errors(curve)
    middle = -a / s
    # of functions of (a, s, low, high), to first order
    to_middle = np.array([-1 / s, a / s**2, 0.0, 0.0])
    crossing, to_crossing = np.nan, to_middle
    share = (0.5 - low) / (1 - low - high) if low + high < 1 else np.nan
    if 0 < share < 1:
        turned = logit(share)
        crossing = middle + turned / s
        rate = 1.0 / (s * share * (1 - share) * (1 - low - high) ** 2)
        to_crossing = to_middle + np.array(
            [0.0, -turned / s**2, rate * (high - 0.5), rate * (0.5 - low)]
        )
    bias, bias_error = _place(choices, middle, to_middle, covariance)
    indifference, indifference_error = _place(choices, crossing, to_crossing, covariance)
    known: dict[str, float] = {}
    if np.isfinite(bias):
        known = {
            "bias": bias,
            "bias_error": bias_error,
            "lapse_low": low,
            "lapse_high": high,
            "lapse_low_error": float(errors[2]) if low > 1e-6 else np.nan,
            "lapse_high_error": float(errors[3]) if high > 1e-6 else np.nan,
        }
    return PsychometricFit(
        status="fitted" if known else "slope_only",
        slope=s / choices.half,
        slope_error=float(errors[1]) / choices.half,
        indifference=indifference,
        indifference_error=indifference_error,
        **known,
    )


def _place(choices: Choices, x: float, gradient: Float, covariance: Float) -> tuple[float, float]:
    """Return a place among the stimuli and its error; NaN where it is not determined."""
    error = float(np.sqrt(gradient @ covariance @ gradient))
    if not (abs(x) <= 1 and error < 1):
        return np.nan, np.nan
    return x * choices.half + choices.middle, error * choices.half
