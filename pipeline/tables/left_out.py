"""Tables that cohorts do without, and the base of the tables that may be left out."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar

import datajoint as dj

from tasks_lib.errors import ParameterError, use_one_of

from ..database import schemas
from ..database.schemas import is_ours
from ..database.types import Query, Restriction
from .checked import CheckedTable
from .in_use import all_or_nothing, entering_alone
from .parameters import check_text
from .rows import Row, in_chunks
from .training import Cohort

LEFT_OUT = "left_out"
Names = frozenset[str]


@schemas.training
class LeftOut(CheckedTable, dj.Manual):
    definition = """
    # computed table that a cohort does without, and with it those that need it
    -> Cohort
    left_out : varchar(64)  # its name, as TrialPlot
    """

    remedy = "delete the row, and insert another"

    def checked(self, row: Row) -> Row:
        """Return the row: its cohort is there, and its table may be left out."""
        for name in Cohort.primary_key:
            if row.get(name) is None:
                raise ParameterError(name, None, "is missing", "give the key of a cohort")
        key = {name: row[name] for name in Cohort.primary_key}
        if not Cohort & key:
            raise ParameterError("cohort", key, "has not been entered", "enter it in Cohort")
        table = check_text(LEFT_OUT, row.get(LEFT_OUT))
        return {**key, LEFT_OUT: checked_tables(LEFT_OUT, [table])[0]}


class Analysis(dj.Computed):
    """Base of a table that is computed from trained networks, and that a cohort may leave out.

    Its primary key holds that of `Cohort`. Which keys it has rows for is said by `all_keys`;
    `key_source` leaves out those of cohorts that do without it.

    Attributes
    ----------
    needs : tuple of tables
        Those whose rows it is computed from, besides `Training`: a cohort that does without one of
        them does without this table too.
    has_constant_keys : bool
        Whether `all_keys` is one query whatever rows there are; False where it is made from some.
    known : list of tables
        All that derive from this class, each after those that it needs.
    """

    needs: ClassVar[tuple[type[Analysis], ...]] = ()
    has_constant_keys: ClassVar[bool] = True
    known: ClassVar[list[type[Analysis]]] = []

    def __init_subclass__(cls, **options: Any) -> None:
        """Remember the table."""
        super().__init_subclass__(**options)
        Analysis.known.append(cls)

    @property
    def all_keys(self) -> Query:
        """The keys that there would be rows for if no cohort left the table out."""
        return super().key_source

    @property
    def key_source(self) -> Query:
        """The keys to be computed: without those of cohorts that leave the table out."""
        return self.all_keys - self.cohorts_without()

    @classmethod
    def cohorts_without(cls) -> Query:
        """Return the rows of `LeftOut` by which cohorts do without this table."""
        return LeftOut & [{LEFT_OUT: each.__name__} for each in cls.with_needed()]

    @classmethod
    def with_needed(cls) -> tuple[type[Analysis], ...]:
        """Return the table and all that it needs, and that these need."""
        found = {cls: None}
        for table in cls.needs:
            found |= dict.fromkeys(table.with_needed())
        return tuple(found)


def tables_that_need(names: Iterable[str]) -> list[str]:
    """Return the names of the tables that cannot be computed without some others."""
    given = set(names)
    return [
        table.__name__
        for table in Analysis.known
        if table.__name__ not in given and given & {t.__name__ for t in table.with_needed()}
    ]


def checked_tables(field: str, value: Any) -> list[str]:
    """Return the names of tables to leave out, each once.

    Raises
    ------
    ParameterError
        For what is no list of names of tables that may be left out.
    """
    known = [table.__name__ for table in Analysis.known if is_ours(table)]
    listed = f"use some of {', '.join(known)}"
    if isinstance(value, str) or not isinstance(value, Sequence):
        example = f"[{value}]" if isinstance(value, str) else f"[{known[0]}]"
        raise ParameterError(field, value, "is no list of tables", f"write {field}: {example}")
    for name in value:
        if name == "Training":
            problem = "is what all others are computed from"
            raise ParameterError(field, name, problem, f"remove the cohort, or {listed}")
        if name not in known:
            meant = use_one_of(str(name), known)
            remedy = f"{meant} There are {', '.join(known)}" if meant.endswith("?") else listed
            raise ParameterError(field, name, "is no table that can be left out", remedy)
    return list(dict.fromkeys(value))


def enter_left_out(wanted: Sequence[tuple[Mapping[str, Any], Sequence[str]]]) -> int:
    """Have cohorts do without tables; return how many rows are new.

    Parameters
    ----------
    wanted : sequence of (mapping, sequence of str)
        Keys of cohorts that are there, and names from `checked_tables`.
    """
    rows = {
        (*(key[name] for name in Cohort.primary_key), table): None
        for key, tables in wanted
        for table in tables
    }
    columns = (*Cohort.primary_key, LEFT_OUT)
    for names in in_chunks(sorted({row[2] for row in rows})):
        there = (LeftOut & [{columns[2]: name} for name in names]).to_dicts()
        for row in there:
            rows.pop(tuple(row[column] for column in columns), None)
    for some in in_chunks(list(rows)):
        LeftOut().store([dict(zip(columns, row, strict=True)) for row in some])
    return len(rows)


def leave_out(tables: Sequence[str], restriction: Restriction = None, undo: bool = False) -> int:
    """Have cohorts do without computed tables, or not any more; return how many rows changed.

    Rows that were computed before are kept. A job of such a table that runs is broken off.

    Parameters
    ----------
    tables : sequence of str
        Names of classes, as "TrialPlot"; those that need them go with them.
    restriction : restriction, optional
        Which cohorts; all by default.
    undo : bool
        Whether they are to be computed again from now on.

    Raises
    ------
    ParameterError
        For a name that no table has that can be left out.
    """
    names = checked_tables("tables", tables)
    cohorts = Cohort() if restriction is None else Cohort & restriction
    connection = Cohort().connection
    with entering_alone(connection, schemas.task.database), all_or_nothing(connection):
        if not undo:
            return enter_left_out([(key, names) for key in cohorts.keys()])
        rows = LeftOut & [{LEFT_OUT: name} for name in names] & cohorts.proj()
        number = len(rows)
        rows.delete_quick()
    return number


def not_wanted(restriction: Restriction = None) -> dict[tuple[Any, ...], Names]:
    """Return which tables cohorts do without, those that need one of them included.

    Parameters
    ----------
    restriction : restriction, optional
        Which cohorts; all by default.

    Returns
    -------
    dict of tuple to frozenset of str
        By the cohort's primary key; cohorts that do without none are missing.
    """
    rows = LeftOut() if restriction is None else LeftOut & restriction
    given: dict[tuple[Any, ...], set[str]] = defaultdict(set)
    for row in rows.to_dicts():
        given[tuple(row[name] for name in Cohort.primary_key)].add(row[LEFT_OUT])
    return {key: frozenset(names.union(tables_that_need(names))) for key, names in given.items()}
