"""Choices on the grid of coherences: hand-built networks whose choices are known."""

from __future__ import annotations

import io
import warnings

import numpy as np
import pytest

from models.network.rnn_numpy import RNNNumpy
from models.performance.psychometrics import (
    fit_psychometric,
    get_psychometrics,
    psychometric_curve,
)
from models.performance.scores import mean_squared_error
from models.plots.psychometrics import plot_psychometrics
from tasks_lib import CDDM, NBitFlipFlop
from tasks_lib.errors import ParameterError

COHERENCES = [-1.0, -0.5, -0.2, 0.0, 0.2, 0.5, 1.0]


def follower(n_outputs=2, gain=0.5, tau=1.0, **noise):
    """One unit that follows the motion, whatever the context: x = tanh(gain * motion)."""
    return RNNNumpy(
        W_rec=[[0.0]], W_inp=[[0, 0, gain, -gain, 0, 0]],
        W_out=[[1.0], [-1.0]][:n_outputs], activation="tanh", tau=tau, seed=3, **noise,
    )  # fmt: skip


def task(n_outputs=2, **windows):
    given = {"n_steps": 30, "stim_on": 10, "dec_on": 20, "coherences": COHERENCES, **windows}
    return CDDM(n_outputs=n_outputs, seed=0, **given)


@pytest.mark.parametrize("n_outputs", [1, 2])
def test_choices_of_a_network_that_sees_motion_only(n_outputs):
    result = get_psychometrics(follower(n_outputs), task(n_outputs), n_repeats=2)
    sign = np.sign(COHERENCES)
    motion, color = sign[:, None], sign[None, :]
    assert np.array_equal(result.fraction_plus, np.stack([(1 + motion + 0 * color) / 2] * 2))
    right = np.stack([1.0 * (motion == motion + 0 * color), 1.0 * (motion == color)])
    right[0, sign == 0, :] = np.nan
    right[1, :, sign == 0] = np.nan
    assert np.array_equal(result.fraction_right, right, equal_nan=True)


def test_error_is_that_of_the_masked_steps():
    rnn, cddm = follower(), task()
    result = get_psychometrics(rnn, cddm, noise=False)
    for context, name in enumerate(("motion", "color")):
        u, target, _ = cddm.generate_input_target_stream(name, COHERENCES[5], COHERENCES[1])
        outputs = rnn.run(u[:, :, None])[1]
        wanted = mean_squared_error(outputs, target[:, :, None], cddm.mask)
        assert result.mse[context, 5, 1] == pytest.approx(wanted, rel=1e-12)


def test_choice_is_read_at_the_last_step():
    # the stimulus ends two steps early and the unit forgets at once: no choice is left
    result = get_psychometrics(follower(), task(stim_off=27), noise=False)
    assert (result.fraction_plus == 0.5).all()
    assert np.nanmax(result.fraction_right) == 0.0


def test_fit_recovers_the_slope_set_by_noise():
    # P(+) = Phi(c / s); a logistic curve of slope 1.702 / s is within 0.01 of it
    gain, s = 1e-3, 0.2
    rnn = follower(1, gain, sigma_out=gain * s / np.sqrt(2.0))
    fine = np.linspace(-1, 1, 13)
    result = get_psychometrics(rnn, task(1), n_repeats=150, coherences=fine[::-1])
    assert np.array_equal(result.coherences, fine)
    for key in (("motion", "relevant"), ("color", "irrelevant")):
        fit = result.fits[key]
        assert fit.ok
        assert abs(fit.bias) < 0.02
        assert fit.slope == pytest.approx(1.702 / s, rel=0.15)
        assert max(fit.lapse_low, fit.lapse_high) < 0.03
    for key in (("motion", "irrelevant"), ("color", "relevant")):  # flat at 1/2
        assert not result.fits[key].ok


@pytest.mark.slow
def test_noise_only_when_asked_for():
    rnn = follower(sigma_out=5.0)
    quiet = get_psychometrics(rnn, task(), noise=False)
    noisy = get_psychometrics(rnn, task())
    assert np.nanmin(quiet.fraction_right[0]) == 1.0
    assert np.nanmin(noisy.fraction_right[0]) < 1.0


@pytest.mark.parametrize(
    "truth",
    [(0.0, 3.0, 0.0, 0.0), (0.1, 8.0, 0.05, 0.15), (-0.2, -8.0, 0.1, 0.0), (0.0, 40.0, 0.0, 0.0)],
)
def test_fit_of_an_exact_curve(truth):
    c = np.linspace(-1, 1, 21)
    fit = fit_psychometric(c, psychometric_curve(c, *truth))
    assert fit.ok
    assert np.allclose((fit.bias, fit.slope, fit.lapse_low, fit.lapse_high), truth, atol=0.02)
    assert np.allclose(fit(c), psychometric_curve(c, *truth), atol=1e-3)


C = np.linspace(-1, 1, 9)


@pytest.mark.parametrize(
    ("coherences", "plus"),
    [
        (C, 0 * C), (C, 0 * C + 1), (C, 0 * C + 0.5), (C, 1.0 * (C > 0)), (C, C * np.nan),
        (C[:3], np.array([0.0, 0.5, 1.0])), (np.ones(5), np.linspace(0, 1, 5)),
    ],
    ids=["never", "always", "half", "step", "NaN", "three", "one coherence"],
)  # fmt: skip
def test_degenerate_choices_have_no_fit(coherences, plus):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fit = fit_psychometric(coherences, plus)
    assert not fit.ok
    assert np.isnan([fit.bias, fit.slope, fit.lapse_low, fit.lapse_high]).all()


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"task": NBitFlipFlop()}, "task"),
        ({"task": task(1)}, "n_outputs"),
        ({"n_repeats": 0}, "n_repeats"),
        ({"noise": "yes"}, "noise"),
        ({"coherences": []}, "coherences"),
        ({"coherences": [0.5, 0.5]}, "coherences"),
        ({"coherences": [0.5, 2.0]}, "coherences"),
        ({"coherences": [0.5, float("nan")]}, "coherences"),
    ],
)
def test_bad_input(change, field):
    with pytest.raises(ParameterError) as error:
        get_psychometrics(**{"rnn": follower(), "task": task(), **change})
    assert error.value.field == field


@pytest.mark.parametrize("coherences", [COHERENCES, [0.5], [0.0]])
def test_figure(coherences):
    result = get_psychometrics(follower(sigma_out=0.1), task(), coherences=coherences)
    figure = plot_psychometrics(result)
    grid, curves = figure.axes[:2]
    assert grid.get_xlabel() == "motion coherence"
    assert curves.get_ylabel() == "fraction of + choices"
    # columns of the image are motion, rows colour
    assert np.array_equal(
        grid.images[0].get_array().filled(np.nan), result.fraction_right[0].T, equal_nan=True
    )
    figure.savefig(io.BytesIO())
