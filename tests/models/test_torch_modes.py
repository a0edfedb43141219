"""What a program has switched in torch changes no training."""

from __future__ import annotations

import copy
from contextlib import contextmanager

import numpy as np
import pytest
import torch

from models import NetworkConfig, RNNTorch, Trainer, TrainingConfig, train_cohort
from tasks_lib import NBitFlipFlop, ParameterError

PENALTIES = {
    "metabolic": {"weight": 0.1},
    "channel_overlap": {"weight": 0.1},
    "eff_dim_tail_energy": {"weight": 0.1},
    "rec_weights_sparsity": {"weight": 0.01},
}
CONFIG = NetworkConfig(
    n_units=8, activation="tanh", sigma_rec=0.05, bias_min=-1.0, bias_max=1.0, train_x_init=True
)


@contextmanager
def double():
    torch.set_default_dtype(torch.float64)
    try:
        yield
    finally:
        torch.set_default_dtype(torch.float32)


@contextmanager
def on_meta():
    """On a device that holds no numbers."""
    torch.set_default_device("meta")
    try:
        yield
    finally:
        torch.set_default_device(None)


MODES = {
    "inference mode": torch.inference_mode,
    "no gradients": torch.no_grad,
    "gradients off": lambda: torch.set_grad_enabled(False),
    "double precision": double,
    "another device": on_meta,
    "another device here": lambda: torch.device("meta"),
    "autocast": lambda: torch.autocast("cpu", dtype=torch.bfloat16),
}


def task():
    return NBitFlipFlop(
        n_steps=20, n_inputs=1, n_outputs=1, n_bits=1, pulse=3, batch_size=8, seed=0
    )


def cohort(**fields):
    made = train_cohort(task(), CONFIG, TrainingConfig(max_iter=8, lr=0.01, **fields), [0, 1])
    return [array for n in made.networks for array in (*n.weights.values(), n.loss_curve)]


def trainer():
    rnn = RNNTorch.from_config(CONFIG, 1, 1, seed=0)
    made = Trainer(rnn, task(), TrainingConfig(max_iter=4, penalties=PENALTIES))
    return list(made.run_training()[0].weights.values())


TRAININGS = {
    "plain": cohort,
    "penalties": lambda: cohort(penalties=PENALTIES, monitor=True),
    "kept apart": lambda: cohort(penalties=PENALTIES, task_safe_gradients=True),
    "dropout": lambda: cohort(dropout_rate=0.2, dropout_sampling="participation"),
    "validated": lambda: cohort(validation_interval=3, patience=1, same_batch=False),
    "by hand": trainer,
}


@pytest.mark.parametrize("name", TRAININGS)
def test_a_training_is_the_same_to_the_bit(name):
    expected = TRAININGS[name]()
    for mode, switched in MODES.items():
        before = torch.get_default_dtype(), torch.is_grad_enabled()
        with switched():
            inside = torch.get_default_dtype(), torch.get_default_device(), torch.is_grad_enabled()
            found = TRAININGS[name]()
            assert inside == (
                torch.get_default_dtype(), torch.get_default_device(), torch.is_grad_enabled()
            ), mode  # fmt: skip
        assert (torch.get_default_dtype(), torch.is_grad_enabled()) == before
        for one, other in zip(expected, found, strict=True):
            assert one.dtype == other.dtype, mode
            assert np.array_equal(one, other), mode


def test_weights_that_take_no_gradients_are_refused():
    rnn = RNNTorch.from_config(CONFIG, 1, 1)
    with torch.inference_mode():
        frozen = copy.deepcopy(rnn)
    with pytest.raises(ParameterError, match=r"rnn = .*make the network outside of it"):
        Trainer(frozen, task(), TrainingConfig(max_iter=1))
