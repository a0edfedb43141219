"""What happens to fixed points where curves of them turn, cross or lose their stability."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tasks_lib.brief import brief

from .curves import Curve, Event

Float = NDArray[np.float64]
SADDLE_NODE, PITCHFORK, TRANSCRITICAL = "saddle_node", "pitchfork", "transcritical"
HOPF, BORDER = "hopf", "border"
CROSSING, DEGENERATE = "crossing", "degenerate"
KINDS = (SADDLE_NODE, PITCHFORK, TRANSCRITICAL, HOPF, BORDER, CROSSING, DEGENERATE)
NEAR_S, NEAR_X = 1e-5, 1e-3  # events this close are one; x over the scale
REAL = 1e-6  # imaginary parts up to here, per tau, are those of real eigenvalues


@brief
@dataclass(frozen=True, eq=False)
class BifurcationPoint:
    """A bifurcation of fixed points on the line between two sets of weights.

    Attributes
    ----------
    kind : {"saddle_node", "pitchfork", "transcritical", "hopf", "border", "crossing", "degenerate"}
        Saddle-node: two points meet and are gone. Pitchfork: two more leave a point that changes
        its index. Transcritical: two points meet and change theirs. Hopf: a pair of complex
        eigenvalues crosses the axis. Border: the number of unstable modes jumps by two, or four, at
        a kink of f. Crossing: an index changes and no second curve was found
        there. Degenerate: anything else.
    share : float
        s of the line W(s) = (1 - s) W_0 + s W_1, from 0 to 1.
    state : array (N,)
    frequency : float or None
        Hopf: of the oscillation that is born there, in radians per tau.
    curves : tuple of int
        Numbers of the curves that take part.
    at_kink : bool
        Whether it is where a unit passes a kink of f: eigenvalues jump, and none is 0.
    index_before, index_after : int
        Sums of the indices (-1)^(unstable modes) of all points that take part, for smaller and for
        larger s.
    """

    kind: str
    share: float
    state: Float
    frequency: float | None
    curves: tuple[int, ...]
    index_before: int
    index_after: int
    at_kink: bool = False

    @property
    def index_holds(self) -> bool:
        """Whether the sum of indices is the same on both sides, as it has to be."""
        return self.index_before == self.index_after


def bifurcations_of(curves: Sequence[Curve], scale: float) -> list[BifurcationPoint]:
    """Return the bifurcations on curves, in the order of s.

    Parameters
    ----------
    curves : sequence of Curve
    scale : float
        Norm of the largest state.
    """
    found = []
    singular: list[list[tuple[int, Event]]] = []  # those that are one, together
    for number, curve in enumerate(curves):
        for event in curve.events:
            if not event.turns and event.crossing % 2 == 0:
                found.append(_made([(number, event)]))
                continue
            for group in singular:
                if _are_one(group[0][1], event, scale):
                    group.append((number, event))
                    break
            else:
                singular.append([(number, event)])
    found += [_made(group) for group in map(_once_a_curve, singular) if group]
    return sorted(found, key=lambda one: one.share)


def _once_a_curve(group: Sequence[tuple[int, Event]]) -> list[tuple[int, Event]]:
    """Return the events of one place with those of one curve joined: rounding parts them there."""
    joined: dict[int, Event] = {}
    for number, event in group:
        first = joined.get(number)
        joined[number] = event if first is None else Event(first.before, event.after)
    return [(n, event) for n, event in joined.items() if event.turns or event.crossing]


def _are_one(a: Event, b: Event, scale: float) -> bool:
    return abs(a.s - b.s) <= NEAR_S and bool(np.linalg.norm(a.x - b.x) <= NEAR_X * scale)


def _made(group: Sequence[tuple[int, Event]]) -> BifurcationPoint:
    events = [event for _, event in group]
    before = after = 0
    for event in events:
        on_sides = _indices(event)
        before, after = before + on_sides[0], after + on_sides[1]
    kind = _kind(events)
    first = events[0]
    return BifurcationPoint(
        kind=kind,
        share=float(np.clip(first.s, 0.0, 1.0)),
        state=first.x,
        frequency=first.frequency if kind == HOPF else None,
        curves=tuple(dict.fromkeys(number for number, _ in group)),
        index_before=before,
        index_after=after,
        at_kink=all(event.at_kink for event in events),
    )


def _indices(event: Event) -> tuple[int, int]:
    """Return the sums of indices of a curve for smaller and for larger s."""
    own = [(-1) ** point.n_unstable for point in (event.before, event.after)]
    if not event.turns:
        return (own[0], own[1]) if event.before.goes_up else (own[1], own[0])
    return (sum(own), 0) if event.before.goes_up else (0, sum(own))


def _kind(events: Sequence[Event]) -> str:
    turns = [event for event in events if event.turns]
    through = [event for event in events if not event.turns]
    if len(events) == 1:
        (event,) = events
        if event.at_kink and not event.turns and event.crossing % 2 == 0:
            return BORDER
        if event.turns:
            return SADDLE_NODE if event.crossing % 2 else CROSSING
        if event.crossing % 2:
            return CROSSING if abs(event.crossing) == 1 else DEGENERATE
        is_pair = abs(event.crossing) == 2 and event.frequency > REAL
        return HOPF if is_pair else DEGENERATE
    if len(turns) == 1 == len(through) and turns[0].crossing % 2 == 0:
        return PITCHFORK
    return TRANSCRITICAL if len(through) == 2 == len(events) else DEGENERATE
