"""Importing networks trained elsewhere, and snapshots, as rows; exporting rows as files."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import datajoint as dj
import numpy as np
from datajoint.errors import DuplicateError

import models
from models.network.connectivity import WEIGHTS
from tasks_lib.errors import ParameterError

from .database.connection import check_writing, connection
from .database.server import transaction
from .database.types import Restriction
from .tables.allowed_imports import allowed_packages
from .tables.network import NetworkParams
from .tables.network_rows import load_network
from .tables.parameters import MAX_NAME
from .tables.performance import VALIDATION_SEED
from .tables.provenance import provenance
from .tables.recorded import load_snapshot
from .tables.snapshot_networks import SnapshotNetwork
from .tables.task import Task
from .tables.training import Cohort, Training
from .tables.training_params import IMPORTED, TrainingParams

# Imports at the same moment can want the same seed.
N_ATTEMPTS = 5


def import_network(
    path: str | Path,
    task_name: str,
    network_name: str | None = None,
    config_path: str | Path | None = None,
    mapping: str | Path | Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Enter a network from a file; everything that analyses trained networks analyses it.

    Parameters
    ----------
    path : str or Path
        A file of any format of `models.files.exchange`.
    task_name : str
        The task that the network was trained on, which has been entered.
    network_name : str, optional
        Name of the network's parameters; the file's name by default. Where the same parameters
        exist already, they keep their name.
    config_path : str or Path, optional
        The configuration that trainRNNbrain saved with the network (`models.read_network`).
    mapping : str, Path or mapping, optional
        Which tensors of another program's state_dict are which weights (`models.read_network`).

    Returns
    -------
    key : dict
        Of the row in `Training.Network`; its seed is the next free number.

    Raises
    ------
    ParameterError
        Where the file is refused, its network does not fit the task, or it was imported before.
        Then nothing is entered.
    DatabaseError
        Where the store cannot be written.
    """
    check_writing()
    network = models.read_network(path, config_path, allowed_packages(), mapping)
    r2 = _score(network, task_name)
    file = Path(path).name[-255:]
    return _beside_others(lambda: _enter(network, r2, file, task_name, network_name))


def _beside_others(enter: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """Return what is entered; again where others took the seed, or entered equal parameters."""
    for attempts_left in reversed(range(N_ATTEMPTS)):
        try:
            return enter()
        except DuplicateError:
            if not attempts_left:
                raise
    raise AssertionError("unreachable")


def _enter(
    network: models.ImportedNetwork, r2: float | None, file: str, task_name: str, name: str | None
) -> dict[str, Any]:
    """Enter a network that has been checked, whole or not at all; return its key."""
    with transaction(connection()):
        _refuse_second_import(network, task_name, file)
        network_name = _enter_parameters(network, name, file)
        notes = list(network.notes)
        if name not in (None, network_name):
            notes.append(
                f"network_name: equal parameters exist as {network_name!r}, under which it "
                f"was entered and not as {name!r}"
            )
        source = {"file": file, "format": network.format, "sha256": network.sha256}
        sets = {"task_name": task_name, "network_name": network_name}
        return _insert(sets, {**source, "notes": notes}, network.weights, r2)


def _insert(
    sets: dict[str, Any], source: dict[str, Any], weights: Mapping[str, Any], r2: float | None
) -> dict[str, Any]:
    """Insert an imported network of a task and network parameters; return its key."""
    from models.files.exchange import in_fewest_bits

    key = {**sets, "training_name": IMPORTED}
    TrainingParams.enter_imported()
    seeds = (Training.Network & key).to_arrays("seed")
    key["first_seed"] = int(max(seeds, default=-1)) + 1
    # A cohort whose network was deleted is still there.
    if not Cohort & key:
        Cohort.insert1({**key, "n_networks": 1, "origin": "imported"})
    Training.insert1(
        {**key, "device": "none", "iterations": 0, "seconds": 0.0, **provenance()},
        allow_direct_insert=True,
    )
    Training.Source.insert1({**key, **source})
    key["seed"] = key["first_seed"]
    # Last, so that whatever the database refuses leaves no file in the store.
    Training.Network.insert1(
        {
            **key,
            "status": "imported",
            "iterations_done": 0,
            "loss": None,
            "r2": r2,
            **{name.lower(): w for name, w in in_fewest_bits(weights).items()},
            "loss_curve": np.empty(0, dtype=np.float32),
            "score_curve": np.empty((0, 2)),
        }
    )
    return key


def enter_snapshots(restriction: Restriction = None) -> list[dict[str, Any]]:
    """Enter snapshots of trainings as networks; everything that analyses networks analyses them.

    Each has the task and the parameters of the network that was trained, and a row in
    `SnapshotNetwork` that says of which network and iteration it is. What was entered before is
    left as it is.

    Parameters
    ----------
    restriction : restriction, optional
        Of `Training.Snapshot`: a key, a query, a text; all snapshots by default.

    Returns
    -------
    keys : list of dict
        Of their rows in `Training.Network`, in the order of network and iteration.

    Raises
    ------
    ParameterError
        Where there is no such snapshot.
    """
    check_writing()
    # Of a query its key: columns of the same name in two tables are not compared.
    given = restriction.proj() if isinstance(restriction, dj.Table) else restriction
    chosen = Training.Snapshot() if given is None else Training.Snapshot & given
    rows = chosen.to_dicts(order_by="KEY")
    if not rows:
        raise ParameterError(
            "restriction",
            restriction,
            "selects no snapshot",
            "train with `snapshots` above 0, or mend it",
        )
    return [_beside_others(partial(_enter_snapshot, row)) for row in rows]


def _enter_snapshot(row: Mapping[str, Any]) -> dict[str, Any]:
    """Enter one snapshot, unless it is there; return the key of its network."""
    sets = {name: row[name] for name in ("task_name", "network_name")}
    origin = {
        "origin_training": row["training_name"],
        "origin_first_seed": int(row["first_seed"]),
        "origin_seed": int(row["seed"]),
        "origin_iteration": int(row["snapshot_iteration"]),
    }
    rnn = load_snapshot(row)
    for there in (SnapshotNetwork & sets & origin).keys():
        known = (Training.Network & there).load()
        if all(np.array_equal(getattr(rnn, name), getattr(known, name)) for name in WEIGHTS):
            return dict(there)  # else its origin was trained anew since
    task = Task.build((Task & sets).fetch1(), seed=VALIDATION_SEED)
    with np.errstate(all="ignore"):
        scores = models.PerformanceAnalyzer(rnn, task).validate()
    weights = {name: np.asarray(getattr(rnn, name)) for name in WEIGHTS}
    digest = hashlib.sha256(json.dumps({**sets, **origin}, sort_keys=True).encode())
    for array in weights.values():
        digest.update(array.tobytes())
    name = f"{row['training_name']}, seed {row['seed']}, iteration {row['snapshot_iteration']}"
    source = {"file": name, "format": "snapshot", "sha256": digest.hexdigest(), "notes": []}
    r2 = scores.r2_pooled if np.isfinite(scores.mse) else None
    with transaction(connection()):
        key = _insert(sets, source, weights, r2)
        SnapshotNetwork.insert1({**key, **origin})
    return key


def export_network(key: Restriction, path: str | Path, format: str = "npz") -> Path:
    """Write a stored network to a file.

    Parameters
    ----------
    key : restriction
        Of `Training.Network`: a key, a query, a text; exactly one network.
    path : str or Path
        The file, replaced where it exists; no ending is added.
    format : {"npz", "state_dict", "seed-json", "seed-npz"}
        See `models.files.exchange`.
    """
    networks = Training.Network & key
    if len(networks) != 1:
        raise ParameterError(
            "key", key, f"selects {len(networks)} networks", "restrict it to exactly one"
        )
    row = networks.fetch1()
    config = NetworkParams.build((NetworkParams & row).fetch1())
    return models.write_network(path, load_network(row, config), config, format)


def _score(network: models.ImportedNetwork, task_name: str) -> float | None:
    """Return the network's noise-free pooled R^2, after checking that it fits its task."""
    tasks = (Task & {"task_name": task_name}).to_dicts()
    if not tasks:
        raise ParameterError(
            "task_name",
            task_name,
            "has not been entered",
            "submit the task first, or mend the name",
        )
    for field in ("n_inputs", "n_outputs"):
        if getattr(network, field) != tasks[0][field]:
            raise ParameterError(
                field,
                getattr(network, field),
                f"the task {task_name!r} has {tasks[0][field]}",
                "name the task that the network was trained on",
            )
    task = Task.build(tasks[0], seed=VALIDATION_SEED)
    with np.errstate(all="ignore"):
        scores = models.PerformanceAnalyzer(network.to_numpy(), task).validate()
    if not np.isfinite(scores.mse):
        raise ParameterError(
            "W_rec",
            "unstable",
            f"on the task {task_name!r} the network's states grow beyond all bounds",
            "check dt, tau and the activation",
        )
    return scores.r2_pooled


def _refuse_second_import(network: models.ImportedNetwork, task_name: str, file: str) -> None:
    before = (Training.Source & {"task_name": task_name, "sha256": network.sha256}).to_dicts()
    if before:
        place = ", ".join(f"{name} {before[0][name]!r}" for name in Training.primary_key)
        raise ParameterError(
            "FILE", file, f"was imported before, as {place}", "use that network, or delete it first"
        )


def _enter_parameters(network: models.ImportedNetwork, name: str | None, file: str) -> str:
    """Return the name of the network's parameters, entered where no equal set exists."""
    parameters = network.config.to_dict()
    equal = NetworkParams().equal_sets(NetworkParams.canonical(parameters))
    if equal:
        return equal[0]
    if name is None:
        name = re.sub(r"[^\w.+-]", "_", Path(file).stem)[:MAX_NAME]
    NetworkParams.insert1({"network_name": name, **parameters})
    return name
