"""What every task has in common: seeds, parameters, conditions, choices; random parameters."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tasks_lib
from tasks_lib import (
    CDDM,
    DMTS,
    TASKS,
    MemoryAngle,
    MemoryAntiAngle,
    MemoryNumber,
    NBitFlipFlop,
    ParameterError,
    check_task,
    create_task,
)
from tasks_lib.angles import angle_code

RANDOM = {
    "DMTS",
    "NBitFlipFlop",
    "MemoryNumber",
    "MemoryAntiNumber",
    "MemoryAngle",
    "MemoryAntiAngle",
    "AngleIntegration",
    "TwoIntervalComparison",
    "Mixture",
}
every_task = pytest.mark.parametrize("name", TASKS)


def same(a, b):
    targets = np.array_equal(a[1], b[1], equal_nan=True)  # NaN: nothing is asked
    return np.array_equal(a[0], b[0]) and targets and a[2] == b[2]


def test_every_task_is_exported():
    assert all(getattr(tasks_lib, name) is cls for name, cls in TASKS.items())
    assert len(TASKS) >= 12


@every_task
def test_passes_the_kit(name):
    check_task(TASKS[name](seed=7))


@every_task
def test_same_seed_same_batches(name):
    a, b, c = (TASKS[name](seed=s) for s in (5, 5, 6))
    first = a.get_batch()
    assert same(first, b.get_batch())
    second = a.get_batch()
    assert same(second, b.get_batch())
    assert same(first, c.get_batch()) is (name not in RANDOM)
    assert same(first, second) is (name not in RANDOM)
    a.reset()
    assert same(first, a.get_batch())
    c.reset(5)
    assert same(first, c.get_batch())


@every_task
def test_draws_leave_the_global_generators_alone(name):
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    TASKS[name](seed=0).get_batch()
    assert np.array_equal(before, np.random.get_state()[1])  # noqa: NPY002


@every_task
def test_parameters_are_json_and_make_the_task_again(name):
    task = TASKS[name](seed=3)
    params = json.loads(json.dumps(task.params))
    assert params == task.params
    assert "seed" not in params
    again = TASKS[name](**params, seed=3)
    assert again.params == params
    assert same(task.get_batch(), again.get_batch())
    channels = {k: params.pop(k) for k in ("n_steps", "n_inputs", "n_outputs")}
    again = create_task(name, **channels, params=params, seed=3)
    assert same(TASKS[name](seed=3).get_batch(), again.get_batch())


@every_task
def test_conditions_make_their_trials_again(name):
    task = TASKS[name](seed=1)
    inputs, targets, conditions = task.get_batch()
    assert json.loads(json.dumps(conditions)) == conditions
    for b in range(0, len(conditions), 17):
        stream, target, condition = task.generate_input_target_stream(**conditions[b])
        assert np.array_equal(stream, inputs[:, :, b])
        assert np.array_equal(target, targets[:, :, b], equal_nan=True)
        assert condition == conditions[b]


@every_task
def test_shuffling_permutes_the_trials(name):
    shuffled = TASKS[name](seed=1).get_batch(shuffle=True)
    plain = TASKS[name](seed=1).get_batch()
    keys = [json.dumps(c) for c in plain[2]]
    found = [json.dumps(c) for c in shuffled[2]]
    assert sorted(keys) == sorted(found)
    assert keys != found
    index = {key: b for b, key in enumerate(keys)}
    order = [index[key] for key in found]
    assert np.array_equal(shuffled[0], plain[0][:, :, order])
    assert np.array_equal(shuffled[1], plain[1][:, :, order], equal_nan=True)


@every_task
def test_a_wrong_condition_is_refused(name):
    condition = TASKS[name](seed=1).get_batch()[2][0]
    with pytest.raises((ParameterError, TypeError), match="contxt"):
        TASKS[name](seed=1).generate_input_target_stream(**condition, contxt=1)


@every_task
def test_repr_makes_the_task(name):
    task = TASKS[name](seed=2)
    again = eval(repr(task), {name: TASKS[name]})
    assert again.params == task.params
    assert again.seed == 2


@given(st.data())
@settings(max_examples=60, deadline=None)
def test_cddm_with_random_windows(data):
    n_steps = data.draw(st.integers(2, 60))
    windows = {}
    for name in ("cue", "stim", "dec"):
        onsets = [step for field, step in windows.items() if field.endswith("_on")]
        start = data.draw(st.integers(max(onsets) if name == "dec" else 0, n_steps - 1))
        windows |= {f"{name}_on": start, f"{name}_off": data.draw(st.integers(start + 1, n_steps))}
    task = CDDM(n_steps=n_steps, coherences=[-1.0, 0.0, 0.5], **windows)
    check_task(task)
    inputs, targets, conditions = task.get_batch()
    for t in range(n_steps):
        assert inputs[:2, t].any() == (task.cue_on <= t < task.cue_off)
        assert inputs[2:, t].any() == (max(task.stim_on - 1, 0) <= t < task.stim_off)
        assert targets[:, t].any() == (max(task.dec_on - 1, 0) <= t < task.dec_off)
    assert task.get_choices(targets).tolist() == [c["correct_choice"] for c in conditions]


@given(st.data())
@settings(max_examples=60, deadline=None)
def test_shifted_stimuli_are_whole_and_precede_the_recall(data):
    shift = data.draw(st.integers(0, 8))
    start = data.draw(st.integers(shift, shift + 6))
    length = data.draw(st.integers(1, 6))
    recall = start + length + max(shift - 1, 0) + data.draw(st.integers(0, 4))
    n_steps = recall + data.draw(st.integers(1, 30))
    common = {"n_steps": n_steps, "recall_on": recall, "random_window": shift, "batch_size": 9}
    for task in (
        MemoryNumber(stim_on=start, stim_duration=length, **common, seed=0),
        MemoryAngle(stim_on=start, stim_off=start + length, **common, seed=0),
    ):
        check_task(task)
        inputs, targets, _ = task.get_batch()
        shown = inputs[: -2 if isinstance(task, MemoryAngle) else 1].any(axis=0)
        silent = 0 if isinstance(task, MemoryAngle) else 1  # trials that show the number 0
        assert (shown[:, silent:].sum(axis=0) == length).all()
        assert not shown[recall:].any()
        assert not targets[:, :recall].any()
        assert task.mask[-1] == n_steps - 1


@given(st.data())
@settings(max_examples=60, deadline=None)
def test_dmts_with_random_windows(data):
    shift = data.draw(st.integers(0, 5))
    length, gap = data.draw(st.integers(1, 5)), data.draw(st.integers(0, 5))
    late = max(shift - 1, 0)
    match_on = shift + length + late + gap + shift
    dec_on = match_on + length + late
    task = DMTS(
        n_steps=dec_on + data.draw(st.integers(1, 30)),
        stim_on_sample=shift,
        stim_off_sample=shift + length,
        stim_on_match=match_on,
        stim_off_match=match_on + length,
        dec_on=dec_on,
        random_window=shift,
        n_repeats=3,
        seed=0,
    )
    check_task(task)
    inputs, targets, conditions = task.get_batch()
    assert (inputs[:2].sum(axis=(0, 1)) == 2 * length).all()
    assert inputs.max() == 1.0
    assert task.get_choices(targets).tolist() == [c["correct_choice"] for c in conditions]


@given(
    n_steps=st.integers(1, 120),
    n_bits=st.integers(1, 4),
    mu=st.floats(0.1, 50),
    pulse=st.integers(1, 30),
    seed=st.integers(0, 2**32),
)
@settings(max_examples=80, deadline=None)
def test_flip_flop_target_is_the_last_pulse(n_steps, n_bits, mu, pulse, seed):
    pulse = min(pulse, n_steps)
    task = NBitFlipFlop(n_steps=n_steps, n_bits=n_bits, mu=mu, pulse=pulse, batch_size=3, seed=seed)
    inputs, targets, _ = task.get_batch()
    state = np.zeros((n_bits, 3))
    for t in range(n_steps):
        state = np.where(inputs[:, t] != 0, inputs[:, t], state)
        assert np.array_equal(targets[:, t], state)
    assert not inputs[:, :pulse].any()


@given(theta=st.floats(-1e3, 1e3), k=st.integers(3, 12))
def test_angle_code_is_read_back(theta, k):
    values = angle_code(theta, k)
    assert values.min() >= 0
    assert values.sum() == pytest.approx(1, abs=1e-12)
    assert np.count_nonzero(values > 1e-9) <= 2
    big = int(np.argmax(values))
    after, before = values[(big + 1) % k], values[(big - 1) % k]
    decoded = (big + after - before) * 2 * np.pi / k
    assert np.cos(decoded - theta) == pytest.approx(1, abs=1e-12)


@given(turn=st.integers(-5, 20), channel=st.integers(0, 11), k=st.integers(3, 12))
def test_angle_code_does_not_jump_at_channels(turn, channel, k):
    """One ulp to either side of a channel's own angle is coded by that channel."""
    own = 2 * np.pi * (turn + (channel % k) / k)
    for theta in (np.nextafter(own, -np.inf), own, np.nextafter(own, np.inf)):
        assert angle_code(theta, k)[channel % k] == pytest.approx(1, abs=1e-12)


def test_opposite_angles():
    shown = MemoryAntiAngle(n_inputs=6, n_outputs=4, random_window=0)
    _, target, _ = shown.generate_input_target_stream(theta=np.pi / 2)
    assert np.allclose(target[:, -1], [0, 0, 0, 1], atol=1e-12)
