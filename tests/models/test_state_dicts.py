"""State_dicts of other programs: the equations are exact, and what differs is refused."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from models import NetworkConfig, RNNTorch, read_network, write_network
from tasks_lib import ParameterError

N, M, N_OUT = 7, 3, 2
ELMAN = {
    "W_rec": "rnn.weight_hh_l0",
    "W_inp": "rnn.weight_ih_l0",
    "b_rec": ["rnn.bias_ih_l0", "rnn.bias_hh_l0"],
    "W_out": "readout.weight",
}
LEAKY = {"W_rec": "h2h.weight", "W_inp": "input2h.weight", "b_rec": ["input2h.bias", "h2h.bias"],
         "W_out": "fc.weight", "b_out": "fc.bias"}  # fmt: skip


class Elman(nn.Module):
    def __init__(self, n_layers=1, kind=nn.RNN, **options):
        super().__init__()
        self.rnn = kind(M, N, n_layers, **options)
        self.readout = nn.Linear(N, N_OUT, bias=False)


class Leaky(nn.Module):
    """h' = (1 - a) h + a relu(input2h(u) + h2h(h)), as many tutorials write it."""

    def __init__(self, alpha):
        super().__init__()
        self.alpha = alpha
        self.input2h, self.h2h, self.fc = nn.Linear(M, N), nn.Linear(N, N), nn.Linear(N, N_OUT)
        nn.init.zeros_(self.fc.bias)

    def forward(self, u):
        h, states = torch.zeros(u.shape[1], N), []
        for x in u:
            h = h * (1 - self.alpha) + torch.relu(self.input2h(x) + self.h2h(h)) * self.alpha
            states.append(h)
        return torch.stack(states), self.fc(torch.stack(states))


def saved(tmp_path, module, **changes):
    path = tmp_path / "model.pt"
    state = {name: value.float() for name, value in module.state_dict().items()}
    torch.save({n: v for n, v in {**state, **changes}.items() if v is not None}, path)
    return path


def inputs(seed=0, n_steps=15, n_trials=4):
    return np.random.default_rng(seed).normal(size=(M, n_steps, n_trials))


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 2**31), st.sampled_from(["tanh", "relu"]))
def test_an_elman_network_has_the_same_states_and_outputs(tmp_path_factory, seed, activation):
    torch.manual_seed(seed)
    module = Elman(nonlinearity=activation)
    path = saved(tmp_path_factory.mktemp("elman"), module)
    mapping = {"names": ELMAN, "config": {"activation": activation}}
    network = read_network(path, mapping=mapping)
    config = network.config
    assert (config.equation_type, config.dt, config.tau, config.gamma) == ("s", 1.0, 1.0, 0.0)
    u = inputs(seed % 1000)
    module.double()
    theirs, _ = module.rnn(torch.from_numpy(u.transpose(1, 2, 0)))
    outputs = module.readout(theirs).detach().numpy().transpose(2, 0, 1)
    theirs = theirs.detach().numpy().transpose(2, 0, 1)
    states, ours = network.to_numpy().run(u)
    # Theirs after the step, ours before it.
    assert np.allclose(states[:, 1:], theirs[:, :-1], rtol=1e-11, atol=1e-11)
    assert np.allclose(ours[:, 1:], outputs[:, :-1], rtol=1e-11, atol=1e-11)
    assert np.all(states[:, 0] == 0)
    assert any("at step t + 1" in note for note in network.notes)
    assert any("b_rec = rnn.bias_ih_l0 + rnn.bias_hh_l0" in note for note in network.notes)


@pytest.mark.parametrize("alpha", [0.1, 0.5, 1.0])
def test_a_leaky_network_is_the_same_with_dt_over_tau(tmp_path, alpha):
    torch.manual_seed(1)
    module = Leaky(alpha)
    config = {"activation": "relu", "equation_type": "s", "dt": 20 * alpha, "tau": 20}
    network = read_network(saved(tmp_path, module), mapping={"names": LEAKY, "config": config})
    u = inputs()
    with torch.no_grad():
        states, outputs = module(torch.from_numpy(u.transpose(1, 2, 0)).float())
    found, ours = network.to_numpy().run(u)
    assert np.allclose(found[:, 1:], states.numpy().transpose(2, 0, 1)[:, :-1], atol=1e-5)
    assert np.allclose(ours[:, 1:], outputs.numpy().transpose(2, 0, 1)[:, :-1], atol=1e-5)


def test_a_mapping_in_a_file_and_back(tmp_path):
    module = Elman()
    file = tmp_path / "mapping.yaml"
    file.write_text(yaml.safe_dump({"names": ELMAN, "config": {"activation": "tanh"}}))
    network = read_network(saved(tmp_path, module), mapping=file)
    written = write_network(tmp_path / "n.npz", network.to_numpy(), network.config)
    again = read_network(written)
    assert all(np.array_equal(network.weights[n], again.weights[n]) for n in network.weights)
    assert again.config == network.config
    assert not [note for note in network.notes if "bias_range" in note or "self_conn" in note]
    assert (network.config.bias_min, network.config.bias_max) == (
        network.weights["b_rec"].min(), network.weights["b_rec"].max(),
    )  # fmt: skip


def without(mapping, name):
    return {key: value for key, value in mapping.items() if key != name}


@pytest.mark.parametrize(
    ("module", "names", "config", "message"),
    [
        (Elman(), without(ELMAN, "b_rec"), {}, r"rnn.bias_hh_l0 = \(7,\): is named by nothing"),
        (Elman(2), ELMAN, {}, "rnn.weight_hh_l1"),
        (Elman(bidirectional=True), ELMAN, {}, "rnn.weight_hh_l0_reverse"),
        (Elman(kind=nn.LSTM), ELMAN, {}, "are the gates of an LSTM"),
        (Elman(kind=nn.GRU), ELMAN, {}, "are the gates of a GRU"),
        (Elman(), without(ELMAN, "W_out"), {}, r"mapping.names.W_out = None: is missing"),
        (Elman(), {**ELMAN, "W_out": "readout.wieght"}, {}, "did you mean readout.weight"),
        (Elman(), {**ELMAN, "W_rec": "rnn.weight_ih_l0"}, {}, "is named twice"),
        (Elman(), {**ELMAN, "w_rec": "x"}, {}, "mapping.names.w_rec = 'x': is no weight"),
        (Elman(), {**ELMAN, "W_rec": ["rnn.weight_hh_l0"]}, {}, "names no tensor"),
        (Elman(), ELMAN, {"activation": None}, r"config.activation = None: is missing"),
        (Elman(), ELMAN, {"tau": 10.0, "dt": 1.0}, "torch.nn.RNN has no leak"),
        (Elman(), ELMAN, {"gamma": 0.1}, "which has 0"),
        (Elman(), ELMAN, {"equation_type": "h"}, "which has s"),
        (Elman(), ELMAN, {"activation": "softplus"}, "which has tanh or relu"),
        (Elman(), ELMAN, {"n_unit": 3}, "mapping.config.n_unit"),
        (Elman(), ELMAN, {"dale": "x"}, "mapping.config.dale"),
        (Leaky(0.1), LEAKY, {"dt": 1.0, "tau": 10.0}, "equation_type = None: is missing"),
        (Leaky(0.1), LEAKY, {"equation_type": "s", "dt": 1.0}, "config.tau = None: is missing"),
    ],
)  # fmt: skip
def test_what_differs_is_refused(tmp_path, module, names, config, message):
    config = {"activation": "tanh", **config}
    config = {name: value for name, value in config.items() if value is not None}
    with pytest.raises(ParameterError, match=message):
        read_network(saved(tmp_path, module), mapping={"names": names, "config": config})


def test_a_bias_of_the_readout_is_refused(tmp_path):
    module = Leaky(0.1)
    nn.init.ones_(module.fc.bias)
    config = {"activation": "relu", "equation_type": "s", "dt": 1.0, "tau": 10.0}
    with pytest.raises(ParameterError, match="no bias of the readout"):
        read_network(saved(tmp_path, module), mapping={"names": LEAKY, "config": config})


def test_other_files_and_other_forms_are_refused(tmp_path):
    mapping = {"names": ELMAN, "config": {"activation": "tanh"}}
    config = NetworkConfig(n_units=N)
    ours = RNNTorch.from_config(config, M, N_OUT, seed=0)
    for format, message in (("npz", "is no state_dict"), ("seed-json", "is no state_dict"),
                            ("state_dict", "without a configuration of its own")):  # fmt: skip
        path = write_network(tmp_path / f"n.{format}", ours, config, format)
        with pytest.raises(ParameterError, match=message):
            read_network(path, mapping=mapping)
    path = saved(tmp_path, Elman())
    with pytest.raises(ParameterError, match=r"mapping.name = .*did you mean names"):
        read_network(path, mapping={"name": ELMAN})
    with pytest.raises(ParameterError, match="leave it out"):
        read_network(path, tmp_path / "x.yaml", mapping=mapping)
    with pytest.raises(ParameterError, match=r"W_rec = None: .*--mapping"):
        read_network(path)
    theirs = tmp_path / "named.pt"  # named as ours, without saying the equation
    torch.save(
        {"W_rec": torch.eye(N), "W_inp": torch.ones(N, M), "W_out": torch.ones(1, N)}, theirs
    )
    with pytest.raises(ParameterError, match="give a mapping of its names"):
        read_network(theirs)
    shapes = saved(tmp_path, Elman(), **{"rnn.bias_ih_l0": torch.zeros(N, 1)})
    with pytest.raises(ParameterError, match=r"b_rec\.shape"):
        read_network(shapes, mapping=mapping)
