"""Measures of how alike the networks of a cohort are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

import models
import pipeline as p
from pipeline.tables.keys import network_key
from pipeline.tables.performance import VALIDATION_SEED, fetch_network
from tasks_lib import NBitFlipFlop

from .weights import permuted_distance

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Float = NDArray[np.float64]
Key = Mapping[str, Any]
TRIALS = 256  # of twice the length, the same for all networks


def error_of_longer_trials(key: Key) -> float:
    """Return the mean squared error, without noise, in trials of twice the length."""
    rnn, task = fetch_network(dict(key))
    return float(models.PerformanceAnalyzer(rnn, twice_as_long(task)).validate().mse)


def twice_as_long(task: NBitFlipFlop) -> NBitFlipFlop:
    """Return the task with trials of twice the length, and pulses as far apart."""
    return NBitFlipFlop(
        n_steps=2 * task.n_steps, n_bits=task.n_bits, mu=2 * task.mu, pulse=task.pulse,
        batch_size=TRIALS, seed=VALIDATION_SEED,
    )  # fmt: skip


def distances(keys: Sequence[Key], column: str) -> Float:
    """Return a distance of `NetworkPair` between all networks (n, n); NaN where a pair has none."""
    members, matrix = p.distance_matrix(keys[0]["comparison_name"], column)
    place = {network_key(member): i for i, member in enumerate(members)}
    chosen = [place[network_key(dict(key))] for key in keys]
    return np.asarray(matrix[np.ix_(chosen, chosen)])


def weight_distances(keys: Sequence[Key], over: str = "number") -> Float:
    """Return the distances of recurrent weights between all networks, the units in the best order.

    Over the number of weights N^2, as published; or over the sum of both norms, so that networks of
    larger weights are no further apart for that.
    """
    return _distances_of([fetch_network(dict(key))[0].W_rec for key in keys], over)


def untrained_weight_distances(keys: Sequence[Key]) -> Float:
    """Return the distances over N^2 between the weights that the networks had before training."""
    config = p.NetworkParams.build((p.NetworkParams & keys[0]).fetch1())
    task = p.Task.build((p.Task & keys[0]).fetch1(), seed=0)
    sizes = task.n_inputs, task.n_outputs
    drawn = [models.initial_connectivity(config, *sizes, key["seed"]) for key in keys]
    return _distances_of([each.W_rec for each in drawn], "number")


def _distances_of(weights: Sequence[Float], over: str) -> Float:
    found = np.zeros((len(weights), len(weights)))
    for i, j in combinations(range(len(weights)), 2):
        norms = float(np.linalg.norm(weights[i]) + np.linalg.norm(weights[j]))
        scale = norms if over == "norms" else float(weights[i].size)
        found[i, j] = found[j, i] = permuted_distance(weights[i], weights[j]) / scale
    return found


def plot(networks: Mapping[str, Sequence[Key]]) -> Figure:
    """Draw the degeneracy at each level by the number of bits, the size, and with sparsity."""
    from .figure import LEVELS, draw

    found: dict[str, dict[str, Float]] = {level: {} for level in (*LEVELS, "untrained")}
    sizes = {}
    for label, keys in networks.items():
        if len(keys) < 2:
            continue
        errors = [error_of_longer_trials(key) for key in keys]
        found["behaviour"][label] = np.array(errors)
        found["dynamics"][label] = distances(keys, "dsa_distance")
        found["activity"][label] = distances(keys, "procrustes_distance")
        found["weights"][label] = weight_distances(keys)
        found["untrained"][label] = untrained_weight_distances(keys)
        sizes[label] = int((p.NetworkParams & keys[0]).fetch1("n_units"))
    return draw(found, sizes)
