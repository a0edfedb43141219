"""The demonstration ``rnn demo``: from one submission file to figures."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..sharing.figures import export_figures
from ..submission import read_submission, submit
from ..tables.fixed_point_plots import FixedPointPlot
from ..tables.fixed_points import FixedPoints
from ..tables.linearization import Linearization
from ..tables.performance import TrialPlot, Validation
from ..tables.training import Training
from ..workers.worker import fill
from .report import NetworkReport, network_reports

SUBMISSION = Path(__file__).parent / "data" / "demo.yaml"
CHAIN = (Training, Validation, TrialPlot, FixedPoints, Linearization, FixedPointPlot)
REQUIRED_R2 = 0.95


@dataclass(frozen=True)
class DemoResult:
    """What the demonstration found.

    Attributes
    ----------
    reports : list of NetworkReport
    made : int
        Rows computed in this run; 0 where everything had been done before.
    errors : list of (table, key, message)
    figures : list of Path
    seconds : float
    """

    reports: list[NetworkReport]
    made: int
    errors: list[tuple[str, dict[str, Any], str]]
    figures: list[Path]
    seconds: float

    @property
    def failures(self) -> list[NetworkReport]:
        """The networks that did not learn the task."""
        return [r for r in self.reports if r.r2 is None or r.r2 < REQUIRED_R2]


def run_demo(
    figures: Path,
    submission: Path = SUBMISSION,
    announce: Callable[[str, int], None] | None = None,
) -> DemoResult:
    """Enter the demonstration's parameters and fill the chain of tables for them."""
    started = time.perf_counter()
    content = read_submission(submission)
    submit(content)
    cohorts = [
        {f"{field}_name": cohort[field] for field in ("task", "network", "training")}
        | {"first_seed": cohort.get("first_seed", 0)}
        for cohort in content["cohorts"]
    ]
    filled = fill(CHAIN, cohorts, announce=announce)
    return DemoResult(
        reports=network_reports(cohorts),
        made=filled.made,
        errors=filled.errors,
        figures=export_figures(figures, cohorts),
        seconds=time.perf_counter() - started,
    )
