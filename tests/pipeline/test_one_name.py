"""A class or function has one name in rows, however it is imported; older spellings are found."""

from __future__ import annotations

import sys

import pytest
from datajoint import Table

from models.formulas.activations import defined_name as defined_activation
from models.penalties import defined_name as defined_penalty
from pipeline.tables.hashing import FIRST, parameter_hash
from pipeline.tables.performance import decision_networks
from pipeline.tables.released_defaults import DEFAULTS
from tasks_lib import ParameterError, create_task
from tasks_lib.imports import imports_only_from
from tasks_lib.registry import defined_name as defined_task
from tasks_lib.registry import long_names

pytestmark = pytest.mark.either_backend

PACKAGE = "lab_of_names"
DEFINITIONS = """
from models import ActivationFunction
from models.penalties import register
from tests.pipeline.own import Echo
class Mine(Echo):
    pass
def drift(context):
    return context.states.square().mean()
@register("registered_in_the_lab")
def registered(context):
    return context.states.square().mean()
softsign = ActivationFunction(
    f=lambda x: x / (1 + abs(x)),
    derivative=lambda x: 1 / (1 + abs(x)) ** 2,
    second=lambda x: -2 * x / (1 + abs(x)) ** 3 / abs(x).clip(1e-30),
    bounded=True, lipschitz=1.0, curvature=2.0,
)
def made():
    class Local(Echo):
        pass
    return Local
Local = made()
"""
AGAIN = f"""
from tasks_lib import CDDM
from tasks_lib import CDDM as Decision
from models.penalties import get
from {PACKAGE}.definitions import *
from {PACKAGE}.definitions import Mine as Other, drift as also
energy = get("metabolic")
"""


@pytest.fixture(scope="module")
def package(tmp_path_factory):
    """A package of a user's own that names what it has, and what we have, by several paths."""
    folder = tmp_path_factory.mktemp("names")
    (folder / PACKAGE).mkdir()
    (folder / PACKAGE / "__init__.py").write_text(AGAIN)
    (folder / PACKAGE / "definitions.py").write_text(DEFINITIONS)
    sys.path.insert(0, str(folder))
    yield PACKAGE
    sys.path.remove(str(folder))


@pytest.fixture
def allowed(package, monkeypatch):
    monkeypatch.setenv("RNN_ALLOWED_PACKAGES", package)
    return package


TASKS = {
    "CDDM": "CDDM",
    "tasks_lib:CDDM": "CDDM",
    "tasks_lib.cddm:CDDM": "CDDM",
    "tasks_lib.registry:CDDM": "CDDM",
    f"{PACKAGE}:Decision": "CDDM",
    "tasks_lib.neurogym_task:NeuroGym": "NeuroGym",
    f"{PACKAGE}:Mine": f"{PACKAGE}.definitions:Mine",
    f"{PACKAGE}:Other": f"{PACKAGE}.definitions:Mine",
    f"{PACKAGE}.definitions:Mine": f"{PACKAGE}.definitions:Mine",
    f"{PACKAGE}:Local": f"{PACKAGE}:Local",  # no name says where it is defined
}
PENALTIES = {
    "metabolic": "metabolic",
    "models.penalties:metabolic": "metabolic",
    "models.penalties.activity:metabolic": "metabolic",
    f"{PACKAGE}:energy": "metabolic",
    f"{PACKAGE}:drift": f"{PACKAGE}.definitions:drift",
    f"{PACKAGE}:also": f"{PACKAGE}.definitions:drift",
    f"{PACKAGE}:registered": f"{PACKAGE}.definitions:registered",
    "registered_in_the_lab": f"{PACKAGE}.definitions:registered",
}
ACTIVATIONS = {
    "tanh": "tanh",
    "models.formulas.functions:TANH": "tanh",
    f"{PACKAGE}:softsign": f"{PACKAGE}.definitions:softsign",
    f"{PACKAGE}.definitions:softsign": f"{PACKAGE}.definitions:softsign",
}


@pytest.mark.parametrize(
    ("defined", "name", "expected"),
    [
        (defined, name, expected)
        for defined, names in (
            (defined_task, TASKS), (defined_penalty, PENALTIES), (defined_activation, ACTIVATIONS)
        )
        for name, expected in names.items()
    ],
)  # fmt: skip
def test_where_it_is_defined(package, defined, name, expected):
    if "NeuroGym" in name:
        pytest.importorskip("neurogym")
    assert defined(name) == expected
    assert defined(expected) == expected


def test_a_module_that_may_not_be_imported_gives_no_name(package):
    from tasks_lib.imports import one_name

    with imports_only_from(["another"]):
        assert one_name("another:X", f"{package}.definitions:X") == "another:X"
        assert one_name("tasks_lib:CDDM", "CDDM") == "CDDM"
    with imports_only_from([package]):
        assert one_name("another:X", f"{package}.definitions:X") == f"{package}.definitions:X"


def test_environments_have_one_name_too():
    pytest.importorskip("neurogym")
    from tasks_lib.neurogym_trials import environment_name, registered_environments

    name, address = next(iter(registered_environments().items()))
    assert environment_name(name) == environment_name(address) == name
    name = "PerceptualDecisionMaking-v0"
    address = registered_environments()[name]
    tasks = [create_task("NeuroGym", params={"environment": each}) for each in (name, address)]
    assert tasks[0].params == tasks[1].params
    assert tasks[0].params["environment"] == name


SAME = {
    "Task": [
        {"task_class": name, "n_steps": 30, "params": {"coherences": [-1, 0, 1], "stim_on": 5,
                                                       "dec_on": 14}}
        for name in ("CDDM", "tasks_lib:CDDM", "tasks_lib.cddm:CDDM", f"{PACKAGE}:Decision")
    ],
    "NetworkParams": [
        {"n_units": 8, "activation": f"{PACKAGE}{module}:softsign"}
        for module in ("", ".definitions")
    ],
    "TrainingParams": [
        {"max_iter": 3, "penalties": {ours: {"weight": 0.1}, f"{PACKAGE}{theirs}": {"weight": 1}}}
        for ours in ("metabolic", "models.penalties:metabolic", f"{PACKAGE}:energy")
        for theirs in (":drift", ".definitions:drift", ":also")
    ],
}  # fmt: skip


@pytest.mark.parametrize("name", SAME)
def test_one_set_by_whatever_names(database, allowed, name):
    table = getattr(database, name)
    field = table.primary_key[0]
    for row in SAME[name]:
        table.insert1({field: "one", **row})
        with pytest.raises(ParameterError, match="has the same parameters as 'one'"):
            table.insert1({field: "two", **row})
    assert len(table()) == 1


@pytest.mark.parametrize("name", SAME)
def test_sets_that_earlier_versions_stored_by_other_names_are_found(database, allowed, name):
    """They kept the name as it was given, and hashed it by recipe 1."""
    table = getattr(database, name)
    field = table.primary_key[0]
    for number, row in enumerate(SAME[name]):
        given = {**table.canonical(row), **row}
        given |= {"params": table.canonical(row)["params"]} if name == "Task" else {}
        if name == "TrainingParams":
            given["penalties"] = {k: {"args": {}, **v} for k, v in given["penalties"].items()}
        columns = {k: v for k, v in given.items() if k not in table.extra_fields}
        # Fields that it did not have yet are not among what it hashed.
        first = DEFAULTS[FIRST].get(name)
        known = {k: v for k, v in given.items() if first is None or k in first}
        digest = str(parameter_hash(known))
        table().store([{field: f"old_{number}", **columns, table.hash_field: digest}])
        for part, rows in table.part_rows(given).items():
            part().store([{field: f"old_{number}", **each} for each in rows])
        for again in SAME[name]:
            with pytest.raises(ParameterError, match=f"has the same parameters as 'old_{number}'"):
                table.insert1({field: "new", **again})
            table.insert1({field: f"old_{number}", **again})
        stored = table.fetch1()
        if name == "TrainingParams":
            penalties = (table.Penalty & stored).to_dicts()
            assert set(table.build(stored, penalties).penalties) == set(row["penalties"])
        else:
            assert table.build(stored) is not None
        # A fetched row that is varied gets the one name.
        change = {"Task": "n_steps", "NetworkParams": "n_units", "TrainingParams": "max_iter"}
        table.insert1({**stored, field: "varied", change[name]: 40})
        varied = (table & {field: "varied"}).fetch1()
        assert varied.get("task_class", "CDDM") == "CDDM"
        assert varied.get("activation", ACTIVATIONS[f"{PACKAGE}:softsign"]) in ACTIVATIONS.values()
        if name == "TrainingParams":
            names = (table.Penalty & {field: "varied"}).to_arrays("penalty")
            assert set(names) == {"metabolic", f"{PACKAGE}.definitions:drift"}
        table().delete(prompt=False)


def test_a_penalty_is_not_there_twice(database, allowed):
    p = database
    for twice in (
        {"metabolic": {"weight": 1}, "models.penalties:metabolic": {"weight": 2}},
        {f"{PACKAGE}:drift": {"weight": 1}, f"{PACKAGE}:also": {"weight": 1}},
    ):
        with pytest.raises(ParameterError, match=r"^penalties\..* is the penalty that is there as"):
            p.TrainingParams.insert1({"training_name": "t", "penalties": twice})
    p.TrainingParams.insert1({"training_name": "t", "penalties": {"metabolic": {"weight": 1}}})
    row = {"training_name": "t", "penalty": "models.penalties:metabolic", "weight": 1}
    p.TrainingParams.Penalty.insert1(row)  # it is there
    with pytest.raises(ParameterError, match="exists with other"):
        p.TrainingParams.Penalty.insert1({**row, "weight": 2})
    assert len(p.TrainingParams.Penalty()) == 1


def test_decisions_are_analysed_by_whatever_name(database, submission, allowed):
    p = database
    submission["tasks"]["cddm"]["class"] = f"{PACKAGE}:Decision"
    p.submit(submission)
    assert p.Task.fetch1("task_class") == "CDDM"
    assert p.fill((p.Training,)).errors == []
    assert len(decision_networks()) == 2
    # As an earlier version has stored it.
    for name in long_names("CDDM"):
        Table.update1(p.Task(), {"task_name": "cddm", "task_class": name})
        assert len(decision_networks()) == 2
    Table.update1(p.Task(), {"task_name": "cddm", "task_class": "XOR"})
    assert len(decision_networks()) == 0


def test_long_names_of_our_own_functions_need_no_leave(database):
    """Nothing is imported for them."""
    p = database
    p.NetworkParams.insert1({"network_name": "t", "activation": "models.formulas.functions:TANH"})
    assert p.NetworkParams.fetch1("activation") == "tanh"
    row = {
        "training_name": "t",
        "penalties": {"models.penalties.activity:metabolic": {"weight": 1}},
    }
    p.TrainingParams.insert1(row)
    assert p.TrainingParams.Penalty.fetch1("penalty") == "metabolic"
    with pytest.raises(ParameterError, match="is not in an allowed package"):
        p.NetworkParams.insert1({"network_name": "u", "activation": "models.formulas:FUNCTIONS"})
