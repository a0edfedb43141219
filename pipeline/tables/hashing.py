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


def canonical_json(value: Any) -> str:
    """Return the canonical JSON text of a value: equal values, equal text.

    Recipe 1: objects with sorted keys; every number as the shortest decimal that gives the same
    float64 back, whole numbers without a point, so that 1 and 1.0 are one number; text in quotes,
    so that "1" is another; true, false and null by their names; sequences as lists.
    """
    return _text("params", value)


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
