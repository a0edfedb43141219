"""The style of all figures: sizes and axes as a journal prints them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
from matplotlib import rc_context, rcdefaults
from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter

FONT_SIZE = 8  # points, in print
MASKED = "0.9"  # grey of the steps that do not count
# Okabe and Ito's colours, told apart with any colour vision.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")


@contextmanager
def plain_matplotlib() -> Iterator[None]:
    """Draw what is inside as where no ``matplotlibrc`` is: figures look the same everywhere.

    Without it a worker whose settings ask for LaTeX, for other fonts or for tight margins would
    store other figures, or none. A function can be decorated with it.
    """
    with rc_context():
        rcdefaults()
        yield


def style_axes(axes) -> None:  # type: ignore[no-untyped-def]
    """Give axes the house style: no box, ticks and labels at print size."""
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(labelsize=FONT_SIZE - 1)
    axes.xaxis.label.set_size(FONT_SIZE)
    axes.yaxis.label.set_size(FONT_SIZE)
    axes.title.set_size(FONT_SIZE - 1)


def log_axis(axes) -> None:  # type: ignore[no-untyped-def]
    """Make the axis of values logarithmic, with two labels on it at least."""
    axes.set_yscale("log")
    low, high = axes.get_ylim()
    decades = np.arange(np.floor(np.log10(low)), np.ceil(np.log10(high)) + 1)
    for steps in ((1.0,), (1.0, 2.0, 5.0)):
        ticks = np.outer(10.0**decades, steps)
        if np.count_nonzero((ticks >= low) & (ticks <= high)) > 1:
            axes.yaxis.set_major_locator(LogLocator(subs=steps, numticks=8))
            if len(steps) > 1:
                axes.yaxis.set_major_formatter("{x:g}")
            break
    else:  # a fraction of a decade
        axes.yaxis.set_major_locator(MaxNLocator(5))
        axes.yaxis.set_major_formatter("{x:.4g}")
    axes.yaxis.set_minor_formatter(NullFormatter())
