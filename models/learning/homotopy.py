"""The networks on the straight line between two sets of weights."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tasks_lib.errors import ParameterError

from ..network.rnn_numpy import RNNNumpy

Float = NDArray[np.float64]


class WeightLine:
    """Networks W(s) = (1 - s) W_0 + s W_1, for all weights and biases, at one constant input.

    Parameters
    ----------
    first, last : RNNNumpy
        Of as many units and of one equation.
    u : array (n_inputs,)
        The input.

    Raises
    ------
    ParameterError
        Where the two differ in more than their weights.
    """

    def __init__(self, first: RNNNumpy, last: RNNNumpy, u: ArrayLike) -> None:
        for what in ("equation", "n_units", "n_inputs"):
            if getattr(first, what) != getattr(last, what):
                raise ParameterError(
                    f"last.{what}", getattr(last, what), f"is not {getattr(first, what)!r}",
                    "give two networks that differ in their weights alone",
                )  # fmt: skip
        self.equation = first.equation
        self.n_units = first.n_units
        self.W = first.W_rec
        self.dW = last.W_rec - first.W_rec
        self.drive = first.drive(u)
        self.d_drive = last.drive(u) - self.drive

    def field(self, x: Float, s: float) -> Float:
        """Return F(x; s), (N,)."""
        return np.asarray(self._at(x, s)[0])

    def argument(self, x: Float, s: float) -> Float:
        """Return the arguments of f, (N,)."""
        if self.equation.equation_type == "h":
            return x
        W, drive = self._weights(s)
        return np.asarray(W @ x + drive)

    def jacobian(self, x: Float, s: float) -> Float:
        """Return dF/dx, (N, N)."""
        _, argument, W = self._at(x, s)
        gain = self._df(argument)
        J: Float = gain[:, None] * W if self.equation.equation_type == "s" else W * gain
        J[np.diag_indices(self.n_units)] += self.equation.leak(x)
        return J

    def slope(self, x: Float, s: float) -> Float:
        """Return dF/ds, (N,)."""
        if self.equation.equation_type == "s":
            argument = self.argument(x, s)
            return np.asarray(self._df(argument) * (self.dW @ x + self.d_drive))
        return np.asarray(self.dW @ self._f(x) + self.d_drive)

    def _weights(self, s: float) -> tuple[Float, Float]:
        return self.W + s * self.dW, self.drive + s * self.d_drive

    def _at(self, x: Float, s: float) -> tuple[Float, Float, Float]:
        W, drive = self._weights(s)
        if self.equation.equation_type == "s":
            argument = W @ x + drive
            total = self._f(argument) - x
        else:
            argument = x
            total = W @ self._f(x) + drive - x
        if self.equation.gamma:
            total = total - self.equation.gamma * x**3
        return total, argument, W

    def _f(self, argument: Float) -> Float:
        return np.asarray(self.equation.activation.f(argument))

    def _df(self, argument: Float) -> Float:
        return np.asarray(self.equation.activation.df(argument))


class LinearPiece(WeightLine):
    """The same with f continued as it is on one piece of it for each unit: F has no kinks.

    Parameters
    ----------
    line : WeightLine
        Its f is linear between its kinks.
    pieces : array (N,) of int
        Of each unit the piece on which its argument lies, from the left.
    """

    def __init__(self, line: WeightLine, pieces: NDArray[np.int64]) -> None:
        self.equation, self.n_units = line.equation, line.n_units
        self.W, self.dW, self.drive, self.d_drive = line.W, line.dW, line.drive, line.d_drive
        self.pieces = pieces
        f, kinks = self.equation.activation, np.sort(np.array(self.equation.activation.kinks))
        edges = np.concatenate([[-np.inf], kinks, [np.inf]])
        self.low, self.high = edges[pieces], edges[pieces + 1]
        inside = np.where(np.isfinite(self.low), self.low + 0.5, self.high - 0.5)
        both = np.isfinite(self.low) & np.isfinite(self.high)
        inside = np.where(both, 0.5 * (self.low + self.high), inside)
        self._gain = np.asarray(f.df(inside))
        self._offset = np.asarray(f.f(inside)) - self._gain * inside

    @classmethod
    def around(cls, line: WeightLine, x: Float, s: float) -> LinearPiece:
        """Return the piece in which a state lies."""
        kinks = np.sort(np.array(line.equation.activation.kinks))
        return cls(line, np.searchsorted(kinks, line.argument(x, s)))

    def room(self, x: Float, s: float) -> Float:
        """Return how far each argument is from the nearer end of its piece; negative beyond it."""
        argument = self.argument(x, s)
        return np.minimum(argument - self.low, self.high - argument)

    def across(self, x: Float, s: float, unit: int) -> LinearPiece:
        """Return the piece beyond the kink at which the argument of a unit is."""
        argument = self.argument(x, s)[unit]
        up = self.high[unit] - argument < argument - self.low[unit]
        pieces = self.pieces.copy()
        pieces[unit] += 1 if up else -1
        return LinearPiece(self, pieces)

    def _f(self, argument: Float) -> Float:
        return np.asarray(self._gain * argument + self._offset)

    def _df(self, argument: Float) -> Float:
        return self._gain
