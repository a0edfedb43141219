"""Proof that a true root of F lies near a computed one, and no other."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..network.rnn_numpy import RNNNumpy
from .verified import (
    EPS,
    SAFE,
    TINY,
    apply,
    approximate_inverse,
    chunks,
    defect,
    spectral_norm_bound,
)

Float = NDArray[np.float64]
FUNCTION_ERROR = 8.0 * EPS  # assumed of tanh, exp, ...: relative, of value and argument each
LONGEST = 2.0**20  # radii are looked for up to here
MAX_ITERATIONS = 60


def certify(rnn: RNNNumpy, u: ArrayLike, points: Float) -> tuple[Float, Float]:
    """Prove that a fixed point lies near each computed one, and that it is the only one around.

    Parameters
    ----------
    rnn : RNNNumpy
        The network, of either form, with any gamma.
    u : array (n_inputs,)
        Constant input.
    points : array (P, N)
        Computed fixed points; any states may be given.

    Returns
    -------
    existence_radius : array (P,)
        A true root of F lies within this Euclidean distance of the point. NaN where none could be
        proven: the point is no root, J is too nearly singular, or f has kinks or no known bounds.
    uniqueness_radius : array (P,)
        Exactly one root lies within this distance, at most 2^20. NaN where the other is.

    Notes
    -----
    With R about J^-1, T(x) = x - R F(x) maps a ball into itself where |R F| plus what the change of
    J over the ball can add is no more than its radius: Brouwer's theorem then gives a root. Two
    roots y, y' would have y - y' = (I - R A)(y - y') with A the mean of J between them, which
    |I - R A| < 1 excludes. (Both arguments: Rump, Verification methods, Acta Numerica 2010.)

    F(x) = -x + B f(z) + ... with z = P x + ..., where form s has B = I, P = W and form h B = W,
    P = I. Its second derivative adds up over units, sum_i R B e_i f''(z_i) (P v)_i (P v')_i, and is
    at most max_i |R B e_i| |f''(z_i)| |P v| |P v'| in norm, with |f''| bounded over the interval
    of z_i that the ball allows.

    Roundings of F, J and every product are bounded (see `verified`). Assumed is that f and f' are
    computed with an error of at most 8 eps, relative to their value and to their argument. The
    network proven about is that of the stored weights and input, taken as exact numbers.
    """
    points = np.asarray(points, dtype=np.float64)
    exists: Float = np.full(len(points), np.nan)
    unique: Float = exists.copy()
    f = rnn.activation
    if not f.is_smooth or not f.has_bounds or not len(points):
        return exists, unique
    norm = spectral_norm_bound(rnn.W_rec) if rnn.equation_type == "s" else 1.0
    with np.errstate(all="ignore"):
        for part in chunks(rnn.N, len(points)):
            bounds = _bounds(rnn, np.asarray(u, dtype=np.float64), points[part], norm)
            near = bounds.existence()
            exists[part], unique[part] = near[0], bounds.uniqueness(*near)
    exists[np.isnan(unique)] = np.nan
    return exists, unique


@dataclass(frozen=True)
class _Bounds:
    """Upper bounds that a proof needs at P points; all arrays (P,) or (P, N).

    "wide" quantities are lengths in the space of arguments z: of P R F and P R B e_i.
    """

    rnn: RNNNumpy
    norm: float  # |P|
    reach: Float  # (N,) how far z_i moves when the state moves by 1
    size: Float  # |x_i|
    argument: Float  # z_i as computed
    doubt: Float  # what z_i may be off by
    defect: Float  # |I - R J|
    step: Float  # |R F|
    wide_step: Float
    bend: Float  # |R B e_i|
    wide_bend: Float
    cubic: Float  # |R e_i|
    wide_cubic: Float

    def _curvature(self, radius: Float, wide_radius: Float) -> tuple[Float, Float]:
        """Bound |f''(z_i)| and the cubic term's 6 gamma |x_i| within the radii (P,): (P, N)."""
        half = np.minimum(self.reach * radius[:, None], wide_radius[:, None]) + self.doubt
        f = self.rnn.activation
        bound = f.curvature_bound(self.argument - half, self.argument + half)
        return bound, 6.0 * self.rnn.gamma * (self.size + radius[:, None])

    def existence(self) -> tuple[Float, Float]:
        """Return radii (P,) of a ball, in states and in arguments, that T maps into itself."""
        radius, wide = self.step, self.wide_step
        proven = np.zeros(len(radius), dtype=bool)
        result = np.full((2, len(radius)), np.nan)
        for _ in range(MAX_ITERATIONS):
            tried, wide_tried = radius * (1 + 1 / 64) + TINY, wide * (1 + 1 / 64) + TINY
            curved, cubic = self._curvature(tried, wide_tried)
            radius = self.step + self.defect * tried
            radius = radius + 0.5 * (curved * self.bend).max(axis=1) * wide_tried**2
            radius = SAFE * (radius + 0.5 * (cubic * self.cubic).max(axis=1) * tried**2)
            wide = self.wide_step + self.norm * self.defect * tried
            wide = wide + 0.5 * (curved * self.wide_bend).max(axis=1) * wide_tried**2
            wide = SAFE * (wide + 0.5 * (cubic * self.wide_cubic).max(axis=1) * tried**2)
            inside = (radius <= tried) & (wide <= wide_tried) & (self.defect < 1) & ~proven
            result[:, inside] = radius[inside], wide[inside]  # T maps the ball into this smaller
            proven |= inside
            if (proven | ~(radius <= LONGEST)).all():
                break
        return result[0], result[1]

    def _contracts(self, radius: Float, near: Float, wide_near: Float) -> NDArray[np.bool_]:
        """Return whether the map contracts within ``radius``, so that there is no second root."""
        wide = self.norm * radius
        curved, cubic = self._curvature(radius, wide)
        # two roots are no farther apart than |f'| times their arguments (gamma only pulls closer)
        slope = SAFE * self.rnn.activation.largest_slope if self.rnn.equation_type == "s" else 1.0
        factor = self.norm * slope * self.defect
        factor = factor + 0.5 * (wide_near + wide) * (curved * self.wide_bend).max(axis=1)
        pulled = 0.5 * (near + radius) * (cubic * self.wide_cubic).max(axis=1)
        return np.asarray((radius >= near) & (SAFE * (factor + slope * pulled) < 1))

    def uniqueness(self, near: Float, wide_near: Float) -> Float:
        """Return the largest radius (P,) within which the root of `existence` is the only one."""
        low = near.copy()
        proven = self._contracts(low, near, wide_near)
        high: Float = np.full(len(near), LONGEST)
        for _ in range(60):  # to 1 % of a radius, by halving its logarithm
            if not (proven & (high > 1.01 * low)).any():
                break
            middle = np.sqrt(low * high)
            good = self._contracts(middle, near, wide_near)
            low, high = np.where(good, middle, low), np.where(good, high, middle)
        return np.where(proven, low, np.nan)


def _lengths(columns: Float) -> Float:
    return np.sqrt(np.einsum("pij,pij->pj", columns, columns))


@dataclass(frozen=True)
class SlopeBounds:
    """Arguments of f and f' there, with errors, all (P, N): see `slope_bounds`."""

    argument: Float
    doubt: Float  # of the argument
    slope: Float  # upper bound of |f'|
    slope_doubt: Float  # of f' as computed
    diagonal: Float  # of J's diagonal, beside what f' adds

    def jacobian_error(self, rnn: RNNNumpy) -> Float:
        """Return an entrywise bound (P, N, N) on what the computed J is off by."""
        weights, units = np.abs(rnn.W_rec), np.arange(rnn.N)
        entry = self.slope_doubt + 8 * EPS * self.slope
        error = (
            entry[:, :, None] * weights if rnn.equation_type == "s" else weights * entry[:, None]
        )
        error[:, units, units] += self.diagonal
        return np.asarray(SAFE * error)


def slope_bounds(rnn: RNNNumpy, u: Float, points: Float, radius: Float) -> SlopeBounds:
    """Bound f' and J over balls of ``radius`` (P,) about ``points`` (P, N), roundings included."""
    f, size = rnn.activation, np.abs(points)
    if rnn.equation_type == "s":
        argument = points @ rnn.W_rec.T + rnn.drive(u)
        doubt = sum_error(rnn) * (size @ np.abs(rnn.W_rec).T + drive_size(rnn, u)) + TINY
        reach = SAFE * np.linalg.norm(rnn.W_rec, axis=1)
    else:
        argument, doubt, reach = points, np.zeros_like(points), np.ones(rnn.N)
    # twice: the argument that rhs() and jacobian() take may have been rounded in another way
    half = 2 * doubt + reach * radius[:, None]
    bend = f.curvature_bound(argument - half, argument + half)
    shifted = np.abs(argument) + f.offset
    slope_doubt = bend * (half + FUNCTION_ERROR * shifted) + 2 * FUNCTION_ERROR * f.largest_slope
    moved = 6.0 * rnn.gamma * (size + radius[:, None]) * radius[:, None]
    return SlopeBounds(
        argument=argument,
        doubt=doubt,
        slope=np.abs(f.df(argument)) + slope_doubt,
        slope_doubt=slope_doubt,
        diagonal=moved + 8 * EPS * (1.0 + 3.0 * rnn.gamma * size**2),
    )


def sum_error(rnn: RNNNumpy) -> float:
    """Return the relative error of a sum over units and inputs."""
    return (rnn.N + rnn.n_inputs + 6) * EPS


def drive_size(rnn: RNNNumpy, u: Float) -> Float:
    """Return |W_inp| |u| + |b|, (N,)."""
    return np.asarray(np.abs(rnn.W_inp) @ np.abs(u) + np.abs(rnn.b_rec))


def _bounds(rnn: RNNNumpy, u: Float, points: Float, norm: float) -> _Bounds:
    """Compute R and every bound that the proof for ``points`` (P, N) rests on."""
    f, W, n = rnn.activation, rnn.W_rec, rnn.N
    rate_form = rnn.equation_type == "s"
    size = np.abs(points)
    weights = np.abs(W)
    at = slope_bounds(rnn, u, points, np.zeros(len(points)))
    argument, doubt = at.argument, at.doubt
    shifted = np.abs(argument) + f.offset
    value = np.abs(f.f(argument))
    value_doubt = 2 * at.slope * doubt + FUNCTION_ERROR * (value + shifted * at.slope) + TINY
    leaks = size + rnn.gamma * size**3
    if rate_form:
        field_doubt = value_doubt + 8 * EPS * (value + leaks)
    else:
        sums = value @ weights.T + drive_size(rnn, u) + leaks
        field_doubt = sum_error(rnn) * sums + value_doubt @ weights.T
    field = rnn.rhs_at(points, u)
    J = rnn.jacobian_at(points, u)
    R = approximate_inverse(J)
    rows, columns = defect(R, J, at.jacobian_error(rnn))
    field_doubt = SAFE * (field_doubt + (n + 2) * EPS * np.abs(field)) + TINY
    step = np.abs(apply(R, field)) + apply(np.abs(R), field_doubt)
    length = _lengths(R) * SAFE
    # R B or P R, whose entries are off by rounding, too
    product = W @ R if rate_form else R @ W
    frobenius = np.linalg.norm(W) * np.sqrt(np.sum(length**2, axis=1))[:, None]
    turned = SAFE * (_lengths(product) + (n + 2) * EPS * frobenius)
    if rate_form:
        wide_step = np.abs(apply(product, field)) + apply(np.abs(product), field_doubt)
        moved = np.linalg.norm(np.abs(field) + field_doubt, axis=1)
        wide = np.linalg.norm(wide_step, axis=1) + (n + 2) * EPS * frobenius[:, 0] * moved
    else:
        wide = np.linalg.norm(step, axis=1)
    return _Bounds(
        rnn=rnn,
        norm=norm,
        reach=SAFE * np.linalg.norm(W, axis=1) if rate_form else np.ones(n),
        size=size,
        argument=argument,
        doubt=2 * doubt,
        defect=np.sqrt(rows.max(axis=1) * columns.max(axis=1)),
        step=SAFE * np.linalg.norm(step, axis=1),
        wide_step=SAFE * wide,
        bend=length if rate_form else turned,
        wide_bend=turned,
        cubic=length,
        wide_cubic=turned if rate_form else length,
    )
