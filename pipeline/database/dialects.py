"""SQL that differs between MySQL and PostgreSQL: one class for each, and what they share.

Everything else of the pipeline's SQL is the same on both back ends. `transient.errors` has the
error codes of both, `roles` the statements that an administrator runs, and `connection` the ports.
"""

from __future__ import annotations

import hashlib
import re
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import datajoint as dj


class ColumnSQL(NamedTuple):
    """A column as SQL has it.

    Attributes
    ----------
    sql_type : str
        As the server takes it; of an enum of PostgreSQL with the schema.
    nullable : bool
    default : str or None
        An SQL literal or constant.
    comment : str
        As DataJoint writes it: ":its type:text".
    choices : tuple of str
        Of an enum.
    """

    sql_type: str
    nullable: bool
    default: str | None
    comment: str
    choices: tuple[str, ...] = ()


def literal(text: str) -> str:
    """Return a text that is ours as an SQL literal; texts of others are arguments of queries.

    Both drivers take ``%%`` for a percent sign.
    """
    escaped = text.replace("'", "''").replace("%", "%%")
    return f"'{escaped}'"


class Dialect(ABC):
    """The SQL of one back end.

    Attributes
    ----------
    now : str
        The present time by the server's clock, UTC, whatever the session's time zone.
    jobs_now : str
        The same as the columns of DataJoint's jobs tables have it, in the session's time zone.
    uptime : str
        Query of the seconds since the server was started.
    isolation : tuple of str
        Statements before ``BEGIN``, so that each statement of the transaction sees what others have
        committed, and locks no gaps between rows: workers do not wait for each other.
    snapshot : tuple of str
        Statements that begin a transaction which only reads, and sees what there is at its begin.
    base_tables : str
        Query of the names of all tables of a schema, its one argument; also of tables on which the
        user has no rights, where the server shows them.
    columns : str
        Query of all columns of schemas, whose names are to stand in the first ``{}``: schema,
        table, column, type, whether it may be null, default, comment. In the second ``{}`` there
        may be `of_table`.
    indexes : str
        Query of all indexes of schemas, in the same way: schema, table, name, whether it is
        unique, whether it is the primary key, a column; one row a column, in their order.
    of_table : str
        Condition of these two queries: one table, whose name is a further argument.
    headings : dict
        Queries of what DataJoint asks about one table, for all tables of schemas, whose names are
        to stand in ``{}``: with its own names of columns, and ``in_schema`` and ``of_table``
        besides.
    """

    now: str
    jobs_now = "CURRENT_TIMESTAMP(3)"
    uptime: str
    isolation: tuple[str, ...] = ()
    snapshot: tuple[str, ...]
    base_tables: str
    columns: str
    indexes: str
    of_table: str
    headings: Mapping[str, str]

    @abstractmethod
    def type_name(self, sql_type: str) -> str:
        """Return one name for a type that servers and DataJoint call variously."""

    @abstractmethod
    def alter_column(self, table: str, name: str, column: ColumnSQL) -> list[str]:
        """Return the statements that give a column its type, default and comment, and NOT NULL.

        Parameters
        ----------
        table : str
            Its full name, quoted.
        name : str
            Of the column, quoted.
        column : ColumnSQL
        """

    @abstractmethod
    def add_column(self, table: str, name: str, column: ColumnSQL) -> str:
        """Return the statement that adds a column, which may be null so far."""

    @abstractmethod
    def make_type(self, schema: str, column: ColumnSQL) -> str | None:
        """Return the statement that makes the type of an enum column, where it is to be made."""

    @abstractmethod
    def seconds_since(self, time: str) -> str:
        """Return the SQL of the seconds since a time, UTC.

        A time ahead, because the server's clock was set back, counts as so long ago: nobody waits
        until the clock is there again.
        """

    @abstractmethod
    def insert_new(self, target: str, source: str) -> str:
        """Return the statement that inserts rows, but for those whose key is there already.

        Parameters
        ----------
        target : str
            Table and columns.
        source : str
            ``VALUES (...)`` or ``SELECT ...``.
        """

    @abstractmethod
    def insert_or_change(self, target: str, source: str, key: Sequence[str], column: str) -> str:
        """Return the statement that inserts rows, and changes a column of those that are there.

        Parameters
        ----------
        target, source : str
            As of `insert_new`.
        key : sequence of str
            Columns of the primary key, quoted.
        column : str
            What is changed, quoted.
        """

    @abstractmethod
    def computed_first(self, name: str) -> tuple[str, str]:
        """Return the beginning of a query in ``WITH`` that is computed whole, and a hint for it.

        The hint stands after the ``SELECT`` that reads it.
        """

    @abstractmethod
    def end_session(self, number: int) -> str:
        """Return the statement that ends a session of the server by its number."""

    @abstractmethod
    def limit_idle_time(self, seconds: int) -> str:
        """Return the statement by which a session may stay idle for so long."""

    @abstractmethod
    def limit_lock_wait(self, seconds: int) -> str:
        """Return the statement by which the session's statements wait so long for a row's lock."""

    @abstractmethod
    def limit_table_wait(self, seconds: int | None) -> str:
        """Return the statement by which the session's statements wait so long for a whole table.

        None is the server's default again.
        """

    @abstractmethod
    def named_lock(self, purpose: str) -> tuple[str, str, Any]:
        """Return the statements that try for a lock and release it, and its name, their argument.

        The first returns true where the session has the lock. The server releases it when the
        session ends.
        """


class MySQL(Dialect):
    """MySQL 8 and later."""

    uptime = (
        "SELECT VARIABLE_VALUE FROM performance_schema.global_status WHERE VARIABLE_NAME='Uptime'"
    )
    isolation = ("SET TRANSACTION ISOLATION LEVEL READ COMMITTED",)
    snapshot = (
        "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ",
        "START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY",
    )
    base_tables = (
        "SELECT table_name FROM information_schema.tables "
        "WHERE table_schema=%s AND table_type='BASE TABLE'"
    )
    now = "UTC_TIMESTAMP(3)"
    columns = (
        "SELECT table_schema, table_name, column_name, column_type, is_nullable = 'YES', "
        "column_default, column_comment FROM information_schema.columns "
        "WHERE table_schema IN ({}){}"
    )
    of_table = " AND table_name = %s"
    # Not GROUP_CONCAT, which the session may limit to few characters.
    indexes = (
        "SELECT table_schema, table_name, index_name, non_unique = 0, index_name = 'PRIMARY', "
        "column_name FROM information_schema.statistics WHERE table_schema IN ({}){} "
        "ORDER BY table_schema, table_name, index_name, seq_in_index"
    )

    headings: Mapping[str, str] = {
        "table": (
            "SELECT table_schema AS in_schema, table_name AS of_table, t.* "
            "FROM information_schema.tables AS t WHERE table_schema IN ({})"
        ),
        "columns": (  # as SHOW FULL COLUMNS names them
            "SELECT table_schema AS in_schema, table_name AS of_table, column_name AS `Field`, "
            "column_type AS `Type`, collation_name AS `Collation`, is_nullable AS `Null`, "
            "column_key AS `Key`, column_default AS `Default`, extra AS `Extra`, "
            "column_comment AS `Comment` FROM information_schema.columns "
            "WHERE table_schema IN ({}) ORDER BY table_schema, table_name, ordinal_position"
        ),
        "primary key": (
            "SELECT table_schema AS in_schema, table_name AS of_table, column_name AS column_name "
            "FROM information_schema.key_column_usage WHERE table_schema IN ({}) "
            "AND constraint_name = 'PRIMARY' ORDER BY table_schema, table_name, ordinal_position"
        ),
        "indexes": (
            "SELECT table_schema AS in_schema, table_name AS of_table, index_name AS index_name, "
            "column_name AS column_name, non_unique AS non_unique, seq_in_index AS seq_in_index "
            "FROM information_schema.statistics WHERE table_schema IN ({}) "
            "AND index_name != 'PRIMARY' "
            "ORDER BY table_schema, table_name, index_name, seq_in_index"
        ),
    }

    def type_name(self, sql_type: str) -> str:
        """Return a type without the display widths of earlier versions, and spaces in an enum."""
        plain = re.sub(r"\b(tinyint|smallint|int|bigint)\(\d+\)", r"\1", sql_type)
        return re.sub(r"',\s+'", "','", plain)

    def alter_column(self, table: str, name: str, column: ColumnSQL) -> list[str]:
        """Return the one statement that gives a column type, default, comment and NOT NULL."""
        null = "NULL" if column.nullable else "NOT NULL"
        default = "" if column.default is None else f" DEFAULT {column.default}"
        comment = literal(column.comment)
        return [
            f"ALTER TABLE {table} MODIFY COLUMN {name} {column.sql_type} {null}{default} "
            f"COMMENT {comment}"
        ]

    def add_column(self, table: str, name: str, column: ColumnSQL) -> str:
        """Return the statement that adds a column, which may be null so far."""
        comment = literal(column.comment)
        return f"ALTER TABLE {table} ADD COLUMN {name} {column.sql_type} NULL COMMENT {comment}"

    def make_type(self, schema: str, column: ColumnSQL) -> str | None:
        """Return nothing: the values of an enum stand in its column."""
        return None

    def seconds_since(self, time: str) -> str:
        """Return the SQL of the seconds since a time."""
        return f"ABS(TIMESTAMPDIFF(MICROSECOND, {time}, {self.now}) / 1e6)"

    def insert_new(self, target: str, source: str) -> str:
        """Return the statement that inserts rows whose key is new."""
        return f"INSERT IGNORE INTO {target} {source}"

    def insert_or_change(self, target: str, source: str, key: Sequence[str], column: str) -> str:
        """Return the statement that inserts rows or changes a column."""
        given = f"new_rows.{column}"
        return f"INSERT INTO {target} {source} AS new_rows ON DUPLICATE KEY UPDATE {column}={given}"

    def computed_first(self, name: str) -> tuple[str, str]:
        """Return the beginning of a query that is computed whole, and a hint."""
        return f"WITH {name} AS", f"/*+ NO_MERGE({name}) */ "

    def end_session(self, number: int) -> str:
        """Return the statement that ends a session."""
        return f"KILL CONNECTION {int(number)}"

    def limit_idle_time(self, seconds: int) -> str:
        """Return the statement by which a session may stay idle, inside a transaction or not."""
        return f"SET SESSION wait_timeout={int(seconds)}"

    def limit_lock_wait(self, seconds: int) -> str:
        """Return the statement that limits the wait for a row's lock."""
        return f"SET innodb_lock_wait_timeout={int(seconds)}"

    def limit_table_wait(self, seconds: int | None) -> str:
        """Return the statement that limits the wait for the lock of a table's definition."""
        return f"SET lock_wait_timeout={'DEFAULT' if seconds is None else int(seconds)}"

    def named_lock(self, purpose: str) -> tuple[str, str, Any]:
        """Return statements and name of a lock: a text of at most 64 characters."""
        name = hashlib.sha256(purpose.encode()).hexdigest()
        return "SELECT GET_LOCK(%s, 0)", "SELECT RELEASE_LOCK(%s)", name


class PostgreSQL(Dialect):
    """PostgreSQL, a server's or the embedded one."""

    uptime = "SELECT EXTRACT(EPOCH FROM (clock_timestamp() - pg_postmaster_start_time()))"
    # READ COMMITTED is the default. information_schema leaves out tables that one may not read.
    snapshot = ("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY",)
    base_tables = (
        "SELECT c.relname FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS n "
        "ON n.oid = c.relnamespace WHERE n.nspname=%s AND c.relkind IN ('r', 'p')"
    )
    now = "(clock_timestamp() AT TIME ZONE 'UTC')"
    columns = (
        "SELECT n.nspname, c.relname, a.attname, format_type(a.atttypid, a.atttypmod), "
        "NOT a.attnotnull, pg_get_expr(d.adbin, d.adrelid), col_description(c.oid, a.attnum) "
        "FROM pg_catalog.pg_attribute AS a JOIN pg_catalog.pg_class AS c ON c.oid = a.attrelid "
        "JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace "
        "LEFT JOIN pg_catalog.pg_attrdef AS d ON d.adrelid = c.oid AND d.adnum = a.attnum "
        "WHERE n.nspname IN ({}){} AND c.relkind IN ('r', 'p') AND a.attnum > 0 "
        "AND NOT a.attisdropped"
    )
    of_table = " AND c.relname = %s"
    indexes = (
        "SELECT n.nspname, c.relname, x.relname, i.indisunique, i.indisprimary, a.attname "
        "FROM pg_catalog.pg_index AS i JOIN pg_catalog.pg_class AS c ON c.oid = i.indrelid "
        "JOIN pg_catalog.pg_class AS x ON x.oid = i.indexrelid "
        "JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace "
        "CROSS JOIN LATERAL unnest(i.indkey) WITH ORDINALITY AS k(number, place) "
        "LEFT JOIN pg_catalog.pg_attribute AS a ON a.attrelid = c.oid AND a.attnum = k.number "
        "WHERE n.nspname IN ({}){} AND i.indisvalid ORDER BY 1, 2, 3, k.place"
    )

    headings: Mapping[str, str] = {
        "table": (
            "SELECT t.table_schema AS in_schema, t.table_name AS of_table, t.*, obj_description("
            "(quote_ident(t.table_schema) || '.' || quote_ident(t.table_name))::regclass, "
            "'pg_class') AS table_comment FROM information_schema.tables AS t "
            "WHERE t.table_schema IN ({})"
        ),
        "columns": (
            "SELECT c.table_schema AS in_schema, c.table_name AS of_table, c.column_name, "
            "c.data_type, c.udt_name, c.is_nullable, c.column_default, "
            "c.character_maximum_length, c.numeric_precision, c.numeric_scale, col_description("
            "(quote_ident(c.table_schema) || '.' || quote_ident(c.table_name))::regclass, "
            "c.ordinal_position) AS column_comment FROM information_schema.columns AS c "
            "WHERE c.table_schema IN ({}) ORDER BY 1, 2, c.ordinal_position"
        ),
        "primary key": (
            "SELECT n.nspname AS in_schema, c.relname AS of_table, a.attname AS column_name "
            "FROM pg_catalog.pg_index AS i JOIN pg_catalog.pg_class AS c ON c.oid = i.indrelid "
            "JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace "
            "CROSS JOIN LATERAL unnest(i.indkey) WITH ORDINALITY AS k(number, place) "
            "JOIN pg_catalog.pg_attribute AS a ON a.attrelid = c.oid AND a.attnum = k.number "
            "WHERE n.nspname IN ({}) AND i.indisprimary ORDER BY 1, 2, k.place"
        ),
        "indexes": (
            "SELECT schemaname AS in_schema, tablename AS of_table, indexname, indexdef "
            "FROM pg_catalog.pg_indexes WHERE schemaname IN ({})"
        ),
    }

    def type_name(self, sql_type: str) -> str:
        """Return a type as DataJoint writes it, an enum without its schema."""
        plain = sql_type.replace("character varying", "varchar").replace(" without time zone", "")
        return re.sub(r'^.*\.("?)(enum_\w+)\1$', r"\2", plain)

    def alter_column(self, table: str, name: str, column: ColumnSQL) -> list[str]:
        """Return the statements that give a column type, default, NOT NULL and comment.

        The comment comes last: whoever is interrupted sees by it that something is left to do.
        """
        default = "DROP DEFAULT" if column.default is None else f"SET DEFAULT {column.default}"
        null = "DROP NOT NULL" if column.nullable else "SET NOT NULL"
        of = f"ALTER TABLE {table} ALTER COLUMN {name}"
        return [
            # An enum of other values is another type, and its values are texts in between.
            f"{of} DROP DEFAULT",
            f"{of} TYPE {column.sql_type} USING {name}::text::{column.sql_type}"
            if column.choices
            else f"{of} TYPE {column.sql_type}",
            f"{of} {default}",
            f"{of} {null}",
            f"COMMENT ON COLUMN {table}.{name} IS {literal(column.comment)}",
        ]

    def add_column(self, table: str, name: str, column: ColumnSQL) -> str:
        """Return the statement that adds a column, which may be null so far."""
        return f"ALTER TABLE {table} ADD COLUMN {name} {column.sql_type} NULL"

    def make_type(self, schema: str, column: ColumnSQL) -> str | None:
        """Return the statement that makes the type of an enum, where it does not exist."""
        if not column.choices:
            return None
        name = self.type_name(column.sql_type)
        values = ", ".join(map(literal, column.choices))
        return (
            f'DO $$ BEGIN CREATE TYPE "{schema}"."{name}" AS ENUM ({values}); '
            "EXCEPTION WHEN duplicate_object THEN NULL; END $$"
        )

    def seconds_since(self, time: str) -> str:
        """Return the SQL of the seconds since a time."""
        return f"ABS(EXTRACT(EPOCH FROM ({self.now} - {time})))"

    def insert_new(self, target: str, source: str) -> str:
        """Return the statement that inserts rows whose key is new."""
        return f"INSERT INTO {target} {source} ON CONFLICT DO NOTHING"

    def insert_or_change(self, target: str, source: str, key: Sequence[str], column: str) -> str:
        """Return the statement that inserts rows or changes a column."""
        conflict = f"ON CONFLICT ({', '.join(key)}) DO UPDATE SET {column}=EXCLUDED.{column}"
        return f"INSERT INTO {target} {source} {conflict}"

    def computed_first(self, name: str) -> tuple[str, str]:
        """Return the beginning of a query that is computed whole; no hint."""
        return f"WITH {name} AS MATERIALIZED", ""

    def end_session(self, number: int) -> str:
        """Return the statement that ends a session."""
        return f"SELECT pg_terminate_backend({int(number)})"

    def limit_idle_time(self, seconds: int) -> str:
        """Return the statement by which a session may stay idle inside a transaction."""
        return f"SET idle_in_transaction_session_timeout='{int(seconds)}s'"

    def limit_lock_wait(self, seconds: int) -> str:
        """Return the statement that limits the wait for a row's lock."""
        return f"SET lock_timeout='{int(seconds)}s'"

    def limit_table_wait(self, seconds: int | None) -> str:
        """Return the statement that limits the wait for any lock."""
        return "RESET lock_timeout" if seconds is None else self.limit_lock_wait(seconds)

    def named_lock(self, purpose: str) -> tuple[str, str, Any]:
        """Return statements and name of a lock: a number of 56 bits."""
        name = int.from_bytes(hashlib.sha256(purpose.encode()).digest()[:7], "big")
        return "SELECT pg_try_advisory_lock(%s)", "SELECT pg_advisory_unlock(%s)", name


DIALECTS: dict[str, Dialect] = {"mysql": MySQL(), "postgresql": PostgreSQL()}


def dialect_of(connection: dj.Connection) -> Dialect:
    """Return the SQL of a connection's back end."""
    return DIALECTS[connection.adapter.backend]
