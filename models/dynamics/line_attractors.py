"""Line attractors of context-dependent decision making (Mante et al. 2013)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import least_squares

from tasks_lib import CDDM
from tasks_lib.brief import brief
from tasks_lib.cddm import CONTEXTS
from tasks_lib.errors import ParameterError, check_choice, check_float, check_int

from ..fixed_points.growth import FAR, drive_scale
from ..network.rnn_numpy import RNNNumpy
from .line_geometry import angle_between, fixed_points_along, real_or_nan
from .point_analytics import analyse_points

Float = NDArray[np.float64]
STIMULUS_CHANNELS = {"motion": 2, "color": 4}  # the channel +; the channel - is the next
NO_LINE = 1e-9  # length of a chord below which both ends are one point


@brief
@dataclass(frozen=True, eq=False)
class ContextLineAttractor:
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
    direction : array (N,)
        Unit vector along that chord; the choice axis where there is no line.
    eigenvalues : array (P, N), complex
        By real part, descending.
    left : array (P, N), complex
        Selection vector l at each point: the principal left eigenvector, l.r = 1.
    right : array (P, N), complex
        Principal right eigenvector r, turned toward the choice axis.
    choice_axis : array (N,)
        W_out row 0 - row 1, of unit length.
    input_directions : array (P, N, n_inputs)
        dF/du at each point, per tau.
    fixed_points : array (N, Q)
        Fixed points on the line, from the choice - to the choice +. As many as slow points where
        the whole line is fixed.
    fixed_point_stable : array (Q,) of bool
        Whether the largest real part of a fixed point's eigenvalues is negative.

    Angles are in degrees. Where the leading eigenvalue is one of a complex pair, no single
    direction is selected, and they are NaN.
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
    direction: Float
    input_directions: Float
    fixed_points: Float
    fixed_point_stable: NDArray[np.bool_]

    @property
    def selection_vectors(self) -> Float:
        """Real selection vectors (P, N): l, or NaN where the leading eigenvalue is complex."""
        return real_or_nan(self.left, self.eigenvalues[:, 0])

    @property
    def stimulus_directions(self) -> Float:
        """Where motion and color push the state, per unit of evidence for + and tau: (P, N, 2).

        dF/du of the channel + minus that of the channel -, which a stimulus moves against each
        other.
        """
        B = self.input_directions
        return np.stack([B[:, :, i] - B[:, :, i + 1] for i in STIMULUS_CHANNELS.values()], axis=2)

    @property
    def input_angles(self) -> Float:
        """Angle of l to each input's direction dF/du_i, 0 to 180: (P, n_inputs)."""
        return angle_between(
            self.selection_vectors[:, None], np.swapaxes(self.input_directions, 1, 2)
        )

    @property
    def stimulus_angles(self) -> Float:
        """Angle of l to what motion and what color push toward, 0 to 180: (P, 2).

        Below 90 evidence moves the state toward the choice +; at 90 it is ignored.
        """
        return angle_between(
            self.selection_vectors[:, None], np.swapaxes(self.stimulus_directions, 1, 2)
        )

    @property
    def stimulus_gains(self) -> Float:
        """Gain l . (dF/du_+ - dF/du_-) of motion and color: (P, 2).

        How fast, per unit of evidence and tau, a stimulus moves the state along r. Beside the
        angle it counts how long both vectors are.
        """
        return np.einsum("pn,pns->ps", self.selection_vectors, self.stimulus_directions)

    @property
    def relevant(self) -> int:
        """Column of this context's own stimulus among (motion, color)."""
        return CONTEXTS.index(self.context)

    @property
    def choice_angles(self) -> Float:
        """Angle of r to the choice axis, 0 to 90: (P,)."""
        return angle_between(real_or_nan(self.right, self.eigenvalues[:, 0]), self.choice_axis)

    @property
    def time_constants(self) -> Float:
        """Time constant of the first mode, 1 / |Re eigenvalue|, in tau: (P,)."""
        with np.errstate(divide="ignore"):
            return 1.0 / np.abs(self.eigenvalues[:, 0].real)

    def angles_to(self, other: ContextLineAttractor) -> Float:
        """Angle of r at each point to the chord of another context's line, 0 to 180: (P,).

        NaN where the other is no line.
        """
        chord = other.direction if other.length > NO_LINE else np.full_like(self.direction, np.nan)
        return angle_between(real_or_nan(self.right, self.eigenvalues[:, 0]), chord)


LineAttractor = ContextLineAttractor  # its name until 0.1, which is that of a table now


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
) -> ContextLineAttractor:
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
    channel = STIMULUS_CHANNELS[context]
    ends = []
    for sign in (-1.0, 1.0):
        nudged = neutral.copy()
        nudged[channel] += sign * nudge
        nudged[channel + 1] -= sign * nudge
        driven = _relaxed(rnn, rnn.x_init, nudged, steps)
        ends.append(_relaxed(rnn, driven, neutral, relax))
        if not np.abs(ends[-1]).max() <= FAR * drive_scale(rnn, neutral):  # nor NaN
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
    along = chord / length if length > NO_LINE else axis
    position = np.linspace(0.0, 1.0, n_points, dtype=np.float64)
    points = _follow(rnn, ends, along, neutral, n_points)
    analytics = analyse_points(rnn, points.T, neutral)
    turn = np.sign((analytics.right @ axis).real)
    turn = np.where(turn == 0, 1.0, turn)[:, None]
    roots = fixed_points_along(rnn, points, along, neutral)
    spectra = [np.linalg.eigvals(rnn.jacobian(x, neutral)) for x in roots.T]
    return ContextLineAttractor(
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
        direction=along,
        input_directions=analytics.input_directions,
        fixed_points=roots,
        fixed_point_stable=np.array([v.real.max() < 0 for v in spectra], dtype=bool),
    )
