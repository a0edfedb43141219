"""Make the figures of docs/learning.md, from two small trainings."""

from __future__ import annotations

from typing import Any

import numpy as np
from docs_pictures import write

import models
import tasks_lib

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


def figures() -> dict[str, Any]:
    """Return the figures by the names of their files."""
    made: dict[str, Any] = {}
    for name, task in (("flip_flop", flip_flop), ("cddm", decision)):
        trained = models.train_cohort(task, NETWORK, TRAINING, [0, 1, 2, 3], device="cpu").networks
        made[f"traces_{name}"] = models.plot_traces([network.traces for network in trained])
        one = task(0)
        u = np.asarray(next(iter(one.analysis_inputs.values())))
        snapshots = []
        for iteration, weights in trained[0].snapshots.items():
            equation = vars(NETWORK.equation)
            rnn = models.RNNNumpy(**weights, **equation, seed=0)
            found = models.DynamicSystemAnalyzer(rnn, one).get_fixed_points(u)
            snapshots.append(models.NetworkSnapshot(iteration, rnn, found))
        followed = models.follow_learning(snapshots, u)
        print(name, [n.r2 for n in trained], followed.status, followed.reason)
        print([len(s.points) for s in snapshots])
        print([(place, b.kind, round(b.share, 3)) for place, b in followed.bifurcations])
        made[f"branches_{name}"] = models.plot_branches(
            [s.iteration for s in snapshots],
            models.lines_of(followed, snapshots),
            [(place + b.share, b.state, b.kind) for place, b in followed.bifurcations],
        )
    return made


def main() -> None:
    """Write them."""
    write(figures())


if __name__ == "__main__":
    main()
