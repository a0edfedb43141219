"""Reading the parameter rows of a cohort as settings of its training."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import models

from ..database.types import Restriction
from .network import NetworkParams
from .task import Task
from .training_params import TrainingParams


class TrainingRows(NamedTuple):
    """The parameter rows of a cohort: task, network and training.

    Attributes
    ----------
    task, network, training : dict
        Of `Task`, `NetworkParams` and `TrainingParams`.
    penalties : list of dict
        Of `TrainingParams.Penalty`.
    """

    task: dict[str, Any]
    network: dict[str, Any]
    training: dict[str, Any]
    penalties: list[dict[str, Any]]

    @classmethod
    def fetch(cls, key: Restriction) -> TrainingRows:
        """Return the rows of one cohort."""
        return cls(
            (Task & key).fetch1(),
            (NetworkParams & key).fetch1(),
            (TrainingParams & key).fetch1(),
            (TrainingParams.Penalty & key).to_dicts(),
        )

    @property
    def weights(self) -> dict[str, float]:
        """Name -> weight of each penalty."""
        return {row["penalty"]: float(row["weight"]) for row in self.penalties}


def train_from_rows(
    rows: TrainingRows, seeds: Sequence[int], **options: Any
) -> models.CohortResult:
    """Train networks from the rows of their parameters; options are those of `train_cohort`."""
    return models.train_cohort(
        lambda seed: Task.build(rows.task, seed),
        NetworkParams.build(rows.network),
        TrainingParams.build(rows.training, rows.penalties),
        seeds=seeds,
        **options,
    )
