"""The GPU kernels on the CPU, interpreted by Triton, against float64 autograd.

`test_engine_fused` runs this module in a process of its own: Triton decides at its import whether
it interprets or compiles.
"""

import itertools
from functools import partial

import numpy as np
import pytest
import torch
from triton.runtime.errors import OutOfResources

from models.engine import (
    Cotangent,
    Draws,
    RecurrentNoise,
    Statistic,
    Weights,
    simulate,
    simulate_sliced,
)
from models.engine.backends import fused, triton_launch
from models.engine.backends.triton_launch import ACTIVATIONS_WITH_CODE, FusedUnavailableError
from models.engine.philox import network_key, normals
from models.formulas.equations import Equation
from tests.models.test_masks import check_loss_and_gradient, run_on

SIMULATION = (5 << 32) + 0xF0000001  # both words count, and the lower one has its highest bit set
FIRST_TRIAL = 11
ARGS = {
    "relu": {"slope": 1.3},
    "leaky_relu": {"slope": 1.2, "leak_slope": 0.1},
    "tanh": {"slope": 0.8},
    "sigmoid": {"slope": 2.0, "shift": 0.3},
    "softplus": {"beta": 2.0, "slope": 0.7},
    "gelu": {"alpha": 1.5},
}


def _reference(equation, parameters, inputs, noise):
    W_rec, W_inp, W_out, b_rec, x_init = parameters
    x = x_init[:, None].expand(-1, inputs.shape[2], -1)
    states, outputs = [], []
    for t in range(inputs.shape[1]):
        states.append(x)
        outputs.append(equation.rates(x) @ W_out.transpose(1, 2))
        drive = inputs[:, t] @ W_inp.transpose(1, 2) + b_rec[:, None]
        field, _ = equation.field(
            x, lambda v, drive=drive: v @ W_rec.transpose(1, 2) + drive, noise[:, t]
        )
        x = x + equation.alpha * field
    return torch.stack(states, 1), torch.stack(outputs, 1)


def _check(equation, n, n_trials, n_steps, n_adjoints, noise_kind="drawn", m=3, o=2, tile=None):
    """Compare states, outputs and all gradients of two networks, the second without noise."""
    generator = torch.Generator().manual_seed(n + n_trials)

    def random(*shape):
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    k = 2
    parameters = [random(k, n, n) / n**0.5, random(k, n, m), random(k, o, n)]
    parameters += [0.3 * random(k, n), random(k, n)]
    inputs = random(k, n_steps, n_trials, m)
    on_outputs = random(n_adjoints, k, n_steps, n_trials, o)
    # Of the adjoints' two kinds of sources, one test in two has both.
    on_states = random(n_adjoints, k, n_steps, n_trials, n) if n_adjoints == 2 else None
    keys = torch.tensor([network_key(np.random.SeedSequence(i)) for i in range(k)])
    scales = torch.tensor([0.5, 0.0])
    shape = (n_steps, n_trials, n)
    draws = normals(
        shape, keys.tolist(), SIMULATION, "rec", dtype=torch.float64, first_trial=FIRST_TRIAL
    )
    noise = scales.double()[:, None, None, None] * draws
    given = noise.float() if noise_kind == "given" else None
    if noise_kind == "none":
        scales, noise = None, torch.zeros_like(noise)
    for parameter in parameters:
        parameter.requires_grad_()
    expected_states, expected_outputs = _reference(equation, parameters, inputs, noise)
    W_rec, W_inp, W_out, b_rec, x_init = (p.detach().float() for p in parameters)
    states, arguments, outputs = fused.forward(
        equation, W_rec, W_inp, W_out, b_rec, x_init, inputs.float(), scales, keys, SIMULATION,
        FIRST_TRIAL, given, tile=tile,
    )  # fmt: skip
    assert (arguments is None) == (equation.equation_type == "h")
    torch.testing.assert_close(states.double(), expected_states, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(outputs.double(), expected_outputs, rtol=1e-5, atol=2e-5)
    found = fused.backward(
        equation, W_rec, W_inp, W_out, inputs.float(), states, arguments, on_outputs.float(),
        None if on_states is None else on_states.float(), tile=tile,
    )  # fmt: skip
    for a in range(n_adjoints):
        loss = (expected_outputs * on_outputs[a]).sum()
        if on_states is not None:
            loss = loss + (expected_states * on_states[a]).sum()
        expected = torch.autograd.grad(
            loss, parameters, retain_graph=True, allow_unused=True, materialize_grads=True
        )
        for one, other in zip(found, expected, strict=True):
            scale = max(1.0, float(other.abs().sum()) / max(1, other.numel()))
            torch.testing.assert_close(one[a].double(), other, rtol=1e-5, atol=1e-5 * scale)


_KINDS = [("s", False), ("s", True), ("h", False)]
_EQUATIONS = list(itertools.product(ACTIVATIONS_WITH_CODE, _KINDS, (0.0, 0.3)))


@pytest.mark.parametrize("number", range(len(_EQUATIONS)))
def test_equations(number):
    activation, (form, inside), gamma = _EQUATIONS[number]
    equation = Equation(
        {"name": activation, **ARGS[activation]}, form, tau=5.0, gamma=gamma, noise_inside=inside
    )
    # Sizes change with each equation, so that every pair of them occurs.
    sizes = list(itertools.product((5, 17), (3, 20), (2, 9), (1, 2)))
    _check(equation, *sizes[5 * number % len(sizes)])


@pytest.mark.parametrize("n", [64, 130])
@pytest.mark.parametrize("form", ["s", "h"])
def test_without_room_in_the_padding(n, form):
    """64 units fill their tile; the weights of 130 are read again at each step."""
    layout = fused.Layout(n, 3, 2)
    assert not layout.folded and layout.resident == (n == 64)
    _check(Equation("tanh", form, tau=5.0, gamma=0.2), n, 3, 3, 2)


@pytest.mark.parametrize(("n", "inner"), [(70, 80), (20, 32), (100, 112)])
def test_padding_is_not_multiplied(n, inner):
    """Where a part of a quarter is left, and where whole quarters are."""
    layout = fused.Layout(n, 3, 2)
    assert layout.folded and layout.inner(4, fused.Tile(8)) == inner
    assert layout.inner(4, fused.Tile(2)) == -(-inner // (layout.padded // 4)) * layout.padded // 4
    _check(Equation("sigmoid", "h", tau=5.0), n, 3, 3, 1, tile=fused.Tile(8))


def test_the_bits_do_not_depend_on_the_tile():
    """That is on how much padding is multiplied, since a tile decides it."""
    weights = [torch.randn(1, *s, generator=torch.Generator().manual_seed(0))
               for s in ((70, 70), (70, 3), (2, 70), (70,), (70,))]  # fmt: skip
    inputs, key = torch.ones(1, 3, 5, 3), torch.tensor([[1, 2]])
    scales = torch.tensor([0.3])
    one, other = (
        fused.forward(
            Equation("softplus", "s", tau=5.0), *weights, inputs, scales, key, 4,
            tile=fused.Tile(rows),
        )
        for rows in (2, 8)
    )  # fmt: skip
    for a, b in zip(one, other, strict=True):
        assert torch.equal(a, b)


@pytest.mark.parametrize("noise_kind", ["none", "given"])
def test_noise_kinds(noise_kind):
    _check(Equation("softplus", "s", tau=5.0), 5, 3, 6, 1, noise_kind)
    _check(Equation("softplus", "s", tau=5.0, noise_inside=True), 5, 3, 6, 1, noise_kind)


def test_one_step_and_no_input():
    _check(Equation("tanh", "s", tau=5.0), 5, 3, 1, 1)
    _check(Equation("tanh", "h", tau=5.0), 5, 3, 2, 1, m=0, o=1)


@pytest.mark.parametrize("rows", [2, 4, 8])
def test_tiles(rows):
    _check(Equation("gelu", "h", tau=5.0), 5, 9, 5, 2, tile=fused.Tile(rows))


@pytest.mark.parametrize("part", ["inp", "rec", "out"])
@pytest.mark.parametrize("in_memory", [False, True])
def test_noise_is_that_of_the_other_engines(part, in_memory):
    """Of all parts, for several networks, and steps that are no multiple of four."""
    keys, shape = [(0xDEADBEEF, 123), (4, 0xFFFFFFFF)], (7, 20, 17)
    number = torch.tensor(SIMULATION) if in_memory else SIMULATION
    there = torch.tensor(keys) if in_memory else keys
    found = fused.Fused().normals(Draws(shape, there, number, part), torch.empty(0))
    expected = normals(shape, keys, SIMULATION, part, dtype=torch.float64)
    assert found.shape == expected.shape and found.dtype == torch.float32
    assert (found - expected).abs().max() < 3e-6


def test_noise_in_double_precision_is_drawn_by_torch():
    keys, like = [(1, 2)], torch.empty(0, dtype=torch.float64)
    found = fused.Fused().normals(Draws((5, 3, 2), keys, 4, "inp"), like)
    assert torch.equal(found, normals((5, 3, 2), keys, 4, "inp", dtype=torch.float64))
    assert fused.Fused().normals(Draws((5, 0, 2), keys, 4, "inp"), torch.empty(0)).shape == (
        1,
        5,
        0,
        2,
    )


@pytest.mark.parametrize("sliced", [False, True])
def test_the_engine_runs_on_it(sliced):
    """Simulations with statistics, whole and in slices of trials, are those of plain torch."""
    generator = torch.Generator().manual_seed(0)

    def random(*shape):
        return torch.randn(*shape, generator=generator)

    weights = Weights(*(random(*s) / 3 for s in ((2, 9, 9), (2, 9, 2), (2, 1, 9), (2, 9), (2, 9))))
    u, noise = random(2, 6, 7, 2), RecurrentNoise([0.3, 0.1], [(1, 2), (3, 4)], 5)
    asked = [Statistic("soft_maximum_rate", 0.1), Statistic("mean_abs_state")]
    equation = Equation("tanh", "h", tau=5.0)
    plain = simulate(equation, weights, u, noise, asked, "plain")
    run = partial(simulate_sliced, trials_at_once=3) if sliced else simulate
    found = run(equation, weights, u, noise, asked, "fused")
    torch.testing.assert_close(found.outputs, plain.outputs, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(found.statistics, plain.statistics, rtol=1e-4, atol=1e-5)
    arriving = [Cotangent(random(2, 6, 7, 1), None, random(2, 2, 9)), Cotangent(random(2, 6, 7, 1))]
    both = zip(found.pull_back(arriving), plain.pull_back(arriving), strict=True)
    for ours, theirs in both:
        for one, other in zip(ours, theirs, strict=True):
            torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("form", ["s", "h"])
def test_trials_of_different_lengths(form, monkeypatch):
    """Where nothing is asked, nothing is sent back."""
    run_on("fused", monkeypatch)
    check_loss_and_gradient(torch.float32, 1e-4, form)


def test_networks_run_in_plain_torch_where_the_kernels_do_not_fit(monkeypatch):
    def refuse(*args, **options):
        raise FusedUnavailableError("too small")

    monkeypatch.setattr(fused, "forward", refuse)
    weights = Weights(*(torch.ones(*s) for s in ((1, 4, 4), (1, 4, 2), (1, 1, 4), (1, 4), (1, 4))))
    silent = RecurrentNoise([0.0], [(1, 2)], 0)
    with pytest.warns(UserWarning, match="too small"):
        run = simulate(Equation("tanh"), weights, torch.ones(1, 3, 2, 2), silent, (), "fused")
    assert run.back_end == "plain"


def test_a_lost_network_is_seen():
    """NaN passes through each activation to the states, and to no other network."""
    for name, form in itertools.product(ACTIVATIONS_WITH_CODE, ("s", "h")):
        W_rec = torch.eye(5).repeat(2, 1, 1)
        zeros = torch.zeros(2, 5)
        lost = torch.tensor([[float("nan")] * 5, [0.1] * 5])
        states, _, outputs = fused.forward(
            Equation(name, form, tau=5.0), W_rec, zeros[:, :, None], torch.ones(2, 1, 5), zeros,
            lost, torch.zeros(2, 3, 2, 1), None, torch.zeros(2, 2, dtype=torch.int64), 0,
        )  # fmt: skip
        assert states[0].isnan().all() and outputs[0].isnan().all()
        assert states[1].isfinite().all() and outputs[1].isfinite().all()


def test_a_device_that_is_too_small_is_told():
    class _TooLarge:
        def __getitem__(self, grid):
            def launch(*args, **kwargs):
                raise OutOfResources(300000, 232448, "shared memory")

            return launch

    with pytest.raises(FusedUnavailableError, match="another engine"):
        triton_launch.launch(_TooLarge(), 1, 4, 1, torch.device("cpu"), {})


def test_availability():
    cpu = torch.device("cpu")
    assert fused.is_available(256, torch.float32, cpu)
    assert not fused.is_available(257, torch.float32, cpu)
    assert not fused.is_available(100, torch.float64, cpu)
