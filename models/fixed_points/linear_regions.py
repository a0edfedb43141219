"""All fixed points of small ReLU networks, by solving every linear region."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tasks_lib.errors import ParameterError

from ..rnn_numpy import RNNNumpy

Float = NDArray[np.float64]
MAX_UNITS = 16
CHUNK = 4096  # regions solved at a time


def enumerate_fixed_points(rnn: RNNNumpy, u: Float, tolerance: float = 1e-9) -> tuple[Float, int]:
    """Solve each of the 2^N linear regions of a ReLU or leaky ReLU network exactly.

    Parameters
    ----------
    rnn : RNNNumpy
        At most 16 units, ``relu`` or ``leaky_relu``, gamma = 0.
    u : array (n_inputs,)
        Constant input.
    tolerance : float
        How far a solution may lie outside its region (it does when on a boundary, by rounding).

    Returns
    -------
    points : array (P, N)
        Every isolated fixed point, once.
    n_singular : int
        Regions whose linear system is singular: these may hold a continuum, and are left out.
    """
    if rnn.activation.name not in ("relu", "leaky_relu") or rnn.gamma:
        raise ParameterError(
            "activation",
            rnn.activation.name,
            "is not piecewise linear",
            "use (leaky_)relu, gamma 0",
        )
    if rnn.N > MAX_UNITS:
        raise ParameterError(
            "n_units", rnn.N, f"means 2^{rnn.N} regions", f"enumerate up to {MAX_UNITS} units"
        )
    drive = rnn.drive(u)
    slope_on, slope_off = rnn.activation.df(np.array([1.0, -1.0]))
    identity = np.eye(rnn.N)
    found: list[Float] = []
    n_singular = 0
    for first in range(0, 2**rnn.N, CHUNK):
        codes = np.arange(first, min(first + CHUNK, 2**rnn.N))
        active = (codes[:, None] >> np.arange(rnn.N)) & 1 == 1
        gain = np.where(active, slope_on, slope_off)
        # form s: x = D (W x + drive); form h: x = W D x + drive
        if rnn.equation_type == "s":
            matrix = identity - gain[:, :, None] * rnn.W_rec
            constant = gain * drive
        else:
            matrix = identity - rnn.W_rec * gain[:, None, :]
            constant = np.broadcast_to(drive, gain.shape)
        regular = np.linalg.cond(matrix) < 1e12
        n_singular += int(np.sum(~regular))
        x = np.linalg.solve(matrix[regular], constant[regular][:, :, None])[:, :, 0]
        argument = x @ rnn.W_rec.T + drive if rnn.equation_type == "s" else x
        inside = np.where(active[regular], argument >= -tolerance, argument <= tolerance)
        for point in x[inside.all(axis=1)]:
            if all(np.abs(point - other).max() > 1e3 * tolerance for other in found):
                found.append(point)
    return np.array(found).reshape(-1, rnn.N), n_singular
