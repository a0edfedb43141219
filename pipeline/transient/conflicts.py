"""Transactions that the server refused because of another one at the same time: done again."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import psycopg2
import pymysql
from datajoint.errors import DuplicateError
from tenacity import Retrying, retry_if_exception, stop_after_attempt, wait_random_exponential

Result = TypeVar("Result")

# Of MySQL: lock wait timeout, deadlock. Of PostgreSQL: serialisation, deadlock, lock not available.
MYSQL_CONFLICTS = {1205, 1213}
POSTGRESQL_CONFLICTS = {"40001", "40P01", "55P03"}
MOST_ATTEMPTS = 20


def is_conflict(error: BaseException) -> bool:
    """Return whether a transaction may succeed when it is done again as a whole.

    A row of the same key may have been committed by another process since it was looked for: the
    next attempt sees it.
    """
    if isinstance(error, DuplicateError):
        return True
    if isinstance(error, pymysql.err.Error):
        return bool(error.args) and error.args[0] in MYSQL_CONFLICTS
    return isinstance(error, psycopg2.Error) and error.pgcode in POSTGRESQL_CONFLICTS


def retry_conflicts(attempt: Callable[[], Result]) -> Result:
    """Repeat a transaction while the server refuses it because of another one.

    Parameters
    ----------
    attempt : callable
        The whole transaction, which begins with what it depends on.
    """
    retrying = Retrying(
        retry=retry_if_exception(is_conflict),
        wait=wait_random_exponential(multiplier=0.02, max=1.0),
        stop=stop_after_attempt(MOST_ATTEMPTS),
        reraise=True,
    )
    return retrying(attempt)
