"""Roles of database users and their rights, as SQL for the administrator."""

from __future__ import annotations

import os
from collections.abc import Iterator

import datajoint as dj

from .configuration import DatabaseError, checked_backend, checked_prefix
from .schemas import SCHEMAS, import_tables, jobs_table_name, parts

ROLES = {
    "admin": "makes and drops tables, and deletes rows",
    "worker": "fills the computed tables, and keeps the jobs tables and the schema work",
    "experimenter": "enters tasks, parameters and cohorts, and lets failed jobs be tried again",
    "analyst": "reads",
}
SEARCHES = "search"  # the schema of the studies of Optuna, which is there where searches run
READERS = ("worker", "experimenter", "analyst")
MAX_MYSQL_NAME = 32  # characters of a role's name


def roles_sql(backend: str | None = None, prefix: str | None = None) -> str:
    """Return SQL that makes the roles: ``{prefix}_admin``, and so on for those of `ROLES`.

    It is for an administrator of the server, once the tables have been declared, and again after
    an update has declared new ones; a statement may be run any number of times. Each statement is
    one line.

    Parameters
    ----------
    backend : {"mysql", "postgresql"}, optional
        DJ_BACKEND or datajoint.json by default, else MySQL.
    prefix : str, optional
        Names of schemas and roles start with it; RNN_PREFIX or "rnn" by default.

    Raises
    ------
    DatabaseError
        For a back end that is not known or a prefix that is none.
    """
    kind = checked_backend(backend or dj.config["database.backend"])
    name = checked_prefix(prefix or os.environ.get("RNN_PREFIX") or "rnn")
    import_tables()
    statements = _mysql(name) if kind == "mysql" else _postgresql(name)
    return "".join(f"{statement}\n" for statement in statements)


def _grants(prefix: str) -> Iterator[tuple[str, str, str, str]]:
    """Yield rights beyond reading: role, rights, schema, table."""
    for name, schema in SCHEMAS.items():
        database = f"{prefix}_{name}"
        for table, _ in schema.declare_list:
            every = [table.table_name, *(part.table_name for part in parts(table))]
            if getattr(table, "for_administrators", False):
                continue
            if name == "work":
                for each in every:
                    yield "worker", "INSERT, UPDATE", database, each
            elif issubclass(table, dj.Computed):
                for each in every:
                    yield "worker", "INSERT", database, each
                jobs = jobs_table_name(table)
                yield "worker", "INSERT, UPDATE, DELETE", database, jobs
                yield "experimenter", "UPDATE", database, jobs
            elif getattr(table, "filled_by_workers", False):
                yield "worker", "INSERT", database, table.table_name
            else:
                rights = "INSERT, DELETE" if table.table_name == "left_out" else "INSERT"
                for each in every:
                    yield "experimenter", rights, database, each
    yield "experimenter", "UPDATE", f"{prefix}_training", "job_priority"
    # A retry says of a lost job that it does not count any more.
    yield "experimenter", "UPDATE", f"{prefix}_work", "lost_job"


def _mysql(prefix: str) -> Iterator[str]:
    room = MAX_MYSQL_NAME - max(len(f"_{role}") for role in ROLES)
    if len(prefix) > room:
        raise DatabaseError(
            f"prefix = {prefix!r}: is too long for the names of roles; use at most {room} "
            "characters"
        )
    for role, purpose in ROLES.items():
        yield f"-- {prefix}_{role}: {purpose}"
        yield f"CREATE ROLE IF NOT EXISTS '{prefix}_{role}';"
    # In the name of a database, _ stands for any character where it is not escaped.
    escaped = prefix.replace("_", r"\_")
    yield rf"GRANT ALL PRIVILEGES ON `{escaped}\_%`.* TO '{prefix}_admin';"
    for role in READERS:
        for name in SCHEMAS:
            yield rf"GRANT SELECT ON `{escaped}\_{name}`.* TO '{prefix}_{role}';"
    for role, rights, schema, table in _grants(prefix):
        yield f"GRANT {rights} ON `{schema}`.`{table}` TO '{prefix}_{role}';"
    rights = "SELECT, INSERT, UPDATE, DELETE"
    yield rf"GRANT {rights} ON `{escaped}\_{SEARCHES}`.* TO '{prefix}_experimenter';"


def _postgresql(prefix: str) -> Iterator[str]:
    for role, purpose in ROLES.items():
        full = f"{prefix}_{role}"
        yield f"-- {full}: {purpose}"
        yield (
            f"DO $$ BEGIN IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = '{full}') "
            f'THEN CREATE ROLE "{full}" NOLOGIN; END IF; END $$;'
        )
    admin = f"{prefix}_admin"
    yield (
        "DO $$ BEGIN EXECUTE format('GRANT CREATE, CONNECT ON DATABASE %I TO "
        f'"{admin}"\', current_database()); END $$;'
    )
    schemas = [f"{prefix}_{name}" for name in SCHEMAS]
    searches = f"{prefix}_{SEARCHES}"
    names = ", ".join(f"'{schema}'" for schema in (*schemas, searches))
    # Only who owns a table may alter or drop it.
    for kind, query in {
        "SCHEMA": "SELECT format('%I', nspname) AS it FROM pg_namespace "
        f"WHERE nspname IN ({names})",
        "TABLE": "SELECT format('%I.%I', schemaname, tablename) AS it FROM pg_tables "
        f"WHERE schemaname IN ({names})",
        "TYPE": "SELECT format('%I.%I', nspname, typname) AS it FROM pg_type JOIN pg_namespace n "
        f"ON n.oid = typnamespace WHERE typtype = 'e' AND nspname IN ({names})",
    }.items():
        yield (
            f"DO $$ DECLARE r record; BEGIN FOR r IN {query} LOOP EXECUTE "
            f"'ALTER {kind} ' || r.it || ' OWNER TO \"{admin}\"'; END LOOP; END $$;"
        )
    for role in READERS:
        for schema in schemas:
            yield f'GRANT USAGE ON SCHEMA "{schema}" TO "{prefix}_{role}";'
            # Who may only SELECT is shown no primary keys by information_schema, from which
            # DataJoint learns them. REFERENCES shows them, and lets nothing be changed.
            yield (
                f'GRANT SELECT, REFERENCES ON ALL TABLES IN SCHEMA "{schema}" TO "{prefix}_{role}";'
            )
    for role, rights, schema, table in _grants(prefix):
        yield f'GRANT {rights} ON "{schema}"."{table}" TO "{prefix}_{role}";'
    granted = "; ".join(
        f'GRANT {rights} IN SCHEMA "{searches}" TO "{prefix}_experimenter"'
        for rights in ("SELECT, INSERT, UPDATE, DELETE ON ALL TABLES", "USAGE ON ALL SEQUENCES")
    )
    yield (
        f"DO $$ BEGIN IF EXISTS (SELECT FROM pg_namespace WHERE nspname = '{searches}') THEN "
        f'GRANT USAGE ON SCHEMA "{searches}" TO "{prefix}_experimenter"; {granted}; '
        "END IF; END $$;"
    )
