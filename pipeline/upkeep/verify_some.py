"""Which networks are trained again where not all are: some of each cohort."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ..database.types import Query
from ..tables.keys import cohort_key
from ..tables.training import Training

ELSEWHERE = "imported"  # status of a network that no worker has trained


@dataclass(frozen=True)
class NetworksToTrain:
    """Networks of a selection, and those of them that are to be trained again.

    Attributes
    ----------
    keys : list of dict
    n_others : int
        That could be trained again too.
    n_elsewhere : int
        That were not trained here, so that they cannot: imported ones, and snapshots.
    """

    keys: list[dict[str, Any]]
    n_others: int
    n_elsewhere: int


def networks_to_train(networks: Query, most: int) -> NetworksToTrain:
    """Choose networks to train again: the first of each cohort, then the second, and so on.

    Parameters
    ----------
    networks : query
        Of `Training.Network`.
    most : int
        How many; 0: none.
    """
    rows = (Training.Network & networks.proj()).proj("status").to_dicts(order_by="KEY")
    own = [row for row in rows if row["status"] != ELSEWHERE]
    place: dict[Any, int] = {}
    ranked = []
    for number, row in enumerate(own):
        cohort = cohort_key(row)
        place[cohort] = place.get(cohort, -1) + 1
        ranked.append((place[cohort], number))
    chosen = [own[number] for _, number in sorted(ranked)[:most]]
    keys = [{name: row[name] for name in Training.Network.primary_key} for row in chosen]
    return NetworksToTrain(keys, len(own) - len(keys), len(rows) - len(own))
