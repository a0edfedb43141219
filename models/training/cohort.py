"""Training a cohort: networks that differ in their seed, and in whatever a sweep varies."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import torch

from tasks_lib import Task
from tasks_lib.brief import brief

from ..machine.devices import checked_device, kind_of
from ..machine.torch_modes import plain_torch
from ..network.batch import check_networks, one_for_each
from ..network.config import NetworkConfig
from ..network.rnn_torch import RNNTorch
from .checkpoints import (
    CHECKPOINT_SECONDS,
    CheckpointNotWritten,
    Checkpoints,
    Schedule,
    TrainingStopped,
    checkpoints_of,
)
from .config import TrainingConfig
from .division import CohortStates, Division, divided, size_of, task_of
from .record import TrainedNetwork
from .sweep import joint_penalties
from .trainer import Progress, Trainer


@brief
@dataclass(frozen=True)
class CohortResult:
    """What `train_cohort` returns: the networks, in the order of their seeds, and the cost.

    ``seconds`` is the time of the optimiser steps and all that goes with them, those before an
    interruption included; of cohorts that were trained together each has its share of it.
    ``n_together`` is the number of cohorts that were one batch with it, itself included, and
    ``product_precision`` what `Trainer.product_precision` says.
    """

    networks: list[TrainedNetwork]
    device: str
    seconds: float
    n_together: int = 1
    product_precision: str = "ieee"


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

    On a GPU all networks are one batched computation, on a CPU batches of
    `models.training.division.groups`. There each is bit-identical whatever its companions.

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
    schedule = Schedule(checkpoint_every, checkpoint_seconds)
    nets = one_for_each("network", network, len(seeds))
    trainings = one_for_each("training", training, len(seeds))
    if nets:
        # Before anything is trained, and whatever the grouping.
        check_networks(nets)
        joint_penalties(trainings)
    states = CohortStates(checkpoints_of(checkpoints), kind_of(chosen), seeds)
    division = Division(())
    if seeds:
        division = states.division(
            lambda: divided(
                size_of(task_of(task, seeds[0]), nets, trainings, torch.device(chosen), dtype),
                len(nets),
            )
        )
    parts = division.parts
    networks: list[TrainedNetwork] = []
    seconds, precision = 0.0, "ieee"
    has_advanced = False
    for number, part in enumerate(parts):
        done = number * trainings[0].max_iter
        if has_advanced and stop is not None and stop():
            with suppress(CheckpointNotWritten):
                states.write_pending()
            raise TrainingStopped(done)
        own = [int(seeds[i]) for i in part]
        tasks = [task_of(task, seed) for seed in own]
        rnn = RNNTorch.from_configs(
            [nets[i] for i in part], tasks[0].n_inputs, tasks[0].n_outputs, own, chosen, dtype
        )
        trainer = Trainer(rnn, tasks, [trainings[i] for i in part], division.trials_at_once)

        def report(step: int, n_steps: int, loss: float, done: int = done) -> None:
            nonlocal has_advanced
            has_advanced = True
            if progress is not None:
                progress(done + step, len(parts) * n_steps, loss)

        state = states.of_part(part, schedule)
        try:
            networks += trainer.run_training(report, state, stop=stop)
        except TrainingStopped as stopped:
            raise TrainingStopped(done + stopped.iteration) from None
        if state is not None and state.iteration != trainer.iteration:
            states.unwritten[state.name] = trainer.state_bytes()
        seconds += trainer.seconds
        precision = trainer.product_precision
    return CohortResult(networks, chosen, seconds, product_precision=precision)
