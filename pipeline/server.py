"""What the two kinds of server say differently, and which of their failures pass by themselves."""

from __future__ import annotations

import errno
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from threading import Event
from typing import Any, TypeVar

import datajoint as dj
import psycopg2
import pymysql
from datajoint.errors import LostConnectionError
from tenacity import (
    RetryCallState,
    Retrying,
    retry_if_exception,
    sleep_using_event,
    stop_when_event_set,
    wait_random_exponential,
)

from .sessions import prepare_session
from .store_watch import store_is_away

Result = TypeVar("Result")

FIRST_WAIT, LONGEST_WAIT = 0.5, 30.0  # seconds between attempts

# Of MySQL: disk or table full, too many connections, threads or locks, shutting down, lost or
# refused connections, lock wait timeout, deadlock, a commit that failed, killed or timed-out
# sessions. Not 1038, out of sort memory: the rows are too long for the server's sort_buffer_size,
# now and later.
MYSQL_PASSING = {
    0, 3, 1021, 1026, 1030, 1040, 1041, 1053, 1077, 1080, 1114, 1129, 1135, 1152, 1158, 1159, 1160,
    1161, 1180, 1203, 1205, 1206, 1213, 1226, 1290, 1317, 1836, 1927, 2002, 2003, 2006, 2013, 2014,
    2055, 3032, 3100, 3168, 3572, 4031,
}  # fmt: skip
# Of PostgreSQL, by the start of its code: connections, serialisation and deadlock, resources
# (disk full, too many connections), locks not available, shutdown and start, input and output.
POSTGRESQL_PASSING = ("08", "40001", "40P01", "53", "55P03", "57P0", "58030", "25P03", "25006")
# What it says where it will refuse the next connection too; there is no code then.
POSTGRESQL_REFUSES = ("authentication failed", "no password supplied", "does not exist", "pg_hba")
# Of S3's client, before there is a whole answer. A service that lends credentials may be away too.
S3_PASSING = {
    "ConnectionError", "HTTPClientError", "IncompleteReadError", "ResponseParserError",
    "CredentialRetrievalError", "MetadataRetrievalError",
}  # fmt: skip
# A clock that is set back or forth makes a request look as if it came too early or too late.
S3_PASSING_CODES = ("SlowDown", "RequestTimeout", "RequestTimeTooSkewed")
# Of the operating system: full disks, file systems and networks that went away.
SYSTEM_PASSING = {
    getattr(errno, name)
    for name in (
        "ENOSPC", "EDQUOT", "EIO", "ESTALE", "ETIMEDOUT", "ECONNREFUSED", "ECONNRESET",
        "ECONNABORTED", "EPIPE", "EHOSTUNREACH", "EHOSTDOWN", "ENETUNREACH", "ENETDOWN", "ENOTCONN",
        "EAGAIN", "EBUSY", "EMFILE", "ENFILE", "EROFS", "EREMOTEIO",
    )
    if hasattr(errno, name)
}  # fmt: skip


def now(connection: dj.Connection) -> str:
    """Return the SQL of the present time by the server's clock, UTC, wherever its sessions are."""
    if connection.adapter.backend == "mysql":
        return "UTC_TIMESTAMP(3)"
    return "(clock_timestamp() AT TIME ZONE 'UTC')"


def seconds_since(connection: dj.Connection, column: str) -> str:
    """Return the SQL of the seconds since the time in a column, UTC.

    A time ahead, because the server's clock was set back, counts as so long ago: nobody waits until
    the clock is there again.
    """
    if connection.adapter.backend == "mysql":
        return f"ABS(TIMESTAMPDIFF(MICROSECOND, {column}, UTC_TIMESTAMP(3)) / 1e6)"
    return f"ABS(EXTRACT(EPOCH FROM ({now(connection)} - {column})))"


def jobs_now(connection: dj.Connection) -> str:
    """Return the SQL of the present time as the jobs tables of DataJoint have it."""
    return "CURRENT_TIMESTAMP(3)"


@contextmanager
def transaction(connection: dj.Connection) -> Iterator[None]:
    """Commit what is done inside, or nothing; each statement sees what others have committed."""
    if connection.adapter.backend == "mysql":
        # Without locks on the gaps between rows, so that workers do not wait for each other.
        connection.query("SET TRANSACTION ISOLATION LEVEL READ COMMITTED")
    connection.query("BEGIN")
    connection._in_transaction = True
    try:
        yield
        connection.commit_transaction()
    except Exception:
        try:
            connection.query("ROLLBACK", reconnect=False)
        except Exception:
            hang_up(connection)  # then the server rolls back
        finally:
            connection._in_transaction = False
        raise
    except BaseException:  # a signal: a reply may have been read by half
        hang_up(connection)
        raise


def session_number(connection: dj.Connection) -> int:
    """Return the server's number of this session, which changes with every reconnection."""
    return int(connection.adapter.get_connection_id(connection._conn))


def end_session(connection: dj.Connection, number: int) -> None:
    """End another session of the server, where this user may; its transaction is rolled back."""
    if connection.adapter.backend == "mysql":
        connection.query(f"KILL CONNECTION {int(number)}")
    else:
        connection.query(f"SELECT pg_terminate_backend({int(number)})")


def end_earlier_session(connection: dj.Connection, number: int, age: float) -> None:
    """End a session of ours that broke: the server may not know, and keep what it had locked.

    Parameters
    ----------
    number : int
    age : float
        Seconds since it was opened. A server that was started since gives its numbers anew.
    """
    if connection.adapter.backend == "mysql":
        query = (
            "SELECT VARIABLE_VALUE FROM performance_schema.global_status "
            "WHERE VARIABLE_NAME='Uptime'"
        )
    else:
        query = "SELECT EXTRACT(EPOCH FROM (clock_timestamp() - pg_postmaster_start_time()))"
    with suppress(Exception):  # it is gone, or not ours to end
        if float(connection.query(query).fetchone()[0]) > age + 1:
            end_session(connection, number)


def hang_up(connection: dj.Connection) -> None:
    """Close the connection whatever state it is in."""
    with suppress(Exception):
        connection.close()
    connection._is_closed = True
    connection._in_transaction = False


def answers(connection: dj.Connection) -> bool:
    """Return whether the server answers; DataJoint's ``is_connected`` does not look at that."""
    return not connection._is_closed and bool(connection.adapter.ping(connection._conn))


def reconnect(connection: dj.Connection) -> None:
    """Open the connection anew where it does not answer."""
    if answers(connection):
        return
    hang_up(connection)
    level = (logger := logging.getLogger("datajoint")).level
    logger.setLevel(logging.ERROR)  # a fall-back without TLS was said at the first connection
    try:
        connection.connect()
        prepare_session(connection)
    finally:
        logger.setLevel(level)


def passes(error: BaseException | None) -> bool:
    """Return whether a failure is one of the server or the store that passes by itself."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        if isinstance(error, DoesNotPass) or not isinstance(error, Exception):
            return False
        if _passes(error):
            return True
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    return False


class ShortOfMemory(Exception):
    """Memory could not be had; others on the machine may give it back."""


class DoesNotPass(Exception):
    """A failure that looked as if it passed by itself, and does not."""


def _passes(error: BaseException) -> bool:
    if isinstance(error, LostConnectionError | ShortOfMemory):
        return True
    if isinstance(error, pymysql.err.Error):
        code = error.args[0] if error.args else 0
        return code in MYSQL_PASSING or isinstance(error, pymysql.err.InterfaceError)
    if isinstance(error, psycopg2.Error):
        if error.pgcode is None:  # the connection itself: closed, refused, reset
            closed = (psycopg2.OperationalError, psycopg2.InterfaceError)
            if any(sign in str(error) for sign in POSTGRESQL_REFUSES):
                return False
            return isinstance(error, closed) or type(error) is psycopg2.DatabaseError
        return str(error.pgcode).startswith(POSTGRESQL_PASSING)
    module = type(error).__module__.partition(".")[0]
    if module == "botocore":
        answer = getattr(error, "response", None)
        if not isinstance(answer, dict):
            return not S3_PASSING.isdisjoint(kind.__name__ for kind in type(error).__mro__)
        status = answer.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
        code = answer.get("Error", {}).get("Code", "")
        return status >= 500 or status == 429 or code in S3_PASSING_CODES
    if module in ("aiohttp", "urllib3"):
        return True
    missing = (FileNotFoundError, PermissionError, dj.errors.MissingExternalFile)
    if isinstance(error, missing):
        return store_is_away()
    if isinstance(error, ConnectionError | TimeoutError):
        return True
    return isinstance(error, OSError) and error.errno in SYSTEM_PASSING


def patiently(
    attempt: Callable[[], Result],
    stop: Event,
    waiting: Callable[[BaseException, float], Any] | None = None,
    before: Callable[[], Any] | None = None,
) -> Result:
    """Do something again and again until server and store let it, with longer and longer waits.

    Parameters
    ----------
    attempt : callable
        What is to be done; of what it raises, only what `passes` is waited for.
    stop : Event
        Ends the waiting: the last error is then raised.
    waiting : callable, optional
        Told the error and the seconds before each wait.
    before : callable, optional
        Called before each attempt but the first; what it raises counts as the attempt's.
    """

    def told(state: RetryCallState) -> None:
        if waiting is not None and state.outcome is not None and state.next_action is not None:
            waiting(state.outcome.exception(), state.next_action.sleep)  # type: ignore[arg-type]

    def again() -> Result:
        if before is not None and retrying.statistics.get("attempt_number", 1) > 1:
            before()
        return attempt()

    retrying = Retrying(
        retry=retry_if_exception(passes),
        wait=wait_random_exponential(multiplier=FIRST_WAIT, max=LONGEST_WAIT, min=FIRST_WAIT / 2),
        sleep=sleep_using_event(stop),
        stop=stop_when_event_set(stop),
        before_sleep=told,
        reraise=True,
    )
    return retrying(again)
