"""What a report shows of learning: traces, snapshots, and fixed points followed through them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import datajoint as dj

import models

from ...database.types import Query
from ...tables.followed_points import FollowedPoints, branches_from_rows
from ...tables.keys import NETWORK
from ...tables.recorded import trace_of
from ...tables.selections import Selection
from ...tables.training import Training
from .base import Drawing, Grid, Number, Row, Section, Tables
from .queries import DEFAULT, FIRST_AND_LAST, SETTINGS, STATUS, WHY, ends

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def _snapshots(selection: Selection) -> Query:
    """Return how many snapshots networks have, and of which iterations."""
    return dj.U(*NETWORK).aggr(
        selection.of_table(Training.Snapshot), n_kept="count(*)",
        first_kept="min(snapshot_iteration)", last_kept="max(snapshot_iteration)",
    )  # fmt: skip


def _bifurcations(row: Row) -> float | None:
    """Return the number of bifurcations; None where nothing was followed, and none could be."""
    return None if row["n_births"] is None else row["n_bifurcations"]


def _draw_traces(rows: Tables) -> Figure:
    """Draw the traces of one network."""
    return models.plot_traces([[trace_of(row) for row in rows["Training.Trace"]]])


def _draw_branches(rows: Tables) -> Figure:
    """Draw fixed points from snapshot to snapshot, as `FollowedPoints.plot` does."""
    return models.plot_branches(*branches_from_rows(rows))


LEARNING = Section(
    "learning",
    "Learning",
    (
        Grid(
            Training.Trace,
            {
                "trace_iteration": "iteration", "trace_status": STATUS, "trace_reason": WHY,
                "trace_participation": "participation ratio", "trace_n_silent": "silent units",
                "change_100": "change over 100 iterations", "change_1000": "over 1,000",
                "change_10000": "over 10,000", "cosine_1000": "cosine of changes (1,000)",
                "gradient_noise_scale": "gradient noise scale (trials)",
            },
            "First and last trace",
            usual={"trace_status": "traced"},
            query=ends(Training.Trace, "trace_iteration", FIRST_AND_LAST),
        ),
        Grid(
            Training.Snapshot,
            {"n_kept": "snapshots", "first_kept": "of iteration", "last_kept": "to"},
            query=_snapshots,
        ),
    ),
    drawing=Drawing(
        "Traces of the training",
        (),
        {Training.Trace: (...,)},
        _draw_traces,
    ),
    is_computed=False,
)  # fmt: skip

FOLLOWED_POINTS = Section(
    "followed_points",
    "Fixed points through learning",
    (
        Grid(
            FollowedPoints,
            {
                "input_name": "input", "search_name": "search", "follow_name": SETTINGS,
                "follow_status": STATUS, "follow_reason": WHY, "n_snapshots": "snapshots",
                "n_branches": "points followed", "n_births": "born", "n_deaths": "ended",
                "n_bifurcations": "bifurcations", "follow_index_holds": "indices agree",
            },
        ),
        Grid(
            FollowedPoints.Bifurcation,
            {
                "input_name": "input", "bifurcation_kind": "bifurcation",
                "iteration_before": "after iteration", "iteration_after": "before iteration",
                "bifurcation_at_kink": "at a kink", "hopf_frequency": "frequency (rad/τ)",
            },
            words=("bifurcation_kind",),
        ),
    ),
    (
        Number("bifurcations", "bifurcations in learning, all inputs", "FollowedPoints",
               _bifurcations, "bifurcations", combine=sum),
    ),
    {"search_name": "exact", "follow_name": DEFAULT},
    Drawing(
        "Fixed points from snapshot to snapshot",
        ("input_name", "search_name", "follow_name"),
        {
            FollowedPoints.Searched: (),
            FollowedPoints.Branch: ("born_at", "ended_at"),
            FollowedPoints.BranchState: ("branch_state", "branch_unstable_modes"),
            FollowedPoints.Bifurcation: ("bifurcation_kind", "iteration_before", "line_share",
                                         "bifurcation_state"),
        },
        _draw_branches,
        when=lambda row: row["n_branches"] > 0,
    ),
)  # fmt: skip
