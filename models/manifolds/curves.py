"""Lines and rings, followed by predictor and corrector."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..network.rnn_numpy import RNNNumpy
from .correction import correct, separation
from .settings import ManifoldSettings, Region

Float = NDArray[np.float64]
MAX_TURN = 0.94  # cosine of the largest angle (20 degrees) between tangents of one step
CORNER = 0.17  # the same at a kink of a piecewise-linear network (80 degrees)
SHORTEST = 2.0**-10  # of a step, in units of the first


@dataclass(frozen=True)
class Curve:
    """A slow curve: M states in order, and why it ends where it ends.

    Attributes
    ----------
    points, tangents : array (M, N)
    drift : array (M,)
        F along the tangents.
    closed : bool
        Whether the last state precedes the first.
    ends : tuple of str
        Why tracing stopped at the first and at the last state: "closed", "speed" (|F| above what
        is slow), "gap" (the mode along is no longer apart from those across), "step" (no
        smooth continuation), "kink" (a unit of a piecewise-linear network comes to its kink,
        beyond which it does not go on), "stable" (a stable point, of a chain of trajectories),
        "reach" (far from the states) or "budget" (of length).
    """

    points: Float
    tangents: Float
    drift: Float
    closed: bool
    ends: tuple[str, str]

    @property
    def arc(self) -> Float:
        """Arc length up to each state (M,)."""
        return arc_length(self.points)

    @property
    def length(self) -> float:
        """Arc length, with the segment that closes a ring."""
        closing = np.linalg.norm(self.points[0] - self.points[-1]) if self.closed else 0.0
        return float(self.arc[-1] + closing)


def arc_length(points: Float) -> Float:
    """Return the length of the chords between states (M, N) up to each (M,)."""
    return np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(points, axis=0), axis=1))])


def trace_curve(
    rnn: RNNNumpy,
    u: Float,
    start: Float,
    tangent: Float,
    region: Region,
    opts: ManifoldSettings,
) -> Curve | None:
    """Follow the slow curve through a state near it, both ways.

    Parameters
    ----------
    start, tangent : array (N,)
        A state near the curve, and a unit vector near its tangent.
    region : Region
        Where the states are: its scale is the unit of steps and of the budget of length.

    Returns
    -------
    Curve or None
        None where no slow curve passes near the start.
    """
    scale = region.scale
    seed = correct(rnn, u, start[None], tangent[None, :, None], 0.1 * scale)
    if not seed.converged[0]:
        return None
    # the eigenvector was that of the start: take the tangent of where it led
    seed = correct(rnn, u, seed.points, seed.tangents, 0.1 * scale)
    x, t, drift = seed.points[0], seed.tangents[0, :, 0], float(seed.drift[0, 0])
    if not seed.converged[0] or separation(rnn.jacobian(x, u), t[:, None]) > opts.gap:
        return None
    ahead, end = _branch(rnn, u, x, t, region, opts)
    if end == "closed":
        states = np.array([x] + [step[0] for step in ahead])
        tangents = np.array([t] + [step[1] for step in ahead])
        return Curve(states, tangents, np.array([drift] + [s[2] for s in ahead]), True, (end, end))
    behind, start_end = _branch(rnn, u, x, -t, region, opts)
    # backwards, tangents and drifts have the other sign
    steps = [(p, -q, -a) for p, q, a in reversed(behind)] + [(x, t, drift), *ahead]
    points, tangents, drifts = (np.array(column) for column in zip(*steps, strict=True))
    return _trimmed(Curve(points, tangents, drifts, False, (start_end, end)), len(behind), opts)


def _branch(
    rnn: RNNNumpy, u: Float, x: Float, t: Float, region: Region, opts: ManifoldSettings
) -> tuple[list[tuple[Float, Float, float]], str]:
    """Return the states, tangents and drifts ahead of a state on the curve, and why they end."""
    first, first_tangent = x, t
    scale = region.scale
    longest = opts.step * scale
    step = 0.25 * longest
    shortest = SHORTEST * longest
    smooth = rnn.activation.is_smooth
    # at a kink the curve on which F points along the slow mode jumps, where it is not zero
    jump = (0.5 if smooth else 3.0) * longest
    length = 0.0
    taken: list[tuple[Float, Float, float]] = []
    reason = "step"
    while True:
        new = correct(rnn, u, (x + step * t)[None], t[None, :, None], jump)
        tangent, drift = new.tangents[0, :, 0], float(new.drift[0, 0])
        turn = float(tangent @ t)
        bent = turn < (MAX_TURN if smooth and step > 8 * shortest else CORNER)
        failed = "step" if not new.converged[0] or bent else ""
        if not failed and abs(drift) > opts.slow * scale * opts.max_length:
            failed = "speed"
        if not failed and separation(rnn.jacobian(new.points[0], u), tangent[:, None]) > opts.gap:
            failed = "gap"
        if failed:
            reason = failed
            step *= 0.5
            if step >= shortest:
                continue
            at_kink = None if failed == "speed" else _kink_ahead(rnn, u, x, t, 4.0 * shortest)
            if at_kink is None:
                return taken, reason
            return [*taken, (at_kink, t, float(rnn.rhs(at_kink, u) @ t))], "kink"
        moved = new.points[0] - x
        ahead = first - x
        # the start lies on the segment just taken, and the curve goes the same way there
        passed = 0.0 < ahead @ moved <= 1.05 * (moved @ moved)
        aside = ahead - moved * (ahead @ moved) / (moved @ moved)
        same_way = first_tangent @ tangent > 0.5
        if len(taken) > 3 and passed and same_way and np.linalg.norm(aside) < 0.3 * longest:
            return taken, "closed"
        length += float(np.linalg.norm(moved))
        x, t = new.points[0], tangent
        taken.append((x, t, drift))
        if region.left(x, opts.reach):
            return taken, "reach"
        if length > opts.max_length * scale or len(taken) > 20 * opts.max_length / opts.step:
            return taken, "budget"
        step = min(longest, step * (1.5 if turn > 0.99 else 1.0))


def _kink_ahead(rnn: RNNNumpy, u: Float, x: Float, t: Float, reach: float) -> Float | None:
    """Return the state ahead within ``reach`` at which a unit comes to its kink, if any."""
    if rnn.activation.half_slopes is None:
        return None
    z, pace = (rnn.W_rec @ x + rnn.drive(u), rnn.W_rec @ t) if rnn.equation_type == "s" else (x, t)
    with np.errstate(divide="ignore", invalid="ignore"):
        ahead = np.where(z * pace < 0.0, -z / pace, np.inf)
    first = float(ahead.min())
    # just on this side: f' at the kink is that of one side, which need not be this one
    return x + (1.0 - 1e-9) * first * t if first <= reach else None


def _trimmed(curve: Curve, seed: int, opts: ManifoldSettings) -> Curve | None:
    """Keep the piece around the seed where |F| is slow for the length of that piece."""
    arc, speed = curve.arc, np.abs(curve.drift)
    first, last = 0, len(arc) - 1
    ends = list(curve.ends)
    while True:
        fast = speed[first : last + 1] > opts.slow * (arc[last] - arc[first])
        if not fast.any():
            break
        if fast[seed - first]:
            return None
        before = np.flatnonzero(fast[: seed - first])
        after = np.flatnonzero(fast[seed - first :])
        if before.size:
            first, ends[0] = first + int(before[-1]) + 1, "speed"
        if after.size:
            last, ends[1] = seed + int(after[0]) - 1, "speed"
        if last - first < 2:
            return None
    kept = slice(first, last + 1)
    return Curve(
        curve.points[kept], curve.tangents[kept], curve.drift[kept], False, (ends[0], ends[1])
    )
