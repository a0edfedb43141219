"""A lab's own schemas follow the pipeline's connection when it is opened anew."""

from __future__ import annotations

import weakref
from collections.abc import Iterator

import datajoint as dj
from datajoint.heading import Heading

from .schemas import SCHEMAS

# Connections that `connect` has opened before. DataJoint's compare as equal by their server, and
# cannot be members of a set.
_earlier: list[weakref.ref[dj.Connection]] = []


def remember_connection(opened: dj.Connection) -> None:
    """Note a connection that was opened, so that what is bound to it can be bound to the next."""
    _earlier[:] = [known for known in _earlier if known() is not None]
    _earlier.append(weakref.ref(opened))


def rebind_own_schemas(opened: dj.Connection) -> None:
    """Bind to this connection what a lab has bound to an earlier one: schemas and their tables.

    `dj.Schema("lab_...")` keeps the connection that it found. After another `connect` that one is
    closed, and can be joined with no table of the pipeline.
    """
    earlier = [old for known in _earlier if (old := known()) is not None and old is not opened]
    ours = list(SCHEMAS.values())
    for old in earlier:
        for schema in list(old.schemas.values()):
            if not any(schema is one for one in ours):
                schema.connection = opened
                opened.register(schema)
        old.schemas.clear()
    our_tables = {table for schema in ours for table in schema.tables}
    for table in _subclasses(dj.Table):
        bound = vars(table).get("_connection")
        if table not in our_tables and any(bound is old for old in earlier):
            table._connection = opened
            table._heading = Heading(
                table_info={
                    "conn": opened,
                    "database": table.database,
                    "table_name": table.table_name,
                    "context": table.declaration_context,
                }
            )


def _subclasses(cls: type[dj.Table]) -> Iterator[type[dj.Table]]:
    for each in cls.__subclasses__():
        yield each
        yield from _subclasses(each)
