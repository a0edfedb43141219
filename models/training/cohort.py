"""Training a cohort: networks that differ in their seed, and in whatever a sweep varies."""

from __future__ import annotations

import copy
import hashlib
import json
import warnings
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch

from tasks_lib import Task
from tasks_lib.brief import brief
from tasks_lib.errors import check_int

from ..machine.devices import checked_device, kind_of
from ..machine.torch_modes import plain_torch
from ..network.batch import check_networks, one_for_each
from ..network.config import NetworkConfig
from ..network.connectivity import stream
from ..network.rnn_torch import RNNTorch
from .checkpoints import (
    CHECKPOINT_SECONDS,
    CheckpointNotWritten,
    Checkpoints,
    KeptState,
    Schedule,
    TrainingStopped,
    checkpoints_of,
)
from .config import TrainingConfig
from .memory import TrainingSize, plan_memory
from .record import TrainedNetwork
from .sweep import joint_penalties
from .trainer import Progress, Trainer

# Of networks that a CPU trains as one batch; see `groups`.
MOST_NETWORKS = 16
MOST_VALUES = 2**24
# What says, beside the states of trainings, which networks are one batch. Each kind of device has
# its own, and states of its own: another could not go on with them to the same bits.
DIVISION = "division_{kind}.json"


@brief
@dataclass(frozen=True)
class CohortResult:
    """What `train_cohort` returns: the networks, in the order of their seeds, and the cost.

    ``seconds`` is the time of the optimiser steps and all that goes with them, those before an
    interruption included.
    """

    networks: list[TrainedNetwork]
    device: str
    seconds: float


@plain_torch()
def train_cohort(
    task: Callable[[int], Task] | Task,
    network: NetworkConfig | Sequence[NetworkConfig],
    training: TrainingConfig | Sequence[TrainingConfig],
    seeds: Sequence[int],
    device: str | None = None,
    progress: Progress | None = None,
    dtype: torch.dtype = torch.float32,
    checkpoints: str | Path | Checkpoints | None = None,
    checkpoint_every: int | None = None,
    checkpoint_seconds: float = CHECKPOINT_SECONDS,
    stop: Callable[[], bool] | None = None,
) -> CohortResult:
    """Train networks that are alike but for their seed, or a sweep over what may differ too.

    On a GPU all networks are one batched computation, on a CPU batches of `groups`. There each is
    bit-identical whatever its companions.

    Parameters
    ----------
    task : Task, or callable seed -> Task
        A callable makes the task that a network draws its batches from, of the same shape for
        all; it is called with a seed derived from the network's. A Task is reset and used for
        every network.
    network, training : NetworkConfig, TrainingConfig, or sequences of them
        One for all networks, or one for each; `models.network.batch` and `models.training.sweep`
        say what may differ.
    seeds : sequence of int
        One for each network.
    device : str, optional
        A torch device; the GPU where there is one.
    progress : callable, optional
        Called as ``progress(step, n_steps, mean_loss)``, counted over the whole cohort.
    dtype : torch.dtype
        Precision of the training.
    checkpoints : str, Path or Checkpoints, optional
        Folder, or what else keeps the states of the trainings; what an earlier call left there on
        the same kind of device is gone on with.
    checkpoint_every : int, optional
        Iterations from one writing to the next. Without it time decides.
    checkpoint_seconds : float
        Seconds from one writing to the next, or 100 times what the last one took (ten minutes at
        most), if that is longer.
    stop : callable, optional
        Asked after every iteration, and before another batch of networks is begun. Where it says
        True, the state is written and the training ends. Every call does an iteration at least.

    Raises
    ------
    TrainingStopped
        Where ``stop`` said so before the end.
    """
    chosen = checked_device(device)
    store = checkpoints_of(checkpoints)
    schedule = Schedule(checkpoint_every, checkpoint_seconds)
    nets = one_for_each("network", network, len(seeds))
    trainings = one_for_each("training", training, len(seeds))
    if nets:
        # Before anything is trained, and whatever the grouping.
        check_networks(nets)
        joint_penalties(trainings)
    parts: list[range] = []
    trials_at_once = None
    # What is to be written before any other state: how the networks are divided, and the last
    # states of finished batches, as long as the store does not take them.
    unwritten: dict[str, bytes] = {}

    def write_pending() -> None:
        if store is not None:
            for name in [*unwritten]:
                store.write(name, unwritten[name])
                del unwritten[name]

    kind = kind_of(chosen)
    if seeds:
        division_name = DIVISION.format(kind=kind)
        division = _division_of(store, division_name, len(seeds))
        parts, trials_at_once = division or _divided(
            _task_of(task, seeds[0]), nets, trainings, torch.device(chosen), dtype
        )
        if store is not None and division is None:
            unwritten[division_name] = _division_as_bytes(parts, trials_at_once)
    networks: list[TrainedNetwork] = []
    seconds = 0.0
    has_advanced = False
    for number, part in enumerate(parts):
        done = number * trainings[0].max_iter
        if has_advanced and stop is not None and stop():
            with suppress(CheckpointNotWritten):
                write_pending()
            raise TrainingStopped(done)
        own = [int(seeds[i]) for i in part]
        tasks = [_task_of(task, seed) for seed in own]
        rnn = RNNTorch.from_configs(
            [nets[i] for i in part], tasks[0].n_inputs, tasks[0].n_outputs, own, chosen, dtype
        )
        trainer = Trainer(rnn, tasks, [trainings[i] for i in part], trials_at_once)

        def report(step: int, n_steps: int, loss: float, done: int = done) -> None:
            nonlocal has_advanced
            has_advanced = True
            if progress is not None:
                progress(done + step, len(parts) * n_steps, loss)

        # Seeds may come twice in a sweep, so that the place of the networks is in the name too.
        name = f"networks_{part[0]}_{part[-1]}_seeds_{own[0]}_{own[-1]}_{kind}.npz"
        state = None if store is None else KeptState(store, name, schedule, write_pending)
        try:
            networks += trainer.run_training(report, state, stop=stop)
        except TrainingStopped as stopped:
            raise TrainingStopped(done + stopped.iteration) from None
        if state is not None and state.iteration != trainer.iteration:
            unwritten[name] = trainer.state_bytes()
        seconds += trainer.seconds
    return CohortResult(networks, chosen, seconds)


def groups(n_networks: int, n_values: int, training: TrainingConfig) -> list[range]:
    """Return which networks a CPU trains as one batch.

    An iteration costs about 1 ms beside the loops, whatever the number of networks. With two
    penalties it took a processor, per network alone / with 3 others / with 15 others: 1.7 / 1.0 /
    0.85 ms with 20 units, 32 trials and 60 steps; 2.2 / 1.5 / 1.4 ms with 50 units; 4.8 / 4.6 / 4.3
    ms with 50 units, 64 trials and 140 steps; 10.8 / 10.5 / 10.3 ms with 100 units. From 4 to 16
    little more is won, and with trajectories of many values nothing, but memory for all of them is
    needed. In a batch a network that stopped early costs as much as one that trains.

    It depends on the sizes alone. Where memory is short the groups are divided further; a training
    that was cut keeps the division that it began with.

    Parameters
    ----------
    n_networks : int
    n_values : int
        Values of a network's states in an iteration, T B N.
    training : TrainingConfig
    """
    most = max(1, min(MOST_NETWORKS, MOST_VALUES // n_values))
    if training.patience or training.stop_score is not None:
        most = 1
    number = -(-n_networks // most)
    edges = [i * n_networks // number for i in range(number + 1)]
    return [range(first, last) for first, last in pairwise(edges)]


def _division_of(
    store: Checkpoints | None, name: str, n_networks: int
) -> tuple[list[range], int | None] | None:
    """Return how an earlier call divided the networks, so that its states are gone on with."""
    content = None if store is None else store.read(name)
    if content is None:
        return None
    try:
        kept = json.loads(bytes(content))
        parts = [range(int(first), int(last)) for first, last in kept["parts"]]
        trials = kept["trials_at_once"]
        trials = None if trials is None else check_int("trials_at_once", trials, minimum=1)
        # One of an earlier version has no hash.
        if "sha256" in kept and kept["sha256"] != _digest(parts, trials):
            raise ValueError("sha256")
    except (ValueError, TypeError, KeyError, ArithmeticError):
        warnings.warn(f"{name} is damaged. The networks are divided anew.", stacklevel=3)
        return None
    edges = [0, *(part.stop for part in parts)]
    whole = all(parts) and [part.start for part in parts] == edges[:-1]
    return (parts, trials) if whole and edges[-1] == n_networks else None


def _division_as_bytes(parts: Sequence[range], trials_at_once: int | None) -> bytes:
    kept = _plain(parts, trials_at_once)
    return json.dumps({**kept, "sha256": _digest(parts, trials_at_once)}).encode()


def _digest(parts: Sequence[range], trials_at_once: int | None) -> str:
    """Return the hash of a division: one altered digit would be another, and other bits."""
    return hashlib.sha256(json.dumps(_plain(parts, trials_at_once)).encode()).hexdigest()


def _plain(parts: Sequence[range], trials_at_once: int | None) -> dict[str, Any]:
    return {"parts": [[p.start, p.stop] for p in parts], "trials_at_once": trials_at_once}


def _divided(
    task: Task,
    nets: Sequence[NetworkConfig],
    trainings: Sequence[TrainingConfig],
    device: torch.device,
    dtype: torch.dtype,
) -> tuple[list[range], int | None]:
    """Return which networks are one batch, and the trials that are in memory at a time."""
    own = copy.copy(task)  # what it draws here, no training misses
    own.reset()
    inputs, targets, _ = own.get_batch()
    _, n_steps, n_trials = inputs.shape
    # What takes most: the noise and penalties of all of them.
    penalties = {term.name: term.largest for term in joint_penalties(trainings)}
    size = TrainingSize(
        network=max(nets, key=lambda config: config.sigma_rec),
        training=replace(trainings[0], penalties=penalties),
        n_inputs=len(inputs),
        n_outputs=len(targets),
        n_steps=n_steps,
        n_trials=n_trials,
        device=device,
        dtype=dtype,
        has_gaps=bool(np.isnan(targets).any()),
    )
    plan = plan_memory(size, len(nets))
    parts = [range(len(nets))]
    if device.type == "cpu":
        parts = groups(len(nets), n_steps * n_trials * nets[0].n_units, trainings[0])
    most = plan.networks_at_once
    return [
        part[first : first + most] for part in parts for first in range(0, len(part), most)
    ], plan.trials_at_once


def _task_of(task: Callable[[int], Task] | Task, seed: int) -> Task:
    if isinstance(task, Task):
        task.reset()
        return task
    return task(int(stream(seed, "task").generate_state(1)[0]))
