"""Headings that are read together are those that DataJoint reads one by one."""

from __future__ import annotations

import datajoint as dj
import pytest
from datajoint.heading import Heading

from pipeline.database.catalogue import Catalogue, CatalogueHeading
from pipeline.database.connection import connection
from pipeline.database.schemas import SCHEMAS, load_headings
from pipeline.workers.queue import Queue
from tests.kept_headings import headings

pytestmark = pytest.mark.either_backend


def content(heading: Heading) -> tuple[object, ...]:
    """All that a heading holds: also hidden columns, and in their order."""
    assert heading.attributes
    columns = [(name, a.todict()) for name, a in heading._attributes.items()]
    return columns, heading.indexes, heading.lineage_available, heading.table_status["comment"]


@pytest.fixture
def queries(database, monkeypatch) -> list[str]:
    """The queries of this process; headings are read from the server."""
    headings.forget()
    asked = []
    query = dj.Connection.query

    def noted(self, text, *args, **options):
        asked.append(text)
        return query(self, text, *args, **options)

    monkeypatch.setattr(dj.Connection, "query", noted)
    return asked


def tables_and_jobs():
    tables = [t() for s in SCHEMAS.values() for t in s.tables]
    return tables + [Queue(type(t)).jobs for t in tables if isinstance(t, dj.Computed)]


def test_headings_are_those_that_datajoint_reads(queries):
    catalogue = Catalogue([schema.database for schema in SCHEMAS.values()])
    for table in tables_and_jobs():
        info = {**table.heading.table_info, "conn": connection()}
        queries.clear()
        read = content(CatalogueHeading(info, catalogue))
        assert read == content(Heading(table_info=info)), table.full_table_name
    assert len(queries) > 4  # those of DataJoint's own reading


def test_all_of_them_take_five_queries(queries):
    keys = {table: table.primary_key for table in tables_and_jobs()}
    catalogue = Catalogue([schema.database for schema in SCHEMAS.values()])
    queries.clear()
    for table, key in keys.items():
        info = {**table.heading.table_info, "conn": connection()}
        assert CatalogueHeading(info, catalogue).primary_key == key
    assert len(queries) == 5


def test_jobs_tables_take_one_query_each(queries):
    """Foreign keys of all tables are read where a jobs table is declared, and not before."""
    load_headings()
    tables = [t for s in SCHEMAS.values() for t in s.tables if issubclass(t, dj.Computed)]
    queries.clear()
    assert all(Queue(table).sql_name for table in tables)
    assert len(queries) == len(tables) > 20


def test_the_tables_of_the_pipeline_are_read_together(queries):
    queries.clear()
    load_headings()
    assert len(queries) <= 5


@pytest.mark.both_backends
def test_a_table_that_was_altered_is_looked_at_again(queries, backend):
    """What was read with the others is used once."""
    table = SCHEMAS["task"].declare_list[0][0]
    info = {**table().heading.table_info, "conn": connection()}
    catalogue = Catalogue([table.database])
    heading = CatalogueHeading(info, catalogue)
    before = content(heading)
    name = connection().adapter.quote_identifier("catalogue_test")
    connection().query(f"ALTER TABLE {table.full_table_name} ADD COLUMN {name} int")
    try:
        heading._attributes = None
        assert "catalogue_test" in heading.names
    finally:
        connection().query(f"ALTER TABLE {table.full_table_name} DROP COLUMN {name}")
    heading._attributes = None
    assert content(heading) == before


def test_a_table_that_is_not_there_is_missed_as_datajoint_says(queries):
    table = SCHEMAS["task"].declare_list[0][0]
    info = {**table().heading.table_info, "conn": connection(), "table_name": "of_nobody"}
    with pytest.raises(dj.DataJointError, match="of_nobody is not defined"):
        assert CatalogueHeading(info, Catalogue([table.database])).names
