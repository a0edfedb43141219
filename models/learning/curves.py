"""Curves of fixed points along a line of networks, followed through their turns."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq

from .homotopy import LinearPiece, WeightLine
from .settings import FollowSettings

Float = NDArray[np.float64]
NEWTON_STEPS = 8
SMALL_MOVE, LARGEST_LAST_MOVE = 1e-11, 1e-7  # of Newton's last step
SHORTEST_STEP = 1e-7
BRACKET = 1e-6  # length along the curve within which a bifurcation is located
SHARPEST = 0.9  # cosine of the angle between the tangents of a step at least
SHARES = (0.5, 0.4, 0.6)  # of a bracket, at which it is divided
ON_KINK = 1e-9  # distance of an argument from a kink, over the scale, that is none
FAR = 1e4  # of a state, over the scale: beyond, it goes to infinity
ESCAPES = "grows beyond all bounds"
CLEAR = 1e-6  # share of a step after which a curve has left the kink that it began at
TOLERANCE = 1e-10  # of F, beside the size of a state


@dataclass(frozen=True, eq=False)
class CurvePoint:
    """A fixed point on a curve.

    Attributes
    ----------
    x : array (N,)
    s : float
    tangent : array (N + 1,)
        Of unit length, of x / scale and s.
    eigenvalues : array (N,)
        Of the Jacobian.
    """

    x: Float
    s: float
    tangent: Float
    eigenvalues: NDArray[np.complex128]

    @property
    def n_unstable(self) -> int:
        """Eigenvalues with positive real part."""
        return int((self.eigenvalues.real > 0).sum())

    @property
    def goes_up(self) -> bool:
        """Whether s rises along the curve."""
        return bool(self.tangent[-1] > 0)


@dataclass(frozen=True, eq=False)
class Event:
    """Where a curve turns, or where eigenvalues cross the imaginary axis along it.

    Attributes
    ----------
    before, after : CurvePoint
        On either side of it along the curve.
    """

    before: CurvePoint
    after: CurvePoint

    @property
    def turns(self) -> bool:
        """Whether s has an extreme here."""
        return self.before.goes_up != self.after.goes_up

    @property
    def at_kink(self) -> bool:
        """Whether it is at a kink of f, where the Jacobian jumps."""
        return self.before.x is self.after.x

    @property
    def crossing(self) -> int:
        """Eigenvalues that cross into the right half plane, less those that leave it."""
        return self.after.n_unstable - self.before.n_unstable

    @property
    def frequency(self) -> float:
        """Imaginary part of the eigenvalue that is closest to the axis, per tau."""
        values = self.after.eigenvalues
        return float(abs(values[np.abs(values.real).argmin()].imag))

    @property
    def s(self) -> float:
        """Where it is on the line."""
        both = self.before.s, self.after.s
        if self.turns:
            return max(both) if self.before.goes_up else min(both)
        return 0.5 * sum(both)

    @property
    def x(self) -> Float:
        """The state."""
        return 0.5 * (self.before.x + self.after.x)


@dataclass(eq=False)
class Curve:
    """A curve of fixed points from an end of the line to where it leaves it again.

    Attributes
    ----------
    points : list of CurvePoint
        The first and the last lie at s = 0 or 1 exactly, unless it is lost.
    events : list of Event
        In their order along the curve.
    lost : str
        Why it ended within the line; empty where it did not.
    """

    points: list[CurvePoint] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)
    lost: str = ""

    @property
    def escapes(self) -> bool:
        """Whether it ends because states grow beyond all bounds."""
        return self.lost == ESCAPES


class CurveFollower:
    """Follows curves of fixed points by pseudo-arclength continuation (Keller 1977).

    Parameters
    ----------
    line : WeightLine
    scale : float
        Length of a state that counts as much as the whole line.
    settings : FollowSettings
    """

    def __init__(self, line: WeightLine, scale: float, settings: FollowSettings) -> None:
        self.whole, self.scale, self.settings = line, scale, settings
        self.line = line  # where f has kinks, a piece of it
        self.has_kinks = not line.equation.activation.is_smooth
        self.tolerance = TOLERANCE * max(1.0, scale)

    def follow(self, x: Float, s: float) -> Curve:
        """Return the curve that leaves the fixed point x at s = 0 or s = 1 into the line."""
        upwards = np.zeros(len(x) + 1)
        upwards[-1] = 1.0 if s == 0.0 else -1.0
        self.line = self.whole
        if self.has_kinks:
            self.line = LinearPiece.around(self.whole, x, s)
        start = self._on_end(x, s, upwards)
        curve = Curve()
        if start is None or self._room(start) <= ON_KINK * self.scale:
            curve.lost = "is no regular fixed point" if start is None else "is at a kink of f"
            return curve
        curve.points.append(start)
        step = self.settings.longest_step / 4
        for _ in range(self.settings.most_steps):
            here = curve.points[-1]
            size = float(np.linalg.norm(here.x)) / self.scale
            if size > FAR:
                curve.lost = ESCAPES
                return curve
            found = self._step(here, step)
            if found is None or found.tangent @ here.tangent < SHARPEST:
                step /= 2
                if step < SHORTEST_STEP:
                    break
                continue
            is_end = not 0.0 < found.s < 1.0
            if is_end:
                end = self._end_between(here, found)
                if end is None:
                    step /= 2
                    if step < SHORTEST_STEP:
                        break
                    continue
                found, length = end, self._distance(here, end)
            else:
                length = step
            if self._room(found) < 0.0:
                corner = self._corner(here, length)
                if corner is None:
                    break
                before, after, length, beyond = corner
                curve.events += self._events(here, length, here, before)
                if before.n_unstable != after.n_unstable or before.goes_up != after.goes_up:
                    curve.events.append(Event(before, after))
                self.line = beyond
                curve.points.append(after)
                step = self.settings.longest_step / 4
                continue
            curve.events += self._events(here, length, here, found)
            curve.points.append(found)
            if is_end:
                return curve
            step = min(1.5 * step, self.settings.longest_step * max(1.0, size))
        curve.lost = "could not be followed"
        return curve

    def _room(self, point: CurvePoint) -> float:
        """Return how far the arguments of f are from a kink; negative beyond one."""
        if not isinstance(self.line, LinearPiece):
            return np.inf
        return float(self.line.room(point.x, point.s).min())

    def _corner(
        self, here: CurvePoint, length: float
    ) -> tuple[CurvePoint, CurvePoint, float, LinearPiece] | None:
        """Return the curve's point at the first kink on a step, on either side of it.

        Also the length of the step up to there, and the piece beyond; None where it is not found.
        """
        assert isinstance(self.line, LinearPiece)

        def room(step: float) -> float:
            found = self._step(here, step)
            return np.nan if found is None else self._room(found)

        near = CLEAR * length  # at a corner the argument of one unit is at its kink
        if not room(near) > 0.0:
            return None
        try:
            at = float(brentq(room, near, length, xtol=1e-14, rtol=1e-14))
        except ValueError:  # Newton failed on the way, or the end is at the kink to rounding
            return None
        before = self._step(here, at)
        if before is None:
            return None
        unit = int(self.line.room(before.x, before.s).argmin())
        beyond = self.line.across(before.x, before.s, unit)
        # The argument of this unit goes on in its direction, wherever the curve turns to.
        J = np.column_stack([beyond.jacobian(before.x, before.s) * self.scale,
                             beyond.slope(before.x, before.s)])  # fmt: skip
        tangent = np.linalg.qr(J.T, mode="complete")[0][:, -1]
        if self._moves(before, tangent, unit) * self._moves(before, before.tangent, unit) < 0:
            tangent = -tangent
        values = np.linalg.eigvals(beyond.jacobian(before.x, before.s)).astype(complex)
        after = CurvePoint(before.x, before.s, tangent, values)
        return before, after, at, beyond

    def _moves(self, point: CurvePoint, tangent: Float, unit: int) -> float:
        """Return how the argument of a unit changes along a tangent."""
        if self.line.equation.equation_type == "h":
            return float(tangent[unit])
        W = self.line.W[unit] + point.s * self.line.dW[unit]
        of_s = self.line.dW[unit] @ point.x + self.line.d_drive[unit]
        return float(W @ tangent[:-1] * self.scale + of_s * tangent[-1])

    # Single points -----------------------------------------------------------------------------

    def _step(self, here: CurvePoint, length: float) -> CurvePoint | None:
        """Return the point of the curve a step along the tangent; None where Newton fails."""
        t = here.tangent
        x, s = here.x + length * self.scale * t[:-1], here.s + length * t[-1]
        moved = np.inf
        for _ in range(NEWTON_STEPS):
            residual = self.line.field(x, s)
            aside = t[:-1] @ (x - here.x) / self.scale + t[-1] * (s - here.s) - length
            is_root = np.linalg.norm(residual) <= self.tolerance
            # Near a second curve F is small away from this one: the steps have to be, too.
            if is_root and moved <= SMALL_MOVE:
                return self._point(x, s, t)
            move = self._solve(x, s, t, np.append(-residual, -aside))
            if move is None or np.linalg.norm(move) > 1.0:
                return None
            x, s, moved = x + self.scale * move[:-1], s + move[-1], float(np.linalg.norm(move))
        return self._point(x, s, t) if is_root and moved <= LARGEST_LAST_MOVE else None

    def _solve(self, x: Float, s: float, row: Float, right: Float) -> Float | None:
        """Solve the bordered system at (x, s); in units of the scale."""
        n = len(x)
        matrix = np.empty((n + 1, n + 1))
        matrix[:n, :n] = self.line.jacobian(x, s) * self.scale
        matrix[:n, n] = self.line.slope(x, s)
        matrix[n] = row
        try:
            found = np.asarray(np.linalg.solve(matrix, right), dtype=np.float64)
        except np.linalg.LinAlgError:
            return None
        return found if np.isfinite(found).all() else None

    def _point(self, x: Float, s: float, row: Float) -> CurvePoint | None:
        """Return the point with its tangent, oriented as ``row``, and its eigenvalues."""
        right = np.zeros(len(x) + 1)
        right[-1] = 1.0
        tangent = self._solve(x, s, row, right)
        if tangent is None:
            return None
        unit = np.asarray(tangent / float(np.linalg.norm(tangent)))
        values = np.linalg.eigvals(self.line.jacobian(x, s)).astype(complex)
        return CurvePoint(x, s, unit, values)

    def _on_end(self, x: Float, s: float, row: Float) -> CurvePoint | None:
        """Return the fixed point at this s, by Newton from x."""
        for _ in range(NEWTON_STEPS):
            residual = self.line.field(x, s)
            if np.linalg.norm(residual) <= self.tolerance:
                return self._point(x, s, row)
            try:
                x = x - np.linalg.solve(self.line.jacobian(x, s), residual)
            except np.linalg.LinAlgError:
                return None
        return None

    def _end_between(self, here: CurvePoint, beyond: CurvePoint) -> CurvePoint | None:
        """Return where the curve leaves the line, between a point and one beyond its end."""
        s = 0.0 if beyond.s <= 0.0 else 1.0
        share = (s - here.s) / (beyond.s - here.s)
        near = (1 - share) * here.x + share * beyond.x
        end = self._on_end(near, s, beyond.tangent)
        far = np.linalg.norm(beyond.x - here.x) + 1e-6 * self.scale
        return None if end is None or np.linalg.norm(end.x - here.x) > 2 * far else end

    def _distance(self, here: CurvePoint, there: CurvePoint) -> float:
        t = here.tangent
        return float(t[:-1] @ (there.x - here.x) / self.scale + t[-1] * (there.s - here.s))

    # Events ------------------------------------------------------------------------------------

    def _events(
        self,
        base: CurvePoint,
        length: float,
        left: CurvePoint,
        right: CurvePoint,
        near: float = 0.0,
    ) -> Iterator[Event]:
        """Yield what happens between two points, ``near`` and ``length`` along a tangent."""
        if left.n_unstable == right.n_unstable and left.goes_up == right.goes_up:
            return
        middle, at = None, near
        for share in SHARES if length - near > BRACKET else ():
            at = near + share * (length - near)
            middle = self._step(base, at)
            # Where another curve crosses, a point may be on that one.
            if middle is not None and middle.tangent @ base.tangent >= SHARPEST:
                break
            middle = None
        if middle is None:
            yield Event(left, right)
            return
        yield from self._events(base, at, left, middle, near)
        yield from self._events(base, length, middle, right, at)
