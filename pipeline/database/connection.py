"""Connecting to a database server, or the embedded PostgreSQL, and to the store."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import datajoint as dj
from datajoint import instance

from ..store import codecs as codecs  # registers <figure@...>
from ..store.mounts import StoreAway, check_store, folder_of_store, remember_mark
from ..store.pending_files import STORE
from ..store.settings import StoreError, check_writable
from . import schemas
from .configuration import (
    DatabaseError,
    check_configuration_file,
    checked_backend,
    checked_prefix,
    configure_store,
    configured_folder,
    configured_host,
    home,
    one_line,
    refuse_old_configuration,
    remedy_of,
    tls_options,
)
from .datajoint_log import limit_log
from .declaration import Activation, BehindError, TablesMissing, activate
from .embedded_connection import EmbeddedConnection
from .rebinding import rebind_own_schemas, remember_connection
from .server_connection import ServerConnection
from .sessions import prepare_session
from .state import State, said
from .store_mark import mark_store

CONNECT_TIMEOUT = 10  # seconds

log = logging.getLogger(__name__)

_state: dict[str, Any] = {
    "connection": None, "server": None, "settings": None, "activation": Activation(State())
}  # fmt: skip


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
    declare: bool | None = None,
    look_at_store: bool = True,
    first: Callable[[dj.Connection, str], object] | None = None,
) -> dj.Connection:
    """Connect, and declare the tables that are missing.

    Tables that are there are compared with the code, and left as they are: what is behind or ahead
    is said once, by the logger of this module. A ``declare=True`` brings them up to this version,
    as `rnn declare` does (docs/upgrading.md).

    The connection is encrypted where the server offers TLS. With DJ_USE_TLS=true it is refused
    where not; with RNN_TLS_CA, a file, also where the server's certificate is not signed by the
    authority whose certificate that is.

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
    declare : bool, optional
        Whether missing schemas and tables are made; DJ_CREATE_TABLES or datajoint.json by
        default, else yes. Without it nothing is created or altered. A yes that is given here also
        brings tables up to this version, and marks a store as this database's that has not been
        its store before.
    look_at_store : bool
        Without it the store is taken as it is configured: for what needs the database alone, while
        a network's file system does not answer.

    Raises
    ------
    DatabaseError
        Where the server cannot be reached or refuses, the store cannot be read or is not that of
        this database, tables are missing and not to be made, or are such that this version cannot
        work on them. Whoever only reads need not be able to write to the store, unless it is not
        marked yet.
    """
    _close()
    mark_anew = declare is True
    declare = dj.config["database.create_tables"] if declare is None else declare
    limit_log()
    name = checked_prefix(prefix or os.environ.get("RNN_PREFIX") or "rnn")
    kind = checked_backend(backend or dj.config["database.backend"])
    check_configuration_file()
    address = host or configured_host()
    if address is None:
        refuse_old_configuration()
    dj.config["safemode"] = True
    store = store or os.environ.get("RNN_STORE")
    if look_at_store:
        configure_store(store)
    else:
        folder = configured_folder(store)
        assert folder is not None  # a bucket is looked at
        dj.config.stores[STORE] = {"protocol": "file", "location": os.path.abspath(folder)}
    embedded = address is None
    if address is None:
        kind, address, port, user, password = _start_embedded()
    else:
        _leave_embedded()
        user = user if user is not None else dj.config["database.user"]
        password = password if password is not None else dj.config["database.password"]
        port = port or dj.config["database.port"]
        if user is None or password is None:
            missing = "user (DJ_USER)" if user is None else "password (DJ_PASS)"
            raise DatabaseError(f"host = {address!r}: no {missing} is given; set it")
    password = getattr(password, "get_secret_value", lambda: password)()
    settings = (kind, address, int(port), user, password)
    opened = _open(*settings)
    _state["connection"], _state["settings"] = opened, settings
    instance._singleton_connection = opened  # so that dj.conn() gives this one too
    if first is not None:
        try:
            first(opened, name)
        except BaseException:
            disconnect()
            raise
    try:
        _state["activation"] = activate(name, opened, declare, upgrade=mark_anew)
        rebind_own_schemas(opened)
        remember_connection(opened)
        _say_differences(name, address, _state["activation"].state)
    except BehindError as error:
        disconnect()
        raise DatabaseError(f"host = {address!r}: the tables {name}_* {error}") from None
    except TablesMissing as error:
        disconnect()
        raise DatabaseError(
            f"host = {address!r}: {error} are missing, or user {user!r} has no rights on them; "
            "ask the administrator to run `rnn declare`, or to grant a role of `rnn roles`"
        ) from None
    except Exception as error:
        disconnect()
        raise DatabaseError(
            f"host = {address!r}: cannot declare the tables {name}_* ({one_line(error)}); "
            "ask for rights on them, or set RNN_PREFIX to a prefix that is yours"
        ) from error
    if not look_at_store:
        return opened
    try:
        # Who declares on a server and names no store has not said that the one at home is its.
        named = embedded or folder_of_store() != str(home() / "store")
        remember_mark(mark_store(name, opened, make=named, anew=mark_anew))
    except (StoreError, StoreAway) as error:
        disconnect()
        raise DatabaseError(str(error)) from error
    except Exception as error:
        disconnect()
        raise DatabaseError(
            f"store: cannot be marked as that of {name} on {address!r} ({one_line(error)}); see "
            "that its folder databases can be read and written"
        ) from error
    return opened


def _say_differences(name: str, address: str, state: State) -> None:
    """Say once what is behind and what is ahead, a line each."""
    where = f"the tables {name}_* on {address!r}"
    if state.behind:
        log.warning(
            "%s were made by an earlier version (%s); `rnn declare` brings them up to this one",
            where, said(state.behind),
        )  # fmt: skip
    if state.ahead:
        log.warning(
            "%s were made by a later version (%s); update this package", where, said(state.ahead)
        )


def changes_made() -> list[str]:
    """Return what the last `connect` has changed on tables that were there, in words."""
    return list(_state["activation"].done)


def pending_migrations() -> tuple[str, ...]:
    """Return the migrations of this version that the connected database has not had."""
    return tuple(_state["activation"].state.pending)


def check_writing() -> None:
    """Raise an error where nothing can be written, before anything is computed.

    Raises
    ------
    DatabaseError
        Where this user may only read the store, it is away, or the tables are those of a later
        version and have columns that this one cannot fill.
    """
    stops = _state["activation"].state.stops_writing
    if stops:
        raise DatabaseError(
            f"the tables were made by a later version ({said(stops)}): this one can read them and "
            "not write to them; update this package"
        )
    try:
        check_store()
        check_writable(dj.config.get_store_spec(STORE))
    except (StoreError, StoreAway) as error:
        raise DatabaseError(str(error)) from error


def second_connection() -> dj.Connection:
    """Open another connection to the same server, for another thread; the caller closes it.

    The tables stay bound to the first one.

    Raises
    ------
    DatabaseError
        Before `connect`, and where the server cannot be reached or refuses.
    """
    connection()
    return _open(*_state["settings"])


def reopener() -> Callable[[], dj.Connection]:
    """Return what opens a connection to the same server, also after this one was closed.

    Raises
    ------
    DatabaseError
        Before `connect`.
    """
    connection()
    settings = _state["settings"]
    return lambda: _open(*settings)


def disconnect() -> None:
    """Close the connection, if one is open. The embedded server ends with its last user."""
    _close()
    _leave_embedded()


def _close() -> None:
    schemas.deactivate()
    remember_mark(None)
    _state["settings"], _state["activation"] = None, Activation(State())
    opened, _state["connection"] = _state["connection"], None
    if opened is not None:
        with suppress(Exception):  # it is closed, or the server has closed it
            opened.close()
        if instance._singleton_connection is opened:
            instance._singleton_connection = None


def _start_embedded() -> tuple[str, str, int, str, str]:
    """Start, or join, the embedded PostgreSQL; return back end, host, port, user and password."""
    if os.name != "posix":
        raise DatabaseError(
            "the embedded database runs on Linux and macOS; set DJ_HOST to a server"
        )
    from .embedded import EmbeddedServer
    from .embedded_files import EmbeddedError

    server = _state["server"]
    if server is None or server.home != Path(os.path.abspath(home())):
        _leave_embedded()
        server = _state["server"] = EmbeddedServer(home())
    try:
        server.start()
        return "postgresql", server.host, server.port, server.user, server.password
    except EmbeddedError as error:
        _leave_embedded()
        raise DatabaseError(str(error)) from error


def _leave_embedded() -> None:
    server, _state["server"] = _state["server"], None
    if server is not None:
        server.leave()


def _open(kind: str, host: str, port: int, user: str, password: str) -> dj.Connection:
    adapter_logger = logging.getLogger("datajoint")
    level = adapter_logger.level
    adapter_logger.setLevel(logging.ERROR)  # the fall-back to no TLS is not the user's concern
    os.environ.setdefault("PGCONNECT_TIMEOUT", str(CONNECT_TIMEOUT))
    server = _state["server"]
    try:
        use_tls = False if host.startswith("/") else tls_options(kind)
        if server is not None:
            opened: dj.Connection = EmbeddedConnection(
                server, host, user, password, port, use_tls=use_tls, backend=kind
            )
        else:
            opened = ServerConnection(host, user, password, port, use_tls=use_tls, backend=kind)
        prepare_session(opened)
        return opened
    except DatabaseError:
        raise
    except Exception as error:
        text = one_line(error)
        if password:
            text = text.replace(password, "***")
        raise DatabaseError(f"host = {host!r}, port {port}: {text}; {remedy_of(text)}") from error
    finally:
        adapter_logger.setLevel(level)
