"""What a report shows of rank-one parts and latent circuits."""

from __future__ import annotations

from typing import TYPE_CHECKING

import models

from ...tables.latent_circuits import LatentCircuit, LatentCircuitParams, circuit_from_rows
from ...tables.network import NetworkParams
from ...tables.performance import VALIDATION_SEED, network_and_task
from ...tables.rank_one_parts import RankOneParts, rank_one_from_rows
from ...tables.task import Task
from ...tables.training import Training
from .base import Drawing, Grid, Number, Section, Tables
from .queries import ANALYSED, DEFAULT, SETTINGS, STATUS, WHY

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def _draw(rows: Tables) -> Figure:
    """Draw a circuit as `LatentCircuit.plot` does."""
    (network,), (params,), (task_row,) = (
        rows[title] for title in ("Training.Network", "NetworkParams", "Task")
    )
    (settings,), (row,) = rows["LatentCircuitParams"], rows["LatentCircuit"]
    rnn, task = network_and_task(network, params, task_row)
    fit = circuit_from_rows(
        row,
        rows["LatentCircuit.Connection"],
        rows["LatentCircuit.Perturbation"],
        LatentCircuitParams.build(settings),
        rnn,
    )
    return models.plot_latent_circuit(fit, rnn, task, seed=VALIDATION_SEED)


def _draw_parts(rows: Tables) -> Figure:
    """Draw rank-one parts as `RankOneParts.plot` does."""
    return models.plot_rank_one_parts(rank_one_from_rows(rows))


RANK_ONE_PARTS = Section(
    "rank_one_parts",
    "Rank-one parts of W_rec",
    (
        Grid(
            RankOneParts,
            {
                "rank_one_name": SETTINGS, "rank_one_status": STATUS, "rank_one_reason": WHY,
                "exact_rank": "rank of W_rec", "drive_explained": "variance explained",
            },
            usual={"rank_one_status": ANALYSED},
        ),
        Grid(
            RankOneParts.Drive,
            {
                "part_number": "part", "part_singular_value": "singular value",
                "drive_share": "share of recurrent input",
                "drive_between": "share between trials", "drive_mean": "mean drive",
                "drive_std": "s.d.",
            },
        ),
    ),
    (Number("exactrank", "rank of W_rec", "RankOneParts", "exact_rank"),),
    {"rank_one_name": DEFAULT},
    Drawing(
        "Drive through the first parts in every trial (red: mean), and cosines between what reads "
        "(rows) and what writes (columns)",
        ("rank_one_name",),
        {
            RankOneParts: ("rank_one_status", "rank_one_reason", "exact_rank"),
            RankOneParts.Drive: ("part_singular_value", "drive_share", "drive_between", "drive"),
            RankOneParts.Overlap: ("overlap", "overlap_cosine"),
        },
        _draw_parts,
        when=lambda row: row["rank_one_status"] == ANALYSED,
    ),
)  # fmt: skip

LATENT_CIRCUIT = Section(
    "latent_circuit",
    "Latent circuit",
    (
        Grid(
            LatentCircuit,
            {
                "circuit_name": SETTINGS, "circuit_status": STATUS, "circuit_reason": WHY,
                "fitted_components": "components fitted", "activity_r2": "R² of activity",
                "outputs_r2": "of outputs", "held_out_activity_r2": "held out: activity",
                "held_out_outputs_r2": "outputs", "good_starts": "good starts",
                "start_agreement": "agreement of their w_rec",
                "relation_error": "error of W_rec Q = Q w_rec",
                "relation_correlation": "correlation of Qᵀ W_rec Q with w_rec",
            },
        ),
        Grid(
            LatentCircuit,
            {
                "connection_cosine": "connections: mean cosine",
                "connection_correlation": "correlation of sizes",
                "connection_control": "cosine of random ones", "connection_p": "p",
                "node_cosine": "nodes: mean cosine", "node_correlation": "correlation of sizes",
                "node_control": "cosine of random ones", "node_p": "p",
            },
            "Predicted and observed changes of outputs",
            name="LatentCircuit tests",
        ),
    ),
    (
        Number("circuit", "R² of a latent circuit, held-out activity", "LatentCircuit",
               "held_out_activity_r2", "circuit R²"),
    ),
    {"circuit_name": DEFAULT},
    Drawing(
        "Weights of the circuit, rates of two units in three trials, changes of outputs",
        ("circuit_name",),
        {
            LatentCircuit: (...,),
            Training.Network: ("w_rec", "w_inp", "w_out", "b_rec", "x_init"),
            NetworkParams: (...,),
            Task: (...,),
            LatentCircuitParams: (...,),
            LatentCircuit.Connection: (...,),
            LatentCircuit.Perturbation: (...,),
        },
        _draw,
        when=lambda row: row["activity_r2"] is not None,
    ),
)  # fmt: skip
