"""Deleting rows with their files and jobs, while workers run too."""

from __future__ import annotations

import io
import os
import signal
import sys

import pytest
from typer.testing import CliRunner

from pipeline.cli.commands import app
from pipeline.database.configuration import DatabaseError
from pipeline.database.connection import connection
from pipeline.tables.parameters import ParameterError
from pipeline.upkeep import deletion
from pipeline.upkeep.verify_files import verify_files
from pipeline.workers.checkpoints import StoredCheckpoints, checkpoint_folder
from pipeline.workers.queue import Queue, job_hash
from tests import preloaded
from tests.pipeline.workers import (
    Laboratory,
    assert_all_right,
    checkpoints_in,
    files_in,
    jobs,
    settings_of,
    submission,
    wait_until,
)


@pytest.fixture
def filled(database, submission, prepared):
    """Two cohorts of two networks and one of another task, all trained, two analysed."""
    submission["tasks"]["other"] = {**submission["tasks"]["cddm"], "n_steps": 21}
    first = submission["cohorts"][0]
    submission["cohorts"] += [{**first, "first_seed": 20}, {**first, "task": "other"}]
    submission["trainings"]["short"]["max_iter"] = 3

    def fill():
        database.submit(submission)
        assert not database.fill([database.Training]).errors
        analyses = [database.Validation, database.TrialPlot]
        assert not database.fill(analyses, {"first_seed": 3}).errors

    prepared(fill)
    return database


def run(database, *words, monkeypatch, given=""):
    with monkeypatch.context() as patch:
        patch.setattr(database, "connect", lambda **_: None)
        patch.setattr(database, "disconnect", lambda: None)
        result = CliRunner().invoke(app, words, input=given)
    return result.exit_code, result.stdout, result.stderr


def counts(p):
    tables = (p.Cohort, p.Training, p.Training.Network, p.Training.Term, p.Validation, p.TrialPlot)
    return [len(table()) for table in tables]


def stored(store):
    return {path for path in files_in(store) if path.endswith((".npy", ".png"))}


@pytest.mark.either_backend
def test_rows_go_with_their_files_and_no_others(filled, store):
    before, files = counts(filled), stored(store)
    preview = filled.delete({"task_name": "cddm"}, dry_run=True)
    assert counts(filled) == before == [3, 3, 6, 12, 8, 8]
    assert preview.rows == {
        "Cohort": 2, "Training": 2, "Training.Network": 4, "Training.Term": 8,
        "Validation": 4, "Validation.Condition": 72, "TrialPlot": 4,
    }  # fmt: skip
    done = filled.delete({"task_name": "cddm"})
    assert done.rows == preview.rows
    assert counts(filled) == [1, 1, 2, 4, 4, 4]
    assert set(done.files) == files - stored(store)
    assert done.n_removed == len(done.files) > 0
    assert done.removed_bytes == done.n_bytes > 1000
    assert not done.note
    assert verify_files().is_whole
    assert not [job for job in jobs() if job["task_name"] == "cddm"]
    assert len(filled.Task()) == 2


def test_parameter_sets_that_nothing_uses_go_too(filled):
    done = filled.delete({"task_name": "other"}, parameters=True)
    assert done.rows["Task"] == 1 and done.rows["Task.Input"] >= 1
    assert filled.Task.to_arrays("task_name").tolist() == ["cddm"]
    assert "NetworkParams" not in done.rows  # the other task's cohorts have them
    done = filled.delete(parameters=True, everything=True)
    assert done.rows["NetworkParams"] == done.rows["TrainingParams"] == 1
    training = filled.TrainingParams
    tables = (filled.Task, filled.NetworkParams, training, training.Penalty)
    assert [len(table()) for table in tables] == [0, 0, 0, 0]


@pytest.mark.either_backend
def test_rows_of_one_table_are_computed_again(filled, store):
    """And those of one network only, if so."""
    before = stored(store)
    filled.delete({"seed": 3, "task_name": "cddm"}, filled.Validation)
    assert len(filled.Validation()) == 6
    done = filled.delete({"task_name": "cddm"}, filled.TrialPlot)
    assert done.rows == {"TrialPlot": 4}
    assert before - stored(store) == set(done.files)
    assert filled.fill([filled.Validation], {"first_seed": 3}).made == 2
    assert filled.fill([filled.TrialPlot], {"first_seed": 3}).made == 4


def test_a_file_that_another_row_names_stays(filled, store):
    one, other = filled.Training.Network.to_dicts(order_by="KEY", limit=2)
    quote = connection().adapter.quote_identifier
    table = filled.Training.Network.full_table_name
    columns = " AND ".join(f"{quote(c)}=%s" for c in filled.Training.Network.primary_key)
    key = [other[c] for c in filled.Training.Network.primary_key]
    kept = connection().query(
        f"SELECT w_rec FROM {table} WHERE {columns}",
        args=[one[c] for c in filled.Training.Network.primary_key],
    )
    import json

    value = kept.fetchone()[0]
    last = (filled.Training.Network & {"task_name": "other"}).keys(order_by="KEY")[0]
    connection().query(
        f"UPDATE {table} SET w_rec=%s WHERE {columns}",
        args=[value if isinstance(value, str) else json.dumps(value), *last.values()],
    )
    assert key
    done = filled.delete({"task_name": "cddm"})
    assert done.note == "1 file is left, because other rows name them"
    assert one["w_rec"].path in stored(store)
    assert done.n_removed == len(done.files) - 1


def test_a_delete_that_is_interrupted_leaves_nothing_half(filled, store, monkeypatch):
    before, files, n_jobs = counts(filled), stored(store), len(jobs())
    for kind in (KeyboardInterrupt, RuntimeError):

        def interrupt(*_, kind=kind):
            raise kind

        with monkeypatch.context() as patch:
            patch.setattr(filled.Cohort, "delete", interrupt)
            with pytest.raises((KeyboardInterrupt, DatabaseError)):
                filled.delete({"task_name": "cddm"})
        from pipeline.database.server import reconnect

        reconnect(connection())
        assert (counts(filled), stored(store), len(jobs())) == (before, files, n_jobs)
    with monkeypatch.context() as patch:
        patch.setattr(deletion, "_still_named", interrupt)
        done = filled.delete({"task_name": "cddm"})
    assert "`rnn gc` finds them" in done.note and stored(store) == files
    assert counts(filled)[0] == 1
    assert filled.gc.collect(0, delete=True).n_removed == len(done.files)
    assert verify_files().is_whole


KILLED = """
import os, signal, sys
import pipeline
from pipeline.upkeep import deletion
pipeline.connect()
where = sys.argv[1]
def kill(*_):
    os.kill(os.getpid(), signal.SIGKILL)
if where == "rows":
    pipeline.Training.Network.delete_quick
    from datajoint.table import Table
    quick = Table.delete_quick
    def some(self, *args, **kwargs):
        if "cohort" in self.full_table_name:
            kill()
        return quick(self, *args, **kwargs)
    Table.delete_quick = some
else:
    deletion._still_named = kill
pipeline.delete({"task_name": "cddm"})
"""


@pytest.mark.either_backend
@pytest.mark.parametrize("where", ["rows", "files"])
def test_a_delete_that_is_killed_leaves_nothing_half(filled, store, arguments, where):
    before, files = counts(filled), stored(store)
    ended = preloaded.run(
        [sys.executable, "-c", KILLED, where],
        env={**os.environ, **settings_of(arguments)},
        capture_output=True,
    )
    assert ended.returncode == -signal.SIGKILL, ended.stderr
    assert stored(store) == files
    if where == "rows":
        assert counts(filled) == before
        filled.delete({"task_name": "cddm"})
        assert len(stored(store)) < len(files)
    else:
        assert counts(filled)[0] == 1
        filled.gc.collect(0, delete=True)
    assert verify_files().is_whole


def test_checkpoints_go_and_jobs_too(filled, store):
    key = {"task_name": "cddm", "network_name": "small", "training_name": "short"}
    filled.Cohort.insert1({**key, "first_seed": 50, "n_networks": 1})
    queue = Queue(filled.Training)
    queue.enter(connection())
    key["first_seed"] = 50
    StoredCheckpoints(checkpoint_folder(filled.Training), job_hash(key)).write("x", b"y")
    assert checkpoints_in(store)
    done = filled.delete({"first_seed": 50})
    assert [(job.table, job.key, job.status) for job in done.jobs] == [("Training", key, "pending")]
    assert not checkpoints_in(store) and not queue.jobs


def test_a_column_that_is_not_there_does_not_select_all(filled):
    with pytest.raises(ParameterError, match="seed = 3: is no column of Cohort"):
        filled.delete({"seed": 3})
    with pytest.raises(ParameterError, match="go with cohorts only"):
        filled.delete({"seed": 3}, filled.Validation, parameters=True)
    for nothing in (None, {}, [], ""):  # a selection that went wrong
        with pytest.raises(ParameterError, match="everything=True"):
            filled.delete(nothing)
    assert len(filled.Cohort()) == 3


# The command ---------------------------------------------------------------------------------


@pytest.mark.either_backend
def test_the_command_shows_asks_and_deletes(filled, store, monkeypatch):
    before = counts(filled)
    words = ("delete", "--task", "cddm", "--first-seed", "3")
    status, out, _ = run(filled, *words, "--dry-run", monkeypatch=monkeypatch)
    assert status == 0 and "Training.Network" in out and "Delete all" not in out
    for given in ("n\n", "\n", ""):
        status, out, _ = run(filled, *words, monkeypatch=monkeypatch, given=given)
        assert status == 1 and "files: " in out and "jobs: 0 running" in out
        assert counts(filled) == before
    status, out, _ = run(filled, *words, monkeypatch=monkeypatch, given="y\n")
    assert status == 0 and "files deleted" in out
    assert counts(filled)[:2] == [2, 2]
    status, out, _ = run(filled, "delete", "--all", "--yes", monkeypatch=monkeypatch)
    assert status == 0 and not counts(filled)[0] and not stored(store)
    status, out, _ = run(filled, "delete", "--all", "--yes", monkeypatch=monkeypatch)
    assert (status, out) == (0, "No rows are selected.\n")


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        ((), "nothing is selected"),
        (("--seed", "3"), "a cohort goes as a whole"),
        (("--table", "Nothing", "--all"), "is no computed table"),
        (("--table", "Validation", "--all", "--parameters"), "go with cohorts only"),
    ],
)
def test_what_is_not_said_clearly_is_refused(filled, words, problem, monkeypatch):
    status, _, err = run(filled, "delete", *words, "--yes", monkeypatch=monkeypatch)
    assert status == 1 and problem in err and len(err.splitlines()) == 1
    assert counts(filled)[0] == 3


def test_datajoints_own_list_is_shown_before_it_asks(filled, monkeypatch):
    import datajoint.table
    from datajoint.logging import stream_handler

    seen = []
    shown = io.StringIO()

    def answer(question, *choices, default=None):
        seen.append(shown.getvalue())
        return "no"

    monkeypatch.setattr(datajoint.table, "user_choice", answer)
    monkeypatch.setattr(stream_handler, "stream", shown)
    (filled.Cohort & {"task_name": "other"}).delete()
    (text,) = seen
    assert "training_params" not in text
    assert f"{filled.Training.Network.full_table_name} (2 tuples)" in text
    assert counts(filled)[0] == 3


# Beside workers ------------------------------------------------------------------------------


@pytest.mark.either_backend
@pytest.mark.usefixtures("own_classes_allowed")
@pytest.mark.parametrize("how", ["ours", "datajoint's"])
def test_a_training_that_is_deleted_stops(database, lab: Laboratory, store, how):
    database.submit(submission(100_000))
    (worker,) = lab.start("--table=Training", "--forever")
    wait_until(lambda: lab.iteration(worker) and lab.has_checkpoint())
    if how == "ours":
        preview = database.delete(dry_run=True, everything=True)
        assert [(job.table, job.pid) for job in preview.running] == [("Training", worker.pid)]
        database.delete(everything=True)
    else:
        database.Cohort.delete(prompt=False)
    more = submission(5, n_cohorts=2, task="Unhurried")
    more["cohorts"] = more["cohorts"][1:]
    more["trainings"] = {"quick": {"max_iter": 5}}
    more["cohorts"][0]["training"] = "quick"
    database.submit(more)
    wait_until(lambda: len(database.Training()) == 1, 15)  # it went on with other work
    lab.end()
    assert_all_right(1, store)
    assert "Traceback" not in lab.log(worker)


@pytest.mark.either_backend
@pytest.mark.usefixtures("own_classes_allowed")
def test_an_analysis_that_is_deleted_is_broken_off(database, lab: Laboratory, store):
    database.submit(submission(5))
    database.fill([database.Training])
    lab.order("validation", "sleep")
    (worker,) = lab.start("--table=Validation", "--forever")
    wait_until(lambda: lab.sleeps("validation", worker))
    database.delete(everything=True)
    wait_until(lambda: lab.is_idle(worker), 10)
    lab.end()
    assert not len(database.Validation()) and not jobs()
    assert not stored(store)


@pytest.mark.usefixtures("own_classes_allowed")
def test_a_training_that_is_just_inserted_is_deleted_with_the_rest(database, lab, store):
    """The delete waits for the commit, and takes those rows too."""
    database.submit(submission(5))
    lab.order("insert", "sleep")
    (worker,) = lab.start("--table=Training", "--forever")
    wait_until(lambda: lab.sleeps("insert", worker))
    import threading

    timer = threading.Timer(2.0, lambda: lab.order("insert", None))
    timer.start()
    done = database.delete(everything=True)
    timer.join()
    assert done.rows["Training.Network"] == 1
    wait_until(lambda: lab.is_idle(worker), 10)
    # It may have entered jobs of the analyses while the delete ran: they go as it next looks.
    wait_until(lambda: not jobs(), 30)
    lab.end()
    assert not len(database.Training()) and not stored(store)


@pytest.mark.parametrize(
    ("words", "option"),
    [
        (("--task", "cdmm"), "--task = 'cdmm': has not been entered; use cddm, other"),
        (("--network", "large"), "--network = 'large': has not been entered"),
        (("--task", "cddm", "--training", "shrt"), "--training = 'shrt': has not been entered"),
    ],
)
def test_a_name_that_nothing_has_is_refused(filled, words, option, monkeypatch):
    for more in (("--dry-run",), ("--yes",)):
        status, out, err = run(filled, "delete", *words, *more, monkeypatch=monkeypatch)
        assert status == 1 and err.startswith(f"error: {option}") and not out
    assert counts(filled)[0] == 3


def test_ctrl_c_at_the_question_ends_as_everywhere(filled, monkeypatch):
    """130, as shells have it, and not the 1 of who has answered no."""
    from rich.prompt import Confirm

    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(Confirm, "get_input", interrupted)
    before = counts(filled)
    status, _, err = run(filled, "delete", "--all", monkeypatch=monkeypatch)
    assert status == 130 and err == "interrupted: nothing was deleted\n"
    assert counts(filled) == before


def test_a_lock_of_another_session_is_said_to_be_one(filled, server, arguments, monkeypatch):
    """No worker has a job, so that none is to be waited for."""
    from pipeline.database import connection as database
    from pipeline.upkeep import deletion

    monkeypatch.setattr(deletion, "LOCK_SECONDS", 1)
    monkeypatch.setattr(deletion, "ATTEMPTS", 1)
    other = database.second_connection()
    table = filled.Cohort().full_table_name
    try:
        other.start_transaction()
        other.query(f"SELECT 1 FROM {table} FOR UPDATE").fetchall()
        with pytest.raises(DatabaseError, match="another session, no worker's, holds a lock"):
            deletion.delete(everything=True)
    finally:
        other.cancel_transaction()
        other.close()
    assert counts(filled)[0] == 3
