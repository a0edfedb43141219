"""Conditions on columns, as users write them: ``r2 > 0.9 and status = finished``.

They are read here and written anew as restrictions: nothing of a user's text gets into SQL.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any

import datajoint as dj
from datajoint.condition import Not

from tasks_lib.errors import ParameterError, use_one_of

from ..database.schemas import parts
from ..database.types import Restriction
from .computed import COMPUTED
from .embeddings import EmbeddingPoint
from .hashing import canonical_json
from .keys import NETWORK
from .parameter_sets import PARAMETER_TABLES
from .rows import kind_of_column
from .sweeps import LONGEST_VALUE, Sweep, SweepPoint
from .training import Cohort
from .training_params import TrainingParams

FIELD = "--where"
FORM = "write COLUMN > VALUE, with <, <=, =, !=, >= or >, or COLUMN is null; join several by and"
_COMPARISON = re.compile(
    r"""\s*(?P<column>[A-Za-z_]\w*(?:[.:]\w+)*)\s*
    (?:is\s+(?P<null>(?:not\s+)?null)
    |(?P<sign><=|>=|<>|!=|==|=|<|>)\s*(?:'(?P<quoted>[^']*)'|"(?P<text>[^"]*)"|(?P<bare>[^\s'"]+)))
    \s*(?P<rest>\Z|\band\s+(?=\S))""",
    re.VERBOSE | re.IGNORECASE,
)
_TRUTH = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}
_NUMBERS: dict[str, Callable[[float, float], bool]] = {
    "<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge,
}  # fmt: skip
Table = type[dj.Table]


@dataclass(frozen=True)
class Comparison:
    """A comparison of a column with a value.

    Attributes
    ----------
    column, sign : str
        A column, or an axis of sweeps ("training.lr"). The sign is one of <, <=, =, !=, >= and >,
        or "null" and "not null".
    value : str
        As written; empty with "null".
    """

    column: str
    sign: str
    value: str = ""


def comparisons(text: str) -> list[Comparison]:
    """Return the comparisons that a text joins by ``and``, or say what is wrong with it."""
    found: list[Comparison] = []
    place = 0
    while place < len(text) or not found:
        match = _COMPARISON.match(text, place)
        if match is None:
            raise ParameterError(FIELD, text, "is no condition", FORM)
        if match["null"]:
            sign, value = " ".join(match["null"].lower().split()), ""
        else:
            sign = {"==": "=", "<>": "!="}.get(match["sign"], match["sign"])
            written = (match["quoted"], match["text"], match["bare"])
            value = next(each for each in written if each is not None)
        found.append(Comparison(match["column"], sign, value))
        place = match.end()
    return found


def restrictions(text: str) -> list[tuple[Table, list[Restriction]]]:
    """Return the tables whose columns a text names, each with what is asked of one row of it.

    Parameters
    ----------
    text : str
        Comparisons joined by ``and``. Those of one table are to hold in the same row.

    Raises
    ------
    ParameterError
        Where it is no condition, for a column that no table has, and for a value that the column
        cannot have.
    """
    every = comparisons(text)
    asked = [each for each in every if "." not in each.column]
    axes = [each for each in every if "." in each.column]
    tables = dict.fromkeys(_home(text, each) for each in asked if each.column not in key_columns())
    if asked and not tables:
        columns = ", ".join(each.column for each in asked)
        problem = "tells rows of several tables apart"
        remedy = "name a column of one of them beside it, as r2_pooled > 0.9 beside validation_name"
        raise ParameterError(FIELD, columns, problem, remedy)
    found = list(_of_axes(axes))
    for table in tables:
        names = {*table.primary_key, *_plain_columns(table)}
        own = [each for each in asked if each.column in names]
        found.append((table, [_restriction(table, each) for each in own]))
    for each in asked:
        if not any(each.column in table().heading.names for table in tables):
            problem = "belongs to none of the tables of the other columns"
            known = {n for table in tables for n in (*table.primary_key, *_plain_columns(table))}
            raise ParameterError(FIELD, each.column, problem, use_one_of(each.column, known))
    return found


def _of_axes(asked: Sequence[Comparison]) -> Iterator[tuple[Table, list[Restriction]]]:
    """Yield what is asked of points of sweeps, for each axis that is named."""
    for name in dict.fromkeys(each.column for each in asked):
        if not Sweep.Axis & {"axis": name}:
            known = sorted({str(axis) for axis in Sweep.Axis.to_arrays("axis")})
            remedy = f"{use_one_of(name, known) if known else ''} or name a column, as lr".strip()
            remedy = remedy.removeprefix("or ")
            raise ParameterError(FIELD, name, "is no axis of a sweep", remedy)
        own = [_of_point(each) for each in asked if each.column == name]
        yield SweepPoint, [{"axis": name}, *own]


def _of_point(asked: Comparison) -> Restriction:
    """Return a comparison as one of the value of a point, which is a number or a text in JSON."""
    if asked.sign in ("null", "not null"):
        is_null: Restriction = {"value_text": "null"}
        return is_null if asked.sign == "null" else Not(is_null)
    with suppress(ParameterError):
        return f"value {asked.sign} {_number(asked)!r}"
    if asked.sign in _NUMBERS:
        raise _no_value(asked, "write a number, or use = or !=")
    texts = {canonical_json(asked.value), asked.value.lower()}  # a text, and true or false
    equal: Restriction = [{"value_text": text[:LONGEST_VALUE]} for text in sorted(texts)]
    return equal if asked.sign == "=" else Not(equal)


def searched_tables() -> Iterator[Table]:
    """Yield the tables whose columns a condition may name."""
    yield from PARAMETER_TABLES.values()
    yield from (TrainingParams.Penalty, Cohort, SweepPoint, EmbeddingPoint)
    for table in COMPUTED:
        yield table
        yield from parts(table)


@cache
def key_columns() -> frozenset[str]:
    """Return the columns of keys beside a network's: they stand in several tables."""
    named = {name for table in searched_tables() for name in table.primary_key}
    return frozenset(named - {*NETWORK})


def known_columns() -> dict[str, Table]:
    """Return the columns that a condition may name, and the table that has each."""
    found: dict[str, Table] = {}
    for table in searched_tables():
        found |= {name: table for name in _plain_columns(table)}
    return found


def _home(text: str, asked: Comparison) -> Table:
    known = known_columns()
    if asked.column not in known:
        remedy = use_one_of(asked.column, {*known, *key_columns()})
        if asked.column in NETWORK:
            option = asked.column.removesuffix("_name").replace("_", "-")
            remedy = f"use the option --{option}"
        raise ParameterError(FIELD, asked.column, "is no column that a condition may name", remedy)
    return known[asked.column]


def _plain_columns(table: Table) -> list[str]:
    """Return the columns beside the key that hold a number, a text, a time or a truth value."""
    return [
        name
        for name, attribute in table().heading.attributes.items()
        if not attribute.in_key and kind_of_column(attribute) not in ("array", "mapping")
    ]


def _restriction(table: Table, asked: Comparison) -> Restriction:
    """Return a comparison as DataJoint restricts by it; texts are quoted by DataJoint."""
    quoted = table.connection.adapter.quote_identifier(asked.column)
    attribute = table().heading.attributes[asked.column]
    kind = kind_of_column(attribute)
    if str(attribute.type).lower().startswith(("datetime", "timestamp", "date")):
        kind = "time"
    if asked.sign in ("null", "not null"):
        return f"{quoted} IS {asked.sign.upper()}"
    if kind in ("whole", "number"):
        return f"{quoted} {asked.sign} {_number(asked)!r}"
    if kind == "time":
        return f"{quoted} {asked.sign} '{_time(asked)}'"
    if asked.sign in _NUMBERS:
        problem = f"compares {asked.column} by size, which holds no numbers"
        raise ParameterError(FIELD, f"{asked.sign} {asked.value}", problem, "use = or !=")
    value = _truth(asked) if kind == "flag" else asked.value
    if kind == "text" and (choices := _choices(str(attribute.type))) and value not in choices:
        raise _no_value(asked, use_one_of(asked.value, choices))
    equal: Restriction = {asked.column: value}
    return equal if asked.sign == "=" else Not(equal)


def _choices(kind: str) -> list[str]:
    """Return the values of an enum of MySQL; PostgreSQL names a type only."""
    return re.findall(r"'([^']*)'", kind) if kind.lower().startswith("enum(") else []


def _no_value(asked: Comparison, remedy: str) -> ParameterError:
    return ParameterError(FIELD, asked.value, f"is no value of {asked.column}", remedy)


def _number(asked: Comparison) -> float | int:
    try:
        value = float(asked.value)
        if value - value == 0:
            return int(value) if value.is_integer() and abs(value) < 2**53 else value
    except ValueError:
        pass
    raise _no_value(asked, "write a number")


def _time(asked: Comparison) -> str:
    try:
        value: Any = datetime.fromisoformat(asked.value)
    except ValueError:
        raise _no_value(asked, "write a time as 2026-01-31 or '2026-01-31 12:00:00'") from None
    return str(value.replace(tzinfo=None).isoformat(" ", "seconds"))


def _truth(asked: Comparison) -> bool:
    if asked.value.lower() not in _TRUTH:
        raise _no_value(asked, "write true or false")
    return _TRUTH[asked.value.lower()]
