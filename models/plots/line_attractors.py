"""The figure of line attractors: their points in 3D, speeds along them, and selection vectors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter
from numpy.typing import NDArray

from tasks_lib.cddm import CONTEXTS
from tasks_lib.errors import ParameterError

from ..dynamics.line_attractors import ContextLineAttractor
from .layout import LegendPlan, fit_space, plan_legend
from .palette import CONTEXTS as COLOURS
from .palette import fill, grey, ink
from .paths import Paths, draw_paths, legend_of_paths, mean_paths
from .printed import PrintedFigure
from .projection import Projection, principal_directions
from .style import plain_matplotlib, unit

if TYPE_CHECKING:
    import xarray


@plain_matplotlib()
def plot_line_attractors(
    lines: Sequence[ContextLineAttractor], trials: xarray.Dataset | None = None
) -> Figure:
    """Plot lines in 3D, |F| along them, and the angle of what they select to each stimulus.

    3D: the choice axis and the two principal components of what is left after it. Filled points
    are stable to first order, open ones are not; squares are fixed points. The third panel has the
    angle between the selection vector and where motion and where color push the state: 90 degrees
    is a stimulus that is ignored.

    Parameters
    ----------
    lines : sequence of ContextLineAttractor
        One a context.
    trials : Dataset of `models.get_trials`, optional
        Their means by context and choice are drawn thin, with a circle at the start, an arrowhead
        on the way, and a triangle at the end that points up or down by the choice.
    """
    if not lines:
        raise ParameterError("lines", lines, "is empty", "pass the line of a context at least")
    axis = lines[0].choice_axis
    everything = np.concatenate([line.points for line in lines], axis=1)
    centre = everything.mean(axis=1)
    rest = everything - centre[:, None]
    axes = np.hstack([axis[:, None], principal_directions(rest - np.outer(axis, axis @ rest), 2)])
    frame = Projection(axes, centre, ("choice axis", "PC 1", "PC 2"))
    labels = frame.labels(everything, short=True)
    paths = mean_paths(trials, everything) if trials is not None else None
    around = [frame(everything), *([frame(paths.states).reshape(3, -1)] if paths else [])]
    shown = np.hstack(around)
    low, high = shown.min(axis=1), shown.max(axis=1)
    edge = 0.05 * float((high - low).max() or 1.0)
    low, high = low - edge, high + edge
    u = unit()
    legend = _legend(lines, paths)
    width, height = 7.2 * u, 2.5 * u + legend.height
    figure = PrintedFigure(figsize=(width, height))
    foot = legend.height / height
    space: Any = figure.add_subplot(projection="3d")
    _style_space(space, labels, low, high)
    fit_space(figure, space, (0.005, foot, 0.385, 0.995))
    bottom, top = foot + 0.42 * u / height, 1 - 0.1 * u / height
    speeds = figure.add_axes((0.5, bottom, 0.19, top - bottom))
    angles = figure.add_axes((0.795, bottom, 0.19, top - bottom))
    if paths is not None:
        draw_paths(space, paths, frame, low, high)
    for line in lines:
        colour = COLOURS[line.context]
        _draw_space(space, line, frame, colour)
        # |F| of exactly 0 has no logarithm: drawn at the rounding error of a state of order 1
        speed = np.maximum(np.sqrt(line.speed), 1e-16)
        speeds.semilogy(line.position, speed, "o-", ms=2, lw=0.8, color=colour)
        for stimulus, name in enumerate(CONTEXTS):
            style = "-" if name == line.context else "--"
            angles.plot(
                line.position, line.stimulus_angles[:, stimulus], style, lw=1.2, color=colour
            )
    _style(speeds, angles)
    legend.draw(figure)
    return figure


def _draw_space(space: Any, line: ContextLineAttractor, frame: Projection, colour: Any) -> None:
    x = frame(line.points)
    space.plot(*x, color=colour, lw=0.8)
    space.scatter(
        *x, s=9, edgecolors=colour, depthshade=False, linewidths=0.7,
        facecolors=[fill(colour, "unstable" if grows else "stable") for grows in _grows(line)],
    )  # fmt: skip
    if _has_points(line):
        space.scatter(
            *frame(line.fixed_points), s=34, marker="s", edgecolors=grey("black"), depthshade=False,
            facecolors=[fill(colour, kind) for kind in _kinds(line)], linewidths=0.9, zorder=5,
        )  # fmt: skip


def _grows(line: ContextLineAttractor) -> NDArray[np.bool_]:
    return np.asarray(line.eigenvalues[:, 0].real > 0)


def _has_points(line: ContextLineAttractor) -> bool:
    """Return whether fixed points are drawn: a continuum of them is the line itself."""
    return 0 < line.fixed_points.shape[1] < line.points.shape[1]


def _kinds(line: ContextLineAttractor) -> list[str]:
    return ["stable" if stable else "unstable" for stable in line.fixed_point_stable]


def _style_space(
    space: Any, labels: Sequence[str], low: NDArray[np.float64], high: NDArray[np.float64]
) -> None:
    for name, label, m, n in zip("xyz", labels, low, high, strict=True):
        getattr(space, f"set_{name}label")(label, labelpad=-4)
        getattr(space, f"set_{name}lim")(m, n)
    space.tick_params(pad=-3)
    space.zaxis.set_tick_params(pad=0)
    for part in (space.xaxis, space.yaxis, space.zaxis):
        part.set_major_locator(MaxNLocator(4))


def _style(speeds: Any, angles: Any) -> None:
    speeds.set_xlabel("position (− to + choice)")
    speeds.set_ylabel("|F| (a.u. per τ)")
    drawn = np.concatenate([entry.get_ydata() for entry in speeds.lines])
    if drawn.max() < 100 * drawn.min():  # few decades: name more than their bounds
        speeds.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
        speeds.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        speeds.yaxis.set_minor_formatter(NullFormatter())
    angles.set_xlabel("position (− to + choice)")
    angles.set_ylabel("angle of l to input (°)")
    angles.axhline(90, color=grey("0.6"), lw=0.6, zorder=0)
    angles.set_ylim(0, 180)
    angles.set_yticks([0, 45, 90, 135, 180])
    for panel in (speeds, angles):
        panel.set_xlim(-0.03, 1.03)


def _legend(lines: Sequence[ContextLineAttractor], paths: Paths | None) -> LegendPlan:
    """Return the legend: contexts, what they select, kinds of points, trials."""
    handles = [
        Line2D([], [], color=COLOURS[line.context], marker="o", ms=3, lw=1,
               label=f"{line.context} context, length {line.length:.2g}")
        for line in lines
    ]  # fmt: skip
    handles += [
        Line2D([], [], color=ink(), ls="-", lw=1.2, label="relevant stimulus"),
        Line2D([], [], color=ink(), ls="--", lw=1.2, label="irrelevant stimulus"),
    ]
    grows = np.concatenate([_grows(line) for line in lines])
    points = [kind for line in lines if _has_points(line) for kind in _kinds(line)]
    for kind, there in (("stable", not grows.all()), ("unstable", bool(grows.any()))):
        style: dict[str, Any] = {"ls": "", "mfc": fill(ink(), kind)}
        if there:
            handles.append(Line2D([], [], color=ink(), marker="o", ms=3, label=kind, **style))
        if kind in points:
            label = f"{kind} fixed point"
            handles.append(
                Line2D([], [], color=grey("black"), marker="s", ms=4.5, label=label, **style)
            )
    handles += legend_of_paths(paths) if paths is not None else []
    return plan_legend(handles, unit() * 7.2, most=4)
