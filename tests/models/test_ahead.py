"""Iterations that are not waited for, and their graphs: the same bits as one by one.

On a CPU, with a stand-in for CUDA graphs (`tests.models.recorded_graphs`).
"""

from __future__ import annotations

import warnings
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from models import NetworkConfig, RNNTorch, Trainer, TrainingConfig, penalties
from models.engine.backends import registry
from models.network.by_network import orthonormal_rows, reflected_rows
from models.training import captured, trainer
from models.training.checkpoints import TrainingStopped
from tasks_lib import NBitFlipFlop, ParameterError
from tests.models.recorded_graphs import RecordedGraphs, WaitsCounted
from tests.models.test_losses import CHARGED
from tests.models.test_sweep import assert_same

NAMES = tuple(n for n in penalties.names() if n not in ("task", "eff_dim_tail_energy"))
NOISY = NetworkConfig(
    n_units=8, tau=2.0, sigma_rec=0.1, sigma_inp=0.1, sigma_out=0.1, dale=True, bias_max=0.2
)
TRAININGS = {
    "bare": {},
    "fresh batches": {"same_batch": False, "anneal_noise": True},
    "monitor": {"monitor": True, "penalties": ("metabolic", "clustering", "channel_overlap")},
    "task-safe": {"task_safe_gradients": True, "penalties": ("fr_magnitude", "h_inequality")},
    "mute": {"dropout_rate": 0.3, "penalties": ("metabolic",)},
    "dead": {
        "dropout_rate": 0.3,
        "dropout_kind": "dead",
        "dropout_sampling": "participation",
        "penalties": ("metabolic",),
    },
    "diverges": {"lr": 1e8, "penalties": ("metabolic",), "monitor": True},
    "stops": {"validation_interval": 3, "patience": 1},
    "traced": {"trace_interval": 3, "snapshots": 4, "same_batch": False},
    "clipped": {"weight_decay": 0.01, "max_grad_norm": 0.01},
}
kinds = pytest.mark.parametrize("kind", TRAININGS)


def training(kind, max_iter=20, **more):
    values = dict(TRAININGS[kind])
    names = values.pop("penalties", ())
    values["penalties"] = {n: {"weight": 0.1, "args": CHARGED.get(n, {})} for n in names}
    return TrainingConfig(max_iter=max_iter, **{**values, **more})


def flip_flop(seed=0):
    return NBitFlipFlop(n_steps=13, n_bits=2, pulse=2, mu=3, batch_size=5, seed=seed)


def trainer_of(config, network=NOISY, k=3, task=None):
    rnn = RNNTorch.from_config(network, 2, 2, seed=list(range(k)), dtype=torch.float32)
    return Trainer(rnn, task or [flip_flop(i) for i in range(k)], config)


@pytest.fixture
def ahead(monkeypatch):
    """Let trainings on a CPU run ahead; a call gives them graphs."""
    kept = []

    def begin(graphs=None):
        monkeypatch.setattr(trainer, "runs_ahead", lambda device: True)
        monkeypatch.setattr(trainer, "graphs_for", lambda rnn, memory: graphs)
        monkeypatch.setattr(trainer, "SECONDS_AHEAD", 1e9)
        monkeypatch.setattr(captured, "_TOLD", set())
        kept.append(graphs)

    return begin


@pytest.fixture
def plain(monkeypatch):
    """Take the back end whose operations are torch's, and no passes."""
    monkeypatch.setattr("models.engine.passes._compiled", None)
    monkeypatch.setattr(registry, "_BACK_ENDS", [registry.PLAIN])
    monkeypatch.setattr(registry, "WITHOUT_COMPILED", None)


def assert_all_same(ours, theirs):
    for a, b in zip(ours, theirs, strict=True):
        assert_same(a, b)


@kinds
def test_iterations_ahead_are_those_one_by_one(ahead, kind):
    one_by_one = trainer_of(training(kind)).run_training()
    ahead()
    running = trainer_of(training(kind))
    looks = []
    run = running.ahead.run
    running.ahead.run = lambda first, n, active: looks.append(n) or run(first, n, active)
    assert_all_same(running.run_training(), one_by_one)
    assert max(looks) >= (3 if kind in ("stops", "traced") else 4)
    if kind == "diverges":
        assert {n.status for n in one_by_one} == {"diverged"}


@kinds
def test_a_replayed_iteration_is_the_iteration(ahead, plain, kind):
    one_by_one = trainer_of(training(kind)).run_training()
    graphs = RecordedGraphs()
    ahead(graphs)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert_all_same(trainer_of(training(kind)).run_training(), one_by_one)
    assert graphs.n_warm == captured.WARM_UP
    assert graphs.n_captures == 1
    assert graphs.n_replays >= 1


@settings(max_examples=12, deadline=None)
@given(names=st.lists(st.sampled_from(NAMES), max_size=4, unique=True), monitor=st.booleans(),
       task_safe=st.booleans(), same_batch=st.booleans(), form=st.sampled_from(["s", "h"]),
       dale=st.booleans(), dead=st.booleans())  # fmt: skip
def test_nothing_in_an_iteration_waits(names, monitor, task_safe, same_batch, form, dale, dead):
    """With vmap, as on a GPU: a look costs one wait, however many iterations."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(trainer, "runs_ahead", lambda device: True)
        patch.setattr("models.engine.passes._compiled", None)
        patch.setattr(registry, "_BACK_ENDS", [registry.PLAIN])
        patch.setattr(registry, "WITHOUT_COMPILED", None)
        patch.setattr("models.network.by_network.torch.linalg.qr", None)
        patch.setattr("models.network.noise_draws.orthonormal_rows", reflected_rows)
        config = training(
            "bare", monitor=monitor, task_safe_gradients=task_safe, same_batch=same_batch,
            dropout_rate=0.3 * dead, dropout_kind="dead",
            penalties={n: {"weight": 0.1, "args": CHARGED.get(n, {})} for n in names},
        )  # fmt: skip
        own = trainer_of(config, replace(NOISY, equation_type=form, dale=dale))
        own.losses.terms.through_autograd.at_once = True
        own.ahead.reads_memory = True
        own.advance(2)
        own.ahead._take_batch(own.batches.next())
        with WaitsCounted() as counted, torch.no_grad():
            own.ahead.iteration.run_plainly()
    assert counted.n_operations > 100
    assert counted.found == []


def asks_for_numbers(context):
    """Be a penalty that the host must see."""
    return context.W_rec.square().sum() * float(context.states.detach().abs().max())


def test_a_penalty_that_needs_the_host_runs_outside(ahead, plain):
    spec = {f"{__name__}:asks_for_numbers": {"weight": 0.1}, "metabolic": {"weight": 0.1}}
    config = training("bare", penalties=spec)
    one_by_one = trainer_of(config).run_training()
    graphs = RecordedGraphs()
    ahead(graphs)
    with pytest.warns(UserWarning, match="asks_for_numbers.* run outside of it") as caught:
        assert_all_same(trainer_of(config).run_training(), one_by_one)
    assert len(caught) == 1
    assert graphs.n_captures == 2  # before and after it
    assert graphs.n_replays == 2 * (20 - captured.WARM_UP)


class Refusing(RecordedGraphs):
    """Refuses every capture."""

    def capture(self, function):
        raise RuntimeError("this driver captures nothing\nat all")


def test_where_nothing_can_be_captured_iterations_are_launched_one_by_one(ahead):
    config = training("bare", penalties={"metabolic": {"weight": 0.1}})
    one_by_one = trainer_of(config).run_training()
    ahead(Refusing())
    with pytest.warns(UserWarning, match=r"\(this driver captures nothing\).*kernel by kernel"):
        assert_all_same(trainer_of(config).run_training(), one_by_one)


class WithoutMemory(RecordedGraphs):
    def capture(self, function):
        raise torch.OutOfMemoryError("no memory is left")


def test_too_little_memory_is_not_taken_for_a_failed_capture(ahead):
    ahead(WithoutMemory())
    with pytest.raises(torch.OutOfMemoryError):
        trainer_of(training("bare")).run_training()


@pytest.mark.parametrize("kind", ["fresh batches", "mute", "monitor", "stops"])
@pytest.mark.parametrize("graphs", [None, RecordedGraphs])
def test_a_training_goes_on_from_where_another_way_stopped(ahead, plain, tmp_path, kind, graphs):
    config = training(kind, patience=0) if kind == "stops" else training(kind)
    whole = trainer_of(config).run_training()
    state, n_asked = tmp_path / "state.npz", 0

    def stop():
        nonlocal n_asked
        n_asked += 1
        return n_asked == 2

    ahead(graphs and graphs())
    with pytest.raises(TrainingStopped) as stopped:
        trainer_of(config).run_training(checkpoint=state, checkpoint_every=7, stop=stop)
    assert 1 < stopped.value.iteration <= 7
    again = trainer_of(config)
    again.load_state(state)
    assert again.iteration == again.rnn.n_simulations == stopped.value.iteration
    assert_all_same(again.run_training(), whole)


@pytest.mark.parametrize("kind", ["mute", "traced"])
def test_the_state_is_that_of_one_by_one(ahead, tmp_path, kind):
    """A run ahead ends where a state is to be written."""
    states = []
    for way in range(2):
        if way:
            ahead()
        own = trainer_of(training(kind))
        seen = []

        def written(own=own, seen=seen):
            seen.append(own._state())
            return seen[-1].to_bytes()

        own.state_bytes = written
        own.run_training(checkpoint=tmp_path / f"{way}.npz", checkpoint_every=6)
        states.append(seen)
    assert len(states[0]) == 4
    for one, other in zip(*states, strict=True):
        assert one.values["n_simulations"] == other.values["n_simulations"]
        assert one.values["batches"] == other.values["batches"]
        for name, array in one.arrays.items():
            assert np.array_equal(array, other.arrays[name], equal_nan=True), name


def test_progress_is_told_of_every_iteration(ahead):
    told = [[], []]
    for way in range(2):
        if way:
            ahead()
        own = trainer_of(training("diverges", lr=3.0, max_grad_norm=1e9))
        own.run_training(progress=lambda *seen, way=way: told[way].append(seen))
    assert repr(told[0]) == repr(told[1])


def test_the_pace_decides_how_far_to_run_ahead(ahead, monkeypatch):
    ahead()
    own = trainer_of(training("bare", max_iter=1000, validation_interval=30))
    assert own._at_once(None) == 1  # nothing is known yet
    own._pace = 0.25
    monkeypatch.setattr(trainer, "SECONDS_AHEAD", 1.0)
    assert own._at_once(None) == 4
    own._pace = 1e-6
    assert own._at_once(None) == 30
    own._pace = 10.0
    assert own._at_once(None) == 1


class WithoutAnswers(NBitFlipFlop):
    """Asks nothing in the second trial of every batch but the first."""

    def get_batch(self):
        inputs, targets, conditions = super().get_batch()
        self.n_drawn = getattr(self, "n_drawn", 0) + 1
        if self.n_drawn > 2:
            targets = targets.copy()
            targets[:, :, 1] = np.nan
        return inputs, targets, conditions


def test_trials_in_which_nothing_is_asked_are_refused(ahead):
    ahead()
    task = WithoutAnswers(n_steps=13, n_bits=2, pulse=2, mu=3, batch_size=5, seed=0)
    own = trainer_of(training("bare", same_batch=False), task=task)
    with pytest.raises(ParameterError, match="no step counts in this trial"):
        own.run_training()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("shape", [(1, 9), (3, 9), (4, 4), (5, 3)])
def test_reflections_are_the_decomposition_of_a_cpu(dtype, shape):
    g = torch.Generator().manual_seed(0)
    rows = torch.randn(4, *shape, generator=g, dtype=dtype)
    rows[1, -1] = 0
    rows[2, :, 1:] = 0  # what is left to reflect is nothing
    rows[3, 0, 0] = 0
    bound = 50 * torch.finfo(dtype).eps
    ours, theirs = reflected_rows(rows), orthonormal_rows(rows)
    assert torch.allclose(ours, theirs, rtol=0, atol=bound)
    square = ours.transpose(1, 2) @ ours
    assert torch.allclose(square, torch.eye(square.shape[1], dtype=dtype), rtol=0, atol=bound)


def test_reflections_of_rows_that_are_no_more_than_the_others_read_the_same_noise():
    """What a network reads of noise on every unit has the covariance W W^T."""
    g = torch.Generator().manual_seed(0)
    rows = torch.randn(3, 3, 9, generator=g, dtype=torch.float64)
    rows[1, 2] = rows[1, 0] - 2 * rows[1, 1]
    rows[2] = 0
    read = rows @ reflected_rows(rows)
    wanted = rows @ rows.transpose(1, 2)
    assert torch.allclose(read @ read.transpose(1, 2), wanted, rtol=1e-12, atol=1e-12)
