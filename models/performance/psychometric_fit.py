"""Psychometric curves fitted to counts of choices by maximum likelihood, and what they determine.

The likelihood is binomial. Lapses have the prior Beta(1, 10) of psignifit (Schuett, Harmeling, Macke
& Wichmann 2016), as without one the lapses of a shallow curve and its slope cannot be told apart;
on a slope that is determined it has no influence. Standard errors are from the expected Fisher
information. Whether the choices determine a slope is asked of likelihood ratios: against choices
that do not depend on the stimulus, and against a step, of which any steeper slope is as likely.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import brentq, minimize
from scipy.special import expit, logit, xlogy

from tasks_lib.errors import ParameterError

Float = NDArray[np.float64]
LAPSE_PRIOR = 9.0  # weight of log(1 - lapse): Beta(1, 10)
LARGEST_LAPSE = 0.5
FEWEST_VALUES = 4  # stimuli of different strength, for four parameters
FLAT, STEP = 7.815, 3.841  # 95 % of chi^2 with the 3 and the 1 parameters that these have less
STEEPEST = 1e4  # slope over half the range of stimuli that is searched
TINY = 1e-300

MESSAGES = {
    "fitted": "bias and slope are determined",
    "flat": "choices do not depend on the stimulus (likelihood ratio, 5 %): the slope is that of a "
    "curve without lapses, and there is no bias",
    "step": "choices turn over between neighbouring strengths, so that any slope steeper than "
    "slope_bound is as likely: use smaller strengths, more noise or more trials",
    "slope_only": "the choices determine the slope, and not where the middle of the curve is: it is "
    "outside of the stimuli, or its error is above half their range",
    "too_few": f"a curve needs {FEWEST_VALUES} strengths of the stimulus",
}


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
        For fractions out of [0, 1], numbers of trials that are not above 0, and values that are
        not finite.
    """
    c, fraction = (np.asarray(v, dtype=np.float64).ravel() for v in (stimuli, fraction_plus))
    n = np.broadcast_to(np.asarray(n_trials, dtype=np.float64), c.shape)
    if c.shape != fraction.shape or not np.isfinite(c).all():
        raise ParameterError(
            "stimuli", c, "are not one finite number for each fraction", "give as many as fractions"
        )
    if not ((fraction >= 0) & (fraction <= 1)).all():
        raise ParameterError("fraction_plus", fraction, "is not in [0, 1]", "give fractions")
    if not ((n > 0) & np.isfinite(n)).all():
        raise ParameterError("n_trials", n_trials, "is not above 0", "leave out what has no trials")
    values, group = np.unique(c, return_inverse=True)
    total = np.bincount(group, n, len(values))
    plus = np.bincount(group, n * fraction, len(values))
    if len(values) < 2:
        return PsychometricFit("too_few")
    return _Choices(values, plus, total).fit()


class _Choices:
    """Counts of choices at ascending strengths, and likelihoods of curves.

    Strengths x are measured from the middle of their range, in units of half of it. A curve is
    (a, s, lapse_low, lapse_high) with logit a + s x.
    """

    def __init__(self, values: Float, plus: Float, total: Float) -> None:
        self.middle, self.half = (values[0] + values[-1]) / 2, (values[-1] - values[0]) / 2
        self.x = (values - self.middle) / self.half
        self.k, self.n = plus, total

    def fit(self) -> PsychometricFit:
        intercept, slope, slope_error = self._without_lapses()
        best, likelihood = self._most_likely(intercept, slope)
        share = self.k.sum() / self.n.sum()
        constant = float(np.sum(xlogy(self.k, share) + xlogy(self.n - self.k, 1 - share)))
        if 2 * (likelihood - constant) < FLAT:
            return PsychometricFit(
                "flat", slope=slope / self.half, slope_error=slope_error / self.half
            )
        if len(self.x) < FEWEST_VALUES:
            return PsychometricFit("too_few")
        step, sign = self._step()
        if 2 * (likelihood - step) < STEP:
            bound = self._least_slope(max(likelihood, step), sign, best)
            return PsychometricFit("step", slope_bound=bound / self.half)
        return self._described(best)

    def _described(self, curve: Float) -> PsychometricFit:
        a, s, low, high = (float(v) for v in curve)
        errors, covariance = self._errors(curve)
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
        bias, bias_error = self._place(middle, to_middle, covariance)
        indifference, indifference_error = self._place(crossing, to_crossing, covariance)
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
            slope=s / self.half,
            slope_error=float(errors[1]) / self.half,
            indifference=indifference,
            indifference_error=indifference_error,
            **known,
        )

    def _place(self, x: float, gradient: Float, covariance: Float) -> tuple[float, float]:
        """Return a place among the stimuli and its error; NaN where it is not determined."""
        error = float(np.sqrt(gradient @ covariance @ gradient))
        if not (abs(x) <= 1 and error < 1):
            return np.nan, np.nan
        return x * self.half + self.middle, error * self.half

    def _cost(self, curve: Float) -> tuple[float, Float]:
        """Return minus the log likelihood with the prior, and its gradient."""
        a, s, low, high = curve
        z = a + s * self.x
        up, down = expit(z), expit(-z)
        span = 1 - low - high
        p, q = np.maximum(low + span * up, TINY), np.maximum(high + span * down, TINY)
        cost = -np.sum(xlogy(self.k, p) + xlogy(self.n - self.k, q))
        cost -= LAPSE_PRIOR * (np.log1p(-low) + np.log1p(-high))
        by_p = (self.n - self.k) / q - self.k / p
        turn = by_p * span * up * down
        gradient = np.array(
            [
                turn.sum(),
                turn @ self.x,
                by_p @ down + LAPSE_PRIOR / (1 - low),
                -(by_p @ up) + LAPSE_PRIOR / (1 - high),
            ]
        )
        return float(cost), np.clip(gradient, -1e100, 1e100)

    def _least_cost(self, start: Float, slope: float | None = None) -> tuple[Float, float]:
        """Return the curve of least cost from a start, of a given slope where there is one."""
        slopes = (-STEEPEST, STEEPEST) if slope is None else (slope, slope)
        lapses = (0.0, LARGEST_LAPSE)
        found = minimize(
            self._cost,
            start,
            jac=True,
            method="L-BFGS-B",
            bounds=((-STEEPEST, STEEPEST), slopes, lapses, lapses),
            options={"ftol": 1e-13, "gtol": 1e-7, "maxiter": 1000},
        )
        return np.asarray(found.x), float(found.fun)

    def _most_likely(self, intercept: float, slope: float) -> tuple[Float, float]:
        """Return the most likely curve and its log likelihood (with the prior).

        Lapses make a curve steeper than the one without, so starts are steeper by some factors.
        """
        place = float(np.clip(-intercept / slope, -1, 1)) if slope else 0.0
        starts = [(intercept, slope, 0.01, 0.01)]
        for steep in (1.0, 4.0, 16.0, -4.0):
            own = steep * (slope if abs(slope) > 0.5 else np.copysign(0.5, slope))
            starts.append((-own * place, own, 0.05, 0.05))
        found = [self._least_cost(np.array(start)) for start in starts]
        best, cost = self._scored(*min(found, key=lambda f: f[1]))
        return best, -cost

    def _scored(self, curve: Float, cost: float) -> tuple[Float, float]:
        """Return a curve of less cost, by Fisher scoring of what is not at its bound."""
        for _ in range(20):
            free = np.array([True, True, curve[2] > 1e-9, curve[3] > 1e-9])
            gradient = self._cost(curve)[1][free]
            try:
                move = np.linalg.solve(self._information(curve)[np.ix_(free, free)], gradient)
            except np.linalg.LinAlgError:
                break
            trial = curve.copy()
            trial[free] -= move
            trial[2:] = np.clip(trial[2:], 0.0, LARGEST_LAPSE)
            trial_cost = self._cost(trial)[0]
            if not (np.isfinite(trial).all() and trial_cost < cost):
                break
            curve, cost = trial, trial_cost
        return curve, cost

    def _information(self, curve: Float) -> Float:
        """Return the expected Fisher information (4, 4) of a curve, with that of the prior."""
        a, s, low, high = curve
        z = a + s * self.x
        up, down = expit(z), expit(-z)
        span = 1 - low - high
        p, q = low + span * up, high + span * down
        turn = span * up * down
        each = np.stack([turn, turn * self.x, down, -up])
        information = (each * (self.n / np.maximum(p * q, 1e-12))) @ each.T
        information[2, 2] += LAPSE_PRIOR / (1 - low) ** 2
        information[3, 3] += LAPSE_PRIOR / (1 - high) ** 2
        return np.asarray(information)

    def _errors(self, curve: Float) -> tuple[Float, Float]:
        """Return standard errors (4,) and the covariance (4, 4) of a curve; NaN where singular."""
        try:
            covariance = np.linalg.inv(self._information(curve))
        except np.linalg.LinAlgError:
            covariance = np.full((4, 4), np.nan)
        with np.errstate(invalid="ignore"):
            return np.sqrt(np.diag(covariance)), covariance

    def _without_lapses(self) -> tuple[float, float, float]:
        """Return intercept, slope and the slope's error of a curve without lapses.

        With the correction of Firth (1993), so that they are finite whatever the choices: each
        stimulus counts as many trials more as its leverage h, half of them of +.
        """
        design = np.stack([np.ones_like(self.x), self.x])
        beta = np.zeros(2)
        covariance = np.eye(2)
        for _ in range(200):
            p = expit(beta @ design)
            weight = self.n * p * (1 - p)
            covariance = np.linalg.inv((design * weight) @ design.T + 1e-12 * np.eye(2))
            leverage = weight * np.einsum("ic,ij,jc->c", design, covariance, design)
            score = design @ (self.k - self.n * p + leverage * (0.5 - p))
            move = covariance @ score
            beta = beta + move / max(1.0, float(np.abs(move).max()) / 2.0)
            if np.abs(move).max() < 1e-10:
                break
        return float(beta[0]), float(beta[1]), float(np.sqrt(covariance[1, 1]))

    def _step(self) -> tuple[float, float]:
        """Return the log likelihood (with the prior) of the best step, and whether it goes up.

        The curve of infinite slope: two ends, and one strength at the turn whose share is free.
        """
        best = (-np.inf, 1.0)
        for sign in (1.0, -1.0):
            k, n = (self.k, self.n) if sign > 0 else (self.k[::-1], self.n[::-1])
            below_k, below_n = np.cumsum(k) - k, np.cumsum(n) - n
            above_k, above_n = k.sum() - k - below_k, n.sum() - n - below_n
            low = np.minimum(below_k / (below_n + LAPSE_PRIOR), LARGEST_LAPSE)
            high = np.minimum((above_n - above_k) / (above_n + LAPSE_PRIOR), LARGEST_LAPSE)
            turn = np.clip(k / n, low, 1 - high)
            total = (
                xlogy(below_k, low) + xlogy(below_n - below_k, 1 - low)
                + xlogy(above_k, 1 - high) + xlogy(above_n - above_k, high)
                + xlogy(k, turn) + xlogy(n - k, 1 - turn)
                + LAPSE_PRIOR * (np.log1p(-low) + np.log1p(-high))
            )  # fmt: skip
            best = max(best, (float(total.max()), sign))
        return best

    def _least_slope(self, most: float, sign: float, curve: Float) -> float:
        """Return the slope of this sign below which the likelihood ratio is above that of 95 %."""

        def excess(log_slope: float) -> float:
            slope = sign * float(np.exp(log_slope))
            place = float(np.clip(-curve[0] / curve[1], -1, 1)) if curve[1] else 0.0
            starts = [(-slope * x, slope, 0.02, 0.02) for x in (place, 0.0)]
            cost = min(self._least_cost(np.array(start), slope)[1] for start in starts)
            return 2 * (most + cost) - STEP

        low, high = np.log(1e-3), np.log(STEEPEST / 10)
        if not excess(low) > 0 > excess(high):
            return np.nan
        return sign * float(np.exp(brentq(excess, low, high, xtol=1e-3)))
