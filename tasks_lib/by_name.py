"""Finding a task class by name, and making a task; `tasks_lib.registry` adds mixtures of them."""

from __future__ import annotations

import inspect
from typing import Any

from .angles import MemoryAngle, MemoryAntiAngle
from .base import Task
from .cddm import CDDM
from .comparison import TwoIntervalComparison
from .dmts import DMTS
from .errors import (
    WRONG_KINDS,
    CannotImport,
    ParameterError,
    collecting,
    first_name,
    kind_and_text,
    raise_all,
    text_of,
    use_one_of,
)
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
        TwoIntervalComparison,
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


def enter(cls: type[Task]) -> None:
    """Give a task of this package its short name."""
    name = cls.__name__
    TASKS[name] = cls
    _SHORT_NAMES.update({f"{cls.__module__}:{name}": name, f"tasks_lib:{name}": name})


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
    """Make a task; arguments that are None take the default of its class.

    Raises
    ------
    ParameterError
        For the class, every parameter that it does not have or that is of another kind, and what
        the class refuses first; where several are wrong, as `ParameterErrors`.
    """
    cls = task_class(class_name)
    accepted = [n for n in inspect.signature(cls).parameters if n != "seed"]
    if params is not None and not isinstance(params, dict):
        raise ParameterError("params", params, "is not a set of fields", "write field: value")
    arguments = dict(params or {})
    sizes = ("n_steps", "n_inputs", "n_outputs")
    errors: list[ParameterError] = []
    for name, value in dict(arguments).items():
        if name in sizes or name not in accepted:
            del arguments[name]
            errors.append(_misplaced(class_name, name, value, accepted, sizes))
    given = {"n_steps": n_steps, "n_inputs": n_inputs, "n_outputs": n_outputs}
    arguments |= {name: value for name, value in given.items() if value is not None}
    task: Task | None = None
    for attempt in range(1 + len(arguments)):
        new: list[ParameterError] = []
        with collecting(new):
            task = _made(cls, class_name, arguments, accepted, seed)
        # Behind the first error only values of the wrong kind are: they are that whatever the
        # others are, where another one may follow from the default that stands in for the first.
        errors += [error for error in new if not attempt or error.problem in WRONG_KINDS]
        if not new or arguments.pop(first_name(new[0].field), None) is None:
            break
    raise_all(errors)
    assert task is not None
    return task


def _misplaced(
    class_name: str, name: str, value: Any, accepted: list[str], sizes: tuple[str, ...]
) -> ParameterError:
    if name in sizes:
        problem, remedy = "stands in params", "write it beside params"
    else:
        own = [n for n in accepted if n not in sizes]
        problem, remedy = f"is not a parameter of {class_name}", use_one_of(name, own)
        if not remedy.endswith("?"):
            remedy += f"; {', '.join(sizes)} stand beside params"
    return ParameterError(f"params.{name}", value, problem, remedy)


def _made(
    cls: type[Task], class_name: str, arguments: dict[str, Any], accepted: list[str], seed: Any
) -> Task:
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
