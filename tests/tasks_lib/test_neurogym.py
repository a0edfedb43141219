"""NeuroGym's environments as tasks: which ones, what a trial is, what is refused."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import matplotlib
import numpy as np
import pytest

from tasks_lib import ParameterError, check_task, create_task, task_class
from tasks_lib.neurogym_trials import find_environment, registered_environments

ROOT = Path(__file__).resolve().parents[2]
PERCEPTUAL = "PerceptualDecisionMaking-v0"
# Not to be learnt from targets, and why. The page docs/neurogym.md says the same.
REFUSED = {
    "AnnubesEnv-v0": "missing 2 required",  # as it is; with its arguments it is accepted
    "Bandit-v0": "without ground truth",
    "DawTwoStep-v0": "step by step from actions",
    "EconomicDecisionMaking-v0": "without ground truth",
    "Null-v0": "step by step from actions",
    "Reaching1D-v0": "none of its actions",
    "Reaching1DWithSelfDistraction-v0": "none of its actions",
}
ANNUBES = {"session": dict.fromkeys("vast", 0.25), "catch_prob": 0.3, "noise_std": 0.1}


def neurogym(environment=PERCEPTUAL, seed=0, batch_size=6, **arguments):
    return task_class("NeuroGym")(environment, batch_size=batch_size, seed=seed, **arguments)


@pytest.mark.slow
def test_every_registered_environment_passes_the_kit_or_is_refused():
    names = registered_environments()
    refused = {}
    for name in names:
        try:
            check_task(neurogym(name, batch_size=4))
        except ParameterError as error:
            refused[name] = error
    assert (len(names), len(refused)) == (52, 7)
    assert sorted(refused) == sorted(REFUSED)
    for name, problem in REFUSED.items():
        assert problem in refused[name].problem


def test_the_page_lists_every_environment():
    page = (ROOT / "docs" / "neurogym.md").read_text()
    supported, refused = page.split("## Refused")
    for name in registered_environments():
        assert f"`{name}`" in (refused if name in REFUSED else supported), name


def test_observations_and_one_hot_ground_truth():
    task = neurogym(arguments={"timing": {"fixation": 200, "stimulus": 300, "decision": 200}})
    assert (task.n_steps, task.n_inputs, task.n_outputs, task.dt) == (7, 3, 3, 100)
    inputs, targets, conditions = task.get_batch()
    assert (inputs[0, :2] == 1).all()
    assert (inputs[0, 2:] == 0).all()
    assert inputs[1:, 2:5].std() > 0  # noise
    assert (targets[0, :5] == 1).all()
    assert (targets.sum(axis=0) == 1).all()
    choices = task.get_choices(targets)
    assert choices.tolist() == [c["ground_truth"] + 2 for c in conditions]
    assert task.input_names == ("fixation", "stimulus 0", "stimulus 1")
    assert task.output_names == ("fixation", "choice 0", "choice 1")
    assert task.condition_fields == ("ground_truth", "coh")
    # Nothing is shown during the decision, so that "zero" would be the same again.
    assert list(task.analysis_inputs) == ["fixation", "stimulus", "decision"]
    assert task.analysis_inputs["fixation"].tolist() == [1, 0, 0]


def test_continuous_actions_are_targets_as_they_are():
    task = neurogym("ReachingDelayResponse-v0")
    _, targets, conditions = task.get_batch()
    assert targets[0, -1].tolist() == [1] * 6
    assert targets[1, -1] == pytest.approx([c["ground_truth"] for c in conditions])
    assert task.get_choices(targets) is None
    assert task.condition_fields == ()  # ground truths are reals: nothing to group by


def test_timing_tasks_have_no_choice_at_their_end():
    task = neurogym("ReadySetGo-v0")
    assert task.get_choices(task.get_batch()[1]) is None


@pytest.mark.slow
def test_short_trials_hold_their_last_step_and_long_ones_are_drawn_again():
    task = neurogym(arguments={"timing": {"stimulus": ["uniform", [200, 800]]}}, batch_size=30)
    long = neurogym(n_steps=40, arguments=task.arguments, batch_size=30)
    inputs, targets, _ = long.get_batch()
    assert np.array_equal(inputs[:, : task.n_steps], task.get_batch()[0])
    assert (inputs[:, task.n_steps :] == inputs[:, -1:]).all()
    assert (targets[:, task.n_steps :] == targets[:, -1:]).all()
    # Exponential durations have no longest: the default fits a sample, and all trials fit it.
    delays = {"timing": {"delay": ["truncated_exponential", [600, 300, 30000]]}}
    task = neurogym("ContextDecisionMaking-v0", batch_size=600, arguments=delays)
    lengths = [len(task._source.draw(c["trial_seed"]).observations) for c in task.get_batch()[2]]
    assert max(lengths) > task.n_steps


def test_a_condition_makes_its_trial_again():
    task = neurogym("yang19.ctxdm1-v0")
    inputs, targets, conditions = task.get_batch()
    task.get_batch()
    assert json.loads(json.dumps(conditions)) == conditions
    for b, condition in enumerate(conditions):
        for given in (condition, {"trial_seed": condition["trial_seed"]}):
            stream, target, again = task.generate_input_target_stream(**given)
            assert np.array_equal(stream, inputs[:, :, b])
            assert np.array_equal(target, targets[:, :, b])
            assert again == condition
    for wrong in ({"theta1": 99.0}, {"thetaa": 0.0}):
        with pytest.raises(ParameterError, match="trial_seed alone"):
            task.generate_input_target_stream(**{**condition, **wrong})
    with pytest.raises(ParameterError, match="trial_seed"):
        task.generate_input_target_stream(trial_seed=-1)


@pytest.mark.parametrize("name", [PERCEPTUAL, "ReadySetGo-v0", "yang19.dms-v0"])
def test_seeds_decide_batches_and_the_generator_state_restores_them(name):
    a, b, other = neurogym(name, 5), neurogym(name, 5), neurogym(name, 6)
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    first = a.get_batch()
    assert np.array_equal(first[0], b.get_batch()[0])
    assert not np.array_equal(first[0], other.get_batch()[0])
    state = a.rng.bit_generator.state
    second = a.get_batch()
    assert not np.array_equal(first[0], second[0])
    fresh = neurogym(name, 99)
    fresh.rng.bit_generator.state = state
    assert np.array_equal(second[0], fresh.get_batch()[0])
    assert np.array_equal(before, np.random.get_state()[1])  # noqa: NPY002


@pytest.mark.slow
def test_another_process_draws_the_same_trials_and_leaves_nothing_behind(tmp_path):
    """Nor does the order of sets, which differs between processes, matter."""
    params = {"environment": "AnnubesEnv-v0", "batch_size": 20, "arguments": ANNUBES}
    code = (
        "import hashlib; from tasks_lib import create_task; "
        f"a, b, _ = create_task('NeuroGym', params={params!r}, seed=3).get_batch(); "
        "print(hashlib.sha256(a.tobytes() + b.tobytes()).hexdigest())"
    )
    environment = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "HOME": str(tmp_path),
        "MPLCONFIGDIR": matplotlib.get_cachedir(),  # its list of fonts is none of our making
    }
    command = [sys.executable, "-c", code]
    run = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=True
    )
    inputs, targets, _ = create_task("NeuroGym", params=params, seed=3).get_batch()
    here = hashlib.sha256(inputs.tobytes() + targets.tobytes()).hexdigest()
    assert run.stdout.strip() == here
    assert run.stderr == ""
    assert list(tmp_path.iterdir()) == []
    check_task(neurogym("AnnubesEnv-v0", arguments=ANNUBES))


def test_random_durations_are_independent_of_what_is_shown():
    """NeuroGym's own seeding gives both the same stream: the delay would tell the answer."""
    task = neurogym("HierarchicalReasoning-v0")
    trials = [task._source.draw(seed) for seed in range(300)]
    fixation, fixation2 = (
        np.array([np.subtract(*t.periods[name][::-1]) for t in trials])
        for name in ("fixation", "fixation2")
    )
    stimulus = [t.labels["stimulus"] for t in trials]
    assert abs(np.corrcoef(fixation, stimulus)[0, 1]) < 0.2
    assert abs(np.corrcoef(fixation, fixation2)[0, 1]) < 0.2


def test_a_session_brings_what_changes_from_trial_to_trial():
    """The modality of the yang19 tasks alternates from trial to trial."""
    inputs, _, _ = neurogym("yang19.go-v0", batch_size=40).get_batch()
    shown = inputs[1:].max(axis=1).reshape(2, 16, 40).max(axis=1) > 0.5
    assert set(map(tuple, shown.T)) == {(True, False), (False, True)}
    # The length of its first block is drawn while it is made, out of any seed's reach.
    with pytest.raises(ParameterError, match="a session of fewer trials"):
        neurogym("HierarchicalReasoning-v0", session=40)


def test_an_environment_of_ones_own():
    path = "neurogym.envs.native.perceptualdecisionmaking:PerceptualDecisionMaking"
    own, named = neurogym(path).get_batch(), neurogym().get_batch()
    assert np.array_equal(own[0], named[0])
    # registered no more: some of its trials have no ground truth
    with pytest.raises(ParameterError, match="without ground truth"):
        neurogym("neurogym.envs.native.detection:Detection")


@pytest.mark.parametrize(
    ("arguments", "field", "message"),
    [
        ({"environment": "PerceptualDecisonMaking-v0"}, "environment", PERCEPTUAL),
        ({"environment": "Q"}, "environment", "all_envs"),
        ({"environment": 3}, "environment", "is not an environment"),
        ({"environment": "no_such.module:Env"}, "environment", "install its package"),
        ({"environment": "json:dumps"}, "arguments", "json:dumps refuses"),
        ({"environment": "collections:OrderedDict"}, "environment", "has no trials"),
        ({"n_steps": 21}, "n_steps", "give at least 22"),
        ({"n_inputs": 4}, "n_inputs", "give 3"),
        ({"n_outputs": 2}, "n_outputs", "give 3"),
        ({"dt": 0}, "dt", "give more than 0"),
        ({"batch_size": 0}, "batch_size", "give at least 1"),
        ({"session": 0}, "session", "give at least 1"),
        ({"arguments": [1]}, "arguments", "are not named"),
        ({"arguments": {"sigma": object()}}, "arguments", "cannot be stored"),
        ({"arguments": {"sigma": float("nan")}}, "arguments", "cannot be stored"),
        ({"arguments": {"dt": 10}}, "arguments", "beside"),
        ({"arguments": {"sgma": 1}}, "arguments", "use dim_ring, rewards, timing, cohs, sigma"),
        ({"arguments": {"timing": {"stimulus": ["unifrm", [1, 2]]}}}, "environment", "not found"),
        ({"environment": "ToneDetection-v0", "dt": 100}, "arguments", "smaller"),
    ],
)
def test_what_is_wrong_is_named(arguments, field, message):
    with pytest.raises(ParameterError, match=message) as caught:
        neurogym(**arguments)
    assert caught.value.field == field
    assert "\n" not in str(caught.value)


def test_rows_name_it_shortly():
    task = create_task("NeuroGym", params={"environment": PERCEPTUAL, "dt": 50}, seed=1)
    assert task.params == {
        "environment": PERCEPTUAL,
        "n_steps": 44,
        "n_inputs": 3,
        "n_outputs": 3,
        "dt": 50,
        "session": 2,
        "batch_size": 64,
        "arguments": {},
    }
    with pytest.raises(ParameterError, match="environment"):
        create_task("NeuroGym")
    with pytest.raises(ParameterError, match="NeuroGym"):
        task_class("Neurogym")


def test_without_neurogym_the_error_says_how_to_install_it(monkeypatch):
    for name in [n for n in sys.modules if n.split(".")[0] == "neurogym"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "neurogym", None)  # as if it were not there
    with pytest.raises(ParameterError, match=r'pip install "rnn-pipeline\[neurogym\]"'):
        find_environment(PERCEPTUAL)


def test_the_library_imports_without_neurogym():
    code = (
        "import sys, tasks_lib; sys.exit(any(m in sys.modules for m in ('neurogym', 'gymnasium')))"
    )
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)


@pytest.mark.parametrize(
    ("timing", "named"), [({"stimulsu": 500}, "stimulsu"), ({"stimulus": -5}, "stimulus")]
)
def test_a_timing_that_the_environment_does_not_have_is_refused(timing, named):
    with pytest.raises(ParameterError) as caught:
        neurogym(arguments={"timing": timing})
    assert caught.value.field == f"arguments.timing.{named}"


def test_no_analysis_input_stands_there_twice():
    inputs = list(neurogym().analysis_inputs.values())
    assert len({tuple(vector) for vector in inputs}) == len(inputs) >= 3
