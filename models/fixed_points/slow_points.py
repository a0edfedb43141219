"""Slow points: local minima of |F|^2 / 2, in float64."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tasks_lib.brief import brief

from ..network.rnn_numpy import RNNNumpy
from .chunks import slices
from .kinks import finish_on_kinks

Float = NDArray[np.float64]
MAX_CHUNK_BYTES = 8_000_000  # of one stack of Jacobians; a few such stacks live at a time


@brief
@dataclass(frozen=True)
class SlowPoints:
    """End points of P minimisations of the speed.

    Attributes
    ----------
    points : array (P, N)
        End points.
    residual : array (P,)
        |F| there.
    converged : array (P,) of bool
        Whether the end point is a local minimum.
    """

    points: Float
    residual: Float
    converged: NDArray[np.bool_]


def _solve(matrices: Float, rows: Float) -> Float:
    """Return the solutions (P, N) of stacked systems (P, N, N) with right-hand sides (P, N)."""
    return np.asarray(np.linalg.solve(matrices, rows[:, :, None])[:, :, 0], dtype=np.float64)


def speed_hessian(rnn: RNNNumpy, x: Float, field: Float, J: Float, u: Float) -> Float:
    """Return the Hessians (P, N, N) of |F|^2 / 2 at states ``x`` (N, P).

    J^T J plus the curvature of F.
    """
    transposed = np.swapaxes(J, 1, 2)
    hessian = transposed @ J
    units = np.arange(rnn.N)
    f = rnn.activation
    if not f.is_piecewise_linear:
        if rnn.equation_type == "s":
            z = rnn.W_rec @ x + rnn.drive(u)[:, None]
            curvature = field * f.d2f(z)
            hessian += rnn.W_rec.T @ (curvature.T[:, :, None] * rnn.W_rec)
        else:
            curvature = (rnn.W_rec.T @ field) * f.d2f(x)
            hessian[:, units, units] += curvature.T
    if rnn.gamma:
        hessian[:, units, units] -= 6.0 * rnn.gamma * (x * field).T
    return hessian


def _is_at_kink(rnn: RNNNumpy, x: Float, u: Float) -> NDArray[np.bool_]:
    """Return at which states ``x`` (N, P) a unit's argument is at a kink of f, (P,)."""
    at_kink = np.zeros(x.shape[1], dtype=bool)
    if rnn.activation.is_smooth:
        return at_kink
    z = rnn.W_rec @ x + rnn.drive(u)[:, None] if rnn.equation_type == "s" else x
    for kink in rnn.activation.kinks:
        at_kink |= (np.abs(z - kink) <= 1e-9 * (1.0 + abs(kink))).any(axis=0)
    return at_kink


def minimise_speed(
    rnn: RNNNumpy, starts: Float, u: Float, max_step: float, max_iter: int = 200
) -> SlowPoints:
    """Find local minima of q = |F|^2 / 2 from every row of ``starts`` (P, N).

    Levenberg-Marquardt damping of Newton's method on q, with its full Hessian where that gives
    descent and J^T J where not. An end point counts as converged where the gradient of q has
    vanished and the Hessian has no negative eigenvalue. For an f of two slopes, whose minima lie
    on the kink as a rule, `finish_on_kinks` goes on from there, and zero must be a subgradient. At
    kinks of any other f no end point counts as converged.
    """
    points = np.empty_like(starts)
    residual = np.empty(len(starts))
    converged = np.zeros(len(starts), dtype=bool)
    for part in slices(len(starts), rnn.N, MAX_CHUNK_BYTES):
        end, residual[part], converged[part] = _minimise_chunk(
            rnn, starts[part].T, u, max_step, max_iter
        )
        points[part] = end.T
    return SlowPoints(points, residual, converged)


def _minimise_chunk(
    rnn: RNNNumpy, starts: Float, u: Float, max_step: float, max_iter: int
) -> tuple[Float, Float, NDArray[np.bool_]]:
    """Minimise from columns (N, P), on which one product makes the arguments of all states."""
    n_units, n_points = starts.shape
    end = starts.copy()
    converged = np.zeros(n_points, dtype=bool)
    live = np.arange(n_points)
    x = starts.copy()
    damping: Float = np.full(n_points, 1e-3)
    units = np.arange(n_units)
    for _ in range(max_iter):
        if not live.size:
            break
        field = rnn.rhs(x, u)
        size = np.linalg.norm(field, axis=0)
        J = rnn.jacobian(x, u)
        gradient = np.einsum("pij,ip->pj", J, field)
        scale = np.maximum(np.einsum("pij,pij->p", J, J) / n_units, 1.0)  # of J^T J
        flat = np.linalg.norm(gradient, axis=1) <= 1e-10 * np.sqrt(scale) * (1e-3 + size)
        hessian = speed_hessian(rnn, x, field, J, u)
        hessian[:, units, units] += (damping * scale)[:, None]
        steps = _solve(hessian, -gradient)
        uphill = np.einsum("pi,pi->p", steps, gradient) > 0
        if uphill.any():
            normal = np.swapaxes(J[uphill], 1, 2) @ J[uphill]
            normal[:, units, units] += ((damping + 1e-10) * scale)[uphill, None]
            steps[uphill] = _solve(normal, -gradient[uphill])
        length = np.linalg.norm(steps, axis=1)
        steps *= np.minimum(1.0, max_step / np.maximum(length, 1e-300))[:, None]
        trial = x + steps.T
        falls = np.linalg.norm(rnn.rhs(trial, u), axis=0) < size
        moving = falls & ~flat
        x[:, moving] = trial[:, moving]
        damping = np.clip(np.where(falls, 0.2 * damping, 10.0 * damping), 1e-14, 1e10)
        stalled = damping > 1e8
        done = flat | stalled
        end[:, live] = x
        if rnn.activation.half_slopes is not None:
            # the gradient of one side says nothing at a kink
            for i in np.flatnonzero(done):
                end[:, live[i]], converged[live[i]] = finish_on_kinks(rnn, x[:, i], u)
        elif flat.any():
            plain = speed_hessian(rnn, x[:, flat], field[:, flat], J[flat], u)
            lowest = np.linalg.eigvalsh(plain)[:, 0]
            minimal = lowest >= -1e-9 * scale[flat]
            converged[live[flat]] = minimal & ~_is_at_kink(rnn, x[:, flat], u)
        live, x, damping = live[~done], x[:, ~done], damping[~done]
    return end, np.linalg.norm(rnn.rhs(end, u), axis=0), converged
