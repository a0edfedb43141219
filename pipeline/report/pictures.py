"""Pictures of a report: copies of stored figures, small ones of them, and learning curves."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import models

from ..store.stored_figures import StoredFigure, to_png
from ..tables.network_rows import learning_curve
from .names import figure_name
from .rows import FIGURES, TERM_CURVES, NetworkRows, Row
from .site import Site, fingerprint

THUMBNAIL = (240, 160)  # pixels, at most
CURVES_DPI = 150
SHOWN_DPI = 144  # CSS pixels an inch, so that letters of 8 points are 16 pixels
CAPTIONS = {
    "trials": "Trials: network solid, target dashed",
    "psychometric": "Psychometric curves",
    "fixed_points": "Fixed points",
    "line_attractors": "Line attractors",
    "continuous_attractors": "Slow manifolds",
}
# Kinds with a small picture in the table of networks, of their first setting.
SMALL = ("trials", "fixed_points")


@dataclass(frozen=True)
class Picture:
    """A figure of a table, and where the report has it.

    Attributes
    ----------
    kind, caption : str
    path : str
        Of its copy, from the folder of the report.
    small : str
        Of its small picture; "" without one.
    reference : StoredFigure
    """

    kind: str
    caption: str
    path: str
    small: str
    reference: StoredFigure

    @property
    def made_from(self) -> str:
        """The fingerprint of its file in the store."""
        return fingerprint(self.reference.stored)


def pictures_of(network: NetworkRows) -> list[Picture]:
    """Return the pictures of a network, in the order of its page."""
    found: list[Picture] = []
    for table, row in network.figures:
        kind, columns = FIGURES[table]
        settings = [
            str(value)
            for name, value in row.items()
            if name not in network.row and name not in columns
        ]
        for column, more in columns.items():
            is_3d = "3d" in more
            name = figure_name(network.row, kind, *settings, *more)
            is_small = kind in SMALL and not is_3d and all(kind != p.kind for p in found)
            title = CAPTIONS[kind] + (" in 3D" if is_3d else "")
            found.append(
                Picture(
                    kind=kind,
                    caption=", ".join([title, *(text.replace("_", " ") for text in settings)]),
                    path=f"figures/{name}",
                    small=f"thumbnails/{name}" if is_small else "",
                    reference=row[column],
                )
            )
    return found


def copy_picture(site: Site, picture: Picture) -> None:
    """Write the copy of a figure and its small picture, where they are not there already.

    Raises
    ------
    OSError, MissingExternalFile, DamagedFile
        Where the store does not have it as it was stored.
    """
    # What small pictures are is the second part: others are made anew.
    wanted = {picture.path: picture.made_from}
    if picture.small:
        wanted[picture.small] = fingerprint(picture.made_from, THUMBNAIL)
    if all(site.is_current(path, made_from) for path, made_from in wanted.items()):
        for path in wanted:
            site.keep(path)
        return
    content = picture.reference.read()
    site.write(picture.path, wanted[picture.path], lambda: content)
    if picture.small:
        site.write(picture.small, wanted[picture.small], lambda: thumbnail(content))


def shown_width(path: Path) -> int:
    """Return the width of a PNG file on a page, in CSS pixels: letters are alike in all of them."""
    from PIL import Image

    from models.plots.layout import DPI  # which imports matplotlib

    with Image.open(path, formats=("PNG",)) as image:  # reads its first bytes alone
        inches = image.width / float(image.info.get("dpi", (DPI,))[0])
    return round(inches * SHOWN_DPI)


def thumbnail(content: bytes) -> bytes:
    """Return a small picture of a PNG file, as one."""
    from PIL import Image

    with Image.open(io.BytesIO(content), formats=("PNG",)) as image:
        shown = image.convert("RGB")
        shown.thumbnail(THUMBNAIL, reducing_gap=2.0)
        buffer = io.BytesIO()
        shown.quantize(64).save(buffer, format="PNG", optimize=False)
        return buffer.getvalue()


def curves_made_from(row: Row, terms: Sequence[Row] = ()) -> list[Any]:
    """Return what says which curves a network and its terms have, without reading them."""
    of_terms = [term[name] for term in terms for name in TERM_CURVES]
    files = [row[name] for name in ("loss_curve", "score_curve")] + of_terms
    return [None if one is None else one.stored for one in files] + [row["status"]]


def learning_curves(networks: Sequence[NetworkRows]) -> bytes:
    """Return the figure of the learning curves of networks, as a PNG file."""
    figure = models.plot_learning_curves(
        [learning_curve(n.row, terms=n.tables["terms"]) for n in networks]
    )
    return to_png(figure, CURVES_DPI)
