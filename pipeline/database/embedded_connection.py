"""A connection to the embedded database, whose server is started again where it has died."""

from __future__ import annotations

import select
from collections.abc import Sequence
from typing import Any

import datajoint as dj
import tenacity
from datajoint.errors import LostConnectionError

from .configuration import DatabaseError
from .embedded import EmbeddedServer
from .embedded_files import EmbeddedError
from .sessions import prepare_session
from .types import Cursor

ATTEMPTS, PAUSE = 5, 0.2  # to connect to a server that runs; seconds between two


class EmbeddedConnection(dj.Connection):
    """A connection to the embedded server, which is started again where it has died.

    A server may die under an open notebook (out of memory, killed). The next query then starts it
    again and is done as if nothing had been; only a query or a transaction that was under way at
    that moment is an error, because nobody knows whether it was committed.

    Parameters
    ----------
    server : EmbeddedServer
    *arguments, **keywords
        As of DataJoint's connection.
    """

    def __init__(self, server: EmbeddedServer, *arguments: Any, **keywords: Any) -> None:
        self._server = server
        self._in_transaction = False
        super().__init__(*arguments, **keywords)

    def connect(self) -> None:
        """Connect, or connect again.

        A server whose keeper was just killed answers for another moment; it is started again.
        """
        import psycopg2

        for attempt in tenacity.Retrying(
            retry=tenacity.retry_if_exception_type(psycopg2.OperationalError),
            stop=tenacity.stop_after_attempt(ATTEMPTS),
            wait=tenacity.wait_fixed(PAUSE),
            reraise=True,
        ):
            with attempt:
                self._connect()

    def _connect(self) -> None:
        try:
            self._server.start()
        except EmbeddedError as error:
            raise DatabaseError(str(error)) from error
        self.conn_info["host"] = self._server.host
        super().connect()

    def query(
        self, query: str, args: Sequence[Any] = (), *, reconnect: bool | None = None, **more: Any
    ) -> Cursor:
        """Send a query, as DataJoint's connection does."""
        if reconnect is None:
            reconnect = self._config["database.reconnect"]
        if reconnect and not self._is_closed and _has_hung_up(self._conn):
            if self._in_transaction:
                self._in_transaction = False
                self._conn.close()
                raise LostConnectionError(
                    "the embedded database ended within a transaction, which is undone"
                )
            self.connect()
            prepare_session(self)
        return super().query(query, args, reconnect=reconnect, **more)


def _has_hung_up(connection: Any) -> bool:
    """Return whether the server has ended a connection on which nothing is under way."""
    if connection.closed:
        return True
    poll = select.poll()
    poll.register(connection.fileno(), 0)  # hanging up and errors are always told
    return bool(poll.poll(0))
