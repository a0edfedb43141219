"""Projection of states to the two or three axes of a plot."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tasks_lib.errors import ParameterError, check_int

from ..network.rnn_numpy import RNNNumpy

Float = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Projection:
    """A frame for pictures: coordinates are directions^T (x - centre).

    Made once and passed as ``P`` to every plot, it puts several inputs, several searches or
    several networks (of as many units) on the same axes with the same origin.

    Attributes
    ----------
    directions : array (N, n_axes)
        One direction a column.
    centre : array (N,)
        The state at the origin of the picture.
    names : tuple of str
        What the axes are, for their labels.
    """

    directions: Float
    centre: Float
    names: tuple[str, ...]

    def labels(self, states: ArrayLike, short: bool = False) -> list[str]:
        """Return the labels of the axes, with the share of the variance of states (N, ...).

        Axes that are not orthogonal directions of length 1 share no variance: theirs say the unit.
        """
        x = np.asarray(states, dtype=np.float64)
        shares = variance_shares(x.reshape(len(x), -1), self.directions)
        gram = self.directions.T @ self.directions
        if not x.size or not np.allclose(gram, np.eye(len(gram)), atol=1e-6):
            return [f"{name} (a.u.)" for name in self.names]
        of = "" if short else " of variance"
        return [
            f"{name} ({100 * share:.{0 if share >= 0.01 or share == 0 else 1}f} %{of})"
            for name, share in zip(self.names, shares, strict=True)
        ]

    def __call__(self, states: ArrayLike) -> Float:
        """Return the coordinates (n_axes, ...) of states (N, ...)."""
        x = np.asarray(states, dtype=np.float64)
        centre = self.centre.reshape(-1, *(1,) * (x.ndim - 1))
        return np.asarray(np.tensordot(self.directions.T, x - centre, axes=1), dtype=np.float64)

    def vectors(self, vectors: ArrayLike) -> Float:
        """Return what the picture shows (n_axes, ...) of directions (N, ...): no centre."""
        shown = np.tensordot(self.directions.T, np.asarray(vectors), axes=1)
        return np.asarray(shown, dtype=np.float64)

    def first(self, n_axes: int) -> Projection:
        """Return the frame of the first ``n_axes`` axes: the 2D picture of a 3D one."""
        check_int("n_axes", n_axes, minimum=1, maximum=self.directions.shape[1])
        return Projection(self.directions[:, :n_axes], self.centre, self.names[:n_axes])

    @classmethod
    def principal(cls, states: ArrayLike, n_axes: int = 3) -> Projection:
        """Principal components of states (N, ...), centred at their mean; NaN ones do not count.

        Parameters
        ----------
        states : array (N, ...)
            Trajectories, or points one a column.
        n_axes : int
            Number of axes.
        """
        x = np.asarray(states, dtype=np.float64)
        x = x.reshape(len(x), -1) if x.ndim > 1 else np.empty((1, 0))
        x = x[:, np.isfinite(x).all(axis=0)]
        if not x.size:
            raise ParameterError(
                "states", np.shape(states), "holds no finite state (N, ...)", "put the units first"
            )
        names = tuple(f"PC {i + 1}" for i in range(n_axes))
        return cls(principal_directions(x, n_axes), x.mean(axis=1), names)

    @classmethod
    def readout(cls, rnn: RNNNumpy, n_axes: int | None = None) -> Projection:
        """The network's output weights: axes that mean the same in every network of a task.

        W_out x is the output in form s; in form h, where the output is W_out f(x), only the
        direction of the axes is that of the output.

        Parameters
        ----------
        rnn : RNNNumpy
        n_axes : int, optional
            Number of axes; by default as many as outputs, three at most.
        """
        n = min(rnn.n_outputs, 3) if n_axes is None else n_axes
        if n > rnn.n_outputs:
            raise ParameterError(
                "n_axes", n, f"the network has {rnn.n_outputs} outputs", "ask for fewer axes"
            )
        names = tuple(f"output axis {i + 1}" for i in range(n))
        return cls(np.asarray(rnn.W_out[:n].T, dtype=np.float64), np.zeros(rnn.N), names)

    @classmethod
    def of(cls, P: ArrayLike | Projection, n_units: int, n_axes: int) -> Projection:
        """Return ``P`` as a projection on ``n_axes`` axes; a matrix (N, n_axes) is not centred."""
        if isinstance(P, Projection):
            given = P
        else:
            matrix = np.asarray(P, dtype=np.float64)
            if matrix.ndim != 2 or matrix.shape[1] != n_axes:
                raise ParameterError(
                    "P.shape", matrix.shape, f"is not ({n_units}, {n_axes})", "one axis a column"
                )
            names = tuple(f"Axis {i + 1}" for i in range(n_axes))
            given = cls(matrix, np.zeros(len(matrix)), names)
        if given.directions.shape[0] != n_units or given.directions.shape[1] < n_axes:
            raise ParameterError(
                "P.shape",
                given.directions.shape,
                f"is not ({n_units}, {n_axes})",
                "one axis a column, for networks of as many units",
            )
        return given.first(n_axes)


def variance_shares(states: ArrayLike, directions: ArrayLike) -> tuple[float, ...]:
    """Return the share of the variance of states (N, M) along each direction (N, n_axes)."""
    x = np.asarray(states, dtype=np.float64)
    x = x[:, np.isfinite(x).all(axis=0)]
    if not x.size:
        return (0.0,) * np.shape(directions)[1]
    centred = x - x.mean(axis=1, keepdims=True)
    total = float((centred**2).sum())
    along = ((np.asarray(directions).T @ centred) ** 2).sum(axis=1)
    return tuple(float(v) / total if total > 0 else 0.0 for v in along)


def principal_directions(states: ArrayLike, n_directions: int) -> Float:
    """Return the first principal directions (N, n_directions) of states (N, M).

    Signs are fixed (largest entry positive), so that the same states give the same picture.
    """
    data = np.asarray(states, dtype=np.float64)
    centred = data - data.mean(axis=1, keepdims=True)
    if centred.shape[1] < n_directions:  # fewer states than axes: complete the basis
        centred = np.hstack([centred, 1e-12 * np.eye(centred.shape[0])])
    if centred.shape[1] > 4 * centred.shape[0]:  # many states of few units: their covariance
        directions = np.linalg.eigh(centred @ centred.T)[1][:, ::-1]
    else:
        directions = np.linalg.svd(centred, full_matrices=False)[0]
    if directions.shape[1] < n_directions:  # fewer units than axes
        missing = n_directions - directions.shape[1]
        directions = np.hstack([directions, np.zeros((directions.shape[0], missing))])
    directions = directions[:, :n_directions]
    peak = directions[np.abs(directions).argmax(axis=0), np.arange(n_directions)]
    return directions * np.where(peak < 0, -1.0, 1.0)
