"""Certificates, against roots known to more digits, and against what they must not promise."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

import models.fixed_points.verified
from models.fixed_points.certificates import certify
from models.fixed_points.index_proof import certify_index
from models.fixed_points.verified import approximate_inverse, enclose_solution, spectral_norm_bound
from models.network.rnn_numpy import RNNNumpy

Long = np.longdouble
SMOOTH = ["tanh", "sigmoid", "softplus", "gelu"]
long_doubles = pytest.mark.skipif(
    np.finfo(Long).eps > 1e-18, reason="long doubles are doubles on this machine"
)


def random_network(seed, n_units=4, gain=1.5, bias=0.3, **keywords):
    rng = np.random.default_rng(seed)
    return RNNNumpy(
        W_rec=gain * rng.standard_normal((n_units, n_units)) / n_units**0.5,
        W_inp=rng.standard_normal((n_units, 2)),
        W_out=np.ones((1, n_units)),
        b_rec=bias * rng.standard_normal(n_units),
        **keywords,
    )


def newton(rnn, x, u, n_steps=60):
    for _ in range(n_steps):
        x = x - np.linalg.solve(rnn.jacobian(x, u), rnn.rhs(x, u))
    return x


def long_normal_cdf(z):
    # exp(-z^2/2)/sqrt(2 pi) sum z^(2k+1)/(1 3 5 ...): no terms cancel; beyond 15 it is 0 or 1
    z = np.clip(z, -15, 15)
    term, total = z, z
    for k in range(1, 600):
        term = term * z * z / (2 * k + 1)
        total = total + term
    return Long(0.5) + np.exp(-z * z / 2) * total / np.sqrt(2 * Long("3.14159265358979323846"))


def long_f(rnn, z):
    a = {key: Long(value) for key, value in rnn.activation.args.items()}
    return {
        "tanh": lambda: np.tanh(a["slope"] * z),
        "sigmoid": lambda: 1 / (1 + np.exp(-a["slope"] * (z - a["shift"]))),
        "softplus": lambda: np.log1p(np.exp(a["beta"] * a["slope"] * z)) / a["beta"],
        "gelu": lambda: z * long_normal_cdf(a["alpha"] * z),
    }[rnn.activation.name]()


def long_root(rnn, x, u):
    """Polish a root in long doubles (64 bits of mantissa)."""
    W, x = rnn.W_rec.astype(Long), x.astype(Long)
    drive = rnn.W_inp.astype(Long) @ u.astype(Long) + rnn.b_rec.astype(Long)
    inverse = np.linalg.inv(rnn.jacobian(x.astype(float), u))
    for _ in range(8):
        if rnn.equation_type == "s":
            field = long_f(rnn, W @ x + drive) - x
        else:
            field = W @ long_f(rnn, x) + drive - x
        step = inverse @ (field - Long(rnn.gamma) * x**3)
        x = x - step
    noise = 1e-17 * (1 + np.linalg.norm(inverse)) * (1 + np.abs(x).max())
    assert np.abs(step).max() < noise  # a hundredth of what is proven in doubles
    return x


@pytest.mark.slow
@long_doubles
@settings(max_examples=30, deadline=None)
@given(
    st.integers(0, 10**6),
    st.sampled_from(SMOOTH),
    st.sampled_from(["s", "h"]),
    st.sampled_from([0.0, 0.1]),
    st.sampled_from([0.5, 1.5, 4.0]),
    st.sampled_from([2, 4, 30]),
)
def test_the_true_root_is_where_it_is_said_to_be(seed, activation, form, gamma, gain, n_units):
    rnn = random_network(
        seed, n_units, gain=gain, activation=activation, equation_type=form, gamma=gamma
    )
    rng = np.random.default_rng(seed + 1)
    u = rng.standard_normal(2)
    start = rng.standard_normal(n_units)
    with np.errstate(all="ignore"):
        x = newton(rnn, start, u)
    assume(np.isfinite(x).all() and np.abs(rnn.rhs(x, u)).max() < 1e-9)
    J = rnn.jacobian(x, u)
    assume(np.linalg.cond(J) < 1e5 and np.abs(x).max() < 100)
    root = long_root(rnn, x, u)
    # polished, and moved off by ever more
    moved = [x] + [x + 10.0**-k * rng.standard_normal(n_units) for k in range(12, -1, -1)]
    exists, unique = certify(rnn, u, np.array(moved))
    distance = np.array([float(np.linalg.norm(m - root)) for m in moved])
    sure = np.isfinite(exists)
    assert sure[0]
    assert exists[0] < 1e-9 * np.linalg.cond(J)
    assert (np.isfinite(unique) == sure).all()
    assert (exists[sure] <= unique[sure]).all()
    # a certified point has a root within its radius: this one, or another of its own
    for point, radius in zip(np.array(moved)[sure], exists[sure], strict=True):
        near, inverse = point, np.linalg.inv(rnn.jacobian(point, u))
        for _ in range(300):  # the map that the proof is about: it stays within the ball
            near = near - inverse @ rnn.rhs(near, u)
        own = long_root(rnn, newton(rnn, near, u, 20), u)
        assert np.linalg.norm(point - own) <= radius
    # and this root, where it is within the radius that holds one only
    ours = sure & (distance <= np.where(sure, unique, 0))
    assert (distance[ours] <= exists[ours]).all()


@pytest.mark.slow
@settings(max_examples=100, deadline=None)
@given(
    st.floats(-6, 6),
    st.floats(-3, 3),
    st.sampled_from(SMOOTH),
    st.sampled_from(["s", "h"]),
    st.sampled_from([0.0, 0.05]),
)
def test_one_unit_has_no_second_root_within_the_radius(weight, bias, activation, form, gamma):
    rnn = RNNNumpy(
        W_rec=[[weight]],
        W_inp=[[1.0]],
        W_out=[[1.0]],
        b_rec=[bias],
        activation=activation,
        equation_type=form,
        gamma=gamma,
    )
    u = np.zeros(1)
    grid = np.linspace(-40, 40, 40_001)
    field = rnn.rhs(grid[None], u)[0]
    before = np.flatnonzero(np.sign(field[:-1]) * np.sign(field[1:]) <= 0)
    left, right = grid[before], grid[before + 1]
    for _ in range(50):  # bisection
        middle = 0.5 * (left + right)
        same = np.sign(rnn.rhs(middle[None], u)[0]) == np.sign(rnn.rhs(left[None], u)[0])
        left, right = np.where(same, middle, left), np.where(same, right, middle)
    roots = np.unique(np.round(0.5 * (left + right), 9))
    assume(len(roots))
    exists, unique = certify(rnn, u, 0.5 * (left + right)[:, None])
    for x, near, radius in zip(0.5 * (left + right), exists, unique, strict=True):
        if np.isfinite(near):
            assert near < 1e-6
            assert np.sum(np.abs(roots - x) < radius - 1e-8) <= 1


@pytest.mark.parametrize("form", ["s", "h"])
@pytest.mark.parametrize("gamma", [0.0, 0.1])
def test_27_points_of_a_cube_are_told_apart(form, gamma):
    rnn = RNNNumpy(
        W_rec=2 * np.eye(3),
        W_inp=np.ones((3, 1)),
        W_out=np.ones((1, 3)),
        activation="tanh",
        equation_type=form,
        gamma=gamma,
    )
    u = np.zeros(1)
    one = newton(rnn, np.full(3, 1.2), u)[0]
    points = one * np.stack(np.meshgrid(*[[-1.0, 0.0, 1.0]] * 3), axis=-1).reshape(-1, 3)
    exists, unique = certify(rnn, u, points)
    assert exists.max() < 1e-13
    assert (unique < one).all()
    assert unique.min() > 0.1 * one
    moved, _ = certify(rnn, u, points + 1e-3)
    assert np.isfinite(moved).all()
    assert (moved >= 1e-3 * 3**0.5 - 1e-12).all()
    assert (moved < 0.1).all()


@pytest.mark.parametrize("distance", [1e-2, 1e-4, 1e-6])
def test_two_roots_beside_a_fold(distance):
    # x' = -x + 2 tanh(x) + b has its fold where 2 / cosh(x)^2 = 1; b is set by one of its roots
    fold = -np.arccosh(2.0**0.5)
    x = fold + distance
    bias = x - 2 * np.tanh(x)
    rnn = RNNNumpy(
        W_rec=[[2.0]], W_inp=[[0.0]], W_out=[[1.0]], b_rec=[bias], activation="tanh",
        equation_type="h",
    )  # fmt: skip
    u = np.zeros(1)
    other = newton(rnn, np.array([fold - distance]), u)[0]
    exists, unique = certify(rnn, u, np.array([[x], [other]]))
    assert np.isfinite(exists).all()
    assert (unique < x - other).all()
    assert (unique > 0.3 * (x - other)).all()


def fold_network(form):
    """Return N = 1 with a double root at 1: x = softplus(z) touches, with f'(z) w = 1 there."""
    # f(z) = log(1 + e^z) = 1 at z = log(e - 1), where f' = 1 - 1 / e
    weight = 1 / (1 - np.exp(-1.0))
    z = np.log(np.e - 1)
    keywords = {"W_inp": [[0.0]], "W_out": [[1.0]], "activation": "softplus"}
    rnn = RNNNumpy(W_rec=[[weight]], b_rec=[z - weight], equation_type=form, **keywords)
    return rnn, np.array([[1.0 if form == "s" else z]])


@pytest.mark.parametrize("form", ["s", "h"])
def test_what_cannot_be_had_is_nan(form):
    u = np.zeros(1)
    rnn, double = fold_network(form)
    assert np.abs(rnn.rhs(double.T, u)).max() < 1e-15
    assert np.isnan(certify(rnn, u, double)).all()
    assert np.isnan(certify(rnn, u, double + 1e-7)).all()
    # a triple root, where J is exactly 0, beside a regular one in the same stack
    for weights in ([[1.0]], [[1.0, 0.0], [0.0, 0.5]]):
        pitchfork = RNNNumpy(
            W_rec=weights,
            W_inp=np.zeros((len(weights), 1)),
            W_out=np.ones((1, len(weights))),
            activation="tanh",
            equation_type=form,
        )
        assert np.isnan(certify(pitchfork, u, np.zeros((2, len(weights))))).all()
    rnn = random_network(0, activation="tanh", equation_type=form, gain=0.5)
    x = newton(rnn, np.zeros(4), np.ones(2))
    exists, unique = certify(rnn, np.ones(2), np.array([x, x + 3.0, np.full(4, np.nan)]))
    assert np.isfinite(exists).tolist() == [True, False, False]
    assert np.isnan(unique).tolist() == [False, True, True]
    relu = random_network(0, activation="relu", equation_type=form)
    assert np.isnan(certify(relu, np.ones(2), np.zeros((3, 4)))).all()
    assert certify(rnn, np.ones(2), np.empty((0, 4)))[0].shape == (0,)


@pytest.mark.parametrize("form", ["s", "h"])
def test_a_unit_far_from_its_bend_costs_nothing(form):
    # one saturated unit with a huge weight: the global bound of |f''| would leave hardly a ball
    rnn = RNNNumpy(
        W_rec=[[60.0, 0.0], [0.0, 0.5]], W_inp=np.zeros((2, 1)), W_out=np.ones((1, 2)),
        activation="tanh", equation_type=form,
    )  # fmt: skip
    u = np.zeros(1)
    x = np.array([[1.0 if form == "s" else 60.0, 0.0]])
    _, unique = certify(rnn, u, x)
    # J = diag(-1, -0.5), K = 0.77 |W|^2 or 0.77 |W|: 2 / (|J^-1| K)
    assert unique[0] > 10 * 2 / (2 * 0.77 * (3600 if form == "s" else 60))


def test_no_point_depends_on_its_neighbours(monkeypatch):
    rnn = random_network(3, n_units=6, activation="tanh")
    points = np.random.default_rng(0).standard_normal((9, 6)) * 1e-3
    points += newton(rnn, np.zeros(6), np.ones(2))
    whole = certify(rnn, np.ones(2), points)
    assert np.isfinite(whole).all()
    monkeypatch.setattr(models.fixed_points.verified, "MAX_CHUNK_BYTES", 2 * 8 * 36)
    assert np.allclose(certify(rnn, np.ones(2), points), whole, rtol=0.02)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 12), st.floats(-8, 0))
def test_norms_and_solutions_are_bounded(seed, n_units, smallest):
    rng = np.random.default_rng(seed)
    left, right = (np.linalg.qr(rng.standard_normal((n_units, n_units)))[0] for _ in range(2))
    matrix = left * np.logspace(smallest, 0, n_units) @ right
    exact = matrix.astype(Long)
    bound = spectral_norm_bound(matrix)
    v = rng.standard_normal(n_units)
    for _ in range(50):
        v = matrix.T @ (matrix @ v)
        v /= np.linalg.norm(v)
    assert float(np.linalg.norm(exact @ v.astype(Long))) <= bound
    assert bound <= np.linalg.norm(matrix, 2) * (1 + 1e-8)
    # b = A z for integers z is known to more digits than the solution will have
    z = rng.integers(-5, 6, n_units)
    constants = exact @ z.astype(Long)
    rounded = constants.astype(float)
    doubt = np.abs(rounded - constants).astype(float) * 1.001
    solution, error = enclose_solution(
        matrix[None], np.zeros((1, n_units, n_units)), rounded[None], doubt[None]
    )
    assert (np.abs(solution[0] - z) <= error[0]).all()
    assert error[0].max() <= 1e-12 * 10**-smallest * n_units**2


def test_singular_matrices_do_not_stop_the_others():
    stack = np.array([np.eye(2), np.ones((2, 2)), 2 * np.eye(2), np.zeros((2, 2))])
    inverse = approximate_inverse(stack)
    assert np.array_equal(inverse[[0, 2]], [np.eye(2), 0.5 * np.eye(2)])
    assert np.isnan(inverse[[1, 3]]).all()
    solution, error = enclose_solution(stack, 0 * stack, np.ones((4, 2)), np.zeros((4, 2)))
    assert np.isnan(solution[:, 0]).tolist() == [False, True, False, True]
    assert np.isnan(error[:, 0]).tolist() == [False, True, False, True]


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6), st.sampled_from([*SMOOTH, "relu"]), st.sampled_from(["s", "h"]))
def test_the_index_is_that_of_every_state_in_the_ball(seed, activation, form):
    rnn = random_network(seed, 5, gain=2.0, activation=activation, equation_type=form)
    rng = np.random.default_rng(seed + 1)
    u, x = rng.standard_normal(2), rng.standard_normal(5)
    for radius in (0.0, 1e-12, 1e-3, 0.03, 0.3):
        count, proven = certify_index(rnn, u, x[None], np.array([radius]))
        steps = rng.standard_normal((5, 200))
        steps *= radius * rng.random(200) ** 0.1 / np.linalg.norm(steps, axis=0)
        real = np.linalg.eigvals(rnn.jacobian(x[:, None] + steps, u)).real
        if proven[0]:
            assert ((real > 0).sum(axis=1) == count[0]).all()
        elif radius < 1e-11 and activation != "relu":  # none is proven only near the axis
            values, vectors = np.linalg.eig(rnn.jacobian(x, u))
            assert np.abs(values.real).min() < 1e-8 * np.linalg.cond(vectors)


@pytest.mark.parametrize("form", ["s", "h"])
def test_an_index_that_changes_nearby_is_not_proven(form):
    # the second unit's eigenvalue is w - 1
    for weight, sure in ((0.99, True), (1.01, True), (1 + 1e-15, False), (1.0, False)):
        rnn = RNNNumpy(
            W_rec=np.diag([0.2, weight, 3.0]), W_inp=np.zeros((3, 1)), W_out=np.ones((1, 3)),
            activation="tanh", equation_type=form,
        )  # fmt: skip
        count, proven = certify_index(rnn, np.zeros(1), np.zeros((2, 3)), np.array([1e-9, np.nan]))
        assert proven.tolist() == [sure, False]
        if sure:
            assert count[0] == (2 if weight > 1 else 1)
    # a ball that reaches where tanh has bent
    rnn = RNNNumpy(
        W_rec=[[1.5]], W_inp=[[0.0]], W_out=[[1.0]], activation="tanh", equation_type=form
    )
    _, proven = certify_index(rnn, np.zeros(1), np.zeros((2, 1)), np.array([0.1, 2.0]))
    assert proven.tolist() == [True, False]
