"""Trials built together are those built one by one, for every task, parameters and conditions."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks_lib import CDDM, TASKS, XOR, MemoryAngle, ParameterError, Task, check_task

every_task = pytest.mark.parametrize("name", TASKS)


def windows(draw, n_steps, *names):
    """Random windows of a trial; the last of them starts no earlier than the others."""
    found = {}
    for name in names:
        earliest = max([0, *(v for k, v in found.items() if k.endswith("_on"))])
        first = earliest if name == names[-1] else 0
        start = draw(st.integers(first, n_steps - 1))
        stop = draw(st.integers(start + 1, n_steps))
        found |= {f"{name}_on": start, f"{name}_off": stop}
    return found


def recall(draw, earliest):
    """A length of trials and a window of recall that starts at ``earliest`` or later."""
    start = earliest + draw(st.integers(0, 5))
    stop = start + draw(st.integers(1, 9))
    return {"n_steps": stop + draw(st.integers(0, 5)), "recall_on": start, "recall_off": stop}


@st.composite
def tasks(draw, name):
    """A task of a class with random parameters and seed."""
    n_steps = draw(st.integers(1, 40))
    size = {"batch_size": draw(st.integers(2, 9))}
    repeats = {"n_steps": n_steps, "n_repeats": draw(st.integers(1, 3))}
    width, length = draw(st.integers(0, 5)), draw(st.integers(1, 5))
    late = width + length + max(width - 1, 0)
    codes = {"n_inputs": draw(st.integers(5, 8)), "n_outputs": draw(st.integers(3, 6))}
    if name == "CDDM":
        coherences = draw(st.lists(st.floats(-1, 1), min_size=1, max_size=4, unique=True))
        params = {"n_steps": n_steps, "n_outputs": draw(st.integers(1, 2))}
        params |= {"coherences": coherences, **windows(draw, n_steps, "cue", "stim", "dec")}
    elif name == "DMTS":
        params = {"stim_on_sample": width, "stim_off_sample": width + length}
        params |= {"stim_on_match": late + width, "stim_off_match": late + width + length}
        params |= {"random_window": width, "dec_on": 2 * late, "dec_off": 2 * late + length}
        params |= {"n_steps": 2 * late + length + draw(st.integers(0, 5))}
        params |= {"n_outputs": draw(st.integers(1, 2)), "n_repeats": repeats["n_repeats"]}
    elif name == "NBitFlipFlop":
        params = {"n_steps": n_steps, "mu": draw(st.floats(0.1, 30)), **size}
        params |= {"pulse": draw(st.integers(1, n_steps)), "n_bits": draw(st.integers(1, 4))}
    elif name == "MemoryNumber":
        params = {"stim_on": width, "stim_duration": length, "random_window": width}
        params |= {**size, **recall(draw, late)}
    elif name == "MemoryAntiNumber":
        params = {"stim_on_range": [width, width + 3], "stim_duration": length}
        params |= {**size, **recall(draw, width + 2 + length)}
    elif name in ("MemoryAngle", "MemoryAntiAngle"):
        params = {"stim_on": width, "stim_off": width + length, "random_window": width}
        params |= {**size, **codes, **recall(draw, late)}
    elif name == "GoNoGo":
        params = {"n_steps": n_steps, **size, **windows(draw, n_steps, "stim", "cue")}
    elif name in ("XOR", "HalfAdder"):
        params = {**repeats, **windows(draw, n_steps, "stim", "dec")}
    elif name == "AngleIntegration":
        low = draw(st.floats(-2, 1))
        params = {"n_steps": n_steps, "amp_range": [low, low + draw(st.floats(0, 2))], **size}
        params |= {"w": draw(st.floats(0.01, 4)), "mu_blocks": draw(st.floats(0.1, 50))}
        params |= {"min_block_length": draw(st.integers(1, n_steps))}
        params |= {"n_outputs": codes["n_outputs"]}
    elif name == "ReferenceFrame":
        params = {"n_inputs_retina": draw(st.integers(3, 5)), **windows(draw, n_steps, "stim")}
        params |= {"n_steps": n_steps, "n_inputs_head": draw(st.integers(3, 5)), **size}
    else:
        params = {}  # a new task: its defaults
    return TASKS[name](**params, seed=draw(st.integers(0, 2**32)))


def identical(a, b):
    """Whether two batches are the same to the bit, conditions and their types included."""
    arrays = all(
        x.shape == y.shape and x.tobytes() == y.tobytes() for x, y in zip(a[:2], b[:2], strict=True)
    )
    return arrays and repr(a[2]) == repr(b[2])


@pytest.mark.slow
@every_task
@given(data=st.data())
@settings(max_examples=40, deadline=None)
def test_together_is_one_by_one(name, data):
    task = data.draw(tasks(name))
    check_task(task)
    conditions = task.conditions()
    together, loop = task.generate_trials(conditions), Task.generate_trials(task, conditions)
    assert identical(together, loop)
    # The trials' own conditions, of which the task has computed some fields, say the same trials.
    again = task.generate_trials(together[2])
    assert np.allclose(again[0], together[0], rtol=0, atol=1e-9)
    assert np.allclose(again[1], together[1], rtol=0, atol=1e-9, equal_nan=True)
    assert json.loads(json.dumps(together[2])) == together[2]


@every_task
@given(data=st.data())
@settings(max_examples=15, deadline=None)
def test_what_a_condition_leaves_out_is_drawn_alike(name, data):
    """The same draws in the same order, where onsets, pulses or blocks are not given."""
    task = data.draw(tasks(name))
    drawn = ("sample_on", "match_on", "stim_on", "onsets", "signs", "amps", "block_starts")
    both = data.draw(st.booleans())
    conditions = [
        {k: v for k, v in c.items() if k not in drawn or (both and i % 2)}
        for i, c in enumerate(task.conditions())
    ]
    task.reset(3)
    together = task.generate_trials(conditions)
    task.reset(3)
    assert identical(together, Task.generate_trials(task, conditions))


@every_task
def test_batches_are_laid_out_trial_last_and_contiguous(name):
    for shuffle in (False, True):
        inputs, targets, _ = TASKS[name](seed=0).get_batch(shuffle=shuffle)
        assert inputs.flags.c_contiguous
        assert targets.flags.c_contiguous


@every_task
def test_conditions_share_nothing(name):
    """Changing one trial's condition leaves the others alone."""
    task = TASKS[name](seed=0)
    conditions = task.get_batch()[2]
    rest = json.dumps(conditions[1:])
    for value in conditions[0].values():
        if isinstance(value, list):
            value.clear()
    assert json.dumps(conditions[1:]) == rest


@pytest.mark.parametrize(
    ("name", "field", "value"),
    [
        ("CDDM", "context", "colour"),
        ("CDDM", "context", ["color"]),
        ("CDDM", "motion_coh", 1.5),
        ("CDDM", "motion_coh", None),
        ("DMTS", "num_match_channel", 2),
        ("DMTS", "match_on", 1.0),
        ("NBitFlipFlop", "onsets", [[], []]),
        ("NBitFlipFlop", "signs", [[], [], [0]]),
        ("MemoryNumber", "stim_on", -1),
        ("MemoryAntiNumber", "number", float("nan")),
        ("MemoryAngle", "Theta", "east"),
        ("MemoryAntiAngle", "stim_on", True),
        ("GoNoGo", "input_value", float("inf")),
        ("XOR", "v1", 3),
        ("HalfAdder", "v2", "1"),
        ("AngleIntegration", "amps", []),
        ("AngleIntegration", "block_starts", [3]),
        ("ReferenceFrame", "theta_head", None),
        *((name, "contxt", 1) for name in TASKS),
    ],
)
def test_one_bad_condition_among_many_is_named(name, field, value):
    task = TASKS[name](seed=0)
    conditions = task.get_batch()[2][:20]
    conditions[13] = {**conditions[13], field: value}
    with pytest.raises(ParameterError) as caught:
        task.generate_trials(conditions)
    assert caught.value.field == field
    assert caught.value.remedy


def test_numbers_of_numpy_are_plain_ones_in_conditions():
    _, _, (condition,) = CDDM().generate_trials(
        [{"context": "color", "motion_coh": np.float32(0.5), "color_coh": 1}]
    )
    assert repr(condition["motion_coh"]) == "0.5"
    assert repr(condition["color_coh"]) == "1.0"
    _, _, condition = XOR().generate_input_target_stream(v1=np.int8(1), v2=0)
    assert repr(condition) == "{'v1': 1, 'v2': 0, 'match': False}"


def test_no_conditions_are_refused():
    with pytest.raises(ParameterError, match="conditions"):
        Task.generate_trials(CDDM(), [])


@pytest.mark.parametrize("batch_size", [8, 73, 1000, 3601])
def test_rounded_degrees_stand_for_the_angles_of_the_batch(batch_size):
    task = MemoryAngle(batch_size=batch_size, random_window=0, n_steps=130)
    inputs, targets, conditions = task.get_batch()
    again = task.generate_trials(conditions)
    assert again[2] == conditions
    assert np.array_equal(again[0], inputs)
    assert np.array_equal(again[1], targets)
    between = task.generate_input_target_stream(Theta=0.04)
    assert between[0][0, 15] != 1.0


class Louder(CDDM):
    """A class that changes the trials of its parent one by one."""

    def generate_input_target_stream(self, context, motion_coh, color_coh, **rest):
        inputs, target, condition = super().generate_input_target_stream(
            context, motion_coh, color_coh, **rest
        )
        return 2 * inputs, target, condition


def test_a_subclass_with_trials_of_its_own_has_batches_of_its_own():
    task = Louder(coherences=[-0.5, 0.5])
    check_task(task)
    parent = CDDM(coherences=[-0.5, 0.5]).get_batch()
    inputs, targets, conditions = task.get_batch()
    assert np.array_equal(inputs, 2 * parent[0])
    assert np.array_equal(targets, parent[1])
    assert conditions == parent[2]
