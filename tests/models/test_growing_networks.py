"""Networks whose states grow without bound, with fixed points that are known by construction."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models import (
    DynamicSystemAnalyzer,
    NetworkConfig,
    RNNNumpy,
    RNNTorch,
    get_line_attractor,
    plot_fixed_points,
    trials_near,
)
from models.fixed_points import search, starting_states
from tasks_lib import CDDM, ParameterError

V = np.array([0.6, 0.8, 0.0])


def network(W, drive, form="s", activation="relu", **more):
    """A network whose only input, 1, drives its units by ``drive``."""
    n_units = len(W)
    W_inp = np.reshape(drive, (n_units, 1)).astype(float)
    return RNNNumpy(
        W_rec=W, W_inp=W_inp, W_out=np.ones((1, n_units)), activation=activation,
        equation_type=form, **more,
    )  # fmt: skip


def rows(points):
    return sorted(tuple(np.round(p, 6) + 0.0) for p in points)


def exploded(n_units, size=1e30):
    """Trials that grew, and one that is no number any more."""
    states = np.full((n_units, 40, 3), size)
    states[:, :, 1] = np.inf
    states[:, :, 2] = np.nan
    return states


@pytest.fixture
def without_enumeration(monkeypatch):
    monkeypatch.setattr(search, "points_everywhere", lambda *_: None)


@pytest.mark.parametrize("form", ["s", "h"])
@pytest.mark.parametrize(("drive", "wanted"), [(-1.0, [(0.0, 0.0), (0.5, 0.0)]), (1.0, [])])
def test_regions_are_solved_whatever_the_trials_do(form, drive, wanted):
    """W = diag(3, 1/2): above 1/2 the first unit grows, and at drive 1 from everywhere."""
    rnn = network(np.diag([3.0, 0.5]), [drive, drive], form)
    if form == "h":  # x = W r + drive
        wanted = [(3 * r + drive, 0.5 * q + drive) for r, q in wanted]
    for trajectories in (None, exploded(2), np.full((2, 5), 50.0)):
        found = DynamicSystemAnalyzer(rnn).get_fixed_points([1.0], trajectories=trajectories)
        assert found.enumerated
        assert rows(found.points) == rows(wanted)
        assert found.status == ("complete" if wanted else "none_found")


@pytest.mark.usefixtures("without_enumeration")
def test_all_points_are_found_from_trials_that_have_left_them():
    """Three such units have eight points; the trials are at 1e30 and beyond."""
    analyzer = DynamicSystemAnalyzer(network(3.0 * np.eye(3), -np.ones(3)))
    found = analyzer.get_fixed_points([1.0], trajectories=exploded(3))
    assert rows(found.points) == rows(np.stack(np.meshgrid(*[[0, 0.5]] * 3), -1).reshape(-1, 3))
    assert found.by_index() == {0: 1, 1: 3, 2: 3, 3: 1}
    assert found.index_sum == found.index_expected == 0
    assert found.status == "growing"
    assert np.isnan(found.coverage)  # of starts that no trial visits
    assert found.message.startswith("growing: states grow without bound at this input")
    assert "nan" not in found.message
    part = found.filter(found.stability == "stable")
    assert part.status == "growing"
    assert np.isnan(found.merge(found).coverage)
    assert found.merge(found).status == "growing"


@pytest.mark.usefixtures("without_enumeration")
@pytest.mark.parametrize("size", [10.0, 1e4, 1e9, 1e30])
def test_a_saddle_behind_the_trials_is_found(size):
    """W = 2 v v', drive -v: points 0 and v. From above v the state grows along v."""
    W = 2.0 * np.outer(V, V)
    analyzer = DynamicSystemAnalyzer(network(W, -V))
    trials = (size * V)[:, None] * np.exp(np.linspace(0, 3, 20))
    found = analyzer.get_fixed_points([1.0], trajectories=trials)
    assert rows(found.points) == rows([np.zeros(3), V])
    assert found.status == "growing"
    assert found.n_unstable.tolist() == [0, 1]
    below = analyzer.get_fixed_points([1.0], trajectories=0.5 * trials / size / np.exp(3))
    assert below.status.endswith("complete")  # they decay
    assert rows(below.points) == rows(found.points)
    some = np.hstack([trials, 0.5 * trials / size / np.exp(3)])
    assert analyzer.get_fixed_points([1.0], trajectories=some).status.endswith("complete")


@pytest.mark.parametrize("mode", ["exact", "approx"])
def test_where_there_is_no_point_it_is_said_why(mode):
    """W = 2 v v' and a little more, drive v: v.x = 2 v.x + 1 has no solution where x >= 0."""
    n_units = 18
    v = np.ones(n_units) / np.sqrt(n_units)
    W = 2.0 * np.outer(v, v) + 0.01 * np.eye(n_units)
    analyzer = DynamicSystemAnalyzer(network(W, v))
    found = analyzer.get_fixed_points([1.0], mode, max_starts=512)
    assert len(found) == 0
    assert found.status == "growing"
    assert np.isnan(found.coverage)
    assert "no point found from" in found.message
    assert "widen" not in found.message


def test_untrained_networks_of_every_radius_are_analysed():
    """Largest states from 1 to 1e20; the last could not be searched at all."""
    task = CDDM(seed=0)
    for radius, status, least in ((1.2, "complete", 0.1), (5.0, "growing", 1e6)):
        config = NetworkConfig(n_units=18, activation="relu", spectral_radius=radius)
        rnn = RNNTorch.from_config(config, 6, 2, seed=4).to_numpy()
        found = DynamicSystemAnalyzer(rnn, task).get_fixed_points("motion", max_starts=1024)
        assert found.status == status
        assert (np.abs(found.points) < 1e6).all()
        assert np.abs(rnn.run(task.get_batch()[0][:, :, ::50])[0]).max() > least


def test_bounded_networks_are_searched_as_ever():
    rnn = network(2.0 * np.eye(3), np.zeros(3), activation="tanh")
    pool = np.random.default_rng(0).normal(size=(3, 50))
    start = starting_states(rnn, np.ones(1), pool)
    assert np.array_equal(start.states, pool)
    assert not start.grows
    with pytest.raises(ParameterError, match="no state is finite and below 1e6"):
        DynamicSystemAnalyzer(rnn).get_fixed_points([1.0], trajectories=exploded(3))


def test_states_that_stay_are_taken_as_they_are():
    rnn = network(0.5 * np.eye(3), np.ones(3))
    pool = np.random.default_rng(0).normal(size=(3, 50))
    start = starting_states(rnn, np.ones(1), pool)
    assert np.array_equal(start.states, pool)
    assert not start.grows


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 2**16),
    n_units=st.integers(1, 6),
    radius=st.sampled_from([0.5, 1.5, 4.0]),
    form=st.sampled_from(["s", "h"]),
    size=st.sampled_from([1.0, 1e3, 1e20]),
    alpha=st.sampled_from([0.1, 0.5]),
)
def test_starts_are_finite_and_near(seed, n_units, radius, form, size, alpha):
    rng = np.random.default_rng(seed)
    W = rng.normal(size=(n_units, n_units)) * radius / np.sqrt(n_units)
    rnn = network(W, rng.normal(size=n_units), form, tau=1.0 / alpha)
    pool = size * rng.normal(size=(n_units, 30))
    start = starting_states(rnn, np.ones(1), pool)
    assert start.states.shape[1] > 0
    assert np.isfinite(start.states).all()
    assert np.abs(start.states).max() <= max(1e6, np.abs(pool).max() if not start.grows else 0)
    if start.grows:
        assert np.abs(start.states).max() < 1e3 * max(1.0, np.abs(rnn.W_inp).max())


# What else is made of them ------------------------------------------------------------------------


def test_a_line_of_points_is_followed_although_another_unit_grows():
    """W = v v' + 3 on the third unit: cv is fixed for every c > 0, with the third unit off."""
    W = np.outer(V, V) + np.diag([0.0, 0.0, 3.0])
    rnn = network(W, [0.0, 0.0, -1.0])
    trials = np.ones((3, 30)) * np.linspace(1.0, 60.0, 30)
    manifolds = DynamicSystemAnalyzer(rnn).get_manifolds([1.0], trajectories=trials)
    assert "open line" in [m.topology for m in manifolds]
    line = next(m for m in manifolds if m.topology == "open line")
    assert np.abs(line.points @ [0.8, -0.6, 0.0]).max() < 1e-6
    assert np.isfinite(line.points).all()


def test_lines_of_decision_networks_that_grow_are_refused():
    config = NetworkConfig(n_units=18, activation="relu", spectral_radius=5.0)
    rnn = RNNTorch.from_config(config, 6, 2, seed=4).to_numpy()
    with pytest.raises(ParameterError, match="grow without bound"):
        get_line_attractor(rnn, CDDM(seed=0), "motion")


def test_trials_that_leave_do_not_hide_the_points():
    W = 2.0 * np.outer(V, V)
    found = DynamicSystemAnalyzer(network(W, -V)).get_fixed_points([1.0])
    trials = np.zeros((3, 20, 3))
    trials[:, :, 0] = np.linspace(0, 1, 20)
    trials[:, :, 1] = np.exp(np.linspace(0, 40, 20))
    trials[:, -1, 2] = np.nan
    assert np.array_equal(trials_near(trials, found.points.T), trials[:, :, :1])
    assert trials_near(trials[:, :, :1], found.points.T).base is trials
    for projection in ("2D", "3D"):
        axes = plot_fixed_points({"here": found}, projection, trajectories=trials).axes[0]
        assert np.ptp(axes.get_xlim()) < 10.0
    only = plot_fixed_points({"here": found}, trajectories=trials[:, :, 1:]).axes[0]
    assert np.ptp(only.get_xlim()) < 10.0
