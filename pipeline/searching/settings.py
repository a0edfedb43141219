"""What a search is asked to do, from a file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from models.files.yaml_documents import read_yaml
from tasks_lib.errors import (
    MAX_COUNT,
    ParameterError,
    check_choice,
    check_int,
    collecting,
    raise_all,
    use_one_of,
)

from ..submission_file import SECTIONS
from ..sweeps.design import Axis, axis_named, ends_of_range, refuse_contradictions
from ..tables.hashing import canonical_json
from ..tables.keys import SETS
from ..tables.parameters import check_name
from ..tables.training import MOST_NETWORKS

SECTION = "search"
FIELDS = ("name", *SETS, "space", "objectives", "n_points", "at_once", "n_networks", "first_seed",
          "sampler", "seed", "prune", "description")  # fmt: skip
SAMPLERS = ("tpe", "random")
KINDS = ("uniform", "log_uniform")
MOST_DESCRIPTION = 255  # characters
DIRECTIONS = ("maximize", "minimize")


@dataclass(frozen=True)
class Objective:
    """A column of `pipeline.sweep_table`, and whether the largest or the smallest is looked for."""

    column: str
    direction: str


@dataclass(frozen=True)
class Dimension:
    """An axis, and what may be chosen of it: one of some values, or a number of a range."""

    axis: Axis
    choices: tuple[Any, ...] = ()
    low: float = 0.0
    high: float = 0.0
    is_log: bool = False


@dataclass(frozen=True)
class SearchSettings:
    """What a search is asked to do.

    Attributes
    ----------
    name : str
        Of the search and of the sweep that holds its points.
    base : dict
        Task, network and training to begin with.
    space : list of Dimension
    objectives : list of Objective
    n_points : int
        After which it ends.
    at_once : int
        Points that are being trained at a time.
    n_networks, first_seed : int
        Of each point; an objective is the mean over them.
    sampler : {"tpe", "random"}
    seed : int
        Of the sampler.
    prune : bool
        Whether trainings are given up whose loss is worse than the median of the others'.
    description : str
    sections : dict
        Tasks, networks and trainings of the same file.
    """

    name: str
    base: dict[str, str]
    space: list[Dimension]
    objectives: list[Objective]
    n_points: int
    at_once: int = 4
    n_networks: int = 1
    first_seed: int = 0
    sampler: str = "tpe"
    seed: int = 0
    prune: bool = False
    description: str = ""
    sections: dict[str, Any] = field(default_factory=dict)


def read_search(content: Mapping[str, Any] | str | Path) -> SearchSettings:
    """Return what a file, or a mapping of its sections, asks for.

    Raises
    ------
    ParameterError
        For everything that is wrong with the section ``search``; several at once as
        `ParameterErrors`.
    """
    whole = content if isinstance(content, Mapping) else read_yaml("FILE", content)
    if not isinstance(whole, Mapping) or not isinstance(whole.get(SECTION), Mapping):
        given = whole.get(SECTION) if isinstance(whole, Mapping) else None
        problem, remedy = "is no set of fields", "write search: {field: value}"
        if isinstance(whole, Mapping) and SECTION not in whole:
            problem = "is missing"
            if {*SECTIONS} & {*whole}:
                remedy += ", or enter the file with rnn submit FILE"
        raise ParameterError(SECTION, given, problem, remedy)
    fields: Mapping[str, Any] = whole[SECTION]
    errors: list[ParameterError] = []
    for name, value in fields.items():
        if name not in FIELDS:
            problem = "is not a field of a search"
            errors.append(ParameterError(str(name), value, problem, use_one_of(name, FIELDS)))
    values: dict[str, Any] = {"base": {}}
    for name in ("name", *SETS, "n_points"):
        if name not in fields:
            errors.append(ParameterError(name, None, "is missing", "give it a value"))
    with collecting(errors):
        values["name"] = check_name("name", fields.get("name", "x"))
    for which in SETS:
        with collecting(errors):
            values["base"][which] = check_name(which, fields.get(which, "x"))
    for name, least, most, default in (
        ("n_points", 1, MAX_COUNT, 1), ("at_once", 1, 10_000, 4), ("first_seed", 0, MAX_COUNT, 0),
        ("n_networks", 1, MOST_NETWORKS, 1), ("seed", 0, MAX_COUNT, 0),
    ):  # fmt: skip
        with collecting(errors):
            values[name] = check_int(name, fields.get(name, default), least, most)
    with collecting(errors):
        values["sampler"] = fields.get("sampler", "tpe")
        check_choice("sampler", values["sampler"], SAMPLERS)
    values["prune"] = fields.get("prune", False)
    if not isinstance(values["prune"], bool):
        problem, remedy = "is not true or false", "write true or false"
        errors.append(ParameterError("prune", values["prune"], problem, remedy))
    values["space"] = _space(fields.get("space"), errors)
    values["objectives"] = _objectives(fields.get("objectives"), errors)
    if values["prune"] is True and len(values["objectives"]) > 1:
        problem = "compares one number, and there are several objectives"
        errors.append(ParameterError("prune", True, problem, "leave it out"))
    values["description"] = fields.get("description", "")
    if not isinstance(values["description"], str) or len(values["description"]) > MOST_DESCRIPTION:
        given, remedy = values["description"], f"write {MOST_DESCRIPTION} characters at most"
        errors.append(ParameterError("description", given, "is no short text", remedy))
    raise_all([
        ParameterError(f"{SECTION}.{e.field}", e.value, e.problem, e.remedy) for e in errors
    ])  # fmt: skip
    sections = {name: section for name, section in whole.items() if name != SECTION}
    return SearchSettings(**values, sections=sections)


def _space(given: Any, errors: list[ParameterError]) -> list[Dimension]:
    form = "write axis: [value, value], {uniform: [from, to]} or {log_uniform: [from, to]}"
    if not isinstance(given, Mapping) or not given:
        errors.append(ParameterError("space", given, "names no axis", form))
        return []
    found = []
    for name, values in given.items():
        own: list[ParameterError] = []
        with collecting(own):
            found.append(_dimension(axis_named(name), values, form))
        errors += [ParameterError(f"space.{e.field}", e.value, e.problem, e.remedy) for e in own]
    with collecting(errors):
        refuse_contradictions("space", [each.axis for each in found])
    return found


def _dimension(axis: Axis, given: Any, form: str) -> Dimension:
    if isinstance(given, Sequence) and not isinstance(given, str) and len(given) > 1:
        canonical_json(list(given))  # what cannot be stored is refused
        return Dimension(axis, tuple(given))
    kind = next((kind for kind in KINDS if isinstance(given, Mapping) and kind in given), None)
    if kind is None or set(given) != {kind}:
        raise ParameterError(axis.name, given, "is nothing to choose from", form)
    low, high = ends_of_range(axis, kind, given[kind])
    return Dimension(axis, (), low, high, kind == "log_uniform")


def _objectives(given: Any, errors: list[ParameterError]) -> list[Objective]:
    form = 'write a list of {maximize: column} or {minimize: column}, as "r2_pooled[noise_free]"'
    if not isinstance(given, Sequence) or isinstance(given, str) or not given:
        errors.append(ParameterError("objectives", given, "are none", form))
        return []
    found = []
    for number, each in enumerate(given):
        is_one = isinstance(each, Mapping) and len(each) == 1
        direction, column = next(iter(each.items())) if is_one else ("", None)
        if direction not in DIRECTIONS or not isinstance(column, str):
            place = f"objectives[{number}]"
            errors.append(ParameterError(place, each, "is no objective", form))
        else:
            found.append(Objective(column, direction))
    return found
