"""Networks trained elsewhere: whole rows that everything downstream analyses, or nothing."""

from __future__ import annotations

import json
import pickle
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from datajoint.errors import DuplicateError

from models import (
    DynamicSystemAnalyzer,
    PerformanceAnalyzer,
    get_line_attractor,
    read_network,
    write_network,
)
from pipeline.cli.cohort_report import cohort_reports
from pipeline.cli.report import network_reports
from pipeline.tables.performance import VALIDATION_SEED
from tasks_lib import ParameterError
from tests.pipeline.test_bad_input import assert_one_line, run_rnn

pytestmark = pytest.mark.either_backend

DATA = Path(__file__).parent.parent / "data"
SEED_FILE = DATA / "seed_s_relu_dale.json"
SEED_CONFIG = DATA / "seed_s_relu_dale_config.yaml"


@pytest.fixture
def p(database, submission):
    """The pipeline with the task that the seed's networks were trained on."""
    database.submit({"tasks": submission["tasks"]})
    return database


def counts(p):
    tables = (p.NetworkParams, p.TrainingParams, p.Cohort, p.Training, p.Training.Network)
    return [len(t()) for t in (*tables, p.Training.Source)]


def files(store):
    return [f for f in store.rglob("*") if f.is_file() and f.parent.name != "databases"]


def altered(tmp_path, **changes):
    """The seed's file with other fields; None leaves a field out."""
    fields = {**json.loads(SEED_FILE.read_text()), **changes}
    path = tmp_path / "altered.json"
    path.write_text(json.dumps({k: v for k, v in fields.items() if v is not None}))
    return path


def test_everything_downstream_analyses_an_imported_network(p):
    key = p.import_network(SEED_FILE, "cddm", "theirs", SEED_CONFIG)
    assert key == {
        "task_name": "cddm",
        "network_name": "theirs",
        "training_name": "imported",
        "first_seed": 0,
        "seed": 0,
    }
    row = p.Training.Network.fetch1()
    assert (row["status"], row["loss"], row["iterations_done"]) == ("imported", None, 0)
    assert np.asarray(row["loss_curve"]).shape == (0,)
    assert np.asarray(row["w_rec"]).dtype == np.float32  # as their code had it
    source = p.Training.Source.fetch1()
    network = read_network(SEED_FILE, SEED_CONFIG)
    assert (source["file"], source["format"]) == (SEED_FILE.name, "seed-json")
    assert (source["sha256"], source["notes"]) == (network.sha256, [])

    assert p.fill().errors == []
    rnn = network.to_numpy()
    task = p.Task.build(p.Task.fetch1(), seed=VALIDATION_SEED)
    scores = PerformanceAnalyzer(rnn, task).validate()
    stored = (p.Validation & {"validation_name": "noise_free"}).fetch1()
    assert stored["r2_pooled"] == pytest.approx(scores.r2_pooled, abs=1e-12)
    assert row["r2"] == pytest.approx(scores.r2_pooled, abs=1e-12)
    assert stored["accuracy"] == scores.accuracy
    for context in ("motion", "color"):
        u = (p.Task.Input & {"input_name": context}).fetch1("input_vector")
        found = DynamicSystemAnalyzer(rnn, task, seed=0).get_fixed_points(u, n_starts=200)
        points = (p.FixedPoints & {"input_name": context}).load()
        assert np.allclose(points.points, found.points, atol=1e-8)
        line = get_line_attractor(rnn, task, context)
        states = (p.LineAttractor.Context & {"line_context": context}).fetch1("states")
        assert np.allclose(np.asarray(states), line.points, atol=1e-8)
    assert len(p.Linearization()) == len(p.FixedPoints()) == 2
    assert [r.status for r in network_reports()] == ["imported"]
    assert cohort_reports() == []  # nothing was trained
    for table in (p.TrialPlot, p.Psychometric, p.FixedPointPlot, p.LineAttractor):
        assert len(table & key) > 0
    assert p.fill().made == 0


def test_no_worker_trains_an_imported_cohort(p, submission):
    from pipeline.workers.status import table_status

    key = p.import_network(SEED_FILE, "cddm")
    (p.Training & key).delete(prompt=False)
    assert len(p.Cohort()) == 1
    assert {s.table: s for s in table_status()}["Training"].pending == 0
    assert p.fill((p.Training,)).made == 0
    p.Training.populate()
    assert len(p.Training()) == 0
    # Nor can anything be trained with its parameters, by mistake or on purpose.
    row = {k: key[k] for k in p.Cohort.primary_key}
    with pytest.raises(ParameterError, match="imported"):
        p.Cohort.insert1({**row, "first_seed": 7, "n_networks": 1})
    with pytest.raises(ParameterError, match="imported"):
        p.TrainingParams.insert1({"training_name": "imported"})
    with pytest.raises(ParameterError, match="max_iter"):
        p.TrainingParams.build(p.TrainingParams.fetch1(), [])
    p.TrainingParams.insert1({"training_name": "defaults"})  # no equal set is there
    # What was deleted can come again.
    assert p.import_network(SEED_FILE, "cddm") == key


def test_the_same_file_twice_is_recognised(p, submission, tmp_path):
    first = p.import_network(SEED_FILE, "cddm", "theirs")
    before = counts(p)
    with pytest.raises(ParameterError, match=r"imported before, as task_name 'cddm', network_name"):
        p.import_network(SEED_FILE, "cddm", "other")
    assert counts(p) == before
    # Other weights of the same parameters are the next seed; the name given first stays.
    fields = json.loads(SEED_FILE.read_text())
    fields["W_rec"][0][1] *= 0.5
    second = p.import_network(altered(tmp_path, W_rec=fields["W_rec"]), "cddm", "other")
    assert second == {**first, "first_seed": 1, "seed": 1}
    notes = (p.Training.Source & second).fetch1("notes")
    assert (
        "network_name: equal parameters exist as 'theirs', under which it was entered and not"
        in (" ".join(notes))
    )
    assert "network_name" not in " ".join((p.Training.Source & first).fetch1("notes"))
    assert len(p.NetworkParams()) == 1
    # For another task it is another network.
    task = submission["tasks"]["cddm"]
    p.Task.insert1(
        {"task_name": "longer", "task_class": "CDDM", "n_steps": 25, "params": task["params"]}
    )
    assert p.import_network(SEED_FILE, "longer")["seed"] == 0


def test_a_state_dict_of_another_program_becomes_a_row(p, tmp_path):
    torch.manual_seed(0)
    module = torch.nn.ModuleDict(
        {"rnn": torch.nn.RNN(6, 9), "readout": torch.nn.Linear(9, 2, bias=False)}
    )
    torch.save(module.state_dict(), tmp_path / "theirs.pt")
    mapping = {
        "names": {
            "W_rec": "rnn.weight_hh_l0", "W_inp": "rnn.weight_ih_l0", "W_out": "readout.weight",
            "b_rec": ["rnn.bias_ih_l0", "rnn.bias_hh_l0"],
        },
        "config": {"activation": "tanh"},
    }  # fmt: skip
    before = counts(p)
    with pytest.raises(ParameterError, match="--mapping"):
        p.import_network(tmp_path / "theirs.pt", "cddm")
    assert counts(p) == before
    key = p.import_network(tmp_path / "theirs.pt", "cddm", mapping=mapping)
    stored = (p.Training.Network & key).load()
    own = read_network(tmp_path / "theirs.pt", mapping=mapping).to_numpy()
    u = np.random.default_rng(0).normal(size=(6, 15, 3))
    assert all(np.array_equal(a, b) for a, b in zip(stored.run(u), own.run(u), strict=True))
    source = (p.Training.Source & key).fetch1()
    assert source["format"] == "state_dict"
    assert "W_rec = rnn.weight_hh_l0" in source["notes"][0]
    assert (p.NetworkParams & key).fetch1("tau") == (p.NetworkParams & key).fetch1("dt")


@pytest.mark.parametrize("format", ["seed-json", "seed-npz", "npz", "state_dict"])
def test_export_and_import_give_the_same_network(p, submission, tmp_path, format):
    p.submit(submission)
    p.fill((p.Training,))
    key = (p.Training.Network & {"seed": 3}).keys()[0]
    path = p.export_network(key, tmp_path / "network", format)
    again = p.import_network(path, "cddm")
    assert again["network_name"] == "small"  # the same parameters, by the name they have
    assert again["training_name"] == "imported"
    one, other = ((p.Training.Network & k).fetch1() for k in (key, again))
    for name in ("w_rec", "w_inp", "w_out", "b_rec", "x_init"):
        assert np.array_equal(np.asarray(one[name]), np.asarray(other[name]))
    assert other["r2"] == pytest.approx(one["r2"], abs=1e-4)
    assert list(tmp_path.glob(".*")) == []
    with pytest.raises(ParameterError, match="2 networks"):
        p.export_network({"network_name": "small", "training_name": "short"}, path)


SQUARE = [[0.0] * 12] * 11
BAD = {
    "more inputs than the task": ({"W_inp": [[0.1] * 5] * 12}, "n_inputs"),
    "fewer outputs": ({"W_out": [[0.1] * 12]}, "n_outputs"),
    "not finite": ({"W_rec": [[float("nan")] * 12] * 12}, "W_rec"),
    "not finite bias": ({"bias": [float("inf")] * 12}, "b_rec"),
    "not square": ({"W_rec": SQUARE}, "W_rec"),
    "ragged": ({"W_inp": [[1.0], [1.0, 2.0]]}, "W_inp"),
    "text": ({"W_out": [["a"] * 12] * 2}, "W_out"),
    "missing weights": ({"W_out": None}, "W_out"),
    "other number of units": ({"N": 13}, "N"),
    "short bias": ({"bias": [0.0] * 3}, "b_rec"),
    "unknown activation": ({"activation_args": {"name": "spike"}}, "activation"),
    "unknown argument": ({"activation_args": {"name": "relu", "leak": 1}}, "leak"),
    "no activation": ({"activation_args": None}, "activation_args"),
    "unknown form": ({"equation_type": "r"}, "equation_type"),
    "no tau": ({"tau": None}, "tau"),
    "dt above tau": ({"dt": 40.0}, "dt"),
    "readout bias": ({"bias_out": [0.1, 0.0]}, "bias_out"),
    "unstable": ({"W_rec": [[1e200] * 12] * 12}, "W_rec"),
}


@pytest.mark.parametrize("case", BAD)
def test_a_wrong_network_is_refused_whole(p, store, tmp_path, case):
    changes, named = BAD[case]
    refused(p, store, named, altered(tmp_path, **changes), "cddm")


def refused(p, store, named, *arguments):
    before, stored = counts(p), files(store)
    with pytest.raises(ParameterError) as caught:
        p.import_network(*arguments)
    assert named in str(caught.value)
    assert "\n" not in str(caught.value)
    assert caught.value.remedy
    assert counts(p) == before
    assert files(store) == stored


class Evil:
    def __reduce__(self):
        return (Path("/nowhere/evil").touch, ())


def test_a_wrong_file_is_refused_whole(p, store, tmp_path):
    path = tmp_path / "file"
    network = read_network(SEED_FILE)
    refused(p, store, "FILE", tmp_path / "none.json", "cddm")
    refused(p, store, "FILE", tmp_path, "cddm")
    refused(p, store, "task_name", SEED_FILE, "no'such")
    refused(p, store, "network_name", SEED_FILE, "cddm", "a name; with blanks")
    refused(p, store, "config", SEED_FILE, "cddm", None, tmp_path / "none.yaml")
    for content in (b"", b"hello", b"[1, 2]", b"\x89PNG\r\n", b"{", SEED_FILE.read_bytes()[:999]):
        path.write_bytes(content)
        refused(p, store, "FILE", path, "cddm")
    for format in ("npz", "seed-npz", "state_dict"):
        write_network(path, network.to_numpy(), network.config, format)
        path.write_bytes(path.read_bytes()[:-300])
        refused(p, store, "FILE", path, "cddm")
    for evil in (Evil(), {"W_rec": Evil()}):
        path.write_bytes(pickle.dumps(evil))
        refused(p, store, "pickle", path, "cddm")
        torch.save(evil, path)
        refused(p, store, "FILE", path, "cddm")
    np.savez(path, W_rec=np.array([None, Evil.__name__]), W_inp=np.ones((2, 6)))
    refused(p, store, "pickle", path.with_suffix(".npz"), "cddm")
    other = DATA / "seed_h_sigmoid_config.yaml"
    refused(p, store, "config.activation_args", SEED_FILE, "cddm", None, other)


def test_a_name_in_use_is_refused_whole(p, store):
    p.NetworkParams.insert1({"network_name": "taken", "n_units": 3})
    refused(p, store, "network_name", SEED_FILE, "cddm", "taken")


def test_a_failure_while_inserting_leaves_no_row(p, store, monkeypatch):
    def fail(self, rows, **kwargs):
        raise OSError("no space left")

    monkeypatch.setattr(p.Training.Network, "insert", fail)
    with pytest.raises(OSError, match="no space"):
        p.import_network(SEED_FILE, "cddm")
    assert counts(p) == [0] * 6


def test_an_import_that_another_one_overtakes_looks_again(p, monkeypatch):
    """Both want the same seed, and to enter the same parameters first."""
    from pipeline import exchange as imported

    other = read_network(SEED_FILE)
    enter, overtaken = imported._enter, []

    def late(network, r2, file, task_name, name):
        if not overtaken:
            overtaken.append(enter(replace(other, sha256="0" * 64), r2, "other", task_name, name))
            raise DuplicateError("the seed was taken")
        return enter(network, r2, file, task_name, name)

    monkeypatch.setattr(imported, "_enter", late)
    key = p.import_network(SEED_FILE, "cddm")
    assert key["seed"] == overtaken[0]["seed"] + 1
    assert key["network_name"] == overtaken[0]["network_name"]
    assert len(p.Training.Network()) == 2

    def never(*arguments):
        raise DuplicateError("always")

    monkeypatch.setattr(imported, "_enter", never)
    with pytest.raises(DuplicateError):
        p.import_network(SEED_FILE, "cddm")


def test_command_line(server, store, tmp_path, submission, arguments):
    import pipeline
    from pipeline.database import schemas

    pipeline.connect(**arguments)
    pipeline.submit({"tasks": submission["tasks"]})
    common = {**server.environment, "RNN_STORE": str(store), "RNN_PREFIX": arguments["prefix"]}
    words = ("import", str(SEED_FILE), "--task", "cddm", "--network", "theirs")
    result = run_rnn(*words, **common)
    assert result.returncode == 0, result.stderr
    assert "cddm/theirs/imported seed 0" in result.stdout
    assert "note: sigma_rec" in result.stdout
    out = tmp_path / "out.json"
    row = ("--task", "cddm", "--network", "theirs", "--training", "imported", "--seed", "0")
    result = run_rnn("export", str(out), "--format", "seed-json", *row, **common)
    assert result.returncode == 0, result.stderr
    assert json.loads(out.read_text())["W_rec"] == json.loads(SEED_FILE.read_text())["W_rec"]
    assert_one_line(run_rnn(*words, **common), "FILE", "theirs")
    assert_one_line(run_rnn("export", str(out), "--format", "onnx", *row, **common), "format")
    assert_one_line(run_rnn("export", str(tmp_path / "no" / "f"), *row, **common), "no/f")
    pipeline.connect(**arguments)
    schemas.drop()
    pipeline.disconnect()
