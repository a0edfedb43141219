"""The search, against the enumeration of every linear region."""

from __future__ import annotations

import numpy as np
import pytest

from models.fixed_points import find_fixed_points
from models.fixed_points.linear_regions import enumerate_fixed_points
from models.rnn_numpy import RNNNumpy
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


def test_two_units_that_exclude_each_other():
    rnn = RNNNumpy(W_rec=[[0.0, -2.0], [-2.0, 0.0]], W_inp=np.ones((2, 1)), W_out=np.ones((1, 2)))
    points, n_singular = enumerate_fixed_points(rnn, np.ones(1))
    assert n_singular == 0
    assert np.allclose(sorted(points.tolist()), [[0, 1], [1 / 3, 1 / 3], [1, 0]])


@pytest.mark.parametrize("activation", ["relu", "leaky_relu"])
@pytest.mark.parametrize("equation_type", ["s", "h"])
@pytest.mark.parametrize("seed", range(6))
def test_search_finds_every_region(seed, equation_type, activation):
    rnn = random_network(seed, equation_type, activation)
    u = np.array([1.0])
    points, n_singular = enumerate_fixed_points(rnn, u)
    assert n_singular == 0
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
    points, _ = enumerate_fixed_points(rnn, np.ones(1))
    assert len(points) == 31
    found = find_fixed_points(rnn, np.ones(1), rng.standard_normal((5, 100)))
    assert found.by_index() == {0: 5, 1: 10, 2: 10, 3: 5, 4: 1}
    assert found.status == "complete"
    assert found.index_expected == found.index_sum == 1  # as at strong inputs


def test_a_continuum_is_counted_not_listed():
    v = np.array([0.6, 0.8])
    rnn = RNNNumpy(W_rec=np.outer(v, v), W_inp=np.zeros((2, 1)), W_out=np.ones((1, 2)))
    points, n_singular = enumerate_fixed_points(rnn, np.zeros(1))
    assert n_singular == 1
    assert np.allclose(points, 0)


def test_what_cannot_be_enumerated_is_refused():
    with pytest.raises(ParameterError, match="regions"):
        enumerate_fixed_points(random_network(0, n_units=17), np.ones(1))
    with pytest.raises(ParameterError, match="piecewise"):
        enumerate_fixed_points(random_network(0, activation="tanh"), np.ones(1))
