"""Interventions in trained networks: what breaks when something is taken away or added."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import datajoint as dj
import numpy as np

import models
from models.populations.interventions import without_target
from models.populations.settings import InterventionSettings, named_cluster

from ..database import schemas
from ..database.types import Query
from .clusters import Clusters
from .fixed_points import FixedPoints
from .left_out import Analysis
from .line_attractors import LineAttractor
from .one_row import one_key
from .parameters import columns, stored
from .performance import VALIDATION_SEED, fetch_network, finished_networks
from .rows import Row
from .settings import CheckedSettings, prefixed
from .subspaces import Subspaces
from .training import Training  # noqa: F401  (the definition names it)

if TYPE_CHECKING:
    from matplotlib.figure import Figure

CLUSTER = "cluster"
# Where a target is looked up. All others follow from the network.
SOURCES: dict[str, type[Any]] = {
    "selection_vector": LineAttractor,
    "fixed_point": FixedPoints,
    "regressor": Subspaces,
    CLUSTER: Clusters,
}


@schemas.dynamics
class InterventionParams(CheckedSettings):
    config = InterventionSettings
    renamed = prefixed(config, "intervention")

    definition = f"""
    # what is done to networks, and how strongly
    intervention_name : varchar(64)  # readable name
    ---
    {columns(config, (), renamed)}
    """

    contents = ({"intervention_name": "silence_ranked", **stored(config(), (), renamed)},)


@schemas.dynamics
class Intervention(Analysis):
    has_constant_keys = False  # settings name ways of clustering

    definition = """
    # what a network still does under an intervention of growing strength
    -> Training.Network
    -> InterventionParams
    ---
    intervention_status : varchar(16)   # analysed, no_target, silent, constant, not_finite (docs)
    intervention_reason : varchar(255)  # why there are no scores; empty: there are
    intervention_trials : int32         # trials run
    untouched_r2=null       : float64   # R^2 without it; null: targets do not vary
    untouched_accuracy=null : float64   # fraction of right choices; null: no choices
    untouched_mse=null      : float64   # masked mean squared error
    intervention_vector=null : <blob>   # direction in states that was looked up (N,)
    """

    class Score(dj.Part):
        definition = """
        # one strength, beside its matched random controls
        -> master
        level : int32  # ascending with the strength
        ---
        intervention_strength     : float64  # what it is says the kind of intervention (docs)
        units_touched             : int32    # units that it acts on
        touched_r2=null           : float64  # R^2; null: targets do not vary, or states overflow
        touched_accuracy=null     : float64  # fraction of right choices
        touched_mse=null          : float64  # masked mean squared error
        choice_changed=null       : float64  # share of trials with another choice than untouched
        trajectory_change=null    : float64  # distance of states, over their own deviation
        output_change=null        : float64  # distance of outputs, over their own deviation
        n_controls                : int32    # controls that have measures
        control_r2=null           : float64  # mean over controls, as all of the following
        control_r2_std=null       : float64  # standard deviation over controls
        control_accuracy=null     : float64  # mean
        control_accuracy_std=null : float64  # standard deviation
        control_choice_changed=null    : float64  # mean
        control_trajectory_change=null : float64  # mean
        control_output_change=null     : float64  # mean
        r2_p=null                 : float64  # share of controls with no higher R^2
        accuracy_p=null           : float64  # share of controls with no higher accuracy
        choice_changed_p=null     : float64  # share of controls with no fewer changed choices
        trajectory_p=null         : float64  # share of controls with no smaller change
        """

    class TaskScore(dj.Part):
        definition = """
        # one strength, scored on the trials of one task of a mixture
        -> Intervention.Score
        scored_task : varchar(32)  # name of the task in the mixture
        ---
        task_untouched_r2=null       : float64  # without the intervention; null: does not vary
        task_untouched_accuracy=null : float64  # fraction of right choices; null: no choices
        task_untouched_mse=null      : float64  # masked mean squared error
        task_touched_r2=null         : float64  # with it; null also: states overflow
        task_touched_accuracy=null   : float64  # fraction of right choices
        task_touched_mse=null        : float64  # masked mean squared error
        task_choice_changed=null     : float64  # share of trials with another choice
        task_control_r2=null         : float64  # mean over matched random controls
        task_control_accuracy=null   : float64  # mean
        task_control_mse=null        : float64  # mean
        task_r2_p=null               : float64  # share of controls with no higher R^2
        task_accuracy_p=null         : float64  # share of controls with no higher accuracy
        task_mse_p=null              : float64  # share of controls with no smaller error
        """

    @property
    def all_keys(self) -> Query:
        """Finished networks with every intervention whose target is known of them."""
        wanted = finished_networks().proj() * InterventionParams.proj()
        column = InterventionParams.renamed["target"]
        found = ", ".join(f"'{name}'" for name in SOURCES)
        own = (InterventionParams & f"{column} not in ({found})").proj()
        looked_up = [
            (InterventionParams & {column: name}).proj() * finished_networks().proj()
            & table.proj()
            for name, table in SOURCES.items()
            if name != CLUSTER
        ]  # fmt: skip
        for way, names in _ways_of_clustering().items():
            clusters = Clusters & ({"cluster_name": way} if way else {})
            sets = InterventionParams & [{"intervention_name": name} for name in names]
            looked_up.append(sets.proj() * finished_networks().proj() & clusters.proj())
        return wanted & [own, *looked_up]

    def make(self, key: dict[str, Any]) -> None:
        """Intervene in one network."""
        found, vector = self._analyse(key)
        self.insert1(
            {
                **key,
                "intervention_status": found.status,
                "intervention_reason": found.reason,
                "intervention_trials": found.n_trials,
                **{f"untouched_{n}": found.untouched.get(n) for n in ("r2", "accuracy", "mse")},
                "intervention_vector": vector,
            }
        )
        self.Score.insert(
            {**key, "level": number, **_score_row(score)}
            for number, score in enumerate(found.scores)
        )
        self.TaskScore.insert(
            {
                **key,
                "level": number,
                "scored_task": name,
                **_task_row(found.untouched_by_component[name], one),
            }
            for number, score in enumerate(found.scores)
            for name, one in score.by_component.items()
        )

    def plot(self) -> Figure:
        """Draw the intervention of the one row that this query selects."""
        return models.plot_intervention(self._analyse(one_key(self))[0])

    def _analyse(self, key: dict[str, Any]) -> tuple[models.InterventionCurve, Any]:
        rnn, task = fetch_network(key)
        settings = InterventionParams.build((InterventionParams & key).fetch1())
        vector, units = None, None
        known = ("", *task.output_names)
        if settings.target == "readout" and settings.target_of not in known:
            # It may be one of another task: what is done is done to networks of all tasks.
            return without_target(settings), None
        if settings.target == CLUSTER:
            units = _members(key, settings)
        elif settings.target in SOURCES:
            vector = _vector(key, settings)
        found = models.intervene(
            rnn, task, settings, vector=vector, units=units, seed=VALIDATION_SEED
        )
        return found, vector


def _ways_of_clustering() -> dict[str, list[str]]:
    """Return the ways of clustering that interventions name, "" for any -> those that do."""
    target, of = (InterventionParams.renamed[name] for name in ("target", "target_of"))
    found: dict[str, list[str]] = {}
    for row in (InterventionParams & {target: CLUSTER}).proj(of).to_dicts():
        found.setdefault(named_cluster(row[of])[0], []).append(row["intervention_name"])
    return found


def _members(key: dict[str, Any], settings: InterventionSettings) -> list[int]:
    """Return the units of a cluster: of the way that is named, else of the first that has it."""
    way, number = named_cluster(settings.target_of)
    wanted = Clusters.Cluster & key & f"cluster = {int(number)}"
    if way:
        wanted &= {"cluster_name": way}
    rows = wanted.proj().to_dicts(order_by="KEY", limit=1)
    if not rows:
        return []
    return [int(unit) for unit in (Clusters.Member & rows[0]).to_arrays("unit", order_by="unit")]


def _vector(key: dict[str, Any], settings: InterventionSettings) -> Any:
    """Return the direction in states (N,) that a row of another table names; None: none does."""
    of = settings.target_of
    if settings.target == "selection_vector":
        lines = LineAttractor.Context & key & ({"line_context": of} if of else {})
        for line in lines.to_dicts(order_by="line_context desc"):  # motion first
            eigenvalues = np.asarray(line["line_eigenvalues"])[:, 0]
            middle = len(eigenvalues) // 2
            if eigenvalues[middle].imag == 0:  # one of a pair has no single vector
                return np.asarray(line["selection_vectors"])[middle].real
        return None
    if settings.target == "fixed_point":
        points = FixedPoints.Point & key & ({"input_name": of} if of else {})
        # Of all points that with the fastest growth, or the slowest decay.
        rows = points.proj("direction", "max_eigenvalue").to_dicts(
            order_by=["max_eigenvalue desc", "KEY"], limit=1
        )
        return np.asarray(rows[0]["direction"]) if rows else None
    axes = Subspaces.Regressor & key & ({"regressor": of} if of else {})
    rows = (axes & "regressor_dimension > 0").to_dicts(order_by="KEY", limit=1)
    if not rows:
        return None
    scale = (Subspaces & {n: rows[0][n] for n in Subspaces.primary_key}).fetch1("rate_scale")
    return rows[0]["regressor_axes"][0] * scale


def _score_row(score: models.InterventionScore) -> dict[str, Any]:
    measures = score.measures
    return {
        "intervention_strength": score.strength,
        "units_touched": score.n_units,
        **{f"touched_{name}": measures[name] for name in ("r2", "accuracy", "mse")},
        **{
            name: measures[name]
            for name in ("choice_changed", "trajectory_change", "output_change")
        },
        "n_controls": len(score.controls["mse"]),
        **{
            f"control_{name}": score.control_mean(name)
            for name in (
                "r2", "accuracy", "choice_changed", "trajectory_change", "output_change",
            )
        },
        **{f"control_{name}_std": score.control_std(name) for name in ("r2", "accuracy")},
        "r2_p": score.p("r2"),
        "accuracy_p": score.p("accuracy"),
        "choice_changed_p": score.p("choice_changed"),
        "trajectory_p": score.p("trajectory_change"),
    }  # fmt: skip


def _task_row(
    untouched: dict[str, float | None], score: models.InterventionScore
) -> dict[str, Any]:
    scores = ("r2", "accuracy", "mse")
    return {
        **{f"task_untouched_{name}": untouched[name] for name in scores},
        **{f"task_touched_{name}": score.measures[name] for name in scores},
        "task_choice_changed": score.measures["choice_changed"],
        **{f"task_control_{name}": score.control_mean(name) for name in scores},
        **{f"task_{name}_p": score.p(name) for name in scores},
    }


def intervention_from_rows(tables: Mapping[str, Sequence[Row]]) -> models.InterventionCurve:
    """Return an intervention as its rows have it, for its figure.

    Rows keep means of controls, and of scores their standard deviation s: there are two controls
    here, at the mean - s and at the mean + s.

    Parameters
    ----------
    tables : mapping of str to sequence of dict
        "Intervention", "Intervention.Score" and "InterventionParams" -> rows of one key, in the
        order of their keys.
    """
    (row,), (settings,) = tables["Intervention"], tables["InterventionParams"]
    scores = ("r2", "accuracy", "mse")
    changes = ("choice_changed", "trajectory_change", "output_change")

    def controls(one: Row, name: str) -> Any:
        mean = one.get(f"control_{name}")  # none of mse
        if mean is None:
            return np.empty(0)
        spread = one.get(f"control_{name}_std") or 0.0
        return np.array([mean - spread, mean + spread])

    curve = [
        models.InterventionScore(
            strength=one["intervention_strength"],
            n_units=one["units_touched"],
            measures={**{name: one[f"touched_{name}"] for name in scores},
                      **{name: one[name] for name in changes}},
            controls={name: controls(one, name) for name in (*scores, *changes)},
        )
        for one in tables["Intervention.Score"]
    ]  # fmt: skip
    return models.InterventionCurve(
        status=row["intervention_status"],
        reason=row["intervention_reason"],
        n_trials=row["intervention_trials"],
        settings=InterventionParams.build(settings),
        untouched={name: row[f"untouched_{name}"] for name in scores},
        scores=curve,
    )
