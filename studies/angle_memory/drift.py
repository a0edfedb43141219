"""Where the drift along a ring leads, and the error of a remembered angle."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

import models
from tasks_lib import MemoryAngle

Float = NDArray[np.float64]
LONG = 1000.0  # time constants


def ends_of_drift(drift: Float) -> NDArray[np.int64]:
    """Return for each sample of a ring that at which the drift from there comes to rest.

    Parameters
    ----------
    drift : array (M,)
        Signed speed along the ring at samples in their order, the last beside the first; above 0
        toward the next sample.

    Returns
    -------
    ends : array (M,)
        The sample nearest to the stable point that is reached; -1 where there is none.
    """
    number = len(drift)
    signs = np.where(drift >= 0, 1, -1)
    ends = np.full(number, -1)
    for start in range(number):
        at = start
        for _ in range(number):
            following = (at + signs[start]) % number
            if signs[following] != signs[start]:  # the drift turns between these two
                ends[start] = min(at, following, key=lambda i: abs(drift[i]))
                break
            at = following
    return ends


def steps_apart(first: NDArray[np.int64], second: NDArray[np.int64], n: int) -> NDArray[np.int64]:
    """Return how many samples apart two places on a ring of n samples are."""
    apart = np.abs(first - second) % n
    return np.minimum(apart, n - apart)


def nearest_samples(states: Float, samples: Float) -> NDArray[np.int64]:
    """Return the sample (of M, N) that each state (N, B) is nearest to."""
    return np.linalg.norm(states.T[:, None] - samples[None], axis=2).argmin(axis=1)


def held(rnn: models.RNNNumpy, task: MemoryAngle, u: Float, taus: float, seed: int) -> Float:
    """Return states (N, B) after trials to the recall, and then a constant input for so long."""
    trials = models.get_trials(rnn, task, seed=seed)
    states = trials.states.isel(time=task.recall_on).values.T
    left = round(taus / rnn.alpha)
    while left > 0:
        steps = min(left, 500)
        inputs = np.broadcast_to(u[:, None, None], (len(u), steps + 1, states.shape[1]))
        states = rnn.run(inputs, x_init=states)[0][:, -1]
        left -= steps
    return states


def decoded(codes: Float) -> Float:
    """Return the angle (B,) that a code over k channels (k, B) says, in radians."""
    directions = np.exp(2j * np.pi * np.arange(len(codes)) / len(codes))
    return np.angle((codes * directions[:, None]).sum(axis=0))


def angular_error(first: Float, second: Float) -> Float:
    """Return the distance of angles on the circle, in degrees."""
    return np.abs(np.rad2deg(np.angle(np.exp(1j * (first - second)))))


def memory_errors(rnn: models.RNNNumpy, task: MemoryAngle, taus: float, seed: int) -> Float:
    """Return the error of the angle (B,) after so long a recall, without noise, in degrees."""
    targets = models.get_trials(rnn, task, seed=seed).targets.isel(time=-1).values.T
    states = held(rnn, task, task.analysis_inputs["recall"], taus, seed)
    return angular_error(decoded(rnn.readout(states)), decoded(targets))
