"""Figures in the store: read when they are looked at, and saved in other formats."""

from __future__ import annotations

import io
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, TypeGuard

from datajoint.errors import DataJointError
from datajoint.storage import StorageBackend

from models.machine.atomic_file import write_atomically
from tasks_lib.errors import ParameterError, text_of

from .checked_files import damaged, has_hash, read_checked

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from models.plots.files import DescribedFigure
    from models.plots.style import Style

PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
DPI = 300
FORMATS = ("png", "pdf", "svg")  # of figures that are saved


def is_figure(value: Any) -> TypeGuard[Figure]:
    """Return whether a value is a matplotlib Figure."""
    # Who has one has imported matplotlib; who has none is not to wait for it.
    matplotlib = sys.modules.get("matplotlib.figure")
    return matplotlib is not None and isinstance(value, getattr(matplotlib, "Figure", ()))


def is_described(value: Any) -> TypeGuard[DescribedFigure]:
    """Return whether a value is a figure with what is to stand in its files."""
    files = sys.modules.get("models.plots.files")
    return files is not None and isinstance(value, files.DescribedFigure)


def to_png(figure: Figure | DescribedFigure | bytes, dpi: int = DPI) -> bytes:
    """Return the PNG bytes of a figure; PNG bytes are returned as they are."""
    if is_figure(figure) or is_described(figure):
        from models.plots.files import figure_file

        return figure_file(figure, dpi=dpi)
    if isinstance(figure, bytes) and figure.startswith(PNG_SIGNATURE):
        return figure
    raise DataJointError(
        f"figure = {type(figure).__name__}: is neither a matplotlib Figure nor PNG bytes; "
        "pass one of these"
    )


class StoredFigure:
    """A figure in the store, read when it is first looked at.

    Attributes
    ----------
    path : str
        From the store's root.
    n_bytes : int
    stored : dict
        What the row keeps of the file.
    redrawn : callable
        Draws the figure of a path anew, as the content of a file of some format, in a style. The
        tables set it, which know what their figures are drawn from.
    """

    redrawn: ClassVar[Callable[[str, str, Style | None, bool], bytes]]

    def __init__(self, stored: dict[str, Any], backend: StorageBackend) -> None:
        self.path = str(stored["path"])
        self.n_bytes = int(stored["n_bytes"])
        self.stored = stored
        self._backend = backend
        self._png: bytes | None = None

    @property
    def png(self) -> bytes:
        """The PNG file's bytes.

        Raises
        ------
        DamagedFile
            Where they are not those that were stored.
        """
        if self._png is None:
            self._png = self.read()
        return self._png

    def read(self) -> bytes:
        """Return the PNG file's bytes, read anew and not kept: for those who read thousands."""
        return read_png(self.stored, self._backend)

    def save(self, path: str | Path, style: Style | None = None, footer: bool = False) -> Path:
        """Write the figure to a file: PNG, PDF or SVG, by the ending of its name.

        A PNG file is the stored one. Of anything else the figure is drawn anew from the rows that
        it is of, by the present code, whose version the file's metadata name.

        Parameters
        ----------
        path : str or Path
        style : str, Path or mapping, optional
            A matplotlib style: see `models.figure_style`.
        footer : bool
            Whether network, parameters' names and the version of the code stand below it too.

        Raises
        ------
        ParameterError
            For another ending, and where the row is gone, or its table cannot draw.
        """
        target = Path(path)
        kind = target.suffix.lower().removeprefix(".")
        if kind not in FORMATS:
            raise ParameterError(
                "path", str(path), "names no format by its ending",
                f"end it with {', '.join('.' + name for name in FORMATS)}",
            )  # fmt: skip
        if kind == "png" and style is None and not footer:
            content = self.png
        else:
            content = type(self).redrawn(self.path, kind, style, footer)
        write_atomically(target, lambda file: file.write(content))
        return target

    def _repr_png_(self) -> bytes:
        return self.png

    def __repr__(self) -> str:
        return f"StoredFigure({self.path!r}, {self.n_bytes} bytes)"


def read_png(stored: dict[str, Any], backend: StorageBackend) -> bytes:
    """Read a PNG file of the store; refuse it where it does not hold what was stored."""
    content = read_checked(stored, backend)
    if not has_hash(stored):
        from PIL import Image

        try:
            with Image.open(io.BytesIO(content), formats=("PNG",)) as image:
                image.verify()  # the checksums that PNG has of its own
        except Exception as error:  # of whatever kind, says Pillow
            raise damaged(
                stored, backend, f"it is not a whole PNG file: {text_of(error)}"
            ) from None
    elif not content.startswith(PNG_SIGNATURE):
        raise damaged(stored, backend, "it is not a PNG file")
    return content
