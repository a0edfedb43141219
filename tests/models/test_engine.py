"""The engine: loops of every back end against a textbook loop, noise, statistics, runs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy import stats

from models import Equation, NetworkConfig, Noise, RNNTorch
from models.engine import (
    Buffers,
    Cotangent,
    Draws,
    RecurrentNoise,
    Statistic,
    Weights,
    compilation,
    draw,
    elementwise,
    philox,
    simulate,
    simulate_sliced,
)
from models.engine.backends import compiled
from models.engine.statistics import KINDS
from models.machine.threads import Lowered
from models.network.run import RunMemory
from tasks_lib import ParameterError
from tests.models.strategies import any_activation, any_network

BACK_ENDS = ("compiled", "plain")  # fused kernels have tests of their own
KEYS = [(1, 2), (3, 4), (5, 6)]
SCALES = [0.3, 0.0, 0.1]
STATISTICS = (
    Statistic("soft_maximum_rate", 0.1),
    Statistic("soft_maximum_state", 0.3),
    Statistic("mean_square_rate"),
    Statistic("mean_abs_state"),
)
equations = st.builds(
    lambda activation, form, inside, **rest: Equation(
        activation=activation, equation_type=form, noise_inside=inside and form == "s", **rest
    ),
    any_activation,
    st.sampled_from(["s", "h"]),
    st.booleans(),
    gamma=st.sampled_from([0.0, 0.1]),
    tau=st.just(10.0),
    dt=st.sampled_from([1.0, 3.0, 10.0]),
)


def textbook(eq, weights, u, xi):
    """Return states, rates and outputs of a loop that autograd follows."""
    x = weights.x_init[:, None].expand(u.shape[0], u.shape[2], -1)
    states = []
    for t in range(u.shape[1]):
        states.append(x)
        drive = u[:, t] @ weights.W_inp.transpose(1, 2) + weights.b_rec[:, None]
        field, _ = eq.field(x, lambda v, d=drive: d + v @ weights.W_rec.transpose(1, 2), xi[:, t])
        x = x + eq.alpha * field
    x = torch.stack(states, dim=1)
    rates = eq.rates(x)
    return x, rates, rates @ weights.W_out.transpose(1, 2)[:, None]


def noise_of(k, simulation=5):
    return RecurrentNoise(SCALES[:k], KEYS[:k], simulation)


def drawn(noise, shape, like):
    draws = draw(Draws(shape, noise.keys, noise.simulation, "rec"), like)
    return draws * torch.tensor(noise.scales, dtype=like.dtype)[:, None, None, None]


@pytest.mark.slow
@settings(max_examples=80, deadline=None)
@given(
    eq=equations,
    k=st.integers(1, 3),
    n=st.integers(1, 7),
    m=st.integers(1, 3),
    o=st.integers(1, 3),
    t=st.integers(1, 9),
    b=st.integers(1, 19),
    asked=st.lists(st.sampled_from(STATISTICS), unique=True),
    dense=st.booleans(),
    back_end=st.sampled_from(BACK_ENDS),
    precision=st.sampled_from([(torch.float64, 1e-10), (torch.float32, 2e-4)]),
    seed=st.integers(0, 2**16),
)
def test_gradients_equal_autograd(eq, k, n, m, o, t, b, asked, dense, back_end, precision, seed):
    dtype, bound = precision
    g = torch.Generator().manual_seed(seed)

    def rand(*shape):
        return torch.randn(*shape, generator=g, dtype=torch.float64).to(dtype)

    w_rec = rand(k, n, n) / n**0.5
    weights = Weights(w_rec, rand(k, n, m), rand(k, o, n), rand(k, n), rand(k, n))
    u, noise = rand(k, t, b, m), noise_of(k)
    simulation = simulate(eq, weights, u, noise, asked, back_end)
    leaves = Weights(*(w.clone().requires_grad_() for w in weights))
    u_leaf = u.clone().requires_grad_()
    x, rates, y = textbook(eq, leaves, u_leaf, drawn(noise, (t, b, n), u))
    own = [s.of(x, rates, (1, 2)) for s in asked]
    taken = torch.stack(own) if own else x.new_empty((0, k, n))
    scale = max(1.0, float(x.detach().abs().max()))
    assume(
        bool(torch.isfinite(x).all()) and scale < 1e3
    )  # others explode, and with them what rounding does
    for ours, theirs in ((simulation.states, x), (simulation.outputs, y)):
        assert torch.allclose(ours, theirs, atol=bound * scale, rtol=bound)
    assert torch.allclose(simulation.statistics, taken, atol=bound * scale, rtol=bound)

    arriving = [
        Cotangent(rand(*y.shape), rand(*x.shape) if dense else None, rand(*taken.shape)),
        Cotangent(rand(*y.shape)),
    ]
    found = simulation.pull_back(arriving)
    for cotangent, mine in zip(arriving, found, strict=True):
        total = (cotangent.outputs * y).sum()
        if cotangent.states is not None:
            total = total + (cotangent.states * x).sum()
        if cotangent.statistics is not None:
            total = total + (cotangent.statistics * taken).sum()
        expected = torch.autograd.grad(
            total, (*leaves, u_leaf), retain_graph=True, allow_unused=True
        )
        wanted = [torch.zeros(()) if e is None else e for e in expected]
        size = max(1.0, *(float(w.abs().max()) for w in wanted))
        for one, other in zip(
            (*mine, simulation.pull_back_to_inputs(cotangent)), wanted, strict=True
        ):
            assert float((one - other).abs().max()) <= bound * size


@pytest.mark.slow
@settings(max_examples=40, deadline=None)
@given(
    eq=equations,
    b=st.integers(1, 19),
    at_once=st.integers(1, 20),
    back_end=st.sampled_from(BACK_ENDS),
    is_given=st.booleans(),
    seed=st.integers(0, 2**16),
)
def test_slices_of_trials_add_up(eq, b, at_once, back_end, is_given, seed):
    """Without the trajectories, and with every slice run twice, all comes out the same."""
    g = torch.Generator().manual_seed(seed)

    def rand(*shape):
        return torch.randn(*shape, generator=g, dtype=torch.float64)

    w_rec = rand(2, 5, 5) / 5**0.5
    weights = Weights(w_rec, *(rand(*s) for s in ((2, 5, 2), (2, 3, 5), (2, 5), (2, 5))))
    u = rand(2, 7, b, 2)
    noise = noise_of(2)
    if is_given:
        noise = RecurrentNoise([0.0, 0.0], KEYS[:2], 5, given=drawn(noise, (7, b, 5), u))
    whole = simulate(eq, weights, u, noise, STATISTICS, back_end)
    assume(bool((whole.states.abs() < 1e3).all()))
    sliced = simulate_sliced(eq, weights, u, noise, STATISTICS, back_end, trials_at_once=at_once)
    assert torch.allclose(whole.outputs, sliced.outputs, rtol=1e-10, atol=1e-12)
    assert torch.allclose(whole.statistics, sliced.statistics, rtol=1e-10, atol=1e-12)
    arriving = [
        Cotangent(rand(*whole.outputs.shape), None, rand(*whole.statistics.shape)),
        Cotangent(rand(*whole.outputs.shape)),
    ]
    wanted = [*whole.pull_back(arriving)[0], *whole.pull_back(arriving)[1]]
    found = [*sliced.pull_back(arriving)[0], *sliced.pull_back(arriving)[1]]
    pairs = zip(
        (*found, sliced.pull_back_to_inputs(arriving[0])),
        (*wanted, whole.pull_back_to_inputs(arriving[0])),
        strict=True,
    )
    for one, other in pairs:
        size = max(1.0, float(other.abs().max()))
        assert float((one - other).abs().max()) < 1e-10 * size


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("back_end", BACK_ENDS)
def test_statistics_survive_large_rates(kind, back_end):
    """A soft maximum of 1e4 / 0.1 would overflow as it stands."""
    weights = Weights(
        *(torch.full(s, 3.0) for s in ((1, 4, 4), (1, 4, 1), (1, 1, 4), (1, 4), (1, 4)))
    )
    u = torch.ones(1, 12, 3, 1)
    silent = RecurrentNoise([0.0], KEYS[:1], 0)
    statistic = Statistic(kind, 0.1)
    run = simulate(Equation("relu", tau=2.0), weights, u, silent, [statistic], back_end)
    assert run.states.max() > 1e4
    wanted = statistic.of(run.states.double(), run.states.double(), (1, 2))
    assert torch.allclose(run.statistics[0].double(), wanted, rtol=1e-5)
    (found,) = run.pull_back([Cotangent(torch.zeros_like(run.outputs), None, torch.ones(1, 1, 4))])
    assert torch.isfinite(found.W_rec).all() and found.W_rec.abs().max() > 0


@settings(max_examples=20, deadline=None)
@given(b=st.integers(1, 200), n=st.sampled_from([3, 50, 100, 300]), m=st.integers(1, 8))
def test_chunks_hold_every_trial_once(b, n, m):
    parts = compiled.chunks(b, n, n + m + 1)
    assert [i for first, last in parts for i in range(first, last)] == list(range(b))


@pytest.mark.parametrize("threads", [1, 2, 3])
@pytest.mark.parametrize("n_networks", [1, 3])
def test_threads_and_companions_change_no_bit(threads, n_networks):
    g = torch.Generator().manual_seed(0)
    shapes = ((3, 9, 9), (3, 9, 2), (3, 2, 9), (3, 9), (3, 9))
    weights = [torch.randn(*s, generator=g) for s in shapes]
    u = torch.randn(3, 20, 101, 2, generator=g)
    cotangent = torch.randn(3, 20, 101, 2, generator=g)

    def gradient(k):
        own = Weights(*(w[:k] for w in weights))
        run = simulate(Equation("tanh"), own, u[:k], noise_of(k), STATISTICS)
        ones = torch.ones_like(run.statistics)
        (found,) = run.pull_back([Cotangent(cotangent[:k], None, ones)])
        return [run.states[0], run.statistics[:, 0], *(w[0] for w in found)]

    before = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        alone = gradient(1)
        torch.set_num_threads(threads)
        assert all(torch.equal(a, b) for a, b in zip(alone, gradient(n_networks), strict=True))
    finally:
        torch.set_num_threads(before)


def test_buffers_are_used_again():
    rnn = RNNTorch.from_config(NetworkConfig(n_units=5), 2, 1)
    buffers, u = Buffers(), torch.ones(4, 3, 2)
    first = rnn.run(u, memory=RunMemory(buffers)).states
    assert rnn.run(2 * u, memory=RunMemory(buffers)).states.data_ptr() == first.data_ptr()
    assert rnn.run(u).states.data_ptr() != first.data_ptr()


# Noise ------------------------------------------------------------------------------------------


def test_words_are_those_of_philox():
    """Known answers of the authors' library (Random123, kat_vectors), seven rounds."""
    zero, full = torch.zeros(1, dtype=torch.int64), torch.full((1,), 0xFFFFFFFF)
    cases = [
        ([zero] * 4, (0, 0), "5f6fb709 0d893f64 4f121f81 4f730a48"),
        ([full] * 4, (0xFFFFFFFF, 0xFFFFFFFF), "5207ddc2 45165e59 4d8ee751 8c52f662"),
    ]
    for counters, key, answer in cases:
        assert [f"{int(w):08x}" for w in philox.words(counters, key)] == answer.split()


@pytest.mark.parametrize("part", ["inp", "rec", "out"])
@pytest.mark.parametrize(("dtype", "bound"), [(torch.float64, 1e-14), (torch.float32, 3e-6)])
def test_compiled_draws_are_the_reference_draws(part, dtype, bound):
    shape, key, simulation = (10, 7, 5), (0xFFFFFFFF, 17), 2**40 + 3
    keys = [(0, 1), key]
    ours = draw(Draws(shape, keys, simulation, part), torch.empty(0, dtype=dtype))
    wanted = philox.normals(shape, keys, simulation, part, dtype=dtype)
    assert torch.equal(wanted[1:], philox.normals(shape, [key], simulation, part, dtype=dtype))
    assert float((ours - wanted).abs().max()) < bound


@pytest.mark.parametrize("first", [0, 1, 3, 4, 6])
def test_steps_and_trials_can_be_drawn_from_the_middle(first):
    every = philox.normals((9, 7, 2), [(1, 2)], 0, "rec")
    later = philox.normals((9 - first, 7, 2), [(1, 2)], 0, "rec", first_step=first)
    assert torch.equal(every[:, first:], later)
    others = philox.normals((9, 7 - first, 2), [(1, 2)], 0, "rec", first_trial=first)
    assert torch.equal(every[:, :, first:], others)


@pytest.mark.slow
def test_draws_are_standard_normal_and_independent():
    shape = (400, 100, 50)
    like = torch.empty(0)
    named = {
        "one": draw(Draws(shape, [(1, 2)], 0, "rec"), like)[0],
        "key": draw(Draws(shape, [(2, 2)], 0, "rec"), like)[0],
        "simulation": draw(Draws(shape, [(1, 2)], 1, "rec"), like)[0],
        "part": draw(Draws(shape, [(1, 2)], 0, "inp"), like)[0],
    }
    for z in named.values():
        flat = z.flatten().numpy()
        assert stats.kstest(flat[:200_000], "norm").pvalue > 1e-4
        assert abs(flat.mean()) < 5 / flat.size**0.5
        assert abs((flat**2).mean() - 1) < 5 * (2 / flat.size) ** 0.5
        assert abs((flat**4).mean() - 3) < 5 * (96 / flat.size) ** 0.5
        for axis in range(3):  # neighbours in time, trial and unit
            a, b = z.narrow(axis, 0, shape[axis] - 1), z.narrow(axis, 1, shape[axis] - 1)
            assert abs(float((a * b).mean())) < 5 / a.numel() ** 0.5
    values = list(named.values())
    for other in values[1:]:
        assert abs(float((values[0] * other).mean())) < 5 / other.numel() ** 0.5


@settings(max_examples=60, deadline=None)
@given(config=any_network, seed=st.integers(0, 2**31 - 1))
def test_drawn_noise_is_the_scaled_draws(config, seed):
    """Networks with noise of their own do what they do with the same draws given to them."""
    rnn = RNNTorch.from_config(config, 2, 2, seed=[seed], dtype=torch.float64)
    rnn.n_simulations = 3
    u = torch.as_tensor(np.random.default_rng(seed).standard_normal((6, 5, 2)))
    run = rnn.run(u, noise=True)
    assert rnn.n_simulations == 4
    (key,), like = rnn.noise_keys, torch.empty(0, dtype=torch.float64)
    inp, rec = (
        draw(Draws((6, 5, c), [key], 3, part), like)[0].movedim(-1, 0).numpy()
        for part, c in (("inp", 2), ("rec", 7))
    )
    out = np.zeros((7, 6, 5))
    readout = run.readout_noise
    if readout is not None:
        in_units = torch.einsum("tbd,nd->ntb", readout.draws[0], readout.basis[0])
        out = in_units.numpy() / rnn.equation.noise_scale(rnn.equation.sigma_out)
    given_noise = rnn.run(u, noise=Noise(inp=inp, rec=rec, out=out))
    assert torch.allclose(run.states, given_noise.states, atol=1e-12)
    assert torch.allclose(run.outputs, given_noise.outputs, atol=1e-12)


def test_readout_noise_has_the_covariance_of_noise_on_every_unit():
    config = NetworkConfig(n_units=30, sigma_out=0.4, spectral_radius=0.1)
    rnn = RNNTorch.from_config(config, 1, 2, dtype=torch.float64)
    u = torch.zeros(200, 200, 1, dtype=torch.float64)
    outputs = rnn.run(u, noise=True).outputs.flatten(0, 2)
    scale = rnn.equation.noise_scale(0.4)
    wanted = scale**2 * (rnn.W_out @ rnn.W_out.T).detach()
    found = outputs.T @ outputs / len(outputs)
    assert torch.allclose(found, wanted, rtol=0.05, atol=0.05 * float(wanted.max()))


def test_inputs_of_another_precision_are_refused():
    rnn = RNNTorch.from_config(NetworkConfig(n_units=4), 2, 1)
    with pytest.raises(ParameterError, match=r"u\.dtype.*float64.*float32"):
        rnn.run(torch.ones(3, 2, 2, dtype=torch.float64))
    assert rnn(np.ones((2, 3, 2)))[1].dtype == torch.float32


@pytest.mark.parametrize("back_end", BACK_ENDS)
@pytest.mark.parametrize(("n_steps", "n_trials"), [(0, 2), (3, 0)])
def test_what_has_no_step_or_no_trial_is_refused(n_steps, n_trials, back_end):
    weights = Weights(*(torch.zeros(1, *s) for s in ((4, 4), (4, 2), (1, 4), (4,), (4,))))
    silent = RecurrentNoise([0.0], KEYS[:1], 0)
    with pytest.raises(ParameterError, match=f"{n_steps} steps, {n_trials} trials"):
        simulate(Equation("tanh"), weights, torch.zeros(1, n_steps, n_trials, 2), silent, (),
                 back_end)  # fmt: skip


def test_weights_that_change_before_the_way_back_are_noticed():
    rnn = RNNTorch.from_config(NetworkConfig(n_units=4), 2, 1)
    _, outputs = rnn(np.ones((2, 3, 2)))
    with torch.no_grad():
        rnn._W_rec.add_(1.0)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        outputs.sum().backward()


def test_settings_of_the_process_are_put_back_when_all_are_outside():
    numbers = [8]

    def lower():
        before, numbers[0] = numbers[0], 1
        return before

    lowered = Lowered(lower, lambda before: numbers.__setitem__(0, before))
    with lowered:
        with lowered:
            assert numbers == [1]
        assert numbers == [1]
        assert lowered.before == 8
    assert numbers == [8]


def test_what_is_compiled_is_kept_only_where_it_can_be(tmp_path, monkeypatch):
    monkeypatch.setattr(compilation._settings, "CACHE_DIR", "")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    compilation.cache_folder.cache_clear()
    try:
        assert str(compilation.cache_folder()).startswith(str(tmp_path))
        (tmp_path / "file").write_text("")
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
        compilation.cache_folder.cache_clear()
        assert compilation.cache_folder() is None
        assert compilation.compiled(lambda x: x + 1)(1) == 2
    finally:
        compilation.cache_folder.cache_clear()


def test_copies_of_the_same_sources_share_what_is_compiled():
    kept = compilation.Locator.get_suitable_cache_subpath
    assert kept("/one/models/engine/loops.py") == kept("/other/models/engine/loops.py")
    folder = compilation.cache_folder()
    if folder is not None and compilation._NumbaLocator is not object:  # that of an old Numba
        assert Path(elementwise.activate.stats.cache_path) == Path(folder) / "engine"
