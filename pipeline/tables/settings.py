"""Tables of settings: Lookup tables whose rows are checked and completed with defaults."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import datajoint as dj

from models.parameters import parameters_of
from tasks_lib.errors import ParameterError, renamed
from tasks_lib.stored_values import as_stored

from .checked import CheckedTable
from .parameters import as_flags, check_name, defaults_of, make_config, stored
from .rows import Row


def prefixed(config: type[Any], prefix: str) -> dict[str, str]:
    """Return a name for the column of each field: fields of other settings have the same names."""
    return {name: f"{prefix}_{name}" for name in parameters_of(config)}


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
    def default_columns(cls) -> dict[str, Any]:
        """Return column -> what it holds in rows that were stored before there was one."""
        return {
            cls.renamed.get(name, name): value
            for name, value in defaults_of(cls.config).items()
            if name not in cls.left_out
        }

    @classmethod
    def build(cls, row: Mapping[str, Any]) -> Any:
        """Return the settings that a stored row describes; what it lacks has its default.

        Values that earlier versions stored are taken, also those that cannot be entered by now.

        Raises
        ------
        ParameterError
            For a column that does not exist, or a value that cannot be used.
        """
        with as_stored():
            return cls.made(row)

    @classmethod
    def made(cls, row: Mapping[str, Any]) -> Any:
        """Return the settings of a row, as `build` does; of one that is entered."""
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
        try:
            return make_config(cls.config, as_flags(cls.config, values))
        except ParameterError as error:  # by the name that the column has
            raise renamed(error, lambda field: cls.renamed.get(field, field)) from None

    def checked(self, row: Row) -> Row:
        """Return the complete row: the settings are made, defaults filled in."""
        (name,) = self.primary_key
        return {
            name: check_name(name, row.get(name)),
            **stored(self.made(row), self.left_out, self.renamed),
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
