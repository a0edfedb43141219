"""Which networks, and what belongs to them: the one selection that all commands take."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, fields
from typing import Any, TypeAlias

import datajoint as dj
from datajoint.condition import AndList

from tasks_lib.errors import MAX_COUNT, ParameterError, check_int, use_one_of

from ..database.types import Query, Restriction
from .conditions import restrictions
from .keys import COHORT, NETWORK, SET_COLUMNS
from .parameter_sets import TABLES_BY_COLUMN
from .sweeps import Sweep, SweepPoint
from .training import Cohort, Training

MOST_NAMED = 20  # names in a message


@dataclass(frozen=True)
class Selection:
    """Networks of parameter sets, of a sweep, of a seed, or of which conditions hold.

    A cohort belongs to it where one of its networks does: as a whole, for it is trained as a whole.

    Attributes
    ----------
    task_name, network_name, training_name : str, optional
    first_seed, seed : int, optional
        Of the cohort, and of the network.
    sweep_name : str, optional
    where : tuple of str
        Conditions on columns of any table of the chain (`pipeline.tables.conditions`), which all
        are to hold. Where a network has several rows in a table, one that fits is enough.

    Raises
    ------
    ParameterError
        For a value that is none. A condition is looked at when it is asked for.
    """

    task_name: str | None = None
    network_name: str | None = None
    training_name: str | None = None
    first_seed: int | None = None
    seed: int | None = None
    sweep_name: str | None = None
    where: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for name in (*SET_COLUMNS, "sweep_name"):
            value = getattr(self, name)
            # Also bytes that are no text, which no driver can send.
            if value is not None and not (isinstance(value, str) and value.isprintable()):
                raise ParameterError(name, value, "is not a name", "mend the option")
        for name in ("first_seed", "seed"):
            if getattr(self, name) is not None:
                check_int(name, getattr(self, name), 0, MAX_COUNT)

    @classmethod
    def of(cls, given: Selection | Mapping[str, Any] | None) -> Selection:
        """Return the selection that a mapping of its attributes says.

        Raises
        ------
        ParameterError
            For a field that no selection has.
        """
        if isinstance(given, Selection):
            return given
        known = [each.name for each in fields(cls)]
        if given is not None and not isinstance(given, Mapping):
            remedy = f"give a mapping of {', '.join(known)}"
            raise ParameterError("restriction", given, "is not a mapping", remedy)
        for name, value in (given or {}).items():
            if name not in known:
                raise ParameterError(
                    f"restriction.{name}", value, "selects nothing", use_one_of(name, known)
                )
        values = {name: value for name, value in (given or {}).items() if value is not None}
        if isinstance(where := values.get("where", ()), str):
            where = (where,)
        return cls(**{**values, "where": tuple(where)})

    def __bool__(self) -> bool:
        """Return whether anything is asked for."""
        return bool(self.given)

    @property
    def given(self) -> dict[str, Any]:
        """What is asked for, by its name here."""
        values = {each.name: getattr(self, each.name) for each in fields(self)}
        return {name: value for name, value in values.items() if value not in (None, ())}

    @property
    def written(self) -> dict[str, Any]:
        """What is asked for, as a manifest has it: lists where there are several."""
        return {
            name: list(value) if isinstance(value, tuple) else value
            for name, value in self.given.items()
        }

    @property
    def plain(self) -> dict[str, Any]:
        """Values of columns of a network's key."""
        return {name: value for name, value in self.given.items() if name in NETWORK}

    def in_words(self) -> str:
        """Return what is asked for, in words; "all" where that is nothing."""
        words = [f"{name.removesuffix('_name')} {value}" for name, value in self.given.items()
                 if name != "where"]  # fmt: skip
        return ", ".join([*words, *self.where]) or "all"

    def check(self) -> None:
        """Look at the names and the conditions.

        Raises
        ------
        ParameterError
            For a name that nothing has, a sweep's too, and for a condition that cannot be asked.
        """
        for name, value in self.plain.items():
            if name in TABLES_BY_COLUMN:
                _check_name(TABLES_BY_COLUMN[name], name, value)
        if self.sweep_name is not None:
            _check_name(Sweep, "sweep_name", self.sweep_name)
        list(self._conditions())

    # Queries -------------------------------------------------------------------------------------

    def _conditions(self) -> Iterator[tuple[type[dj.Table], AndList]]:
        """Yield each table of which something is asked beside the key, and what."""
        with_points = False
        for text in self.where:
            for table, asked in restrictions(text):
                if table is SweepPoint and self.sweep_name is not None:
                    asked, with_points = [*asked, {"sweep_name": self.sweep_name}], True
                yield table, AndList(asked)
        if self.sweep_name is not None and not with_points:
            yield SweepPoint, AndList([{"sweep_name": self.sweep_name}])

    @property
    def is_of_networks(self) -> bool:
        """Whether it may take some networks of a cohort and leave others."""
        return self.seed is not None or self.asks_results

    @property
    def asks_results(self) -> bool:
        """Whether a condition is one on what was found of single networks."""
        return any("seed" in table.primary_key for table, _ in self._conditions())

    def networks(self) -> Query:
        """Return the networks that are there."""
        found: Query = Training.Network & self.plain
        for table, asked in self._conditions():
            found &= (table() & asked).proj()
        return found

    def cohorts(self) -> Query:
        """Return the cohorts, trained or not."""
        found: Query = Cohort & {k: v for k, v in self.plain.items() if k != "seed"}
        of_networks = False
        for table, asked in self._conditions():
            if "seed" in table.primary_key:
                of_networks = True
            else:
                found &= (table() & asked).proj()
        if of_networks:
            return found & self.networks().proj()
        if self.seed is not None:
            found &= f"first_seed <= {self.seed} AND first_seed + n_networks > {self.seed}"
        return found

    def parts(self, columns: Collection[str]) -> tuple[dict[str, Any], list[tuple[str, ...]]]:
        """Return what is asked of rows with some columns: values, and keys that are to be selected.

        Parameters
        ----------
        columns : collection of str
            Of the rows' primary key.

        Returns
        -------
        values : dict
        keys : list of tuple of str
            `NETWORK` or `COHORT` where `networks` or `cohorts` are to hold these columns.
        """
        values = {name: value for name, value in self.plain.items() if name in columns}
        beyond = any(self._conditions())
        if {*NETWORK} <= {*columns}:
            return values, [NETWORK] if self.asks_results else [COHORT] * beyond
        if {*COHORT} <= {*columns}:
            return values, [COHORT] * (beyond or self.seed is not None)
        shared = tuple(name for name in SET_COLUMNS if name in columns)
        return values, [shared] * (bool(shared) and (beyond or set(self.plain) > set(values)))

    def keys(self, key: tuple[str, ...]) -> Query:
        """Return what holds the columns that `parts` names."""
        return (self.networks() if key == NETWORK else self.cohorts()).proj()

    def restriction(self, table: type[dj.Table] | Query) -> AndList:
        """Return what restricts a table to the rows that belong to the selection.

        A table whose key has no task, network or training has none that does not belong to it.
        """
        values, keys = self.parts(table.primary_key)
        asked: list[Restriction] = [values] if values else []
        return AndList([*asked, *(self.keys(key) for key in keys)])

    def of_table(self, table: type[dj.Table]) -> Query:
        """Return the rows of a table that belong to the selection."""
        return table() & self.restriction(table)


Chosen: TypeAlias = Selection | Restriction


def _check_name(table: type[dj.Table], column: str, value: str) -> None:
    if not table() & {column: value}:
        known = [str(each) for each in table.to_arrays(column, limit=MOST_NAMED)]
        option = f"--{column.removesuffix('_name')}"
        remedy = use_one_of(value, known) if known else "enter it with rnn submit"
        raise ParameterError(option, value, "has not been entered", remedy)


def restriction_for(table: type[dj.Table], restriction: Chosen) -> Restriction:
    """Return what restricts a table to the rows of a selection; any other restriction as it is."""
    return restriction.restriction(table) if isinstance(restriction, Selection) else restriction


def rows_of(table: type[dj.Table], restriction: Chosen = None) -> Query:
    """Return the rows of a table that belong to a selection, or satisfy any other restriction."""
    if isinstance(restriction, Selection):
        return restriction.of_table(table)
    return table() if restriction is None else table() & restriction
