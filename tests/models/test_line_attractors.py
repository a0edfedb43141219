"""Line attractors: hand-built lines, and what holds along the line of any network."""

from __future__ import annotations

import io

import numpy as np
import pytest

from models.line_attractors import get_line_attractor, plot_line_attractors
from models.rnn_numpy import RNNNumpy
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


@pytest.mark.parametrize("equation_type", ["s", "h"])
def test_speed_is_least_across_the_line(equation_type):
    rnn = random_network("tanh", equation_type, seed=1)
    line = get_line_attractor(rnn, TASK, "motion", n_points=9)
    # hyperplanes orthogonal to the chord, evenly spaced along it
    steps = np.diff(line.points, axis=1)
    chord = _chord(rnn, line)
    assert np.allclose(chord @ steps, line.length / 8, atol=1e-9)
    across = np.eye(12) - np.outer(chord, chord)
    rng = np.random.default_rng(0)
    for i in range(9):
        x = line.points[:, i]
        slope = across @ rnn.jacobian(x, line.input).T @ rnn.rhs(x, line.input)
        assert np.linalg.norm(slope) < 1e-5
        nearby = x[:, None] + 1e-2 * across @ rng.standard_normal((12, 50))
        assert (np.sum(rnn.rhs(nearby, line.input) ** 2, axis=0) >= line.speed[i]).all()


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


def test_figure():
    rnn = random_network("tanh", "s", seed=1)
    lines = [get_line_attractor(rnn, TASK, c, n_points=5) for c in ("motion", "color", "motion")]
    figure = plot_line_attractors(lines)
    space, speeds = figure.axes
    assert space.get_xlabel() == "choice axis (a.u.)"
    assert len(speeds.lines) == 3  # none is dropped
    assert np.allclose(speeds.lines[0].get_ydata(), np.sqrt(lines[0].speed))
    drawn = np.asarray(space.lines[0].get_data_3d()[0])
    choice = lines[0].choice_axis @ lines[0].points
    assert np.allclose(drawn - drawn[0], choice - choice[0])
    figure.savefig(io.BytesIO())
    plot_line_attractors(
        [get_line_attractor(integrator(), TASK, "color", n_points=3, n_steps=30)]
    ).savefig(io.BytesIO())
    with pytest.raises(ParameterError, match="empty"):
        plot_line_attractors([])
