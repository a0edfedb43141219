"""A lab's own tables below those of the pipeline: found in a module, and put in their order."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Collection, Iterable, Iterator, Mapping
from importlib import import_module
from types import ModuleType

import datajoint as dj

from tasks_lib.errors import ParameterError, kind_and_text

from ..database.connection import connection
from ..database.schemas import SCHEMAS, is_ours, parts
from ..database.server import base_tables
from ..database.types import Populated
from ..transient.errors import is_transient
from .computed import COMPUTED

FIELD = "module"


def own_tables(modules: Iterable[str]) -> tuple[type[Populated], ...]:
    """Import modules and return their Computed and Imported tables, each after those it needs.

    To be called after `connect`: a module declares its tables when it is imported.

    Parameters
    ----------
    modules : iterable of str
        ``package.module``; modules below it that it has imported are looked at too.

    Raises
    ------
    ParameterError
        For a module that cannot be imported, has no tables to fill, or none that depends on a table
        of the pipeline.
    """
    found: dict[str, type[Populated]] = {}
    for name in dict.fromkeys(modules):
        tables = _tables_of(name)
        below = _names_below_ours()
        if not any(table.full_table_name in below for table in tables):
            listed = ", ".join(sorted(table.__name__ for table in tables))
            raise ParameterError(
                FIELD,
                name,
                f"of its tables ({listed}) none depends on a table of the pipeline",
                "fill it with its own populate()",
            )
        found |= {str(table.full_table_name): table for table in tables}
    order = connection().dependencies.topo_sort() if found else []
    return tuple(found[name] for name in order if name in found)


def _tables_of(name: str) -> list[type[Populated]]:
    """Import a module and return its tables that are filled; parts and other tables are not."""
    if not all(part.isidentifier() for part in name.split(".")):
        raise ParameterError(
            FIELD, name, "is not the name of a module", "write my_package.tables, without .py"
        )
    ours = [str(schema.database) for schema in SCHEMAS.values()]
    before = {schema: base_tables(connection(), schema) for schema in ours}
    try:
        module = import_module(name)
    except (Exception, SystemExit) as error:  # whatever a module of others raises
        if is_transient(error):
            raise
        raise ParameterError(
            FIELD,
            name,
            f"cannot be imported ({kind_and_text(error)})",
            "see that Python finds it here, and that it imports after pipeline.connect()",
        ) from error
    modules = [*_with_submodules(module)]
    strangers = {cls for each in modules for cls in _strangers_in_ours(each)}
    if strangers:
        first = min(strangers, key=lambda cls: cls.__name__)
        _drop_new(strangers, before)
        raise ParameterError(
            FIELD,
            name,
            f"its table {first.__name__} is in {first.database}, a schema of the pipeline",
            'decorate it with a schema of your own: schema = dj.Schema("lab_...")',
        )
    classes = {cls for each in modules for cls in _filled_classes(each)}
    for cls in sorted(classes, key=lambda cls: cls.__name__):
        if cls.database is None or cls._connection is not connection():
            raise ParameterError(
                FIELD,
                name,
                f"its table {cls.__name__} is bound to no schema of this connection",
                'decorate it with a schema = dj.Schema("lab_..."), without a connection of its own',
            )
        if not cls().is_declared:
            raise ParameterError(
                FIELD,
                name,
                f"its table {cls.__name__} does not exist in {cls.database}",
                "import the module once as a user who may make tables",
            )
    if not classes:
        raise ParameterError(
            FIELD, name, "has no Computed or Imported table", "name the module that defines them"
        )
    return sorted(classes, key=lambda cls: str(cls.full_table_name))


def _with_submodules(module: ModuleType) -> Iterator[ModuleType]:
    yield module
    for name, other in list(sys.modules.items()):
        if name.startswith(f"{module.__name__}.") and other is not None:
            yield other


def _filled_classes(module: ModuleType) -> Iterator[type[Populated]]:
    """Yield the Computed and Imported tables among a module's names that are not ours."""
    for value in list(vars(module).values()):
        if not (inspect.isclass(value) and issubclass(value, dj.Computed | dj.Imported)):
            continue
        # Base classes have no definition of their own to be declared by.
        is_table = isinstance(vars(value).get("definition"), str) or value.database is not None
        if is_table and value not in COMPUTED and not (value.database and is_ours(value)):
            yield value


def _strangers_in_ours(module: ModuleType) -> Iterator[type[dj.Table]]:
    """Yield the tables among a module's names that lie in a schema of ours and are not ours."""
    ours = {table for schema in SCHEMAS.values() for table in schema.tables}
    for value in list(vars(module).values()):
        if not (inspect.isclass(value) and issubclass(value, dj.Table)) or value in ours:
            continue
        if getattr(value, "database", None) is not None and is_ours(value):
            yield value


def _drop_new(tables: Iterable[type[dj.Table]], before: Mapping[str, Collection[str]]) -> None:
    """Drop tables, and their parts, that were not there before their module was imported."""
    here = connection()
    new = {
        str(table.full_table_name)
        for master in tables
        for table in (*parts(master), master)
        if table.table_name not in before[str(table.database)]
    }
    here.dependencies.load(force=True)
    for name in reversed([*here.dependencies.topo_sort()]):
        if name in new:
            dj.FreeTable(here, name).drop_quick()


def _names_below_ours() -> set[str]:
    """Return the full names of all tables that depend on a table of the pipeline."""
    graph = connection().dependencies
    graph.load(force=True)
    ours = {table.full_table_name for schema in SCHEMAS.values() for table in schema.tables}
    return {str(d) for name in ours if name in graph for d in graph.descendants(name)}
