"""The components of a mixture of tasks, read from what a user wrote."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .base import Condition, Task, plain
from .by_name import TASKS, create_task, defined_name
from .errors import ParameterError, check_int, collecting, raise_all, renamed, use_one_of
from .imports import one_name
from .masks import held_to_the_end, read_mask
from .mixture_selection import Selection, read_selection, selected
from .stimulus_checks import LONGEST_CONTEXT
from .windows import Window

TASK = "task"  # the field of conditions that names the component
LONGEST_NAME, LONGEST_CHANNEL = 32, 64  # characters
_SIZES = ("n_steps", "n_inputs", "n_outputs")
_FIELDS = ("name", "class", *_SIZES, "params", "inputs", "outputs", "rule_periods", "only")
_EXAMPLE = 'give {"name": "go", "class": "GoNoGo"}'


@dataclass(frozen=True, eq=False)
class MixedTask:
    """A task of a mixture.

    Attributes
    ----------
    name : str
    field : str
        Where it stands, for messages.
    task : Task
        Made without a seed: it draws from the generator of the mixture.
    inputs, outputs : tuple of str, or None
        Names that were given to its channels.
    rule_periods : tuple of (on, off)
        Steps at which its rule input is 1.
    counts : array (T,) of bool
        Its mask.
    only : dict
        Field of its conditions -> values of the trials that are taken; empty: all are.
    n_trials : int
        Of its own batch, that are taken.
    fields : tuple of str
        By which its scores are grouped.
    has_choices, has_curves : bool
        Whether it has choices, and by signed stimuli.
    contexts : frozenset of str
        Of its signed stimuli.
    """

    name: str
    field: str
    task: Task
    inputs: tuple[str, ...] | None
    outputs: tuple[str, ...] | None
    rule_periods: tuple[Window, ...]
    counts: NDArray[np.bool_]
    only: Selection
    n_trials: int
    fields: tuple[str, ...]
    has_choices: bool
    has_curves: bool
    contexts: frozenset[str]

    def context(self, own: str) -> str:
        """Return the context of a trial in the mixture, by that of the component."""
        return self.name if own == "all" else f"{self.name}: {own}"


def read_components(
    given: Any, rule_periods: Any
) -> tuple[tuple[MixedTask, ...], list[dict[str, Any]], list[list[int | None]] | None]:
    """Return the components of a mixture, their parameters as plain values, and its rule periods.

    Of the parameters of a task of this library those are left out that have its default.

    Raises
    ------
    ParameterError
        Naming the component, by its place, and the field; of several, all of them.
    """
    if isinstance(given, (str, Mapping)) or not isinstance(given, Sequence) or not given:
        remedy = f"list components; of each {_EXAMPLE}"
        raise ParameterError("components", given, "is not a list of tasks", remedy)
    periods = _periods("rule_periods", rule_periods)
    found: list[MixedTask] = []
    rows: list[dict[str, Any]] = []
    errors: list[ParameterError] = []
    for number, one in enumerate(given):
        with collecting(errors):
            component, row = _component(f"components[{number}]", one, periods)
            found.append(component)
            rows.append(row)
    raise_all(errors)
    for number, component in enumerate(found):
        if component.name in {other.name for other in found[:number]}:
            problem, remedy = "is the name of two components", "give each its own name"
            raise ParameterError(f"components[{number}].name", component.name, problem, remedy)
    return tuple(found), rows, periods


def channels(
    parts: Sequence[MixedTask], kind: str, share: bool
) -> tuple[tuple[str, ...], list[NDArray[np.int64]]]:
    """Return the names of the channels of a mixture, and those of each component by number.

    Parameters
    ----------
    parts : sequence of MixedTask
    kind : "input" or "output"
    share : bool
        Whether a channel without a given name has the name that it has in its own task, and not
        one of the component alone.
    """
    names: dict[str, int] = {}
    numbers = []
    for part in parts:
        own: tuple[str, ...] = getattr(part.task, f"{kind}_names")
        given: tuple[str, ...] | None = getattr(part, f"{kind}s")
        if given is None:
            given = own if share else tuple(f"{part.name} {name}" for name in own)
        if len(set(given)) < len(given):
            problem = "are not all different"
            remedy = f"give each its own name, as {kind}s: [...]"
            raise ParameterError(f"{part.field}.{kind}s", list(given), problem, remedy)
        numbers.append(np.array([names.setdefault(name, len(names)) for name in given]))
    return tuple(names), numbers


def _component(
    field: str, given: Any, periods: list[list[int | None]] | None
) -> tuple[MixedTask, dict[str, Any]]:
    """Return a component and its parameters as plain values."""
    if not isinstance(given, Mapping):
        raise ParameterError(field, given, "is not a component", _EXAMPLE)
    for unknown in [name for name in given if name not in _FIELDS]:
        problem = "is not a field of a component"
        raise ParameterError(f"{field}.{unknown}", given[unknown], problem,
                             use_one_of(unknown, _FIELDS))  # fmt: skip
    name = _name(f"{field}.name", given.get("name"), LONGEST_NAME)
    task, row = _task(field, given)
    channel_names = {
        kind: _channel_names(f"{field}.{kind}", given.get(kind), n)
        for kind, n in (("inputs", task.n_inputs), ("outputs", task.n_outputs))
    }
    own = _periods(f"{field}.rule_periods", given.get("rule_periods"))
    windows = _windows(field, own, periods, task.n_steps)
    sample = _sample(field, task)
    only = read_selection(f"{field}.only", given.get("only"), sample)
    sample = selected(sample, only)
    mask = task.mask
    if np.ndim(mask) == 2:
        problem = "has a mask for each trial of its batch, of which a mixture takes some"
        remedy = "let the task put NaN into its targets instead"
        raise ParameterError(f"{field}.class", row["class"], problem, remedy)
    counts: NDArray[np.bool_] = np.zeros(task.n_steps, dtype=np.bool_)
    counts[read_mask(mask, task.n_steps, field=f"{type(task).__name__}.mask").steps] = True
    _, targets, conditions = task.generate_trials(sample[:1])
    has_choices = task.get_choices(held_to_the_end(targets, targets)) is not None
    has_curves = task.has_signed_stimuli(task.params)
    contexts = _contexts(task, sample) if has_curves else frozenset()
    component = MixedTask(
        name, field, task, channel_names["inputs"], channel_names["outputs"], windows, counts,
        only, len(sample), _fields(task, conditions[0]), has_choices, has_curves, contexts,
    )  # fmt: skip
    _check_contexts(component)
    extra: dict[str, Any] = {
        kind: list(names) for kind, names in channel_names.items() if names is not None
    }
    if own is not None:
        extra["rule_periods"] = own
    if only:
        extra["only"] = only
    return component, {"name": name, **row, **extra}


def _task(field: str, given: Mapping[str, Any]) -> tuple[Task, dict[str, Any]]:
    """Return the task of a component, and what names it, as plain values."""

    def renaming(name: str) -> str:
        return f"{field}.{'class' if name == 'task_class' else name}"

    named: Any = given.get("class")
    n_steps, n_inputs, n_outputs = (given.get(size) for size in _SIZES)
    try:
        task = create_task(named, n_steps, n_inputs, n_outputs, given.get("params"))
    except ParameterError as error:
        raise renamed(error, renaming) from error
    if task.component_tasks:
        problem = "is a mixture itself"
        raise ParameterError(f"{field}.class", named, problem, "name its components here")
    name = one_name(str(named), defined_name(str(named)))
    whole = dict(task.params)
    if name in TASKS:
        defaults = create_task(name).params
        whole = {key: value for key, value in whole.items() if value != defaults[key]}
    sizes = {key: whole.pop(key) for key in _SIZES if key in whole}
    return task, {"class": name, **sizes, **({"params": whole} if whole else {})}


def _sample(field: str, task: Task) -> list[Condition]:
    """Return the conditions of one batch, checked as far as a mixture relies on them."""
    task.rng = np.random.default_rng(0)
    conditions = task.conditions()
    listed = isinstance(conditions, list) and all(isinstance(c, dict) for c in conditions)
    if not listed or not conditions:
        problem, remedy = "does not give conditions", "return a list, one dict a trial"
        raise ParameterError(f"{field}.class", type(task).__name__, problem, remedy)
    for condition in conditions:
        if TASK in condition:
            problem = f"has conditions with a field {TASK!r}, which names components"
            remedy = "name that field otherwise"
            raise ParameterError(f"{field}.class", type(task).__name__, problem, remedy)
    return conditions


def _fields(task: Task, condition: Condition) -> tuple[str, ...]:
    if task.condition_fields is not None:
        return tuple(task.condition_fields)
    return tuple(task.condition_kind(condition))


def _contexts(task: Task, conditions: Sequence[Condition]) -> frozenset[str]:
    said = (task.signed_stimuli(c) for c in task.generate_trials(conditions)[2])
    return frozenset(one[0] for one in said if one is not None)


def _check_contexts(component: MixedTask) -> None:
    for own in component.contexts:
        name = component.context(own)
        if len(name) > LONGEST_CONTEXT:
            problem = f"makes the context {name!r} of more than {LONGEST_CONTEXT} characters"
            raise ParameterError(
                f"{component.field}.name", component.name, problem, "give a shorter name"
            )


def _name(field: str, value: Any, longest: int) -> str:
    if not isinstance(value, str) or not value.strip() or len(value) > longest:
        raise ParameterError(field, value, "is not a name", f"give 1 to {longest} characters")
    if not value.isprintable():
        raise ParameterError(field, value, "holds control characters", "leave them out")
    return str(value)


def _channel_names(field: str, value: Any, n: int) -> tuple[str, ...] | None:
    if value is None:
        return None
    if isinstance(value, str) or not isinstance(value, Sequence) or len(value) != n:
        problem = f"does not name the {n} channel{'s' * (n > 1)} of this task"
        raise ParameterError(field, value, problem, f"give {n} name{'s' * (n > 1)}")
    return tuple(_name(f"{field}[{i}]", v, LONGEST_CHANNEL) for i, v in enumerate(value))


def _periods(field: str, value: Any) -> list[list[int | None]] | None:
    """Return periods as plain lists; which steps there are is not known yet."""
    if value is None:
        return None
    remedy = "give a list of [on, off], as [[0, 20]]; an off of null is the end"
    if isinstance(value, (str, Mapping)) or not isinstance(value, Sequence) or not value:
        raise ParameterError(field, value, "is not a list of periods", remedy)
    periods: list[list[int | None]] = []
    for i, period in enumerate(plain(value)):
        if not isinstance(period, list) or len(period) != 2:
            raise ParameterError(f"{field}[{i}]", period, "is not a period", remedy)
        on = check_int(f"{field}[{i}][0]", period[0], minimum=0)
        off = period[1]
        if off is not None:
            off = check_int(f"{field}[{i}][1]", off, minimum=on + 1)
        periods.append([on, off])
    return periods


def _windows(
    field: str,
    own: list[list[int | None]] | None,
    common: list[list[int | None]] | None,
    n_steps: int,
) -> tuple[Window, ...]:
    """Return the periods of a component's rule, which lie within its trial."""
    chosen, name = (common, "rule_periods") if own is None else (own, f"{field}.rule_periods")
    windows: list[Window] = []
    for i, (on, off) in enumerate(chosen or [[0, None]]):
        assert on is not None
        end = n_steps if off is None else off
        if on >= n_steps or end > n_steps:
            problem = f"ends after the {n_steps} steps of {field}"
            remedy = f"give steps up to {n_steps}, or that component its own rule_periods"
            raise ParameterError(f"{name}[{i}]", [on, off], problem, remedy)
        windows.append((on, end))
    return tuple(windows)
