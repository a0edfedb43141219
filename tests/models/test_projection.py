"""Frames of pictures, and the lines that join fixed points."""

from __future__ import annotations

import numpy as np
import pytest
from matplotlib.collections import PathCollection

from models import DynamicSystemAnalyzer, Projection, RNNNumpy, saddle_connections
from models.dynamics import saddle_connections as connections
from models.plots.projection import principal_directions
from tasks_lib.errors import ParameterError


def cube(gain=2.0, n=3, **given):
    arguments = {"W_inp": np.eye(n), "W_out": np.ones((1, n)), "activation": "tanh"}
    return RNNNumpy(W_rec=gain * np.eye(n), **{**arguments, **given})


def test_principal_components_are_centred_and_ordered():
    rng = np.random.default_rng(0)
    shift = np.arange(5.0)
    states = rng.normal(size=(5, 40, 10)) * np.array([3, 0.1, 2, 0.1, 1])[:, None, None]
    states = states + shift[:, None, None]
    states[:, 3, 0] = np.nan  # a state that is not finite does not count
    frame = Projection.principal(states, 3)
    assert np.abs(frame.directions).argmax(axis=0).tolist() == [0, 2, 4]
    assert np.allclose(frame.directions.T @ frame.directions, np.eye(3))
    seen = frame(states)
    assert seen.shape == (3, 40, 10)
    assert np.allclose(np.nanmean(seen, axis=(1, 2)), 0, atol=1e-12)
    assert np.allclose(seen[:, 5, 2], frame.directions.T @ (states[:, 5, 2] - frame.centre))
    assert np.allclose(frame.vectors(np.eye(5)), frame.directions.T)
    flat = frame.first(2)
    assert flat.names == ("PC 1", "PC 2")
    assert np.array_equal(flat(states), seen[:2], equal_nan=True)


def test_many_and_few_states_give_the_same_directions():
    states = np.random.default_rng(0).normal(size=(6, 20)) * np.arange(6, 0, -1)[:, None]
    few = principal_directions(states, 3)  # by singular values
    assert np.allclose(few, principal_directions(np.tile(states, 10), 3))  # by the covariance


def test_the_readout_is_the_same_axis_in_every_network():
    W_out = np.random.default_rng(0).normal(size=(2, 3))
    rnn = cube(W_out=W_out)
    frame = Projection.readout(rnn)
    x = np.random.default_rng(1).normal(size=(3, 7))
    assert np.allclose(frame(x), rnn.readout(x))
    assert frame.names == ("output axis 1", "output axis 2")
    assert Projection.readout(rnn, 1).directions.shape == (3, 1)
    with pytest.raises(ParameterError, match="2 outputs"):
        Projection.readout(rnn, 3)


def test_a_frame_of_one_network_serves_another():
    frame = Projection.principal(np.random.default_rng(0).normal(size=(3, 50)), 3)
    for gain in (2.0, 3.0):
        analyser = DynamicSystemAnalyzer(cube(gain))
        found = analyser.get_fixed_points(np.zeros(3))
        axes = analyser.plot_fixed_points("2D", P=frame).axes[0]
        points = [c for c in axes.collections if isinstance(c, PathCollection)]
        drawn = np.vstack([np.asarray(c.get_offsets()) for c in points])
        expected = frame.first(2)(found.points.T).T
        assert len(drawn) == 27
        assert np.allclose(np.sort(drawn, axis=0), np.sort(expected, axis=0))
        assert axes.get_xlabel().startswith("PC 1 (")


@pytest.mark.parametrize(
    ("make", "field"),
    [
        (lambda: Projection.principal(np.zeros(3)), "states"),
        (lambda: Projection.principal(np.full((3, 4), np.nan)), "states"),
        (lambda: Projection.of(np.eye(3), 3, 2), "P.shape"),
        (lambda: Projection.of(np.zeros((4, 2)), 3, 2), "P.shape"),
        (lambda: Projection.of(Projection.principal(np.eye(3), 2), 3, 3), "P.shape"),
        (lambda: Projection.of(Projection.principal(np.eye(4), 2), 3, 2), "P.shape"),
        (lambda: Projection.principal(np.eye(3), 2).first(3), "n_axes"),
    ],
)
def test_bad_frames_are_refused(make, field):
    with pytest.raises(ParameterError) as caught:
        make()
    assert caught.value.field == field


def test_saddles_are_joined_to_the_attractors_on_their_sides():
    rnn = cube()
    found = DynamicSystemAnalyzer(rnn).get_fixed_points(np.zeros(3))
    lines = saddle_connections(rnn, found)
    assert lines.shape == (3, 120, 24)  # both sides of twelve edges
    corners = found.filter(found.n_unstable == 0).points
    edges = found.filter(found.n_unstable == 1)
    assert np.allclose(lines[:, 0], np.repeat(edges.points, 2, axis=0).T)
    for k, end in enumerate(lines[:, -1].T):
        nearest = np.linalg.norm(corners - end, axis=1)
        assert nearest.min() < 1e-3
        # along an edge of the cube only one coordinate changes
        assert np.sum(np.abs(end - edges.points[k // 2]) > 1e-3) == 1
    ends = lines[:, -1].reshape(3, 12, 2)
    assert (np.linalg.norm(ends[:, :, 0] - ends[:, :, 1], axis=0) > 1.9).all()
    steps = np.linalg.norm(np.diff(lines, axis=1), axis=0)
    assert steps.max() < 1.01 * steps.mean(axis=0).max()  # evenly spaced


def test_runs_to_infinity_and_sets_without_saddles_have_no_lines():
    # dx/dt = -x + relu(2 x - 1/2): unstable at 1/2, from where one side leads to 0
    runaway = RNNNumpy(
        W_rec=[[2.0, 0.0], [0.0, 0.0]], W_inp=np.zeros((2, 1)), W_out=np.ones((1, 2)),
        b_rec=[-0.5, 0.0], activation="relu",
    )  # fmt: skip
    states = np.random.default_rng(0).normal(size=(2, 50))
    found = DynamicSystemAnalyzer(runaway).get_fixed_points([0.0], trajectories=states)
    assert np.allclose(np.sort(found.points[:, 0]), [0.0, 0.5])
    lines = saddle_connections(runaway, found)
    assert lines.shape == (2, 120, 1)
    assert np.allclose(lines[:, -1, 0], 0.0, atol=1e-3)
    stable = DynamicSystemAnalyzer(cube(0.5)).get_fixed_points(np.zeros(3))
    assert saddle_connections(cube(0.5), stable, n_samples=9).shape == (3, 9, 0)
    with pytest.raises(ParameterError, match="push"):
        saddle_connections(cube(), stable, push=0.0)


def test_runs_are_held_a_few_at_a_time(monkeypatch):
    rnn = cube()
    found = DynamicSystemAnalyzer(rnn).get_fixed_points(np.zeros(3))
    whole = saddle_connections(rnn, found)
    n_steps = int(np.ceil(20.0 / rnn.alpha))
    one_run = 8 * 3 * n_steps * 55  # 25 blocks twice, and room to work
    for n_at_once in (1, 5):
        monkeypatch.setattr(connections, "MEMORY", n_at_once * one_run)
        widest = []

        def watched(u, run=rnn.run, widest=widest, **keywords):
            widest.append(u.shape[2])
            return run(u, **keywords)

        monkeypatch.setattr(rnn, "run", watched)
        assert np.allclose(saddle_connections(rnn, found), whole, rtol=0.0, atol=1e-9)
        assert max(widest) == n_at_once
        monkeypatch.undo()
