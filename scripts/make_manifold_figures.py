"""Make the figures of continuous attractors in docs/dynamics.md, from the networks beside them.

With ``--train`` the networks are trained anew first, which other processors do not repeat to the
last bit.
"""

from __future__ import annotations

import argparse
from typing import Any

from docs_pictures import FOLDER, write

import models
import tasks_lib

BIAS: dict[str, Any] = {"bias_min": -0.5, "bias_max": 0.5}
FRESH: dict[str, Any] = {"max_grad_norm": 1.0, "same_batch": False}
# Of each figure its task, network, training and seed, and the inputs that are shown. The networks
# are those of examples/memory_anti_number.yaml and examples/memory_angle_ring.yaml.
FIGURES: dict[
    str,
    tuple[tasks_lib.Task, models.NetworkConfig, models.TrainingConfig, int, tuple[str, ...]],
] = {
    "manifolds": (
        tasks_lib.MemoryAntiNumber(seed=0),
        models.NetworkConfig(
            n_units=50, activation="relu", spectral_radius=1.0, sigma_rec=0.01, sigma_inp=0.01,
            **BIAS,
        ),
        models.TrainingConfig(max_iter=300, lr=0.01, **FRESH),
        0, ("delay", "recall"),
    ),
    "manifold_ring": (
        tasks_lib.MemoryAngle(recall_on=30, seed=0),
        models.NetworkConfig(
            n_units=50, activation="tanh", tau=10.0, sigma_rec=0.05, sigma_inp=0.01, **BIAS
        ),
        models.TrainingConfig(max_iter=600, lr=0.005, **FRESH),
        2, ("recall",),
    ),
}  # fmt: skip


def train(name: str, seed: int | None = None) -> models.RNNTorch:
    """Return the network of a figure, trained anew."""
    task, config, training, own_seed, _ = FIGURES[name]
    rnn = models.RNNTorch.from_config(
        config, task.n_inputs, task.n_outputs, own_seed if seed is None else seed
    )
    models.Trainer(rnn, task, training).run_training()
    return rnn


def figure(name: str, rnn: models.RNNNumpy) -> Any:
    """Return the figure of a network: its lines and rings, its fixed points and its trials."""
    task, *_, inputs = FIGURES[name]
    analyzer = models.DynamicSystemAnalyzer(rnn, task)
    for each in inputs:
        analyzer.get_fixed_points(each)
        analyzer.get_manifolds(each)
    trials = models.get_trials(rnn, task, max_trials=24)
    return models.plot_manifolds(
        analyzer.manifolds, points=analyzer.fixed_points, trajectories=trials
    )


def figures() -> dict[str, Any]:
    """Return the figures by the names of their files."""
    networks = {name: models.read_network(FOLDER / f"{name}_network.npz") for name in FIGURES}
    return {name: figure(name, network.to_numpy(seed=0)) for name, network in networks.items()}


def main() -> None:
    """Write them."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--train", action="store_true", help="train the networks anew")
    if parser.parse_args().train:
        for name in FIGURES:
            path = FOLDER / f"{name}_network.npz"
            models.write_network(path, train(name), FIGURES[name][1])
    write(figures())


if __name__ == "__main__":
    main()
