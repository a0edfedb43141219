"""How far circuits from several starts agree, node matched with node."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from .embedded import correlation
from .training import TrainedCircuit

Float = NDArray[np.float64]
BLOCKS = ("W_inp", "W_rec", "W_out")


@dataclass(frozen=True, eq=False)
class StartAgreement:
    """How far the good starts agree with the best.

    Attributes
    ----------
    n_good : int
        Good starts, the best among them.
    connectivity : float or None
        Correlation of w_rec with the best one's, mean over the other good starts; None without
        any.
    embedding : float or None
        Mean cosine between the columns of Q of matched nodes, as that.
    spread : dict
        Block -> standard deviation of each weight over the good starts, nodes matched; empty with
        one good start.
    """

    n_good: int
    connectivity: float | None = None
    embedding: float | None = None
    spread: dict[str, Float] = field(default_factory=dict)


def agreement(
    circuits: Sequence[TrainedCircuit], good_within: float, may_flip: bool
) -> StartAgreement:
    """Compare the good starts with the best.

    Parameters
    ----------
    circuits : sequence of TrainedCircuit
        The best first.
    good_within : float
        By how much more than the best a good start's loss may be.
    may_flip : bool
        Whether a node and its negative are the same circuit.
    """
    best = circuits[0]
    good = [one for one in circuits if one.loss <= best.loss + good_within]
    if len(good) < 2:
        return StartAgreement(len(good))
    matched = [matched_to(best, one, may_flip) for one in good[1:]]
    alike = [correlation(best.weights["W_rec"], weights["W_rec"]) for weights, _ in matched]
    known = [value for value in alike if value is not None]
    blocks = {
        name: np.std([best.weights[name], *(weights[name] for weights, _ in matched)], axis=0)
        for name in BLOCKS
    }
    return StartAgreement(
        len(good),
        float(np.mean(known)) if known else None,
        float(np.mean([cosine for _, cosine in matched])),
        blocks,
    )


def matched_to(
    best: TrainedCircuit, other: TrainedCircuit, may_flip: bool
) -> tuple[dict[str, Float], float]:
    """Return another circuit's weights, its nodes in the order of the best one's.

    Nodes are matched so that the sum of cosines between the columns of Q is largest.

    Returns
    -------
    weights : dict
        W_rec, W_inp, W_out.
    cosine : float
        Mean over matched nodes.
    """
    from scipy.optimize import linear_sum_assignment

    overlap = best.rotation.T @ other.rotation
    value = np.abs(overlap) if may_flip else overlap
    rows, order = linear_sum_assignment(value, maximize=True)
    sign = np.sign(overlap[rows, order]) if may_flip else np.ones(len(order))
    sign[sign == 0] = 1.0
    weights = {
        "W_rec": other.weights["W_rec"][np.ix_(order, order)] * np.outer(sign, sign),
        "W_inp": other.weights["W_inp"][order] * sign[:, None],
        "W_out": other.weights["W_out"][:, order] * sign,
    }
    return weights, float(value[rows, order].mean())
