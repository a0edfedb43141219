"""Distances between networks: known answers, and what holds for all networks."""

from __future__ import annotations

from dataclasses import replace
from importlib.util import find_spec

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.comparison.distances import compare_networks, distance_matrix, missing_reason
from models.comparison.point_sets import point_set_distances, point_spectra
from models.comparison.reduction import ComparedNetwork, reduce_network
from models.comparison.settings import DISTANCES, ComparisonSettings
from models.network.rnn_numpy import RNNNumpy
from tasks_lib import ParameterError
from tests.models.population_networks import Flags, copies

TASK = Flags(n_steps=20, on=5)
METRICS = (
    "output_distance", "choice_distance", "procrustes_distance", "matching_distance",
    "cka_distance", "rsa_distance", "point_number_distance", "point_index_distance",
    "point_spectrum_distance", "singular_value_distance",
)  # fmt: skip
ACTIVITY = ("procrustes_distance", "matching_distance", "cka_distance", "rsa_distance")


def random_network(seed, n=12, order=None):
    """A random network; with ``order``, the same with its units in another order."""
    rng = np.random.default_rng(seed)
    W = {
        "W_rec": rng.normal(size=(n, n)) * 1.2 / np.sqrt(n),
        "W_inp": rng.normal(size=(n, 2)),
        "W_out": rng.normal(size=(1, n)) / n,
        "b_rec": rng.normal(size=n) * 0.1,
    }
    if order is not None:
        W["W_rec"] = W["W_rec"][np.ix_(order, order)]
        W["W_inp"], W["b_rec"] = W["W_inp"][order], W["b_rec"][order]
        W["W_out"] = W["W_out"][:, order]
    return RNNNumpy(**W, activation="tanh", tau=1.0, dt=0.3)


def random_points(seed, n=12):
    rng = np.random.default_rng(seed)
    found = {}
    for name in ("a", "b"):
        n_points = int(rng.integers(0, 4))
        values = rng.normal(size=(n_points, n)) - 0.5
        values = -np.sort(-values, axis=1) + 1j * rng.normal(size=(n_points, n))
        found[name] = point_spectra((values.real > 0).sum(axis=1), values, 3)
    return found


def reduced(rnn, points_seed=None, **options):
    points = None if points_seed is None else random_points(points_seed)
    return reduce_network(rnn, TASK, ComparisonSettings(**options), points=points)


def made(components, n_units=None):
    """A network of which only the activity is known; columns are centred."""
    X = np.asarray(components, dtype=float)
    X = X / np.linalg.norm(X)
    left, values, right = np.linalg.svd(X, full_matrices=False)
    kept = values > 1e-12
    n = X.shape[1]
    zeros = {"W_rec": np.zeros((n, n)), "W_inp": np.zeros((n, 1)), "W_out": np.zeros((1, n)),
             "b_rec": np.zeros(n)}  # fmt: skip
    return ComparedNetwork(
        "analysed", "", n, 1, left[:, kept] * values[kept], right[kept].T, 1.0, weights=zeros
    )


def pair(first, second, **options):
    found = compare_networks([first], [second], ComparisonSettings(**options))
    return {name: float(values[0, 0]) for name, values in found.items()}


def test_a_permuted_copy_has_no_distance():
    order = np.random.default_rng(3).permutation(12)
    one, other = reduced(random_network(0), 5), reduced(random_network(0, order=order), 5)
    found = pair(one, other)
    assert set(found) == set(DISTANCES)
    assert np.isnan(found.pop("dsa_distance"))  # not asked for
    assert max(found.values()) < 1e-6
    apart = pair(one, reduced(random_network(1), 6))
    del apart["dsa_distance"], apart["choice_distance"]
    assert min(apart.values()) > 0.05


def test_silent_units_are_matched_by_their_weights():
    # Two units that never do anything, and differ in their weights alone.
    W_rec = np.zeros((4, 4))
    W_rec[0, 1], W_rec[2, 3], W_rec[3, 0] = 0.1, 0.7, -0.4
    order = [1, 3, 0, 2]
    base = {"W_inp": [[1.0, 0.3], [0.2, 1.0], [0.0, 0.0], [0.0, 0.0]], "b_rec": [2, 2, -9, -9]}
    one = copies(base["W_inp"], base["b_rec"], W_rec=W_rec, W_out=[[1.0, 0, 0, 0]])
    other = copies(
        np.array(base["W_inp"])[order], np.array(base["b_rec"])[order],
        W_rec=W_rec[np.ix_(order, order)], W_out=np.eye(1, 4)[:, order],
    )  # fmt: skip
    found = pair(reduced(one), reduced(other))
    assert found["weight_distance"] < 1e-12 and found["matching_distance"] < 1e-6


def test_rotated_activity_is_the_same_by_procrustes_and_not_by_matching():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(40, 6)) * np.linspace(1, 0.2, 6)
    Q = np.linalg.qr(rng.normal(size=(6, 6)))[0]
    found = pair(made(X), made(X @ Q))
    assert found["procrustes_distance"] < 1e-6 and found["cka_distance"] < 1e-6
    assert found["matching_distance"] > 0.1
    found = pair(made(X), made(2.0 * X))  # the size does not matter
    assert found["procrustes_distance"] < 1e-6
    # A unit that does nothing is none.
    wider = np.column_stack([X, np.zeros(40)])[:, [6, 3, 1, 0, 2, 5, 4]]
    found = pair(made(X), made(wider))
    assert found["procrustes_distance"] < 1e-6 and found["matching_distance"] < 1e-6
    assert np.isnan(found["weight_distance"]) and np.isnan(found["singular_value_distance"])


def test_orthogonal_activity_shares_nothing():
    Q = np.linalg.qr(np.random.default_rng(1).normal(size=(30, 7)))[0]
    found = pair(made(Q[:, :3]), made(Q[:, 3:]))
    for name in ("procrustes_distance", "cka_distance", "matching_distance"):
        assert found[name] == pytest.approx(np.pi / 2, abs=1e-7)


def test_cka_and_procrustes_are_what_their_formulas_say():
    rng = np.random.default_rng(2)
    X, Y = rng.normal(size=(25, 4)), rng.normal(size=(25, 6))
    X, Y = X - X.mean(axis=0), Y - Y.mean(axis=0)
    cross = X.T @ Y
    cka = (cross**2).sum() / np.linalg.norm(X.T @ X) / np.linalg.norm(Y.T @ Y)
    nuclear = np.linalg.norm(cross, "nuc") / np.linalg.norm(X) / np.linalg.norm(Y)
    found = pair(made(X), made(Y))
    assert np.cos(found["cka_distance"]) == pytest.approx(cka)
    assert np.cos(found["procrustes_distance"]) == pytest.approx(nuclear)


def test_activity_is_that_of_the_trials():
    rnn = random_network(4)
    one = reduced(rnn, n_times=20, n_components=12, max_trials=24)
    states, outputs = rnn.run(TASK.get_batch()[0])
    flat = rnn.equation.rates(states).transpose(2, 1, 0).reshape(-1, 12)
    flat = flat - flat.mean(axis=0)
    again = one.components @ one.loadings.T
    assert again == pytest.approx(flat / np.linalg.norm(flat), abs=1e-9)
    assert one.kept_variance == pytest.approx(1.0)
    assert one.outputs @ one.outputs == pytest.approx((outputs**2).mean())
    few = reduced(rnn, n_times=20, n_components=2)
    assert few.components.shape == (24 * 20, 2) and 0.3 < few.kept_variance < 1.0
    assert np.linalg.norm(few.components) == pytest.approx(1.0)


def test_rsa_follows_the_order_of_distances_between_trials():
    # The first unit spreads trials by a; the second network by a alone, but not linearly.
    one = reduced(copies([[1.0, 0.0]], [9.0]))
    same = reduced(copies([[3.0, 0.0], [0.0, 0.0]], [9.0, 0.0], W_out=[[1.0, 0.0]]))
    other = reduced(copies([[0.0, 1.0]], [9.0]))
    assert pair(one, same)["rsa_distance"] < 1e-6
    assert pair(one, other)["rsa_distance"] > 1.0


def test_behaviour_is_compared_by_outputs_and_choices():
    yes, no = copies([[1.0, 0.0]], [9.0], W_out=[[1.0]]), copies([[1.0, 0.0]], [9.0])
    shifted = copies([[1.0, 0.0]], [9.0], W_out=[[0.5]])
    assert pair(reduced(yes), reduced(no))["output_distance"] == 0.0
    found = pair(reduced(yes), reduced(shifted))
    wanted = reduced(yes).outputs - reduced(shifted).outputs
    assert found["output_distance"] == pytest.approx(np.linalg.norm(wanted))
    # Their choice is the sign of the last output: always 1, and -1.
    away = copies([[1.0, 0.0]], [9.0], W_out=[[-1.0]])
    assert pair(reduced(yes), reduced(away))["choice_distance"] == 1.0


def test_hand_made_sets_of_points():
    one = point_spectra([0, 0, 1], [[-1, -2], [-1, -2], [0.5, -2]], 2)
    two = point_spectra([0, 0], [[-1, -2], [-1.3, -2.4]], 2)
    none = point_spectra([], np.empty((0, 2)), 2)
    assert point_set_distances({"a": one}, {"a": one}, 1.0) == (0.0, 0.0, 0.0)
    number, index, spectrum = point_set_distances({"a": one}, {"a": two}, 1.0)
    assert (number, index) == (1.0, 1.0)
    # One point is there in both, one is 0.25 / sqrt(2) away, the saddle has no partner.
    assert spectrum == pytest.approx((1.0 + np.sqrt((0.3**2 + 0.4**2) / 2)) / 3)
    assert point_set_distances({"a": one}, {"a": none}, 0.7) == (3.0, 3.0, pytest.approx(0.7))
    assert point_set_distances({"a": none}, {"a": none}, 1.0) == (0.0, 0.0, 0.0)
    # Over inputs it is the mean; a spiral is the same whichever of its pair comes first.
    spiral = point_spectra([0], [[-1 + 2j, -1 - 2j]], 1)
    mirrored = point_spectra([0], [[-1 - 2j, -1 + 2j]], 1)
    both = {"a": one, "b": spiral}, {"a": two, "b": mirrored}
    assert point_set_distances(*both, 1.0)[0] == 0.5
    many = point_spectra(np.arange(6), -np.arange(12.0).reshape(6, 2), 2)
    assert point_set_distances({"a": many}, {"a": many}, 5.0) == (0.0, 0.0, 0.0)


@settings(max_examples=15, deadline=None)
@given(st.lists(st.integers(0, 10_000), min_size=3, max_size=3), st.integers(4, 9))
def test_distances_are_symmetric_and_obey_the_triangle_inequality(seeds, n):
    networks = [reduced(random_network(s, n + i), s) for i, s in enumerate(seeds)]
    networks = [*networks, reduced(random_network(seeds[0] + 1, n), seeds[1])]
    found = compare_networks(networks, [*networks])  # another list: each pair both ways
    again = distance_matrix(networks)
    for name in DISTANCES:
        values = found[name]
        assert values == pytest.approx(values.T, abs=1e-6, nan_ok=True), name
        apart = ~np.eye(len(values), dtype=bool)
        assert again[name][apart] == pytest.approx(values[apart], abs=1e-6, nan_ok=True), name
        assert not np.diag(again[name]).any()
    for name in METRICS:
        values = found[name]
        legs = values[:, :, None] + values[None]
        through = np.where(np.isnan(legs), np.inf, legs).min(axis=1)
        known = np.isfinite(values)
        assert known.any() and (values <= through + 1e-6)[known].all(), name


def test_what_a_pair_lacks_has_a_reason():
    one = reduced(random_network(0), 1)
    silent = reduced(copies(np.zeros((12, 2))))
    with np.errstate(all="ignore"):
        growing = reduced(copies(np.ones((12, 2)), W_rec=9e90 * np.eye(12)))
    assert silent.status == "silent" and growing.status == "not_finite"
    found = pair(one, silent)
    assert all(np.isnan(found[name]) for name in (*ACTIVITY, "weight_distance"))
    assert found["output_distance"] > 0 and found["singular_value_distance"] > 0
    reason = missing_reason(one, silent, found)
    assert "no unit's |rate|" in reason and "fixed points" not in reason  # nobody asked
    assert np.isnan(pair(one, growing)["output_distance"])
    assert "overflow" in missing_reason(one, growing, pair(one, growing))
    wider = reduced(random_network(1, 13), 2)
    found = pair(one, wider)
    assert missing_reason(one, wider, found) == "weights: 12 and 13 units"
    assert all(np.isfinite(found[name]) for name in ACTIVITY)
    unsearched = replace(one, points=None, points_reason="the search is incomplete")
    assert "incomplete" in missing_reason(one, unsearched, pair(one, unsearched))
    assert missing_reason(one, one, pair(one, one)) == ""
    unmatched = pair(one, one, match="none", search="")
    assert np.isnan(unmatched["matching_distance"]) and np.isnan(unmatched["point_index_distance"])


def test_without_its_library_dsa_says_so(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "DSA", None)
    one = reduced(random_network(0), dsa="wasserstein")
    found = pair(one, one, dsa="wasserstein")
    assert np.isnan(found["dsa_distance"])
    assert "dsa-metric is not installed" in missing_reason(one, one, found)


# The extra `dsa` is not installed with the others: its test is where it is.
if find_spec("DSA") is not None:

    def test_with_its_library_dsa_compares_dynamics():
        options = {"dsa": "wasserstein", "n_times": 20}
        order = np.random.default_rng(3).permutation(12)
        one, same = (reduced(random_network(0, order=o), **options) for o in (None, order))
        other = reduced(random_network(1), **options)
        apart = pair(one, other, **options)["dsa_distance"]
        assert apart > 0 and pair(one, same, **options)["dsa_distance"] < 0.01 * apart


def test_settings_are_checked():
    with pytest.raises(ParameterError, match="max_trials"):
        ComparisonSettings(max_trials=1)
    with pytest.raises(ParameterError, match="dsa"):
        ComparisonSettings(dsa="own")


def test_networks_of_different_tasks_or_settings_are_refused():
    one = reduce_network(random_network(0), Flags())
    longer = reduce_network(random_network(1), Flags(), ComparisonSettings(n_times=7))
    fewer = reduce_network(random_network(1), Flags(), ComparisonSettings(max_trials=5))
    silent = reduce_network(copies(-np.ones((3, 2)), -np.ones(3)), Flags())
    for other, what in ((longer, "samples of activity"), (fewer, "trials")):
        with pytest.raises(ParameterError, match=f"networks = .*are numbers of {what}"):
            distance_matrix([one, silent, other])
