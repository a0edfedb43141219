"""Verification: training a stored network again and comparing it bit by bit."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from datajoint.errors import MissingExternalFile

from models.machine.devices import checked_device, default_device, kind_of
from models.machine.kernels import kernels_of
from models.network.connectivity import WEIGHTS
from tasks_lib.brief import brief
from tasks_lib.errors import ParameterError, text_of

from ..database.types import Restriction
from ..store.checked_files import DamagedFile
from ..tables.network import NetworkParams
from ..tables.network_rows import network_columns, term_rows
from ..tables.parameters import ParameterTable
from ..tables.provenance import provenance
from ..tables.recorded import snapshot_rows, trace_rows
from ..tables.task import Task
from ..tables.training import Training
from ..tables.training_params import TrainingParams
from ..tables.training_rows import TrainingRows, train_from_rows
from ..transient.errors import is_transient

VERSIONS = ("code_version", "code_dirty", "python_version", "torch_version", "numpy_version")
# In the order in which they arise, after the losses.
RESULTS = (
    "score_curve", "status", "iterations_done", "stopped_by",
    *(name.lower() for name in WEIGHTS), "loss", "r2",
)  # fmt: skip
# What reading an array raises where its file is missing, or does not hold what was written.
MISSING_OR_DAMAGED = (MissingExternalFile, FileNotFoundError, DamagedFile)


@dataclass(frozen=True)
class Difference:
    """A difference between the stored network and the one that was trained again.

    Attributes
    ----------
    what : str
        Column of `Training.Network`, of `Training.Term` with the term's name, or of
        `Training.Trace` or `Training.Snapshot` with the iteration.
    where : tuple of int or None
        Of an array: the first entry that differs of a curve, the one that differs most of weights.
        Of a curve of each iteration entry 0 is iteration 1.
    stored, again : value
        What is stored, there, and what came out now.
    """

    what: str
    stored: Any
    again: Any
    where: tuple[int, ...] | None = None

    def __str__(self) -> str:
        """Return one line."""
        place = ""
        if self.where is not None:
            one = len(self.where) == 1 and self.what.endswith("_curve")
            place = f" at iteration {self.where[0] + 1}" if one else f" at {list(self.where)}"
        line = f"{self.what}{place}: stored {self.stored!s}, now {self.again!s}"
        if self.where is not None and not self.what.endswith("_curve"):
            line += f" (largest difference {abs(self.stored - self.again):.3g})"
        return line


@dataclass(frozen=True)
class Change:
    """A change of software or hardware since the network was trained."""

    what: str
    then: Any
    now: Any

    def __str__(self) -> str:
        """Return one line."""
        return f"{self.what}: {self.then} then, {self.now} now"


@brief
@dataclass(frozen=True)
class Verification:
    """Result of training a network again: identical or not, and what differs.

    Attributes
    ----------
    key : dict
        Of the network.
    identical : bool
        Whether every weight, curve and score is the same to the bit.
    differences : list of Difference
        In the order in which they arise in a training; the first one is nearest to the cause.
    changed : list of Change
        Code, libraries and device that are not those of then, and parameters that were changed
        after they had been entered. They explain a difference, and do not make one.
    device : str
        On which it was trained now.
    n_trained : int
        How many networks: on a GPU its whole cohort.
    """

    key: dict[str, Any]
    identical: bool
    differences: list[Difference]
    changed: list[Change]
    device: str
    n_trained: int


def verify(
    key: Restriction,
    device: str | None = None,
    progress: Callable[[int, int, float], None] | None = None,
) -> Verification:
    """Train a stored network again and compare it with what is stored; nothing is written.

    On a CPU a network depends on its own seed alone, so that only it is trained; on a GPU its whole
    cohort is.

    Parameters
    ----------
    key : restriction
        Of `Training.Network`: a key, a query, a text; exactly one network.
    device : str, optional
        A torch device; by default the kind that trained it where there is one here, else what
        there is.
    progress : callable, optional
        Called as ``progress(step, n_steps, mean_loss)``.

    Raises
    ------
    ParameterError
        Where the key does not select exactly one network, or one that was imported.
    Exception
        Of whatever kind, where the training fails, or the store cannot be read: that says nothing
        of the network. Only a file that is missing or corrupt in a store that is there is a
        difference.
    """
    networks = Training.Network & key
    if len(networks) != 1:
        raise ParameterError(
            "key", key, f"selects {len(networks)} networks", "restrict it to exactly one"
        )
    stored = networks.fetch1()
    key = {name: stored[name] for name in Training.Network.primary_key}
    if stored["status"] == "imported":
        raise ParameterError(
            "key",
            key,
            "was trained elsewhere, so that it cannot be trained again",
            "choose another",
        )
    training = (Training & key).fetch1()
    cohort = {name: key[name] for name in Training.primary_key}
    rows, n_networks = Training().make_fetch(cohort)
    chosen = _device(training["device"], device)
    seeds = [int(key["seed"])]
    if kind_of(chosen) != "cpu":
        first = int(key["first_seed"])
        seeds = list(range(first, first + int(n_networks)))
    result = train_from_rows(rows, seeds=seeds, device=chosen, progress=progress)
    again = next(n for n in result.networks if n.seed == key["seed"])
    terms = {row["term"]: row for row in (Training.Term & key).to_dicts()}
    terms_again = {row["term"]: row for row in term_rows(again, rows.weights)}
    differences = _compare(stored, network_columns(again), terms, terms_again)
    differences += _compare_recorded(
        "trace_iteration", (Training.Trace & key).to_dicts(), trace_rows(again)
    )
    differences += _compare_recorded(
        "snapshot_iteration", (Training.Snapshot & key).to_dicts(), snapshot_rows(again)
    )
    return Verification(
        key=key,
        identical=not differences,
        differences=differences,
        changed=_changes(training, chosen, rows),
        device=chosen,
        n_trained=len(seeds),
    )


def _device(trained_on: str, wanted: str | None) -> str:
    """Return the device to train on: of the kind that trained it, where there is one here."""
    if wanted is not None:
        return checked_device(wanted)
    return "cpu" if kind_of(trained_on) == "cpu" else default_device()


def _compare(
    stored: dict[str, Any],
    again: dict[str, Any],
    terms: dict[str, dict[str, Any]],
    terms_again: dict[str, dict[str, Any]],
) -> list[Difference]:
    """Return all differences in the order in which they arise."""
    found = [_difference("loss_curve", stored["loss_curve"], again["loss_curve"])]
    columns = ("term_weight", "term_curve", "gradient_curve")
    found += _compare_rows(terms, terms_again, "term {}", "{}.{}", columns)
    found += [_difference(name, stored[name], again[name]) for name in RESULTS]
    return [difference for difference in found if difference is not None]


def _compare_recorded(
    iteration: str, stored: Iterable[dict[str, Any]], again: Iterable[dict[str, Any]]
) -> list[Difference]:
    """Return the differences of what was recorded on the way, by iteration.

    Where nothing is stored there is nothing to compare: earlier versions recorded none of it.
    """
    rows = {row[iteration]: row for row in stored}
    rows_again = {row[iteration]: row for row in again}
    if not rows:
        return []
    column = "{1} after iteration {0}"
    found = _compare_rows(rows, rows_again, f"{iteration} {{}}", column)
    return [difference for difference in found if difference is not None]


def _compare_rows(
    rows: Mapping[Any, dict[str, Any]],
    rows_again: Mapping[Any, dict[str, Any]],
    row: str,
    column: str,
    columns: Sequence[str] | None = None,
) -> list[Difference | None]:
    """Return how rows differ, and which are on one side alone; None where a column does not.

    ``row`` and ``column`` say how differences are called, by what a row is of and its column.
    """
    found: list[Difference | None] = []
    for each in sorted({*rows, *rows_again}):
        one, other = rows.get(each), rows_again.get(each)
        if one is None or other is None:
            found.append(Difference(row.format(each), _presence(one), _presence(other)))
            continue
        found += [
            _difference(column.format(each, name), one[name], other[name])
            for name in columns or other
        ]
    return found


def _presence(row: Any) -> str:
    return "is not there" if row is None else "is there"


def _difference(what: str, stored: Any, again: Any) -> Difference | None:
    """Return how a column differs; None where it does not."""
    if stored is None or again is None or not isinstance(again, np.ndarray):
        return None if stored is again or stored == again else Difference(what, stored, again)
    try:
        kept = np.asarray(stored)
    except MISSING_OR_DAMAGED as error:
        if is_transient(error):  # the store is away, and the file perhaps there
            raise
        line = text_of(error)
        return Difference(what, f"cannot be read ({line})", f"an array {again.shape}")
    if kept.tobytes() == again.tobytes() and (kept.shape, kept.dtype) == (again.shape, again.dtype):
        return None
    if kept.dtype != again.dtype or (kept.shape != again.shape and not what.endswith("_curve")):
        return Difference(what, f"{kept.dtype} {kept.shape}", f"{again.dtype} {again.shape}")
    return _at(what, kept, again)


def _at(what: str, kept: Any, again: Any) -> Difference:
    """Return where a curve differs first, or weights most."""
    if not what.endswith("_curve"):
        distance = np.abs(kept.astype(np.float64) - again.astype(np.float64))
        most = int(np.argmax(np.where(np.isnan(distance), np.inf, distance)))
        place = tuple(int(i) for i in np.unravel_index(most, kept.shape))
        return Difference(what, kept[place], again[place], place)
    n = min(len(kept), len(again))
    differs = np.flatnonzero((kept[:n] != again[:n]).reshape(n, -1).any(axis=1))
    if not differs.size:
        return Difference(what, f"{len(kept)} values", f"{len(again)} values, the first {n} alike")
    first = int(differs[0])
    if kept.ndim == 1:
        return Difference(what, kept[first], again[first], (first,))
    return Difference(what, kept[first].tolist(), again[first].tolist(), (first,))


def _changes(training: dict[str, Any], device: str, rows: TrainingRows) -> list[Change]:
    """Return what is not as it was when the row was made."""
    now = provenance()
    changes = []
    for name in VERSIONS:
        then = bool(training[name]) if name == "code_dirty" else training[name]
        if then != now[name]:
            changes.append(Change(name, then, now[name]))
    if kind_of(training["device"]) != kind_of(device):
        changes.append(Change("device", training["device"], device))
    elif training["kernels"] not in (None, kernels_of(device)):
        changes.append(Change("kernels", training["kernels"], kernels_of(device)))
    sets: dict[type[ParameterTable], dict[str, Any]] = {
        Task: rows.task, NetworkParams: rows.network, TrainingParams: rows.training,
    }  # fmt: skip
    for table, row in sets.items():
        hashes = table.hashes(table.parameters_of_row(row))
        if row[table.hash_field] not in hashes:
            name = row[table.primary_key[0]]
            changes.append(Change(f"{table.__name__} {name!r}", row[table.hash_field], hashes[0]))
    return changes
