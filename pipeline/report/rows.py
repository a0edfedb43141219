"""The rows that a report shows: whole tables of a selection, in a fixed number of queries."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ..database.schemas import title_of
from ..database.types import Query
from ..tables.continuous_attractors import ContinuousAttractorPlot
from ..tables.fixed_point_plots import FixedPointPlot
from ..tables.fixed_points import FixedPoints
from ..tables.keys import Key, cohort_key, network_key
from ..tables.left_out import LeftOut, not_wanted
from ..tables.line_attractors import LineAttractor
from ..tables.linearization import Linearization
from ..tables.network import NetworkParams
from ..tables.performance import Psychometric, TrialPlot, Validation
from ..tables.selections import Selection
from ..tables.task import Task
from ..tables.training import Cohort, Training
from ..tables.training_params import TrainingParams
from ..workers.failures import failures
from .analyses import ANALYSES

Row = dict[str, Any]

MOST_KINDS = 12  # of trials, for which scores are shown one by one
TERM_CURVES = ("term_curve", "gradient_curve")
# What tables say of a network, in single values; arrays stay in the store. What is shown of
# analyses is in `ANALYSES`.
VALUES: dict[str, tuple[type[Any], tuple[str, ...]]] = {
    "source": (Training.Source, ("file", "format", "sha256", "notes")),
    "terms": (Training.Term, ("term_weight", "final_loss", "final_gradient", *TERM_CURVES)),
    "scores": (
        Validation,
        ("r2_pooled", "r2_trial_mean", "mse", "accuracy", "n_choice_trials", "n_trials"),
    ),
    "fits": (Psychometric.Fit, (
        "fit_status", "bias", "bias_error", "indifference", "indifference_error",
        "slope", "slope_error", "slope_bound", "lapse_low", "lapse_high",
    )),
    "sets": (
        FixedPoints,
        ("search_status", "message", "n_points", "n_stable", "n_marginal", "n_unstable"),
    ),
    "points": (
        FixedPoints.Point,
        (
            "stability", "map_stability", "n_unstable_modes", "max_eigenvalue", "time_constant",
            "residual",
        ),
    ),
    "linearizations": (Linearization.Point, ("leading_frequency", "henrici")),
}  # fmt: skip

# Of each table the kind of its figures in names of files, and its columns that hold them, with what
# is added to the name.
FIGURES: dict[type[Any], tuple[str, dict[str, tuple[str, ...]]]] = {
    TrialPlot: ("trials", {"figure": ()}),
    Psychometric: ("psychometric", {"curves_figure": ()}),
    FixedPointPlot: ("fixed_points", {"figure_2d": (), "figure_3d": ("3d",)}),
    LineAttractor: ("line_attractors", {"line_figure": ()}),
    ContinuousAttractorPlot: ("continuous_attractors", {"manifold_figure": ()}),
}

NETWORK_COLUMNS = (
    "status", "iterations_done", "loss", "r2", "stopped_by", "loss_curve", "score_curve",
)  # fmt: skip
COHORT_COLUMNS = (
    "device", "iterations", "seconds", "code_version", "code_dirty", "python_version",
    "torch_version", "numpy_version", "trained_at",
)  # fmt: skip


@dataclass
class NetworkRows:
    """What the tables hold of one network.

    Attributes
    ----------
    row : dict
        Its key and the single values of `Training.Network`; curves are references.
    tables : dict of str to list of dict
        Rows of the tables of `VALUES`, by their name there, and of those of `ANALYSES`, by the
        title of their grid, in the order of their keys.
    figures : list of (table, row)
        Rows of the tables of `FIGURES`.
    due : list of str
        Titles of the analyses of which it has rows that are still to be made.
    failed : list of str
        Titles of those whose job has failed, with the error.
    """

    row: Row
    tables: dict[str, list[Row]] = field(default_factory=lambda: defaultdict(list))
    figures: list[tuple[type[Any], Row]] = field(default_factory=list)
    due: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)


@dataclass
class CohortRows:
    """What the tables hold of one cohort.

    Attributes
    ----------
    row : dict
        Its key, its number of networks and its origin.
    training : dict or None
        The row of `Training`, None before it was trained.
    task, network, parameters : dict
        Rows of `Task`, `NetworkParams` and `TrainingParams`.
    penalties : list of dict
        Rows of `TrainingParams.Penalty`.
    source : dict or None
        The file that an imported network came from.
    networks : list of NetworkRows
    without : list of str
        Names of the tables that it does without.
    failure : str
        What its training failed with; empty where it did not.
    """

    row: Row
    training: Row | None
    task: Row
    network: Row
    parameters: Row
    penalties: list[Row]
    source: Row | None = None
    networks: list[NetworkRows] = field(default_factory=list)
    without: list[str] = field(default_factory=list)
    failure: str = ""


def fetch_cohorts(restriction: Selection | Mapping[str, Any] | None = None) -> list[CohortRows]:
    """Return what the tables hold of the cohorts of a selection, in the order of their keys.

    The number of queries does not depend on how many there are.

    Parameters
    ----------
    restriction : Selection or mapping, optional
        Cohorts of which only some networks belong to it have only these.
    """
    selection = Selection.of(restriction)

    def rows(table: type[Any], *columns: str) -> list[Row]:
        query: Query = selection.of_table(table)
        if columns:
            query = query.proj(*columns)
        return query.to_dicts(order_by="KEY")

    computed = {s.table: s for s in ANALYSES if s.is_computed}
    due = {
        s.title: [network_key(r) for r in s.due(selection).to_dicts()] for s in computed.values()
    }
    # Parents after children: of what is inserted meanwhile no child comes without its parent.
    values: dict[str, list[Row]]
    values = {name: rows(table, *columns) for name, (table, columns) in VALUES.items()}
    values["kinds"] = _few_kinds(selection)
    for section in ANALYSES:
        for grid in reversed(section.grids):
            values[grid.title] = grid.fetch(selection)
    figures = {table: rows(table, *columns) for table, (_, columns) in FIGURES.items()}
    networks = {network_key(r): NetworkRows(r) for r in rows(Training.Network, *NETWORK_COLUMNS)}
    trainings = {cohort_key(r): r for r in rows(Training, *COHORT_COLUMNS)}
    without = not_wanted(selection.restriction(LeftOut))
    failed: dict[Key, str] = {}
    titles = {title_of(table): section.title for table, section in computed.items()}
    late = [table for table, section in computed.items() if due[section.title]]
    for failure in failures(selection, [Training, *late]):
        said = f"{failure.error}: {failure.message}"
        if failure.table in titles:
            of_network = networks.get(network_key(failure.key))
            if of_network is not None:
                of_network.failed.append(f"{titles[failure.table]} ({said})")
        else:
            failed[cohort_key(failure.key)] = said
    cohorts = rows(Cohort)
    tasks = {r["task_name"]: r for r in rows(Task)}
    structures = {r["network_name"]: r for r in rows(NetworkParams)}
    settings = {r["training_name"]: r for r in rows(TrainingParams)}
    penalties: dict[str, list[Row]] = defaultdict(list)
    for row in rows(TrainingParams.Penalty):
        penalties[row["training_name"]].append(row)

    sources = {cohort_key(r): r for r in values.pop("source")}
    for name, of_table in values.items():
        for row in of_table:
            if (key := network_key(row)) in networks:  # else it was deleted meanwhile
                networks[key].tables[name].append(row)
    for title, keys in due.items():
        for key in keys:
            if key in networks:
                networks[key].due.append(title)
    for table, of_table in figures.items():
        for row in of_table:
            if (key := network_key(row)) in networks:
                networks[key].figures.append((table, row))
    found: dict[Key, CohortRows] = {}
    for row in cohorts:
        key = cohort_key(row)
        task, network = tasks.get(row["task_name"]), structures.get(row["network_name"])
        parameters = settings.get(row["training_name"])
        if task is not None and network is not None and parameters is not None:
            found[key] = CohortRows(
                row, trainings.get(key), task, network, parameters,
                penalties[row["training_name"]], sources.get(key),
                without=sorted(without.get(key, ())), failure=failed.get(key, ""),
            )  # fmt: skip
    for key, one in networks.items():
        if key[:-1] in found:
            found[key[:-1]].networks.append(one)
    return list(found.values())


def _few_kinds(selection: Selection) -> list[Row]:
    """Return noise-free scores by condition, of networks whose trials are of a few kinds."""
    noise_free = selection.of_table(Validation) & {"validation_name": "noise_free"}
    counts = noise_free.aggr(Validation.Condition, n_kinds="count(*)")
    few = counts & f"n_kinds between 2 and {MOST_KINDS}"
    return list((Validation.Condition & few.proj()).to_dicts(order_by="KEY"))
