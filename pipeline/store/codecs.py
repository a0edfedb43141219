"""How arrays and figures are stored, and that what a row says of them stays in the store."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

from datajoint.builtin_codecs import npy
from datajoint.builtin_codecs.schema import SchemaCodec
from datajoint.codecs import unregister_codec
from datajoint.errors import DataJointError
from matplotlib.figure import Figure

from .file_names import leads_out
from .pending_files import STORE, note_file

PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
DPI = 300


def check_reference(stored: Any) -> dict[str, Any]:
    """Return what a column says of a file, or refuse it where the file is not in our store.

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


def to_png(figure: Figure | bytes) -> bytes:
    """Return the PNG bytes of a figure; PNG bytes are returned as they are."""
    if isinstance(figure, Figure):
        buffer = io.BytesIO()
        # No creation date and no software tag: the same figure gives the same bytes.
        figure.savefig(buffer, format="png", dpi=DPI, metadata={"Software": None})
        return buffer.getvalue()
    if isinstance(figure, bytes) and figure.startswith(PNG_SIGNATURE):
        return figure
    raise DataJointError(
        f"figure = {type(figure).__name__}: is neither a matplotlib Figure nor PNG bytes; "
        "pass one of these"
    )


class StoredFigure:
    """A figure in the store, read when it is first looked at."""

    def __init__(self, path: str, n_bytes: int, backend: Any) -> None:
        self.path = path
        self.n_bytes = n_bytes
        self._backend = backend
        self._png: bytes | None = None

    @property
    def png(self) -> bytes:
        """The PNG file's bytes."""
        if self._png is None:
            content = self._backend.get_buffer(self.path)
            if not content.startswith(PNG_SIGNATURE):
                raise DataJointError(
                    f"figure = {self.path!r}: is not a PNG file; populate it again"
                )
            self._png = content
        return self._png

    def save(self, path: str | Path) -> Path:
        """Write the figure to a PNG file."""
        target = Path(path)
        target.write_bytes(self.png)
        return target

    def _repr_png_(self) -> bytes:
        return self.png

    def __repr__(self) -> str:
        return f"StoredFigure({self.path!r}, {self.n_bytes} bytes)"


class _NotesFiles:
    """Mixin of codecs: says which files are written, before they are."""

    def _build_path(self, *args: Any, **kwargs: Any) -> tuple[str, str]:
        path, token = super()._build_path(*args, **kwargs)  # type: ignore[misc]
        note_file(path)
        return path, token


class FigureCodec(_NotesFiles, SchemaCodec):
    """``<figure@store>``: a matplotlib figure in, a `StoredFigure` out."""

    name = "figure"

    def validate(self, value: Any) -> None:
        """Refuse what is not a figure, before anything is written."""
        if not isinstance(value, Figure):
            to_png(value)

    def encode(
        self,
        value: Any,
        *,
        key: dict[str, Any] | None = None,
        context: dict[str, Any] | None = None,
        store_name: str | None = None,
    ) -> dict[str, Any]:
        """Write the PNG file; return what the column keeps: its path and size."""
        schema, table, field, primary_key = self._extract_context(key, context)
        config = self._codec_config(key, context)
        path, _ = self._build_path(
            schema, table, field, primary_key, ext=".png", store_name=store_name, config=config
        )
        content = to_png(value)
        self._get_backend(store_name, config=config).put_buffer(content, path)
        return {"path": path, "store": store_name, "n_bytes": len(content)}

    def decode(
        self,
        stored: dict[str, Any],
        *,
        key: dict[str, Any] | None = None,
        context: dict[str, Any] | None = None,
    ) -> StoredFigure:
        """Return a reference; nothing is read yet."""
        stored = check_reference(stored)
        config = self._codec_config(key, context)
        backend = self._get_backend(stored.get("store"), config=config)
        return StoredFigure(stored["path"], stored["n_bytes"], backend)


unregister_codec("npy")


class ArrayCodec(_NotesFiles, npy.NpyCodec):
    """``<npy@store>`` of DataJoint, for files of our store alone."""

    name = "npy"

    def decode(
        self,
        stored: dict[str, Any],
        *,
        key: dict[str, Any] | None = None,
        context: dict[str, Any] | None = None,
    ) -> npy.NpyRef:
        """Return a reference; nothing is read yet."""
        return super().decode(check_reference(stored), key=key, context=context)
