"""Training a cohort: networks alike but for their seed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch

from tasks_lib import Task
from tasks_lib.errors import ParameterError

from .config import NetworkConfig
from .connectivity import stream
from .rnn_torch import RNNTorch
from .trainer import Progress, Trainer
from .training_config import TrainingConfig
from .training_record import TrainedNetwork

SINGLE_THREAD_UNITS = 64


@dataclass(frozen=True)
class CohortResult:
    """What `train_cohort` returns: the networks, in the order of their seeds, and the cost.

    ``seconds`` is the time of the optimiser steps and all that goes with them, those before an
    interruption included.
    """

    networks: list[TrainedNetwork]
    device: str
    seconds: float


def default_device() -> str:
    """Return "cuda" where there is a GPU, else "cpu"."""
    return "cuda" if torch.cuda.is_available() else "cpu"


def train_cohort(
    task: Callable[[int], Task] | Task,
    network: NetworkConfig,
    training: TrainingConfig,
    seeds: Sequence[int],
    device: str | None = None,
    progress: Progress | None = None,
    dtype: torch.dtype = torch.float32,
    checkpoints: str | Path | None = None,
    checkpoint_every: int = 100,
) -> CohortResult:
    """Train networks that are alike but for their seed.

    On a GPU all networks are one batched computation. On a CPU they are trained one after the
    other: there a batch of them gains nothing, and alone each is bit-identical whatever its
    companions.

    Parameters
    ----------
    task : Task, or callable seed -> Task
        A callable makes the task that a network draws its batches from; it is called with a seed
        derived from the network's. A Task is reset and used for every network.
    network, training : NetworkConfig, TrainingConfig
    seeds : sequence of int
        One for each network.
    device : str, optional
        A torch device; the GPU where there is one.
    progress : callable, optional
        Called as ``progress(step, n_steps, mean_loss)``, counted over the whole cohort.
    dtype : torch.dtype
        Precision of the training.
    checkpoints : str or Path, optional
        Folder for the states of the trainings; what an earlier call left there is gone on with.
    checkpoint_every : int
        Iterations from one writing to the next.
    """
    chosen = device or default_device()
    folder = None if checkpoints is None else Path(checkpoints)
    if folder is not None and not folder.is_dir():
        raise ParameterError("checkpoints", str(folder), "is not a folder", "create it")
    groups = [[s] for s in seeds] if torch.device(chosen).type == "cpu" else [list(seeds)]
    networks: list[TrainedNetwork] = []
    seconds = 0.0
    with _threads_for(network, chosen):
        for number, group in enumerate(groups):
            tasks = [_task_of(task, seed) for seed in group]
            rnn = RNNTorch.from_config(
                network, tasks[0].n_inputs, tasks[0].n_outputs, group, chosen, dtype
            )
            trainer = Trainer(rnn, tasks, training)

            def report(step: int, n_steps: int, loss: float, done: int = number) -> None:
                if progress is not None:
                    progress(done * n_steps + step, len(groups) * n_steps, loss)

            state = None if folder is None else folder / f"seeds_{group[0]}_{group[-1]}.npz"
            networks += trainer.run_training(report, state, checkpoint_every)
            seconds += trainer.seconds
    return CohortResult(networks, chosen, seconds)


@contextmanager
def _threads_for(network: NetworkConfig, device: str) -> Iterator[None]:
    """Use one thread on a CPU for networks whose steps are too short to share.

    Threads that wait for each other at every step cost more than they bring, and many times more
    where other processes want the same cores.
    """
    before = torch.get_num_threads()
    if torch.device(device).type == "cpu" and network.n_units <= SINGLE_THREAD_UNITS:
        torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _task_of(task: Callable[[int], Task] | Task, seed: int) -> Task:
    if isinstance(task, Task):
        task.reset()
        return task
    return task(int(stream(seed, "task").generate_state(1)[0]))
