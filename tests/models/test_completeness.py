"""Sets that are called complete, on families of networks whose fixed points are known."""

from __future__ import annotations

import sys
from itertools import islice
from pathlib import Path

import numpy as np
import pytest

from models import DynamicSystemAnalyzer, RNNNumpy
from models.fixed_points import exhaustive, hulls
from models.fixed_points.collective import Collective
from models.fixed_points.components import parts_of
from models.fixed_points.exhaustive import solve_everywhere
from models.fixed_points.reduction import Singular, reduced
from models.fixed_points.weak_rest import with_rest

sys.path.append(str(Path(__file__).parents[2] / "benchmarks"))

import completeness
import search_times
from fixed_point_benchmark import families, known_sets

PROVEN = ("bistable", "switch", "rank 1", "rank 2", "2 and 3 units", "blocks", "staircase",
          "near a fold", "rectified", "beside a switch")  # fmt: skip


PLANTED = 82  # seed of a network of which two points were missed


def some(name, number, seed=11):
    return list(islice(families.FAMILIES[name](np.random.default_rng(seed)), number))


def network(W, d, **equation):
    n_units = len(d)
    return RNNNumpy(
        W_rec=W, W_inp=np.zeros((n_units, 1)), W_out=np.ones((1, n_units)), b_rec=d, **equation
    )


def search(rnn, **settings):
    return DynamicSystemAnalyzer(rnn).get_fixed_points([0.0], **settings)


@pytest.mark.parametrize("name", PROVEN)
def test_what_is_known_is_found_and_proven(name):
    for case in some(name, 3 if name in ("rank 2", "beside a switch") else 8):
        found = search(case.rnn)
        assert completeness.missing(case.points, found.points) == 0
        if found.enumerated:
            assert len(found) == len(case.points)
            assert found.status == ("complete" if len(found) else "none_found")
            assert found.n_starts == 0 and np.isnan(found.unseen)
        else:
            assert name == "rectified" or found.status == "probably complete"


@pytest.mark.parametrize("name", ["coupled switch", "populations"])
def test_no_false_claim_where_not_all_can_be_proven(name):
    proven = 0
    for case in some(name, 4):
        (row,) = completeness.searches(case, 1)
        assert row["missed"] == 0 or row["status"] != "complete"
        by_starts = row["starts"] > 0 and row["status"] == "complete"
        assert not by_starts or row["known"] <= 8
        proven += row["starts"] == 0
    assert proven


def test_low_rank_and_weak_weights_are_solved():
    for case in some("random part", 6):
        found = search(case.rnn)
        assert (len(found), found.enumerated) == (len(case.points), True)
        assert completeness.missing(case.points, found.points) == 0
        assert np.isfinite(found.existence_radius).all()


@pytest.mark.parametrize(("n", "rank", "seed"), [(20, 2, 0), (20, 2, 1), (4, 1, 2), (4, 1, 3)])
def test_bounds_of_boxes_hold_where_weak_weights_are_added(n, rank, seed, monkeypatch):
    """Values and Jacobians at random states of boxes, of this test's own iteration."""
    rng = np.random.default_rng(seed)
    W = rng.standard_normal((n, rank)) @ rng.standard_normal((rank, n)) / np.sqrt(n) * 2
    W += 0.35 * rng.standard_normal((n, n)) / np.sqrt(n)
    rnn = network(W, rng.standard_normal(n), activation="tanh")
    equation = with_rest(rnn, np.zeros(1), Singular.of(rnn))
    assert equation.rank == rank and 0.2 < equation.share < 0.8
    assert np.linalg.norm(equation.rest, 2) <= equation.share
    assert np.allclose(equation.U @ equation.V + equation.rest, W, atol=1e-13)
    centre = rng.uniform(-2, 2, (30, rank))
    half = 10.0 ** rng.uniform(-4, 0, (30, 1)) * rng.uniform(0.5, 1.0, (30, rank))
    taken = []
    tests = exhaustive._tests
    monkeypatch.setattr(exhaustive, "_tests", lambda *a: taken.append(a) or tests(*a))
    bounds = exhaustive._bounds(equation, centre - half, centre + half)
    (_, wide, g, A, rest, change), = taken  # fmt: skip

    def values(k):
        z = fixed = k @ equation.U.T + equation.d
        for _ in range(300):
            z = fixed + np.tanh(z) @ equation.rest.T
        return np.tanh(z) @ equation.V.T - k

    assert np.allclose(g, values(centre), atol=1e-12)
    monkeypatch.setattr(hulls, "HULL_STEPS", 1)
    cut, last = hulls.hull(equation, centre - half, centre + half, 0.0)
    apart = [wide * rng.uniform(-1, 1, wide.shape) for _ in range(30)]
    apart += [wide * rng.choice([-1.0, 1.0], wide.shape) for _ in range(10)]
    used = np.zeros(2)
    for first, second in zip(apart[:20], apart[20:], strict=True):
        moved = values(centre + first)
        linear = g + np.einsum("pij,pj->pi", A, first)
        assert (np.abs(moved - linear) <= rest + 1e-12).all()
        used[0] = max(used[0], (np.abs(moved - linear) / rest).max())
        between = moved - values(centre + second) - np.einsum("pij,pj->pi", A, first - second)
        allowed = np.einsum("pij,pj->pi", change, np.abs(first - second))
        assert (np.abs(between) <= allowed + 1e-12).all()
        used[1] = max(used[1], (np.abs(between) / allowed).max())
        # what V f can be is within the hull, wherever that has not left a box empty
        image = moved + centre + first
        inside = (image >= centre - half).all(axis=1) & (image <= centre + half).all(axis=1)
        inside &= (np.abs(first) <= half).all(axis=1)
        for point in image[inside]:
            assert ((point >= cut - 1e-12) & (point <= last + 1e-12)).all(axis=1).any()
    small = half.max(axis=1) < 1e-3
    assert bounds.single[small].any()
    assert n > 4 or used.min() > 0.35  # with four units they are nearly reached


def test_unbounded_networks_without_trials_are_searched_all_the_same():
    rows = [row for case in some("unbounded", 9) for row in completeness.searches(case, 1)]
    assert {row["status"] for row in rows} >= {"growing", "complete"}
    assert not any(row["status"] == "refused" or row["missed"] for row in rows)


@pytest.mark.parametrize("name", families.FAMILIES)
def test_known_points_are_points_and_differ(name):
    for case in some(name, 1, seed=3):
        field = case.rnn.rhs_at(case.points, np.zeros(1))
        assert np.abs(field).max(initial=0.0) < 1e-10
        assert len(known_sets.distinct(case.points, 1e-9)) == len(case.points)


def test_scanning_sees_two_crossings_within_a_step():
    grid = np.linspace(-1.0, 1.0, 101)
    roots = known_sets.crossings(lambda k: (k - 0.1234) ** 2 - 1e-10, grid)
    assert np.allclose(roots, [0.1234 - 1e-5, 0.1234 + 1e-5], atol=1e-9)


def test_a_missed_point_counts_once():
    known = np.array([[0.0], [1e-6], [1.0]])
    assert completeness.missing(known, np.array([[0.0], [1.0]])) == 1
    assert completeness.missing(known, known[::-1]) == 0
    assert completeness.beyond(known, np.array([[0.5]])).tolist() == [[0.5]]


def test_the_table_says_what_was_claimed(capsys, tmp_path):
    out = tmp_path / "numbers.json"
    words = ["--networks", "2", "--seeds", "2", "--families", "switch", "--write"]
    data = completeness.main([*words, str(out)])
    assert (data["switch"]["searches"], data["switch"]["claims"]) == (4, 4)
    assert (data["switch"]["false"], data["switch"]["unsure"]) == (0, 0)
    rows = [
        {"status": "complete", "known": 3, "missed": 2, "beyond": 0, "seconds": 1.0},
        {"status": "incomplete", "known": 3, "missed": 0, "beyond": 0, "seconds": 3.0},
    ]
    said = completeness.summary(rows)
    assert (said["claims"], said["false"], said["missed"]) == (1, 1, 2)
    assert (said["unsure"], said["whole"], said["seconds"]) == (1, 1, 2.0)


@pytest.mark.parametrize("form", ["s", "h"])
@pytest.mark.parametrize("n_units", [1, 6])
def test_a_double_root_is_one_degenerate_point(n_units, form):
    """z = 2 tanh(z) + c touches at tanh(z)^2 = 1/2; other directions are contracted."""
    z = np.arctanh(np.sqrt(0.5))
    rng = np.random.default_rng(0)
    m = rng.choice([-1.0, 1.0], n_units)
    Q = np.linalg.qr(np.column_stack([m, rng.standard_normal((n_units, n_units - 1))]))[0][:, 1:]
    W = 2 * np.outer(m, m) / n_units + (Q * rng.uniform(-0.5, 0.5, n_units - 1)) @ Q.T
    found = search(network(W, (z - 2 * np.tanh(z)) * m, activation="tanh", equation_type=form))
    assert found.degenerate.tolist() == [False, True]
    assert np.isnan(found.existence_radius).tolist() == [False, True]
    assert np.abs(np.abs(found.points[1]) - (z if form == "h" else np.tanh(z))).max() < 1e-6
    assert found.status == "probably complete"
    assert "1 are degenerate and without a certificate" in found.message


@pytest.mark.parametrize("n_units", [1, 5])
def test_a_triple_root_is_one_degenerate_point(n_units):
    Q = np.linalg.qr(np.random.default_rng(1).standard_normal((n_units, n_units)))[0]
    W = (Q * np.r_[1.0, np.linspace(-0.9, 0.7, n_units - 1)]) @ Q.T
    found = search(network(W, np.zeros(n_units), activation="tanh", equation_type="h"))
    assert (len(found), found.degenerate.tolist()) == (1, [True])
    assert found.stability.tolist() == ["marginal"]
    assert found.status == "probably complete"


@pytest.mark.parametrize("scale", [1.0, 1e-5, 1e-8])
def test_states_of_any_scale(scale):
    rng = np.random.default_rng(0)
    patterns = np.sign(rng.standard_normal((3, 30)))
    W = 2 * patterns.T @ patterns / 30 + 0.1 * rng.standard_normal((30, 30))
    f = {"name": "tanh", "slope": 1 / scale}
    found = search(network(scale * W, np.zeros(30), activation=f, equation_type="h"))
    assert (len(found), found.index_sum) == (15, 1)
    assert found.status == "probably complete"  # W is of low rank but for weak weights, unproven


def test_points_nearer_than_the_cutoff_are_two():
    """x' = -x + relu(2 x - 1e-5) rests at 0 and at 1e-5."""
    found = search(network([[2.0]], [-1e-5], activation="relu"))
    assert np.allclose(found.points.ravel(), [0.0, 1e-5], atol=1e-18)
    assert (found.index_sum, found.index_expected, found.status) == (0, 0, "complete")


def test_proofs_and_no_cutoff_tell_two_points_apart():
    """Along m the network is z' = -z + 2 tanh(z) + c, 1e-11 from its fold."""
    rng = np.random.default_rng(0)
    m = rng.choice([-1.0, 1.0], 6)
    Q = np.linalg.qr(np.column_stack([m, rng.standard_normal((6, 5))]))[0][:, 1:]
    W = 2 * np.outer(m, m) / 6 + (Q * rng.uniform(-0.5, 0.5, 5)) @ Q.T
    z = np.arctanh(np.sqrt(0.5))
    c = z - 2 * np.tanh(z) + 1e-11
    sides = [
        search(network(W, (c - shift) * m, activation="tanh", equation_type="h"))
        for shift in (0.0, 2e-11)
    ]
    none, pair = sorted(sides, key=len)
    gaps = np.linalg.norm(pair.points[:, None] - pair.points, axis=2)[np.triu_indices(3, 1)]
    assert gaps.min() < 3e-5
    assert (len(pair), pair.status, pair.index_sum) == (3, "complete", 1)
    assert np.isfinite(pair.existence_radius).all()
    # on the other side |F| is below the tolerance, and it is proven that there is no point
    assert (len(none), none.status, none.enumerated) == (1, "complete", True)


def test_parts_of_a_network():
    W = np.zeros((5, 5))
    W[0, 3] = W[3, 3] = W[1, 2] = 1.0
    assert [part.tolist() for part in parts_of(network(W, np.zeros(5)))] == [[0, 3], [1, 2], [4]]
    many = parts_of(network(np.eye(12), np.zeros(12)))
    assert [len(part) for part in many] == [1] * 7 + [5]
    assert sorted(np.concatenate(many)) == list(range(12))


@pytest.mark.parametrize("form", ["s", "h"])
def test_parts_together_are_the_whole(form):
    """Two units of three points each, and one that oscillates in form of a focus."""
    W = np.zeros((4, 4))
    W[0, 0], W[1, 1], W[2:, 2:] = 2.0, 3.0, [[1.5, -2.0], [2.0, 1.5]]
    rnn = network(W[:, [2, 0, 3, 1]][[2, 0, 3, 1]], np.zeros(4), activation="tanh",
                  equation_type=form)  # fmt: skip
    found = search(rnn)
    assert (len(found), found.enumerated, found.index_sum, found.index_expected) == (9, True, 1, 1)
    J = rnn.jacobian_at(found.points, np.zeros(1))
    for i in range(9):
        values = np.linalg.eigvals(J[i])
        assert np.allclose(np.sort(values.real), np.sort(found.eigenvalues[i].real))
        assert (values.real > 0).sum() == found.n_unstable[i]
        assert np.isclose(np.linalg.norm(found.directions[i]), 1.0)
    assert (np.diff(found.n_unstable) >= 0).all()
    assert (found.residual < 1e-12).all()
    assert (found.existence_radius < found.uniqueness_radius).all()


def test_boxes_are_given_up_beyond_their_work():
    (case,) = some("bistable", 1)
    equation = reduced(case.rnn, np.zeros(1), Singular.of(case.rnn), 3)
    assert equation.rank == 1
    assert solve_everywhere(equation, work=1000) is None
    assert len(solve_everywhere(equation).roots) == len(case.points)


def test_cascades_of_bistable_units_are_solved():
    """The last pairs are there in some states of the others alone: starts missed them."""
    for case in some("cascade", 24):
        found = search(case.rnn)
        assert (len(found), found.enumerated) == (len(case.points), True)
        assert completeness.missing(case.points, found.points) == 0
        assert np.isfinite(found.existence_radius).all()


def test_boxes_of_many_dimensions_are_given_up_early():
    """Twelve units with random weights have too many for proofs; starts are quick."""
    rng = np.random.default_rng(0)
    rnn = network(
        2.5 * rng.standard_normal((12, 12)) / np.sqrt(12), np.zeros(12), activation="tanh"
    )
    equation = reduced(rnn, np.zeros(1), Singular.of(rnn), 12, 24)
    assert np.array_equal(equation.U, rnn.W_rec) and equation.rank == 12
    assert solve_everywhere(equation) is None
    found = search(rnn)
    assert not found.enumerated and len(found) and found.n_starts > 0


def test_collective_starts_find_a_switch_that_trials_leave_off():
    """Of the states of one network's trials, none is near where its switch is on."""
    (case,) = some("beside a switch", 1)
    starts = Collective(case.rnn, np.zeros(1), 1.0, Singular.of(case.rnn))
    rng = np.random.default_rng(0)
    patterns, scans = starts.patterns(64, 0.75, rng), starts.scans(case.trials.T[:8], 64, rng)
    mean = case.points.mean(axis=1)
    for states in (patterns, scans):
        assert np.isfinite(states).all()
        assert states.mean(axis=1).max() > mean.max() - 0.2 * np.ptp(mean)


@pytest.mark.parametrize("name", ["ring 64", "ring 200", "line 100"])
def test_continua_are_recognised_after_a_few_dozen_members(name):
    found = search_times.CASES[name]()
    # One round of starts or two: rounding decides how many of a line are told apart.
    assert found.n_starts <= 256 and len(found) <= 96
    assert found.status == "incomplete"
    assert found.need_not_be_isolated.sum() >= 48


def test_no_claim_by_starts_where_many_of_them_come_to_no_point():
    """Of 27 points two are met once in a thousand starts, and 44 % of the starts are lost."""
    case = next(islice(families.planted(np.random.default_rng(PLANTED)), 1))
    found = search(case.rnn)
    assert not found.enumerated and found.n_converged < 0.95 * found.n_starts
    assert found.status == "probably complete" and 0 < found.unseen <= 1e-2
    assert found.message.startswith("probably complete: ")


def test_planted_points_are_fixed_points():
    for case in some("planted", 20):
        F = [case.rnn.rhs(x[:, None], np.zeros(1)) for x in case.points]
        assert np.abs(F).max() < 1e-9


@pytest.mark.parametrize("activation", ["relu", "leaky_relu"])
@pytest.mark.parametrize("gain", [0.0, 0.4])
def test_network_that_contracts_has_one_point_on_a_kink_too(activation, gain):
    W = gain * np.random.default_rng(0).standard_normal((40, 40)) / np.sqrt(40)
    found = search(network(W, np.zeros(40), activation=activation))
    assert (found.status, found.enumerated, found.n_starts, len(found)) == ("complete", True, 0, 1)
    assert np.abs(found.points).max() == 0 and list(found.stability) == ["stable"]
    assert found.message.startswith("complete: 1 point; every region")
