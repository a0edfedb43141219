"""Figures of activity and weights: what they show, of networks whose activity is known."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pytest
import xarray
from matplotlib.axes import Axes
from matplotlib.colors import same_color
from PIL import Image

import models
import tasks_lib
from models import RNNNumpy
from models.plots.palette import CATEGORIES
from models.plots.trial_groups import trial_groups
from models.populations.variables import condition_variables
from tasks_lib import CDDM, XOR, ParameterError, Task


def dataset(activity, **coordinates):
    """Trials (B, T, N) with coordinates over trials."""
    n_trials, n_steps, n_units = activity.shape
    return xarray.Dataset(
        {name: (("trial", "time", "unit"), activity) for name in ("states", "rates")},
        {
            "trial": np.arange(n_trials),
            "time": np.arange(n_steps) * 0.5,
            "unit": np.arange(n_units),
            **{k: ("trial", np.asarray(v)) for k, v in coordinates.items()},
        },
        {"condition_fields": "context"},
    )


def moving(n_units=5):
    """Unit k peaks at step 2 (n_units - k); in context b twice as high, in unit 0 only."""
    time = np.arange(20)
    bumps = np.stack([np.exp(-0.5 * (time - 2 * (n_units - k)) ** 2) for k in range(n_units)], 1)
    doubled = bumps * np.where(np.arange(n_units) == 0, 2.0, 1.0)
    return dataset(np.stack([bumps, bumps, doubled]), context=["a", "a", "b"])


def test_groups_follow_values_of_a_coordinate():
    trials = moving()
    groups = trial_groups(trials)
    assert [g.label for g in groups] == ["context = a", "context = b"]
    assert [g.trials.tolist() for g in groups] == [[0, 1], [2]]
    assert [g.colour for g in groups] == list(CATEGORIES[:2])
    assert len(trial_groups(dataset(np.zeros((3, 4, 2))))) == 1
    with pytest.raises(ParameterError, match="use trial, context"):
        trial_groups(trials, "unit")


def test_numbers_with_many_values_are_binned_and_names_are_not():
    many = dataset(np.zeros((40, 3, 2)), x=np.linspace(-1, 1, 40), s=[f"n{i}" for i in range(40)])
    groups = trial_groups(many, "x")
    assert len(groups) == 6 and sorted(np.concatenate([g.trials for g in groups])) == [*range(40)]
    assert groups[0].label == "x: -1 to -0.667"
    with pytest.raises(ParameterError, match="40 values that are no numbers"):
        trial_groups(many, "s")


def test_zero_is_grey_between_signed_colours():
    signed = trial_groups(dataset(np.zeros((3, 3, 2)), c=[-1.0, 0.0, 1.0]), "c")
    assert same_color(signed[1].colour, "0.6")
    assert not same_color(signed[0].colour, signed[2].colour)


def test_trajectories_are_the_means_in_the_frame_that_explains_them():
    trials = moving()
    figure = models.plot_trajectories(trials)
    axes = figure.axes[0]
    lines = [line for line in axes.lines if len(line.get_xdata()) > 1]
    means = [trials.states.values[:2].mean(axis=0).T, trials.states.values[2].T]
    frame = models.Projection.principal(np.concatenate(means, axis=1), 2)
    for line, mean in zip(lines, means, strict=True):
        assert np.allclose(line.get_xydata().T, frame(mean))
    both = np.concatenate(means, axis=1)
    share = frame(both)[0].var() / both.var(axis=1).sum()
    assert axes.get_xlabel() == f"PC 1 ({100 * share:.0f} % of variance)"
    given = models.plot_trajectories(trials, P=frame)
    assert given.axes[0].get_xlabel().startswith("PC 1 (")
    single = models.plot_trajectories(trials, projection="3D", average=False)
    paths = [line for line in single.axes[0].lines if len(line.get_data_3d()[0]) > 1]
    assert len(paths) == 3


def test_unit_responses_are_means_and_spreads():
    activity = np.zeros((4, 6, 3))
    activity[:, :, 1] = np.array([0.0, 2.0, 5.0, 5.0])[:, None]
    trials = dataset(activity, context=["a", "a", "b", "b"])
    figure = models.plot_unit_responses(trials, units=[1])
    (axes,) = figure.axes
    assert [line.get_ydata()[0] for line in axes.lines] == [1.0, 5.0]
    band = axes.collections[0].get_paths()[0].vertices[:, 1]
    assert band.min() == 0.0 and band.max() == 2.0
    assert axes.get_title() == "unit 1"
    assert models.plot_unit_responses(trials).axes[0].get_title() == "unit 1"  # which differs most
    with pytest.raises(ParameterError, match="units = 3"):
        models.plot_unit_responses(trials, units=[3])


def test_the_matrix_is_sorted_by_peaks_and_scaled_by_unit():
    figure = models.plot_activity_matrix(moving())
    first, second = (np.asarray(axes.images[0].get_array()) for axes in figure.axes[:2])
    assert np.argmax(second, axis=1).tolist() == [2, 4, 6, 8, 10]
    assert np.allclose(second.max(axis=1), 1.0)
    assert first[-1].max() == pytest.approx(0.5)  # unit 0 is largest in the other context
    plain = models.plot_activity_matrix(moving(), sort=None)
    assert np.argmax(np.asarray(plain.axes[0].images[0].get_array()), axis=1)[0] == 10


def test_similar_units_stand_together():
    rng = np.random.default_rng(0)
    kinds = rng.normal(size=(2, 30))
    activity = np.stack([kinds[k % 2] + 0.1 * rng.normal(size=30) for k in range(8)], 1)
    figure = models.plot_activity_matrix(dataset(activity[None]), sort="cluster")
    shown = np.asarray(figure.axes[0].images[0].get_array())
    which = [int(np.corrcoef(row, kinds[1])[0, 1] > 0.8) for row in shown]
    assert which in ([0] * 4 + [1] * 4, [1] * 4 + [0] * 4)


def test_states_that_overflow_are_refused():
    activity = np.ones((2, 4, 3))
    activity[1, 2:] = np.inf
    with pytest.raises(ParameterError, match="overflow"):
        models.plot_trajectories(dataset(activity), average=True)


@pytest.mark.parametrize("n_outputs", [1, 3])
def test_weights_are_shown_as_they_are(n_outputs):
    rng = np.random.default_rng(1)
    rnn = models.RNNNumpy(
        W_rec=rng.normal(size=(7, 7)),
        W_inp=rng.normal(size=(7, 2)) * (rng.random((7, 2)) < 0.5),
        W_out=rng.normal(size=(n_outputs, 7)),
    )
    order = [6, 5, 4, 3, 2, 1, 0]
    images = [a.images[0] for a in models.plot_weight_matrices(rnn, order).axes if a.images]
    shown = [np.asarray(image.get_array()) for image in images]
    assert np.array_equal(shown[0], rnn.W_inp[::-1])
    assert np.array_equal(shown[1], rnn.W_rec[::-1, ::-1])
    assert np.array_equal(shown[2], rnn.W_out[:, ::-1].T)
    assert images[1].get_clim() == (-np.abs(rnn.W_rec).max(), np.abs(rnn.W_rec).max())
    with pytest.raises(ParameterError, match="name each unit once"):
        models.plot_weight_matrices(rnn, [0, 0, 1, 2, 3, 4, 5])
    counts = [
        sum(p.get_height() for p in a.patches) for a in models.plot_weight_histograms(rnn).axes
    ]
    assert counts == [np.count_nonzero(rnn.W_inp), 49, 7 * n_outputs]


def test_eigenvalues_and_the_circle_of_random_matrices():
    rng = np.random.default_rng(2)
    rnn = models.RNNNumpy(
        W_rec=rng.normal(size=(300, 300)) / np.sqrt(300),
        W_inp=np.zeros((300, 1)),
        W_out=np.zeros((1, 300)),
    )
    axes = models.plot_weight_eigenvalues(rnn).axes[0]
    circle = np.hypot(*axes.lines[0].get_data())
    assert np.allclose(circle, 1.0, atol=0.02)
    shown = axes.lines[2].get_xydata()
    values = np.linalg.eigvals(rnn.W_rec)
    assert np.allclose(np.sort(shown[:, 0]), np.sort(values.real))


def test_an_animation_is_a_gif_of_moving_trajectories(tmp_path):
    path = models.animate_trajectories(moving(), tmp_path / "a.gif", n_frames=4)
    with Image.open(path) as image:
        assert image.n_frames == 4
        image.seek(0)
        first = np.asarray(image.convert("RGB"))
        image.seek(3)
        assert not np.array_equal(first, np.asarray(image.convert("RGB")))
    with pytest.raises(ParameterError, match=r"add \.gif"):
        models.animate_trajectories(moving(), tmp_path / "a.mp4")
    assert not plt.get_fignums()


@pytest.mark.parametrize("name", ["CDDM", "GoNoGo", "MemoryNumber", "NBitFlipFlop"])
def test_every_kind_of_figure_can_be_drawn_of_tasks(name):
    task = tasks_lib.create_task(name)
    rng = np.random.default_rng(0)
    rnn = models.RNNNumpy(
        W_rec=rng.normal(size=(8, 8)) / 3,
        W_inp=rng.normal(size=(8, task.n_inputs)),
        W_out=rng.normal(size=(task.n_outputs, 8)),
        activation="tanh",
    )
    trials = models.get_trials(rnn, task)
    for figure in (
        models.plot_trajectories(trials),
        models.plot_unit_responses(trials),
        models.plot_activity_matrix(trials, sort="cluster"),
    ):
        assert figure.axes


def test_kinds_of_trials_are_told_apart_where_they_are_few():
    """Of an exclusive or, one bit alone tells nothing."""
    task = XOR(n_repeats=2, seed=0)
    rnn = RNNNumpy(
        W_rec=np.eye(6), W_inp=np.ones((6, task.n_inputs)), W_out=np.ones((2, 6)), dt=1.0
    )
    trials = models.get_trials(rnn, task, seed=0)
    labels = [group.label for group in trial_groups(trials)]
    assert labels == ["v1 0, v2 0", "v1 0, v2 1", "v1 1, v2 0", "v1 1, v2 1"]
    many = models.get_trials(
        RNNNumpy(W_rec=np.eye(6), W_inp=np.ones((6, 6)), W_out=np.ones((2, 6)), dt=1.0),
        CDDM(seed=0), seed=0, max_trials=40,
    )  # fmt: skip
    assert {group.label for group in trial_groups(many)} == {"context = color", "context = motion"}


def test_trials_that_have_nothing_in_common_are_not_averaged():
    rng = np.random.default_rng(0)
    one = dataset(rng.standard_normal((5, 4, 7)))
    assert len(models.plot_trajectories(one).axes[0].lines) >= 2 * 5
    assert len(models.plot_trajectories(one, average=True).axes[0].lines) == 2
    with pytest.raises(ParameterError, match="average"):
        models.plot_trajectories(one, average="yes")


class TwoRules(Task):
    """Follow one of two stimuli; which, no field named "context" says."""

    def __init__(self, n_steps=6, n_inputs=2, n_outputs=1, seed=None):
        super().__init__(n_steps, n_inputs, n_outputs, seed)

    def conditions(self):
        levels = (-0.8, -0.2, 0.2, 0.8)
        return [
            {"rule": rule, "tone": a, "light": b}
            for rule in ("tone", "light")
            for a in levels
            for b in levels
        ]

    def generate_input_target_stream(self, rule, tone, light):
        inputs = np.repeat([[tone], [light]], self.n_steps, axis=1)
        right = np.sign(tone if rule == "tone" else light)
        condition = {"rule": rule, "tone": tone, "light": light, "correct_choice": int(right)}
        return inputs, np.full((1, self.n_steps), right), condition

    def get_choices(self, outputs):
        return np.sign(outputs[0, -1]).astype(int)

    def signed_stimuli(self, condition):
        rule = condition["rule"]
        other = "light" if rule == "tone" else "tone"
        return rule, {"relevant": condition[rule], "irrelevant": condition[other]}


def follower(task):
    return RNNNumpy(
        W_rec=0.1 * np.eye(4), W_inp=np.ones((4, task.n_inputs)), W_out=np.ones((1, 4)), dt=1.0
    )


def test_contexts_of_signed_stimuli_are_told_apart_and_keep_their_colours():
    """In trials, trajectories and psychometric curves; conditions are what is coded."""
    task = TwoRules(seed=0)
    trials = models.get_trials(follower(task), task)
    assert trials.context.values.tolist() == trials.rule.values.tolist()
    groups = {group.label: group.colour for group in trial_groups(trials)}
    assert list(groups) == ["context = light", "context = tone"]
    figure = models.plot_psychometrics(models.get_psychometrics(follower(task), task))
    drawn = {axes.get_legend().get_title().get_text(): axes for axes in figure.axes}
    for name in ("light", "tone"):
        (curve, *_) = drawn[f"{name} context"].lines
        assert same_color(curve.get_color(), groups[f"context = {name}"])
    coded = [one.name for one in condition_variables(trials)]
    assert "rule" in coded and "context" not in coded
    one = models.get_trials(follower(task), task, conditions={"rule": "tone"})
    assert set(one.context.values) == {"tone"}


def test_without_a_word_the_first_field_tells_trials_apart():
    """As of a task that names no fields for its scores, and has no contexts."""
    task = TwoRules(seed=0)
    task.__class__ = type("Unsaid", (TwoRules,), {"signed_stimuli": Task.signed_stimuli})
    trials = models.get_trials(follower(task), task)
    assert "context" not in trials.coords
    assert [g.label for g in trial_groups(trials)] == ["rule = light", "rule = tone"]


@pytest.mark.parametrize(
    ("projection", "end"), [("2D", "direction and end"), ("3D", "end of trials")]
)
def test_the_legend_says_where_trials_start_and_end(projection, end):
    (legend,) = models.plot_trajectories(moving(), projection=projection).legends
    said = [text.get_text() for text in legend.get_texts()]
    assert said == ["context = a", "context = b", "start of trials", end]


def test_times_of_an_animation_have_their_unit(tmp_path, monkeypatch):
    titles = []
    monkeypatch.setattr(Axes, "set_title", lambda axes, text, **_: titles.append(text))
    models.animate_trajectories(moving(), tmp_path / "moving.gif", n_frames=3)
    assert titles[-1] == "time (in the unit of τ): 9.5"
