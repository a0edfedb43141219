"""Rows entered as DataJoint's users do, into every table of parameters, on both back ends."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from datajoint.errors import DataJointError

import pipeline
from tasks_lib import ParameterError
from tasks_lib.errors import ParameterErrors

pytestmark = pytest.mark.either_backend

PAGE = Path(__file__).parents[2] / "docs" / "inserting.md"
PENALTIES = {"metabolic": {"weight": 0.01, "args": {}}}


def only(table, name):
    (field,) = table.primary_key
    return (table & {field: name}).fetch1()


def without(row, *fields):
    return {k: v for k, v in row.items() if k not in fields}


def test_a_fetched_row_with_one_field_changed(entered):
    p = entered
    changed = {
        p.NetworkParams: ("small", {"n_units": 13}),
        p.TrainingParams: ("short", {"max_iter": 7}),
        p.Task: ("cddm", {"n_steps": 25}),
        p.FixedPointParams: ("exact", {"n_starts": 64}),
        p.ValidationParams: ("noisy", {"n_repeats": 3}),
        p.ManifoldParams: ("default", {"n_samples": 50}),
    }
    for table, (name, change) in changed.items():
        (field,) = table.primary_key
        row = only(table, name)
        table.insert1({**row, **change, field: "copy"})
        stored = only(table, "copy")
        hashes = [n for n in stored if n.endswith("_hash")]
        assert without(stored, *hashes) == without({**row, **change, field: "copy"}, *hashes)
        assert all(stored[n] != row[n] for n in hashes)
    # The fetched row does not hold them, and the copy has them.
    (penalty,) = (p.TrainingParams.Penalty & {"training_name": "copy"}).to_dicts()
    assert (penalty["penalty"], penalty["weight"]) == ("metabolic", 0.01)
    p.TrainingParams.insert1(
        {**only(p.TrainingParams, "short"), "training_name": "bare", "penalties": {}}
    )
    assert not p.TrainingParams.Penalty & {"training_name": "bare"}
    with pytest.raises(ParameterError, match="'copy'"):  # unchanged, it is the same set
        p.TrainingParams.insert1({**only(p.TrainingParams, "copy"), "training_name": "twin"})
    key = p.Cohort.fetch1()
    p.Cohort.insert1({**key, "first_seed": 9, "n_networks": 1})
    assert (p.Cohort & {"first_seed": 9}).fetch1("n_networks", "origin") == (1, "trained")


def test_parts_are_copied_with_their_sets_or_after_them(entered):
    p = entered
    p.TrainingParams.insert1(
        {**only(p.TrainingParams, "short"), "training_name": "copy", "max_iter": 7}
    )
    rows = (p.TrainingParams.Penalty & {"training_name": "short"}).to_dicts()
    p.TrainingParams.Penalty.insert({**row, "training_name": "copy"} for row in rows)
    assert len(p.TrainingParams.Penalty & {"training_name": "copy"}) == 1
    p.Task.insert1({**only(p.Task, "cddm"), "task_name": "copy", "n_steps": 25})
    rows = (p.Task.Input & {"task_name": "cddm"}).to_dicts()
    assert rows
    p.Task.Input.insert({**row, "task_name": "copy"} for row in rows)
    assert len(p.Task.Input & {"task_name": "copy"}) == len(rows)


def test_a_master_and_then_its_parts(database):
    p = database
    p.TrainingParams.insert1({"training_name": "whole", "max_iter": 3, "penalties": PENALTIES})
    digest = p.TrainingParams.fetch1("training_hash")
    p.TrainingParams.insert1({"training_name": "apart", "max_iter": 4})
    before = only(p.TrainingParams, "apart")["training_hash"]
    p.TrainingParams.Penalty.insert1(
        {"training_name": "apart", "penalty": "metabolic", "weight": 1}
    )
    after = only(p.TrainingParams, "apart")["training_hash"]
    assert after not in (before, digest)
    assert (
        after
        == p.TrainingParams.hashes(
            p.TrainingParams.canonical({"max_iter": 4, "penalties": {"metabolic": {"weight": 1}}})
        )[0]
    )
    # The same set by the other way is found.
    p.TrainingParams.insert1({"training_name": "third", "max_iter": 3})
    with pytest.raises(ParameterError, match="the same parameters as 'whole'"):
        p.TrainingParams.Penalty.insert1(
            {"training_name": "third", "penalty": "metabolic", "weight": 0.01, "args": {}}
        )
    assert not p.TrainingParams.Penalty & {"training_name": "third"}


def test_data_frames(entered):
    p = entered
    nets = pd.DataFrame({"network_name": ["a", "b"], "n_units": [31, 32], "activation": "tanh"})
    p.NetworkParams.insert(nets)
    p.NetworkParams.insert_dataframe(nets)  # they are there
    p.NetworkParams.insert_dataframe(nets.set_index("network_name"))
    p.NetworkParams.insert(nets.to_dict("records"), skip_duplicates=True)
    p.NetworkParams.insert_dataframe(p.NetworkParams.to_pandas())
    assert len(p.NetworkParams()) == 3
    cohorts = pd.DataFrame(
        {"task_name": "cddm", "network_name": ["a", "b"], "training_name": "short",
         "first_seed": 0, "n_networks": 1}
    )  # fmt: skip
    p.Cohort.insert(cohorts)
    p.Cohort.insert_dataframe(p.Cohort.to_pandas())
    assert len(p.Cohort()) == 3
    gaps = pd.DataFrame(
        [
            {"training_name": "x", "max_iter": 5, "lr": 0.1, "validation_interval": 5,
             "monitor": True, "penalties": PENALTIES},
            {"training_name": "y", "max_iter": 6},
        ]
    )  # fmt: skip
    p.TrainingParams.insert(gaps)
    assert p.TrainingParams.build(only(p.TrainingParams, "y"), []).to_dict() == {
        **p.TrainingParams.canonical({}), "max_iter": 6
    }  # fmt: skip
    row = only(p.TrainingParams, "x")
    assert (row["lr"], row["validation_interval"], bool(row["monitor"])) == (0.1, 5, True)
    assert (p.TrainingParams.Penalty & {"training_name": "x"}).fetch1("weight") == 0.01
    settings = pd.DataFrame({"validation_name": ["u", "v"], "n_repeats": [4, np.nan]})
    p.ValidationParams.insert(settings.assign(noise=[True, None]))
    assert only(p.ValidationParams, "v")["n_repeats"] == 1
    with pytest.raises(ParameterError, match=r"^rows\[1\]\.lr = nan: is not a value; leave"):
        p.TrainingParams.insert(gaps[["training_name", "max_iter", "lr"]].to_dict("records"))
    with pytest.raises(ParameterError, match=r"^rows\[0\]\.colour = 1: does not exist; use n"):
        p.NetworkParams.insert(nets.assign(colour=1))
    with pytest.raises(ParameterError, match=r"^rows\[0\]\.network_name = 8: is no text; quote"):
        p.NetworkParams.insert(nets.assign(network_name=[8, 9]))


def test_files_queries_arrays_and_generators(entered, tmp_path):
    p = entered
    path = tmp_path / "networks.csv"
    path.write_text("network_name,n_units,tau,dale,activation_args\n7,21,,true,\n8,22,2e1,,{}\n")
    p.NetworkParams.insert(path)
    assert [only(p.NetworkParams, name)["tau"] for name in "78"] == [10.0, 20.0]
    assert bool(only(p.NetworkParams, "7")["dale"])
    p.NetworkParams.to_pandas().to_csv(path)
    p.NetworkParams.insert(path)  # they are there
    p.NetworkParams.insert(p.NetworkParams)
    p.NetworkParams.insert(p.NetworkParams & {"network_name": "7"})
    assert len(p.NetworkParams()) == 3
    array = np.array([("c", 23), ("d", 24)], [("network_name", "U8"), ("n_units", "i8")])
    p.NetworkParams.insert(array)
    p.NetworkParams.insert1(np.array([("e", 25)], array.dtype)[0])
    p.NetworkParams.insert({"network_name": f"g{n}", "n_units": n} for n in (26, 27))
    p.NetworkParams.insert([{"network_name": "h", "n_units": 28, "x": 1}], ignore_extra_fields=True)
    p.NetworkParams.insert(
        [{"network_name": "i", "n_units": 29}], chunk_size=1, allow_direct_insert=True
    )
    assert len(p.NetworkParams()) == 10
    with p.NetworkParams().staged_insert1 as staged:
        staged.rec.update(network_name="staged", n_units=30)
    assert only(p.NetworkParams, "staged")["tau"] == 10.0


def test_rows_that_are_there_are_never_replaced(entered):
    p = entered
    changed = {
        p.NetworkParams: {"network_name": "small", "n_units": 99},
        p.TrainingParams: {"training_name": "short", "max_iter": 99},
        p.Task: {"task_name": "cddm", "task_class": "CDDM", "n_steps": 301},
        p.ValidationParams: {"validation_name": "mine", "n_repeats": 1, "noise": True},
        p.Cohort: {**p.Cohort.keys()[0], "n_networks": 1},
        p.TrainingParams.Penalty: {
            "training_name": "short", "penalty": "metabolic", "weight": 9.0
        },
        p.Task.Input: {**p.Task.Input.keys()[0], "input_vector": np.ones(6)},
    }  # fmt: skip
    p.ValidationParams.insert1({**changed[p.ValidationParams], "n_repeats": 2})
    for table, row in changed.items():
        key = {name: row[name] for name in table.primary_key}
        before = (table & key).fetch1()
        table.insert1(before)  # the same again
        for options in ({}, {"replace": True}, {"skip_duplicates": True}):
            with pytest.raises(ParameterError, match="exists with other"):
                table.insert1(row, **options)
        after = (table & key).fetch1()
        assert {k: str(v) for k, v in before.items()} == {k: str(v) for k, v in after.items()}


def test_what_comes_with_a_table_is_not_entered_again_over_a_labs_own(database, arguments):
    p = database
    p.ValidationParams.update1({"validation_name": "noisy", "n_repeats": 7})
    (p.ValidationParams & {"validation_name": "noise_free"}).delete(prompt=False)
    p.connect(**arguments)
    assert only(p.ValidationParams, "noisy")["n_repeats"] == 7
    assert len(p.ValidationParams()) == 2


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ([1.0], "is not 6 finite numbers"),
        ([[0.0] * 6], "is not 6 finite numbers"),
        ([0.0] * 5 + [np.nan], "is not 6 finite numbers"),
        (["1"] * 6, "is not 6 finite numbers"),
        ([[1.0], 2.0], "is not 6 finite numbers"),
        ([True] * 6, "is not 6 finite numbers"),
        (None, "is not 6 finite numbers"),
    ],
)
def test_inputs_are_checked(database, value, said):
    p = database
    p.Task.insert1({"task_name": "cddm", "task_class": "CDDM", "n_steps": 300})
    n = len(p.Task.Input())
    row = {"task_name": "cddm", "input_name": "mine", "input_vector": value}
    with pytest.raises(ParameterError, match=rf"^input_vector = .*{said}; give one for each"):
        p.Task.Input.insert1(row)
    right = {**row, "input_vector": [1, 0, 0, 0, 0, 0.5]}
    for field, bad in (("task_name", "nobody"), ("input_name", "a\nb"), ("colour", 1)):
        with pytest.raises(ParameterError, match=f"^{field} = "):
            p.Task.Input.insert1({**right, field: bad})
    assert len(p.Task.Input()) == n
    p.Task.Input.insert1(right)
    stored = (p.Task.Input & {"input_name": "mine"}).fetch1("input_vector")
    assert stored.dtype == np.float64 and stored.tolist() == right["input_vector"]


def test_cohorts_are_checked(entered):
    p = entered
    row = {**p.Cohort.fetch1(), "first_seed": 20}
    for field, bad, said in (
        ("task_name", "nobody", "has not been entered"),
        ("network_name", 8, "quote it"),
        ("origin", "found", "use one of"),
        ("colour", 1, "does not exist"),
        ("first_seed", None, "is not a whole number"),
    ):
        with pytest.raises(ParameterError, match=f"^{field} = .*{said}"):
            p.Cohort.insert1({**row, field: bad})
    with pytest.raises(ParameterError, match=r"^rows\[1\]\.first_seed = 21: a cohort of these"):
        p.Cohort.insert([row, {**row, "first_seed": 21}])
    assert len(p.Cohort()) == 1


def test_validate_says_what_insert_would(entered):
    p = entered
    good = {"network_name": "a", "n_units": 31}
    found = p.NetworkParams.validate([good, {**good, "tau": -1.0}, {**good, "x": 1}])
    assert [(number, field) for number, field, _ in found.errors] == [(1, "tau"), (2, "x")]
    assert found.rows_checked == 3 and not found
    assert p.NetworkParams.validate(pd.DataFrame([good]))
    assert p.Cohort.validate([p.Cohort.fetch1()])
    with pytest.raises(DataJointError, match="tau"):
        found.raise_if_invalid()
    assert len(p.NetworkParams()) == 1


def test_every_error_of_a_row_is_said(entered, monkeypatch):
    """Where its check finds several at once."""
    p, field = entered, "network_name"

    def both(row):
        raise ParameterErrors([ParameterError(name, 0, "is bad", "mend") for name in "ab"])

    monkeypatch.setattr(p.NetworkParams, "canonical", staticmethod(both))
    with pytest.raises(ParameterErrors) as caught:
        p.NetworkParams.insert([{field: "x"}, {field: "y"}])
    assert [error.field for error in caught.value.errors] == ["rows[0].a", "rows[0].b"]
    found = p.NetworkParams.validate([{field: "x"}])
    assert [said[1] for said in found.errors] == ["a", "b"]


def test_the_page_on_inserting_does_what_it_says(entered, arguments, monkeypatch, capsys, tmp_path):
    p, connect = entered, pipeline.connect
    block, equal = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    monkeypatch.setattr(pipeline, "connect", lambda **_: connect(**arguments))
    names = {}
    exec(compile(block, str(PAGE), "exec"), names)
    assert only(p.NetworkParams, "slow")["tau"] == 50.0
    assert set(p.Cohort.to_arrays("network_name")) == {"small", "n50", "n100"}
    said = capsys.readouterr().out
    assert "lr = -1.0: is too small" in said
    small = p.NetworkParams.parameters_of_row(only(p.NetworkParams, "small"))
    (tmp_path / "study.yaml").write_text(yaml.safe_dump({"networks": {"mine": small}}))
    monkeypatch.chdir(tmp_path)
    exec(compile(equal, str(PAGE), "exec"), {**names, "Training": p.Training})
    assert "networks.mine: has the same parameters as 'small'" in capsys.readouterr().out
    with pytest.raises(ParameterError) as caught:
        p.TrainingParams.update1({"training_name": "short", "lr": 0.5})
    written = " ".join(PAGE.read_text(encoding="utf-8").split())
    assert re.sub(r"\d rows?", "4 rows", str(caught.value)) in written
