"""The style of all figures: sizes and axes as a journal prints them."""

from __future__ import annotations

FONT_SIZE = 8  # points, in print
# Okabe and Ito's colours, told apart with any colour vision.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")


def style_axes(axes) -> None:  # type: ignore[no-untyped-def]
    """Give axes the house style: no box, ticks and labels at print size."""
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(labelsize=FONT_SIZE - 1)
    axes.xaxis.label.set_size(FONT_SIZE)
    axes.yaxis.label.set_size(FONT_SIZE)
    axes.title.set_size(FONT_SIZE - 1)
