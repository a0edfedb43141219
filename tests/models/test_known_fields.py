"""Fields of network files: what is read is the network that its class ran, all else is refused."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from models import NetworkConfig, RNNTorch, read_network, write_network
from models.files.exchange import FORMATS
from models.files.known_fields import CHANGE_NOTHING, FORM_S_CLASSES, READ
from tasks_lib import ParameterError

N, T = 10, 30
FUNCTIONS = {
    "relu": lambda slope, x: np.maximum(slope * x, 0),
    "tanh": lambda slope, x: np.tanh(slope * x),
    "sigmoid": lambda slope, x: 1 / (1 + np.exp(-slope * x)),
    "softplus": lambda slope, x: np.log1p(np.exp(slope * x)) / slope,
}
# Every field that a version of trainRNNbrain has written, in any of its classes.
EVER_WRITTEN = (
    "N W_inp W_out W_rec activation activation_args activation_name activation_slope bias bias_out "
    "bias_range bias_rec bias_trainable d dale dale_mask dt equation_type gamma input_mask "
    "io_nonnegativity output_mask positions recurrent_mask self_connections tau weight_boundary "
    "weight_boundary_eps y_init"
)


def spatial(activation="relu", slope=1.0, d=0.0, gamma=0.1):
    """What the spatial network's class saves: units in space, excitatory ones where they lie."""
    rng = np.random.default_rng(3)
    positions = rng.random((N, 3))
    sign = np.where(rng.random(N) < 0.8, 1.0, -1.0)
    sign[0] = -1.0
    near = np.linalg.norm(positions[:, None] - positions[None], axis=-1) < 0.7
    np.fill_diagonal(near, False)
    inputs, outputs = positions[:, :1] < 0.5, positions[None, :, 0] >= 0.5
    return {
        "activation_name": activation,
        "activation_slope": slope,
        "W_out": (rng.random((2, N)) * outputs).tolist(),
        "W_inp": (rng.random((N, 3)) * inputs).tolist(),
        "W_rec": (0.7 * rng.random((N, N)) * near * sign).tolist(),
        "output_mask": np.broadcast_to(outputs, (2, N)).astype(float).tolist(),
        "recurrent_mask": near.astype(float).tolist(),
        "input_mask": np.broadcast_to(inputs, (N, 3)).astype(float).tolist(),
        "y_init": (0.1 * rng.random(N)).tolist(),
        "N": N,
        "dt": 1.0,
        "tau": 10.0,
        "gamma": gamma,
        "d": d,
        "positions": positions.tolist(),
        "dale_mask": sign.tolist(),
    }


def simulated(fields, u):
    """Return the states and outputs of the spatial network's equation, step by step."""
    w_rec, w_inp, w_out = (np.array(fields[name]) for name in ("W_rec", "W_inp", "W_out"))
    f = FUNCTIONS[fields["activation_name"]]
    x, states = np.array(fields["y_init"]), []
    for t in range(u.shape[1]):
        states.append(x)
        drive = f(fields["activation_slope"], w_rec @ x + w_inp @ u[:, t])
        right = -(x - fields["d"]) + drive - fields["gamma"] * x**3
        x = x + fields["dt"] / fields["tau"] * right
    return np.array(states).T, w_out @ np.array(states).T


def written(path, fields):
    path.write_text(json.dumps(fields))
    return path


def said(path, config=None):
    with pytest.raises(ParameterError) as caught:
        read_network(path, config)
    for line in str(caught.value).splitlines():
        assert line.isprintable()
        assert "; " in line
    return str(caught.value)


@pytest.mark.parametrize("activation", FUNCTIONS)
@pytest.mark.parametrize("as_npz", [False, True])
def test_the_spatial_network_runs_as_its_equation_says(tmp_path, activation, as_npz):
    fields = spatial(activation, slope=1.5)
    if as_npz:  # as its large runs write it: no texts
        path = tmp_path / "f.npz"
        arrays = {k: np.array(v) for k, v in fields.items() if not isinstance(v, str)}
        np.savez(path, **arrays, activation_name=activation)
    else:
        path = written(tmp_path / "f.json", fields)
    u = np.random.default_rng(0).random((3, T))
    states, outputs = read_network(path).to_numpy().run(u[:, :, None])
    expected_states, expected_outputs = simulated(fields, u)
    assert np.abs(states[..., 0] - expected_states).max() < 1e-12
    assert np.abs(outputs[..., 0] - expected_outputs).max() < 1e-12
    shifted, _ = simulated({**fields, "d": 0.2}, u)
    assert np.abs(shifted - expected_states).max() > 0.05  # which d would be


def test_its_configuration_does_not_say_its_form_nor_its_function(tmp_path):
    """The class reads neither equation_type nor activation_args nor sigma_out: it has none."""
    path, run = written(tmp_path / "f.json", spatial("relu")), tmp_path / "run.yaml"
    model = {
        "_target_": "trainRNNbrain.rnns.RNN_torch_spatial.RNN_torch", "N": N, "tau": 10.0,
        "activation_args": {"name": "tanh", "slope": 1.0}, "equation_type": "h", "d": 0,
        "exc_to_inh_ratio": 4.0, "spectral_rad": 1.2, "cdeg": 12, "sigma_rec": 0.05,
        "sigma_inp": 0.05, "sigma_out": 0.03, "bias_range": [0.0, 0.0], "dt": 1.0,
    }  # fmt: skip
    run.write_text(json.dumps({"model": model, "seed": 3}))
    network = read_network(path, run)
    config = network.config
    assert (config.equation_type, config.activation, config.gamma) == ("s", "relu", 0.1)
    assert (config.sigma_rec, config.sigma_inp, config.sigma_out) == (0.05, 0.05, 0.0)
    noted = {note.split(":")[0] for note in network.notes if "does not read" in note}
    assert noted == {"equation_type", "activation_args", "sigma_out"}
    u = np.random.default_rng(0).random((3, T))
    states, _ = network.to_numpy().run(u[:, :, None])
    assert np.abs(states[..., 0] - simulated(spatial("relu"), u)[0]).max() < 1e-12


@pytest.mark.parametrize("d", [0.2, -1e-3, [0.2], [[0.0, 0.1]], "a"])
def test_an_offset_is_refused(tmp_path, d):
    assert said(written(tmp_path / "f.json", spatial(d=d))).startswith("d = ")


def test_positions_and_form_h_do_not_go_together(tmp_path):
    path = written(tmp_path / "f.json", {**spatial(), "equation_type": "h"})
    assert said(path).startswith("equation_type = 'h'")


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"_target_": "lab.networks.MyRNN"}, "config._target_ = 'lab.networks.MyRNN'"),
        ({"adaptation": 0.5, "alpha": 0.1}, "config.adaptation = 0.5"),
        ({"equation_type": "h"}, "config.equation_type = 'h'"),
        ({"gamma": 0.1}, "config.gamma = 0.1"),
        ({"d": 0.3}, "config.d = 0.3"),
        ({"N": 11}, "config.N = 11"),
        ({"n_inputs": 4}, "n_inputs = 4"),
        ({"bias_range": [0.5, 0.5]}, "config.bias_range = [0.5, 0.5]"),
        ({"activation_name": "tanh"}, "config.activation_name = 'tanh'"),
    ],
)
def test_configurations_that_are_not_those_of_the_file(tmp_path, change, named):
    """Of a file that lacks what every version saves that knows it: form s, no gamma, no bias."""
    plain = ("W_rec", "W_inp", "W_out", "y_init", "N", "dt", "tau", "activation_name")
    fields = {name: spatial()[name] for name in plain}
    path, run = written(tmp_path / "f.json", fields), tmp_path / "run.yaml"
    right = {"_target_": "trainRNNbrain.rnns.RNN_torch.RNN_torch", "sigma_rec": 0.05, "N": N}
    run.write_text(json.dumps({"model": right}))
    assert read_network(path, run).config.sigma_rec == 0.05
    run.write_text(json.dumps({"model": {**right, **change}}))
    message = said(path, run)
    assert message.startswith(named)
    assert len(message.splitlines()) == len(change)  # each that is wrong, at once


@pytest.mark.parametrize("name", sorted(FORM_S_CLASSES))
def test_every_class_of_form_s_has_it_whatever_its_configuration_says(tmp_path, name):
    fields = spatial()
    if "patial" not in name:
        del fields["positions"], fields["d"], fields["gamma"]
    run = tmp_path / "run.yaml"
    target = f"trainRNNbrain.rnns.{name}.RNN_torch"
    run.write_text(json.dumps({"_target_": target, "equation_type": "h"}))
    path = written(tmp_path / "f.json", fields)
    assert read_network(path, run).config.equation_type == "s"


def test_every_field_ever_written_is_known():
    assert set(EVER_WRITTEN.split()) <= READ | CHANGE_NOTHING
    assert not READ & CHANGE_NOTHING


@pytest.mark.parametrize("format", FORMATS)
def test_a_field_that_is_not_understood_refuses_the_file(tmp_path, format):
    config = NetworkConfig(n_units=4, activation="tanh")
    path = write_network(tmp_path / "f", RNNTorch.from_config(config, 2, 1), config, format)
    if format == "seed-json":
        fields = {**json.loads(path.read_text()), "delay": 3, "adaptation": [0.1]}
        del fields["sha256"]
        written(path, fields)
    elif format == "state_dict":
        state = torch.load(path, weights_only=True)
        state["delay"], state["adaptation"] = torch.tensor(3), torch.ones(4)
        torch.save(state, path)
    else:
        with np.load(path) as file:
            fields = dict(file)
        with path.open("wb") as file:
            np.savez(file, **fields, delay=3, adaptation=np.ones(4))
    message = said(path)
    lines = message.splitlines()
    assert [line.split(" = ")[0] for line in lines] == ["adaptation", "delay"]
    assert all("may change what the network computes; remove it" in line for line in lines)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"b_rec": [0.0] * N, "bias": [0.1] * N}, "bias"),
        ({"x0": [0.5] * N}, "x0"),
        ({"exc2inhR": 3.0, "exc_to_inh_ratio": 4.0}, "exc_to_inh_ratio"),
        ({"activation": "tanh"}, "activation_name"),
        ({"activation_args": {"name": "relu", "slope": 2.0}}, "activation_slope"),
        ({"activation": [[1.0]]}, "activation"),
        ({"n_outputs": 3}, "n_outputs"),
        ({"input_size": 2}, "input_size"),
        ({"N": 3}, "N"),
        ({"bias_out": [0.0, 0.1]}, "bias_out"),
        ({"params": {"W_rec": [[1.0]]}}, "params.W_rec"),
        ({"params": 3}, "params"),
        ({"gamma": -0.1}, "gamma"),
    ],
)
def test_fields_that_contradict_each_other(tmp_path, change, named):
    assert read_network(written(tmp_path / "f.json", {**spatial(), "n_inputs": 3})).n_inputs == 3
    assert said(written(tmp_path / "f.json", {**spatial(), **change})).startswith(f"{named} = ")


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"d": 0.1}, "d"),
        ({"bias_out": 0.1}, "bias_out"),
        ({"activation_name": "relu"}, "activation"),
        ({"activation_slope": 2.0}, "activation"),
        ({"sigma_rec": 0.3}, "sigma_rec"),
        ({"N": 3}, "N"),
    ],
)
def test_our_own_configuration_hides_no_field(tmp_path, change, named):
    config = NetworkConfig(n_units=4, activation="tanh")
    path = write_network(tmp_path / "f.npz", RNNTorch.from_config(config, 2, 1), config)
    with np.load(path) as file:
        fields = dict(file)
    np.savez(path, **fields, **change)
    assert said(path).startswith(f"{named}")
