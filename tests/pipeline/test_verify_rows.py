"""`rnn verify --all`: rows of parameters that are not what was entered, however they changed."""

from __future__ import annotations

import time

import datajoint as dj
import pytest
from datajoint import Table
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

import pipeline
from models import NetworkConfig
from models.parameters import parameters_of
from pipeline.cli.commands import app
from pipeline.tables.hashing import parameter_hash
from pipeline.tables.network import NetworkParams
from pipeline.upkeep.verify_rows import verify_rows

pytestmark = pytest.mark.either_backend


def plain(table, values, **key):
    """Change a row with plain SQL."""
    row_table = table()
    quote = row_table.adapter.quote_identifier
    assignments = ", ".join(f"{quote(name)} = %s" for name in values)
    where = " AND ".join(f"{quote(name)} = %s" for name in key)
    row_table.connection.query(
        f"UPDATE {row_table.full_table_name} SET {assignments} WHERE {where}",
        args=(*values.values(), *key.values()),
    )


@pytest.fixture
def entered(database, submission):
    database.submit(submission)
    assert database.fill((database.Training,)).errors == []
    return database


def found():
    result = verify_rows()
    return [(fault.kind, fault.table, fault.key) for fault in result.faults]


def test_rows_as_they_were_entered(entered):
    result = verify_rows()
    assert result.faults == [] and result.is_whole
    n_inputs = len(entered.Task.Input())
    assert result.n_rows == {
        "Task": 1, "NetworkParams": 1, "TrainingParams": 1, "ValidationParams": 2,
        "FixedPointParams": 1, "ManifoldParams": 1, "Task.Input": n_inputs, "Cohort": 1,
        "PopulationParams": 1, "ClusterParams": 1, "SubspaceParams": 1, "InterventionParams": 1,
        "LyapunovParams": 1, "BasinParams": 1, "RankOneParams": 1, "FollowParams": 1,
        "EmbeddingParams": 2, "LatentCircuitParams": 0, "RecordingDistanceParams": 1,
        "SweepPoint": 0, "LeftOut": 0,
        "Comparison": 0,
    }  # fmt: skip
    entered.Cohort.insert1({**entered.Cohort.fetch1(), "first_seed": 9})  # not trained yet
    assert verify_rows().is_whole
    # The hash of an earlier version is one too.
    table = entered.NetworkParams
    stored = table.parameters_of_row(table.fetch1())
    for later in ("max_rank", "groups", "blocks"):  # which that version did not have
        del stored[later]
    digest = str(parameter_hash(stored))
    assert digest != table.fetch1("network_hash")
    plain(table, {"network_hash": digest}, network_name="small")
    assert verify_rows().is_whole


def test_whatever_was_changed_with_plain_sql_is_found(entered):
    p = entered
    changes = [
        (p.TrainingParams, {"lr": 0.5}, {"training_name": "short"}, "changed", p.TrainingParams),
        (p.NetworkParams, {"n_units": 17}, {"network_name": "small"}, "changed", p.NetworkParams),
        (p.Task, {"n_steps": 44}, {"task_name": "cddm"}, "changed", p.Task),
        (p.Task, {"params": "{}"}, {"task_name": "cddm"}, "changed", p.Task),
        (p.Task, {"task_hash": "0" * 36}, {"task_name": "cddm"}, "changed", p.Task),
        (p.TrainingParams.Penalty, {"weight": 5.0}, {"penalty": "metabolic"}, "changed",
         p.TrainingParams),
        (p.FixedPointParams, {"n_starts": 0}, {"search_name": "exact"}, "unusable",
         p.FixedPointParams),
        (p.Cohort, {"first_seed": 3, "n_networks": 1}, {"task_name": "cddm"}, "changed", p.Cohort),
        (p.Cohort, {"n_networks": 40}, {"task_name": "cddm"}, "changed", p.Cohort),
    ]  # fmt: skip
    assert found() == []
    for table, values, key, kind, named in changes:
        before = (table & key).fetch1()
        plain(table, values, **key)
        assert found() == [
            (kind, named.__name__, {k: v for k, v in named.fetch1().items() if k in
                                    named.primary_key})
        ]  # fmt: skip
        Table.update1(table(), before)
        assert found() == []
    own = p.Task.Input.keys()[0]
    Table.update1(p.Task.Input(), {**own, "input_vector": [1.0]})
    assert found() == [("unusable", "Task.Input", own)]


def test_a_set_that_was_changed_is_not_taken_for_what_its_hash_says(entered, submission):
    p = entered
    plain(p.TrainingParams, {"lr": 0.5}, training_name="short")
    said = r"^trainings\.short = 'short': was changed after it had been entered"
    with pytest.raises(pipeline.submission.ParameterError, match=said):
        p.submit(submission)


@given(st.data())
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_no_column_can_change_without_another_hash(data):
    """Of networks: whatever they are, and whichever column becomes whatever else."""
    config = NetworkConfig(
        n_units=data.draw(st.integers(2, 500)),
        tau=data.draw(st.floats(1.0, 1e3)),
        dale=data.draw(st.booleans()),
    )
    columns = NetworkParams.canonical(config.to_dict())
    hashes = NetworkParams.hashes(columns)
    name = data.draw(st.sampled_from(sorted(parameters_of(NetworkConfig))))
    value = columns[name]
    if isinstance(value, bool):
        other = not value
    elif isinstance(value, str):
        other = value + "x"
    elif isinstance(value, dict):
        other = {**value, "slope": 2.0}
    else:
        other = data.draw(st.integers(0, 999).filter(lambda n: n != value))
    changed = {**columns, name: other}
    assert not set(hashes) & set(NetworkParams.hashes(changed))
    assert hashes == NetworkParams.hashes({**columns, name: value})


def test_the_command_says_so_with_its_exit_status(entered, arguments, monkeypatch):
    p, connect = entered, pipeline.connect
    monkeypatch.setattr(pipeline, "connect", lambda **_: connect(**arguments))

    def run(*words):
        result = CliRunner().invoke(app, ["verify", "--all", *words])
        connect(**arguments)
        return result

    result = run()
    assert result.exit_code == 0, result.output
    n_rows = 19 + len(p.Task.Input())
    assert result.output.splitlines() == [
        f"{n_rows} rows of parameters: all are as they were entered",
        "no network was trained again: --retrain N does it with N of 2",
    ]
    assert "none damaged, none missing" in run("--files").output
    plain(p.TrainingParams, {"lr": 0.5}, training_name="short")
    for words in ((), ("--files",)):
        result = run(*words)
        assert result.exit_code == 1
        lines = result.output.splitlines()
        assert lines[0].startswith("changed: TrainingParams, training_name short: training_hash")
        assert lines[1] == f"{n_rows} rows of parameters: 1 changed"
    for words in (("--task", "cddm"), ("--seed", "3"), ("--device", "cpu")):
        result = run(*words)
        assert result.exit_code == 2
        assert f"error: {words[0]} = " in result.stderr


def test_thousands_of_rows_are_looked_at_in_seconds(database):
    p = database
    n = 3000
    columns = p.NetworkParams.canonical({})
    rows = []
    for number in range(n):
        own = {**columns, "n_units": number + 1}
        rows.append(
            {"network_name": f"n{number}", **own, "network_hash": p.NetworkParams.hashes(own)[0]}
        )
    p.NetworkParams().store(rows)
    began = time.process_time()
    assert verify_rows().is_whole
    assert time.process_time() - began < 20  # half a second
    assert verify_rows().n_rows["NetworkParams"] == n


def test_points_of_sweeps(entered):
    base = {"task": "cddm", "network": "small", "training": "short"}
    axes = {
        "training.lr": [0.02, 0.05], "training.penalties.metabolic.weight": [0.01, 1],
        "network.dale": [True], "task.params.stim_on": [5],
    }  # fmt: skip
    entered.submit({"sweeps": {"s": {**base, "vary": axes}}})
    assert verify_rows().is_whole and verify_rows().n_rows["SweepPoint"] == 16
    at = {"axis": "training.lr", "training_name": "short"}
    table = entered.SweepPoint
    for values in ({"value": 0.3}, {"value_text": "0.3"}, {"value": None}):
        before = (table & at).fetch1()
        plain(table, values, **at)
        assert found() == [("changed", "SweepPoint", {k: before[k] for k in table.primary_key})]
        plain(table, {name: before[name] for name in values}, **at)
    # The set that it names has other values: both are said.
    plain(entered.TrainingParams.Penalty, {"weight": 0.5}, training_name="short")
    faults = verify_rows().faults
    assert sorted(fault.table for fault in faults) == ["SweepPoint", "TrainingParams"]
    assert any(
        "metabolic.weight = 0.01 (0.01), and its cohort has 0.5" in f.problem for f in faults
    )


def test_a_table_that_is_left_out_and_that_is_not_known_is_named(database, submission):
    p = database
    submission["without"] = ["TrialPlot"]
    p.submit(submission)
    assert p.verify_rows().is_whole
    (key,) = p.Cohort.keys()
    dj.FreeTable(p.LeftOut.connection, p.LeftOut.full_table_name).insert1(
        {**key, "left_out": "OfALaterVersion"}
    )
    result = p.verify_rows()
    assert result.is_whole is None and result.n_rows["LeftOut"] == 2
    (fault,) = result.faults
    assert fault.table == "LeftOut" and "OfALaterVersion" in str(fault)
    p.fill((p.Training,))  # which it does not disturb
    assert len(p.Training.Network()) == 2 and p.TrialPlot().key_source.to_dicts() == []
