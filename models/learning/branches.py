"""Fixed points followed through learning: from one snapshot of a training to the next."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise

from numpy.typing import ArrayLike

from tasks_lib.brief import brief
from tasks_lib.errors import ParameterError

from ..fixed_points import FixedPointSet
from ..fixed_points.set_in_words import PROBABLY
from ..network.rnn_numpy import RNNNumpy
from .bifurcations import BifurcationPoint
from .changes import FOLLOWED, NOT_SMOOTH, PARTLY, SetChange, follow_between
from .settings import FollowSettings

# What begins or ends a branch, beside a bifurcation: the first or last snapshot, and what is not
# known, where a point could not be followed.
START, END, LOST, INFINITY = "start", "end", "lost", "infinity"


@dataclass(frozen=True)
class NetworkSnapshot:
    """A network at some iteration of its training, with its fixed points.

    Attributes
    ----------
    iteration : int
    network : RNNNumpy
    points : FixedPointSet
        At the input of interest.
    """

    iteration: int
    network: RNNNumpy
    points: FixedPointSet


@brief
@dataclass(frozen=True)
class PointBranch:
    """One fixed point through learning.

    Attributes
    ----------
    points : dict
        Place of a snapshot -> number of the point in its set; of snapshots that follow one another.
    born_by, ended_by : str
        ``start`` or ``end``: it is there in the first or last snapshot. A kind of bifurcation, by
        which it came in before its first, or went after its last. ``infinity``: it came from
        there, or went there. ``lost``: not known.
    born_at, ended_at : int or None
        Numbers of these bifurcations.
    """

    points: dict[int, int]
    born_by: str = LOST
    ended_by: str = LOST
    born_at: int | None = None
    ended_at: int | None = None

    @property
    def first(self) -> int:
        """Place of the first snapshot that has it."""
        return min(self.points)

    @property
    def last(self) -> int:
        """Place of the last snapshot that has it."""
        return max(self.points)


@brief
@dataclass(frozen=True)
class LearningBranches:
    """The fixed points of a network followed through its learning.

    Attributes
    ----------
    status : {"followed", "partly", "not_smooth", "incomplete"}
        As of `SetChange`, of all steps from a snapshot to the next; incomplete: a search did not
        say that it found all points.
    reason : str
    branches : list of PointBranch
    bifurcations : list of (int, BifurcationPoint)
        Each with the place of the snapshot before it.
    changes : list of SetChange
        From each snapshot to the next.
    """

    status: str
    reason: str
    branches: list[PointBranch] = field(default_factory=list)
    bifurcations: list[tuple[int, BifurcationPoint]] = field(default_factory=list)
    changes: list[SetChange] = field(default_factory=list)

    @property
    def index_holds(self) -> bool:
        """Whether all sums of indices agree, as far as points were followed."""
        return all(change.index_holds for change in self.changes)


def follow_learning(
    snapshots: Sequence[NetworkSnapshot], u: ArrayLike, settings: FollowSettings | None = None
) -> LearningBranches:
    """Follow fixed points from snapshot to snapshot, with `follow_between`.

    Parameters
    ----------
    snapshots : sequence of NetworkSnapshot
        In the order of their iterations; two at least.
    u : array (n_inputs,)
        The constant input.
    settings : FollowSettings, optional
    """
    if len(snapshots) < 2:
        raise ParameterError(
            "snapshots", len(snapshots), "are too few to follow anything", "give two at least"
        )
    branches = [PointBranch({0: i}, born_by=START) for i in range(len(snapshots[0].points))]
    current = {i: i for i in range(len(branches))}  # point -> branch
    bifurcations: list[tuple[int, BifurcationPoint]] = []
    changes = []
    for place, (before, after) in enumerate(pairwise(snapshots)):
        change = follow_between(
            before.network, after.network, u, before.points.points, after.points.points, settings
        )
        first = len(bifurcations)
        bifurcations += [(place, one) for one in change.bifurcations]
        following = {}
        for i, j in change.matches:
            branches[current[i]].points[place + 1] = j
            following[j] = current[i]
        for i, met in change.deaths:
            branches[current[i]] = _ended(branches[current[i]], met, first, change)
        for j, met in change.births:
            following[j] = len(branches)
            branches.append(_born(PointBranch({place + 1: j}), met, first, change))
        for side, i in change.escaped:
            if side == 0:
                branches[current[i]] = replace(branches[current[i]], ended_by=INFINITY)
        for j in range(len(after.points)):
            if j not in following:
                born = INFINITY if (1, j) in change.escaped else LOST
                following[j] = len(branches)
                branches.append(PointBranch({place + 1: j}, born_by=born))
        current = following
        changes.append(change)
    for number in current.values():
        branches[number] = replace(branches[number], ended_by=END)
    status, reason = _status(snapshots, changes)
    return LearningBranches(status, reason, branches, bifurcations, changes)


def _ended(branch: PointBranch, met: int | None, first: int, change: SetChange) -> PointBranch:
    if met is None:
        return branch
    return replace(branch, ended_by=change.bifurcations[met].kind, ended_at=first + met)


def _born(branch: PointBranch, met: int | None, first: int, change: SetChange) -> PointBranch:
    if met is None:
        return branch
    return replace(branch, born_by=change.bifurcations[met].kind, born_at=first + met)


def _status(snapshots: Sequence[NetworkSnapshot], changes: Sequence[SetChange]) -> tuple[str, str]:
    kinds = [change.status for change in changes]
    if NOT_SMOOTH in kinds:
        return NOT_SMOOTH, changes[kinds.index(NOT_SMOOTH)].reason
    reasons = [
        f"iterations {a.iteration} to {b.iteration}: {change.reason}"
        for a, b, change in zip(snapshots, snapshots[1:], changes, strict=False)
        if change.reason
    ]
    if PARTLY in kinds:
        return PARTLY, "; ".join(reasons)
    unsure = [s.iteration for s in snapshots if s.points.status not in ("complete", PROBABLY)]
    if unsure:
        places = ", ".join(map(str, unsure))
        return "incomplete", f"not all points may be known at iteration {places}"
    return FOLLOWED, ""
