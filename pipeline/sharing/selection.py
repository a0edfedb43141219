"""The rows of every table that belong to a selection of networks."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

import datajoint as dj

from tasks_lib.errors import ParameterError

from ..database import schemas
from ..report.rows import CohortRows, Row, fetch_cohorts
from ..store.codecs import StoredFigure
from ..tables.keys import NETWORK, SET_COLUMNS
from ..tables.own_tables import own_tables
from ..tables.selections import Selection

Kind = Literal["whole", "number", "flag", "text", "time", "json", "array", "figure"]
WEIGHTS = ("w_rec", "w_inp", "w_out", "b_rec", "x_init")  # which are in the files of networks
# First word of a column's type, as one of the servers or DataJoint calls it -> kind.
_KINDS: dict[str, Kind] = {
    "bool": "flag", "boolean": "flag",
    "json": "json", "jsonb": "json",
    "datetime": "time", "timestamp": "time", "date": "time",
    "int8": "whole", "int16": "whole", "int32": "whole", "int64": "whole", "int": "whole",
    "integer": "whole", "bigint": "whole", "smallint": "whole", "tinyint": "whole",
    "uint8": "whole", "uint16": "whole", "uint32": "whole", "uint64": "whole",
    "float32": "number", "float64": "number", "float": "number", "double": "number",
    "real": "number", "decimal": "number", "numeric": "number",
}  # fmt: skip


@dataclass(frozen=True)
class Column:
    """A column of an exported table.

    Attributes
    ----------
    name : str
    kind : {"whole", "number", "flag", "text", "time", "json", "array"}
    comment : str
        What it means, from the table's definition.
    """

    name: str
    kind: Kind
    comment: str


@dataclass
class TableRows:
    """The rows of one table that belong to a selection, in the order of their keys.

    Attributes
    ----------
    title : str
        "Training.Network"; of a lab's own table with its schema.
    columns : list of Column
        Without figures, which are files of their own.
    rows : list of dict
    figures : list of str
        Columns that hold figures.
    primary_key : list of str
    is_ours : bool
        Whether it is a table of the pipeline.
    """

    title: str
    columns: list[Column]
    rows: list[Row]
    figures: list[str]
    primary_key: list[str]
    is_ours: bool


class SelectedRows:
    """Networks, their cohorts, and what all tables hold of them.

    Parameters
    ----------
    selection : Selection
        An empty one selects everything.
    modules : iterable of str
        Modules with a lab's own tables (`own_tables`), which belong to it too.

    Raises
    ------
    ParameterError
        Where there is no cohort.
    """

    def __init__(self, selection: Selection, modules: Iterable[str] = ()) -> None:
        self.selection = selection
        cohorts = selection.cohorts()
        # Where single networks are chosen, cohorts that are not trained have none.
        self.cohorts = (
            cohorts & selection.networks().proj() if selection.is_of_networks else cohorts
        )
        if not self.cohorts:
            raise ParameterError(
                "selection", selection.in_words(), "has no cohort",
                "enter one with `rnn submit`, or mend it",
            )  # fmt: skip
        self._own = own_tables(modules)

    def fetch_cohorts(self) -> list[CohortRows]:
        """Return what a report shows of it."""
        cohorts = fetch_cohorts(self.selection)
        return [c for c in cohorts if c.networks] if self.selection.is_of_networks else cohorts

    def tables(self) -> list[TableRows]:
        """Return the rows of all tables: ours in the order of their schemas, then a lab's own."""
        found: dict[str, TableRows] = {}
        settings: list[type[dj.Table]] = []
        for schema in (schemas.task, schemas.network, schemas.training,
                       schemas.performance, schemas.dynamics):  # fmt: skip
            for table in schema.tables:
                if not {*table.primary_key} & {*SET_COLUMNS}:
                    settings.append(table)  # of an analysis or a sweep: those that rows name
                    found[full_title(table)] = TableRows("", [], [], [], [], True)
                else:
                    found[full_title(table)] = self._rows(table)
        for table in settings:
            found[full_title(table)] = self._settings(table, list(found.values()))
        for own in self._own:
            for table in (own, *schemas.parts(own)):
                found[full_title(table)] = self._rows(table)
        return list(found.values())

    def _rows(self, table: type[dj.Table]) -> TableRows:
        key = {*table.primary_key}
        if {*NETWORK} <= key:
            return table_rows(table, self.selection.of_table(table).to_dicts())
        if not key & {*SET_COLUMNS}:
            raise ParameterError(
                "module", full_title(table), "has a key without a task, a network or a training",
                "export it by itself: table.to_pandas()",
            )  # fmt: skip
        return table_rows(table, (table() & self.cohorts.proj()).to_dicts())

    def _settings(self, table: type[dj.Table], others: Sequence[TableRows]) -> TableRows:
        """Return those rows of settings of analyses, and of sweeps, that other tables name."""
        name = table.primary_key[0]  # of a part, its master's
        used = {row[name] for other in others for row in other.rows if name in row}
        return table_rows(table, [row for row in table().to_dicts() if row[name] in used])


def full_title(table: type[dj.Table]) -> str:
    """Return the name of a table as files are called: "Training.Network" of a part."""
    master = getattr(table, "_master", None)
    if master is None or not issubclass(table, dj.Part):
        return schemas.title_of(table)
    return f"{schemas.title_of(master)}.{table.__name__}"


def table_rows(table: type[dj.Table], rows: list[Row]) -> TableRows:
    """Return rows of a table with what its columns are; rows in the order of their keys."""
    heading = table().heading
    figures, columns = [], []
    for name in heading.names:
        attribute = heading[name]
        codec = getattr(attribute.codec, "name", None)
        if codec == "figure":
            figures.append(name)
        elif codec is not None and codec not in ("npy", "blob"):
            problem = f"holds <{codec}>, which is no array or figure"
            raise ParameterError("column", f"{full_title(table)}.{name}", problem, "leave it out")
        elif codec is not None:
            columns.append(Column(name, "array", attribute.comment or ""))
        else:
            declared = str(attribute.original_type or attribute.type)
            word = declared.replace("(", " ").split()[0].lower()
            columns.append(Column(name, _KINDS.get(word, "text"), attribute.comment or ""))
    key = list(table.primary_key)
    rows = sorted(rows, key=lambda row: [row[name] for name in key])  # as no server's collation
    is_ours = schemas.is_ours(table)
    return TableRows(full_title(table), columns, rows, figures, key, is_ours)


def figure_of(row: Row, column: str) -> StoredFigure | None:
    """Return the figure that a column holds; None where it is null."""
    value = row[column]
    return value if isinstance(value, StoredFigure) else None
