"""Populations of recorded units: the columns of `Population`, with names of their own."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from typing import TYPE_CHECKING, Any

import datajoint as dj

import models

from ..database import schemas
from ..database.types import Query
from .one_row import one_key
from .performance import VALIDATION_SEED
from .population_rows import activity_row, part_rows
from .populations import Population, PopulationParams
from .recordings import Recording
from .rows import Row

if TYPE_CHECKING:
    from matplotlib.figure import Figure

PREFIX = "recorded_"
# Of no recorded unit are its connections known.
OF_WEIGHTS = (
    "w_rec_radius", "w_rec_abscissa", "w_rec_rank", "w_rec_change", "w_rec_change_rank",
    "obeys_dale", "w_rec_singular_values", "w_rec_change_singular_values", "cell_type",
    "weight_to_excitatory", "weight_to_inhibitory",
)  # fmt: skip
REFERENCES = {
    "Training.Network": "Recording",
    "Population.Unit": "RecordedPopulation.Unit",
    "Population.Variable": "RecordedPopulation.Variable",
    "Population.Period": "RecordedPopulation.Period",
}
COLUMN = re.compile(r"^(\w+)((?:=\S+)?\s*:.*)$")


def recorded(
    definition: str,
    about: str = "",
    left_out: Collection[str] = OF_WEIGHTS,
    replaced: Mapping[str, str] | None = None,
) -> str:
    """Return the definition of a table of recordings, by that of the same of networks.

    Columns are called ``recorded_`` and their name: any two tables can be joined, and columns of
    one name that are no key forbid that.

    Parameters
    ----------
    definition : str
        Of `Population` or one of its parts.
    about : str
        What the table is of, in place of what is said there.
    left_out : collection of str
        Columns that there are not.
    replaced : dict, optional
        Column -> the line that stands in its place.
    """
    lines = []
    for line in (each.strip() for each in definition.strip().splitlines()):
        if line.startswith("#"):
            line = f"# {about}" if about else line
        elif line.startswith("->"):
            name = line.removeprefix("->").strip()
            line = f"-> {REFERENCES.get(name, name)}"
        elif found := COLUMN.match(line):
            if found[1] in left_out:
                continue
            line = (replaced or {}).get(found[1], f"{PREFIX}{found[1]}{found[2]}")
        lines.append(line)
    return "\n".join(["", *lines, ""])


def recorded_row(row: Row) -> Row:
    """Return a row of `Population`, or of a part of it, as one of a recording."""
    return {f"{PREFIX}{name}": v for name, v in row.items() if name not in OF_WEIGHTS}


def rows_of_networks(rows: Iterable[Row]) -> list[Row]:
    """Return rows of a recorded population, or of a part of it, with the names of `Population`."""
    return [{name.removeprefix(PREFIX): v for name, v in row.items()} for row in rows]


class OfNetworks:
    """What the tables of recorded populations have beside DataJoint's."""

    def as_of_networks(self: Any) -> Query:
        """Return the rows with the columns' names in `Population`, to lay them beside its rows."""
        names = [n for n in self.heading.secondary_attributes if n.startswith(PREFIX)]
        return self.proj(**{name.removeprefix(PREFIX): name for name in names})


@schemas.dynamics
class RecordedPopulation(OfNetworks, dj.Computed):
    definition = recorded(
        Population.definition,
        "what recorded units do in the trials of a task",
        replaced={
            "population_status": "recorded_population_status : varchar(16)  # analysed, silent, "
            "constant, few_trials, few_units or one_condition",
            "population_trials": "recorded_population_trials : int32  # trials that were read",
        },
    )

    class Unit(OfNetworks, dj.Part):
        definition = recorded(
            Population.Unit.definition, "one recorded unit, over all trials and bins",
            replaced={"unit": "-> Recording.Unit"},
        )  # fmt: skip

    class Group(OfNetworks, dj.Part):
        definition = recorded(
            Population.Group.definition, "all recorded units, and the active ones"
        )

    class Period(OfNetworks, dj.Part):
        definition = recorded(
            Population.Period.definition, "dimensions of the rates in a period, between events"
        )

    class Variable(OfNetworks, dj.Part):
        definition = recorded(Population.Variable.definition)

    class Coding(OfNetworks, dj.Part):
        definition = recorded(Population.Coding.definition)

    class Selectivity(OfNetworks, dj.Part):
        definition = recorded(
            Population.Selectivity.definition, "selectivity of one recorded unit to a variable"
        )

    @staticmethod
    def is_for_task(task: Row) -> bool:
        """Return whether networks of a task bring rows: recordings do."""
        return False

    @property
    def key_source(self) -> Query:
        """Recordings, with every way of describing populations."""
        return Recording.proj() * PopulationParams.proj()

    def make(self, key: dict[str, Any]) -> None:
        """Describe the population of one recording."""
        found = self._analyse(key)
        self.insert1({**key, **recorded_row(activity_row(found))})
        for part, rows in part_rows(found).items():
            getattr(self, part).insert({**key, **recorded_row(row)} for row in rows)

    def plot(self) -> Figure:
        """Draw the population of the one row that this query selects."""
        return models.plot_population(self._analyse(one_key(self)))

    def _analyse(self, key: dict[str, Any]) -> models.PopulationAnalysis:
        settings = PopulationParams.build((PopulationParams & key).fetch1())
        trials = (Recording & key).trials()
        return models.describe_recording(trials, settings, seed=VALIDATION_SEED)
