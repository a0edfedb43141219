"""Tables of text that fit the width of a terminal, a line for each row."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rich.cells import cell_len, set_cell_size

NOT_COMPUTED, NOT_WANTED = "not computed yet", "not wanted"
GAP = "  "


def number(value: float | None, digits: int = 3) -> str:
    """Return a number with so many decimals; a dash where there is none."""
    return "-" if value is None else f"{value:.{digits}f}"


def marked(texts: Sequence[str], marks: Sequence[bool]) -> list[str]:
    """Return texts with a star behind some of them, and room for it behind the others."""
    star = "*" if any(marks) else ""
    room = " " if star else ""
    return [text + (star if mark else room) for text, mark in zip(texts, marks, strict=True)]


@dataclass(frozen=True)
class Column:
    """A column: its heading, and the cell of each row.

    Attributes
    ----------
    heading : str
    cells : sequence of str, or of tuple of str
        A tuple holds the same in words of several lengths, the longest first.
    is_left : bool
        Whether the cells begin at the same place; else they end there, as numbers do.
    """

    heading: str
    cells: Sequence[str | tuple[str, ...]]
    is_left: bool = False

    def worded(self, length: int) -> list[str]:
        """Return the heading and the cells, each in its words number ``length``, or its last."""
        words = [c if isinstance(c, str) else c[min(length, len(c) - 1)] for c in self.cells]
        return [self.heading, *words]

    @property
    def n_lengths(self) -> int:
        """In how many lengths there are words."""
        return max((len(cell) for cell in self.cells if not isinstance(cell, str)), default=1)


def table_lines(
    columns: Sequence[Column], groups: Sequence[str] = (), width: int | None = None
) -> list[str]:
    """Return the lines of a table: a heading, then a line for each row.

    Parameters
    ----------
    columns : sequence of Column
    groups : sequence of str, optional
        What each row belongs to. It stands in a line of its own above the rows that follow each
        other in one group.
    width : int, optional
        Cells of a line. Shorter words are taken where the longer ones do not fit, and lines are
        cut where not even those do.
    """
    texts: list[list[str]] = []
    for length in range(max((column.n_lengths for column in columns), default=1)):
        texts = [column.worded(length) for column in columns]
        widths = [max(map(cell_len, cells)) for cells in texts]
        if width is None or sum(widths) + len(GAP) * (len(widths) - 1) <= width:
            break
    lines: list[str] = []
    before: str | None = None
    for row in range(len(texts[0]) if texts else 0):
        if row and groups and groups[row - 1] != before:
            before = groups[row - 1]
            lines.append(before)
        cells = [
            _padded(cells[row], space, column.is_left)
            for cells, space, column in zip(texts, widths, columns, strict=True)
        ]
        lines.append(GAP.join(cells).rstrip())
    return lines if width is None else [cut_to(line, width) for line in lines]


def cut_to(line: str, width: int) -> str:
    """Return a line of at most so many cells; what does not fit is three dots."""
    if cell_len(line) <= width:
        return line
    return set_cell_size(line, max(width - 3, 0)).rstrip() + "..."[:width]


def _padded(text: str, width: int, is_left: bool) -> str:
    space = " " * (width - cell_len(text))
    return text + space if is_left else space + text
