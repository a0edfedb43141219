"""Line attractors of context-dependent decision making (Mante et al. 2013)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray
from scipy.optimize import least_squares

from tasks_lib import CDDM
from tasks_lib.cddm import CONTEXTS
from tasks_lib.errors import ParameterError, check_choice, check_float, check_int

from .plots import FONT_SIZE, style_axes
from .point_analytics import analyse_points
from .rnn_numpy import RNNNumpy

Float = NDArray[np.float64]
COLOURS = ("#0072B2", "#D55E00")


@dataclass(frozen=True)
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
    speed : array (P,)
        |F|^2 at each.
    position : array (P,)
        Distance along the chord between the end points, 0 to 1.
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
    eigenvalues: NDArray[np.complex128]
    left: NDArray[np.complex128]
    right: NDArray[np.complex128]
    choice_axis: Float


def _relaxed(rnn: RNNNumpy, x: Float, u: Float, n_steps: int) -> Float:
    states, _ = rnn.run(np.repeat(u[:, None], n_steps, axis=1), x_init=x)
    return np.asarray(states[:, -1])


def _slowest_across(rnn: RNNNumpy, start: Float, along: Float, u: Float) -> Float:
    """Minimise |F|^2 over the hyperplane through ``start`` orthogonal to ``along``."""
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
    return state(found.x)


def get_line_attractor(
    rnn: RNNNumpy,
    task: CDDM,
    context: str,
    n_points: int = 31,
    nudge: float = 0.05,
    n_steps: int | None = None,
) -> LineAttractor:
    """Find the line attractor of one context.

    The end points are where the network settles after a nudge of the relevant stimulus by
    +-``nudge`` around (cue, 1/2, 1/2, 1/2, 1/2) is taken away; the line is followed between them,
    |F| minimised orthogonally to their chord.

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
        Steps with the nudge, and again without it; 50 time constants by default.
    """
    if not isinstance(task, CDDM) or rnn.n_inputs != task.n_inputs:
        raise ParameterError("task", type(task).__name__, "is not CDDM", "use a CDDM task")
    check_choice("context", context, CONTEXTS)
    check_int("n_points", n_points, minimum=2)
    check_float("nudge", nudge, exclusive_minimum=0.0)
    steps = check_int("n_steps", n_steps or round(50 / rnn.alpha), minimum=2)
    neutral = task.analysis_inputs[context]
    channel = 2 if context == "motion" else 4
    ends = []
    for sign in (-1.0, 1.0):
        nudged = neutral.copy()
        nudged[channel] += sign * nudge
        nudged[channel + 1] -= sign * nudge
        driven = _relaxed(rnn, rnn.x_init, nudged, steps)
        ends.append(_relaxed(rnn, driven, neutral, steps))
    chord = ends[1] - ends[0]
    length = np.linalg.norm(chord)
    axis = rnn.W_out[0] - rnn.W_out[1] if rnn.n_outputs > 1 else rnn.W_out[0]
    axis = axis / max(float(np.linalg.norm(axis)), 1e-300)
    # Both nudges may relax to one point: then there is no line, and the choice axis stands in.
    along = chord / length if length > 1e-9 else axis
    position = np.linspace(0.0, 1.0, n_points)
    points = np.stack(
        [_slowest_across(rnn, ends[0] + p * chord, along, neutral) for p in position], axis=1
    )
    analytics = analyse_points(rnn, points.T, neutral)
    turn = np.sign((analytics.right @ axis).real)
    turn = np.where(turn == 0, 1.0, turn)[:, None]
    return LineAttractor(
        context=context,
        input=neutral,
        points=points,
        speed=np.asarray(analytics.fun_val),
        position=position,
        eigenvalues=analytics.eigenvalues,
        left=analytics.left * turn,
        right=analytics.right * turn,
        choice_axis=axis,
    )


def plot_line_attractors(lines: Sequence[LineAttractor]) -> Figure:
    """Plot the lines in 3D (choice axis, two principal components) and |F| along them."""
    if not lines:
        raise ParameterError("lines", lines, "is empty", "pass the line of a context at least")
    axis = lines[0].choice_axis
    everything = np.concatenate([line.points for line in lines], axis=1)
    centre = everything.mean(axis=1, keepdims=True)
    rest = everything - centre
    rest = rest - np.outer(axis, axis @ rest)
    basis, _, _ = np.linalg.svd(rest, full_matrices=False)
    others = basis[:, :2].T if basis.shape[1] > 1 else np.vstack([basis[:, 0], 0 * basis[:, 0]])
    frame = np.vstack([axis, others])
    figure = Figure(figsize=(7.0, 3.2), layout="constrained")
    space: Any = figure.add_subplot(1, 2, 1, projection="3d")
    speeds = figure.add_subplot(1, 2, 2)
    for line, color in zip(lines, COLOURS, strict=False):
        x = frame @ (line.points - centre)
        leading = line.eigenvalues[:, 0].real
        space.plot(*x, color=color, lw=1)
        space.scatter(*x, c=color, s=np.where(leading < 0, 12, 24), label=f"{line.context} context")
        speeds.semilogy(
            line.position,
            np.sqrt(line.speed) + 1e-16,
            "o-",
            ms=2.5,
            lw=1,
            color=color,
            label=f"{line.context} context",
        )
    for set_label, text in (
        (space.set_xlabel, "choice axis (a.u.)"),
        (space.set_ylabel, "PC 1 (a.u.)"),
        (space.set_zlabel, "PC 2 (a.u.)"),
    ):
        set_label(text, fontsize=FONT_SIZE)
    space.tick_params(labelsize=FONT_SIZE - 2)
    space.legend(frameon=False, fontsize=FONT_SIZE - 1)
    speeds.set_xlabel("position along the line, from choice - to choice +")
    speeds.set_ylabel("|F| (a.u. per τ)")
    style_axes(speeds)
    return figure
