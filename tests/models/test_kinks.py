"""Fixed points on kinks of f, against simulations and winding numbers of this file's own."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models import DynamicSystemAnalyzer, RNNNumpy
from models.fixed_points.kink_flow import kink_flow
from models.fixed_points.kink_stability import at_kink, has_certificate
from models.plots.scene import describe

FORMS = pytest.mark.parametrize("form", ["s", "h"])


def network(W, d=None, form="s", **keywords):
    W = np.asarray(W, dtype=np.float64)
    n_units = len(W)
    return RNNNumpy(
        W_rec=W, W_inp=np.zeros((n_units, 1)), W_out=np.ones((1, n_units)), b_rec=d,
        equation_type=form, **{"activation": "relu", **keywords},
    )  # fmt: skip


def search(rnn):
    return DynamicSystemAnalyzer(rnn).get_fixed_points([0.0])


def kind_of(rnn, point=None):
    return at_kink(rnn, np.zeros(1), np.zeros(rnn.N) if point is None else np.asarray(point))


def f(rnn, z):
    below, above = rnn.activation.half_slopes
    return np.where(z > 0, above, below) * z


def flow(rnn, x):
    """F of this file: states are columns."""
    d = rnn.b_rec[:, None]
    if rnn.equation_type == "s":
        return -x + f(rnn, rnn.W_rec @ x + d)
    return -x + rnn.W_rec @ f(rnn, x) + d


def grown(rnn, point, n_directions=200, duration=60.0, step=0.01):
    """log of how much each of many small perturbations grows, by Euler's method."""
    rng = np.random.default_rng(7)
    d = rng.standard_normal((rnn.N, n_directions))
    d *= 1e-6 / np.linalg.norm(d, axis=0)
    total = np.zeros(n_directions)
    for _ in range(int(duration / step)):
        d = d + step * flow(rnn, point[:, None] + d)
        size = np.linalg.norm(d, axis=0)
        total += np.log(size / 1e-6)
        d *= 1e-6 / size
    return total


def winding(rnn, point, radius=1e-6, n=20000):
    """Winding number of F on a small circle around a point of two units."""
    angle = 2 * np.pi * np.arange(n) / n
    F = flow(rnn, np.asarray(point)[:, None] + radius * np.stack([np.cos(angle), np.sin(angle)]))
    turn = np.angle(F[0] + 1j * F[1])
    steps = np.diff(np.append(turn, turn[0]))
    return round(float(((steps + np.pi) % (2 * np.pi) - np.pi).sum() / (2 * np.pi)))


@FORMS
def test_a_rank_one_network_is_half_stable_at_rest(form):
    """W = 2 v v': along v a perturbation grows at rate 1, others decay, and eigenvalues are -1."""
    v = np.array([0.6, 0.8])
    found = search(network(2 * np.outer(v, v), form=form))
    assert found.eigenvalues.real.max() == -1.0
    assert (found.stability.tolist(), found.kink.tolist()) == (["unstable"], ["half-stable"])
    assert found.growth == pytest.approx(1.0, abs=1e-6)
    assert found.index.tolist() == [0.0]
    assert (found.index_sum, found.index_expected, found.status) == (0, 0, "complete")
    assert "half-stable" in found.message and "growth 1 per tau" in found.message
    assert describe(found, 0)[1] == "half-stable, at a kink of f"


@FORMS
def test_a_half_line_ends_at_a_marginal_point(form):
    v = np.array([0.6, 0.8])
    kink = kind_of(network(np.outer(v, v), form=form))
    assert (kink.kind, kink.proven) == ("marginal", False)
    assert kink.growth == 0.0
    assert np.isnan(kink.index)


@FORMS
def test_all_ways_lead_away(form):
    """Leaky units with W = 3: both sides grow, though less below."""
    rnn = network([[3.0]], form=form, activation={"name": "leaky_relu", "leak_slope": 0.5})
    found = search(rnn)
    at = np.flatnonzero(np.abs(found.points[:, 0]) < 1e-12)[0]
    assert (found.kink[at], found.index[at]) == ("unstable", -1.0)
    assert found.growth[at] == pytest.approx(2.0, abs=1e-6)


@pytest.mark.parametrize("seed", range(12))
@FORMS
def test_growth_is_that_of_simulations(form, seed):
    """Random networks at rest: half of them near the threshold of growth."""
    rng = np.random.default_rng(seed)
    n_units = int(rng.integers(2, 7))
    W = rng.standard_normal((n_units, n_units)) * rng.uniform(0.5, 2.5) / np.sqrt(n_units)
    rnn = network(W, form=form)
    total = grown(rnn, np.zeros(n_units))
    kink = kind_of(rnn)
    if (total > 12).any():
        assert kink.kind in ("unstable", "half-stable")
        if not 0 < (total < 0).mean() < 0.1:  # a cone that few directions meet may be missed
            assert (kink.kind == "half-stable") == bool((total < 0).any())
        assert kink.growth >= total.max() / 60.0 - 0.1
    elif (total < -12).all():
        assert kink.kind in ("stable", "half-stable")  # a ray that none of these has met may grow
        assert kink.growth >= total.max() / 60.0 - 0.1
        assert kink.index == 1.0 or kink.kind == "half-stable"


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**20), form=st.sampled_from(["s", "h"]), leak=st.booleans())
def test_index_is_the_winding_number(seed, form, leak):
    rng = np.random.default_rng(seed)
    f = {"name": "leaky_relu", "leak_slope": 0.3} if leak else "relu"
    rnn = network(2.0 * rng.standard_normal((2, 2)), form=form, activation=f)
    kink = kind_of(rnn)
    assert kink.index == winding(rnn, np.zeros(2))
    if kink.proven:
        assert kink.index == 1.0


@FORMS
def test_index_with_units_away_from_their_kink(form):
    """The second unit rests at 2 with slope 1 and feeds back on the first, which is at its kink."""
    rng = np.random.default_rng(3)
    for _ in range(20):
        W = 1.5 * rng.standard_normal((2, 2))
        x = np.array([0.0, 2.0])  # form h: x = W f(x) + d; form s: arguments are x, too
        rnn = network(W, x - W @ x, form=form)
        kink = kind_of(rnn, x)
        assert kink.index == winding(rnn, x)


def test_eigenvalues_of_one_side_may_say_unstable_where_the_point_is_stable():
    """The third unit grows alone; it drives one of the others, whichever way, and that stops it."""
    W = np.array([[0.0, 0.0, 1.0], [0.0, 0.0, -1.0], [-4.0, 4.0, 1.5]])
    point = np.array([0.0, 0.0, 1.0])
    rnn = network(W, point - W @ point, form="h")
    assert np.linalg.eigvals(rnn.jacobian(point, np.zeros(1))).real.max() == pytest.approx(0.5)
    assert grown(rnn, point).max() < -5
    kink = kind_of(rnn, point)
    assert (kink.kind, kink.index) == ("stable", 1.0)
    assert kink.growth == pytest.approx(grown(rnn, point).max() / 60.0, abs=0.05)
    found = search(rnn)
    at = np.linalg.norm(found.points - point, axis=1).argmin()
    assert found.points[at] == pytest.approx(point, abs=1e-9)
    assert (found.stability[at], found.n_unstable[at]) == ("marginal", 1)  # no proof
    assert (found.kink[at], found.index[at], found.degenerate[at]) == ("stable", 1.0, True)


@FORMS
def test_common_certificates_are_not_given_where_something_grows(form):
    rng = np.random.default_rng(1)
    given_out = 0
    for _ in range(60):
        n_units = int(rng.integers(2, 6))
        W = rng.standard_normal((n_units, n_units)) * rng.uniform(0.2, 1.2) / np.sqrt(n_units)
        rnn = network(W, form=form)
        if has_certificate(kink_flow(rnn, np.zeros(1), np.zeros(n_units))):
            given_out += 1
            assert grown(rnn, np.zeros(n_units), 50, 20.0, 0.02).max() < 0
    assert given_out > 10


def test_large_networks_are_stable_only_with_a_certificate():
    rng = np.random.default_rng(0)
    W = rng.standard_normal((60, 60)) / np.sqrt(60)
    small, large = search(network(0.4 * W)), search(network(1.1 * W))
    assert (small.stability.tolist(), small.kink.tolist()) == (["stable"], ["stable"])
    assert (large.stability.tolist(), large.kink.tolist()) == (["marginal"], ["stable"])
    assert "in all directions followed, unproven" in large.message
    assert large.growth[0] < 0
    assert (large.index_sum, large.status) == (1, "complete")


def test_units_that_nothing_drives_do_not_count():
    rnn = network([[0.5, 1.0, 2.0], [0.0, 0.0, 0.0], [0.0, 0.0, 0.0]], [1.0, 0.0, 0.0])
    assert kink_flow(rnn, np.zeros(1), np.array([2.0, 0.0, 0.0])) is None
    found = search(rnn)
    assert (found.stability.tolist(), found.kink.tolist()) == (["stable"], [""])


def test_parts_of_a_network_make_one_kind():
    """A half-stable unit, a stable one and one that is bistable away from kinks."""
    found = search(network(np.diag([2.0, 0.5, 0.5]), [0.0, 0.0, 1.0]))
    assert found.points.tolist() == [[0.0, 0.0, 2.0]]
    assert (found.kink.tolist(), found.index.tolist()) == (["half-stable"], [0.0])
    assert found.growth == pytest.approx(1.0, abs=1e-6)


@FORMS
@pytest.mark.parametrize(
    ("diagonal", "kind"),
    [([3.0, 0.5], "half-stable"), ([0.9, 0.5], "stable"), ([0.2, -5.0], "stable"),
     ([-30.0, 1.2], "half-stable")],
)  # fmt: skip
def test_units_alone(form, diagonal, kind):
    found = search(network(np.diag(diagonal), form=form))
    assert found.points.tolist() == [[0.0, 0.0]]
    assert found.kink.tolist() == [kind]
    assert found.stability.tolist() == ["stable" if kind == "stable" else "unstable"]
    assert found.index_sum == (1 if kind == "stable" else 0)
    assert found.status == "complete"


def test_rotation_inward_is_no_growth():
    """Eigenvalues -0.1 +- 20i, where a step that is too long would grow."""
    leaky = {"name": "leaky_relu", "leak_slope": 0.999}
    for growth in (-0.1, 0.1):
        W = np.array([[1.0 + growth, 20.0], [-20.0, 1.0 + growth]])
        kink = kind_of(network(W, activation=leaky))
        assert kink.kind == ("stable" if growth < 0 else "unstable")
        assert kink.growth == pytest.approx(growth, abs=0.03)


def test_units_away_from_their_kink_keep_their_side():
    """The third unit is on at 2, the first sits at its kink and grows by 2 - 1."""
    W = np.array([[2.0, 0.0, 0.0], [0.0, 0.3, 0.0], [0.0, 0.0, 0.5]])
    rnn = network(W, [0.0, -1.0, 1.0])
    assert kind_of(rnn, [0.0, 0.0, 2.0]).kind == "half-stable"
    assert kind_of(rnn, [0.0, 0.0, 1.0]).kind == ""  # no fixed point
    # More of the first unit is less of the third, which is more of the first: a way below 0.
    W = np.array([[0.0, 0.0, -2.0], [0.0, 0.3, 0.0], [-2.0, 0.0, 0.0]])
    assert kind_of(network(W, [4.0, -1.0, 2.0]), [0.0, 0.0, 2.0]).growth == pytest.approx(1.0)
