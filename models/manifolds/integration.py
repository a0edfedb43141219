"""Integration of the flow in time."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Float = NDArray[np.float64]


def runge_kutta_step(flow: Callable[[Float], Float], x: Float, step: float) -> Float:
    """Return states after one step of the classical Runge-Kutta method.

    Parameters
    ----------
    flow : callable
        States -> F, per tau (`RNNNumpy.flow`).
    x : array (N,) or (N, M)
    step : float
        In tau.
    """
    k1 = flow(x)
    k2 = flow(x + 0.5 * step * k1)
    k3 = flow(x + 0.5 * step * k2)
    k4 = flow(x + step * k3)
    return np.asarray(x + step / 6.0 * (k1 + 2.0 * k2 + 2.0 * k3 + k4))
