"""The tables of networks and cohorts that `rnn demo`, `rnn show` and `rnn summary` print."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

from ..database.types import Restriction
from ..tables.fixed_points import FixedPoints
from ..tables.performance import Validation
from ..tables.training import Training


@dataclass(frozen=True)
class NetworkReport:
    """One network in a line."""

    name: str
    key: dict[str, Any]
    status: str
    r2: float | None
    accuracy: float | None
    by_unstable_modes: dict[int, int]
    max_eigenvalue: float | None
    seconds: float


def network_reports(restriction: Restriction = None) -> list[NetworkReport]:
    """Return a line for each trained network that satisfies a restriction."""
    networks = Training.Network * Training.proj("seconds")
    if restriction is not None:
        networks &= restriction
    reports = []
    for row in networks.proj("status", "seconds").to_dicts(order_by="KEY"):
        key = {k: row[k] for k in Training.Network.primary_key}
        scores = (Validation & key & {"validation_name": "noise_free"}).to_dicts()
        points = (FixedPoints.Point & key).proj("n_unstable_modes", "max_eigenvalue").to_dicts()
        siblings = len(Training.Network & {k: v for k, v in key.items() if k != "seed"})
        reports.append(
            NetworkReport(
                name=f"{key['task_name']}/{key['network_name']}/{key['training_name']}"
                f" seed {key['seed']}",
                key=key,
                status=row["status"],
                r2=scores[0]["r2_pooled"] if scores else None,
                accuracy=scores[0]["accuracy"] if scores else None,
                by_unstable_modes=dict(
                    sorted(Counter(p["n_unstable_modes"] for p in points).items())
                ),
                max_eigenvalue=max((p["max_eigenvalue"] for p in points), default=None),
                # A cohort is trained as a whole: its time is shared evenly.
                seconds=row["seconds"] / siblings,
            )
        )
    return reports


@dataclass(frozen=True)
class CohortReport:
    """One cohort in a line.

    Attributes
    ----------
    task, network, training : str
        Names of its parameter sets.
    first_seed : int
        Seed of the first network.
    n_networks : int
        Networks trained.
    n_solved : int
        Those whose noise-free scores reach what was asked for.
    r2 : list of float
        Noise-free pooled R^2 of the networks that have one, ascending.
    accuracy : list of float
        Their accuracies, ascending; empty where the task has no choices.
    iterations : float
        Median of the optimiser steps.
    seconds : float
        Training time of a network (s).
    """

    task: str
    network: str
    training: str
    first_seed: int
    n_networks: int
    n_solved: int
    r2: list[float]
    accuracy: list[float]
    iterations: float
    seconds: float


def cohort_reports(
    restriction: Restriction = None, r2: float = 0.9, accuracy: float = 0.95
) -> list[CohortReport]:
    """Return a line for each trained cohort, by task.

    Parameters
    ----------
    restriction : restriction, optional
        Which cohorts; all by default.
    r2, accuracy : float
        A network solves its task with at least these noise-free scores, the second where there
        are choices.
    """
    trained = Training & Training().key_source  # no imported ones: nothing was trained
    if restriction is not None:
        trained &= restriction
    reports = []
    for row in trained.to_dicts(order_by="KEY"):
        key = {k: row[k] for k in Training.primary_key}
        steps = (Training.Network & key).to_arrays("iterations_done").tolist()
        scores = (Validation & key & {"validation_name": "noise_free"}).to_dicts()
        reached = [s for s in scores if s["r2_pooled"] is not None and s["r2_pooled"] >= r2]
        reached = [s for s in reached if s["accuracy"] is None or s["accuracy"] >= accuracy]
        reports.append(
            CohortReport(
                task=key["task_name"],
                network=key["network_name"],
                training=key["training_name"],
                first_seed=key["first_seed"],
                n_networks=len(steps),
                n_solved=len(reached),
                r2=_ascending(s["r2_pooled"] for s in scores),
                accuracy=_ascending(s["accuracy"] for s in scores),
                iterations=median(steps),
                seconds=row["seconds"] / len(steps),
            )
        )
    return reports


def _ascending(values: Iterable[float | None]) -> list[float]:
    return sorted(v for v in values if v is not None)


def summary_rows(reports: Sequence[CohortReport]) -> tuple[list[str], list[list[str]]]:
    """Return headings and cells of the table of cohorts."""
    headings = ["task", "network", "training", "seeds", "solved", "R² (median, lowest)"]
    headings += ["accuracy (median, lowest)", "iterations", "seconds a network"]

    def spread(values: list[float]) -> str:
        return f"{median(values):.3f}, {values[0]:.3f}" if values else "-"

    rows = [
        [
            r.task,
            r.network,
            r.training,
            f"{r.first_seed} to {r.first_seed + r.n_networks - 1}",
            f"{r.n_solved} of {r.n_networks}",
            spread(r.r2),
            spread(r.accuracy),
            f"{r.iterations:.0f}",
            f"{r.seconds:.0f}" if r.seconds >= 10 else f"{r.seconds:.1f}",
        ]
        for r in reports
    ]
    return headings, rows


def markdown_table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table in Markdown."""
    lines = [headings, ["---"] * len(headings), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)
