"""Tables as files: CSV, Parquet where pyarrow is installed, and their arrays as npz."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from tasks_lib.errors import ParameterError

from .selection import Column, Kind, TableRows

EXTRA = "parquet"


def parquet_library() -> ModuleType:
    """Return pyarrow.

    Raises
    ------
    ParameterError
        Where it is not installed.
    """
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        raise ParameterError(
            "parquet", True, "takes pyarrow, which is not installed",
            f'pip install "rnn-pipeline[{EXTRA}]", or leave it out: the tables are CSV then',
        ) from None  # fmt: skip
    return pyarrow


def cell(kind: Kind, value: Any) -> Any:
    """Return a value as files of tables hold it: a number, a text, a time, a truth value, None."""
    if value is None:
        return None
    if kind == "flag":
        return bool(value)  # MySQL has none
    if kind == "whole":
        return int(value)
    if kind == "number":
        return float(value)
    if kind == "json":
        return json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(", ", ": "))
    return value if kind == "time" else str(value)


def csv_text(columns: list[Column], rows: list[list[Any]]) -> str:
    """Return rows of cells as CSV: UTF-8, commas, a header.

    Texts stand in quotes and what is missing is nothing, so that an empty text is another thing.
    Numbers have as many digits as they need to be read back to the bit.
    """
    lines = [",".join(_quoted(column.name) for column in columns)]
    lines += [",".join(map(_csv_cell, row)) for row in rows]
    return "\n".join(lines) + "\n"


def _csv_cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return repr(value)
    return _quoted(str(value))  # also times: 2026-11-28 16:14:19


def _quoted(text: str) -> str:
    return '"' + text.replace('"', '""') + '"'


def write_table(
    folder: Path, table: TableRows, extra: Mapping[str, list[str | None]], parquet: bool
) -> None:
    """Write one table as CSV, its arrays as npz, and as Parquet too if that is wanted.

    A cell of a column of arrays names the array in the npz file: ``column/number of the row``.

    Parameters
    ----------
    folder : Path
    table : TableRows
    extra : mapping
        Further columns of texts, by name.
    parquet : bool
    """
    columns = [*table.columns, *(Column(name, "text", "file of this export") for name in extra)]
    arrays: dict[str, Any] = {}  # references: the files are read one at a time
    rows: list[list[Any]] = []
    for number, row in enumerate(table.rows):
        cells: list[Any] = []
        for column in table.columns:
            value = row[column.name]
            if column.kind == "array" and value is not None:
                name = f"{column.name}/{number}"
                arrays[name] = value
                value = name
            cells.append(cell(column.kind, value))
        rows.append([*cells, *(values[number] for values in extra.values())])
    (folder / f"{table.title}.csv").write_bytes(csv_text(columns, rows).encode())
    if arrays:
        _write_arrays(folder / f"{table.title}.npz", arrays)
    if parquet:
        _write_parquet(folder / f"{table.title}.parquet", columns, rows)


def _write_arrays(path: Path, arrays: Mapping[str, Any]) -> None:
    """Write arrays as `numpy.savez` does, but one at a time: all may be more than memory holds."""
    with zipfile.ZipFile(path, "w") as archive:
        for name, value in arrays.items():
            loaded = np.asarray(value.load() if hasattr(value, "load") else value)
            if loaded.dtype.hasobject:
                raise ParameterError(
                    path.stem, name, "is no array of numbers", "leave its module out"
                )
            with archive.open(zipfile.ZipInfo(f"{name}.npy"), "w", force_zip64=True) as member:
                np.lib.format.write_array(member, loaded, allow_pickle=False)
            if hasattr(value, "_cached"):
                value._cached = None


def _write_parquet(path: Path, columns: list[Column], rows: list[list[Any]]) -> None:
    pyarrow = parquet_library()
    types = {
        "whole": pyarrow.int64(), "number": pyarrow.float64(), "flag": pyarrow.bool_(),
        "time": pyarrow.timestamp("us"),
    }  # fmt: skip
    fields = [
        pyarrow.field(
            column.name,
            types.get(column.kind, pyarrow.string()),
            metadata={"comment": column.comment} if column.comment else None,
        )
        for column in columns
    ]
    values = [[row[number] for row in rows] for number in range(len(columns))]
    table = pyarrow.Table.from_arrays(
        [pyarrow.array(v, type=f.type) for v, f in zip(values, fields, strict=True)],
        schema=pyarrow.schema(fields),
    )
    pyarrow.parquet.write_table(table, path)
