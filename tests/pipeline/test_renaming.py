"""Renaming parameter sets with all rows, jobs, checkpoints and files that name them."""

from __future__ import annotations

import numpy as np
import pytest
from typer.testing import CliRunner

from pipeline.cli.commands import app
from pipeline.database.configuration import DatabaseError
from pipeline.database.connection import connection
from pipeline.database.server import reconnect
from pipeline.upkeep import renaming
from pipeline.upkeep.verify import verify
from pipeline.upkeep.verify_files import verify_files
from pipeline.workers.checkpoints import StoredCheckpoints, checkpoint_folder
from pipeline.workers.queue import Queue, job_hash
from pipeline.workers.registry import LostJob
from tasks_lib.errors import ParameterError

KEY = {"task_name": "cddm", "network_name": "small", "training_name": "short"}


@pytest.fixture
def filled(database, submission, prepared):
    submission["trainings"]["short"]["max_iter"] = 3
    submission["cohorts"][0]["n_networks"] = 1
    submission["cohorts"].append({**submission["cohorts"][0], "first_seed": 50})

    def fill():
        database.submit(submission)
        assert not database.fill(restriction={"first_seed": 3}).errors

    prepared(fill)
    return database


def everything(p):
    """All rows of the chain, without the names of sets; arrays by their paths."""
    from pipeline.database import schemas

    names = ("task_name", "network_name", "training_name")
    found = {}
    for schema, s in schemas.SCHEMAS.items():
        for table in () if schema == "work" else s.tables:
            rows = [
                {k: getattr(v, "path", repr(v)) for k, v in row.items() if k not in names}
                for row in table.to_dicts()
            ]
            found[table.__name__] = sorted(map(repr, rows))
    return found


@pytest.mark.either_backend
@pytest.mark.parametrize("kind", ["task", "network", "training"])
def test_all_that_names_it_is_renamed(filled, kind):
    column = f"{kind}_name"
    queue = Queue(filled.Training)
    queue.enter(connection())
    pending = {**KEY, "first_seed": 50}
    StoredCheckpoints(checkpoint_folder(filled.Training), job_hash(pending)).write("x", b"state")
    LostJob.insert1(
        {"job_table": "Training", "job_hash": job_hash(pending), "worker_id": 1,
         "job_key": pending, "lost_at": "2026-01-01", "reason": "", "counts": True}
    )  # fmt: skip
    before = everything(filled)
    counts = filled.rename(kind, KEY[column], "renamed")
    assert everything(filled) == before
    renamed = {**KEY, column: "renamed"}
    assert (filled.Cohort.proj() - renamed).to_dicts() == []
    assert len(filled.Training.Network & renamed) == 1
    assert sum(counts.values()) > 10 and any("point" in name for name in counts)
    assert verify_files().is_whole
    assert queue.jobs.keys() == [{**pending, column: "renamed"}]
    moved = job_hash({**pending, column: "renamed"})
    checkpoints = StoredCheckpoints(checkpoint_folder(filled.Training), moved)
    assert checkpoints.read("x") == b"state"
    assert LostJob.fetch1("job_hash") == moved
    assert filled.gc.collect(0).scan.orphans == []
    assert verify({**renamed, "seed": 3}).identical
    checkpoints.remove()
    assert not filled.fill([filled.Training, filled.Validation]).errors
    assert len(filled.Training()) == 2
    with pytest.raises(ParameterError, match="that there is"):
        filled.rename(kind, KEY[column], "again")


@pytest.mark.parametrize(
    ("kind", "table", "column"),
    [
        ("validation", "ValidationParams", "validation_name"),
        ("search", "FixedPointParams", "search_name"),
        ("manifolds", "ManifoldParams", "manifold_search"),
    ],
)
def test_settings_of_a_labs_own_are_renamed(filled, kind, table, column):
    settings = getattr(filled, table)
    own = {**settings.to_dicts(limit=1)[0], column: "mine"}
    settings.insert1(own)
    filled.rename(kind, "mine", "ours")
    assert len(settings & {column: "ours"}) == 1 and not len(settings & {column: "mine"})
    shipped = next(iter(settings.contents))[column]
    with pytest.raises(ParameterError, match="comes with the tables"):
        filled.rename(kind, shipped, "other")


def test_an_imported_network_is_renamed_too(filled):
    filled.Training.Source.insert1(
        {**filled.Training.keys()[0], "file": "a", "format": "npz", "sha256": "1", "notes": []},
        allow_direct_insert=True,
    )
    filled.rename("network", "small", "renamed")
    filled.rename("task", "cddm", "renamed_too")
    assert filled.Training.Source.fetch1("task_name", "network_name") == ("renamed_too", "renamed")


def test_not_while_a_job_runs(filled):
    queue = Queue(filled.Training)
    queue.enter(connection())
    assert queue.take_next(connection(), 1, "", 1)
    before = everything(filled)
    with pytest.raises(DatabaseError, match="that names it is running"):
        filled.rename("task", "cddm", "renamed")
    assert everything(filled) == before and len(filled.Task & {"task_name": "cddm"}) == 1


@pytest.mark.parametrize("kind", [KeyboardInterrupt, RuntimeError])
def test_a_rename_that_is_interrupted_leaves_nothing_half(filled, monkeypatch, kind):
    before = everything(filled)

    def interrupt(*_):
        raise kind

    monkeypatch.setattr(renaming, "_rename_losses", interrupt)
    with pytest.raises((KeyboardInterrupt, DatabaseError)):
        filled.rename("task", "cddm", "renamed")
    reconnect(connection())
    assert everything(filled) == before
    assert filled.Task.to_arrays("task_name").tolist() == ["cddm"]


@pytest.mark.either_backend
@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (("cohort", "a", "b"), "cannot be renamed"),
        (("task", "nothing", "b"), "is no task that there is"),
        (("task", "cddm", "a b"), "is not a name"),
        (("task", "cddm", "cddm"), "is "),
        (("training", "short", "imported"), "comes with the tables"),
    ],
)
def test_what_cannot_be_renamed_is_one_line(filled, monkeypatch, words, problem):
    monkeypatch.setattr(filled, "connect", lambda **_: None)
    monkeypatch.setattr(filled, "disconnect", lambda: None)
    result = CliRunner().invoke(app, ["rename", *words])
    assert result.exit_code == 1 and problem in result.stderr
    assert len(result.stderr.splitlines()) == 1
    result = CliRunner().invoke(app, ["rename", "task", "cddm", "other"])
    assert result.exit_code == 0 and result.stdout.endswith("task cddm is other now.\n")
    assert np.array_equal(filled.Task.to_arrays("task_name"), ["other"])


def test_a_table_that_names_it_twice_hinders_only_where_others_depend_on_its_rows(filled):
    """A lab's own, with two references to a set: each is renamed."""
    import os

    import datajoint as dj

    lab = dj.Schema(f"lab_pairs_{os.getpid()}", connection=connection())

    class Pair(dj.Manual):
        definition = """
        -> Task
        -> Task.proj(other_task="task_name")
        ---
        note : varchar(8)
        """

    class Below(dj.Manual):
        definition = """
        -> Pair
        """

    lab(Pair, context={"Task": filled.Task})
    try:
        renaming.rename("task", "cddm", "first")
        assert np.array_equal(filled.Task.to_arrays("task_name"), ["first"])
        Pair.insert1({"task_name": "first", "other_task": "first", "note": ""})
        filled.submit({"tasks": {"echo": {"class": "NBitFlipFlop"}}})
        Pair.insert1({"task_name": "echo", "other_task": "first", "note": ""})
        renaming.rename("task", "first", "second")
        rows = Pair.to_dicts(order_by="task_name")
        assert [(r["task_name"], r["other_task"]) for r in rows] == [
            ("echo", "second"), ("second", "second")
        ]  # fmt: skip
        lab(Below, context={"Pair": Pair})
        with pytest.raises(DatabaseError, match="names the set in two columns"):
            renaming.rename("task", "second", "third")
        assert sorted(filled.Task.to_arrays("task_name").tolist()) == ["echo", "second"]
        (Pair & {"task_name": "echo"}).delete(prompt=False)
        renaming.rename("task", "echo", "other")  # no row names this one
    finally:
        lab.drop(prompt=False)
