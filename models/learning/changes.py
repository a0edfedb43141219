"""Which fixed points of one set of weights are those of another, and which come and go."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tasks_lib.brief import brief
from tasks_lib.errors import ParameterError

from ..network.rnn_numpy import RNNNumpy
from .bifurcations import CROSSING, DEGENERATE, BifurcationPoint, bifurcations_of
from .curves import Curve, CurveFollower
from .homotopy import WeightLine
from .settings import FollowSettings

Float = NDArray[np.float64]
FOLLOWED, PARTLY, NOT_SMOOTH = "followed", "partly", "not_smooth"


@brief
@dataclass(frozen=True, eq=False)
class SetChange:
    """How a set of fixed points becomes that of other weights, on the line between the two.

    Attributes
    ----------
    status : {"followed", "partly", "not_smooth"}
        Partly: a curve was lost, leads to a point that is in neither set, or crosses a curve that
        was not found. Not smooth: f has kinks and is not linear between them, and nothing was
        followed.
    reason : str
        What is missing; empty where nothing is.
    matches : list of (int, int)
        Points of the first set and what they have become in the last.
    deaths, births : list of (int, int or None)
        Points of the first set that are gone, and of the last that are new; each with the number
        of the bifurcation in which it met another.
    escaped : list of (int, int)
        Set (0 or 1) and number of points that grow beyond all bounds on the way, as those of f
        without bounds may: they are gone from the first set, or come into the last, at infinity.
    lost : list of (int, int)
        Set and number of points of which nothing is known.
    bifurcations : list of BifurcationPoint
        In the order of s.
    curves : list of Curve
    index_first, index_last : int
        Sums of indices of the two sets, of (-1)^(unstable modes), without those that escaped.
    """

    status: str
    reason: str = ""
    matches: list[tuple[int, int]] = field(default_factory=list)
    deaths: list[tuple[int, int | None]] = field(default_factory=list)
    births: list[tuple[int, int | None]] = field(default_factory=list)
    escaped: list[tuple[int, int]] = field(default_factory=list)
    lost: list[tuple[int, int]] = field(default_factory=list)
    bifurcations: list[BifurcationPoint] = field(default_factory=list)
    curves: list[Curve] = field(default_factory=list)
    index_first: int = 0
    index_last: int = 0

    @property
    def index_holds(self) -> bool:
        """Whether the sums of indices agree: of both sets, and around every bifurcation."""
        each = all(one.index_holds for one in self.bifurcations)
        return each and self.index_first == self.index_last


def follow_between(
    first: RNNNumpy,
    last: RNNNumpy,
    u: ArrayLike,
    points_first: ArrayLike,
    points_last: ArrayLike,
    settings: FollowSettings | None = None,
) -> SetChange:
    """Follow fixed points from the weights of one network to those of another.

    Along W(s) = (1 - s) W_0 + s W_1 the solutions (x, s) of F(x; W(s)) = 0 are curves. Each that
    begins at a point of either set is followed, through its turns, to where it leaves the line
    again (pseudo-arclength continuation; Keller 1977, in Applications of Bifurcation Theory). Two
    ends at different s are one point that persists; two at s = 0 a pair that dies in a
    saddle-node, two at s = 1 one that is born. Curves that touch neither end are not seen.

    Parameters
    ----------
    first, last : RNNNumpy
        They differ in their weights alone.
    u : array (n_inputs,)
        Constant input.
    points_first, points_last : array (P, N), (Q, N)
        All fixed points of each.
    settings : FollowSettings, optional
    """
    settings = settings or FollowSettings()
    line = WeightLine(first, last, u)
    sets = [_points(points, line.n_units, name) for points, name in
            ((points_first, "points_first"), (points_last, "points_last"))]  # fmt: skip
    f = line.equation.activation
    if not (f.is_smooth or f.is_piecewise_linear):
        reason = f"f = {f.name} has kinks and is not linear between them"
        lost = [(side, i) for side in range(2) for i in range(len(sets[side]))]
        return SetChange(NOT_SMOOTH, reason, lost=lost)
    return _Following(line, sets, settings).result()


def _points(points: ArrayLike, n_units: int, name: str) -> Float:
    array = np.asarray(points, dtype=np.float64)
    if array.size == 0:
        return np.empty((0, n_units))
    if array.ndim != 2 or array.shape[1] != n_units or not np.isfinite(array).all():
        raise ParameterError(
            f"{name}.shape", array.shape, f"are no finite states of {n_units} units",
            f"give an array (number of points, {n_units})",
        )  # fmt: skip
    return array


class _Following:
    """The curves between two sets of points, and what they say of these."""

    def __init__(self, line: WeightLine, sets: list[Float], settings: FollowSettings) -> None:
        self.sets = sets
        norms = np.linalg.norm(np.concatenate(sets), axis=1)
        self.scale = max(float(norms.max(initial=0.0)), 1e-3)
        self.near = settings.same_point * self.scale
        self.line = line
        self.follower = CurveFollower(line, self.scale, settings)
        self.curves: list[Curve] = []
        # Of each curve its ends: side and number in that set, None where it is not in it.
        self.ends: list[list[tuple[int, int | None]]] = []
        self.used: list[set[int]] = [set(), set()]
        self.problems: list[str] = []

    def result(self) -> SetChange:
        """Follow everything, and say what came of it."""
        for side in range(2):
            for i in range(len(self.sets[side])):
                if i not in self.used[side]:
                    self._follow(side, i)
        bifurcations = bifurcations_of(self.curves, self.scale)
        for one in bifurcations:
            if one.kind in (CROSSING, DEGENERATE):
                self.problems.append(f"a {one.kind} bifurcation at s = {one.share:.4g}")
        found = SetChange("", "", bifurcations=bifurcations, curves=self.curves)
        for number, ends in enumerate(self.ends):
            self._settle(found, number, ends)
        sums = [self._index_sum(side, found.escaped) for side in range(2)]
        found = replace(found, index_first=sums[0], index_last=sums[1])
        if not found.index_holds:
            self.problems.append("sums of indices disagree")
        status = PARTLY if self.problems else FOLLOWED
        return replace(found, status=status, reason="; ".join(dict.fromkeys(self.problems)))

    def _follow(self, side: int, i: int) -> None:
        curve = self.follower.follow(self.sets[side][i], float(side))
        ends: list[tuple[int, int | None]] = [(side, i)]
        self.used[side].add(i)
        if not curve.lost:
            last = curve.points[-1]
            other = round(last.s)
            number = self._number(other, last.x)
            if number is None:
                self.problems.append(f"a curve leads to a point at s = {other} that is in no set")
            elif number in self.used[other]:
                self.problems.append("two curves lead to one point")
                number = None
            else:
                self.used[other].add(number)
            ends.append((other, number))
        elif not curve.escapes:
            self.problems.append(f"point {i} at s = {side} {curve.lost}")
        self.curves.append(curve)
        self.ends.append(ends)

    def _number(self, side: int, x: Float) -> int | None:
        if not len(self.sets[side]):
            return None
        distance = np.linalg.norm(self.sets[side] - x, axis=1)
        nearest = int(distance.argmin())
        return nearest if distance[nearest] <= self.near else None

    def _settle(self, found: SetChange, number: int, ends: list[tuple[int, int | None]]) -> None:
        known = [(side, i) for side, i in ends if i is not None]
        if len(ends) < 2:
            (found.escaped if self.curves[number].escapes else found.lost).extend(known)
            return
        (side, i), (other, j) = ends
        if side != other:
            if i is not None and j is not None:
                pair = (i, j) if side == 0 else (j, i)
                found.matches.append(pair)
            else:
                found.lost.extend(known)
            return
        met = self._met(found.bifurcations, number, side)
        gone = found.deaths if side == 0 else found.births
        gone.extend((k, met) for _, k in known)

    def _met(self, bifurcations: list[BifurcationPoint], number: int, side: int) -> int | None:
        """Return the bifurcation at which a curve turns back, the furthest of them."""
        turns = [event.s for event in self.curves[number].events if event.turns]
        if not turns:
            return None
        furthest = max(turns) if side == 0 else min(turns)
        own = [k for k, one in enumerate(bifurcations) if number in one.curves]
        return min(own, key=lambda k: abs(bifurcations[k].share - furthest), default=None)

    def _index_sum(self, side: int, but_for: list[tuple[int, int]]) -> int:
        total = 0
        for i, x in enumerate(self.sets[side]):
            if (side, i) in but_for:
                continue
            values = np.linalg.eigvals(self.line.jacobian(x, float(side)))
            total += (-1) ** int((values.real > 0).sum())
        return total
