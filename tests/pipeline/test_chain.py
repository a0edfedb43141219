"""The whole chain on real databases: from a submission to figures and back from the tables."""

from __future__ import annotations

import contextlib
import re
import threading

import numpy as np
import pytest

from models import FixedPointSet, NetworkConfig, TrainingConfig, plot_fixed_points, train_cohort
from tasks_lib import ParameterError, create_task

pytestmark = pytest.mark.either_backend


@pytest.mark.both_backends
def test_submission_becomes_networks_scores_and_fixed_points(database, submission):
    p = database
    assert p.submit(submission) == {"tasks": 1, "networks": 1, "trainings": 1, "cohorts": 1}
    assert set(p.Task.Input.to_arrays("input_name")) == {"motion", "color"}
    filled = p.fill()
    assert filled.errors == []

    networks = p.Training.Network.to_dicts(order_by="seed")
    assert [n["seed"] for n in networks] == [3, 4]
    assert {n["status"] for n in networks} == {"finished"}
    row = p.Training.fetch1()
    assert row["seconds"] > 0
    assert row["torch_version"]
    assert row["device"] in ("cpu", "cuda")
    assert row["product_precision"] == "ieee"
    assert networks[0]["w_rec"].shape == (12, 12)  # known without reading the array
    assert len(np.asarray(networks[0]["loss_curve"])) == 20

    # The stored network is the one that the library trains from the same parameters.
    task = create_task("CDDM", 20, params=submission["tasks"]["cddm"]["params"], seed=0)
    direct = train_cohort(
        task,
        NetworkConfig(**submission["networks"]["small"]),
        TrainingConfig(**submission["trainings"]["short"]),
        [3],
        device=row["device"],
    ).networks[0]
    assert np.array_equal(np.asarray(networks[0]["w_rec"]), direct.weights["W_rec"])

    noise_free = p.Validation & {"validation_name": "noise_free"}
    for stored, score in zip(networks, noise_free.to_dicts(order_by="seed"), strict=True):
        assert score["r2_pooled"] == pytest.approx(stored["r2"], abs=1e-4)
        assert score["n_choice_trials"] == 12

    # What a network does in one condition is a query.
    motion = p.Validation.Condition & noise_free & {"trial_condition.context": "motion"}
    assert len(motion) == 2 * 9
    for stored in noise_free.to_dicts():
        rows = (p.Validation.Condition & {k: stored[k] for k in p.Validation.primary_key}).to_dicts(
            order_by="condition_number"
        )
        assert [r["condition_number"] for r in rows] == list(range(18))
        assert rows[1]["trial_condition"] == {
            "context": "motion",
            "motion_coh": -1.0,
            "color_coh": 0.0,
        }
        assert np.mean([r["condition_mse"] for r in rows]) == pytest.approx(stored["mse"])
        assert [r["condition_accuracy"] for r in rows].count(None) == 6  # no relevant coherence

    sets = p.FixedPoints.to_dicts()
    assert len(sets) == 4  # two networks, two contexts
    for key in p.FixedPoints.keys():
        loaded = (p.FixedPoints & key).load()
        assert isinstance(loaded, FixedPointSet)
        assert len(loaded) == (p.FixedPoints & key).fetch1("n_points")
        assert loaded.message == (p.FixedPoints & key).fetch1("message")  # whole, not cut
        row = (p.FixedPoints & key).fetch1()
        assert row["n_map_stable"] == (loaded.map_stability == "stable").sum()
        assert row["n_map_differs"] == loaded.differs_in_steps.sum()
        stored = (p.FixedPoints.Point & key).to_dicts(order_by="point")
        assert [q["map_stability"] for q in stored] == loaded.map_stability.tolist()
        assert [q["n_unstable_map_modes"] for q in stored] == loaded.n_unstable_map.tolist()
        rnn = (p.Training.Network & key).load()
        assert loaded.alpha == rnn.alpha
        for q, values in zip(stored, loaded.eigenvalues, strict=True):
            assert q["max_multiplier"] == pytest.approx(np.abs(1 + rnn.alpha * values).max())
        if len(loaded):
            assert np.abs(rnn.rhs(loaded.points.T, loaded.input)).max() < 1e-9
    figure = p.Training.Network().plot_training(by="n_units")
    assert len(figure.axes[0].lines) == 2 and "n_units" in figure.legends[0].texts[0].get_text()
    with pytest.raises(ParameterError, match="n_unit': is no column"):
        p.Training.Network().plot_training(by="n_unit")
    for key in p.Training.Network.keys():
        trials = (p.Training.Network & key).trials(conditions={"context": "motion"}, noise=True)
        assert set(trials.context.values) == {"motion"} and trials.attrs["seed"] == 0
        assert {k: trials.attrs["network_" + k if k == "seed" else k] for k in key} == key
    assert len(p.Linearization.Point()) == len(p.FixedPoints.Point()) > 0
    # Everything about a point is one join.
    for point in (p.FixedPoints.Point * p.Linearization.Point).to_dicts():
        check_linearisation((p.Training.Network & point).load(), p.Task.Input, point)
    for table, column in (
        (p.TrialPlot, "figure"),
        (p.FixedPointPlot, "figure_2d"),
        (p.Psychometric, "curves_figure"),
        (p.LineAttractor, "line_figure"),
    ):
        figures = table.to_arrays(column)
        assert len(figures) > 0
        assert all(f._repr_png_().startswith(b"\x89PNG") for f in figures)
    assert len(p.Psychometric.Fit()) == 4 * len(p.Psychometric())
    for fit in p.Psychometric.Fit.to_dicts():
        check_curve(
            fit,
            (
                p.Psychometric.Choice
                & p.Psychometric.Fit.proj()
                & {k: fit[k] for k in p.Psychometric.Fit.primary_key}
            ).to_dicts(order_by="strength_number"),
        )
    assert len(p.LineAttractor.Context()) == 4
    for row in p.LineAttractor.Context.to_dicts():
        check_line(row)
    for key in p.FixedPointPlot.keys():
        check_pictures(p.FixedPointPlot & key, p.FixedPoints & key)

    # A second pass and a second submission find nothing to do.
    assert p.fill().made == 0
    assert set(p.submit(submission).values()) == {0}

    # A question across the chain is one expression.
    solved = p.Training.Network & "r2 > -100" & (p.TrainingParams.Penalty & "weight < 0.1")
    unstable = p.FixedPoints.Point & solved & {"stability": "stable"}
    assert len(unstable.to_pandas()) == len(unstable)


def check_curve(fit, choices):
    """Three coherences have no curve, and counts all the same."""
    assert fit["fit_status"] in ("flat", "too_few") and not fit["converged"]
    assert (fit["slope"] is None) == (fit["slope_error"] is None) == (fit["fit_status"] != "flat")
    assert [c["strength"] for c in choices] == [-1.0, 0.0, 1.0]
    for c in choices:
        assert c["n_strength_trials"] == (3 if fit["validation_name"] == "noise_free" else 15)
        assert c["fraction_plus"] == pytest.approx(c["n_plus"] / c["n_strength_trials"])
        assert 0 <= c["fraction_low"] <= c["fraction_plus"] <= c["fraction_high"] <= 1


def check_linearisation(rnn, inputs, point):
    u = np.asarray((inputs & point).fetch1("input_vector"))
    J = rnn.jacobian(np.asarray(point["state"]), u)
    values = np.asarray(point["modes"])
    assert np.array_equal(np.asarray(point["jacobian"]), J)
    assert np.allclose(values, np.asarray(point["eigenvalues"]), atol=1e-8)
    assert point["leading_real"] == values[0].real
    assert point["leading_real"] == pytest.approx(point["max_eigenvalue"], abs=1e-8)
    assert point["leading_imag"] == values[0].imag >= 0
    assert point["leading_frequency"] == pytest.approx(values[0].imag / 2 / np.pi)
    assert point["time_constant"] == pytest.approx(1 / np.abs(values.real).min(), rel=1e-4)
    assert point["speed"] == pytest.approx(point["residual"] ** 2, abs=1e-18)
    right, left = np.asarray(point["right_vectors"]), np.asarray(point["left_vectors"])
    assert np.allclose(J @ right, values * right, atol=1e-9)
    assert np.array_equal(np.asarray(point["right_vector"]), right[:, 0])
    assert np.array_equal(np.asarray(point["left_vector"]), left[0], equal_nan=True)
    condition = np.asarray(point["condition"])
    assert np.allclose(condition, np.linalg.norm(left, axis=1), equal_nan=True)
    if not point["defective"]:
        assert np.allclose(left @ right, np.eye(rnn.N), atol=1e-6)
        assert point["max_condition"] == condition.max() < 1e7
        assert point["leading_condition"] == condition[0] >= 1 - 1e-12
    assert 0 <= point["henrici"] < 1
    assert np.asarray(point["input_participation"]).shape == (rnn.N, rnn.n_inputs)
    shown = np.asarray(point["output_participation"])
    assert shown.shape == (rnn.N, rnn.n_outputs)
    if rnn.equation_type == "s":
        assert np.allclose(shown, np.abs(rnn.W_out @ right).T)


def check_line(row):
    n_points = len(np.asarray(row["line_speed"]))
    own = ("motion", "color").index(row["line_context"])
    angles, gains = np.asarray(row["stimulus_angles"]), np.asarray(row["stimulus_gains"])
    assert angles.shape == gains.shape == (n_points, 2)
    assert np.asarray(row["input_angles"]).shape == (n_points, 6)
    for name, column in (("relevant", own), ("irrelevant", 1 - own)):
        for kind, values in (("angle", angles), ("gain", gains)):
            known = values[~np.isnan(values[:, column]), column]
            expected = np.median(known) if known.size else None
            assert row[f"{name}_{kind}"] == expected
    assert row["max_drift"] ** 2 == pytest.approx(np.asarray(row["line_speed"]).max())
    assert np.asarray(row["fixed_points"]).shape[1] == row["n_fixed_points"]
    assert 0 <= row["n_stable_fixed_points"] <= row["n_fixed_points"]
    assert row["line_leading_real"] >= row["second_real"]
    assert np.linalg.norm(np.asarray(row["line_direction"])) == pytest.approx(1)
    if row["choice_angle"] is not None:
        assert 0 <= row["choice_angle"] <= 90
    if row["length"] > 1e-6 and row["other_line_angle"] is not None:
        assert 0 <= row["other_line_angle"] <= 180


def check_pictures(picture, sets):
    assert picture.fetch1("figure_3d")._repr_png_() != picture.fetch1("figure_2d")._repr_png_()
    frame = picture.projection()
    assert frame.names == ("PC 1", "PC 2", "PC 3")
    assert np.allclose(frame.directions.T @ frame.directions, np.eye(3))
    # the stored frame draws the sets of the row again
    found = {key["input_name"]: (sets & key).load() for key in sets.keys()}
    figure = plot_fixed_points(found, "3D", frame)
    assert re.fullmatch(r"PC 3 \([\d.]+ %\)", figure.axes[0].get_zlabel())


def test_populate_as_datajoint_users_do(database, submission):
    p = database
    p.submit(submission)
    p.Training.populate()
    p.Validation.populate({"validation_name": "noise_free"})
    assert len(p.Validation()) == 2
    rows = (p.Validation * p.Training.Network & "seed = 3").to_pandas()
    assert len(rows) == 1


def test_status_counts_done_pending_running_and_failed(database, submission):
    from pipeline.workers.status import table_status

    p = database
    p.submit(submission)
    before = {s.table: s for s in table_status()}
    assert (before["Training"].done, before["Training"].pending) == (0, 1)
    assert before["Validation"].pending == 0
    p.Training.jobs.refresh()
    key = p.Training.jobs.keys()[0]
    p.Training.jobs.reserve(key)
    running = {s.table: s for s in table_status()}["Training"]
    assert (running.pending, running.running, running.failed) == (0, 1, 0)
    p.Training.jobs.error(key, error_message="it broke")
    failed = {s.table: s for s in table_status()}["Training"]
    assert (failed.pending, failed.running, failed.failed) == (0, 0, 1)


def test_diverged_network_is_a_row_and_is_not_analysed(database, submission):
    p = database
    submission["networks"]["small"] |= {
        "dale": False,
        "equation_type": "h",
        "spectral_radius": 1e30,
    }
    p.submit(submission)
    assert p.fill((p.Training, p.Validation, p.FixedPoints)).errors == []
    networks = p.Training.Network.to_dicts()
    assert [n["status"] for n in networks] == ["diverged"] * 2
    assert all(np.isfinite(np.asarray(n["w_rec"])).all() for n in networks)
    assert len(p.Validation()) == len(p.FixedPoints()) == 0


def test_a_users_own_task_and_penalty_train(database, submission, own_classes_allowed):
    p = database
    submission["tasks"]["cddm"] = {"class": "tests.pipeline.own:Echo", "n_steps": 10}
    submission["trainings"]["short"]["penalties"] = {"tests.pipeline.own:drift": {"weight": 0.5}}
    p.submit(submission)
    assert p.fill((p.Training, p.Validation, p.TrialPlot)).errors == []
    assert p.Task.fetch1("n_inputs") == 1
    assert p.Validation.to_arrays("accuracy").tolist() == [None] * 4
    assert p.TrainingParams.Penalty.fetch1("penalty") == "tests.pipeline.own:drift"


def test_a_neurogym_task_is_a_row_and_trains(database, submission):
    p = database
    timing = {"stimulus": 300}
    params = {
        "environment": "PerceptualDecisionMaking-v0",
        "batch_size": 8,
        "arguments": {"timing": timing},
    }
    submission["tasks"]["cddm"] = {"class": "NeuroGym", "params": params}
    submission["trainings"]["short"] = {"max_iter": 2}
    p.submit(submission)
    row = p.Task.fetch1()
    assert row["task_class"] == "NeuroGym"
    assert (row["n_steps"], row["n_inputs"], row["n_outputs"]) == (5, 3, 3)
    assert row["params"] == {**params, "dt": 100, "session": 2}
    names = set(p.Task.Input.to_arrays("input_name"))
    assert names == {"fixation", "stimulus", "decision"}
    assert p.fill((p.Training, p.Validation, p.TrialPlot)).errors == []
    noise_free = p.Validation & {"validation_name": "noise_free"}
    assert noise_free.to_arrays("n_choice_trials").tolist() == [8, 8]
    assert set(p.submit(submission).values()) == {0}


def test_a_store_that_is_away_while_inserting_is_waited_for(database, submission, store):
    p = database
    p.submit(submission)
    store.rename(store.with_name("moved"))
    store.write_text("not a folder")  # even root cannot write below a file
    rows_meanwhile = []

    def bring_back():
        with contextlib.closing(p.database.connection.second_connection()) as other:
            table = p.Training.full_table_name
            rows_meanwhile.append(other.query(f"SELECT COUNT(*) FROM {table}").fetchone()[0])
        store.unlink()
        store.with_name("moved").rename(store)

    timer = threading.Timer(3, bring_back)
    timer.start()
    assert p.fill((p.Training,)).errors == []
    timer.join()
    assert rows_meanwhile == [0]
    assert len(p.Training.Network()) == 2


def test_a_full_disk_while_inserting_leaves_no_row(database, submission):
    """The system refuses to write files of more than some bytes, as a full disk does."""
    import resource
    import signal

    p = database
    p.submit(submission)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (200, before[1]))
    try:
        filled = p.fill((p.Training,))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)
    assert len(filled.errors) == 1
    assert "too large" in filled.errors[0][2]
    assert len(p.Training()) == len(p.Training.Network()) == 0


def test_cohort_refuses_what_it_cannot_train(database, submission):
    p = database
    p.submit(submission)
    key = {"task_name": "cddm", "network_name": "small", "training_name": "short"}
    for field, value in (("n_networks", 0), ("first_seed", -1), ("n_networks", 1.5)):
        row = {**key, "first_seed": 10, "n_networks": 1, field: value}
        with pytest.raises(ParameterError, match=field):
            p.Cohort.insert1(row)
    assert len(p.Cohort()) == 1


def test_dropout_and_early_stopping_are_columns(database, submission):
    p = database
    submission["trainings"]["short"] |= {
        "dropout_rate": 0.1,
        "dropout_kind": "dead",
        "validation_interval": 5,
        "stop_score": -1000.0,
    }
    p.submit(submission)
    assert p.fill((p.Training,)).errors == []
    assert len(p.TrainingParams & "dropout_rate > 0.05" & {"dropout_kind": "dead"}) == 1
    stopped = p.Training.Network & {"stopped_by": "score"}
    assert len(stopped) == 2
    for row in stopped.to_dicts():
        assert row["iterations_done"] == 5
        assert np.asarray(row["score_curve"])[:, 0].tolist() == [5.0]
        assert len(np.asarray(row["loss_curve"])) == 5
    before = len(p.TrainingParams())
    with pytest.raises(ParameterError, match="patience"):
        p.TrainingParams.insert1({"training_name": "impatient", "patience": 3})
    assert len(p.TrainingParams()) == before
