"""What a report shows of interventions."""

from __future__ import annotations

from typing import TYPE_CHECKING

import models

from ...tables.interventions import Intervention, InterventionParams, intervention_from_rows
from .base import Drawing, Grid, Number, Section, Tables
from .queries import ANALYSED, LAST, SETTINGS, STATUS, WHY, ends

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def _draw(rows: Tables) -> Figure:
    """Draw an intervention as `Intervention.plot` does; of controls rows have means and spreads."""
    return models.plot_intervention(intervention_from_rows(rows))


INTERVENTION = Section(
    "intervention",
    "Interventions",
    (
        Grid(
            Intervention,
            {
                "intervention_name": SETTINGS, "intervention_kind": "what is done",
                "intervention_target": "to", "intervention_status": STATUS,
                "intervention_reason": WHY, "intervention_trials": "trials",
                "untouched_r2": "R² untouched", "untouched_accuracy": "accuracy",
                "untouched_mse": "error (MSE)",
            },
            usual={"intervention_status": ANALYSED, "intervention_target": "none"},
            words=("intervention_kind", "intervention_target"),
            query=lambda selection: (
                selection.of_table(Intervention)
                * InterventionParams.proj("intervention_kind", "intervention_target")
            ),
        ),
        Grid(
            Intervention.Score,
            {
                "intervention_strength": "strength",
                "units_touched": "units", "touched_r2": "R²", "control_r2": "R² of controls",
                "r2_p": "p", "touched_accuracy": "accuracy",
                "control_accuracy": "of controls", "accuracy_p": "p",
                "choice_changed": "choices changed",
                "control_choice_changed": "of controls",
                "trajectory_change": "trajectory change",
                "control_trajectory_change": "of controls",
            },
            "By strength, beside random controls of the same strength",
        ),
        Grid(
            Intervention.TaskScore,
            {
                "scored_task": "task",
                "task_untouched_r2": "R² untouched", "task_touched_r2": "R²",
                "task_control_r2": "R² of controls", "task_r2_p": "p",
                "task_untouched_accuracy": "accuracy untouched",
                "task_touched_accuracy": "accuracy",
                "task_control_accuracy": "of controls", "task_accuracy_p": "p",
            },
            "By task of the mixture, at the largest strength",
            query=ends(Intervention.TaskScore, "level", LAST),
        ),
    ),
    (
        Number("touched", "R² at the largest strength of the intervention",
               "Intervention.Score", "touched_r2", combine=lambda values: values[-1]),
    ),
    {"intervention_name": "silence_ranked"},
    Drawing(
        "Scores and changes by strength; grey: mean of the random controls, and of R² and "
        "accuracy their standard deviation around it",
        ("intervention_name",),
        {
            Intervention: ("intervention_status", "intervention_reason",
                           "intervention_trials", "untouched_r2", "untouched_accuracy",
                           "untouched_mse"),
            Intervention.Score: ("intervention_strength", "units_touched", "touched_r2",
                                 "touched_accuracy", "touched_mse", "choice_changed",
                                 "trajectory_change", "output_change", "control_r2",
                                 "control_r2_std", "control_accuracy", "control_accuracy_std",
                                 "control_choice_changed", "control_trajectory_change",
                                 "control_output_change"),
            InterventionParams: (...,),
        },
        _draw,
        when=lambda row: row["intervention_status"] == ANALYSED,
    ),
)  # fmt: skip
