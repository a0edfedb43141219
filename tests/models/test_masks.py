"""Trials of different lengths in training, scores, choices and pictures."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from models import (
    NetworkConfig,
    PerformanceAnalyzer,
    RNNTorch,
    Trainer,
    TrainingConfig,
    get_psychometrics,
    get_trials,
    penalties,
    plot_task,
    plot_trials,
)
from models.engine import simulation
from models.engine.backends.registry import BACK_ENDS
from models.network.run import RunMemory
from models.performance.scores import (
    mean_squared_error,
    mean_squared_error_by_trial,
    r2_by_trial,
    r2_pooled,
)
from models.training.checkpoints import TrainingStopped
from models.training.cohort import train_cohort
from models.training.losses import LossFunction
from models.training.memory import TrainingSize
from models.training.through_autograd import ThroughAutograd
from tasks_lib import CDDM, ParameterError, Task

NETWORK = NetworkConfig(n_units=9, activation="tanh", tau=3.0, sigma_rec=0.05)
LENGTHS = (4, 7, 12, 9)
T = 12


class Lengths(Task):
    """Repeat a random input, for as long as the trial is; then pad."""

    padding = (0.0, np.nan)  # of input and target
    how = "nan"

    def __init__(self, n_steps=T, n_inputs=2, n_outputs=2, seed=None):
        super().__init__(n_steps, n_inputs, n_outputs, seed)

    def conditions(self):
        return [{"length": n, "noise": int(self.rng.integers(2**32))} for n in LENGTHS]

    def generate_input_target_stream(self, length, noise):
        inputs = np.random.default_rng(noise).normal(size=(2, self.n_steps))
        target = np.cumsum(inputs, axis=1) / 5
        inputs[:, length:] = self.padding[0]
        target[:, length:] = self.padding[1]
        return inputs, target, {"length": length, "noise": noise}

    def get_choices(self, outputs):
        return np.sign(outputs[0, -1]).astype(int)


def padded(inputs, target, mask=None):
    members = {"padding": (inputs, target)}
    if mask is not None:
        members["mask"] = property(lambda self: mask)
    return type("Padded", (Lengths,), members)


PER_TRIAL = np.arange(T)[:, None] < np.array(LENGTHS)


def run_on(back_end, monkeypatch):
    """Let networks run on a back end of choice."""
    chosen = SimpleNamespace(choose=lambda *_: BACK_ENDS[back_end], get=BACK_ENDS.get)
    monkeypatch.setattr(simulation, "registry", chosen)


# Loss and gradient --------------------------------------------------------------------------------


def loss_by_hand(outputs, targets, steps, counts):
    """Return the loss of one network (T, B, n_outputs), entry by entry."""
    total, number = 0.0, 0
    for t in steps:
        for b in range(outputs.shape[1]):
            for o in range(outputs.shape[2]):
                if counts[t, b, o]:
                    total = total + (outputs[t, b, o] - targets[t, b, o]) ** 2
                    number += 1
    return total / number


@pytest.mark.parametrize("back_end", ["compiled", "plain"])
@pytest.mark.parametrize(("dtype", "bound"), [(torch.float64, 1e-9), (torch.float32, 1e-4)])
@pytest.mark.parametrize("form", ["s", "h"])
def test_loss_and_gradient_are_those_of_the_formula(monkeypatch, back_end, dtype, bound, form):
    """The fused kernels have the same test in `fused_interpreted`."""
    run_on(back_end, monkeypatch)
    check_loss_and_gradient(dtype, bound, form)


def check_loss_and_gradient(dtype, bound, form):
    """Compare with autograd in float64; gaps differ by trial, step and output."""
    rng = np.random.default_rng(3)
    config = NetworkConfig(
        n_units=7, activation="tanh", tau=3.0, equation_type=form, self_connections=True
    )
    rnn, exact = (
        RNNTorch.from_config(config, 2, 2, seed=[1, 2], dtype=d) for d in (dtype, torch.float64)
    )
    with torch.no_grad():
        for p, q in zip(rnn.parameters(), exact.parameters(), strict=True):
            q.copy_(p.double())
    inputs, targets = rng.normal(size=(2, T, 5)), rng.normal(size=(2, 2, T, 5))  # of K networks
    counts = rng.random(targets.shape) < 0.4
    steps = np.array([1, 11, 4, 5, 6, 2])
    counts[:, :, 4] = True
    targets[~counts] = np.nan
    losses = LossFunction(rnn, torch.as_tensor(steps), [])
    t = rnn.to_internal(targets)
    descent = losses.descent(rnn.to_internal(inputs), t)
    again = losses.descent(rnn.to_internal(inputs), t, memory=RunMemory(trials_at_once=2))

    _, outputs = exact.simulate(exact.to_internal(inputs), False)
    by_hand = [
        loss_by_hand(outputs[k], exact.to_internal(targets)[k], steps, counts[k].transpose(1, 2, 0))
        for k in range(2)
    ]
    parameters = [p for p in exact.parameters() if p.requires_grad]
    expected = torch.autograd.grad(sum(by_hand), parameters)
    for found in (descent, again):
        assert torch.allclose(found.total.double(), torch.stack(by_hand), rtol=bound)
        for g, wanted in zip(found.gradients, expected, strict=True):
            assert torch.allclose(g.double(), wanted, rtol=bound, atol=bound)
    # The same through autograd of the loss itself, and of the penalty that is the task's loss.
    through = losses(rnn.to_internal(inputs), t, noise=False)
    assert torch.allclose(through.total.double(), torch.stack(by_hand), rtol=bound)
    own = torch.autograd.grad(through.total.sum(), list(rnn.parameters()))
    for g, wanted in zip(own, expected, strict=True):
        assert torch.allclose(g.double(), wanted, rtol=bound, atol=bound)
    for k in range(2):
        context = ThroughAutograd(rnn, losses.mask).context(
            outputs[k].new_zeros(T, 5, 7), outputs[k].to(dtype), rnn.to_internal(inputs), t[k],
            SimpleNamespace(W_rec=None, W_inp=None, W_out=None, b_rec=None),
        )  # fmt: skip
        assert float(penalties.task(context).detach()) == pytest.approx(
            float(by_hand[k].detach()), rel=bound
        )
    with torch.no_grad():
        mean = (through.by_trial.double() * numbers(counts, steps)).sum(1)
    assert torch.allclose(mean / numbers(counts, steps).sum(1), torch.stack(by_hand), rtol=bound)


def numbers(counts, steps):
    return torch.as_tensor(counts[:, :, steps].sum(axis=(1, 2)), dtype=torch.float64)


def trained(task, seeds=(0, 1), config=NETWORK, **settings):
    chosen = {"max_iter": 4, "lr": 0.05, **settings}
    rnn = RNNTorch.from_config(config, 2, 2, seed=list(seeds))
    return Trainer(rnn, task, TrainingConfig(**chosen)).run_training()


def same_bits(ours, theirs):
    for one, other in zip(ours, theirs, strict=True):
        assert one.r2 == other.r2
        assert one.loss_curve.tobytes() == other.loss_curve.tobytes()
        assert np.array_equal(one.score_curve, other.score_curve)
        for name, w in one.weights.items():
            assert w.tobytes() == other.weights[name].tobytes(), name


def test_booleans_train_as_the_indices_do_to_the_bit():
    chosen = np.isin(np.arange(T), [1, 2, 5, 11])
    ways = [chosen, np.flatnonzero(chosen), [1, 2, 5, 11]]
    results = [
        trained(padded(0.0, 0.3, way)(seed=0), validation_interval=2, same_batch=False)
        for way in ways
    ]
    same_bits(results[0], results[1])
    same_bits(results[0], results[2])
    scores = [
        PerformanceAnalyzer(net(results[0][0]), padded(0.0, 0.3, way)(seed=5)).validate()
        for way in ways
    ]
    assert scores[0] == scores[1] == scores[2]


def net(network):
    rnn = RNNTorch.from_config(NETWORK, 2, 2, seed=[0])
    with torch.no_grad():
        for name, p in rnn.named_parameters():
            p.copy_(torch.as_tensor(network.weights[name.removeprefix("_")]))
    return rnn.to_numpy()


def test_equal_columns_train_as_one_column_does():
    common = np.isin(np.arange(T), [1, 2, 5, 11])
    columns = np.tile(common[:, None], len(LENGTHS))
    one, other = (trained(padded(0.0, 0.3, way)(seed=0))[1] for way in (common, columns))
    assert one.r2 == pytest.approx(other.r2, rel=1e-5)
    assert one.loss_curve == pytest.approx(other.loss_curve, rel=1e-5)
    for name, w in one.weights.items():
        assert np.allclose(w, other.weights[name], rtol=1e-4, atol=1e-5)


@settings(max_examples=15, deadline=None)
@given(
    inputs=st.lists(st.floats(-1e3, 1e3), min_size=2, max_size=2),
    target=st.floats(-1e6, 1e6) | st.sampled_from([np.inf, -np.inf, np.nan]),
    by_mask=st.booleans(),
    activation=st.sampled_from(["tanh", "relu", "softplus"]),
    noise=st.sampled_from([0.0, 0.05]),
)
def test_what_comes_after_a_trials_end_does_not_matter(inputs, target, by_mask, activation, noise):
    """To the bit: what is not asked sends exactly 0 back."""
    config = NetworkConfig(n_units=6, activation=activation, tau=3.0, sigma_rec=noise)
    cls = padded(
        np.array([inputs]).T, target if by_mask else np.nan, PER_TRIAL if by_mask else None
    )
    settings = {"validation_interval": 2, "same_batch": False, "config": config}
    plain, other = (trained(task(seed=2), **settings) for task in (Lengths, cls))
    same_bits(plain, other)
    scores = [PerformanceAnalyzer(net_of(plain[0], config), c(seed=4)).validate()
              for c in (Lengths, cls)]  # fmt: skip
    assert scores[0] == scores[1]


def net_of(network, config):
    rnn = RNNTorch.from_config(config, 2, 2, seed=[0])
    with torch.no_grad():
        for name, p in rnn.named_parameters():
            p.copy_(torch.as_tensor(network.weights[name.removeprefix("_")]))
    return rnn.to_numpy()


class SevenSteps(Lengths):
    """Trials that are all of one length, in arrays that may be longer."""

    def conditions(self):
        return [{"length": 7, "noise": int(self.rng.integers(2**32))} for _ in range(3)]

    def generate_input_target_stream(self, length, noise):
        inputs, target, condition = Lengths(T).generate_input_target_stream(length, noise)
        return inputs[:, : self.n_steps], target[:, : self.n_steps], condition


def test_trials_of_one_length_train_as_if_they_were_not_padded():
    short, long = (trained(SevenSteps(n, seed=0), seeds=(3,))[0] for n in (7, T))
    assert short.r2 == pytest.approx(long.r2, rel=1e-5)
    for name, w in short.weights.items():
        assert np.allclose(w, long.weights[name], rtol=1e-4, atol=1e-5)


def test_tasks_of_one_batch_may_differ_in_their_masks():
    masks = [np.arange(3), np.arange(2, T)[::-1], PER_TRIAL]
    tasks = [padded(0.0, 0.1 * i, m)(seed=i) for i, m in enumerate(masks)]
    together = trained(tasks, seeds=(5, 6, 7))
    for i, task in enumerate(masks):
        alone = trained([padded(0.0, 0.1 * i, task)(seed=i)], seeds=(5 + i,))[0]
        assert together[i].loss_curve == pytest.approx(alone.loss_curve, rel=1e-4)
        assert np.allclose(together[i].weights["W_rec"], alone.weights["W_rec"], atol=1e-5)


def test_a_training_goes_on_to_the_same_bits(tmp_path):
    config = TrainingConfig(max_iter=6, lr=0.05, validation_interval=2, same_batch=False)
    whole = train_cohort(lambda s: Lengths(seed=s), NETWORK, config, [1, 2], device="cpu").networks
    calls = iter([False, False, True])
    with pytest.raises(TrainingStopped):
        train_cohort(lambda s: Lengths(seed=s), NETWORK, config, [1, 2], device="cpu",
                     checkpoints=tmp_path, stop=lambda: next(calls))  # fmt: skip
    same_bits(whole, train_cohort(lambda s: Lengths(seed=s), NETWORK, config, [1, 2], device="cpu",
                                  checkpoints=tmp_path).networks)  # fmt: skip


def test_a_trial_that_asks_nothing_is_named_before_a_step_is_done():
    class Silent(Lengths):
        def generate_input_target_stream(self, length, noise):
            inputs, target, condition = super().generate_input_target_stream(length, noise)
            return inputs, target * (np.nan if length == 12 else 1.0), condition

    with pytest.raises(ParameterError, match=r"targets\[:, :, 2\] = nan: no step counts"):
        trained(Silent(seed=0))
    with pytest.raises(ParameterError, match=r"targets\[:, :, 2\]"):
        PerformanceAnalyzer(net(trained(Lengths(seed=0))[0]), Silent(seed=0)).validate()
    rnn = RNNTorch.from_config(NETWORK, 2, 2, seed=[0])
    with pytest.raises(ParameterError, match=r"Padded\.mask = -1"):
        Trainer(rnn, padded(0.0, 0.0, [-1, 2])(seed=0))


def test_a_batch_that_ignores_the_mask_of_its_trials_is_refused():
    def get_batch(self, shuffle=False):
        return self.generate_trials(self.conditions())

    cls = type("Own", (padded(0.0, 0.0, PER_TRIAL),), {"get_batch": get_batch})
    for act in (lambda: trained(cls(seed=0)), lambda: trained([cls(seed=0), cls(seed=1)])):
        with pytest.raises(ParameterError, match=r"Own\.get_batch.*super\(\)\.get_batch"):
            act()
    network = net(trained(Lengths(seed=0))[0])
    with pytest.raises(ParameterError, match=r"Own\.get_batch"):
        PerformanceAnalyzer(network, cls(seed=0)).validate()


def test_targets_that_are_changed_in_place_are_looked_at_again():
    rnn = RNNTorch.from_config(NETWORK, 2, 2, seed=[0])
    inputs, targets, _ = padded(0.0, 0.0)(seed=0).get_batch()
    losses = LossFunction(rnn, torch.arange(T), [])
    u, t = rnn.to_internal(inputs), rnn.to_internal(targets)
    before = losses.descent(u, t).total
    t[5:] = torch.nan
    assert torch.isfinite(losses.descent(u, t).total).all()
    assert losses.descent(u, t).total != before


def test_gaps_are_part_of_the_memory_that_is_planned():
    def size(**more):
        return TrainingSize(NETWORK, TrainingConfig(), 2, 2, T, 50, torch.device("cpu"),
                            torch.float32, **more).bytes_needed(3)  # fmt: skip

    assert size(has_gaps=True) - size() == 3 * 4 * 2 * T * 50 * 2


# Scores -------------------------------------------------------------------------------------------


def entries(y, t, steps, counts, trial=slice(None)):
    """Return lists of y and t that count, one for each output."""
    return [
        [(y[o, s, b], t[o, s, b]) for s in steps for b in np.arange(t.shape[2])[trial]
         if counts[o, s, b]]
        for o in range(len(t))
    ]  # fmt: skip


def scores_by_hand(pairs):
    errors = [(a - b) ** 2 for own in pairs for a, b in own]
    total = sum((b - np.mean([q for _, q in own])) ** 2 for own in pairs for _, b in own)
    return np.mean(errors), 1 - sum(errors) / total if total > 1e-9 else None


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1), st.sampled_from(["indices", "steps", "trials"]), st.booleans())
def test_scores_are_those_of_what_counts(seed, kind, gaps):
    rng = np.random.default_rng(seed)
    y, t = rng.normal(size=(2, 2, 6, 3))
    counts = np.ones(t.shape, dtype=bool)
    steps, mask = np.arange(6), None
    if kind == "trials":
        mask = rng.random((6, 3)) < 0.5
        mask[2] = True
        counts &= mask
    else:
        mask = rng.random(6) < 0.5
        mask[2] = True
        steps = np.flatnonzero(mask)
        mask = steps if kind == "indices" else mask
    if gaps:
        empty = rng.random(t.shape) < 0.3
        empty[0, 2] = False
        counts &= ~empty
        t = np.where(empty, np.nan, t)
    mse, r2 = scores_by_hand(entries(y, t, steps, counts))
    assert mean_squared_error(y, t, mask) == pytest.approx(mse)
    assert r2_pooled(y, t, mask) == (None if r2 is None else pytest.approx(r2))
    for b in range(3):
        mse, r2 = scores_by_hand(entries(y, t, steps, counts, slice(b, b + 1)))
        assert mean_squared_error_by_trial(y, t, mask)[b] == pytest.approx(mse)
        found = r2_by_trial(y, t, mask)[b]
        assert np.isnan(found) if r2 is None else found == pytest.approx(r2)


class Oracle:
    """A network whose outputs are the targets, and nonsense where there are none."""

    n_inputs, n_outputs = 2, 2
    equation = SimpleNamespace(dt=1.0)

    def __init__(self, task, nonsense):
        self.task, self.nonsense = task, nonsense

    def run(self, u, noise=False):
        self.task.reset()
        targets = self.task.get_batch()[1]
        return None, np.where(np.isnan(targets), self.nonsense, targets)


@pytest.mark.parametrize("cls", [Lengths, padded(0.0, 7.0, PER_TRIAL)])
@pytest.mark.parametrize("nonsense", [-1e9, np.nan])
def test_what_a_network_does_after_a_trials_end_has_no_score(cls, nonsense):
    task = cls(seed=0)
    scores = PerformanceAnalyzer(Oracle(task, nonsense), task).validate()
    assert (scores.mse, scores.r2_pooled, scores.r2_trial_mean) == (0.0, 1.0, 1.0)
    assert scores.accuracy == 1.0  # read at each trial's own last step
    assert scores.n_choice_trials == scores.n_r2_trials == len(LENGTHS)
    assert [c.mse for c in scores.by_condition] == [0.0] * len(LENGTHS)


def test_a_scoring_function_sees_the_steps_that_count():
    task = Lengths(seed=0)
    inputs, targets, _ = task.get_batch()
    targets[1, 0] = np.nan
    seen = []

    def score(predicted, target):
        seen.append((predicted.shape, target.copy()))
        return float(len(target[0]))

    network = PerformanceAnalyzer(net(trained(task)[0]), Lengths(seed=0))
    assert network.get_validation_score(score, inputs, targets) == np.mean(LENGTHS)
    for b, (shape, target) in enumerate(seen):
        assert shape == (2, LENGTHS[b])
        assert np.array_equal(target, targets[:, : LENGTHS[b], b], equal_nan=True)
    with pytest.raises(ParameterError, match="give booleans"):
        network.get_validation_score(score, inputs, targets, mask=PER_TRIAL[:, :2])


def test_choices_of_decisions_are_read_at_each_trials_end():
    class Early(CDDM):
        def generate_trials(self, conditions):
            inputs, targets, conditions = super().generate_trials(conditions)
            targets[:, 25:, ::2] = np.nan
            return inputs, targets, conditions

    class Turning(Oracle):
        n_inputs, n_outputs = 6, 2

        def run(self, u, noise=False):
            coherence = (u[2] - u[3]) * u[0] + (u[4] - u[5]) * u[1]
            y = np.stack([coherence, -coherence])
            y[:, 25:] *= -1
            return None, y

    task = Early(n_steps=30, stim_on=5, dec_on=14, coherences=[-1.0, 0.5, 1.0], seed=0)
    right = get_psychometrics(Turning(task, 0.0), task, n_repeats=1).fraction_right.ravel()
    assert (right[::2] == 1.0).all()
    assert (right[1::2] == 0.0).all()
    columns = np.ones((30, 18), dtype=bool)
    masked = type("Masked", (Early,), {"mask": property(lambda self: columns)})
    task = masked(n_steps=30, stim_on=5, dec_on=14, coherences=[-1.0, 0.5, 1.0], seed=0)
    with pytest.raises(ParameterError, match="the grid has others"):
        get_psychometrics(Turning(task, 0.0), task, n_repeats=1)


@pytest.mark.parametrize("cls", [Lengths, padded(0.0, 7.0, PER_TRIAL)])
def test_labelled_trials_say_what_counts_in_each(cls):
    task = cls(seed=0)
    rnn = net(trained(task)[0])
    trials = get_trials(rnn, task, n_repeats=2)
    assert trials.counts.dims == ("trial", "time")
    assert np.array_equal(trials.counts, np.tile(PER_TRIAL, 2).T)
    ends = [trials.outputs.values[b, n - 1, 0] for b, n in enumerate(2 * LENGTHS)]
    assert trials.choice.values.tolist() == np.sign(ends).tolist()
    some = get_trials(rnn, task, conditions={"length": 7})
    assert np.array_equal(some.counts, PER_TRIAL.T[1:2])
    made = [{"length": 7, "noise": 3}]
    if cls is Lengths:
        assert get_trials(rnn, task, conditions=made).counts.values.sum() == 7
    else:
        with pytest.raises(ParameterError, match=r"conditions = .*let the task put NaN"):
            get_trials(rnn, task, conditions=made)


# Pictures -----------------------------------------------------------------------------------------


def grey(axes):
    spans = [p.get_extents().transformed(axes.transData.inverted()) for p in axes.patches]
    return sorted((round(s.x0, 6), round(s.x1, 6)) for s in spans)


def test_targets_end_where_they_end_and_the_rest_is_grey():
    task = Lengths(seed=0)
    targets = task.get_batch()[1]
    targets[:, 2:4, 1] = np.nan
    figure = plot_trials(np.zeros_like(targets), targets, dt=2.0)
    for b, axes in enumerate(figure.axes[: len(LENGTHS)]):
        dashed = [line for line in axes.lines if line.get_linestyle() == "--"]
        solid = [line for line in axes.lines if line.get_linestyle() == "-"]
        assert np.array_equal(dashed[0].get_ydata(), targets[0, :, b], equal_nan=True)
        assert len(solid[0].get_ydata()) == T  # what the network does there is shown
        after = [(2 * LENGTHS[b] - 1, 2 * T - 1)] if LENGTHS[b] < T else []
        assert grey(axes) == [(3, 7)] * (b == 1) + after
    assert "does not count" in [text.get_text() for text in figure.legends[0].get_texts()]


@pytest.mark.parametrize("cls", [Lengths, padded(0.0, 3.0, PER_TRIAL)])
def test_pictures_of_a_task_show_what_counts(cls):
    figure = plot_task(cls(seed=0), trials=[0, 2])
    for axes, length in zip(figure.axes, 2 * [4, 12], strict=True):
        n_grey = sum(not hasattr(p, "get_data") for p in axes.patches)
        assert n_grey == T - length
    assert len(plot_task(cls(seed=0), n_trials=3).axes) == 6
    analyzer = PerformanceAnalyzer(net(trained(cls(seed=0))[0]), cls(seed=0))
    for axes in analyzer.plot_trials(n_trials=3).axes:
        length = int(axes.get_title().split("length ")[1].split(",")[0])
        assert grey(axes) == ([(length - 0.5, T - 0.5)] if length < T else [])


def test_a_common_mask_is_grey_in_all_trials():
    task = padded(0.0, 1.0, np.arange(3, T))(seed=0)
    figure = PerformanceAnalyzer(net(trained(task)[0]), task).plot_trials()
    assert [grey(axes) for axes in figure.axes[:4]] == [[(-0.5, 2.5)]] * 4
