"""A user's task whose trials differ in length, from its row to scores and pictures."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from models import NetworkConfig, TrainingConfig, train_cohort
from tasks_lib import ParameterError, Task, create_task

pytestmark = pytest.mark.either_backend

EXAMPLES = Path(__file__).parents[2] / "examples"
EXAMPLE = "trials_of_different_lengths:CuedResponse"
PER_TRIAL = "tests.tasks_lib.test_masks:MaskPerTrial"


@pytest.fixture
def allowed(monkeypatch):
    monkeypatch.syspath_prepend(EXAMPLES)
    monkeypatch.setenv("RNN_ALLOWED_PACKAGES", "tests,trials_of_different_lengths")


def rows(**tasks):
    network = {"n_units": 16, "activation": "tanh", "tau": 2.0}
    training = {"max_iter": 150, "lr": 0.02, "validation_interval": 50}
    cohort = {"network": "small", "training": "short", "first_seed": 3, "n_networks": 1}
    return {
        "tasks": tasks,
        "networks": {"small": network},
        "trainings": {"short": training},
        "cohorts": [{"task": name, **cohort} for name in tasks],
    }


@pytest.mark.usefixtures("allowed")
def test_the_example_goes_through_all_tables(database):
    p = database
    wanted = rows(
        cued={"class": EXAMPLE, "n_steps": 40, "params": {"n_trials": 16}},
        masked={"class": PER_TRIAL, "n_steps": 30},
    )
    p.submit(wanted)
    tables = (p.Training, p.Validation, p.TrialPlot, p.FixedPoints, p.FixedPointPlot)
    assert p.fill(tables).errors == []
    key = {"task_name": "cued", "validation_name": "noise_free"}
    scores = (p.Validation & key).fetch1()
    assert scores["accuracy"] == 1.0  # at the end of each trial, and not of the array
    assert scores["n_choice_trials"] == scores["n_trials"] == 16
    assert scores["r2_pooled"] > 0.8
    kinds = (p.Validation.Condition & key).to_dicts(order_by="condition_number")
    assert [k["trial_condition"] for k in kinds] == [{"sign": 1}, {"sign": -1}]
    assert sum(k["condition_mse"] for k in kinds) / 2 == pytest.approx(scores["mse"], rel=0.5)
    assert len(p.TrialPlot & {"task_name": "masked"}) == 2

    network = (p.Training.Network & {"task_name": "cued"}).fetch1()
    direct = train_cohort(
        lambda seed: create_task(EXAMPLE, 40, params={"n_trials": 16}, seed=seed),
        NetworkConfig(**wanted["networks"]["small"]),
        TrainingConfig(**wanted["trainings"]["short"]),
        [3],
        device=p.Training.to_arrays("device")[0],
    ).networks[0]
    assert np.array_equal(np.asarray(network["loss_curve"]), direct.loss_curve)
    assert network["r2"] == direct.r2


@pytest.mark.usefixtures("allowed")
def test_a_mask_that_is_none_is_refused_before_anything_is_stored(database):
    with pytest.raises(ParameterError, match=r"NoMask\.mask = None: is no mask of steps"):
        database.submit(rows(none={"class": f"{__name__}:NoMask", "n_steps": 30}))
    assert len(database.Task()) == len(database.Cohort()) == 0


class NoMask(Task):
    """A property that forgets to return what it made."""

    def __init__(self, n_steps=30, n_inputs=1, n_outputs=1, seed=None):
        super().__init__(n_steps, n_inputs, n_outputs, seed)

    def conditions(self):
        return [{"value": 1.0}]

    def generate_input_target_stream(self, value):
        stream = np.full((1, self.n_steps), value)
        return stream, stream.copy(), {"value": value}

    @property
    def mask(self):
        np.arange(self.n_steps)
