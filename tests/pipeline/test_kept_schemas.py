"""Schemas that tests share: each test finds them as they are after a declaration."""

from __future__ import annotations

import pytest

import pipeline
from pipeline.database import connection as database
from pipeline.database import state
from pipeline.database.store_mark import StoreMark
from pipeline.workers.registry import Errand, Worker
from tests import kept_schemas


@pytest.fixture
def kept(server, arguments):
    with kept_schemas.kept_schemas(server, arguments["prefix"]) as made:
        pipeline.connect(**arguments)
        made.declared()
        yield made
        pipeline.disconnect()


def missing(kept):
    with kept_schemas.session(kept.server) as connection:
        return state.missing_tables(kept.prefix, connection)


def test_rows_are_gone_and_lookups_are_back(kept, arguments, submission, tmp_path, monkeypatch):
    p = pipeline
    searches = p.FixedPointParams.to_dicts()
    p.submit(submission)
    assert p.fill([p.Training]).errors == []
    (p.FixedPointParams & "TRUE").delete_quick()
    p.ValidationParams.insert1({**p.ValidationParams.to_dicts()[0], "validation_name": "other"})
    assert len(p.Training.Network()) == 2 and len(Worker()) == 1
    marks = StoreMark.to_dicts()
    p.disconnect()
    kept.restore()
    assert not missing(kept)
    # Another store: the mark of the first one is not asked for.
    other = tmp_path / "other"
    other.mkdir()
    p.connect(**{**arguments, "store": other})
    for table in (p.Task, p.Cohort, p.Training, p.Training.Network, Worker):
        assert len(table()) == 0
    assert p.FixedPointParams.to_dicts() == searches
    assert len(p.ValidationParams()) == 2
    assert Errand.to_dicts() == [
        {"errand": name, "began_at": None, "finished_at": None, "worker_id": 0}
        for name in ("enter_jobs", "reap")
    ]
    assert len(StoreMark()) == 1 and StoreMark.to_dicts() != marks

    # A worker that is still there is an error, and the rows are gone all the same.
    monkeypatch.setattr(kept_schemas, "MAX_WAIT", 0.2)
    p.submit(submission)
    connection = database.connection()
    p.fill([p.Training])
    connection.query(
        f"UPDATE {Worker.full_table_name} SET session_id=%s", args=(connection.connection_id,)
    )
    with pytest.raises(AssertionError, match="has left workers"):
        kept.restore()
    assert len(p.Training()) == len(p.Task()) == 0


def test_a_changed_structure_is_noticed(kept, arguments):
    adapter = database.connection().adapter
    lineage = adapter.make_full_table_name(pipeline.Task.database, state.LINEAGE)
    column = adapter.quote_identifier("extra")
    for change in (
        f"ALTER TABLE {Worker.full_table_name} ADD COLUMN {column} int",
        f"DELETE FROM {lineage}",
    ):
        pipeline.connect(**arguments)
        kept.declared()
        database.connection().query(change)
        pipeline.disconnect()
        kept.restore()
        assert missing(kept) == state.expected_tables(kept.prefix)
