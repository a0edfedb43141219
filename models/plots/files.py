"""Figures as files: PNG, PDF and SVG, with what they show in their metadata."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from matplotlib import rcParams
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.transforms import Bbox

from tasks_lib.errors import check_choice

from .layout import DPI, fitted, letter
from .style import plain_matplotlib

FORMATS = ("png", "pdf", "svg")
# Of zlib: three quarters of the time of the usual 6, and files as large to a tenth.
COMPRESSION = 4


@dataclass(frozen=True)
class DescribedFigure:
    """A figure, and what is written into its files.

    Attributes
    ----------
    figure : Figure
    about : mapping of str to what JSON holds
        Table, network, parameters, version of the code.
    """

    figure: Figure
    about: Mapping[str, Any] = field(default_factory=dict)

    @property
    def title(self) -> str:
        """What it is of, in a line: table, network and settings."""
        of = self.about.get("of", {})
        names = [
            f"seed {value}" if name == "seed" else str(value)
            for name, value in of.items()
            if name != "first_seed" or "seed" not in of
        ]
        return " · ".join([str(self.about.get("table", "")), *names]).strip(" ·")

    @property
    def software(self) -> str:
        """Who drew it."""
        return str(self.about.get("code", ""))


@plain_matplotlib()
def figure_file(
    shown: Figure | DescribedFigure, kind: str = "png", dpi: int = DPI, footer: bool = False
) -> bytes:
    """Return a figure as the content of a file: no date in it, so that it is always the same.

    Parameters
    ----------
    shown : Figure or DescribedFigure
        What is known of it goes into the file's metadata: title, description (JSON), software.
    kind : {"png", "pdf", "svg"}
    dpi : int
        Dots per inch, of PNG.
    footer : bool
        Whether what it shows, and who drew it, stand below it in small letters too.
    """
    check_choice("format", kind, FORMATS)
    described = shown if isinstance(shown, DescribedFigure) else DescribedFigure(shown)
    figure, texts = described.figure, _texts(described, kind)
    buffer = io.BytesIO()
    if footer:
        note, height = _draw_footer(described)
        box = Bbox([[0.0, -height], [figure.get_figwidth(), figure.get_figheight()]])
        try:
            figure.savefig(buffer, format=kind, dpi=dpi, metadata=texts, bbox_inches=box)
        finally:
            note.remove()
    elif kind == "png":
        _write_png(figure, buffer, dpi, texts)
    else:
        figure.savefig(buffer, format=kind, metadata=texts)
    return buffer.getvalue()


def _write_png(figure: Figure, buffer: io.BytesIO, dpi: int, texts: Mapping[str, Any]) -> None:
    """Write a PNG: `savefig` lays a figure out once more before it draws it."""
    from PIL import Image
    from PIL.PngImagePlugin import PngInfo

    info = PngInfo()
    for name, text in texts.items():
        if text is not None:
            info.add_itxt(name, text)
    before = figure.dpi
    figure.dpi = dpi
    try:
        canvas: Any = FigureCanvasAgg(figure)
        canvas.draw()
        pixels = np.asarray(canvas.buffer_rgba())
        # Paper is opaque: without the fourth channel a quarter less is to be compressed.
        opaque = bool((pixels[..., 3] == 255).all())
        image = Image.fromarray(pixels).convert("RGB" if opaque else "RGBA")
        image.save(buffer, "png", pnginfo=info, dpi=(dpi, dpi), compress_level=COMPRESSION)
    finally:
        figure.dpi = before


def _texts(described: DescribedFigure, kind: str) -> dict[str, Any]:
    """Return the metadata under the names that the format has for them."""
    about = dict(described.about)
    title = described.title or None
    everything = json.dumps(about, ensure_ascii=False, sort_keys=True) if about else None
    software = described.software or None
    if kind == "png":
        return {"Title": title, "Description": everything, "Software": software}
    if kind == "pdf":
        return {
            "Title": title, "Subject": everything, "Creator": software, "CreationDate": None,
            "Producer": None,
        }  # fmt: skip
    known = {"Title": title, "Description": everything, "Creator": software}
    return {**{name: text for name, text in known.items() if text is not None}, "Date": None}


def _draw_footer(described: DescribedFigure) -> tuple[Any, float]:
    """Draw the footer below a figure; return it, and the inches that it takes."""
    figure = described.figure
    width, size = figure.get_figwidth(), 0.7 * letter()
    is_light = sum(to_rgb(figure.get_facecolor())) > 1.5
    text = " · ".join(filter(None, (described.title, described.software)))
    shown = fitted(text, width * letter() / size - 0.1)
    height = size * (1.25 * (shown.count("\n") + 1) + 0.5)
    for legend in figure.legends:  # else they would stand at the foot of the file, on the footer
        legend.set_bbox_to_anchor((0.0, 0.0, 1.0, 1.0), figure.transFigure)
    note = figure.text(
        0.5, -0.25 * size / figure.get_figheight(), shown, ha="center", va="top",
        size=72 * size, color="0.4" if is_light else "0.6", fontfamily=rcParams["font.family"],
    )  # fmt: skip
    return note, height
