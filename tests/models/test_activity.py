"""Trials as datasets: what they hold, which are chosen, and files."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest
import xarray
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import tasks_lib
from models import RNNNumpy, get_trials, write_trials
from models.activity.coordinates import trial_coordinates
from tasks_lib import ParameterError

N = 6


def network(task, **options):
    rng = np.random.default_rng(3)
    return RNNNumpy(
        W_rec=rng.normal(size=(N, N)) / 3,
        W_inp=rng.normal(size=(N, task.n_inputs)),
        W_out=rng.normal(size=(task.n_outputs, N)),
        b_rec=rng.normal(size=N),
        x_init=rng.normal(size=N),
        **{"activation": "tanh", "sigma_rec": 0.1, "tau": 20.0, "dt": 2.0, **options},
    )


@pytest.fixture
def task():
    return tasks_lib.CDDM(n_steps=30, stim_on=10, dec_on=20, coherences=[-0.5, 0.1, 0.5], seed=5)


@pytest.mark.parametrize("form", ["s", "h"])
def test_every_trial_is_the_equation_by_hand(task, form):
    rnn = network(task, equation_type=form)
    trials = get_trials(rnn, task)
    task.reset(0)
    inputs, targets, conditions = task.get_batch()
    trial = 4
    x = rnn.x_init
    for t in range(task.n_steps):
        here = trials.isel(trial=trial, time=t)
        rates = np.tanh(x) if form == "h" else x
        assert np.allclose(here.states, x) and np.allclose(here.rates, rates)
        assert np.allclose(here.outputs, rnn.W_out @ rates)
        assert np.array_equal(here.inputs, inputs[:, t, trial])
        assert np.array_equal(here.targets, targets[:, t, trial])
        drive = rnn.W_inp @ inputs[:, t, trial] + rnn.b_rec
        field = (
            np.tanh(rnn.W_rec @ x + drive) - x
            if form == "s"
            else rnn.W_rec @ np.tanh(x) + drive - x
        )
        x = x + 0.1 * field
    assert list(trials.context.values) == [c["context"] for c in conditions]
    assert list(trials.motion_coh.values) == [c["motion_coh"] for c in conditions]
    assert np.array_equal(trials.time, 2.0 * np.arange(30))
    assert np.array_equal(np.flatnonzero(trials.counts), task.mask)
    assert list(trials.input.values) == list(task.input_names)


def test_choices_are_those_of_the_task(task):
    trials = get_trials(network(task), task)
    outputs = np.moveaxis(trials.outputs.values, 0, 2).swapaxes(0, 1)
    assert np.array_equal(trials.choice, task.get_choices(outputs))
    right = trials.correct_choice.values
    assert set(right) == {-1, 1}
    assert np.array_equal(trials.correct, trials.choice.values == right)


def test_conditions_choose_from_the_batch(task):
    rnn = network(task)
    some = get_trials(rnn, task, conditions={"context": "motion", "motion_coh": [0.1, 0.5]})
    assert set(some.context.values) == {"motion"} and set(some.motion_coh.values) == {0.1, 0.5}
    weak = get_trials(rnn, task, conditions={"color_coh": lambda c: abs(c) < 0.2})
    assert set(weak.color_coh.values) == {0.1}
    whole = get_trials(rnn, task)
    assert some.sizes["trial"] == 6 and whole.sizes["trial"] == 18
    for name in ("states", "targets"):
        kept = whole[name][(whole.context == "motion") & (whole.motion_coh > 0)]
        assert np.array_equal(some[name], kept)


def test_conditions_may_be_given_one_for_each_trial(task):
    wanted = [{"context": "color", "motion_coh": 0.3, "color_coh": -0.2}] * 2
    trials = get_trials(network(task), task, conditions=wanted)
    assert trials.sizes["trial"] == 2 and set(trials.color_coh.values) == {-0.2}
    assert set(trials.correct_choice.values) == {-1}


def test_noise_is_seeded_and_differs_between_repeats(task):
    rnn = network(task)
    before = rnn.rng.bit_generator.state, task.rng.bit_generator.state
    first = get_trials(rnn, task, noise=True, n_repeats=2, seed=7)
    assert (rnn.rng.bit_generator.state, task.rng.bit_generator.state) == before
    assert first.identical(get_trials(rnn, task, noise=True, n_repeats=2, seed=7))
    other = get_trials(rnn, task, noise=True, n_repeats=2, seed=8)
    assert not np.allclose(first.states, other.states)
    once, again = (first.isel(trial=first.repeat == k) for k in (0, 1))
    assert np.array_equal(once.inputs, again.inputs)
    assert list(once.context.values) == list(again.context.values)
    assert not np.allclose(once.states[:, -1], again.states[:, -1])
    silent = get_trials(rnn, task, n_repeats=2)
    assert np.array_equal(silent.states[:18], silent.states[18:])


def test_inputs_of_ones_own_need_no_task(task):
    rnn = network(task)
    u = np.random.default_rng(0).normal(size=(6, 12, 3))
    trials = get_trials(rnn, inputs=u)
    states, outputs = rnn.run(u)
    assert np.array_equal(trials.states, np.transpose(states, (2, 1, 0)))
    assert np.array_equal(trials.outputs, np.transpose(outputs, (2, 1, 0)))
    assert "targets" not in trials and "kind" not in trials.coords
    one = get_trials(rnn, inputs=u[:, :, 1], x_init=np.ones(N))
    assert one.sizes["trial"] == 1 and np.array_equal(one.states[0, 0], np.ones(N))


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"conditions": {"contxt": "motion"}}, "is not a field of this task's conditions; use"),
        ({"conditions": {"context": "sound"}}, "of context there are 'motion', 'color'"),
        ({"conditions": {"context": "motion"}, "inputs": np.zeros((6, 3))}, "give one of both"),
        ({"inputs": np.zeros((5, 3, 2))}, "6 input channels"),
        ({"n_repeats": 0}, "n_repeats"),
        ({"n_repeats": 2**30}, "ask for fewer"),
        ({"seed": -1}, "seed"),
        ({"noise": 1}, "noise"),
    ],
)
def test_what_cannot_be_run_is_said(task, options, problem):
    with pytest.raises(ParameterError, match=problem):
        get_trials(network(task), task, **options)


class Pair(tasks_lib.Task):
    """A task as users write them, without a word on its fields."""

    def __init__(self, n_steps=4, n_inputs=1, n_outputs=1, seed=None):
        super().__init__(n_steps, n_inputs, n_outputs, seed)

    def conditions(self):
        return [{"first": 1.0, "second": 2.0}]

    def generate_input_target_stream(self, first, second, scale=1.0):
        stream = np.full((1, self.n_steps), scale * (first - second))
        return stream, stream, {"first": first, "second": second}


@pytest.mark.parametrize(
    ("wanted", "problem"),
    [
        ({"first": 1.0}, "conditions.1.second = None: is missing, and trials of Pair need it"),
        ({"first": 1.0, "secund": 2.0}, "conditions.1.second = None: is missing"),
        (
            {"first": 1.0, "second": 2.0, "third": 3},
            "conditions.1.third = 3: is not a field of Pair's conditions; use first, second, scale",
        ),
    ],
)
def test_conditions_that_make_no_trial_are_named(wanted, problem):
    good = {"first": 1.0, "second": 2.0, "scale": 2.0}
    one = RNNNumpy(W_rec=np.eye(2), W_inp=np.ones((2, 1)), W_out=np.ones((1, 2)), dt=1.0)
    assert get_trials(one, Pair(), conditions=[good]).inputs.values.ravel().tolist() == [-2.0] * 4
    with pytest.raises(ParameterError, match=re.escape(problem)):
        get_trials(one, Pair(), conditions=[good, wanted])


def test_an_error_of_a_task_stays_its_own():
    with pytest.raises(TypeError, match="multiply"):
        Pair().generate_trials([{"first": 1.0, "second": 2.0, "scale": "1"}])


def test_networks_and_tasks_that_do_not_fit_are_refused(task):
    with pytest.raises(ParameterError, match="n_inputs = 6: the task has 3"):
        get_trials(network(task), tasks_lib.GoNoGo())
    with pytest.raises(ParameterError, match="give a task, or inputs"):
        get_trials(network(task))


@pytest.mark.parametrize("name", tasks_lib.TASKS)
def test_trials_of_every_task_go_to_files_and_tables_and_come_back(tmp_path, name):
    if name == "NeuroGym":
        pytest.skip("made by name of an environment")
    task = tasks_lib.create_task(name)
    trials = get_trials(network(task), task).isel(trial=slice(0, 5))
    path = write_trials(trials, tmp_path / "trials.nc")
    with xarray.open_dataset(path) as back:
        assert back.equals(trials) and back.attrs["task"] == trials.attrs["task"]
    with np.load(write_trials(trials, tmp_path / "trials.npz")) as file:
        for variable in trials.variables:
            np.testing.assert_array_equal(file[str(variable)], trials[variable].values)
        assert json.loads(str(file["dimensions"]))["states"] == ["trial", "time", "unit"]
        assert json.loads(str(file["attributes"]))["activation"] == "tanh"
    frame = trials.rates.to_dataframe()
    assert len(frame) == 5 * task.n_steps * N
    with pytest.raises(ParameterError, match=r"use \.nc or \.npz"):
        write_trials(trials, tmp_path / "trials.mat")


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])  # a busy machine
@given(
    st.lists(
        st.dictionaries(
            st.sampled_from(["a", "time", "unit", "choice", "kind"]),
            st.one_of(
                st.none(),
                st.booleans(),
                st.integers(-5, 5),
                st.floats(-1, 1),
                st.text("abc", max_size=3),
                st.lists(st.integers(0, 3), max_size=3),
            ),
        ),
        min_size=1,
        max_size=5,
    )
)
def test_coordinates_are_plain_arrays_whatever_conditions_hold(conditions):
    coordinates = trial_coordinates(conditions)
    for name, (dimension, values) in coordinates.items():
        assert dimension == "trial" and len(values) == len(conditions)
        assert values.dtype.kind in "bifU"
        assert name not in ("time", "unit", "choice", "kind")
    for i, condition in enumerate(conditions):
        for field, value in condition.items():
            name = field if field == "a" else f"condition_{field}"
            stored = coordinates[name][1][i]
            if (isinstance(value, float) and stored.dtype.kind == "f") or isinstance(value, str):
                assert stored == value
