"""The style of all figures: sizes and axes as a journal prints them, and styles of one's own."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from cycler import cycler
from matplotlib import rc_context, rcdefaults, rcParams, style
from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter
from numpy.typing import ArrayLike

from tasks_lib.errors import ParameterError, text_of

from .palette import CATEGORIES, own_categories

Style: TypeAlias = str | Path | Mapping[str, Any]
SCORE, LOWEST_SCORE = "validation R²", -0.5
SMALL = 7  # points, in print: ticks, legends, titles
# What a journal asks for. Nothing else sets sizes, so that a style of one's own replaces them.
HOUSE: dict[str, Any] = {
    "font.size": 8,
    "axes.titlesize": SMALL,
    "axes.titley": 1.0,  # where it always is: to look for room takes a tenth of a drawing
    "axes.labelsize": 8,
    "xtick.labelsize": SMALL,
    "ytick.labelsize": SMALL,
    "legend.fontsize": SMALL,
    "legend.title_fontsize": SMALL,
    "legend.frameon": False,
    "legend.handletextpad": 0.5,
    "legend.columnspacing": 1.2,
    "figure.labelsize": 8,
    "axes.linewidth": 0.6,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.prop_cycle": cycler(color=CATEGORIES),
    "grid.linewidth": 0.4,
    "grid.color": "0.85",
    "lines.linewidth": 1.1,
    "pdf.fonttype": 42,  # text stays text: journals refuse the other kind
    "svg.fonttype": "none",  # text, not outlines of letters: it can be searched and edited
    "savefig.dpi": 300,
    "svg.hashsalt": "rnn",  # the same figure, the same file
}
_own: ContextVar[tuple[dict[str, Any], ...]] = ContextVar("styles", default=())


@contextmanager
def plain_matplotlib() -> Iterator[None]:
    """Draw what is inside as where no ``matplotlibrc`` is: figures look the same everywhere.

    Without it a worker whose settings ask for LaTeX, for other fonts or for tight margins would
    store other figures, or none. A function can be decorated with it. Only a style that is asked
    for, with `figure_style`, changes anything.
    """
    with rc_context():
        rcdefaults()
        rcParams.update(HOUSE)
        for chosen in _own.get():
            rcParams.update(chosen)
        yield


@contextmanager
def figure_style(*styles: Style) -> Iterator[None]:
    """Draw what is inside in matplotlib styles of one's own, on top of the usual look.

    Figures grow with ``font.size``. Colours that have a meaning (contexts, choices) stay; those of
    other things come from ``axes.prop_cycle``.

    Parameters
    ----------
    *styles : str, Path or mapping
        Names of matplotlib's styles, files like ``paper.mplstyle``, or single settings.

    Raises
    ------
    ParameterError
        For a style that matplotlib does not know, or that it cannot read.

    Examples
    --------
    >>> with figure_style("paper.mplstyle", {"font.size": 6}):    # doctest: +SKIP
    ...     network.plot_training().savefig("training.pdf")
    """
    chosen = [_settings(one) for one in styles]
    mark = _own.set((*_own.get(), *chosen))
    cycles = [one["axes.prop_cycle"] for one in chosen if "axes.prop_cycle" in one]
    colours = cycles[-1].by_key().get("color") if cycles else None
    colour_mark = own_categories.set(tuple(colours or own_categories.get()))
    try:
        yield
    finally:
        own_categories.reset(colour_mark)
        _own.reset(mark)


def _settings(chosen: Style) -> dict[str, Any]:
    """Return what a style sets, and nothing of what it does not name."""
    try:
        with rc_context():
            if isinstance(chosen, Mapping):
                rcParams.update(chosen)
                return {name: rcParams[name] for name in chosen}
            if str(chosen) in style.library:
                return dict(style.library[str(chosen)])
            if not Path(chosen).is_file():
                raise ParameterError(
                    "style", str(chosen), "is no style and no file",
                    "name a file *.mplstyle, or one of matplotlib.style.available",
                )  # fmt: skip
            from matplotlib import rc_params_from_file

            return dict(rc_params_from_file(str(chosen), use_default_template=False))
    except (ValueError, KeyError, OSError, UnicodeDecodeError) as error:
        if isinstance(error, ParameterError):
            raise
        raise ParameterError(
            "style", str(chosen), f"cannot be used: {text_of(error)}", "correct it"
        ) from None


def unit() -> float:
    """Return the inches that an inch of our layouts takes: figures grow with their letters."""
    return float(rcParams["font.size"]) / HOUSE["font.size"]


def time_label(dt: float) -> str:
    """Return the label of a time axis: steps of 1 are counted, others have the unit of tau."""
    return "time (steps)" if dt == 1 else "time (in the unit of τ)"


def score_axis(axes: Any, scores: ArrayLike) -> None:
    """Let the axis of values hold validation scores (V,), and say where it cuts them."""
    low = float(np.nanmin(scores))
    cut = low < LOWEST_SCORE  # the first scores may lie far below what is of interest
    axes.set_ylabel(SCORE + (f" (cut at {LOWEST_SCORE:g})" if cut else ""))
    axes.set_ylim(LOWEST_SCORE if cut else low - 0.05, 1.02)


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
