"""Which errors of a server or a store are transient: the same attempt may succeed later."""

from __future__ import annotations

import errno
from collections.abc import Callable

import datajoint as dj
import psycopg2
import pymysql
from datajoint.errors import LostConnectionError

# Of MySQL: disk or table full, too many connections, threads or locks, shutting down, lost or
# refused connections, lock wait timeout, deadlock, a commit that failed, killed or timed-out
# sessions. Not 1038, out of sort memory: the rows are too long for the server's sort_buffer_size,
# now and later.
MYSQL_TRANSIENT = {
    0, 3, 1021, 1026, 1030, 1040, 1041, 1053, 1077, 1080, 1114, 1129, 1135, 1152, 1158, 1159, 1160,
    1161, 1180, 1203, 1205, 1206, 1213, 1226, 1290, 1317, 1836, 1927, 2002, 2003, 2006, 2013, 2014,
    2055, 3032, 3100, 3168, 3572, 4031,
}  # fmt: skip
# Of PostgreSQL, by the start of its code: connections, serialisation and deadlock, resources
# (disk full, too many connections), locks not available, shutdown and start, input and output.
POSTGRESQL_TRANSIENT = ("08", "40001", "40P01", "53", "55P03", "57P0", "58030", "25P03", "25006")
# What it says where it will refuse the next connection too; there is no code then.
POSTGRESQL_REFUSES = ("authentication failed", "no password supplied", "does not exist", "pg_hba")
# Of S3's client, before there is a whole answer. A service that lends credentials may be away too.
S3_TRANSIENT = {
    "ConnectionError", "HTTPClientError", "IncompleteReadError", "ResponseParserError",
    "CredentialRetrievalError", "MetadataRetrievalError",
}  # fmt: skip
# A clock that is set back or forth makes a request look as if it came too early or too late.
S3_TRANSIENT_CODES = ("SlowDown", "RequestTimeout", "RequestTimeTooSkewed")
# Of the operating system: full disks, file systems and networks that went away.
SYSTEM_TRANSIENT = {
    getattr(errno, name)
    for name in (
        "ENOSPC", "EDQUOT", "EIO", "ESTALE", "ETIMEDOUT", "ECONNREFUSED", "ECONNRESET",
        "ECONNABORTED", "EPIPE", "EHOSTUNREACH", "EHOSTDOWN", "ENETUNREACH", "ENETDOWN", "ENOTCONN",
        "EAGAIN", "EBUSY", "EMFILE", "ENFILE", "EROFS", "EREMOTEIO",
    )
    if hasattr(errno, name)
}  # fmt: skip

# Whether the store is away, asked where a file is missing: `pipeline.store.mounts` knows.
_is_away: list[Callable[[], bool]] = []


def when_files_are_missing(is_away: Callable[[], bool]) -> Callable[[], bool]:
    """Register a test of whether the store is away: missing files are transient only then."""
    _is_away[:] = [is_away]
    return is_away


class ShortOfMemory(Exception):
    """There was not enough free memory; other processes may free some."""


class PermanentError(Exception):
    """An error that looked transient, and is not."""


def is_transient(error: BaseException | None) -> bool:
    """Return whether an error, or what caused it, is a transient one of the server or the store."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        if isinstance(error, PermanentError) or not isinstance(error, Exception):
            return False
        if _is_transient(error):
            return True
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    return False


def _is_transient(error: BaseException) -> bool:
    if isinstance(error, LostConnectionError | ShortOfMemory):
        return True
    if isinstance(error, pymysql.err.Error):
        code = error.args[0] if error.args else 0
        return code in MYSQL_TRANSIENT or isinstance(error, pymysql.err.InterfaceError)
    if isinstance(error, psycopg2.Error):
        if error.pgcode is None:  # the connection itself: closed, refused, reset
            closed = (psycopg2.OperationalError, psycopg2.InterfaceError)
            if any(sign in str(error) for sign in POSTGRESQL_REFUSES):
                return False
            return isinstance(error, closed) or type(error) is psycopg2.DatabaseError
        return str(error.pgcode).startswith(POSTGRESQL_TRANSIENT)
    module = type(error).__module__.partition(".")[0]
    if module == "botocore":
        answer = getattr(error, "response", None)
        if not isinstance(answer, dict):
            return not S3_TRANSIENT.isdisjoint(kind.__name__ for kind in type(error).__mro__)
        status = answer.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
        code = answer.get("Error", {}).get("Code", "")
        return status >= 500 or status == 429 or code in S3_TRANSIENT_CODES
    if module in ("aiohttp", "urllib3"):
        return True
    missing = (FileNotFoundError, PermissionError, dj.errors.MissingExternalFile)
    if isinstance(error, missing):
        return any(is_away() for is_away in _is_away)
    if isinstance(error, ConnectionError | TimeoutError):
        return True
    return isinstance(error, OSError) and error.errno in SYSTEM_TRANSIENT
