"""Trainings that are asked to stop, and that go on elsewhere from any kind of checkpoints."""

from __future__ import annotations

import pickle
import signal
import sys
import warnings
from itertools import count
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from models import (
    CheckpointFolder,
    CheckpointNotWritten,
    Checkpoints,
    NetworkConfig,
    TrainingConfig,
    TrainingStopped,
    train_cohort,
)
from models.training.checkpoints import LONGEST_PAUSE, TIMES_THE_WRITING, KeptState, Schedule
from models.training.division import DIVISION as DIVISION_OF
from models.training.division import Division
from models.training.state import TrainingState
from tasks_lib import ParameterError
from tests import preloaded
from tests.models.test_training_state import assert_same, damage, flip_flop, make

MAX_ITER = 8
SEEDS = [4, 5, 6]
DIVISION = DIVISION_OF.format(kind="cpu")
NETWORK = NetworkConfig(
    n_units=6, activation="softplus", dale=True, sigma_rec=0.1, sigma_inp=0.1, sigma_out=0.1
)


class Memory:
    """Checkpoints in memory; what was written, in order, beside them."""

    def __init__(self):
        self.contents, self.written = {}, []

    def read(self, name):
        return self.contents.get(name)

    def write(self, name, content):
        assert type(content) is bytes
        self.contents[name] = content
        self.written.append(name)

    @property
    def states(self):
        return [name for name in self.contents if name != DIVISION]


def train(
    store=None, seeds=SEEDS, dtype=torch.float32, stop=None, progress=None, device="cpu", **training
):
    kept = {k: training.pop(k) for k in [*training] if k.startswith("checkpoint_")}
    config = TrainingConfig(**{"max_iter": MAX_ITER, "lr": 0.05, **training})
    return train_cohort(
        flip_flop, NETWORK, config, seeds, device=device, dtype=dtype, checkpoints=store,
        stop=stop, progress=progress, **kept,
    )  # fmt: skip


def after(n):
    """Stop when asked for the nth time, and ever after."""
    asked = count(1)
    return lambda: next(asked) >= n


def in_pieces(pieces, **arguments):
    """Train with a stop after each of so many iterations, then to the end."""
    store, n_stops = Memory(), 0
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for n in pieces:
            try:
                return train(store, stop=after(n), **arguments), n_stops
            except TrainingStopped:
                n_stops += 1
        return train(store, **arguments), n_stops


@pytest.fixture
def two_at_a_time(monkeypatch):
    monkeypatch.setattr("models.training.division.MOST_NETWORKS", 2)


# The same network to the bit -------------------------------------------------------------------


@pytest.mark.slow
@settings(max_examples=15, deadline=None)
@given(
    pieces=st.lists(st.integers(1, MAX_ITER - 1), min_size=1, max_size=5),
    dtype=st.sampled_from([torch.float32, torch.float64]),
    training=st.fixed_dictionaries(
        {},
        optional={
            "same_batch": st.booleans(),
            "validation_interval": st.sampled_from([1, 3]),
            "anneal_noise": st.booleans(),
            "monitor": st.booleans(),
            "dropout_rate": st.just(0.3),
            "dropout_sampling": st.sampled_from(["uniform", "participation"]),
            "penalties": st.just({"metabolic": {"weight": 0.1}}),
        },
    ),
)
def test_stopped_anywhere_and_resumed_is_bit_identical(pieces, dtype, training):
    result, n_stops = in_pieces(pieces, dtype=dtype, **training)
    assert n_stops >= 1
    assert_same(result.networks, train(dtype=dtype, **training).networks)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("pieces", [[1] * 40, [3, 7, 2], [8], [9], [12]])
def test_groups_stopped_in_and_between_them(two_at_a_time, pieces, dtype):
    whole = train(seeds=range(5), dtype=dtype)
    result, n_stops = in_pieces(pieces, seeds=range(5), dtype=dtype, dropout_rate=0.2)
    assert n_stops >= 1
    assert_same(result.networks, train(seeds=range(5), dtype=dtype, dropout_rate=0.2).networks)
    assert whole.networks[0].loss != result.networks[0].loss  # there was dropout


def test_early_stopping_survives_stops():
    arguments = {"validation_interval": 1, "patience": 1, "max_iter": 30, "lr": 0.3}
    whole = train(**arguments)
    assert any(n.stopped_by == "patience" for n in whole.networks)
    for pieces in ([1] * 100, [2, 5, 1, 9], [4] * 30):
        result, n_stops = in_pieces(pieces, **arguments)
        assert n_stops >= 1
        assert_same(result.networks, whole.networks)


def test_another_number_of_threads_takes_over():
    before = torch.get_num_threads()
    store = Memory()
    try:
        torch.set_num_threads(1)
        whole = train(same_batch=False)
        with pytest.raises(TrainingStopped):
            train(store, stop=after(3), same_batch=False)
        torch.set_num_threads(2)
        steps = []
        result = train(store, same_batch=False, progress=lambda step, *rest: steps.append(step))
    finally:
        torch.set_num_threads(before)
    assert steps[0] == 4
    assert_same(result.networks, whole.networks)


def test_a_trainer_goes_on_from_any_checkpoints():
    whole = make().run_training()
    store = Memory()
    with pytest.raises(TrainingStopped) as caught:
        make().run_training(checkpoint=KeptState(store, "one"), stop=after(4))
    assert caught.value.iteration == 4
    trainer, steps = make(), []
    networks = trainer.run_training(lambda step, *rest: steps.append(step), KeptState(store, "one"))
    assert steps[0] == 5
    assert store.written == ["one", "one"]
    assert_same(networks, whole)


def test_the_bytes_are_those_of_the_file(tmp_path):
    trainer = make()
    trainer.save_state(tmp_path / "state.npz")
    content = trainer.state_bytes()
    assert (tmp_path / "state.npz").read_bytes() == content
    with pytest.raises(ParameterError, match="checkpoint = 'a place': is damaged"):
        trainer.load_state_bytes(content[:-9], "a place")


# When it stops ---------------------------------------------------------------------------------


def test_a_stop_says_where_and_writes_once(two_at_a_time):
    store = Memory()
    with pytest.raises(TrainingStopped, match="after iteration 3") as caught:
        train(store, stop=after(3), checkpoint_every=3)
    assert caught.value.iteration == 3
    assert pickle.loads(pickle.dumps(caught.value)).iteration == 3
    (name,) = store.states
    assert store.written == [DIVISION, name]  # just written: not again
    # Asked once more between the parts: the first is finished, of the second there is nothing.
    with pytest.raises(TrainingStopped) as caught:
        train(store, stop=after(MAX_ITER - 3 + 1))
    assert caught.value.iteration == MAX_ITER
    assert store.written == [DIVISION, name, name]
    with pytest.raises(TrainingStopped) as caught:
        train(store, stop=lambda: True)
    assert caught.value.iteration == MAX_ITER + 1
    assert len(store.states) == 2


def test_a_stop_at_the_end_is_none():
    assert_same(train(stop=after(MAX_ITER)).networks, train().networks)


def test_a_stop_without_checkpoints_is_raised():
    with pytest.raises(TrainingStopped) as caught:
        train(stop=after(2))
    assert caught.value.iteration == 2


def test_a_finished_training_is_not_written_again(two_at_a_time):
    store, steps = Memory(), []
    whole = train(store)
    assert len(store.written) == 3  # how they are divided, and two finished states
    again = train(store, progress=lambda *a: steps.append(a), stop=lambda: True)
    assert (steps, len(store.written)) == ([], 3)
    assert again.seconds == whole.seconds
    assert_same(again.networks, whole.networks)


# When it is written ----------------------------------------------------------------------------


@pytest.fixture
def clock(monkeypatch):
    clock = SimpleNamespace(now=1000.0)
    monkeypatch.setattr(
        "models.training.checkpoints.time", SimpleNamespace(monotonic=lambda: clock.now)
    )
    return clock


@pytest.mark.parametrize(
    ("cost", "wanted"), [(0.0, [6, 11, 16, 20]), (0.055, [6, 12, 18, 20]), (0.095, [6, 16, 20])]
)
def test_time_decides_when_a_state_is_written(clock, cost, wanted):
    written, trainer = [], make(max_iter=20)

    class Slow(Memory):
        def write(self, name, content):
            super().write(name, content)
            clock.now += cost
            written.append(trainer.iteration)

    def second(*rest):
        clock.now += 1.0

    checkpoint = KeptState(Slow(), "one", Schedule(seconds=5.0))
    trainer.run_training(second, checkpoint)
    assert written == wanted


@settings(max_examples=50, deadline=None)
@given(st.lists(st.floats(0.0, LONGEST_PAUSE / TIMES_THE_WRITING), min_size=1, max_size=6))
def test_writing_costs_a_hundredth(costs):
    """Of the time until the next writing, as long as that is ten minutes at most."""
    clock = SimpleNamespace(now=0.0)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            "models.training.checkpoints.time", SimpleNamespace(monotonic=lambda: clock.now)
        )
        schedule = Schedule(seconds=60.0)
        for cost in costs:
            paused = clock.now
            while not schedule.is_due(1):
                clock.now += 1000.0
            paused = clock.now - paused
            began, clock.now = clock.now, clock.now + cost
            schedule.written(began)
            assert not schedule.is_due(1)
            clock.now += max(60.0, TIMES_THE_WRITING * cost) * (1 - 1e-6) - 1e-6
            assert not schedule.is_due(1)
            clock.now += 1e-3 * max(60.0, TIMES_THE_WRITING * cost)
            assert schedule.is_due(1)


@pytest.mark.parametrize(
    ("seconds", "took", "pause"), [(60.0, 6.0, 600.0), (60.0, 7200.0, 600.0), (900.0, 60.0, 900.0)]
)
def test_one_slow_writing_does_not_cost_hours(clock, seconds, took, pause):
    schedule = Schedule(seconds=seconds)
    clock.now += took
    schedule.written(clock.now - took)
    clock.now += pause - 0.1
    assert not schedule.is_due(1)
    clock.now += 0.2
    assert schedule.is_due(1)


def test_the_schedule_goes_on_from_group_to_group(two_at_a_time, clock):
    """A writing that took long holds back the next one in the following group too."""

    class Slow(Memory):
        def write(self, name, content):
            super().write(name, content)
            if name != DIVISION:
                clock.now += 1.0

    def second(*rest):
        clock.now += 1.0

    store = Slow()
    train(store, seeds=range(6), progress=second, checkpoint_seconds=5.0)
    assert [store.written.count(name) for name in store.states] == [2, 1, 1]


@pytest.mark.parametrize(
    ("given_", "named"),
    [
        ({"checkpoint_seconds": 0}, "checkpoint_seconds"),
        ({"checkpoint_seconds": -1.0}, "checkpoint_seconds"),
        ({"checkpoint_seconds": float("nan")}, "checkpoint_seconds"),
        ({"checkpoint_seconds": "soon"}, "checkpoint_seconds"),
        ({"checkpoint_every": 0}, "checkpoint_every"),
        ({"checkpoint_every": 1.5}, "checkpoint_every"),
        ({"store": 7}, "checkpoints"),
        ({"store": "no such folder"}, "checkpoints"),
    ],
)
def test_bad_arguments_are_named(given_, named):
    with pytest.raises(ParameterError) as caught:
        train(**given_)
    assert caught.value.field == named


# What goes wrong in the store ------------------------------------------------------------------


@pytest.mark.parametrize("method", ["read", "write"])
@pytest.mark.parametrize("at", [1, 2])
def test_what_a_store_raises_comes_through(method, at):
    class Broken(Memory):
        n_calls = 0

        def called(self, name):
            if name == method:
                self.n_calls += 1
                if self.n_calls == at:
                    raise ConnectionError("the store is away")

        def read(self, name):
            self.called("read")
            return super().read(name)

        def write(self, name, content):
            self.called("write")
            super().write(name, content)

    store = Broken()
    with pytest.raises(ConnectionError, match="the store is away"):
        train(store, checkpoint_every=2)
    assert_same(train(store).networks, train().networks)  # and is back


class Failing(Memory):
    """Checkpoints that fail at these attempts, the first of which is 1."""

    def __init__(self, *failing):
        super().__init__()
        self.failing, self.tried = failing, []

    def write(self, name, content):
        self.tried.append(name)
        if len(self.tried) in self.failing:
            raise CheckpointNotWritten("the store is away")
        super().write(name, content)


@pytest.mark.parametrize("hangs", [0.0, 60.0])
def test_a_failed_write_is_tried_again_after_the_ordinary_time(clock, hangs):
    """Not after 100 times what it took, nor 100 times what the last good one took."""
    trainer, attempts = make(max_iter=40), []

    class Hanging(Failing):
        def write(self, name, content):
            attempts.append(trainer.iteration)
            clock.now += {1: 0.125, 2: hangs, 3: hangs}.get(len(attempts), 0.0)
            super().write(name, content)

    def second(*rest):
        clock.now += 1.0

    kept = KeptState(Hanging(2, 3), "one", Schedule(seconds=5.0))
    trainer.run_training(second, kept)
    assert attempts == [6, 19, 24, 29, 34, 39, 40]
    assert kept.iteration == 40


def test_a_stop_writes_what_failed_in_the_same_iteration():
    store = Failing(1)
    with pytest.raises(TrainingStopped):
        make().run_training(checkpoint=KeptState(store, "one", Schedule(every=4)), stop=after(4))
    assert (store.tried, store.written) == (["one", "one"], ["one"])
    steps = []
    make().run_training(lambda step, *rest: steps.append(step), KeptState(store, "one"))
    assert steps[0] == 5


def test_a_stop_whose_state_is_not_taken_leaves_the_one_before():
    store, steps = Failing(2, 3, 4, 5), []
    for n in (4, 2):
        with pytest.raises(TrainingStopped):
            make().run_training(
                checkpoint=KeptState(store, "one", Schedule(every=2)), stop=after(n)
            )
    make().run_training(lambda step, *rest: steps.append(step), KeptState(store, "one"))
    assert steps[0] == 3


def test_no_state_is_without_the_division_that_it_belongs_to():
    """Otherwise a machine with other memory might divide anew, and start over."""
    store = Failing(1, 2)
    with pytest.raises(TrainingStopped):
        train(store, checkpoint_every=2, stop=after(6))
    assert store.tried == [DIVISION, DIVISION, DIVISION, *store.states]
    assert store.written == [DIVISION, *store.states]


@pytest.mark.parametrize("at", [MAX_ITER + 1, MAX_ITER + 3])
def test_a_finished_batch_is_written_when_the_store_is_back(two_at_a_time, at):
    """Even where the training stops in the next batch, or before it."""
    whole, store = train(seeds=range(6)), Failing(1, 2)
    with pytest.raises(TrainingStopped):
        train(store, seeds=range(6), stop=after(at), checkpoint_every=MAX_ITER)
    assert DIVISION in store.contents
    steps = []
    result = train(store, seeds=range(6), progress=lambda step, *rest: steps.append(step))
    assert steps[0] == at
    assert_same(result.networks, whole.networks)


def test_a_store_that_swallows_its_failures_trains_on():
    class Forgetful(Memory):
        def write(self, name, content):
            if name != DIVISION:
                content = None
            self.contents[name] = content

    store = Forgetful()
    with pytest.raises(TrainingStopped):
        train(store, stop=after(3))
    assert_same(train(store).networks, train().networks)


@pytest.mark.parametrize("kind", ["truncated", "flipped", "empty", "pickle"])
def test_a_damaged_state_in_any_store_starts_over(tmp_path, kind):
    whole, store = train(), Memory()
    with pytest.raises(TrainingStopped):
        train(store, stop=after(5))
    (name,) = store.states
    (tmp_path / "state").write_bytes(store.contents[name])
    damage(tmp_path / "state", kind)
    store.contents[name] = (tmp_path / "state").read_bytes()
    steps = []
    with pytest.warns(UserWarning, match=f"{name}.*starts over"):
        result = train(store, progress=lambda step, *rest: steps.append(step))
    assert steps[0] == 1
    assert_same(result.networks, whole.networks)


DAMAGED = [
    b"",
    b"\xff\xfe",
    b'{"parts": [[0, ',
    b"[]",
    b'{"parts": 3, "trials_at_once": null}',
    b'{"parts": [[0, Infinity]], "trials_at_once": null}',
    b'{"parts": [[0, 3]], "trials_at_once": 0}',
    b'{"parts": [[0, 3]], "trials_at_once": "x"}',
    b'{"parts": [[0, 3]]}',
    b'{"parts": [[0, 3]], "trials_at_once": 5, "sha256": "of another"}',
    b'{"parts": [[0, 3]], "trials_at_once": null, "sha256": null}',
]


@pytest.mark.parametrize("content", DAMAGED)
def test_a_damaged_division_is_made_anew(content):
    store, steps = Memory(), []
    with pytest.raises(TrainingStopped):
        train(store, stop=after(5))
    good = store.contents[DIVISION]
    store.contents[DIVISION] = content
    with pytest.warns(UserWarning, match=f"{DIVISION} is damaged"):
        result = train(store, progress=lambda step, *rest: steps.append(step))
    assert steps[0] == 6  # divided alike, so that the state still fits
    assert store.contents[DIVISION] == good
    assert_same(result.networks, train().networks)


def test_one_flipped_bit_of_a_division_is_found():
    store = Memory()
    with pytest.raises(TrainingStopped):
        train(store, stop=after(5))
    content = store.contents[DIVISION]
    division = Division.from_bytes(content, DIVISION, 3)
    assert division is not None
    for place in range(len(content)):
        for bit in range(8):
            changed = bytes([content[place] ^ (1 << bit)])
            altered = content[:place] + changed + content[place + 1 :]
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                found = Division.from_bytes(altered, DIVISION, 3)
            assert found in (None, division), (place, bit)
    without_hash = b'{"parts": [[0, 3]], "trials_at_once": null}'
    assert Division.from_bytes(without_hash, DIVISION, 3) == division


@pytest.mark.parametrize("parts", [[[0, 2]], [[0, 2], [1, 3]], [[0, 3], [3, 3]], [[0, 10**30]], []])
def test_the_division_of_other_networks_is_not_used(parts):
    store = Memory()
    store.contents[DIVISION] = f'{{"parts": {parts}, "trials_at_once": null}}'.encode()
    assert_same(train(store).networks, train().networks)
    assert store.contents[DIVISION].startswith(b'{"parts": [[0, 3]], "trials_at_once": null, "sha')


def test_one_flipped_bit_of_a_state_is_found_wherever_it_matters():
    """Of a state of a few kilobytes each byte once: it is refused, or it is the same state."""
    arrays = {"weights": np.arange(6.0), "moments": np.ones(2, dtype=np.float32)}
    values = {"iteration": 3}
    content = TrainingState({"seeds": [3]}, values, arrays).to_bytes()
    n_refused = 0
    for place in range(len(content)):
        changed = bytes([content[place] ^ (1 << place % 8)])
        altered = content[:place] + changed + content[place + 1 :]
        try:
            state = TrainingState.from_bytes(altered, {"seeds": [3]}, "here")
            state.check_holds("here", arrays, values)
        except ParameterError:
            n_refused += 1
            continue
        assert state.values == values and state.arrays.keys() == arrays.keys(), place
        assert all(np.array_equal(state.arrays[n], arrays[n]) for n in arrays), place
    assert n_refused > len(content) / 2


def test_a_folder_keeps_contents_by_name(tmp_path):
    folder = CheckpointFolder(str(tmp_path))
    assert isinstance(folder, Checkpoints)
    assert folder.read("state") is None
    folder.write("state", b"one")
    folder.write("state", b"two")
    assert folder.read("state") == b"two"
    assert [path.name for path in tmp_path.iterdir()] == ["state"]
    with pytest.raises(ParameterError, match="is not a folder; create it"):
        CheckpointFolder(tmp_path / "state")


@pytest.mark.skipif(sys.platform == "win32", reason="a kill of POSIX")
def test_a_kill_while_a_state_is_written_leaves_the_old_one(tmp_path):
    with pytest.raises(TrainingStopped):
        train(tmp_path, stop=after(3))
    (path,) = tmp_path.glob("networks_*.npz")
    old = path.read_bytes()
    program = """
import os, signal, sys
from models.machine.atomic_file import write_atomically

def half(file):
    file.write(b"half")
    file.flush()
    os.kill(os.getpid(), signal.SIGKILL)

write_atomically(sys.argv[1], half)
"""
    killed = preloaded.run([sys.executable, "-c", program, str(path)], timeout=300)
    assert killed.returncode == -signal.SIGKILL
    assert path.read_bytes() == old
    steps = []
    result = train(tmp_path, progress=lambda step, *rest: steps.append(step))
    assert steps[0] == 4
    assert_same(result.networks, train().networks)


# Another kind of device -------------------------------------------------------------------------


@pytest.fixture
def work_as(monkeypatch):
    """Have trainings on the CPU say that they run on another kind of device.

    What that kind would compute is not shown by this, only what is read and written there.
    """

    def work(kind):
        for module in ("training.cohort", "training.state"):
            monkeypatch.setattr(f"models.{module}.kind_of", lambda device: kind)

    return work


@pytest.mark.slow
def test_each_kind_of_device_goes_on_from_its_own_state(work_as, monkeypatch):
    """However often they take turns, and each as it divided the networks when it began."""
    store, steps, done = Memory(), [], {"cuda": 0, "cpu": 0}
    arguments = {"seeds": range(5), "progress": lambda step, *rest: steps.append(step)}
    for kind, most in (("cuda", 16), ("cpu", 2), ("cuda", 1), ("cpu", 16)):
        work_as(kind)
        monkeypatch.setattr("models.training.division.MOST_NETWORKS", most)
        before = dict(store.contents)
        steps.clear()
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # of a training that starts over
            with pytest.raises(TrainingStopped):
                train(store, stop=after(3), **arguments)
        assert steps == [done[kind] + 1, done[kind] + 2, done[kind] + 3]
        done[kind] += 3
        changed = {name for name in store.contents if store.contents[name] != before.get(name)}
        assert changed and all(kind in name for name in changed)
    assert_same(train(store, **arguments).networks, train(seeds=range(5)).networks)


def test_two_devices_of_a_kind_share_their_states():
    store, steps = Memory(), []
    with pytest.raises(TrainingStopped):
        train(store, stop=after(3), device="cpu:0")
    result = train(store, progress=lambda step, *rest: steps.append(step))
    assert steps[0] == 4
    assert_same(result.networks, train().networks)
