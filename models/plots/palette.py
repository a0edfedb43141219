"""The colours of all figures, in one place: one colour has one meaning.

Contexts, choices and stability look alike in every figure of a project; other things (inputs,
channels, groups) get colours in the order of their names. All of them are told apart with any
colour vision: `tests/models/test_palette.py` measures it.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextvars import ContextVar
from typing import Any

import numpy as np
from matplotlib import colormaps, rcParams
from matplotlib.colors import to_hex, to_rgb, to_rgba
from numpy.typing import NDArray

BLUE, VERMILLION, SKY, BLACK, ORANGE, GREEN, INDIGO = (
    "#0072B2", "#D55E00", "#56B4E9", "#000000", "#E69F00", "#009E73", "#332288",
)  # fmt: skip
WINE, PINK = "#882255", "#CC79A7"

# What has no colour of its own, in this order: most of Okabe and Ito's, and an indigo of Tol's.
CATEGORIES = (BLUE, VERMILLION, SKY, BLACK, ORANGE, GREEN, INDIGO)
CONTEXTS = {"motion": BLUE, "color": VERMILLION}
CHOICES = {1: WINE, -1: PINK, 0: "#999999"}  # 0: none
# Channels of the tasks that stand for a choice or for a context.
CHANNELS = {
    "choice +": WINE, "choice -": PINK, "match": WINE, "no match": PINK, "go": WINE,
    "different": WINE, "equal": PINK, "first higher": WINE, "second higher": PINK,
    "motion cue": BLUE, "motion +": BLUE, "motion -": BLUE,
    "color cue": VERMILLION, "color +": VERMILLION, "color -": VERMILLION,
}  # fmt: skip
# How much of a marker's colour fills it: stable is full, unstable open, whatever the colour says.
STABILITY = {"stable": 1.0, "marginal": 0.45, "unstable": 0.0}
# Greys, as on white paper: `grey` returns them as the style in force has its paper and letters.
TRIALS = "#C4C4C4"  # trials that are not told apart
MASKED = "#E6E6E6"  # steps that do not count
INK = "#404040"  # in legends, what may have any colour
ON_DARK = 1.5  # power of the way from letters to paper: dim greys are seen less well on black
SEQUENTIAL, DIVERGING = "viridis", "PuOr_r"  # of numbers, and of signed ones


# Those of a style of one's own, which `figure_style` sets.
own_categories: ContextVar[tuple[Any, ...]] = ContextVar("own_categories", default=CATEGORIES)


def categories() -> tuple[Any, ...]:
    """Return the colours of what has none of its own; a style of one's own may replace them."""
    return own_categories.get()


def grey(level: str) -> str:
    """Return a grey as far between letters and paper of the style in force as it is on white.

    So greys, and the edges and fillings of markers, are seen in styles with a dark background.

    Parameters
    ----------
    level : str
        A grey of matplotlib on white paper: "0.7", "black" (of letters), "white" (of paper).
    """
    letters, paper = to_rgb(rcParams["text.color"]), _paper()
    if letters == (0.0, 0.0, 0.0) and paper == (1.0, 1.0, 1.0):
        return level
    share = to_rgb(level)[0]
    if sum(paper) < sum(letters):
        share **= ON_DARK
    r, g, b = ((1 - share) * a + share * b for a, b in zip(letters, paper, strict=True))
    return to_hex((r, g, b))


def _paper() -> tuple[float, float, float]:
    """Return what is behind a plot; where nothing is painted, the white of a page."""
    for name in ("axes.facecolor", "figure.facecolor"):
        *colour, alpha = to_rgba(rcParams[name])
        if alpha > 0:
            return colour[0], colour[1], colour[2]
    return 1.0, 1.0, 1.0


def ink() -> str:
    """Return the colour of what has no colour of its own: numbers of all networks, say."""
    return grey(INK)


def pale() -> str:
    """Return the colour of what stands behind: trials that are not told apart, and controls."""
    return grey(TRIALS)


def colours_of_names(names: Sequence[str]) -> dict[str, Any]:
    """Return the colour of each name: contexts and choices have theirs, others come in order.

    Parameters
    ----------
    names : sequence of str
        All names of their kind, whether or not they are drawn: so that a name keeps its colour.
    """
    own = {**CHANNELS, **CONTEXTS}
    found = {name: own[name] for name in names if name in own}
    free = [colour for colour in categories() if colour not in found.values()]
    free = free or list(categories())
    others = [name for name in dict.fromkeys(names) if name not in own]
    found |= {name: free[i % len(free)] for i, name in enumerate(others)}
    return {name: found[name] for name in names}


def colour_of_choice(choice: int) -> Any:
    """Return the colour of a choice, 1 or -1; of 0, no choice; and of others beyond those."""
    if choice in CHOICES:
        return CHOICES[choice]
    further = (ORANGE, GREEN, SKY, INDIGO)
    return further[abs(choice) % len(further)]


def colours_of_values(field: str, values: NDArray[Any]) -> list[Any]:
    """Return a colour for each value of a field of the trials.

    Choices have theirs; numbers get colours in their order (signed ones purple below zero, orange
    above, grey at zero), where there are more than two of them; all others are names.

    Parameters
    ----------
    field : str
        What the values are of.
    values : array (n,)
        Distinct ones.
    """
    if field in ("choice", "correct_choice"):
        return [colour_of_choice(int(value)) for value in values]
    if values.dtype.kind not in "iuf" or len(values) < 3:
        return list(colours_of_names([str(value) for value in values]).values())
    numbers = values.astype(np.float64)
    if numbers.min() < 0 < numbers.max():
        share = 0.5 + 0.5 * numbers / np.abs(numbers).max()
        shown = colormaps[DIVERGING](share)
        return [grey("0.6") if v == 0 else tuple(c) for v, c in zip(numbers, shown, strict=True)]
    return in_order(numbers)


def in_order(numbers: NDArray[np.float64]) -> list[Any]:
    """Return colours of numbers from dark to light: by size, over decades by the logarithm."""
    if numbers.min() > 0 and numbers.max() > 20 * numbers.min():  # learning rates, say
        numbers = np.log(numbers)
    spread = float(np.ptp(numbers)) or 1.0
    return [tuple(c) for c in colormaps[SEQUENTIAL](0.9 * (numbers - numbers.min()) / spread)]


def fill(colour: Any, stability: str) -> tuple[float, float, float]:
    """Return what fills the marker of a fixed point: full, half or open."""
    share = STABILITY[stability]
    behind = to_rgb(grey("white"))
    red, green, blue = (
        (1.0 - share) * part + share * own for part, own in zip(behind, to_rgb(colour), strict=True)
    )
    return red, green, blue
