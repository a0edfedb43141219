"""Make the figures of docs/learning.md from what lies beside them of two small trainings.

    python scripts/make_learning_figures.py [--train]

With --train they are trained anew, in half a minute: four networks for each of two tasks. What
comes out is the same to the bit on processors of one kind only.
"""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from typing import Any

import numpy as np
from docs_pictures import FOLDER, write

import models
import tasks_lib

LEARNING = FOLDER / "learning_networks.npz"
FIGURES = tuple(
    f"{kind}_{task}" for kind in ("traces", "branches") for task in ("flip_flop", "cddm")
)
NETWORK = models.NetworkConfig(n_units=20, activation="tanh", tau=2.0, sigma_rec=0.05)
TRAINING = models.TrainingConfig(max_iter=3000, lr=3e-3, snapshots=8)


def flip_flop(seed: int) -> tasks_lib.Task:
    """Return the task that remembers one bit."""
    return tasks_lib.NBitFlipFlop(n_steps=60, n_bits=1, pulse=3, mu=12, batch_size=32, seed=seed)


def decision(seed: int) -> tasks_lib.Task:
    """Return the decision by context."""
    return tasks_lib.CDDM(
        n_steps=40, cue_on=0, cue_off=40, stim_on=10, stim_off=40, dec_on=25, dec_off=40,
        coherences=[-1.0, -0.3, 0.3, 1.0], seed=seed,
    )  # fmt: skip


TASKS = {"flip_flop": flip_flop, "cddm": decision}


def train() -> None:
    """Train the networks; write the traces of all and the snapshots of the first."""
    arrays: dict[str, Any] = {}
    for name, task in TASKS.items():
        trained = models.train_cohort(task, NETWORK, TRAINING, [0, 1, 2, 3], device="cpu").networks
        print(name, "R2", [round(network.r2, 3) for network in trained])
        traces = [[asdict(trace) for trace in network.traces] for network in trained]
        arrays[f"{name} traces"] = np.array(json.dumps(traces))
        for iteration, weights in trained[0].snapshots.items():
            for weight, array in weights.items():
                arrays[f"{name} snapshot {iteration} {weight}"] = np.asarray(array)
    np.savez_compressed(LEARNING, **arrays)


def stored(name: str) -> tuple[list[list[models.TrainingTrace]], dict[int, dict[str, Any]]]:
    """Return the traces of a task's networks, and the first one's weights by iteration."""
    snapshots: dict[int, dict[str, Any]] = {}
    with np.load(LEARNING) as arrays:
        traces = json.loads(str(arrays[f"{name} traces"]))
        for key in arrays.files:
            task, kind, *rest = key.split()
            if (task, kind) == (name, "snapshot"):
                snapshots.setdefault(int(rest[0]), {})[rest[1]] = arrays[key]
    return [[trace_of(values) for values in network] for network in traces], snapshots


def trace_of(values: dict[str, Any]) -> models.TrainingTrace:
    """Return a trace that was written as JSON, whose keys are texts."""
    for name in ("changes", "cosines"):
        values[name] = {int(window): value for window, value in values[name].items()}
    return models.TrainingTrace(**values)


def figures() -> dict[str, Any]:
    """Return the figures by the names of their files."""
    made: dict[str, Any] = {}
    for name, task in TASKS.items():
        traces, weights = stored(name)
        made[f"traces_{name}"] = models.plot_traces(traces)
        one = task(0)
        u = np.asarray(next(iter(one.analysis_inputs.values())))
        snapshots = []
        for iteration, of_one in weights.items():
            rnn = models.RNNNumpy(**of_one, **vars(NETWORK.equation), seed=0)
            found = models.DynamicSystemAnalyzer(rnn, one).get_fixed_points(u)
            snapshots.append(models.NetworkSnapshot(iteration, rnn, found))
        followed = models.follow_learning(snapshots, u)
        made[f"branches_{name}"] = models.plot_branches(
            [s.iteration for s in snapshots],
            models.lines_of(followed, snapshots),
            [(place + b.share, b.state, b.kind) for place, b in followed.bifurcations],
        )
    return made


def main() -> None:
    """Write them."""
    if "--train" in sys.argv[1:]:
        train()
    write(figures())


if __name__ == "__main__":
    main()
