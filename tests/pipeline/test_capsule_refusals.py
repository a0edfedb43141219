"""Rows of a capsule that a server refuses, and what an opening that fails leaves in a store."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import psycopg2
import pymysql
import pytest
from datajoint.errors import AccessError, DuplicateError, LostConnectionError

from pipeline.sharing import capsule_insert, capsule_open
from tasks_lib import ParameterError

CAPSULE = SimpleNamespace(path=Path("paper.zip"))


@pytest.mark.parametrize(
    "error",
    [
        pymysql.err.DataError(1265, "Data truncated for column 'status'"),
        pymysql.err.IntegrityError(1452, "a foreign key constraint fails"),
        psycopg2.errors.NumericValueOutOfRange("integer out of range"),
        DuplicateError("Duplicate entry"),
        UnicodeEncodeError("utf-8", "\ud800", 0, 1, "surrogates not allowed"),
    ],
)
def test_rows_that_are_refused_are_named_by_their_table(error):
    with (
        pytest.raises(ParameterError, match=r"paper.zip.* rows of Task .*does not take") as caught,
        capsule_insert._said_of(CAPSULE, "Task"),
    ):
        raise error
    assert type(error).__name__ in str(caught.value)


@pytest.mark.parametrize(
    "error",
    [
        pymysql.err.OperationalError(2013, "Lost connection"),
        LostConnectionError("gone"),
        AccessError("Insufficient privileges"),
        OSError(28, "No space left on device"),
        ParameterError("PATH", "paper.zip", "is of a later version", "update"),
    ],
)
def test_a_server_that_is_away_is_not_the_fault_of_rows(error):
    with pytest.raises(type(error)) as caught, capsule_insert._said_of(CAPSULE, "Task"):
        raise error
    assert caught.value is error


def test_folders_without_files_go_and_those_of_others_stay(tmp_path, monkeypatch):
    backend = SimpleNamespace(spec={"schema_prefix": "_schema"})
    monkeypatch.setattr(capsule_open, "get_store_backend", lambda store: backend)
    for name in ("paper_training/network/seed=0", "paper_work", "other_training/network"):
        (tmp_path / "_schema" / name).mkdir(parents=True)
    (tmp_path / "_schema" / "paper_work" / "kept.npy").write_bytes(b"of somebody")
    capsule_open._remove_folders(tmp_path, "paper")
    left = sorted(p.name for p in (tmp_path / "_schema").iterdir())
    assert left == ["other_training", "paper_work"]
    capsule_open._remove_folders(None, "paper")  # a bucket has no folders
