"""The kit finds each fault of a class, and names it with the remedy."""

from __future__ import annotations

import numpy as np
import pytest

from tasks_lib import CDDM, ParameterError, Task, check_task


class Echo(Task):
    """A sound task, whose subclasses each have one fault."""

    def __init__(self, n_steps=6, n_inputs=1, n_outputs=1, n_values=3, seed=None):
        super().__init__(n_steps, n_inputs, n_outputs, seed)
        self.n_values = n_values

    def conditions(self):
        return [{"value": float(v)} for v in self.rng.random(self.n_values)]

    def generate_input_target_stream(self, value):
        stream = np.full((1, self.n_steps), value)
        return stream, stream.copy(), {"value": value}


def fault(what, **members):
    return pytest.param(type("Faulty", (Echo,), members), f"Faulty.{what}", id=what)


def batch_with(change):
    def get_batch(self, shuffle=False):
        return change(*Echo.get_batch(self, shuffle))

    return get_batch


def _unseeded(self):
    return [{"value": float(v)} for v in np.random.default_rng().random(3)]


def _noisy(self, value):
    stream = np.full((1, self.n_steps), value) + self.rng.normal(size=self.n_steps)
    return stream, stream.copy(), {"value": value}


def _says(condition):
    """Trials whose condition is another than the one that they are asked for."""

    def generate_input_target_stream(self, value=0.0, **rest):
        inputs, target, _ = Echo.generate_input_target_stream(self, value)
        return inputs, target, condition(value)

    return generate_input_target_stream


def _global(self):
    return [{"value": float(v)} for v in np.random.random(3)]  # noqa: NPY002


def _global_seeded(self):
    np.random.seed(0)  # noqa: NPY002
    return _global(self)


def _other_generator(self, n_steps=6, n_inputs=1, n_outputs=1, n_values=3, seed=None):
    Echo.__init__(self, n_steps, n_inputs, n_outputs, n_values, seed)
    self.other = np.random.default_rng(seed)


def _from_other(self):
    return [{"value": float(v)} for v in self.other.random(3)]


def _backwards(self, conditions):
    return Task.generate_trials(self, conditions[::-1])


def _too_many(self, conditions):
    return Task.generate_trials(self, [*conditions, conditions[0]])


def _louder(self, conditions):
    inputs, targets, conditions = Task.generate_trials(self, conditions)
    return 2 * inputs, targets, conditions


def _forgetful(self, n_steps=6, n_inputs=1, n_outputs=1, n_values=3, seed=None):
    Echo.__init__(self, n_steps, n_inputs, n_outputs, n_values, seed)
    self.n_values = n_values + 1


def _hiding(self, n_steps=6, n_inputs=1, n_outputs=1, other=3, seed=None):
    Echo.__init__(self, n_steps, n_inputs, n_outputs, 3, seed)


def _vectorised(self, conditions):
    stream = np.tile([c["value"] for c in conditions], (1, self.n_steps, 1))
    return stream, stream.copy(), conditions


def _seedless(self, n_steps=6, n_inputs=1, n_outputs=1, n_values=3, seed=None):
    Echo.__init__(self, n_steps, n_inputs, n_outputs, n_values)


def _unstorable(self, n_steps=6, n_inputs=1, n_outputs=1, n_values=3, what=None, seed=None):
    Echo.__init__(self, n_steps, n_inputs, n_outputs, n_values, seed)
    self.what = {1, 2}


def given(value):
    return property(lambda self: value)


@pytest.mark.parametrize(
    ("cls", "field"),
    [
        fault("inputs", get_batch=batch_with(lambda i, t, c: (i[:, 1:], t, c))),
        fault("targets", get_batch=batch_with(lambda i, t, c: (i, t[:, :, 1:], c))),
        fault("inputs", get_batch=batch_with(lambda i, t, c: (i * np.nan, t, c))),
        fault("targets", get_batch=batch_with(lambda i, t, c: (i, t.astype(str), c))),
        fault("inputs", get_batch=batch_with(lambda i, t, c: (i, t, c[1:]))),
        fault("conditions", get_batch=batch_with(lambda i, t, c: (i, t, [1, 2, 3]))),
        fault("conditions", get_batch=batch_with(lambda i, t, c: (i, t, []))),
        fault("get_batch", get_batch=batch_with(lambda i, t, c: (i, t))),
        fault("get_batch", get_batch=batch_with(lambda i, t, c: 1 / 0)),
        fault("get_batch", conditions=_unseeded),
        fault("generate_input_target_stream", generate_input_target_stream=lambda self: None),
        fault("mask", mask=given(np.arange(7))),
        fault("mask", mask=given(np.array([-1, 0]))),
        fault("mask", mask=given(np.array([1, 1]))),
        fault("mask", mask=given(np.array([], dtype=int))),
        fault("mask", mask=given(np.ones(5, dtype=bool))),
        fault("mask", mask=given(np.zeros(6, dtype=bool))),
        fault("mask", mask=given(np.ones(6))),
        fault("mask", mask=given(np.full(6, 0.5))),
        fault("mask", mask=given(np.ones((6, 3), dtype=int))),
        fault("mask", mask=given(np.ones((3, 6), dtype=bool))),
        fault("mask", mask=given(np.array([1, 0, 1, 1, 1, 1]))),
        fault("mask", mask=given(None)),
        fault("mask", mask=property(lambda self: 1 / 0)),
        fault("mask[:, 1]", mask=given(np.arange(3) != np.ones((6, 1)))),
        fault("analysis_inputs", analysis_inputs=given({})),
        fault("analysis_inputs", analysis_inputs=given({1: np.zeros(1)})),
        fault("analysis_inputs['zero']", analysis_inputs=given({"zero": np.zeros(2)})),
        fault("analysis_inputs['zero']", analysis_inputs=given({"zero": np.array([np.inf])})),
        fault("analysis_inputs", analysis_inputs=property(lambda self: 1 / 0)),
        fault("input_names", input_names=given(("a", "b"))),
        fault("output_names", output_names=given("a")),
        fault("get_choices", get_choices=lambda self, outputs: np.zeros(2, dtype=int)),
        fault("get_choices", get_choices=lambda self, outputs: outputs[0, -1]),
        fault("signed_stimuli of trial 0", signed_stimuli=lambda self, c: c["value"]),
        fault("signed_stimuli of trial 0", signed_stimuli=lambda self, c: ("", {"relevant": 1})),
        fault("signed_stimuli of trial 0", signed_stimuli=lambda self, c: ("all", {})),
        fault("signed_stimuli of trial 0", signed_stimuli=lambda self, c: ("all", {"motion": 1})),
        fault(
            "signed_stimuli of trial 0['relevant']",
            signed_stimuli=lambda self, c: ("all", {"relevant": float("nan")}),
        ),
        fault("signed_stimuli", signed_stimuli=lambda self, c: ("all", {"relevant": c["level"]})),
        fault("get_batch", conditions=_global),
        fault("get_batch", conditions=_global_seeded),
        fault("get_batch", __init__=_other_generator, conditions=_from_other),
        fault("get_batch", generate_trials=_too_many),
        fault("conditions", conditions=lambda self: []),
        fault("conditions", conditions=lambda self: iter(Echo.conditions(self))),
        fault(
            "generate_input_target_stream",
            generate_trials=_vectorised,
            generate_input_target_stream=lambda self, value: np.zeros((1, 6)),
        ),
        fault("conditions[0]['value']", generate_trials=_backwards),
        fault("conditions[0]", generate_trials=_louder),
        fault("conditions[0]", generate_input_target_stream=_noisy),
        fault("conditions[0]", generate_input_target_stream=_says(lambda v: {})),
        fault("conditions[0]", generate_input_target_stream=_says(lambda v: {"v": np.float32(v)})),
        fault("conditions[0]", generate_input_target_stream=_says(lambda v: {"v": np.nan})),
        fault("conditions[0]", generate_input_target_stream=_says(lambda v: {1: v})),
        fault("condition_fields", condition_fields="value"),
        fault("condition_fields", condition_fields=("val",)),
        fault("condition_fields", condition_fields=(1,)),
        fault("params", __init__=_forgetful),
        fault("other", __init__=_hiding),
        fault("params", __init__=_unstorable),
        fault("seed", __init__=_seedless),
    ],
)
def test_the_kit_finds_the_fault(cls, field):
    task = cls(seed=1)
    with pytest.raises(ParameterError) as caught:
        check_task(task)
    assert caught.value.field == field
    assert caught.value.remedy


def test_the_kit_leaves_a_sound_task_as_it_was():
    task, twin = Echo(seed=1), Echo(seed=1)
    task.get_batch()
    check_task(task)
    twin.get_batch()
    assert np.array_equal(task.get_batch()[0], twin.get_batch()[0])


def test_the_kit_refuses_what_is_no_task():
    with pytest.raises(ParameterError, match="subclass"):
        check_task("CDDM")


def message(**members):
    with pytest.raises(ParameterError) as caught:
        check_task(type("Faulty", (Echo,), members)(seed=1))
    return str(caught.value)


def test_messages_say_what_to_do():
    extra = _says(lambda v: {"value": v, "twice": 2 * v})

    def strict(self, value):
        return extra(self, value)

    assert "unexpected keyword argument 'twice'" in message(generate_input_target_stream=strict)
    assert "**rest" in message(generate_input_target_stream=strict)
    assert "noise by its seed" in message(generate_input_target_stream=_noisy)
    assert "global generator" in message(conditions=_global)
    assert "same seed" in message(conditions=_unseeded)
    assert "conditions() has, 3" in message(generate_trials=_too_many)
    assert "['value']" in message(condition_fields=("val",))
    listed = _says(lambda v: {"value": v, "both": [v, v]})
    problem = message(generate_input_target_stream=listed, condition_fields=("both",))
    assert "not a single value" in problem


def test_noise_by_its_seed_is_sound():
    class Noisy(Echo):
        def conditions(self):
            return [{"value": 1.0, "noise": int(self.rng.integers(2**32))} for _ in range(3)]

        def generate_input_target_stream(self, value, noise):
            stream = value + np.random.default_rng(noise).normal(size=(1, self.n_steps))
            return stream, stream.copy(), {"value": value, "noise": noise}

    check_task(Noisy(seed=0))


def test_what_kind_of_trial_a_condition_is():
    _, _, conditions = CDDM(seed=0).get_batch()
    kind = CDDM().condition_kind(conditions[0])
    assert kind == {"context": "motion", "motion_coh": -1.0, "color_coh": -1.0}
    assert Echo().condition_kind({"value": 0.5, "trace": [1, 2]}) == {"value": 0.5}


def test_a_large_batch_is_checked_on_a_few_of_its_trials():
    calls = []

    class Counting(Echo):
        def generate_input_target_stream(self, value):
            calls.append(value)
            return Echo.generate_input_target_stream(self, value)

        def generate_trials(self, conditions):
            values = np.array([c["value"] for c in conditions])
            stream = np.broadcast_to(values, (1, self.n_steps, len(values)))
            return stream, stream, conditions

    check_task(Counting(n_values=20_000, seed=0))
    assert len(calls) == 1 + 16  # the first by itself, then those spread over the batch


def test_an_author_who_forgets_the_base_class_is_told_so():
    class Forgetful(Echo):
        def __init__(self, n_steps=10, n_inputs=1, n_outputs=1, n_values=4, seed=None):
            self.n_steps, self.n_inputs, self.n_outputs = n_steps, n_inputs, n_outputs

    with pytest.raises(ParameterError, match=r"super\(\)\.__init__"):
        check_task(Forgetful())


@pytest.mark.parametrize(
    ("members", "said"),
    [
        ({"input_names": None}, "does not name the channels"),
        ({"condition_fields": property(lambda self: 1 / 0)}, "condition_fields = None: fails"),
        ({"condition_kind": lambda self, condition: 1 / 0}, "condition_kind = None: fails"),
        (
            {"generate_input_target_stream": lambda self, value: None},
            "generate_input_target_stream = 'NoneType': does not give a trial",
        ),
        (
            {"get_choices": lambda self, outputs: outputs[0, -1].astype(float)},
            "get_choices = 'float64 (3,)'",
        ),
    ],
)
def test_what_a_member_does_wrong_is_said_of_it(members, said):
    with pytest.raises(ParameterError) as caught:
        check_task(type("Faulty", (Echo,), members)())
    assert said in str(caught.value)


def test_complex_streams_are_refused():
    def stream(self, value):
        wave = np.full((1, self.n_steps), value * 1j)
        return wave, wave.real, {"value": value}

    with pytest.raises(ParameterError, match="inputs"):
        check_task(type("Complex", (Echo,), {"generate_input_target_stream": stream})())
