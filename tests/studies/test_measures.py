"""Measures of the studies, on networks whose answer is known by construction."""

from __future__ import annotations

import numpy as np
import pytest

from models import DynamicSystemAnalyzer, RNNNumpy
from studies.angle_memory.drift import (
    angular_error,
    decoded,
    ends_of_drift,
    nearest_samples,
    steps_apart,
)
from studies.huang_2025.figure import LEVELS
from studies.huang_2025.figure import draw as draw_degeneracy
from studies.huang_2025.measures import twice_as_long
from studies.huang_2025.weights import permuted_distance
from studies.machens_2005.tuning import mean_by, mean_weights, rank_correlation
from studies.mante_2013.decoding import cross_validated_r2
from studies.silent_units.measures import percentage_below, spread
from studies.song_2016.selectivity import d_prime
from studies.song_2016.selectivity import mean_weights as by_choice
from studies.sussillo_barak_2013.dynamics import (
    joined_memories,
    one_bit_edges,
    share_through_saddles,
    threshold_runs,
)
from studies.yang_2019.figure import draw as draw_lesions
from studies.yang_2019.lesions import (
    Lesions,
    correlation,
    fall,
    mean_excess,
    related_minus_others,
    share_selective,
)
from tasks_lib import NBitFlipFlop
from tasks_lib.angles import angle_code


@pytest.fixture(scope="module")
def cube():
    """Three bits that know nothing of each other: 27 fixed points, 8, 12, 6 and 1."""
    rnn = RNNNumpy(
        W_rec=2 * np.eye(3), W_inp=np.eye(3), W_out=np.eye(3), activation="tanh",
        equation_type="s", dt=0.5, tau=1.0,
    )  # fmt: skip
    points = DynamicSystemAnalyzer(rnn, NBitFlipFlop(seed=0), seed=0).get_fixed_points("zero")
    return rnn, points


def test_the_saddles_of_independent_bits_are_the_edges_of_a_cube(cube):
    rnn, points = cube
    assert np.bincount(points.n_unstable).tolist() == [8, 12, 6, 1]
    joined = joined_memories(rnn, points)
    assert len(joined) == 12 and len(one_bit_edges(joined)) == 12


def test_every_threshold_pulse_of_independent_bits_passes_its_saddle(cube):
    rnn, points = cube
    found = threshold_runs(rnn, points)
    assert found is not None and found.runs.shape[2] == 24
    assert found.strengths == pytest.approx(np.full(24, found.strengths[0]))  # all bits are alike
    assert share_through_saddles(rnn, points, found) == 1
    shifted = RNNNumpy(
        W_rec=2 * np.eye(3), W_inp=np.eye(3), W_out=-np.eye(3), activation="tanh",
        equation_type="s", dt=0.5, tau=1.0,
    )  # fmt: skip
    # Signs are read the other way round: a pulse drives each bit away from what is wanted.
    assert threshold_runs(shifted, points) is None


def test_memories_that_are_missing_are_no_transitions(cube):
    rnn, points = cube
    flat = RNNNumpy(
        W_rec=np.diag([2.0, 2.0, 0.5]), W_inp=np.eye(3), W_out=np.eye(3), activation="tanh",
        equation_type="s", dt=0.5, tau=1.0,
    )  # fmt: skip
    two = DynamicSystemAnalyzer(flat, NBitFlipFlop(seed=0), seed=0).get_fixed_points("zero")
    assert np.bincount(two.n_unstable).tolist() == [4, 4, 1]
    assert threshold_runs(flat, two) is None  # four states for eight memories
    assert share_through_saddles(rnn, points, threshold_runs(rnn, points)) == 1


def test_where_a_drift_leads():
    angle = 2 * np.pi * np.arange(40) / 40
    ends = ends_of_drift(-np.sin(2 * (angle - 0.01)))  # stable near 0 and pi
    assert {int(e) for e in ends} == {0, 20}
    assert ends[5] == 0 and ends[35] == 0 and ends[15] == 20 and ends[25] == 20
    assert (ends_of_drift(np.ones(10)) == -1).all()  # it goes round
    assert steps_apart(np.array([1, 0]), np.array([39, 5]), 40).tolist() == [2, 5]
    samples = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    assert nearest_samples(1.1 * samples[[3, 30]].T, samples).tolist() == [3, 30]


def test_angles_are_read_from_their_code():
    theta = 2 * np.pi * np.arange(3) / 3
    codes = np.stack([angle_code(t, 3) for t in theta], axis=1)
    assert angular_error(decoded(codes), theta) == pytest.approx(np.zeros(3), abs=1e-6)
    assert angular_error(np.array([0.1]), np.array([2 * np.pi - 0.1])) == pytest.approx(
        [11.459], 1e-3
    )


def test_ranks_and_weights_of_opposite_codes():
    frequencies = np.array([10.0, 20.0, 10.0, 30.0])
    rates = np.array([[1.0, 5, 3], [2, 4, 3], [3, 5, 3], [9, 1, 3]])
    found, means = mean_by(frequencies, rates)
    assert found.tolist() == [10, 20, 30] and means[0].tolist() == [2, 5, 3]
    assert rank_correlation(means[:, 1:]).tolist() == pytest.approx([-1, 0])
    assert rank_correlation(np.array([[1.0], [3], [2]]))[0] == pytest.approx(0.5)
    signs = np.array([1, 1, -1, -1, 0])
    W = np.where(np.equal.outer(signs, signs), 0.5, -0.25)
    np.fill_diagonal(W, 100.0)  # does not count
    assert mean_weights(W, signs) == (0.5, -0.25)
    assert mean_weights(W, np.array([1, 1, -1, 0, 0])) is None


def test_a_number_is_decoded_where_it_is_and_not_where_it_is_not():
    rng = np.random.default_rng(0)
    values = rng.choice([-1.0, 0.0, 1.0], 200)
    rates = rng.normal(size=(200, 20))
    assert cross_validated_r2(rates, values) < 0.1
    assert cross_validated_r2(rates + values[:, None] * np.linspace(0, 2, 20), values) > 0.8


def test_silent_units_and_the_spread_of_the_others():
    largest = np.array([0.0, 0.009, 0.02, 1.0, 2.0])
    mean = np.array([0.0, 0.005, 0.01, 0.1, 1.0])
    assert percentage_below(largest, 0.01) == 40
    assert spread(largest, mean, 0.01) == pytest.approx(np.std([-2, -1, 0]))
    assert spread(largest[:3], mean[:3], 0.01) is None and percentage_below(largest[:0], 1) is None


def test_selectivity_and_the_weights_by_it():
    choices = np.repeat([1, -1, 0], [50, 50, 20])
    rng = np.random.default_rng(1)
    noise = rng.normal(size=(120, 4))
    rates = noise + np.array([3.0, -3.0, 0.0, 0.0]) * (choices == 1)[:, None]
    rates[:, 3] = 1.0  # never varies
    found = d_prime(rates, choices)
    assert found[:2] == pytest.approx([3, -3], abs=0.8) and abs(found[2]) < 0.5 and found[3] == 0
    assert not d_prime(rates, np.ones(120, int)).any()
    selectivity = np.array([2.0, 2.0, -2.0, 2.0, -2.0, 0.0])
    senders = np.array([True, True, True, False, False, False])
    W = np.full((6, 6), 9.0)  # of units without a choice, and that do not send
    W[np.ix_([0, 1, 3], [0, 1])] = 0.5
    W[np.ix_([2, 4], [0, 1])] = W[np.ix_([0, 1, 3], [2])] = 0.1
    W[4, 2] = 0.5
    np.fill_diagonal(W, 100.0)
    assert by_choice(-W, selectivity, senders) == pytest.approx((0.5, 0.1))
    assert by_choice(W, np.abs(selectivity), senders) is None


def test_weights_of_which_only_the_order_of_units_differs():
    rng = np.random.default_rng(0)
    W = rng.normal(size=(12, 12))
    order = rng.permutation(12)
    assert permuted_distance(W, W[np.ix_(order, order)]) == pytest.approx(0, abs=1e-12)
    assert permuted_distance(W, W) == 0
    # Never further apart than as they are; the swap of the two units is found.
    other = rng.normal(size=(12, 12))
    assert 0 < permuted_distance(W, other) <= np.linalg.norm(W - other)
    assert permuted_distance(np.diag([3.0, 0]), np.diag([0, 1.0])) == pytest.approx(2)


def test_longer_trials_have_pulses_as_far_apart():
    longer = twice_as_long(NBitFlipFlop(n_steps=60, n_bits=2, mu=4.0, pulse=1, batch_size=3))
    assert (longer.n_steps, longer.n_bits, longer.pulse, longer.batch_size) == (120, 2, 1, 256)
    assert longer.n_steps / longer.mu == 15


def test_the_figure_of_degeneracy_leaves_out_what_was_not_computed():
    cohorts = ("bits_1", "bits_2", "bits_3", "bits_4", "small", "large", "sparse")
    matrix = np.ones((4, 4))
    found = {level: dict.fromkeys(cohorts, matrix) for level in (*LEVELS, "untrained")}
    found["behaviour"] = dict.fromkeys(cohorts, np.arange(4.0))
    found["dynamics"] = dict.fromkeys(cohorts, np.full((4, 4), np.nan))
    figure = draw_degeneracy(found, dict.fromkeys(cohorts, 64))
    labels = [ax.get_ylabel() for ax in figure.axes if ax.get_ylabel()]
    assert labels == [LEVELS[level][0] for level in ("behaviour", "activity", "weights")]
    del found["activity"]["bits_2"]  # too few networks solve it
    assert len(draw_degeneracy(found, {}).axes) == 9


def test_lesions_that_harm_what_their_cluster_serves():
    variances = np.array([[1.0, 0.6, 0.0], [0.05, 0.2, 1.0]])
    falls = np.array([[0.8, 0.4, 0.0], [0.0, 0.01, 0.5]])
    found = Lesions(["a", "b", "c"], [4, 3], variances, falls, np.full((2, 3), 0.1))
    assert correlation(variances, falls) == pytest.approx(
        np.corrcoef(variances.ravel(), falls.ravel())[0, 1]
    )
    assert correlation(variances, -variances) == pytest.approx(-1)
    assert correlation(variances, np.ones((2, 3))) is None
    assert mean_excess(found, 0.5, np.inf) == pytest.approx((0.8 + 0.4 + 0.5) / 3 - 0.1)
    assert mean_excess(found, 0.0, 0.1) == pytest.approx(-0.1)
    assert mean_excess(found, 2.0, 3.0) is None
    assert share_selective(falls) == 1
    assert share_selective(np.array([[0.5, 0.3], [0.05, 0.0], [0.2, 0.01]])) == pytest.approx(1 / 3)
    # A score below 0 is no worse than none, and so is one that overflows.
    assert fall(0.9, 0.5) == pytest.approx(0.4) and fall(0.9, -3.0) == fall(0.9, None) == 0.9
    assert fall(-0.2, 0.1) == pytest.approx(-0.1)


def test_tasks_that_use_the_same_units_are_related():
    rng = np.random.default_rng(2)
    one, other = rng.uniform(size=(2, 200))
    names = ["a", "b", "c", "d"]
    variances = np.stack([one, one, other, other], axis=1)
    pairs = [["b", "a"], ["c", "d"]]
    assert related_minus_others(variances, names, pairs) > 0.7  # two draws correlate a little
    assert related_minus_others(variances, names, [["a", "c"], ["b", "d"]]) < -0.2
    assert related_minus_others(np.ones((200, 4)), names, pairs) is None


def test_the_figure_of_lesions_has_every_task_and_cluster():
    variances = np.array([[0.0, 1.0], [1.0, 0.0]])
    labels = np.array([0, 0, 0, 1, 1])
    found = Lesions(["a", "b"], [3, 2], variances, variances / 2, variances / 10)
    figure = draw_lesions(variances[labels], labels, found, ["b", "a"])
    units, lesions, random = figure.axes[:3]
    assert [t.get_text() for t in units.get_yticklabels()] == ["b", "a"]
    # Sorted by the task that a cluster serves most, tasks as they were given.
    assert units.images[0].get_array().tolist() == [[1, 1, 1, 0, 0], [0, 0, 0, 1, 1]]
    assert lesions.images[0].get_array().tolist() == [[-0.5, 0], [0, -0.5]]
    assert random.images[0].get_array().tolist() == [[-0.1, 0], [0, -0.1]]
    assert [t.get_text() for t in lesions.get_xticklabels()] == ["1", "2"]
