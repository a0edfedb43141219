"""What a report shows of populations."""

from __future__ import annotations

from typing import TYPE_CHECKING

import models

from ...tables.population_rows import population_from_rows
from ...tables.populations import Population
from .base import Drawing, Grid, Number, Row, Section, Tables
from .queries import ANALYSED, DEFAULT, SETTINGS, STATUS, WHY, only

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def _silent_share(row: Row) -> float | None:
    """Return the share of the units that are silent."""
    silent = row["n_silent"]
    return None if silent is None else silent / (silent + row["n_active"])


def _draw(rows: Tables) -> Figure:
    """Draw a population as `Population.plot` does; of |r| rows have the root mean square alone."""
    return models.plot_population(population_from_rows(rows))


POPULATION = Section(
    "population",
    "Population",
    (
        Grid(
            Population,
            {
                "population_name": SETTINGS, "population_status": STATUS,
                "population_reason": WHY, "population_trials": "trials",
                "n_active": "active units", "n_silent": "silent units",
                "w_rec_radius": "W_rec: spectral radius", "w_rec_abscissa": "max Re λ",
                "w_rec_rank": "effective rank", "w_rec_change": "relative change",
                "w_rec_change_rank": "rank of the change",
                "obeys_dale": "Dale's law",
            },
            usual={"population_status": ANALYSED},
        ),
        Grid(
            Population.Group,
            {
                "unit_group": "units", "group_units": "number",
                "group_mean_rate": "mean rate", "group_energy": "mean r²",
                "sigma_log_rate": "s.d. of ln |rate|", "energy_gini": "Gini of energy",
                "energy_top_share": "energy in the top tenth",
                "group_participation_ratio": "participation ratio",
                "group_components_90": "components for 90 %",
                "weight_to_excitatory": "mean weight to E", "weight_to_inhibitory": "to I",
            },
            "Groups of units",
        ),
        Grid(
            Population.Period,
            {
                "period_name": "period", "period_on": "from step", "period_off": "to step",
                "period_inputs": "inputs", "dimension_status": STATUS,
                "participation_ratio": "participation ratio",
                "components_90": "components for 90 %", "components_95": "for 95 %",
            },
            "Dimensions of rates, by period of the trial",
            usual={"dimension_status": "measured"},
        ),
        Grid(
            Population.Coding,
            {
                "variable_name": "variable", "n_differing": "units that differ",
                "selective_all": "share that is selective", "mean_eta_all": "mean η²",
                "mean_chance_all": "by chance", "selective_active": "share of active units",
                "mean_eta_active": "their mean η²", "mean_chance_active": "by chance",
            },
            "Selectivity over the whole trial",
            query=only(Population.Coding, "period_number = 0"),
        ),
        Grid(
            Population.Variable,
            {"variable_name": "variable", "variable_status": STATUS},
            "Variables without selectivity",
            query=only(Population.Variable, "variable_status <> 'usable'"),
        ),
    ),
    (
        Number("pr", "participation ratio of rates", "Population.Period",
               "participation_ratio", "PR", where={"period_number": 0}),
        Number("silent", "share of silent units", "Population", _silent_share, "silent share"),
        Number("rank", "effective rank of W_rec", "Population", "w_rec_rank"),
        Number("change", "change of W_rec, relative", "Population", "w_rec_change"),
    ),
    {"population_name": DEFAULT},
    Drawing(
        "Dimensions, rates and selectivity of the units, and singular values of W_rec",
        ("population_name",),
        {
            Population: ("population_status", "population_reason", "population_trials",
                         "w_rec_radius", "w_rec_abscissa", "w_rec_rank", "w_rec_change",
                         "w_rec_change_rank", "w_rec_singular_values",
                         "w_rec_change_singular_values"),
            Population.Unit: ("is_silent", "cell_type", "unit_mean_rate", "unit_largest_rate",
                              "unit_participation", "unit_energy", "within_trial_std",
                              "between_trials_std"),
            Population.Period: ("period_name", "period_asked", "dimension_status",
                                "participation_ratio", "cumulative_variance"),
            Population.Coding: ("mean_eta_all", "mean_chance_all"),
        },
        _draw,
    ),
)  # fmt: skip
