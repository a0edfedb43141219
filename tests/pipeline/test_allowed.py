"""Rows name code; only that of allowed packages is imported, when they are entered and later."""

from __future__ import annotations

import os
import sys

import pytest
import yaml
from typer.testing import CliRunner

import pipeline
from pipeline.cli.commands import app
from pipeline.submission import Submitted
from pipeline.tables.allowed_imports import allowed_packages
from tasks_lib import ParameterError

pytestmark = pytest.mark.either_backend

SOURCE = """
from tests.pipeline.own import Echo
class Mine(Echo):
    pass
def drift(context):
    return context.states.square().mean()
from models import ActivationFunction
softsign_of_a_stranger = ActivationFunction(
    f=lambda x: x / (1 + abs(x)),
    derivative=lambda x: 1 / (1 + abs(x)) ** 2,
    second=lambda x: -2 * x / (1 + abs(x)) ** 3 / abs(x).clip(1e-30),
    bounded=True, lipschitz=1.0, curvature=2.0,
)
"""
MODULE = "module_of_a_stranger"


@pytest.fixture
def stranger(tmp_path, monkeypatch):
    """A module that can be imported here, and has not been."""
    (tmp_path / f"{MODULE}.py").write_text(SOURCE)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delenv("RNN_ALLOWED_PACKAGES", raising=False)
    yield MODULE
    sys.modules.pop(MODULE, None)


def named_by(submission, what):
    if what == "task":
        submission["tasks"]["cddm"] = {"class": f"{MODULE}:Mine", "n_steps": 10}
    elif what == "penalty":
        submission["trainings"]["short"]["penalties"] = {f"{MODULE}:drift": {"weight": 0.1}}
    elif what == "activation":
        (network,) = submission["networks"].values()
        network["activation"] = f"{MODULE}:softsign_of_a_stranger"
        network.pop("activation_args", None)
    else:
        params = {"environment": f"{MODULE}:Mine"}
        submission["tasks"]["cddm"] = {"class": "NeuroGym", "params": params}
    return submission


@pytest.mark.parametrize("what", ["task", "penalty", "activation", "environment"])
def test_what_is_not_allowed_is_not_entered(database, submission, stranger, what):
    with pytest.raises(ParameterError, match="is not in an allowed package"):
        database.submit(named_by(submission, what))
    tables = (database.Task, database.NetworkParams, database.TrainingParams)
    assert [len(table()) for table in tables] == [0, 0, 0]
    assert stranger not in sys.modules


@pytest.mark.parametrize("what", ["task", "penalty", "activation"])
def test_a_row_that_came_in_elsewhere_is_not_run(database, submission, stranger, monkeypatch, what):
    monkeypatch.setenv("RNN_ALLOWED_PACKAGES", f"something, {MODULE}")
    database.submit(named_by(submission, what))
    monkeypatch.setenv("RNN_ALLOWED_PACKAGES", "something")
    del sys.modules[MODULE]
    filled = database.fill((database.Training,))
    assert not filled.errors
    ((name, number),) = filled.waiting.items()
    assert name.startswith(MODULE) and number == 1
    assert database.MissingClass.fetch1("reason") == "is not in an allowed package"
    assert MODULE not in sys.modules
    assert len(database.Training()) == 0


def test_an_activation_of_a_users_own_goes_through_the_chain(
    database, submission, stranger, monkeypatch
):
    monkeypatch.setenv("RNN_ALLOWED_PACKAGES", MODULE)
    database.submit(named_by(submission, "activation"))
    filled = database.fill((database.Training, database.FixedPoints))
    assert not filled.errors
    statuses = database.Training.Network.to_arrays("status")
    assert len(statuses) and set(statuses) == {"finished"}
    found = database.FixedPoints.to_dicts()
    assert len(found) and all(row["is_bounded"] for row in found)


def test_the_command_line_allows_for_every_command(monkeypatch, tmp_path, submission, stranger):
    monkeypatch.setenv("RNN_ALLOWED_PACKAGES", "first")
    monkeypatch.setattr(sys, "path", [*sys.path])
    seen = []
    monkeypatch.setattr(pipeline, "connect", lambda **_: None)

    def submit(*_):
        seen.append(allowed_packages())
        return Submitted()

    monkeypatch.setattr(pipeline, "submit", submit)
    file = tmp_path / "s.yaml"
    file.write_text(yaml.safe_dump(submission))
    result = CliRunner().invoke(app, ["--allow", "a", "--allow", "b.c", "submit", str(file)])
    assert result.exit_code == 0, result.output
    assert seen == [("first", "a", "b.c")]
    assert os.environ["RNN_ALLOWED_PACKAGES"] == "first,a,b.c"
    result = CliRunner().invoke(app, ["--allow", "models", "submit", str(file)])
    assert result.exit_code == 1
    (line,) = result.stderr.splitlines()
    assert line.startswith("error: RNN_ALLOWED_PACKAGES = 'models': ")
    assert len(seen) == 1


def test_without_a_database_any_class_can_be_checked(monkeypatch, stranger):
    monkeypatch.setattr(sys, "path", [*sys.path])
    result = CliRunner().invoke(app, ["check-task", f"{MODULE}:Mine"])
    assert result.exit_code == 0, result.output
