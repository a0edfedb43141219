"""Which errors of a server are transient."""

from __future__ import annotations

import pymysql
import pytest
from datajoint.errors import DataJointError
from pymysql.constants import ER

from pipeline.transient.errors import is_transient


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        (ER.CON_COUNT_ERROR, True),
        (ER.CANT_CREATE_THREAD, True),
        (ER.ERROR_DURING_COMMIT, True),
        (ER.LOCK_TABLE_FULL, True),
        (ER.LOCK_DEADLOCK, True),
        (ER.OUT_OF_SORTMEMORY, False),
        (ER.PARSE_ERROR, False),
        (ER.DUP_ENTRY, False),
        (ER.ACCESS_DENIED_ERROR, False),
    ],
)
def test_errors_of_mysql(code, expected):
    error = pymysql.err.OperationalError(code, "as the server says it")
    assert is_transient(error) is expected
    wrapped = DataJointError("as DataJoint hands it on")
    wrapped.__cause__ = error
    assert is_transient(wrapped) is expected
