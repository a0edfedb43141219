"""The hash of a parameter set: equal for equal parameters on every machine, in every release."""

from __future__ import annotations

import hashlib
import json
import math
import numbers
import uuid
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np

from tasks_lib.errors import ParameterError

from .current_defaults import current_defaults
from .released_defaults import DEFAULTS

FIRST = "0.1.0"  # the release whose rows have recipe 1
NONE: Mapping[str, Any] = MappingProxyType({})
MAX_DEPTH = 50
MAX_BITS = 1024  # of a whole number: a float holds no larger one


class Nested(NamedTuple):
    """A field that is a mapping of arguments, whose defaults are those of what another one names.

    Attributes
    ----------
    field, named_by : str
    kind : str
        Of what is named, as in `released_defaults`.
    """

    field: str
    named_by: str
    kind: str


NESTED = {
    "NetworkParams": Nested("activation_args", "activation", "activation"),
    "Task": Nested("params", "task_class", "Task"),
}


def canonical_json(value: Any) -> str:
    """Return the canonical JSON text of a value: equal values, equal text.

    Objects with sorted keys; every number as the shortest decimal that gives the same
    float64 back, whole numbers without a point, so that 1 and 1.0 are one number; text in quotes,
    so that "1" is another; true, false and null by their names; sequences as lists.
    """
    return _text("params", value)


def check_storable(field: str, value: Any, depth: int = 0) -> None:
    """Refuse parameters that no database keeps: nested too deep, or with characters of no text.

    Raises
    ------
    ParameterError
        Naming the place.
    """
    if depth > MAX_DEPTH:
        problem = f"is nested more than {MAX_DEPTH} deep"
        raise ParameterError(field[:100], type(value).__name__, problem, "make it flatter")
    if isinstance(value, str):
        if any(c == "\0" or "\ud800" <= c <= "\udfff" for c in value):
            problem = "holds a character that databases do not keep (NUL, or half of a pair)"
            raise ParameterError(field, value, problem, "leave it out")
    elif isinstance(value, Mapping):
        for key, inner in value.items():
            check_storable(f"{field}, a key" if depth else "field", key, depth)
            check_storable(f"{field}.{key}" if depth else str(key), inner, depth + 1)
    elif isinstance(value, (list, tuple)):
        for number, inner in enumerate(value):
            check_storable(f"{field}[{number}]", inner, depth + 1)
    elif isinstance(value, int) and value.bit_length() > MAX_BITS:
        raise ParameterError(field, value, "is too large", f"give less than 2^{MAX_BITS}")


def _text(field: str, value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, (bool, np.bool_)):
        return "true" if value else "false"
    if isinstance(value, numbers.Integral):
        return str(int(value))
    if isinstance(value, numbers.Real):
        number = float(value)
        if not math.isfinite(number):
            raise ParameterError(field, number, "is not finite", "give a finite number")
        return str(int(number)) if number.is_integer() else repr(number)
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=True)
    if isinstance(value, np.ndarray):
        return _text(field, value.tolist())
    if isinstance(value, (list, tuple)):
        return "[" + ",".join(_text(f"{field}[{i}]", v) for i, v in enumerate(value)) + "]"
    if isinstance(value, Mapping):
        for key in value:
            if not isinstance(key, str):
                raise ParameterError(field, key, "is not a text key", "use text as keys")
        items = (f"{json.dumps(k)}:{_text(f'{field}.{k}', value[k])}" for k in sorted(value))
        return "{" + ",".join(items) + "}"
    raise ParameterError(
        field,
        type(value).__name__,
        "cannot be stored as a parameter",
        "use numbers, text, true, false, null, lists and objects",
    )


def parameter_hash(params: Mapping[str, Any]) -> uuid.UUID:
    """Return the hash of any set of values: the first 128 bits of a SHA-256.

    Of recipe 1, over everything. Keys of jobs are known by it, and parameter sets of databases
    that have not had the migration to recipe 2.
    """
    return _digest(f"rnn-parameters-1:{canonical_json(params)}")


def row_hash(table: str, parameters: Mapping[str, Any], current: Mapping[str, Any] = NONE) -> str:
    """Return the hash of a parameter set in its table, by the present recipe.

    Recipe 2 is over what differs from the defaults that releases had (`released_defaults`): a
    field that a later release adds changes no hash of sets that leave it at its default. What no
    release has had yet has the defaults of the code. A task of a user's own is hashed whole.

    Parameters
    ----------
    table : str
        Name of the table's class.
    parameters : dict
        Complete; or without fields that have a released default, which makes no difference.
    current : dict, optional
        Field -> default, for fields that no release has had yet. Arguments of tasks and
        activations of this library are known.
    """
    differing = _differing(table, parameters, DEFAULTS.values(), current)
    for nested in filter(None, [NESTED.get(table)]):
        if differing.get(nested.field) == {}:
            del differing[nested.field]
    return str(_digest(f"rnn-parameters-2:{table}:{canonical_json(differing)}"))


def row_hashes(
    table: str, parameters: Mapping[str, Any], current: Mapping[str, Any] = NONE
) -> tuple[str, str]:
    """Return the hashes under which a parameter set may be stored: by recipe 2, and by recipe 1.

    That of recipe 1 is over the fields that the release `FIRST` had, and later ones that differ
    from their default: it is the hash of a row that was stored before there were those.
    """
    later = [kinds for release, kinds in DEFAULTS.items() if release != FIRST]
    first = DEFAULTS[FIRST].get(table, {})
    added = {name: value for name, value in current.items() if name not in first}
    by_recipe_1 = parameter_hash(_differing(table, parameters, later, added))
    return row_hash(table, parameters, current), str(by_recipe_1)


def _differing(
    table: str,
    parameters: Mapping[str, Any],
    releases: Iterable[Mapping[str, Mapping[str, Any]]],
    current: Mapping[str, Any],
) -> dict[str, Any]:
    """Return the fields that differ from the defaults of releases, or from present ones."""
    defaults = dict(current)
    arguments: dict[str, Any] = {}
    nested = NESTED.get(table)
    named = f"{nested.kind} {parameters.get(nested.named_by)}" if nested else ""
    if nested:
        released = {name for kinds in DEFAULTS.values() for name in kinds.get(named, ())}
        of_the_code = current_defaults(named).items()
        arguments = {name: value for name, value in of_the_code if name not in released}
    for kinds in releases:
        defaults |= kinds.get(table, {})
        arguments |= kinds.get(named, {})
    kept = {}
    for name, value in parameters.items():
        if nested and name == nested.field and isinstance(value, Mapping):
            kept[name] = {k: v for k, v in value.items() if not _is_default(k, v, arguments)}
        elif not _is_default(name, value, defaults):
            kept[name] = value
    return kept


def _is_default(name: str, value: Any, defaults: Mapping[str, Any]) -> bool:
    return name in defaults and _text(name, value) == _text(name, defaults[name])


def _digest(text: str) -> uuid.UUID:
    return uuid.UUID(bytes=hashlib.sha256(text.encode()).digest()[:16])
