"""Rings that states go round on: attracting periodic orbits, found by following the flow."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from ..network.rnn_numpy import RNNNumpy
from .curves import Curve
from .integration import runge_kutta_step
from .sampling import interpolate_evenly, measured_evenly
from .settings import ManifoldSettings, Region

Float = NDArray[np.float64]
FOLLOWED = 8  # states
SETTLING = 25.0  # tau before the first return is waited for
LONGEST_PERIOD = 250.0  # tau; slower rings are traced like those that rest
MOST_RETURNS = 24
MOST_FAILURES = 3  # states in a row that do not come back
LEAST_TURN = 0.5 * np.pi  # of the direction of the flow within half of the longest period
RETURNED = 1e-3  # distance of a return, in diameters of the loop, of an orbit that is closing
CLOSED = 1e-6  # of one that is closed
STEP = 0.25  # of the fastest time scale that the weights allow
LONGEST_STEP = 0.1  # tau
MOST_STEPS = 40_000
KEPT = 4000  # states of a loop
AT_REST = 1e-9  # |F|, in units of the scale


@dataclass
class _Loop:
    """A state on its way round: where it began, and what it has passed since."""

    x: Float
    begin: Float
    way: Float  # F at the beginning: the section that returns are seen on lies across it
    passed: list[Float] = field(default_factory=list)
    turned: float = 0.0
    behind: bool = False
    diameter: float = 0.0
    nearest: float = np.inf
    returns: int = 0


def rotating_rings(
    rnn: RNNNumpy, u: Float, states: Float, region: Region, opts: ManifoldSettings
) -> list[Curve]:
    """Return the closed orbits that relaxed ``states`` (M, N) end on, evenly sampled.

    States are followed until they rest, leave, or come back to where they were (on a section
    across the flow, within 10^-3 of the loop), and then round after round until the loop is closed.
    The period follows from the speed along it. A curve of slow states, as `trace_curve` follows
    it, is not such a ring: where the flow turns, slow directions and the flow differ by the rate of
    rotation over the rates across.
    """
    fastest = 1.0 + float(np.linalg.norm(rnn.W_rec, 2)) * rnn.activation.largest_slope
    if not np.isfinite(fastest):
        return []
    step = min(STEP / fastest, LONGEST_STEP)
    x = states[:: max(1, -(-len(states) // FOLLOWED))].T.copy()
    x = _moving(rnn, u, _settled(rnn, u, x, step), region, opts)
    found: list[Curve] = []
    n_steps = min(int(2.5 * LONGEST_PERIOD / step), MOST_STEPS)
    failures = 0
    for column in x.T:
        if failures == MOST_FAILURES:
            break
        if any(_near(column, curve, region) for curve in found):
            continue
        curve = _orbit(rnn, u, column, step, n_steps, region, opts)
        failures = failures + 1 if curve is None else 0
        if curve is not None:
            found.append(curve)
    return found


def _settled(rnn: RNNNumpy, u: Float, x: Float, step: float) -> Float:
    flow = rnn.flow(u)
    with np.errstate(over="ignore", invalid="ignore"):
        for _ in range(int(SETTLING / step)):
            x = runge_kutta_step(flow, x, step)
    return x


def _moving(rnn: RNNNumpy, u: Float, x: Float, region: Region, opts: ManifoldSettings) -> Float:
    """Return the states (N, M) that may go round a ring within the longest period."""
    near = np.linalg.norm(x - region.centre[:, None], axis=0) <= 10.0 * region.scale
    x = x[:, near]
    speed = np.linalg.norm(rnn.rhs(x, u), axis=0)
    return x[:, speed * LONGEST_PERIOD > opts.min_length * region.scale]


def _near(x: Float, curve: Curve, region: Region) -> bool:
    gaps = np.linalg.norm(np.diff(curve.points, axis=0), axis=1)
    distance = np.linalg.norm(curve.points - x, axis=1).min()
    return bool(distance <= max(float(gaps.max()), 0.01 * region.scale))


def _orbit(
    rnn: RNNNumpy,
    u: Float,
    start: Float,
    step: float,
    n_steps: int,
    region: Region,
    opts: ManifoldSettings,
) -> Curve | None:
    """Follow one state until its orbit is closed; None where it is not, or too fast."""
    flow = rnn.flow(u)
    loop = _Loop(start, start, flow(start))
    way = loop.way / np.linalg.norm(loop.way)
    for n in range(1, n_steps + 1):
        x, loop.x = loop.x, runge_kutta_step(flow, loop.x, step)
        loop.passed.append(x)
        if n % 32 == 0:
            if not _goes_on(flow, loop, region):
                return None
            before, way = way, flow(loop.x)
            way = way / np.linalg.norm(way)
            loop.turned += float(np.arccos(np.clip(way @ before, -1.0, 1.0)))
            if n * step > 0.5 * LONGEST_PERIOD and loop.turned < LEAST_TURN:
                return None
        behind, after = (float((s - loop.begin) @ loop.way) for s in (x, loop.x))
        loop.diameter = max(loop.diameter, float(np.linalg.norm(loop.x - loop.begin)))
        if not loop.behind:
            loop.behind = after < 0.0
            continue
        if behind >= 0.0 or after < 0.0:
            continue
        loop.behind = False
        crossing = x + (loop.x - x) * (behind / (behind - after))
        distance = float(np.linalg.norm(crossing - loop.begin)) / loop.diameter
        loop.returns += 1
        if distance <= CLOSED or (distance <= RETURNED and distance > 0.5 * loop.nearest):
            return _closed(rnn, u, loop, region, opts)
        if loop.returns >= MOST_RETURNS:
            return None
        if distance <= 0.5 or loop.returns % 4 == 0:  # nearer and nearer: from here
            loop.nearest = min(loop.nearest, distance)
            loop.begin, loop.way = loop.x, flow(loop.x)
            loop.passed, loop.diameter = [], 0.0
    return None


def _goes_on(flow: Callable[[Float], Float], loop: _Loop, region: Region) -> bool:
    """Return whether a state has neither left nor come to rest."""
    x = loop.x
    if not np.isfinite(x).all() or region.left(x, 10.0):
        return False
    return bool(np.linalg.norm(flow(x)) > AT_REST * region.scale)


def _closed(
    rnn: RNNNumpy, u: Float, loop: _Loop, region: Region, opts: ManifoldSettings
) -> Curve | None:
    """Return the ring of the states passed; None where it is too fast, or too short."""
    states = np.array(loop.passed)
    states = states[:: max(1, len(states) // KEPT)]
    F = rnn.rhs_at(states, u)
    speed = np.linalg.norm(F, axis=1)
    ring = Curve(states, F / speed[:, None], speed, True, ("closed", "closed"))
    if ring.length < opts.min_length * region.scale or speed.max() > opts.rotation * ring.length:
        return None
    if rnn.activation.is_smooth and len(states) > 8:
        return measured_evenly(rnn, u, ring, opts.n_samples)
    return interpolate_evenly(rnn, u, ring, opts.n_samples)
