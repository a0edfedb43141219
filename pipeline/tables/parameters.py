"""Parameter tables: rows are validated, completed with defaults, and unique by content."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from contextlib import nullcontext
from dataclasses import MISSING, fields
from typing import Any, TypeVar

import datajoint as dj

from models.parameters import parameters_of
from tasks_lib.errors import ParameterError, shown

from ..database.server import transaction
from .hashing import canonical_json, check_storable, row_hashes
from .other_versions import for_columns, refuse_later_row, unknown_columns, whole_row

Config = TypeVar("Config")
MAX_NAME = 64


def make_config(cls: type[Config], row: Mapping[str, Any]) -> Config:
    """Make a configuration dataclass from a row whose fields are all known to the table."""
    try:
        return cls(**row)
    except (TypeError, AttributeError) as error:
        raise ParameterError(cls.__name__, dict(row), str(error), "mend the types") from None


# What a column of each kind of parameter is; that of a choice names its choices.
_COLUMN_TYPES = {
    "whole": "int32",
    "number": "float64",
    "flag": "bool",
    "name": "varchar(128)",
    "mapping": "json",
}


def columns(
    cls: type[Any], left_out: Collection[str] = (), renamed: Mapping[str, str] | None = None
) -> str:
    """Return the lines of a table's definition that store a dataclass of `models.parameters`.

    Parameters
    ----------
    cls : dataclass
    left_out : collection of str
        Fields without a column.
    renamed : dict, optional
        Field -> name of its column, where that is another.
    """
    lines = []
    for name, parameter in parameters_of(cls).items():
        if name not in left_out:
            column = (renamed or {}).get(name, name) + ("=null" if parameter.nullable else "")
            choices = ", ".join(map(repr, parameter.choices))
            kind = _COLUMN_TYPES.get(parameter.kind) or f"enum({choices})"
            lines.append(f"{column:<22} : {kind:<9} # {parameter.summary}")
    return "\n    ".join(lines)  # as the definitions around them are indented


def config_from_columns(table: type[ParameterTable], row: Mapping[str, Any], **extra: Any) -> Any:
    """Make a table's configuration dataclass from a fetched row.

    A field for which the database has no column yet has its default.

    Raises
    ------
    ParameterError
        Where a field was not fetched, or a later version has stored what this one does not know.
    """
    cls = table.config
    assert cls is not None
    names = [name for name in parameters_of(cls) if name not in extra]
    values = as_flags(cls, whole_row(table, row, names))
    known = {table.primary_key[0], table.hash_field, *names, *extra}
    for name in unknown_columns(table, row, known):
        # Where it has its default, the hash is that of the others.
        if row.get(table.hash_field) not in table.hashes({**values, **extra}):
            raise refuse_later_row(name, row)
    return cls(**values, **extra)


def defaults_of(cls: type[Any]) -> dict[str, Any]:
    """Return the default of each field of a dataclass of `models.parameters` that has one."""
    found = {}
    for field in fields(cls):
        if field.default is not MISSING:
            found[field.name] = field.default
        elif field.default_factory is not MISSING:
            found[field.name] = field.default_factory()
    return {name: value for name, value in found.items() if name in parameters_of(cls)}


def as_flags(cls: type[Any], values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values of fields as they were before they were stored.

    MySQL has no booleans: they come back as 0 and 1.
    """
    flags = {name for name, parameter in parameters_of(cls).items() if parameter.kind == "flag"}
    return {k: bool(v) if k in flags and v in (0, 1) else v for k, v in values.items()}


def stored(
    config: Any, left_out: Collection[str] = (), renamed: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """Return what the columns of `columns` hold for a dataclass of `models.parameters`."""
    names = [name for name in parameters_of(config) if name not in left_out]
    return {(renamed or {}).get(name, name): getattr(config, name) for name in names}


def check_name(field: str, name: Any) -> str:
    """Return the name of a parameter set, or say why it is none."""
    if isinstance(name, str) and re.fullmatch(rf"[\w.+-]{{1,{MAX_NAME}}}", name):
        return name
    remedy = f"use 1 to {MAX_NAME} letters, digits and . _ + -"
    if name is not None and not isinstance(name, str):
        problem = "is no text"
        if isinstance(name, bool | int | float):
            remedy = f'quote it: "{shown(name)}"'
        raise ParameterError(field, name, problem, remedy)
    raise ParameterError(field, name, "is not a name", remedy)


def column_length(column_type: str) -> int | None:
    """Return how many characters a column holds; None where it is no text of limited length."""
    found = re.search(r"char\D*\((\d+)\)", column_type)
    return int(found[1]) if found else None


class CheckedSettings(dj.Lookup):
    """Base of the Lookup tables whose rows are settings; a subclass names their dataclass.

    Attributes
    ----------
    config : dataclass of `models.parameters`
    left_out : tuple of str
        Fields without a column: they have their default.
    renamed : dict
        Field -> name of its column, where that is another.
    """

    config: type[Any]
    left_out: tuple[str, ...] = ()
    renamed: Mapping[str, str] = {}

    @classmethod
    def default_columns(cls) -> dict[str, Any]:
        """Return column -> what it holds in rows that were stored before there was one."""
        return {
            cls.renamed.get(name, name): value
            for name, value in defaults_of(cls.config).items()
            if name not in cls.left_out
        }

    @classmethod
    def build(cls, row: Mapping[str, Any]) -> Any:
        """Return the settings that a row describes; what it lacks has its default.

        Raises
        ------
        ParameterError
            For a column that does not exist, or a value that cannot be used.
        """
        known = {
            cls.renamed.get(name, name): name
            for name in parameters_of(cls.config)
            if name not in cls.left_out
        }
        own = {k: v for k, v in row.items() if k not in cls().primary_key}
        for column, value in own.items():
            if column not in known:
                raise ParameterError(column, value, "does not exist", f"use {', '.join(known)}")
        values = {known[column]: value for column, value in own.items()}
        return make_config(cls.config, as_flags(cls.config, values))

    def insert(self, rows: Iterable[Any], **kwargs: Any) -> None:
        """Insert settings; their values are checked first, and defaults filled in."""
        key = self.primary_key
        whole = [
            {
                **for_columns(
                    self,
                    {
                        **{name: row[name] for name in key if name in row},
                        **stored(self.build(row), self.left_out, self.renamed),
                    },
                    self.default_columns(),
                ),
            }
            for row in map(dict, rows)
        ]
        super().insert(whole, **kwargs)


class ParameterTable(dj.Manual):
    """Base of the Manual tables that hold parameters.

    A subclass names its ``hash_field`` and, where its columns are the fields of a dataclass, its
    ``config``; it gives `canonical` and, where it has parts, `part_rows`. The table's own primary
    key is the name of the parameter set. Inserting the same set under the same name again does
    nothing.
    """

    hash_field: str
    config: type[Any] | None = None  # dataclass of `models.parameters`
    extra_fields: tuple[str, ...] = ()  # fields of a row that live in a part

    @classmethod
    def default_columns(cls) -> dict[str, Any]:
        """Return column -> what it holds in rows that were stored before there was one."""
        if cls.config is None:
            return {}
        defaults = defaults_of(cls.config)
        return {name: value for name, value in defaults.items() if name not in cls.extra_fields}

    @classmethod
    def canonical(cls, row: dict[str, Any]) -> dict[str, Any]:
        """Return the complete, checked parameters of a row without its name."""
        raise NotImplementedError

    @classmethod
    def hashes(cls, parameters: Mapping[str, Any]) -> tuple[str, ...]:
        """Return the hashes of complete parameters: by the present recipe, and by earlier ones."""
        current = {} if cls.config is None else defaults_of(cls.config)
        return row_hashes(cls.__name__, parameters, current)

    @classmethod
    def parameters_of_row(cls, row: Mapping[str, Any]) -> dict[str, Any]:
        """Return the parameters that a whole row holds, as they are stored: nothing is made.

        What the database has no column for is left out; `hashes` are the same without it.
        """
        return cls.fields_of_row(row, cls.primary_key[0])

    @classmethod
    def fields_of_row(cls, row: Mapping[str, Any], name_field: str) -> dict[str, Any]:
        """Return the same, of columns only; it needs no connection."""
        if cls.config is None:
            return {k: v for k, v in row.items() if k not in (name_field, cls.hash_field)}
        known = {k: v for k, v in row.items() if k in parameters_of(cls.config)}
        return as_flags(cls.config, known)

    @classmethod
    def completed(cls, row: Mapping[str, Any]) -> dict[str, Any]:
        """Return the complete parameters of a stored row, with today's defaults for what it lacks.

        Raises
        ------
        ParameterError
            Where they cannot be used any more.
        """
        return cls.canonical(cls.parameters_of_row(row))

    @classmethod
    def may_be_equal(cls, parameters: Mapping[str, Any]) -> list[dict[str, Any]]:
        """Return restrictions of stored rows that may be equal under another hash."""
        return []

    @classmethod
    def part_rows(cls, row: dict[str, Any]) -> dict[Any, list[dict[str, Any]]]:
        """Return rows of the parts, without the name, that belong to canonical parameters."""
        return {}

    def insert(self, rows: Iterable[Any], **kwargs: Any) -> None:
        """Insert parameter sets: all of them, or none.

        Raises
        ------
        ParameterError
            For a wrong field, and where an equal set exists under another name or another set
            under the same name.
        """
        prepared = [self._prepare(row) for row in rows]
        connection = self.connection
        guard = nullcontext() if connection.in_transaction else transaction(connection)
        with guard:
            for name, parameters in prepared:
                self._insert_one(name, parameters, kwargs)

    @property
    def name_field(self) -> str:
        """The primary key."""
        return self.primary_key[0]

    def _prepare(self, row: Any) -> tuple[str, dict[str, Any]]:
        if not isinstance(row, Mapping):
            raise ParameterError(
                type(self).__name__, row, "is not a set of fields", "insert dicts of fields"
            )
        given = {k: v for k, v in row.items() if k != self.hash_field}
        name = given.pop(self.name_field, None)
        name = check_name(self.name_field, name)
        # The columns say what exists; `canonical` says what is right.
        known = {*self.heading.names, *self.extra_fields, *self.default_columns()}
        known -= {self.name_field, self.hash_field}
        for field in given:
            if field not in known:
                raise ParameterError(
                    field, given[field], "does not exist", f"use {', '.join(sorted(known))}"
                )
        check_storable("", given)
        parameters = self.canonical(given)
        for field, attribute in self.heading.attributes.items():
            length, value = column_length(str(attribute.type)), parameters.get(field)
            # A database that an earlier version declared may hold less than the definition says.
            if length is not None and isinstance(value, str) and len(value) > length:
                raise ParameterError(
                    field,
                    value,
                    f"is longer than the {length} characters that this database's column holds",
                    "use a shorter name, or have the administrator widen the column",
                )
        return name, parameters

    def _insert_one(self, name: str, parameters: dict[str, Any], kwargs: dict[str, Any]) -> None:
        # Text, not uuid: PostgreSQL cannot compare a uuid with the literal DataJoint 2.3 writes.
        digest, *earlier = self.hashes(parameters)
        hashes = [{self.hash_field: each} for each in (digest, *earlier)]
        alike = [*hashes, {self.name_field: name}, *self.may_be_equal(parameters)]
        for row in (self & alike).to_dicts(order_by=self.name_field):
            other = row[self.name_field]
            if row[self.hash_field] in (digest, *earlier) or self._is_equal(row, parameters):
                if other == name:
                    return
                raise ParameterError(
                    self.name_field,
                    name,
                    f"has the same parameters as {other!r}",
                    f"use {other!r}, or change a parameter",
                )
            if other == name:
                raise ParameterError(
                    self.name_field,
                    name,
                    "exists with other parameters",
                    "choose another name: rows that hang on this one keep their parameters",
                )
        columns = {k: v for k, v in parameters.items() if k not in self.extra_fields}
        key = {self.name_field: name}
        row = {**key, **columns, self.hash_field: digest}
        super().insert([for_columns(self, row, self.default_columns())], **kwargs)
        for part, rows in self.part_rows(parameters).items():
            part.insert({**key, **row} for row in rows)

    def _is_equal(self, row: Mapping[str, Any], parameters: Mapping[str, Any]) -> bool:
        """Whether a stored row means these parameters, its missing fields with their defaults."""
        there = self.parameters_of_row(row)
        if _names(there) == _names(parameters):
            return canonical_json(there) == canonical_json(parameters)
        try:
            return canonical_json(self.completed(row)) == canonical_json(parameters)
        except ParameterError:  # a class that is not there any more, or may not be imported
            return False


def _names(parameters: Mapping[str, Any]) -> set[str]:
    """Return the names of fields, and of arguments within them."""
    inner = {f"{k}.{n}" for k, v in parameters.items() if isinstance(v, Mapping) for n in v}
    return {*parameters, *inner}
