"""The cohorts that `rnn summary` prints."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import median

from ..tables.keys import Key, cohort_key, network_key
from ..tables.left_out import LeftOut, not_wanted
from ..tables.performance import Validation
from ..tables.selections import Chosen, restriction_for, rows_of
from ..tables.training import Training
from .report import NOISE_FREE, Row, cohort_sizes, in_order
from .text_table import NOT_COMPUTED, NOT_WANTED, Column, marked

MOST_SEEDS = 6  # that do not follow each other, in a cell


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
        Noise-free pooled R^2 of the networks that have one, ascending: on the trials of
        `Validation`, else on the training's own trials (column ``r2``).
    accuracy : list of float
        Their accuracies, ascending; empty where the task has no choices.
    iterations : float
        Median of the optimiser steps.
    seconds : float
        Training time of a network (s).
    n_validated : int
        Networks whose noise-free scores are in `Validation`: only they can have solved the task.
    is_wanted : bool
        Whether the cohort does not do without `Validation`.
    n_diverged : int
        Networks that diverged: nothing is computed of them.
    chosen_seeds : tuple of int
        Of its networks, ascending; where it is empty, they follow each other from the first one.
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
    n_validated: int
    is_wanted: bool = True
    n_diverged: int = 0
    chosen_seeds: tuple[int, ...] = ()

    @property
    def is_of_training(self) -> bool:
        """Whether some of ``r2`` are those on the training's own trials."""
        return self.n_validated < self.n_networks and bool(self.r2)

    @property
    def name(self) -> str:
        """Names of its parameter sets."""
        return f"{self.task}/{self.network}/{self.training}"

    @property
    def seeds(self) -> str:
        """Its seeds."""
        first = self.chosen_seeds[0] if self.chosen_seeds else self.first_seed
        last = first + self.n_networks - 1
        if self.chosen_seeds and self.chosen_seeds[-1] != last:  # not all between them
            named = ", ".join(map(str, self.chosen_seeds[:MOST_SEEDS]))
            return named + ", ..." * (len(self.chosen_seeds) > MOST_SEEDS)
        return f"{first}" if last == first else f"{first} to {last}"

    @property
    def solved(self) -> str:
        """How many networks solved the task, of those of which it is known."""
        if self.n_diverged == self.n_networks:
            return "diverged"
        if not self.n_validated:
            return NOT_COMPUTED if self.is_wanted else NOT_WANTED
        missing = self.n_networks - self.n_validated - self.n_diverged
        more = f" ({missing} not yet)" if missing > 0 else ""
        if not more and self.n_diverged:
            more = f" ({self.n_diverged} diverged)"
        return f"{self.n_solved} of {self.n_networks}{more}"


def cohort_reports(
    restriction: Chosen = None, r2: float = 0.9, accuracy: float = 0.95
) -> list[CohortReport]:
    """Return a line for each trained cohort, by name.

    The number of queries does not depend on how many there are.

    Parameters
    ----------
    restriction : Selection or restriction, optional
        Which cohorts; all by default.
    r2, accuracy : float
        A network solves its task with at least these noise-free scores, the second where there
        are choices.
    """
    # No imported ones: nothing was trained.
    trained = rows_of(Training, restriction) & Training().key_source
    trainings = trained.to_dicts(order_by="KEY")
    networks: dict[Key, list[Row]] = defaultdict(list)
    columns = ("iterations_done", "r2", "status")
    for row in rows_of(Training.Network, restriction).proj(*columns).to_dicts(order_by="KEY"):
        networks[cohort_key(row)].append(row)
    scores: dict[Key, list[Row]] = defaultdict(list)
    validated = rows_of(Validation, restriction) & NOISE_FREE
    for row in validated.proj("r2_pooled", "accuracy").to_dicts():
        scores[cohort_key(row)].append(row)
    without = not_wanted(restriction_for(LeftOut, restriction))
    siblings = cohort_sizes()
    reports = []
    for row in trainings:
        key = cohort_key(row)
        of_cohort = networks.get(key)
        if not of_cohort:
            continue  # it was deleted meanwhile
        known = {network_key(s): s["r2_pooled"] for s in scores[key]}
        reached = [s for s in scores[key] if s["r2_pooled"] is not None and s["r2_pooled"] >= r2]
        reached = [s for s in reached if s["accuracy"] is None or s["accuracy"] >= accuracy]
        reports.append(
            CohortReport(
                task=row["task_name"],
                network=row["network_name"],
                training=row["training_name"],
                first_seed=row["first_seed"],
                n_networks=len(of_cohort),
                n_solved=len(reached),
                r2=_ascending(known.get(network_key(n), n["r2"]) for n in of_cohort),
                accuracy=_ascending(s["accuracy"] for s in scores[key]),
                iterations=median(n["iterations_done"] for n in of_cohort),
                seconds=row["seconds"] / max(siblings[key], len(of_cohort)),
                n_validated=len(scores[key]),
                is_wanted="Validation" not in without.get(key, ()),
                n_diverged=sum(n["status"] == "diverged" for n in of_cohort),
                chosen_seeds=tuple(sorted(int(n["seed"]) for n in of_cohort)),
            )
        )
    return reports


def _ascending(values: Iterable[float | None]) -> list[float]:
    return sorted(v for v in values if v is not None)


def sorted_cohorts(
    reports: Sequence[CohortReport], order: str, reverse: bool = False
) -> list[CohortReport]:
    """Return cohorts in one of `looking.COHORT_ORDERS`: by name, or the largest first.

    Scores are compared by their medians. Those that lack the value come last, reversed or not.
    """

    def value(report: CohortReport) -> float | None:
        if order == "solved":
            return report.n_solved / report.n_networks if report.n_validated else None
        found: float | list[float] = getattr(report, order)
        if isinstance(found, list):
            return median(found) if found else None
        return found

    return in_order(reports, None if order == "name" else value, reverse)


def cohort_columns(reports: Sequence[CohortReport]) -> list[Column]:
    """Return the columns of the table of cohorts."""
    return [
        Column("seeds", [r.seeds for r in reports]),
        Column("solved", [r.solved for r in reports]),
        Column(
            "R² (median, lowest)",
            marked([spread(r.r2) for r in reports], [r.is_of_training for r in reports]),
        ),
        Column("accuracy", [accuracies_of(r) for r in reports]),
        Column("iterations", [f"{r.iterations:.0f}" for r in reports]),
        Column("seconds each", [seconds_each(r.seconds) for r in reports]),
    ]


def summary_rows(reports: Sequence[CohortReport]) -> tuple[list[str], list[list[str]]]:
    """Return headings and cells of the table of cohorts, with all names."""
    headings = ["task", "network", "training", "seeds", "solved", "R² (median, lowest)"]
    headings += ["accuracy (median, lowest)", "iterations", "seconds a network"]
    rows = [
        [
            r.task,
            r.network,
            r.training,
            r.seeds,
            r.solved,
            spread(r.r2) + "\\*" * r.is_of_training,
            accuracies_of(r),
            f"{r.iterations:.0f}",
            seconds_each(r.seconds),
        ]
        for r in reports
    ]
    return headings, rows


def spread(values: list[float]) -> str:
    """Return median and lowest of ascending values."""
    return f"{median(values):.3f}, {values[0]:.3f}" if values else "-"


def accuracies_of(report: CohortReport) -> str:
    """Return median and lowest accuracy of a cohort."""
    return accuracies(report.accuracy, report.n_validated + report.n_diverged, report.is_wanted)


def accuracies(values: list[float], n_validated: int, is_wanted: bool = True) -> str:
    """Return median and lowest of ascending accuracies, of so many validated networks."""
    if n_validated:
        return spread(values)
    return "not yet" if is_wanted else NOT_WANTED


def seconds_each(seconds: float) -> str:
    """Return a time with as many digits as are of use."""
    return f"{seconds:.0f}" if seconds >= 10 else f"{seconds:.1f}"


def markdown_table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table in Markdown."""
    lines = [headings, ["---"] * len(headings), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)
