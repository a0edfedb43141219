"""An activation function of a user's own: trained, analysed, stored, taken for no other."""

from __future__ import annotations

import re
import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from models import (
    ACTIVATIONS,
    Activation,
    ActivationFunction,
    Equation,
    NetworkConfig,
    RNNNumpy,
    RNNTorch,
    TrainingConfig,
    array_module,
    read_network,
    train_cohort,
    write_network,
)
from models.engine import Cotangent, NetworkKind, Weights, choose_back_end, simulate
from models.engine.backends import fused, registry
from models.fixed_points import (
    SearchSettings,
    certify,
    certify_index,
    enumerate_fixed_points,
    expected_index,
    find_fixed_points,
)
from models.fixed_points.slow_points import minimise_speed
from models.formulas import activations
from tasks_lib import CDDM, ParameterError
from tasks_lib.imports import imports_only_from

from . import own_activations
from .test_engine import drawn, noise_of, textbook

HOME = "tests.models.own_activations"
OWN = (
    "softsign", "swish", "undeclared", "cubic_root", "quintic", "hard_tanh", "two_slopes", "elu",
)  # fmt: skip


def address(name):
    return f"{HOME}:{name}"


def network(name, n=8, form="s", gain=2.0, gamma=0.0, seed=0):
    rng = np.random.default_rng(seed)
    return RNNNumpy(
        W_rec=gain * rng.standard_normal((n, n)) / n**0.5,
        W_inp=rng.standard_normal((n, 1)),
        W_out=np.ones((1, n)),
        b_rec=0.2 * rng.standard_normal(n),
        activation=name if name in ACTIVATIONS else address(name),
        equation_type=form,
        gamma=gamma,
    )


def search(rnn, **settings):
    states = 2.0 * np.random.default_rng(1).standard_normal((rnn.N, 200))
    return find_fixed_points(rnn, np.array([0.3]), states, SearchSettings(**settings))


# Training --------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("name", OWN)
@pytest.mark.parametrize("form", ["s", "h"])
def test_gradients_equal_autograd(name, form):
    generator = torch.Generator().manual_seed(3)

    def rand(*shape):
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    weights = Weights(rand(2, 5, 5) / 3, rand(2, 5, 2), rand(2, 1, 5), rand(2, 5), rand(2, 5))
    equation = Equation(address(name), form, tau=5.0, gamma=0.1)
    u, noise = 0.3 * rand(2, 6, 7, 2), noise_of(2)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        run = simulate(equation, weights, u, noise, back_end="compiled")
    assert run.back_end == "plain"
    leaves = Weights(*(w.clone().requires_grad_() for w in weights))
    _, _, outputs = textbook(equation, leaves, u, drawn(noise, (6, 7, 5), u))
    arriving = rand(*outputs.shape)
    (found,) = run.pull_back([Cotangent(arriving)])
    wanted = torch.autograd.grad((outputs * arriving).sum(), tuple(leaves))
    for one, other in zip(found, wanted, strict=True):
        assert torch.allclose(one, other, rtol=1e-9, atol=1e-9)


@pytest.mark.slow
def test_a_cohort_trains_and_is_told_once_what_is_lacking(monkeypatch):
    monkeypatch.setattr(registry, "_TOLD", set())
    config = NetworkConfig(n_units=10, activation=address("softsign"), activation_args={"gain": 2})
    assert config.activation_args == {"gain": 2.0}
    penalties = {"fr_magnitude": {"weight": 0.1}}
    training = TrainingConfig(max_iter=15, lr=0.01, penalties=penalties)
    with pytest.warns(UserWarning, match="'compiled' has no code for .*:softsign") as told:
        result = train_cohort(
            CDDM(n_steps=60, stim_on=20, dec_on=40, coherences=[-1, 0, 1], seed=0),
            config,
            training,
            seeds=[0, 1],
        )
    assert sum("softsign" in str(w.message) for w in told) == 1
    for trained in result.networks:
        assert trained.loss_curve[-1] < trained.loss_curve[0]


def test_back_ends_say_what_they_lack():
    cpu, cuda = torch.device("cpu"), torch.device("cuda")
    own = Equation(address("softsign"))
    kind = NetworkKind(own, 10, torch.float32, cpu)
    compiled = registry.get("compiled")
    assert "no code for the activation" in compiled.supports(kind)
    assert "no code for the activation" in fused.Fused().supports(replace(kind, device=cuda))
    known = replace(kind, equation=Equation("tanh"))
    assert compiled.supports(known) is None
    assert "float16" in compiled.supports(replace(known, dtype=torch.float16))
    assert "on a CPU" in compiled.supports(replace(known, device=cuda))
    assert "256" in fused.Fused().supports(replace(known, n_units=257, device=cuda))
    assert "float64" in fused.Fused().supports(replace(known, dtype=torch.float64, device=cuda))
    assert registry.PLAIN.supports(kind) is None
    assert choose_back_end(known) is compiled
    with pytest.raises(ParameterError, match="back_end"):
        choose_back_end(known, "fastest")


# Fixed points ----------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "gain"), [("softsign", 4.0), ("swish", 0.7), ("cubic_root", 12)])
@pytest.mark.parametrize("form", ["s", "h"])
def test_points_of_smooth_functions_are_proven(name, gain, form):
    rnn = network(name, form=form, gain=gain)
    found = search(rnn)
    assert len(found) and found.residual.max() < 1e-9
    exists, unique = certify(rnn, np.array([0.3]), found.points)
    assert np.isfinite(exists).all() and (exists < unique).all() and exists.max() < 1e-9
    # What is proven of a point holds of a state near it: the same root lies in its ball.
    near = found.points + 1e-9
    around, _ = certify(rnn, np.array([0.3]), near)
    assert (np.linalg.norm(near - found.points, axis=1) <= around + exists).all()
    assert certify_index(rnn, np.array([0.3]), found.points, exists)[1].all()


def test_without_bounds_nothing_is_proven():
    other = network("undeclared", gain=0.7)
    declared, undeclared = search(network("swish", gain=0.7)), search(other)
    assert np.allclose(declared.points, undeclared.points)
    assert np.isnan(undeclared.existence_radius).all()
    assert np.isfinite(declared.existence_radius).all()
    radius = declared.existence_radius
    assert not certify_index(other, np.array([0.3]), declared.points, radius)[1].any()


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
def test_the_index_is_that_of_the_declared_slopes(seed):
    like_relu, own = network("relu", seed=seed), network("swish", seed=seed)
    assert expected_index(own) == expected_index(like_relu)
    assert not search(own).is_bounded
    leaky = replace_activation(like_relu, {"name": "leaky_relu", "slope": 1.3, "leak_slope": 0.2})
    assert expected_index(network("two_slopes", seed=seed)) == expected_index(leaky)


def replace_activation(rnn, activation):
    return RNNNumpy(
        W_rec=rnn.W_rec, W_inp=rnn.W_inp, W_out=rnn.W_out, b_rec=rnn.b_rec, activation=activation
    )


@pytest.mark.parametrize("name", ["undeclared", "quintic"])
def test_of_an_unknown_growth_no_index_is_known(name):
    """It is not taken for a ReLU, nor does a cubic damping bound what may grow faster."""
    known = network("relu")
    assert expected_index(known) is not None
    for gamma in (0.0, 0.1):
        rnn = network(name, gamma=gamma)
        assert expected_index(rnn) is None
        found = search(rnn)
        assert found.index_expected is None and not found.is_bounded
    assert "not known" in search(network("undeclared", gain=0.7)).message


def test_what_grows_slowly_points_inward():
    one = {"W_inp": np.ones((2, 1)), "W_out": np.ones((1, 2))}
    rnn = RNNNumpy(W_rec=12.0 * np.eye(2), **one, activation=address("cubic_root"))
    found = search(rnn)
    assert found.is_bounded and found.index_expected == 1 == found.index_sum
    assert found.status == "complete" and len(found) == 9
    assert expected_index(network("swish", gamma=0.1)) == 1


def test_two_slopes_are_solved_in_their_regions():
    rnn = network("two_slopes")
    same = replace_activation(rnn, {"name": "leaky_relu", "slope": 1.3, "leak_slope": 0.2})
    found, wanted = search(rnn), search(same)
    assert found.enumerated and wanted.enumerated
    assert np.allclose(found.points, wanted.points, atol=1e-12)
    assert np.isfinite(found.existence_radius).all()


@pytest.mark.parametrize("name", ["hard_tanh", "elu"])
@pytest.mark.parametrize("mode", ["exact", "approx"])
def test_other_kinks_are_searched_and_nothing_is_proven(name, mode):
    rnn = network(name, gain=0.7)
    found = search(rnn, mode=mode)
    assert len(found) and not found.enumerated
    if mode == "exact":
        assert found.residual.max() < 1e-9 and np.isnan(found.existence_radius).all()
    with pytest.raises(ParameterError, match="activation"):
        enumerate_fixed_points(rnn, np.array([0.3]))


def test_a_minimum_on_such_a_kink_is_not_claimed():
    """F = 2x - 2.5 below the kink at 1 and 0.5 - x above: |F| is least there, and not 0."""
    one = {"W_inp": np.zeros((1, 1)), "W_out": np.ones((1, 1)), "equation_type": "h"}
    rnn = RNNNumpy(W_rec=[[3.0]], b_rec=[-2.5], **one, activation=address("hard_tanh"))
    ends = minimise_speed(rnn, np.array([[0.5], [1.5]]), np.zeros(1), 1.0)
    assert np.allclose(ends.points, 1.0, atol=1e-3) and np.allclose(ends.residual, 0.5, atol=1e-2)
    assert not ends.converged.any()


# Names and files -------------------------------------------------------------------------------


@pytest.mark.parametrize("format", ["npz", "state_dict", "seed-json", "seed-npz"])
def test_files_hold_it_and_have_nothing_imported_unasked(format, tmp_path):
    config = NetworkConfig(n_units=6, activation=address("softsign"), activation_args={"gain": 3.0})
    rnn = RNNTorch.from_config(config, 2, 1)
    path = write_network(tmp_path / "network", rnn, config, format)
    with pytest.raises(ParameterError, match="is not in an allowed package"):
        read_network(path)
    found = read_network(path, allow=[HOME])
    assert found.config == config
    x = torch.randn(2, 5, 3)
    assert torch.equal(rnn(x)[0], found.to_torch(seeds=[0])(x)[0])


def test_rows_name_it_where_its_package_is_allowed():
    with imports_only_from([HOME]):
        assert Activation(address("softsign")).args == {"gain": 1.0}
    with imports_only_from([]):
        assert Activation("tanh").is_bounded
        with pytest.raises(ParameterError, match="--allow tests"):
            Activation(address("softsign"))


@pytest.mark.parametrize(
    ("name", "args", "said"),
    [
        ("softsine", {}, "use one of 'relu'.*package.module:attribute"),
        (f"{HOME}:nothing", {}, "cannot be imported"),
        ("no_such_package_of_anyone:f", {}, "cannot be imported"),
        (f"{HOME}:no_function", {}, "ActivationFunction"),
        (f"{HOME}:" + "x" * 128, {}, "longer than 128"),
        (7, {}, "is no text"),
        (f"{HOME}:softsign", {"slope": 1.0}, r"activation_args\.slope.*use gain"),
        (f"{HOME}:softsign", {"gain": -1.0}, r"activation_args\.gain"),
        (f"{HOME}:swish", {"gain": 1.0}, "leave it out"),
    ],
)
def test_bad_names_and_arguments_are_refused(name, args, said):
    with pytest.raises(ParameterError, match=said):
        NetworkConfig(activation=name, activation_args=args)


WRONG = {
    "derivative": (dict(derivative=lambda x, gain: gain / (1 + abs(x))), "derivative"),
    "second": (dict(second=lambda x, gain: 0 * x), "second"),
    "lipschitz": (dict(lipschitz=0.5), "lipschitz"),
    "curvature": (dict(curvature=1.0), "curvature"),
    "bends": (dict(curvature=None, bends=(0.0,)), "bends"),
    "slopes": (dict(bounded=False, slopes_at_infinity=(0.0, 1.0)), "slopes_at_infinity"),
    "pieces": (dict(piecewise_linear=True), "piecewise linear"),
    "numpy alone": (dict(f=lambda x, gain: np.tanh(np.asarray(x))), "array_module"),
    "fails": (dict(f=lambda x, gain: x.nothing), "f fails"),
}


@pytest.mark.parametrize("what", WRONG)
def test_a_declaration_that_does_not_hold_is_refused(what, monkeypatch):
    changes, said = WRONG[what]
    wrong = replace(own_activations.softsign, **changes)
    monkeypatch.setattr(own_activations, "wrong", wrong, raising=False)
    with pytest.raises(ParameterError, match=said):
        Activation(address("wrong"))


def test_a_kink_that_is_not_declared_is_found_out(monkeypatch):
    smooth = replace(own_activations.elu, kinks=())
    monkeypatch.setattr(own_activations, "wrong", smooth, raising=False)
    with pytest.raises(ParameterError, match="declare the kink"):
        Activation(address("wrong"))
    halves = replace(own_activations.two_slopes, slopes_at_infinity=(0.21, 1.3))
    monkeypatch.setattr(own_activations, "wrong", halves, raising=False)
    with pytest.raises(ParameterError, match="outermost slopes"):
        Activation(address("wrong"))


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_ours_are_what_they_declare(name):
    function = activations.FUNCTIONS[name]
    activations.check_declaration(name, function, function.defaults)
    assert isinstance(function, ActivationFunction)


def test_the_example_of_the_page_is_one(monkeypatch):
    page = (Path(__file__).parents[2] / "docs" / "engine.md").read_text(encoding="utf-8")
    (code,) = re.findall(r"```python\n(.*?ActivationFunction\(.*?)```", page, re.DOTALL)
    names = {}
    exec(code, names)
    monkeypatch.setattr(own_activations, "of_the_page", names["softsign"], raising=False)
    example = Activation(address("of_the_page"), {"gain": 2.0})
    x = np.linspace(-3, 3, 7)
    assert np.array_equal(example.f(x), Activation(address("softsign"), {"gain": 2.0}).f(x))
    assert example.has_bounds and example.slopes_at_infinity == (0.0, 0.0)


def test_array_module():
    assert array_module(np.ones(1)) is np and array_module(torch.ones(1)) is torch
