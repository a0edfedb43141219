"""The search for fixed points, against networks whose fixed points are known."""

from __future__ import annotations

import numpy as np
import pytest

from models.fixed_points import SearchSettings, find_fixed_points, search
from models.fixed_points.field import ConstantInputs
from models.fixed_points.newton import newton_steps
from models.fixed_points.slow_points import minimise_speed, speed_hessian
from models.fixed_points.units_on import units_on
from models.network.rnn_numpy import RNNNumpy
from tasks_lib.errors import ParameterError


def network(W_rec, n_inputs=1, **keywords):
    n_units = len(W_rec)
    rng = np.random.default_rng(1)
    W_inp = keywords.pop("W_inp", rng.standard_normal((n_units, n_inputs)))
    return RNNNumpy(W_rec=W_rec, W_inp=W_inp, W_out=np.ones((1, n_units)), **keywords)


def cube(**keywords):
    return network(2.0 * np.eye(3), activation="tanh", **keywords)


def states(n_units, n_states=200, seed=0):
    return np.random.default_rng(seed).standard_normal((n_units, n_states))


@pytest.mark.parametrize("equation_type", ["s", "h"])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_cube_has_27_points(equation_type, seed):
    settings = SearchSettings(seed=seed)
    found = find_fixed_points(
        cube(equation_type=equation_type), np.zeros(1), states(3, seed=seed), settings
    )
    assert found.by_index() == {0: 8, 1: 12, 2: 6, 3: 1}
    assert (found.index_sum, found.index_expected, found.status) == (1, 1, "complete")
    assert found.enumerated
    assert found.residual.max() <= 1e-10
    assert found.hits.sum() == found.n_converged <= found.n_starts
    assert (found.stability == np.where(found.n_unstable, "unstable", "stable")).all()
    # every coordinate is a root of x = tanh(2x) (form s) or x = 2 tanh(x) (form h)
    root = 0.9575040240772687 if equation_type == "s" else 2 * 0.9575040240772687
    nearest = np.abs(found.points[:, :, None] - root * np.array([-1, 0, 1])).min(axis=2)
    assert nearest.max() < 1e-9


@pytest.fixture
def without_proofs(monkeypatch):
    """Networks are searched, although they could be solved."""
    monkeypatch.setattr(search, "points_everywhere", lambda *_: None)


def connected_cube(n_units=4):
    """Return a network of 3^n points in one part."""
    W_rec = 2.0 * np.eye(n_units) + 0.02 * (1.0 - np.eye(n_units))
    return network(W_rec, activation="tanh")


@pytest.mark.usefixtures("without_proofs")
def test_search_completes_itself_from_few_starts():
    # all starts lie in one orthant, near one of the 81 points
    near = 0.9 + 0.01 * states(4, 10)
    found = find_fixed_points(connected_cube(), np.zeros(1), near, SearchSettings(seed=1))
    assert len(found) == 81
    # of so many points starts alone are not believed
    assert (found.status, found.enumerated) == ("probably complete", False)
    assert found.hits.min() >= 4  # the rarest is no rarity
    assert found.coverage >= 0.99
    assert found.unseen <= 0.01
    assert found.hits.sum() == found.n_converged <= found.n_starts


@pytest.mark.usefixtures("without_proofs")
def test_spent_budget_is_not_complete():
    settings = SearchSettings(n_starts=8, max_starts=8)
    found = find_fixed_points(connected_cube(), np.zeros(1), 0.9 + 0.01 * states(4, 10), settings)
    assert found.message.startswith("incomplete: ")
    assert found.status == "incomplete"
    assert found.n_starts == 8


def test_same_seed_same_set():
    first, second = (find_fixed_points(cube(), np.zeros(1), states(3)) for _ in range(2))
    assert np.array_equal(first.points, second.points)
    assert np.array_equal(first.hits, second.hits)


@pytest.mark.parametrize("equation_type", ["s", "h"])
def test_line_of_points_in_a_relu_network(equation_type):
    v = np.abs(states(12, 1)[:, 0])
    v /= np.linalg.norm(v)
    rnn = network(np.outer(v, v), activation="relu", equation_type=equation_type)
    pool = np.abs(states(12))
    found = find_fixed_points(rnn, np.zeros(1), pool)
    along = found.points @ v
    assert np.abs(found.points - np.outer(along, v)).max() < 1e-10
    on_line = along > 1e-6
    assert on_line.sum() > 5  # how many is a matter of rounding: J is singular along the line
    assert (found.stability[on_line] == "marginal").all()
    assert np.allclose(found.eigenvalues[on_line, 0], 0, atol=1e-12)
    assert np.allclose(found.eigenvalues[on_line, 1:], -1, atol=1e-6)
    assert found.degenerate[on_line].all()
    assert found.index_sum is None
    assert found.status == "incomplete"
    assert "continuum" in found.message


def test_relu_points_are_exact():
    rng = np.random.default_rng(4)
    rnn = network(1.4 * rng.standard_normal((20, 20)) / 20**0.5, activation="relu")
    found = find_fixed_points(rnn, np.array([0.5]), states(20))
    assert len(found)
    assert found.residual.max() < 1e-13
    # exact within their regions, and proven to be
    assert (found.existence_radius < 1e-12).all()
    assert (found.uniqueness_radius > found.existence_radius).all()


def test_no_fixed_point_is_said():
    # x' = -x + relu(2x + 1) grows without end
    rnn = network(np.array([[2.0]]), activation="relu", W_inp=np.array([[1.0]]))
    found = find_fixed_points(
        rnn, np.ones(1), states(1) + 3, SearchSettings(n_starts=32, max_starts=64)
    )
    assert (len(found), found.status) == (0, "none_found")
    assert np.isnan(found.coverage)
    assert found.index_sum is None
    assert (
        found.message == "none_found: there is no point: every region that can hold one was solved"
    )
    assert found.points.shape == (0, 1)
    assert found.by_index() == {}


def test_missing_points_show_in_the_index_sum():
    found = find_fixed_points(cube(), np.zeros(1), states(3))
    stable = found.filter(found.stability == "stable")
    assert len(stable) == 8
    assert stable.index_sum == 8
    assert stable.status == "incomplete"
    assert "missing" in stable.message


def test_merge_restores_a_split_set():
    found = find_fixed_points(cube(), np.zeros(1), states(3))
    first, second = found.filter(np.arange(20)), found.filter(np.arange(15, 27))
    union = first.merge(second)
    assert union.by_index() == found.by_index()
    assert union.index_sum == 1
    assert union.hits[15:20].tolist() == (2 * found.hits[15:20]).tolist()
    with pytest.raises(ParameterError, match="another input"):
        found.merge(find_fixed_points(cube(), np.ones(1), states(3)))


def test_slow_point_is_a_minimum_not_a_root():
    # x' = -x + tanh(2x) + c just beyond the fold: one root is left, and a slow point
    rnn = network(np.array([[2.0]]), activation="tanh", equation_type="h", W_inp=np.ones((1, 1)))
    u = np.array([0.56])
    # h form: x' = -x + 2 tanh(x) + u, whose fold is at u = 0.5328
    exact = find_fixed_points(rnn, u, states(1))
    approx = find_fixed_points(rnn, u, states(1), SearchSettings(mode="approx", fun_tol=1e-2))
    assert len(exact) == 1
    assert len(approx) == 2
    slow = approx.points[approx.residual > 1e-4]
    assert np.allclose(slow, -np.arccosh(np.sqrt(2.0)), atol=1e-6)  # where F' = 0
    assert approx.index_sum is None
    assert np.isnan(approx.uniqueness_radius).all()


@pytest.mark.parametrize("activation", ["tanh", "sigmoid", "softplus", "gelu"])
@pytest.mark.parametrize("equation_type", ["s", "h"])
def test_speed_hessian_is_the_derivative_of_the_gradient(activation, equation_type):
    rng = np.random.default_rng(3)
    rnn = network(
        rng.standard_normal((5, 5)), activation=activation, equation_type=equation_type, gamma=0.1
    )
    u, x, h = np.array([0.3]), rng.standard_normal((5, 1)), 1e-5

    def gradient(y):
        return rnn.jacobian(y, u)[0].T @ rnn.rhs(y, u)[:, 0]

    numeric = np.stack(
        [(gradient(x + h * e[:, None]) - gradient(x - h * e[:, None])) / (2 * h)
         for e in np.eye(5)], axis=1
    )  # fmt: skip
    analytic = speed_hessian(rnn, x, rnn.rhs(x, u), rnn.jacobian(x, u), u)[0]
    assert np.allclose(analytic, numeric, atol=1e-7)


def rest_at(J):
    """Return a field that is linear around 0, with the Jacobian ``J`` there."""
    n_units = len(J)
    rnn = RNNNumpy(W_rec=J + np.eye(n_units), W_inp=np.zeros((n_units, 1)),
                   W_out=np.ones((1, n_units)), activation="tanh")  # fmt: skip
    return ConstantInputs([(rnn, np.zeros(1))])


def test_singular_jacobian_gives_the_shortest_step():
    field = rest_at(np.diag([1.0, 0.0, -2.0]))
    F, first = np.array([[1.0, 0.0, 1.0]]), np.zeros(1, dtype=int)
    step = newton_steps(field, np.zeros((1, 3)), F, np.array([10.0]), first)
    assert np.allclose(step[0], [-1.0, 0.0, 0.5], atol=1e-6)


@pytest.mark.parametrize("form", ["s", "h"])
@pytest.mark.parametrize("f", ["relu", {"name": "leaky_relu", "leak_slope": 0.2}])
def test_steps_by_the_units_that_are_on_are_newtons(form, f, monkeypatch):
    """So large networks of two slopes solve for them. Two Jacobians are singular."""
    import models.fixed_points.field as module

    rng = np.random.default_rng(0)
    W = 1.4 * rng.standard_normal((12, 12)) / np.sqrt(12)
    W[0] = W[:, 0] = np.eye(12)[0]  # alone: J is singular where it is on
    net = network(W, activation=f, equation_type=form)
    field = ConstantInputs([(net, np.zeros(1))])
    x = rng.standard_normal((40, 12))
    x[:, 0] = np.where(np.arange(40) < 2, 0.7, -0.7)
    of, longest = np.zeros(40, dtype=int), np.full(40, 9.0)
    F, J = field.rhs(x, of), field.jacobian(x, of)
    assert field.by_units is None
    whole = newton_steps(field, x, F, longest, of)
    monkeypatch.setattr(module, "SOLVED_BY_UNITS", 12)
    field = ConstantInputs([(net, np.zeros(1))])
    steps = field.steps(x, F, of)
    assert np.isnan(steps[:2]).all()
    left = np.einsum("pij,pj->pi", J[2:], steps[2:]) + F[2:]
    assert np.abs(left).max() < 1e-12 * np.abs(J).max() * np.abs(steps[2:]).max()
    monkeypatch.setattr(module, "CACHE_BYTES", 8 * 12**2)  # ridges one at a time
    assert np.allclose(newton_steps(field, x, F, longest, of), whole, atol=1e-6)


def test_what_has_no_steps_by_units():
    """Smooth f, gamma > 0, and leaky units at whose leak the network is singular."""
    leaky = {"name": "leaky_relu", "leak_slope": 0.5}
    for made in (
        {"activation": "tanh"},
        {"activation": "relu", "gamma": 0.1},
        {"activation": leaky},
    ):
        assert units_on(network(2.0 * np.eye(4), **made)) is None
    assert units_on(network(1.9 * np.eye(4), activation=leaky)) is not None


def test_slow_points_do_not_depend_on_their_neighbours(monkeypatch):
    import models.fixed_points.slow_points as module

    rnn, starts = cube(), states(3, 40)
    whole = minimise_speed(rnn, starts.T, np.zeros(1), 5.0)
    monkeypatch.setattr(module, "MAX_CHUNK_BYTES", 7 * 8 * 9)
    parts = minimise_speed(rnn, starts.T, np.zeros(1), 5.0)
    assert np.allclose(parts.points, whole.points, atol=1e-9)
    assert np.array_equal(parts.converged, whole.converged)
