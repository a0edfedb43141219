"""A task and a penalty as a user would write them in a package of their own."""

from __future__ import annotations

import numpy as np

from models.penalties import Statistic, register
from tasks_lib import Task


class Echo(Task):
    """Repeat a constant input."""

    def __init__(self, n_steps=10, n_inputs=1, n_outputs=1, n_values=4, seed=None):
        super().__init__(n_steps, n_inputs, n_outputs, seed)
        self.n_values = n_values

    def conditions(self):
        return [{"value": float(v)} for v in np.linspace(0, 1, self.n_values)]

    def generate_input_target_stream(self, value):
        stream = np.full((1, self.n_steps), value)
        return stream, stream.copy(), {"value": value}


class WrongShape(Echo):
    def generate_input_target_stream(self, value):
        inputs, target, condition = super().generate_input_target_stream(value)
        return inputs, target[:, :-1], condition


class NotATask:
    pass


def drift(context):
    """Penalise the change of states from step to step."""
    return (context.states[:, 1:] - context.states[:, :-1]).square().mean()


@register(
    "test_spread",
    needs=lambda args: [Statistic("soft_maximum_rate", args["tau"])],
    tau={"exclusive_minimum": 0.0},
)
def spread(context, tau=0.1):
    """Penalise units whose largest rates differ."""
    return context.statistic("soft_maximum_rate", tau).var()


class Louder(Task):
    """Tell whether a number is above 0, for numbers so small that noise decides some of them."""

    def __init__(self, n_steps=10, n_inputs=1, n_outputs=1, n_repeats=8, seed=None):
        super().__init__(n_steps, n_inputs, n_outputs, seed)
        self.n_repeats = n_repeats

    def conditions(self):
        return [{"number": v} for v in np.linspace(-0.2, 0.2, 9).tolist()] * self.n_repeats

    def generate_input_target_stream(self, number):
        inputs = np.full((1, self.n_steps), number)
        return inputs, np.full((1, self.n_steps), np.sign(number)), {"number": number}

    def get_choices(self, outputs):
        return np.sign(outputs[0, -1]).astype(int)

    def signed_stimuli(self, condition):
        return "all", {"relevant": condition["number"]}
