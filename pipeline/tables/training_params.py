"""Parameters of a training."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import datajoint as dj

from models.training.config import TrainingConfig
from tasks_lib.errors import ParameterError

from ..database import schemas
from .allowed_imports import only_allowed_imports
from .parameters import ParameterTable, columns, config_from_columns, make_config

# The training of networks that were trained elsewhere. It has no iterations, which no training
# of ours can have: its parameters equal no other set, and nothing can be trained with them.
IMPORTED = "imported"


@schemas.training
class TrainingParams(ParameterTable):
    definition = f"""
    # parameters of a training
    training_name : varchar(64)  # readable name of this parameter set
    ---
    {columns(TrainingConfig, left_out=("penalties",))}
    training_hash : varchar(36)  # of all the above but the name, and of the penalties
    unique index (training_hash)
    """

    hash_field = "training_hash"
    config = TrainingConfig
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
    def parameters_of_row(cls, row: Mapping[str, Any]) -> dict[str, Any]:
        """Return the parameters that a whole row holds, its penalties too."""
        penalties = cls.Penalty & {"training_name": row["training_name"]}
        return super().parameters_of_row(row) | {"penalties": penalties_of(penalties.to_dicts())}

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
        config: TrainingConfig = config_from_columns(
            TrainingParams, row, penalties=penalties_of(penalties)
        )
        return config


def penalties_of(rows: Iterable[Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """Return the penalties that rows of `TrainingParams.Penalty` hold, as trainings have them."""
    return {p["penalty"]: {"weight": p["weight"], "args": p["args"] or {}} for p in rows}
