"""What a report shows of regression subspaces, decoders and selection vectors."""

from __future__ import annotations

from typing import TYPE_CHECKING

import datajoint as dj

import models

from ...database.types import Query
from ...tables.selections import Selection
from ...tables.subspaces import SelectionAngle, Subspaces, subspaces_from_rows
from ...tables.task import Task
from .base import Drawing, Grid, Number, Section, Tables
from .queries import ANALYSED, DEFAULT, SETTINGS, STATUS, WHY, only

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def _decoders(selection: Selection) -> Query:
    """Return the decoders of the last bin of a trial, with the best score of all bins.

    No means over bins: a server may add in another order each time, and pages would differ.
    """
    bins = selection.of_table(Subspaces.Decoder) & "train_bin = test_bin"
    variable = [name for name in bins.primary_key if name not in ("train_bin", "test_bin")]
    best = dj.U(*variable).aggr(bins, best_score="max(decoder_score)", last_one="max(test_bin)")
    return (bins * best) & "test_bin = last_one"


def _draw(rows: Tables) -> Figure:
    """Draw subspaces as `Subspaces.plot` does."""
    return models.plot_subspaces(subspaces_from_rows(rows))


SUBSPACES = Section(
    "subspaces",
    "Regression subspaces and decoders",
    (
        Grid(
            Subspaces,
            {
                "subspace_name": SETTINGS, "subspace_status": STATUS, "subspace_reason": WHY,
                "subspace_trials": "trials", "subspace_components": "components kept",
                "subspace_components_share": "their share of variance",
            },
            usual={"subspace_status": ANALYSED},
        ),
        Grid(
            Subspaces.Regressor,
            {
                "regressor": "variable", "regressor_status": STATUS,
                "regressor_dimension": "dimension", "peak_step": "longest at step",
                "peak_norm": "length then (s.d. of rates)", "unique_share": "variance explained",
                "decoder_kind": "decoder of", "decoder_status": "decoder",
            },
            "Variables",
            usual={"regressor_status": "fitted", "decoder_status": "trained"},
        ),
        Grid(
            Subspaces.Decoder,
            {
                "regressor": "variable", "best_score": "best score of all bins",
                "decoder_score": "score in the last bin", "decoder_chance": "by chance",
                "decoder_p": "p",
            },
            "Decoders: balanced accuracy of classes, R² of numbers, cross-validated",
            query=_decoders,
        ),
        Grid(
            Subspaces.Angle,
            {
                "first_axes": "variable", "second_axes": "other variable",
                "smallest_angle": "smallest angle (°)", "largest_angle": "largest (°)",
                "chance_angle": "5 % of random ones below (°)",
            },
            "Angles between variables",
            query=only(Subspaces.Angle, "angle_kind = 'variables'"),
        ),
    ),
    (
        Number("components", "share of variance in the components of conditions", "Subspaces",
               "subspace_components_share"),
    ),
    {"subspace_name": DEFAULT},
    Drawing(
        "Lengths of coefficients, decoders in time and across time, angles",
        ("subspace_name",),
        {
            Subspaces: ("subspace_status", "subspace_reason", "subspace_trials"),
            Subspaces.Regressor: ("regressor_status", "decoder_kind", "decoder_status",
                                  "peak_step", "unique_share", "coefficient_norms"),
            Subspaces.Angle: ("smallest_angle", "largest_angle", "chance_angle"),
            Subspaces.Decoder: ("train_on", "decoder_score", "decoder_chance",
                                "decoder_chance_95", "decoder_p"),
            Task: ("n_steps",),
        },
        _draw,
        when=lambda row: row["subspace_status"] == ANALYSED,
    ),
)  # fmt: skip

SELECTION_ANGLES = Section(
    "selection_angles",
    "Selection vectors and variables",
    (
        Grid(SelectionAngle, {"subspace_name": SETTINGS, "n_selection_angles": "angles"}),
        Grid(
            SelectionAngle.Pair,
            {
                "regressor": "variable", "line_context": "context",
                "selection_angle": "median angle (°)",
                "selection_chance_angle": "5 % of random ones below (°)",
            },
            query=only(SelectionAngle.Pair, "selection_angle is not null"),
        ),
    ),
)  # fmt: skip
