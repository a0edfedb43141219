"""Serving a report over HTTP while it is kept fresh: read only, and nothing but its files."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_address
from pathlib import Path, PurePosixPath
from socketserver import TCPServer
from typing import Any
from urllib.parse import unquote, urlsplit

from tasks_lib.errors import ParameterError, text_of

TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".png": "image/png",
    ".json": "application/json",
}
LIVE = "X-Report-Live"  # header by which a page knows that it may be written anew
LOOPBACK = "127.0.0.1"
PATIENCE_S = 30.0  # with a client that sends nothing


class ReportServer(ThreadingHTTPServer):
    """A server of the files of a report.

    Attributes
    ----------
    paths : frozenset of str
        The files that are served, from the folder of the report. There is no other: a path that
        is not among them is not looked for.
    """

    daemon_threads = True

    def __init__(self, folder: Path, host: str, port: int) -> None:
        self.folder, self.paths = folder, frozenset[str]()
        if ":" in host:
            self.address_family = socket.AF_INET6
        super().__init__((host, port), Handler)
        self.is_loopback = ip_address(str(self.server_address[0])).is_loopback

    def server_bind(self) -> None:
        """Bind; the name of the host is not looked up, which may take long."""
        TCPServer.server_bind(self)
        self.server_name, self.server_port = str(self.server_address[0]), self.server_address[1]

    @property
    def url(self) -> str:
        """Its address."""
        name = self.server_name
        return f"http://{f'[{name}]' if ':' in name else name}:{self.server_port}/"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing: a browser that breaks a download off is no error of ours."""


class Handler(BaseHTTPRequestHandler):
    """Answers GET and HEAD with files of the report, and refuses everything else."""

    server: ReportServer
    server_version, sys_version = "rnn-report", ""
    timeout = PATIENCE_S

    def do_GET(self) -> None:
        """Send a file."""
        self._answer(with_content=True)

    def do_HEAD(self) -> None:
        """Send what is said of a file."""
        self._answer(with_content=False)

    def _refuse(self) -> None:
        self.send_response(HTTPStatus.METHOD_NOT_ALLOWED)
        self.send_header("Allow", "GET, HEAD")
        self.send_header("Content-Length", "0")
        self.end_headers()
        self.close_connection = True

    do_POST = do_PUT = do_PATCH = do_DELETE = do_OPTIONS = _refuse

    def _answer(self, with_content: bool) -> None:
        if not self._asks_us():
            self.send_error(HTTPStatus.FORBIDDEN, "Another host is asked for")
            return
        path = unquote(urlsplit(self.path).path).removeprefix("/") or "index.html"
        if path == "favicon.ico":  # which browsers ask for
            self.send_response(HTTPStatus.NO_CONTENT)
            self.end_headers()
            return
        if path not in self.server.paths:
            self.send_error(HTTPStatus.NOT_FOUND)
            return
        file = self.server.folder / path
        try:
            written, content = file.stat().st_mtime_ns, file.read_bytes()
        except OSError:  # removed just now
            self.send_error(HTTPStatus.NOT_FOUND)
            return
        tag = f'"{written:x}-{len(content):x}"'
        is_known = self.headers.get("If-None-Match") == tag
        self.send_response(HTTPStatus.NOT_MODIFIED if is_known else HTTPStatus.OK)
        self.send_header("ETag", tag)
        self.send_header(LIVE, "1")
        self.send_header("Cache-Control", "no-cache")
        if not is_known:
            kind = TYPES.get(PurePosixPath(path).suffix, "application/octet-stream")
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if with_content and not is_known:
            self.wfile.write(content)

    def _asks_us(self) -> bool:
        """Return whether the request is for this host, as far as one can tell.

        A page of another site can have its name resolved to 127.0.0.1 and then read what answers
        there; its requests name that site.
        """
        if not self.server.is_loopback:
            return True
        host = urlsplit(f"//{self.headers.get('Host', '')}").hostname
        return host in ("localhost", self.server.server_name)

    def end_headers(self) -> None:
        """Send the headers; none of what is sent is to be taken for anything else."""
        self.send_header("X-Content-Type-Options", "nosniff")
        self.send_header("Referrer-Policy", "no-referrer")
        super().end_headers()

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""


@contextmanager
def serving(folder: Path, host: str = LOOPBACK, port: int = 0) -> Iterator[ReportServer]:
    """Serve a folder in a thread, until the context ends.

    Parameters
    ----------
    folder : Path
    host : str
        The address that is listened at; other machines reach those that are not of this one alone.
    port : int
        0: any that is free.

    Raises
    ------
    ParameterError
        Where nothing can be served there.
    """
    try:
        server = ReportServer(folder, host, port)
    except (OSError, OverflowError, ValueError) as error:
        raise ParameterError(
            "--port", f"{host}:{port}", f"cannot be served at ({text_of(error)})",
            "choose another --port or --host",
        ) from None  # fmt: skip
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.2})
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
