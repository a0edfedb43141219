"""Training: constraints, independence of companions, divergence, gradients of penalties."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from models import (
    Connectivity,
    NetworkConfig,
    PerformanceAnalyzer,
    RNNTorch,
    Trainer,
    TrainingConfig,
)
from models.training.cohort import train_cohort
from models.training.pulled import remove_conflict
from tasks_lib import CDDM, NBitFlipFlop, ParameterError
from tests.models.strategies import any_network


def small_task(seed=0):
    return NBitFlipFlop(
        n_steps=20, n_inputs=2, n_outputs=2, pulse=2, mu=4, batch_size=16, seed=seed
    )


DALE = NetworkConfig(
    n_units=12, dale=True, density=0.5, sigma_rec=0.05, tau=2.0, bias_min=0.0, bias_max=0.01
)


@pytest.mark.parametrize("method", ["clamp", "reflect"])
def test_constraints_hold_exactly_after_training(method):
    config = NetworkConfig(**{**DALE.to_dict(), "constraint_method": method})
    rnn = RNNTorch.from_config(config, 2, 2, seed=1)
    mask = rnn.to_numpy().W_rec != 0
    network = Trainer(rnn, small_task(), TrainingConfig(max_iter=40, lr=0.05)).run_training()[0]
    w = network.weights
    assert (w["W_rec"][~mask] == 0).all()
    assert (w["W_rec"][:, :9] >= 0).all()
    assert (w["W_rec"][:, 9:] <= 0).all()
    assert (w["W_inp"] >= 0).all()
    assert (w["W_out"] >= 0).all()
    assert (w["W_out"][:, 9:] == 0).all()
    assert w["b_rec"].min() >= 0
    assert w["b_rec"].max() <= np.float32(0.01)
    assert w["b_rec"].any()


@pytest.mark.slow
@settings(max_examples=60, deadline=None)
@given(config=any_network, seed=st.integers(0, 2**31 - 1), n=st.integers(1, 4))
def test_constraints_of_every_network_hold_exactly_after_every_step(config, seed, n):
    rnn = RNNTorch.from_config(config, 2, 2, seed=seed)
    exists = rnn.to_numpy().W_rec != 0
    if not config.self_connections:
        assert not np.diag(exists).any()
    training = TrainingConfig(max_iter=n, lr=0.3, penalties={"metabolic": {"weight": 0.1}})
    w = Trainer(rnn, small_task(), training).run_training()[0].weights
    assert all(np.isfinite(block).all() for block in w.values())
    assert (w["W_rec"][~exists] == 0).all()
    excitatory = config.n_excitatory
    if config.dale:
        assert (w["W_rec"][:, :excitatory] >= 0).all()
        assert (w["W_rec"][:, excitatory:] <= 0).all()
        assert (w["W_out"][:, excitatory:] == 0).all()
    if config.nonnegative_inp:
        assert (w["W_inp"] >= 0).all()
    if config.nonnegative_out:
        assert (w["W_out"] >= 0).all()
    low, high = np.float32(config.bias_min), np.float32(config.bias_max)
    assert ((w["b_rec"] >= low) & (w["b_rec"] <= high)).all()
    if config.constraint_method == "clamp" and config.dale:
        # A connection that exists keeps its sign, at 1e-12 at the least.
        assert (np.abs(w["W_rec"][exists]) >= np.float32(1e-12)).all()


def test_moments_of_masked_weights_stay_zero():
    rnn = RNNTorch.from_config(DALE, 2, 2, seed=1)
    trainer = Trainer(rnn, small_task(), TrainingConfig(max_iter=5))
    trainer.run_training()
    absent = rnn._mask_W_rec == 0
    state = trainer.steps.optimiser.state[rnn._W_rec]
    assert absent.any()
    assert (state["exp_avg"][absent] == 0).all()
    assert (state["exp_avg_sq"][absent] == 0).all()


def test_network_does_not_depend_on_its_companions():
    config = TrainingConfig(max_iter=15, same_batch=False)
    alone = train_cohort(small_task, DALE, config, [5], device="cpu").networks[0]
    among = train_cohort(small_task, DALE, config, [4, 5, 6], device="cpu").networks[1]
    assert among.seed == 5
    assert np.array_equal(alone.loss_curve, among.loss_curve)
    for name in alone.weights:
        assert np.array_equal(alone.weights[name], among.weights[name])


def test_batched_training_equals_training_alone():
    """K networks as one batch follow the same curves as each alone, to rounding (float64)."""
    training = TrainingConfig(
        max_iter=10, penalties={"metabolic": {"weight": 0.1}}, task_safe_gradients=True
    )
    seeds = [3, 4, 5]
    task = small_task()
    batch = Trainer(
        RNNTorch.from_config(DALE, 2, 2, seed=seeds, dtype=torch.float64), task, training
    ).run_training()
    for together in batch:
        task.reset()
        rnn = RNNTorch.from_config(DALE, 2, 2, seed=together.seed, dtype=torch.float64)
        alone = Trainer(rnn, task, training).run_training()[0]
        assert np.allclose(alone.loss_curve, together.loss_curve, rtol=1e-6)
        assert np.allclose(alone.weights["W_rec"], together.weights["W_rec"], atol=1e-9)


def test_divergence_is_a_result_and_harms_no_companion():
    config = NetworkConfig(n_units=8, tau=1.0, activation="relu", equation_type="h")
    rnn = RNNTorch.from_config(config, 2, 2, seed=[0, 1], dtype=torch.float64)
    with torch.no_grad():
        rnn._W_rec[0] = 1e200
    networks = Trainer(rnn, small_task(), TrainingConfig(max_iter=8)).run_training()
    assert [n.status for n in networks] == ["diverged", "finished"]
    assert all(np.isfinite(w).all() for n in networks for w in n.weights.values())
    assert networks[1].loss_curve.shape == (8,)
    assert np.isfinite(networks[1].loss_curve).all()
    reference = RNNTorch.from_config(config, 2, 2, seed=1, dtype=torch.float64)
    alone = Trainer(reference, small_task(), TrainingConfig(max_iter=8)).run_training()[0]
    assert np.allclose(alone.weights["W_rec"], networks[1].weights["W_rec"], atol=1e-9)


def test_task_safe_gradient_never_points_against_the_task():
    g = torch.Generator().manual_seed(0)
    task = [torch.randn(4, 3, 3, generator=g), torch.randn(4, 3, generator=g)]
    penalty = [torch.randn(4, 3, 3, generator=g), torch.randn(4, 3, generator=g)]

    def inner(a, b):
        return sum((x * y).flatten(1).sum(1) for x, y in zip(a, b, strict=True))

    before = inner(penalty, task)
    safe = remove_conflict(task, penalty)
    after = inner(safe, task)
    assert (before < 0).any()
    assert (before > 0).any()
    assert torch.allclose(after[before < 0], torch.zeros(int((before < 0).sum())), atol=1e-5)
    for p, s in zip(penalty, safe, strict=True):
        assert torch.equal(p[before > 0], s[before > 0])


def test_train_and_eval_steps_return_the_losses():
    task = small_task()
    rnn = RNNTorch.from_config(NetworkConfig(n_units=6), 2, 2, seed=0, dtype=torch.float64)
    trainer = Trainer(rnn, task)
    inputs, targets, _ = task.get_batch()
    loss, by_trial = trainer.train_step(inputs, targets)
    assert loss.requires_grad
    assert by_trial.shape == (16,)
    assert float(loss.detach()) == pytest.approx(float(by_trial.detach().mean()))
    evaluated = trainer.eval_step(inputs, targets)
    assert not evaluated.requires_grad
    _, outputs = rnn.to_numpy().run(inputs)
    assert float(evaluated) == pytest.approx(np.mean((outputs - targets) ** 2), rel=1e-10)


@pytest.mark.slow
def test_a_flip_flop_is_learnt():
    network = NetworkConfig(n_units=30, activation="tanh", tau=2.0)
    task = NBitFlipFlop(n_steps=60, n_inputs=2, n_outputs=2, pulse=8, mu=3, batch_size=64, seed=0)
    result = train_cohort(task, network, TrainingConfig(max_iter=300, lr=0.01), [0], device="cpu")
    trained = result.networks[0]
    assert trained.r2 > 0.9
    rnn = RNNTorch(Connectivity.of(trained.weights, network), network).to_numpy()
    scores = PerformanceAnalyzer(rnn, task).validate()
    assert scores.r2_pooled == pytest.approx(trained.r2, abs=1e-4)


def test_validation_of_a_task_with_choices():
    task = CDDM(
        n_steps=30, cue_on=0, cue_off=30, stim_on=5, stim_off=30, dec_on=20, dec_off=30,
        coherences=[-1.0, 0.0, 1.0], seed=0,
    )  # fmt: skip
    network = NetworkConfig(n_units=10)
    rnn = RNNTorch.from_config(network, 6, 2, seed=0).to_numpy()
    analyzer = PerformanceAnalyzer(rnn, task)
    scores = analyzer.validate(n_repeats=2)
    assert scores.n_trials == 36
    assert scores.n_choice_trials == 24  # trials of relevant coherence 0 have no right choice
    assert 0 <= scores.accuracy <= 1
    assert len(scores.by_condition) == 18
    assert {c.n_trials for c in scores.by_condition} == {2}
    first = scores.by_condition[0]
    assert first.condition == {"context": "motion", "motion_coh": -1.0, "color_coh": -1.0}
    assert sum(c.n_trials * c.mse for c in scores.by_condition) / 36 == pytest.approx(scores.mse)
    right = sum(c.n_choice_trials * (c.accuracy or 0) for c in scores.by_condition)
    assert right / 24 == pytest.approx(scores.accuracy)
    assert {c.accuracy is None for c in scores.by_condition if c.n_choice_trials == 0} == {True}
    inputs, targets, _ = task.get_batch()
    mse = analyzer.get_validation_score(lambda t, y: np.mean((t - y) ** 2), inputs, targets)
    assert mse == pytest.approx(scores.mse, rel=1e-10)
    for n in (1, 4):
        figure = analyzer.plot_trials(n_trials=n)
        panels = [a for a in figure.axes if a.get_visible()]
        assert len(panels) == n
        low, high = panels[0].get_ylim()
        assert all(low <= v <= high for line in panels[0].lines for v in line.get_ydata()
                   if np.isfinite(v))  # fmt: skip


def test_bad_training_parameters_are_refused():
    for field, value in (("max_iter", 0), ("lr", 0.0), ("same_batch", "yes")):
        with pytest.raises(ParameterError) as caught:
            TrainingConfig(**{field: value})
        assert caught.value.field == field
    with pytest.raises(ParameterError, match="no_such_penalty"):
        TrainingConfig(penalties={"no_such_penalty": {"weight": 1.0}})
    rnn = RNNTorch.from_config(NetworkConfig(n_units=4), 3, 2, seed=0)
    with pytest.raises(ParameterError, match="n_inputs"):
        Trainer(rnn, small_task())


def test_scores_take_the_prediction_first():
    task = small_task()
    rnn = RNNTorch.from_config(NetworkConfig(n_units=6), 2, 2, seed=0).to_numpy()
    inputs, targets, _ = task.get_batch()
    seen = []
    analyzer = PerformanceAnalyzer(rnn, task)
    analyzer.get_validation_score(lambda *pair: seen.append(pair) or 0.0, inputs, targets)
    _, outputs = rnn.run(inputs)
    assert len(seen) == inputs.shape[2]
    for trial, (predicted, target) in enumerate(seen):
        assert np.allclose(predicted, outputs[:, task.mask, trial], rtol=0, atol=1e-12)
        assert np.array_equal(target, targets[:, task.mask, trial])


def test_a_network_lost_in_its_last_step_diverged():
    config = NetworkConfig(n_units=8, tau=1.0, equation_type="h")
    rnn = RNNTorch.from_config(config, 2, 2, seed=0)
    before = {k: w.copy() for k, w in rnn.weights().items()}
    trainer = Trainer(rnn, small_task(), TrainingConfig(max_iter=1, lr=1e6))
    network = trainer.run_training()[0]
    assert network.status == "diverged"
    assert network.iterations == 0
    assert np.isfinite(network.r2)
    assert all(np.array_equal(network.weights[k], before[k]) for k in before)
    assert len(network.loss_curve) == 1


@pytest.mark.parametrize("interval", [1, 2])
def test_validation_does_not_hide_that_a_network_was_lost(interval):
    config = NetworkConfig(n_units=8, tau=1.0, equation_type="h")
    rnn = RNNTorch.from_config(config, 2, 2, seed=0)
    training = TrainingConfig(max_iter=1, lr=1e15, validation_interval=interval)
    network = Trainer(rnn, small_task(), training).run_training()[0]
    assert (network.status, network.iterations) == ("diverged", 0)
    assert all(np.isfinite(w).all() and np.abs(w).max() < 10 for w in network.weights.values())


def test_equal_penalties_are_equal_parameters():
    def config(**penalties):
        return TrainingConfig(penalties=penalties)

    plain = config(metabolic={"weight": 1}, rec_weights_sparsity={"weight": 0.5})
    same = config(
        rec_weights_sparsity={"weight": 0.5, "args": {"eps": 1e-12, "tg_deg": 20}},
        metabolic={"weight": 1.0, "args": {}},
    )
    assert plain == same
    assert list(plain.penalties) == list(same.penalties) == ["metabolic", "rec_weights_sparsity"]
    other = config(rec_weights_sparsity={"weight": 0.5, "args": {"tg_deg": 21}})
    assert other.penalties["rec_weights_sparsity"]["args"] == {"tg_deg": 21.0}
    for bad in (["metabolic"], {"metabolic": 0.1}, {"metabolic": {"w": 1}}, "metabolic"):
        with pytest.raises(ParameterError, match="penalties"):
            TrainingConfig(penalties=bad)


def test_a_bias_stays_in_its_range_in_every_precision():
    config = NetworkConfig(n_units=6, bias_min=-0.1, bias_max=0.1, bias_init="uniform")
    rnn = RNNTorch.from_config(config, 2, 2, seed=np.int64(0))
    with torch.no_grad():
        rnn._b_rec[:, :3] = 5.0
        rnn._b_rec[:, 3:] = -5.0
    rnn.enforce_constraints()
    bias = rnn.weights()["b_rec"].astype(np.float64)
    assert bias.max() <= 0.1
    assert bias.min() >= -0.1
    assert np.allclose(np.abs(bias), 0.1)
