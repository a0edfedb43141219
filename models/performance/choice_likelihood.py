"""The likelihood of choices under psychometric curves, and what is most likely.

The likelihood is binomial. Lapses have the prior Beta(1, 10) of psignifit (Schuett, Harmeling,
Macke & Wichmann 2016), as without one the lapses of a shallow curve and its slope cannot be told
apart; on a slope that is determined it has no influence. Errors are from the expected Fisher
information.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq, minimize
from scipy.special import expit, logit, xlogy

Float = NDArray[np.float64]
LAPSE_PRIOR = 9.0  # weight of log(1 - lapse): Beta(1, 10)
LARGEST_LAPSE = 0.5
CONFIDENT = 3.841  # 95 % of chi^2 with 1 degree of freedom
STEEPEST = 1e4  # slope over half the range of stimuli that is searched
TINY = 1e-300


class Choices:
    """Counts of choices at ascending strengths, and likelihoods of curves.

    Strengths x are measured from the middle of their range, in units of half of it. A curve is
    (a, s, lapse_low, lapse_high) with logit a + s x.
    """

    def __init__(self, values: Float, plus: Float, total: Float) -> None:
        self.middle, self.half = (values[0] + values[-1]) / 2, (values[-1] - values[0]) / 2
        self.x = (values - self.middle) / self.half
        self.k, self.n = plus, total

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

    def most_likely(self, intercept: float, slope: float) -> tuple[Float, float]:
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

    def errors(self, curve: Float) -> tuple[Float, Float]:
        """Return standard errors (4,) and the covariance (4, 4) of a curve; NaN where singular."""
        try:
            covariance: Float = np.asarray(np.linalg.inv(self._information(curve)))
        except np.linalg.LinAlgError:
            covariance = np.full((4, 4), np.nan)
        with np.errstate(invalid="ignore"):
            return np.asarray(np.sqrt(np.diag(covariance)), dtype=np.float64), covariance

    def without_lapses(self) -> tuple[float, float, float]:
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

    def step(self) -> tuple[float, float]:
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

    def least_slope(self, most: float, sign: float, curve: Float) -> float:
        """Return the slope of this sign below which the likelihood ratio is above that of 95 %."""

        def excess(log_slope: float) -> float:
            slope = sign * float(np.exp(log_slope))
            place = float(np.clip(-curve[0] / curve[1], -1, 1)) if curve[1] else 0.0
            starts = [(-slope * x, slope, 0.02, 0.02) for x in (place, 0.0)]
            # of a steep curve the place is that of a strength whose share is its own
            for i in np.argsort(np.abs(self.x - place))[:2]:
                share = float(np.clip(self.k[i] / self.n[i], 0.02, 0.98))
                starts.append((float(logit(share)) - slope * self.x[i], slope, 0.02, 0.02))
            cost = min(self._least_cost(np.array(start), slope)[1] for start in starts)
            return 2 * (most + cost) - CONFIDENT

        low, high = np.log(1e-3), np.log(STEEPEST / 10)
        if not excess(low) > 0 > excess(high):
            return np.nan
        return sign * float(np.exp(brentq(excess, low, high, xtol=1e-3)))
