"""Evenly spaced samples of a traced curve."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import CubicSpline

from ..network.rnn_numpy import RNNNumpy
from .correction import correct
from .curves import Curve, arc_length

Float = NDArray[np.float64]
ROUNDS = 12
FINER = 3  # samples of a kinked curve while it is solved, for each one that is returned


def sample_evenly(rnn: RNNNumpy, u: Float, curve: Curve, n_samples: int) -> Curve:
    """Return the curve at states evenly spaced in arc length, each solved anew.

    The samples obey F = (drift) dx/ds: the curve is invariant under the flow. (The trace takes the
    tangents of single states, which is exact where F = 0 and errs by drift times curvature
    elsewhere.)
    """
    if rnn.activation.is_smooth and len(curve.points) > 3:
        return _solved_smooth(rnn, u, curve, n_samples)
    return _solved_kinked(rnn, u, curve, n_samples)


def interpolate_evenly(rnn: RNNNumpy, u: Float, curve: Curve, n_samples: int) -> Curve:
    """Return the curve at evenly spaced states on its chords: for one that is invariant already."""
    points = _even(curve, n_samples, smooth=False)[0]
    return _measured(rnn, u, points, curve, smooth=False)[0]


def measured_evenly(rnn: RNNNumpy, u: Float, curve: Curve, n_samples: int) -> Curve:
    """Return the curve at evenly spaced states on a spline through its own, not solved anew."""
    points = _even(curve, n_samples, smooth=True)[0]
    return _measured(rnn, u, points, curve, smooth=True)[0]


def _solved_smooth(rnn: RNNNumpy, u: Float, curve: Curve, n_samples: int) -> Curve:
    """Solve with the tangents of a spline through the samples, again and again.

    Each round respaces the samples too; the one whose F has the least part across its curve is
    returned. (Fraser's iteration for slow manifolds; it converges where the drift times the
    curvature is small against the rates across.)
    """
    best, least = curve, np.inf
    current = curve
    for _ in range(ROUNDS):
        predicted, tangents = _even(current, n_samples, smooth=True)
        new = correct(rnn, u, predicted, tangents[:, :, None], 0.1 * curve.length)
        # where a sample cannot be solved the interpolated state stands
        points = np.where(new.converged[:, None], new.points, predicted)
        current, across = _measured(rnn, u, points, curve, smooth=True)
        if across < least:
            best = current
        if across > 0.5 * least or across < 1e-13 * (1.0 + np.abs(points).max()):
            break
        least = across
    return best


def _solved_kinked(rnn: RNNNumpy, u: Float, curve: Curve, n_samples: int) -> Curve:
    """Solve downstream, each sample from the one before it on the way of the drift.

    In a piecewise-linear network the slow direction of single states jumps at every kink, and with
    it the traced curve, by drift over rate across. The flow itself bends there without a jump: from
    the states that it leaves to those that it ends in, F(x) = a (x - x_before), a > 0, is an
    implicit Euler step along it, and forgets its start at the rate across.
    """
    dense = FINER * n_samples
    points = _even(curve, dense, smooth=False)[0]
    for _ in range(2):
        current, _ = _measured(rnn, u, points, curve, smooth=False)
        points = current.points.copy()
        normals = _chords(points, curve.closed, 4)
        drift = current.drift
        still = 1e-7 * curve.length / dense
        # twice around a ring: its first samples have none before them the first time
        forward = np.tile(np.arange(dense), 2 if curve.closed else 1)
        for order, sign in ((forward, 1.0), (forward[::-1], -1.0)):
            for before, k in pairwise(order):
                if sign * drift[k] > still and sign * drift[before] > still:
                    points[k] = _downstream(rnn, u, points[k], points[before], normals[k])
        points = _even(_like(curve, points), dense, smooth=False)[0]
    points = _even(_like(curve, points), n_samples, smooth=False)[0]
    return _measured(rnn, u, points, curve, smooth=False)[0]


def _downstream(rnn: RNNNumpy, u: Float, start: Float, before: Float, normal: Float) -> Float:
    """Return the state x in the plane through ``start`` where F(x) = a (x - before)."""
    x = start.copy()
    n_units = rnn.N
    matrix = np.zeros((n_units + 1, n_units + 1))
    right = np.zeros(n_units + 1)
    chord = x - before
    flow = rnn.flow(u)
    pace = float(flow(x) @ chord / (chord @ chord))
    for _ in range(12):
        chord = x - before
        left = flow(x) - pace * chord
        matrix[:n_units, :n_units] = rnn.jacobian(x, u) - pace * np.eye(n_units)
        matrix[:n_units, n_units] = -chord
        matrix[n_units, :n_units] = normal
        right[:n_units], right[n_units] = -left, normal @ (start - x)
        try:
            step = np.linalg.solve(matrix, right)
        except np.linalg.LinAlgError:
            return start
        x, pace = x + step[:n_units], pace + float(step[n_units])
        if np.abs(step[:n_units]).max() < 1e-12 * (1.0 + np.abs(x).max()):
            break
    # a solution on another branch is not this curve's
    near = np.linalg.norm(x - start) < 4.0 * np.linalg.norm(start - before)
    return x if pace > 0.0 and near else start


def evenly(points: Float, n_samples: int, endpoint: bool = True) -> Float:
    """Return states (n_samples, N) evenly spaced along the chords between states (M, N)."""
    arc = arc_length(points)
    where = np.linspace(0.0, arc[-1], n_samples, endpoint=endpoint)
    return np.stack([np.interp(where, arc, column) for column in points.T], axis=1)


def _like(curve: Curve, points: Float) -> Curve:
    return Curve(points, points, np.zeros(len(points)), curve.closed, curve.ends)


def _measured(
    rnn: RNNNumpy, u: Float, points: Float, curve: Curve, smooth: bool
) -> tuple[Curve, float]:
    """Return the curve through states, respaced, and its largest |F| across."""
    points, tangents = _even(_like(curve, points), len(points), smooth)
    field = rnn.rhs_at(points, u)
    drift = np.einsum("mn,mn->m", tangents, field)
    across = float(np.linalg.norm(field - drift[:, None] * tangents, axis=1).max())
    return Curve(points, tangents, drift, curve.closed, curve.ends), across


def _chords(points: Float, closed: bool, reach: int) -> Float:
    """Return unit chords (M, N) between the samples ``reach`` before and after each."""
    n = len(points)
    here = np.arange(n)
    if closed:
        chord = points[(here + reach) % n] - points[(here - reach) % n]
    else:
        chord = points[np.minimum(here + reach, n - 1)] - points[np.maximum(here - reach, 0)]
    return np.asarray(chord / np.linalg.norm(chord, axis=1, keepdims=True))


def _even(curve: Curve, n_samples: int, smooth: bool) -> tuple[Float, Float]:
    """Return states (M, N) evenly spaced along the interpolated curve, and its unit tangents."""
    points = np.vstack([curve.points, curve.points[:1]]) if curve.closed else curve.points
    if smooth:
        arc = arc_length(points)
        where = np.linspace(0.0, arc[-1], n_samples, endpoint=not curve.closed)
        spline = CubicSpline(arc, points, bc_type="periodic" if curve.closed else "not-a-knot")
        # chords are shorter than arcs: measure along the spline itself
        fine = np.linspace(0.0, arc[-1], 8 * len(arc))
        slope = np.linalg.norm(spline(fine, 1), axis=1)
        true = np.concatenate([[0.0], np.cumsum(0.5 * (slope[1:] + slope[:-1]) * np.diff(fine))])
        at = np.interp(where * true[-1] / arc[-1], true, fine)
        states, tangents = spline(at), spline(at, 1)
    else:
        states = evenly(points, n_samples, endpoint=not curve.closed)
        tangents = _chords(states, curve.closed, 1)
    return states, tangents / np.linalg.norm(tangents, axis=1, keepdims=True)
