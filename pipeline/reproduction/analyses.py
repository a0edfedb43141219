"""Sets of settings that a study brings along: rows of the tables of settings."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tasks_lib.errors import ParameterError, collecting, raise_all, renamed, use_one_of

from ..database.schemas import is_ours
from ..tables.rows import Row
from ..tables.settings import CheckedSettings

Analyses = Mapping[str, Mapping[str, Mapping[str, Any]]]
FIELD = "analyses"


def settings_tables() -> dict[str, type[CheckedSettings]]:
    """Return the tables of settings of this project, by name."""
    found = {table.__name__: table for table in CheckedSettings.__subclasses__()}
    return {name: found[name] for name in sorted(found) if is_ours(found[name])}


def checked_analyses(analyses: Analyses) -> list[tuple[CheckedSettings, list[Row]]]:
    """Return the rows of a study's sets of settings by table; nothing is entered.

    Parameters
    ----------
    analyses : mapping
        Name of a table -> name of a set -> its columns; what is left out has its default.

    Raises
    ------
    ParameterError
        For a table or a column that does not exist, a value that cannot be used, and a name under
        which other settings are stored; where several are wrong, as `ParameterErrors`.
    """
    known = settings_tables()
    found: list[tuple[CheckedSettings, list[Row]]] = []
    errors: list[ParameterError] = []
    for title, sets in analyses.items():
        if title not in known:
            problem = "is no table of settings"
            remedy = use_one_of(title, known)
            errors.append(ParameterError(f"{FIELD}.{title}", sets, problem, remedy))
            continue
        table, rows = known[title](), []
        for name, columns in sets.items():
            with collecting(errors):
                rows.append(_row(table, f"{FIELD}.{title}.{name}", name, columns))
        found.append((table, rows))
    raise_all(errors)
    return found


def _row(table: CheckedSettings, place: str, name: str, columns: Mapping[str, Any]) -> Row:
    (key,) = table.primary_key

    def written(field: str) -> str:
        return place if field == key else f"{place}.{table.renamed.get(field, field)}"

    try:
        row = table.checked(table.normal({**columns, key: name}))
    except ParameterError as error:
        raise renamed(error, written) from error
    stored = (table & {key: name}).to_dicts()
    if stored and not table.is_same(stored[0], row):
        problem = "is stored with other values"
        raise ParameterError(place, name, problem, "give it another name in the study")
    return row


def enter_analyses(checked: list[tuple[CheckedSettings, list[Row]]]) -> None:
    """Enter the rows of `checked_analyses`; those that are there are left as they are."""
    for table, rows in checked:
        table.insert(rows)
