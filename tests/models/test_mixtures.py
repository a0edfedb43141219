"""Analyses of networks of several tasks: scores, clusters, lesions and curves by task."""

from __future__ import annotations

import numpy as np
import pytest

import models
from models.populations.settings import ClusterSettings, InterventionSettings
from tasks_lib import Mixture, ParameterError
from tests.models.population_networks import copies

FLAGS = "tests.models.population_networks:Flags"
SIZE = {"on": 0, "n_each": 2, "a": [-2.0, -1.0, 1.0, 2.0]}


@pytest.fixture(scope="module")
def task():
    """Two tasks of channels of their own; the second is shorter."""
    components = [
        {"name": "first", "class": FLAGS, "params": SIZE},
        {"name": "second", "class": FLAGS, "n_steps": 20, "params": SIZE},
    ]
    return Mixture(components=components, seed=0)


@pytest.fixture(scope="module")
def rnn(task):
    """Units 0 to 5 copy what the first task asks for, 6 to 11 what the second one does."""
    W_inp, W_out = np.zeros((12, task.n_inputs)), np.zeros((2, 12))
    for number, channel in ((0, 0), (1, 2)):
        units = np.arange(6) + 6 * number
        sign = np.where(units % 2, -1.0, 1.0)
        W_inp[units, channel] = sign * (1 + 0.1 * (units % 6 // 2))
        W_out[number, units] = sign / (3 * (1 + 0.1 * (units % 6 // 2)))
    return copies(W_inp, W_out=W_out)


def test_scores_are_those_of_each_task_alone(rnn, task):
    scores = models.PerformanceAnalyzer(rnn, task).validate()
    assert list(scores.by_component) == ["first", "second"]
    for number, (name, found) in enumerate(scores.by_component.items()):
        component = task.component_tasks[name]
        alone = models.RNNNumpy(
            W_rec=rnn.W_rec, W_inp=rnn.W_inp[:, 2 * number : 2 * number + 2],
            W_out=rnn.W_out[number : number + 1], activation="relu", tau=1.0, dt=1.0,
        )  # fmt: skip
        own = models.PerformanceAnalyzer(alone, component).validate()
        assert found.condition == {"task": name}
        assert found.mse == pytest.approx(own.mse, rel=1e-12) and found.n_trials == own.n_trials
        assert found.r2_pooled == pytest.approx(own.r2_pooled, rel=1e-12)
        assert (found.accuracy, found.n_choice_trials) == (1.0, 24)
    # The first step is lost: one of 30 and one of 20.
    assert [s.r2_pooled for s in scores.by_component.values()] == pytest.approx([29 / 30, 19 / 20])
    assert {kind.condition["task"] for kind in scores.by_condition} == {"first", "second"}
    assert models.PerformanceAnalyzer(alone, component).validate().by_component == {}


def test_units_of_a_task_are_a_cluster_and_its_lesion_spares_the_other(rnn, task):
    found = models.get_clusters(rnn, task, ClusterSettings(max_clusters=4))
    assert found.feature_names == ("first", "second") and found.n_clusters == 2
    members = [set(found.units[found.labels == k].tolist()) for k in (0, 1)]
    assert sorted(members, key=min) == [set(range(6)), set(range(6, 12))]
    assert np.allclose(np.sort(found.features, axis=1), [0, 1], atol=1e-12)
    settings = InterventionSettings(n_strengths=1, largest=1.0, n_controls=3)
    curve = models.intervene(rnn, task, settings, units=range(6))
    (score,) = curve.scores
    assert list(score.by_component) == ["first", "second"]
    first, second = (score.by_component[name] for name in ("first", "second"))
    assert first.measures["r2"] == pytest.approx(0.0)  # its output is 0 throughout
    assert first.measures["accuracy"] == 0.0 and first.measures["choice_changed"] == 1.0
    assert second.measures["choice_changed"] == 0.0
    for name in ("r2", "accuracy", "mse"):
        assert second.measures[name] == curve.untouched_by_component["second"][name]
    assert score.measures["choice_changed"] == pytest.approx(0.5)
    assert len(second.controls["r2"]) == 3 and second.p("r2") > 0.2


def test_activity_knows_the_task_of_each_trial(rnn, task):
    trials = models.get_trials(rnn, task, conditions={"task": "second"})
    assert set(trials["task"].values) == {"second"} and trials.sizes["trial"] == 24
    assert not trials["counts"].values[:, 20:].any()
    whole = models.get_trials(rnn, task)
    assert (whole["correct"].values).all()
    found = models.get_population(rnn, task)
    assert found.status == "analysed"
    names = [each.name for each in found.variables]
    assert names[:3] == ["task", "a", "b"]


def test_variables_that_a_task_lacks_are_no_regressors():
    components = [
        {"name": "flags", "class": FLAGS, "params": SIZE},
        {"name": "go", "class": "GoNoGo", "n_steps": 30,
         "params": {"cue_on": 10, "batch_size": 24}},
    ]  # fmt: skip
    task = Mixture(components=components, seed=0)
    rng = np.random.default_rng(0)
    rnn = copies(rng.standard_normal((8, task.n_inputs)), W_out=rng.standard_normal((2, 8)))
    found = models.get_subspaces(rnn, task)
    assert found.status == "analysed"
    status = {each.name: each.status for each in found.subspaces}
    assert status["task"] == "fitted" and status["a"] == status["input_value"] == "not_in_all_tasks"
    curves = models.get_psychometrics(rnn, task, n_repeats=1, noise=False)
    assert list(curves.points) == [("go", "relevant")]
    alone = Mixture(components=components[:1], seed=0)
    with pytest.raises(ParameterError, match="has no choices by a signed stimulus"):
        models.get_psychometrics(rnn, alone)


def test_outputs_of_other_tasks_are_not_drawn(rnn, task):
    figure = models.PerformanceAnalyzer(rnn, task).plot_trials(n_trials=4)
    panels = [axes for axes in figure.axes if axes.get_title() and axes.get_visible()]
    assert {axes.get_title().split(",")[0] for axes in panels} == {"first", "second"}
    for axes in panels:
        solid = [line for line in axes.lines if line.get_linestyle() == "-"]
        drawn = [np.isfinite(line.get_ydata()).any() for line in solid]
        assert drawn == [axes.get_title().startswith(n) for n in ("first", "second")]


@pytest.mark.parametrize("share", [False, True])
def test_a_network_is_trained_on_all_tasks_together(share):
    """Loss and gradient are those of the tasks' own masks: outputs of others get none."""
    components = [
        {"name": "go", "class": "GoNoGo", "n_steps": 20,
         "params": {"cue_on": 8, "batch_size": 6}},
        {"name": "again", "class": "HalfAdder", "n_steps": 12,
         "params": {"stim_off": 10, "dec_on": 4, "dec_off": 12, "n_repeats": 1}},
    ]  # fmt: skip
    if share:
        components = [{**one, "outputs": ["answer"]} for one in components]
    task = Mixture(components=components, seed=0)
    config = models.NetworkConfig(n_units=8, activation="tanh", tau=2.0)
    rnn = models.RNNTorch.from_config(config, task.n_inputs, task.n_outputs, 0)
    trained = models.Trainer(rnn, task, models.TrainingConfig(max_iter=3)).run_training()[0]
    fresh = models.RNNTorch.from_config(config, task.n_inputs, task.n_outputs, 0).to_numpy()
    _, targets, _ = task.get_batch()
    outputs = fresh.run(task.get_batch()[0])[1]
    asked = np.isfinite(targets)
    expected = np.sum((outputs - np.nan_to_num(targets))[asked] ** 2) / asked.sum()
    assert trained.loss_curve[0] == pytest.approx(expected, rel=1e-4)
