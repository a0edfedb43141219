"""Parameter tables: rows are validated, completed with defaults, and unique by content."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from typing import Any, TypeVar

import datajoint as dj

from models.parameters import parameters_of
from tasks_lib.errors import ParameterError, shown

from .checked import CheckedTable
from .hashing import check_storable, parameter_hash
from .rows import Row

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


def config_from_columns(cls: type[Config], row: Mapping[str, Any], **extra: Any) -> Config:
    """Make a configuration dataclass from a fetched row."""
    values = {name: row[name] for name in parameters_of(cls) if name not in extra}
    return cls(**as_flags(cls, values), **extra)


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


class CheckedSettings(CheckedTable, dj.Lookup):
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

    def checked(self, row: Row) -> Row:
        """Return the complete row: the settings are made, defaults filled in."""
        (name,) = self.primary_key
        return {
            name: check_name(name, row.get(name)),
            **stored(self.build(row), self.left_out, self.renamed),
        }

    def enter(self, row: Row, skip_duplicates: bool) -> None:
        """Insert a checked row, if it is not there."""
        (name,) = self.primary_key
        # What comes with the table is offered again at every declaration, whatever a lab has made
        # of it.
        shipped = {own[name] for own in getattr(self, "contents", ())}
        if skip_duplicates and row[name] in shipped and self & self.key_of(row):
            return
        super().enter(row, skip_duplicates)


class ParameterTable(CheckedTable, dj.Manual):
    """Base of the Manual tables that hold parameters.

    A subclass names its ``hash_field``, gives `canonical` and, where it has parts, `part_rows`.
    The table's own primary key is the name of the parameter set. Inserting the same set under the
    same name again does nothing.
    """

    hash_field: str

    @classmethod
    def canonical(cls, row: dict[str, Any]) -> dict[str, Any]:
        """Return the complete, checked parameters of a row without its name."""
        raise NotImplementedError

    @classmethod
    def part_rows(cls, row: dict[str, Any]) -> dict[Any, list[dict[str, Any]]]:
        """Return rows of the parts, without the name, that belong to canonical parameters."""
        return {}

    def spellings(self, parameters: Row) -> Iterator[Row]:
        """Yield canonical parameters as earlier versions may have stored them: by other names."""
        yield from ()

    @property
    def name_field(self) -> str:
        """The primary key."""
        return self.primary_key[0]

    def checked(self, row: Row) -> Row:
        """Return the complete row without its hash, defaults filled in."""
        given = {k: v for k, v in row.items() if k != self.hash_field}
        name = check_name(self.name_field, given.pop(self.name_field, None))
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
        return {self.name_field: name, **parameters}

    def equal_sets(self, parameters: Row) -> list[str]:
        """Return the names of the sets with equal parameters: one at most, but for old spellings.

        Parameters
        ----------
        parameters : dict
            Canonical parameters.
        """
        # Text, not uuid: PostgreSQL cannot compare a uuid with the literal DataJoint 2.3 writes.
        digests = {str(parameter_hash(parameters))}
        digests |= {str(parameter_hash(other)) for other in self.spellings(parameters)}
        equal = self & [{self.hash_field: digest} for digest in sorted(digests)]
        return [str(name) for name in equal.to_arrays(self.name_field)]

    def enter(self, row: Row, skip_duplicates: bool) -> None:
        """Insert a checked set and its parts, if it is not there."""
        name, parameters = row[self.name_field], self._parameters(row)
        equal = self.equal_sets(parameters)
        if name in equal:
            return
        self._refuse_equal(name, equal)
        if self & self.key_of(row):
            raise ParameterError(
                self.name_field,
                name,
                "exists with other parameters",
                "choose another name: rows that hang on this one keep their parameters",
            )
        self.store([{self.name_field: name, **self._columns(parameters)}])
        self._store_parts(name, parameters)

    def change(self, key: Row, stored: Row, new: Row) -> None:
        """Change a set, which is locked and not in use: its columns, its hash and its parts."""
        row = self.checked({k: v for k, v in new.items() if k != self.hash_field})
        name, parameters = row[self.name_field], self._parameters(row)
        self._refuse_equal(name, [other for other in self.equal_sets(parameters) if other != name])
        dj.Table.update1(self, {self.name_field: name, **self._columns(parameters)})
        self.change_parts(key, stored, parameters)

    def change_parts(self, key: Row, stored: Row, parameters: Row) -> None:
        """Make the parts of a set those that belong to its new parameters."""
        for part in self.part_rows(parameters):
            dj.Table.delete_quick(part() & key)
        self._store_parts(key[self.name_field], parameters)

    def _parameters(self, row: Row) -> Row:
        return {k: v for k, v in row.items() if k != self.name_field}

    def _columns(self, parameters: Row) -> Row:
        columns = {k: v for k, v in parameters.items() if k not in self.extra_fields}
        return {**columns, self.hash_field: str(parameter_hash(parameters))}

    def _store_parts(self, name: str, parameters: Row) -> None:
        for part, rows in self.part_rows(parameters).items():
            part().store([{self.name_field: name, **row} for row in rows])

    def _refuse_equal(self, name: str, equal: list[str]) -> None:
        if equal:
            raise ParameterError(
                self.name_field,
                name,
                f"has the same parameters as {equal[0]!r}",
                f"use {equal[0]!r}, or change a parameter",
            )
