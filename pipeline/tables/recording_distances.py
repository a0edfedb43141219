"""Distances between recordings and networks of the same task."""

from __future__ import annotations

from typing import Any

import models
from models.recordings.settings import RecordingComparisonSettings

from ..database import schemas
from ..database.types import Query
from .left_out import Analysis
from .parameters import columns, stored
from .performance import VALIDATION_SEED, fetch_network, finished_networks
from .recordings import Recording
from .rows import Row
from .settings import CheckedSettings, prefixed
from .training import Training  # noqa: F401  (named in a definition)

MEASURES = ("procrustes", "cka", "rsa")


@schemas.dynamics
class RecordingDistanceParams(CheckedSettings):
    config = RecordingComparisonSettings
    renamed = prefixed(config, "distance")

    definition = f"""
    # how recordings are compared with networks
    distance_name : varchar(64)  # readable name
    ---
    {columns(config, (), renamed)}
    """

    contents = ({"distance_name": "default", **stored(config(), (), renamed)},)


@schemas.dynamics
class RecordingDistance(Analysis):
    definition = """
    # how far a network's units are from recorded ones, by what they do in the same conditions
    -> Training.Network
    -> Recording
    -> RecordingDistanceParams
    ---
    recording_status  : varchar(16)   # compared, or why not (docs/recordings.md)
    recording_reason  : varchar(255)  # why there is no distance; empty: there is
    n_conditions      : int32         # conditions that both have
    n_sampled         : int32         # units of the network in each sample
    half_procrustes=null : float64    # between halves of the recorded trials: what noise makes (rad)
    recording_procrustes=null : float64         # angle of mean activity up to rotations (rad)
    recording_procrustes_spread=null : float64  # standard deviation over samples of units
    recording_procrustes_chance=null : float64  # mean where conditions are permuted
    recording_procrustes_p=null : float64       # share of permutations with no larger distance
    recording_cka=null        : float64         # angle whose cosine is the linear CKA (rad)
    recording_cka_spread=null : float64         # standard deviation over samples of units
    recording_cka_chance=null : float64         # mean where conditions are permuted
    recording_cka_p=null      : float64         # share of permutations with no larger distance
    recording_rsa=null        : float64         # angle between ranks of distances of conditions (rad)
    recording_rsa_spread=null : float64         # standard deviation over samples of units
    recording_rsa_chance=null : float64         # mean where conditions are permuted
    recording_rsa_p=null      : float64         # share of permutations with no larger distance
    """  # noqa: E501

    @staticmethod
    def is_for_task(task: Row) -> bool:
        """Return whether a task has rows at once: it does where it was recorded."""
        return bool(Recording & {"task_name": task["task_name"]})

    @property
    def all_keys(self) -> Query:
        """Finished networks with the recordings of their task, compared in every way."""
        networks = finished_networks().proj()
        return networks * Recording.proj() * RecordingDistanceParams.proj()

    def make(self, key: dict[str, Any]) -> None:
        """Compare one recording with one network."""
        rnn, task = fetch_network(key)
        settings = RecordingDistanceParams.build((RecordingDistanceParams & key).fetch1())
        trials = (Recording & key).trials()
        found = models.compare_recording(trials, rnn, task, settings, seed=VALIDATION_SEED)
        row: Row = {
            "recording_status": found.status,
            "recording_reason": found.reason[:255],
            "n_conditions": found.n_conditions,
            "n_sampled": found.n_sampled,
            "half_procrustes": found.half_distance,
        }
        for name in MEASURES:
            if (one := found.distances.get(name)) is not None:
                row[f"recording_{name}"] = one.distance
                for what in ("spread", "chance", "p"):
                    row[f"recording_{name}_{what}"] = getattr(one, what)
        self.insert1({**key, **row})


def comparison_from_row(row: Row) -> models.RecordingComparison:
    """Return the comparison that a row of `RecordingDistance` is of."""
    distances = {}
    for name in MEASURES:
        if (distance := row[f"recording_{name}"]) is not None:
            more = (row.get(f"recording_{name}_{what}") for what in ("spread", "chance", "p"))
            distances[name] = models.MeasuredDistance(distance, *more)
    return models.RecordingComparison(
        row["recording_status"], row["recording_reason"], row["n_conditions"], row["n_sampled"],
        distances, row["half_procrustes"],
    )  # fmt: skip
