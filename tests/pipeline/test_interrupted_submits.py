"""A submit that is killed or cut off, at any of its statements: everything is entered, or nothing.

Submitted again, it is complete, and nothing is doubled.
"""

from __future__ import annotations

import copy
import os
import signal
import time

import datajoint as dj
import pytest
from datajoint.errors import LostConnectionError

import pipeline
from pipeline.database import connection as pipeline_database
from pipeline.database.server import end_session, reconnect, session_number
from pipeline.database.sessions import prepare_session
from pipeline.tables.network import NetworkParams
from pipeline.tables.task import Task
from pipeline.tables.training import Cohort, TrainingParams
from pipeline.transient.errors import is_transient

pytestmark = pytest.mark.either_backend

TABLES = (Task, NetworkParams, TrainingParams, TrainingParams.Penalty, Cohort)
NOTHING, COMPLETE = [0, 0, 0, 0, 0], [1, 1, 1, 1, 2]


@pytest.fixture
def content(database, submission):
    submission["cohorts"].append(submission["cohorts"][0] | {"first_seed": 50})
    return submission


def entered() -> list[int]:
    return [len(table()) for table in TABLES]


def before_statement(number: int, act) -> None:
    """Have something done before a statement of a transaction of this process, from 0 on."""
    query, numbers = dj.Connection.query, iter(range(10**6))

    def counted(self, *args, **kwargs):
        if self._in_transaction and next(numbers) == number:
            act()
        return query(self, *args, **kwargs)

    dj.Connection.query = counted


def status_of_killed(content: dict, number: int) -> int:
    """Submit in a child that is killed before a statement; return its status, 0 where none is."""
    connection = pipeline_database.connection()
    child = os.fork()
    if child == 0:
        try:
            ours = connection._conn  # not to be closed: it is the parent's
            connection.connect()
            prepare_session(connection)
            before_statement(number, lambda: os.kill(os.getpid(), signal.SIGKILL))
            pipeline.submit(content)
            os._exit(0)
        finally:
            os._exit(1 if ours is not None else 2)
    return os.waitpid(child, 0)[1]


def test_killed_at_any_statement(content):
    n_killed = 0
    while (status := status_of_killed(copy.deepcopy(content), n_killed)) == signal.SIGKILL:
        assert entered() == NOTHING, n_killed
        n_killed += 3  # of these each third one: a child takes longer than all statements
    assert status == 0
    assert n_killed > 20  # each row is asked for, and inserted; the last statement commits
    assert entered() == COMPLETE
    assert pipeline.submit(content) == dict.fromkeys(content, 0)
    assert entered() == COMPLETE


def test_cut_off_at_any_statement(content, monkeypatch):
    connection, other = pipeline_database.connection(), pipeline_database.second_connection()

    def cut() -> None:
        end_session(other, session_number(connection))
        time.sleep(0.01)

    n_cut = 0
    try:
        while True:
            with monkeypatch.context() as patch:
                patch.setattr(dj.Connection, "query", dj.Connection.query)  # as it is now, again
                before_statement(n_cut, cut)
                try:
                    new = pipeline.submit(copy.deepcopy(content))
                except Exception as error:
                    new, cut_off = None, error
            reconnect(connection)
            if new is not None:
                break
            assert is_transient(cut_off)
            assert entered() == NOTHING, n_cut
            n_cut += 1
    finally:
        other.close()
    assert n_cut > 20
    assert new == {"tasks": 1, "networks": 1, "trainings": 1, "cohorts": 2}
    assert entered() == COMPLETE
    assert pipeline.submit(content) == dict.fromkeys(content, 0)
    assert entered() == COMPLETE


def test_answer_to_the_commit_of_a_submit_is_lost(content, monkeypatch):
    commit = dj.Connection.commit_transaction

    def lose(self):
        commit(self)
        raise LostConnectionError("its answer was lost")

    with monkeypatch.context() as patch:
        patch.setattr(dj.Connection, "commit_transaction", lose)
        with pytest.raises(LostConnectionError):
            pipeline.submit(copy.deepcopy(content))
    assert entered() == COMPLETE
    assert pipeline.submit(content) == dict.fromkeys(content, 0)
    assert entered() == COMPLETE
