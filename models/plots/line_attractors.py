"""The figure of line attractors: their points in 3D, speeds along them, and selection vectors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib import rc_context
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter

from tasks_lib.cddm import CONTEXTS
from tasks_lib.errors import ParameterError

from ..dynamics.line_attractors import ContextLineAttractor
from .fixed_points import STYLE
from .projection import Projection, principal_directions
from .style import COLOURS, plain_matplotlib


@plain_matplotlib()
def plot_line_attractors(lines: Sequence[ContextLineAttractor]) -> Figure:
    """Plot lines in 3D, |F| along them, and the angle of what they select to each stimulus.

    3D: the choice axis and the two principal components of what is left after it. Filled points
    are stable to first order, open ones are not; squares are fixed points. The third panel has the
    angle between the selection vector and where motion and where color push the state: 90 degrees
    is a stimulus that is ignored.
    """
    if not lines:
        raise ParameterError("lines", lines, "is empty", "pass the line of a context at least")
    axis = lines[0].choice_axis
    everything = np.concatenate([line.points for line in lines], axis=1)
    centre = everything.mean(axis=1)
    rest = everything - centre[:, None]
    frame = Projection(
        np.hstack([axis[:, None], principal_directions(rest - np.outer(axis, axis @ rest), 2)]),
        centre,
        ("choice axis", "PC 1", "PC 2"),
    )
    with rc_context(STYLE):
        # Fixed places: layout engines do not know how far the labels of 3D axes reach.
        figure = Figure(figsize=(7.2, 2.9), dpi=300)
        space: Any = figure.add_axes((-0.01, 0.09, 0.36, 0.84), projection="3d")
        speeds = figure.add_axes((0.485, 0.16, 0.2, 0.64))
        angles = figure.add_axes((0.79, 0.16, 0.2, 0.64))
        for i, line in enumerate(lines):
            colour = COLOURS[i % len(COLOURS)]
            _draw_space(space, line, frame, colour)
            # |F| of exactly 0 has no logarithm: drawn at the rounding error of a state of order 1
            speed = np.maximum(np.sqrt(line.speed), 1e-16)
            speeds.semilogy(line.position, speed, "o-", ms=2, lw=0.8, color=colour)
            for stimulus, name in enumerate(CONTEXTS):
                own = name == line.context
                style = "-" if own else "--"
                angles.plot(
                    line.position, line.stimulus_angles[:, stimulus], style, lw=1.2, color=colour
                )
        _style(figure, space, speeds, angles, frame, lines)
    return figure


def _draw_space(space: Any, line: ContextLineAttractor, frame: Projection, colour: str) -> None:
    x = frame(line.points)
    unstable = line.eigenvalues[:, 0].real > 0
    space.plot(*x, color=colour, lw=0.8)
    space.scatter(
        *x, s=9, edgecolors=colour, depthshade=False, linewidths=0.7,
        facecolors=["white" if open_ else colour for open_ in unstable],
    )  # fmt: skip
    # a continuum of fixed points is the line itself
    if 0 < line.fixed_points.shape[1] < line.points.shape[1]:
        space.scatter(
            *frame(line.fixed_points), s=34, marker="s", edgecolors="black", depthshade=False,
            facecolors=[colour if stable else "white" for stable in line.fixed_point_stable],
            linewidths=0.9, zorder=5,
        )  # fmt: skip


def _style(
    figure: Figure,
    space: Any,
    speeds: Any,
    angles: Any,
    frame: Projection,
    lines: Sequence[ContextLineAttractor],
) -> None:
    labels = [f"{name} (a.u.)" for name in frame.names]
    space.set_xlabel(labels[0], labelpad=-4)
    space.set_ylabel(labels[1], labelpad=-4)
    space.set_zlabel(labels[2], labelpad=-2)
    space.tick_params(labelsize=6, pad=-3)
    space.zaxis.set_tick_params(pad=0)
    for part in (space.xaxis, space.yaxis, space.zaxis):
        part.set_major_locator(MaxNLocator(4))
    speeds.set_xlabel("position (− to + choice)")
    speeds.set_ylabel("|F| (a.u. per τ)")
    drawn = np.concatenate([entry.get_ydata() for entry in speeds.lines])
    if drawn.max() < 100 * drawn.min():  # few decades: name more than their bounds
        speeds.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
        speeds.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        speeds.yaxis.set_minor_formatter(NullFormatter())
    angles.set_xlabel("position (− to + choice)")
    angles.set_ylabel("angle of l to input (°)")
    angles.axhline(90, color="0.6", lw=0.6, zorder=0)
    angles.set_ylim(0, 180)
    angles.set_yticks([0, 45, 90, 135, 180])
    for panel in (speeds, angles):
        panel.spines[["top", "right"]].set_visible(False)
        panel.set_xlim(-0.03, 1.03)
    contexts = [
        Line2D([], [], color=COLOURS[i % len(COLOURS)], marker="o", ms=3, lw=1,
               label=f"{line.context} context, length {line.length:.2g}")
        for i, line in enumerate(lines)
    ]  # fmt: skip
    figure.legend(handles=contexts, loc="upper left", frameon=False, bbox_to_anchor=(0.42, 1.0))
    stimuli = [
        Line2D([], [], color="0.3", ls="-", lw=1.2, label="relevant stimulus"),
        Line2D([], [], color="0.3", ls="--", lw=1.2, label="irrelevant stimulus"),
    ]
    figure.legend(handles=stimuli, loc="upper right", frameon=False, bbox_to_anchor=(1.0, 1.0))
    kinds = [
        Line2D([], [], color="0.3", ls="", marker="o", ms=3, label="stable"),
        Line2D([], [], color="0.3", ls="", marker="o", ms=3, mfc="white", label="unstable"),
        Line2D([], [], color="black", ls="", marker="s", ms=4.5, mfc="0.6", label="fixed point"),
    ]
    figure.legend(
        handles=kinds, loc="upper left", frameon=False, ncols=3, bbox_to_anchor=(0.0, 1.0),
        columnspacing=0.8, handletextpad=0.2,
    )  # fmt: skip
