"""Databases that releases made, brought up to this version: nothing is lost, all is readable."""

from __future__ import annotations

import logging
import os
import re
import subprocess
import sys
from dataclasses import make_dataclass

import numpy as np
import pytest
from datajoint.builtin_codecs.npy import NpyRef
from datajoint.errors import DataJointError

import models
import pipeline
from models.files.yaml_documents import read_yaml
from models.network.config import NetworkConfig
from models.parameters import documented, mapping, number
from pipeline.database import connection as connections
from pipeline.database import schemas, upgrades
from pipeline.database.alterations import Alterations
from pipeline.database.state import read_state
from pipeline.tables import network as network_module
from pipeline.tables.parameters import columns
from pipeline.upkeep.verify import verify
from pipeline.upkeep.verify_files import verify_files
from pipeline.upkeep.verify_rows import verify_rows
from tasks_lib import ParameterError
from tests import preloaded
from tests.kept_schemas import drop_schemas
from tests.pipeline import own, released
from tests.pipeline.test_roles import connect_as as connect_as  # a fixture
from tests.servers import Server

pytestmark = [pytest.mark.fresh_schemas, pytest.mark.usefixtures("own_classes_allowed")]

SUBMISSION = released.HERE / "submission.yaml"
NONE_NEW = {"tasks": 0, "networks": 0, "trainings": 0, "cohorts": 0}
PARAMETERS = (pipeline.Task, pipeline.NetworkParams, pipeline.TrainingParams)


FIRST = released.RELEASES[0]  # from which there is most to do
every_release = pytest.mark.parametrize("release", released.RELEASES)


@pytest.fixture
def release():
    return FIRST


@pytest.fixture
def old(release, server, arguments, store):
    """A database that a release made, to which nothing has connected since."""
    released.restore(release, server, arguments["prefix"], store)
    yield release
    pipeline.disconnect()
    drop_schemas(server, arguments["prefix"])


def state(arguments):
    return read_state(arguments["prefix"], connections.connection())


def everything(p):
    """Read every row of every table, its arrays and figures too; return the counts."""
    counts = {}
    for name, schema in schemas.SCHEMAS.items():
        for table in schema.tables:
            rows = table().to_dicts()
            for value in (value for row in rows for value in row.values()):
                if isinstance(value, NpyRef):
                    np.asarray(value)
            counts[f"{name}.{table.table_name}"] = len(rows)
    return counts


def run_rnn(server: Server, arguments, *words):
    environment = {**os.environ, **server.environment, "RNN_PREFIX": arguments["prefix"]}
    environment |= {"RNN_STORE": str(arguments["store"]), "OMP_NUM_THREADS": "1"}
    return preloaded.run(
        [sys.executable, "-W", "ignore", "-m", "pipeline.cli", *words],
        env=environment, capture_output=True, text=True,
    )  # fmt: skip


def test_connecting_says_what_is_behind_and_changes_nothing(old, server, arguments):
    with pytest.raises(pipeline.DatabaseError, match="were made by an earlier version") as caught:
        pipeline.connect(**arguments)
    line = str(caught.value)
    assert "m0003_columns_that_join has not been run" in line and "run `rnn declare`" in line
    assert "\n" not in line
    said = run_rnn(server, arguments, "status")
    assert said.returncode == 1 and "run `rnn declare`" in said.stderr
    assert len(said.stderr.splitlines()) == 1 and not said.stdout


@every_release
def test_declare_brings_it_up_and_nothing_is_lost(old, server, arguments):
    pending = {*upgrades.known_migrations()} - released.migrations(old, server.backend)
    assert len(pending) == len(upgrades.known_migrations()) or old != FIRST
    basins = f"{arguments['prefix']}_dynamics.__basins"
    if old != FIRST:  # which had no basins
        without = "basin_status = 'no_attractor', n_attractors = 0, elsewhere = 1"
        released.execute(server, f"UPDATE {basins} SET {without} WHERE input_name = 'color'")
    said = run_rnn(server, arguments, "declare")
    assert said.returncode == 0, said.stderr
    assert set(re.findall(r"\b(m\d{4}_\w+): ", said.stdout)) == pending
    assert "behind" not in said.stderr + said.stdout
    if pending:
        again = run_rnn(server, arguments, "declare")
        assert again.returncode == 0 and not re.search(r"\bm\d{4}_", again.stdout + again.stderr)

    pipeline.connect(**arguments)
    found = state(arguments)
    assert (found.behind, found.ahead, found.missing) == ([], [], set())
    before = released.rows(old, server.backend)
    counts = everything(pipeline)
    had = {name: n for name, n in before.items() if "~" not in name}
    if pending:  # of which a row is kept each
        had.pop("work.applied_migration", None)
    if old != FIRST:
        shares = {(r["basin_status"], r["elsewhere"]) for r in pipeline.Basins.to_dicts()}
        assert shares == {("no_attractor", None), ("analysed", 0.0)}
    after = {name: counts[name] for name in had}
    print(f"\n{old} on {server.backend}: {sum(had.values())} rows in {len(had)} tables: {had}")
    assert after == had
    assert verify_rows().faults == []
    files = verify_files()
    assert files.is_whole and files.n_files > 100

    # Equal parameters are the same rows, by the hash of today.
    for table in PARAMETERS:
        for row in table.to_dicts():
            assert row[table.hash_field] == table.hashes(table.parameters_of_row(row))[0]
    assert pipeline.submit(read_yaml("FILE", SUBMISSION)) == NONE_NEW
    data = released.HERE.parents[1] / "data"
    seed, config = data / "seed_s_relu_dale.json", data / "seed_s_relu_dale_config.yaml"
    with pytest.raises(ParameterError, match="was imported before"):
        pipeline.import_network(seed, "cddm", "theirs", config)


@pytest.mark.either_backend
@every_release
def test_what_was_brought_up_is_worked_with(old, arguments, monkeypatch):
    pipeline.connect(**arguments, declare=True)
    _migrations_run_again_change_nothing(arguments)
    if old == FIRST:
        _results_of_the_first_release_say_what_they_are(arguments)
        _a_stored_task_that_is_refused_by_now_is_made()
    _training_goes_on()
    _old_networks_verify()
    _a_users_task_that_gets_an_argument_keeps_its_rows(monkeypatch)


def _migrations_run_again_change_nothing(arguments):
    before = everything(pipeline), pipeline.NetworkParams.to_dicts()
    for name in upgrades.known_migrations():
        database = Alterations(arguments["prefix"], connections.connection())
        upgrades.migration(name).migrate(database)
    pipeline.disconnect()
    pipeline.connect(**arguments)
    assert (everything(pipeline), pipeline.NetworkParams.to_dicts()) == before
    assert state(arguments).behind == []


def _training_goes_on():
    more = {"task": "cddm", "network": "small", "training": "short", "n_networks": 1}
    entered = pipeline.submit({"cohorts": [{**more, "first_seed": 10}]})
    assert entered["cohorts"] == 1
    tables = (pipeline.Training, pipeline.Validation, pipeline.Psychometric, pipeline.FixedPoints)
    assert pipeline.fill(tables).errors == []
    new = {"seed": 10, "task_name": "cddm"}
    assert None not in (pipeline.Psychometric.Fit & new).to_arrays("fit_status").tolist()
    assert len(pipeline.Psychometric.Choice & new) > 0
    assert None not in (pipeline.FixedPoints & new).to_arrays("n_map_stable").tolist()
    assert set(pipeline.Training.Network.to_arrays("seed")) == {0, 3, 10}


def _results_of_the_first_release_say_what_they_are(arguments):
    p = pipeline
    fits = p.Psychometric.Fit.to_dicts()
    assert len(fits) == 16
    for fit in fits:
        assert fit["fit_status"] == ("least_squares" if fit["converged"] else "no_fit")
        assert fit["slope_error"] is None
    # One whose fit had converged, as the release wrote it.
    curve = {"bias": 0.1, "slope": 5.0, "lapse_low": 0.02, "lapse_high": 0.2}
    key = {name: fits[0][name] for name in p.Psychometric.Fit.primary_key}
    database = Alterations(arguments["prefix"], connections.connection())
    empty = {"fit_status": None, "indifference": None}
    table = ("performance", "__psychometric__fit")
    database.update(*table, key, {**curve, "converged": True, **empty})
    upgrades.migration("m0004_fits_say_what_they_are").migrate(database)
    row = (p.Psychometric.Fit & key).fetch1()
    assert row["fit_status"] == "least_squares" and row["converged"]
    shown = models.psychometric_curve(row["indifference"], **curve)
    assert shown == pytest.approx(0.5) and row["indifference"] != row["bias"]
    first = {name: fits[0][name] for name in (*curve, "converged", *empty)}
    database.update(*table, key, first)
    assert set(p.Training.to_arrays("n_together")) == {1}
    assert set(p.Training.to_arrays("product_precision")) == {"ieee"}  # there was no other
    # What was not stored follows from what was.
    for key in p.FixedPoints.keys():
        found = (p.FixedPoints & key).load()
        assert found.alpha == (p.Training.Network & key).load().alpha
        assert len(found.map_stability) == len(found)
        assert (p.FixedPoints & key).fetch1("n_map_stable") is None
    assert set(p.LineAttractor.Context.to_arrays("line_followed")) == {None}


def _a_stored_task_that_is_refused_by_now_is_made():
    row = {"task_class": "CDDM", "n_steps": 20, "n_inputs": 6, "n_outputs": 2}
    params = {"stim_on": 10, "dec_on": 5}
    with pytest.raises(ParameterError, match="dec_on = 5: is before stim_on = 10"):
        pipeline.Task.insert1({"task_name": "early", **row, "params": params})
    assert pipeline.Task.build({**row, "params": params}).dec_on == 5


def _old_networks_verify():
    result = verify({"task_name": "cddm", "training_name": "short", "seed": 3}, "cpu")
    changed = [str(change) for change in result.changed]
    assert not any("Params" in change or "Task" in change for change in changed), changed


def _a_users_task_that_gets_an_argument_keeps_its_rows(monkeypatch):
    p = pipeline
    earlier = own.Echo.__init__

    def later(self, n_steps=10, n_inputs=1, n_outputs=1, n_values=4, gain=1.0, seed=None):
        earlier(self, n_steps, n_inputs, n_outputs, n_values, seed)
        self.gain = gain

    monkeypatch.setattr(own.Echo, "__init__", later)
    assert p.submit(read_yaml("FILE", SUBMISSION)) == NONE_NEW
    echo = {"task_class": "tests.pipeline.own:Echo", "n_steps": 8}
    with pytest.raises(ParameterError, match="has the same parameters as 'echo'"):
        p.Task.insert1({"task_name": "again", **echo, "params": {"gain": 1.0}})
    with pytest.raises(ParameterError, match="exists with other parameters"):
        p.Task.insert1({"task_name": "echo", **echo, "params": {"gain": 2.0}})
    p.Task.insert1({"task_name": "louder", **echo, "params": {"gain": 2.0}})
    # What its author makes of a default later on is another set.
    monkeypatch.setattr(own.Echo, "__init__", lambda self, n_steps=10, n_inputs=1, n_outputs=1,
                        n_values=5, seed=None: earlier(self, n_steps, n_inputs, n_outputs,
                                                       n_values, seed))  # fmt: skip
    with pytest.raises(ParameterError, match="exists with other parameters"):
        p.submit({"tasks": {"echo": {"class": "tests.pipeline.own:Echo", "n_steps": 8}}})


def test_an_interrupted_upgrade_goes_on_where_it_was(old, arguments, monkeypatch):
    class Interrupted(Exception):
        pass

    query, left = Alterations.query, 0

    def until_none_is_left(self, sql, args=()):
        nonlocal left
        if not sql.startswith("SELECT"):
            left -= 1
            if left < 0:
                raise Interrupted(sql)
        return query(self, sql, args)

    monkeypatch.setattr(Alterations, "query", until_none_is_left)
    attempt, causes = 0, []
    while attempt == 0 or causes[-1] is not None:
        left = attempt = attempt + 2  # so many statements more each time
        try:
            pipeline.connect(**arguments, declare=True)
            causes.append(None)
        except pipeline.DatabaseError as error:
            causes.append(type(error.__cause__))
    assert len(causes) > 3 and set(causes[:-1]) == {Interrupted}
    found = state(arguments)
    assert (found.behind, found.missing) == ([], set())
    assert everything(pipeline)["training.__training__network"] == 3
    assert pipeline.submit(read_yaml("FILE", SUBMISSION)) == NONE_NEW


def test_one_that_was_only_half_made_becomes_whole(old, arguments):
    with connected(arguments) as opened:
        tables = Alterations(arguments["prefix"], opened)
        what, rest = ("DATABASE", "") if arguments["backend"] == "mysql" else ("SCHEMA", " CASCADE")
        for name in ("work", "dynamics", "performance", "training", "network"):
            tables.query(f"DROP {what} {tables.quoted(arguments['prefix'] + '_' + name)}{rest}")
    pipeline.connect(**arguments, declare=True)
    found = state(arguments)
    assert (found.behind, found.missing) == ([], set())
    assert len(pipeline.Task()) == 2 and len(pipeline.NetworkParams()) == 0


def test_processes_that_bring_it_up_at_once_all_succeed(old, server, arguments):
    code = (
        "import sys, pipeline\n"
        "pipeline.Training, pipeline.NetworkParams\n"  # imports
        "print(flush=True)\n"
        "sys.stdin.readline()\n"
        "pipeline.connect(prefix=sys.argv[1], declare=True)\n"
        "print(len(pipeline.database.connection.changes_made()))\n"
    )
    environment = {**os.environ, **server.environment, "RNN_STORE": str(arguments["store"])}
    processes = [
        preloaded.Popen(
            [sys.executable, "-W", "ignore", "-c", code, arguments["prefix"]],
            env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )
        for _ in range(3)
    ]  # fmt: skip
    for process in processes:
        process.stdout.readline()  # it is ready
    for process in processes:
        process.stdin.write("\n")
        process.stdin.flush()
    said = sorted(int(process.communicate(timeout=60)[0]) for process in processes)
    assert [process.returncode for process in processes] == [0, 0, 0]
    assert said[:2] == [0, 0] and said[2] >= len(upgrades.known_migrations())
    pipeline.connect(**arguments)
    assert state(arguments).behind == []


def test_every_migration_says_what_it_does():
    numbers = [name[1:5] for name in upgrades.known_migrations()]
    assert numbers == sorted(set(numbers))
    assert all(number.isdigit() and len(number) == 4 for number in numbers)
    for name in upgrades.known_migrations():
        assert upgrades.migration(name).migrate.__doc__
        assert 20 < len(upgrades.summary(name)) < 120


def test_a_row_of_a_capsule_has_no_share_without_an_attractor():
    migrate_row = upgrades.migration("m0012_no_share_without_an_attractor").migrate_row
    for status, share in (("no_attractor", None), ("analysed", 1.0)):
        row = {"basin_status": status, "elsewhere": 1.0}
        assert migrate_row("Basins", row) == {"basin_status": status, "elsewhere": share}
    assert migrate_row("Basins.Attractor", {"point": 1}) == {"point": 1}


def test_a_new_database_needs_no_migration_and_a_later_one_is_left_alone(
    database, arguments, caplog
):
    assert state(arguments).pending == []
    upgrades.record(arguments["prefix"], connections.connection(), ["m9999_of_later_code"])
    database.disconnect()
    with caplog.at_level(logging.WARNING):
        database.connect(**arguments)
    assert "made by a later version (m9999_of_later_code is not known" in caplog.text
    database.disconnect()
    with pytest.raises(database.DatabaseError, match="left as they are; update this package"):
        database.connect(**arguments, declare=True)


# A field that a later version of the code has.
@documented
class Later(
    make_dataclass(
        "NetworkConfig",
        [("adaptation", float, number(0.0, "how units tire")),
         ("delays", dict, mapping("of units"))],
        bases=(NetworkConfig,), frozen=True,
    )
):  # fmt: skip
    pass


@pytest.fixture
def later_code(monkeypatch):
    """Make the code that of a later version; undone by calling it."""

    def begin():
        definition = pipeline.NetworkParams.definition.replace(
            columns(NetworkConfig), columns(Later)
        )
        assert "adaptation" in definition
        monkeypatch.setattr(pipeline.NetworkParams, "definition", definition)
        monkeypatch.setattr(pipeline.NetworkParams, "config", Later)
        monkeypatch.setattr(network_module, "NetworkConfig", Later)

    begin.undo = monkeypatch.undo
    return begin


def test_a_new_field_is_read_before_there_is_a_column(old, arguments, later_code, caplog):
    p = pipeline
    p.connect(**arguments, declare=True)  # what this version needs to work at all
    p.disconnect()
    later_code()
    with caplog.at_level(logging.WARNING):
        p.connect(**arguments, declare=False)
    assert "adaptation is missing" in caplog.text
    for row in p.NetworkParams.to_dicts():
        assert p.NetworkParams.build(row).adaptation == 0.0
    assert p.submit(read_yaml("FILE", SUBMISSION)) == NONE_NEW
    same = {"n_units": 6, "dale": True, "tau": 2.0, "sigma_rec": 0.02}
    with pytest.raises(ParameterError, match="has the same parameters as 'small'"):
        p.NetworkParams.insert1({"network_name": "again", **same, "adaptation": 0.0})
    with pytest.raises(ParameterError, match="`rnn declare`") as caught:
        p.NetworkParams.insert1({"network_name": "tired", **same, "adaptation": 0.5})
    assert str(caught.value).startswith("adaptation = 0.5: ") and "\n" not in str(caught.value)
    p.NetworkParams.insert1({"network_name": "larger", **same, "n_units": 8})
    with pytest.raises(ParameterError, match="fetch the whole row"):
        p.NetworkParams.build(p.NetworkParams.proj("n_units").to_dicts()[0])

    p.disconnect()
    p.connect(**arguments, declare=True)
    assert any("adaptation is missing: mended" in line for line in connections.changes_made())
    assert set(p.NetworkParams.to_arrays("adaptation")) == {0.0}
    assert p.submit(read_yaml("FILE", SUBMISSION)) == NONE_NEW
    p.NetworkParams.insert1({"network_name": "tired", **same, "adaptation": 0.5})
    assert p.NetworkParams.build(
        (p.NetworkParams & {"network_name": "tired"}).fetch1()
    ).adaptation == 0.5  # fmt: skip
    assert state(arguments).behind == []


def test_earlier_code_reads_what_it_knows_and_refuses_the_rest(
    database, arguments, later_code, caplog
):
    p = database
    p.disconnect()
    later_code()
    p.connect(**arguments, declare=True)
    p.NetworkParams.insert1({"network_name": "plain", "n_units": 6})
    p.NetworkParams.insert1({"network_name": "tired", "n_units": 6, "adaptation": 0.5})
    p.disconnect()
    later_code.undo()
    with caplog.at_level(logging.WARNING):
        p.connect(**arguments)
    assert "later version" in caplog.text and "adaptation is not known" in caplog.text
    rows = {row["network_name"]: row for row in p.NetworkParams.to_dicts()}
    assert p.NetworkParams.build(rows["plain"]).n_units == 6
    with pytest.raises(ParameterError, match=r"adaptation = 0\.5: .*update this package"):
        p.NetworkParams.build(rows["tired"])
    with pytest.raises(ParameterError, match=r"adaptation.*a later version.*update this package"):
        p.NetworkParams.insert1({"network_name": "third", "n_units": 7})
    connections.check_writing()  # workers go on


def test_columns_and_indexes_are_compared_and_mended(database, arguments, caplog):
    p, prefix = database, arguments["prefix"]
    p.submit({"networks": {"small": {"n_units": 5, "tau": 3.0}}})
    tables = Alterations(prefix, connections.connection())
    mysql = tables.connection.adapter.backend == "mysql"
    table = tables.full_name("network", "network_params")
    tables.drop_column("network", "network_params", "constraint_method")
    tables.drop_column("network", "network_params", "activation_args")
    rows = tables.query(
        "SELECT index_name FROM information_schema.statistics WHERE table_schema = %s "
        "AND column_name = 'network_hash'"
        if mysql
        else "SELECT indexname FROM pg_indexes WHERE schemaname = %s AND indexdef LIKE "
        "'%%(network_hash)%%'",
        [f"{prefix}_network"],
    ).fetchall()
    (index,) = rows[0]
    tables.query(
        f"DROP INDEX {tables.quoted(index)} ON {table}" if mysql
        else f'DROP INDEX "{prefix}_network".{tables.quoted(index)}'
    )  # fmt: skip
    null = "MODIFY COLUMN `gamma` double NULL COMMENT ':float64:x'" if mysql else (
        'ALTER COLUMN "gamma" DROP NOT NULL'
    )  # fmt: skip
    tables.query(f"ALTER TABLE {table} {null}")
    behind = "\n".join(state(arguments).behind)
    for what in ("constraint_method is missing", "activation_args is missing",
                 "unique index (network_hash) is missing", "gamma may be null"):  # fmt: skip
        assert what in behind
    p.disconnect()
    p.connect(**arguments, declare=True)
    assert state(arguments).behind == []
    row = p.NetworkParams.fetch1()
    assert (row["constraint_method"], row["activation_args"], row["tau"]) == ("clamp", {}, 3.0)


def test_a_result_without_its_column_stops_all_before_anything_is_computed(database, arguments):
    p, prefix = database, arguments["prefix"]
    tables = Alterations(prefix, connections.connection())
    tables.drop_column("training", "__training", "seconds")
    p.disconnect()
    with pytest.raises(p.DatabaseError, match=r"seconds is missing.*run `rnn declare`"):
        p.connect(**arguments)
    # Nobody knows what its rows should have in it.
    with pytest.raises(p.DatabaseError, match="seconds is missing"):
        p.connect(**arguments, declare=True)
    with connected(arguments) as opened:
        Alterations(prefix, opened).add_column(
            "training", "__training", "seconds : float64 # wall time (s)", 0.0
        )
        Alterations(prefix, opened).add_column("training", "__training", "power : float64 # W", 1)
    p.connect(**arguments)
    with pytest.raises(p.DatabaseError, match=r"power is not known.*can read them and not write"):
        connections.check_writing()


class connected:
    def __init__(self, arguments):
        self.arguments = arguments

    def __enter__(self):
        names = ("backend", "host", "port", "user", "password")
        self.opened = connections._open(*(self.arguments[name] for name in names))
        return self.opened

    def __exit__(self, *_):
        self.opened.close()


def test_a_column_is_renamed_with_the_keys_that_hang_on_it(database, arguments, submission):
    p, prefix = database, arguments["prefix"]
    p.submit(submission)
    tables = Alterations(prefix, connections.connection())
    for _ in range(2):  # again, as after an interruption
        for schema, table in tables.tables_with("first_seed"):
            tables.rename_column(schema, table, "first_seed", "seed_0")
        for schema, table in tables.tables_with("seed_0"):
            tables.rename_column(schema, table, "first_seed", "seed_0")
    structure = tables.structure()
    assert structure["training", "cohort"].primary_key[-1] == "seed_0"
    assert "seed_0" in structure["training", "~~training"].columns
    assert not tables.tables_with("first_seed")
    lineage = tables.query(
        f"SELECT DISTINCT attribute_name FROM {tables.full_name('dynamics', '~lineage')} "
        "WHERE lineage = %s", [f"{prefix}_training.cohort.seed_0"],
    ).fetchall()  # fmt: skip
    # The second network of a pair has that column under a name of its own, which stays.
    assert sorted(name for (name,) in lineage) == ["other_first_seed", "seed_0"]
    assert tables.rows("training", "cohort")[0]["seed_0"] == 3


def test_a_worker_without_rights_works_before_and_after(
    connect_as, database, arguments, submission, monkeypatch
):
    """Before `rnn declare`, and after it before the rights are given anew."""
    for name in upgrades.known_migrations():
        monkeypatch.setattr(upgrades.migration(name), "REQUIRED", False, raising=False)
    database.submit(submission)
    tables = Alterations(arguments["prefix"], connections.connection())
    tables.add_column("network", "network_params", "activation : varchar(32) # f")
    tables.query(f"DROP TABLE {tables.full_name('work', 'applied_migration')}")
    p = connect_as("worker")
    schemas.load_headings()
    assert p.fill((p.Training,)).errors == []
    with pytest.raises(DataJointError):
        Alterations(arguments["prefix"], connections.connection()).drop_column(
            "network", "network_params", "tau"
        )
    database.connect(**arguments, declare=True)
    p = connect_as("worker")
    assert state(arguments).behind == []
    assert p.fill((p.Validation,)).errors == []
