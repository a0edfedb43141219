"""Rings and tori that move: hand-built networks whose rotation is known."""

from __future__ import annotations

import numpy as np
import pytest

from models.fixed_points import SearchSettings, find_fixed_points
from models.manifolds import ManifoldSettings, find_manifolds, search
from models.manifolds.attractor import period_of
from models.manifolds.membership import lie_on
from models.network.rnn_numpy import RNNNumpy
from models.plots.manifolds import plot_manifolds

NO_INPUT = np.zeros(1)
FORMS = pytest.mark.parametrize("form", ["s", "h"])


def network(W, **keywords):
    n_units = len(W)
    keywords.setdefault("activation", "tanh")
    return RNNNumpy(W_rec=W, W_inp=np.zeros((n_units, 1)), W_out=np.ones((1, n_units)), **keywords)


def angles(n_units):
    return 2 * np.pi * np.arange(n_units) / n_units


def ring_weights(n_units, turn):
    """The first harmonic of the states obeys z' = -z + 2 (1 - i turn) c(|z|) z: it turns at `turn`.

    At a steady |z| is 2 c = 1, so that a round takes 2 pi / turn.
    """
    apart = angles(n_units)[:, None] - angles(n_units)
    return 4.0 / n_units * (np.cos(apart) + turn * np.sin(apart))


def ring(turn, form="h", n_units=64, pins=0.0):
    bias = pins * np.cos(3 * angles(n_units))
    return network(ring_weights(n_units, turn), equation_type=form, b_rec=bias)


def around(n_units=64, number=60):
    return 1.5 * np.cos(angles(n_units)[:, None] - angles(number))


def simulated_period(rnn, x, step=0.01, settle=40.0):
    """Time between upward crossings of the first unit's mean, by Euler's method of this file."""
    f = rnn.activation.f
    times, before = [], None
    for n in range(int((settle + 150.0) / step)):
        drive = f(rnn.W_rec @ x + rnn.b_rec) if rnn.equation_type == "s" else (
            rnn.W_rec @ f(x) + rnn.b_rec)  # fmt: skip
        x = x + step * (drive - x)
        if n * step > settle and before is not None and before < 0.0 <= x[0]:
            times.append((n + before / (before - x[0])) * step)
        before = x[0]
    return float(np.diff(times).mean())


@pytest.mark.parametrize("turn", [0.005, 0.1, 0.3, 1.0])
@FORMS
def test_a_ring_that_turns_has_its_period(form, turn):
    rnn = ring(turn, form)
    (found,) = find_manifolds(rnn, NO_INPUT, np.empty((0, 64)), around())
    assert (found.dimension, found.topology, found.ends) == (1, "rotating ring", ("closed",) * 2)
    # of 64 units in form s, harmonics of the rates alias by some 1e-6
    assert found.period == pytest.approx(2 * np.pi / turn, rel=2e-4 if turn == 1.0 else 1e-5)
    assert (found.n_stable, found.n_unstable, found.n_transverse_unstable) == (0, 0, 0)
    assert found.across.max() < 1e-4 * found.speed.max()
    assert found.attracts and found.is_ring
    phase = np.unwrap(np.angle(found.points @ np.exp(1j * angles(64))))
    assert abs(phase[-1] - phase[0]) == pytest.approx(2 * np.pi * 0.99, rel=1e-2)  # once round
    assert f"gone round in {found.period:.3g} tau" in found.message


@pytest.mark.parametrize("period", [20.9, 25.0, 30.0])
def test_no_curve_is_traced_from_states_that_relax_onto_a_ring(period, monkeypatch):
    """Corrected, they would lie off it, and each lead to a line that winds: it took 30 s."""
    traced = []
    monkeypatch.setattr(search, "trace_curve", lambda *args: traced.append(args))
    rnn = ring(2 * np.pi / period)
    (found,) = find_manifolds(rnn, NO_INPUT, np.empty((0, 64)), around(64, 200))
    assert found.period == pytest.approx(period, rel=1e-5)
    assert not traced


@FORMS
def test_a_ring_that_turns_unevenly_has_its_period(form):
    """Pins slow it down in three places, and hold it nowhere: a period of 63.3 to 94.5 tau."""
    for turn, pins in ((0.3, 0.3), (0.3, 1.0)):
        rnn = ring(turn, form, pins=pins)
        (found,) = find_manifolds(rnn, NO_INPUT, np.empty((0, 64)), around())
        assert found.topology == "rotating ring"
        assert found.period == pytest.approx(simulated_period(rnn, around()[:, 0]), rel=1e-2)
        assert found.speed.max() > 1.5 * found.speed.min()


def test_no_line_that_winds_takes_the_place_of_a_ring():
    """Random weights make it uneven: slow directions of single states follow a longer curve."""
    rng = np.random.default_rng(8)
    W = ring_weights(60, 0.2) + 0.1 * rng.standard_normal((60, 60)) / np.sqrt(60)
    rnn = network(W, equation_type="h")
    (found,) = find_manifolds(rnn, NO_INPUT, np.empty((0, 60)), around(60))
    assert found.topology == "rotating ring"
    assert found.period == pytest.approx(simulated_period(rnn, around(60)[:, 0]), rel=1e-2)


def test_rings_that_turn_faster_than_asked_for_are_none():
    rnn = ring(1.0)
    for rotation, number in ((0.17, 1), (0.15, 0)):
        opts = ManifoldSettings(rotation=rotation)
        assert len(find_manifolds(rnn, NO_INPUT, np.empty((0, 64)), around(), opts)) == number


def test_a_rectified_ring_turns():
    """A bump of threshold-linear units: its first harmonic turns like that of the others."""
    n_units, turn = 48, 0.2
    apart = angles(n_units)[:, None] - angles(n_units)
    W = (-3.0 + 3.0 * np.cos(apart) + 3.0 * turn * np.sin(apart)) / n_units * 2.0
    rnn = network(W, activation="relu", equation_type="h", b_rec=np.ones(n_units))
    (found,) = find_manifolds(rnn, NO_INPUT, np.empty((0, n_units)), around(n_units))
    assert found.topology == "rotating ring"
    assert found.period == pytest.approx(2 * np.pi / turn, rel=5e-3)


@pytest.mark.parametrize(("turn", "pins"), [(0.0, 0.4), (0.0, 0.6), (0.1, 0.6)])
def test_rings_of_saddles_that_are_as_fast_as_what_decays_across_are_found(turn, pins):
    """Across saddles states decay while they part along the ring: no rate there need be lower."""
    rnn = ring(turn, pins=pins)
    points = find_fixed_points(rnn, NO_INPUT, around(), SearchSettings(max_starts=1024))
    (found,) = find_manifolds(rnn, NO_INPUT, points, around())
    assert (found.topology, found.n_stable, found.n_unstable) == ("ring", 3, 3)
    assert np.isnan(found.period)
    assert found.relative_speed < 0.05 and found.across.max() < 0.01 * found.speed.max()
    x = around()  # states end on it
    for _ in range(200):
        x = x + 0.1 * rnn.rhs(x, NO_INPUT)
    assert lie_on(found, x.T, 0.01 * found.length).all()


def test_networks_that_come_to_rest_or_leave_have_none():
    for W in (2.0 * np.eye(3), 0.5 * np.eye(3)):
        pool = np.random.default_rng(0).standard_normal((3, 40))
        assert find_manifolds(network(W), NO_INPUT, np.empty((0, 3)), pool) == []
    grows = network(np.array([[1.2, 1.0], [-1.0, 1.2]]), activation={
        "name": "leaky_relu", "leak_slope": 0.9})  # fmt: skip
    pool = np.random.default_rng(0).standard_normal((2, 40))
    assert find_manifolds(grows, NO_INPUT, np.empty((0, 2)), pool) == []


def torus(turns, form="h", n_units=32):
    W = np.zeros((2 * n_units, 2 * n_units))
    for k, turn in enumerate(turns):
        own = slice(k * n_units, (k + 1) * n_units)
        W[own, own] = ring_weights(n_units, turn)
    return network(W, equation_type=form)


@pytest.mark.parametrize("turns", [(3e-8, 3e-8), (1e-4, 1e-4), (1e-2, 1.3e-2)])
def test_tori_that_drift_are_closed_surfaces(turns):
    n_units = 32
    rng = np.random.default_rng(0)
    first, second = rng.uniform(0, 2 * np.pi, (2, 100))
    pool = 1.5 * np.vstack([np.cos(angles(n_units)[:, None] - a) for a in (first, second)])
    rnn = torus(turns)
    (found,) = find_manifolds(rnn, NO_INPUT, np.empty((0, 2 * n_units)), pool)
    assert (found.dimension, found.topology, found.ends) == (2, "closed surface", ())
    assert found.across.max() < 1e-5 * found.speed.max()
    # both rings turn at their rate: F is the turn times the radius of each
    F = rnn.rhs_at(found.points, NO_INPUT)
    for k, turn in enumerate(turns):
        own = slice(k * n_units, (k + 1) * n_units)
        radius = np.linalg.norm(found.points[:, own], axis=1)
        pace = np.linalg.norm(F[:, own], axis=1) / radius
        assert pace == pytest.approx(np.full(len(pace), turn), rel=1e-2, abs=1e-7)


def test_period_of_a_circle_with_known_speed():
    phase = angles(200)
    points = np.stack([np.cos(phase), np.sin(phase)], axis=1)
    tangents = np.stack([-np.sin(phase), np.cos(phase)], axis=1)
    speed = 0.1 * (1.0 + 0.5 * np.cos(phase))
    period = 2 * np.pi / (0.1 * np.sqrt(0.75))  # of phi' = 0.1 (1 + cos(phi) / 2)
    assert period_of(points, tangents, speed) == pytest.approx(period, rel=1e-4)
    assert period_of(points, tangents, -speed) == pytest.approx(period, rel=1e-4)
    assert np.isnan(period_of(points, tangents, speed - 0.1))  # it comes to rest
    assert np.isnan(period_of(points, tangents, 1e-8 * speed))


def test_a_rotating_ring_is_drawn():
    (found,) = find_manifolds(ring(0.1), NO_INPUT, np.empty((0, 64)), around())
    figure = plot_manifolds({"delay": [found]})
    figure.canvas.draw()
