"""A lab's own tables below those of the pipeline: declared, filled by workers, followed."""

from __future__ import annotations

import importlib
import os
import sys
from pathlib import Path

import datajoint as dj
import numpy as np
import pytest
from typer.testing import CliRunner

from pipeline.cli.commands import app
from pipeline.database.connection import connection
from pipeline.tables.own_tables import own_tables
from pipeline.workers.queue import Queue
from pipeline.workers.registry import Worker
from tasks_lib.errors import ParameterError
from tests.pipeline.workers import Laboratory, submission, wait_until

pytestmark = pytest.mark.either_backend

EXAMPLE = Path(__file__).parents[2] / "examples" / "own_tables.py"
SCHEMA = f"lab_{os.getpid()}"
MORE = f"""
import os
import time
import datajoint as dj
import own_tables_of_a_lab as lab

other = dj.Schema("{SCHEMA}")  # a second object of the same schema

@other
class Summary(dj.Computed):
    definition = '''
    -> lab.RecurrentWeights
    ---
    twice : float64
    '''
    def make_fetch(self, key):
        return ((lab.RecurrentWeights & key).fetch1("spectral_radius"),)
    def make_compute(self, key, radius):
        if os.environ.get("LAB_FAILS"):
            raise ValueError("no such luck")
        return (2 * radius,)
    def make_insert(self, key, twice):
        self.insert1({{**key, "twice": twice}})

@other
class ByGenerator(dj.Imported):
    definition = '''
    -> lab.RecurrentWeights
    ---
    number : int32
    '''
    def make(self, key):
        number = (lab.RecurrentWeights & key).fetch1("n_connections")
        computed = yield number
        if computed is None:
            computed = number + 1
            yield computed
        self.insert1({{**key, "number": computed}})
        yield

@other
class Empty(dj.Computed):
    definition = '''
    -> lab.RecurrentWeights
    '''
    def make(self, key):
        pass
"""


@pytest.fixture
def lab_module(tmp_path, monkeypatch):
    """The example as a module of a lab, with a schema that is dropped in the end."""
    source = EXAMPLE.read_text().replace('"lab_mine"', f'"{SCHEMA}"')
    (tmp_path / "own_tables_of_a_lab.py").write_text(source)
    (tmp_path / "more_of_a_lab.py").write_text(MORE)
    monkeypatch.syspath_prepend(tmp_path)
    yield "own_tables_of_a_lab"
    for name in ("own_tables_of_a_lab", "more_of_a_lab"):
        sys.modules.pop(name, None)


@pytest.fixture
def own(database, lab_module):
    yield database, lab_module
    for name in ("own_tables_of_a_lab", "more_of_a_lab"):
        sys.modules.pop(name, None)
    schema = dj.Schema(SCHEMA)
    schema.drop(prompt=False)


def run(*words):
    result = CliRunner().invoke(app, words)
    return result.exit_code, result.stdout, result.stderr


@pytest.mark.both_backends
def test_datajoints_own_calls_give_the_connection(own):
    database, name = own
    assert dj.conn() is connection()
    lab = importlib.import_module(name)
    assert lab.schema.connection is connection()
    assert {SCHEMA, database.Training.database} <= set(dj.list_schemas())
    assert len(lab.Threshold()) == 2


def test_own_tables_are_filled_beside_the_pipelines(own, submission):
    database, name = own
    database.submit(submission)
    lab = importlib.import_module(name)
    more = importlib.import_module("more_of_a_lab")
    tables = own_tables([name, "more_of_a_lab"])
    assert tables.index(lab.RecurrentWeights) < tables.index(more.Summary)
    # In the wrong order: each waits for what it needs.
    filled = database.fill(
        [more.Summary, more.ByGenerator, lab.RecurrentWeights, database.Training]
    )
    assert (filled.made, filled.errors) == (1 + 4 + 4 + 4, [])
    row = (lab.RecurrentWeights & {"threshold_name": "strong", "seed": 3}).fetch1()
    weights = (database.Training.Network & row).load().W_rec
    assert np.array_equal(row["singular_values"], np.linalg.svd(weights, compute_uv=False))
    assert len(lab.RecurrentWeights.Unit()) == 4 * 12
    assert set(more.Summary.to_arrays("twice")) == set(
        2 * lab.RecurrentWeights.to_arrays("spectral_radius")
    )
    assert set(more.ByGenerator.to_arrays("number")) == set(
        lab.RecurrentWeights.to_arrays("n_connections") + 1
    )
    lab.Remark.insert1({**(database.Training.Network & {"seed": 3}).keys()[0], "remark": "odd"})
    assert (lab.Remark * lab.RecurrentWeights * database.Training.Network).to_arrays(
        "remark"
    ).tolist() == ["odd", "odd"]


def test_a_make_that_inserts_nothing_fails_once(own, submission):
    database, name = own
    database.submit(submission)
    importlib.import_module(name)
    more = importlib.import_module("more_of_a_lab")
    filled = database.fill([database.Training, more.lab.RecurrentWeights, more.Empty])
    assert len(filled.errors) == 4
    table, _, message = filled.errors[0]
    assert table == f"{SCHEMA}.Empty"
    assert message.startswith("NothingInserted: make of Empty returned without inserting")


def test_own_tables_follow_a_new_connection(own, arguments, submission):
    database, name = own
    lab = importlib.import_module(name)
    database.submit(submission)
    database.fill([database.Training])
    database.disconnect()
    database.connect(**arguments)
    assert lab.schema.connection is connection() is lab.Remark().connection
    assert len(lab.Remark * database.Training.Network) == 0
    assert lab.RecurrentWeights.populate()["success_count"] == 4
    assert len(lab.RecurrentWeights * database.Training.Network) == 4
    assert own_tables([name]) == (lab.RecurrentWeights,)


@pytest.mark.both_backends
def test_deleting_upstream_deletes_what_is_below(own, submission):
    database, name = own
    lab = importlib.import_module(name)
    database.submit(submission)
    database.fill([database.Training, lab.RecurrentWeights])
    database.Training.delete(prompt=False)
    assert len(lab.RecurrentWeights()) == len(lab.RecurrentWeights.Unit()) == 0


@pytest.mark.both_backends
def test_workers_fill_own_tables(own, lab: Laboratory, monkeypatch):
    database, name = own
    database.submit(submission(5, n_cohorts=2))
    options = ("--module=own_tables_of_a_lab", "--module=more_of_a_lab", "--table=Training")
    options += ("--table=RecurrentWeights", f"--table={SCHEMA}.Summary")
    lab.environment = {"PYTHONPATH": sys.path[0], "LAB_FAILS": "1"}
    failing = lab.start_apart(*options, environment=lab.environment)
    lab.ended(failing, 90, status=3)
    tables = importlib.import_module(name)
    more = importlib.import_module("more_of_a_lab")
    assert len(tables.RecurrentWeights()) == 4
    assert len(more.Summary()) == 0
    modules = ("--module", "own_tables_of_a_lab", "--module", "more_of_a_lab")
    monkeypatch.setattr(database, "connect", lambda **_: None)
    monkeypatch.setattr(database, "disconnect", lambda: None)
    status, out, _ = run("failures", "--table", "Summary", *modules)
    assert status == 0 and "ValueError: no such luck" in out and out.endswith("4 jobs failed.\n")
    status, out, _ = run("status", *modules)
    (line,) = [line for line in out.splitlines() if f"{SCHEMA}.Summary" in line and "│" in line][:1]
    assert [word for word in line.split() if word.isdigit()] == ["0", "0", "0", "4"]
    status, out, _ = run("retry", *modules, "--error", "luck")
    assert status == 0 and "4 jobs are pending again." in out
    del lab.environment["LAB_FAILS"]
    workers = [lab.start_apart(*options, environment=lab.environment) for _ in range(2)]
    for worker in workers:
        lab.ended(worker, 90)
    assert len(more.Summary()) == 4
    assert {row["state"] for row in Worker().to_dicts()} == {"ended"}


def test_the_job_of_a_worker_that_died_comes_back(own, lab: Laboratory):
    """One without the module looks after the others; only who knows the table can do that."""
    database, name = own
    database.submit(submission(5))
    database.fill([database.Training])
    tables = importlib.import_module(name)
    queue = Queue(tables.RecurrentWeights)
    queue.prepare()
    queue.enter(connection())
    assert queue.take_next(connection(), 7, "", 1)
    Worker.insert1(
        {"worker_id": 7, "host": "gone", "pid": 1, "device": "cpu", "n_threads": 1,
         "code_version": "", "state": "lost", "started_at": "2020-01-01", "beat_at": "2020-01-01",
         "beat_seconds": 0.5}
    )  # fmt: skip
    lab.start("--table=Training", "--forever")
    environment = {"PYTHONPATH": sys.path[0]}
    lab.start_apart(
        f"--module={name}", "--table=RecurrentWeights", "--forever", environment=environment
    )
    wait_until(lambda: len(tables.RecurrentWeights()) == 2)
    lab.end()


@pytest.mark.parametrize(
    ("source", "problem"),
    [
        (None, "cannot be imported (ModuleNotFoundError"),
        ("1 / 0", "cannot be imported (ZeroDivisionError"),
        ("import sys; sys.exit(2)", "cannot be imported (SystemExit"),
        ("x = 1", "has no Computed or Imported table"),
        ("", "has no Computed or Imported table"),
        (
            "import datajoint as dj\nclass T(dj.Computed):\n    definition = '-> X'\n",
            "its table T is bound to no schema",
        ),
        (
            f"import datajoint as dj\ns = dj.Schema('{SCHEMA}')\n"
            "@s\nclass A(dj.Manual):\n    definition = 'a : int32'\n"
            "@s\nclass B(dj.Computed):\n    definition = '-> A'\n",
            "of its tables (B) none depends on a table of the pipeline",
        ),
    ],
)
def test_a_module_that_cannot_be_used_is_one_line(own, tmp_path, source, problem):
    if source is not None:
        (tmp_path / "wrong_module.py").write_text(source)
    importlib.invalidate_caches()
    try:
        with pytest.raises(ParameterError) as error:
            own_tables(["wrong_module"])
    finally:
        sys.modules.pop("wrong_module", None)
    line = str(error.value)
    assert line.startswith("module = 'wrong_module': ") and problem in line
    assert "\n" not in line


def test_a_name_that_is_no_module_is_refused(database):
    for name in ("tables.py/x", "a-b", "", "a..b"):
        with pytest.raises(ParameterError, match="is not the name of a module"):
            own_tables([name])


@pytest.mark.both_backends
def test_tables_in_a_schema_of_the_pipeline_are_refused_and_not_left_there(
    database, tmp_path, monkeypatch
):
    """What lies there is taken for ours, by upgrades and by `rnn gc`."""
    from pipeline.database.schemas import SCHEMAS
    from pipeline.database.server import base_tables

    name = SCHEMAS["dynamics"].database
    (tmp_path / "intruding_module.py").write_text(
        "import datajoint as dj\nfrom pipeline import FixedPoints, Training\n"
        f"schema = dj.Schema('{name}')\n"
        "@schema\nclass Mine(dj.Computed):\n    definition = '-> FixedPoints'\n"
        "    class Part(dj.Part):\n        definition = '-> master\\nnumber : int32'\n"
        "@schema\nclass Below(dj.Computed):\n    definition = '-> Mine'\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    importlib.invalidate_caches()
    before = sorted(base_tables(connection(), name))
    try:
        with pytest.raises(ParameterError) as error:
            own_tables(["intruding_module"])
    finally:
        sys.modules.pop("intruding_module", None)
    assert f"its table Below is in {name}, a schema of the pipeline" in str(error.value)
    assert "schema of your own" in str(error.value)
    assert sorted(base_tables(connection(), name)) == before
