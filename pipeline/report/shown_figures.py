"""Writing the figures that pages show, and saying what is wrong with those that are not there."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

from datajoint.errors import MissingExternalFile

from tasks_lib.errors import ParameterError, text_of

from ..store.checked_files import DamagedFile
from ..transient.errors import is_transient
from .drawn import Drawings, DrawnFigure
from .pictures import shown_width
from .rows import Row
from .site import Site

MISSING_OR_DAMAGED = (MissingExternalFile, FileNotFoundError, DamagedFile)


class ShownFigures:
    """Writes figures to a site.

    Parameters
    ----------
    site : Site
    faults : list of str
        What the store does not have as it was stored is added to it, a line each.
    """

    def __init__(self, site: Site, faults: list[str]) -> None:
        self._site, self._faults = site, faults

    def drawn(self, figures: Sequence[DrawnFigure], drawings: Drawings | None) -> list[Row]:
        """Draw figures of analyses; return what a page shows of them: none without ``drawings``."""
        if drawings is None:
            return []
        shown = []
        for figure in figures:
            draw = partial(drawings.png, figure)
            write = partial(self._site.write, figure.path, figure.made_from, draw)
            try:
                made = self.picture(figure.path, figure.caption, write)
            except ParameterError as error:  # the class of its task may not be imported here
                said = f"not drawn here: {text_of(error)}"
                made = {"path": "", "caption": figure.caption, "problem": said, "width": 0}
            shown.append(made | {"section": figure.section.name})
        return shown

    def picture(self, path: str, caption: str, write: Callable[[], object]) -> Row:
        """Write a picture; return what a page shows of it."""
        problem = self.read(write)
        width = 0 if problem else shown_width(self._site.folder / path)
        if problem:
            problem += "; rnn verify --files says more"
        return {"path": path, "caption": caption, "problem": problem, "width": width}

    def read(self, read: Callable[[], object]) -> str:
        """Do what reads files of the store; return what is wrong with one, "" where nothing is."""
        try:
            read()
        except MISSING_OR_DAMAGED as error:
            if is_transient(error):  # the whole store is away
                raise
            self._faults.append(text_of(error))
            return "missing or damaged in the store"
        return ""
