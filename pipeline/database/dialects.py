"""SQL that differs between MySQL and PostgreSQL: one class for each, and what they share.

Everything else of the pipeline's SQL is the same on both back ends. `transient.errors` has the
error codes of both, `roles` the statements that an administrator runs, and `connection` the ports.
"""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from typing import Any

import datajoint as dj


class Dialect(ABC):
    """The SQL of one back end.

    Attributes
    ----------
    now : str
        The present time by the server's clock, UTC, whatever the session's time zone.
    jobs_now : str
        The same as the columns of DataJoint's jobs tables have it, in the session's time zone.
    uptime : str
        Query of the seconds since the server was started.
    isolation : tuple of str
        Statements before ``BEGIN``, so that each statement of the transaction sees what others have
        committed, and locks no gaps between rows: workers do not wait for each other.
    base_tables : str
        Query of the names of all tables of a schema, its one argument; also of tables on which the
        user has no rights, where the server shows them.
    """

    now: str
    jobs_now = "CURRENT_TIMESTAMP(3)"
    uptime: str
    isolation: tuple[str, ...] = ()
    base_tables: str

    @abstractmethod
    def seconds_since(self, time: str) -> str:
        """Return the SQL of the seconds since a time, UTC.

        A time ahead, because the server's clock was set back, counts as so long ago: nobody waits
        until the clock is there again.
        """

    @abstractmethod
    def insert_new(self, target: str, source: str) -> str:
        """Return the statement that inserts rows, but for those whose key is there already.

        Parameters
        ----------
        target : str
            Table and columns.
        source : str
            ``VALUES (...)`` or ``SELECT ...``.
        """

    @abstractmethod
    def end_session(self, number: int) -> str:
        """Return the statement that ends a session of the server by its number."""

    @abstractmethod
    def limit_idle_time(self, seconds: int) -> str:
        """Return the statement by which a session may stay idle for so long."""

    @abstractmethod
    def limit_lock_wait(self, seconds: int) -> str:
        """Return the statement by which the session's statements wait so long for a row's lock."""

    @abstractmethod
    def named_lock(self, purpose: str) -> tuple[str, str, Any]:
        """Return the statements that try for a lock and release it, and its name, their argument.

        The first returns true where the session has the lock. The server releases it when the
        session ends.
        """


class MySQL(Dialect):
    """MySQL 8 and later."""

    uptime = (
        "SELECT VARIABLE_VALUE FROM performance_schema.global_status WHERE VARIABLE_NAME='Uptime'"
    )
    isolation = ("SET TRANSACTION ISOLATION LEVEL READ COMMITTED",)
    base_tables = (
        "SELECT table_name FROM information_schema.tables "
        "WHERE table_schema=%s AND table_type='BASE TABLE'"
    )
    now = "UTC_TIMESTAMP(3)"

    def seconds_since(self, time: str) -> str:
        """Return the SQL of the seconds since a time."""
        return f"ABS(TIMESTAMPDIFF(MICROSECOND, {time}, {self.now}) / 1e6)"

    def insert_new(self, target: str, source: str) -> str:
        """Return the statement that inserts rows whose key is new."""
        return f"INSERT IGNORE INTO {target} {source}"

    def end_session(self, number: int) -> str:
        """Return the statement that ends a session."""
        return f"KILL CONNECTION {int(number)}"

    def limit_idle_time(self, seconds: int) -> str:
        """Return the statement by which a session may stay idle, inside a transaction or not."""
        return f"SET SESSION wait_timeout={int(seconds)}"

    def limit_lock_wait(self, seconds: int) -> str:
        """Return the statement that limits the wait for a row's lock."""
        return f"SET innodb_lock_wait_timeout={int(seconds)}"

    def named_lock(self, purpose: str) -> tuple[str, str, Any]:
        """Return statements and name of a lock: a text of at most 64 characters."""
        name = hashlib.sha256(purpose.encode()).hexdigest()
        return "SELECT GET_LOCK(%s, 0)", "SELECT RELEASE_LOCK(%s)", name


class PostgreSQL(Dialect):
    """PostgreSQL, a server's or the embedded one."""

    uptime = "SELECT EXTRACT(EPOCH FROM (clock_timestamp() - pg_postmaster_start_time()))"
    # READ COMMITTED is the default. information_schema leaves out tables that one may not read.
    base_tables = (
        "SELECT c.relname FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS n "
        "ON n.oid = c.relnamespace WHERE n.nspname=%s AND c.relkind IN ('r', 'p')"
    )
    now = "(clock_timestamp() AT TIME ZONE 'UTC')"

    def seconds_since(self, time: str) -> str:
        """Return the SQL of the seconds since a time."""
        return f"ABS(EXTRACT(EPOCH FROM ({self.now} - {time})))"

    def insert_new(self, target: str, source: str) -> str:
        """Return the statement that inserts rows whose key is new."""
        return f"INSERT INTO {target} {source} ON CONFLICT DO NOTHING"

    def end_session(self, number: int) -> str:
        """Return the statement that ends a session."""
        return f"SELECT pg_terminate_backend({int(number)})"

    def limit_idle_time(self, seconds: int) -> str:
        """Return the statement by which a session may stay idle inside a transaction."""
        return f"SET idle_in_transaction_session_timeout='{int(seconds)}s'"

    def limit_lock_wait(self, seconds: int) -> str:
        """Return the statement that limits the wait for a row's lock."""
        return f"SET lock_timeout='{int(seconds)}s'"

    def named_lock(self, purpose: str) -> tuple[str, str, Any]:
        """Return statements and name of a lock: a number of 56 bits."""
        name = int.from_bytes(hashlib.sha256(purpose.encode()).digest()[:7], "big")
        return "SELECT pg_try_advisory_lock(%s)", "SELECT pg_advisory_unlock(%s)", name


DIALECTS: dict[str, Dialect] = {"mysql": MySQL(), "postgresql": PostgreSQL()}


def dialect_of(connection: dj.Connection) -> Dialect:
    """Return the SQL of a connection's back end."""
    return DIALECTS[connection.adapter.backend]
