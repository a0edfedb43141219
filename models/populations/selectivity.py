"""How much of a unit's variance between trials a variable explains, and how much by chance."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tasks_lib.brief import brief

from .variables import ConditionVariable

Float = NDArray[np.float64]
Int = NDArray[np.int64]
LEVEL = 0.05  # of units that count as selective
_CHUNK = 10_000_000  # values of the permuted groups that are held at a time
NOTHING = 1e-20  # of the mean square of a unit: a variance of rounding errors


@brief
@dataclass(frozen=True, eq=False)
class UnitSelectivity:
    """Eta squared of each unit for one variable in one period.

    Attributes
    ----------
    variable : str
    period : str
    eta_squared : array (N,)
        Share of the variance between trials that lies between the groups; NaN: a unit that does
        not differ between trials.
    chance : array (N,)
        Its mean where the groups are permuted among the trials; NaN without permutations.
    p : array (N,)
        Share of permutations with no smaller value, (1 + k) / (1 + n).
    """

    variable: str
    period: str
    eta_squared: Float
    chance: Float
    p: Float

    def summary(self, among: NDArray[np.bool_]) -> dict[str, float | None]:
        """Return means over some of the units, and the share of them that is selective (5 %).

        Units that do not differ between trials are in none of these; their number is the
        difference of ``n`` to what was asked for.
        """
        chosen = among & np.isfinite(self.eta_squared)
        known = chosen & np.isfinite(self.p)
        return {
            "n": int(chosen.sum()),
            "eta": float(self.eta_squared[chosen].mean()) if chosen.any() else None,
            "chance": float(self.chance[known].mean()) if known.any() else None,
            "selective": float((self.p[known] <= LEVEL).mean()) if known.any() else None,
        }


def eta_squared(responses: ArrayLike, groups: ArrayLike) -> Float:
    """Return the share of each unit's variance between trials that lies between groups, (N,).

    Eta squared = sum_g n_g (mean_g - mean)² / sum_k (r_k - mean)² over trials k and their groups
    g: the effect size of an analysis of variance (Cohen 1988). With G groups and n trials it is
    (G - 1) / (n - 1) on average where nothing is coded. NaN: a unit that does not differ.

    Parameters
    ----------
    responses : array (B, N)
    groups : array (B,) of int
        Group of each trial, -1: none.
    """
    r, g = np.asarray(responses, dtype=np.float64), np.asarray(groups)
    centred, total = _centred(r[g >= 0])
    return _shares(centred, total, g[g >= 0][None])[0]


def selectivity(
    responses: Float, variable: ConditionVariable, period: str, n_shuffles: int, seed: int
) -> UnitSelectivity:
    """Return eta squared of each unit for a variable, with that of permuted trials.

    Parameters
    ----------
    responses : array (B, N)
        Mean rates in a period; NaN: a trial that is not in it.
    variable : ConditionVariable
        A usable one.
    period : str
        Name of the period.
    n_shuffles : int
        Permutations.
    seed : int
        Of the permutations.
    """
    there = (variable.groups >= 0) & np.isfinite(responses).all(axis=1)
    groups = variable.groups[there]
    if len(groups) < 2:
        none = np.full(responses.shape[1], np.nan)
        return UnitSelectivity(variable.name, period, none, none, none)
    centred, total = _centred(responses[there])
    found = _shares(centred, total, groups[None])[0]
    if not n_shuffles:
        none = np.full(len(found), np.nan)
        return UnitSelectivity(variable.name, period, found, none, none)
    rng = np.random.default_rng(seed)
    sums, as_large = np.zeros(len(found)), np.zeros(len(found))
    at_once = max(1, _CHUNK // (len(groups) * max(variable.n_groups, 1)))
    for first in range(0, n_shuffles, at_once):
        n = min(at_once, n_shuffles - first)
        permuted = rng.permuted(np.tile(groups, (n, 1)), axis=1)
        by_chance = _shares(centred, total, permuted)
        sums += by_chance.sum(axis=0)
        # Equal but for rounding is as large: all trials of a group may be alike.
        as_large += (by_chance >= found - 1e-12).sum(axis=0)
    p = np.where(np.isfinite(found), (1 + as_large) / (1 + n_shuffles), np.nan)
    return UnitSelectivity(variable.name, period, found, sums / n_shuffles, p)


def _centred(responses: Float) -> tuple[Float, Float]:
    """Return deviations (B, N) and their sum of squares (N,), NaN where there are none."""
    mean = responses.mean(axis=0)
    centred = responses - mean
    total = (centred**2).sum(axis=0)
    varies = total > NOTHING * len(responses) * mean**2
    return centred, np.where(varies & (total > 0), total, np.nan)


def _shares(centred: Float, total: Float, groups: Int) -> Float:
    """Return the share between groups (S, N) for S assignments of groups (S, B)."""
    n_groups = int(groups.max()) + 1
    members = (groups[:, None, :] == np.arange(n_groups)[:, None]).astype(np.float64)  # (S, G, B)
    sums = members.reshape(-1, groups.shape[1]) @ centred
    sizes = np.maximum(members.sum(axis=2), 1)
    between = (sums.reshape(len(groups), n_groups, -1) ** 2 / sizes[..., None]).sum(axis=1)
    return np.minimum(between / total, 1.0)
