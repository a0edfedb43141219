"""Stability and index of fixed points on kinks of f, where the Jacobian is that of one side."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..network.rnn_numpy import RNNNumpy
from .kink_flow import MOST_SIDES, KinkFlow, follow, kink_flow
from .region_enumeration import index_of_regions

Float = NDArray[np.float64]
N_DIRECTIONS = 96  # random ones that are followed
LARGE, FEWER_DIRECTIONS = 200, 32  # of networks of more units
N_PATTERNS = 24  # random sides whose leading eigenvectors are followed as well: at most, and 2
PATTERN_WORK = 1e8  # of these, in N^3
MOST_FOLLOWED = 8  # points of a search: what else is on a kink is not known
NOT_ON_KINK = ""


@dataclass(frozen=True)
class KinkPoint:
    """What a fixed point on a kink is.

    Attributes
    ----------
    kind : str
        "stable": all directions that were followed decay. "unstable": all grow. "half-stable": some
        grow and some decay. "marginal": none grows, and one neither grows nor decays, as where a
        continuum ends. "unknown": it is not clear. "" for a point on no kink.
    proven : bool
        Whether it is stable because all regions that meet there say so, or a common certificate.
    growth : float
        Rate of the direction that grows most, or decays most slowly, per tau; NaN if on no kink.
    index : float
        Degree of -F around the point times (-1)^N, which is (-1)^(unstable modes) elsewhere. NaN
        if it is not known.
    is_whole : bool
        Whether all units that matter are on their kink: then F is its own flow, and the index that
        of the sphere at infinity.
    """

    kind: str
    proven: bool = False
    growth: float = float("nan")
    index: float = float("nan")
    is_whole: bool = False


def at_kink(rnn: RNNNumpy, u: Float, point: Float) -> KinkPoint:
    """Say what kind of fixed point a state (N,) on a kink of f is.

    With argument 0 a unit is on for one side of a state and off for the other, and f' at 0 is that
    of one side: a network of rectified units without drive has J = -I at 0 whatever its weights,
    and still may grow from there. Near such a point F is linear on each side of the kinks. Random
    directions, and leading eigenvectors of the regions, are followed along that flow of degree 1;
    of few units on kinks all regions are looked at for directions that stay within one for ever.
    """
    flow = kink_flow(rnn, u, point)
    if flow is None:
        return KinkPoint(NOT_ON_KINK)
    rng = np.random.default_rng(0)
    n_random = N_DIRECTIONS if flow.n_units <= LARGE else FEWER_DIRECTIONS
    directions = rng.standard_normal((flow.n_units, n_random))
    above = flow.all_sides()
    agree = False
    rays: Float = np.empty(0)
    if above is not None:
        rays = flow.rays(above)[0]
        agree = bool(np.linalg.eigvals(flow.matrices(above)).real.max() < -1e-9 * flow.fastest)
    fate, rates = follow(flow, np.hstack([directions, _leading(flow, rng)]))
    small = 1e-9 * flow.fastest
    grows = bool((fate > 0).any() or (rays > small).any())
    still = bool((np.abs(rays) <= small).any() or ((fate == 0) & (np.abs(rates) <= small)).any())
    growth = float(max(rates.max(), rays.max(initial=-np.inf)))
    if grows:
        decays = (fate[:n_random] < 0).any()
        kind = "half-stable" if decays else "unstable"
    elif still:
        kind, growth = "marginal", 0.0
    else:
        kind = "stable" if (fate < 0).all() else "unknown"
    proven = kind == "stable" and (agree or has_certificate(flow))
    index = 1.0 if proven else index_at_kink(flow)
    whole = not np.setdiff1d(np.flatnonzero(rnn.W_rec.any(axis=1)), flow.kinks).size
    return KinkPoint(kind, proven, growth, index, whole)


def at_kinks(kind: NDArray[np.str_], proven: NDArray[np.bool_]) -> NDArray[np.str_]:
    """Return the stability of points by their kinds (P,): "stable" only where it is proven."""
    grows = (kind == "unstable") | (kind == "half-stable")
    return np.where(grows, "unstable", np.where(proven, "stable", "marginal")).astype(np.str_)


def _leading(flow: KinkFlow, rng: np.random.Generator) -> Float:
    """Return leading eigenvectors (N, M) of some regions, both ways."""
    K = len(flow.kinks)
    number = int(np.clip(PATTERN_WORK / flow.n_units**3, 2, N_PATTERNS))
    sides = rng.random((number, K)) < rng.random((number, 1))
    sides[0], sides[1] = False, True
    values, vectors = np.linalg.eig(flow.matrices(sides))
    first = vectors[np.arange(number), :, values.real.argmax(axis=1)].real.T
    first = first[:, np.linalg.norm(first, axis=0) > 1e-6]
    return np.hstack([first, -first])


def has_certificate(flow: KinkFlow) -> bool:
    """Return whether one proof of decay serves all regions that meet at a point.

    Either the network of absolute weights decays (it bounds the flow entrywise), or the circle
    criterion holds: with slopes c +- r of the units on kinks, the gain of the linear part from
    their deviations to their arguments is below 1 / r at all frequencies, so that a quadratic form
    decays in all regions. It is asked without scales and with those that fit best at frequency 0.
    """
    below, above = flow.slopes
    n_units, K = flow.n_units, len(flow.kinks)
    steepest = np.abs(flow.gain)
    steepest[flow.kinks] = max(abs(below), abs(above))
    bound = np.abs(flow.W) * (steepest[:, None] if flow.form_s else steepest) - np.eye(n_units)
    if np.linalg.eigvals(bound).real.max() < -1e-9 * flow.fastest:
        return True
    centre = flow.gain.copy()
    centre[flow.kinks] = 0.5 * (below + above)
    radius = 0.5 * abs(above - below)
    units = np.eye(n_units)[flow.kinks]
    A = (centre[:, None] * flow.W if flow.form_s else flow.W * centre) - np.eye(n_units)
    B = radius * (units.T if flow.form_s else flow.W[:, flow.kinks])
    C = flow.rows
    if np.linalg.eigvals(A).real.max() >= -1e-9 * flow.fastest:
        return False
    at_rest = -C @ np.linalg.solve(A, B)
    size = np.abs(at_rest) + 1e-12
    right = np.abs(np.linalg.eig(size)[1][:, np.linalg.eigvals(size).real.argmax()].real)
    left = np.abs(np.linalg.eig(size.T)[1][:, np.linalg.eigvals(size.T).real.argmax()].real)
    fitted = np.sqrt(np.maximum(left, 1e-12) / np.maximum(right, 1e-12))
    return any(_gain_below_one(A, B / s, s[:, None] * C) for s in (np.ones(K), fitted))


def _gain_below_one(A: Float, B: Float, C: Float) -> bool:
    """Return whether |C (i w - A)^-1 B| < 1 at all w, with A stable (bounded real lemma)."""
    if np.linalg.norm(C @ np.linalg.solve(A, B), 2) >= 1.0 - 1e-6:
        return False
    hamiltonian = np.block([[A, B @ B.T], [-C.T @ C, -A.T]])
    values = np.linalg.eigvals(hamiltonian)
    return bool(np.abs(values.real).min() > 1e-6 * (1.0 + np.abs(values).max()))


def index_at_kink(flow: KinkFlow) -> float:
    """Return the index of a point on kinks, NaN where too many meet, or it need not be isolated.

    Units away from their kink are linear and are eliminated: the index is the sign of their
    determinant times that of the units on kinks, z = S f(z) + y, which at a random y is counted
    in all regions.
    """
    if len(flow.kinks) > MOST_SIDES:
        return float("nan")
    kinks = flow.kinks
    rest = np.setdiff1d(np.arange(flow.n_units), kinks)
    W, gain = flow.W, flow.gain[rest]
    inner = np.eye(len(rest)) - W[np.ix_(rest, rest)] * gain
    sign = np.linalg.slogdet(inner)[0] if len(rest) else 1.0
    S = W[np.ix_(kinks, kinks)]
    if len(rest):
        if not sign or np.linalg.cond(inner) > 1e10:
            return float("nan")
        into = np.linalg.solve(inner, W[np.ix_(rest, kinks)])
        S = S + (W[np.ix_(kinks, rest)] * gain) @ into
    total = index_of_regions(_on_kinks(S, flow.slopes), np.random.default_rng(1))
    return float("nan") if total is None else float(sign * total)


def _on_kinks(S: Float, slopes: tuple[float, float]) -> RNNNumpy:
    n_units = len(S)
    return RNNNumpy(
        W_rec=S,
        W_inp=np.eye(n_units),
        W_out=np.ones((1, n_units)),
        activation={"name": "leaky_relu", "slope": slopes[1], "leak_slope": slopes[0]},
        equation_type="h",
    )
