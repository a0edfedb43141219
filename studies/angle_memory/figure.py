"""The figure: the ring, the drift along it, the error of the remembered angle."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from models.plots.palette import BLUE, TRIALS, VERMILLION
from models.plots.style import plain_matplotlib

Float = NDArray[np.float64]


@plain_matplotlib()
def draw(
    ring: Mapping[str, Any], states: Float, times: Float, errors: Float, trial: float
) -> Figure:
    """Draw one ring with the states on it, its drift, and the errors of some networks.

    Parameters
    ----------
    ring : mapping
        Row of `ContinuousAttractor.Manifold`.
    states : array (N, B)
        Trials a few time constants after the stimulus.
    times : array (n,)
        In time constants.
    errors : array (networks, n)
        In degrees.
    trial : float
        Length of the recall in training, in time constants.
    """
    figure = Figure(figsize=(6.9, 2.2), layout="constrained")
    plane, along, over = figure.subplots(1, 3)
    samples = np.asarray(ring["samples"])
    drift = np.asarray(ring["sample_drift"])[:, 0]
    centre = samples.mean(axis=0)
    axes = np.linalg.svd(samples - centre, full_matrices=False)[2][:2].T
    closed = (np.vstack([samples, samples[:1]]) - centre) @ axes
    plane.plot(*closed.T, color=BLUE, lw=1)
    plane.plot(*((states.T - centre) @ axes).T, ".", color=TRIALS, ms=3, zorder=0, label="trials")
    turns = np.flatnonzero((drift > 0) & (np.roll(drift, -1) <= 0))  # toward both sides: stable
    leaves = np.flatnonzero((drift <= 0) & (np.roll(drift, -1) > 0))
    for which, filled, label in ((turns, BLUE, "stable"), (leaves, "white", "saddle")):
        plane.plot(
            *((samples[which] - centre) @ axes).T, "o", mfc=filled, mec=BLUE, ms=4.5, label=label
        )
    plane.set(xlabel="PC 1 of the ring", ylabel="PC 2", aspect="equal", adjustable="datalim")
    plane.legend(loc="center", handlelength=0.8)
    positions = np.asarray(ring["sample_positions"])[:, 0]
    along.axhline(0, color="0.6", lw=0.6)
    along.plot(positions, drift, color=BLUE, lw=1)
    along.plot(positions[turns], drift[turns] * 0, "o", mfc=BLUE, mec=BLUE, ms=4)
    along.plot(positions[leaves], drift[leaves] * 0, "o", mfc="white", mec=BLUE, ms=4)
    along.set(xlabel="arc length along the ring", ylabel="drift (1/τ)")
    over.axvline(trial, color="0.6", lw=0.6, ls="--")
    over.plot(times, errors.T, color=VERMILLION, lw=0.8, alpha=0.7)
    over.set(
        xlabel="time in recall (τ)", ylabel="error of the angle (°)", xscale="log",
        ylim=(0, None), title="dashed: length in training",
    )  # fmt: skip
    return figure
