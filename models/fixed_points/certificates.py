"""Proof that a true root of F lies near a computed one, and no other."""

from __future__ import annotations

from math import pi, sqrt

import numpy as np
from numpy.typing import NDArray

from ..rnn_numpy import RNNNumpy

Float = NDArray[np.float64]


def largest_curvature(rnn: RNNNumpy) -> float | None:
    """Return the maximum of |f''|, None where f has kinks."""
    args = rnn.activation.args
    slope = args.get("slope", 1.0)
    bounds = {
        "tanh": slope**2 * 4.0 / (3.0 * sqrt(3.0)),
        "sigmoid": slope**2 * sqrt(3.0) / 18.0,
        "softplus": args.get("beta", 1.0) * slope**2 / 4.0,
        "gelu": args.get("alpha", 1.0) * 2.0 / sqrt(2.0 * pi),
    }
    return bounds.get(rnn.activation.name)


def newton_kantorovich(
    rnn: RNNNumpy, points: Float, residual: Float, jacobian: Float
) -> tuple[Float, Float]:
    """Return the existence and uniqueness radii (P,) of roots near ``points`` (P, N).

    With b = |J^-1|, e = b |F| and K a Lipschitz constant of J, a root exists within
    2 e / (1 + sqrt(1 - 2 b K e)) and is unique within (1 + sqrt(1 - 2 b K e)) / (b K), where
    2 b K e <= 1. Rounding of F is allowed for; that of |J^-1| is not (it is relative).
    """
    nothing = np.full(len(points), np.nan)
    curvature = largest_curvature(rnn)
    if curvature is None or not len(points):
        return nothing, nothing.copy()
    norm = np.linalg.norm(rnn.W_rec, 2)
    rows = np.linalg.norm(rnn.W_rec, axis=1).max()
    lipschitz = np.full(len(points), curvature * norm * (rows if rnn.equation_type == "s" else 1.0))
    # the cubic term: |6 gamma x| over a ball of radius 1, within which the radii must then stay
    lipschitz += 6.0 * rnn.gamma * (np.abs(points).max(axis=1) + 1.0)
    smallest = np.linalg.svd(jacobian, compute_uv=False)[:, -1]
    rounding = np.finfo(float).eps * rnn.N * (1.0 + np.linalg.norm(points, axis=1))
    with np.errstate(divide="ignore", invalid="ignore"):
        inverse = 1.0 / smallest
        step = inverse * (residual + rounding)
        root = np.sqrt(1.0 - 2.0 * inverse * lipschitz * step)
        exists = 2.0 * step / (1.0 + root)
        unique = (1.0 + root) / (inverse * lipschitz)
    if rnn.gamma:
        unique = np.minimum(unique, 1.0)
        exists = np.where(exists <= 1.0, exists, np.nan)
    return exists, np.where(np.isfinite(exists), unique, np.nan)
