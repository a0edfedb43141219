"""Small drawings in SVG, of numbers alone: curves and distributions, inside the pages."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from markupsafe import Markup, escape
from numpy.typing import ArrayLike, NDArray

from .values import text_of_value

WIDTH, HEIGHT = 300, 110  # of the drawing, in its own units
LEFT, RIGHT, TOP, BOTTOM = 46, 8, 8, 18  # margins
MOST_POINTS = 40  # of a curve
MOST_DOTS = 60  # of a distribution; more are a histogram
N_BINS = 24


def curve(x: ArrayLike, y: ArrayLike, name: str, log: bool = False) -> Markup:
    """Return a curve with the lowest and the highest value at its axes.

    Of more than 40 values, medians of as many stretches are drawn.

    Parameters
    ----------
    x, y : array (n,)
        Values that are not finite, and with ``log`` those of 0 or less, are left out.
    name : str
        What is drawn, for those who cannot see it.
    log : bool
        Whether the axis of values is logarithmic.

    Returns
    -------
    Markup
        Empty where no value can be drawn.
    """
    xs, ys = np.asarray(x, dtype=float), np.asarray(y, dtype=float)
    with np.errstate(invalid="ignore"):
        shown = np.isfinite(ys) & ((ys > 0) if log else True)
    xs, ys = xs[shown], ys[shown]
    if not len(ys):
        return Markup("")
    last = text_of_value(float(xs[-1]))
    if len(ys) > MOST_POINTS:
        parts = np.array_split(np.arange(len(ys)), MOST_POINTS)
        xs = np.array([xs[part].mean() for part in parts])
        ys = np.array([np.median(ys[part]) for part in parts])
    heights = np.log10(ys) if log else ys
    places = np.rint([_across(xs), _between(heights, HEIGHT - BOTTOM, TOP)]).astype(int)
    # From one point to the next, which takes half the characters.
    steps = np.diff(places, axis=1, prepend=0)
    line = (
        f'<path d="m{" ".join(map(str, steps.T.ravel()))}"/>'
        if len(ys) > 1
        else f'<circle cx="{LEFT}" cy="{TOP}" r="3"/>'
    )
    low, high = text_of_value(float(ys.min()), 3), text_of_value(float(ys.max()), 3)
    return _drawing(
        f"{name}: {low} to {high}", "c",
        f'{line}<text x="42" y="14">{high}</text><text x="42" y="{HEIGHT - BOTTOM}">{low}</text>'
        f'<text x="{WIDTH - RIGHT}" y="106">{last}</text>',
    )  # fmt: skip


def distribution(values: Sequence[float], seeds: Sequence[int], name: str) -> Markup:
    """Return the distribution of values: a dot each, or a histogram of more than 60.

    Parameters
    ----------
    values : sequence of float
        Finite ones.
    seeds : sequence of int
        Of the network of each value; report.js makes dots lead to their networks.
    name : str
        What is drawn, for those who cannot see it.

    Returns
    -------
    Markup
        Empty where there is no value.
    """
    v = np.asarray(values, dtype=float)
    if not len(v):
        return Markup("")
    low, high = float(v.min()), float(v.max())
    bins = np.minimum(
        ((v - low) / (high - low or 1) * N_BINS).astype(int), N_BINS - 1
    )  # also of one value
    base = HEIGHT - BOTTOM
    if len(v) > MOST_DOTS:
        counts = np.bincount(bins, minlength=N_BINS)
        step = (WIDTH - LEFT - RIGHT) / N_BINS
        tall = (base - TOP) / counts.max()
        body = "".join(
            f'<rect x="{LEFT + i * step:.1f}" y="{base - n * tall:.1f}" width="{step - 1:.1f}" '
            f'height="{n * tall:.1f}"/>'
            for i, n in enumerate(counts)
            if n
        )
    else:
        seen: dict[int, int] = {}
        deepest = max(np.bincount(bins))
        step = min(9.0, (base - TOP - 4) / deepest)
        body = ""
        for i, x in enumerate(_across(v)):
            row = seen[int(bins[i])] = seen.get(int(bins[i]), -1) + 1
            body += (
                f'<circle cx="{x:.0f}" cy="{base - 5 - row * step:.0f}" r="4">'
                f"<title>seed {seeds[i]}: {text_of_value(float(v[i]))}</title></circle>"
            )
    middle = float(np.median(v))
    x = LEFT if high == low else LEFT + (middle - low) / (high - low) * (WIDTH - LEFT - RIGHT)
    ends = f'<text class="s" x="{LEFT}" y="106">{text_of_value(low)}</text>'
    if high > low:
        ends += f'<text x="{WIDTH - RIGHT}" y="106">{text_of_value(high)}</text>'
    label = f"{name}: median {text_of_value(middle)}, {text_of_value(low)} to {text_of_value(high)}"
    return _drawing(label, "d", f'{body}<path class="m" d="M{x:.1f} {TOP}V{base}"/>{ends}')


def strip(values: Sequence[float], low: float, high: float, name: str) -> Markup:
    """Return values as marks on a scale that others share, with their median.

    Parameters
    ----------
    values : sequence of float
        More than 60 are a bar between the quartiles.
    low, high : float
        Ends of the scale.
    name : str
        What is drawn, for those who cannot see it.

    Returns
    -------
    Markup
        Empty where there is no value.
    """
    v = np.asarray(values, dtype=float)
    v = v[np.isfinite(v)]
    if not len(v):
        return Markup("")
    x = 4 + 112 * (np.clip(v, low, high) - low) / (high - low or 1.0)
    if len(v) > MOST_DOTS:
        first, third = np.quantile(x, [0.25, 0.75])
        body = f'<path class="x" d="M{x.min():.0f} 8H{x.max():.0f}"/>'
        body += f'<rect x="{first:.0f}" y="4" width="{max(third - first, 1):.0f}" height="8"/>'
    else:
        body = "".join(f'<circle cx="{a:.0f}" cy="8" r="3"/>' for a in x)
    middle = float(np.median(x))
    label = f"{name}: median {text_of_value(float(np.median(v)), 3)} of {len(v)}"
    return Markup(
        f'<svg class="d s" role="img" aria-label="{escape(label)}" viewBox="0 0 120 16">{body}'
        f'<path class="m" d="M{middle:.0f} 1V15"/></svg>'
    )


def _across(values: NDArray[Any]) -> NDArray[Any]:
    return _between(values, LEFT, WIDTH - RIGHT)


def _between(values: NDArray[Any], start: float, stop: float) -> NDArray[Any]:
    """Return values as coordinates: the lowest at the start, the highest at the stop."""
    half = values / 2  # the difference of two halves is finite
    low, high = half.min(), half.max()
    return start + (half - low) / (high - low if high > low else 1.0) * (stop - start)


def _drawing(label: str, kind: str, body: str) -> Markup:
    axes = f"M{LEFT} {TOP}V{HEIGHT - BOTTOM}H{WIDTH - RIGHT}"
    return Markup(
        f'<svg class="{kind}" role="img" aria-label="{escape(label)}" '
        f'viewBox="0 0 {WIDTH} {HEIGHT}"><path class="x" d="{axes}"/>{body}</svg>'
    )  # numbers, and texts that are escaped
