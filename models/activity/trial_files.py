"""Files of trials: netCDF, for xarray and others, and npz, for NumPy alone."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np

from tasks_lib.errors import ParameterError

from ..machine.atomic_file import write_atomically

if TYPE_CHECKING:
    import xarray


def _write_netcdf(dataset: xarray.Dataset, file: BinaryIO) -> None:
    # SciPy is there anyway, and version 3 of the format is read everywhere.
    file.write(bytes(dataset.to_netcdf(engine="scipy")))


def _write_npz(dataset: xarray.Dataset, file: BinaryIO) -> None:
    arrays: dict[str, Any] = {str(name): dataset[name].values for name in dataset.variables}
    dimensions = {str(name): list(dataset[name].dims) for name in dataset.variables}
    np.savez_compressed(
        file, **arrays, dimensions=json.dumps(dimensions), attributes=json.dumps(dataset.attrs)
    )


_WRITERS: dict[str, Callable[[xarray.Dataset, BinaryIO], None]] = {
    ".nc": _write_netcdf,
    ".npz": _write_npz,
}


def write_trials(dataset: xarray.Dataset, path: str | Path) -> Path:
    """Write the trials of `get_trials` to a file; its ending says how.

    ``.nc``: netCDF, which `xarray.open_dataset`, MATLAB and others read. ``.npz``: an array for
    each variable and coordinate, and the names of their dimensions as JSON text.

    Raises
    ------
    ParameterError
        For another ending.
    """
    target = Path(path)
    if target.suffix not in _WRITERS:
        raise ParameterError(
            "path", str(target), "has no ending that is known", f"use {' or '.join(_WRITERS)}"
        )
    write = _WRITERS[target.suffix]
    write_atomically(target, lambda file: write(dataset, file))
    return target
