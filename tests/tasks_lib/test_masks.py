"""What a mask may be, and what a task with trials of different lengths is told."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from tasks_lib import ParameterError, Task, check_task
from tasks_lib.masks import as_nan, asked, held_to_the_end, read_mask
from tasks_lib.summary import summarise

LENGTHS = (10, 20, 30)


class Lengths(Task):
    """Follow the input for as long as the trial is."""

    def __init__(self, n_steps=30, n_inputs=1, n_outputs=1, seed=None):
        super().__init__(n_steps, n_inputs, n_outputs, seed)

    def conditions(self):
        return [{"length": n} for n in LENGTHS]

    def generate_input_target_stream(self, length):
        stream = np.zeros((1, self.n_steps))
        stream[:, :length] = length / 30
        return stream, stream.copy(), {"length": length}


class NaNTargets(Lengths):
    def generate_input_target_stream(self, length):
        inputs, target, condition = super().generate_input_target_stream(length)
        target[:, length:] = np.nan
        return inputs, target, condition


class MaskPerTrial(Lengths):
    @property
    def mask(self):
        return np.stack([np.arange(30) < n for n in LENGTHS], axis=1)


@given(hnp.arrays(bool, st.integers(1, 12)))
def test_booleans_are_the_steps_that_are_true(given_mask):
    if not given_mask.any():
        with pytest.raises(ParameterError, match="leaves no step"):
            read_mask(given_mask, len(given_mask))
        return
    read = read_mask(given_mask, len(given_mask))
    assert read.by_trial is None
    assert read.steps.tolist() == [t for t, counts in enumerate(given_mask) if counts]


def test_indices_keep_their_order():
    assert read_mask([5, 2, 7], 8).steps.tolist() == [5, 2, 7]


@pytest.mark.parametrize(
    ("mask", "said"),
    [
        (np.ones(6), "mask = 'float64 (6,)': is not boolean; write mask.astype(bool)"),
        (np.full(6, 0.5), "has weights"),
        (np.full((6, 3), 0.5), "has weights"),
        (np.ones((6, 3), dtype=int), "write mask.astype(bool)"),
        ([1, 0, 1, 1, 1, 1], "write mask.astype(bool)"),
        ([1, 1], "name each step once"),
        ([-1, 0], "mask = -1: is no step of the trial; use 0..5"),
        ([6], "mask = 6"),
        ([], "step indices, booleans (T,), or booleans (T, B)"),
        (None, "mask = None: is no mask of steps; return it from the property"),
        (np.ones(5, dtype=bool), "give booleans (6,) or (6, 3)"),
        (np.ones((3, 6), dtype=bool), "give booleans (6,) or (6, 3)"),
        (np.ones((6, 2), dtype=bool), "mask = (6, 2): is the wrong shape for 3 trials"),
        (np.ones((6, 3, 1), dtype=bool), "is the wrong shape"),
        (np.zeros((6, 3), dtype=bool), "all False"),
        (np.arange(3) != np.full((6, 1), 1), "mask[:, 1] = False: is all False"),
        ("all", "is no mask"),
        (True, "is the wrong shape"),
    ],
)
def test_what_is_no_mask_is_refused_with_the_remedy(mask, said):
    with pytest.raises(ParameterError) as caught:
        read_mask(mask, 6, 3)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_trial_in_which_nothing_is_asked_is_named():
    targets = np.zeros((2, 6, 4))
    targets[:, :, 2] = np.nan
    with pytest.raises(ParameterError, match=r"targets\[:, :, 2\]"):
        asked(targets)
    targets[0, 5, 2] = 1.0
    steps, counts = asked(targets)
    assert counts[:, :, 2].sum() == 1
    with pytest.raises(ParameterError, match=r"targets\[:, :, 2\]"):
        asked(targets, np.arange(5))  # what is asked is outside the mask
    assert steps.tolist() == list(range(6))


@given(
    hnp.arrays(np.float64, (2, 5, 3), elements=st.floats(-1, 1)), st.lists(st.integers(1, 5),
    min_size=3, max_size=3),
)  # fmt: skip
def test_values_are_held_from_each_trials_end(values, lengths):
    targets = np.zeros((2, 5, 3))
    for trial, n in enumerate(lengths):
        targets[:, n:, trial] = np.nan
        targets[1, n - 1, trial] = np.nan if n > 1 else 0.0  # one output is enough for a step
    held = held_to_the_end(values, targets)
    for trial, n in enumerate(lengths):
        assert np.array_equal(held[:, :n, trial], values[:, :n, trial])
        assert (held[:, n:, trial] == values[:, n - 1, trial, None]).all()
    assert held_to_the_end(values, np.zeros((2, 5, 3))) is values


@pytest.mark.parametrize("cls", [NaNTargets, MaskPerTrial])
def test_trials_of_different_lengths_are_sound(cls):
    task = cls(seed=0)
    check_task(task)
    _, targets, conditions = task.get_batch(shuffle=True)
    assert sorted(c["length"] for c in conditions) == [10, 20, 30]
    for trial, condition in enumerate(conditions):  # the mask went with its trial
        n = condition["length"]
        assert np.isnan(targets[:, n:, trial]).all()
        assert (targets[:, :n, trial] == n / 30).all()
    assert summarise(task)["mask"] == (
        "[0, 30), 30 of 30 steps; of these 10 to 30 in a trial, where the target is not NaN"
    )


def test_whole_numbers_can_be_masked():
    values = as_nan(np.ones((1, 3, 2), dtype=int), np.array([True, False, True]))
    assert values.dtype == np.float64
    assert np.isnan(values[:, 1]).all()
    assert as_nan(np.ones((1, 3, 2), np.float32), np.ones(3, bool)).dtype == np.float32


def message(base=Lengths, **members):
    with pytest.raises(ParameterError) as caught:
        check_task(type("Faulty", (base,), members)(seed=0))
    return str(caught.value)


def _stream(change):
    def generate_input_target_stream(self, length):
        return change(*Lengths.generate_input_target_stream(self, length))

    return generate_input_target_stream


def _drawn(self):
    return np.arange(30)[:, None] < self.rng.integers(1, 31, size=3)


def _own_batch(self, shuffle=False):
    return self.generate_trials(self.conditions())


def test_messages_name_what_is_wrong_and_the_remedy():
    def short(inputs, target, condition):
        n = condition["length"]
        return inputs[:, :n], target[:, :n], condition

    said = message(generate_input_target_stream=_stream(short))
    assert "(1, 10): gives a trial shorter than n_steps = 30" in said
    assert "NaN" in said

    said = message(generate_input_target_stream=_stream(lambda i, t, c: (i, t + np.inf, c)))
    assert "Faulty.targets" in said
    assert "or NaN where nothing is asked" in said
    said = message(generate_input_target_stream=_stream(lambda i, t, c: (i * np.nan, t, c)))
    assert "Faulty.inputs" in said
    said = message(generate_input_target_stream=_stream(lambda i, t, c: (i, t * np.nan, c)))
    assert said.startswith("Faulty.targets[:, :, 0] = nan: no step counts in this trial")

    assert "Faulty.mask = (30, 2)" in message(mask=np.ones((30, 2), dtype=bool))
    assert "fails (ZeroDivisionError" in message(mask=property(lambda self: 1 / 0))
    assert "differs from batch to batch" in message(mask=property(_drawn))
    said = message(MaskPerTrial, get_batch=_own_batch)
    assert "Faulty.get_batch" in said
    assert "super().get_batch()" in said


def test_choices_where_nothing_is_asked_are_none():
    def first(self, outputs):
        return np.sign(outputs[0, 0]).astype(int)

    def early(inputs, target, condition):
        target[:, :2] = np.nan
        return inputs, target, condition

    stream = _stream(early)
    said = message(get_choices=first, generate_input_target_stream=stream)
    assert "Faulty.get_choices" in said
    assert "return 0 where a target is NaN" in said

    def last(self, outputs):  # of a shorter trial too: its last value is held
        return np.sign(outputs[0, -1]).astype(int)

    check_task(type("Sound", (NaNTargets,), {"get_choices": last})(seed=0))


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_a_batch_without_gaps_is_the_same_object_as_ever(seed):
    """Masks as indices leave the targets alone."""
    task = Lengths(seed=seed)
    assert np.array_equal(task.get_batch()[1], task.generate_trials(task.conditions())[1])
