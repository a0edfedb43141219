"""Line attractors of context-dependent decision making (Mante et al. 2013)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray
from scipy.optimize import least_squares

from tasks_lib import CDDM
from tasks_lib.cddm import CONTEXTS
from tasks_lib.errors import ParameterError, check_choice, check_float, check_int

from .plots import FONT_SIZE, style_axes
from .plots_dynamics import COLOURS, principal_directions
from .point_analytics import analyse_points
from .rnn_numpy import RNNNumpy

Float = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class LineAttractor:
    """Slow points along the line of one context.

    Attributes
    ----------
    context : str
        "motion" or "color".
    input : array (n_inputs,)
        The context's cue with stimuli of no coherence.
    points : array (N, P)
        Slow points, from the choice - to the choice +.
        Where the line folds back along the chord, neighbours may lie on different branches of it.
    speed : array (P,)
        |F|^2 at each.
    position : array (P,)
        Distance along the chord between the end points, 0 to 1.
    length : float
        Length of that chord, in units of state. Near 0 both ends are one point: there is no line.
    eigenvalues : array (P, N), complex
        By real part, descending.
    left : array (P, N), complex
        Selection vector l at each point: the principal left eigenvector, l.r = 1.
    right : array (P, N), complex
        Principal right eigenvector r, turned toward the choice axis.
    choice_axis : array (N,)
        W_out row 0 - row 1, of unit length.
    """

    context: str
    input: Float
    points: Float
    speed: Float
    position: Float
    length: float
    eigenvalues: NDArray[np.complex128]
    left: NDArray[np.complex128]
    right: NDArray[np.complex128]
    choice_axis: Float


def _relaxed(rnn: RNNNumpy, x: Float, u: Float, n_steps: int) -> Float:
    # column 0 is the start: one column more than updates
    states, _ = rnn.run(np.repeat(u[:, None], n_steps + 1, axis=1), x_init=x)
    return np.asarray(states[:, -1])


def _slowest_across(rnn: RNNNumpy, start: Float, along: Float, u: Float) -> tuple[Float, float]:
    """Minimise |F|^2 over the hyperplane through ``start`` orthogonal to ``along``.

    Returns the state (N,) and half its |F|^2.
    """
    # The projector keeps the search within the hyperplane without building a basis of it.
    across = np.eye(rnn.N) - np.outer(along, along)

    def state(z: Float) -> Float:
        return start + across @ z

    found = least_squares(
        lambda z: rnn.rhs(state(z), u),
        np.zeros(rnn.N),
        jac=lambda z: rnn.jacobian(state(z), u) @ across,
        method="trf",
        xtol=1e-12,
        ftol=1e-12,
        gtol=1e-12,
        max_nfev=200,
    )
    return state(found.x), float(found.cost)


def _follow(rnn: RNNNumpy, ends: Sequence[Float], along: Float, u: Float, n: int) -> Float:
    """Return the slowest states (N, n) found in n hyperplanes between two ends.

    Hyperplanes may hold several minima. Each is searched from the chord and from the minimum of
    its neighbour, going from either end, and the slowest state found is kept.
    """
    step = (ends[1] - ends[0]) / (n - 1)
    found = [[_slowest_across(rnn, ends[0] + i * step, along, u)] for i in range(n)]
    for order, move in ((range(n), step), (range(n - 1, -1, -1), -step)):
        current = None
        for i in order:
            if current is not None:
                found[i].append(_slowest_across(rnn, current + move, along, u))
            current = found[i][-1][0]
    return np.stack([min(here, key=lambda f: f[1])[0] for here in found], axis=1)


def get_line_attractor(
    rnn: RNNNumpy,
    task: CDDM,
    context: str,
    n_points: int = 31,
    nudge: float = 0.05,
    n_steps: int | None = None,
    relax_steps: int | None = None,
) -> LineAttractor:
    """Find the line attractor of one context.

    The end points are where a nudge of the relevant stimulus by +-``nudge`` around (cue, 1/2, 1/2,
    1/2, 1/2) takes the network, a little after the nudge is gone; the line is followed between
    them, |F| minimised orthogonally to their chord.

    Parameters
    ----------
    rnn : RNNNumpy
    task : CDDM
    context : {"motion", "color"}
    n_points : int
        Points along the line.
    nudge : float
        Change of the relevant stimulus channels.
    n_steps : int, optional
        Steps with the nudge; 50 time constants by default.
    relax_steps : int, optional
        Steps without it; one time constant by default, which lets fast modes settle and keeps
        what lies along a slow direction. After many, ends on an imperfect line drift together.

    Raises
    ------
    ParameterError
        Where the task is not CDDM, an argument is out of range or the states diverge.
    """
    if not isinstance(task, CDDM):
        raise ParameterError("task", type(task).__name__, "is not CDDM", "use a CDDM task")
    if rnn.n_inputs != task.n_inputs:
        raise ParameterError(
            "n_inputs", rnn.n_inputs, f"CDDM has {task.n_inputs}", "use a network of that task"
        )
    check_choice("context", context, CONTEXTS)
    check_int("n_points", n_points, minimum=2)
    check_float("nudge", nudge, exclusive_minimum=0.0)
    steps, relax = (
        check_int(field, round(default) if value is None else value, minimum=1)
        for field, value, default in (
            ("n_steps", n_steps, 50 / rnn.alpha),
            ("relax_steps", relax_steps, 1 / rnn.alpha),
        )
    )
    neutral = task.analysis_inputs[context]
    channel = 2 if context == "motion" else 4
    ends = []
    for sign in (-1.0, 1.0):
        nudged = neutral.copy()
        nudged[channel] += sign * nudge
        nudged[channel + 1] -= sign * nudge
        driven = _relaxed(rnn, rnn.x_init, nudged, steps)
        ends.append(_relaxed(rnn, driven, neutral, relax))
        if not np.isfinite(ends[-1]).all():
            raise ParameterError(
                "rnn",
                "diverges",
                f"its states grow without bound in {steps} steps",
                "lower n_steps",
            )
    chord = ends[1] - ends[0]
    length = float(np.linalg.norm(chord))
    axis = rnn.W_out[0] - rnn.W_out[1] if rnn.n_outputs > 1 else rnn.W_out[0]
    axis = axis / max(float(np.linalg.norm(axis)), 1e-300)
    # Both nudges may lead to one point: then there is no line, and the choice axis stands in.
    along = chord / length if length > 1e-9 else axis
    position = np.linspace(0.0, 1.0, n_points, dtype=np.float64)
    points = _follow(rnn, ends, along, neutral, n_points)
    analytics = analyse_points(rnn, points.T, neutral)
    turn = np.sign((analytics.right @ axis).real)
    turn = np.where(turn == 0, 1.0, turn)[:, None]
    return LineAttractor(
        context=context,
        input=neutral,
        points=points,
        speed=np.asarray(analytics.fun_val),
        position=position,
        length=length,
        eigenvalues=analytics.eigenvalues,
        left=analytics.left * turn,
        right=analytics.right * turn,
        choice_axis=axis,
    )


def plot_line_attractors(lines: Sequence[LineAttractor]) -> Figure:
    """Plot the lines in 3D (choice axis, two principal components) and |F| along them.

    Filled points are stable to first order, open ones are not. Components are of what is left
    after the choice axis.
    """
    if not lines:
        raise ParameterError("lines", lines, "is empty", "pass the line of a context at least")
    axis = lines[0].choice_axis
    everything = np.concatenate([line.points for line in lines], axis=1)
    centre = everything.mean(axis=1, keepdims=True)
    rest = everything - centre
    frame = np.vstack([axis, principal_directions(rest - np.outer(axis, axis @ rest), 2).T])
    figure = Figure(figsize=(7.0, 3.2))
    # Fixed places: layout engines do not know how far the labels of 3D axes reach.
    space: Any = figure.add_axes((0.0, 0.1, 0.46, 0.8), projection="3d")
    speeds = figure.add_axes((0.62, 0.17, 0.36, 0.66))
    for i, line in enumerate(lines):
        color = COLOURS[i % len(COLOURS)]
        x = frame @ (line.points - centre)
        unstable = line.eigenvalues[:, 0].real > 0
        space.plot(*x, color=color, lw=1)
        space.scatter(
            *x, s=10, edgecolors=color, depthshade=False, linewidths=0.8,
            facecolors=["none" if open_ else color for open_ in unstable],
        )  # fmt: skip
        # |F| of exactly 0 has no logarithm: drawn at the rounding error of a state of order 1
        speeds.semilogy(
            line.position,
            np.maximum(np.sqrt(line.speed), 1e-16),
            "o-",
            ms=2.5,
            lw=1,
            color=color,
            label=f"{line.context} context, length {line.length:.2g}",
        )
    for set_label, text in (
        (space.set_xlabel, "choice axis (a.u.)"),
        (space.set_ylabel, "PC 1 (a.u.)"),
        (space.set_zlabel, "PC 2 (a.u.)"),
    ):
        set_label(text, fontsize=FONT_SIZE, labelpad=0)
    space.tick_params(labelsize=FONT_SIZE - 2, pad=0)
    for part in (space.xaxis, space.yaxis, space.zaxis):
        part.set_major_locator(MaxNLocator(4))
    space.set_title("filled: stable, open: unstable", fontsize=FONT_SIZE - 1)
    speeds.set_xlabel("position along the line (− to + choice)")
    speeds.set_ylabel("|F| (a.u. per τ)")
    figure.legend(
        *speeds.get_legend_handles_labels(), loc="upper right", frameon=False,
        fontsize=FONT_SIZE - 1, bbox_to_anchor=(0.99, 0.99),
    )  # fmt: skip
    style_axes(speeds)
    return figure
