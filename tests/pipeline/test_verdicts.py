"""Numbers over networks with their intervals, and verdicts by them."""

from __future__ import annotations

import math

import numpy as np
import pytest

from pipeline.reproduction.forms import differences, reduced_sections
from pipeline.reproduction.verdicts import (
    STANDARD_DEVIATION,
    judge,
    range_in_words,
    summarise,
    summarise_pairs,
)

EIGHT = (8.0, 8.0)


def test_networks_that_all_give_the_same():
    found = summarise([8, 8, 8, 8])
    assert (found.value, found.low, found.high, found.n) == (8, 8, 8, 4)
    assert judge(found, EIGHT, 3) == ("reproduced", True)
    assert judge(found, (7, 7.5), 3) == ("not reproduced", True)


def test_a_median_with_its_interval():
    found = summarise([1.0, 2.0, 3.0, 4.0, 100.0])
    assert found.value == 3 and found.low == 1 and found.high == 100
    assert summarise([1.0, 2.0, 3.0, 4.0, 100.0]) == found  # the same resamples
    assert summarise([1.0, 2.0, 3.0], "mean").value == 2


def test_an_interval_that_crosses_the_bound_is_not_clear():
    values = [8, 8, 8, 8, 7, 7]
    assert judge(summarise(values), EIGHT, 3) == ("reproduced", False)
    assert judge(summarise([7, 7, 7, 7, 8, 8]), EIGHT, 3) == ("not reproduced", False)


def test_a_share_has_the_interval_of_wilson():
    found = summarise([1, 1, 1, 1, 0, 0, 0, 0, 0, 0], "share")
    assert found.value == 0.4 and found.interval == "Wilson"
    z, n = 1.959963984540054, 10  # the formula, written out
    middle = (0.4 + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z / (1 + z**2 / n) * math.sqrt(0.4 * 0.6 / n + z**2 / (4 * n**2))
    assert (found.low, found.high) == pytest.approx((middle - half, middle + half))
    assert summarise([1.0] * 4, "share").high == 1


def test_two_groups():
    found = summarise([4.0, 4.0, 4.0], "median", [2.0, 2.0, 2.0, 2.0])
    assert (found.value, found.low, found.high, found.n) == (2, 2, 2, 3)
    assert summarise([4.0] * 3, "mean", [2.0] * 3, "ratio").value == 2
    no_ratio = summarise([4.0] * 3, "median", [0.0] * 3, "ratio")
    assert no_ratio.value is None and judge(no_ratio, (0, 1), 3)[0] == "too few networks"
    some = summarise([4.0] * 3, "mean", [0.0, 0.0, 1.0], "ratio")
    assert some.value == pytest.approx(12) and some.low is None  # resamples of 0 alone
    assert judge(some, (10, 20), 3) == ("reproduced", False)


def test_too_few_networks():
    for values in ([], [8], [8, 8]):
        assert judge(summarise(values), EIGHT, 3) == ("too few networks", False)
    assert judge(summarise([], "share"), EIGHT, 3)[0] == "too few networks"
    assert judge(summarise([1.0] * 5, "median", []), EIGHT, 3)[0] == "too few networks"


def test_ranges_in_words():
    inf = math.inf
    assert [range_in_words(r) for r in (EIGHT, (1, 2), (0.9, inf), (-inf, 0))] == [
        "8", "1 to 2", "0.9 or more", "0 or less",
    ]  # fmt: skip


WHOLE = {
    "tasks": {"t": {"class": "XOR"}},
    "networks": {"n": {"n_units": 100}},
    "trainings": {"a": {"max_iter": 1000, "lr": 0.1}},
    "cohorts": {
        "x": {"task": "t", "network": "n", "training": "a", "first_seed": 0, "n_networks": 30},
        "y": {"task": "t", "network": "own", "training": "a", "first_seed": 0, "n_networks": 30},
    },
}


def test_sets_that_differ_in_the_reduced_form_have_another_name():
    changes = {"trainings": {"a": {"max_iter": 10}}, "cohorts": {"x": {"n_networks": 2}}}
    form = reduced_sections(WHOLE, changes)
    assert form["trainings"] == {"a_reduced": {"max_iter": 10, "lr": 0.1}}
    assert form["tasks"] == WHOLE["tasks"] and form["networks"] == WHOLE["networks"]
    assert form["cohorts"]["x"] == {
        "task": "t", "network": "n", "training": "a_reduced", "first_seed": 0, "n_networks": 2,
    }  # fmt: skip
    assert form["cohorts"]["y"]["network"] == "own" and form["cohorts"]["y"]["n_networks"] == 30
    assert WHOLE["trainings"]["a"]["max_iter"] == 1000  # is not changed
    assert differences(WHOLE, changes) == [
        "trainings.a.max_iter: 10 instead of 1000",
        "cohorts.x.n_networks: 2 instead of 30",
    ]
    new = {"networks": {"n": {"tau": 5.0, "n_units": 100}}}
    assert differences(WHOLE, new) == ["networks.n.tau: 5.0 instead of the default"]
    assert reduced_sections(WHOLE, {}) == WHOLE


def test_the_spread_of_networks():
    found = summarise([1.0, 2.0, 3.0, 4.0], STANDARD_DEVIATION)
    assert found.value == pytest.approx(np.std([1, 2, 3, 4], ddof=1))
    # Of 256 resamples four are all alike (1.6 %); then come 1 1 1 2 and the like. Largest: 1 1 4 4.
    assert (found.low, found.high) == pytest.approx((0.5, math.sqrt(3)))
    twice = summarise([2.0, 4.0, 6.0, 8.0], STANDARD_DEVIATION, [1.0, 2.0, 3.0, 4.0])
    assert twice.value == pytest.approx(found.value)
    for one in (summarise([1.0], STANDARD_DEVIATION), summarise([], STANDARD_DEVIATION)):
        assert one.value is None and judge(one, EIGHT, 3)[0] == "too few networks"
    assert summarise([1.0, 2.0], STANDARD_DEVIATION, [1.0], "ratio").value is None


def symmetric(*above):
    """The matrix whose pairs 0-1, 0-2, ..., 1-2, ... are given."""
    n = round((1 + math.sqrt(1 + 8 * len(above))) / 2)
    matrix = np.zeros((n, n))
    matrix[np.triu_indices(n, 1)] = above
    return matrix + matrix.T


def test_the_mean_over_pairs():
    found = summarise_pairs(symmetric(1.0, 2.0, 6.0))
    assert (found.value, found.n, found.interval) == (3, 3, "bootstrap")
    # Of three networks, two at least are in every resample: the least and the largest are a pair.
    assert (found.low, found.high) == (1, 6)
    same = summarise_pairs(symmetric(*[2.0] * 6))
    assert (same.value, same.low, same.high, same.n) == (2, 2, 2, 4)
    matrix = symmetric(1.0, 2.0, np.nan, 6.0, np.nan, np.nan)  # the last has no number
    np.fill_diagonal(matrix, 100.0)  # is not read
    assert summarise_pairs(matrix) == summarise_pairs(matrix)
    assert (summarise_pairs(matrix).value, summarise_pairs(matrix).n) == (3, 3)


def test_too_few_pairs():
    for matrix in (np.empty((0, 0)), [[0.0]], symmetric(np.nan)):
        found = summarise_pairs(matrix)
        assert found.value is None and found.n == 0
    two = summarise_pairs(symmetric(5.0))
    assert (two.value, two.low, two.n) == (5, None, 2)
    assert judge(two, (5, 5), 3) == ("too few networks", False)
    assert summarise_pairs(symmetric(1.0, 2.0, 6.0), symmetric(np.nan), "ratio").value is None


def test_two_groups_of_pairs():
    first, second = symmetric(*[4.0] * 3), symmetric(*[2.0] * 6)
    ratio = summarise_pairs(first, second, "ratio")
    assert (ratio.value, ratio.low, ratio.high, ratio.n) == (2, 2, 2, 3)
    assert summarise_pairs(first, second).value == 2
    assert summarise_pairs(first, symmetric(*[0.0] * 3), "ratio").value is None


def width(found):
    return found.high - found.low


def test_pairs_that_share_a_network_are_not_independent():
    """Each network adds its own number to all its distances: the error of the mean is known."""
    own = np.random.default_rng(0).normal(10, 1, 60)
    found = summarise_pairs(own[:, None] + own[None])
    assert found.value == pytest.approx(2 * own.mean())
    error = 2 * own.std() / math.sqrt(60)
    assert width(found) == pytest.approx(2 * 1.96 * error, rel=0.1)
    # Too narrow: intervals of drawn pairs, and of each network's mean distance to the rest.
    matrix = own[:, None] + own[None]
    pairs = summarise(matrix[np.triu_indices(60, 1)].tolist(), "mean")
    each = summarise(((matrix.sum(axis=0) - np.diag(matrix)) / 59).tolist(), "mean")
    assert width(found) / width(pairs) == pytest.approx(math.sqrt(59), rel=0.15)
    assert width(found) / width(each) == pytest.approx(2, rel=0.15)
