"""Numbers of networks: what tables of networks and distributions over cohorts show."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..tables.keys import NETWORK
from .analyses import ANALYSES
from .analyses.base import Number
from .drawings import distribution
from .names import page_of
from .rows import CohortRows, NetworkRows, Row

NOISE_FREE = "noise_free"
NUMBERS: tuple[Number, ...] = tuple(number for section in ANALYSES for number in section.numbers)
METRICS: dict[str, str] = {
    "r2": "noise-free R²",
    "accuracy": "accuracy",
    "loss": "last loss",
    "iterations": "iterations",
    "n_points": "fixed points, all inputs",
    "n_stable": "stable ones",
    "max_eigenvalue": "largest Re λ (1/τ)",
    **{number.name: number.title for number in NUMBERS},
}


def summary_of(cohort: CohortRows, network: NetworkRows) -> Row:
    """Return the numbers of a network that tables and distributions show."""
    row, sets = network.row, network.tables["sets"]
    scores = {r["validation_name"]: r for r in network.tables["scores"]}
    validated = scores.get(NOISE_FREE, {})
    searches = sorted({r["search_name"] for r in sets}, key=lambda name: (name != "exact", name))
    shown = [r for r in sets if searches and r["search_name"] == searches[0]]
    eigenvalues = [
        r["max_eigenvalue"]
        for r in network.tables["points"]
        if searches and r["search_name"] == searches[0]
    ]
    seconds = None if cohort.training is None else cohort.training["seconds"]
    return {
        "key": {name: row[name] for name in NETWORK},
        "page": page_of(row),
        "status": row["status"],
        "r2": validated.get("r2_pooled", row["r2"]),
        "accuracy": validated.get("accuracy"),
        "loss": row["loss"],
        "iterations": row["iterations_done"] if row["status"] != "imported" else None,
        "n_points": sum(r["n_points"] for r in shown) if shown else None,
        "n_stable": sum(r["n_stable"] for r in shown) if shown else None,
        "n_inputs": len(shown),
        "max_eigenvalue": max(eigenvalues, default=None),
        # A cohort is trained as a whole: its time is shared evenly.
        "seconds": seconds / len(cohort.networks) if seconds else None,
        **{k: v for section in ANALYSES for k, v in section.summary(network.tables).items()},
    }


def columns_of(networks: Sequence[Row]) -> list[tuple[str, str]]:
    """Return name and heading of the numbers of analyses that some of the networks have."""
    return [
        (number.name, number.heading)
        for number in NUMBERS
        if number.heading and any(n[number.name] is not None for n in networks)
    ]


def distributions(networks: Sequence[Row]) -> list[dict[str, Any]]:
    """Return the drawings of the page of a cohort: one of each number that differs."""
    made = []
    for name, title in METRICS.items():
        shown = [n for n in networks if isinstance(n[name], int | float)]
        if len({n[name] for n in shown}) > 1:
            drawn = distribution(
                [float(n[name]) for n in shown], [n["key"]["seed"] for n in shown], title
            )
            made.append({"title": title, "drawing": drawn})
    return made
