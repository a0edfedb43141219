"""Interventions: what breaks a hand-built network is known, and what does not."""

from __future__ import annotations

import numpy as np
import pytest

from models.plots.interventions import plot_intervention
from models.populations.interventions import intervene, silenced
from models.populations.settings import InterventionSettings, named_cluster
from tasks_lib import CDDM, DMTS
from tasks_lib.errors import ParameterError
from tests.models.population_networks import Flags, copies

N = 20


def carried_by_one(**more):
    """Only unit 7 carries the output; the others follow b, and nobody reads them."""
    W_inp = np.zeros((N, 2))
    W_inp[:, 1] = 0.5
    W_inp[7] = [1.0, 0.0]
    return copies(W_inp, W_out=np.eye(N)[7:8], activation="tanh", **more)


def run(settings, rnn=None, task=None, **more):
    given = carried_by_one() if rnn is None else rnn
    return intervene(given, Flags() if task is None else task, settings, **more)


def test_silencing_the_unit_that_carries_the_output_destroys_the_score():
    one = InterventionSettings(
        target="output_weights", largest=1 / N, n_strengths=1, n_controls=50
    )  # fmt: skip
    found = run(one)
    (score,) = found.scores
    assert found.untouched["accuracy"] == 1.0 and found.untouched["choice_changed"] == 0.0
    assert found.untouched["trajectory_change"] == 0.0
    assert score.n_units == 1 and score.measures["accuracy"] == 0.0
    assert score.measures["choice_changed"] == 1.0  # from a sign to none
    # A random unit is that one in one of 20 draws; the others do nothing to the output.
    hits = score.controls["accuracy"] == 0.0
    assert hits.mean() < 0.25 and set(score.controls["accuracy"]) <= {0.0, 1.0}
    assert score.controls["output_change"][~hits] == pytest.approx(np.zeros((~hits).sum()))
    assert score.p("accuracy") == pytest.approx((1 + hits.sum()) / 51)
    assert score.control_mean("accuracy") == pytest.approx(1 - hits.mean())


def test_units_are_ranked_and_named():
    ranked = run(InterventionSettings(n_strengths=2, largest=0.1, n_controls=3))
    # tanh(1) of a is larger than tanh(0.5) of b: the first in both orders.
    assert [s.n_units for s in ranked.scores] == [1, 2]
    assert ranked.scores[0].measures["accuracy"] == 0.0
    named = run(
        InterventionSettings(n_strengths=1, largest=1.0, n_controls=0), units=np.array([0, 3, 5])
    )
    (score,) = named.scores
    assert score.n_units == 3 and score.measures["output_change"] == 0.0
    assert score.controls["accuracy"].size == 0 and score.p("accuracy") is None
    for wrong in ([3, 3], [0.5, 1.2], [True, False], [N], [[1]]):
        with pytest.raises(ParameterError, match="units"):
            run(None, units=wrong)
    assert run(None, units=[]).status == "no_target"
    rnn = carried_by_one()
    gone = silenced(rnn, [7])
    assert not gone.W_out.any() and rnn.W_out.any()


class Shown(Flags):
    def generate_input_target_stream(self, a, b):
        inputs, target, condition = super().generate_input_target_stream(a, b)
        inputs[:, 12:] = 0.0
        return inputs, target, condition


def integrator():
    """Unit 0 keeps what it has, and is read; unit 1 forgets it at once."""
    W_rec = [[1.0, 0.0], [0.0, 0.0]]
    W_inp = [[0.1, 0.0], [1.0, 0.0]]
    return copies(W_inp, W_rec=W_rec, W_out=[[1.0, 0.0]], activation="tanh")


def test_a_push_along_what_is_read_changes_choices_and_another_does_not():
    one = InterventionSettings(kind="perturb", target="readout", largest=30.0, n_strengths=1,
                               at=0.6)  # fmt: skip
    found = run(one, integrator(), Shown())
    down, up = found.scores
    assert (down.strength, up.strength) == (-30.0, 30.0)
    # Pushed far to one side all trials end there: those of the other choice change, one half.
    for score in (down, up):
        assert score.measures["choice_changed"] == pytest.approx(0.5)
        assert score.measures["accuracy"] == pytest.approx(0.5)
    across = run(one, integrator(), Shown(), vector=[0.0, 1.0])
    for score in across.scores:  # unit 1 is not read, and forgets
        assert score.measures["choice_changed"] == 0.0
        assert score.measures["output_change"] == pytest.approx(0.0, abs=1e-12)
        assert score.measures["trajectory_change"] > 0
    assert run(one, integrator(), vector=[0.0, 0.0]).status == "no_target"
    for vector in ([1.0], [np.nan, 0.0]):
        with pytest.raises(ParameterError, match="vector"):
            run(one, integrator(), vector=vector)
    with pytest.raises(ParameterError, match="output 0"):
        run(InterventionSettings(kind="perturb", target="readout", target_of="none"))
    for wrong in ("first", "way: ", "way:1", "-1"):
        with pytest.raises(ParameterError, match=r"target_of .*is no cluster"):
            InterventionSettings(target="cluster", target_of=wrong)
    named = {"": ("", "0"), "2": ("", "2"), "a: b: 3": ("a: b", "3")}
    for given, wanted in named.items():
        one = InterventionSettings(target="cluster", target_of=given)
        assert named_cluster(one.target_of) == wanted


def test_the_length_of_a_push_is_that_of_deviations():
    one = InterventionSettings(kind="perturb", target="readout", largest=0.5, n_strengths=1,
                               n_controls=4, at=1.0)  # fmt: skip
    rnn, task = carried_by_one(), Flags()
    states = rnn.run(task.get_batch()[0])[0]
    deviation = states - states.mean(axis=(1, 2), keepdims=True)
    length = 0.5 * np.sqrt((deviation**2).sum(axis=0).mean())
    # At the last step alone: of 30 steps one differs, by this length.
    wanted = length / np.sqrt(30 * N) / np.sqrt((deviation**2).mean())
    for score in run(one).scores:
        assert score.measures["trajectory_change"] == pytest.approx(wanted)
        assert score.controls["trajectory_change"] == pytest.approx(np.full(4, wanted))


@pytest.mark.parametrize("kind", ["weight_noise", "quantise", "noise", "input_gain", "delay"])
def test_every_other_kind_does_what_it_says(kind):
    rng = np.random.default_rng(0)
    rnn = copies(rng.normal(size=(N, 2)), W_rec=0.2 * rng.normal(size=(N, N)),
                 W_out=rng.normal(size=(1, N)), activation="tanh")  # fmt: skip
    settings = InterventionSettings(
        kind=kind, target="none", largest=0.5, n_strengths=2, n_controls=4
    )
    found = run(settings, rnn)
    changes = [s.measures["trajectory_change"] for s in found.scores]
    assert found.status == "analysed" and all(change > 0 for change in changes)
    if kind == "input_gain":
        assert [s.strength for s in found.scores] == [-0.5, -0.25, 0.25, 0.5]
        assert changes[0] > changes[1] and changes[3] > changes[2]
    elif kind == "quantise":
        # Weights of the same distance by noise are the control.
        assert all(len(s.controls["r2"]) == 4 for s in found.scores)
        assert changes[1] > changes[0]
    elif kind != "delay":
        assert changes[1] > changes[0]
        assert all(s.controls["r2"].size == 0 for s in found.scores)
    again = run(settings, rnn)
    assert [s.measures for s in again.scores] == [s.measures for s in found.scores]


def test_a_longer_delay_leaves_what_is_kept_and_hurts_what_decays():
    """Of two integrators one leaks: the longer inputs are held, the more it has forgotten."""

    late = InterventionSettings(kind="delay", target="none", n_strengths=2, n_controls=0, at=0.6)
    changed = {}
    for keeps in (1.0, 0.8):
        rnn = copies([[1e-3, 0.0]], W_rec=[[keeps]], W_out=[[1.0]], activation="tanh")
        changed[keeps] = [s.measures["output_change"] for s in run(late, rnn, Shown()).scores]
    assert max(changed[1.0]) < 1e-3
    # It leaks by 0.8 a step, through 8 or 15 more: at the last twelve steps nothing is left.
    states = 0.8 ** np.arange(200)
    assert changed[0.8][1] > changed[0.8][0] > 0.01 and states[-1] < 1e-9


def test_a_delay_is_what_a_run_with_longer_inputs_has():
    rng = np.random.default_rng(0)
    rnn = copies(rng.normal(size=(5, 2)), W_rec=rng.normal(size=(5, 5)) / 2, activation="tanh",
                 tau=4.0, W_out=rng.normal(size=(1, 5)))  # fmt: skip
    task = Shown()
    settings = InterventionSettings(kind="delay", target="none", largest=2.5, n_strengths=1, at=0.6)
    (score,) = run(settings, rnn, task).scores
    task.reset(0)
    u, targets, _ = task.get_batch()
    step, longer = round(0.6 * 29), 75  # 2.5 trials of 30 steps
    inputs = np.concatenate([u[:, :step], *[u[:, step : step + 1]] * longer, u[:, step:]], axis=1)
    outputs = np.delete(rnn.run(inputs)[1], np.arange(step, step + longer), axis=1)
    assert score.measures["mse"] == pytest.approx(float(np.mean((outputs - targets) ** 2)))


def test_rounding_to_steps_below_all_differences_changes_nothing():
    rnn = copies(np.ones((2, 2)), W_rec=[[0.5, -0.25], [0.0, 0.5]], W_out=[[1.0, 1.0]],
                 activation="tanh")  # fmt: skip
    exact = InterventionSettings(kind="quantise", target="none", largest=0.5, n_strengths=1)
    (score,) = run(exact, rnn).scores
    assert score.measures["trajectory_change"] == 0.0


def test_scores_are_those_of_the_task():
    for task in (CDDM(n_steps=40, stim_on=10, dec_on=25, coherences=[-1.0, 0.0, 1.0], seed=0),
                 DMTS(seed=0)):  # fmt: skip
        rng = np.random.default_rng(0)
        rnn = copies(rng.normal(size=(6, task.n_inputs)), W_out=rng.normal(
            size=(task.n_outputs, 6)), activation="tanh")  # fmt: skip
        from models import PerformanceAnalyzer

        found = run(InterventionSettings(max_trials=10**6, n_controls=0), rnn, task, seed=0)
        task.reset(0)
        wanted = PerformanceAnalyzer(rnn, task).validate()
        assert found.untouched["r2"] == pytest.approx(wanted.r2_pooled)
        assert found.untouched["accuracy"] == wanted.accuracy
        assert found.untouched["mse"] == pytest.approx(wanted.mse)


def test_settings_that_do_not_fit_are_refused():
    with pytest.raises(ParameterError, match="target = 'readout': is no target of silence"):
        InterventionSettings(target="readout")
    with pytest.raises(ParameterError, match="largest = 2"):
        InterventionSettings(largest=2.0)
    with pytest.raises(ParameterError, match="use none"):
        InterventionSettings(kind="noise")


def test_where_nothing_can_be_taken_away_nothing_is_scored():
    silent = copies(-np.ones((N, 2)) * [[0.0, 1.0]], -np.ones(N))
    still = copies(np.zeros((N, 2)), np.ones(N), x_init=np.ones(N))
    for rnn, wanted in ((silent, "silent"), (still, "constant")):
        for one in (InterventionSettings(), InterventionSettings(kind="noise", target="none")):
            found = run(one, rnn)
            assert found.status == wanted and found.reason and not found.scores
            assert plot_intervention(found).axes
    missing = InterventionSettings(kind="perturb", target="regressor", target_of="taste")
    assert run(missing).reason == "the network has no axis of a variable 'taste'"
    unread = copies([[1.0, 0.0]] * 2, W_out=[[0.0, 0.0]])
    assert "is 0" in run(InterventionSettings(kind="perturb", target="readout"), unread).reason
    with pytest.raises(ParameterError, match=r"largest = 1000000000.*is too long"):
        InterventionSettings(kind="delay", target="none", largest=1e9)


def test_controls_are_others_or_none():
    """All units cannot be others, one unit has one direction, and noise is beside noise."""
    everyone = InterventionSettings(largest=1.0, n_strengths=2, n_controls=4)
    half, whole = run(everyone).scores
    assert len(half.controls["mse"]) == 4 and not len(whole.controls["mse"])
    assert whole.p("mse") is None
    alone = copies([[1.0, 0.0]], W_out=[[1.0]])
    push = InterventionSettings(kind="perturb", target="readout", n_strengths=1)
    assert all(not len(s.controls["mse"]) for s in run(push, alone).scores)
    more = InterventionSettings(kind="noise", target="none", largest=1.0, n_strengths=1)
    (score,) = run(more, carried_by_one(sigma_rec=0.2)).scores
    own = score.controls["trajectory_change"]
    assert len(own) == 6 and 0 < own.max() < score.measures["trajectory_change"]
    assert score.p("trajectory_change") == pytest.approx(1 / 7)


def test_networks_that_overflow_have_no_scores():
    grows = copies(np.ones((2, 2)), np.ones(2), W_rec=1e20 * np.eye(2))
    found = run(None, grows)
    assert found.status == "not_finite" and not found.scores
    assert plot_intervention(found).axes
    # Where only the touched network overflows, its measures are null.
    near = copies([[1.0, 0.0], [1.0, 0.0]], W_rec=[[0.0, 0.0], [0.0, 0.0]], W_out=[[1.0, 0.0]])
    noisy = InterventionSettings(kind="input_gain", target="none", largest=1e308, n_strengths=1)
    scores = run(noisy, near).scores
    assert scores[-1].measures["r2"] is None and scores[-1].measures["mse"] is None


def test_the_figure_shows_scores_and_controls():
    figure = plot_intervention(run(InterventionSettings(n_controls=5)))
    assert [axes.get_ylabel() for axes in figure.axes] == ["accuracy", "choices changed",
                                                           "trajectory change"]  # fmt: skip
