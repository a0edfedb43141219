"""The GPU kernels of large networks, and of products over all steps, interpreted on the CPU.

`test_engine_fused` runs this module in a process of its own, as it does `fused_interpreted`.
"""

import hashlib
import itertools

import pytest
import torch

from models import NetworkConfig, RNNTorch, Trainer, TrainingConfig
from models.engine import Buffers, Cotangent, NetworkKind, RecurrentNoise, Weights
from models.engine.backends import base, fused, plain, registry, row_products, stepped
from models.engine.backends.triton_launch import ACTIVATIONS_WITH_CODE, products_in
from models.engine.philox import normals
from models.formulas.equations import Equation
from models.training import precision as precision_module
from tasks_lib import NBitFlipFlop
from tests.models.fused_interpreted import ARGS, FIRST_TRIAL, SIMULATION
from tests.models.test_masks import run_on

KEYS = [(0xDEADBEEF, 123), (4, 5), (6, 7), (8, 9), (10, 11), (12, 13), (14, 15), (16, 17)]


def _random(seed, *shapes):
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(*shape, generator=generator) for shape in shapes]


def _weights(k, n, m, o):
    W_rec, W_inp, W_out, b_rec, x_init = _random(n, (k, n, n), (k, n, m), (k, o, n), (k, n), (k, n))
    return Weights(W_rec / n**0.5, W_inp, W_out / n**0.5, 0.3 * b_rec, x_init)


def _check(name, equation, n, n_trials, n_steps, n_adjoints, noise_kind="drawn", m=3, o=2):
    """Compare a back end with the reference in float64; the second network has no noise."""
    k, shape = 2, (n_steps, n_trials)
    weights = _weights(k, n, m, o)
    inputs, on_outputs, on_states = _random(
        1, (k, *shape, m), (n_adjoints, k, *shape, o), (n_adjoints, k, *shape, n)
    )
    noise = RecurrentNoise([0.5, 0.0], KEYS[:k], SIMULATION, FIRST_TRIAL)
    draws = normals((*shape, n), noise.keys, SIMULATION, "rec", dtype=torch.float64,
                    first_trial=FIRST_TRIAL)  # fmt: skip
    draws = torch.tensor(noise.scales).double()[:, None, None, None] * draws
    if noise_kind == "given":
        noise = RecurrentNoise([0.0, 0.0], KEYS[:k], SIMULATION, given=draws.float())
    if noise_kind == "none":
        noise, draws = RecurrentNoise([0.0, 0.0], KEYS[:k], SIMULATION), None
    arriving = [
        # Of two adjoints one comes by the outputs alone.
        Cotangent(on_outputs[a], on_states[a] if a == 0 else None) for a in range(n_adjoints)
    ]  # fmt: skip
    back_end = registry.get(name)
    run = back_end.forward(equation, weights, inputs, noise, (), Buffers())
    found = back_end.backward(run, arriving)
    exact = Weights(*(w.double() for w in weights))
    states, arguments, outputs = plain.forward(equation, exact, inputs.double(), draws)
    dense = torch.stack([on_states[a] if a == 0 else 0 * on_states[0] for a in range(n_adjoints)])
    wanted, _ = plain.backward(
        equation, exact, inputs.double(), states, arguments, on_outputs.double(), dense.double()
    )
    torch.testing.assert_close(run.states.double(), states, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(run.outputs.double(), outputs, rtol=1e-5, atol=1e-5)
    for ours, theirs in zip(found, wanted, strict=True):
        for one, other in zip(ours, theirs, strict=True):
            scale = max([1.0, *other.abs().flatten().tolist()])
            torch.testing.assert_close(one.double(), other, rtol=1e-5, atol=3e-6 * scale)


_KINDS = [("s", False), ("s", True), ("h", False)]
_EQUATIONS = list(itertools.product(ACTIVATIONS_WITH_CODE, _KINDS, (0.0, 0.3)))


def _equation(number):
    activation, (form, inside), gamma = _EQUATIONS[number]
    arguments = {"name": activation, **ARGS[activation]}
    return Equation(arguments, form, tau=5.0, gamma=gamma, noise_inside=inside)


@pytest.mark.parametrize("number", range(len(_EQUATIONS)))
def test_equations(number):
    """Every activation, form, place of noise and damping; sizes change with each."""
    sizes = list(itertools.product((1, 15, 16, 17), (3, 34), (2, 6), (1, 2)))
    _check("stepped", _equation(number), *sizes[7 * number % len(sizes)])


@pytest.fixture
def large_tiles(monkeypatch):
    """Fewer programs: the interpreter's time goes with their number."""
    monkeypatch.setattr(stepped, "COLUMNS", 128)
    monkeypatch.setattr(stepped, "CHUNK", 128)
    monkeypatch.setattr(row_products, "SIDE", 128)


@pytest.mark.parametrize(
    ("n", "number"), [(100, 2), (129, 4), (257, 5), (257, 15), (300, 18), (300, 23)]
)
def test_sizes(n, number, large_tiles):
    """What is chosen for a size, up to the first and beyond the last of the whole loops."""
    equation = _equation(number)
    cuda = torch.device("cuda")
    kinds = [b.name for b in registry.BACK_ENDS.values() if b.is_for(cuda)
             and b.supports(NetworkKind(equation, n, torch.float32, cuda)) is None]  # fmt: skip
    assert kinds[0] == ("fused" if n <= 256 else "stepped")
    _check(kinds[0], equation, n, 3, 3, 1)


@pytest.mark.parametrize("noise_kind", ["none", "given"])
@pytest.mark.parametrize("form", ["s", "h"])
def test_noise_kinds(noise_kind, form):
    _check("stepped", Equation("softplus", form, tau=5.0), 5, 3, 6, 1, noise_kind)


@pytest.mark.parametrize("name", ["fused", "stepped"])
def test_noise_may_be_named_in_the_memory_of_the_device(name):
    """Where a CUDA graph reads it: scales, keys and the number of the simulation as tensors."""
    weights = _weights(2, 5, 3, 2)
    (inputs,) = _random(1, (2, 6, 3, 3))
    equation = Equation("tanh", "h", tau=5.0)
    numbers = RecurrentNoise([0.5, 0.2], KEYS[:2], SIMULATION)
    tensors = RecurrentNoise(
        torch.tensor([0.5, 0.2], dtype=torch.float64), torch.tensor(KEYS[:2]),
        torch.tensor(SIMULATION),
    )  # fmt: skip
    one, other = (
        registry.get(name).forward(equation, weights, inputs, noise, (), Buffers())
        for noise in (numbers, tensors)
    )
    assert torch.equal(one.states, other.states)
    following = RecurrentNoise([0.5, 0.2], KEYS[:2], SIMULATION + 1)
    third = registry.get(name).forward(equation, weights, inputs, following, (), Buffers())
    assert not torch.equal(one.states[:, 1:], third.states[:, 1:])


def test_one_step_and_no_input():
    _check("stepped", Equation("tanh", "s", tau=5.0), 5, 3, 1, 1)
    _check("stepped", Equation("tanh", "h", tau=5.0), 5, 3, 2, 1, m=0, o=1)
    _check("stepped", Equation("tanh", "h", tau=5.0), 5, 3, 2, 1, o=0)
    _check("fused", Equation("tanh", "h", tau=5.0), 64, 3, 2, 1, m=0, o=1)


def _digest(k, name, n, form, n_steps=3, n_trials=20):
    """Return what the first of K networks gets, hashed; nothing else changes with K."""
    most = 8
    equation = Equation("tanh", form, tau=5.0)
    weights = Weights(*(w[:k] for w in _weights(most, n, 3, 2)))
    shape = (most, n_steps, n_trials)
    inputs, outputs, states = (a[:k] for a in _random(1, (*shape, 3), (*shape, 2), (*shape, n)))
    back_end = registry.get(name)
    noise = RecurrentNoise([0.3] * k, KEYS[:k], SIMULATION)
    run = back_end.forward(equation, weights, inputs, noise, (), Buffers())
    (found,) = back_end.backward(run, [Cotangent(outputs, states)])
    digest = hashlib.sha256()
    for tensor in (run.states[0], run.outputs[0], *(block[0] for block in found)):
        digest.update(tensor.contiguous().numpy().tobytes())
    return digest.hexdigest()


@pytest.mark.parametrize(
    ("name", "n", "form"),
    [("fused", 9, "h"), ("fused", 64, "s"), ("stepped", 20, "h"), ("stepped", 9, "s")],
)
def test_a_network_has_the_same_bits_in_any_company(name, n, form, monkeypatch):
    monkeypatch.setattr(row_products, "FEWEST_ROWS", 40)  # products are in parts
    assert len({_digest(k, name, n, form) for k in (1, 3, 8)}) == 1


def test_parts_do_not_depend_on_the_number_of_networks():
    """They fill a chip for one network of any size, and are no more than there are rows for."""
    for n in (10, 100, 256, 1000, 2000):
        parts = row_products.n_parts(300 * 225, n, n + 7, 64)
        tiles = (-(-n // 64)) * (-(-(n + 7) // 64))
        assert 1 <= parts <= row_products.MOST_PARTS
        assert parts * tiles >= 128 or n == 10
    assert row_products.n_parts(100, 10, 12, 64) == 1


def test_products_by_cublas_are_the_same_to_rounding():
    equation = Equation("tanh", "h", tau=5.0)
    with products_in("ieee", same_bits=False):
        _check("stepped", equation, 9, 3, 4, 2)
        _check("fused", equation, 64, 3, 3, 1)


GROUPS = {"first": [0, 3], "second": [3, 8]}
BLOCKS = {
    "W_rec": [
        {"to": "first", "from": "second", "weights": "absent"},
        {"to": "first", "from": "first", "weights": "fixed"},
    ],
    "W_inp": [{"to": "second", "weights": "absent"}],
    "b_rec": [{"to": "first", "weights": "fixed"}],
}


def _trained(name, monkeypatch, precision="ieee"):
    """Train two networks with blocks; return them, those of before, and the precision noted."""
    config = NetworkConfig(
        n_units=8, tau=3.0, activation="tanh", groups=GROUPS, blocks=BLOCKS, sigma_rec=0.1,
        bias_max=0.3, bias_init="uniform", self_connections=True,
    )  # fmt: skip
    task = NBitFlipFlop(n_steps=9, n_bits=2, pulse=2, mu=3, batch_size=4, seed=0)
    rnn = RNNTorch.from_config(config, 2, 2, seed=[0, 1])
    before = [rnn.weights(i) for i in range(2)]
    penalties = {"metabolic": {"weight": 0.1}}
    settings = TrainingConfig(max_iter=3, lr=0.01, penalties=penalties, gpu_precision=precision)
    with monkeypatch.context() as patch:
        run_on(name, patch)
        patch.setattr(precision_module, "choose_back_end", lambda kind: registry.get(name))
        training = Trainer(rnn, task, settings)
        return training.run_training(), before, training.product_precision


@pytest.mark.parametrize("name", ["fused", "stepped"])
def test_blocks_of_weights_are_kept(name, monkeypatch):
    """Absent weights stay 0, fixed ones keep every bit, the others learn as in plain torch."""
    wanted, _, _ = _trained("plain", monkeypatch)
    found, before, precision = _trained(name, monkeypatch)
    assert precision == "ieee"
    for ours, theirs, start in zip(found, wanted, before, strict=True):
        w, first = ours.weights, start["W_rec"]
        assert not w["W_rec"][:3, 3:].any() and not w["W_inp"][3:].any()
        assert w["W_rec"][:3, :3].tobytes() == first[:3, :3].tobytes()
        assert w["b_rec"][:3].tobytes() == start["b_rec"][:3].tobytes()
        assert (w["W_rec"][3:] != first[3:]).all() and (w["W_inp"][:3] != start["W_inp"][:3]).all()
        for block, values in w.items():
            assert abs(values - theirs.weights[block]).max() < 1e-4, block


def test_the_precision_of_a_training_is_that_of_its_kernels(monkeypatch):
    """And it is recorded as what it was: plain torch has the precision of its arrays."""
    told = set()
    for module in (fused, row_products):
        launch = module.launch

        def noted(kernel, *args, launch=launch):
            told.add((kernel.__name__, args[-1].get("PRECISION")))
            return launch(kernel, *args)

        monkeypatch.setattr(module, "launch", noted)
    assert _trained("fused", monkeypatch, "bf16x6")[2] == "bf16x6"
    # Gradients of the weights come out of the loop.
    names = ("forward_kernel", "backward_kernel")
    assert {(name, "bf16x6") for name in names} <= told
    assert not {(name, "ieee") for name in names} & told
    assert _trained("plain", monkeypatch, "bf16x6")[2] == "ieee"


def test_a_large_network_on_a_gpu_needs_no_warning(recwarn):
    cuda = torch.device("cuda")
    kind = NetworkKind(Equation("tanh"), 1000, torch.float32, cuda)
    assert registry.choose(kind).name == "stepped"
    assert not recwarn.list
    registry._TOLD.clear()
    with pytest.warns(UserWarning, match=r"'stepped' takes at most 8192 units, and there are 9000"):
        chosen = registry.choose(NetworkKind(Equation("tanh"), 9000, torch.float32, cuda))
    assert isinstance(chosen, base.BackEnd) and chosen is registry.PLAIN
