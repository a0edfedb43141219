"""Exports of a selection: what they hold, that they come back to the bit, and whole or not."""

from __future__ import annotations

import csv
import json
import sys
import zipfile
from pathlib import Path

import datajoint as dj
import numpy as np
import pytest
import yaml
from typer.testing import CliRunner

import pipeline
from models import read_network
from pipeline.cli.commands import app
from pipeline.sharing import target as targets
from pipeline.sharing import write as writing
from pipeline.sharing.manifest import MANIFEST, check_export, described, manifest_text
from tasks_lib import ParameterError
from tests.needs import skip_unless_required
from tests.pipeline.test_imported import SEED_FILE

pytestmark = pytest.mark.either_backend

ANALYSED = ("Training", "Validation", "TrialPlot", "FixedPoints")


@pytest.fixture
def trained(database, submission, prepared):
    """Two networks."""

    def fill():
        database.submit(submission)
        assert not database.fill([database.Training]).errors

    prepared(fill)
    return database


@pytest.fixture
def analysed(database, submission, prepared):
    """Two networks with scores, figures and fixed points, and an imported one."""

    def fill():
        database.submit(submission)
        assert not database.fill([getattr(database, name) for name in ANALYSED]).errors
        database.import_network(SEED_FILE, "cddm", "theirs")

    prepared(fill)
    return database


def rows_of(folder, table):
    with (folder / "tables" / f"{table}.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.both_backends
def test_everything_of_a_selection_is_there(analysed, tmp_path):
    p, out = analysed, tmp_path / "shared"
    made = p.export(out, {"network_name": "small"})
    assert (made.n_networks, made.n_cohorts) == (2, 1)
    manifest = json.loads((out / MANIFEST).read_text())
    assert manifest["selection"] == {"network_name": "small"}
    assert manifest["parameters"]["trainings"]["short"]["max_iter"] == 20
    assert manifest["code_version"] == (p.Training & {"network_name": "small"}).fetch1(
        "code_version"
    )
    assert {*manifest["files"], MANIFEST} == {
        path.relative_to(out).as_posix() for path in out.rglob("*") if path.is_file()
    }
    for name in ("report/index.html", "README.txt", "tasks.yaml", "submission.yaml"):
        assert name in manifest["files"]

    networks = rows_of(out, "Training.Network")
    stored = (p.Training.Network & {"network_name": "small"}).to_dicts(order_by="seed")
    assert [row["seed"] for row in networks] == ["3", "4"]
    assert [float(row["r2"]) for row in networks] == [row["r2"] for row in stored]
    with np.load(out / "tables" / "Training.Network.npz") as arrays:
        for row, own in zip(networks, stored, strict=True):
            assert np.array_equal(arrays[row["loss_curve"]], np.asarray(own["loss_curve"]))
    for row, own in zip(networks, stored, strict=True):
        network = read_network(out / row["network_file"])
        assert np.array_equal(network.weights["W_rec"], np.asarray(own["w_rec"]))
    # The rows of each table are those of the selection, in order.
    for name in ("Validation", "Validation.Condition", "FixedPoints.Point", "Training"):
        table = p
        for part in name.split("."):
            table = getattr(table, part)
        assert len(rows_of(out, name)) == len(table & {"network_name": "small"}) > 0
        assert manifest["tables"][name]["rows"] == len(rows_of(out, name))
    assert [r["network_name"] for r in rows_of(out, "NetworkParams")] == ["small"]
    assert [r["validation_name"] for r in rows_of(out, "ValidationParams")] == sorted(
        {*p.Validation.to_arrays("validation_name")}
    )
    assert rows_of(out, "Training.Source") == rows_of(out, "ManifoldParams") == []
    figures = {path.name for path in (out / "figures").iterdir()}
    assert len([name for name in figures if "trials" in name]) == 2 * 2  # with noise and without
    assert (rows_of(out, "Training")[0]["code_dirty"]) in ("true", "false")


def test_an_exported_network_comes_back_to_the_bit(analysed, tmp_path):
    p = analysed
    p.export(tmp_path / "all.zip", figures=False, report=False)
    with zipfile.ZipFile(tmp_path / "all.zip") as archive:
        archive.extractall(tmp_path / "unpacked")
    (out,) = (tmp_path / "unpacked").iterdir()
    inputs = np.random.default_rng(0).normal(size=(6, 20, 5))
    key = {"network_name": "small", "seed": 4}
    before = (p.Training.Network & key).load().run(inputs)
    parameters = (p.NetworkParams & key).fetch1()
    p.delete(everything=True, parameters=True)
    assert not p.Task() and not p.NetworkParams() and not p.Cohort()

    p.submit(out / "tasks.yaml")
    (row,) = (r for r in rows_of(out, "Training.Network") if r["seed"] == "4")
    imported = p.import_network(out / row["network_file"], row["task_name"], row["network_name"])
    after = (p.Training.Network & imported).load().run(inputs)
    assert all(np.array_equal(a, b) for a, b in zip(before, after, strict=True))
    assert (p.NetworkParams & imported).fetch1() == parameters
    p.fill([p.Validation])
    (scores,) = (p.Validation & imported & {"validation_name": "noise_free"}).to_dicts()
    (theirs,) = (
        row
        for row in rows_of(out, "Validation")
        if (row["network_name"], row["seed"]) == ("small", "4")
        and row["validation_name"] == "noise_free"
    )
    assert all(float(theirs[n]) == scores[n] for n in ("r2_pooled", "mse", "accuracy"))


@pytest.mark.parametrize("ending", ["", ".tar.gz"])
def test_a_whole_export_is_imported(trained, tmp_path, ending):
    p, out = trained, tmp_path / f"all{ending}"
    p.import_network(SEED_FILE, "cddm", "theirs")
    p.export(out, figures=False, report=False, format="seed-json")
    inputs = np.random.default_rng(0).normal(size=(6, 20, 5))
    before = [
        (p.Training.Network & key).load().run(inputs)[1]
        for key in p.Training.Network.keys(order_by="KEY")
    ]
    p.delete(everything=True, parameters=True)
    received = p.import_export(out)
    assert (received.n_tasks, len(received.keys), received.known) == (1, 3, [])
    after = [(p.Training.Network & key).load().run(inputs)[1] for key in received.keys.values()]
    assert all(np.array_equal(a, b) for a, b in zip(before, after, strict=True))
    assert {key["network_name"] for key in received.keys.values()} == {"small", "theirs"}
    again = p.import_export(out)
    assert (again.n_tasks, again.keys, len(again.known)) == (0, {}, 3)
    # What an interrupt has left is gone on with.
    one = dict([*received.keys.values()][1])
    del one["seed"]
    p.delete(one)
    assert len(p.import_export(out).keys) == 1


def test_an_export_that_was_changed_is_not_imported(trained, tmp_path):
    out = tmp_path / "all"
    trained.export(out, figures=False, report=False)
    (network,) = (out / "networks").glob("*seed4*")
    network.write_bytes(network.read_bytes()[:-1])
    n_networks = len(trained.Training.Network())
    with pytest.raises(ParameterError, match=r"is not as it was exported \(changed: networks/"):
        trained.import_export(out)
    assert len(trained.Training.Network()) == n_networks


def test_an_export_that_somebody_made_up_is_one_line(database, submission, tmp_path):
    """Its hashes agree: they say nothing of who made it."""
    p, tasks = database, {"tasks": submission["tasks"]}
    secret = tmp_path / "secret.npz"
    secret.write_bytes(b"x")
    header = '"task_name","network_name","network_file"\n'
    for rows, message in (
        (header + '"cddm","small","../secret.npz"\n', "names '../secret.npz' as the file"),
        (header + '"cddm","small","tasks.yaml"\n', "names 'tasks.yaml' as the file"),
        (header + '"cddm","small"\n', "names None as the file"),
        ('"seed"\n1\n', "has no list of networks"),
        (None, "has no tables/Training.Network.csv"),
    ):
        out = tmp_path / f"made_{len(message)}"
        (out / "tables").mkdir(parents=True)
        (out / "tasks.yaml").write_text(yaml.safe_dump(tasks))
        if rows is not None:
            (out / "tables" / "Training.Network.csv").write_text(rows)
        files = [f.relative_to(out).as_posix() for f in out.rglob("*") if f.is_file()]
        (out / MANIFEST).write_text(manifest_text({"files": described(out, files)}))
        with pytest.raises(ParameterError, match=message):
            p.import_export(out)
        assert not p.Training.Network()


def test_the_command_imports_an_export(trained, tmp_path, arguments, monkeypatch):
    out = tmp_path / "all.zip"
    trained.export(out, figures=False, report=False)
    trained.delete(everything=True, parameters=True)
    connect = pipeline.connect
    monkeypatch.setattr(pipeline, "connect", lambda **_: connect(**arguments))
    one = tmp_path / "one.npz"
    one.write_bytes(b"PK")
    for words, status, said in (
        ((out,), 0, "1 task and 2 networks new"),
        ((out,), 0, "0 tasks and 0 networks new, 2 imported before"),
        ((out, "--network", "x"), 1, "--task = None: is not given beside --network"),
        ((one,), 1, "without one, name an export"),
        ((tmp_path,), 1, "has no manifest.json"),
    ):
        result = CliRunner().invoke(app, ["import", *map(str, words)])
        assert (result.exit_code, said in result.output.replace("\n", " ")) == (status, True)
    connect(**arguments)


def test_the_submission_of_an_export_trains_the_same_networks(analysed, tmp_path):
    p, out = analysed, tmp_path / "shared"
    p.export(out, figures=False, report=False)
    assert not (out / "figures").exists() and not (out / "report").exists()
    key = {"network_name": "small", "seed": 3}
    before = np.asarray((p.Training.Network & key).fetch1("w_rec"))
    rows = {t: (t() & "1=1").to_dicts() for t in (p.Task, p.TrainingParams.Penalty)}
    short = {"training_name": "short"}
    training = (p.TrainingParams & short).fetch1()
    submission = yaml.safe_load((out / "submission.yaml").read_text())
    assert [c["network"] for c in submission["cohorts"]] == ["small"]  # not the imported one
    p.delete(everything=True, parameters=True)
    p.submit(out / "submission.yaml")
    assert all(t().to_dicts() == before for t, before in rows.items())
    assert (p.TrainingParams & short).fetch1() == training
    p.fill([p.Training])
    assert np.array_equal(np.asarray((p.Training.Network & key).fetch1("w_rec")), before)


def test_equal_content_gives_equal_bytes(trained, tmp_path):
    for ending in (".zip", ".tar.gz"):
        one, other = (tmp_path / f"{name}{ending}" for name in ("one", "other"))
        first = trained.export(one, {"seed": 3}, figures=False)
        second = trained.export(other, {"seed": 3}, figures=False)
        assert one.read_bytes() == other.read_bytes()
        assert first.sha256 == second.sha256 == check_export(one).sha256
        assert check_export(one).is_whole and check_export(one).n_files == first.n_files
    third = trained.export(other, {"seed": 4}, figures=False, report=False, update=True)
    assert third.sha256 != first.sha256


def test_a_selection_by_seed_has_its_cohort_and_nothing_else(analysed, tmp_path):
    out = tmp_path / "one"
    analysed.export(out, {"training_name": "short", "seed": 3})
    for table in ("Training.Network", "Validation", "FixedPoints", "Training.Term"):
        assert {row["seed"] for row in rows_of(out, table)} == {"3"}
    assert len(rows_of(out, "Cohort")) == 1
    pages = [path.name for path in (out / "report" / "networks").iterdir()]
    assert len(pages) == 1 and "seed3" in pages[0]
    assert not [path for path in (out / "figures").iterdir() if "seed4" in path.name]


def test_sweeps_of_a_selection_are_tables_too(database, submission, tmp_path):
    names = {"task": "cddm", "network": "small", "training": "short"}
    values = {"network.sigma_rec": [0.0, 0.1]}
    submission["sweeps"] = {
        "noise": {**names, "vary": values},
        "rates": {**names, "vary": {"training.lr": [0.5]}},
    }
    del submission["cohorts"]
    database.submit(submission)
    database.export(tmp_path / "all", figures=False, report=False)
    assert {r["sweep_name"] for r in rows_of(tmp_path / "all", "Sweep")} == {"noise", "rates"}
    named = {"training_name": "short"}  # of the one, whose points are networks
    database.export(tmp_path / "one", named, figures=False, report=False)
    out = tmp_path / "one"
    assert [row["sweep_name"] for row in rows_of(out, "Sweep")] == ["noise"]
    assert [row["axis"] for row in rows_of(out, "Sweep.Axis")] == ["network.sigma_rec"]
    points = rows_of(out, "SweepPoint")
    assert sorted(float(row["value"]) for row in points) == [0.0, 0.1]
    assert len(rows_of(out, "Cohort")) == 2
    assert len(rows_of(tmp_path / "all", "Cohort")) == 3


def test_what_cannot_be_exported_is_refused_before_anything_is_written(
    trained, tmp_path, monkeypatch
):
    out = tmp_path / "x"
    for selection in ({"task_name": "xor"}, {"seed": 77}):
        with pytest.raises(ParameterError, match=r"selection = .*: has no cohort"):
            trained.export(out, selection)
    with pytest.raises(ParameterError, match=r"restriction.sed = 3: .*did you mean seed"):
        trained.export(out, {"sed": 3})
    with pytest.raises(ParameterError, match="format"):
        trained.export(out, format="hdf5")
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(ParameterError, match=r'pip install "rnn-pipeline\[parquet\]"'):
        trained.export(out, parquet=True)
    assert not [*tmp_path.glob("*x*")]


def test_what_is_interrupted_leaves_nothing(trained, tmp_path, monkeypatch):
    before = {path.name for path in tmp_path.iterdir()}

    def stop(*args, **options):
        raise KeyboardInterrupt

    for name, place in (
        ("shared", "write_table"), ("shared", "manifest_text"), ("shared.zip", "pack"),
        ("shared.tar.gz", "pack"),
    ):  # fmt: skip
        with monkeypatch.context() as patch:
            patch.setattr(targets if place == "pack" else writing, place, stop)
            with pytest.raises(KeyboardInterrupt):
                trained.export(tmp_path / name, figures=False, report=False)
        assert {path.name for path in tmp_path.iterdir()} == before


def test_what_a_kill_leaves_does_not_look_whole(trained, tmp_path, monkeypatch):
    def killed(*args, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr(writing, "manifest_text", killed)
    monkeypatch.setattr(writing.shutil, "rmtree", lambda *args, **options: None)
    with pytest.raises(KeyboardInterrupt):
        trained.export(tmp_path / "shared", figures=False, report=False)
    assert not (tmp_path / "shared").exists()
    (left,) = tmp_path.glob(".shared.unfinished-*")
    assert len([*left.rglob("*")]) > 20
    with pytest.raises(ParameterError, match=r"is no whole export: it has no manifest.json"):
        check_export(left)
    monkeypatch.undo()
    assert trained.export(tmp_path / "shared", figures=False, report=False).n_networks == 2


def test_an_interrupted_update_leaves_the_earlier_export(trained, tmp_path, monkeypatch):
    out = tmp_path / "shared.zip"
    first = trained.export(out, figures=False, report=False)

    def fail(*args, **options):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(targets, "pack", fail)
    with pytest.raises(OSError, match="No space left"):
        trained.export(out, {"seed": 3}, figures=False, report=False, update=True)
    assert check_export(out).sha256 == first.sha256
    assert [p.name for p in tmp_path.iterdir() if "unfinished" in p.name] == []


def test_what_is_there_is_replaced_only_where_it_is_an_export(trained, tmp_path):
    options = {"figures": False, "report": False}
    out = tmp_path / "shared"
    out.mkdir()
    first = trained.export(out, **options)  # an empty folder
    with pytest.raises(ParameterError, match=r"is there already; name another, or say --update"):
        trained.export(out, **options)
    (out / "notes.txt").write_text("mine")
    with pytest.raises(ParameterError, match=r"not of the export: notes.txt"):
        trained.export(out, **options, update=True)
    (out / "notes.txt").unlink()
    (out / "README.txt").write_text("mine")
    with pytest.raises(ParameterError, match=r"changed: README.txt"):
        trained.export(out, **options, update=True)
    (out / "README.txt").unlink()  # what is lost is no reason
    assert trained.export(out, **options, update=True).sha256 == first.sha256
    other = tmp_path / "other.zip"
    other.write_bytes(b"mine")
    with pytest.raises(ParameterError, match="is no export that could be replaced"):
        trained.export(other, **options, update=True)
    assert other.read_bytes() == b"mine"
    with pytest.raises(ParameterError, match="there is no folder"):
        trained.export(tmp_path / "nowhere" / "x", **options)
    assert {p.name for p in tmp_path.iterdir() if p.name.startswith(".")} == set()


@pytest.mark.both_backends
def test_rows_that_come_meanwhile_are_not_in_it(analysed, tmp_path, monkeypatch, arguments):
    """Another session deletes and commits while it reads: the export is of one moment."""
    from tests.kept_schemas import session

    connected = analysed.database.connection.connection()
    name = analysed.Validation.Condition.full_table_name
    real = writing.SelectedRows

    class Slow(real):
        def tables(self):
            with session(_server_of(arguments)) as other:
                other.query(f"DELETE FROM {name}")
            return super().tables()

    with monkeypatch.context() as patch:
        patch.setattr(writing, "SelectedRows", Slow)
        analysed.export(tmp_path / "shared", figures=False, report=False)
    assert len(rows_of(tmp_path / "shared", "Validation.Condition")) > 0
    assert len(analysed.Validation.Condition()) == 0
    assert not connected.in_transaction


def _server_of(arguments):
    from tests.servers import Server

    wanted = Server.__dataclass_fields__
    return Server(**{k: v for k, v in arguments.items() if k in wanted})


def test_files_of_the_store_that_are_lost_stop_it(analysed, tmp_path, store):
    for path in store.rglob("*.png"):
        path.unlink()
    with pytest.raises(Exception, match=r"png"):
        analysed.export(tmp_path / "shared")
    assert not (tmp_path / "shared").exists()
    analysed.export(tmp_path / "shared", figures=False)


def test_parquet_holds_the_same_as_csv(analysed, tmp_path):
    try:
        import pyarrow.parquet
    except ImportError:
        skip_unless_required("pyarrow", "pip install pyarrow")
    out = tmp_path / "shared"
    analysed.export(out, figures=False, report=False, parquet=True)
    n_values = 0
    for path in (out / "tables").glob("*.parquet"):
        table = pyarrow.parquet.read_table(path)
        columns = table.to_pydict()
        read = rows_of(out, path.stem)
        assert table.num_rows == len(read)
        assert [*columns] == _header(out, path.stem)
        for number, row in enumerate(read):
            for name, text in row.items():
                value = columns[name][number]
                n_values += 1
                if isinstance(value, bool):
                    assert text == ("true" if value else "false")
                elif isinstance(value, float | int):
                    assert float(text) == value
                else:
                    assert text == ("" if value is None else str(value))
    assert n_values > 500
    field = pyarrow.parquet.read_schema(out / "tables" / "Training.parquet").field("seconds")
    assert field.metadata[b"comment"] == b"wall time (s)"


def _header(out, table):
    with (out / "tables" / f"{table}.csv").open(encoding="utf-8", newline="") as file:
        return next(csv.reader(file))


@pytest.mark.both_backends
@pytest.mark.fresh_schemas
def test_tables_of_ones_own(entered, tmp_path, monkeypatch, arguments):
    monkeypatch.syspath_prepend(Path(__file__).parents[2] / "examples")
    monkeypatch.delitem(sys.modules, "own_tables", raising=False)
    entered.fill([entered.Training])
    name = f"{arguments['prefix']}_lab"
    monkeypatch.setattr(dj, "Schema", lambda _, make=dj.Schema: make(name))
    try:
        import own_tables

        entered.fill([own_tables.RecurrentWeights])
        out = tmp_path / "shared"
        entered.export(out, {"seed": 3}, modules=["own_tables"], figures=False, report=False)
        (row, *others) = rows_of(out, f"{name}.RecurrentWeights")
        assert {r["seed"] for r in (row, *others)} == {"3"}
        with np.load(out / "tables" / f"{name}.RecurrentWeights.npz") as arrays:
            assert arrays[row["singular_values"]].shape == (12,)
        assert len(rows_of(out, f"{name}.RecurrentWeights.Unit")) == 12 * len((row, *others))
    finally:
        own_tables.schema.drop(prompt=False)


@pytest.fixture
def run(trained, arguments, monkeypatch):
    """The command, in this process."""
    connect = pipeline.connect
    monkeypatch.setattr(pipeline, "connect", lambda **_: connect(**arguments))

    def run(*words):
        result = CliRunner().invoke(app, ["export", *map(str, words)])
        connect(**arguments)
        return result

    return run


def test_the_command(run, tmp_path):
    out = tmp_path / "shared.zip"
    done = run("--out", out, "--task", "cddm", "--seed", 3, "--no-figures")
    assert done.exit_code == 0, done.output
    assert "1 network in 1 cohort: " in done.output
    said = done.output.split("manifest ")[1].strip()
    checked = run("--check", out)
    assert (checked.exit_code, f"manifest {said}" in checked.output) == (0, True)
    assert "whole" in checked.output
    assert run("--out", out).exit_code == 1
    assert run("--out", out, "--update").exit_code == 0

    one = tmp_path / "one.npz"
    key = ("--task", "cddm", "--network", "small", "--training", "short")
    assert run(one, *key, "--seed", 3).exit_code == 0
    assert one.exists()
    assert run().exit_code == run(one, "--out", out).exit_code == 2  # as of any usage
    for words, message in (
        ((one, *key), "has 2 networks; name one, with --seed for example"),
        ((one, *key, "--seed", 3, "--update"), "--update = True: goes with --out"),
        (("--out", tmp_path / "x", "--task", "cdm"), "did you mean cddm"),
        (("--check", tmp_path / "x"), "is not there"),
    ):
        refused = run(*words)
        assert refused.exit_code == 1
        assert message in refused.output.replace("\n", " ")


def test_an_export_holds_its_sweeps(database, tmp_path):
    """Of what is exported, also points of other seeds."""

    p = database
    base = {"task": "ff", "network": "n8", "training": "base"}
    p.submit(
        {
            "tasks": {"ff": {"class": "NBitFlipFlop", "n_steps": 20, "params": {"pulse": 3}}},
            "networks": {"n8": {"n_units": 8}},
            "trainings": {"base": {"max_iter": 3}},
            "sweeps": {
                "rates": {
                    **base, "n_networks": 2, "description": "of rates",
                    "vary": {
                        "training.lr": [0.001, 0.01],
                        "training.penalties.metabolic.weight": [0.1, 0.2],
                    },
                },
                "sizes": {**base, "vary": {"network.n_units": [8, 9]}, "n_networks": 2},
            },
        }
    )  # fmt: skip
    more = {**base, "vary": {"training.lr": [0.001], "training.penalties.metabolic.weight": [0.1]}}
    p.submit({"sweeps": {"rates": {**more, "first_seed": 10}}})
    out = tmp_path / "sweep"
    p.export(out, {"sweep_name": "rates"}, figures=False, report=False)
    submission = yaml.safe_load((out / "submission.yaml").read_text())
    assert set(submission["sweeps"]) == {"rates"}
    assert [len(e["points"]) for e in submission["sweeps"]["rates"]] == [4, 1]
    points = sorted(map(str, p.SweepPoint & "sweep_name = 'rates'"))
    p.Sweep.delete(prompt=False)
    p.delete(everything=True, parameters=True)
    assert not len(p.Cohort()) and not len(p.SweepPoint())
    new = p.submit(out / "submission.yaml")
    assert (new["cohorts"], new["sweep points"]) == (5, 5)
    assert sorted(map(str, p.SweepPoint & "sweep_name = 'rates'")) == points
    assert p.Sweep.fetch1("sweep_description") == "of rates"
