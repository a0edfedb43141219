"""All slow manifolds of a network at a constant input, from its fixed and slow points."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tasks_lib.errors import ParameterError
from tasks_lib.sizes import counted

from ..fixed_points.point_set import FixedPointSet
from ..fixed_points.spectrum import sorted_spectrum
from ..machine.threads import blas_on_one
from ..network.rnn_numpy import RNNNumpy
from .attractor import SlowManifold, alignment, period_of, points_along, rounding_floor
from .connections import chains
from .correction import correct, slow_directions
from .curves import Curve, trace_curve
from .membership import lie_on, same
from .rotation import rotating_rings
from .sampling import interpolate_evenly, sample_evenly
from .settings import ManifoldSettings, Region
from .sheets import Sheet, cover_sheet, diameter

Float = NDArray[np.float64]
RELAXATION = 5.0  # tau that states relax before they are seeds
FARTHEST = 20.0  # reach that points of a continuum may add, in scales of the states
LONGER = 1.25  # of two manifolds that are one, the first stays unless the other is so much longer
SAME = 0.05  # seeds and manifolds nearer than this are one, in units of the scale of the states


def find_manifolds(
    rnn: RNNNumpy,
    u: ArrayLike,
    found: FixedPointSet | ArrayLike,
    states: ArrayLike | None = None,
    settings: ManifoldSettings | None = None,
) -> list[SlowManifold]:
    """Find the slow manifolds at the constant input ``u``: lines, rings and sheets.

    Seeds are the points found whose slow modes are separated from the rest, the slowest first, and
    states that have relaxed for 5 tau at this input (an attracting manifold may hold no fixed
    point). From each seed that lies on no manifold yet, the curve (or sheet) on which F
    points along it is followed by predictor and corrector for as long as it is slow and separated,
    and then sampled evenly. Rings and lines of stable points and saddles whose flow joins them are
    put together from that flow. See `ManifoldSettings` for what counts as slow.

    Parameters
    ----------
    u : array (n_inputs,)
        Constant input.
    found : FixedPointSet or array (P, N)
        Fixed or slow points at this input.
    states : array (N, M), optional
        States, e.g. of the network's own trajectories: seeds, and the region that is looked at.
    settings : ManifoldSettings, optional

    Returns
    -------
    list of SlowManifold
        Of higher dimension first, then longer first.

    Raises
    ------
    ParameterError
        Where shapes disagree, the points are of another input, or there are neither points nor
        states.
    """
    opts = settings or ManifoldSettings()
    vector = np.array(u, dtype=np.float64)
    points = _points(rnn, vector, found)
    pool = np.empty((0, rnn.N)) if states is None else _states(rnn, states)
    if not len(points) + len(pool):
        raise ParameterError(
            "found", 0, "has no points, and there are no states", "pass points, states or both"
        )
    with blas_on_one:  # two threads would wait for each other over small matrices
        return _search(rnn, vector, found, points, pool, opts)


def _search(
    rnn: RNNNumpy,
    vector: Float,
    found: FixedPointSet | ArrayLike,
    points: Float,
    pool: Float,
    opts: ManifoldSettings,
) -> list[SlowManifold]:
    """Find the manifolds, given checked points (P, N) and states (M, N)."""
    region = Region.of(pool if len(pool) > 1 or not len(points) else points)
    if isinstance(found, FixedPointSet) and found.need_not_be_isolated.any():
        # a continuum that was sampled is followed as far as the samples go
        far = np.linalg.norm(points[found.need_not_be_isolated] - region.centre, axis=1).max()
        reach = min(max(opts.reach, 1.01 * float(far) / region.scale), max(opts.reach, FARTHEST))
        opts = replace(opts, reach=reach, max_length=max(opts.max_length, 4.0 * reach))
    relaxed = _relaxed(rnn, vector, pool, opts)
    seeds, bases, states = _seeds(rnn, vector, points, relaxed, region, opts)
    near = SAME * region.scale
    kept: list[SlowManifold] = []
    done = np.zeros(len(seeds), dtype=bool)
    if opts.n_relaxed:
        for orbit in rotating_rings(rnn, vector, relaxed, region, opts):
            kept.append(_from_curve(rnn, vector, orbit))
            # where the flow turns, a seed may be a long way from the state that led to it
            done |= lie_on(kept[-1], seeds, near) | lie_on(kept[-1], states, near)
    for i in range(len(seeds)):
        if done[i]:
            continue
        manifold = _grow(rnn, vector, seeds[i], bases[i], region, opts)
        if manifold is None or not _kept_by_the_flow(manifold, region, opts):
            # those beside it would come to nothing too
            done |= np.linalg.norm(seeds - seeds[i], axis=1) < near
            if manifold is not None:
                done |= lie_on(manifold, seeds, near)
            continue
        done |= lie_on(manifold, seeds, near)
        kept = _with(kept, manifold, near)
    on_ring = np.zeros(len(points), dtype=bool)
    for ring in (m for m in kept if m.is_ring):
        on_ring |= lie_on(ring, points)
    for chain in chains(rnn, vector, points[~on_ring], region, opts):
        manifold = _from_curve(rnn, vector, interpolate_evenly(rnn, vector, chain, opts.n_samples))
        if _kept_by_the_flow(manifold, region, opts):
            kept = _with(kept, manifold, near)
    kept.sort(key=lambda m: (-m.dimension, -m.length))
    return [replace(m, members=np.flatnonzero(lie_on(m, points))) for m in kept]


def _kept_by_the_flow(manifold: SlowManifold, region: Region, opts: ManifoldSettings) -> bool:
    """Return whether a manifold is no mere point, is slow, and holds the states that drift."""
    if manifold.length < opts.min_length * region.scale or manifold.relative_speed > opts.slow:
        return False
    size = float(np.abs(manifold.points).max())
    if manifold.speed.max() <= 1e-9 * (1.0 + size):  # fixed points all along
        return True
    leak, speed = (float(np.sqrt(np.mean(v**2))) for v in (manifold.across, manifold.speed))
    return leak <= opts.leak * speed


def _with(kept: list[SlowManifold], new: SlowManifold, near: float) -> list[SlowManifold]:
    """Return the manifolds with one more, where it is another or the better of two that are one."""
    twins = [other for other in kept if same(new, other, near)]
    if all(_better(new, other) for other in twins):
        return [other for other in kept if other not in twins] + [new]
    return kept


def _better(new: SlowManifold, old: SlowManifold) -> bool:
    """Return whether a manifold replaces one that was found from a better seed.

    A line that is longer than the ring it lies on winds around it.
    """
    more = new.dimension > old.dimension
    if old.is_ring and not new.is_ring and not more:
        return False
    return more or (new.dimension == old.dimension and new.length > LONGER * old.length)


def isolated(found: FixedPointSet, manifolds: Sequence[SlowManifold]) -> NDArray[np.bool_]:
    """Return which points (P,) of a set lie on none of its manifolds."""
    alone = np.ones(len(found), dtype=bool)
    for manifold in manifolds:
        alone[manifold.members] = False
    return alone


def explain(found: FixedPointSet, manifolds: Sequence[SlowManifold]) -> str:
    """Return in words where the points of a set lie."""
    parts = [f"{len(m.members)} on {_article(m.topology)}" for m in manifolds]
    alone = isolated(found, manifolds)
    parts.append(f"{int(alone.sum())} on no slow manifold")
    text = f"{counted(len(found), 'point')}: " + ", ".join(parts)
    loose = int(np.sum(alone & found.need_not_be_isolated))
    return text + (f" ({loose} of them degenerate: widen reach or gap)" if loose else "")


def _article(topology: str) -> str:
    return ("an " if topology[0] in "aeiou" else "a ") + topology


def _points(rnn: RNNNumpy, u: Float, found: FixedPointSet | ArrayLike) -> Float:
    if u.shape != (rnn.n_inputs,) or not np.isfinite(u).all():
        raise ParameterError(
            "u", u.tolist(), "is no constant input", f"pass {rnn.n_inputs} finite numbers"
        )
    if isinstance(found, FixedPointSet) and not np.array_equal(found.input, u):
        raise ParameterError(
            "found.input", found.input.tolist(), "is another input than u", "search at this input"
        )
    rows = found.points if isinstance(found, FixedPointSet) else np.asarray(found, dtype=np.float64)
    if not rows.size:
        return np.empty((0, rnn.N))
    if rows.ndim != 2 or rows.shape[1] != rnn.N or not np.isfinite(rows).all():
        raise ParameterError(
            "found.shape", rows.shape, f"is not (P, {rnn.N}), finite", "pass one point a row"
        )
    return np.asarray(rows, dtype=np.float64)


def _states(rnn: RNNNumpy, states: ArrayLike) -> Float:
    columns = np.asarray(states, dtype=np.float64)
    if columns.ndim != 2 or columns.shape[0] != rnn.N or not np.isfinite(columns).all():
        raise ParameterError(
            "states.shape", columns.shape, f"is not ({rnn.N}, M), finite", "put units first"
        )
    return columns.T


def _relaxed(rnn: RNNNumpy, u: Float, pool: Float, opts: ManifoldSettings) -> Float:
    """Return some states of ``pool`` (M, N) after they have relaxed for 5 tau (K, N)."""
    if not len(pool) or not opts.n_relaxed:
        return np.empty((0, rnn.N))
    rng = np.random.default_rng(opts.seed)
    x = pool[rng.integers(len(pool), size=opts.n_relaxed)].T
    flow = rnn.flow(u)
    with np.errstate(over="ignore", invalid="ignore"):
        for _ in range(int(np.ceil(RELAXATION / rnn.alpha))):
            x = x + rnn.alpha * flow(x)
    return np.asarray(x[:, np.isfinite(x).all(axis=0)].T)


def _seeds(
    rnn: RNNNumpy, u: Float, points: Float, relaxed: Float, region: Region, opts: ManifoldSettings
) -> tuple[Float, list[Float], Float]:
    """Return states (K, N) and bases (N, d) of their slow directions, the best first.

    And the points and relaxed states (K, N) that these come from.
    """
    speed = np.linalg.norm(rnn.rhs_at(relaxed, u), axis=1)
    # no curve longer than its budget can be slow where F is larger than this
    slow = speed <= opts.slow * opts.max_length * region.scale
    candidates = np.vstack([points, relaxed[slow]])
    seeds: list[tuple[int, bool, float, int, Float]] = []
    for i, state in enumerate(candidates):
        J = rnn.jacobian(state, u)
        basis = slow_directions(J, 2.0 * opts.slow, opts.gap, opts.max_dimension)
        if basis is not None:
            pace = float(np.linalg.norm(basis.T @ J @ basis))
            seeds.append((-basis.shape[1], i >= len(points), pace, i, basis))
    seeds.sort(key=lambda s: s[:4])
    bases = [s[4] for s in seeds]
    states = candidates[[s[3] for s in seeds]]
    places = states.copy()
    for k, basis in enumerate(bases):  # relaxed states are near the manifold, not on it
        if seeds[k][1]:
            onto = correct(rnn, u, places[k][None], basis[None], 0.1 * region.scale)
            if onto.converged[0]:
                places[k] = onto.points[0]
    return places, bases, states


def _grow(
    rnn: RNNNumpy, u: Float, seed: Float, basis: Float, region: Region, opts: ManifoldSettings
) -> SlowManifold | None:
    if basis.shape[1] > 1:
        sheet = cover_sheet(rnn, u, seed, basis, region, opts)
        return None if sheet is None else _from_sheet(rnn, u, sheet)
    curve = trace_curve(rnn, u, seed, basis[:, 0], region, opts)
    if curve is None or len(curve.points) < 4:
        return None
    return _from_curve(rnn, u, sample_evenly(rnn, u, curve, opts.n_samples))


def _from_curve(rnn: RNNNumpy, u: Float, curve: Curve) -> SlowManifold:
    floor = rounding_floor(curve.points, curve.length)
    n_stable, n_unstable = points_along(curve.drift, curve.closed, floor)
    n_stable += 0 if curve.closed else curve.ends.count("stable")
    period = float("nan")
    if curve.closed:
        period = period_of(curve.points, curve.tangents, curve.drift)
    ring = "ring" if np.isnan(period) else "rotating ring"
    return _described(
        rnn,
        u,
        curve.points,
        curve.tangents[:, None, :],
        dimension=1,
        topology=ring if curve.closed else "open line",
        period=period,
        positions=curve.arc[:, None],
        length=curve.length,
        n_stable=n_stable,
        n_unstable=n_unstable,
        ends=curve.ends,
    )


def _from_sheet(rnn: RNNNumpy, u: Float, sheet: Sheet) -> SlowManifold:
    dim = sheet.tangents.shape[2]
    centred = sheet.points - sheet.points.mean(axis=0)
    axes = np.linalg.svd(centred, full_matrices=False)[2][:dim]
    flat = "sheet" if sheet.has_edge else "closed surface"
    return _described(
        rnn,
        u,
        sheet.points,
        np.swapaxes(sheet.tangents, 1, 2),
        dimension=dim,
        topology=flat if dim == 2 else "volume",
        period=float("nan"),
        positions=centred @ axes.T,
        length=diameter(sheet.points),
        n_stable=0,
        n_unstable=0,
        ends=sheet.ends,
    )


def _described(
    rnn: RNNNumpy, u: Float, points: Float, tangents: Float, **shape: Any
) -> SlowManifold:
    field = rnn.rhs_at(points, u)
    drift = np.einsum("mdn,mn->md", tangents, field)
    J = rnn.jacobian_at(points, u)
    n_unstable = 0
    for jacobian, frame in zip(J, tangents, strict=True):
        basis = np.linalg.qr(frame.T, mode="complete")[0][:, len(frame) :]
        rates = np.linalg.eigvals(basis.T @ jacobian @ basis)
        n_unstable = max(n_unstable, int(np.sum(rates.real > 0.0)))
    variance, along, chance = alignment(rnn, points, tangents)
    return SlowManifold(
        points=points,
        tangents=tangents,
        speed=np.linalg.norm(field, axis=1),
        drift=drift,
        across=np.linalg.norm(field - np.einsum("md,mdn->mn", drift, tangents), axis=1),
        eigenvalues=sorted_spectrum(J)[0],
        n_transverse_unstable=n_unstable,
        members=np.empty(0, dtype=np.int64),
        input=u,
        outputs=rnn.readout_at(points),
        null_space_fraction=variance,
        tangent_null_fraction=along,
        chance_null_fraction=chance,
        **shape,
    )
