"""Names that a shell completes: asked of the database directly, within a second or not at all.

DataJoint is not imported, which alone takes most of a second. The embedded database is asked where
something uses it; it is not started for this.
"""

from __future__ import annotations

import json
import os
import re
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

SECONDS = 0.9  # until there are no names
MOST = 200
# What is completed: schema, table, column.
NAMES = {
    "task": ("task", "task", "task_name"),
    "network": ("network", "network_params", "network_name"),
    "training": ("training", "training_params", "training_name"),
    "sweep": ("training", "sweep", "sweep_name"),
}
# Of a table that workers fill; that these are all, a test sees to.
TABLES = (
    "Training", "Validation", "TrialPlot", "Psychometric", "FixedPoints", "Linearization",
    "FixedPointPlot", "ContinuousAttractor", "ContinuousAttractorPlot", "LineAttractor",
    "Population", "Clusters", "Subspaces", "SelectionAngle", "Intervention", "Lyapunov", "Basins",
    "RankOneParts", "LatentCircuit", "FollowedPoints", "NetworkSummary", "PairBlock", "Embedding",
    "RecordedPopulation", "RecordingDistance",
)  # fmt: skip


def completing(kind: str) -> Callable[[str], list[str]]:
    """Return what completes a name of a kind of `NAMES`, or of a table."""

    def complete(incomplete: str) -> list[str]:
        if kind == "table":
            return [name for name in TABLES if name.startswith(incomplete)]
        return names(kind, incomplete)

    return complete


def names(kind: str, start: str = "", seconds: float = SECONDS) -> list[str]:
    """Return the names of a kind that begin with a text; none where they are not there in time.

    Parameters
    ----------
    kind : {"task", "network", "training", "sweep"}
    start : str
    seconds : float
        For which is waited.
    """
    found: list[str] = []

    def ask() -> None:
        try:
            found.extend(_asked(kind, start, seconds))
        except BaseException:  # of whatever kind: a shell that completes shows no errors
            return

    asking = threading.Thread(target=ask, daemon=True)
    asking.start()
    asking.join(seconds)
    return sorted(found)


def _asked(kind: str, start: str, seconds: float) -> list[str]:
    schema, table, column = NAMES[kind]
    prefix = os.environ.get("RNN_PREFIX") or "rnn"
    if re.fullmatch(r"[a-z][a-z0-9_]{0,30}", prefix) is None:
        return []
    host, settings = _server()
    if host is None or settings["backend"].startswith("postgres"):
        connection = _postgresql(host, settings, seconds)
        quote = '"'
    else:
        connection = _mysql(host, settings, seconds)
        quote = "`"
    place = f"{quote}{prefix}_{schema}{quote}.{quote}{table}{quote}"
    pattern = re.sub(r"([!%_])", r"!\1", start) + "%"
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT {column} FROM {place} WHERE {column} LIKE %s ESCAPE '!' LIMIT {MOST}",
            (pattern,),
        )
        return [str(name) for (name,) in cursor.fetchall()]


def _server() -> tuple[str | None, dict[str, Any]]:
    """Return the host that is configured, as `pipeline.connect` takes it, and its settings."""
    from pipeline.database.datajoint_file import choose

    given: dict[str, Any] = {"backend": "mysql", "user": None, "password": None}
    path, host = choose().path, None
    if path is not None:
        content = json.loads(path.read_text(encoding="utf-8"))
        given |= content.get("database", {})
        given |= {
            name.removeprefix("database."): value
            for name, value in content.items()
            if name.startswith("database.")
        }
        host = given.get("host")
    variables = {"backend": "DJ_BACKEND", "user": "DJ_USER", "password": "DJ_PASS",
                 "port": "DJ_PORT", "use_tls": "DJ_USE_TLS"}  # fmt: skip
    given |= {name: os.environ[v] for name, v in variables.items() if os.environ.get(v)}
    return os.environ.get("DJ_HOST") or host, given


def _mysql(host: str | None, settings: dict[str, Any], seconds: float) -> Any:
    import ssl

    import pymysql

    context = None
    authority = os.environ.get("RNN_TLS_CA")
    if str(settings.get("use_tls")).lower() == "true" or authority:
        context = ssl.create_default_context(cafile=authority)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_REQUIRED if authority else ssl.CERT_NONE
    return pymysql.connect(
        host=str(host), port=int(settings.get("port") or 3306), user=settings["user"],
        password=settings["password"] or "", connect_timeout=max(1, round(seconds)),
        read_timeout=max(1, round(seconds)), ssl=context,
    )  # fmt: skip


def _postgresql(host: str | None, settings: dict[str, Any], seconds: float) -> Any:
    import psycopg2

    more: dict[str, Any] = {}
    if host is None:
        from pipeline.database.embedded import SOCKET, EmbeddedServer

        server = EmbeddedServer(Path(os.environ.get("RNN_HOME") or "~/.rnn").expanduser())
        if not (server.data / SOCKET).exists():
            raise FileNotFoundError(SOCKET)
        host, user, password = server.host, server.user, server.password
        port = server.port
    else:
        user, password = settings["user"], settings["password"]
        port = int(settings.get("port") or 5432)
        if authority := os.environ.get("RNN_TLS_CA"):
            more = {"sslmode": "verify-ca", "sslrootcert": authority}
        elif str(settings.get("use_tls")).lower() == "true":
            more = {"sslmode": "require"}
    return psycopg2.connect(
        host=host, port=port, user=user, password=password, dbname="postgres",
        connect_timeout=max(1, round(seconds)), **more,
    )  # fmt: skip
