"""What the tables hold of recordings, for their pages."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field

import datajoint as dj

from ..database.schemas import title_of
from ..store.file_names import file_name
from ..tables.keys import Key
from ..tables.recorded_populations import RecordedPopulation
from ..tables.recordings import Recording
from ..tables.selections import Selection
from ..workers.failures import failures
from .analyses.recordings import RECORDED_POPULATION
from .rows import Row

KEY = ("task_name", "recording_name")


@dataclass
class RecordingRows:
    """What the tables hold of a recording.

    Attributes
    ----------
    row : dict
        Of `Recording`; its rates are a reference.
    tables : dict of str to list of dict
        Rows of its populations, by the title of their grid.
    is_due : bool
        Whether it has populations that are still to be described.
    failed : list of str
        Errors of those whose job has failed.
    """

    row: Row
    tables: dict[str, list[Row]] = field(default_factory=lambda: defaultdict(list))
    is_due: bool = False
    failed: list[str] = field(default_factory=list)

    @property
    def key(self) -> Row:
        """Of `Recording`."""
        return {name: self.row[name] for name in KEY}

    @property
    def page(self) -> str:
        """The path of its page."""
        return f"recordings/{self.file('', ending='.html')}"

    @property
    def figure(self) -> str:
        """The path of the figure of its units, beside networks."""
        return f"recordings/{self.file('units')}"

    def file(self, *what: object, ending: str = ".png") -> str:
        """Return the name of a file, which no other recording's has."""
        return file_name(*self.key.values(), *filter(None, what), ending=ending)


def fetch_recordings(selection: Selection) -> list[RecordingRows]:
    """Return the recordings of the tasks of a selection, in a fixed number of queries."""
    rows = selection.of_table(Recording).to_dicts(order_by="KEY")
    if not rows:
        return []
    found = {_key(row): RecordingRows(row) for row in rows}
    missing = RecordedPopulation().key_source - RecordedPopulation.proj()
    due = dj.U(*KEY) & (missing & selection.restriction(missing))
    for row in due.to_dicts():
        if _key(row) in found:
            found[_key(row)].is_due = True
    for grid in reversed(RECORDED_POPULATION.grids):  # children before parents
        for row in grid.fetch(selection):
            if _key(row) in found:  # else it was entered meanwhile
                found[_key(row)].tables[grid.title].append(row)
    for failure in failures(selection, [RecordedPopulation]):
        if _key(failure.key) in found and failure.table == title_of(RecordedPopulation):
            found[_key(failure.key)].failed.append(f"{failure.error}: {failure.message}")
    return list(found.values())


def _key(row: Row) -> Key:
    return tuple(row[name] for name in KEY)
