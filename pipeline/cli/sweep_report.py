"""The points of a sweep that `rnn show --sweep` prints."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from statistics import median
from typing import Any

from ..sweeps.table import axes_of_sweep, points_by_cohort, rank_of
from ..tables.hashing import canonical_json
from ..tables.keys import Key, cohort_key
from ..tables.selections import Selection
from .cohort_report import CohortReport, accuracies, cohort_reports, seconds_each, spread
from .report import in_order
from .text_table import Column, marked

# What the largest come first of.
POINT_ORDERS = ("name", "solved", "r2", "accuracy", "seconds")


@dataclass(frozen=True)
class PointReport:
    """One point of a sweep in a line.

    Attributes
    ----------
    values : dict
        Axis -> value.
    n_networks : int
        Networks that it is to have: of one seed where that is selected, but whatever conditions on
        results choose.
    cohorts : list of CohortReport
        Those of it that are trained, with the networks that are selected.
    """

    values: dict[str, Any]
    n_networks: int
    cohorts: list[CohortReport]

    @property
    def n_trained(self) -> int:
        """Networks that are trained; with conditions on results, those that are chosen."""
        return sum(cohort.n_networks for cohort in self.cohorts)

    @property
    def solved(self) -> float | None:
        """Fraction of the validated networks that solved the task; None where none is validated."""
        number = sum(cohort.n_validated for cohort in self.cohorts)
        return sum(cohort.n_solved for cohort in self.cohorts) / number if number else None

    @property
    def r2(self) -> list[float]:
        """Scores, ascending."""
        return sorted(chain.from_iterable(cohort.r2 for cohort in self.cohorts))

    @property
    def accuracy(self) -> list[float]:
        """Accuracies, ascending; empty where the task has no choices."""
        return sorted(chain.from_iterable(cohort.accuracy for cohort in self.cohorts))

    @property
    def seconds(self) -> float | None:
        """Training time of a network (s)."""
        total = sum(cohort.seconds * cohort.n_networks for cohort in self.cohorts)
        return total / self.n_trained if self.cohorts else None

    @property
    def n_validated(self) -> int:
        """Networks whose noise-free scores are in `Validation`."""
        return sum(cohort.n_validated for cohort in self.cohorts)


def point_reports(
    selection: Selection, r2: float = 0.9, accuracy: float = 0.95
) -> tuple[list[str], list[PointReport]]:
    """Return the axes of a sweep, and a line for each of its points, in the order of its values.

    Parameters
    ----------
    selection : Selection
        Of a sweep; of its points those with a cohort that is selected.
    r2, accuracy : float
        As of `cohort_reports`.
    """
    assert selection.sweep_name is not None
    axes = axes_of_sweep(selection.sweep_name)
    points = points_by_cohort(selection.sweep_name)
    trained = {
        (r.task, r.network, r.training, r.first_seed): r
        for r in cohort_reports(selection, r2, accuracy)
    }
    selected: dict[str, list[Key]] = defaultdict(list)
    number: dict[Key, int] = {}
    for row in selection.cohorts().to_dicts():
        key = cohort_key(row)
        if key in points:
            number[key] = 1 if selection.seed is not None else int(row["n_networks"])
            selected[canonical_json([points[key].get(axis) for axis in axes])].append(key)
    reports = [
        PointReport(
            points[keys[0]],
            sum(number[key] for key in keys),
            [trained[key] for key in sorted(keys) if key in trained],
        )
        for keys in selected.values()
    ]
    return axes, sorted(reports, key=lambda r: [rank_of(r.values.get(axis)) for axis in axes])


def sorted_points(
    reports: Sequence[PointReport], order: str, reverse: bool = False
) -> list[PointReport]:
    """Return points in one of `POINT_ORDERS`: by their values, or the largest first."""

    def value(report: PointReport) -> float | None:
        found = getattr(report, order)
        if isinstance(found, list):
            return median(found) if found else None
        return None if found is None else float(found)

    return in_order(reports, None if order == "name" else value, reverse)


def point_columns(
    axes: Sequence[str], reports: Sequence[PointReport], is_chosen: bool = False
) -> list[Column]:
    """Return the columns of the table of points.

    Parameters
    ----------
    axes : sequence of str
    reports : sequence of PointReport
    is_chosen : bool
        Whether conditions on results choose networks: then the others may be trained too.
    """
    return [
        *(Column(axis, [str(r.values.get(axis, "")) for r in reports]) for axis in axes),
        Column(
            "chosen" if is_chosen else "trained",
            [f"{r.n_trained} of {r.n_networks}" for r in reports],
        ),
        Column("solved", ["" if r.solved is None else f"{100 * r.solved:.0f} %" for r in reports]),
        Column(
            "R² (median, lowest)",
            marked(
                [spread(r.r2) if r.cohorts else "" for r in reports],
                [any(c.is_of_training for c in r.cohorts) for r in reports],
            ),
        ),
        Column(
            "accuracy",
            [accuracies(r.accuracy, r.n_validated) if r.cohorts else "" for r in reports],
        ),
        Column(
            "seconds each", ["" if r.seconds is None else seconds_each(r.seconds) for r in reports]
        ),
    ]
