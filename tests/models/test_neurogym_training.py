"""Networks learn NeuroGym's tasks: well above chance on trials that they were not trained on."""

from __future__ import annotations

import numpy as np
import pytest

from models import NetworkConfig, RNNNumpy, TrainingConfig, train_cohort
from tasks_lib import create_task

NETWORK = NetworkConfig(n_units=32, activation="tanh", tau=2.0)
TASKS = {
    "PerceptualDecisionMaking-v0": {
        "timing": {"fixation": 100, "stimulus": 500, "decision": 200},
        "cohs": [25.6, 51.2],
    },
    "GoNogo-v0": {"timing": {"stimulus": 200, "delay": 300, "decision": 200}},
    "ContextDecisionMaking-v0": {
        "timing": {"fixation": 100, "stimulus": 400, "delay": 200, "decision": 200},
        "sigma": 0.2,
    },
    "yang19.dlygo-v0": {"dim_ring": 8},
}


@pytest.mark.parametrize("environment", TASKS)
def test_accuracy_on_fresh_trials_is_well_above_chance(environment):
    arguments = TASKS[environment]
    params = {"environment": environment, "batch_size": 256, "arguments": arguments}
    training = TrainingConfig(max_iter=100, lr=0.01)
    network = train_cohort(
        lambda seed: create_task("NeuroGym", params=params, seed=seed),
        NETWORK,
        training,
        seeds=[0],
        device="cpu",
    ).networks[0]
    rnn = RNNNumpy(**network.weights, activation="tanh", tau=2.0)
    fresh = create_task("NeuroGym", params=params, seed=2**33)
    inputs, targets, _ = fresh.get_batch()
    right = fresh.get_choices(targets)
    chosen = fresh.get_choices(rnn.run(inputs)[1])
    chance = np.bincount(right).max() / len(right)  # share of the commonest right choice
    accuracy = np.mean(chosen == right)
    assert chance < 0.6
    assert accuracy > chance + 0.25, (accuracy, chance)
