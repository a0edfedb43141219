"""Networks whose states grow without bound: how that is told, and where a search then starts."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tasks_lib.errors import ParameterError

from ..network.rnn_numpy import RNNNumpy
from .search import is_bounded

Float = NDArray[np.float64]
LARGEST = 1e6  # |x| of a state that a search starts from
# Of what the constant input drives a unit to: beyond FAR a state has gone for good, within REACH a
# search starts.
FAR, REACH = 1e6, 1e3
DURATION = 200.0  # tau that states are followed for, in the network's own steps
MOST_STEPS = 10_000
N_FOLLOWED = 64
AT_REST = 1e-9  # |F| of a state that leads nowhere, in units of the scale
N_SPREAD = 256  # states that are drawn within the region


@dataclass(frozen=True, eq=False)
class StartingStates:
    """States that a search starts from.

    Attributes
    ----------
    states : array (N, M)
    grows : bool
        Whether the network leaves all states that were given without bound.
    """

    states: Float
    grows: bool


def starting_states(rnn: RNNNumpy, u: Float, pool: Float, seed: int = 0) -> StartingStates:
    """Return the states of ``pool`` (N, M) that a search at the constant input ``u`` starts from.

    Where the dynamics may grow (`is_bounded` does not hold), up to 64 states are followed without
    noise at this input for 200 tau. Those that come to a million times the scale of the drive have
    gone for good. If some go, states farther than a thousand times
    that scale are left out. If all go, or none is left, the network is said to grow, and states
    at all scales around the drive's are added, since its own tell of no point.

    Raises
    ------
    ParameterError
        Where no state is finite and below 1e6 although the dynamics are bounded.
    """
    largest = np.abs(pool).max(axis=0)  # NaN where a state is not a number
    usable = largest < LARGEST
    if is_bounded(rnn):
        if not usable.any():
            raise ParameterError(
                "trajectories",
                "diverged",
                "no state is finite and below 1e6",
                "pass states from which to start",
            )
        return StartingStates(pool[:, usable], False)
    scale = drive_scale(rnn, u)
    gone = leaves(rnn, u, pool[:, usable], FAR * scale)
    if not gone:
        return StartingStates(pool[:, usable], False)
    near = pool[:, largest <= min(REACH * scale, LARGEST)]
    if gone < 1.0 and near.size:
        return StartingStates(near, False)
    chosen = near[:, :: max(1, near.shape[1] // N_SPREAD)]
    return StartingStates(np.hstack([chosen, spread_states(rnn, scale, seed)]), True)


def drive_scale(rnn: RNNNumpy, u: Float) -> float:
    """Return the largest |W_inp u + b_rec|, at least 1."""
    return max(1.0, float(np.abs(rnn.drive(u)).max()))


def leaves(rnn: RNNNumpy, u: Float, states: Float, far: float) -> float:
    """Return which share of ``states`` (N, M) the flow at ``u`` takes beyond ``far``.

    At most 64 of them are followed; 1 where there are none.
    """
    x = states[:, :: max(1, -(-states.shape[1] // N_FOLLOWED))].copy()
    if not x.size:
        return 1.0
    gone = np.zeros(x.shape[1], dtype=bool)
    n_steps = min(int(np.ceil(DURATION / rnn.alpha)), MOST_STEPS)
    rest = AT_REST * far / FAR
    with np.errstate(over="ignore", invalid="ignore"):
        for _ in range(n_steps):
            moving = np.flatnonzero(~gone)
            field = rnn.rhs(x[:, moving], u)
            if not moving.size or np.abs(field).max() <= rest:
                break
            x[:, moving] += rnn.alpha * field
            gone[moving] = ~(np.abs(x[:, moving]).max(axis=0) <= far)
    return float(gone.mean())


def spread_states(rnn: RNNNumpy, scale: float, seed: int) -> Float:
    """Return random states (N, 256) at all scales from a tenth to ten times the drive's."""
    rng = np.random.default_rng(seed)
    sizes = scale * 10.0 ** rng.uniform(-1.0, 1.0, N_SPREAD)
    return np.asarray(sizes * rng.standard_normal((rnn.N, N_SPREAD)))
