"""Slow manifolds, against networks whose continuous attractors are known."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models import DynamicSystemAnalyzer
from models.fixed_points import SearchSettings, find_fixed_points
from models.manifolds import ManifoldSettings, explain, find_manifolds, isolated
from models.manifolds.attractor import null_space_fraction, points_along, sign_changes
from models.manifolds.connections import chains
from models.manifolds.correction import correct, separation, slow_directions
from models.manifolds.membership import lie_on
from models.manifolds.settings import Region
from models.network.rnn_numpy import RNNNumpy
from models.plots.manifolds import plot_manifolds
from tasks_lib import MemoryNumber
from tasks_lib.errors import ParameterError

NO_INPUT = np.zeros(1)
N_RING = 64
ANGLES = 2 * np.pi * np.arange(N_RING) / N_RING
FORMS = pytest.mark.parametrize("equation_type", ["s", "h"])


def network(W_rec, **keywords):
    n_units = len(W_rec)
    keywords.setdefault("W_out", np.ones((1, n_units)))
    return RNNNumpy(W_rec=W_rec, W_inp=np.zeros((n_units, 1)), **keywords)


def search(rnn, pool, **keywords):
    return find_fixed_points(rnn, NO_INPUT, pool, SearchSettings(max_starts=1024, **keywords))


def states(n_units, n_states=200, seed=0):
    return np.random.default_rng(seed).standard_normal((n_units, n_states))


def unit_vector(n_units, seed=0):
    v = np.abs(states(n_units, 1, seed)[:, 0]) + 0.1
    return v / np.linalg.norm(v)


def line(equation_type="s", permutation=None):
    v = unit_vector(12)
    W_out = states(12, 1, seed=3).T
    if permutation is not None:
        v, W_out = v[permutation], W_out[:, permutation]
    return network(np.outer(v, v), W_out=W_out, activation="relu", equation_type=equation_type), v


def cosine_ring(equation_type="s", n_units=N_RING, **keywords):
    angles = 2 * np.pi * np.arange(n_units) / n_units
    W_rec = 4.0 / n_units * np.cos(angles[:, None] - angles)
    return network(W_rec, activation="tanh", equation_type=equation_type, **keywords)


def around_ring(n_units=N_RING, n_states=60):
    angles = 2 * np.pi * np.arange(n_units) / n_units
    return 1.5 * np.cos(angles[:, None] - np.linspace(0, 2 * np.pi, n_states, endpoint=False))


def sheet(equation_type="s"):
    first, second = np.zeros(10), np.zeros(10)
    first[:5], second[5:] = unit_vector(5, 1), unit_vector(5, 2)
    W_rec = np.outer(first, first) + np.outer(second, second)
    return network(W_rec, activation="relu", equation_type=equation_type), first, second


@FORMS
def test_a_ray_of_fixed_points_is_an_open_line(equation_type):
    rnn, v = line(equation_type)
    found = search(rnn, np.abs(states(12)))
    (ray,) = find_manifolds(rnn, NO_INPUT, found, np.abs(states(12)))
    assert (ray.dimension, ray.topology) == (1, "open line")
    along = ray.points @ v
    assert np.abs(ray.points - np.outer(along, v)).max() < 1e-10
    assert np.allclose(np.abs(ray.tangents[:, 0] @ v), 1.0)
    assert ray.speed.max() < 1e-12
    assert (ray.n_stable, ray.n_unstable, ray.n_transverse_unstable) == (0, 0, 0)
    assert np.allclose(ray.eigenvalues[1:-1, 0], 0, atol=1e-8)
    assert np.allclose(ray.eigenvalues[1:-1, 1:], -1, atol=1e-6)
    # it begins at the origin, where the units fall silent, and is followed past every point found
    assert along.min() == pytest.approx(0.0, abs=1e-9 * along.max())
    assert along.max() >= (found.points @ v).max()
    assert set(ray.ends) == {"kink", "reach"}
    assert "ends where a unit comes to its kink" in ray.message
    kinks = found.kink[np.abs(found.points).max(axis=1) < 1e-9]
    assert kinks.tolist() == ["marginal"]  # its end is marked among the points
    assert np.allclose(np.diff(ray.positions[:, 0]), ray.length / (len(ray) - 1))
    # the set's continuum is explained
    assert not isolated(found, [ray]).any()
    assert explain(found, [ray]) == f"{len(found)} points: {len(found)} on an open line, " \
        "0 on no slow manifold"  # fmt: skip
    # a line is one direction: what W_out does not see of v, for variance and tangents alike
    unread = 1.0 - (rnn.W_out[0] @ v) ** 2 / (rnn.W_out[0] @ rnn.W_out[0])
    assert ray.null_space_fraction == pytest.approx(unread, abs=1e-8)
    assert ray.tangent_null_fraction == pytest.approx(unread, abs=1e-8)
    assert ray.chance_null_fraction == pytest.approx(11 / 12)
    assert np.allclose(ray.outputs, ray.points @ rnn.W_out.T)


@pytest.mark.slow
@FORMS
def test_an_exact_ring(equation_type):
    W_out = np.stack([np.cos(ANGLES), np.sin(ANGLES)])
    rnn = cosine_ring(equation_type, W_out=W_out)
    found = search(rnn, around_ring())
    (ring,) = find_manifolds(rnn, NO_INPUT, found, around_ring())
    assert (ring.dimension, ring.topology, ring.ends) == (1, "ring", ("closed", "closed"))
    assert (ring.n_stable, ring.n_unstable) == (0, 0)
    assert ring.speed.max() < 1e-11
    gaps = np.linalg.norm(ring.points - np.roll(ring.points, -1, axis=0), axis=1)
    assert np.ptp(gaps) < 1e-4 * gaps.mean()
    # all samples are the first, turned: one radius, and the first unit's phase goes once around
    assert np.ptp(np.linalg.norm(ring.points, axis=1)) < 1e-8
    phase = np.unwrap(np.angle(ring.points @ np.exp(1j * ANGLES)))
    assert abs(phase[-1] - phase[0]) == pytest.approx(2 * np.pi * (1 - 1 / len(ring)), rel=1e-3)
    assert np.allclose(ring.eigenvalues[:, 0], 0, atol=1e-8)
    # the outputs read the first harmonic; the third and higher carry the rest of the variance
    rates = rnn.equation.rates(ring.points)
    harmonics = np.abs(np.fft.rfft(rates[0])) ** 2
    unread = 1.0 - harmonics[1] / harmonics[1:].sum()
    assert ring.null_space_fraction == pytest.approx(unread, abs=1e-6)
    assert 0.0 < unread < 0.1
    # the middle, where the network is silent, is unstable and no part of it
    (alone,) = np.flatnonzero(isolated(found, [ring]))
    assert np.abs(found.points[alone]).max() < 1e-8


@pytest.mark.parametrize(("harmonic", "unread"), [(2, 1.0), (1, None)])
def test_null_space_of_a_ring_depends_on_what_is_read(harmonic, unread):
    # one readout of the first harmonic sees half of that harmonic's variance; of the second, none
    rnn = cosine_ring(W_out=np.cos(harmonic * ANGLES)[None])
    (ring,) = find_manifolds(rnn, NO_INPUT, around_ring().T, around_ring())
    harmonics = np.abs(np.fft.rfft(ring.points[0])) ** 2
    wanted = 1.0 - 0.5 * harmonics[1] / harmonics[1:].sum() if unread is None else unread
    assert ring.null_space_fraction == pytest.approx(wanted, abs=1e-3)


@pytest.mark.slow
@FORMS
@pytest.mark.parametrize("pins", ["input", "few units"])
def test_a_pinned_ring_alternates_between_stable_points_and_saddles(equation_type, pins):
    if pins == "input":  # a bias of the third harmonic pins an otherwise exact ring in 3 places
        rnn, n_pins = cosine_ring(equation_type, b_rec=0.02 * np.cos(3 * ANGLES)), 3
        pool = around_ring()
    else:  # eight units are too few for an exact ring
        rnn, n_pins, pool = cosine_ring(equation_type, n_units=8), 8, around_ring(8)
    found = search(rnn, pool)
    assert found.by_index()[0] == found.by_index()[1] == n_pins
    # without saddles to start from it is the same ring
    for points in (found, found.filter(found.stability == "stable")):
        (ring,) = find_manifolds(rnn, NO_INPUT, points, pool)
        assert ring.topology == "ring"
        assert (ring.n_stable, ring.n_unstable) == (n_pins, n_pins)
        assert ring.across.max() < 0.01 * ring.speed.max()  # the flow keeps it
        assert 1e-4 < ring.relative_speed < 0.05
        assert (points.n_unstable[ring.members] <= 1).all()
    assert len(find_manifolds(rnn, NO_INPUT, found, pool)[0].members) == 2 * n_pins
    # a stricter notion of slow leaves no whole ring
    strict = ManifoldSettings(slow=0.2 * ring.relative_speed)
    rest = find_manifolds(rnn, NO_INPUT, found, pool, strict)
    assert all(m.topology != "ring" for m in rest)


@pytest.mark.slow
@FORMS
def test_two_lines_that_add_are_a_sheet(equation_type):
    rnn, first, second = sheet(equation_type)
    pool = np.abs(states(10))
    found = search(rnn, pool)
    (surface,) = find_manifolds(rnn, NO_INPUT, found, pool)
    assert (surface.dimension, surface.topology) == (2, "sheet")
    frame = np.stack([first, second], axis=1)
    coordinates = surface.points @ frame
    assert np.abs(surface.points - coordinates @ frame.T).max() < 1e-10
    assert coordinates.min() > -0.01 * surface.length
    assert surface.speed.max() < 1e-12
    assert np.allclose(surface.tangents @ (np.eye(10) - frame @ frame.T), 0, atol=1e-8)
    assert len(surface.members) == len(found) > 100
    # even: no two samples are close, and none of the points found is far from all of them
    gaps = np.linalg.norm(surface.points[:, None] - surface.points, axis=2)
    gaps[np.diag_indices(len(gaps))] = np.inf
    assert gaps.min() > 0.7 * surface.spacing
    away = np.linalg.norm(found.points[:, None] - surface.points, axis=2).min(axis=1)
    assert away.max() < 1.5 * surface.spacing
    # On a few points: each is asked for the lines through it.
    few = find_fixed_points(rnn, NO_INPUT, pool, SearchSettings(n_starts=32, max_starts=64))
    only_lines = find_manifolds(rnn, NO_INPUT, few, pool, ManifoldSettings(max_dimension=1))
    assert all(m.dimension == 1 for m in only_lines)


@FORMS
def test_isolated_points_are_no_manifold(equation_type):
    rnn = network(2.0 * np.eye(3), activation="tanh", equation_type=equation_type)
    found = search(rnn, states(3))
    assert len(found) == 27
    assert find_manifolds(rnn, NO_INPUT, found, states(3)) == []
    assert isolated(found, []).all()


def test_a_random_network_has_none():
    rng = np.random.default_rng(5)
    rnn = network(0.8 * rng.standard_normal((40, 40)) / 40**0.5, activation="tanh")
    assert DynamicSystemAnalyzer(rnn).get_manifolds(NO_INPUT) == []


def test_a_slow_passage_without_fixed_points_is_found_from_states():
    # x1' = -x1 + tanh(...) at the identity: a line along which a small input drives the state
    W_rec = np.diag([1.0, 0.2, 0.2])
    rnn = network(W_rec, activation="relu", b_rec=np.array([0.01, 0.0, 0.0]))
    pool = np.abs(states(3))
    assert len(search(rnn, pool)) == 0
    (passage,) = find_manifolds(rnn, NO_INPUT, np.empty((0, 3)), pool)
    assert np.allclose(passage.speed[1:], 0.01, atol=1e-9)
    assert (np.abs(passage.drift[1:, 0]) > 0.0099).all()
    assert (passage.n_stable, passage.n_unstable) == (0, 0)
    assert np.abs(passage.points[:, 1:]).max() < 1e-9
    # one state that is no fixed point is a seed too
    (alone,) = find_manifolds(rnn, NO_INPUT, np.empty((0, 3)), pool[:, :1])
    assert np.abs(alone.points[:, 1:]).max() < 1e-9


def test_a_kinked_line_obeys_the_flow():
    # a line whose slow direction turns at the kinks of three units, with drift along it
    rng = np.random.default_rng(2)
    v = np.array([1.0, 0.0, 0.0, 0.0])
    W_rec = 0.98 * np.outer(v, v) + np.array([[0, 0, 0, 0], [0.5, 0.1, 0, 0], [0.4, 0, 0.2, 0],
                                             [-0.3, 0, 0, 0.1]])  # fmt: skip
    rnn = network(W_rec, activation="relu", b_rec=np.array([0.08, -0.6, -1.0, 0.5]))
    pool = 4.0 * rng.random((4, 200))
    (curve,) = find_manifolds(rnn, NO_INPUT, search(rnn, pool), pool)
    # simulated states that are let go end on it
    x = pool
    for _ in range(100):
        x = x + 0.1 * rnn.rhs(x, NO_INPUT)
    assert lie_on(curve, x.T, 0.002 * curve.length).all()
    assert np.median(curve.across) < 1e-4
    assert (curve.n_stable, curve.n_unstable) == (1, 0)


def chained(rnn, points, pool, **keywords):
    region = Region.of(pool.T)
    return chains(rnn, NO_INPUT, points, region, ManifoldSettings(**keywords))


def test_flow_from_saddles_to_stable_points_is_a_line_or_a_ring():
    # one bistable unit beside fast ones: from one stable point over the saddle to the other
    pair = network(np.diag([1.1, 0.2, 0.1]), activation="tanh")
    found = search(pair, states(3))
    assert found.by_index() == {0: 2, 1: 1}
    (curve,) = chained(pair, found.points, states(3))
    assert (curve.closed, curve.ends) == (False, ("stable", "stable"))
    root = np.abs(found.points[:, 0]).max()
    assert curve.length == pytest.approx(2 * root, rel=1e-6)
    assert np.abs(curve.points[:, 1:]).max() < 1e-6
    # a ring of saddles and stable points, as the continuation finds it
    few, pool = cosine_ring(n_units=8), around_ring(8)
    found = search(few, pool)
    (ring,) = chained(few, found.points, pool)
    (traced,) = find_manifolds(few, NO_INPUT, found, pool)
    assert ring.closed
    assert points_along(ring.drift, True, 1e-9) == (8, 8)
    assert lie_on(traced, ring.points, 1e-3 * traced.length).all()
    assert ring.length == pytest.approx(traced.length, rel=2e-3)


def test_memories_that_are_no_line_are_not_chained():
    # bistable units with modes alike: a square's and a cube's edges
    for n_units in (2, 3):
        rnn = network(1.1 * np.eye(n_units), activation="tanh")
        found = search(rnn, states(n_units))
        assert len(found) == 3**n_units
        assert chained(rnn, found.points, states(n_units)) == []
    # no saddle, no chain
    assert chained(rnn, found.points[found.stability == "stable"], states(3)) == []
    # what winds into a focus is no line: a pair of fast turning modes beside the bistable one
    turn = np.array([[1.1, 0, 0], [0, 0.9, 0.9], [0, -0.9, 0.9]])
    spiral = network(turn, activation="tanh", equation_type="h")
    x = search(spiral, 0.3 * states(3))
    assert chained(spiral, x.points, states(3)) == []


@pytest.mark.slow
@settings(max_examples=8, deadline=None)
@given(st.permutations(range(12)))
def test_order_of_units_does_not_matter(order):
    permutation = np.array(order)
    pool = np.abs(states(12, 40))
    plain, _ = line()
    (first,) = find_manifolds(plain, NO_INPUT, pool.T, pool)
    turned, _ = line(permutation=permutation)
    (second,) = find_manifolds(turned, NO_INPUT, pool[permutation].T, pool[permutation])
    assert second.topology == first.topology
    assert second.length == pytest.approx(first.length, rel=1e-6)
    assert second.null_space_fraction == pytest.approx(first.null_space_fraction, abs=1e-8)
    ends = first.points[[0, -1]][:, permutation]
    apart = [np.abs(second.points[[0, -1]][::sign] - ends).max() for sign in (1, -1)]
    assert min(apart) < 1e-6 * first.length


@pytest.mark.slow
@settings(max_examples=6, deadline=None)
@given(st.lists(st.sampled_from([-1.0, 1.0]), min_size=8, max_size=8))
def test_odd_networks_may_be_reflected(signs):
    # f is odd: with D = diag(+-1), D W D has the states D x
    D = np.diag(signs)
    plain = cosine_ring(n_units=8)
    turned = network(D @ plain.W_rec @ D, W_out=plain.W_out @ D, activation="tanh")
    pool = around_ring(8)
    (first,) = find_manifolds(plain, NO_INPUT, pool.T, pool)
    (second,) = find_manifolds(turned, NO_INPUT, (D @ pool).T, D @ pool)
    assert (second.n_stable, second.n_unstable) == (first.n_stable, first.n_unstable) == (8, 8)
    assert second.length == pytest.approx(first.length, rel=1e-3)
    assert lie_on(first, second.points @ D).all()


def test_units_of_state_do_not_matter():
    # relu scales: c x is a fixed point where x is
    v = unit_vector(12)
    lengths = []
    for scale in (1.0, 1000.0):
        rnn = network(np.outer(v, v), activation="relu")
        pool = scale * np.abs(states(12))
        (ray,) = find_manifolds(rnn, NO_INPUT, pool.T, pool)
        lengths.append(ray.length / scale)
    assert lengths[1] == pytest.approx(lengths[0], rel=1e-6)


def test_corrector_is_quadratic_on_a_continuum():
    rnn, v = line()
    start = 2.0 * v + 0.1 * states(12, 1)[:, 0]
    start = np.abs(start)
    done = correct(rnn, NO_INPUT, start[None], v[None, :, None], 5.0)
    assert done.converged.all()
    assert np.abs(done.points[0] - (start @ v) * v).max() < 1e-12
    assert abs(done.drift).max() < 1e-12
    far = correct(rnn, NO_INPUT, start[None], v[None, :, None], 1e-6)
    assert not far.converged.any()


def test_slow_directions_and_their_separation():
    J = np.diag([-0.01, -0.02, -0.9, -1.0])
    assert slow_directions(J, 0.1, 0.5, 2).shape == (4, 2)
    # two modes alike cannot be told apart: one of them alone is no line
    assert slow_directions(J, 0.1, 0.5, 1).shape == (4, 1)
    assert slow_directions(J, 0.1, 0.4, 1) is None
    assert slow_directions(np.diag([-0.8, -0.9, -1.0]), 0.1, 0.5, 2) is None
    # no mode is slow, but one is apart from the others
    apart = slow_directions(np.diag([-0.9, 0.3, -1.0]), 0.1, 0.5, 2)
    assert np.allclose(np.abs(apart[:, 0]), [0, 1, 0])
    turning = np.array([[-0.05, 0.9, 0], [-0.9, -0.05, 0], [0, 0, -5.0]])
    assert slow_directions(turning, 0.1, 0.5, 1) is None
    assert separation(J, np.eye(4)[:, :2]) == pytest.approx(0.02 / 0.9)


def test_sign_changes_of_the_drift():
    assert points_along(np.array([1.0, -1, 1, -1]), True, 0.0) == (2, 2)
    assert points_along(np.array([1.0, -1, 1, -1]), False, 0.0) == (2, 1)
    assert points_along(np.array([1e-12, -1e-12, 1e-12]), True, 1e-9) == (0, 0)
    assert points_along(np.array([1.0, 0.0, -1.0]), False, 1e-9) == (1, 0)
    before, after = sign_changes(np.array([0.0, 1.0, 0.0, -1.0, 0.0]), True, 0.0)
    assert (before.tolist(), after.tolist()) == ([1, 3], [3, 1])


@pytest.mark.parametrize("closed", [False, True])
def test_a_point_that_falls_on_a_sample_is_drawn(closed):
    rnn, _ = line()
    pool = np.abs(states(12))
    (ray,) = find_manifolds(rnn, NO_INPUT, pool.T, pool, ManifoldSettings(n_samples=9))
    drift = np.array([0.0, 1, 1, 1, 0, -1, -1, -1, -1])[:, None]
    drawn = replace(ray, drift=drift, topology="ring" if closed else "open line")
    dots = [x for x in plot_manifolds({"": [drawn]}).axes[1].lines if x.get_marker() == "o"]
    places = [float(dot.get_xdata()[0]) for dot in dots]
    step = ray.length / 8
    # the ring is as long as the line here: its last sample and its first are one
    assert np.allclose(places, [4 * step, 0.5 * step][: 1 + closed])


@pytest.mark.slow
def test_null_space_in_form_h_is_of_rates():
    rnn, v = line("h")
    vectors = states(12, 5).T
    size = rnn.W_out[0] @ rnn.W_out[0]
    wanted = 1.0 - np.sum((vectors @ rnn.W_out[0]) ** 2) / size / np.sum(vectors**2)
    assert null_space_fraction(rnn, vectors) == pytest.approx(wanted)
    assert np.isnan(null_space_fraction(rnn, np.zeros((3, 12))))
    silent = network(np.outer(v, v), W_out=np.zeros((2, 12)), activation="relu")
    assert null_space_fraction(silent, vectors) == 1.0
    # tanh squeezes states: a long way from zero, rates hardly change
    wide = cosine_ring("h", W_out=np.stack([np.cos(ANGLES), np.sin(ANGLES)]))
    (ring,) = find_manifolds(wide, NO_INPUT, around_ring().T, around_ring())
    rates = np.tanh(ring.points)
    assert ring.null_space_fraction == pytest.approx(
        null_space_fraction(wide, rates - rates.mean(axis=0))
    )
    assert null_space_fraction(wide, ring.points) < 1e-6  # states themselves are pure cosines


@pytest.mark.parametrize(
    ("field", "value"),
    [("slow", 0.0), ("slow", 2.0), ("leak", 0.0), ("gap", 1.5), ("n_samples", 3),
     ("max_dimension", 0), ("min_length", -1.0), ("max_length", 0.01), ("reach", float("nan")),
     ("n_relaxed", 1.5)],
)  # fmt: skip
def test_bad_settings_are_named(field, value):
    with pytest.raises(ParameterError, match=field):
        ManifoldSettings(**{field: value})


def test_bad_input_is_named():
    rnn, _ = line()
    found = search(rnn, np.abs(states(12)), n_starts=32)
    with pytest.raises(ParameterError, match=r"found\.input"):
        find_manifolds(rnn, np.ones(1), found)
    with pytest.raises(ParameterError, match=r"found\.shape"):
        find_manifolds(rnn, NO_INPUT, np.ones((3, 5)))
    with pytest.raises(ParameterError, match=r"states\.shape"):
        find_manifolds(rnn, NO_INPUT, found, np.ones((5, 12)))
    with pytest.raises(ParameterError, match="u"):
        find_manifolds(rnn, np.ones(2), found)
    with pytest.raises(ParameterError, match="no states"):
        find_manifolds(rnn, NO_INPUT, np.empty((0, 12)))


def test_analyzer_remembers_manifolds_by_input():
    task = MemoryNumber(seed=0)
    v = unit_vector(12)
    W_inp = np.stack([v, np.zeros(12), np.zeros(12)], axis=1)
    rnn = RNNNumpy(W_rec=np.outer(v, v), W_inp=W_inp, W_out=v[None], activation="relu")
    analyzer = DynamicSystemAnalyzer(rnn, task)
    (ray,) = analyzer.get_manifolds("delay")
    assert analyzer.manifolds == {"delay": [ray]}
    assert len(analyzer.fixed_points["delay"]) == len(ray.members)
    assert ray.null_space_fraction == pytest.approx(0.0, abs=1e-9)
    again = analyzer.get_manifolds("delay", settings=ManifoldSettings(n_samples=20))
    assert len(again[0]) == 20


@pytest.mark.slow
@pytest.mark.parametrize("projection", ["2D", "3D"])
def test_manifolds_are_drawn(projection):
    rnn = cosine_ring(n_units=8)
    pool = around_ring(8)
    found = search(rnn, pool)
    rings = find_manifolds(rnn, NO_INPUT, found, pool)
    surface_rnn, _, _ = sheet()
    surfaces = find_manifolds(surface_rnn, NO_INPUT, np.empty((0, 10)), np.abs(states(10)))
    figure = plot_manifolds({"delay": rings, "none": []}, projection, points={"delay": found})
    space, along = figure.axes
    assert len(along.collections) == 1
    # a marker for each of the 16 points on the ring, at zero drift
    zeros = [line for line in along.lines if line.get_marker() == "o"]
    assert len(zeros) == 16
    assert space.get_xlabel().startswith("PC 1 (") and "%" in space.get_xlabel()
    assert "τ" in along.get_ylabel()
    figure.canvas.draw()
    assert len(plot_manifolds({"go": surfaces}, projection).axes) == 2
    with pytest.raises(ParameterError, match="holds none"):
        plot_manifolds({"delay": []})
    with pytest.raises(ParameterError, match=r"P\.shape"):
        plot_manifolds({"delay": rings}, projection, P=np.eye(8))
