"""Decoders of the variables of trials, over time and across time, with chance by permutation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tasks_lib.brief import brief

from .variables import USABLE, ConditionVariable

Float = NDArray[np.float64]
CLASSES, NUMBER = "classes", "number"
TRAINED, FEW_TRIALS, NO_DIFFERENCE = "trained", "few_trials", "no_difference"


@brief
@dataclass(frozen=True, eq=False)
class Decoding:
    """How well a variable is read from the rates, trained in one bin of a trial, tested in each.

    Attributes
    ----------
    name : str
        Of the variable.
    kind : str
        ``classes``: scores are balanced accuracies (mean over classes of the share that is right),
        ``number``: cross-validated R².
    status : str
        ``trained``; ``few_trials``: fewer than two of some class, or than two a fold;
        ``no_difference``: no unit's rate differs between trials; else as the variable.
    bins : array (n_bins, 2) of int
        First step of each bin, and the step after its last.
    scores : array (n_bins, n_bins)
        Trained in the first, tested in the second; empty where there are none.
    chance, chance_95, p : array (n_bins,)
        Of decoders trained and tested in one bin with permuted trials: mean, 95 % quantile, and
        share of permutations with no smaller score, (1 + k) / (1 + n).
    """

    name: str
    kind: str
    status: str
    bins: NDArray[np.int64]
    scores: Float
    chance: Float
    chance_95: Float
    p: Float


@dataclass(frozen=True, eq=False)
class _Target:
    """What a decoder of one variable is to give: columns (B, c), and the classes (B,)."""

    name: str
    kind: str
    columns: Float
    groups: NDArray[np.int64]
    n_groups: int

    def score(self, predicted: Float, truth: NDArray[np.int64]) -> Float:
        """Return the score of predictions (S, B, c) of trials in the orders ``truth`` (S, B)."""
        if self.kind == NUMBER:
            wanted = self.columns[truth, 0]
            rest = ((predicted[..., 0] - wanted) ** 2).sum(axis=1)
            return np.asarray(1 - rest / ((wanted - wanted.mean()) ** 2).sum(axis=1))
        binary = self.columns.shape[1] == 1
        made = (predicted[..., 0] > 0).astype(int) if binary else predicted.argmax(axis=2)
        groups = self.groups[truth]
        right = [
            ((made == g) & (groups == g)).sum(axis=1) / (groups == g).sum(axis=1)
            for g in range(self.n_groups)
        ]
        return np.asarray(np.mean(right, axis=0))


def decode(
    rates: Float,
    variables: Sequence[ConditionVariable],
    *,
    n_bins: int = 8,
    n_folds: int = 5,
    ridge: float = 1.0,
    n_shuffles: int = 50,
    seed: int = 0,
) -> list[Decoding]:
    """Decode variables from the mean rates in bins of the trials, and across bins.

    Linear decoders (scikit-learn's `Ridge`, which with one column for each class is its
    `RidgeClassifier`) of standardised rates, cross-validated over trials. All variables and all
    permutations of the trials are targets of one fit.

    Parameters
    ----------
    rates : array (B, T, N)
        Of trials that have a value of each usable variable.
    variables : sequence of ConditionVariable
        Of these trials.
    n_bins, n_folds, n_shuffles : int
    ridge : float
        Penalty of the weights.
    seed : int
        Of folds and permutations.
    """
    n_steps = rates.shape[1]
    edges = np.linspace(0, n_steps, min(n_bins, n_steps) + 1).round().astype(np.int64)
    bins = np.column_stack([edges[:-1], edges[1:]])
    targets, status = _targets(variables, n_folds)
    found = {}
    means = [rates[:, on:off].mean(axis=1) for on, off in bins]
    if max(float(np.ptp(one, axis=0).max()) for one in means) <= 1e-9 * np.abs(rates).max():
        status |= {target.name: NO_DIFFERENCE for target in targets}
    elif targets:
        found = _scores(means, targets, n_folds, ridge, n_shuffles, np.random.default_rng(seed))
    none = np.empty(0)
    return [
        Decoding(
            v.name,
            _kind(v),
            status[v.name],
            bins,
            *found.get(v.name, (np.empty((0, 0)), none, none, none)),
        )
        for v in variables
    ]


def _kind(variable: ConditionVariable) -> str:
    return NUMBER if variable.is_number and variable.n_groups > 2 else CLASSES


def _targets(
    variables: Sequence[ConditionVariable], n_folds: int
) -> tuple[list[_Target], dict[str, str]]:
    targets, status = [], {}
    for variable in variables:
        status[variable.name] = variable.status
        if variable.status != USABLE:
            continue
        kind, groups = _kind(variable), variable.groups
        sizes = np.bincount(groups, minlength=variable.n_groups)
        too_few = len(groups) < 2 * n_folds or (kind == CLASSES and sizes.min() < 2)
        status[variable.name] = FEW_TRIALS if too_few else TRAINED
        if too_few:
            continue
        if kind == NUMBER:
            values = variable.values.astype(np.float64)
            columns = ((values - values.mean()) / values.std())[:, None]
        elif variable.n_groups == 2:
            columns = 2.0 * groups[:, None] - 1.0
        else:
            columns = 2.0 * (groups[:, None] == np.arange(variable.n_groups)) - 1.0
        targets.append(_Target(variable.name, kind, columns, groups, variable.n_groups))
    return targets, status


def _scores(
    means: list[Float],
    targets: list[_Target],
    n_folds: int,
    ridge: float,
    n_shuffles: int,
    rng: np.random.Generator,
) -> dict[str, tuple[Float, Float, Float, Float]]:
    from sklearn.linear_model import Ridge

    n_trials, n_bins = len(means[0]), len(means)
    fold = rng.permutation(np.arange(n_trials) % n_folds)
    orders = np.vstack(
        [np.arange(n_trials), *(rng.permutation(n_trials) for _ in range(n_shuffles))]
    )
    wanted = np.concatenate([target.columns for target in targets], axis=1)  # (B, C)
    n_columns = wanted.shape[1]
    everything = wanted[orders].transpose(1, 0, 2).reshape(n_trials, -1)  # (B, S * C)
    here = np.empty((n_bins, len(orders), n_trials, n_columns))
    across = np.empty((n_bins, n_bins, n_trials, n_columns))
    for i, x in enumerate(means):
        for k in range(n_folds):
            test, train = fold == k, fold != k
            middle, width = x[train].mean(axis=0), x[train].std(axis=0)
            width = np.where(width > 1e-9 * (np.abs(middle) + 1e-300), width, np.inf)
            model = Ridge(alpha=ridge, solver="cholesky")
            model.fit((x[train] - middle) / width, everything[train])
            weights = model.coef_.reshape(-1, x.shape[1]).T  # (N, S * C)
            offset = np.atleast_1d(model.intercept_)
            predicted = ((x[test] - middle) / width) @ weights + offset
            here[i][:, test] = predicted.reshape(-1, len(orders), n_columns).transpose(1, 0, 2)
            for j, other in enumerate(means):
                scaled = (other[test] - middle) / width
                across[i, j, test] = scaled @ weights[:, :n_columns] + offset[:n_columns]
    found: dict[str, tuple[Float, Float, Float, Float]] = {}
    at = 0
    for target in targets:
        own = slice(at, at + target.columns.shape[1])
        at = own.stop
        first = orders[:1]
        scores = np.array(
            [[target.score(one[None, :, own], first)[0] for one in row] for row in across]
        )
        by_chance = np.array([target.score(row[1:, :, own], orders[1:]) for row in here])
        if not n_shuffles:
            none = np.full(n_bins, np.nan)
            found[target.name] = (scores, none, none, none)
            continue
        diagonal = np.diag(scores)
        p = (1 + (by_chance >= diagonal[:, None] - 1e-12).sum(axis=1)) / (1 + n_shuffles)
        found[target.name] = (
            scores, by_chance.mean(axis=1), np.quantile(by_chance, 0.95, axis=1), p,
        )  # fmt: skip
    return found
