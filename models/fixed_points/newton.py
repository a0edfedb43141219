"""Damped Newton's method on a batch of states: the roots of F, in float64."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from .field import Array, ConstantInputs

Float = NDArray[np.float64]
SINGULAR: Any = (np.linalg.LinAlgError, torch.linalg.LinAlgError)  # type: ignore[attr-defined]
MEMORY = 4  # values of |F| that a step is compared with
HALVINGS = 5
# Steps without a lower |F| that end a start: it circles. Among kinks some circle long and arrive.
PATIENCE, PATIENCE_AMONG_KINKS = 15, 30
# A step so many times longer than F comes from a Jacobian that is singular but for rounding: how
# far it goes along the degenerate directions is chance, and differs between processors.
SINGULAR_GROWTH = 1e12
# Where the states x (P, N) with field F (P, N) are known to lead: a number of a root, -1: nowhere.
Recognise = Callable[[Float, Float], NDArray[np.int64]]


@dataclass(frozen=True)
class Roots:
    """End points of P runs of Newton's method.

    Attributes
    ----------
    points : array (P, N)
        End points.
    residual : array (P,)
        |F| there.
    converged : array (P,) of bool
        Whether the end point is a root to the tolerance, or on the way to a known one.
    known : array (P,) of int
        Number of the known root that a start was on the way to; -1 for the others.
    """

    points: Float
    residual: Float
    converged: NDArray[np.bool_]
    known: NDArray[np.int64]


def _length(rows: Array) -> Array:
    return (rows * rows).sum(1) ** 0.5


def _ridge_steps(field: ConstantInputs, J: Array, F: Array) -> Array:
    """Return the solutions of J d = -F that leave degenerate directions alone."""
    transposed = J.swapaxes(1, 2)
    normal = transposed @ J
    ridge = 1e-10 * (J * J).sum((1, 2)) / field.N + 1e-300
    normal[:, field.units, field.units] += ridge[:, None]
    return field.solve(normal, -(transposed @ F[:, :, None])[:, :, 0])


def newton_steps(field: ConstantInputs, x: Array, F: Array, max_step: Array, of: Array) -> Array:
    """Return the Newton steps (P, N) from states ``x`` with fields ``F`` (P, N).

    A step longer than ``max_step`` (P,), or than `SINGULAR_GROWTH` times F, comes from a nearly
    singular Jacobian: there the ridge solution, which leaves the degenerate directions alone, takes
    its place. ``of`` (P,) says of which problem each row is.
    """
    try:
        steps = field.steps(x, F, of)
    except SINGULAR:  # one singular matrix stops a whole batch
        steps = _ridge_steps(field, field.jacobian(x, of), F)
    length = _length(steps)
    wild = ~((length <= max_step) & (length <= SINGULAR_GROWTH * _length(F)))
    if wild.any():
        for rows in field.pieces(wild):
            steps[rows] = _ridge_steps(field, field.jacobian(x[rows], of[rows]), F[rows])
        length = _length(steps).clip(1e-300)
        steps *= (max_step / length).clip(0.0, 1.0)[:, None]
    return steps


def find_roots(
    field: ConstantInputs,
    starts: Float,
    fun_tol: float,
    max_step: Float,
    which: NDArray[np.int64] | None = None,
    recognise: Recognise | None = None,
    max_iter: int = 60,
) -> Roots:
    """Run damped Newton from every row of ``starts`` (P, N).

    A step is halved until |F| falls below the largest of its last values (which lets an iterate
    climb out of the shallow minima of |F| that surround saddles). Beyond the tolerance there are
    two more steps, to the floor of rounding, so that duplicates agree far better than ``fun_tol``
    alone would have them.

    Parameters
    ----------
    field : ConstantInputs
        The right-hand sides.
    starts : array (P, N)
        Where to start.
    fun_tol : float
        Largest |F| of a root.
    max_step : array (P,)
        Longest step of each.
    which : array (P,) of int, optional
        The problem of each row; the first by default.
    recognise : callable, optional
        Says which iterates are on the way to a known root; they go no further.
    max_iter : int
        Largest number of steps.
    """
    n_starts = len(starts)
    which = np.zeros(n_starts, dtype=np.int64) if which is None else which
    known = np.full(n_starts, -1)
    if not n_starts:
        return Roots(starts, np.empty(0), np.empty(0, dtype=bool), known)
    xp = field.xp
    rows, steps_allowed = field.array(which), field.array(max_step)
    x = field.array(np.array(starts, dtype=np.float64))
    F = field.rhs(x, rows)
    size = _length(F)
    best, best_size = x + 0.0, size + 0.0
    live = field.array(np.arange(n_starts))
    history = xp.stack([size] * MEMORY)
    polish = live * 0 + 2
    idle = live * 0
    smooth = field.equation.activation.is_smooth
    patience = PATIENCE if smooth else PATIENCE_AMONG_KINKS
    for iteration in range(max_iter):
        if recognise is not None:
            names = recognise(x, F)
            seen = names >= 0
            if seen.any():
                known[live[seen]] = names[seen]
                keep = ~seen
                live, x, F, size = live[keep], x[keep], F[keep], size[keep]
                history, polish, idle = history[:, keep], polish[keep], idle[keep]
        if not len(live):
            break
        of = rows[live]
        steps = newton_steps(field, x, F, steps_allowed[live], of)
        ceiling = xp.amax(history, 0)
        moved, moved_F, moved_size = x + 0.0, F + 0.0, size + 0.0
        pending = field.array(np.arange(len(live)))
        scale = 1.0
        for _ in range(HALVINGS):
            trial = x[pending] + scale * steps[pending]
            trial_F = field.rhs(trial, of[pending])
            trial_size = _length(trial_F)
            good = trial_size <= (1 - 1e-4 * scale) * ceiling[pending]
            chosen = pending[good]
            moved[chosen], moved_F[chosen] = trial[good], trial_F[good]
            moved_size[chosen] = trial_size[good]
            pending = pending[~good]
            if not len(pending):
                break
            scale *= 0.5
        free = xp.ones_like(live) > 0
        free[pending] = False  # no step length would do
        x, F, size = moved, moved_F, moved_size
        better = size < best_size[live]
        idle = (idle + 1) * (size > 0.9 * best_size[live])
        best[live[better]], best_size[live[better]] = x[better], size[better]
        history[iteration % MEMORY] = size
        polish = polish - (size <= fun_tol) * 1
        keep = free & (polish > 0) & (idle < patience)
        live, x, F, size = live[keep], x[keep], F[keep], size[keep]
        history, polish, idle = history[:, keep], polish[keep], idle[keep]
    residual = np.asarray(field.numpy(best_size))
    return Roots(field.numpy(best), residual, (residual <= fun_tol) | (known >= 0), known)
