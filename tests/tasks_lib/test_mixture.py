"""Mixtures of tasks: trials, channels, rules, padding, the mix, and what is refused."""

from __future__ import annotations

import json

import numpy as np
import pytest

from tasks_lib import Mixture, ParameterError, check_task, create_task
from tasks_lib.base import Task
from tasks_lib.imports import imports_only_from
from tasks_lib.masks import asked

LENGTHS = [
    {"name": "short", "class": "GoNoGo", "params": {"batch_size": 8}},
    {"name": "long", "class": "DMTS", "params": {"n_repeats": 3}},
    {"name": "own", "class": "tests.pipeline.own:Echo"},
]


class MaskOfTrials(Task):
    """A task with a mask for each trial of its batch."""

    def __init__(self, n_steps=4, n_inputs=1, n_outputs=1, seed=None):
        super().__init__(n_steps, n_inputs, n_outputs, seed)

    @property
    def mask(self):
        return np.array([[True, False]] * 2 + [[True, True]] * 2)

    def conditions(self):
        return [{"value": 0.0}, {"value": 1.0}]

    def generate_input_target_stream(self, value):
        stream = np.full((1, 4), value)
        return stream, stream.copy(), {"value": value}


class SaysTask(MaskOfTrials):
    """A task whose conditions have a field of the name that a mixture needs."""

    mask = np.arange(4)

    def conditions(self):
        return [{"task": "a"}]


def refused(match, **arguments):
    with pytest.raises(ParameterError, match=match):
        Mixture(**arguments)


def test_trials_are_those_of_the_components_to_the_bit():
    task = Mixture(components=LENGTHS, seed=4)
    inputs, targets, conditions = task.get_batch()
    own_inputs = {"short": slice(0, 3), "long": slice(3, 6), "own": slice(6, 7)}
    own_outputs = {"short": slice(0, 1), "long": slice(1, 3), "own": slice(3, 4)}
    assert [c["task"] for c in conditions] == ["short"] * 8 + ["long"] * 12 + ["own"] * 4
    for number, (name, component) in enumerate(task.component_tasks.items()):
        chosen = [i for i, c in enumerate(conditions) if task.component_of(c) == name]
        said = [{k: v for k, v in conditions[i].items() if k != "task"} for i in chosen]
        u, t, again = component.generate_trials(said)
        assert again == said
        n = component.n_steps
        assert inputs[own_inputs[name], :n, chosen].tobytes() == u.tobytes()
        counts = np.isin(np.arange(n), component.mask)
        found = targets[own_outputs[name], :n, chosen]
        assert np.array_equal(found[:, counts], t[:, counts])
        # Nothing else is on but the rule, and nothing else is asked, nor after the trial's end.
        rest = inputs[:, :, chosen].copy()
        rest[own_inputs[name], :n] = 0.0
        assert np.array_equal(rest.any(axis=(1, 2)), np.arange(10) == 7 + number)
        assert np.array_equal(rest[7 + number], np.outer(np.arange(140) < n, np.ones(len(chosen))))
        asks = np.isfinite(targets[:, :, chosen])
        assert asks[own_outputs[name], :n][:, counts].all()
        assert asks.sum() == t[:, counts].size
        assert not inputs[:, n:, chosen].any()
    check_task(task)


def test_one_component_draws_what_it_draws_alone():
    alone = create_task("DMTS", params={"n_repeats": 3}, seed=9)
    mixed = Mixture(components=LENGTHS[1:2], rule_inputs=False, seed=9)
    for _ in range(2):
        one, other = alone.get_batch(), mixed.get_batch()
        assert one[0].tobytes() == other[0].tobytes()
        assert [{"task": "long", **c} for c in one[2]] == other[2]
        kept = alone.mask
        assert one[1][:, kept].tobytes() == other[1][:, kept].tobytes()
        # The same entries count, with the same weight.
        steps, counts = asked(other[1], mixed.mask)
        assert steps.tolist() == kept.tolist() and counts is None


def test_a_copy_that_is_reset_does_not_draw_for_the_original():
    import copy

    one, same = Mixture(seed=3), Mixture(seed=3)
    other = copy.copy(one)
    other.reset(8)
    other.get_batch()
    assert one.get_batch()[2] == same.get_batch()[2]


def test_channels_of_one_name_are_one():
    task = Mixture(share_inputs=True, share_outputs=True, seed=0)
    assert task.input_names == (
        "angle 0", "angle 1", "angle 2", "constant", "recall cue", "rule pro", "rule anti",
    )  # fmt: skip
    assert task.output_names == ("angle 0", "angle 1", "angle 2")
    pro, anti = (
        task.generate_trials([{"task": name, "Theta": 30.0, "stim_on": 10}])
        for name in ("pro", "anti")
    )
    assert np.array_equal(pro[0][:5], anti[0][:5])
    assert pro[0][5:, 0, 0].tolist() == [1, 0] and anti[0][5:, 0, 0].tolist() == [0, 1]
    assert not np.array_equal(pro[1][:, -1], anti[1][:, -1])
    names = [
        {"name": "a", "class": "XOR", "inputs": ["l", "r", "u", "d"]},
        {"name": "b", "class": "HalfAdder", "inputs": ["l", "x"], "outputs": ["answer"]},
    ]
    task = Mixture(components=names, rule_inputs=False, seed=0)
    assert task.input_names == ("l", "r", "u", "d", "x")
    assert task.output_names[-1] == "answer" and task.n_outputs == 3
    vectors = task.analysis_inputs
    assert {name.split(":")[0] for name in vectors} == {"a", "b"}
    b = next(vector for name, vector in vectors.items() if name == "b: 11")
    assert b.tolist() == [1, 0, 0, 0, 1]


def test_rules_are_on_in_their_periods_and_at_the_inputs_of_the_analysis():
    components = [{**LENGTHS[0], "rule_periods": [[0, 5], [50, None]]}, LENGTHS[1]]
    task = Mixture(components=components, rule_periods=[[100, None]], seed=0)
    inputs, _, conditions = task.get_batch()
    last = len(conditions) - 1
    assert np.flatnonzero(inputs[-2, :, 0]).tolist() == [*range(5), *range(50, 60)]
    assert np.flatnonzero(inputs[-1, :, last]).tolist() == list(range(100, 140))
    assert all(v[-2:].tolist() == [n[:5] == "short", n[:4] == "long"]
               for n, v in task.analysis_inputs.items())  # fmt: skip
    assert json.loads(json.dumps(task.params)) == task.params
    again = Mixture(**task.params, seed=0)
    assert np.array_equal(again.get_batch()[0], inputs) and again.params == task.params


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ({}, [8, 12, 4]),
        ({"batch_size": 240}, [80, 120, 40]),
        ({"fractions": [0.5, 0.25, 0.25]}, [12, 6, 6]),
        ({"fractions": [0.98, 0.01, 0.01], "batch_size": 10}, [8, 1, 1]),
        ({"fractions": [1 / 3, 1 / 3, 1 / 3], "batch_size": 10}, [4, 3, 3]),
        ({"batch_size": 3}, [1, 1, 1]),
    ],
)
def test_the_mix_is_that_of_the_fractions(arguments, expected):
    task = Mixture(components=LENGTHS, **arguments, seed=1)
    for _ in range(3):
        names = [c["task"] for c in task.get_batch(shuffle=True)[2]]
        assert [names.count(name) for name in ("short", "long", "own")] == expected


def test_trials_of_a_component_are_drawn_without_replacement():
    task = Mixture(components=LENGTHS[:1], batch_size=20, seed=1)
    values = [c["input_value"] for c in task.get_batch()[2]]
    assert len(values) == 20
    assert len(set(values[:8])) == len(set(values[8:16])) == 8 and len(set(values[16:])) == 4
    chosen = {tuple(sorted(c["input_value"] for c in task.get_batch()[2][16:])) for _ in range(9)}
    assert len(chosen) > 4  # not always the same ones


def test_a_component_can_be_some_of_the_trials_of_a_task():
    cddm = {"class": "CDDM", "n_steps": 30,
            "params": {"stim_on": 5, "dec_on": 20, "coherences": [-0.5, 0.0, 0.5]}}  # fmt: skip
    components = [
        {**cddm, "name": "motion", "only": {"context": "motion"}},
        {**cddm, "name": "alone",
         "only": {"context": "color", "motion_coh": 0, "color_coh": [-0.5, 0.5]}},
    ]  # fmt: skip
    task = Mixture(components=components, share_inputs=True, seed=0)
    conditions = task.get_batch()[2]
    kinds = [tuple(task.condition_kind(c).values()) for c in conditions]
    values = (-0.5, 0.0, 0.5)
    assert kinds == [
        *(("motion", "motion", m, c) for m in values for c in values),
        ("alone", "color", 0.0, -0.5), ("alone", "color", 0.0, 0.5),
    ]  # fmt: skip
    assert task.params["components"][1]["only"] == {
        "context": ["color"], "motion_coh": [0], "color_coh": [-0.5, 0.5],
    }  # fmt: skip
    assert Mixture(**task.params).params == task.params
    assert "only" not in Mixture(components=LENGTHS).params["components"][0]
    # Without replacement among these alone, whatever the mix.
    more = Mixture(components=components, batch_size=20, fractions=[0.5, 0.5], seed=0)
    alone = [c["color_coh"] for c in more.get_batch()[2] if c["task"] == "alone"]
    assert sorted(alone) == [-0.5] * 5 + [0.5] * 5
    check_task(task)


def test_trials_that_no_batch_has_any_more_are_no_endless_search(monkeypatch):
    task = Mixture(
        components=[{"name": "a", "class": "GoNoGo", "only": {"input_value": 1.0}}], seed=0
    )
    monkeypatch.setattr(
        type(task.component_tasks["a"]), "conditions", lambda _: [{"input_value": 0.0}]
    )
    with pytest.raises(
        ParameterError, match=r"components\[0\]\.only .*is of no trial of 1000 batches"
    ):
        task.conditions()


def test_scores_and_choices_are_those_of_the_components():
    components = [
        {"name": "decide", "class": "CDDM", "n_steps": 30,
         "params": {"stim_on": 5, "dec_on": 20, "coherences": [-0.5, 0.0, 0.5]}},
        {"name": "go", "class": "GoNoGo", "n_steps": 40,
         "params": {"batch_size": 8, "cue_on": 20}},
        {"name": "remember", "class": "MemoryNumber", "params": {"batch_size": 4}},
    ]  # fmt: skip
    task = Mixture(components=components, seed=2)
    _, targets, conditions = task.get_batch()
    assert task.condition_fields[:4] == ("task", "context", "motion_coh", "color_coh")
    assert task.condition_kind(conditions[0]) == {
        "task": "decide", "context": "motion", "motion_coh": -0.5, "color_coh": -0.5,
    }  # fmt: skip
    outputs = np.random.default_rng(0).standard_normal(targets.shape)
    made, right = task.read_choices(outputs, targets, conditions)
    names = np.array([c["task"] for c in conditions])
    assert task.trials_with_choices(conditions).tolist() == (names != "remember").tolist()
    for name, channels in (("decide", slice(0, 2)), ("go", slice(2, 3))):
        component, own = task.component_tasks[name], names == name
        seen = outputs[channels, : component.n_steps][:, :, own]
        assert made[own].tolist() == component.get_choices(seen).tolist()
    assert right[names == "decide"].tolist() == [
        c["correct_choice"] for c in conditions if c["task"] == "decide"
    ]
    assert not made[names == "remember"].any() and not right[names == "remember"].any()
    assert task.signed_stimuli(conditions[0]) == (
        "decide: motion", {"relevant": -0.5, "irrelevant": -0.5},
    )  # fmt: skip
    said = {c["task"]: task.signed_stimuli(c) for c in conditions}
    assert said["go"][0] == "go" and said["remember"] is None
    assert Mixture.has_signed_stimuli(task.params)
    assert not Mixture.has_signed_stimuli(Mixture(components=components[2:]).params)


@pytest.mark.parametrize(
    ("components", "message"),
    [
        ("CDDM", r"components = 'CDDM': is not a list of tasks"),
        ([], r"components = \[\]: is not a list"),
        (["CDDM"], r"components\[0\] = 'CDDM': is not a component; give"),
        ([{"name": "a"}], r"components\[0\]\.class = None: is not a task"),
        ([{"name": "a", "class": "CDM"}], r"components\[0\]\.class = 'CDM'"),
        ([{"class": "XOR"}], r"components\[0\]\.name = None: is not a name"),
        ([{"name": "x" * 33, "class": "XOR"}], r"components\[0\]\.name.*give 1 to 32"),
        ([LENGTHS[0], LENGTHS[0]], r"components\[1\]\.name = 'short': is the name of two"),
        ([{"name": "a", "class": "XOR", "param": {}}], r"components\[0\]\.param .*mean params\?"),
        ([{"name": "a", "class": "XOR", "params": {"dec_no": 1}}],
         r"components\[0\]\.params\.dec_no = 1.*did you mean dec_on\?"),
        ([{"name": "a", "class": "XOR", "n_steps": 2.5}], r"components\[0\]\.n_steps = 2.5"),
        ([{"name": "a", "class": "XOR", "n_inputs": 3}], r"components\[0\]\.n_inputs = 3"),
        ([{"name": "a", "class": "XOR", "inputs": ["x"]}],
         r"components\[0\]\.inputs = \['x'\]: does not name the 4 channels"),
        ([{"name": "a", "class": "XOR", "outputs": ["x", "x"]}],
         r"components\[0\]\.outputs = \['x', 'x'\]: are not all different"),
        ([{"name": "a", "class": "XOR", "outputs": ["x", ""]}], r"components\[0\]\.outputs\[1\]"),
        ([{"name": "a", "class": "XOR", "rule_periods": [[0]]}],
         r"components\[0\]\.rule_periods\[0\] = \[0\]: is not a period"),
        ([{"name": "a", "class": "XOR", "rule_periods": [[140, 151]]}],
         r"components\[0\]\.rule_periods\[0\] = \[140, 151\]: ends after the 150 steps"),
        ([{"name": "a", "class": "CDDM", "only": {"contxt": "motion"}}],
         r"components\[0\]\.only\.contxt = 'motion': is not a field .*did you mean context\?"),
        ([{"name": "a", "class": "CDDM", "only": {"context": "size"}}],
         r"components\[0\]\.only\.context = 'size': is of no trial .*; use motion, color"),
        ([{"name": "a", "class": "CDDM", "only": {"context": []}}],
         r"components\[0\]\.only\.context = None: is of no trial"),
        ([{"name": "a", "class": "CDDM", "only": ["motion"]}],
         r"components\[0\]\.only = \['motion'\]: is no selection of trials; write"),
        ([{"name": "a", "class": "XOR", "only": {"v1": True}}],
         r"components\[0\]\.only\.v1 = True: is of no trial .*; use 0, 1"),
        ([{"name": "a", "class": "Mixture"}], r"components\[0\]\.class .*is a mixture itself"),
        ([{"name": "a", "class": "XOR", "inputs": ["rule a", "b", "c", "d"]}],
         r"components = 'rule a': is the name of a rule input"),
        ([{"name": "a", "class": f"{__name__}:MaskOfTrials"}],
         r"components\[0\]\.class .*has a mask for each trial"),
        ([{"name": "a", "class": f"{__name__}:SaysTask"}],
         r"components\[0\]\.class .*has conditions with a field 'task'"),
        ([{"name": "a" * 30, "class": "CDDM"}],
         r"components\[0\]\.name .*of more than 32 characters; give a shorter name"),
    ],
)  # fmt: skip
def test_a_bad_component_is_named(components, message):
    refused(message, components=components)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"fractions": 0.5}, r"fractions = 0.5: is not a list; give 2 numbers"),
        ({"fractions": [1.0]}, r"fractions = \[1.0\]: are not as many as .* pro, anti"),
        ({"fractions": [0.5, 0.6]}, r"fractions = \[0.5, 0.6\]: add up to 1.1"),
        ({"fractions": [0.0, 1.0]}, r"fractions\[0\] = 0.0: is too small"),
        ({"fractions": [0.5, "a"]}, r"fractions\[1\] = 'a': is not a number"),
        ({"batch_size": 1}, r"batch_size = 1: is too small; give at least 2"),
        ({"n_steps": 199}, r"n_steps = 199: is too short: .* 200 steps"),
        ({"n_inputs": 5}, r"n_inputs = 5: disagrees with these components; give 12"),
        ({"n_outputs": 5}, r"n_outputs = 5: disagrees with these components; give 6"),
        ({"share_inputs": 1}, r"share_inputs = 1: is not true or false"),
        ({"rule_periods": [[10, 5]]}, r"rule_periods\[0\]\[1\] = 5: is too small"),
        ({"rule_periods": [[0, 300]]}, r"rule_periods\[0\] = \[0, 300\]: ends after the 200"),
    ],
)
def test_a_bad_field_is_named(arguments, message):
    refused(message, **arguments)


def test_every_bad_component_is_named_at_once():
    with pytest.raises(ParameterError) as caught:
        Mixture(components=[{"name": "a", "class": "CDM"}, {"name": "", "class": "XOR"}])
    assert [line.split(" = ")[0] for line in str(caught.value).splitlines()] == [
        "components[0].class", "components[1].name",
    ]  # fmt: skip


def test_classes_of_components_are_imported_from_allowed_packages_alone():
    with imports_only_from(["json"]), pytest.raises(ParameterError, match="not in an allowed"):
        Mixture(components=LENGTHS)
    with imports_only_from(["tests"]):
        assert Mixture(components=LENGTHS).n_inputs == 10


def test_parameters_name_what_differs_from_defaults_and_nothing_else():
    given = [{"name": "a", "class": "tasks_lib.dmts:DMTS", "n_steps": 140, "n_outputs": 1}]
    assert Mixture(components=given).params["components"] == [
        {"name": "a", "class": "DMTS", "n_outputs": 1}
    ]
    # A class of one's own may change its defaults: they are kept.
    own = Mixture(components=LENGTHS[2:]).params["components"]
    assert own == [
        {"name": "own", "class": "tests.pipeline.own:Echo", "n_steps": 10, "n_inputs": 1,
         "n_outputs": 1, "params": {"n_values": 4}}
    ]  # fmt: skip
