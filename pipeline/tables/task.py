"""Tasks that networks are trained on, and the constant inputs at which dynamics are analysed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import datajoint as dj
import numpy as np

import tasks_lib
from tasks_lib.errors import ParameterError

from ..database import schemas
from .allowed_imports import only_allowed_imports
from .parameters import ParameterTable


@schemas.task
class Task(ParameterTable):
    definition = """
    # behavioural task: what a trial is
    task_name   : varchar(64)   # readable name of this parameter set
    ---
    task_class  : varchar(190)  # class in tasks_lib, or "package.module:ClassName"
    n_steps     : int32         # length of a trial, in steps of dt
    n_inputs    : int32         # number of input channels
    n_outputs   : int32         # number of output channels
    params      : json          # every other argument of the class
    task_hash   : varchar(36) # of all the above but the name
    unique index (task_hash)
    """

    hash_field = "task_hash"

    class Input(dj.Part):
        definition = """
        # constant input at which the dynamics of this task are analysed
        -> master
        input_name   : varchar(64)  # readable name, unique within the task
        ---
        input_vector : <blob>       # value of each input channel, (n_inputs,)
        """

    @classmethod
    @only_allowed_imports()
    def canonical(cls, row: dict[str, Any]) -> dict[str, Any]:
        """Return the complete row: the task is made and checked, its defaults filled in."""
        if "task_class" not in row:
            raise ParameterError(
                "task_class", None, "is missing", f"name one of {', '.join(tasks_lib.TASKS)}"
            )
        task = _make(row)
        tasks_lib.check_task(task)
        rest = {
            k: v for k, v in task.params.items() if k not in ("n_steps", "n_inputs", "n_outputs")
        }
        return {
            "task_class": row["task_class"],
            "n_steps": task.n_steps,
            "n_inputs": task.n_inputs,
            "n_outputs": task.n_outputs,
            "params": rest,
        }

    @classmethod
    def may_be_equal(cls, parameters: Mapping[str, Any]) -> list[dict[str, Any]]:
        """Return those of the same class: it may have got an argument since they were stored."""
        return [{"task_class": parameters["task_class"]}]

    @classmethod
    def part_rows(cls, row: dict[str, Any]) -> dict[type[dj.Part], list[dict[str, Any]]]:
        """Return the rows of the parts that belong to a canonical row."""
        inputs = _make(row).analysis_inputs
        return {
            cls.Input: [
                {"input_name": name, "input_vector": np.asarray(vector, dtype=np.float64)}
                for name, vector in inputs.items()
            ]
        }

    @staticmethod
    def build(row: dict[str, Any], seed: int | None = None) -> tasks_lib.Task:
        """Make the task that a row of this table describes."""
        return _make(row, seed)


@only_allowed_imports()
def _make(row: dict[str, Any], seed: int | None = 0) -> tasks_lib.Task:
    return tasks_lib.create_task(
        row["task_class"],
        n_steps=row.get("n_steps"),
        n_inputs=row.get("n_inputs"),
        n_outputs=row.get("n_outputs"),
        params=row.get("params") or {},
        seed=seed,
    )
