"""Choices of a context-dependent decision network on the grid of coherences."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray
from scipy.optimize import curve_fit

from tasks_lib import CDDM
from tasks_lib.cddm import CONTEXTS
from tasks_lib.errors import ParameterError, check_int

from .plots import FONT_SIZE, style_axes
from .rnn_numpy import RNNNumpy

Float = NDArray[np.float64]


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
        Whether the fit converged; if not, the parameters are NaN.
    """

    bias: float
    slope: float
    lapse_low: float
    lapse_high: float
    ok: bool

    def __call__(self, coherence: Float) -> Float:
        """Return the fitted probability of choosing +."""
        return psychometric_curve(coherence, self.bias, self.slope, self.lapse_low, self.lapse_high)


@dataclass(frozen=True)
class Psychometrics:
    """Choices on the grid of motion and colour coherence.

    Attributes
    ----------
    coherences : array (C,)
    fraction_right : array (2, C, C)
        Right choices by context (motion, color), motion and colour coherence; NaN where the
        relevant coherence is 0.
    fraction_plus : array (2, C, C)
        Choices of +.
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


def psychometric_curve(
    coherence: Float, bias: float, slope: float, lapse_low: float, lapse_high: float
) -> Float:
    """Return the probability of choosing + at a coherence."""
    z = np.clip(slope * (np.asarray(coherence) - bias), -500, 500)
    return lapse_low + (1 - lapse_low - lapse_high) / (1 + np.exp(-z))


def fit_psychometric(coherences: Float, fraction_plus: Float) -> PsychometricFit:
    """Fit a psychometric curve by least squares, slope in +-500, lapses in [0, 0.5]."""
    rising = fraction_plus[-1] >= fraction_plus[0]
    try:
        values, _ = curve_fit(
            psychometric_curve,
            coherences,
            fraction_plus,
            p0=(0.0, 5.0 if rising else -5.0, 0.02, 0.02),
            bounds=((-2.0, -500.0, 0.0, 0.0), (2.0, 500.0, 0.5, 0.5)),
            maxfev=5000,
        )
    except (RuntimeError, ValueError, TypeError):  # no convergence, NaN, fewer points than 4
        return PsychometricFit(np.nan, np.nan, np.nan, np.nan, ok=False)
    bias, slope, low, high = (float(v) for v in values)
    return PsychometricFit(bias, slope, low, high, ok=bool(np.isfinite(values).all()))


def get_psychometrics(
    rnn: RNNNumpy,
    task: CDDM,
    n_repeats: int = 7,
    coherences: Sequence[float] | None = None,
    noise: bool = True,
) -> Psychometrics:
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
    """
    if not isinstance(task, CDDM):
        raise ParameterError("task", type(task).__name__, "is not CDDM", "use a CDDM task")
    check_int("n_repeats", n_repeats, minimum=1)
    values = np.sort(np.asarray(task.coherences if coherences is None else coherences, float))
    trials = [
        task.generate_input_target_stream(context, motion, color)
        for context in CONTEXTS
        for motion in values
        for color in values
    ]
    inputs = np.stack([t[0] for t in trials], axis=2)
    targets = np.stack([t[1] for t in trials], axis=2)
    correct = np.array([t[2]["correct_choice"] for t in trials])
    right, plus, error = (np.zeros(len(trials)) for _ in range(3))
    for _ in range(n_repeats):
        _, outputs = rnn.run(inputs, noise=noise)
        evidence = outputs[0, -1] if task.n_outputs == 1 else outputs[0, -1] - outputs[1, -1]
        choice = np.sign(evidence)
        right += (choice == correct) / n_repeats
        plus += (choice > 0) / n_repeats
        difference = (outputs - targets)[:, task.mask]
        error += np.mean(difference**2, axis=(0, 1)) / n_repeats
    shape = (2, len(values), len(values))
    grid = np.where(correct == 0, np.nan, right).reshape(shape)
    plus = plus.reshape(shape)
    fits = {}
    for i, context in enumerate(CONTEXTS):
        by_motion, by_color = plus[i].mean(axis=1), plus[i].mean(axis=0)
        relevant, irrelevant = (by_motion, by_color) if i == 0 else (by_color, by_motion)
        fits[context, "relevant"] = fit_psychometric(values, relevant)
        fits[context, "irrelevant"] = fit_psychometric(values, irrelevant)
    return Psychometrics(values, grid, plus, error.reshape(shape), fits)


def plot_psychometrics(result: Psychometrics) -> Figure:
    """Plot the grid of right choices and the curves, a row for each context."""
    c = result.coherences
    figure = Figure(figsize=(5.6, 4.6), layout="constrained")
    panels = figure.subplots(2, 2, squeeze=False)
    for i, context in enumerate(CONTEXTS):
        grid, curves = panels[i]
        grid.imshow(result.fraction_right[i].T, origin="lower", vmin=0, vmax=1, cmap="viridis")
        ticks = np.unique(np.linspace(0, len(c) - 1, 5).round().astype(int))
        grid.set_xticks(ticks, [f"{c[t]:.2g}" for t in ticks])
        grid.set_yticks(ticks, [f"{c[t]:.2g}" for t in ticks])
        grid.set_xlabel("motion coherence")
        grid.set_ylabel("color coherence")
        grid.set_title(f"{context} context")
        by_motion = result.fraction_plus[i].mean(axis=1)
        by_color = result.fraction_plus[i].mean(axis=0)
        pairs = (by_motion, by_color) if i == 0 else (by_color, by_motion)
        fine = np.linspace(c[0], c[-1], 200)
        for which, points, color in zip(
            ("relevant", "irrelevant"), pairs, ("#0072B2", "#D55E00"), strict=True
        ):
            curves.plot(c, points, "o", ms=3, color=color, label=which)
            fit = result.fits[context, which]
            if fit.ok:
                curves.plot(fine, fit(fine), color=color, lw=1)
        curves.set_ylim(-0.05, 1.05)
        curves.set_xlabel("coherence")
        curves.set_ylabel("fraction of + choices")
        curves.legend(frameon=False, fontsize=FONT_SIZE - 1)
        for axes in (grid, curves):
            style_axes(axes)
    bar = figure.colorbar(panels[0, 0].images[0], ax=panels[:, 0], shrink=0.6, location="left")
    bar.set_label("fraction right", size=FONT_SIZE)
    bar.ax.tick_params(labelsize=FONT_SIZE - 1)
    return figure
