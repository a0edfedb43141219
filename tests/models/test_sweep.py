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
from models.engine import Buffers, torch_on_one
from models.machine.threads import n_threads
from models.network.by_network import inner, means, orthonormal_rows, products
from models.network.connectivity import initial_connectivity
from models.training.adam import Adam
from models.training.cohort import train_cohort
from models.training.division import groups
from models.training.dropout import UnitDropout
from tasks_lib import NBitFlipFlop, ParameterError
from tests.models.strategies import any_network
from tests.models.test_losses import CHARGED
from tests.models.test_training_state import assert_same_records, run_cut

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
    assert_same_records(a, b)
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
        "lr": st.sampled_from([None, 0.003, 0.05, 0.5, 1e8]),  # of the last, networks diverge
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
        "patience": st.just(1),
        "dropout_rate": st.just(0.3),
        "dropout_kind": st.sampled_from(["mute", "dead"]),
        "dropout_sampling": st.sampled_from(["uniform", "participation", "output_weights"]),
    },
)


@pytest.mark.slow
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
    if "validation_interval" not in shared:
        shared.pop("patience", None)
    trainings = [TrainingConfig(**shared, **mine) for _, mine in own]
    seeds = data.draw(st.lists(st.integers(0, 99), min_size=len(own), max_size=len(own)))
    together = train(networks, trainings, seeds, threads, batch_size)
    for i in range(len(own)):
        (alone,) = train(
            networks[i : i + 1], trainings[i : i + 1], seeds[i : i + 1], 3 - threads, batch_size
        )
        assert_same(together[i], alone)


@pytest.mark.slow
def test_torch_threads_change_no_bit_of_larger_networks():
    """Sums over so many values are cut by the number of torch's threads, if they are let to."""
    network = replace(NETWORK, n_units=200, sigma_rec=0.1, sigma_out=0.1)
    training = TrainingConfig(
        max_iter=3,
        task_safe_gradients=True,
        dropout_rate=0.2,
        dropout_sampling="participation",
        penalties={name: {"weight": 0.1, "args": CHARGED.get(name, {})} for name in NAMES},
    )
    together = train([network] * 2, training, [0, 1], threads=2, batch_size=64)
    for i in range(2):
        assert_same(together[i], train([network], training, [i], 1, 64)[0])


def test_a_network_is_the_same_among_sixty_four():
    network = replace(NETWORK, sigma_rec=0.1, sigma_inp=0.1, sigma_out=0.1)
    training = TrainingConfig(max_iter=5, penalties={"clustering": {"weight": 0.1}})
    together = train([network] * 64, training, range(64))
    for i in (0, 17, 63):
        assert_same(together[i], train([network], training, [i], threads=2)[0])


@pytest.mark.parametrize("shape", [(2, 480, 2), (7, 126, 7), (5, 33, 11), (50, 700, 50)])
def test_sums_of_a_network_do_not_depend_on_its_place_in_the_batch(shape):
    g = torch.Generator().manual_seed(0)
    m, k, n = shape
    a, b = torch.randn(5, m, k, generator=g), torch.randn(5, k, n, generator=g)
    left, right = products(a, b), products(a.transpose(1, 2), a)
    for i in range(5):
        own, other = a[i : i + 1].clone(), b[i : i + 1].clone()
        assert torch.equal(products(own, other)[0], left[i])
        assert torch.equal(products(own.transpose(1, 2), own)[0], right[i])
        assert torch.equal(means(own)[0], means(a)[i])
        assert torch.equal(inner([own], [own])[0], inner([a], [a])[i])
        assert torch.equal(orthonormal_rows(own)[0], orthonormal_rows(a)[i])


def test_participation_of_a_network_does_not_depend_on_its_place_in_the_batch():
    network = replace(NETWORK, n_units=7)  # of softplus, which torch rounds by place
    config = TrainingConfig(dropout_rate=0.2, dropout_sampling="participation")
    states = torch.randn(20, 5, 1, 3, 7, generator=torch.Generator().manual_seed(0))

    def participation(seeds, own):
        dropout = UnitDropout(RNNTorch.from_config(network, 2, 2, seeds), config)
        for iteration in own:
            dropout.observe(iteration)
        return dropout.participation

    together = participation(list(range(5)), states)
    for i in range(5):
        assert torch.equal(participation([i], states[:, i : i + 1].clone())[0], together[i])


def test_states_of_every_network_begin_on_a_cache_line():
    taken = Buffers().take("states", (5, 3, 11, 7), torch.zeros(1))
    assert taken.shape == (5, 3, 11, 7)
    for own in taken:
        assert own.data_ptr() % 64 == 0
        assert own.is_contiguous()


def sweep():
    """Return networks and trainings of three kinds."""
    networks = [
        replace(NETWORK, sigma_rec=0.2, density=0.5),
        NETWORK,
        replace(NETWORK, sigma_inp=0.1, sigma_out=0.3, spectral_radius=0.7),
    ]
    shared = {"max_iter": 6, "monitor": True}
    trainings = [
        TrainingConfig(**shared, lr=0.01, penalties={"metabolic": {"weight": 0.1}}),
        TrainingConfig(**shared, weight_decay=0.01, max_grad_norm=0.1),
        TrainingConfig(
            **shared,
            penalties={"metabolic": {"weight": 0.0}, "channel_overlap": {"weight": 0.2}},
        ),
    ]
    return networks, trainings


def test_curves_are_those_of_a_networks_own_terms():
    results = train(*sweep(), [0, 0, 1])
    assert [list(n.term_curves) for n in results] == [
        ["task", "metabolic"],
        [],
        ["task", "channel_overlap"],
    ]
    assert [list(n.gradient_curves) for n in results] == [
        ["task", "metabolic"],
        ["task"],
        ["task", "channel_overlap"],
    ]
    assert all((c > 0).all() for n in results for c in n.gradient_curves.values())


def not_a_number(context):
    """Be nothing that can be summed."""
    return context.W_rec.sum() * float("nan")


def test_a_term_of_one_network_cannot_spoil_another():
    spoilt = {f"{__name__}:not_a_number": {"weight": 1.0}}
    trainings = [TrainingConfig(max_iter=4, penalties=p) for p in (spoilt, {})]
    lost, fine = train([NETWORK] * 2, trainings, [0, 1])
    assert (lost.status, fine.status) == ("diverged", "finished")
    assert_same(fine, train([NETWORK], trainings[1], [1])[0])


def test_a_cohort_may_be_a_sweep():
    networks, trainings = sweep()
    seeds = [4, 4, 5]
    together = train_cohort(flip_flop, networks, trainings, seeds, device="cpu").networks
    for i, seed in enumerate(seeds):
        alone = train_cohort(flip_flop, networks[i], trainings[i], [seed], device="cpu")
        assert_same(together[i], alone.networks[0])
    with pytest.raises(ParameterError, match=r"network = 2: there are 3 networks"):
        train_cohort(flip_flop, networks[:2], trainings, seeds, device="cpu")
    with pytest.raises(ParameterError, match=r"training = 2: there are 3 networks"):
        train_cohort(flip_flop, networks, trainings[:2], seeds, device="cpu")
    # Refused whatever the grouping: one by one these could be trained.
    one_by_one = TrainingConfig(patience=1, validation_interval=1)
    assert len(groups(2, 100, one_by_one)) == 2
    other = [NETWORK, replace(NETWORK, n_units=5)]
    with pytest.raises(ParameterError, match="n_units"):
        train_cohort(flip_flop, other, one_by_one, [0, 1], device="cpu")


@settings(max_examples=100, deadline=None)
@given(n=st.integers(1, 200), n_values=st.integers(1, 2**26), patience=st.integers(0, 1))
def test_groups_hold_every_network_once(n, n_values, patience):
    training = TrainingConfig(patience=patience, validation_interval=1)
    parts = groups(n, n_values, training)
    assert [i for part in parts for i in part] == list(range(n))
    sizes = {len(part) for part in parts}
    assert max(sizes) - min(sizes) <= 1
    assert max(sizes) <= (1 if patience else 16)
    assert max(sizes) == 1 or max(sizes) * n_values <= 2**24


REFUSED_NETWORKS = [
    ("n_units", {"n_units": 10}),
    ("activation", {"activation": "relu", "activation_args": {}}),
    ("activation_args", {"activation_args": {"beta": 2.0}}),
    ("equation_type", {"equation_type": "s"}),
    ("tau", {"tau": 3.0}),
    ("dt", {"dt": 0.5}),
    ("gamma", {"gamma": 0.1}),
    ("dale", {"dale": True}),
    ("exc_to_inh_ratio", {"exc_to_inh_ratio": 3.0}),
    ("bias_min", {"bias_min": -0.1}),
    ("bias_max", {"bias_max": 0.1}),
    ("train_x_init", {"train_x_init": True}),
    ("constraint_method", {"constraint_method": "reflect"}),
]


@pytest.mark.parametrize(("field", "change"), REFUSED_NETWORKS)
def test_networks_that_cannot_be_one_batch_are_refused_by_name(field, change):
    other = replace(NETWORK, **change)
    with pytest.raises(ParameterError, match="train these networks apart") as caught:
        RNNTorch.from_configs([NETWORK, NETWORK, other], 2, 2, [0, 1, 2])
    assert caught.value.field == field
    assert caught.value.value == [getattr(NETWORK, field), getattr(other, field)]


@pytest.mark.parametrize(
    ("field", "change"),
    [
        ("max_iter", {"max_iter": 7}),
        ("same_batch", {"same_batch": False}),
        ("task_safe_gradients", {"task_safe_gradients": True}),
        ("dropout_rate", {"dropout_rate": 0.1}),
        ("validation_interval", {"validation_interval": 2}),
        (
            "penalties.rec_weights_sparsity.args",
            {"penalties": {"rec_weights_sparsity": {"weight": 0.1, "args": {"tg_deg": 3.0}}}},
        ),
    ],
)
def test_trainings_that_cannot_be_one_batch_are_refused_by_name(field, change):
    rnn = RNNTorch.from_config(NETWORK, 2, 2, [0, 1])
    plain = TrainingConfig(penalties={"rec_weights_sparsity": {"weight": 0.1}})
    other = replace(plain, **change)
    with pytest.raises(ParameterError, match="train these networks apart") as caught:
        Trainer(rnn, flip_flop(), [plain, other])
    assert caught.value.field == field
    with pytest.raises(ParameterError, match="there are 2 networks"):
        Trainer(rnn, flip_flop(), [plain] * 3)


def test_the_state_of_a_sweep_goes_on_and_is_its_own(tmp_path):
    networks, trainings = sweep()
    seeds, path = [3, 3, 8], tmp_path / "state.npz"

    def trainer(nets=networks, ways=trainings):
        rnn = RNNTorch.from_configs(nets, 2, 2, seeds)
        return Trainer(rnn, [flip_flop(seed) for seed in seeds], ways)

    whole = trainer().run_training()
    run_cut(trainer(), path, 3)
    for a, b in zip(trainer().run_training(checkpoint=path), whole, strict=True):
        assert_same(a, b)
    run_cut(trainer(), path, 3)
    weights = (0.2, 0.0, 0.0)
    penalised = [
        replace(t, penalties={**t.penalties, "metabolic": {"weight": w}})
        for t, w in zip(trainings, weights, strict=True)
    ]
    for nets, ways, named in (
        (networks, [replace(t, lr=0.01) for t in trainings], "lr"),
        (networks, [replace(t, weight_decay=0.01) for t in trainings], "weight_decay"),
        (networks, [replace(t, max_grad_norm=1.0) for t in trainings], "max_grad_norm"),
        (networks, [*reversed(trainings)], "lr"),
        (networks, [replace(t, penalties={}) for t in trainings], "penalties"),
        (networks, penalised, "penalties"),
        ([replace(n, sigma_rec=0.2) for n in networks], trainings, "sigma_rec"),
        ([replace(n, density=0.5) for n in networks], trainings, "initial_weights"),
    ):  # fmt: skip
        with pytest.raises(ParameterError, match=f"another training .*{named}"):
            trainer(nets, ways).load_state(path)


def test_networks_of_a_batch_have_their_own_weights_and_noise():
    networks, _ = sweep()
    rnn = RNNTorch.from_configs(networks, 3, 2, [7, 7, 9], dtype=torch.float64)
    assert rnn.is_batched
    assert [rnn.to_numpy(i).equation for i in range(3)] == [n.equation for n in networks]
    for i, (config, seed) in enumerate(zip(networks, rnn.seeds, strict=True)):
        drawn = initial_connectivity(config, 3, 2, seed)
        for name in ("W_rec", "W_inp", "W_out", "b_rec"):
            assert np.array_equal(rnn.weights(i)[name], getattr(drawn, name))
    u = torch.zeros(30, 5, 3, dtype=torch.float64)
    noisy, silent = rnn.run(u, noise=True), rnn.run(u, noise=False)
    assert torch.equal(noisy.states[1], silent.states[1])
    assert torch.equal(noisy.outputs[1], silent.outputs[1])
    for i in (0, 2):
        own = RNNTorch.from_config(networks[i], 3, 2, rnn.seeds[i], dtype=torch.float64)
        assert not own.is_batched
        alone = own.run(u, noise=True)
        assert torch.equal(noisy.states[i], alone.states[0])
        assert torch.equal(noisy.outputs[i], alone.outputs[0])
        assert not torch.equal(noisy.outputs[i], silent.outputs[i])
    with pytest.raises(ParameterError, match="there are 3 configs"):
        RNNTorch.from_configs(networks, 3, 2, [0, 1])


def test_noise_levels_are_those_of_each_network():
    configs = [NetworkConfig(n_units=4, sigma_rec=s, sigma_out=0.1) for s in (0.0, 0.5)]
    drawn = [initial_connectivity(c, 1, 1, seed) for c, seed in zip(configs, (0, 1), strict=True)]
    rnn = RNNTorch(drawn, configs)
    assert [e.sigma_rec for e in rnn.equations] == [0.0, 0.5]
    assert [e.sigma_out for e in rnn.equations] == [0.1, 0.1]
    with pytest.raises(ParameterError, match="there are 2 networks"):
        RNNTorch(drawn, configs * 2)


@pytest.mark.slow
def test_adam_takes_a_rate_and_a_weight_decay_of_each_network():
    g = torch.Generator().manual_seed(0)
    start, rates, decays = torch.randn(3, 4, 5, generator=g), [0.1, 0.01, 0.003], [0.0, 0.1, 1e-3]
    ours = start.clone().double()
    optimizer = Adam([ours], rates, decays)
    theirs = [p.clone().double() for p in start]
    references = [
        torch.optim.Adam([p], lr=lr, weight_decay=decay)
        for p, lr, decay in zip(theirs, rates, decays, strict=True)
    ]
    for _ in range(20):
        slopes = torch.randn(3, 4, 5, generator=g).double()
        optimizer.step([slopes])
        for p, reference, slope in zip(theirs, references, slopes, strict=True):
            p.grad = slope
            reference.step()
    assert torch.allclose(ours, torch.stack(theirs), rtol=1e-10)


def test_torch_works_on_one_thread_beside_the_loops():
    with torch_threads(3):
        with torch_on_one():
            assert torch.get_num_threads() == 1
            assert n_threads() == 3
            with torch_on_one():
                assert n_threads() == 3
            assert torch.get_num_threads() == 1
        assert torch.get_num_threads() == n_threads() == 3
