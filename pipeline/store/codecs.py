"""DataJoint codecs: how arrays and figures are stored, inside the store only."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any, Generic, TypeVar

import datajoint as dj
import numpy as np
from datajoint.builtin_codecs.npy import NpyCodec
from datajoint.builtin_codecs.schema import SchemaCodec
from datajoint.codecs import unregister_codec
from datajoint.errors import DataJointError
from datajoint.storage import StorageBackend
from numpy.typing import NDArray

from models.machine.atomic_file import naming

from .checked_files import described, map_array, read_checked, to_array
from .file_names import leads_out
from .mounts import folder_of_store
from .pending_files import STORE, note_file
from .stored_figures import StoredFigure as StoredFigure
from .stored_figures import is_described, is_figure, read_png
from .stored_figures import to_png as to_png


def check_reference(stored: Any) -> dict[str, Any]:
    """Return a column's reference to a file; raise an error if the file is not in our store.

    DataJoint joins the path to the store's folder as it is: "../../x" and "/x" lead out of it.

    Raises
    ------
    DataJointError
        For a path that is absolute or climbs, and for another store.
    """
    path = stored.get("path") if isinstance(stored, dict) else None
    if not isinstance(path, str) or not path:
        raise DataJointError(f"reference = {stored!r}: names no file; populate the row again")
    if leads_out(path):
        raise DataJointError(
            f"path = {path!r}: leads out of the store; find out who wrote this row, and delete it"
        )
    if stored.get("store") != STORE:
        raise DataJointError(
            f"store = {stored.get('store')!r}: is not {STORE!r}; find out who wrote this row, "
            "and delete it"
        )
    return stored


class StoredArray(dj.NpyRef):
    """An array in the store, read and checked when it is first used; slices read the whole file."""

    # All that DeepHash looks at when a job asks whether what it was computed from has changed: a
    # class that names no slots would be equal to every other, and one that names DataJoint's would
    # change when it is loaded.
    __slots__ = ("stored",)

    def __init__(self, stored: dict[str, Any], backend: StorageBackend) -> None:
        super().__init__(stored, backend)
        self.stored = stored

    def load(self, mmap_mode: str | None = None) -> NDArray[Any]:
        """Return the array.

        Parameters
        ----------
        mmap_mode : {"r", "c"}, optional
            Leave the numbers in the file until they are used, read only ("r") or with changes that
            stay in memory ("c"). The whole file is checked here, and what is read later is not
            checked again.

        Raises
        ------
        DamagedFile
            Where the file does not hold what was stored.
        """
        if mmap_mode is not None:
            return map_array(self.stored, self._backend, mmap_mode)
        if self._cached is None:
            content = read_checked(self.stored, self._backend)
            self._cached = to_array(self.stored, content, self._backend)
        return self._cached


Reference = TypeVar("Reference", bound="StoredFigure | StoredArray")


class CheckedCodec(SchemaCodec, Generic[Reference], register=False):
    """Base of our codecs: a row keeps the hash of its file.

    Attributes
    ----------
    reference : type
        What a fetched row holds: made of what the row keeps and the store, it reads the file later.
    """

    reference: type[Reference]

    def decode(
        self,
        stored: dict[str, Any],
        *,
        key: dict[str, Any] | None = None,
        context: dict[str, Any] | None = None,
    ) -> Reference:
        """Return a reference; nothing is read yet."""
        stored = check_reference(stored)
        config = self._codec_config(key, context)
        return self.reference(stored, self._get_backend(stored.get("store"), config=config))

    def check(self, stored: dict[str, Any], backend: StorageBackend) -> int:
        """Read a file, refuse it where it does not hold what was stored; return its size."""
        raise NotImplementedError

    def _build_path(self, *args: Any, **kwargs: Any) -> tuple[str, str]:
        path, token = super()._build_path(*args, **kwargs)
        note_file(path)  # before it is written
        return path, token

    def _store(
        self,
        content: bytes,
        ending: str,
        key: dict[str, Any] | None,
        context: dict[str, Any] | None,
        store_name: str | None,
    ) -> dict[str, Any]:
        """Write a file; return what the row keeps of it."""
        schema, table, field, primary_key = self._extract_context(key, context)
        config = self._codec_config(key, context)
        path, _ = self._build_path(
            schema, table, field, primary_key, ext=ending, store_name=store_name, config=config
        )
        with naming(path if (folder := folder_of_store()) is None else Path(folder, path)):
            self._get_backend(store_name, config=config).put_buffer(content, path)
        return {"path": path, "store": store_name, **described(content)}


class FigureCodec(CheckedCodec[StoredFigure]):
    """``<figure@store>``: a matplotlib figure in, a `StoredFigure` out."""

    name = "figure"
    reference = StoredFigure

    def validate(self, value: Any) -> None:
        """Refuse what is not a figure, before anything is written."""
        if not (is_figure(value) or is_described(value)):
            to_png(value)

    def encode(
        self,
        value: Any,
        *,
        key: dict[str, Any] | None = None,
        context: dict[str, Any] | None = None,
        store_name: str | None = None,
    ) -> dict[str, Any]:
        """Write the PNG file; return what the column keeps: its path, its size and its hash."""
        return self._store(to_png(value), ".png", key, context, store_name)

    def check(self, stored: dict[str, Any], backend: StorageBackend) -> int:
        """Read a figure, refuse it where it is not what was stored; return its size."""
        return len(read_png(stored, backend))


unregister_codec("npy")


class ArrayCodec(CheckedCodec[StoredArray], NpyCodec):
    """``<npy@store>`` of DataJoint, for files of our store alone, with their hash in the row."""

    name = "npy"
    reference = StoredArray

    def encode(
        self,
        value: Any,
        *,
        key: dict[str, Any] | None = None,
        context: dict[str, Any] | None = None,
        store_name: str | None = None,
    ) -> dict[str, Any]:
        """Write the npy file; return what DataJoint's codec does, and its size and its hash."""
        buffer = io.BytesIO()
        np.save(buffer, value, allow_pickle=False)
        return {
            **self._store(buffer.getvalue(), ".npy", key, context, store_name),
            "dtype": str(value.dtype),
            "shape": list(value.shape),
        }

    def check(self, stored: dict[str, Any], backend: StorageBackend) -> int:
        """Read an array, refuse it where it is not what was stored; return its size."""
        content = read_checked(stored, backend)
        to_array(stored, content, backend)
        return len(content)
