"""Early stopping: which weights are kept, when training ends, and that companions do not matter."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from models import (
    NetworkConfig,
    PerformanceAnalyzer,
    RNNTorch,
    Trainer,
    TrainingConfig,
    r2_pooled,
    train_cohort,
)
from models.training.early_stopping import BestWeights
from tasks_lib import NBitFlipFlop, ParameterError, Task

NETWORK = NetworkConfig(n_units=16, activation="tanh", tau=2.0)


def flip_flop(seed=0):
    return NBitFlipFlop(n_steps=24, n_bits=1, pulse=4, mu=3, batch_size=32, seed=seed)


def best_of(**config):
    weights = [torch.zeros(2, 3)]
    return weights, BestWeights(weights, TrainingConfig(validation_interval=10, **config))


def test_the_best_weights_are_kept_for_each_network():
    weights, best = best_of()
    both = np.array([True, True])
    for i, scores in enumerate([[0.1, 0.5], [0.3, 0.4], [np.nan, 0.45], [0.2, np.inf]], start=1):
        weights[0].fill_(float(i))
        assert not best.update(np.array(scores), 10 * i, both).any()
    best.restore(both)
    assert weights[0].tolist() == [[2.0] * 3, [1.0] * 3]
    assert best.iteration.tolist() == [20, 10]
    assert best.score_curve(0).tolist() == [[10, 0.1], [20, 0.3], [40, 0.2]]
    assert best.stopped_by(0) is None


def test_a_score_or_a_lack_of_patience_ends_a_training():
    _, best = best_of(patience=2, stop_score=0.9)
    both = np.array([True, True])
    assert best.update(np.array([0.5, 0.5]), 10, both).tolist() == [False, False]
    assert best.update(np.array([0.5, 0.6]), 20, both).tolist() == [False, False]  # no better
    assert best.update(np.array([0.4, 0.95]), 30, both).tolist() == [True, True]
    assert [best.stopped_by(i) for i in range(2)] == ["patience", "score"]


def test_what_is_reached_in_the_last_iteration_stops_nothing():
    weights = [torch.zeros(1, 3)]
    config = TrainingConfig(max_iter=20, validation_interval=10, stop_score=0.5)
    best = BestWeights(weights, config)
    best.update(np.array([0.9]), 20, np.array([True]))
    assert best.stopped_by(0) is None
    assert best.iteration.tolist() == [20]


def test_a_network_without_a_finite_score_keeps_its_weights():
    weights, best = best_of()
    best.update(np.array([np.nan, 0.1]), 10, np.array([True, True]))
    weights[0].fill_(7.0)
    best.restore(np.array([True, True]))
    assert weights[0].tolist() == [[7.0] * 3, [0.0] * 3]


def test_training_stops_when_the_score_is_reached():
    config = TrainingConfig(
        max_iter=400, lr=0.02, validation_interval=20, stop_score=0.7, same_batch=False
    )
    network = train_cohort(flip_flop, NETWORK, config, [0], device="cpu").networks[0]
    assert network.stopped_by == "score"
    assert network.status == "finished"
    assert network.iterations < 400
    assert network.iterations % 20 == 0
    assert len(network.loss_curve) == network.iterations
    assert network.score_curve[-1].tolist() == [network.iterations, network.score_curve[:, 1].max()]
    assert network.score_curve[-1, 1] >= 0.7 > network.score_curve[:-1, 1].max()


def test_the_score_is_that_of_the_weights_on_trials_that_training_does_not_see():
    config = TrainingConfig(max_iter=60, lr=0.05, validation_interval=7)
    rnn = RNNTorch.from_config(NETWORK, 1, 1, seed=[5])
    trainer = Trainer(rnn, flip_flop(3), config)
    network = trainer.run_training()[0]
    assert network.score_curve[:, 0].tolist() == [7, 14, 21, 28, 35, 42, 49, 56, 60]
    best = int(np.argmax(network.score_curve[:, 1]))
    assert network.iterations == network.score_curve[best, 0]
    inputs, targets = (a.movedim(-1, -3).numpy() for a in trainer.batches.validation())
    _, outputs = rnn.to_numpy().run(inputs)
    assert r2_pooled(outputs, targets) == pytest.approx(network.score_curve[best, 1], abs=1e-5)
    assert not np.array_equal(inputs, flip_flop(3).get_batch()[0])
    score = PerformanceAnalyzer(rnn.to_numpy(), flip_flop(3)).validate().r2_pooled
    assert score == pytest.approx(network.r2, abs=1e-5)


def test_a_stopped_network_rests_and_its_companions_do_not_notice():
    config = TrainingConfig(max_iter=120, lr=0.02, validation_interval=5, patience=3)
    seeds = (0, 1, 2, 3)

    def train(*chosen):
        rnn = RNNTorch.from_config(NETWORK, 1, 1, seed=list(chosen), dtype=torch.float64)
        return Trainer(rnn, [flip_flop(s) for s in chosen], config).run_training()

    together = train(*seeds)
    assert len({len(n.loss_curve) for n in together}) > 1  # they stop at different times
    for network in together:
        alone = train(network.seed)[0]
        assert (alone.iterations, alone.stopped_by) == (network.iterations, network.stopped_by)
        assert alone.loss_curve.shape == network.loss_curve.shape
        assert np.allclose(alone.loss_curve, network.loss_curve, rtol=1e-5)
        assert np.allclose(alone.weights["W_rec"], network.weights["W_rec"], atol=1e-8)


def test_bad_fields_are_named():
    for field, value in (
        ("validation_interval", -1),
        ("patience", -2),
        ("patience", 3),  # without validation
        ("stop_score", 0.9),  # without validation
    ):
        with pytest.raises(ParameterError) as caught:
            TrainingConfig(**{field: value})
        assert caught.value.field == field
    with pytest.raises(ParameterError, match="stop_score"):
        TrainingConfig(validation_interval=5, stop_score=1.5)


class Silence(Task):
    def __init__(self, n_steps=5, n_inputs=1, n_outputs=1, seed=None):
        super().__init__(n_steps, n_inputs, n_outputs, seed)

    def conditions(self):
        return [{}, {}]

    def generate_input_target_stream(self):
        return np.ones((1, self.n_steps)), np.zeros((1, self.n_steps)), {}


def test_a_task_without_a_score_cannot_be_stopped_by_it():
    rnn = RNNTorch.from_config(NETWORK, 1, 1, seed=[0])
    with pytest.raises(ParameterError, match="validation_interval"):
        Trainer(rnn, Silence(), TrainingConfig(validation_interval=5))
    assert Trainer(rnn, Silence(), TrainingConfig(max_iter=2)).run_training()[0].r2 is None
