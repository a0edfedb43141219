"""Checks that a database and a store belong together: an id in a row and in a file of the store."""

from __future__ import annotations

import json
import secrets
from contextlib import suppress

import datajoint as dj
from datajoint.errors import AccessError
from datajoint.hash_registry import get_store_backend

from ..store.file_names import safe
from ..store.mounts import BEGUN, MARKS, folder_of_store, not_the_store
from ..store.pending_files import STORE, WrittenFiles, note_file
from ..store.settings import StoreError, check_writable
from ..transient.errors import is_transient
from . import schemas
from .dialects import dialect_of
from .server import transaction


@schemas.work
class StoreMark(dj.Manual):
    definition = """
    # identity of this database, whose mark the store holds in its folder databases
    store_name  : varchar(32)
    ---
    database_id : varchar(32)    # drawn at random
    """


def mark_path(prefix: str, database_id: str) -> str:
    """Return the path of a database's mark from the store's root."""
    return f"{MARKS}/{prefix}.{safe(database_id)}"


def mark_store(
    prefix: str, connection: dj.Connection, make: bool = True, anew: bool = False
) -> str | None:
    """Check that the store belongs to this database; mark both if neither is marked yet.

    Parameters
    ----------
    prefix : str
        That of the schemas.
    connection : Connection
        With the tables activated on it.
    make : bool
        Whether to mark both where neither is marked.
    anew : bool
        Whether to mark the store where the database is marked and the store is not.

    Returns
    -------
    str or None
        The path of the mark; None where there is none and none was made: this user may not.

    Raises
    ------
    StoreAway
        Where the store is a folder without the mark: a share that is not mounted, it seems.
    StoreError
        Where it is a bucket without the mark, and where the mark is to be written and cannot be.
    """
    database_id = _read(connection)
    if database_id is None and make:
        database_id = _mark_both(prefix, connection)
    if database_id is None:
        return None
    path = mark_path(prefix, database_id)
    backend = get_store_backend(STORE)
    if backend.exists(path):
        return path
    if backend.exists(path + BEGUN):
        return _completed(path, prefix, connection)
    if backend.exists(path):  # completed by another process between the two looks
        return path
    if not anew:
        raise _missing(path)
    _write(path, prefix, connection)
    return path


def _completed(path: str, prefix: str, connection: dj.Connection) -> str | None:
    """Complete a mark whose database has the row; return its path, or None: this user may not.

    So it is before anything else is written for that database.
    """
    backend = get_store_backend(STORE)
    try:
        _write(path, prefix, connection)
    except (StoreError, PermissionError) as error:
        if is_transient(error):
            raise
        return None  # who only reads
    except FileNotFoundError:  # of several processes another one was quicker
        if not backend.exists(path):
            raise
    with suppress(Exception):  # it does no harm
        backend.remove(path + BEGUN)
    return path


def _read(connection: dj.Connection) -> str | None:
    row = connection.query(
        f"SELECT database_id FROM {StoreMark.full_table_name} WHERE store_name=%s", args=(STORE,)
    ).fetchone()
    return str(row[0]) if row else None


def _mark_both(prefix: str, connection: dj.Connection) -> str | None:
    """Return the id, which may be that of another process; None where this user may give none.

    The row is seen once a file is there. Of several processes one inserts it, and the others
    wait for its commit. That file is only the beginning of a mark: where the row is not committed
    after all, nobody may take it for another database's.
    """
    drawn = secrets.token_hex(8)
    try:
        with transaction(connection):
            connection.query(
                dialect_of(connection).insert_new(
                    f"{StoreMark.full_table_name} (store_name, database_id)", "VALUES (%s, %s)"
                ),
                args=(STORE, drawn),
            )
            found = _read(connection)
            if found == drawn:
                _write(mark_path(prefix, drawn) + BEGUN, prefix, connection)
    except AccessError:  # who only reads
        return None
    return found


def _write(path: str, prefix: str, connection: dj.Connection) -> None:
    content = {
        "what": "this store holds arrays and figures of the database with this prefix on this host",
        "prefix": prefix,
        "host": connection.conn_info["host"],
        "port": connection.conn_info["port"],
    }
    try:
        check_writable(dj.config.get_store_spec(STORE))
    except StoreError as error:
        problem = "it has no mark of this database yet, and who connects first has to write it"
        raise StoreError(f"{error}; {problem}") from error
    written = WrittenFiles()
    with written.noting():
        note_file(path)
        get_store_backend(STORE).put_buffer(f"{json.dumps(content, indent=1)}\n".encode(), path)
    written.make_durable()


def _missing(path: str) -> Exception:
    folder = folder_of_store()
    if folder is not None:
        return not_the_store(folder, path)
    spec = dj.config.stores[STORE]
    place = "/".join(str(spec[name]) for name in ("bucket", "location") if spec.get(name))
    return StoreError(
        f"store = {place!r}: does not hold {path}, the mark of this database; see that RNN_STORE "
        "and DJ_HOST belong together; if the store was moved on purpose, copy its files, or run "
        "`rnn declare`, which marks it anew"
    )
