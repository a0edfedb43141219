"""Servers between a client and a real server: with TLS or without, or a gate that can be shut."""

from __future__ import annotations

import shutil
import socket
import ssl
import struct
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from tests.servers import Server

SSL_REQUEST, GSS_REQUEST = 80877103, 80877104  # first messages of PostgreSQL's protocol
MYSQL_SSL = 0x0800  # bit of the capabilities in MySQL's greeting
Greet = Callable[[socket.socket, socket.socket], socket.socket]


def certificate(folder: Path, name: str = "localhost") -> tuple[Path, Path]:
    """Make a certificate that signs itself; return its file and that of its key."""
    if not shutil.which("openssl"):
        pytest.skip("no openssl")
    made, key = folder / f"{name}.crt", folder / f"{name}.key"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2",
         "-subj", f"/CN={name}", "-out", made, "-keyout", key],
        check=True,
        capture_output=True,
    )  # fmt: skip
    return made, key


def _connect(server: Server) -> socket.socket:
    if not server.host.startswith("/"):
        return socket.create_connection((server.host, server.port))
    upstream = socket.socket(socket.AF_UNIX)
    upstream.connect(f"{server.host}/.s.PGSQL.{server.port}")
    return upstream


def _pump(source: socket.socket, sink: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(65536):
            sink.sendall(data)
    for end in (source, sink):
        with suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)


@contextmanager
def _middleman(server: Server, greet: Greet) -> Iterator[Server]:
    """Pass on what is said, after `greet` has dealt with the beginning of a connection."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve(client: socket.socket) -> None:
        with suppress(OSError), _connect(server) as upstream:
            client = greet(client, upstream)
            threading.Thread(target=_pump, args=(upstream, client), daemon=True).start()
            _pump(client, upstream)

    def accept() -> None:
        with suppress(OSError):
            while True:
                client, _ = listener.accept()
                threading.Thread(target=serve, args=(client,), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    try:
        port = listener.getsockname()[1]
        yield Server(server.backend, "127.0.0.1", port, server.user, server.password)
    finally:
        listener.close()


class Gate:
    """The way to a server on loopback. Where it is shut, that server looks as if it were stopped.

    Parameters
    ----------
    port : int
        Of the server.
    """

    def __init__(self, port: int) -> None:
        self._server = ("127.0.0.1", port)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._passing: list[socket.socket] = []
        self._answer = b""
        self.port: int = self._listener.getsockname()[1]
        self._watch()

    def open(self) -> None:
        """Let connections through again."""
        self._answer = b""
        if self._listener.fileno() < 0:
            self._listener = socket.create_server(("127.0.0.1", self.port))
            self._watch()

    def shut(self) -> None:
        """Break all connections, and refuse new ones."""
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)  # ends the waiting for the next one
        self._listener.close()
        passing, self._passing = self._passing, []
        for end in passing:
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def answer(self, status: int, code: str) -> None:
        """Answer whatever is asked with an error of S3's, instead of the server."""
        body = f"<Error><Code>{code}</Code><Message>said by the gate</Message></Error>"
        head = f"HTTP/1.1 {status} {code}\r\nContent-Type: application/xml\r\n"
        ends = f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
        self._answer = f"{head}{ends}{body}".encode()

    def _watch(self) -> None:
        threading.Thread(target=self._accept, args=(self._listener,), daemon=True).start()

    def _accept(self, listener: socket.socket) -> None:
        with suppress(OSError):
            while True:
                client, _ = listener.accept()
                threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with client, suppress(OSError):
            if self._answer:
                client.recv(65536)
                client.sendall(self._answer)
                return
            with socket.create_connection(self._server) as upstream:
                self._passing += [client, upstream]
                threading.Thread(target=_pump, args=(upstream, client), daemon=True).start()
                _pump(client, upstream)


@contextmanager
def gate(port: int) -> Iterator[Gate]:
    """Give a gate to a server's port."""
    made = Gate(port)
    try:
        yield made
    finally:
        made.shut()


def without_tls(server: Server):
    """A server that offers no TLS."""

    def hide(client: socket.socket, upstream: socket.socket) -> socket.socket:
        if server.backend == "mysql":
            greeting = bytearray(upstream.recv(65536))
            place = greeting.index(0, 5) + 1 + 4 + 8 + 1  # version, thread, salt, filler
            (offered,) = struct.unpack_from("<H", greeting, place)
            assert offered & MYSQL_SSL
            struct.pack_into("<H", greeting, place, offered & ~MYSQL_SSL)
            client.sendall(greeting)
        return client  # the embedded PostgreSQL is built without TLS

    return _middleman(server, hide)


def postgresql_with_tls(server: Server, files: tuple[Path, Path]):
    """A PostgreSQL that offers TLS, by a proxy that ends it."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*files)

    def offer(client: socket.socket, upstream: socket.socket) -> socket.socket:
        while True:
            start = client.recv(8, socket.MSG_PEEK | socket.MSG_WAITALL)
            _, request = struct.unpack("!II", start)
            if request == GSS_REQUEST:
                client.recv(8)
                client.sendall(b"N")
            elif request == SSL_REQUEST:
                client.recv(8)
                client.sendall(b"S")
                return context.wrap_socket(client, server_side=True)
            else:
                return client

    return _middleman(server, offer)
