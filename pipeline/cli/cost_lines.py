"""What `rnn submit --dry-run` prints."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from tasks_lib.sizes import bytes_in_words, counted

from .status_page import duration

if TYPE_CHECKING:
    from pipeline.submission import Submitted
    from pipeline.sweeps.cost import Cost

MOST_POINTS = 20  # of a sweep that are listed


def cost_lines(done: Submitted, cost: Cost) -> Iterator[str]:
    """Yield what would be entered, and what its cohorts that are not trained cost, line by line."""
    for line in done.new():
        yield f"would enter {line}"
    yield from done.remarks()
    for name, points in cost.points.items():
        yield f"sweep {name}: {counted(len(points), 'point')}"
        for point in points[:MOST_POINTS]:
            yield f"  {_in_words(point)}"
        if len(points) > MOST_POINTS:
            yield f"  and {len(points) - MOST_POINTS} more"
    networks = counted(cost.n_networks, "network")
    yield f"to train: {networks} in {counted(len(cost.cohorts), 'cohort')}"
    yield "jobs, at most: " + ", ".join(f"{n} {table}" for table, n in cost.jobs.items() if n)
    judged = f"; files of {', '.join(cost.unjudged)} not counted" if cost.unjudged else ""
    yield f"files: about {bytes_in_words(cost.n_bytes)}{judged}"
    source = ", ".join(
        words
        for number, words in (
            (cost.n_measured, f"{counted(cost.n_measured, 'shape')} by stored trainings"),
            (cost.n_probed, f"{counted(cost.n_probed, 'shape')} by iterations measured here"),
        )
        if number
    )
    if not cost.cohorts:
        return
    alive = counted(cost.n_workers, "worker")
    times = f"{duration(cost.time_with(1))} for one worker"
    if cost.n_workers > 1:
        times += f", {duration(cost.time_with(cost.n_workers))} for the {alive} alive"
    else:
        times += f" ({alive} alive)"
    yield f"trainings: about {times}, on {cost.device}, {source}; analyses come on top"


def _in_words(point: Mapping[str, Any]) -> str:
    return ", ".join(f"{axis} {value}" for axis, value in point.items())
