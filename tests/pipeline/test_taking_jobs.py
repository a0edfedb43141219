"""Taking jobs: each job once, in order, without waiting for workers that are taking others."""

from __future__ import annotations

import threading

import pytest

from pipeline.database.connection import connection, second_connection
from pipeline.database.server import transaction
from pipeline.workers.queue import Queue

N_JOBS = 60


@pytest.fixture
def queue(database, submission):
    """The queue of `Training` with many jobs."""
    cohort = {**submission["cohorts"][0], "n_networks": 1}
    submission["cohorts"] = [{**cohort, "first_seed": i} for i in range(N_JOBS)]
    database.submit(submission)
    queue = Queue(database.Training)
    queue.prepare()
    assert queue.enter(connection()) == N_JOBS
    return queue


RESTRICTIONS = [(), ("first_seed > 2",), ("first_seed > 2", "training_name = 'short'")]


@pytest.mark.parametrize("restriction", RESTRICTIONS)
def test_jobs_that_others_are_taking_are_passed_over(queue, restriction):
    """Also where a restriction is another table's: no more than one job is locked by a look."""
    other = second_connection()
    with transaction(other):
        first = other.query(queue.next_pending(restriction)).fetchone()
        second = queue.take_next(connection(), 2, "", 1, restriction)
        third = queue.take_next(connection(), 3, "", 1, restriction)
    assert [*first] != [*second.values()] != [*third.values()]
    assert queue.is_held(connection(), second, 2) and queue.is_held(connection(), third, 3)
    # The first one was given up: it is pending, and is next again.
    fourth = queue.take_next(connection(), 4, "", 1, restriction)
    assert [*fourth.values()] == [*first]
    assert not restriction or min(k["first_seed"] for k in (second, third, fourth)) > 2
    other.close()


def test_each_job_is_taken_once(queue):
    """By six workers at once, and by each those with the smallest priority first."""
    here = connection()
    urgent = here.adapter.quote_identifier("priority")
    here.query(f"UPDATE {queue.sql_name} SET {urgent} = 1 WHERE first_seed >= 50")
    taken: list[list[int]] = [[] for _ in range(6)]
    connections = [second_connection() for _ in taken]

    def take(number: int) -> None:
        while True:
            key = queue.take_next(connections[number], number + 1, "", 1)
            if key is None and not queue.n_pending(connections[number]):
                return
            if key is not None:
                taken[number].append(key["first_seed"])

    threads = [threading.Thread(target=take, args=(i,)) for i in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert sorted(seed for seeds in taken for seed in seeds) == list(range(N_JOBS))
    for seeds in taken:
        assert [seed >= 50 for seed in seeds] == sorted((s >= 50 for s in seeds), reverse=True)
    for each in connections:
        each.close()


def test_nothing_is_taken_where_nothing_is_pending(queue):
    assert queue.take_next(connection(), 1, "", 1, ("first_seed > 1000",)) is None
    assert queue.n_pending(connection()) == N_JOBS
