"""Jobs that need a class which this process cannot import: passed over, and left to others."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import datajoint as dj

from tasks_lib.errors import CannotImport, ParameterError, kind_and_text
from tasks_lib.registry import OPTIONAL_TASKS, task_class

from ..tables.allowed_imports import only_allowed_imports
from ..tables.keys import SET_COLUMNS
from ..tables.network import NetworkParams
from ..tables.selections import Chosen
from ..tables.task import Task
from ..tables.training_params import TrainingParams
from ..transient.errors import is_transient
from .job_table import Key
from .queue import Queue
from .registry import MissingClass

KNOWN_SECONDS = 30.0  # for which it is not asked again which classes a parameter set names


@dataclass(frozen=True)
class NamedClass:
    """A class that a parameter set names: a task's, an environment's, a penalty, an activation."""

    kind: str
    name: str


@dataclass
class MissingClasses:
    """The classes that this process could not import, and the parameter sets that name them.

    Parameters
    ----------
    say : callable
        Called once for each such class, with its name and why it cannot be imported.
    """

    say: Callable[[str, str], Any]
    reasons: dict[str, str] = field(default_factory=dict, init=False)  # class -> why
    excluded: dict[str, dict[str, set[str]]] = field(default_factory=dict, init=False)
    _looked: dict[tuple[str, str], float] = field(default_factory=dict, init=False)
    _checked: dict[NamedClass, str | None] = field(default_factory=dict, init=False)

    def needed_by(self, key: Key) -> set[str]:
        """Return the classes that a job needs and that cannot be imported here.

        The parameter sets that name one are excluded from then on: `excluded` is column -> name of
        the set -> classes.
        """
        now = time.monotonic()
        missing: set[str] = set()
        for column in SET_COLUMNS:
            if column in key and now >= self._looked.get((column, key[column]), 0.0):
                name = str(key[column])
                found = {c.name for c in named_by({column: name})[column, name] if self._fails(c)}
                if found:
                    self.excluded.setdefault(column, {})[name] = found
                else:
                    self._looked[column, name] = now + KNOWN_SECONDS
                missing |= found
        return missing

    def look_again(self) -> None:
        """Ask again which of the excluded sets still name such a class: they may be other ones."""
        for column, sets in list(self.excluded.items()):
            named = named_by(*({column: name} for name in sets))
            for name in list(sets):
                classes = {c.name for c in named.get((column, name), ())} & set(self.reasons)
                if classes:
                    sets[name] = classes
                else:
                    del sets[name]

    @property
    def excluded_sets(self) -> dict[str, list[str]]:
        """Column -> names of the parameter sets of it whose jobs are passed over."""
        return {column: sorted(sets) for column, sets in self.excluded.items() if sets}

    def waiting(
        self,
        connection: dj.Connection,
        queues: Iterable[Queue],
        restriction: Sequence[Chosen] = (),
    ) -> dict[str, int]:
        """Return how many pending jobs wait for each of the classes."""
        return count_waiting(connection, queues, self.excluded, restriction)

    def _fails(self, named: NamedClass) -> bool:
        if named not in self._checked:
            reason = why_not_imported(named)
            self._checked[named] = reason
            if reason is not None and named.name not in self.reasons:
                self.reasons[named.name] = reason
                self.say(named.name, reason)
        return self._checked[named] is not None


def named_by(*restrictions: Mapping[str, str]) -> dict[tuple[str, str], list[NamedClass]]:
    """Return the classes that parameter sets name, by column and name of the set.

    Classes of this project are left out, but for those that need an optional package.

    Parameters
    ----------
    *restrictions : mapping
        ``{column: name}`` of sets; all by default.
    """
    found: dict[tuple[str, str], list[NamedClass]] = {
        (column, name): [] for each in restrictions for column, name in each.items()
    }

    def add(column: str, row: Mapping[str, Any], kind: str, name: Any) -> None:
        classes = found.setdefault((column, str(row[column])), [])
        is_foreign = isinstance(name, str) and ":" in name
        if is_foreign or (kind == "task" and name in OPTIONAL_TASKS):
            classes.append(NamedClass(kind, name))
            params = row.get("params")
            if kind == "task" and isinstance(params, Mapping) and "environment" in params:
                classes.append(NamedClass("environment", str(params["environment"])))
        elif kind == "task" and name == "Mixture":
            for component in row["params"]["components"]:
                add(column, {**row, "params": component.get("params")}, kind, component["class"])

    columns = {column for each in restrictions for column in each} or set(SET_COLUMNS)
    wanted = [dict(each) for each in restrictions] or True
    if "task_name" in columns:
        for row in (Task & wanted).proj("task_class", "params").to_dicts():
            add("task_name", row, "task", row["task_class"])
    if "network_name" in columns:
        for row in (NetworkParams & wanted).proj("activation").to_dicts():
            add("network_name", row, "activation", row["activation"])
    if "training_name" in columns:
        for row in (TrainingParams.Penalty & wanted).proj().to_dicts():
            add("training_name", row, "penalty", row["penalty"])
    return found


@only_allowed_imports()
def why_not_imported(named: NamedClass) -> str | None:
    """Return why a class cannot be imported here; None where it can, whatever it then is."""
    try:
        if named.kind == "task":
            task_class(named.name)
        elif named.kind == "environment":
            from tasks_lib.neurogym_trials import find_environment

            find_environment(named.name)
        elif named.kind == "activation":
            from models.formulas.activations import Activation

            Activation(named.name)
        else:
            from models import penalties

            penalties.get(named.name)
    except CannotImport as error:
        if is_transient(error):
            raise
        return error.problem
    except ParameterError:
        return None  # it is there, and wrong: the job fails, and says so
    except (Exception, SystemExit) as error:
        if is_transient(error):
            raise
        return f"fails when imported ({kind_and_text(error)})"
    return None


def count_waiting(
    connection: dj.Connection,
    queues: Iterable[Queue],
    excluded: Mapping[str, Mapping[str, Collection[str]]],
    restriction: Sequence[Chosen] = (),
) -> dict[str, int]:
    """Return how many pending jobs need each class.

    Parameters
    ----------
    excluded : mapping
        Column -> name of a parameter set -> classes that it names.
    restriction : sequence of restrictions
        Which jobs.
    """
    counts: Counter[str] = Counter()
    wanted = {column: list(sets) for column, sets in excluded.items() if sets}
    for queue in queues:
        for key, number in queue.n_pending_of(connection, wanted, restriction):
            names = {c for column, n in key.items() for c in excluded.get(column, {}).get(n, ())}
            for name in names:
                counts[name] += number
    return dict(counts)


@dataclass(frozen=True)
class WaitingJobs:
    """Jobs that need a class which a worker could not import.

    Attributes
    ----------
    class_name : str
    n_jobs : int
        Pending ones.
    reason : str
        Why the last worker that tried could not import it.
    worker_ids : tuple of int
        Workers that could not, the latest first.
    """

    class_name: str
    n_jobs: int
    reason: str
    worker_ids: tuple[int, ...]


def waiting_jobs(
    connection: dj.Connection, queues: Sequence[Queue], restriction: Sequence[Chosen] = ()
) -> list[WaitingJobs]:
    """Return the pending jobs that need a class which some worker could not import."""
    tried: dict[str, list[dict[str, Any]]] = {}
    for row in MissingClass.to_dicts(order_by="missed_at DESC"):
        tried.setdefault(row["class_name"], []).append(row)
    if not tried:
        return []
    excluded: dict[str, dict[str, set[str]]] = {}
    for (column, name), classes in named_by().items():
        if missing := {c.name for c in classes} & set(tried):
            excluded.setdefault(column, {})[name] = missing
    counts = count_waiting(connection, queues, excluded, restriction)
    return [
        WaitingJobs(name, n_jobs, rows[0]["reason"], tuple(int(r["worker_id"]) for r in rows))
        for name, rows in tried.items()
        if (n_jobs := counts.get(name, 0))
    ]
