"""A training cut anywhere and resumed ends with the same bits; foreign files are refused."""

from __future__ import annotations

import json
import pickle
import warnings

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from models import Connectivity, NetworkConfig, RNNTorch, Trainer, TrainingConfig, train_cohort
from models.machine.atomic_file import write_atomically
from tasks_lib import NBitFlipFlop, ParameterError

MAX_ITER = 9


class Cut(Exception):
    """The kill."""


def flip_flop(seed=0):
    return NBitFlipFlop(n_steps=12, n_bits=2, pulse=2, mu=3, batch_size=6, seed=seed)


def make(seeds=(3,), equation_type="s", method="clamp", n_units=8, **training):
    network = NetworkConfig(
        n_units=n_units,
        activation="softplus",
        equation_type=equation_type,
        dale=True,
        density=0.8,
        tau=2.0,
        sigma_rec=0.1,
        sigma_inp=0.1,
        sigma_out=0.1,
        bias_min=-0.1,
        bias_max=0.1,
        constraint_method=method,
    )
    tasks = [flip_flop(seed) for seed in seeds]
    rnn = RNNTorch.from_config(network, 2, 2, seed=list(seeds))
    return Trainer(rnn, tasks, TrainingConfig(**{"max_iter": MAX_ITER, "lr": 0.02, **training}))


def assert_same_records(a, b):
    assert [repr(vars(t)) for t in a.traces] == [repr(vars(t)) for t in b.traces]
    assert list(a.snapshots) == list(b.snapshots)
    for iteration, weights in a.snapshots.items():
        for name, array in weights.items():
            assert array.tobytes() == b.snapshots[iteration][name].tobytes(), (iteration, name)


def assert_same(ours, theirs):
    assert len(ours) == len(theirs)
    for a, b in zip(ours, theirs, strict=True):
        for name in ("seed", "status", "iterations", "loss", "r2", "stopped_by"):
            assert repr(getattr(a, name)) == repr(getattr(b, name)), name  # NaN equals NaN
        for name in a.weights:
            assert a.weights[name].tobytes() == b.weights[name].tobytes(), name
        assert a.loss_curve.tobytes() == b.loss_curve.tobytes()
        assert a.score_curve.tobytes() == b.score_curve.tobytes()
        assert_same_records(a, b)


def run_cut(trainer, path, at):
    """Train, write the state after iteration ``at``, and be killed."""

    def kill(iteration, n, loss):
        if iteration == at:
            trainer.save_state(path)
            raise Cut

    if at == 0:
        trainer.save_state(path)
        return
    with pytest.raises(Cut):
        trainer.run_training(kill)


trainings = st.fixed_dictionaries(
    {},
    optional={
        "same_batch": st.booleans(),
        "task_safe_gradients": st.booleans(),
        "anneal_noise": st.booleans(),
        "validation_interval": st.sampled_from([1, 2, 4]),
        "trace_interval": st.sampled_from([1, 2, 4]),
        "snapshots": st.sampled_from([1, 3]),
        "dropout_rate": st.just(0.3),
        "dropout_kind": st.sampled_from(["mute", "dead"]),
        "dropout_sampling": st.sampled_from(["uniform", "participation", "output_weights"]),
        "penalties": st.just({"metabolic": {"weight": 0.1}, "clustering": {"weight": 0.1}}),
    },
)


@pytest.mark.slow
@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    at=st.integers(0, MAX_ITER - 1),
    seeds=st.sampled_from([(3,), (3, 8), (1, 2, 5)]),
    form=st.sampled_from(["s", "h"]),
    method=st.sampled_from(["clamp", "reflect"]),
    training=trainings,
)
def test_cut_anywhere_and_resumed_is_bit_identical(tmp_path, at, seeds, form, method, training):
    whole = make(seeds, form, method, **training).run_training()
    path = tmp_path / "state.npz"
    run_cut(make(seeds, form, method, **training), path, at)
    resumed = make(seeds, form, method, **training)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        networks = resumed.run_training(checkpoint=path)
    assert_same(networks, whole)


@pytest.mark.parametrize("patience", [1, 2])
def test_early_stopping_survives_the_cut(tmp_path, patience):
    arguments = {"validation_interval": 1, "patience": patience, "max_iter": 30, "lr": 0.3}
    seeds = (0, 1, 2)
    whole = make(seeds, **arguments).run_training()
    assert any(n.stopped_by == "patience" for n in whole)
    ends = sorted(len(n.loss_curve) for n in whole)
    for at in range(1, ends[-1]):
        run_cut(make(seeds, **arguments), tmp_path / f"{at}.npz", at)
        assert_same(make(seeds, **arguments).run_training(checkpoint=tmp_path / f"{at}.npz"), whole)


def test_divergence_survives_the_cut(tmp_path):
    def diverging():
        trainer = make((0, 1), n_units=6)
        with torch.no_grad():
            trainer.rnn._W_out[0] = 1e30
        return trainer

    whole = diverging().run_training()
    assert [n.status for n in whole] == ["diverged", "finished"]
    for at in range(1, MAX_ITER):
        run_cut(diverging(), tmp_path / f"{at}.npz", at)
        assert_same(diverging().run_training(checkpoint=tmp_path / f"{at}.npz"), whole)


def test_a_finished_training_is_not_done_again(tmp_path):
    whole = make().run_training(checkpoint=tmp_path / "state.npz")
    again = make()
    steps = []
    networks = again.run_training(lambda *a: steps.append(a), checkpoint=tmp_path / "state.npz")
    assert steps == []
    assert again.seconds > 0  # those of the first time
    assert_same(networks, whole)


def test_checkpoints_are_written_as_the_training_goes(tmp_path):
    path, seen = tmp_path / "state.npz", []

    def watch(iteration, n, loss):
        seen.append(path.exists() and int(np.load(path)["iteration"]))

    make().run_training(watch, checkpoint=path, checkpoint_every=4)
    assert seen == [False, False, False, 4, 4, 4, 4, 8, 8]
    assert int(np.load(path)["iteration"]) == MAX_ITER
    assert [p.name for p in tmp_path.iterdir()] == ["state.npz"]


def test_a_cohort_goes_on_where_it_was_cut(tmp_path):
    network, training = NetworkConfig(n_units=6, sigma_rec=0.1), TrainingConfig(max_iter=6)
    whole = train_cohort(flip_flop, network, training, [4, 5], device="cpu")

    def kill(step, n, loss):
        if step == 4:
            raise Cut

    arguments = {"device": "cpu", "checkpoints": tmp_path, "checkpoint_every": 1}
    with pytest.raises(Cut):
        train_cohort(flip_flop, network, training, [4, 5], progress=kill, **arguments)
    steps = []
    resumed = train_cohort(
        flip_flop, network, training, [4, 5], progress=lambda *a: steps.append(a[0]), **arguments
    )
    assert steps == [5, 6]
    assert_same(resumed.networks, whole.networks)
    with pytest.raises(ParameterError, match="checkpoints"):
        train_cohort(flip_flop, network, training, [4], checkpoints=tmp_path / "absent")


# Files that are not this training's state ---------------------------------------------------------


def damage(path, kind):
    content = path.read_bytes()
    if kind == "truncated":
        path.write_bytes(content[: len(content) // 2])
    elif kind == "cut short by a byte":
        path.write_bytes(content[:-1])
    elif kind == "flipped":
        middle = len(content) // 2
        path.write_bytes(content[:middle] + bytes([content[middle] ^ 0xFF]) + content[middle + 1 :])
    elif kind == "empty":
        path.write_bytes(b"")
    elif kind == "pickle":
        path.write_bytes(pickle.dumps({"iteration": 3}))
    elif kind == "text":
        path.write_text("not a state")
    elif kind == "another npz":
        np.savez(path, weights=np.ones(3))
    elif kind == "npz with a pickle":
        np.savez(path, header=np.array({"format": "rnn-training-state"}, dtype=object))
    elif kind == "header of another format":
        np.savez(path, header=np.array(json.dumps({"format": "else"})))
    elif kind == "version of the future":
        with np.load(path) as file:
            arrays = dict(file)
        header = {**json.loads(str(arrays["header"])), "version": 99}
        np.savez(path, **{**arrays, "header": np.array(json.dumps(header))})
    elif kind == "incomplete":
        with np.load(path) as file:
            np.savez(path, **{k: v for k, v in file.items() if k != "curves"})


KINDS = [
    "truncated",
    "cut short by a byte",
    "flipped",
    "empty",
    "pickle",
    "text",
    "another npz",
    "npz with a pickle",
    "header of another format",
    "version of the future",
    "incomplete",
]


@pytest.mark.parametrize("kind", KINDS)
def test_a_damaged_or_foreign_file_is_refused_and_training_starts_over(tmp_path, kind):
    whole = make().run_training()
    path = tmp_path / "state.npz"
    run_cut(make(), path, 5)
    damage(path, kind)
    trainer = make()
    with pytest.raises(ParameterError) as caught:
        trainer.load_state(path)
    assert caught.value.field == "checkpoint"
    assert str(path) in str(caught.value)
    assert trainer.iteration == 0
    with pytest.warns(UserWarning, match="starts over"):
        networks = trainer.run_training(checkpoint=path)
    assert_same(networks, whole)
    assert_same(make().run_training(checkpoint=path), whole)  # a good file lies there now


def test_a_file_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(ParameterError, match="No such file"):
        make().load_state(tmp_path / "absent.npz")


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"seeds": (4,)}, "seeds"),
        ({"seeds": (3, 4)}, "seeds"),
        ({"lr": 0.03}, "lr"),
        ({"max_iter": MAX_ITER + 1}, "max_iter"),
        ({"n_units": 9}, "n_units"),
        ({"method": "reflect"}, "constraint_method"),
        ({"penalties": {"metabolic": {"weight": 0.2}}}, "penalties"),
        ({"gpu_precision": "bf16x6"}, "gpu_precision"),
    ],
)
def test_the_state_of_another_training_is_refused(tmp_path, change, named):
    path = tmp_path / "state.npz"
    run_cut(make(), path, 5)
    with pytest.raises(ParameterError, match=f"another training .*{named}"):
        make(**change).load_state(path)


def test_a_state_of_before_there_was_a_choice_of_precision_is_read():
    """Of a release that had none: the identity says nothing of it where it is float32."""
    assert "gpu_precision" not in make().identity
    assert make(gpu_precision="bf16x6").identity["gpu_precision"] == "bf16x6"


def test_a_cpu_multiplies_in_float32_whatever_is_set():
    """The networks are the same to the bit, and the result says what was done."""
    network = NetworkConfig(n_units=8, activation="tanh", tau=3.0)
    found = [
        train_cohort(flip_flop, network, TrainingConfig(max_iter=3, gpu_precision=p), [3], "cpu")
        for p in ("ieee", "bf16x6")
    ]
    assert [result.product_precision for result in found] == ["ieee", "ieee"]
    assert_same(*(result.networks for result in found))


def test_another_task_or_other_initial_weights_are_another_training(tmp_path):
    path = tmp_path / "state.npz"
    trainer = make()
    run_cut(trainer, path, 5)
    config = NetworkConfig(n_units=trainer.rnn.n_units, tau=2.0)
    rnn = RNNTorch(Connectivity.of(trainer.rnn.weights(), config), config)
    with pytest.raises(ParameterError, match="another training"):
        Trainer(rnn, flip_flop(3), trainer.config).load_state(path)
    longer = NBitFlipFlop(n_steps=13, n_bits=2, pulse=2, mu=3, batch_size=6, seed=3)
    fresh = make().rnn
    with pytest.raises(ParameterError, match="tasks"):
        Trainer(fresh, longer, trainer.config).load_state(path)


def test_a_write_that_fails_leaves_the_old_file(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"old")

    def half(file):
        file.write(b"ne")
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        write_atomically(path, half)
    assert path.read_bytes() == b"old"
    assert [p.name for p in tmp_path.iterdir()] == ["file"]
    write_atomically(path, lambda file: file.write(b"new"))
    assert path.read_bytes() == b"new"
