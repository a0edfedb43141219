"""Tasks that networks are trained on, and the constant inputs at which dynamics are analysed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import datajoint as dj
import numpy as np
from numpy.typing import NDArray

import tasks_lib
from tasks_lib.errors import ParameterError
from tasks_lib.registry import defined_name, long_names
from tasks_lib.stored_values import as_stored

from ..database import schemas
from .allowed_imports import only_allowed_imports
from .checked import CheckedPart
from .in_use import refuse_in_use
from .names import given_names, other_names, the_name
from .parameters import ParameterTable, check_text
from .rows import Row


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

    class Input(CheckedPart):
        definition = """
        # constant input at which the dynamics of this task are analysed
        -> master
        input_name   : varchar(64)  # readable name, unique within the task
        ---
        input_vector : <blob>       # value of each input channel, (n_inputs,)
        """

        def checked(self, row: Row) -> Row:
            """Return the row: a name, and a finite number for each channel of the task."""
            task_name = check_text("task_name", row.get("task_name"))
            tasks = (Task & {"task_name": task_name}).to_arrays("n_inputs")
            if not len(tasks):
                raise ParameterError(
                    "task_name", task_name, "has not been entered", "enter the task first"
                )
            return {"task_name": task_name, **self.check(row, int(tasks[0]))}

        @staticmethod
        def check(row: Mapping[str, Any], n_inputs: int) -> Row:
            """Return name and vector of an input of a task with so many channels, checked."""
            return {
                "input_name": check_text("input_name", row.get("input_name")),
                "input_vector": _input_vector(row.get("input_vector"), n_inputs),
            }

        def is_same(self, stored: Row, row: Row) -> bool:
            """Return whether a stored input is a checked one."""
            return np.array_equal(stored["input_vector"], row["input_vector"])

        def enter(self, row: Row, skip_duplicates: bool) -> None:
            """Insert an input of a task on which nothing hangs."""
            if not self & self.key_of(row):
                # Without a lock, for which one would need the right to change tasks: a cohort that
                # is entered meanwhile has the input, or has it soon.
                key = {"task_name": row["task_name"]}
                refuse_in_use(Task(), key, self.remedy, lambda: "the list of its inputs")
            super().enter(row, skip_duplicates)

    @classmethod
    @only_allowed_imports()
    def canonical(cls, row: dict[str, Any]) -> dict[str, Any]:
        """Return the complete row: the task is made and checked, its defaults filled in.

        The class has one name, however the row names it.
        """
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
            "task_class": the_name(row["task_class"], defined_name),
            "n_steps": task.n_steps,
            "n_inputs": task.n_inputs,
            "n_outputs": task.n_outputs,
            "params": rest,
        }

    @only_allowed_imports()
    def spellings(self, parameters: Row) -> Iterator[Row]:
        """Yield a canonical task with the other names that rows have for its class."""
        name = parameters["task_class"]
        sizes = {k: parameters[k] for k in ("n_steps", "n_inputs", "n_outputs")}
        alike = self & sizes
        names = [name, *other_names(name, given_names(alike, "task_class"), defined_name)]
        variants = [parameters["params"]]
        for argument, defined in tasks_lib.task_class(name).code_names.items():
            stored = [params.get(argument) for params in alike.to_arrays("params")]
            own = parameters["params"][argument]
            variants += [
                {**params, argument: other}
                for params in variants
                for other in other_names(own, stored, defined)
            ]
        for spelling in names:
            for params in variants:
                yield {**parameters, "task_class": spelling, "params": params}

    @classmethod
    def may_be_equal(cls, parameters: Mapping[str, Any]) -> list[dict[str, Any]]:
        """Return those of the same class: it may have got an argument since they were stored."""
        name = parameters["task_class"]
        return [{"task_class": each} for each in (name, *long_names(name))]

    @classmethod
    def part_rows(cls, row: dict[str, Any]) -> dict[type[dj.Part], list[dict[str, Any]]]:
        """Return the rows of the parts that belong to a canonical row."""
        return {
            cls.Input: [
                cls.Input.check({"input_name": name, "input_vector": vector}, row["n_inputs"])
                for name, vector in _make(row).analysis_inputs.items()
            ]
        }

    def change_parts(self, key: Row, stored: Row, parameters: Row) -> None:
        """Make the inputs those of the new parameters; those that a user entered stay."""
        try:
            before = {row["input_name"] for row in self.part_rows(stored)[Task.Input]}
        except ParameterError:  # the class can no longer be made so
            before = set()
        ((_, after),) = self.part_rows(parameters).items()
        names = {row["input_name"] for row in after}
        for own in (Task.Input & key).to_dicts():
            if own["input_name"] not in before | names:
                _input_vector(own["input_vector"], parameters["n_inputs"])
            else:
                (Task.Input & {**key, "input_name": own["input_name"]}).remove()
        self.store_parts({key["task_name"]: parameters})

    @staticmethod
    def build(row: dict[str, Any], seed: int | None = None) -> tasks_lib.Task:
        """Make the task that a row of this table describes, also one of 0.1.0 refused by now."""
        with as_stored():
            return _make(row, seed)


def _input_vector(value: Any, n_inputs: int) -> NDArray[np.float64]:
    """Return an input as an array (n_inputs,), after checking that it is one."""
    try:
        given = np.asarray(value)
        numbers = given.dtype.kind in "iuf" and bool(np.isfinite(given).all())
    except (TypeError, ValueError):  # lists of different lengths
        numbers = False
    if not numbers or given.shape != (n_inputs,):
        problem = f"is not {n_inputs} finite number{'s' * (n_inputs > 1)}"
        remedy = "give one for each input channel of the task, as a list or an array"
        raise ParameterError("input_vector", value, problem, remedy)
    return np.asarray(given, dtype=np.float64)


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
