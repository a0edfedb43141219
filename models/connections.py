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
    duration: float = 60.0,
    n_samples: int = 120,
    push: float = 1e-3,
) -> Float:
    """Run the network from both sides of each saddle with one unstable mode (N, n_samples, B).

    Such a saddle's unstable manifold is one line, so the two runs are that line: they leave along
    the unstable direction and end at the attractors on its two sides. At the saddles of a flip-flop
    they are the edges of its cube.

    Parameters
    ----------
    rnn : RNNNumpy
    points : FixedPointSet
        Fixed points of ``rnn``; B is twice the number of those with one unstable mode.
    duration : float
        In time constants. A slow saddle takes about log(1 / push) of its own to leave.
    n_samples : int
        States kept of each run, evenly spaced along its length; the saddle is the first.
    push : float
        Distance from the saddle at which a run starts, in units of state.
    """
    check_float("duration", duration, exclusive_minimum=0.0)
    check_int("n_samples", n_samples, minimum=2)
    check_float("push", push, exclusive_minimum=0.0)
    saddles = np.flatnonzero(points.n_unstable == 1)
    if not saddles.size:
        return np.empty((rnn.N, n_samples, 0))
    places = np.repeat(points.points[saddles], 2, axis=0).T
    sides = (
        np.tile([push, -push], len(saddles)) * np.repeat(points.directions[saddles], 2, axis=0).T
    )
    n_steps = int(np.ceil(duration / rnn.alpha))
    inputs = np.broadcast_to(points.input[:, None, None], (rnn.n_inputs, n_steps, places.shape[1]))
    states, _ = rnn.run(inputs, x_init=places + sides)
    runs = np.concatenate([places[:, None], states], axis=1)
    return np.stack([_evenly(run, n_samples) for run in np.moveaxis(runs, 2, 0)], axis=2)


def _evenly(run: Float, n: int) -> Float:
    """Return n states evenly spaced along the length of a run (N, T)."""
    travelled = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(run, axis=1), axis=0))])
    wanted = np.linspace(0.0, travelled[-1], n)
    return np.stack([np.interp(wanted, travelled, row) for row in run])
