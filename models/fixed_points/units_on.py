"""Newton's steps of large networks of two slopes, from systems of the units that are on alone."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..network.rnn_numpy import RNNNumpy
from .verified import approximate_inverse

Float = NDArray[np.float64]
WORST = 1e6  # condition of the network with all units off, beyond which it is no base


@dataclass(frozen=True, eq=False)
class UnitsOn:
    """A network whose f has the slopes a below 0 and c above, as all units off and some changed.

    With P the units that are on and M = a W - I, the Jacobian is M + (c - a) W P in form h, and
    M + (c - a) P W in form s. So J d = -F is a system of as many unknowns as units are on
    (Woodbury): of ReLU, whose M is -I, it is the block of J that they make.

    Attributes
    ----------
    change : array (N, N)
        (c - a) W.
    inverse : array (N, N)
        M^-1.
    coupling : array (N, N)
        M^-1 (c - a) W in form h, (c - a) W M^-1 in form s.
    form_s : bool
        Which form it is.
    """

    change: Float
    inverse: Float
    coupling: Float
    form_s: bool

    def steps(self, on: NDArray[np.bool_], F: Float) -> Float:
        """Return d (P, N) with J d = -F for units ``on`` and fields ``F`` (P, N).

        NaN where J is exactly singular.
        """
        base = -F @ self.inverse.T
        wanted = base @ self.change.T if self.form_s else base
        inner = np.zeros_like(F)
        for row, active, right in zip(inner, on, wanted, strict=True):
            units = np.flatnonzero(active)
            block = self.coupling[units][:, units]
            block[np.arange(len(units)), np.arange(len(units))] += 1.0
            try:
                row[units] = np.linalg.solve(block, right[units])
            except np.linalg.LinAlgError:
                row[:] = np.nan
        return np.asarray(base - inner @ (self.inverse if self.form_s else self.coupling).T)


def units_on(rnn: RNNNumpy) -> UnitsOn | None:
    """Return what solves for Newton's steps by the units that are on.

    None where f has not two slopes, and where M is nearly singular.
    """
    slopes = rnn.activation.half_slopes
    if slopes is None or rnn.gamma:
        return None
    below, above = slopes
    form_s = rnn.equation_type == "s"
    M = below * rnn.W_rec - np.eye(rnn.N)
    inverse = approximate_inverse(M[None])[0]
    if not np.linalg.norm(M) * np.linalg.norm(inverse) <= WORST * rnn.N:
        return None
    change = (above - below) * rnn.W_rec
    coupling = change @ inverse if form_s else inverse @ change
    return UnitsOn(change, inverse, coupling, form_s)
