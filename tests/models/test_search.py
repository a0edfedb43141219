"""How a search is run: batches, threads, devices, early recognition, the index at infinity."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from threadpoolctl import threadpool_info

from models import DynamicSystemAnalyzer, get_fixed_points_of_many
from models.fixed_points import (
    Problem,
    SearchSettings,
    enumerate_fixed_points,
    expected_index,
    find_fixed_points,
    find_fixed_points_of_many,
    search_settings,
)
from models.fixed_points.batch import _run_on_device
from models.fixed_points.field import ConstantInputs
from models.fixed_points.found import Found
from models.fixed_points.newton import Roots, find_roots
from models.fixed_points.search import Search
from models.network.rnn_numpy import RNNNumpy
from tasks_lib import NBitFlipFlop
from tasks_lib.errors import ParameterError

ACTIVATIONS = ("relu", "leaky_relu", "tanh", "sigmoid", "softplus", "gelu")


def random_network(n_units, seed, gain=1.5, n_inputs=2, **equation):
    rng = np.random.default_rng(seed)
    return RNNNumpy(
        W_rec=gain * rng.standard_normal((n_units, n_units)) / n_units**0.5,
        W_inp=rng.standard_normal((n_units, n_inputs)),
        W_out=rng.standard_normal((1, n_units)),
        b_rec=0.3 * rng.standard_normal(n_units),
        **equation,
    )


def multistable(seed=0, n_units=30, equation_type="s"):
    """Return a network with a few stored patterns: 15 fixed points or more, of every kind."""
    rng = np.random.default_rng(seed)
    patterns = np.sign(rng.standard_normal((3, n_units)))
    W_rec = 2.0 * patterns.T @ patterns / n_units + 0.1 * rng.standard_normal((n_units, n_units))
    return RNNNumpy(
        W_rec=W_rec, W_inp=np.zeros((n_units, 1)), W_out=np.ones((1, n_units)),
        activation="tanh", equation_type=equation_type,
    )  # fmt: skip


def pool(n_units, seed=0):
    return np.random.default_rng(seed).standard_normal((n_units, 100))


@pytest.mark.parametrize("gamma", [0.0, 0.2])
@pytest.mark.parametrize("equation_type", ["s", "h"])
@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("device", [None, "cpu"])
def test_field_is_that_of_the_networks(device, activation, equation_type, gamma):
    kind = {"activation": activation, "equation_type": equation_type, "gamma": gamma}
    networks = [random_network(7, seed, **kind) for seed in range(3)]
    rng = np.random.default_rng(1)
    # network 1 twice, at two inputs
    problems = [(networks[k], rng.standard_normal(2)) for k in (0, 1, 1, 2)]
    which = np.array([2, 0, 3, 1, 1, 2])
    x = rng.standard_normal((6, 7))
    field = ConstantInputs(problems, device)
    assert len(field.W) == 3
    F = field.numpy(field.rhs(field.array(x), field.array(which)))
    J = field.numpy(field.jacobian(field.array(x), field.array(which)))
    for row, k in enumerate(which):
        rnn, u = problems[k]
        assert np.allclose(F[row], rnn.rhs(x[row], u), atol=1e-13)
        assert np.allclose(J[row], rnn.jacobian(x[row], u), atol=1e-13)
        alone = ConstantInputs([problems[k]], device)
        single = alone.rhs(alone.array(x[row : row + 1]), None)
        assert np.allclose(alone.numpy(single)[0], F[row], atol=1e-13)


def test_networks_of_two_kinds_are_no_batch():
    networks = [random_network(4, 0, activation=name) for name in ("tanh", "relu")]
    with pytest.raises(ParameterError, match="one kind"):
        ConstantInputs([(rnn, np.zeros(2)) for rnn in networks])


@pytest.mark.parametrize("equation_type", ["s", "h"])
def test_roots_on_a_device_are_those_on_the_cpu(equation_type):
    rnn = multistable(equation_type=equation_type)
    starts = pool(30).T
    ends = [
        find_roots(ConstantInputs([(rnn, np.zeros(1))], device), starts, 1e-10, np.full(100, 20.0))
        for device in (None, "cpu")
    ]
    assert ends[0].converged.mean() > 0.9
    same = ends[0].converged & ends[1].converged
    assert same.sum() >= 0.95 * ends[0].converged.sum()
    # rounding may send a start on a boundary elsewhere
    assert np.mean(np.linalg.norm(ends[0].points - ends[1].points, axis=1)[same] < 1e-8) > 0.95


def test_search_on_a_device_finds_what_the_cpu_finds():
    problems = [
        Problem(multistable(seed), np.zeros(1), pool(30), SearchSettings(), 1) for seed in range(3)
    ]
    device = _run_on_device(problems, "cpu")
    cpu = find_fixed_points_of_many(problems)
    for one, other in zip(device, cpu, strict=True):
        assert one.status == other.status == "probably complete"
        assert one.by_index() == other.by_index()
        joined = one.merge(other)
        assert len(joined) == len(one)


@pytest.mark.slow
@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000), equation_type=st.sampled_from(["s", "h"]))
def test_recognised_starts_go_where_newton_takes_them(seed, equation_type):
    rnn, u = multistable(seed, equation_type=equation_type), np.zeros(1)
    field = ConstantInputs([(rnn, u)])
    longest = np.full(200, 20.0)
    rng = np.random.default_rng(seed)
    known = find_roots(field, 2 * rng.standard_normal((200, 30)), 1e-10, longest)
    found = Found(rnn, u, 1e-5)
    found.add(known.points[known.converged], known.residual[known.converged])
    distance = 10.0 ** rng.uniform(-6, 1, (200, 1)) * rng.standard_normal((200, 30)) / 30**0.5
    starts = found.points[rng.integers(len(found), size=200)] + distance
    names = found.recognise(starts, field.rhs(starts, None))
    seen = names >= 0
    assert seen.any() and not seen.all()
    ends = find_roots(field, starts[seen], 1e-10, longest[: seen.sum()])
    gap = np.linalg.norm(ends.points - found.points[names[seen]], axis=1)
    assert (gap < 1e-6).all()


def test_another_root_is_never_recognised():
    rnn = RNNNumpy(
        W_rec=2 * np.eye(3), W_inp=np.zeros((3, 1)), W_out=np.ones((1, 3)), activation="tanh"
    )
    full = find_fixed_points(rnn, np.zeros(1), pool(3))
    found = Found(rnn, np.zeros(1), 1e-5)
    found.add(full.points[:9], full.residual[:9])
    F = rnn.rhs(full.points.T, np.zeros(1)).T
    assert found.recognise(full.points, F).tolist() == [*range(9), *[-1] * 18]


def test_together_on_threads_as_alone():
    problems = [
        Problem(multistable(seed), np.zeros(1), pool(30, seed), SearchSettings(seed=seed), 1)
        for seed in range(4)
    ]
    runs = [
        find_fixed_points_of_many(problems, n_threads=1),
        find_fixed_points_of_many(problems, n_threads=3),
        [find_fixed_points_of_many([p], n_threads=2)[0] for p in problems],
    ]
    for sets in zip(*runs, strict=True):
        for other in sets[1:]:
            assert np.array_equal(sets[0].points, other.points)
            assert np.array_equal(sets[0].hits, other.hits)


def test_many_networks_at_their_tasks_inputs():
    task = NBitFlipFlop(n_steps=30, seed=0)
    analyzers = [
        DynamicSystemAnalyzer(random_network(12, seed, n_inputs=3, activation="tanh"), task)
        for seed in range(3)
    ]
    sets = get_fixed_points_of_many(analyzers)
    assert [list(own) for own in sets] == [list(task.analysis_inputs)] * 3
    for analyzer, own in zip(analyzers, sets, strict=True):
        assert analyzer.fixed_points == own
        name = next(iter(own))
        alone = DynamicSystemAnalyzer(analyzer.rnn, task).get_fixed_points(name)
        assert np.array_equal(alone.points, own[name].points)
    two = get_fixed_points_of_many(analyzers[:1], [[0.0, 0.0, 0.0], [1.0, 0.0, 0.0]], n_starts=64)
    assert list(two[0]) == ["[0, 0, 0]", "[1, 0, 0]"]
    with pytest.raises(ParameterError, match="there is no task"):
        get_fixed_points_of_many([DynamicSystemAnalyzer(analyzers[0].rnn)])


@pytest.mark.slow
@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    equation_type=st.sampled_from(["s", "h"]),
    activation=st.sampled_from(["relu", "leaky_relu", {"name": "relu", "slope": 0.6}]),
    gain=st.floats(0.5, 2.5),
)
def test_index_at_infinity_is_that_of_all_points(seed, equation_type, activation, gain):
    rnn = random_network(6, seed, gain, activation=activation, equation_type=equation_type)
    expected = expected_index(rnn)
    if expected is None:
        return
    rng = np.random.default_rng(seed)
    for strength in (0.3, 3.0):
        u = strength * rng.standard_normal(2)
        every = enumerate_fixed_points(rnn, u)
        assert not len(every.continua)
        points = every.points
        J = rnn.jacobian(points.T, u)
        signs = np.sign(np.linalg.det(-J)) if len(points) else np.zeros(0)
        assert signs.sum() == expected


def test_index_at_infinity_is_not_always_one():
    # x' = -x + relu(2x + u): none at u > 0, two at u < 0
    rnn = RNNNumpy(W_rec=[[2.0]], W_inp=[[1.0]], W_out=[[1.0]])
    assert expected_index(rnn) == 0
    found = find_fixed_points(rnn, np.array([-1.0]), pool(1))
    assert (len(found), found.index_sum, found.index_expected) == (2, 0, 0)
    assert found.message == (
        "complete: 2 points; every region that can hold points was solved, there are no others"
    )
    none = find_fixed_points(rnn, np.array([1.0]), pool(1))
    assert none.status == "none_found"
    assert none.n_starts < 16384


def test_index_is_not_known_where_points_lie_at_infinity():
    v = np.array([0.6, 0.8])
    rnn = RNNNumpy(W_rec=np.outer(v, v), W_inp=np.ones((2, 1)), W_out=np.ones((1, 2)))
    assert expected_index(rnn) is None


@pytest.mark.slow
@pytest.mark.parametrize("activation", ["softplus", "gelu"])
@pytest.mark.parametrize("equation_type", ["s", "h"])
def test_smooth_unbounded_networks_have_the_index_of_their_slopes(activation, equation_type):
    known = 0
    for seed in range(6):
        rnn = random_network(8, seed, 1.8, activation=activation, equation_type=equation_type)
        found = find_fixed_points(rnn, np.array([0.5, -0.5]), 3 * pool(8))
        if found.index_expected is not None and found.status == "complete":
            assert found.index_sum == found.index_expected
            known += 1
    assert known >= 3


def test_regions_of_small_networks_are_all_solved():
    rng = np.random.default_rng(0)
    W_rec = -1.5 - 0.2 * rng.random((5, 5))
    np.fill_diagonal(W_rec, 0)
    rnn = RNNNumpy(W_rec=W_rec, W_inp=np.ones((5, 1)), W_out=np.ones((1, 5)))
    few = find_fixed_points(rnn, np.ones(1), pool(5), SearchSettings(n_starts=2, max_starts=2))
    assert few.by_index() == {0: 5, 1: 10, 2: 10, 3: 5, 4: 1}
    assert few.enumerated
    assert few.status == "complete"
    assert (few.n_starts, few.hits.sum()) == (0, 0)
    assert (few.existence_radius < few.uniqueness_radius).all()


def fold(n_units=18):
    """Return a network whose first unit has two points or none, its others one each."""
    W_rec = 1e-3 * np.ones((n_units, n_units)) + 0.3 * np.eye(n_units)
    W_rec[0, :] = 0.0
    W_rec[0, 0] = 2.0
    return RNNNumpy(
        W_rec=W_rec, W_inp=np.eye(n_units)[:, :1], W_out=np.ones((1, n_units)),
        b_rec=np.r_[0.0, np.ones(n_units - 1)],
    )  # fmt: skip


@pytest.mark.slow
def test_larger_networks_are_compared_with_strong_inputs():
    one = SearchSettings(n_starts=1, max_starts=1)
    few = find_fixed_points(fold(), np.array([-1.0]), pool(18), one)
    assert not few.enumerated
    assert (len(few), few.status, few.index_expected) == (1, "incomplete", 0)
    assert "instead of the +0 that was counted at strong inputs" in few.message
    assert "probably missing" in few.message
    whole = find_fixed_points(fold(), np.array([-1.0]), pool(18))
    assert (len(whole), whole.status, whole.index_sum) == (2, "complete", 0)
    none = find_fixed_points(fold(), np.array([1.0]), pool(18))
    assert (len(none), none.status) == (0, "none_found")
    assert "widen the starts" in none.message


def test_few_hits_are_no_completeness():
    # starts at one attractor meet it again and again: coverage 1, index sum +1, one point of many
    rnn = multistable()
    many = find_fixed_points(rnn, np.zeros(1), pool(30))
    assert len(many) > 1
    one = many.points[many.stability == "stable"][:1]
    search = Search(Problem(rnn, np.zeros(1), pool(30), SearchSettings(), index_expected=1))
    for _ in range(4):
        n_starts = len(search.starts())
        search._own[:] = False  # as if all starts were from trials and points
        search.take(Roots(np.repeat(one, n_starts, axis=0), *many_hits(n_starts)))
    few = search.result()
    assert (len(few), few.coverage, few.index_sum) == (1, 1.0, few.index_expected)
    assert (few.status, search.finished) == ("probably complete", False)
    assert few.unseen == 3 / (3 * 128)
    assert few.message.startswith("probably complete: 1 point, coverage 1.000; at most 0.8% of")
    while not search.finished:  # it waits for independent starts for a while
        n_starts = len(search.starts())
        search._own[:] = False
        search.take(Roots(np.repeat(one, n_starts, axis=0), *many_hits(n_starts)))
    assert search.result().status == "probably complete"


def many_hits(number):
    """Return residuals, and that all converged and none was recognised."""
    return np.zeros(number), np.ones(number, dtype=bool), np.full(number, -1)


def test_what_regions_rule_out_is_no_point():
    # |F| is 5e-12 at -5e-12, and nowhere 0
    rnn = RNNNumpy(W_rec=[[2.0]], W_inp=[[1.0]], W_out=[[1.0]], b_rec=[1e-11])
    found = find_fixed_points(rnn, np.zeros(1), 1e-11 * pool(1))
    assert (len(found), found.enumerated, found.status) == (0, True, "none_found")
    assert "there is no point" in found.message


def test_parts_and_unions_know_whether_all_regions_were_solved():
    rnn = RNNNumpy(W_rec=[[2.0]], W_inp=[[1.0]], W_out=[[1.0]])
    found = find_fixed_points(rnn, np.array([-1.0]), pool(1))
    assert found.enumerated
    part = found.filter([True, False])
    assert (part.enumerated, part.status) == (False, "incomplete")
    twice = found.filter([0, 0])
    assert (twice.enumerated, twice.status) == (False, "incomplete")
    union = part.merge(found)
    assert (union.enumerated, union.status, len(union)) == (True, "complete", 2)


def test_slow_points_do_not_ask_for_the_index():
    analyzer = DynamicSystemAnalyzer(fold())
    before = analyzer.get_fixed_points([1.0], "approx", max_starts=256, trajectories=pool(18))
    analyzer.get_fixed_points([1.0], trajectories=pool(18))
    after = analyzer.get_fixed_points([1.0], "approx", max_starts=256, trajectories=pool(18))
    assert before.index_expected is after.index_expected is None
    assert (before.n_starts, len(before)) == (after.n_starts, len(after))


def test_inputs_that_print_alike_are_two():
    analyzer = DynamicSystemAnalyzer(multistable())
    sets = get_fixed_points_of_many([analyzer], [[-1.0], [-1.0 - 1e-9]], max_starts=128)
    assert list(sets[0]) == ["[-1]", "[-1.000000001]"]


def test_a_device_that_is_not_there_is_named():
    with pytest.raises(ParameterError, match="device"):
        DynamicSystemAnalyzer(multistable()).get_fixed_points([0.0], device="cuda:77")
    with pytest.raises(ParameterError, match="device"):
        DynamicSystemAnalyzer(multistable()).get_fixed_points([0.0], device="gpu")


def test_gamma_bounds_any_network():
    rnn = random_network(5, 0, activation="relu", gamma=0.1)
    assert expected_index(rnn) == 1
    assert find_fixed_points(rnn, np.zeros(2), pool(5)).is_bounded


@pytest.mark.parametrize(
    ("fields", "match"),
    [
        ({"mode": "fast"}, "mode"),
        ({"n_starts": 0}, "n_starts"),
        ({"max_starts": 5}, "max_starts"),
        ({"fun_tol": 0.0}, "fun_tol"),
        ({"diff_cutoff": -1.0}, "diff_cutoff"),
        ({"coverage": 1.5}, "coverage"),
        ({"n_start": 5}, "no setting of a search"),
    ],
)
def test_bad_settings_are_refused(fields, match):
    with pytest.raises(ParameterError, match=match):
        search_settings(**fields)


def test_tolerance_beyond_float64_is_refused():
    small = SearchSettings(fun_tol=1e-14)
    assert small.reachable(np.zeros((3, 1)))[0] == small
    with pytest.raises(ParameterError, match="float64"):
        SearchSettings(fun_tol=1e-16).reachable(np.zeros((3, 1)))
    # large states are left out where others are there, else the tolerance is theirs
    far = np.c_[np.zeros(3), np.full(3, 1e9)]
    assert small.reachable(far)[1].tolist() == [[0.0]] * 3
    raised, states = small.reachable(far[:, 1:])
    assert states.shape == (3, 1)
    assert 1e-6 < raised.fun_tol < 1e-5 and raised.eig_cutoff == 8 * 2**-52 * (3**0.5 * 1e9 + 1)


def test_default_tolerance_depends_on_the_mode():
    assert search_settings().tolerance == 1e-10
    assert search_settings(mode="approx").tolerance == 1e-5
    assert search_settings(seed=3, mode="approx", fun_tol=1e-3).tolerance == 1e-3


def test_blas_has_its_threads_back():
    def threads():
        return [library["num_threads"] for library in threadpool_info()]

    before = threads()
    find_fixed_points(multistable(), np.zeros(1), pool(30), SearchSettings(max_starts=128))
    assert threads() == before
