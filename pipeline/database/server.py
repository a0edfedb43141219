"""Transactions and sessions of a database server: begun, ended, opened again."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress

import datajoint as dj
import tenacity

from tasks_lib.errors import ParameterError

from .dialects import dialect_of
from .sessions import prepare_session

LONGEST_TURN = 300.0  # seconds for other processes that do the same


@contextmanager
def transaction(connection: dj.Connection) -> Iterator[None]:
    """Commit what is done inside, or nothing; each statement sees what others have committed.

    A connection that is lost inside is not opened anew: what came after would be outside of it, and
    commit by itself.
    """
    with dj.config.override(database__reconnect=False):
        yield from _transaction(connection, (*dialect_of(connection).isolation, "BEGIN"))


@contextmanager
def snapshot(connection: dj.Connection) -> Iterator[None]:
    """Read what there is at the begin, whatever others commit meanwhile; nothing can be written.

    Nobody waits for it, but for who changes the tables themselves.

    Raises
    ------
    ParameterError
        Where a transaction is open.
    """
    if connection.in_transaction:
        raise ParameterError("transaction", "open", "sees what it has written", "end it first")
    with dj.config.override(database__reconnect=False):
        yield from _transaction(connection, dialect_of(connection).snapshot)


def _transaction(connection: dj.Connection, statements: Sequence[str]) -> Iterator[None]:
    for statement in statements:
        connection.query(statement)
    connection._in_transaction = True
    try:
        yield
        connection.commit_transaction()
    except Exception:
        try:
            connection.query("ROLLBACK", reconnect=False)
        except Exception:
            close_connection(connection)  # then the server rolls back
        finally:
            connection._in_transaction = False
        raise
    except BaseException:  # a signal: a reply may have been read by half
        close_connection(connection)
        raise


@contextmanager
def alone(connection: dj.Connection, purpose: str, busy: Exception) -> Iterator[None]:
    """Hold a lock of the server while inside, so that one process at a time does something.

    No rights are needed. Should the connection be lost, the server lets go of the lock.

    Parameters
    ----------
    connection : Connection
    purpose : str
        What is done, and to what, as a sentence: whoever says the same waits.
    busy : Exception
        What is raised where other processes have held it for `LONGEST_TURN`.
    """
    take, release, name = dialect_of(connection).named_lock(purpose)
    wait = tenacity.Retrying(
        retry=tenacity.retry_if_result(lambda taken: not taken),
        wait=tenacity.wait_random(0.02, 0.2),
        stop=tenacity.stop_after_delay(LONGEST_TURN),
        retry_error_callback=lambda _: False,
    )
    if not wait(lambda: connection.query(take, args=(name,)).fetchone()[0]):
        raise busy
    try:
        yield
    finally:
        with suppress(Exception):
            connection.query(release, args=(name,), reconnect=False)


def server_time(connection: dj.Connection) -> str:
    """Return the present time by the server's clock, UTC, as text that sorts as the times do."""
    now = dialect_of(connection).now
    return str(connection.query(f"SELECT CAST({now} AS CHAR(23))").fetchone()[0])


def session_number(connection: dj.Connection) -> int:
    """Return the server's number of this session, which changes with every reconnection."""
    return int(connection.adapter.get_connection_id(connection._conn))


def end_session(connection: dj.Connection, number: int) -> None:
    """End another session of the server, where this user may; its transaction is rolled back."""
    connection.query(dialect_of(connection).end_session(number))


def end_earlier_session(connection: dj.Connection, number: int, age: float) -> None:
    """End an earlier session of ours whose connection broke, so that the server frees its locks.

    Parameters
    ----------
    number : int
    age : float
        Seconds since it was opened. A server that was started since gives its numbers anew.
    """
    with suppress(Exception):  # it is gone, or not ours to end
        if float(connection.query(dialect_of(connection).uptime).fetchone()[0]) > age + 1:
            end_session(connection, number)


def close_connection(connection: dj.Connection) -> None:
    """Close the connection whatever state it is in."""
    with suppress(Exception):
        connection.close()
    connection._is_closed = True
    connection._in_transaction = False


def answers(connection: dj.Connection) -> bool:
    """Return whether the server answers; DataJoint's ``is_connected`` does not look at that."""
    return not connection._is_closed and bool(connection.adapter.ping(connection._conn))


def reconnect(connection: dj.Connection) -> None:
    """Open the connection again if it does not answer."""
    if answers(connection):
        return
    close_connection(connection)
    level = (logger := logging.getLogger("datajoint")).level
    logger.setLevel(logging.ERROR)  # a fall-back without TLS was said at the first connection
    try:
        connection.connect()
        prepare_session(connection)
    finally:
        logger.setLevel(level)


def base_tables(connection: dj.Connection, schema_name: str) -> list[str]:
    """Return the names of all tables of a schema in the database, hidden ones too."""
    found = connection.query(dialect_of(connection).base_tables, args=(schema_name,)).fetchall()
    return [str(name) for (name,) in found]
