"""Rows of what a population does: of a network, and of recorded units."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

import models

from .fixed_points import finite_or_null
from .rows import Row

if TYPE_CHECKING:
    from models.populations.recurrent_weights import RecurrentWeights

CELL_TYPES = {1: "excitatory", -1: "inhibitory", 0: None}


def activity_row(found: models.PopulationAnalysis) -> Row:
    """Return the columns of `Population` without those of the weights."""
    n_silent = None if found.units is None else int(found.units.silent.sum())
    return {
        "population_status": found.status,
        "population_reason": found.reason,
        "population_trials": found.n_trials,
        "n_active": None if found.units is None else len(found.units.silent) - (n_silent or 0),
        "n_silent": n_silent,
    }


def part_rows(found: models.PopulationAnalysis) -> dict[str, list[Row]]:
    """Return the rows of each part of `Population`, without its key; none where units overflow."""
    if found.units is None:
        return {}
    n_units = len(found.units.silent)
    weights = found.weights
    types = np.zeros(n_units, np.int64) if weights is None else weights.cell_types
    variables = [
        {
            "variable_name": variable.name,
            "variable_status": variable.status,
            "variable_groups": variable.n_groups,
        }
        for variable in found.variables
    ]
    # Each after those that it refers to.
    return {
        "Unit": list(_unit_rows(found.units, types)),
        "Group": [_group_row(group) for group in found.groups],
        "Period": list(_period_rows(found)),
        "Variable": variables,
        "Coding": list(_coding_rows(found)),
        "Selectivity": list(_selectivity_rows(found)),
    }


def _unit_rows(units: models.UnitActivity, cell_types: Any) -> Iterator[Row]:
    for i in range(len(units.silent)):
        yield {
            "unit": i,
            "is_silent": bool(units.silent[i]),
            "cell_type": CELL_TYPES[int(cell_types[i])],
            "unit_mean_rate": float(units.mean_rate[i]),
            "unit_largest_rate": float(units.largest[i]),
            "unit_participation": float(units.participation[i]),
            "unit_energy": float(units.energy[i]),
            "within_trial_std": float(units.within_trial[i]),
            "between_trials_std": float(units.between_trials[i]),
        }


def _group_row(group: models.UnitGroup) -> Row:
    return {
        "unit_group": group.name,
        "group_units": int(group.units.sum()),
        "group_mean_rate": group.mean_rate,
        "group_energy": group.energy,
        "sigma_log_rate": group.sigma_log_rate,
        "energy_gini": group.energy_gini,
        "energy_top_share": group.energy_top_share,
        "group_participation_ratio": group.dimensions.participation_ratio,
        "group_components_90": group.dimensions.n_components(0.9),
        "weight_to_excitatory": group.mean_weights.get("excitatory"),
        "weight_to_inhibitory": group.mean_weights.get("inhibitory"),
    }


def _period_rows(found: models.PopulationAnalysis) -> Iterator[Row]:
    for number, (period, dimensions) in enumerate(found.periods):
        measured = dimensions.participation_ratio is not None
        yield {
            "period_number": number,
            "period_name": period.name,
            "period_on": period.on,
            "period_off": period.off,
            "period_inputs": ", ".join(period.inputs)[:1000],
            "period_asked": period.asked,
            "dimension_status": dimensions.status,
            "participation_ratio": dimensions.participation_ratio,
            **{f"components_{s}": dimensions.n_components(s / 100) for s in (80, 90, 95)},
            "cumulative_variance": dimensions.cumulative if measured else None,
        }


def _coding_rows(found: models.PopulationAnalysis) -> Iterator[Row]:
    assert found.units is not None
    everyone = np.ones(len(found.units.silent), np.bool_)
    number_of = {period.name: number for number, (period, _) in enumerate(found.periods)}
    for one in found.selectivity:
        row: Row = {
            "variable_name": one.variable,
            "period_number": number_of[one.period],
        }
        for which, among in (("all", everyone), ("active", ~found.units.silent)):
            summary = one.summary(among)
            row["n_differing" + ("_active" if which == "active" else "")] = summary["n"]
            row[f"mean_eta_{which}"] = summary["eta"]
            row[f"mean_chance_{which}"] = summary["chance"]
            row[f"selective_{which}"] = summary["selective"]
        yield row


def _selectivity_rows(found: models.PopulationAnalysis) -> Iterator[Row]:
    for variable in found.variables:
        measured = found.selectivity_of(variable.name)
        if not measured:
            continue
        whole, *parts = measured
        each = np.stack([one.eta_squared for one in (parts or [whole])])
        known = np.isfinite(each)
        best = np.where(known, each, -1.0).argmax(axis=0)
        for i in range(each.shape[1]):
            there = bool(known[:, i].any())
            yield {
                "unit": i,
                "variable_name": variable.name,
                "eta_squared": finite_or_null(whole.eta_squared[i]),
                "eta_chance": finite_or_null(whole.chance[i]),
                "eta_p": finite_or_null(whole.p[i]),
                "eta_best": float(each[best[i], i]) if there else None,
                "best_period": int(best[i]) + bool(parts) if there else None,
            }


def population_from_rows(tables: Mapping[str, Sequence[Row]]) -> models.PopulationAnalysis:
    """Return a population as its rows have it, for its figure.

    Rows keep neither mean |r| of units (NaN here) nor eta squared of each unit in each period: all
    units have the mean.

    Parameters
    ----------
    tables : mapping of str to sequence of dict
        "Population", "Population.Unit", ... -> rows of one key, in the order of their keys. Those
        of recorded units have no columns of weights.
    """
    from models.populations.periods import TrialPeriod
    from models.populations.selectivity import UnitSelectivity

    (row,), units = tables["Population"], tables["Population.Unit"]
    weights = _weights_from_rows(row, units) if "w_rec_radius" in row else None
    status, reason = row["population_status"], row["population_reason"]
    n_trials = row["population_trials"]
    if not units:
        return models.PopulationAnalysis(status, reason, n_trials, weights)

    def of_units(name: str) -> NDArray[np.float64]:
        return np.array([unit[name] for unit in units], np.float64)

    activity = models.UnitActivity(
        mean_rate=of_units("unit_mean_rate"),
        mean_magnitude=np.full(len(units), np.nan),
        largest=of_units("unit_largest_rate"),
        participation=of_units("unit_participation"),
        silent=np.array([unit["is_silent"] for unit in units], np.bool_),
        energy=of_units("unit_energy"),
        within_trial=of_units("within_trial_std"),
        between_trials=of_units("between_trials_std"),
    )
    periods, names, nowhere = [], {}, np.zeros((0, 0), np.bool_)
    for one in tables["Population.Period"]:
        cumulative, ratio = one["cumulative_variance"], one["participation_ratio"]
        values = np.empty(0) if cumulative is None else np.asarray(cumulative)
        period = TrialPeriod(one["period_name"], nowhere, (), one["period_asked"])
        periods.append((period, models.Dimensionality(one["dimension_status"], ratio, values)))
        names[one["period_number"]] = one["period_name"]
    selectivity = [
        UnitSelectivity(
            one["variable_name"],
            names[one["period_number"]],
            *(
                np.full(len(units), np.nan if value is None else value)
                for value in (one["mean_eta_all"], one["mean_chance_all"], one["mean_chance_all"])
            ),
        )
        for one in tables["Population.Coding"]
    ]
    return models.PopulationAnalysis(
        status, reason, n_trials, weights, activity, periods=periods, selectivity=selectivity
    )


def _weights_from_rows(row: Row, units: Sequence[Row]) -> RecurrentWeights:
    from models.populations.recurrent_weights import RecurrentWeights

    signs = {name: sign for sign, name in CELL_TYPES.items()}
    return RecurrentWeights(
        spectral_radius=row["w_rec_radius"],
        spectral_abscissa=row["w_rec_abscissa"],
        singular_values=np.asarray(row["w_rec_singular_values"]),
        effective_rank=row["w_rec_rank"],
        change_singular_values=row["w_rec_change_singular_values"],
        change_effective_rank=row["w_rec_change_rank"],
        change_norm=row["w_rec_change"],
        cell_types=np.array([signs[unit["cell_type"]] for unit in units], np.int64),
    )
