"""Fixed points followed between weights: networks whose bifurcations are known on paper."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from scipy.optimize import brentq

from models import (
    FollowSettings,
    NetworkSnapshot,
    RNNNumpy,
    follow_between,
    follow_learning,
)
from models.fixed_points import Problem, SearchSettings, find_fixed_points_of_many
from tasks_lib import ParameterError


def network(W, b, equation_type="h", activation="tanh"):
    W = np.atleast_2d(np.asarray(W, dtype=float))
    n = len(W)
    return RNNNumpy(
        W_rec=W, W_inp=np.zeros((n, 1)), W_out=np.ones((1, n)), b_rec=b, tau=1.0, dt=0.1,
        activation=activation, equation_type=equation_type,
    )  # fmt: skip


def roots(w, b, equation_type="h"):
    """All x with x = w tanh(x) + b, or x = tanh(w x + b): by bracketing, on a line."""

    def field(x):
        return w * np.tanh(x) + b - x if equation_type == "h" else np.tanh(w * x + b) - x

    grid = np.linspace(-6.01, 6.02, 4001)
    values = field(grid)
    there = np.flatnonzero(values[:-1] * values[1:] < 0)
    return np.array([[brentq(field, grid[i], grid[i + 1], xtol=1e-14)] for i in there])


def fold(w, equation_type="h"):
    """The bias at which the two upper roots of w > 1 meet.

    Form h: 1 = w / cosh^2 x. Form s, with z = w x + b: the same of z, and b = z - w tanh z.
    """
    x = np.arccosh(np.sqrt(w))
    return x - w * np.tanh(x)


both_forms = pytest.mark.parametrize("form", ["h", "s"])


@both_forms
def test_a_pitchfork_as_the_self_coupling_passes_one(form):
    first, last = network(0.5, [0.0], form), network(2.0, [0.0], form)
    points = roots(2.0, 0.0, form)
    assert len(points) == 3
    found = follow_between(first, last, [0.0], [[0.0]], points)
    assert (found.status, found.reason) == ("followed", "")
    (one,) = found.bifurcations
    assert one.kind == "pitchfork"
    assert 0.5 + 1.5 * one.share == pytest.approx(1.0, abs=1e-5)
    assert one.state == pytest.approx([0.0], abs=1e-3)
    # One of index 1 becomes one of -1 and two of 1.
    assert (one.index_before, one.index_after) == (1, 1)
    assert found.matches == [(0, 1)]
    assert found.births == [(0, 0), (2, 0)]
    assert found.index_holds
    # And backwards: the two meet the third, and are gone.
    back = follow_between(last, first, [0.0], points, [[0.0]])
    assert (back.status, back.matches) == ("followed", [(1, 0)])
    assert sorted(back.deaths) == [(0, 0), (2, 0)]
    assert back.bifurcations[0].kind == "pitchfork"


@both_forms
def test_a_saddle_node_by_the_bias(form):
    first, last = network(2.0, [-1.0], form), network(2.0, [0.0], form)
    found = follow_between(first, last, [0.0], roots(2.0, -1.0, form), roots(2.0, 0.0, form))
    assert found.status == "followed"
    (one,) = found.bifurcations
    assert (one.kind, one.index_before, one.index_after) == ("saddle_node", 0, 0)
    assert one.share - 1.0 == pytest.approx(fold(2.0), abs=1e-9)
    assert found.matches == [(0, 0)]
    assert found.births == [(1, 0), (2, 0)]
    x = np.arccosh(np.sqrt(2.0))  # of the argument of tanh
    assert one.state == pytest.approx([x if form == "h" else np.tanh(x)], abs=1e-3)


def test_a_point_that_turns_twice_is_one_point():
    """From one side of the bistable range to the other the curve is an S."""
    found = follow_between(
        network(2.0, [-1.0]), network(2.0, [1.0]), [0.0], roots(2.0, -1.0), roots(2.0, 1.0)
    )
    assert (found.status, found.matches, found.births, found.deaths) == (
        "followed", [(0, 0)], [], []
    )  # fmt: skip
    shares = [one.share for one in found.bifurcations]
    assert [one.kind for one in found.bifurcations] == ["saddle_node"] * 2
    assert 2 * np.array(shares) - 1 == pytest.approx([fold(2.0), -fold(2.0)], abs=1e-9)


@both_forms
def test_a_hopf_in_two_units(form):
    """W = [[a, -c], [c, a]]: eigenvalues a - 1 +- i c at 0."""

    def turning(a):
        return network([[a, -1.5], [1.5, a]], [0.0, 0.0], form)

    found = follow_between(turning(0.5), turning(1.75), [0.0], [[0.0, 0.0]], [[0.0, 0.0]])
    (one,) = found.bifurcations
    assert (found.status, one.kind, found.matches) == ("followed", "hopf", [(0, 0)])
    assert 0.5 + 1.25 * one.share == pytest.approx(1.0, abs=1e-5)
    assert one.frequency == pytest.approx(1.5)
    assert (one.index_before, one.index_after) == (1, 1)


def test_more_units_that_know_nothing_of_each_other():
    """One has a pitchfork, one a saddle-node: points are all pairs."""
    w = [2.0, 2.0]

    def pair(a, b):
        return network(np.diag([a, 2.0]), [0.0, b])

    first = np.array([[0.0, y] for (y,) in roots(2.0, -1.0)])
    last = np.array([[x, y] for (x,) in roots(w[0], 0.0) for (y,) in roots(w[1], 0.0)])
    found = follow_between(pair(0.5, -1.0), pair(2.0, 0.0), [0.0], first, last)
    assert len(first) == 1 and len(last) == 9
    assert found.index_holds and found.index_first == found.index_last == 1
    assert len(found.matches) == 1 and len(found.births) == 8
    kinds = [one.kind for one in found.bifurcations]
    # The pitchfork first, of the one point there is; then each of three meets two new ones.
    assert kinds == ["pitchfork", "saddle_node", "saddle_node", "saddle_node"]
    assert found.bifurcations[0].share == pytest.approx(1 / 3, abs=1e-5)
    assert [one.share for one in found.bifurcations[1:]] == pytest.approx([1 + fold(2.0)] * 3)


def test_a_missing_point_is_noticed():
    """A set that lacks one: the sum of indices disagrees, and the curve leads nowhere known."""
    points = roots(2.0, 0.0)
    found = follow_between(
        network(2.0, [-1.0]), network(2.0, [0.0]), [0.0], roots(2.0, -1.0), points[:2]
    )
    assert found.status == "partly"
    assert "sums of indices disagree" in found.reason
    assert "in no set" in found.reason
    lacks_three = follow_between(
        network(0.5, [0.0]), network(2.0, [0.0]), [0.0], [[0.0]], points[[1]]
    )
    assert lacks_three.status == "partly"
    assert lacks_three.bifurcations[0].kind == "crossing"
    assert not lacks_three.bifurcations[0].index_holds


def test_nothing_happens_between_equal_weights():
    points = roots(2.0, 0.1)
    same = network(2.0, [0.1])
    found = follow_between(same, same, [0.0], points, points)
    assert found.matches == [(0, 0), (1, 1), (2, 2)]
    assert not found.bifurcations and found.status == "followed"
    none = follow_between(same, same, [0.0], np.empty((0, 1)), np.empty((0, 1)))
    assert (none.status, none.curves) == ("followed", [])


def test_random_networks_keep_their_sums():
    """Each curve of a generic network ends at known points, at most by saddle-nodes and Hopfs."""
    rng = np.random.default_rng(4)
    n = 8
    weights = [1.8 * rng.standard_normal((n, n)) / np.sqrt(n) for _ in range(2)]
    biases = 0.3 * rng.standard_normal((2, n))
    nets = [network(W, b) for W, b in zip(weights, biases, strict=True)]
    settings = SearchSettings(seed=0)
    sets = find_fixed_points_of_many(
        [Problem(rnn, np.zeros(1), rng.standard_normal((n, 64)), settings) for rnn in nets],
        n_threads=1,
    )
    found = follow_between(*nets, [0.0], sets[0].points, sets[1].points)
    assert found.status == "followed"
    assert found.index_holds and found.index_first == 1
    assert {one.kind for one in found.bifurcations} <= {"saddle_node", "hopf"}
    ends = len(found.matches) * 2 + len(found.births) + len(found.deaths)
    assert ends == len(sets[0]) + len(sets[1])
    fine = follow_between(
        *nets, [0.0], sets[0].points, sets[1].points, FollowSettings(longest_step=0.01)
    )
    assert fine.matches == found.matches
    assert [one.share for one in fine.bifurcations] == pytest.approx(
        [one.share for one in found.bifurcations], abs=1e-6
    )


@both_forms
def test_a_pair_of_a_relu_network_dies_at_its_kink(form):
    """x = 2 max(x, 0) + b: at b and -b below 0, nowhere above."""
    first = [[-1.0], [1.0]] if form == "h" else [[0.0], [1.0]]
    found = follow_between(
        network(2.0, [-1.0], form, "relu"), network(2.0, [1.0], form, "relu"),
        [0.0], first, np.empty((0, 1)),
    )  # fmt: skip
    (one,) = found.bifurcations
    assert (found.status, found.deaths) == ("followed", [(0, 0), (1, 0)])
    assert (one.kind, one.at_kink, one.index_before, one.index_after) == ("saddle_node", True, 0, 0)
    assert one.share == pytest.approx(0.5, abs=1e-9)
    assert one.state == pytest.approx([0.0], abs=1e-9)


def of_all_regions(W, b, form):
    """Every fixed point of a ReLU network, region by region."""
    n, found = len(b), []
    for pattern in product([False, True], repeat=n):
        D = np.diag(np.array(pattern, dtype=float))
        if form == "h":
            x = np.linalg.solve(np.eye(n) - W @ D, b)
            argument = x
        else:
            x = np.linalg.solve(np.eye(n) - D @ W, D @ b)
            argument = W @ x + b
        if ((argument > 0) == pattern).all():
            found.append(x)
    return np.reshape(found, (-1, n))


@both_forms
@pytest.mark.parametrize("seed", [0, 3, 7, 16, 33, 39])
def test_curves_of_relu_networks_are_those_of_all_regions(form, seed):
    """Between the ends too: as many curves pass an s as there are fixed points at it."""
    rng = np.random.default_rng(seed)
    n = 5
    W = 1.8 * rng.standard_normal((2, n, n)) / np.sqrt(n)
    b = rng.standard_normal((2, n))
    sets = [of_all_regions(W[i], b[i], form) for i in range(2)]
    nets = [network(W[i], b[i], form, "relu") for i in range(2)]
    found = follow_between(*nets, [0.0], *sets)
    assert (found.status, found.lost) == ("followed", [])
    known = len(found.matches) * 2 + len(found.births) + len(found.deaths) + len(found.escaped)
    assert known == len(sets[0]) + len(sets[1])
    for s in (0.21, 0.5, 0.83):
        points = of_all_regions((1 - s) * W[0] + s * W[1], (1 - s) * b[0] + s * b[1], form)
        passes = sum(
            (p.s - s) * (q.s - s) < 0
            for curve in found.curves
            for p, q in zip(curve.points, curve.points[1:], strict=False)
        )
        assert passes == len(points)


def test_a_point_may_go_to_infinity():
    """x = w x + 1 above 0: 1 / (1 - w), until w = 1."""
    first, last = network(0.5, [1.0], activation="relu"), network(1.5, [1.0], activation="relu")
    found = follow_between(first, last, [0.0], [[2.0]], np.empty((0, 1)))
    assert (found.status, found.escaped, found.index_holds) == ("followed", [(0, 0)], True)
    assert found.curves[0].points[-1].s == pytest.approx(0.5, abs=1e-3)
    snapshots = [NetworkSnapshot(0, first, None), NetworkSnapshot(5, last, None)]
    for i, states in enumerate(([[2.0]], np.empty((0, 1)))):
        (points,) = find_fixed_points_of_many(
            [Problem(snapshots[i].network, np.zeros(1), np.zeros((1, 4)), SearchSettings())]
        )
        assert len(points) == len(states)
        snapshots[i] = NetworkSnapshot(5 * i, snapshots[i].network, points)
    (branch,) = follow_learning(snapshots, [0.0]).branches
    assert (branch.born_by, branch.ended_by) == ("start", "infinity")


def test_a_point_at_a_kink_says_so():
    same = network(0.5, [0.0], activation="relu")
    found = follow_between(same, same, [0.0], [[0.0]], [[0.0]])
    assert (found.status, found.lost) == ("partly", [(0, 0), (1, 0)])
    assert found.reason == "point 0 at s = 0 is at a kink of f; point 0 at s = 1 is at a kink of f"


def test_curved_functions_with_kinks_are_not_followed(monkeypatch):
    first = network(0.5, [0.1], activation="relu")
    monkeypatch.setattr(type(first.activation), "is_piecewise_linear", False)
    found = follow_between(first, first, [0.0], [[0.2]], [[0.2]])
    assert (found.status, found.matches) == ("not_smooth", [])
    assert found.lost == [(0, 0), (1, 0)]
    assert "relu has kinks" in found.reason


def test_bad_input_is_refused():
    with pytest.raises(ParameterError, match=r"last\.n_units = 2: is not 1"):
        follow_between(network(1, [0]), network(np.eye(2), [0, 0]), [0.0], [[0.0]], [[0.0, 0.0]])
    with pytest.raises(ParameterError, match=r"points_last\.shape"):
        follow_between(network(1, [0]), network(1, [0]), [0.0], [[0.0]], [[0.0, 0.0]])
    with pytest.raises(ParameterError, match="snapshots = 1"):
        follow_learning([None], [0.0])
    with pytest.raises(ParameterError, match="longest_step"):
        FollowSettings(longest_step=0.0)


def snapshots_of(*settings):
    """Snapshots of one unit, at iterations 0, 10, ...: weight and bias of each."""
    made = []
    for i, (w, b) in enumerate(settings):
        rnn = network(w, [b])
        starts = np.linspace(-3, 3, 31)[None]
        (points,) = find_fixed_points_of_many([Problem(rnn, np.zeros(1), starts, SearchSettings())])
        made.append(NetworkSnapshot(10 * i, rnn, points))
    return made


def test_points_are_followed_through_snapshots():
    """A pitchfork, nothing, and a saddle-node that ends two of the three."""
    snapshots = snapshots_of((0.5, 0.0), (1.5, 0.0), (2.0, 0.0), (2.0, 1.0))
    found = follow_learning(snapshots, [0.0])
    assert [len(s.points) for s in snapshots] == [1, 3, 3, 1]
    assert (found.status, found.index_holds) == ("followed", True)
    assert [(place, one.kind) for place, one in found.bifurcations] == [
        (0, "pitchfork"), (2, "saddle_node")
    ]  # fmt: skip
    states = [
        {place: float(snapshots[place].points.points[j, 0]) for place, j in b.points.items()}
        for b in found.branches
    ]
    from_start = next(b for b in found.branches if b.born_by == "start")
    assert (from_start.first, from_start.last, from_start.ended_by) == (0, 2, "saddle_node")
    assert from_start.ended_at == 1
    new = [b for b in found.branches if b.born_by == "pitchfork"]
    assert len(new) == 2 and all(b.born_at == 0 and b.first == 1 for b in new)
    ends = {b.ended_by: b for b in new}
    assert ends["end"].last == 3 and ends["saddle_node"].last == 2
    upper = states[found.branches.index(ends["end"])]
    assert all(x > 1.0 for place, x in upper.items() if place > 1)
