"""Line attractors: hand-built lines, and what holds along the line of any network."""

from __future__ import annotations

import io

import numpy as np
import pytest
import scipy.optimize

from models.dynamics.line_attractors import get_line_attractor
from models.dynamics.line_geometry import angle_between, fixed_points_along
from models.network.rnn_numpy import RNNNumpy
from models.plots.line_attractors import plot_line_attractors
from tasks_lib import CDDM, NBitFlipFlop
from tasks_lib.errors import ParameterError

TASK = CDDM(n_steps=30, stim_on=10, dec_on=20)
RIGHT = np.array([0.6, 0.8, 0.0])
LEFT = np.array([1.0, 0.5, 0.25])
LEFT = LEFT / (LEFT @ RIGHT)


def integrator(equation_type="s", readout=1.0, n_outputs=2, **given):
    """W_rec = r l^T with l.r = 1: every c r, c > 0, is fixed. Motion moves the state along r."""
    W_inp = np.zeros((3, 6))
    W_inp[:, 2], W_inp[:, 3] = RIGHT, -RIGHT
    arguments = {
        "W_rec": np.outer(RIGHT, LEFT), "W_inp": W_inp,
        "W_out": readout * np.outer([1.0, -1.0], RIGHT)[:n_outputs],
        "activation": "relu", "x_init": RIGHT, "equation_type": equation_type,
    }  # fmt: skip
    return RNNNumpy(**{**arguments, **given})


def random_network(activation, equation_type, n_outputs=2, seed=0):
    rng = np.random.default_rng(seed)
    n = 12
    W_rec = 1.3 * rng.standard_normal((n, n)) / np.sqrt(n)
    if activation == "relu":  # inhibition keeps it bounded
        W_rec -= 1.0 / n
    return RNNNumpy(
        W_rec=W_rec, W_inp=rng.standard_normal((n, 6)), W_out=rng.standard_normal((n_outputs, n)),
        activation=activation, equation_type=equation_type,
    )  # fmt: skip


@pytest.mark.parametrize("n_outputs", [1, 2])
@pytest.mark.parametrize("equation_type", ["s", "h"])
def test_known_line(equation_type, n_outputs):
    line = get_line_attractor(
        integrator(equation_type, n_outputs=n_outputs), TASK, "motion", n_points=7, n_steps=30
    )
    # 3 time constants of drive +-2 * 0.05 along r, from 1 r; nothing moves without the nudge
    along = RIGHT @ line.points
    assert np.allclose(along, np.linspace(0.7, 1.3, 7), atol=1e-9)
    assert np.allclose(line.points, np.outer(RIGHT, along), atol=1e-9)
    assert line.length == pytest.approx(0.6, abs=1e-9)
    assert line.speed.max() < 1e-18
    assert np.allclose(line.eigenvalues[:, 0], 0, atol=1e-9)
    assert np.allclose(line.eigenvalues[:, 1:], -1, atol=1e-6)
    assert np.allclose(line.right, RIGHT, atol=1e-6)
    if equation_type == "s":
        assert np.allclose(line.left, LEFT, atol=1e-6)
    else:  # W diag(f') blanks the unit at 0, and with it that entry of l
        assert np.allclose(line.left[:, :2], LEFT[:2], atol=1e-6)
    assert np.array_equal(line.input, [1, 0, 0.5, 0.5, 0.5, 0.5])
    assert np.allclose(line.choice_axis, RIGHT)


@pytest.mark.parametrize("equation_type", ["s", "h"])
def test_selection_on_a_known_line(equation_type):
    # color pushes across the selection vector, to which the state then returns
    W_inp = integrator().W_inp.copy()
    across = np.cross(LEFT, [1.0, 2.0, 0.5])
    W_inp[:, 4], W_inp[:, 5] = 0.5 * across, -across
    rnn = integrator(equation_type, W_inp=W_inp, x_init=3 * np.array([0.5, 0.5, 0.5]))
    # every unit is active along this line, so that f' = 1 and dF/du = W_inp
    rnn.W_rec = np.outer(np.full(3, 1.0) / LEFT.sum(), LEFT)
    motion, color = (
        get_line_attractor(rnn, TASK, c, n_points=5, n_steps=30, relax_steps=300)
        for c in ("motion", "color")
    )
    assert motion.length > 0.1
    assert np.allclose(motion.input_directions, W_inp)
    cosine = LEFT @ (2 * RIGHT) / np.linalg.norm(LEFT) / 2
    assert np.allclose(motion.stimulus_angles[:, 0], np.degrees(np.arccos(cosine)), atol=1e-4)
    assert np.allclose(motion.stimulus_angles[:, 1], 90, atol=1e-4)
    assert motion.input_angles.shape == (5, 6)
    expected = [np.degrees(np.arccos(s * cosine)) for s in (1, -1)]
    assert np.allclose(motion.input_angles[:, 2:4], expected, atol=1e-4)
    assert np.isnan(motion.input_angles[:, :2]).all()  # no cue has weights: no direction
    # l . r = 1, whatever the lengths: per unit of evidence the state moves 2 l . RIGHT along r
    unit = np.full(3, 1 / np.sqrt(3))
    gain = 2 * LEFT @ RIGHT / (LEFT @ unit)
    assert np.allclose(motion.stimulus_gains, [gain, 0], atol=1e-6)
    choice = np.degrees(np.arccos(unit @ RIGHT))
    assert np.allclose(motion.choice_angles, choice, atol=1e-4)
    assert motion.relevant == 0
    assert color.relevant == 1
    # color's line has no length, so there is nothing to have an angle to; motion's has one
    assert color.length < 1e-9
    assert np.isnan(motion.angles_to(color)).all()
    assert np.allclose(color.angles_to(motion), 0, atol=1e-3)
    assert np.allclose(motion.direction, unit, atol=1e-6)
    # the whole line is fixed, and says so
    assert motion.fixed_points.shape == (3, 5)
    assert (motion.time_constants > 1e6).all()


def test_the_gain_is_the_speed_at_which_a_stimulus_moves_the_state():
    rnn = random_network("tanh", "s", seed=1)
    line = get_line_attractor(rnn, TASK, "motion", n_points=5)
    for s, channel in enumerate((2, 4)):
        h = 1e-6 * (np.arange(6) == channel) - 1e-6 * (np.arange(6) == channel + 1)
        for i, x in enumerate(line.points.T):
            push = (rnn.rhs(x, line.input + h) - rnn.rhs(x, line.input - h)) / 2e-6
            if line.eigenvalues[i, 0].imag == 0:
                along = (line.left[i] @ push).real
                assert line.stimulus_gains[i, s] == pytest.approx(along, rel=1e-6, abs=1e-9)
            else:
                assert np.isnan(line.stimulus_gains[i, s])


def test_fixed_points_along_a_bistable_line():
    # dx/dt = -x + tanh(2 x) along r, fast decay across: roots at 0 and +-0.9575
    r = np.array([0.6, 0.8, 0.0])
    W_inp = np.zeros((3, 6))
    W_inp[:, 2], W_inp[:, 3] = r, -r

    class Along(RNNNumpy):
        """tanh acts along r only."""

        def rhs(self, x, u):
            x = np.asarray(x)
            drive = np.asarray(W_inp @ np.asarray(u))
            along = np.multiply.outer(r, np.tanh(2 * (r @ x)))
            return -x + along + (drive[:, None] if x.ndim == 2 else drive)

        def jacobian(self, x, u):
            x = np.asarray(x)
            slope = 2 / np.cosh(2 * (r @ x)) ** 2
            return -np.eye(3) + np.multiply.outer(slope, np.outer(r, r))

    rnn = Along(W_rec=np.zeros((3, 3)), W_inp=W_inp, W_out=np.outer([1, -1], r), activation="tanh")
    points = np.outer(r, np.linspace(-1, 1, 12))
    found = fixed_points_along(rnn, points, r, np.array([1, 0, 0.5, 0.5, 0.5, 0.5]))
    root = scipy.optimize.brentq(lambda z: np.tanh(2 * z) - z, 0.5, 1.5)
    assert found.shape == (3, 3)
    assert np.allclose(r @ found, [-root, 0, root], atol=1e-8)
    # a piece of the line without a root has none
    piece = np.outer(r, [0.4, 0.45, 0.5])
    assert fixed_points_along(rnn, piece, r, np.full(6, 0.5)).shape == (3, 0)


def test_angles():
    assert angle_between([1, 0], [[0, 2], [3, 3], [-1, 0]]).tolist() == pytest.approx([90, 45, 180])
    assert np.isnan(angle_between([0, 0], [1, 0]))
    assert np.isnan(angle_between([np.nan, 0], [1, 0]))


def test_a_complex_mode_selects_no_direction():
    rotation = np.array([[0.9, -0.5, 0], [0.5, 0.9, 0], [0, 0, 0]])
    rnn = integrator(W_rec=rotation, activation="tanh", x_init=np.zeros(3))
    line = get_line_attractor(rnn, TASK, "color", n_points=3, n_steps=30)
    assert line.eigenvalues[0, 0].imag > 0
    for angles in (line.stimulus_angles, line.choice_angles, line.stimulus_gains):
        assert np.isnan(angles).all()


def test_vectors_turn_with_the_choice_axis():
    line = get_line_attractor(
        integrator(readout=-2.0, n_outputs=1), TASK, "motion", n_points=3, n_steps=30
    )
    assert np.allclose(line.choice_axis, -RIGHT)
    assert np.allclose(line.right, -RIGHT, atol=1e-6)
    assert np.allclose(line.left, -LEFT, atol=1e-6)


def test_without_effect_of_the_stimulus_there_is_no_line():
    line = get_line_attractor(integrator(), TASK, "color", n_points=3, n_steps=30)
    assert line.length < 1e-9
    assert np.allclose(line.points, RIGHT[:, None], atol=1e-9)


def test_ends_are_relaxed_without_the_nudge():
    # no recurrence: x follows the drive, and forgets it with alpha = 0.1 a step
    rnn = integrator(W_rec=np.zeros((3, 3)), activation="tanh", x_init=np.zeros(3))
    lengths = [
        get_line_attractor(rnn, TASK, "motion", n_points=2, relax_steps=n).length for n in (1, 10)
    ]
    full = 2 * np.linalg.norm(np.tanh(0.1 * RIGHT))
    assert np.allclose(lengths, [0.9 * full, 0.9**10 * full], rtol=1e-6)


@pytest.mark.parametrize("n_outputs", [1, 2])
@pytest.mark.parametrize("equation_type", ["s", "h"])
@pytest.mark.parametrize("activation", ["tanh", "relu", "softplus"])
@pytest.mark.parametrize("context", ["motion", "color"])
def test_what_holds_on_any_line(activation, equation_type, n_outputs, context):
    rnn = random_network(activation, equation_type, n_outputs)
    if activation == "softplus":
        rnn.W_rec -= 0.2
    line = get_line_attractor(rnn, TASK, context, n_points=9)
    F = rnn.rhs(line.points, line.input)
    assert np.allclose(line.speed, np.sum(F**2, axis=0), rtol=1e-12)
    assert np.abs(np.einsum("pn,pn->p", line.left, line.right) - 1).max() < 1e-9
    assert ((line.right @ line.choice_axis).real > -1e-12).all()
    assert (np.diff(line.eigenvalues.real, axis=1) < 1e-9).all()
    for i, J in enumerate(rnn.jacobian(line.points, line.input)):
        assert np.allclose(J @ line.right[i], line.eigenvalues[i, 0] * line.right[i], atol=1e-8)
        assert np.allclose(line.left[i] @ J, line.eigenvalues[i, 0] * line.left[i], atol=1e-7)


def test_where_no_curve_is_kept_speed_is_least_across_the_chord():
    rnn = random_network("tanh", "h", seed=0)
    line = get_line_attractor(rnn, TASK, "motion", n_points=9)
    assert not line.followed  # all modes decay at like rates
    # hyperplanes orthogonal to the chord, evenly spaced along it
    steps = np.diff(line.points, axis=1)
    chord = _chord(rnn, line)
    released = chord @ steps
    assert np.allclose(released, released[0], atol=1e-9)
    across = np.eye(12) - np.outer(chord, chord)
    rng = np.random.default_rng(0)
    for i in range(9):
        x = line.points[:, i]
        slope = across @ rnn.jacobian(x, line.input).T @ rnn.rhs(x, line.input)
        assert np.linalg.norm(slope) < 1e-5
        nearby = x[:, None] + 1e-2 * across @ rng.standard_normal((12, 50))
        assert (np.sum(rnn.rhs(nearby, line.input) ** 2, axis=0) >= line.speed[i]).all()


def linear(slow, fast, degrees, n=5):
    """x' = J x: a slow mode r and a fast one at an angle to it; motion drives both."""
    modes = np.eye(n)
    modes[:2, 1] = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    J = modes @ np.diag([slow, fast] + [-1.0] * (n - 2)) @ np.linalg.inv(modes)
    W_inp = np.zeros((n, 6))
    W_inp[:, 2] = 0.5 * modes[:, 0] + 0.8 * modes[:, 1]
    W_inp[:, 3] = -W_inp[:, 2]
    identity = {"name": "leaky_relu", "slope": 1.0, "leak_slope": 1.0}
    return RNNNumpy(
        W_rec=J + np.eye(n), W_inp=W_inp, W_out=np.outer([1.0, -1.0], modes[:, 0]),
        activation=identity, tau=1.0, dt=0.1,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("slow", "fast", "degrees"),
    [(0.0, -0.1, 30), (0.0, -0.05, 10), (-0.01, -0.2, 20), (0.005, -0.3, 45), (0.0, -1.0, 90)],
)
def test_length_drift_and_direction_hold_no_fast_modes(slow, fast, degrees):
    rnn = linear(slow, fast, degrees)
    line = get_line_attractor(rnn, TASK, "motion", n_points=11)
    # Of the slow mode alone: 50 tau of the nudge of 2 * 0.05 * 0.5, and 1 tau without it.
    end = 0.0
    for step in range(510):
        end += 0.1 * (slow * end + 0.05 * (step < 500))
    assert line.followed
    assert line.length == pytest.approx(2 * end, rel=1e-9)
    assert line.arc_length == pytest.approx(2 * end, rel=1e-9)
    assert np.allclose(line.direction, np.eye(5)[0], atol=1e-9)
    assert np.sqrt(line.speed.max()) == pytest.approx(abs(slow) * end, rel=1e-9, abs=1e-12)
    assert np.allclose(line.drift, slow * line.points[0], atol=1e-9)
    assert line.across.max() < 1e-9


@pytest.mark.parametrize("activation", ["tanh", "relu"])
def test_a_curve_of_known_course_is_followed(activation):
    """x = k m, along which k' = -k + n.f(k m): straight for both f, its drift is not linear.

    A second mode, q of rate -0.5 at an acute angle to m, is driven as well and slow to relax.
    """
    m = np.array([0.6, 0.8, 0.0, 0.0])
    q = np.array([0.4, 0.5, 0.7, 0.3])
    n_m = np.array([0.9, 0.7, 0.0, 0.0])
    n_q = np.array([0.0, 0.0, 0.5, 0.5])
    W_inp = np.zeros((4, 6))
    W_inp[:, 2] = 0.1 * m + 0.9 * q
    W_inp[:, 3] = -W_inp[:, 2]
    if activation == "relu":
        n_m = n_m / (n_m @ m)
    rnn = RNNNumpy(
        W_rec=np.outer(m, n_m) + np.outer(q, n_q), W_inp=W_inp, W_out=np.outer([1, -1], m),
        activation="tanh" if activation == "tanh" else
        {"name": "leaky_relu", "slope": 1.0, "leak_slope": 0.9},
        equation_type="h", tau=1.0, dt=0.1,
    )  # fmt: skip
    line = get_line_attractor(rnn, TASK, "motion", n_points=15)
    assert line.followed
    k = m @ line.points
    assert np.allclose(line.points, np.outer(m, k), atol=2e-3 * line.length)
    assert np.allclose(line.drift, -k + n_m @ rnn.activation.f(np.outer(m, k)), atol=2e-3)
    assert angle_between(line.direction, m) < 0.5
    # The end that was let go at is far from it.
    u = np.repeat((line.input + 0.05 * np.array([0, 0, 1, -1, 0, 0]))[:, None], 501, axis=1)
    x = rnn.run(np.repeat(line.input[:, None], 11, axis=1), x_init=rnn.run(u)[0][:, -1])[0][:, -1]
    assert np.linalg.norm(x - m * (m @ x)) > 0.01 * line.length


def test_states_that_drift_along_a_line_stay_on_it():
    """A trained-like line: a random network with one strong mode, bent by tanh."""
    rng = np.random.default_rng(4)
    n = 30
    r = rng.standard_normal(n)
    r /= np.linalg.norm(r)
    left = r + 0.8 * rng.standard_normal(n) / np.sqrt(n)
    W = 0.35 * rng.standard_normal((n, n)) / np.sqrt(n) + 1.1 * np.outer(r, left) / (left @ r)
    W_inp = 0.1 * rng.standard_normal((n, 6))
    W_inp[:, 2] += r
    W_inp[:, [3, 5]] = -W_inp[:, [2, 4]]
    rnn = RNNNumpy(W_rec=W, W_inp=W_inp, W_out=np.outer([1, -1], r), activation="tanh",
                   tau=1.0, dt=0.1)  # fmt: skip
    line = get_line_attractor(rnn, TASK, "motion", n_points=41)
    assert line.followed and line.length > 0.5
    gaps = np.linalg.norm(np.diff(line.points, axis=1), axis=0)
    assert np.allclose(gaps, gaps[0], rtol=1e-2)
    # Run from a state on the line, for the time that it takes to drift over some of its points.
    i = int(np.abs(line.drift).argmax())
    n_steps = int(3 * gaps[0] / abs(line.drift[i]) / rnn.alpha)
    there = rnn.run(np.repeat(line.input[:, None], n_steps, axis=1), x_init=line.points[:, i])[0]
    moved = np.linalg.norm(there[:, -1] - there[:, 0])
    a, b = line.points[:, :-1], line.points[:, 1:]
    share = np.clip(np.sum((there[:, -1:] - a) * (b - a), axis=0) / gaps**2, 0, 1)
    off = np.linalg.norm(there[:, -1:] - a - share * (b - a), axis=0).min()
    assert moved > 1.5 * gaps[0]
    assert off < 0.02 * moved


def _chord(rnn, line):
    """Return the unit vector between the ends, found anew."""
    ends = []
    for sign in (-1, 1):
        nudged = line.input + sign * np.array([0, 0, 0.05, -0.05, 0, 0])
        u = np.repeat(nudged[:, None], 501, axis=1)
        x = rnn.run(u)[0][:, -1]
        ends.append(rnn.run(np.repeat(line.input[:, None], 11, axis=1), x_init=x)[0][:, -1])
    chord = ends[1] - ends[0]
    return chord / np.linalg.norm(chord)


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"task": NBitFlipFlop()}, "task"),
        ({"context": "colour"}, "context"),
        ({"n_points": 1}, "n_points"),
        ({"nudge": 0.0}, "nudge"),
        ({"n_steps": 0}, "n_steps"),
        ({"relax_steps": 0}, "relax_steps"),
        ({"rnn": integrator(W_inp=np.ones((3, 5)))}, "n_inputs"),
        ({"rnn": integrator(W_rec=1e6 * np.eye(3)), "n_steps": 2000}, "rnn"),
    ],
)
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_bad_input(change, field):
    with pytest.raises(ParameterError) as error:
        get_line_attractor(
            **{"rnn": integrator(), "task": TASK, "context": "motion", "n_points": 3, **change}
        )
    assert error.value.field == field


@pytest.mark.slow
def test_figure():
    rnn = random_network("tanh", "s", seed=1)
    lines = [get_line_attractor(rnn, TASK, c, n_points=5) for c in ("motion", "color", "motion")]
    figure = plot_line_attractors(lines)
    space, speeds, angles = figure.axes
    assert space.get_xlabel().startswith("choice axis (") and "%" in space.get_xlabel()
    assert len(speeds.lines) == 3  # none is dropped
    assert np.allclose(speeds.lines[0].get_ydata(), np.sqrt(lines[0].speed))
    shown = [line.get_ydata() for line in angles.lines]
    assert len(shown) == 7  # a relevant and an irrelevant stimulus of each line, and 90 degrees
    for i, line in enumerate(lines):
        styles = [angles.lines[2 * i + k].get_linestyle() for k in range(2)]
        assert styles[line.relevant] == "-"
        assert styles[1 - line.relevant] == "--"
        for k in range(2):
            assert np.array_equal(shown[2 * i + k], line.stimulus_angles[:, k], equal_nan=True)
    drawn = np.asarray(space.lines[0].get_data_3d()[0])
    choice = lines[0].choice_axis @ lines[0].points
    assert np.allclose(drawn - drawn[0], choice - choice[0])
    figure.savefig(io.BytesIO())
    plot_line_attractors(
        [get_line_attractor(integrator(), TASK, "color", n_points=3, n_steps=30)]
    ).savefig(io.BytesIO())
    with pytest.raises(ParameterError, match="empty"):
        plot_line_attractors([])
