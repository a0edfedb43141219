"""Tables with figures: what is written into their files, and how they are drawn anew."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import TYPE_CHECKING, Any, ClassVar

from tasks_lib.errors import ParameterError

from ..database.schemas import title_of
from ..database.types import Query
from ..store.stored_figures import StoredFigure
from .one_row import one_key
from .parameter_sets import PARAMETER_TABLES
from .provenance import code_version

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from models.plots.files import DescribedFigure
    from models.plots.style import Style

REMEDY = "save it as .png, or let its table have `draw`: see FigureTable in docs/figures.md"


class FigureTable:
    """Base of a computed table with figures, beside dj.Computed.

    It says how the figures of a key are drawn; `figures` is what `make` inserts of them.

    Attributes
    ----------
    settings : tuple of tables
        Tables of parameters, besides those of the network, that its figures depend on.
    known : list of tables
        All that derive from this class.
    """

    settings: ClassVar[tuple[type[Any], ...]] = ()
    known: ClassVar[list[type[Any]]] = []

    def __init_subclass__(cls, **options: Any) -> None:
        """Remember the table."""
        super().__init_subclass__(**options)
        FigureTable.known.append(cls)

    def draw(self, key: dict[str, Any]) -> dict[str, Figure]:
        """Return the figures of a key, by the column that holds them."""
        raise NotImplementedError

    def figures(self, key: dict[str, Any]) -> dict[str, DescribedFigure]:
        """Return the figures of a key by their column, with what is written into their files."""
        return described(type(self), key, self.draw(key))

    def plot(self, column: str | None = None) -> Figure:
        """Draw the figure of the one row that this query selects, to change it or to save it.

        Parameters
        ----------
        column : str, optional
            Needed where a row has several figures.

        Raises
        ------
        datajoint.DataJointError
            Where the query does not select exactly one row.
        ParameterError
            For a column without a figure.
        """
        query: Any = self
        drawn = self.draw(one_key(query))
        name = next(iter(drawn)) if column is None and len(drawn) == 1 else column
        if name not in drawn:
            raise ParameterError("column", column, "has no figure", f"use {', '.join(drawn)}")
        return drawn[name]


def described(
    table: type[Any], key: Mapping[str, Any], figures: Mapping[str, Figure]
) -> dict[str, DescribedFigure]:
    """Return figures of a row of a table with what is known of them, by column."""
    return describe_figures(title_of(table), key, figures, getattr(table, "settings", ()))


def describe_figures(
    title: str,
    key: Mapping[str, Any],
    figures: Mapping[str, Figure],
    settings: tuple[type[Any], ...] = (),
) -> dict[str, DescribedFigure]:
    """Return figures with what is known of them: table, network, parameters, code.

    Parameters
    ----------
    title : str
        Of the table that they are drawn from.
    key : mapping
        Of a network or of a cohort, and of settings.
    figures : mapping of str to Figure
        By column, or another name of theirs.
    settings : tuple of tables
        Those that they depend on besides the network's.
    """
    from models.plots.files import DescribedFigure

    about = about_key(title, key, settings)
    return {
        column: DescribedFigure(figure, {**about, "column": column})
        for column, figure in figures.items()
    }


def about_key(
    title: str, key: Mapping[str, Any], settings: tuple[type[Any], ...] = ()
) -> dict[str, Any]:
    """Return what is written into the files of a figure of some key; see `describe_figures`."""
    number, dirty = code_version()
    of = {name: value for name, value in key.items() if isinstance(value, (str, int, float))}
    parameters = {}
    for table in (*PARAMETER_TABLES.values(), *settings):
        names = table().primary_key
        if all(name in key for name in names):
            for row in (table & {name: key[name] for name in names}).to_dicts():
                parameters[title_of(table)] = {
                    name: value for name, value in row.items() if _is_plain(value)
                }
    return {
        "table": title,
        "of": of,
        "parameters": parameters,
        "code": f"rnn-pipeline {number}" + (" with uncommitted changes" if dirty else ""),
    }


def _is_plain(value: Any) -> bool:
    """Return whether a value of a row can be read in a file: arrays, hashes and times cannot."""
    if isinstance(value, Mapping):
        return all(map(_is_plain, value.values()))
    if isinstance(value, (list, tuple)):
        return all(map(_is_plain, value))
    return value is None or isinstance(value, (str, bool, int, float))


def redrawn(path: str, kind: str, style: Style | None = None, footer: bool = False) -> bytes:
    """Draw the stored figure of a path anew; return it as a file.

    Raises
    ------
    ParameterError
        Where no table draws it, or no row has it any more.
    """
    parts = path.split("/")
    for table in FigureTable.known:
        if (table.database, table.table_name) in pairwise(parts):
            key, column = _row_of(table(), path)
            return figure_files(table, key, (kind,), style, footer)[column, kind]
    raise ParameterError("path", path, "is of a table that does not draw its figures anew", REMEDY)


def _row_of(table: Query, path: str) -> tuple[dict[str, Any], str]:
    columns = [n for n, a in table.heading.attributes.items() if a.codec is not None]
    for row in table.proj(*columns).to_dicts():
        for column in columns:
            if getattr(row[column], "path", None) == path:
                return {name: row[name] for name in table.primary_key}, column
    raise ParameterError("path", path, "is the figure of no row any more", "fetch the row again")


def figure_files(
    table: type[Any],
    key: dict[str, Any],
    kinds: tuple[str, ...],
    style: Style | None = None,
    footer: bool = False,
) -> dict[tuple[str, str], bytes]:
    """Draw the figures of a row anew; return files of some formats, by column and format."""
    from models.plots.files import figure_file
    from models.plots.style import figure_style

    with figure_style(*(() if style is None else (style,))):
        return {
            (column, kind): figure_file(shown, kind, footer=footer)
            for column, shown in table().figures(key).items()
            for kind in kinds
        }


StoredFigure.redrawn = staticmethod(redrawn)
