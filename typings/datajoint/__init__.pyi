"""What DataJoint 2.3.5 does not say of its own types, for mypy.

DataJoint ships no ``py.typed``. Its modules of settings, stores, errors, headings and codecs are
annotated, and mypy reads them (``follow_untyped_imports`` in pyproject.toml). Its tables and
queries are not: they are described here, as far as the pipeline uses them.
``tests/pipeline/test_datajoint_stub.py`` compares this file with the installed package.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import _GeneratorContextManager
from typing import (
    Any,
    Concatenate,
    Generic,
    ParamSpec,
    Protocol,
    Self,
    TypeAlias,
    TypeVar,
    overload,
)

import numpy as np
from datajoint import blob as blob
from datajoint import errors as errors
from datajoint.builtin_codecs.npy import NpyRef as _NpyRef
from datajoint.codecs import Codec as Codec
from datajoint.condition import AndList as AndList
from datajoint.condition import Not as Not
from datajoint.connection import Connection as _Connection
from datajoint.dependencies import Dependencies
from datajoint.errors import DataJointError as DataJointError
from datajoint.heading import Heading
from datajoint.settings import Config
from numpy.typing import NDArray

_T = TypeVar("_T")
_T_co = TypeVar("_T_co", covariant=True)
_P = ParamSpec("_P")

_Row: TypeAlias = Mapping[str, Any]
# What restricts a query. A sequence of them means "or", an `AndList` "and".
_Restriction: TypeAlias = (
    _Query
    | type[Table]
    | Not
    | AndList
    | Mapping[str, Any]
    | Sequence[_Query | type[Table] | Not | Mapping[str, Any] | str]
    | np.void
    | str
    | bool
    | None
)

class _OfInstanceAndClass(Generic[_T_co]):
    """An attribute that may be asked of a table and of its class, which makes a table first."""

    def __get__(self, instance: object, owner: type | None = None) -> _T_co: ...

class _MethodOfInstanceAndClass(Generic[_P, _T_co]):
    """A method that may be called on a table and on its class, which makes a table first."""

    def __init__(self, method: Callable[Concatenate[Any, _P], _T_co]) -> None: ...
    def __get__(self, instance: object, owner: type | None = None) -> Callable[_P, _T_co]: ...

class _Fetch1(Protocol):
    """One row as a dictionary; the value of one column; the values of several."""

    @overload
    def __call__(self, *, squeeze: bool = ...) -> dict[str, Any]: ...
    @overload
    def __call__(self, attribute: str, /, *, squeeze: bool = ...) -> Any: ...
    @overload
    def __call__(
        self, first: str, second: str, /, *others: str, squeeze: bool = ...
    ) -> tuple[Any, ...]: ...

class _Cursor(Protocol):
    """What both drivers' cursors have, and DataJoint's for a cached query."""

    @property
    def rowcount(self) -> int: ...
    # None where there is no row: who counts, or asks for the time, always gets one.
    def fetchone(self) -> tuple[Any, ...] | Any: ...
    def fetchall(self) -> Sequence[tuple[Any, ...]]: ...

config: Config  # a proxy of it

def conn(
    host: str | None = None,
    user: str | None = None,
    password: str | None = None,
    *,
    reset: bool = False,
    use_tls: bool | dict[str, Any] | None = None,
) -> Connection: ...

class Connection(_Connection):
    conn_info: dict[str, Any]
    _conn: Any  # of PyMySQL or psycopg2
    _in_transaction: bool
    _is_closed: bool
    schemas: dict[str, Schema]
    dependencies: Dependencies

    @property
    def transaction(self) -> _GeneratorContextManager[Connection]: ...
    @property
    def in_transaction(self) -> bool: ...
    def query(
        self,
        query: str,
        args: Sequence[Any] = (),
        *,
        as_dict: bool = False,
        suppress_warnings: bool = True,
        reconnect: bool | None = None,
    ) -> _Cursor: ...
    def register(self, schema: Schema) -> None: ...
    def _build_connect_kwargs(
        self, use_tls: bool | dict[str, Any] | None = None
    ) -> dict[str, Any]: ...

class NpyRef(_NpyRef):
    _cached: NDArray[Any] | None  # type: ignore[assignment]  # only None is inferred there
    def load(self, mmap_mode: str | None = None) -> NDArray[Any]: ...
    def __array__(self, dtype: np.dtype[Any] | None = None) -> NDArray[Any]: ...
    def __getitem__(self, key: Any) -> Any: ...

class Schema:
    database: str | None
    connection: Connection | None
    create_schema: bool
    create_tables: bool | None
    declare_list: list[tuple[type[Table], dict[str, Any]]]

    def __init__(
        self,
        schema_name: str | None = None,
        context: dict[str, Any] | None = None,
        *,
        connection: Connection | None = None,
        create_schema: bool = True,
        create_tables: bool | None = None,
        add_objects: dict[str, Any] | None = None,
    ) -> None: ...
    def __call__(self, cls: type[_T], *, context: dict[str, Any] | None = None) -> type[_T]: ...
    def is_activated(self) -> bool: ...
    def activate(
        self,
        schema_name: str | None = None,
        *,
        connection: Connection | None = None,
        create_schema: bool | None = None,
        create_tables: bool | None = None,
        add_objects: dict[str, Any] | None = None,
    ) -> None: ...
    def drop(self, prompt: bool | None = None) -> None: ...

class _Attribute:
    """A column: `datajoint.heading.Attribute`, a named tuple whose fields mypy cannot see."""

    name: str
    type: str
    lineage: str | None
    in_key: bool
    codec: Codec | None
    nullable: bool
    default: Any
    comment: str
    original_type: str | None
    autoincrement: bool
    @property
    def is_schema_object(self) -> bool: ...

class _Heading:
    """The columns of a query: `datajoint.heading.Heading`."""

    _attributes: dict[str, _Attribute] | None
    @property
    def names(self) -> list[str]: ...
    @property
    def primary_key(self) -> list[str]: ...
    @property
    def attributes(self) -> dict[str, _Attribute]: ...
    def __getitem__(self, name: str) -> _Attribute: ...

class _Query:
    """`datajoint.expression.QueryExpression`."""

    connection: _OfInstanceAndClass[Connection]
    heading: _OfInstanceAndClass[_Heading]
    primary_key: _OfInstanceAndClass[list[str]]
    fetch1: _OfInstanceAndClass[_Fetch1]

    @_MethodOfInstanceAndClass
    def proj(self, /, *attributes: str, **named_attributes: str) -> _Query: ...
    @_MethodOfInstanceAndClass
    def aggr(
        self,
        /,
        group: _Query | type[Table],
        *attributes: str,
        exclude_nonmatching: bool = False,
        **named_attributes: str,
    ) -> _Query: ...
    @_MethodOfInstanceAndClass
    def to_dicts(
        self,
        order_by: str | Sequence[str] | None = None,
        limit: int | None = None,
        offset: int | None = None,
        squeeze: bool = False,
    ) -> list[dict[str, Any]]: ...
    @_MethodOfInstanceAndClass
    def keys(
        self,
        order_by: str | Sequence[str] | None = None,
        limit: int | None = None,
        offset: int | None = None,
    ) -> list[dict[str, Any]]: ...
    @_MethodOfInstanceAndClass
    def to_arrays(
        self,
        *attrs: str,
        include_key: bool = False,
        order_by: str | Sequence[str] | None = None,
        limit: int | None = None,
        offset: int | None = None,
        squeeze: bool = False,
    ) -> Any: ...
    @property
    def restriction(self) -> Any: ...
    def where_clause(self) -> str: ...
    def make_sql(self, fields: Sequence[str] | None = None) -> str: ...
    def restrict(self, restriction: _Restriction, semantic_check: bool = True) -> Self: ...
    # A restricted table is a table of the same class; DataJoint makes a plain query of it only
    # where a column of its own making is restricted, which a table does not have.
    def __and__(self, restriction: _Restriction) -> Self: ...
    def __sub__(self, restriction: _Restriction) -> Self: ...
    def __mul__(self, other: _Query | type[Table]) -> _Query: ...
    def __len__(self) -> int: ...
    def __bool__(self) -> bool: ...
    def __contains__(self, item: object) -> bool: ...
    def __iter__(self) -> Iterator[dict[str, Any]]: ...

class U:
    """The universal set: with a query, the different values of its columns."""

    def __init__(self, *primary_key: str) -> None: ...
    def __and__(self, other: _Query | type[Table]) -> _Query: ...
    def aggr(self, group: _Query | type[Table], **named_attributes: str) -> _Query: ...

class Table(_Query):
    database: str | None
    declaration_context: dict[str, Any] | None
    definition: str
    table_name: _OfInstanceAndClass[str]
    full_table_name: _OfInstanceAndClass[str]
    _connection: Connection | None
    _heading: Heading | None
    _support: list[Any] | None

    @property
    def adapter(self) -> Any: ...
    @property
    def is_declared(self) -> bool: ...
    @_MethodOfInstanceAndClass
    def insert(
        self,
        rows: Iterable[Any],
        *,  # not by place, so that a table's own insert may take the rest together
        replace: bool = False,
        skip_duplicates: bool = False,
        ignore_extra_fields: bool = False,
        allow_direct_insert: bool | None = None,
        chunk_size: int | None = None,
    ) -> None: ...
    @_MethodOfInstanceAndClass
    def insert1(self, /, row: _Row, **kwargs: Any) -> None: ...
    @_MethodOfInstanceAndClass
    def update1(self, /, row: _Row) -> None: ...
    @_MethodOfInstanceAndClass
    def delete_quick(self, get_count: bool = False) -> int | None: ...
    @_MethodOfInstanceAndClass
    def drop_quick(self) -> None: ...
    @_MethodOfInstanceAndClass
    def delete(
        self,
        transaction: bool = True,
        prompt: bool | None = None,
        part_integrity: str = "enforce",
    ) -> int: ...
    def _refresh_lineage(self, context: dict[str, Any] | None = None) -> None: ...
    def declare(self, context: dict[str, Any] | None = None) -> None: ...

class Diagram:
    @classmethod
    def cascade(cls, table_expr: _Query, part_integrity: str = "enforce") -> Diagram: ...
    def __iter__(self) -> Iterator[Table]: ...

def FreeTable(conn_or_name: Connection | str, full_table_name: str | None = None) -> Table: ...

class _TableMeta(type):
    def __and__(cls: type[_T], arg: _Restriction) -> _T: ...
    def __sub__(cls: type[_T], arg: _Restriction) -> _T: ...
    def __mul__(cls, arg: _Query | type[Table]) -> _Query: ...
    def __iter__(cls) -> Iterator[dict[str, Any]]: ...

class _UserTable(Table, metaclass=_TableMeta): ...
class Manual(_UserTable): ...

class Lookup(_UserTable):
    contents: Iterable[Any]

class Part(_UserTable):
    _master: type[Table] | None

    def delete(  # type: ignore[override]
        self, part_integrity: str = "enforce", **kwargs: Any
    ) -> int: ...

class _Job(Table):
    # Also of what is no table, but has what the definition is made of.
    def _generate_definition(self: Any) -> str: ...

class AutoPopulate:
    _allow_insert: bool
    _upstream: Any
    _upstream_key: dict[str, Any] | None
    jobs: _OfInstanceAndClass[_Job]
    @property
    def key_source(self) -> _Query: ...
    def make(self, key: dict[str, Any]) -> Any: ...
    @_MethodOfInstanceAndClass
    def progress(
        self, /, *restrictions: _Restriction, display: bool = False
    ) -> tuple[int, int]: ...
    @_MethodOfInstanceAndClass
    def populate(
        self,
        /,
        *restrictions: _Restriction,
        suppress_errors: bool = False,
        return_exception_objects: bool = False,
        reserve_jobs: bool = False,
        max_calls: int | None = None,
        display_progress: bool = False,
        processes: int = 1,
        make_kwargs: dict[str, Any] | None = None,
        priority: int | None = None,
        refresh: bool | None = None,
    ) -> dict[str, Any]: ...

class Imported(_UserTable, AutoPopulate): ...
class Computed(_UserTable, AutoPopulate): ...
