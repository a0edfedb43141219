"""The networks that `rnn demo` and `rnn show` print."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import datajoint as dj

from tasks_lib.sizes import counted

from ..tables.fixed_points import FixedPointParams, FixedPoints
from ..tables.keys import NETWORK, SETS, Key, cohort_key, network_key
from ..tables.left_out import LeftOut, not_wanted
from ..tables.performance import Validation
from ..tables.selections import Chosen, restriction_for, rows_of
from ..tables.task import Task
from ..tables.training import Training
from .text_table import NOT_COMPUTED, NOT_WANTED, Column, marked, number

Row = dict[str, Any]
NOISE_FREE = {"validation_name": "noise_free"}


@dataclass(frozen=True)
class NetworkReport:
    """One network in a line.

    Attributes
    ----------
    key : dict
    status : str
        Column ``status`` of `Training.Network`.
    r2 : float or None
        Noise-free pooled R^2: on the trials of `Validation`, else on the training's own trials
        (column ``r2``), which is marked by a star where it is printed.
    accuracy : float or None
        None where the task has no choices, and where it has not been validated.
    is_validated : bool
    modes : dict of (str, int) to int
        Stability and number of unstable modes -> number of fixed points, at all inputs.
    n_sets, n_inputs : int
        Sets of fixed points that there are, and that there will be.
    max_eigenvalue : float or None
        Largest real part at any fixed point, per tau.
    seconds : float
        Of the training of its cohort, shared evenly (s).
    without : frozenset of str
        Names of the tables that its cohort does without.
    """

    key: Row
    status: str
    r2: float | None
    accuracy: float | None
    is_validated: bool
    modes: dict[tuple[str, int], int]
    n_sets: int
    n_inputs: int
    max_eigenvalue: float | None
    seconds: float
    without: frozenset[str] = frozenset()

    @property
    def is_of_training(self) -> bool:
        """Whether ``r2`` is that on the training's own trials."""
        return not self.is_validated and self.r2 is not None

    @property
    def cohort(self) -> str:
        """Names of its parameter sets."""
        return cohort_name(self.key)

    @property
    def name(self) -> str:
        """What it is called in a message."""
        return f"{self.cohort} seed {self.key['seed']}"


def cohort_name(key: Row) -> str:
    """Return the names of the parameter sets of a key."""
    return "/".join(str(key[f"{part}_name"]) for part in SETS)


def cohort_sizes() -> Counter[Key]:
    """Return of how many networks each cohort is, by all of which its time is shared evenly."""
    counted = Training.aggr(Training.Network, number="count(*)").to_dicts()
    return Counter({cohort_key(row): int(row["number"]) for row in counted})


def network_reports(restriction: Chosen = None) -> list[NetworkReport]:
    """Return a line for each trained network of a selection, by name and seed.

    The number of queries does not depend on how many there are.
    """

    def rows(table: type[Any], *columns: str) -> list[Row]:
        return rows_of(table, restriction).proj(*columns).to_dicts(order_by="KEY")

    networks = rows(Training.Network, "status", "r2")
    trainings = {cohort_key(row): row["seconds"] for row in rows(Training, "seconds")}
    scores = {
        network_key(row): row
        for row in (rows_of(Validation, restriction) & NOISE_FREE)
        .proj("r2_pooled", "accuracy")
        .to_dicts()
    }
    n_sets = Counter(network_key(row) for row in rows(FixedPoints))
    points = dj.U(*NETWORK, "stability", "n_unstable_modes").aggr(
        rows_of(FixedPoints.Point, restriction), number="count(*)", most="max(max_eigenvalue)"
    )
    modes: dict[Key, dict[tuple[str, int], int]] = defaultdict(dict)
    largest: dict[Key, float] = {}
    for row in points.to_dicts():
        key = network_key(row)
        modes[key][row["stability"], row["n_unstable_modes"]] = int(row["number"])
        largest[key] = max(row["most"], largest.get(key, row["most"]))
    n_searches = len(FixedPointParams())
    n_inputs = Counter(row["task_name"] for row in Task.Input().proj().to_dicts())
    without = not_wanted(restriction_for(LeftOut, restriction))
    siblings = cohort_sizes()
    reports = []
    for row in networks:
        key = network_key(row)
        if key[:-1] not in trainings:
            continue  # it was deleted meanwhile
        score = scores.get(key)
        reports.append(
            NetworkReport(
                key={name: row[name] for name in NETWORK},
                status=row["status"],
                r2=score["r2_pooled"] if score else row["r2"],
                accuracy=score["accuracy"] if score else None,
                is_validated=score is not None,
                modes=modes[key],
                n_sets=n_sets[key],
                n_inputs=n_inputs[row["task_name"]] * n_searches,
                max_eigenvalue=largest.get(key),
                seconds=trainings[key[:-1]] / siblings[key[:-1]],
                without=without.get(key[:-1], frozenset()),
            )
        )
    return reports


def sorted_networks(
    reports: Sequence[NetworkReport], order: str, reverse: bool = False
) -> list[NetworkReport]:
    """Return networks in one of `looking.NETWORK_ORDERS`: by name, or the largest first.

    Those that lack the value come last, reversed or not.
    """

    def value(report: NetworkReport) -> float | None:
        if order == "points":
            return sum(report.modes.values()) if report.n_sets else None
        found: float | None = getattr(report, {"eigenvalue": "max_eigenvalue"}.get(order, order))
        return found

    return in_order(reports, None if order == "name" else value, reverse)


def in_order(reports: Sequence[Any], value: Any, reverse: bool) -> list[Any]:
    """Return reports by a value, the largest first, or as they are; reversed if that is asked."""
    if value is None:
        return [*reversed(reports)] if reverse else [*reports]
    known = [report for report in reports if value(report) is not None]
    known.sort(key=value, reverse=not reverse)
    return known + [report for report in reports if value(report) is None]


def points_in_words(report: NetworkReport) -> tuple[str, ...]:
    """Return what fixed points a network has, in words: at length, and shorter."""
    if report.status == "diverged":
        return ("diverged: not analysed",)
    if not report.n_sets:
        return (NOT_WANTED if "FixedPoints" in report.without else NOT_COMPUTED,)
    by_stability: Counter[str] = Counter()
    by_modes: Counter[int] = Counter()
    for (stability, n_modes), n_points in report.modes.items():
        by_stability[stability] += n_points
        if stability == "unstable":
            by_modes[n_modes] += n_points
    calm = [f"{by_stability[kind]} {kind}" for kind in ("stable", "marginal") if by_stability[kind]]
    long, first = [*calm], True
    for n_modes, n_points in sorted(by_modes.items()):
        what = counted(n_modes, "unstable mode") if first else str(n_modes)
        long.append(f"{n_points} with {what}")
        first = False
    short = [*calm]
    if by_modes:
        short.append(f"{by_stability['unstable']} unstable")
    is_whole = report.n_sets >= report.n_inputs or "FixedPoints" in report.without
    more = "" if is_whole else ", so far"
    return tuple((", ".join(parts) or "none") + more for parts in (long, short))


def network_columns(reports: Sequence[NetworkReport]) -> list[Column]:
    """Return the columns of the table of networks."""
    accuracies = [_accuracy(r) for r in reports]
    return [
        Column("seed", [str(r.key["seed"]) for r in reports]),
        Column(
            "R²", marked([number(r.r2, 4) for r in reports], [r.is_of_training for r in reports])
        ),
        Column("accuracy", accuracies),
        Column("max Re λ", [number(r.max_eigenvalue, 4) for r in reports]),
        Column("seconds", [number(r.seconds, 1) for r in reports]),
        Column("fixed points", [points_in_words(r) for r in reports], is_left=True),
    ]


def _accuracy(report: NetworkReport) -> str:
    if report.is_validated or report.status == "diverged":
        return number(report.accuracy, 3)
    return NOT_WANTED if "Validation" in report.without else "not yet"
