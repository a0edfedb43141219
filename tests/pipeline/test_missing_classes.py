"""A worker that cannot import a class leaves the jobs that need it to others."""

from __future__ import annotations

import sys

import pytest
from rich.console import Console

from pipeline.cli.status_page import status_page
from pipeline.database.connection import connection
from pipeline.workers.missing_classes import NamedClass, waiting_jobs, why_not_imported
from pipeline.workers.queue import Queue
from pipeline.workers.status import Pace
from pipeline.workers.worker import WorkLoop
from tests.pipeline.workers import Laboratory, jobs, submission, wait_until

pytestmark = pytest.mark.either_backend

ECHO = "tests.pipeline.workers:Obedient"


@pytest.fixture
def mixed(database, own_classes_allowed, submission):
    """Two cohorts of a task of this project, and two of a task of somebody else's."""
    from tests.pipeline.workers import submission as of_workers

    database.submit(of_workers(5, n_cohorts=2))
    submission["networks"], submission["trainings"] = {}, {}
    submission["cohorts"] = [
        {"task": "cddm", "network": "small", "training": "short", "first_seed": s, "n_networks": 1}
        for s in (0, 10)
    ]
    database.submit(submission)
    return database


def page():
    console = Console(width=200)
    with console.capture() as capture:
        console.print(status_page(Pace(), 5))
    return capture.get()


@pytest.mark.parametrize("processes", [1, 2])
def test_what_may_not_be_imported_is_left_to_others(mixed, lab: Laboratory, processes):
    lab.environment = {"RNN_ALLOWED_PACKAGES": ""}
    if processes == 1:
        (restricted,) = lab.start("--table=Training")
    else:
        restricted = lab.start_apart("--table=Training", "--processes=2")
    lab.ended(restricted, 90, status=3)
    log = lab.log(restricted)
    assert log.count(f"{ECHO}: is not in an allowed package") == processes
    assert f"2 jobs are left for a worker that can import {ECHO}" in log
    assert "jobs failed" in log and not jobs("error")
    assert {row["task_name"] for row in mixed.Training.keys()} == {"cddm"}
    (line,) = [line for line in page().splitlines() if ECHO in line]
    assert "2" in line and "is not in an allowed package" in line
    lab.environment = {}
    (other,) = lab.start("--table=Training")
    lab.ended(other, 90)
    assert len(mixed.Training()) == 4
    assert not waiting_jobs(connection(), [Queue(mixed.Training)])


def test_with_forever_it_goes_on_looking(mixed, lab: Laboratory):
    lab.environment = {"RNN_ALLOWED_PACKAGES": ""}
    (restricted,) = lab.start("--table=Training", "--forever")
    wait_until(lambda: len(mixed.Training()) == 2 and lab.is_idle(restricted))
    assert len(Queue(mixed.Training).jobs & {"status": "pending"}) == 2
    more = submission(6, training="again")
    more["tasks"] = {
        "flip": {
            "class": "NBitFlipFlop",
            "n_steps": 8,
            "n_inputs": 1,
            "n_outputs": 1,
            "params": {"n_bits": 1, "pulse": 2},
        }
    }
    more["networks"], more["cohorts"][0]["task"] = {}, "flip"
    mixed.submit(more)
    wait_until(lambda: len(mixed.Training()) == 3)
    lab.end()
    assert len(Queue(mixed.Training).jobs & {"status": "pending"}) == 2
    assert lab.log(restricted).count(ECHO) == 1


def test_no_job_of_it_is_taken_a_second_time(mixed, monkeypatch):
    """Were it taken and given back again and again, others could not have it."""
    monkeypatch.setenv("RNN_ALLOWED_PACKAGES", "")
    given_back = []
    give_back = Queue.give_back
    monkeypatch.setattr(
        Queue, "give_back", lambda *args: given_back.append(args[2]) or give_back(*args)
    )
    said = []
    loop = WorkLoop([mixed.Training], missing=lambda *words: said.append(words))
    filled = loop.run()
    assert (filled.made, filled.errors, filled.waiting) == (2, [], {ECHO: 2})
    assert len(given_back) == 1
    assert [name for name, _ in said] == [ECHO]


def test_a_set_that_names_another_class_by_now_is_done(mixed, monkeypatch):
    monkeypatch.setenv("RNN_ALLOWED_PACKAGES", "")
    loop = WorkLoop([mixed.Training], missing=lambda *_: None)
    missing = loop.finder.dispatcher.missing
    key = (mixed.Cohort & {"task_name": "echo"}).keys()[0]
    loop.heartbeat.start()
    try:
        assert missing.needed_by(key) == {ECHO}
        assert missing.excluded_sets == {"task_name": ["echo"]}
        missing.look_again()
        assert missing.excluded_sets == {"task_name": ["echo"]}
        (mixed.Task & {"task_name": "echo"}).delete(prompt=False)
        task = {
            "task_class": "NBitFlipFlop",
            "n_steps": 9,
            "n_inputs": 1,
            "n_outputs": 1,
            "params": {"n_bits": 1, "pulse": 2},
        }
        mixed.Task.insert1({**task, "task_name": "echo"})
        missing.look_again()
        assert missing.excluded_sets == {}
        assert not missing.needed_by(key)
    finally:
        loop.heartbeat.stop()


SOURCES = {
    "not_installed": None,
    "raises": "raise OSError('no licence')",
    "exits": "raise SystemExit(3)",
    "lacks_it": "",
    "not_its_syntax": "def f(:",
}


@pytest.mark.parametrize("name", SOURCES)
@pytest.mark.parametrize("kind", ["task", "penalty", "activation"])
def test_whatever_an_import_raises_it_is_a_reason(tmp_path, monkeypatch, name, kind):
    if SOURCES[name] is not None:
        (tmp_path / f"{name}.py").write_text(SOURCES[name])
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("RNN_ALLOWED_PACKAGES", ",".join(SOURCES))
    reason = why_not_imported(NamedClass(kind, f"{name}:Thing"))
    sys.modules.pop(name, None)
    assert reason and "\n" not in reason


def test_a_class_that_is_there_and_wrong_fails_its_job(monkeypatch):
    monkeypatch.setenv("RNN_ALLOWED_PACKAGES", "tests")
    assert why_not_imported(NamedClass("task", "tests.pipeline.own:NotATask")) is None
    assert why_not_imported(NamedClass("penalty", "tests.pipeline.own:drift")) is None
