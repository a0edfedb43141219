"""Values of a capsule: rows as lines of JSON, and arrays as npy files, which are never pickles."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from io import BytesIO
from typing import Any, NoReturn

import numpy as np
from numpy.lib import format as npy_format
from numpy.typing import NDArray

from tasks_lib.errors import ParameterError

from ..store.checked_files import HEADERS, NO_ARRAY

ARRAY, FIGURE = "array", "figure"
ENDINGS = {ARRAY: ".npy", FIGURE: ".png"}
MOST_DEPTH = 32  # of a value in JSON
# What the numbers of an array may be; no objects, which only pickle could read.
NUMBERS = "biufc"
# Kind of a column -> what its values are in JSON; those of "json" are any.
TYPES: dict[str, tuple[type, ...]] = {
    "whole": (int,), "number": (float, int), "flag": (bool,), "text": (str,), "time": (str,),
    ARRAY: (str,), FIGURE: (str,),
}  # fmt: skip


def row_text(row: Mapping[str, Any], where: str) -> str:
    """Return a row as a line of JSON.

    Raises
    ------
    ParameterError
        For a number that is not finite, which no column should hold.
    """
    try:
        return json.dumps(row, sort_keys=True, ensure_ascii=False, allow_nan=False) + "\n"
    except ValueError:
        raise ParameterError(
            where, {k: v for k, v in row.items() if v != v}, "has a number that is not finite",
            "delete the row and have it computed again",
        ) from None  # fmt: skip


def problem_of(value: Any, kind: str, in_key: bool) -> str:
    """Return what is wrong with a value of a column; nothing where it is one of its kind."""
    if value is None:
        return "is missing" if in_key else ""
    if kind == "json":
        return "" if _depth(value) <= MOST_DEPTH else "is nested too deep"
    if not isinstance(value, TYPES[kind]) or (isinstance(value, bool) and kind != "flag"):
        return f"is no {kind}"
    if kind == "time":
        try:
            datetime.fromisoformat(str(value))
        except ValueError:
            return "is no time"
    return ""


def array_in(content: bytes) -> NDArray[Any]:
    """Return the array of numbers in the content of an npy file; no pickle is ever read.

    Raises
    ------
    ValueError
        For anything else, also where there are more bytes than the array has.
    """
    file = BytesIO(content)
    try:
        shape, _, dtype = HEADERS[npy_format.read_magic(file)](file)
    except (KeyError, *NO_ARRAY):
        raise ValueError("it is no npy file") from None
    if dtype.hasobject:
        raise ValueError("it holds Python objects, which are never read")
    if dtype.kind not in NUMBERS:
        raise ValueError("it holds something else than numbers")
    n_bytes = dtype.itemsize
    for length in shape:
        n_bytes *= length
    if min(shape, default=0) < 0 or len(content) != file.tell() + n_bytes:
        raise ValueError("its size is not that of its shape")
    file.seek(0)
    return np.asarray(npy_format.read_array(file, allow_pickle=False))


def refuse_constant(text: str) -> NoReturn:
    """Refuse NaN and infinity, which Python reads in JSON although they are none of it."""
    raise ValueError(f"{text} is no number")


def _depth(value: Any) -> int:
    """Return how deep a value of JSON is nested; no deeper than is allowed is looked."""
    depth, level = 0, [value]
    while level and depth <= MOST_DEPTH:
        depth += 1
        level = [
            inner
            for one in level
            if isinstance(one, dict | list)
            for inner in (one.values() if isinstance(one, dict) else one)
        ]
    return depth
