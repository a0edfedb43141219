"""Networks that are a known circuit, each of its nodes a group of units that do the same."""

from __future__ import annotations

import numpy as np

from models.circuits.embedded import embedding_scale
from models.formulas.activations import get_activation
from models.network.rnn_numpy import RNNNumpy
from tasks_lib import Task

# Two nodes that inhibit each other drive a third; each has an input of its own, the last is read.
W_REC = np.array([[0.3, -0.6, 0.0], [-0.6, 0.3, 0.0], [0.9, -0.4, 0.2]])
W_INP = np.diag([1.0, 1.0, 0.7])
W_OUT = np.array([[0.0, 0.0, 1.0]])


class Pulses(Task):
    """Pulses of random height and time on three channels; trials are drawn anew by the seed."""

    condition_fields = ()

    def __init__(self, n_steps=30, n_inputs=3, n_outputs=1, n_trials=24, lowest=0.0, seed=None):
        super().__init__(n_steps, n_inputs, n_outputs, seed)
        self.n_trials, self.lowest = n_trials, lowest

    def conditions(self):
        return [
            {
                "at": self.rng.integers(0, self.n_steps - 6, (self.n_inputs, 2)).tolist(),
                "height": self.rng.uniform(self.lowest, 1.0, (self.n_inputs, 2)).tolist(),
            }
            for _ in range(self.n_trials)
        ]

    def generate_input_target_stream(self, at, height):
        inputs = np.zeros((self.n_inputs, self.n_steps))
        for channel, starts in enumerate(at):
            for start, size in zip(starts, height[channel], strict=True):
                inputs[channel, start : start + 6] += size
        condition = {"at": at, "height": height}
        return inputs, np.zeros((self.n_outputs, self.n_steps)), condition


def in_groups(form, activation, n_units=30, W_rec=W_REC, W_inp=W_INP, W_out=W_OUT, **more):
    """Return a network whose nodes are groups of units, and their embedding Q (N, n)."""
    n = len(W_rec)
    Q = np.zeros((n_units, n))
    for node, group in enumerate(np.array_split(np.arange(n_units), n)):
        Q[group, node] = 1 / np.sqrt(len(group))
    s = embedding_scale(get_activation(activation), n_units, n)
    rnn = RNNNumpy(
        W_rec=Q @ W_rec @ Q.T, W_inp=s * Q @ W_inp, W_out=W_out @ Q.T / s,
        activation=activation, equation_type=form, tau=4.0, dt=1.0, **more,
    )  # fmt: skip
    return rnn, Q
