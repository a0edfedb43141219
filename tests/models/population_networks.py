"""Hand-built networks and tasks whose populations are known."""

from __future__ import annotations

import numpy as np

from models.network.rnn_numpy import RNNNumpy
from tasks_lib import Task


class Flags(Task):
    """Two variables on two channels from step ``on``; every pair of values ``n_each`` times.

    The target is ``a`` at the end; the choice is the sign of ``a``.
    """

    condition_fields = ("a", "b")

    def __init__(
        self, n_steps=30, n_inputs=2, n_outputs=1, on=10, a=(-1.0, 1.0), b=(-1.0, 0.0, 1.0),
        n_each=4, seed=None,
    ):  # fmt: skip
        super().__init__(n_steps, n_inputs, n_outputs, seed)
        self.on, self.a, self.b, self.n_each = on, list(a), list(b), n_each

    def conditions(self):
        return [{"a": a, "b": b} for a in self.a for b in self.b for _ in range(self.n_each)]

    def generate_input_target_stream(self, a, b):
        inputs = np.zeros((2, self.n_steps))
        inputs[:, self.on :] = [[a], [b]]
        return inputs, np.full((1, self.n_steps), a), {"a": a, "b": b}

    def get_choices(self, outputs):
        return np.sign(np.round(outputs[0, -1], 6)).astype(int)


def copies(W_inp, b_rec=None, W_out=None, **more):
    """A network whose units are what its inputs were one step before: x = f(W_inp u + b)."""
    W_inp = np.asarray(W_inp, dtype=float)
    n = len(W_inp)
    return RNNNumpy(
        **{
            "W_rec": np.zeros((n, n)),
            "W_inp": W_inp,
            "W_out": np.eye(1, n) if W_out is None else W_out,
            "b_rec": b_rec,
            "activation": "relu",
            "tau": 1.0,
            "dt": 1.0,
            **more,
        }
    )
