"""Networks in files: exact round trips, and files that trainRNNbrain's own code wrote."""

from __future__ import annotations

import hashlib
import io
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from models import ACTIVATIONS, NetworkConfig, RNNNumpy, RNNTorch, read_network, write_network
from models.files.exchange import FORMATS, WEIGHTS
from models.files.weight_files import ENTRY
from tasks_lib import ParameterError

DATA = Path(__file__).parent.parent / "data"
SEED = ("s_relu_dale", "s_tanh", "h_softplus_dale", "h_sigmoid")


def seed_fields(name="s_relu_dale"):
    return json.loads((DATA / f"seed_{name}.json").read_text())


def write_json(path, fields):
    path.write_text(json.dumps(fields))
    return path


@st.composite
def configs(draw):
    form = draw(st.sampled_from(["s", "h"]))
    low = draw(st.sampled_from([0.0, -0.2, -1 / 3]))
    return NetworkConfig(
        n_units=draw(st.integers(2, 9)),
        activation=draw(st.sampled_from(ACTIVATIONS)),
        equation_type=form,
        tau=draw(st.floats(1.0, 50.0)),
        dt=draw(st.floats(0.01, 1.0)),
        gamma=draw(st.sampled_from([0.0, 0.1])),
        dale=draw(st.booleans()),
        exc_to_inh_ratio=draw(st.sampled_from([1.0, 4.0, 1 / 3 + 1])),
        density=draw(st.sampled_from([0.1, 0.5, 1.0])),
        self_connections=draw(st.booleans()),
        nonnegative_inp=draw(st.none() | st.booleans()),
        nonnegative_out=draw(st.none() | st.booleans()),
        sigma_rec=draw(st.sampled_from([0.0, 0.05])),
        noise_inside=form == "s" and draw(st.booleans()),
        bias_min=low,
        bias_max=draw(st.sampled_from([low, 0.7])),
        bias_init=draw(st.sampled_from(["zero", "uniform"])),
        constraint_method=draw(st.sampled_from(["clamp", "reflect"])),
    )


@pytest.mark.slow
@settings(max_examples=40, deadline=None)
@given(config=configs(), seed=st.integers(0, 99), double=st.booleans())
def test_every_format_gives_the_same_network(tmp_path_factory, config, seed, double):
    path = tmp_path_factory.mktemp("files") / "network"
    dtype = torch.float64 if double else torch.float32
    rnn = RNNTorch.from_config(config, 3, 2, seed=seed, dtype=dtype)
    for format in FORMATS:
        assert write_network(path, rnn, config, format) == path
        back = read_network(path)
        assert (back.config, back.format, back.notes) == (config, format, ())
        assert back.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
        again = back.to_torch(dtype=dtype)
        for name in WEIGHTS:
            assert back.weights[name].dtype == np.float64
            assert np.array_equal(back.weights[name], rnn.weights()[name].astype(np.float64))
            assert np.array_equal(again.weights()[name], rnn.weights()[name])
        for name in ("W_rec", "W_out"):
            assert torch.equal(getattr(again, f"_sign_{name}"), getattr(rnn, f"_sign_{name}"))
        # Constraints are in force: they change nothing on weights that keep them.
        again.enforce_constraints()
        assert np.array_equal(again.weights()["W_rec"], rnn.weights()["W_rec"])
    assert [f.name for f in path.parent.iterdir()] == ["network"]


@pytest.mark.slow
@pytest.mark.parametrize("format", FORMATS)
def test_one_flipped_bit_is_found_wherever_it_matters(tmp_path, format):
    """The file is refused, or the network is the same."""
    config = NetworkConfig(n_units=3, dale=False, bias_min=-1.0, bias_init="uniform")
    path = tmp_path / "network"
    whole = write_network(path, RNNTorch.from_config(config, 1, 1, seed=0), config, format)
    content, network = whole.read_bytes(), read_network(whole)
    n_refused = 0
    places = [*range(0, len(content), 1 + len(content) // 150), len(content) - 1]
    for place in places:
        path.write_bytes(flipped(content, place, bit=place % 8))
        try:
            read = read_network(path)
        except ParameterError:
            n_refused += 1
            continue
        assert read.config == network.config
        assert all(np.array_equal(read.weights[n], network.weights[n]) for n in WEIGHTS), place
    assert n_refused > len(places) / 3


def flipped(content, place, bit):
    return content[:place] + bytes([content[place] ^ (1 << bit)]) + content[place + 1 :]


def test_a_part_that_its_container_lost_is_missed(tmp_path):
    """One bit in the length of a comment: the rest of the list of parts is taken for it."""
    config = NetworkConfig(n_units=3, dale=False, bias_min=-1.0, bias_init="uniform")
    rnn = RNNTorch.from_config(config, 1, 1, seed=0)
    path = write_network(tmp_path / "a.npz", rnn, config, "seed-npz")
    content = path.read_bytes()
    last_but_one = content.rindex(ENTRY, 0, content.rindex(ENTRY))
    path.write_bytes(flipped(content, last_but_one + 32, bit=6))
    with np.load(io.BytesIO(content)) as whole, np.load(path) as lost:
        assert len(lost.files) == len(whole.files) - 1
    with pytest.raises(ParameterError, match="is not as it was written"):
        read_network(path)


def test_a_part_whose_name_changed_is_not_taken_for_an_unknown_one(tmp_path):
    config = NetworkConfig(n_units=3, dale=False, bias_min=-1.0, bias_init="uniform")
    path = write_network(tmp_path / "a.npz", RNNTorch.from_config(config, 1, 1, seed=0), config)
    content = path.read_bytes()
    path.write_bytes(flipped(content, content.rindex(b"b_rec.npy"), bit=0))
    with pytest.raises(ParameterError, match="is damaged"):  # and not a network without its bias
        read_network(path)


def test_a_state_dict_whose_checksums_do_not_agree_is_refused(tmp_path):
    config = NetworkConfig(n_units=3, dale=False)
    rnn = RNNTorch.from_config(config, 1, 1, seed=0)
    path = write_network(tmp_path / "a.pt", rnn, config, "state_dict")
    content = path.read_bytes()
    place = content.index(rnn.weights()["W_rec"].tobytes())
    path.write_bytes(flipped(content, place + 3, bit=0))
    assert not torch.equal(torch.load(path, weights_only=True)["W_rec"], rnn.W_rec)  # it reads it
    with pytest.raises(ParameterError, match=r"is damaged \(.*data/0 is not as it was written"):
        read_network(path)
    # Marked as a folder in the list of parts: PyTorch reads a tensor of whatever is in memory.
    entry = content.rindex(b"PK\x01\x02", 0, content.rindex(b"data/0"))
    path.write_bytes(flipped(content, entry + 38, bit=4))
    with pytest.raises(ParameterError, match=r"is damaged \(.*data/0 is not as it was written"):
        read_network(path)


def test_other_programs_read_the_files(tmp_path):
    config = NetworkConfig(n_units=5, activation="tanh", bias_min=-1.0, bias_max=1.0)
    rnn = RNNTorch.from_config(config, 2, 1, seed=0)
    with np.load(write_network(tmp_path / "a.npz", rnn, config)) as file:
        assert set(file.files) == {*WEIGHTS, "config"}
        assert NetworkConfig(**json.loads(str(file["config"]))) == config
        assert file["W_rec"].dtype == np.float32
    path = write_network(tmp_path / "a.pt", rnn, config, "state_dict")
    state = torch.load(path, weights_only=True)
    assert state._metadata[""]["config"] == config.to_dict()

    class Theirs(torch.nn.Module):
        def __init__(self):
            super().__init__()
            for name, shape in zip(WEIGHTS, [(5, 5), (5, 2), (1, 5), (5,), (5,)], strict=True):
                setattr(self, name, torch.nn.Parameter(torch.zeros(shape)))

    module = Theirs()
    module.load_state_dict(state)  # strict: tensors of these names, and nothing else
    assert torch.equal(module.W_rec, rnn.W_rec)
    fields = json.loads(write_network(tmp_path / "a.json", rnn, config, "seed-json").read_text())
    # Every field that their code asks for.
    assert set(fields) == {*seed_fields(), "config", "sha256"}


@pytest.mark.parametrize("name", SEED)
def test_the_seeds_own_files_run_as_its_own_code_ran_them(name):
    network = read_network(DATA / f"seed_{name}.json", DATA / f"seed_{name}_config.yaml")
    simulated = np.load(DATA / "seed_trajectories.npz")
    states, outputs = network.to_numpy().run(simulated[f"{name}_u"])
    assert np.abs(states - simulated[f"{name}_states"]).max() < 1e-12
    assert np.abs(outputs - simulated[f"{name}_outputs"]).max() < 1e-12
    single = network.to_torch()
    with torch.no_grad():
        states, _ = single(simulated[f"{name}_u"])
    assert np.abs(states.numpy() - simulated[f"{name}_states"]).max() < 1e-5
    assert network.notes == ()
    config = network.config
    assert config.dale == name.endswith("dale")
    assert config.n_excitatory == (9 if config.dale else 12)
    assert config.constraint_method == ("clamp" if name.startswith("s_") else "reflect")
    assert (config.sigma_rec, config.sigma_inp, config.sigma_out) == (0.05, 0.04, 0.03)
    assert (config.bias_min, config.bias_max) == tuple(
        {"s_tanh": (-0.2, 0.2), "h_sigmoid": (0.0, 0.5)}.get(name, (-0.3, 0.3))
    )
    assert config.nonnegative_inp == config.nonnegative_out == (name != "s_tanh")
    assert config.self_connections == (name == "s_tanh")
    assert config.spectral_radius == 1.1


def test_what_the_file_does_not_say_is_noted():
    network = read_network(DATA / "seed_s_tanh.json")
    assert [note.split(":")[0] for note in network.notes] == ["sigma_rec", "sigma_inp", "sigma_out"]
    assert network.config.sigma_rec == 0


def test_constraints_that_the_weights_break_are_not_declared(tmp_path):
    fields = seed_fields()
    # Inhibitory units first: numbers of units are not changed, so Dale's law is not declared.
    order = [11, *range(11)]
    for name, axes in (("W_rec", (0, 1)), ("W_inp", (0,)), ("W_out", (1,)), ("bias", (0,)),
                       ("dale_mask", (0,)), ("output_mask", (1,))):  # fmt: skip
        array = np.asarray(fields[name])
        for axis in axes:
            array = np.take(array, order, axis=axis)
        fields[name] = array.tolist()
    network = read_network(write_json(tmp_path / "f.json", fields))
    assert not network.config.dale
    assert any(note.startswith("dale_mask") for note in network.notes)
    assert np.array_equal(network.weights["W_rec"], fields["W_rec"])

    broken = {
        "dale": ("W_rec", (0, 1), -0.5, {"dale": False}),
        "nonnegative_inp": ("W_inp", (0, 1), -0.5, {"nonnegative_inp": False}),
        "nonnegative_out": ("W_out", (0, 1), -0.5, {"nonnegative_out": False}),
        "self_connections": ("W_rec", (1, 1), 0.5, {"self_connections": True}),
        "bias_range": ("bias", 0, 3.0, {"bias_max": 3.0}),
    }
    for named, (block, place, value, expected) in broken.items():
        fields = seed_fields()
        array = np.asarray(fields[block])
        array[place] = value
        fields[block] = array.tolist()
        network = read_network(write_json(tmp_path / "f.json", fields))
        assert any(note.startswith(named) for note in network.notes), named
        for name, wanted in expected.items():
            assert getattr(network.config, name) == wanted


def test_unequal_split_and_sparse_masks_are_taken_over(tmp_path):
    config = NetworkConfig(n_units=10, dale=True, exc_to_inh_ratio=1.0, density=0.5)
    path = write_network(
        tmp_path / "f.json", RNNTorch.from_config(config, 2, 1), config, "seed-json"
    )
    fields = json.loads(path.read_text())
    del fields["config"], fields["sha256"]  # as their code would write it
    back = read_network(write_json(path, fields)).config
    assert (back.n_excitatory, back.density) == (5, 0.5)


def test_files_of_earlier_years(tmp_path):
    fields = seed_fields("s_tanh")
    old = {k: fields[k] for k in ("W_rec", "W_inp", "W_out", "y_init", "N", "dt", "tau")}
    path = tmp_path / "f.json"
    # 2022: the activation is in the run's configuration only.
    first = {**old, "bias_rec": [0.1] * 12, "bias_out": None}
    with pytest.raises(ParameterError, match="activation_args"):
        read_network(write_json(path, first))
    run = tmp_path / "config.json"
    run.write_text(
        json.dumps({"N": 12, "activation": "relu", "sigma_rec": 0.03, "seed": None, "sr": 1.2})
    )
    network = read_network(path, run)
    assert (network.config.activation, network.config.equation_type) == ("relu", "s")
    assert network.config.gamma == 0  # not 0.1, a later default
    assert network.config.sigma_rec == 0.03
    assert network.config.bias_min == network.config.bias_max == 0.1
    # 2024: its name and slope; the slope of softplus was its beta. No bias.
    second = {**old, "activation_name": "softplus", "activation_slope": 3.0}
    network = read_network(write_json(path, second))
    assert network.config.activation_args == {"beta": 3.0, "slope": 1.0}
    assert not network.weights["b_rec"].any()
    # 2025: a bias without a range.
    network = read_network(write_json(path, {**second, "bias": fields["bias"]}))
    assert network.config.bias_max == max(fields["bias"])
    assert any(note.startswith("bias_range") for note in network.notes)


def test_npz_files_of_the_seed(tmp_path):
    """Its large runs leave out texts and switches, and pickle the activation."""
    fields = seed_fields("h_sigmoid")
    kept = {k: np.asarray(v) for k, v in fields.items()
            if v is not None and not isinstance(v, (str, bool))}  # fmt: skip
    path = tmp_path / "f.npz"
    np.savez(path, **kept)
    assert kept["activation_args"].dtype == object
    with pytest.raises(ParameterError, match="equation_type"):
        read_network(path)
    network = read_network(path, DATA / "seed_h_sigmoid_config.yaml")
    assert network.format == "seed-npz"
    assert any("is a pickle and was not read" in note for note in network.notes)
    whole = read_network(DATA / "seed_h_sigmoid.json", DATA / "seed_h_sigmoid_config.yaml")
    assert network.config.equation == whole.config.equation
    assert all(np.array_equal(network.weights[n], whole.weights[n]) for n in WEIGHTS)
    assert network.config.constraint_method == "reflect"
    np.savez(path, **{**kept, "equation_type": "s"})
    with pytest.raises(ParameterError, match=r"config\.equation_type"):
        read_network(path, DATA / "seed_h_sigmoid_config.yaml")
    np.savez(path, **{**kept, "W_rec": np.array(fields["W_rec"], dtype=object)})
    with pytest.raises(ParameterError, match=r"numpy\.savez"):
        read_network(path)


@pytest.mark.parametrize("name", ["h_tanh", "s_relu"])
def test_npz_with_parameters_as_json_text(name):
    data = np.load(DATA / f"dynamics_{name}.npz")
    network = read_network(DATA / f"dynamics_{name}.npz")
    states, _ = network.to_numpy().run(data["u"])
    assert np.abs(states - data["states"]).max() < 1e-12


def test_a_state_dict_without_configuration_is_refused(tmp_path):
    path = tmp_path / "f.pt"
    torch.save({"W_rec": torch.eye(3), "W_inp": torch.ones(3, 1), "W_out": torch.ones(1, 3)}, path)
    with pytest.raises(ParameterError, match="params JSON"):
        read_network(path)
    torch.save(Path("x"), path)
    with pytest.raises(ParameterError, match="no pickle is ever read"):
        read_network(path)


def test_writing_refuses_what_is_not_one_network(tmp_path):
    config = NetworkConfig(n_units=4)
    rnn = RNNTorch.from_config(config, 1, 1)
    path = tmp_path / "f"
    path.write_text("before")
    bad = (
        (rnn, config, "onnx", "format"),
        (rnn, NetworkConfig(n_units=5), "npz", "config"),
        (rnn, NetworkConfig(n_units=4, activation="tanh"), "npz", "config"),
        (RNNTorch.from_config(config, 1, 1, seed=[0, 1]), config, "npz", "rnn"),
    )
    for network, parameters, format, named in bad:
        with pytest.raises(ParameterError, match=named):
            write_network(path, network, parameters, format)
    assert path.read_text() == "before"
    with pytest.raises(ParameterError, match="PATH"):
        write_network(tmp_path / "no" / "f", rnn, config)
    (tmp_path / "plain").touch()
    write_network(path, rnn, config)
    assert path.stat().st_mode == (tmp_path / "plain").stat().st_mode  # others may read it


def test_a_configuration_that_contradicts_the_fields_is_refused(tmp_path):
    config = NetworkConfig(n_units=4)
    rnn = RNNNumpy(W_rec=np.zeros((4, 4)), W_inp=np.ones((4, 1)), W_out=np.ones((1, 4)))
    path = write_network(tmp_path / "f.json", rnn, config, "seed-json")
    fields = json.loads(path.read_text())
    with pytest.raises(ParameterError, match=r"FILE = .*sha256 does not agree.*remove the field"):
        read_network(write_json(path, {**fields, "gamma": 0.5}))
    del fields["sha256"]
    for change, named in (
        ({"gamma": 0.5}, "gamma"),
        ({"config": {**fields["config"], "n_units": 5}}, r"config\.n_units"),
        ({"config": {**fields["config"], "units": 5}}, r"config\.units"),
        ({"config": {**fields["config"], "activation_args": 5}}, "config"),
        ({"config": 5}, "config"),
        ({"bias_range": [0.0], "config": None}, "bias_range"),
        ({"dale": True, "dale_mask": [1.0], "config": None}, "dale_mask"),
        ({"recurrent_mask": [[1.0]], "config": None}, "recurrent_mask"),
        ({"weight_boundary": "slippery", "config": None}, "weight_boundary"),
    ):
        with pytest.raises(ParameterError, match=named):
            read_network(write_json(path, {**fields, **change}))


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("exc2inhR", "four"),
        ("exc2inhR", [4]),
        ("bias_out", "x"),
        ("bias_out", {}),
        ("N", [12, 12]),
        ("self_connections", "false"),
        ("dale", "no"),
        ("io_nonnegativity", 1),
        ("dale_mask", "E"),
        ("recurrent_mask", [[1.0], [1.0, 0.0]]),
        ("recurrent_mask", "all"),
        ("tau", 10**400),
        ("W_inp", [[1.0], [1.0, 0.0]]),
    ],
)
def test_fields_of_a_wrong_type_are_named(tmp_path, field, value):
    path = write_json(tmp_path / "f.json", {**seed_fields(), field: value})
    with pytest.raises(ParameterError) as caught:
        read_network(path)
    named = {"exc2inhR": "exc_to_inh_ratio"}.get(field, field)
    assert caught.value.field.startswith(named)


def test_a_mask_of_one_kind_of_units_declares_nothing(tmp_path):
    for sign in (1.0, -1.0):
        fields = {**seed_fields(), "dale_mask": [sign] * 12}
        network = read_network(write_json(tmp_path / "f.json", fields))
        assert not network.config.dale
        assert any(note.startswith("dale_mask") for note in network.notes)


def test_a_file_with_its_own_configuration_takes_no_other(tmp_path):
    config = NetworkConfig(n_units=4)
    path = write_network(tmp_path / "f.npz", RNNTorch.from_config(config, 1, 1), config)
    run = tmp_path / "run.yaml"
    run.write_text("sigma_rec: 0.5\n")
    with pytest.raises(ParameterError, match="its own configuration"):
        read_network(path, run)


@pytest.mark.parametrize("format", FORMATS)
def test_an_imported_network_is_trained_as_its_configuration_says(tmp_path, format):
    """Everything that a network drawn from the configuration has, one from a file has too."""
    config = NetworkConfig(
        n_units=5, dale=True, train_x_init=True, bias_min=-1.0, bias_max=1.0, density=0.5,
        constraint_method="reflect", exc_to_inh_ratio=1.5, sigma_rec=0.1,
    )  # fmt: skip
    rnn = RNNTorch.from_config(config, 2, 1, seed=3)
    with torch.no_grad():
        rnn._x_init.copy_(torch.arange(5.0) / 8)
    path = write_network(tmp_path / "network", rnn, config, format)
    again = read_network(path).to_torch(seeds=3)
    assert {n for n, _ in again.named_parameters()} == {n for n, _ in rnn.named_parameters()}
    assert "_x_init" in dict(again.named_parameters())
    for name, tensor in rnn.state_dict().items():
        # What "reflect" trains is the modulus: the file has the effective weights.
        if not name.startswith("_W"):
            assert torch.equal(again.state_dict()[name], tensor), name
    u = np.ones((2, 6, 3))
    for one, other in zip(again(u, noise=True), rnn(u, noise=True), strict=True):
        assert torch.equal(one, other)
    for name in ("train_x_init", "bias_range", "constraint_method", "exc_to_inh_ratio"):
        assert getattr(again, name) == getattr(rnn, name)
