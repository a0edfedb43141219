"""Figures that are drawn and saved as their style says, also where it is no more in force."""

from __future__ import annotations

from typing import Any

from matplotlib import rc_context, rcParams
from matplotlib.figure import Figure

# Of matplotlib's settings those that it reads when a figure is drawn or saved, not when it is made.
# (How many ticks an axis has depends on the size of their letters.)
LATE_SETTINGS = (
    "xtick.labelsize", "ytick.labelsize", "pdf.fonttype", "svg.fonttype", "svg.hashsalt",
    "savefig.dpi", "savefig.facecolor", "savefig.edgecolor",
)  # fmt: skip


class PrintedFigure(Figure):
    """A figure that is drawn and saved as the style says that it was made in.

    Saved from a script, where no style of ours is in force, it would be what a journal refuses: 100
    dots an inch, Type 3 fonts in PDF, and outlines for letters in SVG.
    """

    def __init__(self, *args: Any, **keywords: Any) -> None:
        super().__init__(*args, **keywords)
        self._late_settings = {name: rcParams[name] for name in LATE_SETTINGS}

    def draw(self, renderer: Any) -> None:
        """Draw the figure; see `matplotlib.figure.Figure.draw`."""
        with rc_context(self._late_settings):
            super().draw(renderer)

    def savefig(self, fname: Any, *, transparent: bool | None = None, **keywords: Any) -> None:
        """Save the figure; see `matplotlib.figure.Figure.savefig`."""
        with rc_context(self._late_settings):
            super().savefig(fname, transparent=transparent, **keywords)
