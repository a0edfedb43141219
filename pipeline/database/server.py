"""What the two kinds of server say differently, and which of their failures pass by themselves."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import datajoint as dj

from .sessions import prepare_session


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
    """Commit what is done inside, or nothing; each statement sees what others have committed.

    A connection that is lost inside is not opened anew: what came after would be outside of it, and
    commit by itself.
    """
    with dj.config.override(database__reconnect=False):
        yield from _transaction(connection)


def _transaction(connection: dj.Connection) -> Iterator[None]:
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
