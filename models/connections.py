"""Where the flow goes from saddles: the skeleton that joins fixed points."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tasks_lib.errors import check_float, check_int

from .fixed_points import FixedPointSet
from .rnn_numpy import RNNNumpy

Float = NDArray[np.float64]


def saddle_connections(
    rnn: RNNNumpy,
    points: FixedPointSet,
    duration: float = 500.0,
    n_samples: int = 120,
    push: float = 0.01,
) -> Float:
    """Run the network from both sides of each saddle with one unstable mode (N, n_samples, B).

    Such a saddle's unstable manifold is one line, so the two runs are that line: they leave along
    the unstable direction and end at the attractors on its two sides. At the saddles of a flip-flop
    they are the edges of its cube. Runs that leave for infinity are left out.

    Parameters
    ----------
    rnn : RNNNumpy
    points : FixedPointSet
        Fixed points of ``rnn``; B is at most twice the number of those with one unstable mode.
    duration : float
        Longest run, in time constants; runs end earlier once all of them rest.
    n_samples : int
        States kept of each run, evenly spaced along its length; the saddle is the first.
    push : float
        Distance from the saddle at which a run starts, of that to the nearest other point (of 1
        where there is none).
    """
    check_float("duration", duration, exclusive_minimum=0.0)
    check_int("n_samples", n_samples, minimum=2)
    check_float("push", push, exclusive_minimum=0.0, maximum=0.5)
    saddles = np.flatnonzero(points.n_unstable == 1)
    if not saddles.size:
        return np.empty((rnn.N, n_samples, 0))
    distance = np.linalg.norm(points.points[saddles, None] - points.points[None], axis=2)
    distance[np.arange(len(saddles)), saddles] = np.inf
    nearest = distance.min(axis=1)
    step = push * np.where(np.isfinite(nearest), nearest, 1.0)[:, None] * points.directions[saddles]
    places = np.repeat(points.points[saddles], 2, axis=0).T
    states = places + np.stack([step, -step], axis=1).reshape(-1, rnn.N).T
    n_steps = int(np.ceil(20.0 / rnn.alpha))  # a block of twenty time constants
    inputs = np.broadcast_to(points.input[:, None, None], (rnn.n_inputs, n_steps, states.shape[1]))
    # every step of a block, so that fast turns are kept
    blocks = [places[:, None], states[:, None]]
    with np.errstate(over="ignore", invalid="ignore"):
        for _ in range(int(np.ceil(duration / 20.0))):
            block = rnn.run(inputs, x_init=blocks[-1][:, -1])[0][:, 1:]
            blocks.append(block)
            moved = np.linalg.norm(block[:, -1] - block[:, 0], axis=0)
            if not (moved > 1e-3 * np.linalg.norm(block[:, -1] - places, axis=0)).any():
                break
    runs = np.concatenate(blocks, axis=1)
    bounded = np.abs(runs).max(axis=(0, 1)) < 1e6
    lines = [_evenly(run, n_samples) for run in np.moveaxis(runs, 2, 0)[bounded]]
    return np.stack(lines, axis=2) if lines else np.empty((rnn.N, n_samples, 0))


def _evenly(run: Float, n: int) -> Float:
    """Return n states evenly spaced along the length of a run (N, T)."""
    travelled = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(run, axis=1), axis=0))])
    wanted = np.linspace(0.0, travelled[-1], n)
    return np.stack([np.interp(wanted, travelled, row) for row in run])
