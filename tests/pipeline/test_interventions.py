"""The tables of interventions: a causal claim is a row, on both back ends."""

from __future__ import annotations

import numpy as np
import pytest

import models
from tasks_lib import ParameterError
from tests.models.population_networks import copies
from tests.pipeline.test_populations import enter, no_nan

pytestmark = pytest.mark.either_backend


@pytest.mark.usefixtures("own_classes_allowed")
def test_what_breaks_a_known_network_is_a_row(database, tmp_path):
    p = database
    # Unit 0 carries the output; nine others copy the number too, and nobody reads them.
    W_inp = np.ones((10, 1))
    W_inp[0] = 2.0
    rnn = copies(W_inp, np.ones(10), W_out=np.eye(10)[:1])
    enter(p, tmp_path, {"known": rnn, "silent": copies(np.zeros((4, 1)))})
    column = p.InterventionParams.renamed
    default = p.InterventionParams.fetch1()
    one = {**default, column["n_strengths"]: 1, column["n_controls"]: 20}
    p.InterventionParams.insert(
        [
            {**one, "intervention_name": "first", column["target"]: "output_weights",
             column["largest"]: 0.1},
            {**one, "intervention_name": "push", column["kind"]: "perturb",
             column["target"]: "regressor", column["target_of"]: "number"},
            {**one, "intervention_name": "nothing", column["kind"]: "perturb",
             column["target"]: "fixed_point"},
            {**one, "intervention_name": "other_task", column["kind"]: "perturb",
             column["target"]: "readout", column["target_of"]: "choice +"},
        ]
    )  # fmt: skip
    with pytest.raises(ParameterError, match=r"^intervention_target = .* is no target of noise"):
        p.InterventionParams.insert1({**one, "intervention_name": "none", column["kind"]: "noise"})
    # What is looked up in a table waits for its row.
    known = {"network_name": "known"}
    waiting = p.Intervention().key_source & known
    there = ["first", "other_task", "silence_ranked"]
    assert sorted(waiting.to_arrays("intervention_name")) == there
    assert p.fill((p.Subspaces, p.Intervention)).errors == []
    assert {*(p.Intervention & known).to_arrays("intervention_name")} == {
        *there, "push",
    }  # fmt: skip
    # An output of networks of another task is no failure of this one's.
    other = (p.Intervention & known & {"intervention_name": "other_task"}).fetch1()
    assert other["intervention_status"] == "no_target"
    assert other["intervention_reason"] == "the network has no output 'choice +'"
    row = (p.Intervention & known & {"intervention_name": "first"}).fetch1()
    assert row["intervention_status"] == "analysed" and row["intervention_vector"] is None
    score = (p.Intervention.Score & known & {"intervention_name": "first"}).fetch1()
    # Its output is 0 then, whatever the number: no choice of the untouched network is left.
    assert score["units_touched"] == 1 and score["choice_changed"] > 0.9
    assert score["n_controls"] == 20 and score["control_choice_changed"] < 0.4
    assert score["choice_changed_p"] < 0.4
    pushed = (p.Intervention & known & {"intervention_name": "push"}).fetch1()
    assert np.asarray(pushed["intervention_vector"]).shape == (10,)
    assert len(p.Intervention.Score & known & {"intervention_name": "push"}) == 2
    claim = p.Intervention.Score * p.InterventionParams & "choice_changed > 0.9"
    assert len(claim & known) >= 1
    # Of a network that is silent nothing can be taken away.
    silent = p.Intervention & {"network_name": "silent"}
    status = dict(zip(*silent.to_arrays("intervention_name", "intervention_status"), strict=True))
    assert status == dict.fromkeys(["first", "push", "silence_ranked"], "silent") | {
        "other_task": "no_target"
    }
    assert not len(p.Intervention.Score & silent.proj())
    assert all(no_nan(table.to_dicts()) for table in (p.Intervention, p.Intervention.Score))
    (p.Intervention & known & {"intervention_name": "push"}).plot()


@pytest.mark.both_backends
def test_points_and_selection_vectors_are_targets(entered, tmp_path):
    p = entered
    column = p.InterventionParams.renamed
    one = {**p.InterventionParams.fetch1(), column["kind"]: "perturb", column["n_controls"]: 2}
    p.InterventionParams.insert(
        {**one, "intervention_name": name, column["target"]: target, column["target_of"]: of}
        for name, target, of in (
            ("point", "fixed_point", "motion"),
            ("line", "selection_vector", "color"),
            ("missing", "selection_vector", "taste"),
        )
    )
    tables = (p.Training, p.FixedPoints, p.LineAttractor, p.Intervention)
    assert p.fill(tables, {"seed": 3}).errors == []
    rows = {row["intervention_name"]: row for row in p.Intervention.to_dicts()}
    assert rows["missing"]["intervention_status"] == "no_target"
    points = (p.FixedPoints.Point & {"input_name": "motion", "seed": 3}).to_dicts()
    if points:
        first = max(points, key=lambda row: row["max_eigenvalue"])
        assert np.array_equal(rows["point"]["intervention_vector"], np.asarray(first["direction"]))
    line = (p.LineAttractor.Context & {"line_context": "color", "seed": 3}).fetch1()
    vectors = np.asarray(line["selection_vectors"])
    if rows["line"]["intervention_vector"] is not None:
        assert np.array_equal(rows["line"]["intervention_vector"], vectors[len(vectors) // 2].real)
    # A network of one unit has no line, and no job that fails.
    alone = copies(np.ones((1, 6)), W_out=np.ones((2, 1)))
    config = models.NetworkConfig(n_units=1, activation="relu", tau=1.0, dt=1.0)
    path = models.write_network(tmp_path / "alone.npz", alone, config)
    key = p.import_network(path, p.Task.fetch1("task_name"), "alone")
    assert not len(p.LineAttractor().key_source & key)
    assert len(p.FixedPoints().key_source & key)
