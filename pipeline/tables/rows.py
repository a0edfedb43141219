"""Rows as DataJoint users give them, brought into one form: dicts of plain values.

Dicts, fetched rows, DataFrames of pandas, polars and Arrow, structured arrays, CSV files, queries.
"""

from __future__ import annotations

import ast
import csv
import inspect
import json
import math
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import numpy as np

from tasks_lib.base import plain
from tasks_lib.documents import reason
from tasks_lib.errors import ParameterError

from ..database.types import Query

Item = TypeVar("Item")
Row = dict[str, Any]
AT_ONCE = 1000  # rows, or names, of one statement
# How the values of columns are called here, by how the types of both back ends begin.
_KINDS = {
    "bool": "flag", "tinyint": "flag", "int": "whole", "smallint": "whole", "bigint": "whole",
    "double": "number", "float": "number", "real": "number", "json": "mapping",
}  # fmt: skip
_TRUE, _FALSE = ("true", "t", "yes", "1", "1.0"), ("false", "f", "no", "0", "0.0")
_LEFT_OUT = "leave the field out for its default, or insert the DataFrame, where a gap is one"


class GivenRow(NamedTuple):
    """A row as it was given.

    Attributes
    ----------
    fields : mapping
    from_columns : bool
        Whether it comes from columns, which have one type each and gaps: whole numbers may be
        floats there, and a gap is a default.
    is_text : bool
        Whether every value is text.
    """

    fields: Mapping[str, Any]
    from_columns: bool
    is_text: bool = False


def kind_of_column(attribute: Any) -> str:
    """Return what a column of a heading holds: flag, whole, number, mapping, array or text."""
    if attribute.codec is not None:
        return "array"
    kind = str(attribute.type).lower()
    return next((kind_ for start, kind_ in _KINDS.items() if kind.startswith(start)), "text")


def given_rows(rows: Any) -> Iterator[GivenRow]:
    """Yield the rows of anything that DataJoint inserts.

    Parameters
    ----------
    rows : iterable, DataFrame, Table of Arrow, structured array, query, table or pathlib.Path
        A path is that of a CSV file whose first line names the columns, in UTF-8. The index of a
        DataFrame counts where it has names. Elements of an iterable are dicts, records of
        structured arrays or rows of a DataFrame.

    Raises
    ------
    ParameterError
        Where these are no rows, a file cannot be read, or a column is there twice.
    """
    if inspect.isclass(rows) and issubclass(rows, Query):
        rows = rows()
    if isinstance(rows, Query):
        yield from (GivenRow(row, False) for row in rows.to_dicts())
    elif isinstance(rows, Path):
        yield from _rows_of_file(rows)
    elif _is_of(rows, "pandas", "DataFrame"):
        yield from _rows_of_frame(rows)
    elif _is_of(rows, "polars", "DataFrame"):
        yield from (GivenRow(row, True) for row in rows.to_dicts())
    elif _is_of(rows, "pyarrow", "Table"):
        _refuse_twice(rows.column_names)
        yield from (GivenRow(row, True) for row in rows.to_pylist())
    elif isinstance(rows, Mapping):
        raise ParameterError("rows", rows, "is one row", "use insert1, or insert a list of rows")
    elif isinstance(rows, str) or not isinstance(rows, Iterable):
        remedy = "insert a list of dicts, a DataFrame, or pathlib.Path(...) of a CSV file"
        raise ParameterError("rows", rows, "are no rows", remedy)
    else:
        yield from map(_row, np.atleast_1d(rows) if isinstance(rows, np.ndarray) else rows)


def normal_row(row: GivenRow, kinds: Mapping[str, str]) -> Row:
    """Return a row with plain values: booleans are such, and gaps in columns are left out.

    Parameters
    ----------
    row : GivenRow
    kinds : mapping
        Column -> its kind (`kind_of_column`). Fields of others stay as they are.

    Raises
    ------
    ParameterError
        Where a field is no text, and for a NaN outside of a table's column.
    """
    values = {}
    for field, value in row.fields.items():
        if not isinstance(field, str):
            raise ParameterError("field", field, "is not a name of a field", "use text as names")
        if row.from_columns and _is_gap(value, row.is_text):
            continue
        if not row.from_columns and value is not None and _is_gap(value):
            raise ParameterError(field, value, "is not a value", _LEFT_OUT)
        kind = kinds.get(field, "")
        value = _from_text(value, kind) if row.is_text else value
        values[field] = _normal(value, kind, row.from_columns)
    return values


def in_chunks(items: Sequence[Item], size: int = AT_ONCE) -> Iterator[Sequence[Item]]:
    """Yield so many items at a time."""
    for first in range(0, len(items), size):
        yield items[first : first + size]


def _is_of(value: Any, package: str, name: str) -> bool:
    """Return whether a value is of a class of a package that is not imported for this."""
    kind = type(value)
    return kind.__name__ == name and kind.__module__.partition(".")[0] == package


def _row(row: Any) -> GivenRow:
    if isinstance(row, Mapping):
        return GivenRow(row, False)
    if isinstance(row, np.void) and row.dtype.names:
        return GivenRow({name: row[name] for name in row.dtype.names}, True)
    if _is_of(row, "pandas", "Series"):
        _refuse_twice(row.index)
        return GivenRow(row.to_dict(), True)
    problem = "is not a set of fields"
    if isinstance(row, (list, tuple, np.ndarray)):
        problem += ": which value is which would change with every column that is added"
    raise ParameterError("row", row, problem, "insert dicts of fields")


def _rows_of_frame(frame: Any) -> Iterator[GivenRow]:
    if any(name is not None for name in frame.index.names):
        _refuse_twice([*frame.index.names, *frame.columns])
        frame = frame.reset_index()
    _refuse_twice(frame.columns)
    yield from (GivenRow(row, True) for row in frame.to_dict("records"))


def _refuse_twice(columns: Iterable[Any]) -> None:
    columns = list(columns)
    for name in columns:
        if columns.count(name) > 1:
            raise ParameterError("column", name, "is there twice", "rename or drop one of the two")


def _rows_of_file(path: Path) -> Iterator[GivenRow]:
    try:
        with open(path, newline="", encoding="utf-8-sig") as file:
            lines = [line for line in csv.reader(file, strict=True) if line]
    except OSError as error:
        problem = f"cannot be read ({reason(error)})"
        raise ParameterError("FILE", str(path), problem, "mend the path") from error
    except (UnicodeDecodeError, csv.Error) as error:
        problem = f"is no CSV file in UTF-8 ({error})"
        raise ParameterError("FILE", str(path), problem, "save it as one") from error
    if not lines:
        raise ParameterError("FILE", str(path), "is empty", "name the columns in its first line")
    names = lines[0]
    _refuse_twice(names)
    for number, cells in enumerate(lines[1:], start=1):
        if len(cells) != len(names):
            problem = f"row {number} has {len(cells)} cells, and the first line names {len(names)}"
            raise ParameterError("FILE", str(path), problem, "give every row a cell for each name")
        yield GivenRow(dict(zip(names, cells, strict=True)), True, is_text=True)


def _is_gap(value: Any, is_text: bool = False) -> bool:
    if value is None or (is_text and value == ""):
        return True
    if isinstance(value, (float, np.floating)):
        return math.isnan(value)
    if isinstance(value, (np.datetime64, np.timedelta64)):
        return bool(np.isnat(value))
    pandas = sys.modules.get("pandas")  # else none of its values is here
    return pandas is not None and (value is pandas.NA or value is pandas.NaT)


def _normal(value: Any, kind: str, from_columns: bool) -> Any:
    """Return a value in plain Python; arrays stay where the column holds them."""
    if isinstance(value, (bytes, np.bytes_)) and kind == "text":
        value = bytes(value).decode("utf-8", "replace")  # of a structured array
    if kind == "array":
        return value
    value = plain(value)
    if isinstance(value, str):
        return _parsed(value) if kind == "mapping" and from_columns else value
    if kind == "flag" and isinstance(value, (int, float)) and value in (0, 1):
        return bool(value)
    if kind == "whole" and from_columns and isinstance(value, float) and value.is_integer():
        return int(value)
    return value


def _from_text(text: str, kind: str) -> Any:
    """Return what a cell of a CSV file says; the text itself where it does not say it."""
    if kind in ("mapping", "array"):
        return _parsed(text)
    if kind == "flag":
        word = text.strip().lower()
        return True if word in _TRUE else False if word in _FALSE else text
    if kind in ("whole", "number"):
        for read in (int, float):
            try:
                return read(text)
            except ValueError:
                continue
    return text


def _parsed(text: str) -> Any:
    """Return the value that JSON says, or Python as pandas writes it into a file."""
    for read in (json.loads, ast.literal_eval):
        try:
            return read(text)
        except (ValueError, SyntaxError, RecursionError, MemoryError):
            continue
    return text
