"""Products of parts on the GPU kernels, interpreted on the CPU.

`test_engine_fused` runs this module in a process of its own, as it does `fused_interpreted`.
"""

import pytest
import torch

from models.engine import Buffers, Cotangent, NetworkKind, RecurrentNoise
from models.engine.backends import fused, plain, registry, row_products, stepped
from models.engine.backends.triton_launch import products_in
from models.formulas.equations import Equation
from tests.models import stepped_interpreted
from tests.models.stepped_interpreted import KEYS, _check, _digest, _equation, _random, _weights

SPLIT = "bf16x6"


@pytest.fixture(autouse=True)
def in_parts():
    with products_in(SPLIT):
        yield


def test_three_parts_are_the_number():
    """To the last bit, each of 8 significant bits; below 1e-30 the last part may be lost."""
    (x,) = _random(0, (1, 3, 4000))
    x = x * 2.0 ** torch.linspace(-80, 125, 4000)
    x[0, 0, :4] = torch.tensor([0.0, -0.0, 1.0 + 2**-23, 3.0e38])
    parts = stepped.parted(x)[..., :4000]
    assert parts.dtype == torch.bfloat16 and parts.shape == (1, 3, 3, 4000)
    assert torch.equal(parts.double().sum(dim=1), x.double())
    smaller = parts[:, 1:].abs().double() <= parts[:, :-1].abs().double() * 2**-7.99
    assert (smaller | (parts[:, 1:] == 0)).all()


@pytest.mark.parametrize("lost", [float("nan"), float("inf"), -float("inf")])
def test_what_is_not_finite_stays_so(lost):
    parts = stepped.parted(torch.tensor([[[lost, 1.0]]]))[0, :, 0, :2]
    assert not parts[:, 0].float().sum().isfinite()
    assert parts[:, 1].tolist() == [1.0, 0.0, 0.0]


@pytest.mark.parametrize(
    ("name", "number", "n", "n_trials", "n_steps", "n_adjoints"),
    [("fused", 1, 17, 20, 6, 2), ("fused", 14, 5, 3, 5, 1), ("fused", 27, 64, 3, 3, 2),
     ("fused", 17, 60, 17, 3, 1), ("stepped", 3, 17, 34, 6, 2), ("stepped", 22, 65, 3, 5, 1),
     ("stepped", 16, 16, 33, 2, 1)],
)  # fmt: skip
def test_equations(name, number, n, n_trials, n_steps, n_adjoints):
    """Forms, places of noise, damping; with room in the padding and without."""
    _check(name, _equation(number), n, n_trials, n_steps, n_adjoints)


@pytest.mark.parametrize("name", ["fused", "stepped"])
@pytest.mark.parametrize("noise_kind", ["none", "given"])
def test_noise_kinds(name, noise_kind):
    _check(name, Equation("softplus", "s", tau=5.0), 5, 3, 6, 1, noise_kind)


@pytest.mark.parametrize("name", ["fused", "stepped"])
def test_one_step_and_no_input(name):
    _check(name, Equation("tanh", "s", tau=5.0), 5, 3, 1, 1)
    _check(name, Equation("tanh", "h", tau=5.0), 5, 3, 2, 1, m=0, o=1)
    _check(name, Equation("tanh", "h", tau=5.0), 5, 3, 2, 1, o=0)


def test_parts_of_no_network():
    assert stepped.parted(torch.zeros(0, 3, 5)).shape == (0, 3, 3, 64)


def _distance(name, n, form, precision, monkeypatch, on_chip=True):
    """Return how far gradients are from float64, and states."""
    monkeypatch.setattr(fused, "sums_on_chip", lambda *_: precision == SPLIT and on_chip)
    equation = Equation("tanh", form, tau=5.0)
    weights, (inputs, on_outputs) = _weights(1, n, 3, 2), _random(2, (1, 12, 9, 3), (1, 12, 9, 2))
    silent = RecurrentNoise([0.0], KEYS[:1], 0)
    with products_in(precision):
        back_end = registry.get(name)
        run = back_end.forward(equation, weights, inputs, silent, (), Buffers())
        (found,) = back_end.backward(run, [Cotangent(on_outputs)])
    exact = type(weights)(*(w.double() for w in weights))
    states, arguments, _ = plain.forward(equation, exact, inputs.double(), None)
    wanted, _ = plain.backward(
        equation, exact, inputs.double(), states, arguments, on_outputs[None].double(), None
    )
    ours, theirs = (torch.cat([w.double().flatten() for w in g]) for g in (found, wanted[0]))
    return (ours - theirs).norm() / theirs.norm(), (run.states - states).norm() / states.norm()


@pytest.mark.parametrize(
    ("name", "n", "form", "on_chip"),
    [("fused", 40, "h", True), ("fused", 40, "s", True), ("fused", 40, "s", False),
     ("fused", 100, "h", True), ("stepped", 100, "h", False)],
)  # fmt: skip
def test_they_are_as_exact_as_float32(name, n, form, on_chip, monkeypatch):
    """One of the six products left out would be 100 times as far off."""
    ours = _distance(name, n, form, SPLIT, monkeypatch, on_chip)
    float32 = _distance(name, n, form, "ieee", monkeypatch)
    assert ours != float32
    for one, other in zip(ours, float32, strict=True):
        assert one <= 2 * other


@pytest.mark.parametrize(
    ("name", "n", "form"), [("fused", 9, "h"), ("fused", 64, "s"), ("stepped", 20, "h")]
)
def test_a_network_has_the_same_bits_in_any_company(name, n, form, monkeypatch):
    monkeypatch.setattr(row_products, "FEWEST_ROWS", 40)
    assert len({_digest(k, name, n, form) for k in (1, 3)}) == 1


def test_gradients_on_the_chip_are_those_of_all_rows():
    """Of every block, and of two adjoints; trials that fill no tile count for nothing."""
    weights = _weights(2, 9, 3, 2)
    inputs, on_outputs, on_states = _random(1, (2, 7, 21, 3), (2, 2, 7, 21, 2), (2, 2, 7, 21, 9))
    equation = Equation("softplus", "h", tau=5.0, gamma=0.1)
    states, arguments, _ = fused.forward(
        equation, *weights, inputs, None, torch.zeros(2, 2, dtype=torch.int64), 0, precision=SPLIT
    )
    one, other = (
        fused.backward(
            equation, weights.W_rec, weights.W_inp, weights.W_out, inputs, states, arguments,
            on_outputs, on_states, precision=SPLIT, on_chip=on_chip,
        )
        for on_chip in (True, False)
    )  # fmt: skip
    for ours, theirs in zip(one, other, strict=True):
        assert ours.shape == theirs.shape and theirs.any()
        torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-5 * float(theirs.abs().max()))


def test_lost_networks_are_seen_and_others_are_not():
    weights = _weights(2, 5, 1, 1)
    weights.x_init[0] = float("nan")
    for name in ("fused", "stepped"):
        silent = RecurrentNoise([0.0, 0.0], KEYS[:2], 0)
        inputs = torch.zeros(2, 3, 2, 1)
        run = registry.get(name).forward(Equation("relu"), weights, inputs, silent, (), Buffers())
        assert run.states[0].isnan().all() and run.outputs[0].isnan().all()
        assert run.states[1].isfinite().all() and run.outputs[1].isfinite().all()


def test_what_is_read_again_at_each_step_is_parted_beforehand():
    cuda = torch.device("cuda")
    for n, name in ((128, "fused"), (129, "stepped")):
        assert registry.choose(NetworkKind(Equation("tanh"), n, torch.float32, cuda)).name == name


@pytest.mark.parametrize("name", ["fused", "stepped"])
def test_trainings_multiply_so(name, monkeypatch):
    """And learn what they learn in plain torch."""
    wanted, _, _ = stepped_interpreted._trained("plain", monkeypatch)
    found, _, precision = stepped_interpreted._trained(name, monkeypatch, SPLIT)
    assert precision == SPLIT
    for ours, theirs in zip(found, wanted, strict=True):
        for block, values in ours.weights.items():
            assert abs(values - theirs.weights[block]).max() < 1e-4, block
