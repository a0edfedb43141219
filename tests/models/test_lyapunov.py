"""Lyapunov exponents and basins: linear networks, cycles, chaos, two attractors."""

from __future__ import annotations

import numpy as np
import pytest

from models.network.rnn_numpy import RNNNumpy
from models.plots.basins import plot_basin_shares, plot_basins
from models.plots.lyapunov import plot_lyapunov
from models.populations.basins import basin_starts, get_basins
from models.populations.lyapunov import get_lyapunov, lyapunov_exponents
from models.populations.settings import BasinSettings, LyapunovSettings
from tasks_lib.errors import ParameterError
from tests.models.population_networks import Flags, copies


def network(W_rec, activation="tanh", tau=10.0, dt=1.0, **more):
    W = np.asarray(W_rec, dtype=float)
    n = len(W)
    return RNNNumpy(W_rec=W, W_inp=np.ones((n, 2)) * 0.1, W_out=np.eye(1, n),
                    activation=activation, tau=tau, dt=dt, **more)  # fmt: skip


@pytest.mark.parametrize("form", ["s", "h"])
@pytest.mark.parametrize("alpha", [0.01, 0.1])
def test_exponents_of_a_linear_network_are_its_eigenvalues(form, alpha):
    rng = np.random.default_rng(0)
    W = 0.5 * rng.normal(size=(6, 6)) / np.sqrt(6)
    rnn = network(W, tau=1.0, dt=alpha, equation_type=form)  # tanh at 0: slope 1
    eigenvalues = np.linalg.eigvals(W) - 1.0
    wanted = np.sort(np.log(np.abs(1 + alpha * eigenvalues)) / alpha)[::-1]
    found = lyapunov_exponents(rnn, np.zeros((6, 1)), np.zeros(2), 6, settle=round(30 / alpha),
                               n_steps=round(120 / alpha))  # fmt: skip
    assert found[0] == pytest.approx(wanted, abs=0.01)
    if alpha == 0.01:
        assert found[0, 0] == pytest.approx(eigenvalues.real.max(), abs=0.02)


def ring(gain):
    """Two units with rotation: below the gain 1 a spiral, above it a limit cycle."""
    angle = 0.5
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    return network(gain * turn / np.cos(angle), tau=20.0)


def test_exponents_of_a_spiral_and_of_a_limit_cycle():
    still = {"still": np.zeros(2)}
    spiral = get_lyapunov(ring(0.8), Flags(), inputs=still).at_inputs["still"]
    assert spiral.kind == "steady" and spiral.largest < -0.15
    cycle = get_lyapunov(ring(1.6), Flags(), inputs=still).at_inputs["still"]
    assert cycle.kind == "neutral" and cycle.largest == pytest.approx(0.0, abs=0.01)
    assert (cycle.exponents[:, 1] < -0.1).all() and cycle.spread < 0.01


def test_a_strong_random_network_is_chaotic():
    rng = np.random.default_rng(1)
    W = 4.0 * rng.normal(size=(80, 80)) / np.sqrt(80)
    rnn = network(W, equation_type="h")
    few = LyapunovSettings(n_starts=2, duration=250.0)
    found = get_lyapunov(rnn, Flags(), few, inputs={"still": np.zeros(2)})
    assert found.at_inputs["still"].kind == "chaotic"
    # As fast as two neighbours part.
    x = rng.normal(size=(80, 1))
    for _ in range(500):
        x = x + 0.1 * rnn.rhs(x, np.zeros(2))
    y, growth = x + 1e-8 * rng.normal(size=x.shape) / np.sqrt(80), []
    before = np.linalg.norm(y - x)
    for _ in range(2500):
        x, y = (z + 0.1 * rnn.rhs(z, np.zeros(2)) for z in (x, y))
        now = np.linalg.norm(y - x)
        growth.append(np.log(now / before))
        y = x + (y - x) * before / now
    assert found.at_inputs["still"].largest == pytest.approx(np.mean(growth) / 0.1, rel=0.3)


def test_exponents_of_trials_are_those_of_their_own_time():
    rnn = network(np.diag([0.5, -0.5]), tau=1.0, dt=0.1)
    task = Flags(n_steps=301, a=[0.0], b=[0.0])
    found = get_lyapunov(rnn, task, LyapunovSettings(n_exponents=2))
    assert found.in_trials.shape == (4, 2)
    # At the state 0 all trials decay with both rates; volumes do so from the first step on.
    wanted = [np.log(1 + 0.1 * s) / 0.1 for s in (-0.5, -1.5)]
    assert found.in_trials.sum(axis=1) == pytest.approx(np.full(4, sum(wanted)))
    assert found.in_trials.mean(axis=0) == pytest.approx(wanted, abs=0.05)
    assert set(found.at_inputs) == {"zero"}


def test_a_direction_that_a_step_takes_to_nothing_has_no_number():
    """x' = -x + 0, in steps of a whole tau."""
    rnn = network(np.zeros((3, 3)), tau=1.0)
    assert np.isneginf(
        lyapunov_exponents(rnn, np.ones((3, 2)), np.zeros(2), 2, settle=1, n_steps=20)
    ).all()
    one = get_lyapunov(rnn, Flags(), inputs={"still": np.zeros(2)}).at_inputs["still"]
    assert (one.kind, one.largest, one.spread) == ("steady", None, None)


def test_what_overflows_has_no_exponent():
    grows = copies(np.ones((2, 2)), np.ones(2), W_rec=1e20 * np.eye(2))
    assert get_lyapunov(grows, Flags()).status == "not_finite"
    slow = network(50.0 * np.eye(2), activation="relu")
    far = LyapunovSettings(settle=10.0, duration=60.0, n_starts=1)
    quiet = Flags(a=[0.0], b=[0.0])
    found = get_lyapunov(slow, quiet, far, inputs={"on": np.ones(2)})
    assert found.at_inputs["on"].kind == "growing" and found.at_inputs["on"].largest is None
    with pytest.raises(ParameterError, match="starts"):
        lyapunov_exponents(slow, np.zeros(3), np.zeros(2), n_steps=3)
    with pytest.raises(ParameterError, match="n_steps"):
        lyapunov_exponents(slow, np.zeros((2, 1)), np.zeros(2))


def test_growth_without_end_is_not_chaos_and_chaos_of_relu_is():
    """x' = 0.3 x: neighbours part at 0.3 too, long before anything overflows."""
    task = Flags(n_steps=5, on=0)
    grows = network(1.3 * np.eye(2), activation="relu")
    found = get_lyapunov(grows, task, inputs={"on": np.ones(2)}).at_inputs["on"]
    assert (found.kind, found.largest, found.spread) == ("growing", None, None)
    # Strong random inhibition is chaotic, with rates that stay bounded.
    rng = np.random.default_rng(3)
    W = -np.abs(rng.normal(size=(60, 60))) * (rng.random((60, 60)) < 0.15) * 3.0
    wild = RNNNumpy(W_rec=W, W_inp=np.ones((60, 2)), W_out=np.eye(1, 60), tau=10.0, dt=1.0)
    few = LyapunovSettings(n_exponents=1, n_starts=2)
    found = get_lyapunov(wild, task, few, inputs={"on": np.ones(2)}).at_inputs["on"]
    assert found.kind == "chaotic" and 0.02 < found.largest < 5.0


def test_trials_that_have_no_exponents_say_why():
    rnn = network([[0.5]])
    short = get_lyapunov(rnn, Flags(n_steps=1, on=0))
    assert short.status == "analysed" and "one step" in short.reason and not short.in_trials.size
    assert short.at_inputs["zero"].kind == "steady"
    gone = get_lyapunov(network([[0.0]], tau=1.0), Flags(n_steps=5, on=0))
    assert "nothing" in gone.reason and np.isneginf(gone.in_trials).all()
    with pytest.raises(ParameterError, match="one step"):
        lyapunov_exponents(rnn, np.zeros((1, 2)), np.zeros((2, 1, 2)))


@pytest.mark.filterwarnings("error")
def test_the_figure_has_a_place_for_trials_and_each_input():
    rnn = ring(1.6)
    inputs = {"still": np.zeros(2), "on": np.ones(2)}
    found = get_lyapunov(rnn, Flags(), LyapunovSettings(duration=20.0), inputs=inputs)
    (axes,) = plot_lyapunov(found).axes
    assert [t.get_text() for t in axes.get_xticklabels()] == ["trials", "still", "on"]
    assert len(axes.collections) == 3 * 2  # each exponent of each
    assert axes.get_ylabel() == "exponent (1/τ)"
    grows = get_lyapunov(network(1.3 * np.eye(2), "relu"), Flags(n_steps=5, on=0), inputs=inputs)
    assert "growing" in [t.get_text() for t in plot_lyapunov(grows).axes[0].texts]
    far = copies(np.ones((2, 2)), np.ones(2), W_rec=1e20 * np.eye(2))
    texts = [t.get_text() for t in plot_lyapunov(get_lyapunov(far, Flags())).axes[0].texts]
    assert texts == ["states overflow in some trial"]


def two_wells():
    """One unit with W = 2 and tanh: attractors at +-0.9575, symmetric about 0."""
    rnn = network([[2.0]], tau=2.0)
    x = 0.9
    for _ in range(200):
        x = np.tanh(2 * x)
    return rnn, np.array([[x], [-x]])


def test_basins_of_two_symmetric_attractors_are_halves():
    rnn, points = two_wells()
    starts = np.random.default_rng(0).normal(size=(2000, 1))
    found = get_basins(rnn, np.zeros(2), points, starts)
    assert found.status == "analysed" and found.elsewhere == 0.0
    assert np.array_equal(found.which, (starts[:, 0] < 0).astype(int))
    low, high = found.intervals.T
    assert ((low < 0.5) & (high > 0.5)).all() and (high - low).max() < 0.05
    assert found.shares.sum() == pytest.approx(1.0)
    assert plot_basins(rnn, np.zeros(2), found).axes


def test_starts_that_end_in_no_known_point_are_counted():
    rnn, points = two_wells()
    starts = np.linspace(-1, 1, 10)[:, None]
    one = get_basins(rnn, np.zeros(2), points[:1], starts)
    assert one.elsewhere == 0.5 and one.shares.tolist() == [0.5]
    none = get_basins(rnn, np.zeros(2), np.empty((0, 1)), starts)
    assert (none.status, none.elsewhere) == ("no_attractor", None)
    (legend,) = plot_basins(rnn, np.zeros(2), none).legends
    assert [text.get_text() for text in legend.texts] == ["no stable point"]
    (axes,) = plot_basin_shares({"one": one, "none": none}).axes
    assert [t.get_text() for t in axes.texts] == ["no stable point"]
    drawn = [line.get_ydata().tolist() for line in axes.lines]
    assert drawn == [[0.5], [0.5]] and len(plot_basin_shares({}).axes[0].texts) == 1
    cycle = ring(1.6)
    around = get_basins(cycle, np.zeros(2), np.zeros((1, 2)), np.eye(2))
    assert around.elsewhere == 1.0 and plot_basins(cycle, np.zeros(2), around).axes
    with pytest.raises(ParameterError, match="starts"):
        get_basins(rnn, np.zeros(2), points, np.zeros(3))
    with pytest.raises(ParameterError, match="attractors"):
        get_basins(rnn, np.zeros(2), [[np.nan]], starts)
    for wrong in (np.zeros(3), np.full(2, np.nan)):
        with pytest.raises(ParameterError, match="u"):
            get_basins(rnn, wrong, points, starts)
        with pytest.raises(ParameterError, match="u"):
            get_lyapunov(rnn, Flags(), inputs={"still": wrong})


def test_starts_lie_around_the_states_of_trials():
    states = np.random.default_rng(0).normal([[[0.0]], [[5.0]]], [[[1.0]], [[0.1]]], (2, 20, 30))
    exact = basin_starts(states, BasinSettings(spread=0.0, n_starts=50))
    flat = {tuple(s) for s in states.reshape(2, -1).T}
    assert exact.shape == (50, 2) and all(tuple(s) in flat for s in exact)
    wide = basin_starts(states, BasinSettings(spread=3.0, n_starts=4000))
    assert wide.mean(axis=0) == pytest.approx([0.0, 5.0], abs=0.2)
    assert wide.std(axis=0) == pytest.approx(np.sqrt(10) * np.array([1.0, 0.1]), rel=0.1)
