"""The points of a sweep, from what a submission says: a grid, a zip, random draws, or a list."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import product
from typing import Any, Literal

import numpy as np

from models.parameters import parameters_of
from tasks_lib.errors import (
    MAX_COUNT,
    ParameterError,
    check_choice,
    check_float,
    check_int,
    collecting,
    use_one_of,
)

from ..tables.hashing import canonical_json
from ..tables.parameter_sets import PARAMETER_TABLES

Design = Literal["grid", "zip", "random"]
DESIGNS: tuple[Design, ...] = ("grid", "zip", "random")
MOST_POINTS = 10_000  # without being told
LONGEST_AXIS = 128
MOST_DRAWS = 100  # for each point of a random design, of which all differ
DIGITS = 6  # of values that are spaced or drawn: those of their names, too
Point = dict[str, Any]  # axis -> value
MISSING = object()
_SPACED: dict[str, Callable[..., Any]] = {"linear": np.linspace, "log": np.geomspace}
_DRAWN: dict[str, Callable[[float, float, float], float]] = {
    "uniform": lambda low, high, share: low + (high - low) * share,
    "log_uniform": lambda low, high, share: low * (high / low) ** share,
}


@dataclass(frozen=True)
class Axis:
    """A field that a sweep varies.

    Attributes
    ----------
    name : str
        As written: "training.lr", "task.params.n_bits", "training.penalties.metabolic.weight".
    which : {"task", "network", "training"}
    path : tuple of str
        Names of the field in the parameter set, from outside to inside.
    """

    name: str
    which: str
    path: tuple[str, ...]

    @property
    def is_whole(self) -> bool:
        """Whether the field holds whole numbers."""
        config = PARAMETER_TABLES[self.which].config
        if config is None or len(self.path) > 1:
            return False
        parameter = parameters_of(config).get(self.path[0])
        return parameter is not None and parameter.kind == "whole"


def value_at(parameters: Mapping[str, Any], path: Sequence[str]) -> Any:
    """Return the value of a field of a parameter set; `MISSING` where it has none."""
    value: Any = parameters
    for step in path:
        value = value.get(step, MISSING) if isinstance(value, Mapping) else MISSING
    return value


def axis_named(name: Any) -> Axis:
    """Return the axis of a name, or say why it is none."""
    remedy = "write task., network. or training. and the name of a field, as training.lr"
    if not isinstance(name, str) or not 0 < len(name) <= LONGEST_AXIS:
        raise ParameterError(str(name)[:100], name, "is not an axis", remedy)
    which, _, field = name.partition(".")
    if which not in PARAMETER_TABLES or not field:
        raise ParameterError(name, name, "is not an axis", remedy)
    path = tuple(field.split("."))
    if path[0] == "penalties" and which == "training":
        path = _penalty_path(name, field.removeprefix("penalties").removeprefix("."))
    if not all(path):
        raise ParameterError(name, name, "is not an axis", remedy)
    field = "task_class" if which == "task" and path[0] == "class" else path[0]
    table = PARAMETER_TABLES[which]
    own = {table.primary_key[0], table.hash_field}
    known = {*table().heading.names, *table.default_columns(), *table.extra_fields} - own
    if field not in known:
        shown = {"class" if each == "task_class" else each for each in known}
        meant = use_one_of(field, shown)
        if which == "task" and not meant.endswith("?"):
            meant += "; arguments of the class stand under task.params"
        raise ParameterError(name, name, f"is no field of a {which}", meant)
    return Axis(name, which, (field, *path[1:]))


def _penalty_path(name: str, rest: str) -> tuple[str, ...]:
    """Return the path of a field of a penalty, whose name may have points in it."""
    if rest.endswith(".weight"):
        return "penalties", rest.removesuffix(".weight"), "weight"
    penalty, found, argument = rest.rpartition(".args.")
    if not found:
        remedy = "write training.penalties.NAME.weight, or training.penalties.NAME.args.ARGUMENT"
        raise ParameterError(name, name, "is no field of a penalty", remedy)
    return "penalties", penalty, "args", argument


def refuse_contradictions(field: str, axes: Sequence[Axis]) -> None:
    """Refuse axes of which one sets what another one sets too.

    Parameters
    ----------
    field : str
        Where they are named.
    axes : sequence of Axis
    """
    for number, one in enumerate(axes):
        for other in axes[:number]:
            shorter, longer = sorted((one.path, other.path), key=len)
            if one.which == other.which and longer[: len(shorter)] == shorter:
                raise ParameterError(
                    field,
                    [other.name, one.name],
                    "are axes that set the same field",
                    "keep one of them",
                )


def points_of(fields: Mapping[str, Any], errors: list[ParameterError]) -> list[Point]:
    """Return the points of a sweep, without those that are there twice; append what is wrong.

    Parameters
    ----------
    fields : mapping
        ``vary`` (axis -> values), ``design``, ``n_points`` and ``seed``; or ``points``. And
        ``max_points``, above which a sweep is refused.
    errors : list of ParameterError
        What is wrong is named by the field.
    """
    own: list[ParameterError] = []
    most = MOST_POINTS
    with collecting(own):
        most = check_int("max_points", fields.get("max_points", most), 1, MAX_COUNT)
    points: list[Point] = []
    with collecting(own):
        if ("points" in fields) == ("vary" in fields):
            problem = "is missing" if "vary" not in fields else "stands beside points"
            remedy = "write vary: {axis: values}, or points: with a list of {axis: value}"
            raise ParameterError("vary", fields.get("vary"), problem, remedy)
        make = _listed if "points" in fields else _varied
        points = make(fields, most, own)
        if points and not own:
            field = "points" if "points" in fields else "vary"
            refuse_contradictions(field, [axis_named(name) for name in points[0]])
    errors += own
    return [] if own else points


def _listed(fields: Mapping[str, Any], most: int, errors: list[ParameterError]) -> list[Point]:
    points, form = fields["points"], "write a list of {axis: value}"
    if not isinstance(points, Sequence) or isinstance(points, str) or not points:
        raise ParameterError("points", points, "are no points", form)
    _refuse_too_many("points", len(points), most)
    first = next((set(point) for point in points if isinstance(point, Mapping)), set())
    for name in sorted(map(str, first)):
        with _named("points", errors):
            axis_named(name)
    seen: dict[str, int] = {}
    for number, point in enumerate(points):
        field = f"points[{number}]"
        if not isinstance(point, Mapping) or not point:
            errors.append(ParameterError(field, point, "is no point", form))
        elif set(point) != first:
            remedy = f"give a value of each of {', '.join(sorted(map(str, first)))}"
            errors.append(ParameterError(field, point, "has other axes than the first", remedy))
        elif seen.setdefault(canonical_json(point), number) != number:
            errors.append(ParameterError(field, point, "is there twice", "drop one"))
    return [] if errors else [dict(point) for point in points]


def _varied(fields: Mapping[str, Any], most: int, errors: list[ParameterError]) -> list[Point]:
    vary = fields["vary"]
    if not isinstance(vary, Mapping) or not vary:
        raise ParameterError("vary", vary, "names no axis", "write axis: [value, value]")
    design: Design = "grid"
    with collecting(errors):
        check_choice("design", fields.get("design", design), DESIGNS)
        design = fields.get("design", design)
    for field in ("n_points", "seed"):
        if field in fields and design != "random":
            remedy = "write design: random, or leave it out"
            errors.append(ParameterError(field, fields[field], "is of random points", remedy))
    if design == "random":
        return _drawn(vary, fields, most, errors)
    values: dict[str, list[Any]] = {}
    for name, given in vary.items():
        with _named("vary", errors):
            axis = axis_named(name)
            is_spaced = isinstance(given, Mapping)
            values[name] = _different_values(axis, _values(axis, given, most), is_spaced)
    if len(values) < len(vary):
        return []
    if design == "zip":
        counts = {len(each) for each in values.values()}
        if len(counts) > 1:
            said = ", ".join(f"{name} has {len(each)}" for name, each in values.items())
            problem = f"has axes of different lengths ({said})"
            remedy = "give each as many values, or write design: grid"
            raise ParameterError("vary", dict(vary), problem, remedy)
        rows: Iterator[tuple[Any, ...]] = zip(*values.values(), strict=True)
    else:
        _refuse_too_many("vary", math.prod(map(len, values.values())), most)
        rows = product(*values.values())
    return [dict(zip(values, row, strict=True)) for row in rows]


def _values(axis: Axis, given: Any, most: int) -> list[Any]:
    """Return the values of an axis: a list, or so many spaced between two."""
    form = "write [value, value], {linear: [from, to], n: 5} or {log: [from, to], n: 5}"
    if isinstance(given, Sequence) and not isinstance(given, str):
        if not given:
            raise ParameterError(axis.name, given, "has no values", form)
        return list(given)
    kind = next((kind for kind in _SPACED if isinstance(given, Mapping) and kind in given), None)
    if isinstance(given, Mapping) and len(given) == 1:
        if kind is not None:
            problem = "does not say how many values there are"
            raise ParameterError(axis.name, given, problem, f"write {{{kind}: [from, to], n: 5}}")
        if set(given) <= set(_DRAWN):
            form = f"write design: random and n_points beside it, or {form.removeprefix('write ')}"
            raise ParameterError(axis.name, given, "is a range to draw from", form)
    if kind is None or set(given) != {kind, "n"}:
        raise ParameterError(axis.name, given, "are no values of an axis", form)
    number = check_int(f"{axis.name}.n", given["n"], 2, MAX_COUNT)
    low, high = ends_of_range(axis, kind, given[kind])
    _refuse_too_many(f"{axis.name}.n", number, most)
    return [rounded(axis, x) for x in _SPACED[kind](low, high, number)]


def _drawn(
    vary: Mapping[Any, Any], fields: Mapping[str, Any], most: int, errors: list[ParameterError]
) -> list[Point]:
    """Return random points: the first ones are the same however many there are."""
    form = "write {uniform: [from, to]}, {log_uniform: [from, to]} or [value, value]"
    draws: dict[str, Callable[[float], Any]] = {}
    for name, given in vary.items():
        with _named("vary", errors):
            axis = axis_named(name)
            draws[axis.name] = _drawing(axis, given, form)
    number, seed = 0, 0
    with collecting(errors):
        if "n_points" not in fields:
            raise ParameterError("n_points", None, "is missing", "say how many points are drawn")
        number = check_int("n_points", fields["n_points"], 1, MAX_COUNT)
        _refuse_too_many("n_points", number, most)
    with collecting(errors):
        seed = check_int("seed", fields.get("seed", 0), 0, MAX_COUNT)
    if errors:
        return []
    generator = np.random.Generator(np.random.PCG64(seed))
    points: dict[str, Point] = {}
    for _ in range(MOST_DRAWS):
        for row in generator.random((number, len(draws))):
            shares = zip(draws.items(), row, strict=True)
            point = {name: draw(float(share)) for (name, draw), share in shares}
            points.setdefault(canonical_json(point), point)
            if len(points) == number:
                return list(points.values())
    problem = f"points cannot be drawn: {MOST_DRAWS} times as many draws gave {len(points)}"
    remedy = f"give at most {len(points)}, or axes with more values"
    raise ParameterError("n_points", number, problem, remedy)


def _drawing(axis: Axis, given: Any, form: str) -> Callable[[float], Any]:
    """Return what makes a value of an axis from a number in [0, 1)."""
    if isinstance(given, Sequence) and not isinstance(given, str) and given:
        choices = list(given)
        return lambda share: choices[int(share * len(choices))]
    kind = next((kind for kind in _DRAWN if isinstance(given, Mapping) and kind in given), None)
    if kind is None or set(given) != {kind}:
        problem = "is nothing to draw from"
        if isinstance(given, Mapping) and set(given) & set(_SPACED):
            problem += ": its values are spaced, not drawn"
        raise ParameterError(axis.name, given, problem, form)
    low, high = ends_of_range(axis, kind, given[kind])
    make = _DRAWN[kind]
    return lambda share: rounded(axis, make(low, high, share))


def ends_of_range(axis: Axis, kind: str, given: Any) -> tuple[float, float]:
    """Return the ends of a range, or say what is wrong with it."""
    field = f"{axis.name}.{kind}"
    if not isinstance(given, Sequence) or isinstance(given, str) or len(given) != 2:
        raise ParameterError(field, given, "is not a range", "write [from, to]")
    low, high = (check_float(field, value) for value in given)
    if low >= high:
        raise ParameterError(field, list(given), "does not rise", "write the smaller number first")
    if kind.startswith("log") and low <= 0:
        raise ParameterError(field, list(given), "reaches 0", "a logarithm needs more than 0")
    return low, high


def rounded(axis: Axis, value: float) -> int | float:
    """Return a number with as many digits as names have; a whole one where the field wants it."""
    value = float(f"{value:.{DIGITS}g}")
    return round(value) if axis.is_whole else value


def _different_values(axis: Axis, values: list[Any], is_spaced: bool) -> list[Any]:
    """Return the values, refusing one that is there twice, but for what rounding made so."""
    kept = {}
    for value in values:
        try:
            kept[canonical_json(value)] = value
        except ParameterError as error:  # not finite, say
            raise ParameterError(axis.name, value, error.problem, error.remedy) from error
    if len(kept) < len(values) and not (is_spaced and axis.is_whole):
        raise ParameterError(axis.name, values, "has a value twice", "name each value once")
    return list(kept.values())


def _refuse_too_many(field: str, number: int, most: int) -> None:
    if number > most:
        raise ParameterError(
            field,
            number,
            f"points are more than {most}",
            f"vary less, or write max_points: {number} where so many are meant",
        )


@contextmanager
def _named(field: str, errors: list[ParameterError]) -> Iterator[None]:
    """Collect errors, named by the field in which they are."""
    own: list[ParameterError] = []
    with collecting(own):
        yield
    errors += [ParameterError(f"{field}.{e.field}", e.value, e.problem, e.remedy) for e in own]
