"""The rows of every table that belong to a selection of networks."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import datajoint as dj

from tasks_lib.errors import ParameterError, use_one_of

from ..database import schemas
from ..database.types import Query
from ..report.rows import CohortRows, Row, fetch_cohorts
from ..store.codecs import StoredFigure
from ..tables.own_tables import own_tables
from ..tables.training import Cohort, Training
from ..tables.training_params import IMPORTED

Kind = Literal["whole", "number", "flag", "text", "time", "json", "array"]
# What a selection may name.
NAMES = ("task_name", "network_name", "training_name")
FIELDS = (*NAMES, "first_seed", "seed")
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


def checked_selection(given: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return a selection, or say what is wrong with it.

    Raises
    ------
    ParameterError
        For a field that no selection has.
    """
    if given is not None and not isinstance(given, Mapping):
        remedy = f"give a mapping of {', '.join(FIELDS)}"
        raise ParameterError("restriction", given, "is not a mapping", remedy)
    for name, value in (given or {}).items():
        if name not in FIELDS:
            raise ParameterError(
                f"restriction.{name}", value, "selects nothing", use_one_of(name, FIELDS)
            )
    return {name: value for name, value in (given or {}).items() if value is not None}


class Selection:
    """Networks, their cohorts, and what all tables hold of them.

    Parameters
    ----------
    given : mapping
        From `checked_selection`; an empty one selects everything.
    modules : iterable of str
        Modules with a lab's own tables (`own_tables`), which belong to it too.

    Raises
    ------
    ParameterError
        Where there is no cohort.
    """

    def __init__(self, given: Mapping[str, Any], modules: Iterable[str] = ()) -> None:
        self.given = dict(given)
        self.networks: Query = Training.Network & self.given
        cohorts: Query = Cohort & self.given  # which passes over ``seed``
        self.cohorts = cohorts & self.networks.proj() if "seed" in given else cohorts
        if not self.cohorts:
            named = ", ".join(f"{k.removesuffix('_name')} {v}" for k, v in self.given.items())
            raise ParameterError(
                "selection", named or "all", "has no cohort", "enter one with `rnn submit`, or "
                "mend it",
            )  # fmt: skip
        self._own = own_tables(modules)

    def fetch_cohorts(self) -> list[CohortRows]:
        """Return what a report shows of it."""
        cohorts = fetch_cohorts(self.given)
        return [c for c in cohorts if c.networks] if "seed" in self.given else cohorts

    def tables(self) -> list[TableRows]:
        """Return the rows of all tables: ours in the order of their schemas, then a lab's own."""
        found: dict[str, TableRows] = {}
        settings: list[type[dj.Table]] = []
        for schema in (schemas.task, schemas.network, schemas.training,
                       schemas.performance, schemas.dynamics):  # fmt: skip
            for table in schema.tables:
                if not {*table.primary_key} & {*NAMES}:
                    settings.append(table)  # of an analysis or a sweep: those that rows name
                    found[_title(table)] = TableRows("", [], [], [], [], True)
                else:
                    found[_title(table)] = self._rows(table)
        for table in settings:
            found[_title(table)] = self._settings(table, list(found.values()))
        for own in self._own:
            for table in (own, *schemas.parts(own)):
                found[_title(table)] = self._rows(table)
        return list(found.values())

    def _rows(self, table: type[dj.Table]) -> TableRows:
        key = {*table.primary_key}
        if {*Training.Network.primary_key} <= key:
            return _table_rows(table, (table() & self.given).to_dicts())
        if not key & {*NAMES}:
            raise ParameterError(
                "module", _title(table), "has a key without a task, a network or a training",
                "export it by itself: table.to_pandas()",
            )  # fmt: skip
        return _table_rows(table, (table() & self.cohorts.proj()).to_dicts())

    def _settings(self, table: type[dj.Table], others: Sequence[TableRows]) -> TableRows:
        """Return those rows of settings of analyses, and of sweeps, that other tables name."""
        name = table.primary_key[0]  # of a part, its master's
        used = {row[name] for other in others for row in other.rows if name in row}
        return _table_rows(table, [row for row in table().to_dicts() if row[name] in used])


def _title(table: type[dj.Table]) -> str:
    master = getattr(table, "_master", None)
    if master is None or not issubclass(table, dj.Part):
        return schemas.title_of(table)
    return f"{schemas.title_of(master)}.{table.__name__}"


def _table_rows(table: type[dj.Table], rows: list[Row]) -> TableRows:
    heading = table().heading
    figures, columns = [], []
    for name in heading.names:
        attribute = heading[name]
        codec = getattr(attribute.codec, "name", None)
        if codec == "figure":
            figures.append(name)
        elif codec is not None and codec not in ("npy", "blob"):
            problem = f"holds <{codec}>, which is no array or figure"
            raise ParameterError("column", f"{_title(table)}.{name}", problem, "leave it out")
        elif codec is not None:
            columns.append(Column(name, "array", attribute.comment or ""))
        else:
            declared = str(attribute.original_type or attribute.type)
            word = declared.replace("(", " ").split()[0].lower()
            columns.append(Column(name, _KINDS.get(word, "text"), attribute.comment or ""))
    key = list(table.primary_key)
    rows = sorted(rows, key=lambda row: [row[name] for name in key])  # as no server's collation
    is_ours = schemas.is_ours(table)
    return TableRows(_title(table), columns, rows, figures, key, is_ours)


def figure_of(row: Row, column: str) -> StoredFigure | None:
    """Return the figure that a column holds; None where it is null."""
    value = row[column]
    return value if isinstance(value, StoredFigure) else None


def submission_of(tables: Sequence[TableRows]) -> dict[str, Any]:
    """Return the submission that enters the parameters of a selection and trains it again.

    What was imported is trained nowhere, and is left out but for its task and its parameters.
    """
    from ..tables.network import NetworkParams
    from ..tables.task import Task
    from ..tables.training_params import TrainingParams

    by_title = {table.title: table.rows for table in tables}
    tasks = {}
    for row in by_title["Task"]:
        fields = Task.parameters_of_row(row)
        tasks[row["task_name"]] = {"class": fields.pop("task_class"), **fields}
    networks = {
        row["network_name"]: NetworkParams.parameters_of_row(row)
        for row in by_title["NetworkParams"]
    }
    trainings: dict[str, Any] = {}
    for row in by_title["TrainingParams"]:
        if row["training_name"] != IMPORTED:
            trainings[row["training_name"]] = TrainingParams.parameters_of_row(row)
    for row in by_title["TrainingParams.Penalty"]:
        penalties = trainings[row["training_name"]].setdefault("penalties", {})
        penalties[row["penalty"]] = {"weight": row["weight"], "args": row["args"]}
    cohorts = [
        {
            **{name.removesuffix("_name"): row[name] for name in NAMES},
            "first_seed": row["first_seed"],
            "n_networks": row["n_networks"],
        }
        for row in by_title["Cohort"]
        if row["origin"] == "trained"
    ]
    sections = {"tasks": tasks, "networks": networks, "trainings": trainings, "cohorts": cohorts}
    given = {name: section for name, section in sections.items() if section}
    # In one order, whatever the server's of the fields of JSON.
    return {
        name: json.loads(json.dumps(section, sort_keys=True)) for name, section in given.items()
    }
