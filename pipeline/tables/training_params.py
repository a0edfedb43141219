"""Parameters of a training."""

from __future__ import annotations

from typing import Any

import datajoint as dj

from models import TrainingConfig
from tasks_lib.errors import ParameterError

from ..database import schemas
from .allowed_imports import only_allowed_imports
from .parameters import ParameterTable, config_from_columns, make_config

# The training of networks that were trained elsewhere. It has no iterations, which no training
# of ours can have: its parameters equal no other set, and nothing can be trained with them.
IMPORTED = "imported"


@schemas.training
class TrainingParams(ParameterTable, dj.Manual):
    definition = """
    # parameters of a training
    training_name       : varchar(64)    # readable name of this parameter set
    ---
    max_iter            : int32          # optimiser steps
    lr=null             : float64        # learning rate of Adam; null: 1e-3 (100 / N)^(1/3)
    weight_decay        : float64        # added to the gradient
    max_grad_norm       : float64        # each network's gradient is scaled down to this norm
    same_batch          : bool           # one fixed batch, or a fresh one each iteration
    task_safe_gradients : bool           # penalties never against the task's gradient
    monitor             : bool           # whether the gradient of each term of the loss is recorded
    anneal_noise        : bool           # noise level rises along a sigmoid of the iteration
    dropout_rate        : float64        # mean fraction of units dropped at each iteration
    dropout_kind        : enum('mute', 'dead')  # not read, or sending nothing at all
    dropout_sampling    : enum('uniform', 'participation', 'output_weights')  # which units
    dropout_beta        : float64        # how strongly those units are preferred
    dropout_rescale     : bool           # whether the units that stay make up for the others
    participation_rate  : float64        # share of the newest iteration in the mean participation
    participation_quantile : float64     # quantile of |r| that counts as a unit's activity
    validation_interval : int32          # iterations between validation scores; 0: none
    patience            : int32          # scores without a better one until it stops; 0: never
    stop_score=null     : float64        # noise-free pooled R^2 at which it stops
    training_hash       : varchar(36) # of all the above but the name, and of the penalties
    unique index (training_hash)
    """

    hash_field = "training_hash"
    extra_fields = ("penalties",)

    class Penalty(dj.Part):
        definition = """
        # penalty added to the loss
        -> master
        penalty : varchar(128)  # registered name, or "package.module:function"
        ---
        weight  : float64       # lambda
        args    : json          # arguments of the penalty that differ from its defaults
        """

    def _prepare(self, row: Any) -> tuple[str, dict[str, Any]]:
        name, parameters = super()._prepare(row)
        if name == IMPORTED:
            raise ParameterError(
                "training_name", name, "is that of imported networks", "choose another name"
            )
        return name, parameters

    @classmethod
    def enter_imported(cls) -> None:
        """Enter the training of imported networks, where it is not there yet."""
        if not cls & {"training_name": IMPORTED}:
            cls()._insert_one(IMPORTED, {**cls.canonical({}), "max_iter": 0}, {})

    @classmethod
    @only_allowed_imports()
    def canonical(cls, row: dict[str, Any]) -> dict[str, Any]:
        """Return the complete row, checked, defaults filled in; penalties among its fields."""
        return make_config(TrainingConfig, row).to_dict()

    @classmethod
    def part_rows(cls, row: dict[str, Any]) -> dict[type[dj.Part], list[dict[str, Any]]]:
        """Return the penalties that belong to a canonical row."""
        return {
            cls.Penalty: [
                {"penalty": name, "weight": p["weight"], "args": p["args"]}
                for name, p in row["penalties"].items()
            ]
        }

    @staticmethod
    @only_allowed_imports()
    def build(row: dict[str, Any], penalties: list[dict[str, Any]]) -> TrainingConfig:
        """Make the configuration that a row and its penalties describe."""
        return config_from_columns(
            TrainingConfig,
            row,
            penalties={
                p["penalty"]: {"weight": p["weight"], "args": p["args"] or {}} for p in penalties
            },
        )
