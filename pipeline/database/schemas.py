"""The six schemas, without a database until `declaration.activate` gives them one."""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Iterator
from importlib import import_module
from typing import Any

import datajoint as dj
from datajoint.errors import LostConnectionError

from .catalogue import Catalogue, CatalogueHeading

LONGEST_TITLE = 64


class Schema(dj.Schema):
    """A schema whose tables can be bound to a database without any query."""

    def bind(self, name: str, connection: dj.Connection, catalogue: Catalogue) -> None:
        """Bind the tables to a database in which all of them exist: no query, no change.

        Headings are read, when the first is needed, with those of the catalogue's other schemas.
        """
        self.database, self.connection = name, connection
        connection.register(self)
        for cls, context in self.declare_list:
            context = dict(context, self=cls, **{cls.__name__: cls})
            self._bind_table(cls, context, catalogue)
            for part in parts(cls):
                self._bind_table(part, dict(context, master=cls, self=part), catalogue)

    def _bind_table(
        self, table: type[dj.Table], context: dict[str, Any], catalogue: Catalogue
    ) -> None:
        # What DataJoint does to a table, without its question whether the table exists, its
        # refreshing of lineage and its inserting of contents.
        table.database, table._connection = self.database, self.connection
        table._heading = CatalogueHeading(
            {
                "conn": self.connection,
                "database": self.database,
                "table_name": table.table_name,
                "context": context,
            },
            catalogue,
        )
        table._support = [table.full_table_name]
        table.declaration_context = context
        if table.definition not in (table.__doc__ or ""):
            table.__doc__ = f"{table.__doc__ or ''}\nTable definition:\n\n{table.definition}"

    @property
    def tables(self) -> Iterator[type[dj.Table]]:
        """Every table of the schema, its parts after it."""
        for cls, _ in self.declare_list:
            yield cls
            yield from parts(cls)


def parts(table: type[dj.Table]) -> list[type[dj.Part]]:
    """Return the parts of a table, in the order of the class."""
    found = [v for v in vars(table).values() if inspect.isclass(v) and issubclass(v, dj.Part)]
    for part in found:
        part._master = table  # from which DataJoint makes the part's name
    return found


task = Schema()
network = Schema()
training = Schema()
performance = Schema()
dynamics = Schema()
work = Schema()

# In the order of their foreign keys.
SCHEMAS: dict[str, Schema] = {
    "task": task,
    "network": network,
    "training": training,
    "performance": performance,
    "dynamics": dynamics,
    "work": work,
}


# The modules that define tables: a database is declared whole, whatever a process has imported. By
# name, for they are built on this module.
TABLE_MODULES = (
    "pipeline.database.applied_migrations",
    "pipeline.database.store_mark",
    "pipeline.tables.left_out",
    "pipeline.tables.computed",
    "pipeline.tables.priorities",
    "pipeline.tables.snapshot_networks",
    "pipeline.tables.sweeps",
    "pipeline.workers.registry",
)


def import_tables() -> None:
    """Import every table of the pipeline, so that the schemas know them."""
    for module in TABLE_MODULES:
        import_module(module)


def load_headings() -> None:
    """Load the headings of all tables, whole: DataJoint otherwise does it at their first use.

    Raises
    ------
    datajoint.errors.LostConnectionError
        Where a heading came without the origin of its key's columns: a connection that broke on
        the way. It is loaded anew the next time.
    """
    for schema in SCHEMAS.values():
        for table in schema.tables:
            if getattr(table, "for_administrators", False):
                continue
            heading = table().heading
            if any(heading[name].lineage is None for name in heading.primary_key):
                heading._attributes = None
                raise LostConnectionError(f"{table.full_table_name}: its heading came in part")


def is_ours(table: type[dj.Table]) -> bool:
    """Return whether a table is one of the pipeline, and not of a lab's own schema."""
    return any(schema.database == table.database for schema in SCHEMAS.values())


def title_of(table: type[dj.Table]) -> str:
    """Return a table's name as reports have it: of a lab's own table, with its schema.

    It is at most `LONGEST_TITLE` characters long, which the rows of workers hold.
    """
    if is_ours(table):
        return str(table.__name__)
    title = f"{table.database}.{table.__name__}"
    if len(title) <= LONGEST_TITLE:
        return title
    digest = hashlib.sha256(title.encode()).hexdigest()[:8]
    return f"{title[: LONGEST_TITLE - 9]}-{digest}"


def jobs_table_name(table: type[dj.Table]) -> str:
    """Return the name of a computed table's jobs table, as DataJoint makes it."""
    return jobs_name(table.table_name)


def jobs_name(table_name: str) -> str:
    """Return the name of the jobs table of a computed table, by its name in the database."""
    return "~~" + table_name.lstrip("_")


def plain_name(full_name: str) -> str:
    """Return schema and table without the quotes of a back end: "rnn_training.__training"."""
    return full_name.replace("`", "").replace('"', "")


def deactivate() -> None:
    """Unbind every schema, so that it can be activated elsewhere."""
    for schema in SCHEMAS.values():
        # DataJoint refuses to activate a bound schema under another name, and has no call to
        # unbind one; its tables are bound anew at the next activation.
        schema.database = None
        schema.connection = None


def drop() -> None:
    """Drop the activated schemas with all their rows, without asking: for tests."""
    for schema in reversed(SCHEMAS.values()):
        if schema.is_activated():
            schema.drop(prompt=False)
