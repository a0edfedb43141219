"""Time limits of an open connection: how long it may be idle, and when a dead server is noticed."""

from __future__ import annotations

import os
import socket
from contextlib import suppress

import datajoint as dj

from .dialects import dialect_of

SILENT_SECONDS = 30  # after which a server that does not answer is given up
IDLE_SECONDS = 86_400  # that a session may be idle, whatever the server's own limit: a day


def prepare_session(connection: dj.Connection) -> None:
    """Let a session be idle as long as a job may need, and end when the server is gone."""
    notice_silence(connection)
    # Some jobs compute within their transaction. Were it ended for its silence, they would be
    # computed again, and again.
    limit = dialect_of(connection).limit_idle_time(IDLE_SECONDS)
    connection.query(limit, reconnect=False)


def notice_silence(connection: dj.Connection) -> None:
    """Set TCP keepalive, so that a connection to a dead server fails within half a minute.

    Without it, a query to a machine that is gone waits for a quarter of an hour.
    """
    with suppress(Exception):  # a Unix socket, or a system without these options
        raw = connection._conn
        number = raw._sock.fileno() if hasattr(raw, "_sock") else raw.fileno()
        with socket.socket(fileno=os.dup(number)) as opened:
            opened.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, SILENT_SECONDS // 2)
            opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, SILENT_SECONDS // 6)
            opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 3)
            opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, 1000 * SILENT_SECONDS)
