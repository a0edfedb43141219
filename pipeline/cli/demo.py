"""The demonstration ``rnn demo``: from one submission file to figures."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..sharing.figures import export_figures
from ..submission import read_submission, submit
from ..tables.computed import COMPUTED
from ..workers.worker import WorkLoop
from .report import NetworkReport, network_reports

SUBMISSION = Path(__file__).parent / "data" / "demo.yaml"
REQUIRED_R2 = 0.95
NEXT = """
What next (in .venv/bin, where make installed it):
  rnn show                     these networks again
  rnn report --out report      a site of them: open report/index.html
  rnn submit FILE              networks of your own: examples/ has many files
  rnn worker                   trains and analyses what was submitted
  rnn --help                   everything else
notebooks/01_quickstart.ipynb goes from a task to fixed points in Python."""


@dataclass(frozen=True)
class DemoResult:
    """What the demonstration found.

    Attributes
    ----------
    reports : list of NetworkReport
    used : list of str
        What was there under other names and is used, a line each.
    made : int
        Rows computed in this run; 0 where everything had been done before.
    errors : list of (table, key, message)
    figures : list of Path
    seconds : float
    """

    reports: list[NetworkReport]
    used: list[str]
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
    """Enter the demonstration's parameters and fill all computed tables for them.

    Raises
    ------
    KeyboardInterrupt
        Where the loop was stopped before everything was done.
    """
    started = time.perf_counter()
    entered = submit(read_submission(submission), equal="use")
    loop = WorkLoop(COMPUTED, entered.cohorts, announce=announce)
    filled = loop.run()
    if loop.stop.is_set():
        raise KeyboardInterrupt
    return DemoResult(
        reports=network_reports(entered.cohorts),
        used=entered.used(),
        made=filled.made,
        errors=filled.errors,
        figures=export_figures(figures, entered.cohorts),
        seconds=time.perf_counter() - started,
    )
