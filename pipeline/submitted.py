"""What a submission has entered."""

from __future__ import annotations

from typing import Any

from .tables.left_out import tables_that_need

SETS = ("tasks", "networks", "trainings")


class Submitted(dict[str, int]):
    """The number of new rows by section; what the entries are called in the database.

    Attributes
    ----------
    names : dict of str to dict of str to str
        By section: name in the submission -> name in the database, which is another one where
        equal parameters were there and used.
    cohorts : list of dict
        Keys of the cohorts that hold the networks of the section of cohorts, to restrict any table
        below `Cohort` with.
    without : set of str
        Names of the tables that cohorts and sweeps of the file are to do without.
    kept : list of str
        Places of cohorts whose networks others hold, which do not do without tables for that.
    notes : list of str
        What is not done as the file says, a line each.
    """

    def __init__(self) -> None:
        super().__init__(dict.fromkeys((*SETS, "cohorts"), 0))
        self.names: dict[str, dict[str, str]] = {section: {} for section in SETS}
        self.cohorts: list[dict[str, Any]] = []
        self.without: set[str] = set()
        self.kept: list[str] = []
        self.notes: list[str] = []

    def used(self) -> list[str]:
        """Return a line for each name in the submission instead of which another one is used."""
        return [
            f"{section}.{name}: has the same parameters as {used!r}, which is used"
            for section, names in self.names.items()
            for name, used in names.items()
            if name != used
        ]

    def left_out(self) -> list[str]:
        """Return a line for each table left out that others need, and where none is left out."""
        lines = [
            f"{entry}: others hold its networks, and leave no table out" for entry in self.kept
        ]
        for name in sorted(self.without):
            others = [each for each in tables_that_need([name]) if each not in self.without]
            if others:
                lines.append(f"without {name}: so also without {', '.join(others)}, which need it")
        return lines

    def new(self) -> list[str]:
        """Return a line for each section: how many rows are new."""
        return [f"{section}: {number} new" for section, number in self.items()]

    def remarks(self) -> list[str]:
        """Return other names that are used, tables that go with others, what is not done."""
        return self.used() + self.left_out() + self.notes

    def lines(self) -> list[str]:
        """Return what happened, `new` and `remarks`: a line each."""
        return self.new() + self.remarks()

    def __repr__(self) -> str:
        """Return the lines."""
        return "\n".join(self.lines())
