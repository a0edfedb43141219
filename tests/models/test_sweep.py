"""Networks of one batch: each as if it were trained alone, to the bit, and what is refused."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from models import NetworkConfig, RNNTorch, Trainer, TrainingConfig, penalties
from models.connectivity import initial_connectivity
from tasks_lib import NBitFlipFlop, ParameterError
from tests.models.strategies import any_network
from tests.models.test_losses import CHARGED

NAMES = tuple(name for name in penalties.names() if name != "task")
NETWORK = NetworkConfig(n_units=9, activation="softplus", equation_type="h", tau=2.0)


def flip_flop(seed=0, batch_size=11):
    return NBitFlipFlop(n_steps=13, n_bits=2, pulse=2, mu=3, batch_size=batch_size, seed=seed)


@contextmanager
def torch_threads(number):
    before = torch.get_num_threads()
    torch.set_num_threads(number)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def train(networks, trainings, seeds, threads=1, batch_size=11):
    with torch_threads(threads):
        rnn = RNNTorch.from_configs(networks, 2, 2, seeds)
        tasks = [flip_flop(seed, batch_size) for seed in seeds]
        return Trainer(rnn, tasks, trainings).run_training()


def assert_same(a, b):
    for name in ("seed", "status", "iterations", "loss", "r2", "stopped_by"):
        assert repr(getattr(a, name)) == repr(getattr(b, name)), name  # NaN equals NaN
    for name in a.weights:
        assert np.array_equal(a.weights[name], b.weights[name]), name
    assert a.loss_curve.tobytes() == b.loss_curve.tobytes()
    assert a.score_curve.tobytes() == b.score_curve.tobytes()
    for ours, theirs in (
        (a.term_curves, b.term_curves),
        (a.gradient_curves, b.gradient_curves),
    ):
        assert list(ours) == list(theirs)
        assert all(np.array_equal(ours[k], theirs[k], equal_nan=True) for k in ours)


levels = st.sampled_from([0.0, 0.1, 0.3])
any_penalties = st.dictionaries(
    st.sampled_from(NAMES), st.sampled_from([0.0, 0.03, 0.5]), max_size=3
).map(lambda d: {k: {"weight": w, "args": CHARGED.get(k, {})} for k, w in d.items()})
own_network = st.fixed_dictionaries(
    {
        "sigma_rec": levels,
        "sigma_inp": levels,
        "sigma_out": levels,
        "spectral_radius": st.sampled_from([0.5, 1.2]),
        "density": st.sampled_from([0.4, 1.0]),
        "self_connections": st.booleans(),
        "nonnegative_inp": st.booleans(),
        "nonnegative_out": st.booleans(),
        "bias_init": st.sampled_from(["zero", "uniform"]),
    }
)
own_training = st.fixed_dictionaries(
    {
        "lr": st.sampled_from([None, 0.003, 0.05]),
        "weight_decay": st.sampled_from([0.0, 1e-6, 1e-2]),
        "max_grad_norm": st.sampled_from([50.0, 0.01]),
        "penalties": any_penalties,
    }
)
shared_training = st.fixed_dictionaries(
    {"max_iter": st.integers(1, 6)},
    optional={
        "same_batch": st.booleans(),
        "task_safe_gradients": st.booleans(),
        "monitor": st.booleans(),
        "anneal_noise": st.booleans(),
        "validation_interval": st.sampled_from([1, 2]),
        "dropout_rate": st.just(0.3),
        "dropout_kind": st.sampled_from(["mute", "dead"]),
        "dropout_sampling": st.sampled_from(["uniform", "participation", "output_weights"]),
    },
)


@settings(max_examples=60, deadline=None)
@given(
    network=any_network,
    n_units=st.sampled_from([7, 16, 50]),
    shared=shared_training,
    own=st.lists(st.tuples(own_network, own_training), min_size=1, max_size=5),
    threads=st.sampled_from([1, 2]),
    batch_size=st.sampled_from([5, 11, 33]),
    data=st.data(),
)
def test_a_network_is_the_same_alone_and_among_others(
    network, n_units, shared, own, threads, batch_size, data
):
    networks = [replace(network, n_units=n_units, **mine) for mine, _ in own]
    trainings = [TrainingConfig(**shared, **mine) for _, mine in own]
    seeds = data.draw(st.lists(st.integers(0, 99), min_size=len(own), max_size=len(own)))
    together = train(networks, trainings, seeds, threads, batch_size)
    for i in range(len(own)):
        (alone,) = train(
            networks[i : i + 1], trainings[i : i + 1], seeds[i : i + 1], 3 - threads, batch_size
        )
        assert_same(together[i], alone)
