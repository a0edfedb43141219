"""A stored network is trained again from its rows alone, and compared to the bit."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from botocore.exceptions import NoCredentialsError
from datajoint import Table
from datajoint.storage import StorageBackend
from typer.testing import CliRunner

import pipeline
from models.files.exchange import write_network
from models.machine.kernels import kernels_of
from pipeline.cli.commands import app
from pipeline.upkeep import verify as module
from pipeline.upkeep import verify_some
from pipeline.upkeep.verify import verify
from tasks_lib import ParameterError
from tests.pipeline.test_stored_files import forget_hash

pytestmark = pytest.mark.either_backend


@pytest.fixture
def trained(database, submission, prepared):
    """Three networks, trained as one batch, with penalties, noise, dropout and validation."""
    submission["trainings"]["short"] |= {
        "max_iter": 40,
        "same_batch": False,
        "monitor": True,
        "dropout_rate": 0.1,
        "validation_interval": 5,
        "trace_interval": 10,
        "snapshots": 3,
        "penalties": {"metabolic": {"weight": 0.01}, "h_time_variance": {"weight": 0.1}},
    }
    submission["networks"]["small"] |= {"sigma_inp": 0.05}
    submission["cohorts"][0]["n_networks"] = 3

    def fill():
        database.submit(submission)
        assert database.fill((database.Training,)).errors == []

    prepared(fill)
    return database


def in_place(table, row):
    """Change a row as plain SQL does, whatever hangs on it."""
    Table.update1(table(), row)


def key_of(seed):
    return (pipeline.Training.Network & {"seed": seed}).fetch1("KEY")


def counts(p):
    tables = (p.Task, p.NetworkParams, p.TrainingParams, p.Cohort, p.Training, p.Training.Network,
              p.Training.Term, p.Worker)  # fmt: skip
    return [len(table()) for table in tables]


def test_networks_are_identical_and_nothing_is_written(trained, store):
    before, files = counts(trained), sorted(store.rglob("*"))
    steps = []
    for seed in (3, 5):
        result = verify({"seed": seed}, "cpu", lambda *step: steps.append(step))
        assert result.identical, list(map(str, result.differences))
        assert result.differences == result.changed == []
        assert (result.device, result.n_trained) == ("cpu", 1)
        assert result.key["seed"] == seed
    assert steps
    assert counts(trained) == before and sorted(store.rglob("*")) == files


def test_so_are_those_that_stopped_early_or_diverged(database, submission):
    common = {"max_iter": 60, "penalties": {"metabolic": {"weight": 0.01}}}
    submission["trainings"] = {
        "stopping": {**common, "lr": 0.1, "validation_interval": 1, "patience": 1},
        "diverging": {"max_iter": 20, "lr": 1e6, "max_grad_norm": 1e30},
    }
    submission["networks"]["small"] |= {"dale": False}
    cohort = submission["cohorts"][0]
    submission["cohorts"] = [{**cohort, "training": name} for name in submission["trainings"]]
    database.submit(submission)
    assert database.fill((database.Training,)).errors == []
    rows = database.Training.Network.to_dicts()
    assert {row["stopped_by"] for row in rows} == {"patience", None}
    assert {row["status"] for row in rows} == {"finished", "diverged"}
    for row in rows:
        result = verify({name: row[name] for name in database.Training.Network.primary_key})
        assert result.identical, list(map(str, result.differences))


def test_a_weight_that_was_tampered_with_is_found(trained, store):
    p = trained
    reference = (p.Training.Network & {"seed": 4}).fetch1("w_rec")
    path = store / reference.path
    weights = reference.load().copy()
    written = path.read_bytes()
    path.write_bytes(written[:-1] + bytes([written[-1] ^ 1]))
    (difference,) = verify({"seed": 4}).differences
    assert difference.what == "w_rec" and "is damaged (its sha256 is" in difference.stored
    path.write_bytes(written)
    # Without a hash, as earlier versions wrote the row, the array is read and compared.
    forget_hash(p.Training.Network, "w_rec", "dtype", "shape")
    weights[2, 5] += np.float32(0.25)
    np.save(path, weights)
    result = verify({"seed": 4})
    assert not result.identical and result.changed == []
    (difference,) = result.differences
    assert (difference.what, difference.where) == ("w_rec", (2, 5))
    assert difference.stored == weights[2, 5]
    assert abs(difference.stored - difference.again) == pytest.approx(0.25, rel=1e-5)
    assert "largest difference 0.25" in str(difference)
    # The smallest change there is, and none in value.
    weights[2, 5] = np.nextafter(difference.again, np.float32(np.inf))
    np.save(path, weights)
    assert verify({"seed": 4}).differences[0].where == (2, 5)
    weights[2, 5] = difference.again
    np.save(path, weights)
    assert verify({"seed": 4}).identical
    whole = path.read_bytes()
    # Nothing that NumPy knows, half of it, an archive of arrays, and a torn description.
    torn = whole.replace(b"'shape': (12", b"'shape': (((")
    assert torn != whole
    for content in (b"no array", b"", whole[:200], b"PK\x03\x04" + whole, torn):
        path.write_bytes(content)
        assert "w_rec: stored cannot be read" in str(verify({"seed": 4}).differences[0])
    path.unlink()
    assert "w_rec: stored cannot be read" in str(verify({"seed": 4}).differences[0])
    assert verify({"seed": 3}).identical


def test_what_was_recorded_on_the_way_is_compared_too(trained, store):
    p = trained
    trace = p.Training.Trace & {"seed": 4, "trace_iteration": 20}
    kept = trace.fetch1()
    in_place(p.Training.Trace, {**kept, "trace_participation": kept["trace_participation"] + 1e-9})
    (difference,) = verify({"seed": 4}).differences
    assert difference.what == "trace_participation after iteration 20"
    assert difference.again == kept["trace_participation"]
    in_place(p.Training.Trace, kept)

    first = p.Training.Snapshot & {"seed": 4, "snapshot_iteration": 0}
    reference = first.fetch1("snapshot_w_rec")
    forget_hash(p.Training.Snapshot, "snapshot_w_rec", "dtype", "shape")
    path = store / reference.path
    written = path.read_bytes()
    weights = reference.load().copy()
    weights[2, 5] += np.float32(0.25)
    np.save(path, weights)
    (difference,) = verify({"seed": 4}).differences
    assert difference.what == "snapshot_w_rec after iteration 0" and difference.where == (2, 5)
    path.write_bytes(written)

    # A row that is gone is one; no row at all is what earlier versions wrote.
    trace.delete_quick()
    (difference,) = verify({"seed": 4}).differences
    assert str(difference) == "trace_iteration 20: stored is not there, now is there"
    (p.Training.Trace & {"seed": 4}).delete_quick()
    assert verify({"seed": 4}).identical


def test_a_parameter_that_was_changed_shows_where_it_began_to_matter(trained):
    p = trained
    in_place(p.TrainingParams, {"training_name": "short", "lr": 0.021})
    result = verify({"seed": 3})
    assert not result.identical
    first = result.differences[0]
    # The first loss is that of the initial weights, which the learning rate does not touch.
    assert (first.what, first.where) == ("loss_curve", (1,))
    assert first.stored != first.again
    curve = np.asarray((p.Training.Network & {"seed": 3}).fetch1("loss_curve"))
    assert first.stored == curve[1]
    assert "at iteration 2" in str(first)
    names = [difference.what for difference in result.differences]
    assert names.index("loss_curve") < names.index("w_rec") < names.index("r2")
    (change,) = result.changed
    assert change.what == "TrainingParams 'short'" and change.then != change.now
    # A shorter training is alike as far as it goes.
    in_place(p.TrainingParams, {"training_name": "short", "lr": 0.02, "max_iter": 4})
    first = verify({"seed": 3}).differences[0]
    assert first.again == "4 values, the first 4 alike"


def test_what_changed_since_is_listed_and_makes_no_difference(trained):
    p = trained
    key = p.Training.keys()[0]
    row = (p.Training & key).fetch1()
    assert row["kernels"] == kernels_of("cpu")
    changed = {"code_version": "0.0.1+abc", "torch_version": "1.0", "kernels": "openblas Haswell"}
    p.Training.update1({**key, **changed})
    result = verify({"seed": 3})
    assert result.identical
    assert {change.what: change.then for change in result.changed} == changed
    assert "code_version: 0.0.1+abc then," in str(result.changed[0])
    # Of rows of before nothing is known, and nothing is said.
    p.Training.update1({**row, "kernels": None})
    assert verify({"seed": 3}).changed == []


def test_without_the_device_of_then_it_is_said(trained, monkeypatch):
    p = trained
    p.Training.update1({**p.Training.keys()[0], "device": "cuda"})
    monkeypatch.setattr(module, "default_device", lambda: "cpu")
    result = verify({"seed": 3})
    assert result.device == "cpu"
    assert [str(c) for c in result.changed] == ["device: cuda then, cpu now"]


def test_on_a_gpu_the_whole_cohort_is_trained(trained, monkeypatch):
    """With a CPU in its place: a cohort gives the same networks there."""
    p = trained
    there = {"device": "cuda:1", "kernels": "A card, sm_90"}
    p.Training.update1({**p.Training.keys()[0], **there})
    monkeypatch.setattr(module, "kernels_of", {"cuda": "A card, sm_90"}.get)
    train, asked = module.train_from_rows, []

    def on_a_cpu(*rows, seeds, device, **options):
        asked.append((list(seeds), device))
        return train(*rows, seeds=seeds, device="cpu", **options)

    monkeypatch.setattr(module, "train_from_rows", on_a_cpu)
    monkeypatch.setattr(module, "default_device", lambda: "cuda")
    result = verify({"seed": 4})
    assert asked == [([3, 4, 5], "cuda")]
    assert result.n_trained == 3 and result.identical and result.changed == []


def test_questions_that_have_no_answer(trained, tmp_path):
    p = trained
    with pytest.raises(ParameterError, match="selects 3 networks"):
        verify({"task_name": "cddm"})
    with pytest.raises(ParameterError, match="selects 0 networks"):
        verify({"seed": 99})
    with pytest.raises(ParameterError, match="device"):
        verify({"seed": 3}, "abacus")
    row = (p.Training.Network & {"seed": 3}).fetch1()
    config = p.NetworkParams.build(p.NetworkParams.fetch1())
    file = write_network(tmp_path / "n.npz", (p.Training.Network & {"seed": 3}).load(), config)
    imported = p.import_network(file, row["task_name"])
    with pytest.raises(ParameterError, match="trained elsewhere"):
        verify(imported)


@pytest.fixture
def run(trained, arguments, monkeypatch):
    """The command, in this process."""
    connect = pipeline.connect
    monkeypatch.setattr(pipeline, "connect", lambda **_: connect(**arguments))

    def run(*words, seed=3, before_reconnection=lambda: None):
        names = ("--task", "cddm", "--network", "small", "--training", "short")
        result = CliRunner().invoke(app, ["verify", *names, "--seed", str(seed), *words])
        before_reconnection()
        connect(**arguments)
        return result

    return run


def test_the_command_says_so_with_its_exit_status(trained, run):
    result = run()
    assert result.exit_code == 0, result.output
    assert "cddm/small/short seed 3, on cpu: identical" in result.output
    in_place(trained.TrainingParams, {"training_name": "short", "lr": 0.021})
    result = run()
    assert result.exit_code == 1
    assert "differs first: loss_curve at iteration 2: stored" in result.output
    assert "then: w_rec at [" in result.output
    assert "changed: TrainingParams 'short'" in result.output
    result = run(seed=99)
    assert result.exit_code == 2 and "selects 0 networks" in result.output
    assert run("--device", "abacus").exit_code == 2


def test_some_networks_are_trained_again_beside_rows_and_files(trained, arguments, monkeypatch):
    connect = pipeline.connect
    monkeypatch.setattr(pipeline, "connect", lambda **_: connect(**arguments))

    def verified(*words):
        result = CliRunner().invoke(app, ["verify", *words])
        connect(**arguments)
        return result.exit_code, result.output

    # Rows alone do not say whether networks come out again, and the command says that.
    status, said = verified("--all")
    assert status == 0 and "no network was trained again: --retrain N does it with N of 3" in said
    assert "trained again: --retrain" not in verified("--files")[1]
    status, said = verified("--all", "--files", "--retrain", "2")
    assert status == 0, said
    for text in ("as they were entered", "none damaged", "seed 3, on cpu: identical",
                 "seed 4, on cpu: identical", "2 networks trained again: 2 identical",
                 "1 network not trained again"):  # fmt: skip
        assert text in said
    in_place(trained.Training.Network, {**key_of(seed=4), "r2": 0.5})
    status, said = verified("--all", "--retrain", "9", "--seed", "4")
    assert status == 1 and "1 network trained again: 0 identical, 1 not" in said
    for seed in (3, 5):
        in_place(trained.Training.Network, {**key_of(seed=seed), "status": "imported"})
    status, said = verified("--retrain", "9")
    assert status == 1 and "1 network trained again: 0 identical, 1 not" in said
    assert "2 networks not trained here" in said
    # Of several cohorts the first network of each comes first.
    with monkeypatch.context() as patch:
        cohorts = iter("aab")
        patch.setattr(verify_some, "cohort_key", lambda row: next(cohorts))
        in_place(trained.Training.Network, {**key_of(seed=3), "status": "finished"})
        in_place(trained.Training.Network, {**key_of(seed=5), "status": "finished"})
        some = verify_some.networks_to_train(trained.Training.Network(), 2)
    assert [key["seed"] for key in some.keys] == [3, 5] and some.n_others == 1


def test_a_store_that_goes_away_meanwhile_is_no_difference(trained, run, store, monkeypatch):
    """And neither is one that refuses to be read."""
    away, compare = store.with_name("away"), module._compare

    def as_the_share_is_unmounted(*rows):
        store.rename(away)
        return compare(*rows)

    with monkeypatch.context() as patch:
        patch.setattr(module, "_compare", as_the_share_is_unmounted)
        result = run(before_reconnection=lambda: away.rename(store))
    assert result.exit_code == 2, result.output
    assert "error: Missing external file" in result.stderr and "identical" not in result.output

    def refused(self, path):
        raise PermissionError(13, "Permission denied", str(path))

    with monkeypatch.context() as patch:
        patch.setattr(StorageBackend, "get_buffer", refused)
        with pytest.raises(PermissionError):
            verify({"seed": 3})
    assert verify({"seed": 3}).identical


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (torch.cuda.OutOfMemoryError("CUDA out of\nmemory"), "OutOfMemoryError: CUDA out of"),
        (NoCredentialsError(), "NoCredentialsError: Unable to locate credentials"),
        (ZeroDivisionError("in a task"), "ZeroDivisionError: in a task"),
        (AssertionError(), "AssertionError:"),
        (SystemExit(0), "SystemExit: 0"),
        (OSError("the disk"), "the disk"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, BaseException) else "",
)
def test_whatever_else_happens_is_no_answer(trained, run, monkeypatch, error, line):
    def failing(*_, **__):
        raise error

    monkeypatch.setattr(module, "train_from_rows", failing)
    result = run()
    assert result.exit_code == 2
    assert result.stderr.splitlines()[-1].startswith(f"error: {line}")
    assert "Traceback" not in result.output
