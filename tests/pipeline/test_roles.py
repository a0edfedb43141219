"""Each role on a real server: what it has to be able to do, and what it must not."""

from __future__ import annotations

import os

import numpy as np
import pytest
from datajoint.errors import DataJointError
from typer.testing import CliRunner

import pipeline
from pipeline.cli.commands import app
from pipeline.database import schemas
from pipeline.database.connection import connection
from pipeline.database.roles import ROLES, roles_sql
from pipeline.tables.computed import COMPUTED
from pipeline.workers.status import table_status
from tasks_lib import ParameterError
from tests.pipeline.workers import files_in, run_commands, settings_of
from tests.s3_server import S3Folder

pytestmark = pytest.mark.fresh_schemas

PASSWORD = "only-in-this-test"


def send(sql):
    for statement in sql.splitlines():
        if not statement.startswith("--"):
            connection().query(statement.replace("%", "%%"))  # no place for an argument


@pytest.fixture
def connect_as(database, arguments, server):
    """Connect as a user of a role, who may not declare; None: of no role."""
    prefix = arguments["prefix"]
    mysql = server.backend == "mysql"
    sql = roles_sql(server.backend, prefix)
    send(sql)
    send(sql)  # idempotent
    users = {None: f"{prefix}_u"} | {role: f"{prefix}_u{role}"[:32] for role in ROLES}
    for role, user in users.items():
        full = f"{prefix}_{role}"
        if mysql:
            default = "" if role is None else f" DEFAULT ROLE '{full}'"
            send(f"CREATE USER '{user}'@'%' IDENTIFIED BY '{PASSWORD}'{default};")
        else:
            send(f"CREATE ROLE \"{user}\" LOGIN PASSWORD '{PASSWORD}'")
            if role is not None:
                send(f'GRANT "{full}" TO "{user}"')
            if role == "admin":
                send(f"ALTER ROLE \"{user}\" SET role = '{full}'")

    def connect(role, declare=False, **others):
        own = {"user": users[role], "password": PASSWORD} | others
        database.connect(**{**arguments, **own}, declare=declare)
        return database

    connect.users = users
    yield connect
    database.connect(**arguments)
    schemas.drop()
    for role, user in users.items():
        if mysql:
            send(f"DROP USER '{user}'@'%'" + ("" if role is None else f", '{prefix}_{role}'"))
        elif role is None:
            send(f'DROP ROLE "{user}"')
        else:
            send(f'DROP ROLE "{user}"')
            send(f'DROP OWNED BY "{prefix}_{role}"')
            send(f'DROP ROLE "{prefix}_{role}"')


def refused(statement, *arguments):
    """Whether the server refuses a statement for lack of rights."""
    with pytest.raises(DataJointError) as caught:
        connection().query(statement, args=arguments)
    text = str(caught.value).lower()
    assert any(s in text for s in ("denied", "must be owner", "insufficient privilege")), text


def quoted(table):
    return table.full_table_name


def jobs(table):
    return connection().adapter.make_full_table_name(table.database, schemas.jobs_table_name(table))


def no_changes_of_structure(p):
    refused(f"CREATE TABLE {quoted(p.Training).replace('__training', 'mine')} (a int)")
    refused(f"DROP TABLE {quoted(p.FixedPoints)}")
    refused(f"ALTER TABLE {quoted(p.Training)} ADD COLUMN a int")
    refused("CREATE SCHEMA " + connection().adapter.quote_identifier(f"{p.Task.database}_mine"))


def no_changes_of_results(p):
    for table in (p.Training, p.Training.Network, p.Cohort, p.Task, p.Validation):
        column = table.primary_key[0]
        refused(f"DELETE FROM {quoted(table)}")
        refused(f"UPDATE {quoted(table)} SET {column} = {column}")


def test_experimenter_enters_worker_fills_analyst_reads(connect_as, submission):
    p = connect_as("experimenter")
    assert p.submit(submission) == {"tasks": 1, "networks": 1, "trainings": 1, "cohorts": 1}
    p.ValidationParams().insert1(
        {**p.ValidationParams.to_dicts()[0], "validation_name": "another", "n_repeats": 7}
    )
    (p.ValidationParams & {"validation_name": "another"}).fetch1()
    assert set(p.submit(submission).values()) == {0}
    # What is there is not theirs to change, and they are told what to do.
    p.TrainingParams.insert1({"training_name": "mine", "max_iter": 3})
    penalty = {"training_name": "mine", "penalty": "metabolic", "weight": 1.0}
    for change in (
        lambda: p.TrainingParams.update1({"training_name": "mine", "max_iter": 4}),
        lambda: p.ValidationParams.update1({"validation_name": "noisy", "n_repeats": 4}),
        lambda: p.TrainingParams.Penalty.insert1(penalty),
    ):
        with pytest.raises(ParameterError, match=r"may not be changed by this user.*; enter a new"):
            change()
    assert len(p.TrainingParams.Penalty & {"training_name": "mine"}) == 0
    p.Task.insert1({"task_name": "mine", "task_class": "XOR"})
    p.Task.Input.insert1({"task_name": "mine", "input_name": "half", "input_vector": [0.5] * 4})
    assert p.leave_out(["TrialPlot"]) == p.leave_out(["TrialPlot"], undo=True) == 1
    no_changes_of_structure(p)
    no_changes_of_results(p)
    refused(f"INSERT INTO {quoted(p.Training)} SELECT * FROM {quoted(p.Training)}")
    refused(f"DELETE FROM {jobs(p.Training)}")
    connection().query(f"UPDATE {jobs(p.Training)} SET status = 'pending'")

    p = connect_as("worker")
    filled = p.fill()
    assert filled.errors == [] and filled.made > 8
    assert len(p.Training.Network()) == 2 and len(p.FixedPoints()) > 0
    assert all(s.pending == s.running == s.failed == 0 for s in table_status())
    worker_row = "FOR UPDATE SKIP LOCKED"
    with connection().transaction:
        connection().query(f"SELECT * FROM {quoted(p.Worker)} {worker_row}")
        connection().query(f"SELECT * FROM {jobs(p.Training)} {worker_row}")
        connection().query(f"DELETE FROM {jobs(p.Training)} WHERE pid = -1")
        connection().query(f"UPDATE {quoted(p.Worker)} SET n_done = n_done + 1")
    no_changes_of_structure(p)
    no_changes_of_results(p)
    refused(f"DELETE FROM {quoted(p.Worker)}")
    refused(f"DROP TABLE {jobs(p.Training)}")
    for table in (p.Cohort, p.Task, p.TrainingParams.Penalty, p.FixedPointParams):
        refused(f"INSERT INTO {quoted(table)} SELECT * FROM {quoted(table)}")
    row = p.Cohort.fetch1()
    with pytest.raises(DataJointError):
        p.Cohort.insert1({**row, "first_seed": 100})

    p = connect_as("analyst")
    network = (p.Training.Network & {"seed": 3}).load()
    assert np.isfinite(network.W_rec).all()
    assert len(p.Training.Network * p.Cohort & p.Task & "r2 > -100") == 2
    assert p.TrialPlot.to_arrays("figure")[0].png.startswith(b"\x89PNG")
    assert len(p.Task.Input.to_arrays("input_vector")) > 0
    assert len(table_status()) == len(COMPUTED)
    no_changes_of_structure(p)
    no_changes_of_results(p)
    for table in (p.Cohort, p.Training, p.Training.Network, p.Worker):
        refused(f"INSERT INTO {quoted(table)} SELECT * FROM {quoted(table)}")
    refused(f"UPDATE {jobs(p.Training)} SET status = 'pending'")
    refused(f"DELETE FROM {quoted(p.LostJob)}")
    refused(f"INSERT INTO {quoted(p.Task.Input)} SELECT * FROM {quoted(p.Task.Input)}")
    with pytest.raises(DataJointError):
        p.NetworkParams.insert1({"network_name": "x", "n_units": 5})

    p = connect_as("admin", declare=True)
    (p.Training & {"first_seed": 3}).delete(prompt=False)
    assert len(p.Training.Network()) == 0


@pytest.mark.either_backend
@pytest.mark.parametrize("kind", ["folder", "bucket"])
def test_who_reads_needs_only_read_the_store(
    kind, connect_as, arguments, store, submission, tmp_path, request
):
    """A folder without the right to write, and a bucket whose server refuses to be written to."""
    p, place, address, theirs = pipeline, store, store, {}
    if kind == "bucket":
        s3 = request.getfixturevalue("s3")
        place = S3Folder(s3, arguments["prefix"])
        address = place.address
        p.connect(**{**arguments, "store": address}, declare=True)
        theirs |= {name: value for name, value in os.environ.items() if name.startswith("AWS_")}
        theirs |= s3.variables(s3.reader)
    connect_as("experimenter", store=address)
    p.submit(submission)
    connect_as("worker", store=address)
    assert p.fill((p.Training,)).made == 1
    if kind == "folder":
        for path in (store, *store.rglob("*")):
            path.chmod(0o555 if path.is_dir() else 0o444)
    before = files_in(place)
    name = ["--task=cddm", "--network=small", "--training=short", "--seed=3"]
    reading = [
        ["status"], ["show"], ["summary"], ["failures"], ["verify", *name],
        ["export", str(tmp_path / "network.npz"), *name],
        ["export", "--out", str(tmp_path / "all.zip"), "--no-figures"],
    ]  # fmt: skip
    writing = [
        ["worker"], ["worker", "--forever"], ["worker", "--processes=2"], ["gc", "--delete"],
        ["import", str(tmp_path / "network.npz"), "--task=cddm"],
    ]  # fmt: skip
    settings = settings_of({**arguments, "password": PASSWORD, "store": address}) | theirs
    settings["DJ_CREATE_TABLES"] = "false"
    for role, commands, expected in (
        ("analyst", reading, 0), ("experimenter", [["retry", "--all"]], 0), ("worker", writing, 1)
    ):  # fmt: skip
        user = {"DJ_USER": connect_as.users[role]}
        results = run_commands(commands, settings | user, tmp_path / role)
        for command, (status, out, errors) in zip(commands, results, strict=True):
            assert status == expected, (command, out, errors)
            if expected:
                (line,) = errors.splitlines()
                assert line.startswith("error: store = ") and "cannot be written" in line
    connect_as("analyst", store=address)
    assert len(np.load(tmp_path / "network.npz")["W_rec"]) == 12
    assert len(p.Training()) == 1 and len(p.Validation()) == 0
    assert len(p.Worker()) == 1  # that of the fill above
    assert files_in(place) == before


def test_the_administrator_declares_for_all(server, arguments, connect_as):
    p = connect_as("admin", declare=True)
    p.LineAttractor.jobs.drop()
    p.disconnect()
    with pytest.raises(p.DatabaseError, match="ask the administrator to run `rnn declare`"):
        connect_as("worker")
    with pytest.raises(p.DatabaseError) as caught:
        connect_as("worker", declare=True)
    assert "\n" not in str(caught.value) and "ask for rights" in str(caught.value)
    p = connect_as("admin", declare=True)
    assert p.LineAttractor.jobs.is_declared


def test_experimenters_run_searches_in_tables_of_the_administrator(connect_as, server, arguments):
    pytest.importorskip("optuna")
    from pipeline.searching.search import step
    from pipeline.searching.settings import read_search
    from pipeline.searching.study import declare_studies, study_of
    from tests.pipeline.test_search import SEARCH

    settings = read_search(SEARCH)
    p = connect_as("experimenter")
    p.submit(settings.sections)
    refusal = pytest.raises(pipeline.DatabaseError, match="for rnn declare, where Optuna is")
    with refusal, study_of(settings):
        pass
    p.connect(**arguments)
    schema = declare_studies()
    try:
        send(roles_sql(server.backend, arguments["prefix"]))
        for _ in range(2):  # also the next one, who has not begun the study
            p = connect_as("experimenter")
            with study_of(settings) as study:
                assert step(settings, study).n_running == 2
        no_changes_of_structure(p)
        assert len(p.Cohort()) == 2
    finally:
        p.connect(**arguments)
        cascade = " CASCADE" if server.backend == "postgresql" else ""
        send(f"DROP SCHEMA {connection().adapter.quote_identifier(schema)}{cascade}")


@pytest.mark.parametrize("declare", [True, False])
def test_a_user_without_a_role_is_told_so_in_one_line(connect_as, declare):
    with pytest.raises(pipeline.DatabaseError, match="rights") as caught:
        connect_as(None, declare=declare)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 400


def test_the_command_prints_what_the_function_returns(monkeypatch):
    monkeypatch.setenv("RNN_PREFIX", "lab_a")
    printed = CliRunner().invoke(app, ["roles", "--backend", "postgresql"])
    assert printed.exit_code == 0
    assert printed.stdout == roles_sql("postgresql", "lab_a")
    assert '"lab_a_worker"' in printed.stdout
    mysql = roles_sql("mysql", "lab_a")
    assert r"GRANT SELECT ON `lab\_a\_task`.* TO 'lab_a_analyst';" in mysql.splitlines()
    refusal = CliRunner().invoke(app, ["roles", "--backend", "oracle"])
    assert refusal.exit_code == 1 and "backend = 'oracle'" in refusal.stderr
    with pytest.raises(pipeline.DatabaseError, match="too long for the names of roles"):
        roles_sql("mysql", "a" * 25)


def test_nobody_but_the_administrator_may_delete_results_or_change_structure():
    for backend in ("mysql", "postgresql"):
        for line in roles_sql(backend, "rnn").splitlines():
            if line.startswith("GRANT") and "_admin" not in line:
                rights, _, rest = line.partition(" ON ")
                assert not any(r in rights for r in ("ALL P", "CREATE", "DROP", "ALTER", "GRANT O"))
                # What is said of cohorts, and no result: tables left out, priorities, searches.
                is_said = any(name in rest for name in ("left_out", "job_priority", "search"))
                assert "DELETE" not in rights or "~~" in rest or is_said
                if "UPDATE" in rights:
                    assert "~~" in rest or "rnn_work" in rest or is_said
