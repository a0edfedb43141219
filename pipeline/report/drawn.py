"""Figures of analyses, drawn from rows while a report is written."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from ..store.stored_figures import to_png
from ..tables.keys import NETWORK, Key
from ..tables.selections import Selection
from .analyses import ANALYSES
from .analyses.base import Drawing, Row, Section, Tables
from .names import figure_name
from .pictures import CURVES_DPI
from .rows import NetworkRows
from .site import fingerprint

MOST_NETWORKS = 100  # of a report that draws them without being asked


@dataclass(frozen=True)
class DrawnFigure:
    """A figure of one analysis of a network or a recording, and where the report has it.

    Attributes
    ----------
    section : Section
    path : str
        From the folder of the report.
    caption : str
    key : dict
        Of the network or the recording, and what tells the figure from others of the section.
    rows : list of list of dict
        Those that the page shows of it, by grid.
    """

    section: Section
    path: str
    caption: str
    key: Row
    rows: list[list[Row]]

    @property
    def made_from(self) -> str:
        """The fingerprint of the rows that the page shows: rows are never changed."""
        return fingerprint(self.section.name, self.rows)


def drawn_figures(network: NetworkRows) -> list[DrawnFigure]:
    """Return the figures of the analyses of a network, in the order of its page."""
    key = {name: network.row[name] for name in NETWORK}
    return figures_of(ANALYSES, network.tables, key, partial(figure_name, network.row))


def figures_of(
    sections: Sequence[Section], tables: Tables, key: Row, name: Callable[..., str]
) -> list[DrawnFigure]:
    """Return the figures that are drawn of rows of one key.

    Parameters
    ----------
    sections : sequence of Section
    tables : mapping of str to sequence of dict
        The rows, by the title of their grid.
    key : dict
        Of what was analysed.
    name : callable
        Returns the name of a file from the section's name and the settings.
    """
    found = []
    for section in sections:
        drawing = section.drawing
        if drawing is None:
            continue
        rows = tables.get(section.grids[0].title, ())
        by = [column for column in drawing.by if column not in key]
        shown = {tuple(r[column] for column in by): r for r in rows if drawing.when(r)}
        for settings in shown:
            chosen = dict(zip(by, settings, strict=True))
            of_figure = [
                [r for r in tables.get(grid.title, ()) if chosen.items() <= r.items()]
                for grid in section.grids
            ]
            shown_settings = [v for n, v in chosen.items() if v != section.settings.get(n)]
            found.append(
                DrawnFigure(
                    section=section,
                    path=f"figures/{name(section.name, *settings)}",
                    caption=", ".join([drawing.caption, *map(str, shown_settings)]),
                    key=key | chosen,
                    rows=of_figure,
                )
            )
    return found


class Drawings:
    """Draws figures of analyses, from rows that are fetched once for all networks.

    Parameters
    ----------
    selection : Selection
    """

    def __init__(self, selection: Selection) -> None:
        self._selection = selection
        self._rows: dict[str, dict[str, tuple[tuple[str, ...], dict[Key, list[Row]]]]] = {}

    def png(self, figure: DrawnFigure) -> bytes:
        """Return a figure as a PNG file.

        Raises
        ------
        OSError, MissingExternalFile, DamagedFile
            Where the store does not have an array as it was stored, and where the rows are gone.
        ParameterError
            Where the class of the task may not be imported here.
        """
        drawing = figure.section.drawing
        assert drawing is not None
        name = figure.section.name
        if name not in self._rows:
            self._rows[name] = self._fetch(drawing)
        tables: dict[str, Sequence[Row]] = {}
        for title, (columns, by_key) in self._rows[name].items():
            tables[title] = by_key.get(tuple(figure.key[c] for c in columns), ())
        if not tables[drawing.first.__qualname__]:
            raise FileNotFoundError(f"{figure.path}: its rows were deleted while it was drawn")
        return to_png(drawing.draw(tables), CURVES_DPI)

    def _fetch(self, drawing: Drawing) -> dict[str, tuple[tuple[str, ...], dict[Key, list[Row]]]]:
        """Return the rows of a selection that figures are drawn from, by table and by key."""
        names, found = (*NETWORK, *drawing.by), {}
        for table, columns in drawing.needs.items():
            query: Any = self._selection.of_table(table)
            shared = tuple(name for name in names if name in query.primary_key)
            by_key: dict[Key, list[Row]] = defaultdict(list)
            for row in query.proj(*columns).to_dicts(order_by="KEY"):
                by_key[tuple(row[name] for name in shared)].append(row)
            found[table.__qualname__] = shared, by_key
        return found
