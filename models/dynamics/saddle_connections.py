"""Trajectories that leave saddles along their unstable directions, and where they end."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tasks_lib.errors import check_float, check_int

from ..fixed_points import FixedPointSet
from ..manifolds.sampling import evenly
from ..network.rnn_numpy import RNNNumpy

Float = NDArray[np.float64]
BLOCK = 20.0  # time constants that are run before it is seen whether all runs rest
MEMORY = 150_000_000  # bytes of the runs held at once (or what one run needs)


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
    nearest = np.empty(len(saddles))
    for k, saddle in enumerate(saddles):  # all at once would take S P N numbers
        distance = np.linalg.norm(points.points[saddle] - points.points, axis=1)
        distance[saddle] = np.inf
        nearest[k] = distance.min()
    step = push * np.where(np.isfinite(nearest), nearest, 1.0)[:, None] * points.directions[saddles]
    places = np.repeat(points.points[saddles], 2, axis=0).T
    states = places + np.stack([step, -step], axis=1).reshape(-1, rnn.N).T
    n_steps = int(np.ceil(BLOCK / rnn.alpha))
    n_blocks = int(np.ceil(duration / BLOCK))
    # every step of a run, so that fast turns are kept: its blocks, all joined, and room to work
    per_run = 8 * rnn.N * n_steps * (2 * n_blocks + 5)
    at_once = max(1, MEMORY // per_run)
    parts = [slice(i, i + at_once) for i in range(0, states.shape[1], at_once)]
    lines: list[Float] = []
    with np.errstate(over="ignore", invalid="ignore"):
        if (
            len(parts) > 1
        ):  # runs end together: first see when, and keep no more than where they are
            n_blocks = _time_to_rest(rnn, points.input, states, places, parts, n_steps, n_blocks)
        for part in parts:
            blocks = [places[:, None, part], states[:, None, part]]
            for _ in range(n_blocks):
                blocks.append(_advance(rnn, points.input, blocks[-1][:, -1], n_steps))
                if len(parts) == 1 and _rests(blocks[-1], places):
                    break
            runs = np.concatenate(blocks, axis=1)
            for run in np.moveaxis(runs, 2, 0):
                if np.abs(run).max() < 1e6:
                    lines.append(evenly(run.T, n_samples).T)
    return np.stack(lines, axis=2) if lines else np.empty((rnn.N, n_samples, 0))


def _time_to_rest(
    rnn: RNNNumpy,
    u: Float,
    states: Float,
    places: Float,
    parts: list[slice],
    n_steps: int,
    n_blocks: int,
) -> int:
    """Return the blocks of time after which all runs rest, at most ``n_blocks``."""
    ends = states.copy()
    for n in range(1, n_blocks + 1):
        resting = True
        for part in parts:
            block = _advance(rnn, u, ends[:, part], n_steps)
            resting &= _rests(block, places[:, part])
            ends[:, part] = block[:, -1]
        if resting:
            return n
    return n_blocks


def _advance(rnn: RNNNumpy, u: Float, states: Float, n_steps: int) -> Float:
    """Return the states (N, n_steps - 1, B) that follow ``states`` (N, B)."""
    inputs = np.broadcast_to(u[:, None, None], (rnn.n_inputs, n_steps, states.shape[1]))
    return rnn.run(inputs, x_init=states)[0][:, 1:]


def _rests(block: Float, places: Float) -> bool:
    """Return whether no run moved in a block, for its distance from the saddle it left."""
    moved = np.linalg.norm(block[:, -1] - block[:, 0], axis=0)
    return not (moved > 1e-3 * np.linalg.norm(block[:, -1] - places, axis=0)).any()
