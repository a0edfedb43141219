"""The figure of rank-one parts: the drive through each in trials, and their overlaps."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.figure import Figure

from ..populations.rank_one_parts import RankOneAnalysis
from .layout import fit_left, panel_grid
from .palette import DIVERGING, VERMILLION, pale
from .populations import say_why
from .style import plain_matplotlib

PANEL = (1.7, 1.5)  # inches
MARGINS, GAPS = (0.6, 0.5, 0.55, 0.3), (0.65, 0.0)
WIDEST = 7.2  # inches
MOST_PANELS = 3
KINDS = {"right": "n", "output": "out", "left": "m", "input": "in"}


@plain_matplotlib()
def plot_rank_one_parts(result: RankOneAnalysis) -> Figure:
    """Plot the drive through the rank-one parts of a network, and their overlaps.

    From left to right: the drive through each of the first three parts in every trial, with the
    mean over trials; the cosines between the vectors that read (rows: n of each part, outputs) and
    those that write (columns: m of each part, inputs).

    Parameters
    ----------
    result : RankOneAnalysis
        Of `models.get_rank_one_parts`.
    """
    shown = result.parts[:MOST_PANELS]
    n = max(1, len(shown)) + 1
    width = (WIDEST - MARGINS[0] - MARGINS[1] - GAPS[0] * (n - 1)) / n
    figure, grid = panel_grid((1, n), (min(PANEL[0], width), PANEL[1]), MARGINS, GAPS)
    if not shown:
        say_why(grid[0][0], result.status.replace("_", " "))
    for number, (axes, part) in enumerate(zip(grid[0], shown, strict=False)):
        axes.plot(part.drive.T, color=pale(), lw=0.5)
        axes.plot(part.drive.mean(axis=0), color=VERMILLION)
        share = "" if part.share is None else f" ({part.share:.0%})"
        axes.set_title(f"part {number}{share}")
        axes.set_xlabel("step")
        axes.set_ylabel("drive (a.u.)")
    _draw_overlaps(grid[0][-1], result)
    fit_left(figure, grid)
    last = grid[0][-1]
    if last.images:
        box = last.get_position()
        bar = figure.add_axes((box.x1 + 0.01, box.y0, 0.012, box.height))
        figure.colorbar(last.images[0], cax=bar)
    return figure


def _draw_overlaps(axes: Any, result: RankOneAnalysis) -> None:
    axes.set_title("cosines")
    if not result.overlaps:
        return say_why(axes, result.status.replace("_", " "))
    rows = list(dict.fromkeys((o.reader, o.reader_number) for o in result.overlaps))
    columns = list(dict.fromkeys((o.writer, o.writer_number) for o in result.overlaps))
    values = np.full((len(rows), len(columns)), np.nan)
    for o in result.overlaps:
        place = rows.index((o.reader, o.reader_number)), columns.index((o.writer, o.writer_number))
        values[place] = np.nan if o.cosine is None else o.cosine
    axes.imshow(values, cmap=DIVERGING, vmin=-1, vmax=1, aspect="auto")
    axes.set_xticks(range(len(columns)), [f"{KINDS[kind]} {i}" for kind, i in columns], rotation=90)
    axes.set_yticks(range(len(rows)), [f"{KINDS[kind]} {i}" for kind, i in rows])
    return None
