"""The invariant line between two states: a curve that the flow keeps, whatever other modes do.

A line of slow states attracts: across it modes decay, along it the state drifts. Where these modes
are not orthogonal to the line (a non-normal network), neither the state that an end was let go at
nor the slowest state across a chord lies on it. So

- an end is moved onto the line along the fast modes alone, which is where the network itself would
  go if it did not drift meanwhile: by Newton steps -sum_k r_k (l_k . F) / lambda_k over the modes k
  other than the slow one, until F is along the slow mode (Maas & Pope 1992);
- the curve between the ends is let go with the part of F across it, and spaced evenly again and
  again, until F is along it everywhere (the string method, E, Ren & Vanden-Eijnden 2007);
- then it is solved by Newton's method, with the tangents of the curve itself
  (`models.manifolds.sampling`).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..manifolds.curves import Curve
from ..manifolds.sampling import evenly, sample_evenly
from ..network.rnn_numpy import RNNNumpy

Float = NDArray[np.float64]
SEPARATION = 0.5  # largest ratio of the slow rate to the next one at which modes are told apart
LONGEST = 200.0  # tau for which a curve is let go
RESPACED = 5  # steps between spacings
STEP = 0.1  # tau
KEPT = 0.2  # largest part of F across a curve that the flow keeps, of F
SHRUNK = 0.8  # of the distance between ends, below which free ends have been led away
STILL = 1e-9  # |F| below which states are fixed, of their size


def onto_slow_mode(rnn: RNNNumpy, u: Float, state: Float, reach: float) -> Float:
    """Return where a state near a slow line lies on it, moved along its fast modes alone.

    The state itself where no single real mode is slower than the others by a factor of 2.

    Parameters
    ----------
    rnn : RNNNumpy
    u : array (n_inputs,)
    state : array (N,)
    reach : float
        How far it may move; what leads farther is no way onto this line.
    """
    x = state.copy()
    least = np.inf
    best = state
    for _ in range(30):
        field, J = rnn.rhs(x, u), rnn.jacobian(x, u)
        values, right = np.linalg.eig(J)
        order = np.argsort(np.abs(values))
        slow = order[0]
        rates = np.abs(values[order])
        alone = len(rates) < 2 or rates[0] <= SEPARATION * rates[1]
        if not alone or values[slow].imag != 0 or np.linalg.cond(right) > 1e10:
            break
        amounts = np.linalg.solve(right, field.astype(np.complex128))
        amounts[slow] = 0.0
        fast = float(np.linalg.norm((right @ amounts).real))
        if fast < least:
            least, best = fast, x
        if fast <= 1e-13 * (1.0 + float(np.abs(x).max())) or fast > 10.0 * least:
            break
        others = np.where(np.arange(len(values)) == slow, 1.0, values)
        x = x - (right @ (amounts / others)).real
        if not np.linalg.norm(x - state) <= reach:  # nor NaN
            return state
    return best


def line_between(rnn: RNNNumpy, u: Float, ends: tuple[Float, Float], n_points: int) -> Curve:
    """Return the curve from one state to another that the flow keeps, evenly spaced.

    Where there is none it is the one on which F has least across it: ask `is_kept`.

    Parameters
    ----------
    rnn : RNNNumpy
    u : array (n_inputs,)
        The constant input.
    ends : pair of arrays (N,)
        On the line, or near it.
    n_points : int
        States along the curve P, both ends counted.
    """
    share = np.linspace(0.0, 1.0, max(n_points, 31))[:, None]
    chord = (1 - share) * ends[0] + share * ends[1]
    # Free ends settle onto the line where they are still beside it. Where other modes are as slow
    # as the one along it they are led round, and at last into a point: then they are held.
    free = _followed(rnn, u, _settled(rnn, u, chord, held=False), n_points)
    apart = np.linalg.norm(free.points[-1] - free.points[0]) / np.linalg.norm(ends[1] - ends[0])
    if SHRUNK < apart < 1 / SHRUNK and is_kept(rnn, u, free):
        return free
    return _followed(rnn, u, _settled(rnn, u, chord, held=True), n_points)


def _followed(rnn: RNNNumpy, u: Float, settled: Float, n_points: int) -> Curve:
    """Return the better of the settled curve and the one that Newton's method makes of it."""
    dense = _curve(rnn, u, settled)
    found = [_curve(rnn, u, evenly(settled, n_points))]
    solved = sample_evenly(rnn, u, dense, len(settled))
    moved = np.linalg.norm(solved.points[[0, -1]] - dense.points[[0, -1]], axis=1).max()
    is_near = moved < 0.05 * dense.length and np.isfinite(solved.points).all()
    if is_near and _across(rnn, u, solved) < _across(rnn, u, dense):
        found.append(_curve(rnn, u, evenly(solved.points, n_points), solved))
    return min(found, key=lambda curve: _across(rnn, u, curve))


def is_kept(rnn: RNNNumpy, u: Float, curve: Curve) -> bool:
    """Return whether the flow keeps a curve: F has hardly a part across it."""
    speed = np.linalg.norm(rnn.rhs_at(curve.points, u), axis=1)
    if speed.max() <= STILL * (1.0 + float(np.abs(curve.points).max())):
        return True
    return _across(rnn, u, curve) <= KEPT * float(np.sqrt(np.mean(speed**2)))


def across(rnn: RNNNumpy, u: Float, curve: Curve) -> Float:
    """Return |F| across the curve at each of its states (P,)."""
    field = rnn.rhs_at(curve.points, u)
    along = np.einsum("pn,pn->p", field, curve.tangents)
    return np.linalg.norm(field - along[:, None] * curve.tangents, axis=1)


def _across(rnn: RNNNumpy, u: Float, curve: Curve) -> float:
    return float(np.sqrt(np.mean(across(rnn, u, curve) ** 2)))


def _settled(rnn: RNNNumpy, u: Float, points: Float, held: bool) -> Float:
    """Return states (P, N) after they have moved with the part of F across their curve.

    Ends that are ``held`` stay: from one that is off the line, the curve is the way that the
    network takes to it.
    """
    step = min(STEP, rnn.alpha)
    size = 1.0 + float(np.abs(points).max())
    best, least = points, np.inf
    for number in range(int(LONGEST / step)):
        tangents = _tangents(points)
        field = rnn.rhs_at(points, u)
        moved = field - np.einsum("pn,pn->p", field, tangents)[:, None] * tangents
        if held:
            moved[[0, -1]] = 0.0
        left = float(np.linalg.norm(moved, axis=1).max())
        if not np.isfinite(left) or np.abs(points).max() > 1e3 * size:
            return best
        if left < least:
            best, least = points, left
        if left <= 1e-10 * size or (number > 200 and left > 100 * least):
            return best
        points = points + step * moved
        if number % RESPACED == RESPACED - 1:
            points = evenly(points, len(points))
    return best


def _tangents(points: Float) -> Float:
    chords = np.gradient(points, axis=0)
    lengths = np.linalg.norm(chords, axis=1, keepdims=True)
    return np.asarray(chords / np.maximum(lengths, 1e-300))


def _curve(rnn: RNNNumpy, u: Float, points: Float, finer: Curve | None = None) -> Curve:
    """Return the curve through states, with the tangents of a finer one where there is one."""
    tangents = _tangents(points)
    if finer is not None and len(points) < len(finer.points):
        arcs = [c / c[-1] for c in (_arc(points), finer.arc)]
        tangents = np.stack(
            [np.interp(arcs[0], arcs[1], column) for column in finer.tangents.T], axis=1
        )
        tangents /= np.linalg.norm(tangents, axis=1, keepdims=True)
    elif finer is not None:
        tangents = finer.tangents
    drift = np.einsum("pn,pn->p", rnn.rhs_at(points, u), tangents)
    return Curve(points, tangents, drift, False, ("end", "end"))


def _arc(points: Float) -> Float:
    return np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(points, axis=0), axis=1))])
