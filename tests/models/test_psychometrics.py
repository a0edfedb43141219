"""Choices by signed stimuli: hand-built networks whose choices are known, and fits to counts."""

from __future__ import annotations

import io
import warnings

import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st

from models.network.rnn_numpy import RNNNumpy
from models.performance.psychometric_fit import fit_psychometric, psychometric_curve
from models.performance.psychometrics import ChoicePoints, get_psychometrics
from models.performance.scores import mean_squared_error
from models.plots.psychometrics import _with_error, plot_psychometrics
from tasks_lib import CDDM, DMTS, GoNoGo, NBitFlipFlop, Task
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
        fit = result.fits[key]
        assert fit.status == "flat"
        assert abs(fit.slope) < 3 * fit.slope_error < 0.3
        assert np.isnan([fit.bias, fit.indifference]).all()


@pytest.mark.slow
def test_noise_only_when_asked_for():
    rnn = follower(sigma_out=5.0)
    quiet = get_psychometrics(rnn, task(), noise=False)
    noisy = get_psychometrics(rnn, task())
    assert np.nanmin(quiet.fraction_right[0]) == 1.0
    assert np.nanmin(noisy.fraction_right[0]) < 1.0


TRUTHS = [(0.0, 3.0, 0.0, 0.0), (0.1, 8.0, 0.05, 0.15), (-0.2, -8.0, 0.1, 0.0)]


@pytest.mark.parametrize("truth", [*TRUTHS, (0.0, 40.0, 0.0, 0.0)])
def test_fit_of_an_exact_curve(truth):
    c = np.linspace(-1, 1, 21)
    fit = fit_psychometric(c, psychometric_curve(c, *truth), 10_000)
    assert fit.ok
    assert np.allclose((fit.bias, fit.slope, fit.lapse_low, fit.lapse_high), truth, atol=0.02)
    assert np.allclose(fit(c), psychometric_curve(c, *truth), atol=1e-3)
    # The point of indifference is the bias only where the lapses are equal.
    assert psychometric_curve(fit.indifference, *truth) == pytest.approx(0.5, abs=2e-3)
    assert (abs(fit.indifference - fit.bias) > 0.01) == (truth[2] != truth[3])


def drawn(rng, c, truth, n):
    return rng.binomial(n, psychometric_curve(c, *truth)) / n


@pytest.mark.parametrize("truth", [(0.0, 6.0, 0.0, 0.0), (0.05, 10.0, 0.05, 0.15)])
def test_standard_errors_are_those_of_the_estimates(truth):
    rng = np.random.default_rng(5)
    c, n = np.array([-1, -0.5, -0.25, -0.1, -0.04, 0, 0.04, 0.1, 0.25, 0.5, 1.0]), 77
    fits = [fit_psychometric(c, drawn(rng, c, truth, n), n) for _ in range(100)]
    assert {fit.status for fit in fits} == {"fitted"}
    share = (0.5 - truth[2]) / (1 - truth[2] - truth[3])
    indifference = truth[0] + np.log(share / (1 - share)) / truth[1]
    for name, value in (("slope", truth[1]), ("bias", truth[0]), ("indifference", indifference)):
        off = np.array([(getattr(f, name) - value) / getattr(f, f"{name}_error") for f in fits])
        assert np.mean(np.abs(off) < 1.96) > 0.85, name
        assert 0.7 < off.std() < 1.35, name


def test_slopes_are_as_exact_as_the_information_allows():
    # The Cramer-Rao bound, from which least squares is farther.
    rng = np.random.default_rng(6)
    c, truth, n = np.array([-1, -0.3, -0.1, -0.04, 0, 0.04, 0.1, 0.3, 1.0]), (0, 15, 0, 0), 60
    turn = 1 / np.cosh(7.5 * c) ** 2 / 4  # p (1 - p); symmetric, so that slope and bias are apart
    bound = 1 / np.sqrt(np.sum(n * turn * c**2))
    slopes = [fit_psychometric(c, drawn(rng, c, truth, n), n).slope for _ in range(150)]
    spread = np.median(np.abs(np.array(slopes) - 15)) / 0.6745
    assert spread < 1.25 * bound


C = np.linspace(-1, 1, 9)


@pytest.mark.parametrize("n", [15, 105])
@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("middle", [0.0, 0.25, 0.5, 0.9])
def test_a_step_has_no_slope_but_a_bound(n, sign, middle):
    plus = np.where(C == 0, middle, 1.0 * (C > 0))[::sign]
    fit = fit_psychometric(C, plus, n)
    assert fit.status == "step" and not fit.ok
    assert np.isnan([fit.slope, fit.bias, fit.indifference, fit.slope_error]).all()
    assert 5 < sign * fit.slope_bound < 100
    assert "any slope steeper" in fit.message
    # With lapses too, and with single trials.
    lapsing = fit_psychometric(C, 0.05 + 0.9 * plus, 200)
    assert lapsing.status == "step"
    fine = np.linspace(-1, 1, 256)
    assert fit_psychometric(fine, 1.0 * (fine > 0.1), 1).status == "step"


@pytest.mark.parametrize("n", [100, 1000, 10_000])
def test_the_bound_of_a_step_with_a_few_other_choices_is_known(n):
    """One of a hundred beside the turn: the curve that the bound is of turns beside a strength."""
    x = np.array([-0.5, -0.25, -0.1, -0.05, 0.0, 0.05, 0.1, 0.25, 0.5])
    for share in (0.01, 0.2, 0.8):
        plus = np.where(x == -0.05, share, 1.0 * (x > -0.05))
        for sign in (1, -1):
            fit = fit_psychometric(sign * x, plus, n)
            assert (fit.status, 50 < sign * fit.slope_bound < 500) == ("step", True)


@settings(max_examples=40, deadline=None)
@given(
    counts=st.lists(st.integers(0, 20), min_size=4, max_size=12),
    steps=st.lists(st.floats(0.01, 1.0), min_size=12, max_size=12),
    scale=st.floats(1e-3, 1e3),
)
def test_any_counts_have_a_fit_or_a_word_why_not(counts, steps, scale):
    c = np.cumsum(steps)[: len(counts)]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fit = fit_psychometric(c * scale, np.array(counts) / 20, 20)
    assert fit.message
    assert fit.ok == np.isfinite(fit.bias) == np.isfinite(fit.lapse_low)
    assert np.isfinite(fit.slope) == np.isfinite(fit.slope_error) == (fit.status != "step")
    if fit.ok:
        assert c[0] * scale <= fit.bias <= c[-1] * scale
        assert 0 <= fit.lapse_low <= 0.5 and 0 <= fit.lapse_high <= 0.5
    mirrored = fit_psychometric(-c * scale, np.array(counts) / 20, 20)
    assert mirrored.status == fit.status
    if fit.status == "flat":
        assert mirrored.slope == pytest.approx(-fit.slope, abs=1e-6 / scale)


@pytest.mark.parametrize("share", [0.0, 1.0, 0.5, 0.3])
def test_choices_that_do_not_depend_on_the_stimulus_have_a_slope_of_zero(share):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fit = fit_psychometric(C, 0 * C + share, 40)
    assert fit.status == "flat" and not fit.ok
    assert abs(fit.slope) < 1e-6 < fit.slope_error
    assert np.isnan([fit.bias, fit.lapse_low, fit.lapse_high, fit.indifference]).all()


def test_a_middle_outside_of_the_stimuli_is_not_told():
    fit = fit_psychometric(C, psychometric_curve(C, 2.0, 3.0, 0, 0), 500)
    assert fit.status == "slope_only"
    assert abs(fit.slope - 3) < 3 * fit.slope_error
    assert np.isnan([fit.bias, fit.indifference]).all()


@pytest.mark.parametrize(
    ("coherences", "plus"),
    [(C[:3], np.array([0.0, 0.5, 1.0])), (np.ones(5), np.linspace(0, 1, 5))],
    ids=["three", "one coherence"],
)
def test_too_few_strengths(coherences, plus):
    fit = fit_psychometric(coherences, plus)
    assert fit.status == "too_few"
    assert np.isnan([fit.bias, fit.slope, fit.lapse_low, fit.lapse_high]).all()


@pytest.mark.parametrize(
    ("arguments", "field"),
    [
        ((C, C * np.nan), "fraction_plus"), ((C, C + 5), "fraction_plus"),
        ((C, 0 * C, 0), "n_trials"), ((C, 0 * C, [9, 9]), "n_trials"),
        ((C[:4], 0 * C), "stimuli"), ((C + np.inf, 0 * C), "stimuli"),
    ],
)  # fmt: skip
def test_counts_that_are_none(arguments, field):
    with np.errstate(invalid="ignore"), pytest.raises(ParameterError) as error:
        fit_psychometric(*arguments)
    assert error.value.field == field


def test_counts_and_their_intervals():
    result = get_psychometrics(follower(), task(), n_repeats=2)
    points = result.points["motion", "relevant"]
    assert np.array_equal(points.stimulus, COHERENCES)
    assert (points.n_trials == 2 * len(COHERENCES)).all()
    assert np.array_equal(points.fraction, (1 + np.sign(COHERENCES)) / 2)
    low, high = points.interval
    # Wilson's interval of 0 of 14: 0 to z^2 / (14 + z^2)
    assert low[0] == 0 and high[0] == pytest.approx(1.96**2 / (14 + 1.96**2), rel=1e-4)
    assert high[-1] == 1 and low[-1] == pytest.approx(14 / (14 + 1.96**2), rel=1e-4)
    seen = ChoicePoints(np.zeros(1), np.array([3.0]), np.array([10])).interval
    exact = scipy.stats.binomtest(3, 10).proportion_ci(method="wilson")
    assert (seen[0][0], seen[1][0]) == pytest.approx((exact.low, exact.high), abs=1e-6)


def test_any_task_with_choices_and_a_signed_stimulus():
    # The unit holds the stimulus; the output is above 0.5 where it is above the criterion of 0.5.
    rnn = RNNNumpy(
        W_rec=[[0.0]], W_inp=[[1.0, 0, 0]], W_out=[[1.0]], activation="relu", tau=1.0, seed=1,
        sigma_out=0.1 / np.sqrt(2.0),
    )  # fmt: skip
    result = get_psychometrics(rnn, GoNoGo(n_steps=60, batch_size=64, seed=0), n_repeats=20)
    assert result.fraction_right is None and result.coherences is None
    assert list(result.fits) == [("all", "relevant")]
    points, fit = result.points["all", "relevant"], result.fits["all", "relevant"]
    assert len(points.stimulus) == 16 and points.n_trials.sum() == 64 * 20
    # P(go) = Phi((x - 0.5) / 0.1)
    assert fit.ok
    assert abs(fit.slope - 17.02) < 3 * fit.slope_error + 0.5
    assert abs(fit.indifference) < 3 * fit.indifference_error
    quiet = get_psychometrics(rnn, GoNoGo(batch_size=64, seed=0), n_repeats=1, noise=False)
    assert quiet.fits["all", "relevant"].status == "step"
    plot_psychometrics(result).savefig(io.BytesIO())


class Compared(Task):
    """Two numbers: which is larger; equal differences come with different rounding errors."""

    def __init__(self, n_steps=5, n_inputs=2, n_outputs=1, seed=None):
        super().__init__(n_steps, n_inputs, n_outputs, seed)

    def conditions(self):
        levels = (0.2, 0.4, 0.6, 0.8)
        return [{"first": a, "second": b} for a in levels for b in levels if a != b]

    def generate_input_target_stream(self, first, second):
        inputs = np.repeat([[first], [second]], self.n_steps, axis=1)
        target = np.full((1, self.n_steps), np.sign(first - second))
        return inputs, target, {"first": first, "second": second}

    def get_choices(self, outputs):
        return np.sign(outputs[0, -1]).astype(int)

    def signed_stimuli(self, condition):
        return "all", {"relevant": condition["first"] - condition["second"]}


def test_a_users_task_with_strengths_that_differ_by_rounding():
    rnn = RNNNumpy(W_rec=[[0]], W_inp=[[1, -1]], W_out=[[1]], activation="tanh", tau=1.0)
    points = get_psychometrics(rnn, Compared(), n_repeats=3, noise=False).points["all", "relevant"]
    assert np.allclose(points.stimulus, [-0.6, -0.4, -0.2, 0.2, 0.4, 0.6])
    assert points.n_trials.tolist() == [3, 6, 9, 9, 6, 3]
    assert points.fraction.tolist() == [0, 0, 0, 1, 1, 1]


def test_a_task_whose_choices_are_no_pair_is_refused():
    class Numbered(Compared):
        def get_choices(self, outputs):
            return 1 + np.sign(outputs[0, -1]).astype(int)

    rnn = RNNNumpy(W_rec=[[0]], W_inp=[[1, -1]], W_out=[[1]], activation="tanh", tau=1.0)
    with pytest.raises(ParameterError, match="are not -1, 0 and 1"):
        get_psychometrics(rnn, Numbered(), n_repeats=1)


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"task": NBitFlipFlop()}, "task"),
        ({"task": DMTS()}, "task"),
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


@pytest.mark.parametrize(
    ("value", "error", "said"),
    [
        (-2e-18, 0.47, "0.00 ± 0.47"),
        (12.34, 1.26, "12.3 ± 1.3"),
        (123.4, 25.0, "123 ± 25"),
        (0.5, np.nan, "0.5"),
    ],
)
def test_a_slope_is_shown_to_two_digits_of_its_error(value, error, said):
    assert _with_error(value, error) == said
