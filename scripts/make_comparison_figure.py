"""Make the figure of docs/comparison.md from the networks that lie beside it.

    python scripts/make_comparison_figure.py [--train]

With --train they are trained anew, in half a minute: 24 networks of the flip-flop task.
"""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
from docs_pictures import FOLDER, write

import models
import tasks_lib

NETWORKS = FOLDER / "comparison_networks.npz"
FIGURES = ("comparison",)
N_EACH, SEED = 8, 2**32 + 1
ACTIVATIONS = ("relu", "tanh", "softplus")
RATES = (0.003, 0.01)
WEIGHTS = ("W_rec", "W_inp", "W_out", "b_rec", "x_init")
DISTANCE = "procrustes_distance"


def task() -> tasks_lib.Task:
    """Return the task."""
    return tasks_lib.NBitFlipFlop(n_steps=40, seed=0)


def config(activation: str) -> models.NetworkConfig:
    """Return the parameters of a network."""
    return models.NetworkConfig(n_units=32, activation=activation, tau=3.0, dt=1.0)


def kinds() -> list[tuple[str, float, int]]:
    """Return activation, learning rate and seed of each network."""
    return [(a, RATES[seed % 2], seed) for a in ACTIVATIONS for seed in range(N_EACH)]


def train() -> None:
    """Train the networks, and write their weights."""
    found: dict[str, list[Any]] = {name: [] for name in WEIGHTS}
    for activation in ACTIVATIONS:
        own = [kind for kind in kinds() if kind[0] == activation]
        trainings = [models.TrainingConfig(max_iter=250, lr=lr) for _, lr, _ in own]
        result = models.train_cohort(
            task(), config(activation), trainings, seeds=[seed for *_, seed in own]
        )
        for one in result.networks:
            for name in WEIGHTS:
                found[name].append(one.weights[name].astype(np.float32))
    np.savez_compressed(NETWORKS, **{name: np.stack(arrays) for name, arrays in found.items()})


def networks() -> list[models.RNNNumpy]:
    """Return the stored networks."""
    made = []
    with np.load(NETWORKS) as stored:
        weights = {name: stored[name].astype(np.float64) for name in WEIGHTS}
    for i, (activation, _, seed) in enumerate(kinds()):
        equation = config(activation).equation
        options = {name: getattr(equation, name) for name in equation.__dataclass_fields__}
        own = {name: array[i] for name, array in weights.items()}
        made.append(models.RNNNumpy(**own, **options, seed=seed))
    return made


def figures() -> dict[str, Any]:
    """Return the figure by the name of its file."""
    settings = models.ComparisonSettings(search="", match="none")
    reduced = [models.reduce_network(rnn, task(), settings, seed=SEED) for rnn in networks()]
    distances = models.distance_matrix(reduced, settings)[DISTANCE]
    names = ("network.activation", "training.lr", "seed")
    parameters = dict(zip(names, map(list, zip(*kinds(), strict=True)), strict=True))
    found = models.embed_networks(distances, parameters=parameters)
    return {"comparison": models.plot_embedding(found, parameters, distance=DISTANCE)}


def main() -> None:
    """Write it."""
    if "--train" in sys.argv:
        train()
    write(figures())


if __name__ == "__main__":
    main()
