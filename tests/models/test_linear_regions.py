"""Linear regions, against answers known by hand, and the search against their enumeration."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.fixed_points import find_fixed_points
from models.fixed_points.field import ConstantInputs
from models.fixed_points.linear_regions import solve_in_region
from models.fixed_points.newton import find_roots
from models.fixed_points.region_enumeration import enumerate_fixed_points
from models.network.rnn_numpy import RNNNumpy
from tasks_lib.errors import ParameterError


def random_network(seed, equation_type="s", activation="relu", n_units=8, gain=2.5):
    rng = np.random.default_rng(seed)
    return RNNNumpy(
        W_rec=gain * rng.standard_normal((n_units, n_units)) / n_units**0.5,
        W_inp=rng.standard_normal((n_units, 1)),
        W_out=np.ones((1, n_units)),
        activation=activation,
        equation_type=equation_type,
    )


def small(W_rec, drive, form="s", activation="relu", **args):
    n_units = len(W_rec)
    return RNNNumpy(
        W_rec=W_rec,
        W_inp=np.zeros((n_units, 1)),
        W_out=np.ones((1, n_units)),
        b_rec=drive,
        equation_type=form,
        activation={"name": activation, **args},
    )


# arguments z of the fixed points of z = W f(z) + d, worked out by hand
BY_HAND = [
    # one unit: z = w f(z) + d
    ([[0.5]], [1.0], {}, [[2.0]]),
    ([[2.0]], [-1.0], {}, [[-1.0], [1.0]]),
    ([[2.0]], [1.0], {}, []),
    ([[-3.0]], [1.0], {}, [[0.25]]),
    ([[0.5]], [1.0], {"slope": 1.5}, [[4.0]]),
    ([[2.0]], [-1.0], {"activation": "leaky_relu", "leak_slope": 0.25}, [[-2.0], [1.0]]),
    ([[2.0]], [-1.0], {"activation": "leaky_relu", "leak_slope": -0.5}, [[-0.5], [1.0]]),
    # two that exclude each other, and one that drives the other only
    ([[0, -2.0], [-2.0, 0]], [1.0, 1.0], {}, [[-1, 1], [1 / 3, 1 / 3], [1, -1]]),
    ([[0, 0], [3.0, 0]], [2.0, -1.0], {}, [[2, 5]]),
    # three units, each with 0 and 1 of its own
    (
        2 * np.eye(3),
        [-1.0, -1.0, -1.0],
        {},
        [[a, b, c] for a in (-1, 1) for b in (-1, 1) for c in (-1, 1)],
    ),
]


@pytest.mark.parametrize("form", ["s", "h"])
@pytest.mark.parametrize(("W_rec", "drive", "keywords", "arguments"), BY_HAND)
def test_answers_by_hand(W_rec, drive, keywords, arguments, form):
    rnn = small(W_rec, drive, form, **keywords)
    found = enumerate_fixed_points(rnn, np.zeros(1))
    z = np.array(arguments, dtype=float).reshape(-1, rnn.N)
    states = z if form == "h" else rnn.activation.f(z)
    assert found.points.shape == states.shape
    assert np.allclose(sorted(found.points.tolist()), sorted(states.tolist()), atol=1e-14)
    assert not found.on_boundary.any()
    assert found.n_singular == len(found.continua) == 0
    assert (found.radius < 1e-13).all()
    # from near each of them, the same is found
    solved = solve_in_region(rnn, np.zeros(1), states + 0.01)
    assert (solved.status == "verified").all()
    assert np.allclose(solved.points, states, atol=1e-14)
    assert (solved.existence_radius < 1e-13).all()
    gaps = np.linalg.norm(states[:, None] - states[None], axis=2) + 1e9 * np.eye(len(states))
    assert (solved.uniqueness_radius <= gaps.min(axis=1, initial=1e9)).all()


@pytest.mark.parametrize("form", ["s", "h"])
@pytest.mark.parametrize("leak", [0.0, 0.1])
def test_a_point_on_a_boundary_is_reported_once(form, leak):
    # the second unit's argument is 1 - 1 = 0, the third's 0 whatever the others do
    W_rec = [[0.5, 0, 0], [-0.5, 0.3, 0], [0, 0, 0.4]]
    rnn = small(W_rec, [1.0, 1.0, 0.0], form, "leaky_relu", leak_slope=leak)
    found = enumerate_fixed_points(rnn, np.zeros(1))
    assert np.allclose(found.points, [[2.0, 0, 0]], atol=1e-14)
    assert found.on_boundary.tolist() == [True]
    near = np.array([[2.0, 1e-3, 1e-3], [2.0, -1e-3, -1e-3]])
    solved = solve_in_region(rnn, np.zeros(1), near)
    assert solved.status.tolist() == ["boundary"] * 2
    assert np.allclose(solved.points, [[2.0, 0, 0]], atol=1e-14)
    assert np.isnan(solved.existence_radius).all()


@pytest.mark.parametrize("form", ["s", "h"])
def test_a_point_is_moved_to_its_region(form):
    # started with both units on, although the first inhibits the second away
    rnn = small([[0, 0], [-3.0, 0]], [1.0, 1.0], form)
    solved = solve_in_region(rnn, np.zeros(1), [[0.2, 0.4], [-1.0, -1.0]])
    assert solved.status.tolist() == ["verified"] * 2
    assert np.allclose(solved.points, [[1, 0] if form == "s" else [1, -2]] * 2)
    assert solved.active.tolist() == [[True, False]] * 2


@pytest.mark.parametrize("form", ["s", "h"])
def test_where_regions_hold_nothing(form):
    # z = 2 f(z) + 1: on, z = -1; off, z = 1
    rnn = small([[2.0]], [1.0], form)
    solved = solve_in_region(rnn, np.zeros(1), [[3.0], [-3.0]])
    assert solved.status.tolist() == ["none"] * 2
    assert solved.points.tolist() == [[3.0], [-3.0]]
    # on, z = z + 1: singular
    solved = solve_in_region(small([[1.0]], [1.0], form), np.zeros(1), [[3.0]])
    assert solved.status.tolist() == ["singular"]
    assert np.isnan(solved.uniqueness_radius).all()


@settings(max_examples=60, deadline=None)
@given(
    st.integers(0, 10**6),
    st.integers(1, 7),
    st.sampled_from(["s", "h"]),
    st.sampled_from([("relu", {}), ("leaky_relu", {"leak_slope": 0.2}),
                     ("leaky_relu", {"leak_slope": -0.3, "slope": 1.4})]),
)  # fmt: skip
def test_enumeration_is_sound_complete_and_blind_to_order(seed, n_units, form, activation):
    rng = np.random.default_rng(seed)
    W_rec = 2.0 * rng.standard_normal((n_units, n_units)) / n_units**0.5
    drive = rng.standard_normal(n_units)
    name, args = activation
    rnn = small(W_rec, drive, form, name, **args)
    u = np.zeros(1)
    found = enumerate_fixed_points(rnn, u)
    assert np.abs(rnn.rhs(found.points.T, u)).max(initial=0) < 1e-11
    # every point that Newton finds from everywhere is in the list
    starts = 3 * rng.standard_normal((300, n_units))
    ends = find_roots(ConstantInputs([(rnn, u)]), starts, 1e-10, np.full(300, 10.0))
    for point in ends.points[ends.converged]:
        assert np.linalg.norm(found.points - point, axis=1).min() < 1e-7
    # units in another order give the points in that order
    order = rng.permutation(n_units)
    other = enumerate_fixed_points(
        small(W_rec[np.ix_(order, order)], drive[order], form, name, **args), u
    )
    assert other.points.shape == found.points.shape
    for point in found.points[:, order]:
        assert np.linalg.norm(other.points - point, axis=1).min() < 1e-9
    # each is proven, and none lies within the radius that another keeps free
    solved = solve_in_region(rnn, u, found.points)
    assert (solved.status == np.where(found.on_boundary, "boundary", "verified")).all()
    assert np.allclose(solved.points, found.points, atol=1e-10)
    gaps = np.linalg.norm(found.points[:, None] - found.points[None], axis=2)
    gaps[np.diag_indices(len(gaps))] = np.inf
    assert (gaps.min(axis=1, initial=np.inf) > solved.uniqueness_radius).all()


@pytest.mark.parametrize("form", ["s", "h"])
@pytest.mark.parametrize("activation", ["relu", "leaky_relu"])
def test_solutions_of_large_networks_are_exact(form, activation):
    rng = np.random.default_rng(4)
    drive = rng.standard_normal(60)
    W_rec = 0.8 * rng.standard_normal((60, 60)) / 60**0.5
    rnn = small(W_rec, drive, form, activation)
    field = ConstantInputs([(rnn, np.zeros(1))])
    ends = find_roots(field, rng.standard_normal((5, 60)), 1e-10, np.full(5, 10.0))
    assert ends.converged.all()
    rough = ends.points + 1e-6 * rng.standard_normal((5, 60))
    solved = solve_in_region(rnn, np.zeros(1), rough)
    assert (solved.status == "verified").all()
    assert np.abs(rnn.rhs(solved.points.T, np.zeros(1))).max() < 1e-14
    assert solved.existence_radius.max() < 1e-11
    # the same in long doubles
    active = solved.active[0]
    gain = np.where(active, 1.0, rnn.activation.args.get("leak_slope", 0.0)).astype(np.longdouble)
    M = np.eye(60) - (W_rec * gain if form == "h" else gain[:, None] * W_rec)
    x, d = solved.points[0].astype(np.longdouble), drive if form == "h" else gain * drive
    inverse = np.linalg.inv(M.astype(float))
    for _ in range(4):
        x = x + inverse @ (d - M @ x)
    assert float(np.linalg.norm(x - solved.points[0])) <= solved.existence_radius[0]


@pytest.mark.parametrize("form", ["s", "h"])
def test_a_continuum_is_told_from_a_touch_and_from_nothing(form):
    v = np.array([0.6, 0.8])
    rank_one = np.outer(v, v)
    # the ray along v, whose end, the origin, is not isolated
    found = enumerate_fixed_points(small(rank_one, [0, 0], form), np.zeros(1))
    assert found.n_singular == 1
    assert found.points.shape == (0, 2)
    assert found.continua.tolist() == [[True, True]]
    ends = found.segments[0]
    assert np.allclose(ends, np.outer(ends @ v, v))
    assert np.linalg.norm(ends[1] - ends[0]) > 0.1
    between = ends[0] + np.linspace(0, 1, 9)[:, None] * (ends[1] - ends[0])
    assert np.abs(small(rank_one, [0, 0], form).rhs(between.T, np.zeros(1))).max() < 1e-9
    # driven along v there is no solution; driven across, the ray is shifted
    found = enumerate_fixed_points(small(rank_one, v, form), np.zeros(1))
    assert (found.n_singular, len(found.continua), len(found.points)) == (1, 0, 0)
    found = enumerate_fixed_points(small(rank_one, [0.8, -0.6], form), np.zeros(1))
    assert found.continua.tolist() == [[True, True]]
    # v of two signs: the line z = c v leaves the region of both on at once, at the origin
    w = np.array([0.6, -0.8])
    found = enumerate_fixed_points(small(np.outer(w, w), [0, 0], form), np.zeros(1))
    assert found.n_singular == 1
    assert len(found.continua) == 0
    assert np.allclose(found.points, [[0, 0]], atol=1e-8)
    assert found.on_boundary.tolist() == [True]


@pytest.mark.parametrize("form", ["s", "h"])
def test_a_touch_and_a_continuum_of_more_dimensions(form):
    # two units that keep what they have, one that is driven: a quarter plane, its edges within it
    found = enumerate_fixed_points(small(np.diag([1.0, 1.0, 0.5]), [0, 0, 1.0], form), np.zeros(1))
    assert [True, True, True] in found.continua.tolist()
    assert found.points.shape == (0, 3)
    # solutions (a, -a, b, -b): only the origin is within the region of all on
    a, b = np.array([1, -1, 0, 0]) / 2**0.5, np.array([0, 0, 1, -1]) / 2**0.5
    W_rec = np.outer(a, a) + np.outer(b, b)
    found = enumerate_fixed_points(small(W_rec, np.zeros(4), form), np.zeros(1))
    assert found.n_singular > 0
    assert len(found.continua) == 0
    assert np.allclose(found.points, np.zeros((1, 4)), atol=1e-8)
    # and with a third direction that all share, the diagonal is a continuum
    c = np.full(4, 0.5)
    found = enumerate_fixed_points(small(W_rec + np.outer(c, c), np.zeros(4), form), np.zeros(1))
    assert [True] * 4 in found.continua.tolist()


@pytest.mark.parametrize("form", ["s", "h"])
def test_a_thin_continuum_is_found(form):
    # the plane of solutions meets the region of all on, but not where it is nearest to (1, 1, 1, 1)
    plane, _ = np.linalg.qr(np.array([[9.0, 1, 1, 3], [2, -4, 4, -3]]).T)
    assert (plane @ (plane.T @ np.ones(4))).min() < -0.05
    rnn = small(plane @ plane.T, np.zeros(4), form)
    found = enumerate_fixed_points(rnn, np.zeros(1))
    assert [True] * 4 in found.continua.tolist()
    assert len(found.points) == 0
    for ends in found.segments:
        between = ends[0] + np.linspace(0, 1, 9)[:, None] * (ends[1] - ends[0])
        assert np.abs(rnn.rhs(between.T, np.zeros(1))).max() < 1e-8
        assert np.linalg.norm(ends[1] - ends[0]) > 1e-2


@pytest.mark.slow
@pytest.mark.parametrize("activation", ["relu", "leaky_relu"])
def test_sixteen_units(activation):
    rnn = random_network(1, "h", activation, n_units=16)
    found = enumerate_fixed_points(rnn, np.ones(1))
    assert len(found.points) > 0
    assert np.abs(rnn.rhs(found.points.T, np.ones(1))).max() < 1e-10


@pytest.mark.parametrize("activation", ["relu", "leaky_relu"])
@pytest.mark.parametrize("equation_type", ["s", "h"])
@pytest.mark.parametrize("seed", range(6))
def test_search_finds_every_region(seed, equation_type, activation):
    rnn = random_network(seed, equation_type, activation)
    u = np.array([1.0])
    known = enumerate_fixed_points(rnn, u)
    points = known.points
    assert known.n_singular == 0
    assert np.abs(rnn.rhs(points.T, u)).max(initial=0.0) < 1e-10
    pool = np.random.default_rng(100 + seed).standard_normal((8, 200))
    found = find_fixed_points(rnn, u, pool)
    assert len(found) == len(points)
    if len(points):
        gaps = np.linalg.norm(found.points[:, None] - points[None], axis=2)
        assert gaps.min(axis=1).max() < 1e-8


@pytest.mark.parametrize("equation_type", ["s", "h"])
@pytest.mark.parametrize("seed", range(4))
def test_search_finds_all_winners(seed, equation_type):
    # units that inhibit each other: every set of winners that holds out is a fixed point
    rng = np.random.default_rng(seed)
    W_rec = -1.5 - 0.2 * rng.random((5, 5))
    np.fill_diagonal(W_rec, 0)
    rnn = RNNNumpy(
        W_rec=W_rec, W_inp=np.ones((5, 1)), W_out=np.ones((1, 5)), equation_type=equation_type
    )
    assert len(enumerate_fixed_points(rnn, np.ones(1)).points) == 31
    found = find_fixed_points(rnn, np.ones(1), rng.standard_normal((5, 100)))
    assert found.by_index() == {0: 5, 1: 10, 2: 10, 3: 5, 4: 1}
    assert found.status == "complete"
    assert found.index_expected == found.index_sum == 1  # as at strong inputs


def test_what_cannot_be_solved_is_refused():
    with pytest.raises(ParameterError, match="regions"):
        enumerate_fixed_points(random_network(0, n_units=17), np.ones(1))
    damped = small([[0.5]], [1.0])
    damped.equation = replace(damped.equation, gamma=0.1)
    for solve in (enumerate_fixed_points, lambda rnn, u: solve_in_region(rnn, u, [[1.0]])):
        with pytest.raises(ParameterError, match="piecewise"):
            solve(random_network(0, activation="tanh"), np.ones(1))
        with pytest.raises(ParameterError, match="gamma"):
            solve(damped, np.zeros(1))
