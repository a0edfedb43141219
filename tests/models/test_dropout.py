"""Dropout: its probabilities, what a dropped unit still does, independence of companions."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from models import Connectivity, NetworkConfig, RNNTorch, Trainer, TrainingConfig, train_cohort
from models.network.dropout_mask import DropoutMask
from models.training.dropout import UnitDropout
from tasks_lib import NBitFlipFlop, ParameterError


def rnn_of(n_units=6, seeds=(0, 1), dtype=torch.float64, **config):
    network = NetworkConfig(n_units=n_units, activation="tanh", tau=2.0, **config)
    return RNNTorch.from_config(network, 2, 2, seed=list(seeds), dtype=dtype)


def dropout_of(rnn, **config):
    return UnitDropout(rnn, TrainingConfig(**{"dropout_rate": 0.2, **config}))


def test_uniform_probabilities_are_the_rate():
    assert torch.allclose(dropout_of(rnn_of()).probabilities(), torch.full((2, 6), 0.2).double())


def test_preferred_units_follow_the_softmax():
    rnn = rnn_of()
    dropout = dropout_of(rnn, dropout_sampling="output_weights", dropout_beta=3.0)
    read = np.abs(rnn.W_out.detach().numpy()).sum(axis=1)
    share = np.exp(3.0 * read) / np.exp(3.0 * read).sum(axis=1, keepdims=True)
    expected = np.minimum(0.2 * 6 * share, 0.999)
    assert np.allclose(dropout.probabilities().numpy(), expected, atol=1e-12)
    strict = dropout_of(rnn, dropout_sampling="output_weights", dropout_beta=1e3, dropout_rate=0.9)
    assert float(strict.probabilities().max()) == pytest.approx(0.999)


def test_participation_is_a_running_mean_of_activity():
    rnn = rnn_of(n_units=3, seeds=(0,))
    dropout = dropout_of(
        rnn, dropout_sampling="participation", participation_rate=0.25, participation_quantile=0.7
    )
    rng = np.random.default_rng(0)
    expected = np.full(3, 1e-6)
    for _ in range(3):
        rates = rng.standard_normal((1, 5, 4, 3))
        dropout.observe(torch.as_tensor(rates))
        size = np.abs(rates).reshape(20, 3)
        expected = 0.75 * expected + 0.25 * (np.quantile(size, 0.7, axis=0) + size.std(axis=0))
        assert np.allclose(dropout.participation.numpy()[0], expected, atol=1e-12)
    share = np.exp(expected) / np.exp(expected).sum()
    assert np.allclose(dropout.probabilities().numpy()[0], 0.2 * 3 * share)


def test_draws_have_the_probabilities():
    dropout = dropout_of(rnn_of(), dropout_rate=0.3)
    kept = torch.stack([dropout.draw().factor for _ in range(2000)])
    assert torch.allclose(kept.mean(dim=0), torch.ones(2, 6).double(), atol=0.06)
    assert np.allclose(kept.unique(), [0.0, 1 / 0.7])
    plain = dropout_of(rnn_of(), dropout_rate=0.3, dropout_rescale=False)
    kept = torch.stack([plain.draw().factor for _ in range(2000)])
    assert kept.unique().tolist() == [0.0, 1.0]
    assert torch.allclose(kept.mean(dim=0), torch.full((2, 6), 0.7).double(), atol=0.05)
    assert not torch.equal(kept[:, 0], kept[:, 1])  # each network has its own stream


def test_a_network_that_diverged_draws_without_harm():
    dropout = dropout_of(rnn_of(), dropout_sampling="participation")
    dropout.participation[0] = torch.nan
    kept = dropout.draw().factor
    assert torch.equal(kept[0], torch.ones(6).double())
    assert torch.isfinite(kept).all()


@pytest.mark.parametrize("form", ["s", "h"])
def test_a_muted_unit_is_not_read_and_a_dead_one_sends_nothing(form):
    rnn = rnn_of(seeds=(0,), equation_type=form)
    u = torch.randn(9, 4, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    kept = torch.tensor([[1.0, 0, 1, 1, 0, 1]], dtype=torch.float64)
    states, _ = rnn.simulate(u, noise=False)
    muted_states, muted = rnn.simulate(u, dropout=DropoutMask(kept))
    assert torch.equal(muted_states, states)
    read = rnn.equation.rates(states) * kept[:, None, None, :]
    assert torch.allclose(muted, read @ rnn.effective("W_out").transpose(1, 2)[:, None])
    # A dead unit might as well not be there.
    stay = kept[0].bool().numpy()
    w = rnn.weights()
    config = NetworkConfig(n_units=4, activation="tanh", equation_type=form, tau=2.0)
    less = {
        "W_rec": w["W_rec"][np.ix_(stay, stay)],
        "W_inp": w["W_inp"][stay],
        "W_out": w["W_out"][:, stay],
    }
    smaller = RNNTorch(Connectivity.of(less, config), config, dtype=torch.float64)
    dead_states, dead = rnn.simulate(u, dropout=DropoutMask(kept, dead=True))
    expected_states, expected = smaller.simulate(u, noise=False)
    assert torch.allclose(dead_states[..., stay], expected_states, atol=1e-12)
    assert torch.allclose(dead, expected, atol=1e-12)


@pytest.mark.parametrize("kind", ["mute", "dead"])
def test_what_was_dropped_gets_no_gradient(kind):
    rnn = rnn_of(seeds=(0,))
    u = torch.ones(6, 3, 2, dtype=torch.float64)
    kept = torch.tensor([[1.0, 0, 1, 1, 1, 1]], dtype=torch.float64)
    _, outputs = rnn.simulate(u, dropout=DropoutMask(kept, dead=kind == "dead"))
    outputs.square().sum().backward()
    assert not rnn._W_out.grad[0, :, 1].any()
    assert rnn._W_out.grad[0, :, 0].all()
    assert bool(rnn._W_rec.grad[0, 0, 1] == 0) is (kind == "dead")


def test_a_dead_unit_does_not_count_in_the_penalties():
    task = NBitFlipFlop(n_steps=10, n_bits=2, pulse=2, batch_size=4, seed=0)
    rnn = rnn_of(seeds=(0,))
    losses = Trainer(rnn, task, TrainingConfig(penalties={"metabolic": {"weight": 1.0}})).losses
    u, t = (rnn.to_internal(a) for a in task.get_batch()[:2])
    kept = torch.ones(1, 6, dtype=torch.float64)
    kept[0, 2] = 0
    descent = losses.descent(u, t, dropout=DropoutMask(kept, dead=True))
    rates = rnn.equation.rates(descent.run.states).clone()
    rates[..., 2] = 0
    assert float(descent.terms["metabolic"]) == pytest.approx(float(rates.square().mean()))


@pytest.mark.parametrize("sampling", ["uniform", "participation", "output_weights"])
@pytest.mark.parametrize("kind", ["mute", "dead"])
def test_training_with_dropout_does_not_depend_on_companions(sampling, kind):
    config = TrainingConfig(
        max_iter=8,
        lr=0.01,
        dropout_rate=0.2,
        dropout_kind=kind,
        dropout_sampling=sampling,
        penalties={"metabolic": {"weight": 0.1}},
    )

    def train(config, *seeds):
        task = NBitFlipFlop(n_steps=12, n_bits=2, pulse=2, batch_size=4, seed=0)
        return Trainer(rnn_of(seeds=seeds), task, config).run_training()

    together, alone = train(config, 0, 1, 2), train(config, 1)[0]
    assert np.allclose(alone.loss_curve, together[1].loss_curve, rtol=1e-6)
    assert np.allclose(alone.weights["W_rec"], together[1].weights["W_rec"], atol=1e-9)
    plain = train(TrainingConfig(max_iter=8, lr=0.01), 1)[0]
    assert not np.allclose(alone.weights["W_out"], plain.weights["W_out"], atol=1e-6)


@pytest.mark.slow
def test_a_network_trained_with_dropout_does_without_some_units():
    """Muted units cost a network less where it was trained with dropout."""
    task = NBitFlipFlop(n_steps=30, n_bits=1, pulse=4, mu=3, batch_size=32, seed=0)
    network = NetworkConfig(n_units=16, activation="tanh", tau=2.0)

    def cost(rate):
        config = TrainingConfig(max_iter=250, lr=0.01, dropout_rate=rate)
        trained = train_cohort(task, network, config, [0], device="cpu").networks[0]
        rnn = RNNTorch(Connectivity.of(trained.weights, network), network)
        u, t = (rnn.to_internal(a) for a in task.get_batch()[:2])
        kept = (torch.rand(40, 16, generator=torch.Generator().manual_seed(0)) < 0.7) / 0.7
        masks = [DropoutMask(k[None]) for k in kept]
        errors = [(rnn.simulate(u, dropout=m)[1] - t).square().mean() for m in masks]
        return float(torch.stack(errors).mean().detach())

    assert cost(0.3) < 0.7 * cost(0.0)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("dropout_rate", 1.0),
        ("dropout_rate", -0.1),
        ("dropout_rate", float("nan")),
        ("dropout_kind", "asleep"),
        ("dropout_sampling", "random"),
        ("dropout_beta", -1.0),
        ("participation_rate", 0.0),
        ("participation_rate", 1.5),
        ("participation_quantile", 1.1),
    ],
)
def test_bad_fields_are_named(field, value):
    with pytest.raises(ParameterError) as caught:
        TrainingConfig(**{field: value})
    assert caught.value.field == field
