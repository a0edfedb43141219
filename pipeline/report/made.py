"""What the writing of a report says of itself."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from tasks_lib.brief import brief


@brief
@dataclass
class Report:
    """What was written.

    Attributes
    ----------
    index : Path
        The page to open.
    n_cohorts, n_networks : int
    n_written, n_removed : int
        Files, without those that were as they are to be.
    faults : list of str
        Figures and curves that the store does not have as they were stored, a line each.
    paths : set of str
        All files of the report, from its folder.
    """

    index: Path
    n_cohorts: int = 0
    n_networks: int = 0
    n_written: int = 0
    n_removed: int = 0
    faults: list[str] = field(default_factory=list)
    paths: set[str] = field(default_factory=set)
