"""What a name may import where imports are restricted."""

from __future__ import annotations

import sys

import pytest

from models import penalties
from tasks_lib import CDDM, ParameterError, create_task, task_class
from tasks_lib.imports import imports_only_from

TASK = """
from os import system
from subprocess import Popen
from tasks_lib import CDDM
class Mine(CDDM):
    pass
def dear(context):
    return context.states.sum()
"""


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A package of a user's own, which nobody has imported."""
    folder = tmp_path / "lab_of_a_visitor"
    folder.mkdir()
    (folder / "__init__.py").write_text("")
    (folder / "things.py").write_text(TASK)
    (tmp_path / "lab_of_a_visitor_too.py").write_text(TASK)
    monkeypatch.syspath_prepend(tmp_path)
    yield "lab_of_a_visitor"
    for name in [n for n in sys.modules if n.startswith("lab_of_a_visitor")]:
        del sys.modules[name]


def test_a_package_allows_its_submodules_and_no_other_with_the_same_beginning(package):
    with imports_only_from([package]):
        assert task_class(f"{package}.things:Mine").__name__ == "Mine"
        assert penalties.get(f"{package}.things:dear").__name__ == "dear"
        with pytest.raises(ParameterError, match="is not in an allowed package") as caught:
            task_class(f"{package}_too:Mine")
    assert caught.value.field == "task_class"
    assert f"rnn --allow {package}_too" in str(caught.value)
    assert f"{package}_too" not in sys.modules


@pytest.mark.parametrize("find", [task_class, penalties.get])
def test_without_permission_nothing_is_imported(package, find):
    with imports_only_from([]), pytest.raises(ParameterError, match="is not in an allowed package"):
        find(f"{package}.things:Mine")
    assert f"{package}.things" not in sys.modules
    assert package not in sys.modules


def test_without_restriction_whoever_names_it_runs_it(package):
    assert task_class(f"{package}.things:Mine").__name__ == "Mine"
    assert penalties.get(f"{package}.things:system").__name__ == "system"


def test_what_an_allowed_package_imported_from_elsewhere_is_no_penalty(package):
    with imports_only_from([package]), pytest.raises(ParameterError, match="is defined in posix"):
        penalties.get(f"{package}.things:system")


@pytest.mark.parametrize(
    ("find", "name"),
    [
        (task_class, "tasks_lib.registry:create_task"),
        (task_class, "tasks_lib.base:Task"),
        (penalties.get, "models.files.exchange:read_network"),
        (penalties.get, "models.penalties.registry:check"),
        (penalties.get, "pipeline.database.schemas:drop"),
        (penalties.get, "os:system"),
        (penalties.get, "builtins:exec"),
        (task_class, "subprocess:Popen"),
    ],
)
def test_only_tasks_and_penalties_of_our_own_packages_can_be_named(find, name):
    with imports_only_from([]), pytest.raises(ParameterError, match="is not in an allowed package"):
        find(name)


def test_our_own_tasks_and_penalties_are_always_allowed():
    with imports_only_from([]):
        assert task_class("tasks_lib.cddm:CDDM") is task_class("tasks_lib:CDDM") is CDDM
        assert penalties.get("models.penalties.activity:metabolic") is penalties.metabolic
        assert create_task("NeuroGym", params={"environment": "GoNogo-v0"}, seed=0).n_outputs == 2


def test_environments_are_neurogyms_or_in_an_allowed_package(package):
    own = "neurogym.envs.native.gonogo:GoNogo"
    with imports_only_from([package]):
        assert create_task("NeuroGym", params={"environment": own}, seed=0).n_outputs == 2
        for name, problem in (
            ("neurogym.core:env_string", "is not in an allowed package"),
            ("subprocess:Popen", "is not in an allowed package"),
            (f"{package}.things:Popen", "is defined in subprocess"),
        ):
            with pytest.raises(ParameterError, match=problem) as caught:
                create_task("NeuroGym", params={"environment": name})
            assert caught.value.field == "environment"


@pytest.mark.parametrize("package", ["models", "tasks_lib.base", "*", "", "a-b", "a..b", "a:b"])
def test_what_cannot_be_allowed(package):
    with pytest.raises(ParameterError, match="RNN_ALLOWED_PACKAGES"), imports_only_from([package]):
        pass


def test_the_restriction_ends_where_it_began(package):
    with imports_only_from(["somewhere"]), imports_only_from([]):
        pass
    assert task_class(f"{package}.things:Mine").__name__ == "Mine"
