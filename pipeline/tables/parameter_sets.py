"""The three tables of parameter sets, by what a set is of."""

from __future__ import annotations

from .keys import SET_COLUMNS, SETS
from .network import NetworkParams
from .parameters import ParameterTable
from .task import Task
from .training_params import TrainingParams

PARAMETER_TABLES: dict[str, type[ParameterTable]] = dict(
    zip(SETS, (Task, NetworkParams, TrainingParams), strict=True)
)
TABLES_BY_COLUMN: dict[str, type[ParameterTable]] = dict(
    zip(SET_COLUMNS, PARAMETER_TABLES.values(), strict=True)
)
