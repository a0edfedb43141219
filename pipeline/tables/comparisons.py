"""Comparisons: sets of networks of one task, and the blocks of their pairs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import datajoint as dj

from models.comparison.settings import ComparisonSettings
from tasks_lib.errors import ParameterError, use_one_of
from tasks_lib.stored_values import as_stored

from ..database import schemas
from .checked import CheckedTable
from .fixed_points import FixedPointParams
from .hashing import row_hash
from .parameters import as_flags, check_name, columns, defaults_of, make_config, stored
from .rows import Row
from .settings import prefixed
from .task import Task
from .training import Training  # noqa: F401  (named in a definition)

SETTINGS = prefixed(ComparisonSettings, "comparison")


def settings_hash(settings: ComparisonSettings) -> str:
    """Return the hash of what differs from the defaults."""
    return row_hash("Comparison", stored(settings), defaults_of(ComparisonSettings))


@schemas.dynamics
class Comparison(CheckedTable, dj.Manual):
    definition = f"""
    # networks of one task that are compared with each other
    -> Task
    comparison_name : varchar(64)  # readable name, of one task
    ---
    comparison_hash='' : varchar(36)  # of the settings: equal for distances that can be compared
    {columns(ComparisonSettings, (), SETTINGS)}
    """

    class Entry(dj.Part):
        definition = """
        # networks that were entered together
        -> master
        entry : int32  # number, from 0
        ---
        entry_members : int32  # networks of the comparison from then on
        """

    class Block(dj.Part):
        definition = """
        # pairs that are computed in one job: the networks of two ranges of numbers
        -> Comparison.Entry
        block : int32  # number, from 0
        ---
        first_from  : int32  # members of the first range: from this number on
        first_to    : int32  # and before this one
        second_from : int32  # of the second, which has the larger numbers or is the same
        second_to   : int32
        """

    Member: type[ComparisonMember]
    remedy = "enter another comparison"

    @classmethod
    def default_columns(cls) -> dict[str, Any]:
        """Return column -> what it holds in rows that were stored before there was one."""
        return {SETTINGS[name]: value for name, value in defaults_of(ComparisonSettings).items()}

    @classmethod
    def build(cls, row: Mapping[str, Any]) -> ComparisonSettings:
        """Return the settings of a stored row; what it lacks has its default."""
        with as_stored():
            return cls.made(row)

    @classmethod
    def made(cls, row: Mapping[str, Any]) -> ComparisonSettings:
        """Return the settings of a row, as `build` does; of one that is entered."""
        values = {name: row[column] for name, column in SETTINGS.items() if column in row}
        made: ComparisonSettings = make_config(
            ComparisonSettings, as_flags(ComparisonSettings, values)
        )
        return made

    def checked(self, row: Row) -> Row:
        """Return the complete row: the settings are made, defaults filled in."""
        name = check_name("comparison_name", row.get("comparison_name"))
        task = check_name("task_name", row.get("task_name"))
        if not Task & {"task_name": task}:
            raise ParameterError("task_name", task, "has not been entered", "enter it in Task")
        others = (Comparison & {"comparison_name": name}).to_arrays("task_name").tolist()
        if any(other != task for other in others):
            remedy = "give this one another name"
            raise ParameterError("comparison_name", name, f"is of the task {others[0]}", remedy)
        settings = self.made(row)
        if settings.search and not FixedPointParams & {"search_name": settings.search}:
            known = FixedPointParams.to_arrays("search_name").tolist()
            remedy = f'{use_one_of(settings.search, known)}; "" compares no fixed points'
            raise ParameterError("search", settings.search, "is no search that there is", remedy)
        kept = stored(settings)
        return {
            "task_name": task,
            "comparison_name": name,
            "comparison_hash": settings_hash(settings),
            **{SETTINGS[field]: value for field, value in kept.items()},
        }


# Not a part: a network that is deleted takes its membership and its pairs with it, and the
# comparison stays.
@schemas.dynamics
class ComparisonMember(dj.Manual):
    definition = """
    # network of a comparison
    -> Comparison
    -> Training.Network
    ---
    member : int32  # number, in the order in which they were entered
    index (task_name, comparison_name, member)
    """


Comparison.Member = ComparisonMember
