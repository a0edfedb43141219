"""DataJoint's option to keep the jobs that are done: what is deleted is computed again."""

from __future__ import annotations

import datajoint as dj
import pytest

from pipeline.database.connection import connection, second_connection
from pipeline.database.server import transaction
from pipeline.workers.queue import Queue
from pipeline.workers.status import table_status


@pytest.fixture
def kept(database, submission, monkeypatch):
    """Three trainings that are done, and whose jobs are kept."""
    cohort = {**submission["cohorts"][0], "n_networks": 1}
    submission["cohorts"] = [{**cohort, "first_seed": first} for first in (3, 20, 40)]
    submission["trainings"]["short"]["max_iter"] = 5
    database.submit(submission)
    monkeypatch.setattr(dj.config.jobs, "keep_completed", True)
    assert database.fill((database.Training,)).made == 3
    return database


def statuses(p):
    rows = Queue(p.Training).jobs.to_dicts(order_by="first_seed")
    return [row["status"] for row in rows]


def delete(p, *first_seeds):
    for first_seed in first_seeds:
        for table in (p.Training.Term, p.Training.Network, p.Training):
            (table & {"first_seed": first_seed}).delete_quick()


@pytest.mark.parametrize("keeps", [True, False])
def test_what_is_deleted_is_done_again_whoever_works(kept, monkeypatch, keeps):
    p = kept
    assert statuses(p) == ["success"] * 3
    assert p.fill((p.Training,)).made == 0
    delete(p, 3, 40)
    monkeypatch.setattr(dj.config.jobs, "keep_completed", keeps)
    assert p.fill((p.Training,)).made == 2
    assert len(p.Training()) == 3
    assert statuses(p) == ["success"] * (3 if keeps else 1)
    (status,) = table_status((p.Training,))
    assert (status.done, status.pending) == (3, 0)


def test_a_job_that_is_pending_again_is_as_new(kept):
    p = kept
    delete(p, 3, 20)
    queue = Queue(p.Training)
    assert queue.enter(connection(), ["first_seed = 20"]) == 1
    assert statuses(p) == ["success", "pending", "success"]
    row = (queue.jobs & {"first_seed": 20}).fetch1()
    assert row["reserved_time"] is row["completed_time"] is row["duration"] is None
    assert queue.enter(connection()) == 1
    assert statuses(p) == ["pending", "pending", "success"]
    assert queue.enter(connection()) == 0
    # Of a key that has gone there is nothing to do.
    delete(p, 40)
    (p.Cohort & {"first_seed": 40}).delete_quick()
    assert queue.enter(connection()) == 0


def test_a_worker_that_is_inserting_is_neither_disturbed_nor_waited_for(kept):
    """Its job is done, and its row there, from the same commit on."""
    p = kept
    row = (p.Training & {"first_seed": 20}).fetch1()
    key = {name: row[name] for name in p.Training.primary_key}
    delete(p, 20, 40)
    queue, own = Queue(p.Training), second_connection()
    mysql = own.adapter.backend == "mysql"
    # A statement that waited for the other's would fail.
    here = connection()
    here.query(
        "SET SESSION innodb_lock_wait_timeout = 3" if mysql else "SET SESSION lock_timeout = '3s'"
    )
    assert queue.enter(here, [key]) == 1
    assert queue.take(own, key, 4711, "", 1)
    with transaction(own):
        assert queue.finish(own, key, 4711)
        names = ", ".join(own.adapter.quote_identifier(name) for name in row)
        values = [bool(v) if n == "code_dirty" else v for n, v in row.items()]
        own.query(
            f"INSERT INTO {p.Training.full_table_name} ({names}) "
            f"VALUES ({', '.join(['%s'] * len(row))})",
            args=values,
        )
        assert queue.enter(here) == 1  # that of 40
        assert statuses(p) == ["success", "reserved", "pending"]
    assert queue.enter(here) == 0
    assert statuses(p) == ["success", "success", "pending"]
    own.close()
