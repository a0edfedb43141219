"""What became of each term of a network's loss, as rows and as a figure."""

from __future__ import annotations

import numpy as np
import pytest

from models import NetworkConfig, TrainingConfig, train_cohort
from pipeline.cli.cohort_report import cohort_reports
from pipeline.sharing.figures import export_figures
from tasks_lib import ParameterError, create_task
from tests.pipeline.test_imported import SEED_FILE

pytestmark = pytest.mark.either_backend

PENALTIES = {"metabolic": {"weight": 0.01}, "fr_magnitude": {"weight": 0.2, "args": {"tau": 0.2}}}
TERMS = ["fr_magnitude", "metabolic", "task"]


@pytest.fixture
def p(database, submission):
    """Two networks with penalties that were monitored, and two with the task alone."""
    submission["trainings"] = {
        "watched": {"max_iter": 7, "lr": 0.02, "monitor": True, "penalties": PENALTIES},
        "plain": {"max_iter": 7, "lr": 0.02},
    }
    cohort = submission["cohorts"][0]
    submission["cohorts"] = [{**cohort, "training": name} for name in submission["trainings"]]
    database.submit(submission)
    assert database.fill((database.Training, database.Validation)).errors == []
    return database


def test_every_term_of_a_network_is_a_row(p, submission):
    rows = (p.Training.Term & {"seed": 3}).to_dicts(order_by="KEY")
    assert [r["term"] for r in rows] == TERMS
    assert {r["training_name"] for r in rows} == {"watched"}
    assert [r["term_weight"] for r in rows] == [0.2, 0.01, 1.0]
    assert len(p.Training.Term()) == 2 * 3
    assert len(p.TrainingParams & "monitor") == 1

    direct = train_cohort(
        create_task("CDDM", 20, params=submission["tasks"]["cddm"]["params"], seed=0),
        NetworkConfig(**submission["networks"]["small"]),
        TrainingConfig(**submission["trainings"]["watched"]),
        [3],
        device=p.Training.to_arrays("device")[0],
    ).networks[0]
    for row in rows:
        assert row["term_curve"].shape == row["gradient_curve"].shape == (7,)  # not read yet
        assert np.array_equal(np.asarray(row["term_curve"]), direct.term_curves[row["term"]])
        gradients = np.asarray(row["gradient_curve"])
        assert np.array_equal(gradients, direct.gradient_curves[row["term"]])
        assert row["final_loss"] == pytest.approx(np.asarray(row["term_curve"])[-1])
        assert row["final_gradient"] == pytest.approx(gradients[-1])
    losses = sum(r["term_weight"] * np.asarray(r["term_curve"]) for r in rows)
    network = (p.Training.Network & {"training_name": "watched", "seed": 3}).fetch1()
    assert losses == pytest.approx(np.asarray(network["loss_curve"]), rel=1e-5)


def test_terms_restrict_networks_and_are_restricted_by_them(p):
    """Each question is one expression: no column but the key's has another table's name."""
    ended = p.Training.Term & {"term": "fr_magnitude"}
    low, high = sorted(ended.to_arrays("final_loss"))
    below = p.Training.Network & (ended & f"final_loss < {(low + high) / 2}")
    assert len(below) == 1
    assert len(p.Training.Network & (ended & f"final_loss <= {high * 1.01}")) == 2
    assert len(p.Training.Network & (ended & f"final_loss < {low / 2}")) == 0
    assert len(p.Training.Term & (p.Training.Network & {"status": "finished"})) == 6
    heavy = p.TrainingParams & (p.TrainingParams.Penalty & "weight > 0.1")
    assert len(p.Training.Term & heavy & "final_gradient > 0" & {"term": "task"}) == 2
    assert len(p.Validation & (ended & "final_loss > 0")) == 4
    joined = p.Training.Term * p.Training.Network * p.Training
    assert len(joined.proj("final_loss", "r2", "device").to_pandas()) == 6


def test_without_monitor_there_are_no_gradients(database, submission):
    p = database
    p.submit(submission)
    assert p.fill((p.Training,)).errors == []
    rows = p.Training.Term.to_dicts()
    assert sorted({r["term"] for r in rows}) == ["metabolic", "task"]
    assert all(r["term_curve"].shape == (20,) for r in rows)
    assert [(r["gradient_curve"], r["final_gradient"]) for r in rows] == [(None, None)] * 4
    assert len(p.Training.Term & "gradient_curve is null") == 4
    assert len((p.Training.Term & {"seed": 3}).plot().axes) == 1


def test_the_task_alone_is_a_term_where_it_is_monitored(database, submission):
    p = database
    submission["trainings"]["short"] = {"max_iter": 3, "monitor": True}
    p.submit(submission)
    assert p.fill((p.Training,)).errors == []
    row = (p.Training.Term & {"seed": 3}).fetch1()
    assert (row["term"], row["term_weight"]) == ("task", 1.0)
    network = (p.Training.Network & {"seed": 3}).fetch1()
    assert np.array_equal(np.asarray(row["term_curve"]), np.asarray(network["loss_curve"]))
    assert np.asarray(row["gradient_curve"]).shape == (3,)
    assert row["final_gradient"] > 0


def test_a_network_that_diverged_at_once_has_empty_curves(database, submission):
    p = database
    submission["networks"]["small"] |= {
        "dale": False,
        "equation_type": "h",
        "spectral_radius": 1e30,
    }
    submission["trainings"]["short"]["monitor"] = True
    p.submit(submission)
    assert p.fill((p.Training,)).errors == []
    rows = p.Training.Term.to_dicts()
    assert len(rows) == 4
    for row in rows:
        assert row["term_curve"].shape == row["gradient_curve"].shape == (0,)
        assert row["final_loss"] is row["final_gradient"] is None


def test_terms_go_with_their_training(p):
    watched = {"training_name": "watched"}
    with pytest.raises(Exception, match=r"[Dd]elete from .*master"):
        (p.Training.Network & watched).delete(prompt=False)
    assert (len(p.Training.Network()), len(p.Training.Term())) == (4, 6)
    (p.Training & watched & {"first_seed": 3}).delete(prompt=False)
    assert (len(p.Training.Network()), len(p.Training.Term())) == (2, 0)
    assert len(p.Validation()) == 4
    assert p.fill((p.Training,)).errors == []
    assert len(p.Training.Term()) == 6
    # From below, and from above.
    (p.Training.Term & watched & {"seed": 3}).delete(part_integrity="cascade", prompt=False)
    assert (len(p.Training()), len(p.Training.Term())) == (1, 0)
    assert p.fill((p.Training,)).errors == []
    (p.TrainingParams & watched).delete(prompt=False)
    assert (len(p.Training.Network()), len(p.Training.Term()), len(p.Cohort())) == (2, 0, 1)


def test_imported_networks_have_no_terms(p):
    key = p.import_network(SEED_FILE, "cddm")
    assert len(p.Training.Term & key) == 0
    with pytest.raises(ParameterError, match="monitored"):
        (p.Training.Term & key).plot()


def test_the_summary_counts_networks_not_terms(p):
    reports = cohort_reports(r2=-1e9, accuracy=0.0)
    assert {r.training: (r.n_networks, r.n_solved) for r in reports} == {
        "plain": (2, 2),
        "watched": (2, 2),
    }


def test_terms_are_figures(p, tmp_path):
    one = p.Training.Term & {"seed": 3}
    figure = one.plot()
    assert [axes.get_yscale() for axes in figure.axes] == ["log", "log"]
    labels = [text.get_text() for text in figure.legends[0].get_texts()]
    assert labels == ["task", "fr_magnitude", "metabolic"]
    with pytest.raises(ParameterError, match="2 networks"):
        p.Training.Term().plot()
    written = export_figures(tmp_path, {"seed": 3})
    first = p.Cohort.to_arrays("first_seed")[0]
    assert f"cddm--small--plain--seeds_from{first}--learning_curves.png" in {
        f.name for f in written
    }
    (path,) = (f for f in written if f.stem.endswith("loss_terms"))
    assert path.name == "cddm--small--watched--seed3--loss_terms.png"
    assert path.read_bytes().startswith(b"\x89PNG")


def test_a_users_own_penalty_that_names_its_statistics_is_a_term(
    database, submission, own_classes_allowed
):
    p = database
    own = "tests.pipeline.own:spread"
    submission["trainings"]["short"] = {
        "max_iter": 30,
        "lr": 0.02,
        "monitor": True,
        "penalties": {own: {"weight": 5.0, "args": {"tau": 0.05}}},
    }
    p.submit(submission)
    assert p.fill((p.Training,)).errors == []
    rows = (p.Training.Term & {"term": own}).to_dicts()
    assert [r["term_weight"] for r in rows] == [5.0, 5.0]
    for row in rows:
        curve = np.asarray(row["term_curve"])
        assert 0 < row["final_loss"] < curve[0]  # it is trained on
        assert (np.asarray(row["gradient_curve"]) > 0).all()
