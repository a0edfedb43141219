"""Who makes the tables: several processes at once, or an administrator and nobody else."""

from __future__ import annotations

import os
import subprocess
import sys

import datajoint as dj
import pytest

import pipeline
from pipeline.database import connection as connections
from pipeline.database import declaration, schemas, server, state
from pipeline.workers.worker import COMPUTED
from tests import preloaded

pytestmark = pytest.mark.fresh_schemas

PROCESS = """
import sys
import pipeline

for line in sys.stdin:  # all begin a round at the same moment
    pipeline.connect(prefix=line.strip())
    n_rows = [len(t()) for t in (pipeline.FixedPointParams, pipeline.Task.Input)]
    print(*n_rows, len(pipeline.Training.jobs), flush=True)
    pipeline.disconnect()
"""


def connect_at_once(environment, prefixes, n=4):
    """Return what each of several processes says, a prefix after the other, all at once."""
    processes = [
        preloaded.Popen(
            [sys.executable, "-W", "ignore", "-c", PROCESS],
            env={**os.environ, "OMP_NUM_THREADS": "1", **environment},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(n)
    ]
    said = []
    try:
        for prefix in prefixes:
            for process in processes:
                process.stdin.write(f"{prefix}\n")
                process.stdin.flush()
            said.append([process.stdout.readline() for process in processes])
    finally:
        for process in processes:
            process.communicate(timeout=60)
    return said


def tables(connection, prefix):
    names = tuple(f"{prefix}_{name}" for name in schemas.SCHEMAS)
    places = ", ".join(["%s"] * len(names))
    query = "SELECT table_schema, table_name FROM information_schema.tables WHERE table_schema IN "
    return set(connection.query(f"{query}({places})", args=names).fetchall())


def statements(monkeypatch):
    """Collect what is sent to the server from here on."""
    sent = []
    query = dj.Connection.query
    monkeypatch.setattr(
        dj.Connection,
        "query",
        lambda self, q, *a, **k: (sent.append(q), query(self, q, *a, **k))[1],
    )
    return sent


def test_processes_that_connect_to_an_empty_server_at_once_all_succeed(server, arguments):
    prefixes = [f"{arguments['prefix']}_{number}" for number in range(3)]
    said = connect_at_once({**server.environment, "RNN_STORE": str(arguments["store"])}, prefixes)
    for prefix in prefixes:
        pipeline.connect(**{**arguments, "prefix": prefix})
        n_searches = len(pipeline.FixedPointParams())
        # Each column has its type, which DataJoint writes down after the table is made.
        types = [
            pipeline.Training.Network.heading["w_rec"].codec,
            pipeline.Training.jobs.heading["error_stack"].codec,
        ]
        schemas.drop()
        pipeline.disconnect()
        assert [codec.name for codec in types] == ["npy", "blob"]
    assert n_searches > 0
    assert said == [[f"{n_searches} 0 0\n"] * 4] * 3


@pytest.mark.postgresql
def test_processes_that_start_the_embedded_server_at_once_all_succeed(short_folder, monkeypatch):
    for name in ("DJ_HOST", "DJ_BACKEND", "RNN_PREFIX", "RNN_STORE"):
        monkeypatch.delenv(name, raising=False)
    (said,) = connect_at_once({"RNN_HOME": str(short_folder / "at_once")}, ["rnn"])
    assert len(set(said)) == 1 and said[0].endswith(" 0 0\n")


def test_every_table_is_made_and_the_jobs_tables_too(database, arguments):
    prefix = arguments["prefix"]
    made = tables(connections.connection(), prefix)
    assert made >= state.expected_tables(prefix)
    for table in COMPUTED:
        assert (table.database, schemas.jobs_table_name(table)) in made
        assert table().jobs.table_name == schemas.jobs_table_name(table)
    made -= state.expected_tables(prefix)
    assert {table for _, table in made} == {"~lineage"}


def test_connecting_again_asks_little_and_changes_nothing(database, arguments, monkeypatch):
    database.disconnect()
    sent = statements(monkeypatch)
    database.connect(**arguments)
    # Beside them: what the server is, and what the session is told of its own timeout.
    asked = [q for q in sent if not any(word in q.upper() for word in ("VERSION", "TIMEOUT"))]
    assert (
        len(asked) == 5
    )  # columns, indexes, lineage, rows of the Lookup tables, mark of the store
    assert all(q.lstrip().startswith("SELECT") for q in asked)
    assert database.Training.definition in database.Training.__doc__


def test_without_declaring_nothing_is_made(server, arguments, monkeypatch):
    monkeypatch.setitem(dj.config.database.__dict__, "create_tables", False)
    with pytest.raises(pipeline.DatabaseError, match="ask the administrator to run `rnn declare`"):
        pipeline.connect(**arguments)
    kind, *rest = (arguments[k] for k in ("backend", "host", "port", "user", "password"))
    connection = connections._open(kind, *rest)
    try:
        assert tables(connection, arguments["prefix"]) == set()
    finally:
        connection.close()
    with pytest.raises(pipeline.DatabaseError, match="not connected"):
        connections.connection()


def test_without_declaring_a_missing_table_is_named_and_rows_are_left(database, arguments):
    p = database
    (p.FixedPointParams & "TRUE").delete_quick()
    p.disconnect()
    p.connect(**arguments, declare=False)
    assert len(p.FixedPointParams()) == 0  # contents are not inserted
    p.LineAttractor.jobs.drop()
    p.disconnect()
    with pytest.raises(p.DatabaseError, match="line_attractor are missing") as caught:
        p.connect(**arguments, declare=False)
    assert "\n" not in str(caught.value)
    p.connect(**arguments, declare=True)
    assert p.LineAttractor.jobs.is_declared
    assert len(p.FixedPointParams()) > 0


def test_what_a_stopped_process_left_half_made_is_mended(database, arguments):
    p = database
    connection = connections.connection()
    quote = connection.adapter.quote_identifier
    lineage = f"{quote(p.Training.database)}.{quote('~lineage')}"
    halves = {p.Training.table_name, schemas.jobs_table_name(p.Training)}
    for name in halves:
        connection.query(f"DELETE FROM {lineage} WHERE table_name = '{name}'")
    assert {t for _, t in state.missing_tables(arguments["prefix"], connection)} == halves
    p.disconnect()
    p.connect(**arguments)
    assert not state.missing_tables(arguments["prefix"], connections.connection())
    assert len(p.Training * p.Cohort) == 0  # a join asks for lineage


def test_the_maker_waits_for_another_one_and_gives_up_in_one_line(database, arguments, monkeypatch):
    p = database
    p.LineAttractor.jobs.drop()
    holder = connections.second_connection()
    monkeypatch.setattr(server, "LONGEST_TURN", 0.3)
    try:
        with (
            declaration._alone(arguments["prefix"], holder),
            pytest.raises(p.DatabaseError, match="another process has been making them"),
        ):
            p.connect(**arguments)
        p.connect(**arguments)
    finally:
        holder.close()


def test_a_second_connection_has_the_same_settings(database):
    first = connections.connection()
    second = connections.second_connection()
    try:
        assert second is not first and second.connection_id != first.connection_id
        assert second.conn_info == first.conn_info
        assert second.query("SELECT 1").fetchone()[0] == 1
        assert database.Task.connection is first
    finally:
        second.close()
    assert first.is_connected
    database.disconnect()
    with pytest.raises(database.DatabaseError, match="not connected"):
        connections.second_connection()


def test_the_command_declares_though_nothing_else_does(server, arguments, monkeypatch):
    environment = {**server.environment, "RNN_PREFIX": arguments["prefix"]}
    environment |= {"RNN_STORE": str(arguments["store"]), "DJ_CREATE_TABLES": "false"}

    def run(command):
        return preloaded.run(
            [sys.executable, "-W", "ignore", "-m", "pipeline.cli", command],
            env={**os.environ, **environment},
            capture_output=True,
            text=True,
        )

    before = run("status")
    assert before.returncode == 1
    (line,) = before.stderr.splitlines()
    assert "ask the administrator to run `rnn declare`" in line
    try:
        declared = run("declare")
        assert declared.returncode == 0, declared.stderr
        assert f"{arguments['prefix']}_work" in declared.stdout
        assert run("status").returncode == 0
    finally:
        pipeline.connect(**arguments)
        schemas.drop()
        pipeline.disconnect()
