"""The style of all figures: sizes and axes as a journal prints them."""

from __future__ import annotations

FONT_SIZE = 8  # points, in print
MASKED = "0.9"  # grey of the steps that do not count


def style_axes(axes) -> None:  # type: ignore[no-untyped-def]
    """Give axes the house style: no box, ticks and labels at print size."""
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(labelsize=FONT_SIZE - 1)
    axes.xaxis.label.set_size(FONT_SIZE)
    axes.yaxis.label.set_size(FONT_SIZE)
    axes.title.set_size(FONT_SIZE - 1)
