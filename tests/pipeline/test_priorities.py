"""Priorities: whose jobs are done first, of cohorts that are there and of jobs that come later."""

from __future__ import annotations

import pytest

from pipeline.database.connection import connection
from pipeline.workers import dispatch
from pipeline.workers.dispatch import Dispatcher
from pipeline.workers.queue import Queue
from tasks_lib.errors import ParameterError
from tests.pipeline.test_selections import SUBMISSION, p, run  # noqa: F401  (fixtures)


def priorities(table):
    return sorted(
        (row["task_name"], row["training_name"], row["priority"])
        for row in Queue(table).jobs.to_dicts()
    )


def taken(table):
    """Return whose jobs a worker takes, in that order."""
    dispatcher, keys = Dispatcher([Queue(table)], (), "test", 1), []
    while (found := dispatcher.take(connection(), 1)) is not None:
        keys.append((found[1]["task_name"], found[1]["training_name"]))
    Queue(table).give_back_all(connection(), 1)
    return keys


def test_jobs_are_taken_in_their_order(p, run):  # noqa: F811
    queue = Queue(p.Training)
    queue.enter(connection())
    assert {each[-1] for each in priorities(p.Training)} == {5}
    assert p.prioritize({"task_name": "long"}, 2) == (1, 1)
    assert taken(p.Training)[0] == ("long", "base")
    assert p.prioritize({"where": "lr > 0.005 and tau = 10"}, 1) == (1, 1)
    assert [task for task, _ in taken(p.Training)][:2] == ["ff", "long"]
    assert (
        run("priority", 9, "--sweep", "rates").output == "priority 9: 4 cohorts, 4 jobs changed\n"
    )
    assert taken(p.Training)[0] == ("long", "base")
    assert p.prioritize({"sweep_name": "rates"}, 9) == (4, 0)
    # Jobs of tables below that are entered later have it too.
    p.fill([p.Training], {"task_name": "long"})
    Queue(p.Validation).enter(connection())
    assert {each[-1] for each in priorities(p.Validation)} == {2}
    for words in (("priority", 3), ("priority", 200, "--task", "ff"), ("priority", 3, "--seed", 1)):
        assert run(*words).exit_code in (1, 2)


def test_a_submission_has_one(database):
    database.submit(SUBMISSION, priority=3)
    Queue(database.Training).enter(connection())
    assert {each[-1] for each in priorities(database.Training)} == {3}
    assert len(database.JobPriority()) == 5
    # Entered again it is another one; nothing of it is left with a deleted cohort.
    database.submit({"sweeps": SUBMISSION["sweeps"]}, priority=0)
    assert {each[-1] for each in priorities(database.Training) if each[0] == "ff"} == {0}
    database.delete({"task_name": "long"})
    assert set(database.JobPriority.to_arrays("job_priority")) == {0}
    for wrong in (-1, 128, 1.5):
        with pytest.raises(ParameterError, match="priority = "):
            database.submit(SUBMISSION, priority=wrong)


def test_later_tables_are_asked_when_earlier_ones_have_no_job(database, monkeypatch):
    """The order of the tables stays, and a worker that trains asks one query a job less."""
    here = connection()
    database.submit({**SUBMISSION, "sweeps": {}, "cohorts": [
        {**SUBMISSION["cohorts"][0], "first_seed": seed, "n_networks": 1} for seed in range(3)
    ]})  # fmt: skip
    database.fill([database.Training], {"first_seed": 0})
    queues = [Queue(database.Training), Queue(database.Validation), Queue(database.FixedPoints)]
    for queue in queues:
        queue.enter(here)
    dispatcher = Dispatcher(queues, (), "test", 1)
    asked = []
    real = dispatch.with_pending_jobs
    monkeypatch.setattr(
        dispatch, "with_pending_jobs",
        lambda connection, some, *more: (asked.append(len(some)), real(connection, some, *more))[1],
    )  # fmt: skip

    def take():
        asked.clear()
        found = dispatcher.take(here, 1)
        return (found and found[0].name, asked[:], found and found[1])

    assert take()[:2] == ("Training", [3])
    name, of_take, key = take()
    assert (name, of_take) == ("Training", [])
    assert take()[:2] == ("Validation", [3])
    queues[0].give_back(here, key, 1)  # one that comes before
    assert take()[:2] == ("Training", [2])
    assert take()[:2] == ("Validation", [3]) and take()[:2] == ("FixedPoints", [2, 3])
    assert take() == (None, [3], None)
