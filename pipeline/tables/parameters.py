"""Parameter tables: rows are validated, completed with defaults, and unique by content."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import MISSING, fields
from typing import Any, TypeVar

import datajoint as dj

from models.parameters import parameters_of
from tasks_lib.errors import ParameterError, shown

from .checked import CheckedTable
from .hashing import canonical_json, check_storable, row_hashes
from .other_versions import refuse_later_row, unknown_columns, whole_row
from .rows import Row, in_chunks

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
    _refuse_no_text(field, name, remedy)
    raise ParameterError(field, name, "is not a name", remedy)


def check_text(field: str, name: Any) -> str:
    """Return a name in words, with spaces, say; or say why it is none."""
    remedy = f"use 1 to {MAX_NAME} characters that can be printed"
    _refuse_no_text(field, name, remedy)
    if not (isinstance(name, str) and name.isprintable() and 0 < len(name.strip()) <= MAX_NAME):
        raise ParameterError(field, name, "is not a name", remedy)
    return name


def _refuse_no_text(field: str, name: Any, remedy: str) -> None:
    if name is not None and not isinstance(name, str):
        if isinstance(name, bool | int | float):
            remedy = f'quote it: "{shown(name)}"'
        raise ParameterError(field, name, "is no text", remedy)


def column_length(column_type: str) -> int | None:
    """Return how many characters a column holds; None where it is no text of limited length."""
    found = re.search(r"char\D*\((\d+)\)", column_type)
    return int(found[1]) if found else None


class ParameterTable(CheckedTable, dj.Manual):
    """Base of the Manual tables that hold parameters.

    A subclass names its ``hash_field`` and, where its columns are the fields of a dataclass, its
    ``config``; it gives `canonical` and, where it has parts, `part_rows`. The table's own primary
    key is the name of the parameter set. Inserting the same set under the same name again does
    nothing.
    """

    hash_field: str
    config: type[Any] | None = None  # dataclass of `models.parameters`

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
    def parameters_of_rows(cls, rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
        """Return the same of many rows, with few queries."""
        return [cls.parameters_of_row(row) for row in rows]

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

    def spellings(self, parameters: Row) -> Iterator[Row]:
        """Yield canonical parameters as earlier versions may have stored them: by other names."""
        yield from ()

    def may_be_spelled_otherwise(self) -> bool:
        """Return whether a set may be there with equal parameters under another hash."""
        return True

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
        """Return the names of the sets with equal parameters: one, but for what old versions left.

        Parameters
        ----------
        parameters : dict
            Canonical parameters.

        Raises
        ------
        ParameterError
            Where a set with the hash of these parameters has others.
        """
        spellings = [parameters, *self.spellings(parameters)]
        hashes = {each for spelling in spellings for each in self.hashes(spelling)}
        # Text, not uuid: PostgreSQL cannot compare a uuid with the literal DataJoint 2.3 writes.
        alike = [{self.hash_field: each} for each in sorted(hashes)]
        equal = []
        for row in (self & [*alike, *self.may_be_equal(parameters)]).to_dicts(
            order_by=self.name_field
        ):
            name = str(row[self.name_field])
            if row[self.hash_field] in hashes:
                self.refuse_changed(row, self.parameters_of_row(row))
                equal.append(name)
            elif self._is_equal(row, parameters):
                equal.append(name)
        return equal

    def equal_names(self, row: Row) -> list[str]:
        """Return the names of the sets that have the parameters of a row, which is checked first.

        Raises
        ------
        ParameterError
            For what an insert of the row refuses by itself.
        """
        return self.equal_sets(self._parameters(self.checked(self.normal(row))))

    def refuse_changed(self, row: Row, parameters: Row) -> None:
        """Refuse a stored row whose hash is not that of the parameters that it holds."""
        if row[self.hash_field] not in self.hashes(parameters):
            problem = "was changed after it had been entered: its hash is of other values"
            remedy = "see `rnn verify --all`, and put its values right"
            raise ParameterError(self.name_field, row[self.name_field], problem, remedy)

    def equal_sets_of(self, parameters: Sequence[Row]) -> list[list[str]]:
        """Return what `equal_sets` says of each of many sets, with few queries.

        Parameters
        ----------
        parameters : sequence of dict
            Canonical parameters.
        """
        hashes = [self.hashes(each) for each in parameters]
        names: dict[str, list[str]] = defaultdict(list)
        for some in in_chunks(sorted({each for own in hashes for each in own})):
            found = self & [{self.hash_field: each} for each in some]
            rows = found.to_dicts(order_by=self.name_field)
            for row, held in zip(rows, self.parameters_of_rows(rows), strict=True):
                self.refuse_changed(row, held)
                names[str(row[self.hash_field])].append(str(row[self.name_field]))
        equal = [[name for each in own for name in names[each]] for own in hashes]
        if self.may_be_spelled_otherwise():
            equal = [e or self.equal_sets(p) for e, p in zip(equal, parameters, strict=True)]
        return equal

    def store_sets(self, sets: Mapping[str, Row]) -> None:
        """Insert checked sets that are not there, with their parts.

        Parameters
        ----------
        sets : dict
            Name -> canonical parameters.
        """
        rows = [{self.name_field: name, **self._columns(each)} for name, each in sets.items()]
        for some in in_chunks(rows):
            self.store(some)
        self.store_parts(sets)

    def store_parts(self, sets: Mapping[str, Row]) -> None:
        """Insert the parts of sets that are there; as `store_sets` takes them."""
        parts: dict[Any, list[Row]] = defaultdict(list)
        for name, each in sets.items():
            for part, own in self.part_rows(each).items():
                parts[part] += [{self.name_field: name, **row} for row in own]
        for part, held in parts.items():
            for some in in_chunks(held):
                part().store(some)

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
        self.store_sets({name: parameters})

    def change(self, key: Row, stored: Row, new: Row) -> None:
        """Change a set, which is locked and not in use: its columns, its hash and its parts."""
        row = self.checked({k: v for k, v in new.items() if k != self.hash_field})
        name, parameters = row[self.name_field], self._parameters(row)
        self._refuse_equal(name, [other for other in self.equal_sets(parameters) if other != name])
        columns = {self.name_field: name, **self._columns(parameters)}
        self.overwrite(columns)
        self.change_parts(key, stored, parameters)

    def change_parts(self, key: Row, stored: Row, parameters: Row) -> None:
        """Make the parts of a set those that belong to its new parameters."""
        for part in self.part_rows(parameters):
            (part() & key).remove()
        self.store_parts({key[self.name_field]: parameters})

    def _parameters(self, row: Row) -> Row:
        return {k: v for k, v in row.items() if k != self.name_field}

    def _columns(self, parameters: Row) -> Row:
        columns = {k: v for k, v in parameters.items() if k not in self.extra_fields}
        return {**columns, self.hash_field: self.hashes(parameters)[0]}

    def _refuse_equal(self, name: str, equal: list[str]) -> None:
        if equal:
            raise ParameterError(
                self.name_field,
                name,
                f"has the same parameters as {equal[0]!r}",
                f"use {equal[0]!r}, or change a parameter",
            )

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
