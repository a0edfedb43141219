"""NWB files: opened where they are what they seem, and hold all that they show."""

from __future__ import annotations

import importlib
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tasks_lib.errors import ParameterError

MISSING = "needs pynwb, which is not installed"
REMEDY = "pip install 'rnn-pipeline[nwb]'"


def library(path: str | Path) -> Any:
    """Return pynwb.

    Raises
    ------
    ParameterError
        Where it is not installed.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return importlib.import_module("pynwb")
    except ImportError:
        raise ParameterError("path", str(path), MISSING, REMEDY) from None


@contextmanager
def opened(path: Path) -> Iterator[Any]:
    """Give the contents of an NWB file, which stays open for as long.

    Raises
    ------
    ParameterError
        Where there is no such file, it is no NWB file, parts of it lie in files that are not
        there or outside its folder, or pynwb cannot read it.
    """
    pynwb = library(path)
    check_file(path)
    with warnings.catch_warnings():
        # Of namespaces that are cached in another version, and the like.
        warnings.simplefilter("ignore")
        try:
            file = pynwb.NWBHDF5IO(str(path), "r")
        except Exception as error:
            raise _unreadable(path, error) from None
        try:
            try:
                contents = file.read()
            except Exception as error:
                raise _unreadable(path, error) from None
            yield contents
        finally:
            file.close()


def _unreadable(path: Path, error: Exception) -> ParameterError:
    text = " ".join(str(error).split())[:300] or type(error).__name__
    remedy = "see what nwbinspector says of it, and mend it"
    return ParameterError("path", str(path), f"cannot be read by pynwb: {text}", remedy)


def check_file(path: Path) -> None:
    """See that a file is NWB in HDF5, and refers to no other file outside its folder.

    Raises
    ------
    ParameterError
    """
    import h5py

    named = str(path)
    if not path.is_file():
        raise ParameterError("path", named, "is no file", "mend the path")
    if not h5py.is_hdf5(named):
        problem = "is no HDF5 file, as NWB files are"
        raise ParameterError("path", named, problem, "give a .nwb file; Zarr is not read")
    with h5py.File(named, "r") as file:
        if "nwb_version" not in file.attrs:
            problem = "is an HDF5 file without the attribute nwb_version, and so no NWB file"
            raise ParameterError("path", named, problem, "convert it, with neuroconv say")
    _check_links(path, path.resolve().parent)


def _check_links(path: Path, folder: Path) -> None:
    """Refuse links out of a folder, in a file of it and in all that this links to."""
    import h5py

    waiting, seen = [path.resolve()], set()
    while waiting:
        current = waiting.pop()
        if current in seen:
            continue
        seen.add(current)
        with h5py.File(current, "r") as file:
            for place, name in _outside(file):
                target = (current.parent / name).resolve()
                what = f"{place} in {current.name} lies in {name!r}"
                if not target.is_relative_to(folder):
                    raise ParameterError(
                        "path", str(path), f"{what}, outside the folder of the file",
                        "copy what it links to into the file: pynwb's NWBHDF5IO.export does",
                    )  # fmt: skip
                if not target.is_file():
                    problem = f"{what}, which is not there"
                    raise ParameterError("path", str(path), problem, "put it beside the file")
                if h5py.is_hdf5(target):
                    waiting.append(target)


def _outside(file: Any) -> Iterator[tuple[str, str]]:
    """Yield what of an HDF5 file lies in others: its place, and the other file."""
    import h5py

    groups, seen = [file["/"]], set()
    while groups:
        group = groups.pop()
        if group.id in seen:  # hard links may go round
            continue
        seen.add(group.id)
        for name in group:
            place = f"{group.name.rstrip('/')}/{name}"
            link = group.get(name, getlink=True)
            if isinstance(link, h5py.ExternalLink):
                yield place, link.filename
                continue
            if isinstance(link, h5py.SoftLink):
                continue  # what it leads to is met where it is
            item = group[name]
            if isinstance(item, h5py.Group):
                groups.append(item)
            elif isinstance(item, h5py.Dataset):
                for other, _, _ in item.external or ():
                    yield place, other
                if item.is_virtual:
                    for source in item.virtual_sources():
                        if source.file_name != ".":
                            yield place, source.file_name
