"""Slow points are local minima of |F|^2 / 2, checked by what a minimum is."""

from __future__ import annotations

import numpy as np
import pytest

from models.fixed_points import SearchSettings, find_fixed_points
from models.fixed_points.kinks import finish_on_kinks
from models.fixed_points.slow_points import minimise_speed, speed_hessian
from models.network.rnn_numpy import RNNNumpy

INPUT = np.array([0.5])


def random_network(seed, activation, equation_type, n_units=8, **keywords):
    rng = np.random.default_rng(seed)
    return RNNNumpy(
        W_rec=1.5 * rng.standard_normal((n_units, n_units)) / n_units**0.5,
        W_inp=rng.standard_normal((n_units, 1)),
        W_out=np.ones((1, n_units)),
        b_rec=0.3 * rng.standard_normal(n_units),
        activation=activation,
        equation_type=equation_type,
        **keywords,
    )


def starts(seed, n_starts=60, n_units=8):
    return 2.0 * np.random.default_rng(1000 + seed).standard_normal((n_units, n_starts))


def q(rnn, x):
    return 0.5 * np.sum(rnn.rhs(x, INPUT) ** 2, axis=0)


def largest_fall(rnn, x, distance=1e-5, n_directions=2000):
    """Return by how much q falls at most, per distance, in random directions from a state."""
    directions = np.random.default_rng(7).standard_normal((rnn.N, n_directions))
    directions *= distance / np.linalg.norm(directions, axis=0)
    return float((q(rnn, x) - q(rnn, x[:, None] + directions)).max() / distance)


@pytest.mark.parametrize("equation_type", ["s", "h"])
@pytest.mark.parametrize("activation", ["tanh", "sigmoid", "softplus", "gelu"])
def test_smooth_minima_have_no_gradient_and_no_downward_curvature(activation, equation_type):
    for seed in range(3):
        rnn = random_network(seed, activation, equation_type, gamma=0.02)
        ends = minimise_speed(rnn, starts(seed, 20).T, INPUT, 10.0)
        assert ends.converged.mean() > 0.7
        x = ends.points[ends.converged].T
        field, J = rnn.rhs(x, INPUT), rnn.jacobian(x, INPUT)
        gradient = np.einsum("pij,ip->pj", J, field)
        assert np.linalg.norm(gradient, axis=1).max() < 1e-8
        assert np.linalg.eigvalsh(speed_hessian(rnn, x, field, J, INPUT))[:, 0].min() > -1e-7
        assert max(largest_fall(rnn, state, 1e-4) for state in x.T[:5]) < 1e-7


@pytest.mark.parametrize("equation_type", ["s", "h"])
@pytest.mark.parametrize("activation", ["relu", "leaky_relu"])
def test_kinked_minima_are_minima(activation, equation_type):
    slow = 0
    for seed in range(2, 12):
        rnn = random_network(seed, activation, equation_type)
        ends = minimise_speed(rnn, starts(seed, 20).T, INPUT, 10.0)
        assert ends.converged.mean() > 0.8
        minima = ends.points[ends.converged].T
        assert max(largest_fall(rnn, state) for state in minima.T) < 1e-6
        # starts agree on where the minima are: they are not wherever descent got stuck
        values = np.sort(q(rnn, minima))
        assert np.sum(np.diff(values) > 1e-7) < 8
        slow += int(np.sum(values > 1e-6))
    assert slow > 10  # some are no roots: the test is of minima


def test_descent_is_not_stuck_at_a_kink():
    # |F|^2 falls along the kink of the second unit, where either side's gradient leads across it
    rnn = random_network(2, "relu", "s")
    for start in starts(2, 5).T:
        end, is_minimum = finish_on_kinks(rnn, start, INPUT)
        assert is_minimum
        assert q(rnn, end) <= q(rnn, start)
        assert largest_fall(rnn, end) < 1e-6
    _, unfinished = finish_on_kinks(rnn, starts(2, 1)[:, 0], INPUT, max_steps=1)
    assert not unfinished


def test_a_kink_that_bends_down_is_no_minimum():
    # with the second unit far above its rate, q bends down where its input starts, x1 = 1/4
    rnn = RNNNumpy(
        W_rec=[[0.0, 0.0], [4.0, 0.0]],
        W_inp=np.zeros((2, 1)),
        W_out=np.ones((1, 2)),
        b_rec=[0.5, -1.0],
        activation="relu",
    )
    for start in ([0.2, 3.0], [0.25, 3.0], [0.3, 3.0]):
        end, is_minimum = finish_on_kinks(rnn, np.array(start), INPUT)
        assert is_minimum
        assert largest_fall(rnn, end) < 1e-9
        assert np.allclose(end, [0.5, 1.0])  # the only root


def test_approx_search_of_a_relu_network_reports_minima_only():
    rnn = random_network(2, "relu", "h")
    pool = starts(2, 100)
    found = find_fixed_points(
        rnn, INPUT, pool, SearchSettings(mode="approx", fun_tol=1.0, n_starts=64, max_starts=256)
    )
    assert 0 < len(found) < 10
    assert max(largest_fall(rnn, point) for point in found.points) < 1e-6
