"""Backpropagation through time of many networks, forward and backward written by hand.

`simulate` runs K networks on a batch, and what it returns goes back through the run. How that is
done is a back end's: `backends` has a file for each. Arrays are (K, T, B, channels) everywhere.
"""

from ..machine.threads import torch_on_one
from . import philox
from .backends.base import BackEnd, NetworkKind
from .backends.registry import choose as choose_back_end
from .backends.triton_launch import products, products_in
from .buffers import Buffers
from .philox import Draws
from .simulation import Simulation, draw, draw_noise, simulate
from .sliced import SlicedSimulation, simulate_sliced
from .statistics import Statistic
from .trajectory import Cotangent, RecurrentNoise, stacked
from .weights import Weights

__all__ = [
    "BackEnd",
    "Buffers",
    "Cotangent",
    "Draws",
    "NetworkKind",
    "RecurrentNoise",
    "Simulation",
    "SlicedSimulation",
    "Statistic",
    "Weights",
    "choose_back_end",
    "draw",
    "draw_noise",
    "philox",
    "products",
    "products_in",
    "simulate",
    "simulate_sliced",
    "stacked",
    "torch_on_one",
]
