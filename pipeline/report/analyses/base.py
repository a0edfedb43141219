"""How a report shows an analysis: which tables, which numbers of a network, and which figure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import datajoint as dj

from ...database.types import Query
from ...tables.keys import NETWORK
from ...tables.selections import Selection

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Row = dict[str, Any]
Tables = Mapping[str, Sequence[Row]]  # rows by the title of their table

MOST_ROWS = 24  # of one table on the page of a network; the others are counted


@dataclass(frozen=True)
class Grid:
    """Rows of one table, as the page of a network shows them.

    Attributes
    ----------
    table : table
        Its key has that of `Training.Network`.
    columns : mapping of str to str
        Column -> heading, with its unit, in the order in which they are shown.
    caption : str
        Stands above it; "": nothing does.
    usual : mapping of str to str
        Column -> value that is not shown: the status of what has all its numbers.
    words : tuple of str
        Columns with words of ours, whose underscores are shown as spaces.
    query : callable, optional
        Returns the rows of a selection; by default all rows of the table.
    name : str
        What its rows are called in `Tables`; by default the title of the table.
    """

    table: type[Any]
    columns: Mapping[str, str]
    caption: str = ""
    usual: Mapping[str, str] = field(default_factory=dict)
    words: tuple[str, ...] = ()
    query: Callable[[Selection], Query] | None = None
    name: str = ""

    @property
    def title(self) -> str:
        """What its rows are called in `Tables`."""
        return self.name or self.table.__qualname__

    def fetch(self, selection: Selection) -> list[Row]:
        """Return the rows of a selection, with the columns that are shown, in one query."""
        found = selection.of_table(self.table) if self.query is None else self.query(selection)
        key = found.primary_key
        query = found.proj(*(name for name in self.columns if name not in key))
        return list(query.to_dicts(order_by="KEY"))

    def shown(self, rows: Sequence[Row]) -> dict[str, Any]:
        """Return what a page shows of rows; settings that differ between them come first."""
        columns = {n: n.removesuffix("_name").replace("_", " ") for n in self._differing(rows)}
        columns |= self.columns
        return {
            "caption": self.caption,
            "headings": list(columns.values()),
            "rows": [self.cells(row, columns) for row in rows[:MOST_ROWS]],
            "n_more": max(len(rows) - MOST_ROWS, 0),
            "table": self.table.__qualname__,
        }

    def _differing(self, rows: Sequence[Row]) -> list[str]:
        """Return the columns of names, not shown by themselves, in which rows differ."""
        more = [n for n, v in rows[0].items() if isinstance(v, str) and n not in self.columns]
        return [n for n in more if n not in NETWORK and len({row[n] for row in rows}) > 1]

    def cells(self, row: Row, columns: Iterable[str]) -> list[Any]:
        """Return what is shown of some columns of a row; None where that is nothing."""
        return [self._cell(row, name) for name in columns]

    def _cell(self, row: Row, name: str) -> Any:
        value = row[name]
        if value == "" or value == self.usual.get(name, ""):
            return None
        is_words = name in self.words or name.endswith("_status")
        return value.replace("_", " ") if is_words and isinstance(value, str) else value


@dataclass(frozen=True)
class Number:
    """Number of a network: cohorts show how it is distributed, tables of networks have a column.

    Attributes
    ----------
    name : str
        What the filter of the index calls it: small letters and digits.
    title : str
        With its unit.
    table : str
        Title of the grid that has it.
    value : str or callable
        Column; or what returns it from a row.
    heading : str
        Of its column in tables of networks; "": it has none.
    where : mapping
        Which rows of the grid.
    combine : callable
        Makes one of the values of several rows: of inputs, say. By default the first.
    """

    name: str
    title: str
    table: str
    value: str | Callable[[Row], float | None]
    heading: str = ""
    where: Mapping[str, Any] = field(default_factory=dict)
    combine: Callable[[Sequence[float]], float] = lambda values: values[0]

    def of(self, rows: Sequence[Row]) -> float | None:
        """Return the number; None where there is none."""
        chosen = [r for r in rows if all(r[name] == v for name, v in self.where.items())]
        asked = self.value
        values = [r[asked] if isinstance(asked, str) else asked(r) for r in chosen]
        known = [value for value in values if value is not None]
        return self.combine(known) if known else None


@dataclass(frozen=True)
class Drawing:
    """Figure of an analysis of a network, drawn from rows when a report is written.

    Attributes
    ----------
    caption : str
    by : tuple of str
        Columns of the key, besides the network's, that tell its figures apart.
    needs : mapping of table to tuple of str
        Columns, besides the key, of the rows that it is drawn from.
    draw : callable
        Returns the figure from these rows, by the title of their table.
    when : callable
        Returns whether there is something to draw, from a row of the section's first grid.
    """

    caption: str
    by: tuple[str, ...]
    needs: Mapping[type[Any], tuple[Any, ...]]
    draw: Callable[[Tables], Figure]
    when: Callable[[Row], bool] = lambda row: True

    @property
    def first(self) -> type[Any]:
        """The table without rows of which there is nothing to draw: the first that it needs."""
        return next(iter(self.needs))


@dataclass(frozen=True)
class Section:
    """One analysis, as reports show it.

    Attributes
    ----------
    name : str
        In names of files.
    title : str
    grids : tuple of Grid
        The first is of the table that has a row for each way in which a network was analysed.
    numbers : tuple of Number
    settings : mapping of str to str
        Column of the key -> the value that numbers are of where it is there, by default.
    drawing : Drawing, optional
    is_computed : bool
        Whether workers compute it, so that it may be missing.
    """

    name: str
    title: str
    grids: tuple[Grid, ...]
    numbers: tuple[Number, ...] = ()
    settings: Mapping[str, str] = field(default_factory=dict)
    drawing: Drawing | None = None
    is_computed: bool = True

    @property
    def table(self) -> type[Any]:
        """The table that has a row for each way in which a network was analysed."""
        return self.grids[0].table

    def due(self, selection: Selection) -> Query:
        """Return the networks of a selection of which rows of the table are still to be made."""
        missing = self.table().key_source - self.table().proj()
        return dj.U(*NETWORK) & (missing & selection.restriction(missing))

    def page(self, tables: Tables) -> dict[str, Any] | None:
        """Return what the page of a network shows of it; None where there is no row."""
        shown = [
            grid.shown(tables[grid.title])
            for grid in self.grids
            if grid.columns and tables.get(grid.title)
        ]
        return {"name": self.name, "title": self.title, "grids": shown} if shown else None

    def summary(self, tables: Tables) -> dict[str, float | None]:
        """Return the numbers of a network, of the settings that come first."""
        rows = {number.table: tables.get(number.table, ()) for number in self.numbers}
        for column, standard in self.settings.items():
            known = {r[column] for of_table in rows.values() for r in of_table if column in r}
            first = min(known, key=lambda name: (name != standard, name), default=None)
            rows = {
                title: [r for r in of_table if r.get(column, first) == first]
                for title, of_table in rows.items()
            }
        return {number.name: number.of(rows[number.table]) for number in self.numbers}
