"""Sweeps: which training settings may differ between the networks of one batch."""

from __future__ import annotations

from collections.abc import Sequence

from ..network.batch import check_alike, differs, distinct
from ..penalties import PenaltyTerm
from .config import TrainingConfig

TRAININGS_DIFFER_IN = ("lr", "weight_decay", "max_grad_norm", "penalties")


def joint_penalties(configs: Sequence[TrainingConfig]) -> list[PenaltyTerm]:
    """Return the penalties of the trainings of one batch, refusing those that differ in more.

    Each has a weight for each network, 0 where it lacks the penalty, and the arguments, which all
    that have it share.
    """
    check_alike(configs, TRAININGS_DIFFER_IN)
    joint = []
    for name in sorted({name for config in configs for name in config.penalties}):
        owned = [config.penalties.get(name) for config in configs]
        args = [spec["args"] for spec in owned if spec is not None]
        if len(distinct(args)) > 1:
            raise differs(f"penalties.{name}.args", args, "of penalties, only weights may differ")
        weights = tuple(0.0 if spec is None else spec["weight"] for spec in owned)
        joint.append(PenaltyTerm(name, weights, args[0]))
    return joint
