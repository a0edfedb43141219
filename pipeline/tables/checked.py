"""Tables whose rows are checked, however they come in: `insert`, `update1`, `validate`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import datajoint as dj
from datajoint.table import ValidationResult
from datajoint.utils import user_choice

from tasks_lib.errors import ParameterError, ParameterErrors, raise_all
from tasks_lib.sizes import counted

from .in_use import all_or_nothing, class_title, locked_row, refuse_in_use
from .other_versions import for_columns
from .rows import GivenRow, Row, given_rows, kind_of_column, normal_row


class CheckedTable(dj.Table):
    """Base of tables whose rows are checked when they are entered and when they are changed.

    A subclass gives `checked`; one whose rows hang together with others, `enter` and `change` too.
    A row that exists is never changed by `insert`, whatever its arguments: the same row again does
    nothing, and another under its key is an error.

    Attributes
    ----------
    extra_fields : dict
        Field of a row that lives in a part -> its kind, as of a column.
    remedy : str
        What to do instead of changing a row that is in use.
    """

    extra_fields: Mapping[str, str] = {}
    remedy = "enter a new set under another name"

    def checked(self, row: Row) -> Row:
        """Return the complete row, checked, defaults filled in.

        Raises
        ------
        ParameterError
            For a field that does not exist, or a value that cannot be used.
        """
        raise NotImplementedError

    def enter(self, row: Row, skip_duplicates: bool) -> None:
        """Insert a checked row, if it is not there."""
        stored = (self & self.key_of(row)).to_dicts()
        if not stored:
            self.store([row])
        elif not self.is_same(stored[0], row):
            raise ParameterError(
                class_title(self),
                self.key_of(row),
                "exists with other values",
                "choose another name: what hangs on this one keeps its parameters",
            )

    def is_same(self, stored: Row, row: Row) -> bool:
        """Return whether a stored row is a checked one."""
        try:
            return self.checked(self.normal(stored)) == row
        except ParameterError:
            return False

    def change(self, key: Row, stored: Row, new: Row) -> None:
        """Change a row, which is locked and not in use, to what was given."""
        self.overwrite({**key, **self.checked(new)})

    @classmethod
    def default_columns(cls) -> dict[str, Any]:
        """Return column -> what it holds in rows that were stored before there was one."""
        return {}

    def insert(
        self,
        rows: Any,
        replace: bool = False,
        skip_duplicates: bool = False,
        ignore_extra_fields: bool = False,
        allow_direct_insert: bool | None = None,
        chunk_size: int | None = None,
    ) -> None:
        """Insert rows, which are checked first: all of them, or none.

        Parameters
        ----------
        rows
            As for `datajoint.Table.insert`: dicts, records of a structured array, a DataFrame of
            pandas or polars, a Table of Arrow, a query, a pathlib.Path of a CSV file. What is left
            out has its default, and in a table's column a gap is one.
        replace, skip_duplicates : bool
            No row is replaced, nor one with other values skipped: that is an error.
        ignore_extra_fields : bool
            Whether fields that do not exist are left out; else they are an error.
        allow_direct_insert : bool, optional
            Without effect: these tables are not computed.
        chunk_size : int, optional
            Without effect: all rows go in together.

        Raises
        ------
        ParameterError
            For the first row that is refused; of several rows it is named by its number.
        """
        given = list(given_rows(rows))
        checked = []
        for number, row in enumerate(given):
            with _named_by(number, len(given)):
                checked.append(self.checked(self.normal(row, ignore_extra_fields)))
        with self.in_turn(), all_or_nothing(self.connection):
            for number, complete in enumerate(checked):
                with _named_by(number, len(given)):
                    self.enter(complete, skip_duplicates)

    def validate(self, rows: Any, *, ignore_extra_fields: bool = False) -> ValidationResult:
        """Return what is wrong with rows, as `insert` would say it; nothing is entered."""
        errors: list[tuple[int, str, str]] = []
        number = -1
        for number, row in enumerate(given_rows(rows)):
            try:
                self.checked(self.normal(row, ignore_extra_fields))
            except ParameterError as error:
                errors += [(number, each.field, str(each)) for each in _each(error)]
        return ValidationResult(is_valid=not errors, errors=errors, rows_checked=number + 1)

    def update1(self, row: Any) -> None:
        """Change a row on which nothing hangs, after the same checks as of an insert.

        Parameters
        ----------
        row : dict
            The primary key, and the fields to change. None resets one to its default.

        Raises
        ------
        ParameterError
            Where rows refer to the row, or a job runs with it; where there is no such row; and for
            what an insert refuses.
        """
        if self.restriction:
            problem, remedy = "is a part of the table", f"use {class_title(self)}.update1"
            raise ParameterError("query", class_title(self), problem, remedy)
        (given,) = given_rows([row])
        changes = self.normal(given)
        for name in self.primary_key:
            if changes.get(name) is None:
                raise ParameterError(name, None, "is missing", "give the primary key of the row")
        key = self.key_of(changes)
        with self.in_turn(), all_or_nothing(self.connection):
            stored = self.normal(locked_row(self, key, self.remedy))
            self.refuse_in_use(key)
            reset = {name for name, value in changes.items() if value is None}
            new = {**self.whole(stored), **changes}
            self.change(key, stored, {k: v for k, v in new.items() if k not in reset})

    # Shared ---------------------------------------------------------------------------------------

    def in_turn(self) -> AbstractContextManager[None]:
        """Return what keeps others from entering rows until these are committed, where needed."""
        return nullcontext()

    def refuse_in_use(self, key: Row) -> None:
        """Refuse to change a row on which something hangs."""
        refuse_in_use(self, key, self.remedy)

    def whole(self, stored: Row) -> Row:
        """Return a stored row with the fields that live in parts."""
        return stored

    def store(self, rows: Sequence[Row]) -> None:
        """Insert complete rows as they are."""
        super().insert(for_columns(self, row, self.default_columns()) for row in rows)

    def overwrite(self, row: Row) -> None:
        """Change the columns of a row as they are given."""
        super().update1(for_columns(self, row, self.default_columns()))

    def remove(self) -> None:
        """Delete the rows that this query selects as they are."""
        super().delete_quick()

    def key_of(self, row: Mapping[str, Any]) -> Row:
        """Return the primary key of a row."""
        return {name: row[name] for name in self.primary_key}

    def normal(self, row: GivenRow | Row, ignore_extra_fields: bool = False) -> Row:
        """Return a row with plain values, whose fields all exist."""
        if not isinstance(row, GivenRow):
            row = GivenRow(row, False)
        attributes = self.heading.attributes
        kinds = {name: kind_of_column(attribute) for name, attribute in attributes.items()}
        # What the database has no column for yet is stored where it has its default.
        kinds |= {name: "" for name in self.default_columns() if name not in kinds}
        kinds |= self.extra_fields
        for field in row.fields:
            if field not in kinds and not ignore_extra_fields:
                known = ", ".join(name for name in kinds if not name.endswith("_hash"))
                value = row.fields[field]
                raise ParameterError(str(field), value, "does not exist", f"use {known}")
        fields = {name: value for name, value in row.fields.items() if name in kinds}
        return normal_row(row._replace(fields=fields), kinds)


class CheckedPart(CheckedTable, dj.Part):
    """Base of parts whose rows are checked; they belong to a parameter set, and change with it."""

    def delete_rows(self, rows: list[Row]) -> None:
        """Delete rows of sets that are locked and not in use."""
        for row in rows:
            (type(self)() & self.key_of(row)).remove()

    def refuse_in_use(self, key: Row) -> None:
        """Refuse to change what belongs to a set on which something hangs."""
        master = self._master() if self._master else None
        assert isinstance(master, CheckedTable)
        master_key = master.key_of(key)
        locked_row(master, master_key)
        refuse_in_use(master, master_key, master.remedy, lambda: f"its {type(self).__name__}")

    def delete_quick(self, get_count: bool = False) -> int | None:
        """Delete rows without their set, if nothing hangs on it; its hash is renewed."""
        with all_or_nothing(self.connection):
            rows = self.to_dicts()
            for row in rows:
                self.refuse_in_use(row)
            self.delete_rows(rows)
        return len(rows) if get_count else None

    def delete(  # type: ignore[override]  # CheckedTable stands before Part, which has it so
        self, part_integrity: str = "enforce", **kwargs: Any
    ) -> int:
        """Delete rows of the part; alone, as `delete_quick` does, with ``part_integrity="ignore"``.

        Parameters are those of `datajoint.Part.delete`.
        """
        if part_integrity != "ignore":
            return int(super().delete(part_integrity=part_integrity, **kwargs))
        prompt = kwargs.get("prompt")
        ask = dj.config["safemode"] if prompt is None else prompt
        question = f"Delete {counted(len(self), 'row')} of {class_title(self)} without their sets?"
        if ask and user_choice(question, default="no") != "yes":
            return 0
        return int(self.delete_quick(get_count=True) or 0)


@contextmanager
def _named_by(number: int, n_rows: int) -> Iterator[None]:
    """Let the errors of one of several rows say which it is."""
    try:
        yield
    except ParameterError as error:
        if n_rows == 1:
            raise
        raise_all(
            [
                ParameterError(f"rows[{number}].{e.field}", e.value, e.problem, e.remedy)
                for e in _each(error)
            ]
        )


def _each(error: ParameterError) -> tuple[ParameterError, ...]:
    return error.errors if isinstance(error, ParameterErrors) else (error,)
