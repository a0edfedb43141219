"""Losses and their gradients in one pass, against autograd through the same networks."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from models import NetworkConfig, RNNTorch, Trainer, TrainingConfig, penalties
from models.network.by_network import inner
from models.network.noise import RunNoise
from models.network.run import RunMemory
from models.penalties import PenaltyTerm
from models.training.losses import LossFunction
from models.training.pulled import remove_conflict
from tasks_lib import NBitFlipFlop, ParameterError
from tests.models.strategies import any_network

# Thresholds at which untrained networks of seven units are charged.
CHARGED = {
    "fr_magnitude": {"cap_fr": 0.05},
    "h_magnitude": {"h_thr": 0.05},
    "rec_weights_sparsity": {"tg_deg": 2.0},
    "clustering": {"attract_margin": 0.4, "repell_margin": 1.3},
    "eff_dim_tail_energy": {"k": 1},
}


def against(context):
    """Oppose the task."""
    return 1e-3 * context.W_rec.sum() - 2.0 * penalties.task(context)


def constant(context):
    """Depend on nothing."""
    return context.outputs.new_ones(())


NAMES = (
    *(name for name in penalties.names() if name != "task"),
    "tests.models.test_losses:against",
    "tests.models.test_losses:constant",
)


def batch(seed):
    task = NBitFlipFlop(n_steps=14, n_bits=2, pulse=2, mu=4, batch_size=9, seed=seed)
    return task.get_batch()[:2], torch.as_tensor(task.mask)


@settings(max_examples=60, deadline=None)
@given(
    config=any_network,
    chosen=st.dictionaries(st.sampled_from(NAMES), st.floats(0.01, 2.0), max_size=4),
    task_safe=st.booleans(),
    with_norms=st.booleans(),
    level=st.sampled_from([1.0, 0.3]),
    seed=st.integers(0, 2**16),
)
def test_one_pass_gives_the_gradients_of_autograd(
    config, chosen, task_safe, with_norms, level, seed
):
    rnn = RNNTorch.from_config(config, 2, 2, seed=[seed, seed + 1], dtype=torch.float64)
    (inputs, targets), mask = batch(seed)
    u, t = rnn.to_internal(inputs), rnn.to_internal(targets)
    spec = {
        name: {"weight": weight, "args": CHARGED.get(name, {})} for name, weight in chosen.items()
    }
    losses = LossFunction(rnn, mask, PenaltyTerm.of(spec))
    rnn.n_simulations = 7
    descent = losses.descent(u, t, level, task_safe=task_safe, with_norms=with_norms)
    rnn.n_simulations = 7  # the same noise again
    expected = losses(u, t, noise=RunNoise(True, level))
    params = list(rnn.parameters())

    def gradient(loss):
        found = torch.autograd.grad(loss.sum(), params, retain_graph=True, allow_unused=True)
        masks = [getattr(rnn, f"_mask{name}", 1.0) for name, _ in rnn.named_parameters()]
        return [
            torch.zeros_like(p) if g is None else g * m
            for g, p, m in zip(found, params, masks, strict=True)
        ]

    assume(bool(torch.isfinite(expected.total).all()))  # this network did not diverge
    assert torch.allclose(descent.total, expected.total, rtol=1e-9, atol=1e-12)
    assert torch.allclose(descent.terms["task"], expected.task, rtol=1e-9)
    task = gradient(expected.task)
    rest = [torch.zeros_like(g) for g in task]
    if expected.penalty.requires_grad:
        rest = gradient(expected.penalty)
    safe = remove_conflict(task, rest) if task_safe else rest
    wanted = [a + b for a, b in zip(task, safe, strict=True)]
    size = max(float(g.abs().max()) for g in (*task, *rest))
    assume(np.isfinite(size))
    for mine, other in zip(descent.gradients, wanted, strict=True):
        assert float((mine - other).abs().max()) <= 1e-8 * max(size, 1e-3)
    assert set(descent.terms) == {"task", *chosen}
    assert set(descent.norms) == ({"task", *chosen} if with_norms else set())
    for name, norm in descent.norms.items():
        if name == "task":
            assert torch.allclose(norm, inner(task, task).sqrt(), rtol=1e-8, atol=1e-12)
        if set(chosen) == {name}:
            assert torch.allclose(norm, inner(rest, rest).sqrt(), rtol=1e-7, atol=1e-9 * size)


def test_penalties_against_the_task_are_taken_out():
    """Safe on the weights that there are, and 0 elsewhere."""
    config = NetworkConfig(n_units=20, dale=True, density=0.1, tau=2.0)
    rnn = RNNTorch.from_config(config, 2, 2, seed=1, dtype=torch.float64)
    (inputs, targets), mask = batch(0)
    u, t = rnn.to_internal(inputs), rnn.to_internal(targets)
    spec = {"tests.models.test_losses:against": {"weight": 1.0, "args": {}}}
    task = LossFunction(rnn, mask, []).descent(u, t).gradients
    losses = LossFunction(rnn, mask, PenaltyTerm.of(spec))
    plain, safe = (losses.descent(u, t, task_safe=s).gradients for s in (False, True))
    for g, (name, _) in zip(safe, rnn.named_parameters(), strict=True):
        assert not g[getattr(rnn, f"_mask{name}") == 0].any()
    unsafe, left = (
        float(inner([g - own for g, own in zip(total, task, strict=True)], task))
        for total in (plain, safe)
    )
    assert unsafe < -1e-6
    assert left == pytest.approx(0.0, abs=1e-12)


@pytest.mark.parametrize("monitor", [False, True])
def test_curves_of_every_term_are_kept(monitor):
    config = TrainingConfig(
        max_iter=6,
        monitor=monitor,
        penalties={"metabolic": {"weight": 0.1}, "rec_weights_sparsity": {"weight": 0.2}},
    )
    rnn = RNNTorch.from_config(NetworkConfig(n_units=40, tau=2.0), 2, 2, seed=[0, 1])
    task = NBitFlipFlop(n_steps=14, n_bits=2, pulse=2, mu=4, batch_size=9, seed=0)
    for network in Trainer(rnn, task, config).run_training():
        curves = network.term_curves
        assert set(curves) == {"task", "metabolic", "rec_weights_sparsity"}
        total = curves["task"] + 0.1 * curves["metabolic"] + 0.2 * curves["rec_weights_sparsity"]
        assert np.allclose(total, network.loss_curve, rtol=1e-5)
        assert set(network.gradient_curves) == (set(curves) if monitor else set())
        assert all(c.shape == (6,) and (c > 0).all() for c in network.gradient_curves.values())


def test_the_task_alone_is_monitored_too():
    rnn = RNNTorch.from_config(NetworkConfig(n_units=8), 2, 2, seed=[0, 1])
    task = NBitFlipFlop(n_steps=14, n_bits=2, pulse=2, mu=4, batch_size=9, seed=0)
    for network in Trainer(rnn, task, TrainingConfig(max_iter=3, monitor=True)).run_training():
        assert network.term_curves == {}  # its loss is the loss
        (curve,) = network.gradient_curves.values()
        assert curve.shape == (3,) and (curve > 0).all()


def test_monitoring_changes_no_gradient_beyond_rounding():
    config = TrainingConfig(max_iter=5, penalties={"metabolic": {"weight": 0.1}})
    task = NBitFlipFlop(n_steps=14, n_bits=2, pulse=2, mu=4, batch_size=9, seed=0)

    def curve(training):
        task.reset()
        rnn = RNNTorch.from_config(NetworkConfig(n_units=8), 2, 2, seed=0, dtype=torch.float64)
        return Trainer(rnn, task, training).run_training()[0].loss_curve

    assert np.allclose(curve(config), curve(replace(config, monitor=True)), rtol=1e-6)


def reads_states(context):
    """Read what it did not name."""
    return context.statistic("mean_abs_state").mean() + context.states.square().mean()


def test_a_penalty_that_named_its_statistics_alone_gets_no_trajectories_in_slices(monkeypatch):
    name = "reads_states_of_a_test"
    penalties.register(name, needs=lambda args: [penalties.Statistic("mean_abs_state")])(
        reads_states
    )
    rnn = RNNTorch.from_config(NetworkConfig(n_units=8), 2, 2)
    (inputs, targets), mask = batch(0)
    u, t = rnn.to_internal(inputs), rnn.to_internal(targets)
    losses = LossFunction(rnn, mask, [PenaltyTerm(name, (1.0,))])
    assert torch.isfinite(losses.descent(u, t).total).all()
    with pytest.raises(ParameterError, match="register it without `needs`"):
        losses.descent(u, t, memory=RunMemory(trials_at_once=3))


def test_the_tasks_own_loss_is_no_penalty():
    with pytest.raises(ParameterError, match=r"penalties\.task.*leave it out"):
        TrainingConfig(penalties={"task": {"weight": 1.0}})
