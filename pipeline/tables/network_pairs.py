"""Distances between networks of a comparison: every pair is a row, many pairs are a job."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import datajoint as dj
import numpy as np
from numpy.typing import NDArray

import models
from models.comparison.settings import DISTANCES
from tasks_lib.errors import ParameterError, check_choice

from ..database import schemas
from ..database.types import Query
from .compared_rows import ARRAYS, WEIGHTS, as_text, compared_network, points_as_json
from .comparisons import Comparison, ComparisonMember
from .fixed_points import FixedPointParams, FixedPoints, finite_or_null
from .performance import VALIDATION_SEED, fetch_network
from .rows import Row, in_chunks
from .task import Task
from .training import Training

Float = NDArray[np.float64]
NOT_SEARCHED, UNSURE = "not searched", "a set of fixed points may lack some"
OTHER = {
    "other_network": "network_name", "other_training": "training_name",
    "other_first_seed": "first_seed", "other_seed": "seed",
}  # fmt: skip


@schemas.dynamics
class NetworkSummary(dj.Computed):
    definition = """
    # what a network is compared by: its trials, reduced once
    -> ComparisonMember
    ---
    summary_status  : varchar(16)   # analysed, silent, constant or not_finite (docs)
    summary_reason  : varchar(255)  # why there is no activity to compare; empty: there is
    summary_units   : int32         # units of the network
    summary_trials  : int32         # trials run
    kept_variance=null : float64    # share of the variance in the components
    points_reason   : varchar(255)  # why fixed points are not compared; empty: they are
    operator_reason : varchar(255)  # why DSA is not computed; empty: it is
    activity_components=null   : <npy@main>  # (trials * bins, r), of norm 1
    activity_loadings=null     : <npy@main>  # (N, r)
    trial_dissimilarities=null : <npy@main>  # normalised ranks of distances between trials
    compared_outputs=null      : <npy@main>  # at steps that count, over the root of their number
    compared_choices=null      : <blob>      # of each trial
    compared_singular_values   : <blob>      # of W_rec (N,)
    compared_points=null       : json        # input: unstable modes and eigenvalues of each point
    dsa_operator=null          : <blob>      # linear operator of DSA (R, R)
    """

    @staticmethod
    def is_for_task(task: Row) -> bool:
        """Return whether networks of a task have rows at once: they do where they are compared."""
        return False

    @property
    def key_source(self) -> Query:
        """Members whose fixed points are searched, where these are compared."""
        searches = Comparison.proj("comparison_search")
        wanted = ComparisonMember.proj() * searches * Task.Input.proj() * FixedPointParams.proj()
        unsearched = (
            (wanted & "comparison_search = search_name")
            - FixedPoints.proj()
            - FixedPoints.cohorts_without()
        )
        return ComparisonMember.proj() - unsearched.proj()

    def make(self, key: dict[str, Any]) -> None:
        """Run the trials of one network, and reduce them."""
        settings = Comparison.build((Comparison & key).fetch1())
        points, why = _points(key, settings)
        rnn, task = fetch_network(key)
        found = models.reduce_network(
            rnn, task, settings, points=points, points_reason=why, seed=VALIDATION_SEED
        )
        arrays = {column: getattr(found, name) for name, column in ARRAYS.items()}
        self.insert1(
            {
                **key,
                "summary_status": found.status,
                "summary_reason": found.reason,
                "summary_units": found.n_units,
                "summary_trials": found.n_trials,
                "kept_variance": found.kept_variance if found.components.size else None,
                "points_reason": found.points_reason,
                "operator_reason": found.operator_reason,
                **{column: array if array.size else None for column, array in arrays.items()},
                "compared_points": None if points is None else points_as_json(points),
                "dsa_operator": found.operator,
            }
        )


@schemas.dynamics
class PairBlock(dj.Computed):
    definition = """
    # pairs of networks that were computed in one job
    -> Comparison.Block
    ---
    block_pairs   : int32    # pairs computed
    block_seconds : float64  # wall time (s)
    """

    @staticmethod
    def is_for_task(task: Row) -> bool:
        """Return whether a task has rows at once: it does where its networks are compared."""
        return False

    @property
    def key_source(self) -> Query:
        """Blocks all of whose networks are summarised."""
        missing = (ComparisonMember - NetworkSummary.proj()).proj("member")
        waiting = Comparison.Block * missing & (
            "member >= first_from and member < first_to or "
            "member >= second_from and member < second_to"
        )
        return Comparison.Block.proj() - waiting.proj()

    def make_fetch(self, key: dict[str, Any]) -> tuple[Any, ...]:
        """Fetch settings, and references to what the networks are compared by."""
        block = (Comparison.Block & key).fetch1()
        settings = (Comparison & key).fetch1()
        comparison = {name: key[name] for name in Comparison.primary_key}
        sides = []
        for side in ("first", "second"):
            members = (
                ComparisonMember
                & comparison
                & (f"member >= {block[f'{side}_from']} and member < {block[f'{side}_to']}")
            )
            rows = (members * NetworkSummary).to_dicts(order_by="member")
            weights = Training.Network.proj(*(name.lower() for name in WEIGHTS))
            own = (weights * members.proj("member")).to_dicts(order_by="member")
            sides.append([{**w, **as_text(row)} for w, row in zip(own, rows, strict=True)])
        return settings, sides[0], sides[1]

    def make_compute(
        self, key: dict[str, Any], settings_row: Row, first: Sequence[Row], second: Sequence[Row]
    ) -> tuple[Any, ...]:
        """Compute the distances of all pairs."""
        started = time.monotonic()
        settings = Comparison.build(settings_row)
        left = [compared_network(row, settings) for row in first]
        is_same = [row["member"] for row in first] == [row["member"] for row in second]
        right = left if is_same else [compared_network(row, settings) for row in second]
        found = models.compare_networks(left, right, settings)
        asked = _asked(settings)
        rows = []
        for i, j in np.ndindex(len(left), len(right)):
            if first[i]["member"] >= second[j]["member"]:
                continue
            values = {name: float(found[name][i, j]) for name in DISTANCES}
            why = models.missing_reason(left[i], right[j], {n: values[n] for n in asked})
            rows.append(
                {
                    **{name: first[i][name] for name in ComparisonMember.primary_key},
                    **{name: second[j][column] for name, column in OTHER.items()},
                    "pair_reason": why[:255],
                    **{name: finite_or_null(value) for name, value in values.items()},
                }
            )
        return rows, time.monotonic() - started

    def make_insert(self, key: dict[str, Any], rows: list[Row], seconds: float) -> None:
        """Insert the pairs."""
        self.insert1({**key, "block_pairs": len(rows), "block_seconds": seconds})
        for some in in_chunks(rows):
            NetworkPair.insert({**row, **key} for row in some)


# Not a part: the pairs of a network that is deleted go with it, and their block stays.
@schemas.dynamics
class NetworkPair(dj.Manual):
    filled_by_workers = True

    definition = """
    # distances between two networks; null: this pair has none
    -> PairBlock
    -> ComparisonMember
    -> ComparisonMember.proj(other_network='network_name', other_training='training_name', other_first_seed='first_seed', other_seed='seed')
    ---
    pair_reason : varchar(255)  # why distances that were asked for are missing; empty: none is
    output_distance=null     : float64  # root mean square of the outputs' difference
    choice_distance=null     : float64  # share of trials with another choice
    procrustes_distance=null : float64  # angle of activity up to rotations (rad)
    matching_distance=null   : float64  # angle of activity up to permutations of units (rad)
    cka_distance=null        : float64  # angle whose cosine is the linear CKA (rad)
    rsa_distance=null        : float64  # angle between ranks of distances between trials (rad)
    point_number_distance=null   : float64  # difference of the numbers of fixed points, by input
    point_index_distance=null    : float64  # difference of their numbers of each index, by input
    point_spectrum_distance=null : float64  # between their eigenvalues, per tau, by input
    dsa_distance=null        : float64  # dynamical similarity analysis
    weight_distance=null     : float64  # of W_rec where units are matched, 0 to 1
    singular_value_distance=null : float64  # root mean square difference, of W_rec
    """  # noqa: E501


def distance_matrix(
    comparison: str, distance: str = "procrustes_distance"
) -> tuple[list[dict[str, Any]], Float]:
    """Return the networks of a comparison and the distances between them.

    Parameters
    ----------
    comparison : str
        Its name.
    distance : str
        A column of `NetworkPair`.

    Returns
    -------
    networks : list of dict
        Keys of `Training.Network`, in the order in which they were entered.
    distances : array (n, n)
        0 on the diagonal; NaN where a pair has none, or is not computed yet.

    Raises
    ------
    ParameterError
        For a comparison or a distance that there is not.
    """
    check_choice("distance", distance, DISTANCES)
    key = {"comparison_name": comparison}
    if not Comparison & key:
        raise ParameterError("comparison", comparison, "is not there", "make it with compare()")
    names = Training.Network.primary_key
    members = (ComparisonMember & key).to_dicts(order_by="member")
    place = {tuple(row[name] for name in names): i for i, row in enumerate(members)}
    found = np.full((len(members), len(members)), np.nan)
    np.fill_diagonal(found, 0.0)
    task = members[0]["task_name"] if members else ""
    kept = (NetworkPair & key & f"{distance} is not null").to_arrays(*names[1:], *OTHER, distance)
    for values in zip(*(array.tolist() for array in kept), strict=True):
        half = len(names) - 1
        i, j = place[(task, *values[:half])], place[(task, *values[half:-1])]
        found[i, j] = found[j, i] = values[-1]
    return [{name: row[name] for name in names} for row in members], found


def _asked(settings: models.ComparisonSettings) -> list[str]:
    """Return the distances that settings ask for."""
    left_out = {"dsa_distance"} if settings.dsa == "none" else set()
    if settings.match == "none":
        left_out |= {"matching_distance", "weight_distance"}
    if not settings.search:
        left_out |= {name for name in DISTANCES if name.startswith("point_")}
    return [name for name in DISTANCES if name not in left_out]


def _points(
    key: dict[str, Any], settings: models.ComparisonSettings
) -> tuple[dict[str, models.PointSpectra] | None, str]:
    """Return the fixed points of a network at each input, or why they are not compared."""
    if not settings.search:
        return None, "not asked for"
    search = {**key, "search_name": settings.search}
    sets = (FixedPoints & search).to_dicts()
    inputs = (Task.Input & key).to_arrays("input_name").tolist()
    if not FixedPointParams & {"search_name": settings.search}:
        return None, f"there is no search {settings.search}"  # it was renamed, or deleted
    if not inputs or len(sets) < len(inputs):
        return None, NOT_SEARCHED if inputs else "the task has no constant input"
    sure = ("complete", "probably complete")
    if not all(row["search_status"] in sure or row["enumerated"] for row in sets):
        return None, UNSURE
    found = {}
    for name in sorted(inputs):
        rows = (FixedPoints.Point & search & {"input_name": name}).to_dicts(order_by="point")
        found[name] = models.point_spectra(
            [row["n_unstable_modes"] for row in rows],
            [np.asarray(row["eigenvalues"]) for row in rows],
            settings.n_eigenvalues,
        )
    return found, ""
