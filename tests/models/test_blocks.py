"""Blocks of weights between groups of units: what does not exist, and what is not trained."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import models
from models.engine import Cotangent
from models.engine.backends import registry
from models.network.blocks import states_of_weights
from models.network.connectivity import Connectivity, initial_connectivity
from tasks_lib import DMTS, ParameterError

GROUPS = {"sensory": [0, 8], "motor": [8, 16]}
BLOCKS = {
    "W_rec": [
        {"to": "sensory", "from": "motor", "weights": "absent"},
        {"to": "motor", "from": "motor", "weights": "fixed"},
    ],
    "W_inp": [
        {"to": "motor", "weights": "absent"},
        {"to": "sensory", "from": [2], "weights": "fixed"},
    ],
    "W_out": [{"from": "sensory", "weights": "absent"}],
    "b_rec": [{"to": "motor", "weights": "fixed"}],
}


def config(**more):
    return models.NetworkConfig(
        **{
            "n_units": 16, "groups": GROUPS, "blocks": BLOCKS, "bias_min": -1.0, "bias_max": 1.0,
            "bias_init": "uniform", "tau": 5.0, "activation": "tanh", **more,
        }
    )  # fmt: skip


def task():
    return DMTS(n_steps=120, n_repeats=2, seed=0)


@pytest.mark.parametrize("method", ["clamp", "reflect"])
@pytest.mark.parametrize("dale", [False, True])
@pytest.mark.parametrize("engine", ["plain", "compiled"])
def test_absent_weights_stay_zero_and_fixed_ones_what_they_were(method, dale, engine, monkeypatch):
    monkeypatch.setattr(registry, "_BACK_ENDS", [registry.get(engine)])
    network = config(dale=dale, constraint_method=method, density=0.5,
                     activation="relu" if dale else "tanh")  # fmt: skip
    rnn = models.RNNTorch.from_config(network, 3, 2, [1, 2])
    starts = [rnn.weights(k) for k in (0, 1)]
    training = models.TrainingConfig(
        max_iter=5, weight_decay=0.1, penalties={"metabolic": {"weight": 1.0}},
        task_safe_gradients=True,
    )  # fmt: skip
    for start, trained in zip(starts, models.Trainer(rnn, task(), training).run_training(),
                              strict=True):  # fmt: skip
        w = trained.weights
        assert not w["W_rec"][:8, 8:].any() and not w["W_inp"][8:].any()
        assert not w["W_out"][:, :8].any()
        for name, place in (
            ("W_rec", np.s_[8:, 8:]), ("W_inp", np.s_[:8, 2]), ("b_rec", np.s_[8:]),
        ):  # fmt: skip
            assert w[name][place].tobytes() == start[name][place].tobytes()
            assert w[name][place].any()
        # All else is trained.
        for name, place in (
            ("W_rec", np.s_[:8, :8]), ("W_rec", np.s_[8:, :8]), ("W_inp", np.s_[:8, :2]),
            ("W_out", np.s_[:, 8:] if not dale else np.s_[:, 8:12]), ("b_rec", np.s_[:8]),
        ):  # fmt: skip
            there = np.abs(start[name][place]) > 1e-9
            assert there.any() and (w[name][place] != start[name][place])[there].mean() > 0.9
        Connectivity.of(w, network)  # constraints hold in what is kept


def test_gradients_are_those_of_autograd_where_weights_are_trained_and_0_elsewhere():
    network = config()
    rnn = models.RNNTorch.from_config(network, 3, 2, 3, dtype=torch.float64)
    u, t, _ = task().get_batch()
    inputs, targets = rnn.to_internal(u), rnn.to_internal(t)
    steps = torch.as_tensor(task().mask)
    _, outputs = rnn.forward(u)
    wanted = torch.as_tensor(t)[:, steps]
    loss = ((outputs[:, steps] - wanted) ** 2).mean()
    parameters = dict(rnn.named_parameters())
    by_autograd = torch.autograd.grad(loss, list(parameters.values()), allow_unused=True)
    run = rnn.run(inputs)
    error = run.outputs - targets
    slope = torch.zeros_like(error)
    slope[:, steps] = 2 * error[:, steps] / wanted.numel()
    (found,) = run.effective_gradients([Cotangent(slope, None)])
    ours = dict(zip(parameters, rnn.raw_gradients(found), strict=True))
    connectivity = initial_connectivity(network, 3, 2, 3)
    for (name, gradient), reference in zip(ours.items(), by_autograd, strict=True):
        array = name[1:]
        exists, fixed = states_of_weights(network, array, gradient.shape[1:])
        trained = exists & ~fixed & connectivity.masks.get(array, exists)
        assert not gradient[0].numpy()[~trained].any()
        assert np.allclose(gradient[0].numpy()[trained], reference[0].numpy()[trained], atol=1e-12)
        assert np.abs(gradient[0].numpy()[trained]).max() > 0


def test_networks_without_blocks_are_what_they_were():
    plain = models.NetworkConfig(n_units=12, density=0.4, dale=True)
    one, other = (
        initial_connectivity(c, 3, 2, 7)
        for c in (
            plain,
            models.NetworkConfig(n_units=12, density=0.4, dale=True, groups={"a": [0, 3]}),
        )
    )
    for name in ("W_rec", "W_inp", "W_out"):
        assert getattr(one, name).tobytes() == getattr(other, name).tobytes()
    assert one.fixed == {} and plain.groups == plain.blocks == {}


def test_the_last_of_overlapping_blocks_counts_and_density_is_of_what_may_exist():
    blocks = {
        "W_rec": [
            {"weights": "absent"},
            {"to": "excitatory", "from": "excitatory", "weights": "trained"},
            {"to": "inhibitory", "from": "all", "weights": "trained"},
        ]
    }
    network = models.NetworkConfig(n_units=20, dale=True, blocks=blocks, density=0.5)
    exist, fixed = states_of_weights(network, "W_rec", (20, 20))
    assert exist[:16, :16].all() and not exist[:16, 16:].any() and exist[16:].all()
    assert not fixed.any()
    candidates = exist & ~np.eye(20, dtype=bool)
    W = initial_connectivity(network, 3, 1, 0).W_rec
    assert (W != 0).sum() == round(0.5 * candidates.sum()) and not W[~candidates].any()
    assert (
        models.spectral_radius(W) == pytest.approx(1.2)
        if hasattr(models, "spectral_radius")
        else True
    )


def test_files_keep_groups_and_blocks(tmp_path):
    network = config()
    rnn = models.RNNTorch.from_config(network, 3, 2, 3).to_numpy()
    path = models.write_network(tmp_path / "blocks.npz", rnn, network)
    back = models.read_network(path)
    assert back.config == network
    weights = {n: getattr(rnn, n) for n in ("W_rec", "W_out", "b_rec")}
    wrong = models.RNNNumpy(**weights, W_inp=np.ones_like(rnn.W_inp), activation="tanh", tau=5.0)
    back = models.read_network(models.write_network(tmp_path / "wrong.npz", wrong, network))
    assert set(back.config.blocks) == {"W_rec", "W_out", "b_rec"}
    assert any("blocks: those of W_inp do not fit" in note for note in back.notes)
    with pytest.raises(ParameterError, match=r"W_inp\[8, 0\] = 1.0: breaks a constraint.*blocks"):
        Connectivity.of({**weights, "W_inp": wrong.W_inp}, network)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"groups": {"all": [0, 3]}}, r"groups\.all = \[0, 3\]: is the name of a group"),
        ({"groups": {"a": 3}}, r"groups\.a = 3: is not a range of units"),
        ({"groups": {"a": [3, 3]}}, r"groups\.a\[1\] = 3: is too small"),
        ({"groups": {"a": [0, 17]}}, r"groups\.a\[1\] = 17: is too large; give at most 16"),
        ({"groups": {"": [0, 1]}}, r"groups = '': is not a name"),
        ({"blocks": {"W_in": []}}, r"blocks\.W_in = \[\]: is no array.*W_inp"),
        ({"blocks": {"W_rec": {}}}, r"blocks\.W_rec = \{\}: is not a list"),
        ({"blocks": {"W_rec": ["a"]}}, r"blocks\.W_rec\[0\] = 'a': is not a block"),
        ({"blocks": {"W_rec": [{"to": "sensry", "weights": "fixed"}]}},
         r"blocks\.W_rec\[0\]\.to = 'sensry': is no group of units; did you mean sensory\?"),
        ({"blocks": {"W_rec": [{"from": "excitatory", "weights": "fixed"}]}},
         r"blocks\.W_rec\[0\]\.from = 'excitatory': is no group"),
        ({"blocks": {"W_rec": [{"form": "all", "weights": "fixed"}]}},
         r"blocks\.W_rec\[0\]\.form = 'all': is no field of a block; use from, to, weights"),
        ({"blocks": {"W_rec": [{}]}}, r"blocks\.W_rec\[0\]\.weights = None: does not exist"),
        ({"blocks": {"b_rec": [{"weights": "absent"}]}}, r"blocks\.b_rec\[0\]\.weights = 'absent'"),
        ({"blocks": {"W_inp": [{"from": [0, 0], "weights": "fixed"}]}},
         r"blocks\.W_inp\[0\]\.from = \[0, 0\]: names a channel twice"),
        ({"blocks": {"W_inp": [{"from": "motor", "weights": "fixed"}]}},
         r"blocks\.W_inp\[0\]\.from = 'motor': are no channels"),
        ({"max_rank": 2, "self_connections": True}, r"blocks\.W_rec = .*do not keep blocks"),
    ],
)  # fmt: skip
def test_a_bad_group_or_block_is_named(fields, message):
    with pytest.raises(ParameterError, match=message):
        config(**fields)


def test_a_channel_that_a_task_does_not_have_is_named():
    network = config(blocks={"W_inp": [{"from": [3], "weights": "absent"}]})
    with pytest.raises(ParameterError, match=r"blocks\.W_inp\[0\]\.from = \[3\]: .* 0 to 2"):
        initial_connectivity(network, 3, 2, 0)


def test_a_training_goes_on_with_its_fixed_weights(tmp_path):
    training = models.TrainingConfig(max_iter=6)

    def make():
        return models.Trainer(models.RNNTorch.from_config(config(), 3, 2, 4), task(), training)

    whole = make().run_training()[0].weights
    first = make()
    first.advance(3)
    first.save_state(tmp_path / "state")
    second = make()
    second.load_state(tmp_path / "state")
    again = second.run_training()[0].weights
    assert all(again[name].tobytes() == whole[name].tobytes() for name in whole)
