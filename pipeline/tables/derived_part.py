"""Parts of parameter sets that say in columns what a column of the set says in JSON."""

from __future__ import annotations

from typing import NoReturn

from tasks_lib.errors import ParameterError

from .checked import CheckedPart
from .in_use import class_title
from .rows import Row


class DerivedPart(CheckedPart):
    """Base of parts that follow from their set and are written with it: they are not entered."""

    def checked(self, row: Row) -> Row:
        """Refuse a row that is entered by itself."""
        self._refuse(row)

    def change(self, key: Row, stored: Row, new: Row) -> None:
        """Refuse a change."""
        self._refuse(key)

    def delete_rows(self, rows: list[Row]) -> None:
        """Refuse to delete rows without their set."""
        self._refuse(rows[0])

    def _refuse(self, row: Row) -> NoReturn:
        problem = "follows from the parameters of its set"
        remedy = "enter or change the set: the row is written with it"
        raise ParameterError(class_title(self), row, problem, remedy)
