"""NWB files that pynwb makes for tests, and random networks that differ."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np

from models.network.rnn_numpy import RNNNumpy

START = datetime(2026, 1, 2, tzinfo=UTC)
SPIKES = (np.arange(0.005, 10, 0.01), np.arange(0.005, 10, 0.1), np.array([3.0, 4.0]))


def trial(start, length=1.0, **columns):
    return {"start_time": start, "stop_time": start + length, **columns}


def write_nwb(path, spikes=SPIKES, trials=None, units=None, groups=()):
    """Write a file with units (their columns in ``units``) and trials (dicts of their columns)."""
    from pynwb import NWBHDF5IO, NWBFile

    file = NWBFile("a session", "an identifier", START)
    columns = units or [{} for _ in spikes]
    device = file.create_device("probe") if groups else None
    made = {g: file.create_electrode_group(g, "of a probe", "cortex", device) for g in set(groups)}
    for name in dict.fromkeys(k for each in columns for k in each if k != "obs_intervals"):
        file.add_unit_column(name, f"{name} of the unit")
    for i, (times, own) in enumerate(zip(spikes, columns, strict=True)):
        place = {"electrode_group": made[groups[i]]} if groups else {}
        file.add_unit(id=10 + i, spike_times=times, **own, **place)
    for name in dict.fromkeys(k for each in trials or () for k in each):
        if name not in ("start_time", "stop_time"):
            file.add_trial_column(name, f"{name} of the trial")
    for each in trials or ():
        file.add_trial(**each)
    with NWBHDF5IO(str(path), "w") as out:
        out.write(file)
    return path


def eight_trials(**more):
    """Trials of one second, every other one of side left, with a cue after 0.3 s."""
    return [
        trial(t, side=("left", "right")[i % 2], cue_time=t + 0.3, **more)
        for i, t in enumerate(np.arange(8) * 1.1)
    ]


def lively_network(seed, n=40):
    """A random network whose units go on by themselves: networks of other seeds do otherwise."""
    rng = np.random.default_rng(seed)
    return RNNNumpy(
        W_rec=rng.normal(size=(n, n)) * 1.8 / np.sqrt(n),
        W_inp=rng.normal(size=(n, 2)),
        W_out=rng.normal(size=(1, n)) / n,
        b_rec=0.1 * rng.normal(size=n),
        activation="tanh",
        tau=1.0,
        dt=0.3,
    )
