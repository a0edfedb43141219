"""Rings and lines made of saddles and the stable points that their flow leads to."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..network.rnn_numpy import RNNNumpy
from .correction import separation
from .curves import Curve
from .integration import runge_kutta_step
from .settings import ManifoldSettings, Region

Float = NDArray[np.float64]
FIRST = 1e-3  # displacement from a saddle, in scales of the states
ARRIVED = 1e-3  # distance from a stable point that counts as its own, in the same
TURNING = float(
    np.pi
)  # |Im| / |Re| of a stable point's slowest mode: a turn shrinks by e^2 or more
SLOWEST = 0.005  # rate of a saddle or stable point, per tau, below which it is left out
LONGEST = 2000.0  # tau that one branch is followed for


@dataclass(frozen=True)
class _Branch:
    """One unstable branch of a saddle: states (M, N), and the stable point where it ends."""

    states: Float
    end: int


def chains(
    rnn: RNNNumpy, u: Float, points: Float, region: Region, opts: ManifoldSettings
) -> list[Curve]:
    """Return the curves made of the unstable branches of saddles, end to end.

    A trained ring attractor is often a ring of stable points with saddles between, where the two
    branches of each saddle's unstable manifold lead to its neighbours. These branches are
    trajectories, so that the curve is invariant by construction, whether or not the mode along it
    is apart from those across it at the stable points. Only saddles of one unstable mode
    serve, whose mode is apart from the others there or at both stable points that it leads to (at a
    saddle it grows and the others decay, whatever their rates); and only stable points where at
    most two branches end: more would be a network of memories.

    Parameters
    ----------
    points : array (P, N)
        Fixed points.
    """
    if len(points) < 2:
        return []
    J = rnn.jacobian_at(points, u)
    values = np.linalg.eigvals(J)
    speed = np.linalg.norm(rnn.rhs_at(points, u), axis=1)
    still = speed < 1e-6 * region.scale
    # points of a continuum have no branches; those of a slower saddle take too long to follow
    still &= np.abs(values.real).min(axis=1) > SLOWEST
    n_unstable = np.sum(values.real > 0.0, axis=1)
    # what winds around a focus many times is no curve that a memory lies on
    leading = values[np.arange(len(points)), values.real.argmax(axis=1)]
    direct = np.abs(leading.imag) <= TURNING * np.abs(leading.real)
    stable = np.flatnonzero(still & (n_unstable == 0) & direct)
    foci = points[still & (n_unstable == 0) & ~direct]
    edges: list[tuple[int, _Branch, _Branch]] = []
    for saddle in np.flatnonzero(still & (n_unstable == 1)):
        branches = _branches(rnn, u, points, int(saddle), J[saddle], stable, foci, region, opts)
        if branches is not None:
            edges.append((int(saddle), *branches))
    return [
        curve for group in _groups(edges) if (curve := _join(rnn, u, points, group)) is not None
    ]


def _branches(
    rnn: RNNNumpy,
    u: Float,
    points: Float,
    saddle: int,
    J: Float,
    stable: NDArray[np.int64],
    foci: Float,
    region: Region,
    opts: ManifoldSettings,
) -> tuple[_Branch, _Branch] | None:
    values, vectors = np.linalg.eig(J)
    along = vectors[:, values.real.argmax()].real
    along = along / np.linalg.norm(along)
    if not stable.size:
        return None
    ends = []
    for sign in (1.0, -1.0):
        branch = _flow(rnn, u, points, saddle, sign * along, stable, foci, region)
        if branch is None:
            return None
        ends.append(branch)
    apart = separation(J, along[:, None]) <= opts.gap
    if not apart and not all(_ends_apart(rnn, u, points[b.end], opts) for b in ends):
        return None
    return ends[0], ends[1]


def _ends_apart(rnn: RNNNumpy, u: Float, point: Float, opts: ManifoldSettings) -> bool:
    """Return whether the slowest mode of a stable point is real and apart from the others."""
    values, vectors = np.linalg.eig(rnn.jacobian(point, u))
    slowest = int(values.real.argmax())
    along = vectors[:, slowest].real
    if abs(values[slowest].imag) > 0.0:
        return False
    return separation(rnn.jacobian(point, u), along[:, None] / np.linalg.norm(along)) <= opts.gap


def _flow(
    rnn: RNNNumpy,
    u: Float,
    points: Float,
    saddle: int,
    direction: Float,
    stable: NDArray[np.int64],
    foci: Float,
    region: Region,
) -> _Branch | None:
    """Integrate from beside a saddle until a stable point is reached (classical Runge-Kutta)."""
    x = points[saddle] + FIRST * region.scale * direction
    states = [x]
    spacing = 2e-3 * region.scale
    dt, flow = 0.2, rnn.flow(u)
    for _ in range(int(LONGEST / dt)):
        x = runge_kutta_step(flow, x, dt)
        if region.left(x, 10.0) or not np.isfinite(x).all():
            return None
        if np.linalg.norm(x - states[-1]) > spacing:
            states.append(x)
        distance = np.linalg.norm(points[stable] - x, axis=1)
        if distance.min() < ARRIVED * region.scale:
            return _Branch(np.array(states), int(stable[distance.argmin()]))
        if len(foci) and np.linalg.norm(foci - x, axis=1).min() < 0.01 * region.scale:
            return None
    return None


def _groups(
    edges: list[tuple[int, _Branch, _Branch]],
) -> list[list[tuple[int, _Branch, _Branch]]]:
    """Return the saddles that share stable points, group by group."""
    groups: list[list[tuple[int, _Branch, _Branch]]] = []
    for edge in edges:
        mine = {edge[1].end, edge[2].end}
        joined, apart = [edge], []
        for group in groups:
            theirs = {branch.end for _, *both in group for branch in both}
            if mine & theirs:
                joined += group
                mine |= theirs
            else:
                apart.append(group)
        groups = [*apart, joined]
    return groups


def _join(
    rnn: RNNNumpy, u: Float, points: Float, group: list[tuple[int, _Branch, _Branch]]
) -> Curve | None:
    """Return the curve through the saddles of a group, None where it is no line and no ring."""
    visits: dict[int, int] = {}
    for _, first, second in group:
        for branch in (first, second):
            visits[branch.end] = visits.get(branch.end, 0) + 1
    if max(visits.values()) > 2:
        return None
    tips = sorted(node for node, count in visits.items() if count == 1)
    closed = not tips
    node = min(visits) if closed else tips[0]
    left = list(group)
    states: list[Float] = []
    while left:
        i = next((i for i, e in enumerate(left) if node in (e[1].end, e[2].end)), None)
        if i is None:
            return None
        saddle, first, second = left.pop(i)
        into, out = (first, second) if first.end == node else (second, first)
        states += [points[node][None], into.states[::-1], points[saddle][None], out.states]
        node = out.end
    if not closed:
        states.append(points[node][None])
    chain = np.vstack(states)
    gaps = np.linalg.norm(np.diff(chain, axis=0), axis=1)
    chain = chain[np.concatenate([[True], gaps > 0.0])]
    following = np.roll(chain, -1, axis=0)
    tangents = following - chain
    if not closed:
        tangents[-1] = chain[-1] - chain[-2]
    tangents /= np.linalg.norm(tangents, axis=1, keepdims=True)
    drift = np.einsum("mn,mn->m", tangents, rnn.rhs_at(chain, u))
    ends = ("closed", "closed") if closed else ("stable", "stable")
    return Curve(chain, tangents, drift, closed, ends)
