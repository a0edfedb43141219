"""Regression subspaces and decoders: planted axes and angles are recovered."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.plots.subspaces import plot_subspaces
from models.populations.regression import principal_angles, row_space
from models.populations.settings import SubspaceSettings
from models.populations.subspaces import chance_angle, get_subspaces, selection_angle
from tests.models.population_networks import Flags, copies

N = 16
QUIET = SubspaceSettings(noise=False, n_bins=6, n_shuffles=40)
# Entries of one size: every unit has the same variance, and angles stay what they are.
A = np.ones(N)
B = np.concatenate([np.ones(12), -np.ones(4)])  # overlap of 1/2: 60 degrees


def planted(**more):
    """Rates 10 + A a + B b, read along A."""
    W_inp = 0.5 * np.stack([A, B], axis=1)
    return copies(W_inp, np.full(N, 10.0), W_out=A[None] / N, x_init=np.full(N, 10.0), **more)


def test_planted_axes_and_their_angle_are_recovered():
    found = get_subspaces(planted(), Flags(), QUIET)
    assert found.status == "analysed"
    a, b, *rest = found.subspaces
    assert (a.name, a.status, b.name, b.status) == ("a", "fitted", "b", "fitted")
    assert np.abs(a.axes @ A / 4) == pytest.approx([1.0])
    assert np.abs(b.axes @ B / 4) == pytest.approx([1.0])
    across = (B - A * (A @ B) / N) / np.linalg.norm(B - A * (A @ B) / N)
    assert np.abs(b.orthogonal @ across) == pytest.approx([1.0])
    assert a.norms[:11] == pytest.approx(np.zeros(11), abs=1e-9) and a.peak > 10
    angles = {(x.kind, x.first, x.second): x for x in found.angles}
    between = angles["variables", "a", "b"]
    assert between.smallest == pytest.approx(60.0) == between.largest
    assert angles["input", "a", "input 0"].smallest == pytest.approx(0.0, abs=1e-5)
    assert angles["input", "a", "input 1"].smallest == pytest.approx(60.0)
    assert angles["output", "a", "output 0"].smallest == pytest.approx(0.0, abs=1e-5)
    # var(a) = 1, var(b) = 2 / 3, and they vary independently.
    assert a.share == pytest.approx(0.6) and b.share == pytest.approx(0.4)
    # The right choice is the sign of a, which has been said; the outputs are all above 0.
    assert [one.status for one in rest] == ["collinear", "one_value"]


def test_units_of_unequal_variance_are_standardised():
    rng = np.random.default_rng(0)
    W = rng.normal(size=(N, 2)) * rng.uniform(0.1, 2.0, (N, 1))
    W[3] = 0.0  # a unit that codes nothing
    rnn = copies(W, np.full(N, 20.0), W_out=np.zeros((1, N)), x_init=np.full(N, 20.0))
    found = get_subspaces(rnn, Flags(), QUIET)
    rates = np.stack([
        np.vstack([np.full((11, N), 20.0), np.tile(20 + W @ [c["a"], c["b"]], (19, 1))])
        for c in Flags().conditions()
    ])  # fmt: skip
    deviation = rates.std(axis=(0, 1))
    assert found.scale == pytest.approx(deviation, abs=1e-9)
    moves = np.array([np.where(deviation > 0, W[:, i] / np.where(deviation > 0, deviation, 1), 0)
                      for i in range(2)])  # fmt: skip
    cosine = abs(moves[0] @ moves[1]) / np.prod(np.linalg.norm(moves, axis=1))
    angle = next(x for x in found.angles if x.kind == "variables")
    assert angle.smallest == pytest.approx(np.degrees(np.arccos(cosine)))


def test_code_that_moves_from_period_to_period():
    """Half of the units copy the stimulus, the others keep it when it has gone."""

    class Shown(Flags):
        def generate_input_target_stream(self, a, b):
            inputs, target, condition = super().generate_input_target_stream(a, b)
            inputs[:, 20:] = 0.0
            return inputs, target, condition

    kept = np.arange(N) >= N // 2
    W_rec = np.diag(1.0 * kept)
    rnn = copies(
        np.stack([np.where(kept, 0.1, 1.0), np.zeros(N)], axis=1), np.where(kept, 0.0, 10.0),
        W_rec=W_rec, x_init=np.full(N, 10.0), W_out=A[None] / N,
    )  # fmt: skip
    found = get_subspaces(rnn, Shown(a=[-1.0, 1.0], b=[-1.0, 1.0]), QUIET)
    (angle,) = [x for x in found.angles if x.kind == "periods"]
    assert (angle.first, angle.second) == ("a, period 2", "a, period 3")
    # Of each unit the difference between a = 1 and -1, by period, in standard deviations.
    copy, keep = np.zeros(30), np.zeros(30)
    copy[11:21] = 1.0
    keep[11:21], keep[21:] = 0.1 * np.arange(1, 11), 1.0
    # Both signs of a: the deviation is that about 0.
    size = np.where(kept, np.sqrt((keep**2).mean()), np.sqrt((copy**2).mean()))
    during = np.where(kept, keep[10:20].mean(), copy[10:20].mean()) / size
    after = np.where(kept, keep[20:].mean(), copy[20:].mean()) / size
    cosine = during @ after / np.linalg.norm(during) / np.linalg.norm(after)
    assert angle.smallest == pytest.approx(np.degrees(np.arccos(cosine)), abs=1e-4)
    b = next(one for one in found.subspaces if one.name == "b")
    assert b.status == "not_coded"  # no weight leads from its channel


def test_decoders_know_what_is_there_and_nothing_before():
    found = get_subspaces(planted(), Flags(n_steps=60, on=20), QUIET)
    a, b = found.decoders[:2]
    assert (a.kind, b.kind) == ("classes", "number")
    assert a.bins.tolist()[:2] == [[0, 10], [10, 20]]
    now = np.diag(a.scores)
    # Without information decoders say what is frequent elsewhere: at most one half is right.
    assert (now[:2] <= 0.5).all() and now[2:] == pytest.approx(np.ones(4))
    assert (a.p[:2] > 0.3).all() and a.p[2:] == pytest.approx(np.full(4, 1 / 41))
    assert a.chance[3] == pytest.approx(0.5, abs=0.1) and (a.chance_95 < 1).all()
    # The code does not change: what is trained at one time works at another.
    assert a.scores[3, 5] == pytest.approx(1.0) and a.scores[3, 0] <= 0.5
    assert np.diag(b.scores)[3:] == pytest.approx(np.ones(3), abs=0.05)
    assert np.diag(b.scores)[0] <= 0.0


def test_decoders_of_noise_are_at_chance():
    rnn = copies(np.zeros((N, 2)), np.full(N, 10.0), x_init=np.full(N, 10.0), sigma_rec=0.2,
                 W_out=A[None])  # fmt: skip
    found = get_subspaces(rnn, Flags(n_each=10), SubspaceSettings(n_bins=6), seed=1)
    a = next(one for one in found.decoders if one.name == "a")
    assert np.abs(np.diag(a.scores) - 0.5).max() < 0.25 and a.p.min() > 0.02
    assert abs(a.scores.mean() - 0.5) < 0.06


def test_networks_without_an_answer_say_why():
    silent = get_subspaces(copies(np.zeros((3, 2))), Flags())
    one = get_subspaces(planted(sigma_rec=0.1), Flags(a=[1.0], b=[1.0]))
    few = get_subspaces(planted(), Flags(n_each=1), SubspaceSettings(noise=False, max_trials=4))
    assert (silent.status, one.status, few.status) == ("silent", "no_variable", "few_trials")
    for result in (silent, one, few):
        assert result.reason and not result.subspaces and not result.angles
        assert plot_subspaces(result).axes
    rare = get_subspaces(planted(), Flags(a=[-1.0, 1.0], b=[0.0], n_each=3), QUIET)
    states = {one.name: one.status for one in rare.decoders}
    assert states["a"] == "few_trials" and states["b"] == "one_value"


def test_nothing_is_decoded_where_trials_do_not_differ():
    settling = copies([[0.0, 0.0]] * 3, [1.0, 0.5, 2.0], tau=3.0)
    found = get_subspaces(settling, Flags())
    assert found.status == "analysed"
    assert not any(one.status == "fitted" for one in found.subspaces)
    assert {one.status for one in found.decoders} == {"no_difference", "one_value"}
    assert not any(one.scores.size for one in found.decoders)
    texts = [text.get_text() for axes in plot_subspaces(found).axes for text in axes.texts]
    assert "nothing is coded" in texts and "analysed" not in texts


def test_groups_of_more_than_two_names_have_a_plane():
    class Named(Flags):
        def conditions(self):
            return [{**c, "b": f"kind {int(c['b'])}"} for c in super().conditions()]

        def generate_input_target_stream(self, a, b):
            value = float(b.split()[1])
            inputs, target, _ = super().generate_input_target_stream(a, value**2 - 0.3 * value)
            return inputs, target, {"a": a, "b": b}

    found = get_subspaces(planted(), Named(), QUIET)
    b = next(one for one in found.subspaces if one.name == "b")
    assert b.status == "fitted"
    # Three groups make a plane, but there is one direction in which they differ here.
    assert len(b.axes) == 1 and np.abs(b.axes @ B / 4) == pytest.approx([1.0])
    decoder = next(one for one in found.decoders if one.name == "b")
    assert decoder.kind == "classes" and decoder.scores[-1, -1] > 0.6


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**31), st.integers(1, 3), st.integers(1, 3))
def test_principal_angles_do_not_depend_on_the_basis(seed, d, e):
    rng = np.random.default_rng(seed)
    first, second = row_space(rng.normal(size=(d, 8))), row_space(rng.normal(size=(e, 8)))
    turn = np.linalg.qr(rng.normal(size=(d, d)))[0]
    angles = principal_angles(first, second)
    assert len(angles) == min(d, e) and (np.diff(angles) >= -1e-9).all()
    assert principal_angles(turn @ first, second) == pytest.approx(angles, abs=1e-6)
    assert principal_angles(first, first) == pytest.approx(np.zeros(d), abs=1e-5)
    cosines = np.linalg.svd(first @ second.T, compute_uv=False)
    assert np.cos(np.radians(angles)) == pytest.approx(cosines, abs=1e-9)


@pytest.mark.parametrize(("d", "e", "n"), [(1, 1, 10), (2, 1, 10), (2, 2, 12)])
def test_chance_is_what_random_subspaces_have(d, e, n):
    rng = np.random.default_rng(1)
    smallest = [
        principal_angles(row_space(rng.normal(size=(d, n))), row_space(rng.normal(size=(e, n))))[0]
        for _ in range(1500)
    ]
    assert chance_angle(d, e, n) == pytest.approx(np.quantile(smallest, 0.05), abs=3.5)
    assert chance_angle(4, 5, 8) == 0.0  # they always share a direction


def test_selection_vectors_read_states_as_weights_do():
    axes = A[None] / 4
    scale = np.full(N, 2.0)
    vectors = np.stack([A, B, B]).astype(complex)
    angle, chance = selection_angle(axes, scale, vectors, np.array([-0.1, -0.2, -0.3]))
    assert angle == pytest.approx(60.0) and 40 < chance < 80  # the median along the line
    assert selection_angle(axes, scale, vectors, np.array([1j, 2j, 3j])) == (None, None)


def test_the_same_seed_gives_the_same():
    rnn = planted(sigma_rec=0.3)
    one, other = (get_subspaces(rnn, Flags(), seed=5) for _ in range(2))
    assert np.array_equal(one.decoders[0].scores, other.decoders[0].scores)
    assert np.array_equal(one.subspaces[1].axes, other.subspaces[1].axes)
    (legend,) = plot_subspaces(one).legends
    assert legend.get_texts()[0].get_text() == "a"
