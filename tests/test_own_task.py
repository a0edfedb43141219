"""The template of a user's own task, and `rnn check-task`; nothing here needs a database."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

import pipeline
from models import NetworkConfig, RNNTorch, Trainer, TrainingConfig
from pipeline.cli.commands import app
from tasks_lib import TASKS, ParameterError, check_task, create_task
from tasks_lib.masks import held_to_the_end
from tasks_lib.summary import intervals, summarise

EXAMPLES = Path(__file__).parents[1] / "examples"
TEMPLATE = "own_task:DelayedComparison"


@pytest.fixture
def in_examples(monkeypatch):
    """As in a terminal in the folder of the template."""
    monkeypatch.chdir(EXAMPLES)
    monkeypatch.syspath_prepend(EXAMPLES)  # undone afterwards, unlike what the command inserts


@pytest.fixture
def run(monkeypatch):
    """Run `rnn check-task`; connecting to a database would fail."""
    monkeypatch.setattr(pipeline, "connect", lambda *_, **__: pytest.fail("connects"))
    return lambda *arguments: CliRunner().invoke(app, ["check-task", *arguments])


@pytest.mark.usefixtures("in_examples")
def test_the_template_is_sound():
    for params in ({}, {"n_repeats": 1, "strengths": [0.0, 1.0]}):
        task = create_task(TEMPLATE, params=params, seed=0)
        check_task(task)
        _, targets, conditions = task.get_batch()
        assert task.get_choices(targets).tolist() == [c["correct_choice"] for c in conditions]
    assert len(task.mask) == 42
    with pytest.raises(ParameterError, match="longest delay"):
        create_task(TEMPLATE, n_steps=20)


@pytest.mark.usefixtures("in_examples")
def test_the_example_of_trials_of_different_lengths_is_sound():
    task = create_task("trials_of_different_lengths:CuedResponse", seed=0)
    check_task(task)
    _, targets, conditions = task.get_batch()
    for trial, condition in enumerate(conditions):
        end = 20 + condition["delay"]
        assert targets[0, end - 1, trial] == condition["sign"]
        assert np.isnan(targets[0, end:, trial]).all()
    right = task.get_choices(held_to_the_end(targets, targets))
    assert right.tolist() == [c["sign"] for c in conditions]


@pytest.mark.usefixtures("in_examples")
def test_the_template_can_be_trained():
    task = create_task(TEMPLATE, params={"n_repeats": 2}, seed=0)
    rnn = RNNTorch.from_config(NetworkConfig(n_units=20, activation="tanh"), 2, 2, seed=0)
    trainer = Trainer(rnn, task, TrainingConfig(max_iter=150, lr=0.01))
    losses = trainer.run_training()[0].loss_curve
    assert losses[-1] < 0.5 * losses[0]


@pytest.mark.usefixtures("in_examples")
def test_the_command_says_what_a_task_is(run):
    result = run(TEMPLATE, "--params", '{"n_steps": 50, "n_repeats": 1}')
    assert result.exit_code == 0, result.output
    lines = dict(line.split(": ", 1) for line in result.output.splitlines())
    assert lines["steps"] == "50"
    assert lines["inputs"] == "2 (stimulus, decision cue)"
    assert lines["outputs"] == "2 (first stronger, second stronger)"
    assert lines["trials in a batch"] == "12"
    assert lines["mask"] == "[0, 40) ∪ [43, 50), 47 of 50 steps"
    assert lines["analysis inputs"] == "delay, decision"
    assert lines["kinds of trials"] == "12, by first, second"


def test_the_command_finds_what_lies_in_the_current_directory(run, tmp_path, monkeypatch):
    source = (EXAMPLES / "own_task.py").read_text()
    (tmp_path / "task_of_a_visitor.py").write_text(source.replace('"delay": delay', '"delay": 5'))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    result = run("task_of_a_visitor:DelayedComparison")
    assert result.exit_code == 1
    assert result.stdout == ""
    (line,) = result.stderr.splitlines()
    assert line.startswith("error: DelayedComparison.conditions[0]['delay'] = 5: ")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("nowhere_at_all:Task",), "cannot be imported"),
        (("cddm",), "is not a task"),
        (("CDDM", "--params", "{"), "is not JSON"),
        (("CDDM", "--params", "[1]"), "is not a set of fields"),
        (("CDDM", "--params", '{"n_stps": 3}'), "params.n_stps"),
        (("CDDM", "--params", '{"n_steps": 3}'), "stim_on = 100: is too large"),
        (("tests.pipeline.own:WrongShape",), "WrongShape.targets"),
    ],
)
def test_the_command_says_in_one_line_what_is_wrong(run, arguments, said):
    result = run(*arguments)
    assert result.exit_code == 1
    assert result.stdout == ""
    (line,) = result.stderr.splitlines()
    assert line.startswith("error: ")
    assert said in line


@pytest.mark.parametrize("name", TASKS)
def test_every_task_of_the_library_has_a_summary(name):
    task = TASKS[name](seed=0)
    said = summarise(task)
    assert said["steps"] == str(task.n_steps)
    assert said["task"] == repr(task)
    n_kinds = int(said["kinds of trials"].split(",")[0])
    assert (n_kinds == 1) is (task.condition_fields == ())


@pytest.mark.parametrize(
    ("steps", "said"),
    [([], ""), ([3], "[3, 4)"), ([0, 1, 2], "[0, 3)"), ([5, 0, 1], "[0, 2) ∪ [5, 6)")],
)
def test_steps_as_intervals(steps, said):
    assert intervals(steps) == said
