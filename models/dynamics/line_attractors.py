"""Line attractors of context-dependent decision making (Mante et al. 2013)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tasks_lib import CDDM
from tasks_lib.cddm import CONTEXTS
from tasks_lib.errors import ParameterError, check_choice, check_float, check_int

from ..fixed_points.growth import FAR, drive_scale
from ..manifolds.curves import Curve
from ..network.rnn_numpy import RNNNumpy
from .line_following import across, is_kept, line_between, onto_slow_mode
from .line_geometry import angle_between, fixed_points_along, real_or_nan, slowest_states
from .point_analytics import analyse_points

Float = NDArray[np.float64]
STIMULUS_CHANNELS = {"motion": 2, "color": 4}  # the channel +; the channel - is the next
NO_LINE = 1e-9  # length of a chord below which both ends are one point


@dataclass(frozen=True, eq=False)
class ContextLineAttractor:
    """Slow points along the line of one context.

    The line is the curve that the flow keeps (``followed``): F points along it. Where there is no
    such curve between the ends, it is the slowest states across the chord between them, which in a
    network whose modes are not orthogonal need not be one another's neighbours in time.

    Attributes
    ----------
    context : str
        "motion" or "color".
    input : array (n_inputs,)
        The context's cue with stimuli of no coherence.
    points : array (N, P)
        Slow points, from the choice - to the choice +, evenly spaced along the line. Where it was
        not followed neighbours may lie on different branches.
    speed : array (P,)
        |F|^2 at each.
    position : array (P,)
        Distance along the line (where it was not followed, along the chord), 0 to 1.
    length : float
        Length of the chord between the end points, in units of state. Near 0 both ends are one
        point: there is no line.
    arc_length : float
        Length along the line.
    followed : bool
        Whether the line is kept by the flow: root mean square of F across it at most 0.2 of F.
    drift : array (P,)
        F along the line, per tau: above 0 toward the choice +.
    across : array (P,)
        |F| across the line.
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
    arc_length: float
    followed: bool
    drift: Float
    across: Float

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


def _line(
    rnn: RNNNumpy, released: tuple[Float, Float], axis: Float, u: Float, n: int
) -> tuple[Curve, bool]:
    """Return n states from one end to the other, and whether the flow keeps their curve.

    Parameters
    ----------
    released : pair of arrays (N,)
        Where the nudges have led.
    axis : array (N,)
        What stands in for the chord where both ends are one point.
    """
    apart = float(np.linalg.norm(released[1] - released[0]))
    if apart > NO_LINE:
        ends = tuple(onto_slow_mode(rnn, u, end, 3.0 * apart) for end in released)
        if np.linalg.norm(ends[1] - ends[0]) > NO_LINE:
            line = line_between(rnn, u, (ends[0], ends[1]), n)
            if is_kept(rnn, u, line):
                return line, True
    along = (released[1] - released[0]) / apart if apart > NO_LINE else axis
    points = slowest_states(rnn, released, along, u, n).T
    tangents = np.repeat(along[None], n, axis=0)
    drift = rnn.rhs_at(points, u) @ along
    return Curve(points, tangents, drift, False, ("end", "end")), False


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
    1/2, 1/2) takes the network, a little after the nudge is gone, moved onto the line along the
    modes that are still decaying. Between them the curve is followed that the flow keeps
    (`models.dynamics.line_following`).

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
        Steps without it; one time constant by default, which keeps what lies along a slow
        direction. After many, ends on an imperfect line drift together.

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
    axis = rnn.W_out[0] - rnn.W_out[1] if rnn.n_outputs > 1 else rnn.W_out[0]
    axis = axis / max(float(np.linalg.norm(axis)), 1e-300)
    line, followed = _line(rnn, (ends[0], ends[1]), axis, neutral, n_points)
    points = line.points.T
    chord = points[:, -1] - points[:, 0]
    length = float(np.linalg.norm(chord))
    # Both nudges may lead to one point: then there is no line, and the choice axis stands in.
    along = chord / length if length > NO_LINE else axis
    position = np.linspace(0.0, 1.0, n_points, dtype=np.float64)
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
        arc_length=line.length if length > NO_LINE else 0.0,
        followed=followed,
        drift=line.drift,
        across=across(rnn, neutral, line),
    )
