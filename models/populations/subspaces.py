"""Regression subspaces of a network's activity, angles between them, and decoders."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from itertools import combinations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tasks_lib import Task
from tasks_lib.brief import brief

from ..activity.coordinates import CHOICES
from ..network.rnn_numpy import RNNNumpy
from .decoding import Decoding, decode
from .periods import TrialPeriod
from .recording import ANALYSED, FEW, TrialActivity, activity_status, record
from .regression import (
    FITTED,
    RegressionSubspace,
    fit_subspaces,
    principal_angles,
    regressors,
    row_space,
)
from .settings import SubspaceSettings
from .variables import USABLE, ConditionVariable

Float = NDArray[np.float64]
NO_VARIABLE, NOT_IN_ALL = "no_variable", "not_in_all_tasks"
LEVEL = 0.05  # of random subspaces are closer than what is called chance
N_RANDOM = 500


@brief
@dataclass(frozen=True, eq=False)
class SubspaceAngle:
    """Principal angles between two subspaces, in degrees.

    Attributes
    ----------
    kind : str
        What they are of: variables, periods (of one variable), input or output (a variable and the
        weights of a channel).
    first, second : str
        Variable; second: another variable, or a channel. Of periods "variable, period".
    smallest, largest : float
        Equal where one of both is a line.
    chance : float
        5 % of random subspaces of these dimensions are closer than this (by the smallest angle).
    """

    kind: str
    first: str
    second: str
    smallest: float
    largest: float
    chance: float


@brief
@dataclass(frozen=True, eq=False)
class SubspaceAnalysis:
    """Regression subspaces, angles and decoders of one network.

    Attributes
    ----------
    status : str
        ``analysed``; ``silent``, ``constant``, ``not_finite``: as of populations; ``few_trials``:
        no more than regressors; ``no_variable``: nothing differs between trials.
    reason : str
    n_trials : int
    scale : array (N,)
        Standard deviation of each unit's rate, by which it is divided; 0: a unit left out.
    n_components : int or None
        Principal components of the means of conditions that coefficients are projected onto.
    components_share : float or None
        Share of the variance of these means that they hold.
    subspaces : list of RegressionSubspace
        One for each variable.
    angles : list of SubspaceAngle
    decoders : list of Decoding
    """

    status: str
    reason: str
    n_trials: int
    scale: Float = field(default_factory=lambda: np.empty(0))
    n_components: int | None = None
    components_share: float | None = None
    subspaces: list[RegressionSubspace] = field(default_factory=list)
    angles: list[SubspaceAngle] = field(default_factory=list)
    decoders: list[Decoding] = field(default_factory=list)


def get_subspaces(
    rnn: RNNNumpy, task: Task, settings: SubspaceSettings | None = None, *, seed: int = 0
) -> SubspaceAnalysis:
    """Find the directions in which the variables of a task move a network's rates.

    Parameters
    ----------
    rnn : RNNNumpy
    task : Task
    settings : SubspaceSettings, optional
    seed : int
        Of the trials, the noise, the folds and the permutations.
    """
    chosen = SubspaceSettings() if settings is None else settings
    recording = record(
        rnn, task, noise=chosen.noise, n_repeats=chosen.n_repeats, max_trials=chosen.max_trials,
        seed=seed,
    )  # fmt: skip
    names = {
        "input": dict(zip(task.input_names, rnn.W_inp.T, strict=True)),
        "output": dict(zip(task.output_names, rnn.W_out, strict=True)),
    }
    return find_subspaces(recording, chosen, names["input"], names["output"], seed)


def find_subspaces(
    recording: TrialActivity,
    settings: SubspaceSettings,
    inputs: dict[str, Float] | None = None,
    outputs: dict[str, Float] | None = None,
    seed: int = 0,
) -> SubspaceAnalysis:
    """Find the subspaces in trials; see `get_subspaces`.

    Parameters
    ----------
    recording : TrialActivity
    settings : SubspaceSettings
    inputs, outputs : dict of str to array (N,), optional
        Directions that activity is pushed along, and weights that read it.
    seed : int
    """
    n_trials = recording.n_trials
    status, reason = activity_status(recording.rates, settings.silent_below)
    if status != ANALYSED:
        return SubspaceAnalysis(status, reason, n_trials)
    everything = _without_twins(recording.variables)
    if "component_field" in recording.trials.attrs:
        # One regression is over the trials of all tasks that are joined.
        everything = [
            v if v.status != USABLE or (v.groups >= 0).all() else replace(v, status=NOT_IN_ALL)
            for v in everything
        ]
    usable = [v for v in everything if v.status == USABLE]
    if not usable:
        return SubspaceAnalysis(NO_VARIABLE, "no variable has two values in the trials", n_trials)
    complete = np.all([v.groups >= 0 for v in usable], axis=0)
    variables = [_of(v, complete) for v in everything]
    n_columns = 1 + sum(regressors(v).shape[1] for v in usable)
    if complete.sum() <= n_columns:
        why = f"{int(complete.sum())} trials for {n_columns} coefficients of each unit"
        return SubspaceAnalysis(FEW, why, n_trials)
    rates = recording.rates if complete.all() else recording.rates[complete]
    mean, deviation = rates.mean(axis=(0, 1)), rates.std(axis=(0, 1))
    scale = np.where(deviation > 1e-12 * np.abs(mean).max(), deviation, 0.0)
    divisor = np.where(scale > 0, scale, np.inf)
    z = (rates - mean) / divisor
    components, share = _components(z, variables, settings.n_components)
    periods = [
        (_steps_of(p, complete), (recording.period_means(p)[complete] - mean) / divisor)
        for p in recording.periods[1:]
    ]
    subspaces = fit_subspaces(z, variables, components, periods)
    analysis = SubspaceAnalysis(
        status, reason, n_trials, scale, len(components), share, subspaces,
        decoders=decode(
            rates, variables, n_bins=settings.n_bins, n_folds=settings.n_folds,
            ridge=settings.ridge, n_shuffles=settings.n_shuffles, seed=seed,
        ),
    )  # fmt: skip
    analysis.angles.extend(_angles(analysis, inputs or {}, outputs or {}))
    return analysis


def selection_angle(
    axes: Float, scale: Float, vectors: ArrayLike, eigenvalues: ArrayLike
) -> tuple[float | None, float | None]:
    """Return the median angle of a variable's axes to selection vectors, and that of chance.

    A selection vector reads states as W_out reads rates: in units of standard deviations it is
    multiplied by these. That is so in form s, where states are rates. None where no vector is one.

    Parameters
    ----------
    axes : array (d, N)
        Of a `RegressionSubspace`.
    scale : array (N,)
        Standard deviation of each unit's rate.
    vectors : array (P, N), complex
        Left eigenvectors.
    eigenvalues : array (P,), complex
        Of these. One of a pair has a plane, and no single vector.
    """
    known = np.asarray(vectors)[np.imag(eigenvalues) == 0].real * scale
    bases = [row_space(vector[None]) for vector in known]
    found = [principal_angles(axes, basis)[0] for basis in bases if basis.size and axes.size]
    if not found:
        return None, None
    n = max(int((scale > 0).sum()), len(axes))
    return float(np.median(found)), chance_angle(len(axes), 1, n)


def _without_twins(variables: Sequence[ConditionVariable]) -> list[ConditionVariable]:
    """Return variables without the right choice, where there is one that was made.

    Of two regressors that are nearly the same neither has coefficients that mean anything.
    """
    made = any(v.name == CHOICES[1] and v.status == USABLE for v in variables)
    return [v for v in variables if not (made and v.name == CHOICES[0])]


def _of(variable: ConditionVariable, chosen: NDArray[np.bool_]) -> ConditionVariable:
    return ConditionVariable(
        variable.name, variable.values[chosen], variable.groups[chosen], variable.labels,
        variable.status,
    )  # fmt: skip


def _steps_of(period: TrialPeriod, chosen: NDArray[np.bool_]) -> TrialPeriod:
    return TrialPeriod(period.name, period.steps[chosen], period.inputs, period.asked)


def _components(
    z: Float, variables: Sequence[ConditionVariable], n_components: int
) -> tuple[Float, float]:
    """Return principal components (K, N) of the means of conditions, and their share of variance.

    A condition is a combination of values of all usable variables.
    """
    groups = np.stack([v.groups for v in variables if v.status == USABLE], axis=1)
    _, which = np.unique(groups, axis=0, return_inverse=True)
    which = which.reshape(-1)
    n = int(which.max()) + 1
    means = z
    if n < len(z):
        share = (which == np.arange(n)[:, None]) / np.bincount(which)[:, None]
        means = (share @ z.reshape(len(z), -1)).reshape(n, *z.shape[1:])
    flat = means.reshape(-1, z.shape[2])
    flat = flat - flat.mean(axis=0)
    values, vectors = np.linalg.eigh(flat.T @ flat)
    values, vectors = np.clip(values[::-1], 0, None), vectors[:, ::-1]
    kept = min(n_components, int((values > 1e-12 * values[0]).sum()))
    return np.ascontiguousarray(vectors[:, :kept].T), float(values[:kept].sum() / values.sum())


def _angles(
    analysis: SubspaceAnalysis, inputs: dict[str, Float], outputs: dict[str, Float]
) -> Iterator[SubspaceAngle]:
    fitted = [one for one in analysis.subspaces if one.status == FITTED]
    dimension = analysis.n_components
    for one, other in combinations(fitted, 2):
        yield from _angle("variables", one.name, one.axes, other.name, other.axes, dimension)
    for one in fitted:
        for (before, axes), (after, later) in combinations(one.by_period.items(), 2):
            first, second = f"{one.name}, {before}", f"{one.name}, {after}"
            yield from _angle("periods", first, axes, second, later, dimension)
    divisor = np.where(analysis.scale > 0, analysis.scale, np.inf)
    for one in fitted:
        for name, vector in inputs.items():
            yield from _angle("input", one.name, one.axes, name, vector[None] / divisor)
        for name, vector in outputs.items():
            yield from _angle("output", one.name, one.axes, name, vector[None] * analysis.scale)


def _angle(
    kind: str, first: str, axes: Float, second: str, others: Float, dimension: int | None = None
) -> Iterator[SubspaceAngle]:
    """Yield the angles between two subspaces, unless one has no direction."""
    basis = row_space(others)
    if not (axes.size and basis.size):
        return
    angles = principal_angles(axes, basis)
    within = int((np.abs(axes).max(axis=0) > 0).sum()) if dimension is None else dimension
    chance = chance_angle(len(axes), len(basis), max(within, len(axes), len(basis)))
    yield SubspaceAngle(kind, first, second, float(angles[0]), float(angles[-1]), chance)


@cache
def chance_angle(d_first: int, d_second: int, n: int) -> float:
    """Return the angle below which 5 % of random subspaces of n dimensions come, in degrees.

    By the smallest principal angle. Of two lines the square of the cosine is distributed as
    Beta(1/2, (n - 1)/2); otherwise it is the quantile of 500 random pairs.
    """
    if d_first + d_second > n:
        return 0.0
    if d_first == d_second == 1:
        from scipy.stats import beta

        square = beta.ppf(1 - LEVEL, 0.5, (n - 1) / 2)
        return float(np.degrees(np.arccos(np.sqrt(square))))
    rng = np.random.default_rng(0)
    # One of both may as well be spanned by the first axes.
    random = np.linalg.qr(rng.standard_normal((N_RANDOM, n, d_second)))[0]
    cosines = np.linalg.svd(random[:, :d_first], compute_uv=False)[:, 0]
    return float(np.quantile(np.degrees(np.arccos(np.minimum(cosines, 1.0))), LEVEL))
