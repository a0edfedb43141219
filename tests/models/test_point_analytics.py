"""Linearisation: modes in pairs, defective Jacobians, chunks, and what is shown of modes."""

from __future__ import annotations

import numpy as np
import pytest

from models import DynamicSystemAnalyzer, RNNNumpy
from models.dynamics import point_analytics
from models.dynamics.point_analytics import PointAnalytics, analyse_points, iterate_analytics
from models.fixed_points.spectrum import sorted_spectrum
from models.machine.threads import blas_on_one
from models.manifolds import find_manifolds
from models.manifolds import search as manifold_search
from tasks_lib.errors import ParameterError


def network(W_rec, activation="tanh", **given):
    n = len(W_rec)
    arguments = {"W_inp": np.ones((n, 1)), "W_out": np.ones((1, n)), "activation": activation}
    return RNNNumpy(W_rec=W_rec, **{**arguments, **given})


def random_network(n=12, activation="tanh", equation_type="s"):
    rng = np.random.default_rng(4)
    return network(
        1.4 * rng.standard_normal((n, n)) / np.sqrt(n), activation,
        W_inp=rng.standard_normal((n, 2)), W_out=rng.standard_normal((3, n)),
        equation_type=equation_type,
    )  # fmt: skip


@pytest.mark.parametrize("equation_type", ["s", "h"])
@pytest.mark.parametrize("activation", ["tanh", "relu", "softplus"])
def test_real_modes_are_real_and_pairs_are_conjugate_to_the_bit(activation, equation_type):
    rnn = random_network(21, activation, equation_type)
    x = np.random.default_rng(0).normal(size=(30, 21))
    found = analyse_points(rnn, x, np.zeros(2))
    values = found.eigenvalues
    right = np.swapaxes(found.right_vectors, 1, 2)  # one a row, like the left ones
    real = values.imag == 0
    assert real.any()
    assert not real.all()
    assert not right.imag[real].any()
    known = ~np.isnan(found.left_vectors).any(axis=2)
    assert not found.left_vectors.imag[real & known].any()
    p, k = np.nonzero(values.imag > 0)
    assert np.array_equal(values[p, k + 1], values[p, k].conj())
    for vectors in (right, found.left_vectors):
        assert np.array_equal(vectors[p, k + 1], vectors[p, k].conj(), equal_nan=True)
    p, k = np.nonzero(values.imag < 0)
    assert (values[p, k - 1].imag > 0).all()
    usable = ~found.defective
    assert usable.sum() > 20
    eye = found.left_vectors[usable] @ found.right_vectors[usable]
    assert np.allclose(eye, np.eye(21), atol=1e-7)
    J = found.jacobian
    assert np.allclose(J @ found.right_vectors, values[:, None] * found.right_vectors, atol=1e-10)
    left = found.left_vectors[usable]
    scale = found.condition[usable][:, :, None]
    error = np.abs(left @ J[usable] - values[usable][:, :, None] * left) / scale
    assert error.max() < 1e-9


def test_equal_pairs_stay_together():
    rotation = np.kron(np.eye(3), np.array([[1.0, -2.0], [2.0, 1.0]]))
    values = analyse_points(network(rotation), np.zeros(6), np.zeros(1)).eigenvalues
    assert np.allclose(values, [2j, -2j] * 3)
    assert np.array_equal(values[1::2], values[::2].conj())


def test_normal_jacobians_have_condition_one():
    symmetric = np.random.default_rng(1).standard_normal((8, 8))
    found = analyse_points(network(symmetric + symmetric.T), np.zeros(8), np.zeros(1))
    assert np.allclose(found.condition, 1)
    assert found.henrici < 1e-7
    assert found.defective is False
    assert np.allclose(found.left_vectors, found.right_vectors.T)


def test_the_condition_is_how_far_an_eigenvalue_can_move():
    # [[-1, a], [0, -0.5]]: the angle between the eigenvectors gives sqrt(1 + (a / 0.5)^2)
    a = 3.0
    found = analyse_points(network([[0.0, a], [0.0, 0.5]]), np.zeros(2), np.zeros(1))
    assert np.allclose(found.condition, np.sqrt(1 + (a / 0.5) ** 2))
    left, r = found.left_vectors[0], found.right_vectors[:, 0]
    push = 1e-8 * np.outer(left.conj(), r.conj()) / np.linalg.norm(left)
    moved = np.linalg.eigvals(found.jacobian + push.real).max() - found.eigenvalues[0].real
    assert moved == pytest.approx(1e-8 * found.condition[0], rel=1e-4)
    J = found.jacobian
    assert found.henrici == pytest.approx(a / np.linalg.norm(J))


@pytest.mark.parametrize("size", [2, 3, 5])
def test_jordan_blocks_are_flagged(size):
    block = np.diag(np.ones(size - 1), 1)
    basis = np.linalg.qr(np.random.default_rng(size).standard_normal((size, size)))[0]
    rotated = network(basis @ block @ basis.T)
    for rnn in (network(block), rotated):
        found = analyse_points(rnn, np.zeros(size), np.zeros(1))
        assert found.defective is True
        assert not found.condition.max() < 1e7
        assert found.henrici > 0.3
    assert analyse_points(network(np.zeros((3, 3))), np.zeros(3), np.zeros(1)).defective is False


def test_one_defective_state_does_not_spoil_the_others():
    # ReLU: where unit 1 is silent the Jacobian is a Jordan block of -1
    rnn = network([[0.0, 1.0], [0.5, 0.0]], "relu", W_inp=np.zeros((2, 1)))
    found = analyse_points(rnn, [[1.0, 1.0], [-1.0, 1.0], [2.0, 1.0]], np.zeros(1))
    assert found.defective.tolist() == [False, True, False]
    assert np.allclose(found.left_vectors[[0, 2]] @ found.right_vectors[[0, 2]], np.eye(2))


def test_no_jacobian_has_no_departure_from_normality():
    found = analyse_points(network(np.eye(2)), np.zeros(2), np.zeros(1))
    assert not found.jacobian.any()
    assert np.isnan(found.henrici)


def test_chunks_are_the_whole(monkeypatch):
    rnn = random_network()
    x, u = np.random.default_rng(0).normal(size=(7, 12)), np.array([0.1, 0.2])
    whole = analyse_points(rnn, x, u)
    pieces = list(iterate_analytics(rnn, x, u, chunk=3))
    assert [len(piece.jacobian) for piece in pieces] == [3, 3, 1]
    monkeypatch.setattr("models.dynamics.point_analytics.CHUNK_BYTES", 2 * 120 * 12**2)
    assert [len(piece.jacobian) for piece in iterate_analytics(rnn, x, u)] == [2, 2, 2, 1]
    again = analyse_points(rnn, x, u)
    for name in PointAnalytics.__dataclass_fields__:
        expected = getattr(whole, name)
        assert np.allclose(expected, getattr(again, name), rtol=1e-9, atol=1e-9)
        joined = np.concatenate([getattr(piece, name) for piece in pieces])
        assert np.allclose(expected, joined, rtol=1e-9, atol=1e-9)
        for i in (0, 6):
            one = getattr(DynamicSystemAnalyzer(rnn).compute_point_analytics(x[i], u), name)
            assert np.allclose(one, expected[i], rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("equation_type", ["s", "h"])
def test_directions_of_inputs_and_outputs(equation_type):
    rnn = random_network(equation_type=equation_type)
    x, u, h = np.random.default_rng(0).normal(size=12), np.array([0.1, 0.2]), 1e-6
    found = analyse_points(rnn, x, u)
    pushed = [(rnn.rhs(x, u + h * e) - rnn.rhs(x, u - h * e)) / (2 * h) for e in np.eye(2)]
    assert np.allclose(found.input_directions, np.stack(pushed, axis=1), atol=1e-8)
    read = [(rnn.readout(x + h * e) - rnn.readout(x - h * e)) / (2 * h) for e in np.eye(12)]
    assert np.allclose(found.output_directions, np.stack(read, axis=1), atol=1e-8)


@pytest.mark.parametrize("x", [np.zeros((0, 12)), np.zeros(12), np.zeros((2, 11))])
def test_bad_states_are_refused(x):
    with pytest.raises(ParameterError) as caught:
        list(iterate_analytics(random_network(), x, np.zeros(2)))
    assert caught.value.field == "x.shape"
    with pytest.raises(ParameterError, match="chunk"):
        list(iterate_analytics(random_network(), np.zeros((2, 12)), np.zeros(2), chunk=0))


def test_small_matrices_are_for_one_thread(monkeypatch):
    inside = []

    def watched(J):
        inside.append(blas_on_one.before is not None)
        return sorted_spectrum(J)

    monkeypatch.setattr(point_analytics, "sorted_spectrum", watched)
    monkeypatch.setattr(manifold_search, "sorted_spectrum", watched)
    rnn = random_network()
    for _ in iterate_analytics(rnn, np.zeros((3, 12)), np.zeros(2), chunk=2):
        assert blas_on_one.before is None  # the caller's own work
    analyse_points(rnn, np.zeros(12), np.zeros(2))
    v = np.ones(4) / 2.0
    ray, pool = network(np.outer(v, v), "relu"), np.random.default_rng(0).random((4, 50))
    assert len(find_manifolds(ray, np.zeros(1), pool.T, pool)) == 1
    assert len(inside) == 4
    assert all(inside)
