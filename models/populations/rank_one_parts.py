"""Rank-one parts of recurrent weights: what each reads, where it points, and its drive in trials.

W_rec = sum over r of m_r n_rᵀ / N. The recurrent input of the units is then the sum of m_r
kappa_r(t) with kappa_r = n_r · rates / N, so that few numbers, the drive through each part, say
what a network of low rank does (Mastrogiuseppe & Ostojic 2018, Neuron 99, 609; Dubreuil et al.
2022, Nature Neuroscience 25, 783; Valente, Pillow & Ostojic 2022, NeurIPS).
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from tasks_lib import Task
from tasks_lib.brief import brief

from ..network.low_rank import Factors, factors_of, numerical_rank
from ..network.rnn_numpy import RNNNumpy
from .intervention_scores import run_untouched
from .recording import NOT_FINITE, activity_status
from .settings import PopulationSettings, RankOneSettings

Float = NDArray[np.float64]
NO_RECURRENCE = "no_recurrence"


@brief
@dataclass(frozen=True, eq=False)
class RankOnePart:
    """One rank-one part m nᵀ / N of recurrent weights.

    Attributes
    ----------
    left, right : array (N,)
        m and n, of equal norms; the largest entry of m is positive.
    singular_value : float
        Of W_rec: |m| |n| / N.
    drive : array (B, T)
        kappa = n · rates / N in each trial, noise-free.
    share : float or None
        Of the variance of the recurrent input over all trials and steps, summed over units; None
        where the recurrent input does not vary.
    between_trials : float or None
        Share of the variance of kappa that lies between trials at the same step; None where
        kappa does not vary.
    """

    left: Float
    right: Float
    singular_value: float
    drive: Float
    share: float | None
    between_trials: float | None


@dataclass(frozen=True)
class VectorOverlap:
    """How far what is written by one vector is read by another.

    Attributes
    ----------
    reader, reader_number : str, int
        ``right``, n of a part, or ``output``, a row of W_out.
    writer, writer_number : str, int
        ``left``, m of a part, or ``input``, a column of W_inp.
    value : float
        Scalar product; over N where the reader is ``right``. Right with left: the entries of the
        R x R matrix whose eigenvalues are those of W_rec.
    cosine : float or None
        Of the angle between the two; None where one is 0.
    """

    reader: str
    reader_number: int
    writer: str
    writer_number: int
    value: float
    cosine: float | None


@brief
@dataclass(frozen=True, eq=False)
class RankOneAnalysis:
    """Rank-one parts of a network.

    Attributes
    ----------
    status : str
        ``analysed``; ``no_recurrence``: W_rec is 0; ``not_finite``: states overflow in some trial;
        ``silent``, ``constant``: as of populations, the drives do not vary.
    reason : str
    rank : int
        Of W_rec, to rounding in float32.
    parts : list of RankOnePart
        In the order of their singular values, at most as many as the settings say.
    overlaps : list of VectorOverlap
    """

    status: str
    reason: str
    rank: int = 0
    parts: list[RankOnePart] = field(default_factory=list)
    overlaps: list[VectorOverlap] = field(default_factory=list)

    @property
    def explained(self) -> float | None:
        """Share of the variance of the recurrent input that the parts have together."""
        shares = [part.share for part in self.parts if part.share is not None]
        return sum(shares) if shares else None


def get_rank_one_parts(
    rnn: RNNNumpy, task: Task, settings: RankOneSettings | None = None, *, seed: int = 0
) -> RankOneAnalysis:
    """Divide recurrent weights into rank-one parts, and measure the drive through each in trials.

    The factors of a matrix are not unique: these are its singular vectors
    (`models.network.low_rank.factors_of`), so that the parts are the same however a network was
    made. As the vectors m_r are orthogonal, their shares of the variance add up.

    Parameters
    ----------
    rnn : RNNNumpy
        Of any rank; of a high one the parts of the largest singular values are taken.
    task : Task
    settings : RankOneSettings, optional
    seed : int
        Of the task's trials.
    """
    chosen = RankOneSettings() if settings is None else settings
    W = np.asarray(rnn.W_rec, dtype=np.float64)
    if not W.any():
        return RankOneAnalysis(NO_RECURRENCE, "all recurrent weights are 0")
    rank = numerical_rank(W)
    factors = factors_of(W, rank)
    factors = Factors(*(factor[:, : chosen.max_parts] for factor in factors))
    trials = run_untouched(rnn, task, chosen.max_trials, 1 + factors.left.shape[1], seed)
    overlaps = _overlaps(rnn, factors)
    if not np.isfinite(trials.states).all():
        return RankOneAnalysis(NOT_FINITE, "states overflow in some trial", rank, [], overlaps)
    rates = rnn.equation.rates(trials.states)  # (N, T, B)
    status, reason = activity_status(rates.transpose(2, 1, 0), PopulationSettings().silent_below)
    recurrent_input = np.tensordot(W, rates, 1)
    total = float(recurrent_input.var(axis=(1, 2)).sum())
    varies = total > 1e-20 * float(np.square(recurrent_input).sum(axis=0).mean())
    parts = []
    for m, n in zip(factors.left.T, factors.right.T, strict=True):
        drive = np.tensordot(n, rates, 1).T / len(W)  # (B, T)
        own = float(drive.var())
        has_share = varies and own > 0.0
        parts.append(
            RankOnePart(
                left=m,
                right=n,
                singular_value=float(np.linalg.norm(m) * np.linalg.norm(n) / len(W)),
                drive=drive,
                share=min(1.0, float(m @ m) * own / total) if varies else None,
                between_trials=float(drive.var(axis=0).mean()) / own if has_share else None,
            )
        )
    return RankOneAnalysis(status, reason, rank, parts, overlaps)


def _overlaps(rnn: RNNNumpy, factors: Factors) -> list[VectorOverlap]:
    n = rnn.n_units
    readers = [("right", i, v, 1.0 / n) for i, v in enumerate(factors.right.T)]
    readers += [("output", i, v, 1.0) for i, v in enumerate(np.asarray(rnn.W_out, np.float64))]
    writers = [("left", i, v) for i, v in enumerate(factors.left.T)]
    writers += [("input", i, v) for i, v in enumerate(np.asarray(rnn.W_inp, np.float64).T)]
    found = []
    for reader, i, v, scale in readers:
        for writer, j, w in writers:
            product, size = float(v @ w), float(np.linalg.norm(v) * np.linalg.norm(w))
            cosine = float(np.clip(product / size, -1.0, 1.0)) if size else None
            found.append(VectorOverlap(reader, i, writer, j, product * scale, cosine))
    return found
