"""Checks of a study that ask its measures and the tables, before anything of it is entered."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from tasks_lib.errors import ParameterError, collecting, raise_all, use_one_of

from ..tables.computed import COMPUTED
from ..tables.settings import CheckedSettings
from ..tables.task import Task
from .analyses import Analyses, checked_analyses, settings_tables
from .forms import REDUCED, SETS
from .study import Study

NOISE_FREE = "noise_free"  # validation by which networks solve their task
Functions = dict[str, Callable[..., Any]]


def checked_study(study: Study) -> tuple[Functions, Callable[..., Any] | None]:
    """Return the measure of each result, by its name, and what draws the figure.

    Nothing is entered. Whether values of ``input_name`` are inputs of a task is seen once its tasks
    are there: `check_inputs`.

    Raises
    ------
    ParameterError
        For a measure, an argument, a table, a column or a set of settings that does not exist;
        where several are wrong, as `ParameterErrors`.
    """
    errors: list[ParameterError] = []
    module = study.measures()
    functions: Functions = {}
    for expected in study.expected:
        place = f"expected.{expected.name}"
        with collecting(errors):
            function = study.function(module, expected.measure, f"{place}.measure")
            _check_arguments(f"{place}.args", function, expected.arguments)
            functions[expected.name] = function
    draw = None
    with collecting(errors):
        draw = study.function(module, study.figure, "figure") if study.figure else None
    errors += _wrong_columns(study)
    with collecting(errors):
        checked_analyses(study.analyses)
    raise_all(errors)
    return functions, draw


def _check_arguments(
    place: str, function: Callable[..., Any], arguments: Mapping[str, Any]
) -> None:
    """Refuse arguments that a measure does not take, and a measure that lacks some."""
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):  # of a function that is not written in Python
        return
    known = list(signature.parameters)[1:]  # the first is the key
    takes_any = any(p.kind is p.VAR_KEYWORD for p in signature.parameters.values())
    for name in arguments:
        if name not in known and not takes_any:
            problem = f"is no argument of {function.__name__}"
            remedy = use_one_of(name, known) if known else "leave it out: it has none"
            raise ParameterError(f"{place}.{name}", arguments[name], problem, remedy)
    try:
        signature.bind({}, **arguments)
    except TypeError as error:
        problem = f"are not those of {function.__name__} ({error})"
        raise ParameterError(place, dict(arguments), problem, "write name: value") from None


def _wrong_columns(study: Study) -> Iterator[ParameterError]:
    """Yield what is wrong with the tables of a study, their keys and its settings."""
    tables = {table.__name__: table for table in COMPUTED}
    columns = {column for table in COMPUTED for column in table.primary_key}
    for title, keys in study.tables.items():
        place = f"tables.{title}"
        if title not in tables:
            yield ParameterError(
                place, title, "is no computed table", use_one_of(title, list(tables))
            )
            continue
        asked = dict.fromkeys((name, str(value)) for key in keys for name, value in key.items())
        for name, value in asked:
            yield from _wrong_column(place, name, value, tables[title].primary_key, study.analyses)
    for name, value in study.settings.items():
        yield from _wrong_column("settings", name, value, columns, study.analyses)
    validations = [
        {**study.settings, **key}.get("validation_name", NOISE_FREE)
        for key in study.tables.get("Validation", [])
    ]
    if study.solved and NOISE_FREE not in validations:
        yield ParameterError(
            "solved", study.solved, f"needs the validation {NOISE_FREE}, which is not filled",
            "add Validation to tables",
        )  # fmt: skip


def _wrong_column(
    place: str, name: str, value: Any, known: Any, analyses: Analyses
) -> Iterator[ParameterError]:
    """Yield what is wrong with a column of a key, and with the set of settings that it names."""
    if name not in known:
        problem = "is no column of its key" if place != "settings" else "is in no table's key"
        yield ParameterError(f"{place}.{name}", value, problem, use_one_of(name, known))
        return
    for title, table in settings_tables().items():
        if table.primary_key == [name]:
            there = {*_names(table), *analyses.get(title, {})}
            if value not in there:
                problem = f"is no row of {title}"
                yield ParameterError(f"{place}.{name}", value, problem, use_one_of(value, there))


def _names(table: type[CheckedSettings]) -> list[str]:
    return [str(name) for name in table().to_arrays(table.primary_key[0])]


def check_inputs(study: Study, tasks: set[str]) -> None:
    """Refuse an ``input_name`` that is an input of none of the study's tasks.

    Parameters
    ----------
    study : Study
    tasks : set of str
        Names of the tasks, which have been entered.
    """
    there = {
        str(row["input_name"])
        for row in Task.Input.proj().to_dicts()
        if row["task_name"] in tasks
    }  # fmt: skip
    asked = [("settings", study.settings)]
    asked += [(f"tables.{title}", key) for title, keys in study.tables.items() for key in keys]
    for place, key in asked:
        name = key.get("input_name")
        if name is not None and name not in there:
            problem = "is no input of a task of this study"
            raise ParameterError(f"{place}.input_name", name, problem, use_one_of(name, there))


def as_written(study: Study, field: str) -> str:
    """Return what a field of the study's submission is called in its file.

    "networks.small_reduced.n_unit" is "reduced.networks.small.n_unit" there, and "cohorts[0].task"
    "cohorts.trained.task".
    """
    section, _, rest = field.partition(".")
    if section.startswith("cohorts["):
        number = int(section[len("cohorts[") : -1])
        return ".".join(filter(None, ("cohorts", list(study.cohorts)[number], rest)))
    name, _, rest = rest.partition(".")
    if section in SETS and study.form == REDUCED and name.endswith(f"_{REDUCED}"):
        return ".".join(filter(None, (REDUCED, section, name.removesuffix(f"_{REDUCED}"), rest)))
    return field
