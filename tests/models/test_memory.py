"""Estimates of memory, and trainings that are divided because they do not fit."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
import torch

from models import NetworkConfig, RNNNumpy, RNNTorch, Trainer, TrainingConfig, train_cohort
from models.fixed_points import SearchSettings, batch
from models.fixed_points.search import Problem
from models.machine.memory import SHARE, _allowed_by_control_group
from models.network.run import RunMemory
from models.training.memory import MemoryPlan, TrainingSize, plan_memory
from tasks_lib import ParameterError

PENALTIES = {"fr_magnitude": {"weight": 0.2}, "rec_weights_sparsity": {"weight": 0.05}}
DENSE = {"clustering": {"weight": 0.1}}


def size_of(n_units=100, n_trials=200, n_steps=300, form="s", **training):
    return TrainingSize(
        network=NetworkConfig(n_units=n_units, equation_type=form, sigma_rec=0.05),
        training=TrainingConfig(**training),
        n_inputs=6,
        n_outputs=2,
        n_steps=n_steps,
        n_trials=n_trials,
        device=torch.device("cpu"),
        dtype=torch.float32,
    )


MEASURE = """
import sys, torch
from models import NetworkConfig, RNNNumpy, RNNTorch, Trainer, TrainingConfig
from tests.models.test_memory import size_of, task_of
form, safe, penalties = sys.argv[1], sys.argv[2] == "safe", eval(sys.argv[3])
def train(size):
    rnn = RNNTorch.from_config(size.network, 6, 2, [0])
    Trainer(rnn, task_of(size), size.training).run_training()
def peak():
    # Not ru_maxrss, which starts at what the parent process had.
    with open("/proc/self/status") as status:
        (line,) = [line for line in status if line.startswith("VmHWM")]
    return int(line.split()[1]) * 1024
settings = dict(form=form, max_iter=2, task_safe_gradients=safe, penalties=penalties)
settings["trace_interval"] = 1
train(size_of(n_units=20, n_trials=8, n_steps=8, **settings))
before = peak()
size = size_of(n_units=200, n_trials=300, n_steps=400, **settings)
train(size)
print((peak() - before) / size.bytes_needed(1))
"""


def task_of(size):
    from tasks_lib import CDDM

    class Batch(CDDM):
        """As many trials as are asked for."""

        def get_batch(self):
            inputs, targets, conditions = super().get_batch()
            return (
                inputs[..., : size.n_trials],
                targets[..., : size.n_trials],
                conditions[: size.n_trials],
            )

    t = size.n_steps
    return Batch(n_steps=t, cue_off=t, stim_on=t // 3, stim_off=t, dec_on=t // 2, dec_off=t, seed=0)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("form", "safe", "penalties"),
    [("h", "plain", {}), ("s", "plain", {}), ("s", "safe", PENALTIES), ("h", "safe", DENSE)],
)
def test_the_estimate_is_what_a_training_takes(form, safe, penalties):
    def measured():
        done = subprocess.run(
            [sys.executable, "-c", MEASURE, form, safe, repr(penalties)],
            capture_output=True, text=True, check=True,
        )  # fmt: skip
        return float(done.stdout)

    # Above 1 / SHARE a training could outgrow its plan; far below, machines would stay empty.
    # A peak has been a quarter higher once in a while, on a machine that did much else: the least
    # of three counts.
    found = [measured()]
    while found[-1] >= 1.0 / SHARE and len(found) < 3:
        found.append(measured())
    assert 0.4 < found[-1] < 1.0 / SHARE, found


def test_networks_are_divided_first():
    size = size_of()
    for k in (1, 3, 10):
        free = int(1.01 * size.bytes_needed(k) / SHARE)
        assert plan_memory(size, 64, free) == MemoryPlan(k)
    assert plan_memory(size, 5, 10**12) == MemoryPlan(5)


def test_trials_are_divided_where_one_network_does_not_fit():
    size = size_of(penalties=PENALTIES, trace_interval=0)
    plan = plan_memory(size, 64, int(0.4 * size.bytes_needed(1) / SHARE))
    assert plan.networks_at_once == 1
    assert plan.trials_at_once == 50
    assert size.bytes_needed(1, 50) < 0.4 * size.bytes_needed(1) < size.bytes_needed(1, 100)


def test_what_cannot_fit_is_refused_with_what_would():
    size = size_of(n_units=500, trace_interval=0)
    with pytest.raises(ParameterError, match=r"n_units = 500.*takes about 257 MiB.*fewer units"):
        plan_memory(size, 1, 2**20)
    dense = size_of(penalties=DENSE)
    wanted = r"leave out the penalty clustering, which need.* batches of at most \d+ trials"
    with pytest.raises(ParameterError, match=wanted):
        plan_memory(dense, 1, int(0.5 * dense.bytes_needed(1) / SHARE))


FIRST_VERSION = ("memory", "memory.limit_in_bytes", "memory.usage_in_bytes", 2**63 - 4096)
SECOND_VERSION = ("", "memory.max", "memory.current", "max")


@pytest.mark.parametrize(
    ("line", "version"),
    [
        ("0::/job/step", SECOND_VERSION),
        ("4:memory:/job/step", FIRST_VERSION),
        ("7:cpu,memory:/job/step", FIRST_VERSION),
        ("4:memory:/not/seen/from/here", FIRST_VERSION),  # as in a container
    ],
)
def test_limits_of_control_groups_count(tmp_path, line, version):
    top, limit, usage, none = version
    root = tmp_path / top
    seen = root if "seen" in line else root / "job"
    for folder, value, used in ((root / "job" / "step", none, 5), (seen, "1000", 300)):
        folder.mkdir(parents=True, exist_ok=True)
        (folder / limit).write_text(f"{value}\n")
        (folder / usage).write_text(str(used))
        (folder / "memory.stat").write_text("anon 7\ninactive_file 40\nslab_reclaimable 10\n")
    own = tmp_path / "own"
    own.write_text(f"3:cpuset:/elsewhere\n{line}\n")
    assert _allowed_by_control_group(tmp_path, own) == [750]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["RLIMIT_AS", "RLIMIT_DATA"])
def test_limits_of_the_process_count(name):
    code = (
        "import resource, torch\n"
        "from models.machine.memory import free_bytes\n"
        "cpu = torch.device('cpu')\n"
        f"before = resource.getrlimit(resource.{name})[1]\n"
        f"resource.setrlimit(resource.{name}, (2**43, before))\n"
        "assert free_bytes(cpu) < 2**43\n"
        "used = 2**43 - min([2**43, *__import__('models.machine.memory', fromlist=['x'])"
        "._allowed_by_resource_limits()])\n"
        f"resource.setrlimit(resource.{name}, (used + 300 * 2**20, before))\n"
        "assert 200 * 2**20 < free_bytes(cpu) < 300.1 * 2**20, free_bytes(cpu)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize("form", ["s", "h"])
def test_a_training_in_slices_of_trials_is_the_same_to_rounding(form):
    """With noise, statistics and task-safe gradients."""
    size = size_of(
        n_units=30, n_trials=37, n_steps=30, form=form, max_iter=6, penalties=PENALTIES,
        task_safe_gradients=True, monitor=True,
    )  # fmt: skip

    def train(trials_at_once):
        rnn = RNNTorch.from_config(size.network, 6, 2, [0, 1], dtype=torch.float64)
        trainer = Trainer(rnn, task_of(size), size.training, trials_at_once)
        return trainer.run_training()

    for whole, sliced in zip(train(None), train(10), strict=True):
        assert np.allclose(whole.loss_curve, sliced.loss_curve, rtol=1e-5)
        assert np.allclose(whole.weights["W_rec"], sliced.weights["W_rec"], atol=1e-8)


def test_penalties_on_trajectories_are_refused_in_slices():
    size = size_of(n_units=10, n_trials=9, n_steps=30, penalties=DENSE)
    rnn = RNNTorch.from_config(size.network, 6, 2)
    with pytest.raises(ParameterError, match=r"trials_at_once = 4: the penalty clustering need"):
        Trainer(rnn, task_of(size), size.training, trials_at_once=4)


def test_a_penalty_that_did_not_name_trajectories_cannot_have_them():
    rnn = RNNTorch.from_config(NetworkConfig(n_units=4), 2, 1)
    run = rnn.run(torch.ones(5, 9, 2), memory=RunMemory(trials_at_once=4))
    with pytest.raises(ParameterError, match="trajectories were not kept"):
        _ = run.states


def test_a_cohort_that_does_not_fit_is_divided_by_itself(monkeypatch):
    size = size_of(n_units=12, n_trials=20, n_steps=30, max_iter=3)
    task = task_of(size)

    def train(free):
        monkeypatch.setattr("models.training.memory.free_bytes", lambda device: free)
        return train_cohort(task, size.network, size.training, range(5), device="cpu")

    made = []
    monkeypatch.setattr(
        "models.training.cohort.Trainer",
        lambda rnn, *args: made.append((rnn.n_networks, args[-1])) or Trainer(rnn, *args),
    )
    whole = train(10**12)
    assert made == [(5, None)]
    made.clear()
    divided = train(int(2.01 * size.bytes_needed(1) / SHARE))
    assert made == [(2, None), (2, None), (1, None)]
    for one, other in zip(whole.networks, divided.networks, strict=True):
        assert np.array_equal(one.loss_curve, other.loss_curve)
    made.clear()
    train(int(1.01 * size.bytes_needed(1, 10) / SHARE))
    assert {n for n, _ in made} == {1}
    assert made[0][1] == 10


def test_a_cut_training_keeps_its_division(tmp_path, monkeypatch):
    """With less memory free than when it began."""
    size = size_of(n_units=12, n_trials=20, n_steps=30, max_iter=4)

    def train(free, folder, progress=None):
        monkeypatch.setattr("models.training.memory.free_bytes", lambda device: free)
        return train_cohort(
            task_of(size), size.network, size.training, range(4), device="cpu",
            checkpoints=folder, checkpoint_every=1, progress=progress,
        ).networks  # fmt: skip

    class Cut(Exception):
        pass

    def cut(step, n_steps, loss):
        if step == 2:
            raise Cut

    whole = train(10**12, None)
    with pytest.raises(Cut):
        train(10**12, tmp_path, cut)
    steps = []
    resumed = train(
        int(2.01 * size.bytes_needed(1) / SHARE), tmp_path, lambda step, *rest: steps.append(step)
    )
    assert steps == [3, 4]
    for one, other in zip(whole, resumed, strict=True):
        assert np.array_equal(one.loss_curve, other.loss_curve)


def test_dropout_that_follows_no_unit_goes_with_slices():
    size = size_of(n_units=10, n_trials=9, n_steps=30, max_iter=2, dropout_rate=0.2)
    rnn = RNNTorch.from_config(size.network, 6, 2)
    (network,) = Trainer(rnn, task_of(size), size.training, trials_at_once=4).run_training()
    assert network.status == "finished"


def some_search(n_units=40):
    rng = np.random.default_rng(0)
    rnn = RNNNumpy(
        W_rec=1.5 * rng.standard_normal((n_units, n_units)) / n_units**0.5,
        W_inp=np.zeros((n_units, 1)),
        W_out=np.ones((1, n_units)),
        activation="tanh",
    )
    settings = SearchSettings(n_starts=16, max_starts=32)
    return Problem(rnn, np.zeros(1), rng.standard_normal((n_units, 20)), settings)


def test_a_search_takes_as_many_threads_as_fit(monkeypatch):
    """Each thread holds stacks of Jacobians; the points are the same."""
    problem, n_threads = some_search(), []
    run = batch.in_parallel

    def noted(call, items, n=None):
        n_threads.append(n)
        return run(call, items, n)

    monkeypatch.setattr(batch, "in_parallel", noted)
    (wide,) = batch.search_all([problem], n_threads=4)
    monkeypatch.setattr(batch, "free_bytes", lambda device: 22e6)  # one takes 13 MB
    monkeypatch.setattr("models.machine.memory.free_bytes", lambda device: 22e6)
    (narrow,) = batch.search_all([problem], n_threads=4)
    assert set(n_threads) == {4, 1}
    assert np.array_equal(wide.points, narrow.points)


def test_a_search_that_cannot_fit_says_what_it_needs(monkeypatch):
    monkeypatch.setattr("models.machine.memory.free_bytes", lambda device: 2**30)
    wanted = r"n_units = 11000: a search for fixed points takes about 10\.8 GiB.*13\.5 GiB free"
    with pytest.raises(ParameterError, match=wanted):
        batch.threads_that_fit(11_000, 8)
