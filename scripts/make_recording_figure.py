"""Make the figure of docs/recordings.md: a network is written as NWB, and found again among 20.

python scripts/make_recording_figure.py
"""

from __future__ import annotations

import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from docs_pictures import write

import models
import tasks_lib

FIGURES = ("recording",)
N_NETWORKS, RECORDED, N_UNITS = 20, 7, 60


def task() -> tasks_lib.Task:
    """Return the task."""
    return tasks_lib.CDDM(n_steps=60, stim_on=15, dec_on=40, coherences=[-1.0, 0.0, 1.0], seed=0)


def network(seed: int) -> models.RNNNumpy:
    """Return a random network, whose units go on by themselves."""
    rng = np.random.default_rng(seed)
    return models.RNNNumpy(
        W_rec=rng.normal(size=(N_UNITS, N_UNITS)) * 1.6 / np.sqrt(N_UNITS),
        W_inp=rng.normal(size=(N_UNITS, 6)),
        W_out=rng.normal(size=(2, N_UNITS)) / N_UNITS,
        b_rec=0.1 * rng.normal(size=N_UNITS),
        activation="tanh",
        tau=10.0,
        dt=2.0,
    )


def recorded(rnn: models.RNNNumpy) -> Any:
    """Return 25 units of a network, written as NWB and read back."""
    spikes = models.SpikeSettings(n_units=25, gain=20.0, n_repeats=8, max_trials=18)
    with TemporaryDirectory() as folder:
        path = Path(folder, "network.nwb")
        models.write_recording(path, rnn, task(), spikes)
        return models.read_recording(path)


def count() -> None:
    """Print how many networks are the nearest to their own recording."""
    networks = [network(seed) for seed in range(N_NETWORKS)]
    recordings = [recorded(rnn) for rnn in networks]
    for n_samples in (5, 0):
        asked = models.RecordingComparisonSettings(n_samples=n_samples, n_shuffles=0)
        found = [
            [models.compare_recording(each, rnn, task(), asked) for rnn in networks]
            for each in recordings
        ]
        for measure in ("procrustes", "cka", "rsa"):
            apart = np.array([[one.distances[measure].distance for one in row] for row in found])
            right = int((apart.argmin(axis=1) == np.arange(N_NETWORKS)).sum())
            print(f"{measure}, n_samples {n_samples}: {right} of {N_NETWORKS}")


def figures() -> dict[str, Any]:
    """Return the figure by the name of its file."""
    networks = [network(seed) for seed in range(N_NETWORKS)]
    recording = recorded(networks[RECORDED])
    found = {
        f"network {seed}": models.compare_recording(recording, rnn, task())
        for seed, rnn in enumerate(networks)
    }
    return {"recording": models.plot_recording(recording, found, by="context")}


def main() -> None:
    """Write it."""
    if "--count" in sys.argv:
        count()
    else:
        write(figures())


if __name__ == "__main__":
    main()
