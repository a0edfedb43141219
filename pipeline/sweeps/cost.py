"""What cohorts will cost, before anything is computed: jobs, bytes, and the time of the trainings.

The time is that of trainings which are stored, of the same shape and on the same kind of device; of
shapes of which none is stored, that of a few iterations, measured here.
"""

from __future__ import annotations

import heapq
import json
import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from statistics import median
from typing import Any

import datajoint as dj

from models.machine.devices import default_device, kind_of

from ..database.connection import connection
from ..database.schemas import SCHEMAS, parts, title_of
from ..database.types import Query
from ..tables.computed import COMPUTED
from ..tables.hashing import canonical_json
from ..tables.keys import COHORT, NETWORK, SET_COLUMNS, SETS
from ..tables.left_out import not_wanted
from ..tables.parameter_sets import PARAMETER_TABLES
from ..tables.rows import Row, in_chunks
from ..tables.task import Task
from ..tables.training import Cohort, Training
from ..tables.training_params import TrainingParams
from ..tables.training_rows import TrainingRows
from ..workers.worker_sql import live_workers

LATEST = 2000  # trainings that are looked at
SAMPLE = 20  # networks by whose files those of others are judged
ITEM = 4  # bytes of a weight
HEADER = 128  # bytes of a file beside its array
Probe = Callable[[TrainingRows, int, str], float]  # rows, networks, device -> seconds


@cache
def _free() -> dict[str, set[str]]:
    """Return the fields that do not change how long an iteration takes."""
    from models.network.batch import NETWORKS_DIFFER_IN
    from models.training.sweep import TRAININGS_DIFFER_IN

    return {
        "network": {*NETWORKS_DIFFER_IN, "network_name", "network_hash"},
        "training": {*TRAININGS_DIFFER_IN, "training_name", "training_hash", "max_iter"},
        "task": {"task_name", "task_hash"},
    }


@dataclass(frozen=True)
class PlannedCohort:
    """A cohort that is to be trained.

    Attributes
    ----------
    rows : TrainingRows
        Of its parameters.
    n_networks, first_seed : int
    shape : str
        Equal where an iteration takes as long.
    """

    rows: TrainingRows
    n_networks: int
    first_seed: int
    shape: str

    @property
    def key(self) -> tuple[Any, ...]:
        """Its key."""
        rows = self.rows
        names = (rows.task["task_name"], rows.network["network_name"])
        return (*names, rows.training["training_name"], self.first_seed)

    @property
    def n_iterations(self) -> int:
        """Iterations of all its networks together, at most."""
        return int(self.rows.training["max_iter"]) * self.n_networks


@dataclass(frozen=True)
class Measured:
    """How long an iteration of one network took (s), in a cohort of so many."""

    n_networks: int
    seconds: float


@dataclass
class Cost:
    """What is to be computed, and how long its trainings will take.

    Attributes
    ----------
    cohorts : list of PlannedCohort
        Those that are not trained.
    jobs : dict of str to int
        Table -> its jobs for them, at most: a network that diverges is not analysed.
    n_bytes : int
        Of weights and curves, and of files of analyses as far as any is stored to judge by.
    unjudged : list of str
        Tables with files that are to come, and of which none is stored.
    seconds : list of float
        Time of each training, in their order: at most, for one may end earlier.
    n_workers : int
        That are alive.
    n_measured, n_probed : int
        Shapes of which trainings are stored, and which were measured here.
    device : str
    points : dict of str to list of dict
        Sweep -> its points: axis -> value.
    """

    cohorts: list[PlannedCohort]
    jobs: dict[str, int]
    n_bytes: int
    unjudged: list[str]
    n_workers: int
    points: dict[str, list[dict[str, Any]]]
    device: str = "cpu"
    seconds: list[float] = field(default_factory=list)
    n_measured: int = 0
    n_probed: int = 0

    @property
    def n_networks(self) -> int:
        """Networks that are to be trained."""
        return sum(cohort.n_networks for cohort in self.cohorts)

    def time_with(self, n_workers: int) -> float:
        """Return the time that so many workers take for all trainings (s)."""
        return makespan(self.seconds, n_workers)

    def estimate(self, probe: Probe, measured: Mapping[str, Sequence[Measured]]) -> None:
        """Fill in the times of the trainings.

        Parameters
        ----------
        probe : callable
            Measures a few iterations of shapes of which nothing is stored.
        measured : mapping
            Shape -> trainings that are stored (`stored_trainings`).
        """
        found = {shape: list(each) for shape, each in measured.items()}
        shapes = dict.fromkeys(cohort.shape for cohort in self.cohorts)
        self.n_measured = sum(shape in found for shape in shapes)
        self.n_probed = len(shapes) - self.n_measured
        self.seconds = []
        for cohort in self.cohorts:
            if cohort.shape not in found:
                seconds = probe(cohort.rows, cohort.n_networks, self.device)
                found[cohort.shape] = [Measured(cohort.n_networks, seconds)]
            each = seconds_each(found[cohort.shape], cohort.n_networks)
            self.seconds.append(each * cohort.n_iterations)


def makespan(seconds: Iterable[float], n_workers: int) -> float:
    """Return when the last of several workers ends that take jobs in their order (s)."""
    ends = [0.0] * max(n_workers, 1)
    for each in seconds:
        heapq.heapreplace(ends, ends[0] + each)
    return max(ends)


def seconds_each(measured: Sequence[Measured], n_networks: int) -> float:
    """Return the time of an iteration of a network (s), in a cohort of so many.

    The median of the trainings whose number of networks is nearest, by its ratio.
    """
    distance = {n: abs(math.log(n / n_networks)) for n in {each.n_networks for each in measured}}
    nearest = min(distance, key=lambda n: (distance[n], n))
    return median(each.seconds for each in measured if each.n_networks == nearest)


def shape_of(rows: TrainingRows) -> str:
    """Return what is equal for trainings whose iterations take as long."""
    kept: dict[str, Any] = {
        which: {k: v for k, v in row.items() if k not in _free()[which]}
        for which, row in (
            ("task", rows.task), ("network", rows.network), ("training", rows.training),
        )
    }  # fmt: skip
    kept["penalties"] = sorted([row["penalty"], row["args"]] for row in rows.penalties)
    return canonical_json(json.loads(json.dumps(kept, default=str)))


# What is there ------------------------------------------------------------------------------------


def plan(cohorts: Query, points: dict[str, list[dict[str, Any]]]) -> Cost:
    """Return what cohorts cost that are not trained, without the time of it.

    Parameters
    ----------
    cohorts : query of `Cohort`
    points : dict
        See `Cost`.
    """
    left = (cohorts - Training.proj()) & {"origin": "trained"}
    rows = left.to_dicts(order_by=COHORT)
    sets = _sets(rows)
    planned = [
        PlannedCohort(own := _rows(row, sets), row["n_networks"], row["first_seed"], shape_of(own))
        for row in rows
    ]
    jobs = _jobs(planned)
    n_bytes, unjudged = _bytes(planned)
    unjudged = [name for name in unjudged if jobs[name]]
    n_workers = len(live_workers(connection()))
    device = default_device()
    return Cost(planned, jobs, n_bytes, unjudged, n_workers, points, device)


def stored_trainings(shapes: Iterable[str], device: str) -> dict[str, list[Measured]]:
    """Return how long stored trainings of some shapes took, of the latest ones on a kind of device.

    Those that were gone on with count as a whole, as their rows do.
    """
    wanted = set(shapes)
    trained = (Training * Cohort & {"origin": "trained"}).proj(
        "n_networks", "seconds", "device", "trained_at"
    )
    latest = trained.to_dicts(order_by="trained_at DESC", limit=LATEST)
    latest = [row for row in latest if kind_of(row["device"]) == kind_of(device)]
    sets = _sets(latest)
    found: dict[str, list[tuple[Row, str]]] = defaultdict(list)
    for row in latest:
        if (shape := shape_of(_rows(row, sets))) in wanted:
            found[shape].append((row, shape))
    chosen = [row for of_shape in found.values() for row, _ in of_shape]
    done: dict[tuple[Any, ...], int] = defaultdict(int)
    for some in in_chunks([{k: row[k] for k in COHORT} for row in chosen], 200):
        for row in (Training.Network & list(some)).proj("iterations_done").to_dicts():
            done[tuple(row[k] for k in COHORT)] += int(row["iterations_done"])
    measured: dict[str, list[Measured]] = defaultdict(list)
    for of_shape in found.values():
        for row, shape in of_shape:
            if number := done[tuple(row[k] for k in COHORT)]:
                measured[shape].append(Measured(row["n_networks"], row["seconds"] / number))
    return dict(measured)


def _sets(cohorts: Sequence[Row]) -> dict[str, dict[str, Any]]:
    """Return the rows of the parameter sets of cohorts, by their names; penalties as lists."""
    found: dict[str, dict[str, Any]] = {"penalties": defaultdict(list)}
    for which, column in zip(SETS, SET_COLUMNS, strict=True):
        found[which] = {}
        for names in in_chunks(sorted({row[column] for row in cohorts})):
            asked = [{column: name} for name in names]
            for row in (PARAMETER_TABLES[which] & asked).to_dicts():
                found[which][row[column]] = row
            if which == "training":
                for row in (TrainingParams.Penalty & asked).to_dicts():
                    found["penalties"][row[column]].append(row)
    return found


def _rows(cohort: Row, sets: Mapping[str, Mapping[str, Any]]) -> TrainingRows:
    of = {which: sets[which][cohort[f"{which}_name"]] for which in SETS}
    penalties = sets["penalties"][cohort["training_name"]]
    return TrainingRows(of["task"], of["network"], of["training"], penalties)


def _jobs(planned: Sequence[PlannedCohort]) -> dict[str, int]:
    """Return the jobs of each table, by what its key has beside a network's."""
    tasks = {cohort.rows.task["task_name"]: cohort.rows.task for cohort in planned}
    inputs = {name: len(Task.Input & {"task_name": name}) for name in tasks}
    without = not_wanted()
    jobs = {}
    for table in COMPUTED:
        further = [name for name in table.primary_key if name not in NETWORK]
        applies = getattr(table, "is_for_task", lambda row: True)
        if "seed" not in table.primary_key:
            jobs[title_of(table)] = sum(applies(cohort.rows.task) for cohort in planned)
            continue
        factor = math.prod(_n_settings(name) for name in further if name != "input_name")
        each = {
            name: factor * (inputs[name] if "input_name" in further else 1) * applies(row)
            for name, row in tasks.items()
        }
        jobs[title_of(table)] = sum(
            cohort.n_networks * each[cohort.rows.task["task_name"]]
            for cohort in planned
            if table.__name__ not in without.get(cohort.key, ())
        )
    return jobs


def _n_settings(column: str) -> int:
    """Return how many settings of analyses there are that a column of a key names."""
    for schema in SCHEMAS.values():
        for table in schema.tables:
            if list(table.primary_key) == [column]:
                return len(table())
    return 1


def _bytes(planned: Sequence[PlannedCohort]) -> tuple[int, list[str]]:
    total = sum(cohort.n_networks * network_bytes(cohort.rows) for cohort in planned)
    n_networks = sum(cohort.n_networks for cohort in planned)
    sample = Training.Network.proj().to_dicts(order_by="KEY", limit=SAMPLE)
    unjudged = []
    for table in COMPUTED:
        if table is Training:
            continue
        with_files = {t: c for t in (table, *parts(table)) if (c := _file_columns(t))}
        if not with_files:
            continue
        n_bytes = sum(_stored_bytes(t, c, sample) for t, c in with_files.items())
        there = len(dj.U(*NETWORK) & (table() & sample).proj()) if sample else 0
        if there:
            total += round(n_networks * n_bytes / there)
        else:
            unjudged.append(title_of(table))
    return total, unjudged


def network_bytes(rows: TrainingRows) -> int:
    """Return the bytes of the files of a trained network: weights and curves, of all iterations."""
    n, task = int(rows.network["n_units"]), rows.task
    values = n * (n + int(task["n_inputs"]) + int(task["n_outputs"]) + 2)
    n_terms = len(rows.penalties) + 1 if rows.penalties or rows.training.get("monitor") else 0
    curves = 1 + n_terms * (2 if rows.training.get("monitor") else 1)
    iterations = int(rows.training["max_iter"])
    return ITEM * (values + curves * iterations) + HEADER * (7 + curves)


def _file_columns(table: type[dj.Table]) -> list[str]:
    attributes = table().heading.attributes
    return [name for name, each in attributes.items() if each.is_schema_object]


def _stored_bytes(table: type[dj.Table], columns: Sequence[str], sample: list[Row]) -> int:
    """Return the bytes of the files that rows of some networks keep."""
    if not sample:
        return 0
    query = table() & sample
    quoted = table.connection.adapter.quote_identifier
    rows = table.connection.query(
        f"SELECT {', '.join(map(quoted, columns))} FROM {table.full_table_name}"
        f"{query.where_clause()}"
    ).fetchall()
    total = 0
    for value in (value for row in rows for value in row if value is not None):
        kept = json.loads(value) if isinstance(value, str | bytes) else value
        total += int(kept.get("n_bytes") or 0) if isinstance(kept, dict) else 0
    return total
