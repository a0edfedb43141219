"""F, its Jacobian and Newton's steps for one network, or many: in NumPy, or in torch on a GPU."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from tasks_lib.errors import ParameterError

from ..network.rnn_numpy import RNNNumpy
from .chunks import CACHE_BYTES, slices
from .units_on import UnitsOn, units_on

Array = Any  # np.ndarray, or torch.Tensor on the device
Float = NDArray[np.float64]
SOLVED_BY_UNITS = 100  # units of a network for which a system a state is cheaper than one stack


class ConstantInputs:
    """The right-hand sides of Q problems: networks of one kind, each at a constant input.

    States are rows here, (P, N), and ``which`` (P,) says of which problem each row is; with one
    problem it is not looked at.

    Parameters
    ----------
    problems : sequence of (RNNNumpy, array (n_inputs,))
        Networks of as many units and of one `Equation`, and their inputs.
    device : str, optional
        A torch device to compute on, in float64; NumPy on the CPU by default.
    """

    def __init__(
        self, problems: Sequence[tuple[RNNNumpy, Float]], device: str | None = None
    ) -> None:
        networks = [rnn for rnn, _ in problems]
        first = networks[0]
        for rnn in networks:
            if rnn.N != first.N or rnn.equation != first.equation:
                raise ParameterError(
                    "problems", rnn.equation, "differs within a batch", "batch networks of one kind"
                )
        self.equation = first.equation
        self.N = first.N
        self.xp: Any = np if device is None else torch
        self.device = device
        drives = np.stack([rnn.drive(u) for rnn, u in problems])
        # inputs of one network share its weights
        unique = {id(rnn): i for i, rnn in reversed(list(enumerate(networks)))}
        rows = {key: k for k, key in enumerate(unique)}
        weights = np.stack([networks[i].W_rec for i in unique.values()])
        self.W: Array = self.array(weights)
        self.drive: Array = self.array(drives)
        self.network: Array = self.array(np.array([rows[id(rnn)] for rnn in networks]))
        self.W_transposed: Array = self.array(np.ascontiguousarray(weights[0].T))
        self.units: Array = self.array(np.arange(self.N))
        self.by_units: UnitsOn | None = None
        if device is None and len(drives) == 1 and self.N >= SOLVED_BY_UNITS:
            self.by_units = units_on(first)

    def array(self, values: Any) -> Array:
        """Return NumPy values as an array of this field."""
        return values if self.device is None else torch.as_tensor(values, device=self.device)

    def numpy(self, values: Array) -> Any:
        """Return an array of this field as NumPy values."""
        return values if self.device is None else values.cpu().numpy()

    def _argument(self, x: Array, which: Array) -> tuple[Array, Array, Array]:
        """Return F, the argument of f, and the weights (1 or P, N, N) of each row."""
        if len(self.drive) == 1:
            drive, W = self.drive[0], self.W
            field, argument = self.equation.field(x, lambda v: v @ self.W_transposed + drive)
        else:
            drive, W = self.drive[which], self.W[self.network[which]]
            field, argument = self.equation.field(x, lambda v: (W @ v[:, :, None])[:, :, 0] + drive)
        return field, argument, W

    def rhs(self, x: Array, which: Array) -> Array:
        """Return F (P, N) at states ``x`` (P, N)."""
        return self._argument(x, which)[0]

    def jacobian(self, x: Array, which: Array) -> Array:
        """Return dF/dx (P, N, N) at states ``x`` (P, N)."""
        _, argument, W = self._argument(x, which)
        gain = self.equation.activation.df(argument)
        J = gain[:, :, None] * W if self.equation.equation_type == "s" else W * gain[:, None, :]
        J[:, self.units, self.units] += self.equation.leak(x)
        return J

    def pieces(self, chosen: Array) -> list[Array]:
        """Return the numbers of the rows that are ``chosen`` (P,), as many together as may be.

        They are those of one stack of Jacobians; where steps are solved by units there is none, so
        that a batch may be too large for it.
        """
        rows = chosen.nonzero()[0] if self.device is None else chosen.nonzero()[:, 0]
        if self.by_units is None:
            return [rows]
        return [rows[part] for part in slices(len(rows), self.N, CACHE_BYTES)]

    def steps(self, x: Array, F: Array, which: Array) -> Array:
        """Return the solutions d (P, N) of J d = -F at states ``x`` (P, N).

        Where the Jacobian of a state is exactly singular its row is NaN, or an error of the linear
        algebra is raised for all.
        """
        if self.by_units is None:
            return self.solve(self.jacobian(x, which), -F)
        return self.by_units.steps(self._argument(x, which)[1] > 0.0, F)

    def solve(self, matrices: Array, rows: Array) -> Array:
        """Return the solutions (P, N) of systems (P, N, N) with right-hand sides (P, N)."""
        return self.xp.linalg.solve(matrices, rows[:, :, None])[:, :, 0]
