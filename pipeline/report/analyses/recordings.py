"""What a report shows of recordings: distances to networks, and what recorded units do."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

import models

from ...tables.population_rows import population_from_rows
from ...tables.recorded_populations import OF_WEIGHTS, PREFIX, RecordedPopulation, rows_of_networks
from ...tables.recording_distances import RecordingDistance
from .base import Drawing, Grid, Number, Section, Tables
from .population import POPULATION
from .queries import DEFAULT, SETTINGS, STATUS, WHY, only

if TYPE_CHECKING:
    from matplotlib.figure import Figure

RECORDING_DISTANCES = Section(
    "recording_distances",
    "Distances to recordings",
    (
        Grid(
            RecordingDistance,
            {
                "recording_name": "recording", "distance_name": SETTINGS,
                "recording_status": STATUS, "recording_reason": WHY,
                "n_conditions": "conditions", "n_sampled": "units in a sample",
                "recording_procrustes": "Procrustes (rad)",
                "recording_procrustes_spread": "± of samples",
                "recording_procrustes_chance": "by chance", "recording_procrustes_p": "p",
                "half_procrustes": "of halves of the recording",
                "recording_cka": "CKA (rad)", "recording_cka_chance": "by chance",
                "recording_cka_p": "p", "recording_rsa": "RSA (rad)",
                "recording_rsa_chance": "by chance", "recording_rsa_p": "p",
            },
            usual={"recording_status": "compared"},
        ),
    ),
    (
        Number("procrustes", "Procrustes distance to a recording (rad)", "RecordingDistance",
               "recording_procrustes"),
    ),
    {"distance_name": DEFAULT},
)  # fmt: skip

# Those of networks, without what no recording has; in bins and not in steps.
_PARTS = {
    "Population": RecordedPopulation,
    "Population.Unit": RecordedPopulation.Unit,
    "Population.Group": RecordedPopulation.Group,
    "Population.Period": RecordedPopulation.Period,
    "Population.Coding": RecordedPopulation.Coding,
    "Population.Variable": RecordedPopulation.Variable,
}
_ONLY = {
    "Population.Coding": f"{PREFIX}period_number = 0",
    "Population.Variable": f"{PREFIX}variable_status <> 'usable'",
}


def _recorded(names: Mapping[str, str]) -> dict[str, str]:
    """Return columns of a population of networks, with what stands beside each, as recorded."""
    return {
        name if name == "population_name" else f"{PREFIX}{name}": text
        for name, text in names.items()
        if name not in OF_WEIGHTS
    }


def _in_hertz(heading: str) -> str:
    """Return a heading with the units of recordings: rates are in Hz, times in bins."""
    units = {"mean rate": "mean rate (Hz)", "mean r²": "mean r² (Hz²)"}
    return units.get(heading, heading.replace("step", "bin"))


def _of_recordings(grid: Grid) -> Grid:
    table = _PARTS[grid.title]
    columns = {n: _in_hertz(text) for n, text in _recorded(grid.columns).items()}
    asked = _ONLY.get(grid.title)
    query = None if asked is None else only(table, asked)
    return replace(grid, table=table, columns=columns, usual=_recorded(grid.usual), query=query)


def _draw(rows: Tables) -> Figure:
    """Draw a recorded population as `RecordedPopulation.plot` does, as far as rows keep it."""
    tables = {
        title.removeprefix("Recorded"): rows_of_networks(of_table)
        for title, of_table in rows.items()
    }
    return models.plot_population(population_from_rows(tables))


assert POPULATION.drawing is not None
_NEEDS = {
    _PARTS[table.__qualname__]: tuple(_recorded(dict.fromkeys(columns, "")))
    for table, columns in POPULATION.drawing.needs.items()
}
RECORDED_POPULATION = Section(
    "recorded_population",
    "Population",
    tuple(map(_of_recordings, POPULATION.grids)),
    settings={"population_name": DEFAULT},
    drawing=Drawing(
        "Dimensions, rates and selectivity of the recorded units",
        ("recording_name", "population_name"),
        _NEEDS,
        _draw,
    ),
)
