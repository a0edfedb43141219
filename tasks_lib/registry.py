"""Finding a task class by name, and making a task."""

from __future__ import annotations

import inspect
from typing import Any

from .angles import MemoryAngle, MemoryAntiAngle
from .base import Task
from .cddm import CDDM
from .dmts import DMTS
from .errors import CannotImport, ParameterError, kind_and_text, text_of
from .flip_flop import NBitFlipFlop
from .go_no_go import GoNoGo
from .imports import defined_at, import_attribute
from .logic import XOR, HalfAdder
from .memory import MemoryAntiNumber, MemoryNumber
from .navigation import AngleIntegration, ReferenceFrame

TASKS: dict[str, type[Task]] = {
    cls.__name__: cls
    for cls in (
        CDDM,
        DMTS,
        NBitFlipFlop,
        MemoryNumber,
        MemoryAntiNumber,
        MemoryAngle,
        MemoryAntiAngle,
        GoNoGo,
        XOR,
        HalfAdder,
        AngleIntegration,
        ReferenceFrame,
    )
}
# Tasks that need an optional extra: imported when they are named.
OPTIONAL_TASKS = {"NeuroGym": "tasks_lib.neurogym_task:NeuroGym"}
# The long names of these tasks; nothing else of this package is a task that a row can name.
_SHORT_NAMES = {
    **{f"{cls.__module__}:{name}": name for name, cls in TASKS.items()},
    **{f"tasks_lib:{name}": name for name in TASKS},
    **{address: name for name, address in OPTIONAL_TASKS.items()},
}


def task_class(name: str) -> type[Task]:
    """Return a task's class from its short name here, or from "package.module:ClassName".

    Raises
    ------
    ParameterError
        Where it does not exist, cannot be imported or is not a Task, or is in a package that is
        not allowed where imports are restricted.
    """
    known = [*TASKS, *OPTIONAL_TASKS]
    if not isinstance(name, str) or (":" not in name and name not in known):
        raise ParameterError(
            "task_class",
            name,
            "is not a task",
            f"use one of {', '.join(known)}, or 'package.module:ClassName'",
        )
    short = _SHORT_NAMES.get(name, name)
    if short in TASKS:
        return TASKS[short]
    try:
        address = OPTIONAL_TASKS.get(short, name)
        cls = import_attribute("task_class", address, own=short in OPTIONAL_TASKS)
    except ParameterError:
        raise
    except (ImportError, AttributeError, ValueError) as error:
        raise CannotImport(
            "task_class",
            name,
            f"cannot be imported ({text_of(error)})",
            "install its package where this runs, or run where its file is; check the spelling",
        ) from None
    except Exception as error:  # anything that a foreign module raises while it is imported
        raise CannotImport(
            "task_class",
            name,
            f"fails when imported ({kind_and_text(error)})",
            "mend the module",
        ) from error
    if not (inspect.isclass(cls) and issubclass(cls, Task)):
        raise ParameterError("task_class", name, "is not a Task", "subclass tasks_lib.Task")
    return cls


def defined_name(name: str) -> str:
    """Return the name of a task's class that does not depend on the path by which it is named.

    The short name of a task of this package; else "package.module:ClassName" of the definition.
    Parameters and errors are those of `task_class`.
    """
    defined = defined_at(task_class(name)) or name
    return _SHORT_NAMES.get(defined, defined)


def long_names(short: str) -> tuple[str, ...]:
    """Return the other names under which a task of this package may have been stored."""
    return tuple(name for name, own in _SHORT_NAMES.items() if own == short)


def create_task(
    class_name: str,
    n_steps: int | None = None,
    n_inputs: int | None = None,
    n_outputs: int | None = None,
    params: dict[str, Any] | None = None,
    seed: int | None = None,
) -> Task:
    """Make a task; arguments that are None take the default of its class."""
    cls = task_class(class_name)
    accepted = [n for n in inspect.signature(cls).parameters if n != "seed"]
    if params is not None and not isinstance(params, dict):
        raise ParameterError("params", params, "is not a set of fields", "write field: value")
    arguments = dict(params or {})
    sizes = ("n_steps", "n_inputs", "n_outputs")
    for name in arguments:
        if name in sizes:
            raise ParameterError(
                f"params.{name}", arguments[name], "stands in params", "write it beside params"
            )
        if name not in accepted:
            own = ", ".join(n for n in accepted if n not in sizes) or "none"
            raise ParameterError(
                f"params.{name}",
                arguments[name],
                f"is not a parameter of {class_name}",
                f"use {own}; {', '.join(sizes)} stand beside params",
            )
    given = {"n_steps": n_steps, "n_inputs": n_inputs, "n_outputs": n_outputs}
    arguments |= {name: value for name, value in given.items() if value is not None}
    try:
        return cls(**arguments, seed=seed)
    except ParameterError:
        raise
    except (TypeError, ValueError) as error:
        raise ParameterError(
            "params",
            arguments,
            f"{class_name} refuses them ({text_of(error)})",
            f"use {', '.join(accepted)}",
        ) from error
