"""The flow around a fixed point on kinks of f: linear on each side of them, of degree 1 in all."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray

from ..network.rnn_numpy import RNNNumpy

Float = NDArray[np.float64]
Bool = NDArray[np.bool_]
ON_KINK = 1e-9  # largest |argument| of a unit at its kink, in units of 1 + max |x|
AT_REST = 1e-8  # largest |F| of a fixed point, in the same units
STEP = 0.5  # of the fastest time scale that the weights allow
LONGEST, MOST_STEPS = 200.0, 6000  # tau, and steps, that a direction is followed for
DECIDED = 10.0  # |log| of growth that is no passing one
ENOUGH = 20.0  # after which a direction is followed no further
CHECKED_EVERY = 32  # steps
RAY = 1e-9  # largest change of a direction that is one for ever, in units of the fastest rate
MOST_WORK = 1e8  # regions times N^3 whose eigenvalues are computed
MOST_SIDES = 12  # units whose sides are all tried


@dataclass(frozen=True, eq=False)
class KinkFlow:
    """The flow d' = A(sides of d) d of small distances d from a fixed point on kinks.

    Attributes
    ----------
    W : array (N, N)
        Recurrent weights.
    form_s : bool
        Whether d' = -d + D W d, else d' = -d + W D d, with D the slopes of f.
    gain : array (N,)
        Slopes of f at the point; those of units on their kink do not count.
    kinks : array (K,) of int
        Units on their kink.
    slopes : tuple of float
        Of f below and above its kink.
    """

    W: Float
    form_s: bool
    gain: Float
    kinks: NDArray[np.int64]
    slopes: tuple[float, float]

    @property
    def n_units(self) -> int:
        """Number of units N."""
        return len(self.W)

    @property
    def fastest(self) -> float:
        """A bound on the rates of the flow, per tau."""
        steepest = np.abs(self.gain).max(initial=max(abs(s) for s in self.slopes))
        return 1.0 + float(np.linalg.norm(self.W, 2) * steepest)

    @property
    def rows(self) -> Float:
        """Return what the arguments of the units on their kink are of d (K, N)."""
        return self.W[self.kinks] if self.form_s else np.eye(self.n_units)[self.kinks]

    def matrices(self, above: Bool) -> Float:
        """Return A (P, N, N) of sides (P, K), True where a unit is above its kink."""
        gain = np.repeat(self.gain[None], len(above), axis=0)
        gain[:, self.kinks] = np.where(above, self.slopes[1], self.slopes[0])
        A = gain[:, :, None] * self.W if self.form_s else self.W * gain[:, None, :]
        A[:, np.arange(self.n_units), np.arange(self.n_units)] -= 1.0
        return A

    def field(self, d: Float) -> Float:
        """Return d' (N, M) of directions d (N, M)."""
        z = self.W @ d if self.form_s else d
        gain = np.repeat(self.gain[:, None], z.shape[1], axis=1)
        gain[self.kinks] = np.where(z[self.kinks] > 0, self.slopes[1], self.slopes[0])
        return gain * z - d if self.form_s else self.W @ (gain * z) - d

    def all_sides(self) -> Bool | None:
        """Return the sides of all regions (2^K, K); None where they are too many to look at."""
        K = len(self.kinks)
        if K > MOST_SIDES or 2.0**K * self.n_units**3 > MOST_WORK:
            return None
        return np.array(list(product((False, True), repeat=K)), dtype=bool)

    def rays(self, above: Bool) -> tuple[Float, Float]:
        """Return the rates (R,) and directions (N, R) that stay in a region for ever.

        They are the real eigenvectors of a region's matrix that lie within it.
        """
        values, vectors = np.linalg.eig(self.matrices(above))
        p, k = np.nonzero(np.abs(values.imag) <= RAY * self.fastest)
        v = vectors[p, :, k].real
        v /= np.maximum(np.linalg.norm(v, axis=1), 1e-300)[:, None]
        rows = self.rows
        size = RAY * (1.0 + np.linalg.norm(rows, axis=1))
        rates, directions = [], []
        for sign in (1.0, -1.0):
            z = sign * v @ rows.T
            within = np.where(above[p], z >= -size, z <= size).all(axis=1)
            rates.append(values[p, k].real[within])
            directions.append(sign * v[within])
        return np.concatenate(rates), np.vstack(directions).T


def kink_flow(rnn: RNNNumpy, u: Float, point: Float) -> KinkFlow | None:
    """Return the flow around a state (N,); None where it is no fixed point on a kink.

    None for an f that is not linear on either side of 0, or gamma > 0. A unit whose argument stays
    at its kink, or is driven by no other unit, does not count: its side changes nothing.
    """
    slopes = rnn.activation.half_slopes
    if slopes is None or rnn.gamma or slopes[0] == slopes[1]:
        return None
    z = rnn.W_rec @ point + rnn.drive(u) if rnn.equation_type == "s" else point
    size = 1.0 + float(np.abs(point).max(initial=0.0))
    kinks = (np.abs(z) <= ON_KINK * size) & rnn.W_rec.any(axis=1)
    if not kinks.any() or np.abs(rnn.rhs(point, u)).max() > AT_REST * size:
        return None
    gain = np.where(z > 0, slopes[1], slopes[0])
    return KinkFlow(rnn.W_rec, rnn.equation_type == "s", gain, np.flatnonzero(kinks), slopes)


def follow(flow: KinkFlow, directions: Float) -> tuple[NDArray[np.int64], Float]:
    """Follow directions (N, M) until it is clear whether they grow.

    Returns
    -------
    fate : array (M,) of int
        1 grows, -1 decays, 0 neither: on a ray of rate 0, or not clear.
    rates : array (M,)
        Of growth, per tau, in the second half of what was followed.
    """
    fastest = flow.fastest
    step = STEP / fastest
    n_steps = min(int(np.ceil(LONGEST / step)), MOST_STEPS)
    n_steps += -n_steps % CHECKED_EVERY
    d = directions / np.maximum(np.linalg.norm(directions, axis=0), 1e-300)
    size = np.zeros(d.shape[1])
    fate, rates = np.zeros(len(size), dtype=np.int64), np.zeros(len(size))
    live = np.arange(len(size))
    history = [size.copy()]
    for n in range(1, n_steps + 1):
        x = d[:, live]
        k1 = flow.field(x)
        k2 = flow.field(x + 0.5 * step * k1)
        k3 = flow.field(x + 0.5 * step * k2)
        x = x + step / 6.0 * (k1 + 2.0 * k2 + 2.0 * k3 + flow.field(x + step * k3))
        length = np.maximum(np.linalg.norm(x, axis=0), 1e-300)
        d[:, live] = x / length
        size[live] += np.log(length)
        if n % CHECKED_EVERY:
            continue
        history.append(size.copy())
        x = d[:, live]
        pace = flow.field(x)
        rate = np.einsum("nm,nm->m", x, pace)
        ray = np.linalg.norm(pace - rate * x, axis=0) <= RAY * fastest
        middle = (len(history) - 1) // 2
        time = step * CHECKED_EVERY * (len(history) - 1 - middle)
        slope = (size[live] - history[middle][live]) / time
        rates[live] = np.where(ray, rate, slope)
        clear = np.abs(size[live]) > DECIDED
        signs = np.where(clear, np.sign(size[live]), 0.0)
        zero = np.abs(rate) <= RAY * fastest
        fate[live] = np.where(ray, np.where(zero, 0.0, np.sign(rate)), signs)
        live = live[~ray & (np.abs(size[live]) <= ENOUGH)]
        if not live.size:
            break
    return fate, rates
