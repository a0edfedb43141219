"""Places of panels, labels and legends in a figure, fixed before anything is drawn.

matplotlib's layout engines draw a figure twice to find them, and do not see the labels of 3D axes.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib import rcParams
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.patches import Rectangle
from matplotlib.textpath import text_to_path
from matplotlib.transforms import Bbox
from mpl_toolkits.mplot3d.proj3d import proj_transform
from numpy.typing import NDArray

from .printed import PrintedFigure
from .style import unit

Float = NDArray[np.float64]
DPI = 300  # of stored figures
HANDLE, COLUMN = 2.5, 1.2  # of a legend, in letters: a line and its gap, and between columns
HARD_SPACE = "\N{NO-BREAK SPACE}"
SOFT_BREAK = "\x0b"  # white space for textwrap, and of no text
LINE = 1.45  # height of a legend's row, in letters


def letter(size: str = "legend.fontsize") -> float:
    """Return the size of letters in inches, by the name of its setting."""
    return float(FontProperties(size=rcParams[size]).get_size_in_points()) / 72


def text_width(text: str, size: str = "legend.fontsize") -> float:
    """Return the width of a line of text in inches."""
    font = FontProperties(size=rcParams[size])
    width, _, _ = text_to_path.get_text_width_height_descent(text, font, False)
    return float(width) / 72


def fitted(text: str, width: float, size: str = "legend.fontsize", lines: int = 3) -> str:
    """Return a text in as many lines as its width in inches asks for; the rest becomes "…".

    Lines end after a comma where what stands between two commas fits one. Numbers below zero, and
    signs at the end of a word, get the minus that axes have.
    """
    text = with_minus(text)
    if "\n" in text:
        return "\n".join(fitted(line, width, size, lines) for line in text.split("\n"))
    if text_width(text, size) <= width:
        return text
    n_letters = max(4, int(len(text) * width / text_width(text, size)))
    pieces = [piece if text_width(piece, size) > width else piece.replace(" ", HARD_SPACE)
              for piece in text.split(", ")]  # fmt: skip
    text = ", ".join(pieces)
    softly = " ".join(_breakable(word, n_letters) for word in text.split(" "))
    wrapper = textwrap.TextWrapper(
        n_letters, break_on_hyphens=False, expand_tabs=False, replace_whitespace=False
    )
    if len(wrapper.wrap(softly)) > lines:  # a word that is broken anywhere takes less room
        softly = text
    wrapper.max_lines, wrapper.placeholder = lines, " …"
    broken = wrapper.wrap(softly)
    return "\n".join(broken).replace(HARD_SPACE, " ").replace(SOFT_BREAK, "")


def _breakable(word: str, n_letters: int) -> str:
    """Return a word too long for a line with places to break it: a name's points, or its _."""
    if len(word) <= n_letters:
        return word
    parts = re.sub(r"(?<=\D)\.(?=\D)", f".{SOFT_BREAK}", word).split(SOFT_BREAK)
    return SOFT_BREAK.join(
        part if len(part) <= n_letters else part.replace("_", f"_{SOFT_BREAK}") for part in parts
    )


def with_minus(text: str) -> str:
    """Return a text with a minus sign for each hyphen that is one: "-0.5", "choice -"."""
    return re.sub(r"(?<![^\s(\[=])-(?=[\d.]|[\s,;:)\]]|$)", "\N{MINUS SIGN}", text)


@dataclass(frozen=True)
class LegendPlan:
    """Where the entries of a legend stand, and how much room they take.

    Attributes
    ----------
    handles : list
        Artists, whose labels fit.
    n_columns : int
    height : float
        Inches; 0 without entries.
    title : str or None
    """

    handles: list[Any]
    n_columns: int
    height: float
    title: str | None = None

    def draw(self, figure: Figure) -> None:
        """Draw the legend at the foot of a figure."""
        if self.handles:
            figure.legend(
                handles=self.handles, loc="lower center", ncols=self.n_columns, title=self.title,
                borderaxespad=0.0, borderpad=0.3, handlelength=1.6, columnspacing=COLUMN,
            )  # fmt: skip


def plan_legend(
    handles: Sequence[Any], width: float, title: str | None = None, most: int = 4
) -> LegendPlan:
    """Return the legend of a figure of some width in inches, in as many columns as it bears."""
    size = letter()
    room = width - 0.1
    for handle in handles:
        handle.set_label(fitted(str(handle.get_label()), room - HANDLE * size))
    if not handles:
        return LegendPlan([], 1, 0.0)
    title = title and fitted(title, room, "legend.title_fontsize")
    labels = [str(handle.get_label()) for handle in handles]
    widest = max(text_width(line) for label in labels for line in label.split("\n"))
    column = widest + (HANDLE + COLUMN) * size
    n_columns = max(1, min(len(handles), most, int((room + COLUMN * size) / column)))
    rows = -(-len(handles) // n_columns)
    n_lines = rows * max(label.count("\n") + 1 for label in labels)
    n_lines += title.count("\n") + 1 if title else 0
    return LegendPlan(list(handles), n_columns, (LINE * n_lines + 0.6) * size, title)


def panel_grid(
    shape: tuple[int, int],
    size: tuple[float, float],
    margins: tuple[float, float, float, float],
    gaps: tuple[float, float] = (0.0, 0.0),
    foot: float = 0.0,
    least_width: float = 0.0,
    **options: Any,
) -> tuple[Figure, Any]:
    """Return a figure and its panels (rows, columns), in inches that grow with the letters.

    Parameters
    ----------
    shape : (rows, columns)
    size : (width, height)
        Of a panel.
    margins : (left, right, bottom, top)
        Around all panels.
    gaps : (across, down)
        Between panels.
    foot : float
        Below the lower margin, of a legend: inches that do not grow.
    least_width : float
        Of the figure.
    **options
        Of `Figure.subplots`: what is shared, ratios of widths.
    """
    rows, columns = shape
    u = unit()
    left, right, bottom, top = (u * m for m in margins)
    across, down = (u * g for g in gaps)
    width = left + right + u * size[0] * columns + across * (columns - 1)
    # A figure that is to be wider has its panels in the middle.
    spare = max(0.0, u * least_width - width) / 2
    width += 2 * spare
    height = foot + bottom + top + u * size[1] * rows + down * (rows - 1)
    figure = PrintedFigure(figsize=(width, height))
    panels = figure.subplots(
        rows,
        columns,
        squeeze=False,
        gridspec_kw={
            "left": (left + spare) / width,
            "right": 1 - (right + spare) / width,
            "bottom": (foot + bottom) / height,
            "top": 1 - top / height,
            "wspace": across / (u * size[0]),
            "hspace": down / (u * size[1]),
            **options.pop("gridspec", {}),
        },
        **options,
    )
    return figure, panels


def fit_space(figure: Figure, axes: Any, box: tuple[float, float, float, float]) -> None:
    """Place 3D axes so that all that belongs to them, labels too, lies in a box of the figure.

    To be called before anything is drawn in them, which it would draw too.

    Parameters
    ----------
    box : (left, bottom, right, top)
        Shares of the figure.
    """
    # Notebooks cut figures to what they hold, and 3D axes do not say where their labels will be.
    whole = Rectangle((0, 0), 1, 1, transform=figure.transFigure, fill=False, ec="none")
    figure.add_artist(whole)
    left, bottom, right, top = box
    axes.set_position((left, bottom, right - left, top - bottom))
    canvas: Any = FigureCanvasAgg(figure)
    renderer = canvas.get_renderer()
    to_shares = figure.transFigure.inverted()
    for _ in range(2):  # sizes of letters do not scale with the axes: the second time is close
        with renderer._draw_disabled():  # labels of 3D axes get their places while they are drawn
            axes.draw(renderer)
        boxes = [a.get_tightbbox(renderer) for a in (axes.xaxis, axes.yaxis, axes.zaxis)]
        needed = Bbox.union([corners(axes), *(b for b in boxes if b is not None)])
        needed = needed.transformed(to_shares)
        place = axes.get_position(original=True)
        scale = min((right - left) / needed.width, (top - bottom) / needed.height)
        width, height = scale * place.width, scale * place.height
        x = (left + right) / 2 - scale * ((needed.x0 + needed.x1) / 2 - place.x0)
        y = (bottom + top) / 2 - scale * ((needed.y0 + needed.y1) / 2 - place.y0)
        axes.set_position((x, y, width, height))


def corners(axes: Any) -> Bbox:
    """Return what the box of 3D axes takes in the figure, in pixels."""
    limits = (axes.get_xlim3d(), axes.get_ylim3d(), axes.get_zlim3d())
    corners = np.array(np.meshgrid(*limits)).reshape(3, -1)
    x, y, _ = proj_transform(*corners, axes.get_proj())
    seen = axes.transData.transform(np.column_stack([x, y]))
    return Bbox([seen.min(axis=0), seen.max(axis=0)])


def equal_scale(figure: Figure, axes: Any, low: Float, high: Float) -> None:
    """Set limits that hold a window, with one scale on both axes.

    Parameters
    ----------
    low, high : array (2,)
        Corners of the window.
    """
    box = np.array(axes.get_position().size) * figure.get_size_inches()
    half = 0.5 * box * float(((high - low) / box).max())
    middle = (low + high) / 2
    axes.set_xlim(middle[0] - half[0], middle[0] + half[0])
    axes.set_ylim(middle[1] - half[1], middle[1] + half[1])


def fit_left(figure: Figure, panels: Any) -> None:
    """Give the labels left of a grid of panels (rows, columns) the room that they need.

    To be called when limits and labels are set.
    """
    missing = _missing_left(figure, [axes for axes in panels[:, 0] if axes.get_visible()])
    grid = panels[0, 0].get_gridspec()
    grid.left += missing  # its `update` knows the figures of pyplot alone
    for axes in panels.flat:
        axes.set_position(axes.get_subplotspec().get_position(figure))


def make_room_left(figure: Figure, axes: Any) -> None:
    """Move the left edge of axes to the right where the labels there would be cut off."""
    missing = max(0.0, _missing_left(figure, [axes]))
    box = axes.get_position(original=True)
    axes.set_position((box.x0 + missing, box.y0, box.width - missing, box.height))


def _missing_left(figure: Figure, every: Sequence[Any]) -> float:
    """Return the share of the figure by which labels left of axes lie too far left."""
    canvas: Any = FigureCanvasAgg(figure)
    renderer = canvas.get_renderer()
    boxes = [axes.yaxis.get_tightbbox(renderer) for axes in every]
    places = [box.x0 for box in boxes if box is not None]
    if not places:  # panels that say why they are empty
        return 0.0
    first = min(places)
    return float(0.01 - figure.transFigure.inverted().transform((first, 0.0))[0])
