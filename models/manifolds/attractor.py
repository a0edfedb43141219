"""A continuous attractor: its shape, the flow along it, and what the readout sees of it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from tasks_lib.brief import brief

from ..network.rnn_numpy import RNNNumpy

Float = NDArray[np.float64]
TOPOLOGIES = ("open line", "ring", "rotating ring", "sheet", "closed surface", "volume")
SLOWEST_ROTATION = 1e-6  # drift of a ring that rotates, in its lengths per tau


@brief
@dataclass(frozen=True, eq=False)
class SlowManifold:
    """A slow manifold of one network at one constant input, as M samples.

    Attributes
    ----------
    dimension : int
        Its dimension d.
    topology : str
        "open line", "ring", "rotating ring" (states go round it for ever), "sheet" (with an edge),
        "closed surface" or, for d > 2, "volume".
    points : array (M, N)
        Samples, evenly spaced: in order along a line or ring (the first follows the last), of even
        density on a sheet.
    positions : array (M, d)
        Arc length along a line or ring; on a sheet coordinates along its first d principal
        components, from its centre. In units of state.
    tangents : array (M, d, N)
        Orthonormal tangents, one a row.
    speed : array (M,)
        |F|, in units of state per tau.
    drift : array (M, d)
        F along each tangent: signed, positive toward later samples of a line or ring.
    across : array (M,)
        |F| across the manifold: 0 if it is invariant under the flow. Linear interpolation of
        states at the kinks of a piecewise-linear network shows here.
    eigenvalues : array (M, N), complex
        Of the Jacobian at each sample, by real part, descending, per tau.
    n_transverse_unstable : int
        Modes across the manifold that grow, at the sample where most do: 0 if it attracts.
    period : float
        Time in which states go once round a rotating ring, in tau; NaN for others.
    length : float
        Arc length (of the whole ring); the largest distance between two samples of a sheet.
    n_stable, n_unstable : int
        Points on a line or ring that the drift leads to, and away from (its changes of sign, and
        ends that are stable points); 0 on a continuum of fixed points and on sheets.
    ends : tuple of str
        Why it was followed no further ("closed", "speed", "gap", "step", "kink", "stable", "reach",
        "budget"; `models.manifolds.curves.Curve` says what they mean): at the first and last sample
        of a line, each reason once for a sheet.
    members : array (K,) of int
        Which points of the `FixedPointSet` lie on it.
    input : array (n_inputs,)
        The constant input.
    outputs : array (M, n_outputs)
        What the network puts out at each sample.
    null_space_fraction : float
        Share of the samples' variance that W_out does not read, see `null_space_fraction`.
    tangent_null_fraction : float
        The same share of the tangents' squared length, averaged over the samples. It tells
        of small changes of what is held, where the variance tells of the whole range.
    chance_null_fraction : float
        The share of a random direction, 1 - rank(W_out) / N: what to compare with.
    """

    dimension: int
    topology: str
    points: Float
    positions: Float
    tangents: Float
    speed: Float
    drift: Float
    across: Float
    eigenvalues: NDArray[np.complex128]
    n_transverse_unstable: int
    period: float
    length: float
    n_stable: int
    n_unstable: int
    ends: tuple[str, ...]
    members: NDArray[np.int64]
    input: Float
    outputs: Float
    null_space_fraction: float
    tangent_null_fraction: float
    chance_null_fraction: float

    def __len__(self) -> int:
        """Return the number of samples M."""
        return len(self.points)

    @cached_property
    def spacing(self) -> float:
        """Distance between neighbouring samples, in units of state."""
        if self.dimension == 1:
            gaps = np.linalg.norm(np.diff(self.points, axis=0), axis=1)
        else:
            distance = np.linalg.norm(self.points[:, None] - self.points[None], axis=2)
            distance[np.diag_indices(len(distance))] = np.inf
            gaps = distance.min(axis=1)
        return float(np.median(gaps))

    @property
    def is_ring(self) -> bool:
        """Whether it is a closed curve, at rest or rotating."""
        return self.topology in ("ring", "rotating ring")

    @property
    def attracts(self) -> bool:
        """Whether states near it approach it."""
        return self.n_transverse_unstable == 0

    @property
    def relative_speed(self) -> float:
        """Largest |F| over the length, per tau: 1 / this is the shortest time to cross it."""
        return float(self.speed.max() / self.length)

    @property
    def message(self) -> str:
        """What was found, in words."""
        text = f"{self.topology} of length {self.length:.3g}, drift up to {self.speed.max():.2g}"
        if np.isfinite(self.period):
            text += f", gone round in {self.period:.3g} tau"
        if self.n_stable or self.n_unstable:
            text += f", {self.n_stable} stable and {self.n_unstable} unstable points along it"
        if "kink" in self.ends:
            text += ", which ends where a unit comes to its kink"
        if not self.attracts:
            text += f", {self.n_transverse_unstable} unstable modes across it"
        return text + f"; {self.null_space_fraction:.0%} of its variance is not read out"


ContinuousAttractor = SlowManifold  # its name until 0.1, which is that of a table now


def readout_basis(rnn: RNNNumpy) -> Float:
    """Return an orthonormal basis (N, rank) of what W_out reads: its row space."""
    _, size, rows = np.linalg.svd(rnn.W_out, full_matrices=False)
    rank = int(np.sum(size > 1e-10 * max(float(size.max(initial=0.0)), 1e-300)))
    return np.asarray(rows[:rank].T)


def null_space_fraction(rnn: RNNNumpy, vectors: Float) -> float:
    """Return the share of the squared length of rates (M, N) that lies in W_out's null space.

    sum |(1 - R R') v|^2 / sum |v|^2 with R an orthonormal basis of W_out's row space (Kaufman et
    al. 2014 call it output-null). The vectors are in the space that W_out reads: rates, which are
    the states in form "s" and f(state) in form "h". NaN where all are zero.
    """
    total = float(np.sum(vectors**2))
    if not total > 0.0:
        return float("nan")
    return float(np.clip(1.0 - np.sum((vectors @ readout_basis(rnn)) ** 2) / total, 0.0, 1.0))


def alignment(rnn: RNNNumpy, points: Float, tangents: Float) -> tuple[float, float, float]:
    """Return the fractions of variance, of tangents and of chance in W_out's null space.

    Parameters
    ----------
    points : array (M, N)
    tangents : array (M, d, N)
    """
    rates = rnn.equation.rates(points)
    turned = tangents
    if rnn.equation_type == "h":  # a change dx of state is a change f'(x) dx of rates
        turned = tangents * rnn.activation.df(points)[:, None, :]
    flat = turned.reshape(-1, rnn.N)
    size = np.linalg.norm(flat, axis=1, keepdims=True)
    flat = flat[size[:, 0] > 0] / size[size[:, 0] > 0]
    chance = 1.0 - readout_basis(rnn).shape[1] / rnn.N
    variance = null_space_fraction(rnn, rates - rates.mean(axis=0))
    return variance, null_space_fraction(rnn, flat), chance


def sign_changes(
    drift: Float, closed: bool, floor: float
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the samples before and after each change of sign of the drift (M,) along a curve.

    Drift within +-``floor`` is rounding, and has no sign: changes are looked for across it.
    """
    signed = np.flatnonzero(np.abs(drift) > floor)
    before, after = (signed, np.roll(signed, -1)) if closed else (signed[:-1], signed[1:])
    changed = (drift[before] > 0) != (drift[after] > 0)
    return before[changed], after[changed]


def points_along(drift: Float, closed: bool, floor: float) -> tuple[int, int]:
    """Return how many stable and unstable points the drift (M,) along a curve shows.

    A change from + to - between samples is a stable point, one from - to + an unstable one, see
    `sign_changes`.
    """
    before, _ = sign_changes(drift, closed, floor)
    return int(np.sum(drift[before] > 0)), int(np.sum(drift[before] < 0))


def rounding_floor(points: Float, length: float) -> float:
    """Return the drift along a curve (M, N) of this length that may be rounding."""
    return 1e-9 * max(length, float(np.abs(points).max()))


def period_of(points: Float, tangents: Float, drift: Float) -> float:
    """Return the time in which states go once round a ring (M, N), in tau.

    NaN where the drift has not one sign all round, or less than 10^-6 of the length per tau. Arcs
    between samples are those of circles with their tangents.
    """
    chord = np.linalg.norm(points - np.roll(points, 1, axis=0), axis=1)
    bend = np.einsum("mn,mn->m", tangents, np.roll(tangents, 1, axis=0))
    half = np.maximum(0.5 * np.arccos(np.clip(bend, -1.0, 1.0)), 1e-8)
    arc = chord * half / np.sin(half)
    length = float(arc.sum())
    least = max(rounding_floor(points, length), SLOWEST_ROTATION * length)
    if not ((drift > least).all() or (drift < -least).all()):
        return float("nan")
    pace = 1.0 / np.abs(drift)
    return float(np.sum(0.5 * arc * (pace + np.roll(pace, 1))))
