"""Traces and snapshots of trainings as rows, and snapshots entered as networks."""

from __future__ import annotations

import numpy as np
import pytest

from models import NetworkConfig, TrainingConfig, train_cohort
from models.network.connectivity import WEIGHTS
from tasks_lib import ParameterError, create_task
from tests.pipeline.test_populations import no_nan

pytestmark = pytest.mark.either_backend

TRAINING = {"max_iter": 6, "lr": 0.02, "trace_interval": 2, "snapshots": 2}


@pytest.fixture
def p(database, submission):
    submission["trainings"] = {"recorded": TRAINING}
    submission["networks"]["smooth"] = {**submission["networks"]["small"], "activation": "tanh"}
    cohort = {**submission["cohorts"][0], "training": "recorded"}
    submission["cohorts"] = [cohort, {**cohort, "network": "smooth", "n_networks": 1}]
    database.submit(submission)
    assert database.fill((database.Training,)).errors == []
    return database


def test_records_are_rows_and_snapshots_become_networks(p, submission):
    direct = train_cohort(
        create_task("CDDM", 20, params=submission["tasks"]["cddm"]["params"], seed=0),
        NetworkConfig(**submission["networks"]["small"]),
        TrainingConfig(**TRAINING),
        [3],
        device=p.Training.to_arrays("device")[0],
    ).networks[0]
    one = {"network_name": "small", "seed": 3}
    rows = (p.Training.Trace & one).to_dicts(order_by="KEY")
    assert [row["trace_iteration"] for row in rows] == [2, 4, 6]
    assert len(p.Training.Trace()) == 3 * len(p.Training.Network())
    for row, trace in zip(rows, direct.traces, strict=True):
        assert (row["trace_status"], row["trace_reason"]) == (trace.status, trace.reason)
        assert row["trace_participation"] == pytest.approx(trace.participation_ratio)
        assert row["trace_n_silent"] == trace.n_silent
        assert row["gradient_square"] == pytest.approx(trace.gradient_square)
        assert row["gradient_variance"] == pytest.approx(trace.gradient_variance)
        assert row["gradient_noise_scale"] == pytest.approx(trace.noise_scale)
        assert row["change_100"] is row["cosine_10000"] is None
    assert no_nan(rows)
    # Columns of numbers restrict networks.
    assert len(p.Training.Network & (p.Training.Trace & "trace_participation > 0" & one)) == 1

    kept = (p.Training.Snapshot & one).to_dicts(order_by="KEY")
    assert [row["snapshot_iteration"] for row in kept] == [0, 2, 6]
    for row in kept:
        weights = direct.snapshots[row["snapshot_iteration"]]
        for name in WEIGHTS:
            stored = np.asarray(row[f"snapshot_{name.lower()}"])
            assert stored.tobytes() == weights[name].tobytes()
    start = (p.Training.Snapshot & one & {"snapshot_iteration": 0}).load()
    assert np.array_equal(start.W_rec, direct.snapshots[0]["W_rec"])

    keys = p.enter_snapshots(one)
    assert len(keys) == 3 == len(p.SnapshotNetwork())
    assert p.enter_snapshots(p.Training.Snapshot & one) == keys
    origins = (p.SnapshotNetwork & keys).to_dicts(order_by="KEY")
    assert [row["origin_iteration"] for row in origins] == [0, 2, 6]
    assert {row["origin_training"] for row in origins} == {"recorded"}
    # Whatever analyses networks analyses them: the last snapshot is the trained network.
    assert p.fill((p.Validation,)).errors == []
    last = p.Validation & keys[-1] & {"validation_name": "noise_free"}
    trained = p.Validation & one & {"training_name": "recorded", "validation_name": "noise_free"}
    assert last.fetch1("r2_pooled") == trained.fetch1("r2_pooled")
    scores = p.Validation * p.SnapshotNetwork & {"validation_name": "noise_free", "origin_seed": 3}
    assert len(scores) == 3
    (p.Training.Trace & one).plot()
    # A training that is renamed is still their origin.
    p.rename("training", "recorded", "renamed")
    assert set(p.SnapshotNetwork.to_arrays("origin_training")) == {"renamed"}
    assert p.enter_snapshots(one) == keys
    # Weights of another training are other networks, whatever their names.
    kept = p.Training.Snapshot & one & {"snapshot_iteration": 6}
    others = np.asarray(kept.fetch1("snapshot_w_out")) + 1.0
    p.Training.Snapshot.update1({**kept.fetch1("KEY"), "snapshot_w_out": others})
    assert p.enter_snapshots(kept) != [keys[-1]] and len(p.SnapshotNetwork()) == 4
    # The copies stay where their origin is deleted.
    (p.Training & {"training_name": "renamed"}).delete(prompt=False)
    assert len(p.Training.Snapshot()) == len(p.Training.Trace()) == 0
    assert len(p.SnapshotNetwork()) == 4
    with pytest.raises(ParameterError, match="selects no snapshot"):
        p.enter_snapshots(one)


@pytest.mark.both_backends
def test_fixed_points_are_followed_through_snapshots(p):
    smooth = p.Cohort & {"network_name": "smooth", "origin": "trained"}
    (key,) = p.enter_snapshots(
        p.Training.Snapshot & {"network_name": "smooth", "snapshot_iteration": 2}
    )
    restriction = {"input_name": p.Task.Input.to_arrays("input_name")[0]}
    for table in (p.FixedPoints, p.FollowedPoints):
        table.populate(restriction, {"network_name": "smooth"})
    rows = (p.FollowedPoints & smooth.proj()).to_dicts()
    assert len(rows) == 1
    (row,) = rows
    assert row["n_snapshots"] == 3
    assert row["follow_status"] in ("followed", "incomplete")
    assert row["follow_index_holds"]
    # The same sets as the table of fixed points has, at the snapshot and of the trained network.
    searched = {r["searched_iteration"]: r for r in p.FollowedPoints.Searched.to_dicts()}
    assert list(searched) == [0, 2, 6]
    for iteration, network in ((2, key), (6, smooth.fetch1("KEY"))):
        known = (p.FixedPoints & network).fetch1()
        assert searched[iteration]["searched_points"] == known["n_points"]
        assert searched[iteration]["searched_index_sum"] == known["index_sum"]
    states = p.FollowedPoints.BranchState.to_dicts()
    for iteration, one in searched.items():
        assert sum(s["branch_iteration"] == iteration for s in states) == one["searched_points"]
    branches = p.FollowedPoints.Branch.to_dicts()
    assert len(branches) == row["n_branches"]
    assert sum(b["branch_first"] > 0 for b in branches) == row["n_births"]
    assert len(p.FollowedPoints.Bifurcation()) == row["n_bifurcations"]
    assert no_nan([row, *states, *branches])
    assert len(p.FollowedPoints().plot().axes) == 1

    # ReLU, whose curves have corners.
    p.FollowedPoints.populate(restriction, {"network_name": "small", "seed": 3})
    (kinked,) = (p.FollowedPoints & {"network_name": "small"}).to_dicts()
    assert kinked["follow_status"] != "not_smooth"
    assert len(p.FollowedPoints.Branch & {"network_name": "small"}) == kinked["n_branches"]
    # One that stopped with its first snapshot alone has nothing to follow.
    (p.Training.Snapshot & {"network_name": "smooth"} & "snapshot_iteration > 0").delete(
        prompt=False, part_integrity="ignore"
    )
    assert not p.FollowedPoints.key_source & {"network_name": "smooth"}
    # Imported networks have no snapshots, and no rows here.
    assert not p.FollowedPoints.key_source & {"training_name": "imported"}
