"""Networks of several tasks in the tables: rows by task, hashes, sweeps, exports."""

from __future__ import annotations

import copy

import numpy as np
import pytest

from pipeline.tables.task import Task
from pipeline.upkeep.verify import verify
from pipeline.workers.missing_classes import named_by
from tasks_lib import ParameterError

pytestmark = pytest.mark.either_backend

OWN = "tests.pipeline.own:Echo"
COMPONENTS = [
    {"name": "go", "class": "GoNoGo", "n_steps": 20, "params": {"cue_on": 8, "batch_size": 8}},
    {"name": "echo", "class": OWN},
]
SUBMISSION = {
    "tasks": {"both": {"class": "Mixture", "params": {"components": COMPONENTS}}},
    "networks": {"small": {"n_units": 6, "tau": 2.0, "activation": "tanh"}},
    "trainings": {"short": {"max_iter": 3}},
    "cohorts": [
        {"task": "both", "network": "small", "training": "short", "first_seed": 1, "n_networks": 1}
    ],
}


@pytest.mark.usefixtures("own_classes_allowed")
def test_a_mixture_goes_through_the_chain(database, tmp_path):
    p = database
    p.submit(SUBMISSION)
    row = p.Task.fetch1()
    assert (row["n_steps"], row["n_inputs"], row["n_outputs"]) == (20, 6, 2)
    assert Task.build(row).params["components"] == row["params"]["components"]
    assert [one["class"] for one in row["params"]["components"]] == ["GoNoGo", OWN]
    names = p.Task.Input.to_arrays("input_name")
    assert {name.split(":")[0] for name in names} == {"go", "echo"}
    assert [c.name for c in named_by({"task_name": "both"})["task_name", "both"]] == [OWN]
    lesion = p.InterventionParams.renamed
    p.InterventionParams.insert1(
        {**p.InterventionParams.fetch1(), "intervention_name": "lesion",
         lesion["target"]: "cluster", lesion["target_of"]: "0", lesion["largest"]: 1.0,
         lesion["n_strengths"]: 1, lesion["n_controls"]: 2}
    )  # fmt: skip
    tables = (p.Training, p.Validation, p.TrialPlot, p.Psychometric, p.Population, p.Clusters)
    assert p.fill((*tables, p.Intervention)).errors == []
    noise_free = {"validation_name": "noise_free"}
    whole = (p.Validation & noise_free).fetch1()
    parts = (p.Validation.Component & noise_free).to_dicts(order_by="component")
    assert [part["component"] for part in parts] == ["echo", "go"]
    assert sum(part["component_n_trials"] for part in parts) == whole["n_trials"]
    assert [part["component_accuracy"] is None for part in parts] == [True, False]
    assert {kind["task"] for kind in p.Validation.Condition.to_arrays("trial_condition")} == {
        "go", "echo",
    }  # fmt: skip
    assert p.Clusters.fetch1("feature_names") == ["echo", "go"]
    scored = p.Intervention.TaskScore & {"intervention_name": "lesion"}
    assert sorted(scored.to_arrays("scored_task")) == ["echo", "go"]
    for one in (scored * p.Intervention.Score).to_dicts():
        part = next(part for part in parts if part["component"] == one["scored_task"])
        assert one["task_untouched_mse"] == pytest.approx(part["component_mse"])
    assert set(p.Psychometric.Fit.to_arrays("context")) == {"go"}
    assert verify({"seed": 1}).identical
    # What names the same components is the same task; another mix is another one.
    same = copy.deepcopy(SUBMISSION["tasks"]["both"])
    same["params"]["components"][0] |= {"n_inputs": 3, "class": "tasks_lib.go_no_go:GoNoGo"}
    with pytest.raises(ParameterError, match="both"):
        p.Task.insert1({"task_name": "again", **_row(same)})
    same["params"]["fractions"] = [0.5, 0.5]
    p.Task.insert1({"task_name": "other", **_row(same)})
    stored = (p.Task & {"task_name": "other"}).fetch1()
    assert stored["params"]["fractions"] == [0.5, 0.5]
    out = tmp_path / "all.zip"
    p.export(out, {"task_name": "both"}, figures=False, report=False)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RNN_ALLOWED_PACKAGES", "")
        with pytest.raises(ParameterError, match="not in an allowed package"):
            p.Task.insert1({"task_name": "third", **_row(same)})
    key = p.Training.Network.proj().fetch1()
    row = (p.Training.Network & key).fetch1()
    before = {name: np.asarray(row[name]) for name in ("w_rec", "w_inp")}
    (p.Training & key).delete(prompt=False)
    (p.Cohort & {"task_name": "both"}).delete(prompt=False)
    assert len(p.import_export(out).keys) == 1
    row = p.Training.Network.fetch1()  # of another training: that of imported networks
    assert all(np.array_equal(row[name], array) for name, array in before.items())


def _row(task):
    return {"task_class": task["class"], "params": task["params"]}


@pytest.mark.usefixtures("own_classes_allowed")
def test_the_mix_is_an_axis_of_a_sweep(database):
    content = {name: value for name, value in SUBMISSION.items() if name != "cohorts"}
    content["sweeps"] = {
        "mix": {
            "task": "both", "network": "small", "training": "short", "n_networks": 1,
            "vary": {"task.params.fractions": [[0.5, 0.5], [0.25, 0.75]]},
        }
    }  # fmt: skip
    database.submit(content)
    points = (database.SweepPoint & {"axis": "task.params.fractions"}).to_arrays("value_text")
    assert sorted(points) == ["[0.25,0.75]", "[0.5,0.5]"]
    stored = [
        row["params"]["fractions"] for row in (database.Task & "task_name <> 'both'").to_dicts()
    ]
    assert sorted(stored) == [[0.25, 0.75], [0.5, 0.5]]
    wrong = copy.deepcopy(content)
    wrong["sweeps"]["mix"]["vary"]["task.params.fractions"] = [[0.5, 0.6]]
    with pytest.raises(ParameterError, match=r"fractions.*add up to 1.1"):
        database.submit(wrong)
