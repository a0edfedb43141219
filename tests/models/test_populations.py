"""Populations: hand-built networks whose dimensions, selectivity and silent units are known."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import models
from models.plots.populations import plot_population
from models.plots.subspaces import plot_subspaces
from models.populations.dimensions import Moments, dimensionality, effective_rank, gini
from models.populations.periods import find_periods
from models.populations.population import get_population
from models.populations.recording import MOST_VALUES, record
from models.populations.recurrent_weights import cell_types, recurrent_weights
from models.populations.selectivity import eta_squared, selectivity
from models.populations.settings import PopulationSettings
from models.populations.subspaces import get_subspaces
from models.populations.variables import variable
from tasks_lib import CDDM, DMTS, MemoryAngle, NBitFlipFlop
from tasks_lib.errors import ParameterError
from tests.models.population_networks import Flags, copies

# a | nothing | a constant | a and b | only positive b
W_INP = [[1.0, 0.0], [0.0, 0.0], [0.0, 0.0], [1.0, 2.0], [0.0, 1.0]]
BIAS = [1.0, -1.0, 0.5, 4.0, 0.0]  # so that relu is linear where it is on


def mixed(**more):
    return copies(W_INP, BIAS, **more)


@pytest.mark.parametrize("axes", [(3.0, 1.0), (2.0, 2.0, 2.0), (5.0, 0.5, 0.1, 0.1)])
def test_participation_ratio_of_activity_on_an_ellipsoid(axes):
    rng = np.random.default_rng(0)
    n = len(axes)
    turn = np.linalg.qr(rng.normal(size=(n + 3, n)))[0]  # into a space of more units
    corners = np.concatenate([np.diag(axes), -np.diag(axes)])  # its tips
    samples = np.tile(corners, (20, 1)) @ turn.T + 7.0
    found = dimensionality(samples)
    squares = np.array(axes) ** 2
    assert found.status == "measured"
    assert found.participation_ratio == pytest.approx(squares.sum() ** 2 / (squares**2).sum())
    shares = np.cumsum(np.sort(squares)[::-1]) / squares.sum()
    assert found.cumulative[:n] == pytest.approx(shares)
    assert found.n_components(0.99) == 1 + int((shares < 0.99).sum())


def test_dimensions_of_parts_keep_their_digits_beside_a_large_mean():
    """A period in which hardly anything varies, of rates that differ much between periods."""
    rng = np.random.default_rng(0)
    small = 1e-6 * np.outer(rng.normal(size=500), [1.0, 2.0, 0.0]) + [3.0, 1.0, 2.0]
    large = rng.normal([-20.0, 5.0, 0.0], size=(400, 3))
    parts = Moments.of(small), Moments.of(large)
    assert parts[0].dimensionality().participation_ratio == pytest.approx(1.0, abs=1e-6)
    both = parts[0] + parts[1] + Moments.of(np.empty((0, 3)))
    samples = np.concatenate([small, large])
    assert both.mean == pytest.approx(samples.mean(axis=0))
    assert both.scatter / 900 == pytest.approx(np.cov(samples.T, bias=True))
    # What all trials do alike at one step has no variance, and no dimension of rounding errors.
    settling = copies([[0.0, 0.0]] * 3, [1.0, 1.0, 2.0], tau=3.0)
    found = get_population(settling, Flags(n_steps=10, on=9))
    status = {period.name: part.status for period, part in found.periods}
    assert status == {"whole": "measured", "period 1": "measured", "period 2": "no_variance"}
    still = copies([[0.0, 0.0]] * 3, [0.1, 1 / 3, 2.7], x_init=[0.1, 1 / 3, 2.7], tau=3.0)
    assert get_population(still, Flags()).units.within_trial.max() < 1e-14
    for _, part in found.periods:
        assert part.participation_ratio is None or part.participation_ratio >= 1.0


def test_samples_that_are_too_few_or_do_not_vary_have_no_dimension():
    few = dimensionality(np.eye(4))
    still = dimensionality(np.full((50, 4), 1 / 3))
    assert (few.status, still.status) == ("few_samples", "no_variance")
    for one in (few, still):
        assert one.participation_ratio is None and one.n_components(0.9) is None


def test_effective_rank_and_gini_of_known_values():
    assert effective_rank([2.0, 2.0, 2.0, 0.0]) == pytest.approx(3.0)
    assert effective_rank([1.0, 0.0]) == pytest.approx(1.0)
    assert effective_rank([0.0, 0.0]) is None
    assert gini([1.0, 1.0, 1.0]) == pytest.approx(0.0)
    assert gini([0.0, 0.0, 0.0, 5.0]) == pytest.approx(0.75)
    assert gini([0.0]) is None
    v = np.random.default_rng(0).exponential(size=30)
    pairs = np.abs(v[:, None] - v).sum() / (2 * 30 * v.sum())
    assert gini(v) == pytest.approx(pairs)


def by_hand(r, groups):
    """Return eta squared of one unit, by the definition."""
    r, groups = r[groups >= 0], groups[groups >= 0]
    total = ((r - r.mean()) ** 2).sum()
    each = [r[groups == g] for g in np.unique(groups)]
    return sum(len(one) * (one.mean() - r.mean()) ** 2 for one in each) / total


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**31), st.integers(2, 5), st.integers(6, 30))
def test_eta_squared_is_what_its_definition_says(seed, n_groups, n_trials):
    rng = np.random.default_rng(seed)
    groups = rng.integers(-1, n_groups, n_trials)
    groups[:2] = [0, 1]
    r = rng.normal(size=(n_trials, 3)) * [1.0, 1e-6, 1e6] + 5.0
    found = eta_squared(r, groups)
    wanted = [by_hand(r[:, i], groups) for i in range(3)]
    assert found == pytest.approx(wanted, abs=1e-7)
    # Neither the scale nor the names of the groups matter.
    assert eta_squared(-3.0 * r, n_groups - groups * (groups >= 0) - (groups < 0) * (
        n_groups + 1)) == pytest.approx(found, abs=1e-7)  # fmt: skip


def test_units_of_a_network_that_copies_its_inputs():
    task = Flags()
    found = get_population(mixed(), task, PopulationSettings(n_shuffles=200))
    assert found.status == "analysed" and found.reason == ""
    assert found.n_trials == 24
    units = found.units
    assert units.silent.tolist() == [False, True, False, False, False]
    # What each unit does in each trial: the initial state 0, then relu of the bias, then inputs.
    rates = np.zeros((24, 30, 5))
    for k, condition in enumerate(task.conditions()):
        u = np.array([condition["a"], condition["b"]])
        rates[k, 1:11] = np.maximum(BIAS, 0)
        rates[k, 11:] = np.maximum(np.array(W_INP) @ u + BIAS, 0)
    flat = rates.reshape(-1, 5)
    assert units.mean_rate == pytest.approx(flat.mean(0))
    assert units.energy == pytest.approx((flat**2).mean(0))
    wanted = np.quantile(np.abs(flat), 0.9, axis=0) + np.abs(flat).std(0)
    assert units.participation == pytest.approx(wanted)
    assert units.within_trial == pytest.approx(rates.std(1).mean(0))
    assert units.between_trials == pytest.approx(rates.mean(1).std(0))
    everyone, active = found.groups
    assert (everyone.name, active.name) == ("all", "active")
    assert active.units.tolist() == [True, False, True, True, True]
    assert everyone.mean_rate == pytest.approx(flat.mean())
    assert active.mean_rate == pytest.approx(flat.mean() * 5 / 4)
    logs = np.log(flat.mean(0)[[0, 2, 3, 4]])
    assert active.sigma_log_rate == pytest.approx(logs.std())
    energy = (flat**2).mean(0)
    assert everyone.energy_top_share == pytest.approx(energy.max() / energy.sum())
    values = np.linalg.eigvalsh(np.cov(flat.T))
    ratio = values.sum() ** 2 / (values**2).sum()
    assert everyone.dimensions.participation_ratio == pytest.approx(ratio)
    assert active.dimensions.participation_ratio == pytest.approx(ratio)


def test_selectivity_of_units_that_code_a_variable_exactly_or_in_part():
    found = get_population(mixed(), Flags(), PopulationSettings(n_shuffles=200))
    (of_a, *a_by_period), (of_b, *_) = found.selectivity_of("a"), found.selectivity_of("b")
    # var(a) = 1, var(2 b) = 8 / 3: the fourth unit's shares of both
    share = 1 / (1 + 8 / 3)
    assert of_a.eta_squared[[0, 3]] == pytest.approx([1.0, share])
    assert of_b.eta_squared[[3, 4]] == pytest.approx([1 - share, 1.0])
    assert np.isnan(of_a.eta_squared[[1, 2]]).all() and np.isnan(of_a.p[[1, 2]]).all()
    assert of_a.eta_squared[4] == pytest.approx(0.0, abs=1e-12)
    assert of_a.p[0] == pytest.approx(1 / 201) and of_a.p[4] > 0.5
    # By chance it is (G - 1) / (n - 1).
    assert of_a.chance[0] == pytest.approx(1 / 23, rel=0.3)
    assert of_b.chance[4] == pytest.approx(2 / 23, rel=0.3)
    assert of_a.summary(np.ones(5, bool)) == pytest.approx(
        {"n": 3, "eta": (1 + share) / 3, "chance": np.nanmean(of_a.chance),
         "selective": 2 / 3}
    )  # fmt: skip
    before, after = a_by_period
    assert np.isnan(before.eta_squared).all()
    assert after.eta_squared[0] == pytest.approx(1.0)
    # The choice is the sign of a where it is read from the first unit.
    (choice, *_) = found.selectivity_of("correct_choice")
    assert choice.eta_squared[0] == pytest.approx(1.0)


def test_periods_are_where_inputs_or_what_is_asked_change():
    whole, before, after = record(mixed(), Flags()).periods
    assert (whole.on, whole.off) == (0, 30)
    assert (before.on, before.off, before.inputs) == (0, 10, ())
    assert (after.on, after.off, after.inputs) == (10, 30, ("input 0", "input 1"))
    cddm = CDDM(n_steps=100, stim_on=30, dec_on=70, coherences=[-1.0, 1.0], seed=0)
    inputs = np.moveaxis(cddm.get_batch()[0], 2, 0).swapaxes(1, 2)
    counts = np.isin(np.arange(100), cddm.mask)
    found = find_periods(inputs, cddm.input_names, counts)
    # Stimuli are shown one step before stim_on, and that step does not count yet.
    assert [(p.on, p.off) for p in found] == [(0, 100), (0, 29), (29, 70), (70, 100)]
    assert found[1].inputs == ("motion cue", "color cue")
    assert len(found[2].inputs) == 4 + 2 and found[3].asked == 1.0 and found[2].asked < 0.1


def test_shifted_windows_are_the_same_period_and_changing_inputs_make_none():
    dmts = DMTS(seed=0)
    found = record(copies(np.ones((4, dmts.n_inputs)), W_out=np.ones((dmts.n_outputs, 4))), dmts)
    stimulus = found.periods[2]
    lengths = stimulus.steps.sum(axis=1)
    # Of each trial its own steps; none of trials whose windows touch.
    assert set(lengths) == {0, 10} and (lengths > 0).mean() > 0.8
    assert len(np.unique(stimulus.steps.argmax(axis=1))) > 3
    means = found.period_means(stimulus)
    assert np.array_equal(np.isnan(means).all(axis=1), lengths == 0)
    stimuli = variable("x", np.where(lengths > 0, 0.0, 1.0))  # nothing is left to compare
    assert np.isnan(selectivity(means, stimuli, "period 2", 5, 0).eta_squared).all()
    flips = NBitFlipFlop(seed=0)
    found = record(copies(np.ones((4, flips.n_inputs)), W_out=np.ones((flips.n_outputs, 4))), flips)
    assert [p.name for p in found.periods] == ["whole"]
    # Its trials are of one kind: what may be coded is where its outputs are to be.
    assert [v.name for v in found.variables] == [f"target {name}" for name in flips.output_names]


def test_steps_after_a_trials_own_end_are_no_part_of_it():
    inputs = np.zeros((2, 10, 1))
    inputs[:, 3:] = 1.0
    counts = np.array([[False] * 5 + [True] + [False] * 4, [False] * 5 + [True] * 5])
    whole = find_periods(inputs, ("a",), counts)[0]
    assert whole.steps.sum(axis=1).tolist() == [6, 10]


def test_variables_with_one_value_or_too_many():
    assert variable("x", np.ones(4)).status == "one_value"
    assert variable("x", np.array([f"t{i}" for i in range(30)])).status == "too_many_values"
    many = variable("x", np.arange(40.0))
    assert many.status == "usable" and np.bincount(many.groups).tolist() == [5] * 8
    lacks = variable("x", np.array([1.0, np.nan, 2.0]))
    assert lacks.groups.tolist() == [0, -1, 1]
    assert variable("x", np.array(["a", "", "b"])).groups.tolist() == [0, -1, 1]


def test_networks_that_are_silent_constant_or_overflow_say_so():
    silent = get_population(copies(np.zeros((3, 2))), Flags())
    assert silent.status == "silent" and "0.001" in silent.reason
    assert silent.units.silent.all() and not silent.groups and not silent.selectivity
    still = copies(np.zeros((3, 2)), np.ones(3), x_init=np.ones(3))
    constant = get_population(still, Flags())
    assert constant.status == "constant"
    assert {d.status for _, d in constant.periods} == {"no_variance"}
    assert all(np.isnan(one.eta_squared).all() for one in constant.selectivity)
    assert constant.groups[0].mean_rate == pytest.approx(1.0)
    with np.errstate(all="ignore"):
        grows = copies(np.ones((2, 2)), np.ones(2), W_rec=1e20 * np.eye(2))
        wild = get_population(grows, Flags())
    assert wild.status == "not_finite" and wild.units is None
    one = get_population(mixed(), Flags(a=[1.0], b=[1.0]))
    assert {v.status for v in one.variables} == {"one_value"} and one.selectivity == []
    for result in (silent, constant, wild, one):
        assert plot_population(result).axes


def test_fewer_samples_than_units_have_no_dimension():
    task = Flags(n_steps=4, on=2, n_each=1)
    found = get_population(copies(np.random.default_rng(0).normal(size=(40, 2))), task)
    assert {d.status for _, d in found.periods} == {"few_samples"}
    assert found.groups[0].dimensions.participation_ratio is None


def test_recurrent_weights_and_their_change():
    start = np.diag([1.0, 2.0, 2.0])
    change = np.outer([1.0, 0.0, 0.0], [0.0, 3.0, 0.0])
    found = recurrent_weights(start + change, start)
    assert found.spectral_radius == pytest.approx(2.0)
    assert found.change_effective_rank == pytest.approx(1.0)
    assert found.change_norm == pytest.approx(1.0)
    assert found.change_singular_values == pytest.approx([3.0, 0.0, 0.0])
    turning = recurrent_weights([[0.0, -3.0], [3.0, 0.0]])
    assert turning.spectral_abscissa == pytest.approx(0.0, abs=1e-12)
    assert turning.change_norm is None and turning.effective_rank == pytest.approx(2.0)
    assert recurrent_weights(start, start).change_effective_rank is None
    for wrong in (np.zeros((2, 2)), np.full((3, 3), np.nan)):
        with pytest.raises(ParameterError, match="W_rec_start"):
            recurrent_weights(start, wrong)


def test_excitatory_and_inhibitory_units_are_told_apart():
    W = np.array([[0.0, -2.0, 1.0, 0.0], [1.0, -1.0, 0.0, 0.0], [2.0, 0, 0, 0], [0, 0, 0, 0]])
    assert cell_types(W).tolist() == [1, -1, 1, 0]
    assert cell_types(W + np.eye(4)[:, 1:2] * 9).tolist() == [0, 0, 0, 0]  # one does both
    assert cell_types(np.abs(W)).tolist() == [0, 0, 0, 0]  # one kind alone
    rnn = copies(np.eye(4, 2), np.ones(4), W_rec=0.1 * W)
    groups = {group.name: group for group in get_population(rnn, Flags()).groups}
    assert groups["excitatory"].units.tolist() == [True, False, True, False]
    to = groups["excitatory"].mean_weights
    assert to["excitatory"] == pytest.approx(0.1 * np.mean([0, 1, 2, 0]))
    assert to["inhibitory"] == pytest.approx(0.1 * np.mean([1, 0]))
    assert groups["inhibitory"].mean_weights["inhibitory"] == pytest.approx(-0.1)


def test_large_networks_get_fewer_trials_and_the_same_seed_the_same_rows():
    task = CDDM(seed=0)
    n = 400
    rng = np.random.default_rng(0)
    rnn = copies(rng.normal(size=(n, 6)), W_out=np.zeros((2, n)), sigma_rec=0.1)
    found = record(rnn, task, max_trials=10**6)
    assert found.n_trials == MOST_VALUES // (n * 300) < 450
    few = PopulationSettings(noise=True, max_trials=20, n_shuffles=19)
    one, other = (get_population(rnn, task, few, seed=3) for _ in range(2))
    assert np.array_equal(one.units.mean_rate, other.units.mean_rate)
    assert np.array_equal(one.selectivity[1].p, other.selectivity[1].p)


def test_angles_are_binned():
    task = MemoryAngle(seed=0)
    rnn = copies(np.ones((3, task.n_inputs)), W_out=np.ones((task.n_outputs, 3)))
    (theta,) = record(rnn, task).variables
    assert theta.name == "Theta" and theta.n_groups == 8


def test_the_figure_has_its_panels_and_legend():
    figure = models.plot_population(get_population(mixed(), Flags()))
    titles = [axes.get_title() for axes in figure.axes]
    assert titles[1] == "units (1 of 5 silent)" and len(titles) == 4
    (legend,) = figure.legends
    assert [text.get_text().split(":")[0] for text in legend.get_texts()] == [
        "whole", "period 1", "period 2", "by chance",
    ]  # fmt: skip


@pytest.mark.filterwarnings("error")
def test_figures_of_networks_without_an_answer_say_why():
    still = copies(np.zeros((3, 2)), np.ones(3), x_init=np.ones(3))
    figure = plot_population(get_population(still, Flags()))
    texts = [text.get_text() for axes in figure.axes for text in axes.texts]
    assert {"no unit differs\nbetween trials", "all weights are 0"} <= set(texts)
    # Within one decade components are counted on a linear axis.
    few = plot_population(get_population(mixed(), Flags())).axes[0]
    many = plot_population(get_population(copies(np.ones((12, 2))), Flags())).axes[0]
    assert (few.get_xscale(), many.get_xscale()) == ("linear", "log")
    # What overflows has a status, and makes no noise on the way.
    grows = copies(np.ones((2, 2)), np.ones(2), W_rec=1e200 * np.eye(2))
    assert get_population(grows, Flags()).status == "not_finite"


def test_the_legends_say_what_chance_is():
    """What a figure draws for comparison is named in it."""
    rnn, task = copies([[1, 0], [1, 1], [-1, 0], [0, 1], [0, -1]], [0, 0, 0, 0, 0.3]), Flags()
    for figure, name in (
        (plot_population(get_population(rnn, task)), "by chance"),
        (plot_subspaces(get_subspaces(rnn, task)), "95 % of permuted trials"),
    ):
        assert name in [text.get_text() for text in figure.legends[0].get_texts()]
