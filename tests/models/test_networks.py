"""Both network classes against reference data, autograd and each other."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from models import (
    ACTIVATIONS,
    Connectivity,
    NetworkConfig,
    Noise,
    RNNNumpy,
    RNNTorch,
    get_activation,
)
from tasks_lib import ParameterError
from tests.models.strategies import any_network

DATA = Path(__file__).parent.parent / "data"
WEIGHTS = ("W_rec", "W_inp", "W_out", "b_rec")


def reference(name):
    data = np.load(DATA / f"dynamics_{name}.npz")
    params = json.loads(str(data["params"]))
    return data, {**params, **{w: data[w] for w in WEIGHTS}, "x_init": data["x0"]}


def torch_of(weights, dtype=torch.float32, **fields):
    config = NetworkConfig(n_units=len(weights["W_rec"]), self_connections=True, **fields)
    return RNNTorch(Connectivity.of(weights, config), config, dtype=dtype)


@pytest.mark.parametrize("name", ["h_tanh", "s_relu"])
def test_numpy_matches_reference(name):
    data, arguments = reference(name)
    rnn = RNNNumpy(**arguments)
    states, outputs = rnn.run(data["u"])
    assert np.abs(states - data["states"]).max() < 1e-12
    assert np.abs(outputs - data["outputs"]).max() < 1e-12
    assert np.abs(rnn.rhs(data["points"], data["u_point"]) - data["rhs"]).max() < 1e-12
    assert np.abs(rnn.jacobian(data["points"], data["u_point"]) - data["jacobian"]).max() < 1e-12


@pytest.mark.parametrize(("dtype", "bound"), [(torch.float32, 1e-5), (torch.float64, 1e-12)])
@pytest.mark.parametrize("name", ["h_tanh", "s_relu"])
def test_torch_matches_reference(name, dtype, bound):
    data, arguments = reference(name)
    weights = {w: arguments.pop(w) for w in (*WEIGHTS, "x_init")}
    f = get_activation(arguments.pop("activation"))
    rnn = torch_of(weights, dtype, activation=f.name, activation_args=f.args, **arguments)
    states, outputs = rnn(data["u"])
    assert np.abs(states.detach().numpy() - data["states"]).max() < bound
    assert np.abs(outputs.detach().numpy() - data["outputs"]).max() < bound


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_derivative_is_that_of_autograd_and_numpy(name):
    activation = get_activation(name)
    x = torch.linspace(-4, 4, 81, dtype=torch.float64, requires_grad=True)
    (expected,) = torch.autograd.grad(activation.f(x).sum(), x)
    off_kink = x.detach().abs() > 1e-9
    assert torch.allclose(activation.df(x.detach())[off_kink], expected[off_kink], atol=1e-12)
    values = x.detach().numpy()
    assert np.allclose(activation.f(values), activation.f(x.detach()).numpy(), atol=1e-14)
    assert np.allclose(activation.df(values), activation.df(x.detach()).numpy(), atol=1e-14)


def test_sigmoid_derivative_knows_the_shift():
    activation = get_activation({"name": "sigmoid", "slope": 3.0, "shift": 0.7})
    step = 1e-6
    numeric = (activation.f(np.array(0.2 + step)) - activation.f(np.array(0.2 - step))) / (2 * step)
    assert activation.df(np.array(0.2)) == pytest.approx(numeric, rel=1e-8)


@pytest.mark.slow
@settings(max_examples=150, deadline=None)
@given(
    config=any_network,
    noisy=st.booleans(),
    x_init=st.booleans(),
    precision=st.sampled_from([(torch.float64, 1e-11), (torch.float32, 2e-4)]),
    seed=st.integers(0, 2**31 - 1),
)
def test_torch_and_numpy_agree(config, noisy, x_init, precision, seed):
    dtype, bound = precision
    rnn = RNNTorch.from_config(config, 2, 3, seed=[seed, seed + 1], dtype=dtype)
    rng = np.random.default_rng(seed)
    if x_init:
        with torch.no_grad():
            rnn._x_init.copy_(torch.as_tensor(rng.standard_normal((2, 7))))
    u = rng.standard_normal((2, 6, 4))
    noise = Noise.draw(n_units=7, n_inputs=2, n_steps=6, n_trials=4, seed=seed) if noisy else False
    states, outputs = rnn(u, noise=noise)
    for index in range(2):
        x, y = rnn.to_numpy(index).run(u, noise=noise)
        scale = max(1.0, np.abs(x).max(), np.abs(y).max())
        assert np.abs(states[index].detach().numpy() - x).max() < bound * scale
        assert np.abs(outputs[index].detach().numpy() - y).max() < bound * scale


@settings(max_examples=40, deadline=None)
@given(config=any_network, seed=st.integers(0, 2**31 - 1))
def test_one_right_hand_side_serves_simulation_and_fixed_points(config, seed):
    """A noise-free step of the simulation is alpha times the right-hand side; J its derivative."""
    rnn = RNNTorch.from_config(config, 2, 3, seed=seed, dtype=torch.float64).to_numpy()
    rng = np.random.default_rng(seed)
    u, x = rng.standard_normal(2), rng.standard_normal((7, 5))
    states, _ = rnn.run(np.repeat(u[:, None, None], 2, 1).repeat(5, 2), x_init=x)
    assert np.allclose(states[:, 1] - x, rnn.alpha * rnn.rhs(x, u), atol=1e-13)
    if config.activation in ("relu", "leaky_relu"):
        return  # a difference across a kink is no derivative
    step = 1e-6
    for i in range(7):
        shift = np.zeros((7, 1))
        shift[i] = step
        column = (rnn.rhs(x + shift, u) - rnn.rhs(x - shift, u)) / (2 * step)
        assert np.allclose(rnn.jacobian(x, u)[:, :, i].T, column, atol=1e-7)


def test_frozen_noise_is_checked_and_shared():
    common = {"W_rec": np.eye(3), "W_inp": np.ones((3, 2)), "W_out": np.ones((1, 3))}
    rnn = RNNNumpy(**common, sigma_rec=0.1, sigma_out=0.1)
    u = np.zeros((2, 5, 4))
    noise = Noise.draw(n_units=3, n_inputs=2, n_steps=5, n_trials=4, seed=1)
    first, again = rnn.run(u, noise=noise), rnn.run(u, noise=noise)
    assert np.array_equal(first[0], again[0])
    assert np.array_equal(first[1], again[1])
    assert not np.array_equal(rnn.run(u, noise=True)[0], rnn.run(u, noise=True)[0])
    with pytest.raises(ParameterError, match=r"noise\.rec\.shape"):
        rnn.run(np.zeros((2, 6, 4)), noise=noise)
    with pytest.raises(ParameterError, match=r"noise\.rec\.shape"):
        torch_of(common, sigma_rec=0.1)(np.zeros((2, 5, 3)), noise=noise)


@settings(max_examples=30, deadline=None)
@given(
    dale=st.booleans(),
    density=st.sampled_from([0.2, 0.6, 1.0]),
    loops=st.booleans(),
    seed=st.integers(0, 10**6),
)
def test_initial_weights_keep_their_constraints(dale, density, loops, seed):
    n = 20
    config = NetworkConfig(
        n_units=n, dale=dale, density=density, self_connections=loops, spectral_radius=1.2
    )
    rnn = RNNTorch.from_config(config, 3, 2, seed=seed, dtype=torch.float64).to_numpy()
    candidates = n * n if loops else n * (n - 1)
    assert np.count_nonzero(rnn.W_rec) == round(density * candidates)
    assert loops or not np.diag(rnn.W_rec).any()
    assert np.abs(np.linalg.eigvals(rnn.W_rec)).max() == pytest.approx(1.2, rel=1e-9)
    if dale:
        assert (rnn.W_rec[:, :16] >= 0).all()
        assert (rnn.W_rec[:, 16:] <= 0).all()
        assert (rnn.W_inp >= 0).all()
        assert (rnn.W_out >= 0).all()
        assert not rnn.W_out[:, 16:].any()


def test_blocks_of_weights_have_their_own_streams():
    config = NetworkConfig(n_units=4, self_connections=True)
    rnn = RNNTorch.from_config(config, 4, 4, seed=3, dtype=torch.float64).to_numpy()
    flat = [w / w.ravel()[0] for w in (rnn.W_rec, rnn.W_inp, rnn.W_out)]
    assert not np.allclose(flat[0], flat[1])
    assert not np.allclose(flat[1], flat[2])


def test_noise_has_the_stated_size_and_place():
    n, t, b = 3, 2, 200_000
    common = {"W_rec": np.zeros((n, n)), "W_inp": np.zeros((n, 1)), "W_out": np.eye(n)}
    u = np.zeros((1, t, b))
    rnn = RNNNumpy(**common, sigma_rec=0.3, tau=5.0, seed=0)
    states, _ = rnn.run(u, noise=True)
    alpha = 0.2
    assert states[:, 1].std() == pytest.approx(alpha * np.sqrt(2 / alpha) * 0.3, rel=0.01)
    inside = RNNNumpy(**common, sigma_rec=0.3, tau=5.0, noise_inside=True, seed=0)
    assert (inside.run(u, noise=True)[0] >= 0).all()  # the rectifier came after the noise
    torch_states, _ = torch_of(common, sigma_rec=0.3, tau=5.0)(u, noise=True)
    assert float(torch_states.detach()[:, 1].std()) == pytest.approx(
        float(states[:, 1].std()), rel=0.01
    )


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("tau", -1.0),
        ("dt", 20.0),
        ("density", 0.0),
        ("density", float("nan")),
        ("n_units", 2.5),
        ("n_units", "100"),
        ("dale", 1),
        ("activation", "swish"),
        ("equation_type", "x"),
        ("sigma_rec", -0.1),
        ("constraint_method", "hope"),
    ],
)
def test_network_config_names_the_field_and_value(field, value):
    with pytest.raises(ParameterError) as caught:
        NetworkConfig(**{field: value})
    assert caught.value.field == field
    assert repr(value) in str(caught.value)
    assert caught.value.remedy


def test_numpy_refuses_weights_that_disagree_or_are_not_finite():
    good = {"W_rec": np.eye(3), "W_inp": np.ones((3, 2)), "W_out": np.ones((1, 3))}
    for name, bad in (
        ("W_rec", np.eye(4)),
        ("W_out", np.ones((1, 4))),
        ("W_inp", np.full((3, 2), np.nan)),
    ):
        with pytest.raises(ParameterError, match=name):
            RNNNumpy(**{**good, name: bad})
    with pytest.raises(ParameterError, match="2 input channels"):
        RNNNumpy(**good).run(np.zeros((3, 5)))


def test_the_initial_state_has_two_names():
    weights = {"W_rec": np.eye(3), "W_inp": np.ones((3, 2)), "W_out": np.ones((1, 3))}
    assert np.array_equal(RNNNumpy(**weights, x0=[1.0, 2.0, 3.0]).x_init, [1.0, 2.0, 3.0])
    with pytest.raises(ParameterError, match="x0"):
        RNNNumpy(**weights, x0=np.ones(3), x_init=np.ones(3))


FREE = {"W_rec": np.eye(3), "W_inp": np.ones((3, 2)), "W_out": -np.ones((1, 3))}


@pytest.mark.parametrize(
    ("fields", "changes", "named"),
    [
        ({}, {}, r"W_rec\[0, 0\] = 1\.0: breaks .* self_connections"),
        ({"self_connections": True, "nonnegative_out": True}, {}, r"W_out\[0, 0\] = -1\.0"),
        ({"dale": True, "nonnegative_out": False}, {"W_rec": np.ones((3, 3))}, r"W_rec\[0, 0\]"),
        ({"self_connections": True}, {"W_rec": np.eye(4)}, r"W_rec\.shape"),
        ({"self_connections": True}, {"b_rec": [0.0, np.nan, 0.0]}, "b_rec"),
        ({"n_units": 4}, {}, r"W_rec\.shape"),
    ],
)
def test_weights_are_taken_only_as_the_configuration_says(fields, changes, named):
    config = NetworkConfig(**{"n_units": 3, **fields})
    with pytest.raises(ParameterError, match=named):
        Connectivity.of({**FREE, **changes}, config)


def test_weights_come_back_as_they_were_given():
    config = NetworkConfig(n_units=3, self_connections=True, tau=4.0, train_x_init=True)
    own = {**FREE, "x_init": [1.0, 2.0, 3.0]}
    rnn = RNNTorch(Connectivity.of(own, config), config, seeds=5, dtype=torch.float64)
    assert not rnn.is_batched and rnn.seeds == [5]
    assert all(np.array_equal(rnn.weights()[name], value) for name, value in own.items())
    assert not rnn.weights()["b_rec"].any()
    assert rnn.equation == config.equation
    assert isinstance(rnn._x_init, torch.nn.Parameter)
    assert not isinstance(rnn._b_rec, torch.nn.Parameter)
    both = RNNTorch([Connectivity.of(own, config)] * 2, config, dtype=torch.float64)
    assert both.is_batched and both.seeds == [0, 1] and both.W_rec.shape == (2, 3, 3)
    assert both.to_numpy(1).alpha == 0.25


def test_networks_and_configurations_have_to_agree():
    config = NetworkConfig(n_units=3, self_connections=True)
    one = Connectivity.of(FREE, config)
    with pytest.raises(ParameterError, match=r"W_rec\.shape"):
        RNNTorch(one, NetworkConfig(n_units=4))
    two_inputs = Connectivity.of({**FREE, "W_inp": np.ones((3, 1))}, config)
    with pytest.raises(ParameterError, match=r"W_inp\.shape"):
        RNNTorch([one, two_inputs], config)
    with pytest.raises(ParameterError, match="tau"):
        RNNTorch([one, one], [config, NetworkConfig(n_units=3, tau=5.0)])
    with pytest.raises(ParameterError, match="seeds"):
        RNNTorch([one, one], config, seeds=[1])
    with pytest.raises(ParameterError, match="no network"):
        RNNTorch([], config)


@pytest.mark.parametrize("device", ["cuda:77", "gpu", ""])
def test_a_device_that_is_not_there_is_named(device):
    with pytest.raises(ParameterError, match=f"device = '{device}': cannot be used here"):
        RNNTorch.from_config(NetworkConfig(n_units=3), 2, 2, device=device)
