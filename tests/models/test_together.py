"""Cohorts that are trained together: each as if it were trained alone, whatever befalls others."""

from __future__ import annotations

import io
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from models import (
    CohortSettings,
    NetworkConfig,
    TrainingConfig,
    TrainingStopped,
    networks_together,
    train_cohort,
    train_together,
)
from models.training import division, together, trainer
from models.training.joint import CohortTraining, JointTrainer
from models.training.memory import MemoryPlan
from tasks_lib import NBitFlipFlop, ParameterError
from tests.models.strategies import any_network
from tests.models.test_checkpoints import Memory
from tests.models.test_sweep import NETWORK, assert_same, own_network, own_training, shared_training

PENALTIES = {"metabolic": {"weight": 0.1}, "fr_magnitude": {"weight": 0.2}}
OWN = (
    {"network": {"sigma_rec": 0.1}, "training": {"lr": 0.01}, "seeds": [3]},
    {"network": {"density": 0.5}, "training": {"penalties": PENALTIES}, "seeds": [3, 4]},
    {
        "network": {"sigma_out": 0.2},
        "training": {"lr": 0.05, "penalties": {"metabolic": {"weight": 0.3}}},
        "seeds": [9],
    },
)


def flip_flop(seed, task=NBitFlipFlop, **more):
    return task(**{"n_steps": 13, "n_bits": 2, "pulse": 2, "mu": 3, "batch_size": 11, **more},
                seed=seed)  # fmt: skip


def cohorts(own=OWN, stores=None, network=NETWORK, task=flip_flop, unwanted=None, **shared):
    """Return the settings of cohorts that differ."""
    return [
        CohortSettings(
            task=task,
            network=replace(network, **one["network"]),
            training=TrainingConfig(**{"max_iter": 7, **shared, **one["training"]}),
            seeds=one["seeds"],
            checkpoints=None if stores is None else stores[i],
            is_unwanted=(unwanted or {}).get(i, lambda: False),
        )
        for i, one in enumerate(own)
    ]


def alone(cohort: CohortSettings, **options):
    named = {k: v for k, v in vars(cohort).items() if k != "is_unwanted"}
    return train_cohort(**named, device="cpu", **options).networks


def without_stores(settings: list[CohortSettings]):
    return [replace(cohort, checkpoints=None) for cohort in settings]


def train(settings: list[CohortSettings], **options):
    found = {}
    for i, result in train_together(settings, device="cpu", **options):
        assert i not in found
        found[i] = result
    return [found[i] for i in range(len(settings))]


def assert_as_alone(results, settings):
    for result, cohort in zip(results, without_stores(settings), strict=True):
        for one, other in zip(result.networks, alone(cohort), strict=True):
            assert_same(one, other)


def after(iterations: int) -> Callable[[], bool]:
    left = iter(range(iterations - 1))
    return lambda: next(left, None) is None


@pytest.mark.parametrize(
    "shared",
    [
        {},
        {"same_batch": False, "monitor": True},
        {"task_safe_gradients": True, "anneal_noise": True},
        {"dropout_rate": 0.3, "dropout_sampling": "participation"},
        {"trace_interval": 2, "snapshots": 3},
        {"validation_interval": 2, "patience": 1, "max_iter": 12},
    ],
)
def test_bits_as_alone(shared):
    # Those that may stop early are trained one by one, unless they are of several cohorts.
    own = [{**one, "seeds": one["seeds"][: 1 if "patience" in shared else 2]} for one in OWN]
    made = cohorts(own, **shared)
    results = train(made)
    assert_as_alone(results, made)
    assert [r.n_together for r in results] == [3, 3, 3]


TRACED = {"same_batch": False, "monitor": True, "trace_interval": 4, "snapshots": 3}


@pytest.mark.parametrize("shared", [{}, TRACED])
def test_bits_as_alone_where_iterations_are_not_waited_for(shared, monkeypatch):
    """As on a GPU, which does many between two looks, but none beyond where another one joins."""
    stores = [Memory() for _ in OWN]
    made = cohorts(stores=stores, max_iter=30, **shared)
    expected = [alone(cohort) for cohort in without_stores(made)]
    monkeypatch.setattr(trainer, "runs_ahead", lambda device: True)
    monkeypatch.setattr(trainer, "graphs_for", lambda rnn, memory: None)
    monkeypatch.setattr(trainer, "SECONDS_AHEAD", 1e9)
    monkeypatch.setattr(trainer, "MOST_AT_ONCE", 6)
    looks, go_on = [], together.JointTrainer.go_on

    def noted(self, *args):
        before = self.iteration
        loss = go_on(self, *args)
        looks.append((len(self.trainings), self.iteration - before))
        return loss

    monkeypatch.setattr(together.JointTrainer, "go_on", noted)
    with pytest.raises(TrainingStopped):
        train(made[1:2], stop=after(2))
    at = int(read(next(v for n, v in stores[1].contents.items() if n.endswith("npz")))["iteration"])
    assert at == (3 if "snapshots" in shared else 7)  # weights are kept after 3
    looks.clear()
    results = train(made)
    for result, wanted in zip(results, expected, strict=True):
        for one, other in zip(result.networks, wanted, strict=True):
            assert_same(one, other)
    assert {n for n, _ in looks} == {2, 3}
    assert sum(steps for n, steps in looks if n == 2) == at
    assert len(looks) < (20 if "snapshots" in shared else 10)


@pytest.mark.slow
@settings(max_examples=40, deadline=None)
@given(
    network=any_network,
    shared=shared_training,
    own=st.lists(st.tuples(own_network, own_training), min_size=2, max_size=4),
    data=st.data(),
)
def test_bits_as_alone_of_any(network, shared, own, data):
    """Stopped at any iteration, and gone on with alone, too."""
    if "validation_interval" not in shared:
        shared.pop("patience", None)
    seeds = st.lists(st.integers(0, 99), min_size=1, max_size=1 if "patience" in shared else 2)
    given = [{"network": n, "training": t, "seeds": data.draw(seeds)} for n, t in own]
    stores = [Memory() for _ in own]
    made = cohorts(given, stores, replace(network, n_units=7), **shared)
    expected = [alone(cohort) for cohort in without_stores(made)]
    stop = data.draw(st.integers(1, shared["max_iter"]))
    try:
        results = train(made, stop=after(stop))
    except TrainingStopped:
        for i in data.draw(st.sets(st.integers(0, len(made) - 1))):
            for one, other in zip(alone(made[i]), expected[i], strict=True):
                assert_same(one, other)
        results = train(made)
    for result, wanted in zip(results, expected, strict=True):
        for one, other in zip(result.networks, wanted, strict=True):
            assert_same(one, other)


@pytest.mark.parametrize("shared", [{"same_batch": True}, TRACED])
def test_states_as_alone(shared):
    """Each cohort keeps the very state that it would keep alone, but for the time that it took."""
    stores, others = [Memory() for _ in OWN], [Memory() for _ in OWN]
    with pytest.raises(TrainingStopped):
        train(cohorts(stores=stores, **shared), stop=after(5))
    for cohort in cohorts(stores=others, **shared):
        with pytest.raises(TrainingStopped):
            alone(cohort, stop=after(5))
    for ours, theirs in zip(stores, others, strict=True):
        assert ours.contents.keys() == theirs.contents.keys()
        for name in ours.contents:
            if name.endswith(".json"):
                assert ours.contents[name] == theirs.contents[name]
                continue
            one, other = (read(store.contents[name]) for store in (ours, theirs))
            assert one.keys() == other.keys()
            for key in one:
                if key != "header":
                    assert one[key].tobytes() == other[key].tobytes(), key


def read(content: bytes):
    with np.load(io.BytesIO(content)) as file:
        return {name: file[name] for name in file.files}


def test_cut_and_gone_on_with_in_any_grouping():
    """Two of three, one alone, then all: those that have got further are joined by the others."""
    stores = [Memory() for _ in OWN]
    every = cohorts(stores=stores, same_batch=False, max_iter=14)
    with pytest.raises(TrainingStopped):
        train(every, stop=after(3))
    with pytest.raises(TrainingStopped):
        train([every[2], every[0]], stop=after(4))
    with pytest.raises(TrainingStopped):
        alone(every[1], stop=after(7))
    results = train(every)
    assert_as_alone(results, every)
    assert [r.n_together for r in results] == [3, 3, 3]
    assert {int(read(s.contents[n])["iteration"]) for s in stores for n in s.contents
            if n.endswith(".npz")} == {14}  # fmt: skip


def test_killed_between_two_states(monkeypatch):
    """Some have written their state of iteration 4, others only that of 2."""
    stores = [Memory() for _ in OWN]
    every = cohorts(stores=stores)
    writes = iter(range(100))

    class Killed(BaseException):
        pass

    def write(self, name, content):
        if name.endswith(".npz") and next(writes) == 4:
            raise Killed
        self.contents[name] = content

    with monkeypatch.context() as patch:
        patch.setattr(Memory, "write", write)
        with pytest.raises(Killed):
            train(every, checkpoint_every=2)
    at = [int(read(s.contents[n])["iteration"]) for s in stores for n in s.contents
          if n.endswith(".npz")]  # fmt: skip
    assert at == [4, 2, 2]
    assert_as_alone(train(every), every)


@pytest.mark.parametrize("fails_at", [0, 1, 4])
@pytest.mark.parametrize("kind", [ValueError, SystemExit])
def test_one_that_fails_leaves_the_others_alone(fails_at, kind, monkeypatch):
    def fail(self, conditions):
        if self.n_bits == 2 and self.seed == seeds[1]:
            drawn[0] += 1
            if drawn[0] > fails_at + 1:
                raise kind("no trials")
        return generate(self, conditions)

    generate, drawn, seeds = NBitFlipFlop.generate_trials, [0], {}
    made = cohorts(same_batch=False)
    expected = [alone(made[i]) for i in (0, 2)]
    seeds[1] = division.task_of(lambda seed: flip_flop(seed), 4).seed
    monkeypatch.setattr(NBitFlipFlop, "generate_trials", fail)
    results = train(made)
    assert results[1] is None
    for i, wanted in zip((0, 2), expected, strict=True):
        assert_same(results[i].networks[0], wanted[0])


def test_where_they_fail_together_alone(monkeypatch):
    """Each is trained by itself: nobody is blamed."""
    made = cohorts()
    go_on, n_failed = together.JointTrainer.go_on, [0]

    def fail(self, *args):
        if len(self.trainings) > 1 and self.iteration >= 3:
            n_failed[0] += 1
            raise MemoryError("not for so many")
        return go_on(self, *args)

    monkeypatch.setattr(together.JointTrainer, "go_on", fail)
    results = train(made)
    assert_as_alone(results, made)
    assert n_failed == [1]  # it is not tried again and again


def test_what_was_given_back_stays_as_it_is():
    """Also where a network diverges before the next state is written, and then all fail."""
    own = [OWN[0], {"network": {}, "training": {"lr": 1e8}, "seeds": [1]}]
    trainings = [
        CohortTraining.begun(cohort, torch.device("cpu"), torch.float32)
        for cohort in cohorts(own, max_iter=30)
    ]
    joint = JointTrainer(trainings)
    joint.go_on(30)
    joint.give_back()
    before = [t.trainer.state_bytes() for t in trainings]
    while joint.record.active.all():
        joint.go_on(30)
    assert [t.trainer.state_bytes() for t in trainings] == before


@pytest.mark.parametrize("leaves", [0, 1])
def test_one_that_is_not_wanted_any_more(leaves):
    asked = iter(range(100))
    made = cohorts(unwanted={leaves: lambda: next(asked) >= 3})
    results = train(made)
    assert results[leaves] is None
    for i in {0, 1, 2} - {leaves}:
        assert_same(results[i].networks[0], alone(made[i])[0])


def test_one_that_diverges():
    own = [*OWN, {"network": {}, "training": {"lr": 1e8}, "seeds": [1]}]
    made = cohorts(own, max_iter=12)
    results = train(made)
    assert_as_alone(results, made)
    assert [n.status for r in results for n in r.networks].count("diverged") == 1


def test_those_that_are_over_come_first():
    """A cohort that has reached its score is not kept waiting for the others."""
    own = [dict(OWN[0]), {"network": {}, "training": {"lr": 0.05}, "seeds": [5]}]
    shared = {"validation_interval": 1, "stop_score": -5.0, "max_iter": 200}
    made = cohorts(own, **shared)
    steps = []
    order = []
    for i, result in train_together(made, "cpu", lambda step, n, loss: steps.append(step)):
        order.append((i, len(steps)))
        assert_same(result.networks[0], alone(made[i])[0])
    assert sorted(i for i, _ in order) == [0, 1]


def test_in_several_batches_where_memory_is_short(monkeypatch):
    made = cohorts()
    monkeypatch.setattr(together, "plan_memory", lambda size, n: MemoryPlan(min(n, 3)))
    results = train(made)
    assert [r.n_together for r in results] == [2, 2, 1]
    assert_as_alone(results, made)


@pytest.mark.parametrize(
    ("network", "training", "task"),
    [
        ({"equation_type": "s"}, {}, {}),
        ({"n_units": 8}, {}, {}),
        ({}, {"max_iter": 8}, {}),
        ({}, {"penalties": {"fr_magnitude": {"weight": 0.1, "args": {"tau": 3.0}}}}, {}),
        ({}, {}, {"batch_size": 12}),
        ({}, {}, {"pulse": 3}),
    ],
)
def test_those_that_cannot_be_one_batch_are_left(network, training, task):
    first, second, third = cohorts(
        [
            {**OWN[1]},
            {"network": network, "training": training, "seeds": [1]},
            {**OWN[2]},
        ]
    )
    second = replace(second, task=partial(flip_flop, **task))
    fits = task == {"pulse": 3}
    results = train([first, second, third])
    assert [r is not None for r in results] == [True, fits, True]
    kept = [0, 1, 2] if fits else [0, 2]
    assert_as_alone([results[i] for i in kept], [[first, second, third][i] for i in kept])


def test_one_that_was_divided_is_left(monkeypatch):
    stores = [Memory() for _ in OWN]
    made = cohorts(stores=stores)
    with monkeypatch.context() as patch:
        patch.setattr(division, "MOST_NETWORKS", 1)
        with pytest.raises(TrainingStopped):
            alone(made[1], stop=after(3))
    results = train(made)
    assert [r is None for r in results] == [False, True, False]
    for one, other in zip(alone(made[1]), alone(without_stores(made)[1]), strict=True):
        assert_same(one, other)


def test_seconds_are_shared():
    """What the cohorts say that they took is together what was waited for, at most."""
    made = cohorts(max_iter=40)
    began = time.perf_counter()
    results = train(made)
    took = time.perf_counter() - began
    assert 0.3 * took < sum(r.seconds for r in results) <= took
    assert results[1].seconds == pytest.approx(2 * results[0].seconds)


def test_progress_and_stop():
    said = []
    made = cohorts(max_iter=10)
    with pytest.raises(TrainingStopped) as stopped:
        train(made, progress=lambda *each: said.append(each[:2]), stop=after(4))
    assert stopped.value.iteration == 4
    assert said == [(i, 10) for i in range(1, 5)]


def test_how_many_pay():
    network = NetworkConfig(n_units=50)
    short, long = partial(flip_flop, n_steps=60), partial(flip_flop, n_steps=1000, mu=20)
    training = TrainingConfig()
    assert networks_together(short, network, training, "cpu") == division.MOST_NETWORKS
    assert networks_together(long, network, training, "cpu") == 1
    forced = networks_together(long, network, training, "cpu", only_where_it_pays=False)
    assert forced == division.MOST_NETWORKS
    stops = TrainingConfig(validation_interval=1, patience=1)
    assert networks_together(short, network, stops, "cpu") == 1


def test_one_task_for_all_is_refused():
    """It would be drawn from by two trainings at once."""
    (cohort, *_) = cohorts()
    with pytest.raises(ParameterError, match="is no function of a seed"):
        train([replace(cohort, task=flip_flop(0))])
