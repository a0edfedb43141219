"""Clusters of units: planted ones are found, with their number, weights and stability."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import adjusted_rand_score

from models.plots.clusters import plot_clusters
from models.populations.clusters import get_clusters, task_variance
from models.populations.settings import ClusterSettings
from tests.models.population_networks import Flags, copies

PLANTED = np.repeat([0, 1, 2], [12, 8, 6])


class Two(Flags):
    """Channel a in the first half of the trial, b in the second; context c gates nothing."""

    def generate_input_target_stream(self, a, b):
        inputs, target, condition = super().generate_input_target_stream(a, b)
        inputs[0, 20:], inputs[1, :20] = 0.0, 0.0
        return inputs, target, condition


def planted():
    """Units that answer to a alone, to b alone, to both; two that are silent."""
    rng = np.random.default_rng(0)
    gains = np.array([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]])[PLANTED]
    gains = gains * rng.uniform(0.5, 2.0, (len(PLANTED), 1))
    W_rec = np.zeros((28, 28))
    W_rec[np.ix_(np.arange(12), np.arange(12, 20))] = 1e-6  # to the first from the second
    bias = np.concatenate([np.full(26, 8.0), [-1.0, -1.0]])
    return copies(np.vstack([gains, np.zeros((2, 2))]), bias, W_rec=W_rec,
                  W_out=np.ones((1, 28)), x_init=np.maximum(bias, 0.0))  # fmt: skip


@pytest.mark.parametrize("features", ["task_variance", "response"])
def test_planted_clusters_are_found(features):
    found = get_clusters(planted(), Two(), ClusterSettings(features=features))
    assert found.status == "analysed"
    assert found.units.tolist() == list(range(26))  # not the silent ones
    assert adjusted_rand_score(PLANTED, found.labels) == pytest.approx(1.0)
    assert found.n_clusters == 3
    assert np.bincount(found.labels).tolist() == [12, 8, 6]  # by size
    assert found.silhouettes[3] > 0.9 > found.silhouettes[2]
    assert found.chance < found.silhouettes[3] - 0.1
    assert found.stability > 0.9
    wanted = np.zeros((3, 3))
    wanted[0, 1] = 1e-6
    assert found.weights == pytest.approx(wanted, abs=1e-12)
    assert found.weights_z[0, 1] > 2
    axes = plot_clusters(found, planted().W_rec).axes
    legends = [one.get_legend() for one in axes if one.get_legend()]
    assert [t.get_text() for one in legends for t in one.get_texts()] == ["permuted features"]


def test_task_variance_is_what_its_definition_says():
    rng = np.random.default_rng(1)
    rates = rng.normal(size=(5, 7, 2))
    steps = np.ones((5, 7), bool)
    steps[:, 0], steps[0, 1] = False, False
    wanted = []
    for unit in range(2):
        by_step = [np.var(rates[steps[:, t], t, unit]) for t in range(1, 7)]
        wanted.append(np.mean(by_step))
    assert task_variance(rates, steps) == pytest.approx(wanted)


def test_networks_without_clusters_say_why():
    same = copies(np.ones((6, 2)), np.full(6, 8.0))
    few = copies(np.ones((3, 2)), np.full(3, 8.0))
    for rnn, status in ((same, "alike"), (few, "few_units"), (copies(np.zeros((5, 2))), "silent")):
        found = get_clusters(rnn, Two())
        assert found.status == status and found.reason and found.n_clusters == 0
        assert plot_clusters(found, rnn.W_rec).axes


def test_what_cannot_be_clustered_is_said_in_words():
    # One period and no context: the only feature of each unit is its own largest variance.
    steady = copies(np.arange(1.0, 7.0)[:, None] * [1.0, 0.0], np.full(6, 9.0))
    always = Flags(on=0)
    found = get_clusters(steady, always)
    assert found.status == "alike" and "features = response" in found.reason
    alone = copies(np.eye(6)[:, :1] * [1.0, 0.0], np.ones(6))
    found = get_clusters(alone, always)
    assert found.status == "few_units"
    assert found.reason.startswith("of 6 active units 1 do not do the same in all trials")


def test_units_without_structure_are_no_better_than_permuted():
    rng = np.random.default_rng(0)
    rnn = copies(rng.uniform(0.1, 1, size=(60, 2)), np.full(60, 8.0), W_out=np.ones((1, 60)))
    found = get_clusters(rnn, Two(), ClusterSettings(n_shuffles=10))
    assert found.silhouettes[found.n_clusters] - found.chance < 0.15
