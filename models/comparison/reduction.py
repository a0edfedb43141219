"""What a network is compared by, worked out once for each network."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from tasks_lib import Task
from tasks_lib.brief import brief

from ..activity.trials import get_trials
from ..network.rnn_numpy import RNNNumpy
from ..populations.recording import ANALYSED, NOT_FINITE, activity_status
from .dsa import fit_operator
from .point_sets import PointSpectra
from .settings import ComparisonSettings

if TYPE_CHECKING:
    import xarray

Float = NDArray[np.float64]
WEIGHTS = ("W_rec", "W_inp", "W_out", "b_rec")
EMPTY = np.empty(0)
NOT_ASKED = "not asked for"


def _matrix() -> Float:
    return np.empty((0, 0))


def _vector() -> Float:
    return np.empty(0)


@brief
@dataclass(frozen=True, eq=False)
class ComparedNetwork:
    """A network as it is compared with others: of one task, by the same settings and seed.

    Attributes
    ----------
    status : str
        Of the activity: ``analysed``, ``silent``, ``constant`` or ``not_finite``.
    reason : str
    n_units : int
    n_trials : int
    components : array (B * T, r)
        Activity in its first principal components, over trials and bins of time, whose Frobenius
        norm is 1; without columns where there is no activity to compare.
    loadings : array (N, r)
        The components as directions in units: ``components @ loadings.T`` is the activity.
    kept_variance : float
        Share of the variance in these components.
    dissimilarities : array (B * (B - 1) / 2,)
        Ranks of the distances between trials, minus their mean, of norm 1; empty where all are
        equally far apart.
    outputs : array (D,)
        Outputs at the steps that count, divided by the root of their number.
    choices : array (B,)
        Choice of each trial; empty where the task has none.
    weights : dict of str to array
        ``W_rec``, ``W_inp``, ``W_out``, ``b_rec``.
    singular_values : array (N,)
        Of W_rec, descending.
    points : dict or None
        Constant input -> its fixed points; None: they are not compared.
    points_reason : str
    operator : array (R, R) or None
        That of dynamical similarity analysis.
    operator_reason : str
    """

    status: str
    reason: str
    n_units: int
    n_trials: int
    components: Float = field(default_factory=_matrix)
    loadings: Float = field(default_factory=_matrix)
    kept_variance: float = 0.0
    dissimilarities: Float = field(default_factory=_vector)
    outputs: Float = field(default_factory=_vector)
    choices: Float = field(default_factory=_vector)
    weights: Mapping[str, Float] = field(default_factory=dict)
    singular_values: Float = field(default_factory=_vector)
    points: Mapping[str, PointSpectra] | None = None
    points_reason: str = NOT_ASKED
    operator: Float | None = None
    operator_reason: str = NOT_ASKED


def reduce_network(
    rnn: RNNNumpy,
    task: Task,
    settings: ComparisonSettings | None = None,
    *,
    points: Mapping[str, PointSpectra] | None = None,
    points_reason: str = NOT_ASKED,
    seed: int = 0,
) -> ComparedNetwork:
    """Run a network's trials without noise, and reduce it to what it is compared by.

    Parameters
    ----------
    rnn : RNNNumpy
    task : Task
    settings : ComparisonSettings, optional
    points : dict, optional
        Constant input -> its fixed points (`point_spectra`), the same inputs for all networks.
    points_reason : str
        Why there are none.
    seed : int
        Of the trials: the same for all networks that are compared.
    """
    chosen = ComparisonSettings() if settings is None else settings
    with np.errstate(over="ignore", invalid="ignore"):
        trials = get_trials(rnn, task, seed=seed, max_trials=chosen.max_trials)
    rates = trials["rates"].values
    status, reason = activity_status(rates, chosen.silent_below)
    weights = {name: np.asarray(getattr(rnn, name), dtype=np.float64) for name in WEIGHTS}
    kept: dict[str, Any] = {
        "weights": weights,
        "singular_values": np.linalg.svd(weights["W_rec"], compute_uv=False),
        "points": points,
        "points_reason": "" if points is not None else points_reason,
    }
    sizes = (rnn.n_units, len(rates))
    if status == NOT_FINITE:
        return ComparedNetwork(status, reason, *sizes, **kept)
    kept |= {"outputs": _asked_outputs(trials), "choices": _choices(trials)}
    if status != ANALYSED:
        return ComparedNetwork(status, reason, *sizes, **kept)
    binned = binned_rates(rates, chosen.n_times)
    components, loadings, share = principal_components(binned, chosen.n_components)
    operator, why = None, NOT_ASKED
    if chosen.dsa != "none":
        scores = components.reshape(*binned.shape[:2], -1)
        # Of the size that activity has, not of norm 1: the library's regularisation knows it.
        operator, why = fit_operator(scores * np.sqrt(len(components)), chosen)
    return ComparedNetwork(
        status, reason, *sizes, components, loadings, share, trial_dissimilarities(binned),
        operator=operator, operator_reason=why, **kept,
    )  # fmt: skip


def binned_rates(rates: Float, n_times: int) -> Float:
    """Return the means of rates (B, T, N) in bins of time."""
    edges = np.linspace(0, rates.shape[1], min(n_times, rates.shape[1]) + 1).round().astype(int)
    sums = np.add.reduceat(rates, edges[:-1], axis=1)
    return np.asarray(sums / np.diff(edges)[:, None])


def principal_components(binned: Float, n_components: int) -> tuple[Float, Float, float]:
    """Return components and loadings of centred activity, and their share of the variance."""
    flat = binned.reshape(-1, binned.shape[2])
    flat = flat - flat.mean(axis=0)
    # By the covariance of units: there are more samples than units.
    values, vectors = np.linalg.eigh(flat.T @ flat)
    values, vectors = np.maximum(values[::-1], 0.0), vectors[:, ::-1]
    n_kept = min(n_components, int((values > 1e-12 * values[0]).sum()))
    total, kept = values.sum(), values[:n_kept].sum()
    components = flat @ vectors[:, :n_kept] / np.sqrt(kept)
    return components, np.ascontiguousarray(vectors[:, :n_kept]), float(kept / total)


def trial_dissimilarities(binned: Float) -> Float:
    """Return the normalised ranks of the distances between trials, as trajectories."""
    from scipy.spatial.distance import pdist
    from scipy.stats import rankdata

    flat = binned.reshape(len(binned), -1)
    apart = pdist(flat)
    # Trials that are equally far apart are so within rounding errors too.
    scale = float(apart.max(initial=0.0))
    if scale <= 1e-9 * max(float(np.abs(flat).max()), 1e-300):
        return EMPTY
    ranks = rankdata(np.round(apart / scale, 9))
    ranks -= ranks.mean()
    norm = float(np.linalg.norm(ranks))
    return np.asarray(ranks / norm) if norm > 0 else EMPTY


def _asked_outputs(trials: xarray.Dataset) -> Float:
    """Return the outputs at steps that count, so that a distance is a root mean square."""
    outputs = trials["outputs"].values
    counts = np.broadcast_to(trials["counts"].values, outputs.shape[:2])
    found = outputs[counts].ravel()
    return np.asarray(found / np.sqrt(max(found.size, 1)))


def _choices(trials: xarray.Dataset) -> Float:
    if "choice" not in trials.coords:
        return EMPTY
    return np.asarray(trials["choice"].values, dtype=np.float64)
