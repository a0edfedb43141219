"""What is recorded while networks are trained: known answers, and not a bit of training changed."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from models import (
    NetworkConfig,
    RNNTorch,
    Trainer,
    TrainingConfig,
    dimensionality,
    get_trials,
    train_cohort,
    train_together,
)
from models.training import traces as traces_module
from models.training.checkpoints import TrainingStopped
from models.training.joint import CohortSettings
from models.training.snapshots import snapshot_iterations
from models.training.weight_changes import WeightChanges
from tasks_lib import NBitFlipFlop, ParameterError
from tests.models.test_checkpoints import Memory
from tests.models.test_sweep import assert_same
from tests.models.test_training_state import assert_same_records

NETWORK = NetworkConfig(n_units=6, tau=2.0, sigma_rec=0.1, sigma_inp=0.1, sigma_out=0.05)
LONG = TrainingConfig(max_iter=230, lr=0.01, snapshots=5, same_batch=False)


def flip_flop(seed=0, batch_size=6):
    return NBitFlipFlop(n_steps=11, n_bits=2, pulse=2, mu=3, batch_size=batch_size, seed=seed)


def trained(training=LONG, seeds=(3, 4, 8), **options):
    return train_cohort(flip_flop, NETWORK, training, seeds, device="cpu", **options).networks


def trainer_of(network=NETWORK, training=LONG, batch_size=6, dtype=torch.float32):
    rnn = RNNTorch.from_config(network, 2, 2, seed=[5], dtype=dtype)
    return Trainer(rnn, flip_flop(batch_size=batch_size), training)


@pytest.fixture(scope="module")
def whole():
    return trained()


@pytest.mark.parametrize(
    "kind", [{}, {"same_batch": True, "anneal_noise": True}, {"dropout_rate": 0.2}]
)
def test_no_bit_of_training_changes(kind):
    config = replace(LONG, max_iter=110, **kind)
    ours = trained(config)
    theirs = trained(replace(config, trace_interval=0, snapshots=0))
    assert [len(n.traces) for n in ours] == [1, 1, 1]
    assert all(not n.traces and not n.snapshots for n in theirs)
    for a, b in zip(ours, theirs, strict=True):
        assert_same(replace(a, traces=[], snapshots={}), b)


def test_cut_between_windows_and_resumed(whole):
    store, left = Memory(), iter(range(150))
    with pytest.raises(TrainingStopped):
        trained(checkpoints=store, stop=lambda: next(left, None) is None)
    for a, b in zip(trained(checkpoints=store), whole, strict=True):
        assert_same(a, b)


def test_a_network_is_traced_as_alone_and_with_other_cohorts(whole):
    assert_same(trained(seeds=[4])[0], whole[1])
    two = [CohortSettings(flip_flop, NETWORK, LONG, seeds) for seeds in ([3, 4], [8])]
    found = dict(train_together(two, device="cpu"))
    for a, b in zip([*found[0].networks, *found[1].networks], whole, strict=True):
        assert_same(a, b)


def test_changes_are_those_between_the_weights(whole):
    config = replace(LONG, trace_interval=50, snapshots=0)
    networks = trained(config)
    stops = {}
    for iteration in (100, 200):
        short = trained(replace(config, max_iter=iteration, trace_interval=0))
        stops[iteration] = short
    for i, network in enumerate(networks):
        start = RNNTorch.from_config(NETWORK, 2, 2, seed=[network.seed]).weights(0)
        names = ("W_rec", "W_inp", "W_out")
        flat = [
            np.concatenate([w[name].ravel() for name in names]).astype(float)
            for w in (start, stops[100][i].weights, stops[200][i].weights)
        ]
        first, second = flat[1] - flat[0], flat[2] - flat[1]
        by_iteration = {trace.iteration: trace for trace in network.traces}
        assert list(by_iteration) == [50, 100, 150, 200]
        assert by_iteration[50].changes == by_iteration[150].changes == {}
        norms = [np.linalg.norm(first), np.linalg.norm(second)]
        assert by_iteration[100].changes[100] == pytest.approx(norms[0], rel=1e-5)
        assert by_iteration[200].changes[100] == pytest.approx(norms[1], rel=1e-5)
        assert by_iteration[100].cosines == {}
        assert "cosine_100: no change before" in by_iteration[100].reason
        cosine = first @ second / (norms[0] * norms[1])
        assert by_iteration[200].cosines[100] == pytest.approx(cosine, abs=1e-5)


def test_windows_of_a_thousand_and_ten_thousand():
    """Weights that walk along a line, and back: cosines 1 and -1."""
    weights = torch.zeros(2, 3)
    changes = WeightChanges([weights], 40_000)
    found = {}
    for iteration in range(100, 40_001, 100):
        weights += torch.tensor([[3.0, 4.0, 0.0], [0.0, 0.0, 0.0]]) * (
            1 if iteration <= 20_000 else -1
        )
        found[iteration] = changes.take(iteration)
    assert list(found[10_000]) == [100, 1_000, 10_000]
    assert found[10_000][10_000][0].tolist() == [500.0, 0.0]
    assert found[2_000][1_000][0][0] == 50.0
    assert found[20_000][10_000][1][0] == pytest.approx(1.0)
    assert found[30_000][10_000][1][0] == pytest.approx(-1.0)
    # A network that does not move has no direction.
    assert torch.isnan(found[20_000][10_000][1][1])


@pytest.mark.parametrize("equation_type", ["s", "h"])
def test_participation_and_silent_units_are_those_of_populations(equation_type):
    """Against the analysis of the same trials, which is code of its own."""
    network = replace(NETWORK, equation_type=equation_type, activation="relu", bias_min=-1.0,
                      bias_max=0.2)  # fmt: skip
    own = trainer_of(network, replace(LONG, max_iter=1, trace_interval=1, same_batch=True))
    (found,) = own.run_training()
    rnn = own.rnn.to_numpy(0)
    trials = get_trials(rnn, flip_flop())
    rates = trials["rates"].transpose("time", "trial", "unit").values
    largest = np.abs(rates).max(axis=(0, 1))
    samples = rates.reshape(-1, rates.shape[-1])
    (trace,) = found.traces
    assert trace.n_silent == int((largest <= 1e-3).sum())
    expected = dimensionality(samples).participation_ratio
    assert trace.participation_ratio == pytest.approx(expected, rel=1e-4)


def test_gradient_noise_is_unbiased():
    """Against single trials, each with its own gradient: mean over many draws of the halves."""
    quiet = replace(NETWORK, sigma_rec=0.0, sigma_inp=0.0, sigma_out=0.0)
    own = trainer_of(quiet, batch_size=4, dtype=torch.float64)
    u, t = own.batches.first()
    each = []
    for i in range(4):
        descent = own.losses.descent(u[:, [i]].contiguous(), t[:, [i]].contiguous())
        each.append(torch.cat([g.flatten() for g in descent.gradients]).numpy())
    each = np.array(each)
    pairs = [((0, 1), (2, 3)), ((0, 2), (1, 3)), ((0, 3), (1, 2))]  # all halves there are
    squares = [each[list(a)].mean(0) @ each[list(b)].mean(0) for a, b in pairs]
    # Of draws without replacement: the variance of a trial with n - 1, and what it takes from G.
    mean, variance = each.mean(0), each.var(axis=0, ddof=1).sum()
    assert np.mean(squares) == pytest.approx(mean @ mean - variance / 4)
    noise = own.traces.noise
    found = []
    for a, b in pairs:
        order = [*a, *b]
        noise._trials = u[:, order].contiguous(), t[:, order].contiguous()
        noise._targets = [t[:, list(half)].contiguous() for half in (a, b)]
        found.append([float(value) for value in noise.estimate(0, 1.0)])
    assert np.allclose([f[0] for f in found], squares)
    assert np.mean([f[1] for f in found]) == pytest.approx(variance)


def test_each_estimate_has_noise_of_its_own_and_uses_none_up():
    own = trainer_of()
    own.traces.noise.choose(own.batches.first())
    first, again, other = (own.traces.noise.estimate(n, 1.0) for n in (0, 0, 1))
    assert first[0] == again[0]
    assert first[0] != other[0]
    assert own.rnn.n_simulations == 0


def test_what_is_not_defined_is_none_with_a_reason():
    rnn = RNNTorch.from_config(NetworkConfig(n_units=3, tau=2.0), 2, 2, seed=[1])
    with torch.no_grad():
        for parameter in rnn.parameters():
            parameter.zero_()
    config = TrainingConfig(max_iter=2, trace_interval=2, lr=1e-30)
    (trace,) = Trainer(rnn, flip_flop(batch_size=1), config).run_training()[0].traces
    assert (trace.status, trace.n_silent, trace.participation_ratio) == ("partly", 3, None)
    assert "participation_ratio: no rate varies" in trace.reason
    assert "gradient: not finite, or of one trial alone" in trace.reason
    assert trace.gradient_square is trace.gradient_variance is trace.noise_scale is None


def test_a_network_that_diverges_has_no_traces_from_then_on():
    config = TrainingConfig(max_iter=6, trace_interval=1, snapshots=3, lr=1e38)
    network = NetworkConfig(n_units=6, tau=2.0, activation="relu")
    rnn = RNNTorch.from_config(network, 2, 2, seed=[5])
    (found,) = Trainer(rnn, flip_flop(), config).run_training()
    assert found.status == "diverged"
    assert found.traces
    last = found.traces[-1]
    assert last.iteration < 6
    assert last.status == "not_finite"
    assert last.participation_ratio is None
    assert all(np.isfinite(w).all() for s in found.snapshots.values() for w in s.values())


def test_too_long_trajectories_are_not_looked_at():
    rnn = RNNTorch.from_config(NETWORK, 2, 2, seed=[5])
    config = TrainingConfig(max_iter=1, trace_interval=1)
    own = Trainer(rnn, flip_flop(), config, trials_at_once=4)
    (trace,) = own.run_training()[0].traces
    assert trace.n_silent is None and trace.participation_ratio is None
    assert "too many to be kept" in trace.reason
    assert trace.gradient_variance is not None  # of four trials, which fit


def test_many_samples_are_thinned_out(monkeypatch):
    config = TrainingConfig(max_iter=1, trace_interval=1)
    whole = trainer_of(training=config, batch_size=40).run_training()[0].traces[0]
    monkeypatch.setattr(traces_module, "MOST_SAMPLES", 60)
    thinned = trainer_of(training=config, batch_size=40).run_training()[0].traces[0]
    assert thinned.participation_ratio != whole.participation_ratio
    assert thinned.participation_ratio == pytest.approx(whole.participation_ratio, rel=0.3)
    assert thinned.n_silent == whole.n_silent


def test_trials_are_thinned_out_alike(monkeypatch):
    """Each of four trials varies along an axis of its own: four dimensions, whichever are left."""
    monkeypatch.setattr(traces_module, "MOST_SAMPLES", 24)
    config = TrainingConfig(max_iter=1, trace_interval=1)
    trainer = trainer_of(replace(NETWORK, n_units=4), training=config, batch_size=4)
    # (1, T B, N): a state is that of one trial.
    states = torch.zeros(40, 4, 4)
    for trial in range(4):
        states[:, trial, trial] = torch.where(torch.arange(40) % 3 == 0, 2.0, 0.5)
    _, ratio = trainer.traces._of_samples(states.flatten(0, 1)[None], 4)
    assert ratio.item() > 3.5


def test_when_weights_are_kept(whole):
    assert snapshot_iterations(0, 100) == []
    assert snapshot_iterations(1, 100) == [0, 100]
    assert snapshot_iterations(2, 100) == [0, 10, 100]
    assert snapshot_iterations(10, 4) == [0, 1, 2, 3, 4]
    for network in whole:
        assert list(network.snapshots) == snapshot_iterations(5, 230)
        start = RNNTorch.from_config(NETWORK, 2, 2, seed=[network.seed]).weights(0)
        for name, array in start.items():
            assert network.snapshots[0][name].tobytes() == array.tobytes()
            assert network.snapshots[230][name].tobytes() == network.weights[name].tobytes()
    short = trained(replace(LONG, max_iter=26))
    assert snapshot_iterations(5, 230)[3] == 26
    for a, b in zip(whole, short, strict=True):
        assert a.snapshots[26]["W_rec"].tobytes() == b.weights["W_rec"].tobytes()


def test_networks_that_stop_early_are_not_looked_at_any_more():
    config = TrainingConfig(
        max_iter=8, trace_interval=1, snapshots=8, validation_interval=2, stop_score=-1e9
    )
    (network,) = trained(config, seeds=[3])
    assert network.stopped_by == "score"
    assert [t.iteration for t in network.traces] == [1, 2]
    assert max(network.snapshots) == 2
    assert_same_records(network, trained(config, seeds=[3])[0])


@pytest.mark.parametrize("field", ["trace_interval", "snapshots"])
def test_bad_numbers_are_refused(field):
    with pytest.raises(ParameterError, match=f"{field} = -1"):
        TrainingConfig(**{field: -1})


def test_of_two_in_a_batch_the_one_that_stopped_has_no_more():
    rnn = RNNTorch.from_config(NETWORK, 2, 2, seed=[5, 6])
    config = TrainingConfig(max_iter=4, trace_interval=1, snapshots=4)
    own = Trainer(rnn, [flip_flop(5), flip_flop(6)], config)
    own.advance(1)
    own.record.active[0] = False
    stopped, goes_on = own.run_training()
    assert [t.iteration for t in stopped.traces] == [1]
    assert list(stopped.snapshots) == [0, 1]
    assert [t.iteration for t in goes_on.traces] == list(goes_on.snapshots)[1:] == [1, 2, 3, 4]
