"""What a report shows of attractors: lines, slow manifolds, exponents, basins."""

from __future__ import annotations

from typing import TYPE_CHECKING

import models

from ...tables.continuous_attractors import ContinuousAttractor
from ...tables.line_attractors import LineAttractor
from ...tables.lyapunov import (
    BasinParams,
    Basins,
    Lyapunov,
    basins_from_rows,
    lyapunov_from_rows,
)
from .base import Drawing, Grid, Number, Section, Tables
from .queries import ANALYSED, DEFAULT, SETTINGS, STATUS, WHY

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def _draw_exponents(rows: Tables) -> Figure:
    """Draw exponents as `Lyapunov.plot` does."""
    return models.plot_lyapunov(lyapunov_from_rows(rows))


def _draw_shares(rows: Tables) -> Figure:
    """Draw the shares of basins at all inputs."""
    return models.plot_basin_shares(basins_from_rows(rows))


LINE_ATTRACTORS = Section(
    "line_attractors",
    "Line attractors",
    (
        Grid(LineAttractor, {}),
        Grid(
            LineAttractor.Context,
            {
                "line_context": "context", "length": "length",
                "max_drift": "largest drift (1/τ)", "n_fixed_points": "fixed points",
                "n_stable_fixed_points": "stable", "line_time_constant": "time constant (τ)",
                "relevant_angle": "angle to relevant (°)", "irrelevant_angle": "to irrelevant (°)",
            },
        ),
    ),
)  # fmt: skip

CONTINUOUS_ATTRACTORS = Section(
    "continuous_attractors",
    "Slow manifolds",
    (
        Grid(
            ContinuousAttractor,
            {
                "input_name": "input", "n_manifolds": "manifolds", "explanation": "in words",
            },
        ),
        Grid(
            ContinuousAttractor.Manifold,
            {
                "input_name": "input", "topology": "topology", "dimension": "dimension",
                "manifold_length": "length", "max_speed": "largest speed (1/τ)",
            },
        ),
    ),
)  # fmt: skip

LYAPUNOV = Section(
    "lyapunov",
    "Lyapunov exponents",
    (
        Grid(
            Lyapunov,
            {
                "lyapunov_name": SETTINGS, "lyapunov_status": STATUS, "lyapunov_reason": WHY,
                "trial_exponent": "largest over a trial (1/τ)",
                "trial_exponent_std": "s.d. over trials",
            },
            usual={"lyapunov_status": ANALYSED},
        ),
        Grid(
            Lyapunov.AtInput,
            {
                "input_name": "input", "motion": "motion",
                "largest_exponent": "largest exponent (1/τ)", "exponent_spread": "s.d.",
            },
            "At constant inputs",
        ),
    ),
    (
        Number("lyapunov", "largest Lyapunov exponent over a trial (1/τ)", "Lyapunov",
               "trial_exponent", "Lyapunov (1/τ)"),
    ),
    {"lyapunov_name": DEFAULT},
    Drawing(
        "Lyapunov exponents over each trial, and from each start at constant inputs",
        ("lyapunov_name",),
        {
            Lyapunov: ("lyapunov_status", "lyapunov_reason", "trial_exponents"),
            Lyapunov.AtInput: ("motion", "exponents"),
        },
        _draw_exponents,
        when=lambda row: row["lyapunov_status"] == ANALYSED,
    ),
)  # fmt: skip

BASINS = Section(
    "basins",
    "Basins of attraction",
    (
        Grid(
            Basins,
            {
                "input_name": "input", "search_name": "search", "basin_name": SETTINGS,
                "basin_status": STATUS, "basin_reason": WHY,
                "n_attractors": "stable points", "elsewhere": "share that ends elsewhere",
            },
            usual={"basin_status": ANALYSED},
        ),
        Grid(
            Basins.Attractor,
            {
                "input_name": "input", "point": "point", "basin_share": "share of starts",
                "basin_share_low": "95 % from", "basin_share_high": "to",
            },
        ),
    ),
    (
        Number("elsewhere", "share of starts that ends at no stable point, largest of inputs",
               "Basins", "elsewhere", combine=max),
    ),
    {"search_name": "exact", "basin_name": DEFAULT},
    Drawing(
        "Share of starts that ends at each stable point, with its interval of 95 %",
        ("search_name", "basin_name"),
        {
            Basins: ("basin_status", "basin_reason"),
            Basins.Attractor: ("basin_share",),
            BasinParams: (...,),
        },
        _draw_shares,
        when=lambda row: row["basin_status"] == ANALYSED,
    ),
)  # fmt: skip
