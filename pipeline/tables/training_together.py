"""Which cohorts can be trained as one batch, and training them so from their rows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

import models
from models.machine.devices import checked_device, kind_of
from models.network.config import NetworkConfig
from models.parameters import parameters_of
from models.training.config import TrainingConfig
from tasks_lib.errors import ParameterError

from ..progress import progress_bar
from .current_job import CurrentJobs
from .network import NetworkParams
from .parameters import ParameterTable
from .rows import Row
from .task import Task
from .training_params import TrainingParams
from .training_rows import TrainingRows


def may_share(rows: TrainingRows, device: str | None, only_where_it_pays: bool) -> bool:
    """Return whether a batch may have room for other cohorts, as far as rows alone tell.

    Of one trial already: how many a batch has, only the task knows.
    """
    if not only_where_it_pays or kind_of(checked_device(device)) != "cpu":
        return True
    from models.training.together import pays_on_cpu

    n_values = int(rows.task["n_steps"]) * int(rows.network["n_units"])
    return pays_on_cpu(n_values, _training_of(rows))


def alike(rows: TrainingRows) -> dict[str, list[str]]:
    """Return the parameter sets whose cohorts may be one batch with one of these rows, by column.

    They agree in all columns that have to be the same. What no column tells is left to `that_fit`,
    and to `models.train_together`.
    """
    # With torch, which is imported when a job needs it.
    from models.network.batch import NETWORKS_DIFFER_IN
    from models.training.sweep import TRAININGS_DIFFER_IN

    shape = {name: rows.task[name] for name in ("task_class", "n_steps", "n_inputs", "n_outputs")}
    return {
        "task_name": _names_of(Task, shape),
        "network_name": _names_of(
            NetworkParams, _to_agree_in(NetworkConfig, rows.network, NETWORKS_DIFFER_IN)
        ),
        "training_name": _names_of(
            TrainingParams, _to_agree_in(TrainingConfig, rows.training, TRAININGS_DIFFER_IN)
        ),
    }


def _names_of(table: type[ParameterTable], values: Row) -> list[str]:
    return [str(name) for name in (table & values).to_arrays(table.primary_key[0])]


def _to_agree_in(config: type[Any], row: Row, but_for: Sequence[str]) -> Row:
    """Return the values of a row in all columns of a configuration but some, JSON left out."""
    return {
        name: row[name]
        for name, parameter in parameters_of(config).items()
        if name not in but_for and name in row and parameter.kind != "mapping"
    }


def that_fit(
    rows: TrainingRows, candidates: Sequence[Row], sizes: Sequence[int], most: int
) -> list[Row]:
    """Return keys of cohorts that can be one batch with one of these rows, in their order.

    Parameters
    ----------
    rows : TrainingRows
        Of the first cohort.
    candidates : sequence of dict
        Keys of others, whose sets are among `alike`.
    sizes : sequence of int
        Networks of each.
    most : int
        Networks of all of them at most.
    """
    networks, trainings = [_network_of(rows)], [_training_of(rows)]
    others = _configs(candidates)
    chosen = []
    for key, size in zip(candidates, sizes, strict=True):
        if size > most:
            continue
        network = others[0].get(key["network_name"])
        training = others[1].get(key["training_name"])
        if network is None or training is None:  # deleted meanwhile, or unusable: its job says so
            continue
        try:
            models.check_together([*networks, network], [*trainings, training])
        except ParameterError:
            continue
        networks.append(network)
        trainings.append(training)
        chosen.append(key)
        most -= size
    return chosen


def _network_of(rows: TrainingRows) -> models.NetworkConfig:
    return NetworkParams.build(rows.network)


def _training_of(rows: TrainingRows) -> models.TrainingConfig:
    config: models.TrainingConfig = TrainingParams.build(rows.training, rows.penalties)
    return config


def _configs(
    keys: Sequence[Row],
) -> tuple[dict[str, models.NetworkConfig], dict[str, models.TrainingConfig]]:
    """Return the networks and trainings that keys name, by name, but for those of no use."""
    networks: dict[str, models.NetworkConfig] = {}
    trainings: dict[str, models.TrainingConfig] = {}
    for row in (NetworkParams & _names(keys, "network_name")).to_dicts():
        try:
            networks[row["network_name"]] = NetworkParams.build(row)
        except ParameterError:
            continue
    of_trainings = _names(keys, "training_name")
    penalties: dict[str, list[Row]] = {}
    for row in (TrainingParams.Penalty & of_trainings).to_dicts():
        penalties.setdefault(row["training_name"], []).append(row)
    for row in (TrainingParams & of_trainings).to_dicts():
        try:
            own = penalties.get(row["training_name"], [])
            trainings[row["training_name"]] = TrainingParams.build(row, own)
        except ParameterError:
            continue
    return networks, trainings


def _names(keys: Sequence[Row], column: str) -> list[dict[str, str]]:
    return [{column: name} for name in sorted({str(key[column]) for key in keys})]


def networks_together(rows: TrainingRows, device: str | None, only_where_it_pays: bool) -> int:
    """Return how many networks like those of some rows are best trained as one batch."""
    return models.networks_together(
        partial(Task.build, rows.task),
        _network_of(rows),
        _training_of(rows),
        device,
        only_where_it_pays=only_where_it_pays,
    )


def train_together(
    keys: Sequence[Row], fetched: Sequence[tuple[TrainingRows, int]], jobs: CurrentJobs
) -> Iterator[tuple[int, tuple[models.CohortResult, int, dict[str, float]] | None]]:
    """Train cohorts as one batch; yield the place and what is to be inserted, as each is done.

    None where a cohort was left out: it is to be trained alone, unless it is not wanted.
    """
    settings = []
    for i, (key, (rows, n_networks)) in enumerate(zip(keys, fetched, strict=True)):
        first = int(key["first_seed"])
        settings.append(
            models.CohortSettings(
                task=partial(Task.build, rows.task),
                network=_network_of(rows),
                training=_training_of(rows),
                seeds=range(first, first + int(n_networks)),
                checkpoints=jobs.checkpoints(i),
                is_unwanted=partial(jobs.is_unwanted, i),
            )
        )
    title = f"{keys[0]['task_name']}/{keys[0]['network_name']}, {len(keys)} cohorts"
    with (
        progress_bar(title) as show,
        models.watching(jobs.watch),
        jobs.checking_stop() as options,
    ):

        def report(step: int, n_steps: int, loss: float) -> None:
            show(step, n_steps, loss)
            jobs.report(step, n_steps, loss)

        for i, result in models.train_together(settings, progress=report, **options):
            rows = fetched[i][0]
            max_iter = int(rows.training["max_iter"])
            yield i, None if result is None else (result, max_iter, rows.weights)
