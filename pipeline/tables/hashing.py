"""The hash of a parameter set: equal for equal parameters on every machine, in every release."""

from __future__ import annotations

import hashlib
import json
import math
import numbers
import uuid
from collections.abc import Mapping
from typing import Any

import numpy as np

from tasks_lib.errors import ParameterError

RECIPE = 1
MAX_DEPTH = 50
MAX_BITS = 1024  # of a whole number: a float holds no larger one


def canonical_json(value: Any) -> str:
    """Return the canonical JSON text of a value: equal values, equal text.

    Recipe 1: objects with sorted keys; every number as the shortest decimal that gives the same
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
    """Return the hash of a parameter set, the first 128 bits of a SHA-256."""
    text = f"rnn-parameters-{RECIPE}:{canonical_json(params)}"
    return uuid.UUID(bytes=hashlib.sha256(text.encode()).digest()[:16])
