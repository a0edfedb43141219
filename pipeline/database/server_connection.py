"""A connection to a server, which is encrypted where TLS was asked for, or is none."""

from __future__ import annotations

import ssl
from contextlib import suppress
from functools import cache
from typing import Any

import datajoint as dj

from .configuration import VERIFIES_NOTHING, DatabaseError


@cache
def unverified() -> ssl.SSLContext:
    """Return what encrypts without asking who the server is, for all connections of a process.

    PyMySQL makes the same for each, and loads all certificates of the machine, which nobody asks
    for here: that takes 25 ms.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


class ServerConnection(dj.Connection):
    """A connection that is looked at whenever it is opened, at first and after it was lost.

    DataJoint hands on what was asked for (`use_tls`), and the drivers take an unencrypted
    connection for some of it: PyMySQL for an empty dictionary, where the server, or somebody in
    between, offers none.
    """

    def _build_connect_kwargs(self, use_tls: bool | dict[str, Any] | None = None) -> dict[str, Any]:
        arguments = super()._build_connect_kwargs(use_tls)
        # Without an authority PyMySQL verifies nothing.
        if self.adapter.backend == "mysql" and arguments["use_tls"] in (True, VERIFIES_NOTHING):
            arguments["use_tls"] = unverified()
        return arguments

    def connect(self) -> None:
        """Connect, or connect again.

        Raises
        ------
        DatabaseError
            Where TLS was asked for, and the connection is not encrypted; it is closed.
        """
        super().connect()
        asked = self.conn_info["ssl_input"]
        if asked is not None and asked is not False and not self.is_encrypted:
            with suppress(Exception):
                self._conn.close()
            host = self.conn_info["host"]
            raise DatabaseError(
                f"host = {host!r}: the connection is not encrypted, and TLS was asked for; set up "
                "TLS on the server, or check DJ_USE_TLS and that this is the right server"
            )

    @property
    def is_encrypted(self) -> bool:
        """Whether what this process sends is encrypted, by its own socket."""
        if self.adapter.backend == "mysql":
            return isinstance(getattr(self._conn, "_sock", None), ssl.SSLSocket)
        return bool(self._conn.info.ssl_in_use)
