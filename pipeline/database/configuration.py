"""What a user configured: the server, TLS, the store, and the home of the embedded database."""

from __future__ import annotations

import json
import logging
import os
import re
from contextlib import suppress
from pathlib import Path
from typing import Any

import datajoint as dj
from datajoint.errors import DataJointError

from tasks_lib.errors import text_of

from ..store.pending_files import STORE
from ..store.settings import StoreError, check_s3, folder_store, is_s3, s3_store
from .datajoint_file import VARIABLE, chosen
from .embedded_files import make_home

log = logging.getLogger(__name__)

BACKENDS = {"mysql": "mysql", "postgres": "postgresql", "postgresql": "postgresql"}


class DatabaseError(RuntimeError):
    """The database or the store cannot be used: what was tried and the remedy, in one line."""


def home() -> Path:
    """Return the folder of the embedded database: RNN_HOME, or ~/.rnn.

    Raises
    ------
    DatabaseError
        Where ~ is nobody's folder.
    """
    named = os.environ.get("RNN_HOME") or "~/.rnn"
    try:
        return Path(named).expanduser()
    except RuntimeError as error:
        raise DatabaseError(
            f"RNN_HOME = {named!r}: {one_line(error)}; set RNN_HOME to a folder that you can write"
        ) from None


def one_line(error: BaseException) -> str:
    """Return the text of an error on one line, cut where it is long."""
    text = text_of(error)
    return text if len(text) <= 200 else text[:197] + "..."


def checked_backend(backend: str) -> str:
    """Return DataJoint's name of a back end, or say that it is not known."""
    if backend not in BACKENDS:
        raise DatabaseError(f"backend = {backend!r}: is not known; use mysql or postgresql")
    return BACKENDS[backend]


def checked_prefix(prefix: str) -> str:
    """Return a prefix of schemas, or say that it cannot be one."""
    if not re.fullmatch(r"[a-z][a-z0-9_]{0,30}", prefix):
        raise DatabaseError(
            f"prefix = {prefix!r}: is not a name for schemas; use lower-case letters, digits and _"
        )
    return prefix


def configured_host() -> str | None:
    """Return the host that the user configured; None where it is DataJoint's default."""
    if os.environ.get("DJ_HOST"):
        return os.environ["DJ_HOST"]
    path = _file_of_datajoint()
    if path is None:
        return None
    try:
        content = json.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DatabaseError(f"datajoint.json = {str(path)!r}: {one_line(error)}; mend it") from None
    sections = ("database", "stores")
    if not isinstance(content, dict) or not all(
        isinstance(content.get(name, {}), dict) for name in sections
    ):
        problem = f"is no object of settings, in which {' and '.join(sections)} are objects"
        raise DatabaseError(f"datajoint.json = {str(path)!r}: {problem}; mend it")
    return content.get("database.host") or content.get("database", {}).get("host")


def _file_of_datajoint() -> Path | None:
    """Return the ``datajoint.json`` that was read; None where there is none.

    Raises
    ------
    DatabaseError
        Where DataJoint was imported first, and has read one that does not count.
    """
    choice = chosen()
    read = dj.config._config_path
    if choice.foreign and read is not None:
        raise DatabaseError(
            f"{choice.foreign}; DataJoint, imported before pipeline, has read it: import pipeline "
            "first"
        )
    if choice.path is not None and not choice.path.is_file():
        raise DatabaseError(f"{VARIABLE} = {str(choice.path)!r}: is not a file; mend it")
    return choice.path or (None if read is None else Path(read))


def check_configuration_file() -> None:
    """Say once that a ``datajoint.json`` was found and does not count.

    Raises
    ------
    DatabaseError
        Where DataJoint has read it all the same, and where RNN_CONFIG names none.
    """
    _file_of_datajoint()
    choice = chosen()
    if choice.foreign:
        log.warning("%s", choice.foreign)
        choice.foreign = ""


def refuse_old_configuration() -> None:
    """Refuse to start a database of our own where DataJoint's old files name a server.

    DataJoint 2 reads neither ``dj_local_conf.json`` of the working directory nor
    ``.datajoint_config.json`` of the home: whoever has one means the server in it.

    Raises
    ------
    DatabaseError
    """
    folders = [Path.cwd() / "dj_local_conf.json"]
    with suppress(RuntimeError):  # ~ is nobody's folder
        folders.append(Path.home() / ".datajoint_config.json")
    for path in folders:
        try:
            host = json.loads(path.read_text(encoding="utf-8"))["database.host"]
        except (OSError, ValueError, KeyError, TypeError):
            continue
        if host:
            raise DatabaseError(
                f"{path.name} = {str(path)!r}: is of DataJoint before 2.0, which nothing reads any "
                f"more; set DJ_HOST={one_line(Exception(host))}, DJ_USER and DJ_PASS, or write "
                "datajoint.json, or rename the file to use the embedded database"
            )


def configured_folder(store: str | Path | None = None) -> Path | None:
    """Return the folder that is the store, without a look at it; None where that is a bucket."""
    store = store or os.environ.get("RNN_STORE")
    if store is None and STORE in dj.config.stores:
        settings = dj.config.stores[STORE]
        return Path(settings["location"]) if settings.get("protocol") == "file" else None
    if store is not None and is_s3(store):
        return None
    return home() / "store" if store is None else Path(store).expanduser()


def configure_store(store: str | Path | None) -> None:
    """Tell DataJoint of the store that was given, or that datajoint.json or RNN_HOME names."""
    try:
        if store is None and STORE in dj.config.stores:
            # datajoint.json or DJ_STORES names it.
            settings = dj.config.get_store_spec(STORE)
            if settings["protocol"] == "file":
                folder_store(Path(settings["location"]), f"stores.{STORE}.location", "change it")
        elif store is not None and is_s3(store):
            settings = s3_store(str(store))
        else:
            settings = folder_store(_home_store() if store is None else _named_folder(store))
        if settings["protocol"] == "s3":
            check_s3(settings)
        if store is not None or STORE not in dj.config.stores:
            dj.config.stores[STORE] = settings
    except StoreError as error:
        raise DatabaseError(str(error)) from error
    except DataJointError as error:
        raise DatabaseError(
            f"stores.{STORE}: {one_line(error)}; mend datajoint.json or DJ_STORES"
        ) from None


def _named_folder(store: str | Path) -> Path:
    try:
        return Path(store).expanduser().resolve()
    # Of links that lead to themselves, of ~ that is nobody's, of the character NUL.
    except (OSError, RuntimeError, ValueError) as error:
        raise DatabaseError(
            f"store = {str(store)!r}: {one_line(error)}; set RNN_STORE to a folder"
        ) from None


def _home_store() -> Path:
    folder = home() / "store"
    try:
        make_home(home())
        folder.mkdir(mode=0o700, exist_ok=True)
    except OSError as error:
        raise DatabaseError(
            f"RNN_HOME = {str(home())!r}: {error.strerror or error}; set RNN_HOME to a folder "
            "that you can write"
        ) from None
    return folder


VERIFIES_NOTHING = {"check_hostname": False}  # for PyMySQL


def tls_options(kind: str) -> bool | dict[str, Any] | None:
    """Return DataJoint's ``use_tls``: None takes TLS where it is offered."""
    wanted = dj.config["database.use_tls"]
    authority = os.environ.get("RNN_TLS_CA")
    if authority:
        if not Path(authority).is_file():
            raise DatabaseError(f"RNN_TLS_CA = {authority!r}: is not a file; name a certificate")
        if kind == "mysql":
            return {"ca": authority, "check_hostname": False}
        # With it, what DataJoint asks of libpq for True ("require") verifies the certificate.
        os.environ["PGSSLROOTCERT"] = authority
        return True
    # For True DataJoint hands PyMySQL an empty dict, which takes a connection without TLS too.
    return VERIFIES_NOTHING if wanted is True and kind == "mysql" else wanted


def remedy_of(text: str) -> str:
    """Return what to do about an error of a driver."""
    lower = text.lower()
    if any(sign in lower for sign in ("ssl", "certificate", "tls")):
        return (
            "set up TLS on the server, or check DJ_USE_TLS and RNN_TLS_CA, or that this is the "
            "right server"
        )
    if any(sign in lower for sign in ("access denied", "password", "authentication", "role ")):
        return "check user and password (DJ_USER, DJ_PASS)"
    return "check host and port (DJ_HOST, DJ_PORT) and that the server runs"
