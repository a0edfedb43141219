"""Latent circuits: those of networks that are a known circuit are found again."""

from __future__ import annotations

import numpy as np
import pytest

import models
from models.circuits.agreement import agreement, matched_to
from models.circuits.embedded import EmbeddedCircuit, circuit_equation, embedding_scale, is_odd
from models.circuits.preparation import principal_components
from models.circuits.training import TrainedCircuit
from models.formulas.activations import get_activation
from models.network.rnn_numpy import RNNNumpy
from tasks_lib import XOR
from tasks_lib.errors import ParameterError
from tests.models.circuit_networks import W_INP, W_OUT, W_REC, Pulses, in_groups

SMALL = {"n_nodes": 3, "n_starts": 3, "n_iterations": 500, "weight_decay": 1e-6, "n_controls": 4}


def settings(**more):
    return models.CircuitSettings(**{**SMALL, **more})


@pytest.fixture(scope="module")
def known():
    """A ReLU network in form s, its true embedding, and its circuit."""
    rnn, Q = in_groups("s", "relu")
    return rnn, Q, models.fit_latent_circuit(rnn, Pulses(), settings(), seed=1)


@pytest.mark.parametrize("gamma", [0.0, 0.3])
@pytest.mark.parametrize(("form", "activation"), [("s", "relu"), ("h", "relu"), ("s", "tanh"),
                                                  ("h", "tanh"), ("h", "softplus")])  # fmt: skip
def test_groups_of_units_are_their_circuit_exactly(form, activation, gamma):
    rnn, Q = in_groups(form, activation, gamma=gamma)
    weights = {"W_rec": W_REC, "W_inp": W_INP, "W_out": W_OUT}
    scale = embedding_scale(rnn.activation, 30, 3)
    circuit = EmbeddedCircuit.of(rnn, Q, scale, weights)
    inputs = Pulses(seed=0).get_batch()[0]
    states, outputs = rnn.run(inputs)
    _, own_outputs, activity = circuit.run(inputs)
    assert np.allclose(activity, rnn.equation.rates(states), atol=1e-12)
    assert np.allclose(own_outputs, outputs, atol=1e-12)
    error, alike = circuit.relation(rnn)
    assert error == pytest.approx(0.0, abs=1e-12) and alike == pytest.approx(1.0)
    # A changed weight is a rank-one change of the network's.
    changed = circuit.connection_in(rnn, 2, 0, 0.4)
    assert np.linalg.matrix_rank(changed.W_rec - rnn.W_rec) == 1
    predicted = circuit.with_connection(2, 0, 0.4).run(inputs)[1]
    assert np.allclose(changed.run(inputs)[1], predicted, atol=1e-12)
    assert not np.allclose(predicted, outputs, atol=1e-3)


def test_a_known_circuit_is_found_again(known):
    _, Q, found = known
    assert (found.status, found.reason, found.n_trials) == ("fitted", "", 24)
    assert found.n_held_out == 6 and found.n_components == 3
    assert min(found.r2.values()) > 0.995
    # Inputs have nodes of their own, in order; there is nothing to permute.
    circuit = found.circuit
    assert np.allclose(circuit.embedding.T @ circuit.embedding, np.eye(3), atol=1e-12)
    assert (np.abs(circuit.embedding * Q).sum(axis=0) > 0.99).all()
    assert np.allclose(circuit.network.W_rec, W_REC, atol=0.15)
    assert np.corrcoef(circuit.network.W_rec.ravel(), W_REC.ravel())[0, 1] > 0.98
    assert np.allclose(circuit.network.W_inp, W_INP, atol=0.1)
    assert found.relation_error < 0.25 and found.relation_correlation > 0.98


def test_good_starts_agree(known):
    _, _, found = known
    assert found.n_finite == 3 and found.starts.n_good >= 2
    assert found.starts.connectivity > 0.95 and found.starts.embedding > 0.99
    assert found.starts.spread["W_rec"].shape == (3, 3)
    assert 0 < found.starts.spread["W_rec"].max() < 0.2


def test_weights_are_rows_with_their_spread(known):
    found = known[2]
    rows = list(found.connections())
    kinds = [row.kind for row in rows]
    # Inputs and outputs that have a node each are no other weights.
    assert [kinds.count(k) for k in ("input", "recurrent", "output")] == [3, 9, 1]
    assert [(r.target, r.source) for r in rows if r.kind == "output"] == [(0, 2)]
    one = next(r for r in rows if (r.kind, r.target, r.source) == ("recurrent", 2, 0))
    assert one.weight == found.circuit.network.W_rec[2, 0]
    assert one.spread == found.starts.spread["W_rec"][2, 0]


def test_the_network_does_what_its_circuit_predicts(known):
    _, _, found = known
    assert len(found.perturbations) == 2 * 9 + 2 * 3
    for kind in ("connection", "node"):
        test = found.tests[kind]
        assert test.cosine > 0.95 > test.control + 0.3 and test.p == pytest.approx(1 / 5)
        assert test.correlation > 0.9
    strong = [one for one in found.perturbations if one.predicted > 0.05]
    assert len(strong) >= 8
    for one in strong:
        assert one.cosine > 0.9 and one.observed == pytest.approx(one.predicted, rel=0.3)
        assert one.control_cosine < one.cosine
    # What nobody reads changes nothing: node 2 sends to itself alone.
    unread = [one for one in found.perturbations if one.kind == "connection" and one.to_node < 2]
    assert all(one.predicted is not None for one in unread)


def test_where_nodes_are_free_they_are_found_in_any_order():
    # Inputs that are strong: of weak ones tanh makes nothing that tells rotated nodes apart.
    rnn, Q = in_groups("h", "tanh", W_inp=3 * W_INP)
    free = settings(inputs="free", outputs="free", nonnegative=False, n_controls=0)
    found = models.fit_latent_circuit(rnn, Pulses(lowest=-1.0), free, seed=2)
    assert found.status == "fitted" and found.r2["held_out_activity"] > 0.98
    overlap = Q.T @ found.circuit.embedding
    order = np.abs(overlap).argmax(axis=1)
    assert sorted(order.tolist()) == [0, 1, 2] and np.abs(overlap).max(axis=1).min() > 0.95
    sign = np.sign(overlap[np.arange(3), order])
    w = found.circuit.network.W_rec[np.ix_(order, order)] * np.outer(sign, sign)
    assert np.corrcoef(w.ravel(), W_REC.ravel())[0, 1] > 0.95
    assert found.tests["connection"].cosine > 0.95 and found.tests["connection"].control is None
    assert found.circuit.scale == pytest.approx(np.sqrt(10))


def test_a_chaotic_network_is_said_not_to_fit():
    rng = np.random.default_rng(0)
    rnn = RNNNumpy(
        W_rec=3.0 * rng.standard_normal((40, 40)) / np.sqrt(40), W_inp=rng.standard_normal((40, 3)),
        W_out=rng.standard_normal((1, 40)), activation="tanh", equation_type="h", tau=4.0,
        x_init=rng.standard_normal(40),
    )  # fmt: skip
    found = models.fit_latent_circuit(rnn, Pulses(), settings(n_iterations=60, n_starts=2))
    assert found.status == "does_not_fit" and "R^2 of held-out activity is" in found.reason
    # The numbers are there, and nothing is claimed.
    assert found.r2["held_out_activity"] < 0.8 and found.relation_error > 0.5
    assert len(list(found.connections())) == 13
    assert found.starts is None and found.perturbations == [] and found.tests == {}
    assert found.circuit.network.x_init.any()
    figure = models.plot_latent_circuit(found, rnn, Pulses(seed=0))
    assert "not perturbed" in figure.axes[5].texts[0].get_text()


def test_what_cannot_be_fitted_has_a_status(known):
    rnn = known[0]

    def fit(network=rnn, task=None, **more):
        return models.fit_latent_circuit(network, task or Pulses(), settings(**more))

    silent = RNNNumpy(
        W_rec=np.zeros((5, 5)), W_inp=np.zeros((5, 3)), W_out=np.ones((1, 5)), activation="relu"
    )
    growing = RNNNumpy(
        W_rec=1e6 * np.eye(5), W_inp=np.ones((5, 3)), W_out=np.ones((1, 5)), activation="relu"
    )
    cases = [
        (fit(n_nodes=31), "too_many_nodes", "31 nodes, and the network has 30 units"),
        (fit(n_nodes=2), "too_few_nodes", "3 inputs"),
        (fit(silent, n_nodes=3), "silent", "no unit"),
        (fit(growing, Pulses(n_steps=200)), "not_finite", "overflow"),
        (fit(task=Pulses(n_trials=1)), "one_condition", "the same"),
        (fit(task=Pulses(n_trials=3)), "few_trials", "3 different trials"),
    ]
    for found, status, why in cases:
        assert found.status == status and why in found.reason and len(found.reason) < 256
        assert found.circuit is None and found.r2 == {} and list(found.connections()) == []
    figure = models.plot_latent_circuit(cases[0][0], rnn, Pulses(seed=0))
    assert figure.axes[0].texts[0].get_text() == "too many nodes"
    with pytest.raises(ParameterError, match="n_nodes"):
        models.CircuitSettings(n_nodes=0)


def test_trials_with_the_same_inputs_are_held_out_together():
    # XOR has four different trials, 64 of each.
    rnn, _ = in_groups("s", "relu", W_inp=np.ones((3, 4)), W_out=np.eye(2, 3))
    found = models.fit_latent_circuit(
        rnn, XOR(seed=0), settings(n_iterations=10, n_starts=1, inputs="free", max_trials=40)
    )
    assert (found.n_trials, found.n_held_out) == (40, 10)


def test_starts_are_compared_whatever_the_order_of_their_nodes():
    rng = np.random.default_rng(0)
    Q = np.linalg.qr(rng.standard_normal((6, 3)))[0]
    weights = {
        "W_rec": rng.standard_normal((3, 3)), "W_inp": rng.standard_normal((3, 2)),
        "W_out": rng.standard_normal((1, 3)),
    }  # fmt: skip
    order, sign = np.array([2, 0, 1]), np.array([1.0, -1.0, 1.0])
    other = TrainedCircuit(
        {
            "W_rec": (weights["W_rec"] * np.outer(sign, sign))[np.ix_(order, order)],
            "W_inp": (weights["W_inp"] * sign[:, None])[order],
            "W_out": (weights["W_out"] * sign)[:, order],
        },
        (Q * sign)[:, order],
        0.11,
    )
    best = TrainedCircuit(weights, Q, 0.1)
    back, cosine = matched_to(best, other, may_flip=True)
    assert cosine == pytest.approx(1.0)
    assert all(np.allclose(back[name], weights[name]) for name in weights)
    found = agreement([best, other], 0.02, may_flip=True)
    assert (found.n_good, found.connectivity) == (2, pytest.approx(1.0))
    assert agreement([best, other], 0.02, may_flip=False).embedding < 0.7
    alone = agreement([best, other], 0.001, may_flip=True)
    assert (alone.n_good, alone.connectivity, alone.spread) == (1, None, {})


def test_components_hold_the_share_that_is_asked_for():
    rng = np.random.default_rng(0)
    rates = np.tensordot(rng.standard_normal((20, 4)), rng.uniform(0, 1, (4, 10, 6)), 1)
    basis, share = principal_components(rates, 0.5, 1)
    assert share >= 0.5 and basis.shape[1] < 4
    whole, share = principal_components(rates, 1.0, 2)
    assert share == pytest.approx(1.0) and np.allclose(whole.T @ whole, np.eye(whole.shape[1]))
    projected = np.tensordot(whole @ whole.T, rates, 1)
    assert np.allclose(projected, rates)
    assert principal_components(rates, 0.5, 7)[0].shape == (20, 7)


def test_scale_and_equation_of_nodes():
    relu, tanh = get_activation("relu"), get_activation("tanh")
    assert embedding_scale(relu, 50, 8) == 1.0
    assert embedding_scale(get_activation("leaky_relu"), 50, 8) == 1.0
    assert embedding_scale(tanh, 50, 2) == pytest.approx(5.0)
    assert is_odd(tanh) and not is_odd(relu)
    rnn = in_groups("s", "relu", sigma_rec=0.5, noise_inside=True, gamma=1.0)[0]
    own = circuit_equation(rnn.equation, 1.0, 30, 3)
    assert (own.sigma_rec, own.noise_inside, own.gamma) == (0.0, False, pytest.approx(0.1))


def test_the_figure_shows_weights_rates_and_perturbations(known):
    rnn, _, found = known
    task = Pulses(seed=0)
    figure = models.plot_latent_circuit(found, rnn, task, seed=1)
    titles = [axes.get_title() for axes in figure.axes]
    assert titles[:3] == ["input weights", "recurrent weights", "output weights"]
    assert titles[3].startswith("unit ") and titles[5].startswith("connections: mean")
    assert np.array_equal(figure.axes[1].images[0].get_array(), found.circuit.network.W_rec)
    assert len(figure.axes[3].lines) == 6
    assert [t.get_text() for t in figure.axes[0].get_xticklabels()] == list(task.input_names)
