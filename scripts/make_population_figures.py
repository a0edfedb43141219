"""Make the figures of docs/populations.md from the network of the demonstration."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
from docs_pictures import FOLDER, write

import models
import tasks_lib

FIGURES = (
    "basins", "lyapunov", "population", "subspaces", "clusters", "intervention", "rank_one_parts",
)  # fmt: skip


def demo_network() -> tuple[models.RNNNumpy, tasks_lib.Task, models.NetworkConfig]:
    """Return the network that lies beside the README's figures, its task and its parameters."""
    network = models.read_network(FOLDER / "demo_network.npz")
    submission = json.loads((FOLDER / "demo_submission.json").read_text())
    (task,) = submission["tasks"].values()
    made = tasks_lib.TASKS[task["class"]](n_steps=task["n_steps"], seed=0, **task["params"])
    return network.to_numpy(seed=0), made, network.config


def basins() -> Any:
    """Return the figure of two units with two attractors."""
    W_rec = np.array([[1.6, 0.4], [0.4, 1.2]])
    rnn = models.RNNNumpy(W_rec=W_rec, W_inp=np.zeros((2, 1)), W_out=np.eye(2), activation="tanh")
    point = np.ones(2)
    for _ in range(500):
        point = np.tanh(W_rec @ point)
    starts = np.random.default_rng(0).uniform(-1.2, 1.2, (300, 2))
    found = models.get_basins(rnn, np.zeros(1), [point, -point], starts)
    return models.plot_basins(rnn, np.zeros(1), found)


def rank_one_parts() -> Any:
    """Return the figure of a network of rank two, made by hand, that remembers two bits."""
    n = 60
    left = np.linalg.qr(np.random.default_rng(0).standard_normal((n, 2)))[0] * np.sqrt(n)
    left = left * [1.0, 0.9]
    rnn = models.RNNNumpy(
        W_rec=left @ (2.5 * left).T / n, W_inp=2.0 * left, W_out=left.T / n,
        activation="tanh", tau=10.0, dt=1.0,
    )  # fmt: skip
    task = tasks_lib.TASKS["NBitFlipFlop"](n_steps=100, n_bits=2, seed=0)
    settings = models.RankOneSettings(max_trials=20)
    return models.plot_rank_one_parts(models.get_rank_one_parts(rnn, task, settings))


def figures() -> dict[str, Any]:
    """Return the figures by the names of their files."""
    rnn, task, config = demo_network()
    start = models.initial_connectivity(config, task.n_inputs, task.n_outputs, 0).W_rec
    population = models.get_population(rnn, task, W_rec_start=start)
    subspaces = models.get_subspaces(rnn, task)
    return {
        "basins": basins(),
        "lyapunov": models.plot_lyapunov(models.get_lyapunov(rnn, task)),
        "rank_one_parts": rank_one_parts(),
        "population": models.plot_population(population),
        "subspaces": models.plot_subspaces(subspaces),
        "clusters": models.plot_clusters(models.get_clusters(rnn, task), rnn.W_rec),
        "intervention": models.plot_intervention(
            models.intervene(
                rnn, task, models.InterventionSettings(n_strengths=10, n_controls=20, largest=0.3)
            )
        ),
    }


def main() -> None:
    """Write them."""
    write(figures())


if __name__ == "__main__":
    main()
