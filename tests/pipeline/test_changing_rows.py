"""Rows of parameters: what hangs on them keeps them; others are changed as they are entered."""

from __future__ import annotations

import threading

import datajoint as dj
import numpy as np
import pytest
from datajoint.errors import DataJointError

from pipeline.database import connection as database_connection
from pipeline.database.server import transaction
from pipeline.tables.in_use import locked_row
from tasks_lib import ParameterError
from tests.pipeline.test_inserting import only

pytestmark = pytest.mark.either_backend


def hash_of(table, name):
    return only(table, name)[table.hash_field]


def test_rows_in_use_are_not_changed(entered):
    p = entered
    by_cohort = r"is used by 1 row of Cohort, so that {} stays as it is; enter a new set under"
    refused = [
        (p.TrainingParams, {"training_name": "short", "lr": 0.5}, by_cohort.format("it")),
        (p.NetworkParams, {"network_name": "small", "n_units": 17}, by_cohort.format("it")),
        (p.Task, {"task_name": "cddm", "n_steps": 44}, by_cohort.format("it")),
        (
            p.TrainingParams.Penalty,
            {"training_name": "short", "penalty": "metabolic", "weight": 5.0},
            by_cohort.format("its Penalty"),
        ),
        (
            p.Task.Input,
            {**p.Task.Input.keys()[0], "input_vector": [1.0] * 6},
            by_cohort.format("its Input"),
        ),
    ]
    for table, row, said in refused:
        key = {name: row[name] for name in table.primary_key}
        before = str((table & key).fetch1())
        with pytest.raises(ParameterError, match=said) as caught:
            table.update1(row)
        line = str(caught.value)
        assert "\n" not in line and repr(next(iter(key.values()))) in line
        assert line.startswith(table.__name__) or line.startswith(("Task", "TrainingParams"))
        assert str((table & key).fetch1()) == before
    with pytest.raises(ParameterError, match=by_cohort.format("its Penalty")):
        p.TrainingParams.Penalty.insert1(
            {"training_name": "short", "penalty": "output_var", "weight": 5.0}
        )
    with pytest.raises(ParameterError, match="is used by 1 row of Cohort"):
        p.Task.Input.insert1({"task_name": "cddm", "input_name": "one", "input_vector": [1.0] * 6})
    for part in (p.TrainingParams.Penalty, p.Task.Input):
        n = len(part())
        for delete in (
            lambda part=part: part.delete_quick(),
            lambda part=part: part().delete(part_integrity="ignore", prompt=False),
        ):
            with pytest.raises(ParameterError, match="is used by 1 row of Cohort"):
                delete()
        with pytest.raises(DataJointError, match="Cannot delete from a Part directly"):
            part().delete(prompt=False)
        assert len(part()) == n > 0


def test_cohorts_and_settings_that_have_results_are_not_changed(entered):
    p = entered
    cohort = p.Cohort.keys()[0]
    p.Cohort.update1({**cohort, "n_networks": 1})
    assert p.Cohort.fetch1("n_networks") == 1
    assert p.fill((p.Training, p.Validation)).errors == []
    with pytest.raises(ParameterError, match=r"is used by 1 row of Training.*another first_seed"):
        p.Cohort.update1({**cohort, "n_networks": 3})
    assert p.Cohort.fetch1("n_networks") == 1
    with pytest.raises(ParameterError, match="is used by 1 row of Validation, so that it stays"):
        p.ValidationParams.update1({"validation_name": "noisy", "n_repeats": 2})
    assert only(p.ValidationParams, "noisy")["n_repeats"] == 5
    p.FixedPointParams.update1({"search_name": "exact", "n_starts": 64})  # no points yet
    assert only(p.FixedPointParams, "exact")["n_starts"] == 64


def test_a_running_job_keeps_what_it_began_with(entered):
    p = entered
    jobs = p.Training().jobs
    jobs.refresh()
    p.Cohort.update1({**p.Cohort.keys()[0], "n_networks": 1})  # it waits
    jobs.reserve(p.Cohort.keys()[0])
    with pytest.raises(ParameterError, match="is used by 1 running job of Training"):
        p.Cohort.update1({**p.Cohort.keys()[0], "n_networks": 2})
    assert p.Cohort.fetch1("n_networks") == 1


@pytest.mark.both_backends
def test_a_labs_own_table_keeps_what_it_refers_to(database):
    p = database
    schema = dj.Schema(
        f"{p.database.schemas.task.database}_own", connection=p.NetworkParams.connection
    )
    try:

        @schema
        class Note(dj.Manual):
            definition = """
            -> p.NetworkParams.proj(of="network_name")
            ---
            text : varchar(32)
            """

        p.NetworkParams.insert([{"network_name": n, "n_units": u} for n, u in (("a", 8), ("b", 9))])
        Note.insert1({"of": "a", "text": "good"})
        with pytest.raises(ParameterError, match="is used by 1 row of Note"):
            p.NetworkParams.update1({"network_name": "a", "tau": 20.0})
        p.NetworkParams.update1({"network_name": "b", "tau": 20.0})
    finally:
        schema.drop(prompt=False)
    assert [only(p.NetworkParams, name)["tau"] for name in "ab"] == [10.0, 20.0]


def test_what_is_not_used_is_changed_as_it_is_entered(database):
    p = database
    p.NetworkParams.insert([{"network_name": n, "n_units": u} for n, u in (("a", 8), ("b", 9))])
    for change, said in (
        ({"tau": -1.0}, "^tau = "),
        ({"colour": 1}, "^colour = 1: does not exist"),
        ({"n_units": 9}, "has the same parameters as 'b'"),
    ):
        with pytest.raises(ParameterError, match=said):
            p.NetworkParams.update1({"network_name": "a", **change})
    for row, said in (
        ({"network_name": "nobody", "tau": 2.0}, "is not there"),
        ({"tau": 2.0}, "^network_name = None: is missing"),
    ):
        with pytest.raises(ParameterError, match=said):
            p.NetworkParams.update1(row)
    with pytest.raises(ParameterError, match=r"use NetworkParams.update1"):
        (p.NetworkParams & {"network_name": "a"}).update1({"network_name": "a", "tau": 2.0})
    p.NetworkParams.update1({"network_name": "a", "tau": 20, "dale": True})
    row = only(p.NetworkParams, "a")
    # A field that follows from another is not made anew.
    assert (row["tau"], bool(row["dale"]), bool(row["nonnegative_inp"])) == (20.0, True, False)
    made = p.NetworkParams.canonical(
        {"n_units": 8, "tau": 20, "dale": True, "nonnegative_inp": False, "nonnegative_out": False}
    )
    assert row["network_hash"] == p.NetworkParams.hashes(made)[0]
    p.NetworkParams.update1({"network_name": "a", "tau": None, "dale": None})
    assert (
        hash_of(p.NetworkParams, "a")
        == p.NetworkParams.hashes(p.NetworkParams.canonical({"n_units": 8}))[0]
    )
    with pytest.raises(ParameterError, match=r"^n_starts = 0"):
        p.FixedPointParams.update1({"search_name": "exact", "n_starts": 0})


def test_parts_follow_from_their_set(database):
    p = database
    p.Task.insert1({"task_name": "t", "task_class": "NBitFlipFlop", "params": {"n_bits": 1}})
    mine = {"task_name": "t", "input_name": "mine", "input_vector": [0.5]}
    p.Task.Input.insert1(mine)
    p.Task.update1({"task_name": "t", "n_steps": 90})
    assert (p.Task.Input & {"input_name": "mine"}).fetch1("input_vector").tolist() == [0.5]
    change = {"task_name": "t", "params": {"n_bits": 2}, "n_inputs": 2, "n_outputs": 2}
    with pytest.raises(ParameterError, match=r"^input_vector = .* is not 2 finite numbers"):
        p.Task.update1(change)
    assert (p.Task.fetch1("n_inputs"), len(p.Task.Input & {"input_name": "zero"})) == (1, 1)
    (p.Task.Input & {"input_name": "mine"}).delete_quick()
    p.Task.update1(change)
    assert {len(v) for v in p.Task.Input.to_arrays("input_vector")} == {2}
    other = p.Task.canonical({"task_class": "NBitFlipFlop", "n_steps": 90, "params": {"n_bits": 2}})
    assert hash_of(p.Task, "t") == p.Task.hashes(other)[0]
    p.Task.Input.update1({"task_name": "t", "input_name": "zero", "input_vector": [1, 2]})
    zero = (p.Task.Input & {"input_name": "zero"}).fetch1("input_vector")
    assert zero.dtype == np.float64 and zero.tolist() == [1.0, 2.0]


def test_a_training_has_the_hash_of_its_penalties(database):
    p, table = database, database.TrainingParams

    def matches():
        row = table.fetch1()
        return row["training_hash"] == table.hashes(table.parameters_of_row(row))[0]

    table.insert1({"training_name": "t", "max_iter": 3, "penalties": {"metabolic": {"weight": 1}}})
    hashes = [table.fetch1("training_hash")]
    key = {"training_name": "t", "penalty": "metabolic"}
    steps = (
        lambda: table.Penalty.update1({**key, "weight": 2.0}),
        lambda: table.Penalty.insert1({**key, "penalty": "output_var", "weight": 0.5}),
        lambda: table.update1({"training_name": "t", "max_iter": 4}),
        lambda: (table.Penalty & key).delete_quick(),
        lambda: table.update1({"training_name": "t", "penalties": {"metabolic": {"weight": 3}}}),
        lambda: table.Penalty().delete(part_integrity="ignore", prompt=False),
    )
    for step in steps:
        step()
        hashes.append(table.fetch1("training_hash"))
        assert matches()
    assert len(set(hashes)) == len(hashes)
    assert len(table.Penalty()) == 0
    table.update1({"training_name": "t", "penalties": {"metabolic": {"weight": 3}}})
    table.update1({"training_name": "t", "penalties": None})
    assert len(table.Penalty()) == 0 and matches()
    for row, said in (
        ({**key, "weight": -1.0}, "weight"),
        ({**key, "weight": 1.0, "args": {"colour": 1}}, "colour"),
        ({**key, "penalty": "nonsense", "weight": 1.0}, "nonsense"),
        ({**key, "training_name": "nobody", "weight": 1.0}, "has not been entered"),
        ({**key}, "metabolic"),
    ):
        with pytest.raises(ParameterError, match=said):
            p.TrainingParams.Penalty.insert1(row)
    assert len(table.Penalty()) == 0


def test_deleting_a_part_asks_as_datajoint_does(database, monkeypatch):
    p = database
    p.TrainingParams.insert1(
        {"training_name": "t", "max_iter": 3, "penalties": {"metabolic": {"weight": 1}}}
    )
    asked, answers = [], ["no", "yes"]
    monkeypatch.setattr("builtins.input", lambda q: [asked.append(q), answers.pop(0)][1])
    for left in (1, 0):
        p.TrainingParams.Penalty().delete(part_integrity="ignore", prompt=True)
        assert len(p.TrainingParams.Penalty()) == left
    assert "Delete 1 row of TrainingParams.Penalty without their sets?" in asked[0]


@pytest.mark.both_backends
def test_who_enters_a_cohort_waits_for_a_change(database, server, submission):
    """What a cohort is trained with is what the set had when the cohort came in, or since."""
    p = database
    cohort = submission.pop("cohorts")[0]
    p.submit(submission)
    row = {
        "task_name": cohort["task"], "network_name": cohort["network"],
        "training_name": cohort["training"], "first_seed": 0, "n_networks": 1,
    }  # fmt: skip
    other = database_connection._open(
        server.backend, server.host, server.port, server.user, server.password
    )
    columns = ", ".join(row)
    entered = threading.Event()

    def enter():
        other.query(
            f"INSERT INTO {p.Cohort.full_table_name} ({columns}) VALUES (%s, %s, %s, %s, %s)",
            args=tuple(row.values()),
        )
        entered.set()

    thread = threading.Thread(target=enter)
    try:
        with transaction(p.Cohort.connection):
            locked_row(p.TrainingParams(), {"training_name": "short"})  # before it is looked at
            thread.start()
            assert not entered.wait(0.5)
            p.TrainingParams.update1({"training_name": "short", "lr": 0.5})
        thread.join(20)
        assert entered.is_set()
        with pytest.raises(ParameterError, match="is used by 1 row of Cohort"):
            p.TrainingParams.update1({"training_name": "short", "lr": 0.25})
        assert only(p.TrainingParams, "short")["lr"] == 0.5
    finally:
        other.close()
