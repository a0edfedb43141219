"""Headings of schemas that are kept from test to test: read once, as long as nobody alters a table.

DataJoint asks six queries for the heading of each table after each `connect`, which is a tenth of
what the tests of the pipeline take.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import Any

import datajoint as dj
from datajoint.heading import Heading

from tests import filled_tables

ALTERS = re.compile(r"\s*(ALTER|CREATE|DROP|RENAME|TRUNCATE|COMMENT)\b", re.IGNORECASE)
WRITES_LINEAGE = re.compile(r"\s*(INSERT|REPLACE|UPDATE|DELETE)\b[^;]*~lineage", re.IGNORECASE)
PARTS = ("_table_status", "_lineage_available", "_attributes", "indexes")

Place = tuple[str, str, int]  # back end, host and port


class KeptHeadings:
    """The headings of some schemas on some servers, until a statement alters one of them.

    Whoever changes a table in another process, in a test on kept schemas, reads old headings in
    this one: such a test wants schemas of its own (``fresh_schemas``).
    """

    def __init__(self) -> None:
        self._kept: dict[tuple[Place, str], dict[str, tuple[Any, ...]]] = {}
        self._may_remember = False
        self._read, self._query = Heading._init_from_database, dj.Connection.query

    def install(self) -> None:
        """Have all headings of this process read here first."""
        kept = self

        @wraps(self._read)
        def read(heading: Heading) -> None:
            kept._init(heading)

        @wraps(self._query)  # which `tests/pipeline/test_datajoint_stub.py` looks at
        def query(connection: dj.Connection, text: str, *args: Any, **options: Any) -> Any:
            if ALTERS.match(text) or WRITES_LINEAGE.match(text):
                kept.forget()
            filled_tables.note(connection.adapter.backend, text)
            return kept._query(connection, text, *args, **options)

        Heading._init_from_database, dj.Connection.query = read, query

    def remember(self, place: Place, schemas: Collection[str]) -> None:
        """From now on remember headings, also those of these schemas."""
        for schema in schemas:
            self._kept.setdefault((place, schema), {})
        self._may_remember = True

    def forget(self) -> None:
        """Forget all headings, and remember none until `remember` is called again."""
        self._kept.clear()
        self._may_remember = False

    @contextmanager
    def unaltered(self) -> Iterator[None]:
        """Forget nothing inside, where tables of other schemas are made."""
        kept = {place: dict(of_schema) for place, of_schema in self._kept.items()}
        may_remember = self._may_remember
        yield
        self._kept, self._may_remember = kept, may_remember

    def _init(self, heading: Heading) -> None:
        connection, name = heading.table_info["conn"], heading.table_info["table_name"]
        info = connection.conn_info
        place = (connection.adapter.backend, info["host"], int(info["port"]))
        of_schema = self._kept.get((place, heading.table_info["database"]))
        if of_schema is not None and name in of_schema:
            for part, value in zip(PARTS, of_schema[name], strict=True):
                setattr(heading, part, dict(value) if isinstance(value, dict) else value)
            return
        self._read(heading)
        # One that came over a connection that broke on the way lacks the origin of its key, which
        # hidden tables, as those of jobs, never have.
        is_whole = name.startswith("~") or all(
            a.lineage for a in heading._attributes.values() if a.in_key
        )
        if of_schema is not None and self._may_remember and is_whole:
            values = (getattr(heading, part) for part in PARTS)
            of_schema[name] = tuple(dict(v) if isinstance(v, dict) else v for v in values)


headings = KeptHeadings()
