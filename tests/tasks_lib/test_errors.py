"""Bad input: every refusal names the field, the value and the remedy."""

from __future__ import annotations

import numpy as np
import pytest

from tasks_lib import TASKS, ParameterError, check_task, create_task, task_class
from tasks_lib.errors import (
    ParameterErrors,
    check_bool,
    check_choice,
    check_float,
    check_int,
    use_one_of,
)
from tasks_lib.stored_values import as_stored

from .test_check_task import Echo

every_task = pytest.mark.parametrize("name", TASKS)


def refused(function, field, value, remedy="give|use"):
    """Check that a call is refused, with an error of one line that names all a user needs."""
    with pytest.raises(ParameterError, match=remedy) as caught:
        function()
    error = caught.value
    assert error.field == field
    assert str(error) == f"{field} = {error.value!r}: {error.problem}; {error.remedy}"
    assert "\n" not in str(error)
    if value is not ...:
        assert error.value == value


@pytest.mark.parametrize(
    ("name", "arguments", "field"),
    [
        ("CDDM", {"cue_on": 50, "cue_off": 50}, "cue_off"),
        ("CDDM", {"stim_on": 120, "stim_off": 100}, "stim_off"),
        ("CDDM", {"dec_on": 300}, "dec_on"),
        ("CDDM", {"dec_off": 301}, "dec_off"),
        ("CDDM", {"stim_on": 100, "dec_on": 50}, "dec_on"),
        ("CDDM", {"stim_on": 100, "dec_on": 99}, "dec_on"),
        ("CDDM", {"cue_on": 201}, "dec_on"),
        ("CDDM", {"n_inputs": 5}, "n_inputs"),
        ("CDDM", {"n_outputs": 3}, "n_outputs"),
        ("CDDM", {"coherences": []}, "coherences"),
        ("CDDM", {"coherences": [0.5, 0.5]}, "coherences"),
        ("CDDM", {"coherences": [1.5]}, "coherences[0]"),
        ("CDDM", {"coherences": "0.5"}, "coherences"),
        ("DMTS", {"n_inputs": 2}, "n_inputs"),
        ("DMTS", {"n_outputs": 3}, "n_outputs"),
        ("DMTS", {"stim_off_sample": 10}, "stim_off_sample"),
        ("DMTS", {"stim_off_match": 80}, "stim_off_match"),
        ("DMTS", {"stim_on_match": 38, "stim_off_match": 48}, "stim_on_match"),
        ("DMTS", {"dec_on": 98}, "dec_on"),
        ("DMTS", {"random_window": 11}, "random_window"),
        ("DMTS", {"random_window": -1}, "random_window"),
        ("DMTS", {"n_repeats": 0}, "n_repeats"),
        ("NBitFlipFlop", {"n_bits": 3, "n_inputs": 2}, "n_inputs"),
        ("NBitFlipFlop", {"n_inputs": 3, "n_outputs": 2}, "n_outputs"),
        ("NBitFlipFlop", {"n_bits": 0}, "n_bits"),
        ("NBitFlipFlop", {"mu": 0.0}, "mu"),
        ("NBitFlipFlop", {"pulse": 101}, "pulse"),
        ("MemoryNumber", {"n_outputs": 2}, "n_outputs"),
        ("MemoryNumber", {"random_window": 21}, "random_window"),
        ("MemoryNumber", {"recall_on": 48}, "recall_on"),
        ("MemoryNumber", {"stim_duration": 101}, "stim_duration"),
        ("MemoryNumber", {"batch_size": 1}, "batch_size"),
        ("MemoryAntiNumber", {"stim_on_range": 5}, "stim_on_range"),
        ("MemoryAntiNumber", {"stim_on_range": [20, 20]}, "stim_on_range[1]"),
        ("MemoryAntiNumber", {"recall_on": 153}, "recall_on"),
        ("MemoryAntiNumber", {"n_inputs": 4}, "n_inputs"),
        ("MemoryAngle", {"n_inputs": 4}, "n_inputs"),
        ("MemoryAngle", {"n_outputs": 2}, "n_outputs"),
        ("MemoryAntiAngle", {"random_window": 11}, "random_window"),
        ("MemoryAntiAngle", {"recall_on": 28}, "recall_on"),
        ("MemoryAntiAngle", {"stim_off": 10}, "stim_off"),
        ("MemoryAntiAngle", {"batch_size": 1}, "batch_size"),
        ("GoNoGo", {"stim_on": 31}, "cue_on"),
        ("XOR", {"stim_on": 16}, "dec_on"),
        ("HalfAdder", {"stim_on": 40}, "dec_on"),
        ("GoNoGo", {"n_inputs": 2}, "n_inputs"),
        ("GoNoGo", {"cue_on": 60}, "cue_on"),
        ("XOR", {"n_inputs": 2}, "n_inputs"),
        ("XOR", {"n_outputs": 1}, "n_outputs"),
        ("XOR", {"dec_on": 20, "dec_off": 20}, "dec_off"),
        ("HalfAdder", {"n_inputs": 4}, "n_inputs"),
        ("HalfAdder", {"n_steps": 100}, "dec_off"),
        ("AngleIntegration", {"n_outputs": 2}, "n_outputs"),
        ("AngleIntegration", {"amp_range": [1.0, -1.0]}, "amp_range[1]"),
        ("AngleIntegration", {"amp_range": 1.0}, "amp_range"),
        ("AngleIntegration", {"w": 0}, "w"),
        ("AngleIntegration", {"mu_blocks": -1}, "mu_blocks"),
        ("AngleIntegration", {"min_block_length": 0}, "min_block_length"),
        ("ReferenceFrame", {"n_inputs": 11}, "n_inputs"),
        ("ReferenceFrame", {"n_inputs_head": 2}, "n_inputs_head"),
        ("ReferenceFrame", {"n_outputs": 2}, "n_outputs"),
    ],
)
def test_a_bad_argument_is_refused(name, arguments, field):
    value = arguments.get(field, ...)
    refused(lambda: TASKS[name](**arguments), field, value)


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("DMTS", {"stim_on_match": 39, "stim_off_match": 49}),
        ("DMTS", {"dec_on": 99}),
        ("MemoryNumber", {"recall_on": 49}),
        ("MemoryAntiNumber", {"recall_on": 154}),
        ("MemoryAntiAngle", {"recall_on": 29}),
        ("CDDM", {"stim_on": 0, "dec_on": 0}),
        ("CDDM", {"stim_on": 50, "cue_on": 50, "dec_on": 50}),
        ("GoNoGo", {"stim_on": 30}),
        ("XOR", {"stim_on": 15}),
        ("HalfAdder", {"stim_on": 30}),
    ],
)
def test_the_tightest_windows_are_accepted(name, arguments):
    check_task(TASKS[name](**arguments))


def test_tasks_that_were_stored_are_made_as_they_were():
    with as_stored():
        task = TASKS["CDDM"](stim_on=100, dec_on=50)
    assert (task.stim_on, task.dec_on) == (100, 50)
    with pytest.raises(ParameterError, match="give at least 100, or move stim_on"):
        TASKS["CDDM"](stim_on=100, dec_on=50)


@every_task
@pytest.mark.parametrize("bad", ["three", 1.5, float("nan"), True, [1], {"a": 1}])
def test_arguments_of_the_wrong_type_are_refused(name, bad):
    for field, default in TASKS[name]().params.items():
        number = isinstance(default, (int, float))
        if isinstance(default, float) and bad == 1.5:
            continue
        if isinstance(default, bool) and bad is True:
            continue
        if not number and isinstance(bad, list) and field == "coherences":
            continue
        with pytest.raises(ParameterError, match=r"give|use") as caught:
            TASKS[name](**{field: bad})
        assert caught.value.field.split("[")[0] == field


@every_task
@pytest.mark.parametrize("seed", [-1, 1.0, "0", True])
def test_a_bad_seed_is_refused(name, seed):
    refused(lambda: TASKS[name](seed=seed), "seed", seed)


@pytest.mark.parametrize(
    ("name", "condition", "field"),
    [
        ("CDDM", {"context": "colour", "motion_coh": 0, "color_coh": 0}, "context"),
        ("CDDM", {"context": "color", "motion_coh": 2, "color_coh": 0}, "motion_coh"),
        ("DMTS", {"num_sample_channel": 2, "num_match_channel": 0}, "num_sample_channel"),
        ("DMTS", {"num_sample_channel": 0, "num_match_channel": 0, "match_on": -1}, "match_on"),
        ("NBitFlipFlop", {"onsets": [[1]], "signs": [[1]]}, "onsets"),
        ("NBitFlipFlop", {"onsets": [[1], [], []]}, "signs"),
        ("NBitFlipFlop", {"onsets": [[1], [], []], "signs": [[2], [], []]}, "signs"),
        ("NBitFlipFlop", {"onsets": [[1], [], []], "signs": [[[1]], [], []]}, "signs"),
        ("NBitFlipFlop", {"onsets": [[9, 1], [], []], "signs": [[1, 1], [], []]}, "onsets"),
        ("NBitFlipFlop", {"onsets": [[100], [], []], "signs": [[1], [], []]}, "onsets"),
        ("MemoryNumber", {"number": float("inf")}, "number"),
        ("MemoryAntiNumber", {"number": 1, "stim_on": 320}, "stim_on"),
        ("MemoryAngle", {}, "theta"),
        ("MemoryAngle", {"theta": "east"}, "theta"),
        ("GoNoGo", {"input_value": None}, "input_value"),
        ("XOR", {"logical_values": (0,)}, "logical_values"),
        ("XOR", {"logical_values": (0, 2)}, "v2"),
        ("HalfAdder", {"v1": 0}, "v2"),
        ("AngleIntegration", {"amps": [1.0]}, "block_starts"),
        ("AngleIntegration", {"amps": [1.0], "block_starts": [1]}, "block_starts"),
        ("AngleIntegration", {"amps": [1.0], "block_starts": [0, 5]}, "block_starts"),
        ("ReferenceFrame", {"theta_retina": 0, "theta_head": float("nan")}, "theta_head"),
    ],
)
def test_a_bad_condition_is_refused(name, condition, field):
    task = TASKS[name](seed=0)
    with pytest.raises(ParameterError) as caught:
        task.generate_input_target_stream(**condition)
    assert caught.value.field == field


def test_numpy_numbers_are_accepted_and_normalised():
    task = TASKS["MemoryNumber"](n_steps=np.int64(120), batch_size=np.int32(4))
    assert type(task.params["n_steps"]) is int
    assert type(task.params["batch_size"]) is int
    task = TASKS["CDDM"](coherences=np.array([-0.5, 0.5], dtype=np.float32))
    assert task.params["coherences"] == [-0.5, 0.5]
    assert type(check_float("x", np.float32(1))) is float
    assert check_int("n", np.int8(3), 0, 3) == 3
    assert check_bool("b", np.bool_(True)) is True


@pytest.mark.parametrize(
    "call",
    [
        lambda: check_int("x", 1.0),
        lambda: check_int("x", True),
        lambda: check_int("x", 1, minimum=2),
        lambda: check_int("x", 3, maximum=2),
        lambda: check_float("x", "1"),
        lambda: check_float("x", float("nan")),
        lambda: check_float("x", float("inf")),
        lambda: check_float("x", False),
        lambda: check_float("x", 0.0, exclusive_minimum=0.0),
        lambda: check_float("x", -1.0, minimum=0.0),
        lambda: check_float("x", 2.0, maximum=1.0),
        lambda: check_bool("x", 1),
        lambda: check_choice("x", "c", ("a", "b")),
        lambda: check_choice("x", True, (1, 2)),
    ],
)
def test_checks_of_single_values(call):
    refused(call, "x", ...)


def test_a_choice_may_be_a_string_of_numpy():
    choice = check_choice("x", np.str_("b"), ("a", "b"))
    assert (choice, type(choice)) == ("b", str)


def test_the_message_is_one_line_whatever_the_value():
    error = ParameterError("field", np.zeros((30, 30)), "is wrong", "mend it")
    assert "\n" not in str(error)
    assert len(str(error)) < 160


def test_classes_by_name():
    assert task_class("CDDM") is TASKS["CDDM"]
    assert task_class(f"{__name__}:Echo") is Echo
    task = create_task(f"{__name__}:Echo", n_steps=9, params={"n_values": 2}, seed=4)
    assert task.get_batch()[0].shape == (1, 9, 2)
    assert task.seed == 4


@pytest.mark.parametrize(
    "name",
    ["cddm", "", None, 3, "nowhere_at_all:Task", "math:pi", f"{__name__}:Nothing", ":", "math:"],
)
def test_a_class_that_is_no_task_is_refused(name):
    refused(lambda: task_class(name), "task_class", name, "use|install|subclass")


def test_a_module_that_fails_is_refused(tmp_path, monkeypatch):
    (tmp_path / "broken_tasks.py").write_text("1 / 0\n")
    monkeypatch.syspath_prepend(tmp_path)
    refused(lambda: task_class("broken_tasks:A"), "task_class", "broken_tasks:A", "mend")


def test_unknown_parameters_are_refused_with_the_accepted_ones():
    refused(lambda: create_task("DMTS", params={"windw": 3}), "params.windw", 3, "random_window")
    refused(lambda: create_task("DMTS", params={"n_steps": 3}), "params.n_steps", 3, "beside")
    refused(lambda: create_task("DMTS", params=[1]), "params", [1], "write")


def test_parameters_of_a_task_that_are_wrong_are_named_at_once():
    params = {"n_bits": "x", "pulse": -3, "bach": 4, "batch_size": [8], "n_steps": 3, "mu": True}
    with pytest.raises(ParameterErrors) as caught:
        create_task("NBitFlipFlop", n_inputs=2.5, params=params)
    lines = [str(error) for error in caught.value.errors]
    assert lines[0].startswith("params.bach = 4: is not a parameter of NBitFlipFlop; ")
    assert lines[1].startswith("params.n_steps = 3: stands in params")
    named = {error.field for error in caught.value.errors[2:]}
    assert named >= {"n_bits", "n_inputs", "batch_size", "mu"}
    assert len(named) == len(lines) - 2  # one error each
    # What only a default would be wrong with is not said: stim_off is right for this stim_on.
    windows = {"stim_on": "5", "stim_off": 15, "dec_on": 16}
    with pytest.raises(ParameterError) as caught:
        create_task("CDDM", n_steps=20, params=windows)
    assert str(caught.value) == "stim_on = '5': is not a whole number; give it without quotes"


def test_a_fault_that_shows_in_the_batch_names_the_method():
    task = create_task(f"{__name__}:Echo", params={"n_values": "x"})
    with pytest.raises(ParameterError, match="conditions"):
        check_task(task)


@pytest.mark.parametrize(
    ("given", "remedy"),
    [
        ("R2", "did you mean r2?"),
        ("lr", "did you mean training.lr?"),
        ("accuracy", "did you mean accuracy[noise_free] or accuracy[noisy]?"),
        ("trainig.lr", "did you mean training.lr?"),
        ("zzz", "use accuracy[noise_free], accuracy[noisy], r2, training.lr"),
        ("", "use accuracy[noise_free], accuracy[noisy], r2, training.lr"),
    ],
)
def test_the_name_that_was_meant_is_found(given, remedy):
    known = ["training.lr", "r2", "accuracy[noisy]", "accuracy[noise_free]"]
    assert use_one_of(given, known) == remedy
