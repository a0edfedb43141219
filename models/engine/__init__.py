"""Backpropagation through time of many networks, forward and backward written by hand."""

from ..machine.threads import torch_on_one
from . import philox
from .simulation import (
    Buffers,
    Cotangent,
    RecurrentNoise,
    Simulation,
    default_back_end,
    draw,
    simulate,
    stacked,
)
from .sliced import SlicedSimulation, simulate_sliced
from .statistics import Statistic
from .weights import Weights

__all__ = [
    "Buffers",
    "Cotangent",
    "RecurrentNoise",
    "Simulation",
    "SlicedSimulation",
    "Statistic",
    "Weights",
    "default_back_end",
    "draw",
    "philox",
    "simulate",
    "simulate_sliced",
    "stacked",
    "torch_on_one",
]
