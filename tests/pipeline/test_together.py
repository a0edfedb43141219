"""Cohorts that one worker trains at once: as alone, whatever befalls one of them."""

from __future__ import annotations

import os
import signal
import threading
from collections import Counter

import numpy as np
import pytest

import models
from pipeline.database import connection as pipeline_database
from pipeline.tables import fixed_points_together, performance
from pipeline.tables.fixed_points import FixedPoints
from pipeline.tables.task import Task
from pipeline.tables.training import Cohort, Training
from pipeline.upkeep.deletion import delete
from pipeline.workers.queue import Queue
from pipeline.workers.registry import LostJob
from pipeline.workers.worker import WorkLoop, fill
from tests.pipeline.own import Echo
from tests.pipeline.workers import (
    Laboratory,
    assert_all_right,
    assert_identical,
    checkpoints_in,
    jobs,
    submission,
    wait_until,
)

pytestmark = [pytest.mark.either_backend, pytest.mark.usefixtures("own_classes_allowed")]


def sweep(n_iterations: int = 12, task: str = "Obedient") -> dict:
    """Return cohorts that one batch may have: two networks by three trainings; and three others."""
    entered = submission(n_iterations, task=task)
    (name,) = entered["tasks"]
    entered["networks"] = {
        "small": {"n_units": 8, "sigma_rec": 0.02},
        "noisy": {"n_units": 8, "sigma_rec": 0.2, "density": 0.5},
        "large": {"n_units": 9, "sigma_rec": 0.02},
    }
    base = {"max_iter": n_iterations, "same_batch": False}
    entered["trainings"] = {
        "short": base,
        "fast": {**base, "lr": 0.05},
        "costly": {**base, "penalties": {"metabolic": {"weight": 0.3}}},
        "longer": {**base, "max_iter": n_iterations + 1},
    }
    points = [(n, t) for n in ("small", "noisy") for t in ("short", "fast", "costly")]
    points += [("large", "short"), ("small", "longer")]
    entered["cohorts"] = [
        {"task": name, "network": n, "training": t, "first_seed": 3, "n_networks": 1}
        for n, t in points
    ]
    return entered


def together() -> dict[str, int]:
    """Return with how many each was trained, by the names of its network and training."""
    return {
        f"{row['network_name']}-{row['training_name']}": row["n_together"]
        for row in Training.to_dicts()
    }


def work(most: int | None = None, **options) -> WorkLoop:
    loop = WorkLoop([Training], together=most, beat_seconds=0.5, **options)
    loop.run()
    return loop


def test_points_that_share_shapes(database, store):
    database.submit(sweep())
    loop = work()
    assert (loop.made, loop.errors) == (8, [])
    assert_all_right(8, store)
    assert_identical()
    found = together()
    assert found.pop("large-short") == found.pop("small-longer") == 1
    assert set(found.values()) == {6}
    seconds = Training.to_arrays("seconds")
    assert (seconds > 0).all()


@pytest.mark.both_backends
@pytest.mark.parametrize(("most", "numbers"), [(1, {1}), (2, {1, 2}), (4, {1, 2, 4})])
def test_as_many_as_are_asked_for(database, store, most, numbers):
    database.submit(sweep(3))
    work(most)
    assert set(together().values()) == numbers
    assert_all_right(8, store)
    assert_identical()


def test_networks_of_a_cohort_count(database):
    """Sixteen networks are one batch: here of three cohorts of five, and of the fourth."""
    entered = submission(3, n_cohorts=4)
    for cohort in entered["cohorts"]:
        cohort["n_networks"] = 5
    database.submit(entered)
    work()
    assert sorted(Training.to_arrays("n_together")) == [1, 3, 3, 3]


def test_where_it_does_not_pay(database):
    """Trajectories so long that each cohort has the processor's time to itself."""
    entered = submission(1, n_cohorts=3)
    entered["tasks"]["echo"] |= {"n_steps": 1000, "params": {"n_values": 80}}
    database.submit(entered)
    work()
    assert set(Training.to_arrays("n_together")) == {1}


@pytest.mark.both_backends
def test_only_of_the_same_priority(database):
    """Who asked for a job first is not kept waiting for others."""
    database.submit(submission(3, n_cohorts=4))
    queue = Queue(Training)
    queue.enter(pipeline_database.connection())
    jobs_table, status = queue.sql_name, queue.quoted("priority")
    pipeline_database.connection().query(
        f"UPDATE {jobs_table} SET {status}={status}-1 WHERE first_seed IN (0, 20)"
    )
    work()
    assert set(Training.to_arrays("n_together")) == {2}


def test_one_that_fails(database, store, monkeypatch):
    """Its error is its own, as when it is trained alone; the others are one batch to the end."""
    database.submit(submission(12, n_cohorts=4))
    seeds = [seed_of_task(first) for first in (0, 10, 20, 30)]
    generate, drawn = Echo.generate_input_target_stream, []

    def fail(self, value):
        if self.seed == seeds[2]:
            drawn.append(value)
            if len(drawn) > 4 * 6:
                raise ValueError("no such stream")
        return generate(self, value)

    with monkeypatch.context() as patch:
        patch.setattr(Echo, "generate_input_target_stream", fail)
        loop = work()
    ((table, key, message),) = loop.errors
    assert (table, key["first_seed"]) == ("Training", 20)
    assert message == "ValueError: no such stream"
    assert loop.made == 3
    assert set(Training.to_arrays("n_together")) == {4}
    (failed,) = jobs("error")
    assert failed["first_seed"] == 20 and not jobs("reserved")
    assert_identical()
    assert database.retry(everything=True) == {"Training": 1}
    work()
    assert_all_right(4, store)
    assert_identical()


def seed_of_task(seed: int) -> int:
    """Return the seed of the task of a network."""
    from models.training.division import task_of

    return task_of(lambda own: Task.build(Task.fetch1(), own), seed).seed


@pytest.mark.parametrize("error", [OSError("the store is away"), MemoryError("short")])
def test_an_error_that_is_no_jobs_own(database, store, monkeypatch, error):
    """The first job is done alone, and the others are given back: nothing goes round in circles."""
    database.submit(submission(5, n_cohorts=3))

    def fail(*args, **options):
        raise error

    monkeypatch.setattr(models.training.together._Batch, "run", fail)
    assert work().made == 3
    assert_all_right(3, store)
    assert set(Training.to_arrays("n_together")) == {1}


@pytest.mark.both_backends
def test_a_worker_leaves_others_their_share(database, lab: Laboratory):
    both = lab.start("--table=Training", "--forever", "--together=auto", n=2)
    for worker in both:
        wait_until(lambda w=worker: lab.is_idle(w))
    database.submit(submission(3000, n_cohorts=6, task="Unhurried"))
    wait_until(lambda: {int(job["pid"]) for job in jobs("reserved")} == {w.pid for w in both})
    has = Counter(int(job["pid"]) for job in jobs("reserved"))
    assert max(has.values()) <= 3  # of six, where two workers live
    lab.end()
    assert len(jobs("pending")) == 6


def test_told_to_end_and_gone_on_with_in_another_grouping(database, lab: Laboratory, store):
    database.submit(submission(150, n_cohorts=4, task="Unhurried"))
    (worker,) = lab.start("--table=Training", "--together=auto")
    wait_until(lambda: lab.iteration(worker) > 20)
    assert lab.row(worker)["note"] == "4 at once"
    lab.ended_after_signal(worker)
    assert len(jobs("pending")) == 4 and not len(Training())
    at_end = [p for p in checkpoints_in(store) if p.endswith(".npz")]
    assert len(at_end) == 4
    work(3)
    assert_all_right(4, store)
    assert_identical()
    assert sorted(Training.to_arrays("n_together")) == [1, 3, 3, 3]


def test_told_to_end_while_a_call_does_not_return(database, lab: Laboratory):
    """All of its jobs are given back, each by itself."""
    database.submit(submission(3000, n_cohorts=4, task="Unhurried"))
    (worker,) = lab.start("--table=Training", "--together=auto")
    wait_until(lambda: lab.iteration(worker) > 5)
    lab.order("training", "native")
    wait_until(lambda: (lab.orders / f"training.{worker.pid}").exists())
    lab.ended_after_signal(worker)
    assert len(jobs("pending")) == 4 and not jobs("reserved")


def test_killed_in_the_middle(database, lab: Laboratory, store):
    """Each goes on from its own state, alone: one of them may be what kills workers."""
    database.submit(submission(150, n_cohorts=4, task="Unhurried"))
    (killed,) = lab.start("--table=Training", "--together=auto")
    wait_until(lambda: lab.iteration(killed) > 20 and lab.has_checkpoint())
    killed.kill()
    (other,) = lab.start("--table=Training", "--together=auto")
    lab.ended(other, 120)
    assert_all_right(4, store, lost=4)
    assert_identical()
    assert set(Training.to_arrays("n_together")) == {1}


def test_stopped_and_gone_on_with_when_others_have_its_jobs(database, lab: Laboratory, store):
    """It drops all of them, and inserts none."""
    database.submit(submission(150, n_cohorts=3, task="Unhurried"))
    (stopped,) = lab.start("--table=Training", "--forever", "--together=auto")
    wait_until(lambda: lab.iteration(stopped) > 20)
    os.kill(stopped.pid, signal.SIGSTOP)
    (other,) = lab.start("--table=Training", "--together=auto")
    wait_until(lambda: len(jobs("reserved")) == 1 and lab.iteration(other) > 20)
    os.kill(stopped.pid, signal.SIGCONT)
    lab.ended(other, 120)
    wait_until(lambda: lab.row(stopped).get("state") == "idle")
    lab.end()
    assert_all_right(3, store, lost=3)
    assert_identical()


def test_one_that_kills_its_worker_takes_no_other_with_it(database, lab: Laboratory):
    entered = submission(30, n_cohorts=3)
    entered["tasks"]["deadly"] = {"class": "tests.pipeline.workers:Deadly", "n_steps": 8}
    entered["cohorts"].append({**entered["cohorts"][0], "task": "deadly"})
    database.submit(entered)
    (supervised,) = lab.start(
        "--table=Training", "--together=auto", "--processes=2", "--max-losses=3"
    )
    lab.ended(supervised, 120, status=3)
    (failed,) = jobs("error")
    assert failed["task_name"] == "deadly"
    assert len(Training()) == 3


@pytest.mark.parametrize("first_seed", [0, 20])
def test_one_that_is_deleted_meanwhile(database, lab: Laboratory, store, first_seed):
    """Its job and its state go at the next heartbeat; the others are trained to the end."""
    database.submit(submission(600, n_cohorts=4, task="Unhurried"))
    (worker,) = lab.start("--table=Training", "--together=auto")
    wait_until(lambda: lab.iteration(worker) > 5 and len(states(store)) == 4)
    delete({"first_seed": first_seed})
    wait_until(lambda: len(states(store)) == 3 and len(jobs("reserved")) == 3)
    assert not len(Training())
    lab.ended(worker, 120)
    assert sorted(Training.to_arrays("first_seed")) == sorted({0, 10, 20, 30} - {first_seed})
    assert_all_right(3, store)
    assert_identical()
    assert set(Training.to_arrays("n_together")) == {4}


def states(store) -> list[str]:
    return [path for path in checkpoints_in(store) if path.endswith(".npz")]


@pytest.mark.both_backends
def test_one_that_is_another_workers_by_now(database, store):
    """Only that one is let go: whoever has it inserts it."""
    database.submit(submission(400, n_cohorts=3, task="Unhurried"))
    loop = WorkLoop([Training], beat_seconds=0.3)
    (key,) = (Cohort & {"first_seed": 10}).keys()
    loop_of = threading.Thread(target=take_away, args=(loop, key))
    loop_of.start()
    loop.run()
    loop_of.join()
    assert sorted(Training.to_arrays("first_seed")) == [0, 20]
    (job,) = jobs("reserved")
    assert (job["first_seed"], job["connection_id"]) == (10, 12345)
    assert not loop.errors and not len(LostJob())
    assert_identical()


def take_away(loop: WorkLoop, key: dict) -> None:
    """Give one job of a worker, once it computes, to another."""
    wait_until(lambda: (loop.heartbeat.report.iteration or 0) > 5, 60)
    queue, other = loop.jobs[0].queue, pipeline_database.second_connection()
    assert queue.give_back(other, key, loop.heartbeat.worker_id)
    assert queue.take(other, key, 12345, "", os.getpid())
    other.close()


def test_what_is_refused(lab: Laboratory):
    for word in ("0", "some", "-1", "1.5"):
        (worker,) = lab.start(f"--together={word}")
        lab.ended(worker, 30, status=2)
        assert "neither auto nor a whole number" in lab.log(worker)


# Fixed points ------------------------------------------------------------------------------------


def sets() -> dict[str, list[dict]]:
    """Return all sets of fixed points and their points, but for the time that they took."""
    found = {}
    for table in (FixedPoints, FixedPoints.Point):
        rows = table().to_dicts(order_by="KEY")
        for row in rows:
            row.pop("search_seconds", None)
            for name in ("state", "eigenvalues", "direction"):
                if name in row:
                    row[name] = np.asarray(row[name]).tolist()
        found[table.__name__] = rows
    return found


@pytest.mark.both_backends
def test_searches_of_many_networks_in_one_call(entered, monkeypatch):
    """On a CPU, where it has to be asked for, each finds what it finds alone."""
    fill([Training])
    assert WorkLoop([FixedPoints], together=1).run().errors == []
    alone = sets()
    assert len(alone["FixedPoints"]) > 2 and len(alone["Point"]) > 2
    FixedPoints.delete(prompt=False)
    calls = []
    find = models.get_fixed_points_of_each

    def noted(analyzers, *args, **options):
        calls.append(len(analyzers))
        return find(analyzers, *args, **options)

    monkeypatch.setattr(models, "get_fixed_points_of_each", noted)
    WorkLoop([FixedPoints]).run()
    assert not calls and sets() == alone  # on a CPU it would not pay
    FixedPoints.delete(prompt=False)
    done = WorkLoop([FixedPoints], together=100).run()
    assert calls == [len(alone["FixedPoints"])]
    assert (done.made, done.errors) == (calls[0], [])
    assert sets() == alone


@pytest.mark.both_backends
def test_one_search_that_fails(entered, monkeypatch):
    fill([Training])
    load = performance.load_network

    def fail(row, config):
        if row["seed"] == 4:
            raise ValueError("no such network")
        return load(row, config)

    monkeypatch.setattr(performance, "load_network", fail)
    loop = WorkLoop([FixedPoints], together=100, beat_seconds=0.5)
    done = loop.run()
    assert done.made == len(FixedPoints & {"seed": 3}) == len(done.errors) > 1
    assert {message for _, _, message in done.errors} == {"ValueError: no such network"}
    assert {key["seed"] for _, key, _ in done.errors} == {4}


def test_searches_are_together_where_a_gpu_is(monkeypatch):
    module = fixed_points_together
    exact, approx = {"mode": "exact"}, {"mode": "approx"}
    assert module.room(exact, "cpu", only_where_it_pays=True) == 0
    assert module.room(exact, "cpu", only_where_it_pays=False) == module.MOST_SEARCHES - 1
    monkeypatch.setattr(module, "checked_device", lambda name: "cuda")
    assert module.room(exact, None, only_where_it_pays=True) == module.MOST_SEARCHES - 1
    assert module.room(approx, None, only_where_it_pays=True) == 0
