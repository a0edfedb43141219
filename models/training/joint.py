"""Trainings of several cohorts gone on with as one batch, each with a state of its own."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray

from tasks_lib import Task

from ..machine.devices import kind_of
from ..machine.torch_modes import plain_torch
from ..network.config import NetworkConfig
from ..network.connectivity import WEIGHTS, Connectivity, initial_connectivity
from ..network.rnn_torch import RNNTorch
from .checkpoints import Checkpoints, KeptState, Schedule, checkpoints_of
from .config import TrainingConfig
from .division import CohortStates, divided, size_of, task_of
from .trainer import Trainer

Arrays: TypeAlias = dict[str, NDArray[Any]]
# Of the arrays of a state: the axis of the networks where it is not the first, and what all share.
RECORDED = ("trace.rows", "trace.active", "snapshot.active", *(f"snapshot.{n}" for n in WEIGHTS))
NETWORK_AXIS = {"curves": 1, "best.scores": 1, **dict.fromkeys(RECORDED, 1)}
SHARED = ("iteration", "trace.iterations", "snapshot.iterations")
GENERATOR = "dropout."  # and the network's place


@dataclass(frozen=True)
class CohortSettings:
    """One of the cohorts of `train_together`; its fields are what `train_cohort` takes.

    Attributes
    ----------
    task : callable seed -> Task
        A new one at each call.
    network, training : NetworkConfig, TrainingConfig
    seeds : sequence of int
        One for each network, one at least.
    checkpoints : str, Path or Checkpoints, optional
        Its own; `train_cohort` goes on from what is there, and this from what that left.
    is_unwanted : callable, optional
        Asked after every iteration: where it says True the cohort is dropped, and the others go on.
    """

    task: Callable[[int], Task]
    network: NetworkConfig
    training: TrainingConfig
    seeds: Sequence[int]
    checkpoints: str | Path | Checkpoints | None = None
    is_unwanted: Callable[[], bool] = lambda: False


@dataclass
class CohortTraining:
    """The training of one cohort as one batch of its own, which others may join.

    Attributes
    ----------
    settings : CohortSettings
    drawn : list of Connectivity
        Of each network, before training.
    trainer : Trainer
        Of these networks alone.
    kept : KeptState or None
        Where its state is kept.
    n_together : int
        The most cohorts of which it was one that were one batch.
    """

    settings: CohortSettings
    drawn: list[Connectivity]
    trainer: Trainer
    kept: KeptState | None
    n_together: int = 1

    @classmethod
    @plain_torch()
    def begun(
        cls, settings: CohortSettings, device: torch.device, dtype: torch.dtype
    ) -> CohortTraining | None:
        """Return the training of a cohort; None where it is divided, for `train_cohort` alone."""
        seeds = [int(seed) for seed in settings.seeds]
        nets, trainings = [settings.network] * len(seeds), [settings.training] * len(seeds)
        tasks = [task_of(settings.task, seed) for seed in seeds]
        states = CohortStates(checkpoints_of(settings.checkpoints), kind_of(device), seeds)
        whole = range(len(seeds))
        division = states.division(
            lambda: divided(size_of(tasks[0], nets, trainings, device, dtype), len(seeds))
        )
        if division.parts != (whole,) or division.trials_at_once is not None:
            return None
        shape = tasks[0].n_inputs, tasks[0].n_outputs
        drawn = [initial_connectivity(settings.network, *shape, seed) for seed in seeds]
        rnn = RNNTorch(drawn, nets, seeds, device, dtype)
        return cls(
            settings, drawn, Trainer(rnn, tasks, trainings), states.of_part(whole, Schedule())
        )

    @property
    def n_networks(self) -> int:
        """Number of networks."""
        return len(self.drawn)

    @property
    def place(self) -> tuple[int, int]:
        """Where it stands: those at the same place can be gone on with together."""
        return self.trainer.iteration, self.trainer.rnn.n_simulations

    @property
    def is_over(self) -> bool:
        """Whether nothing of it is left to be trained."""
        return self.trainer.is_over

    def resume(self) -> None:
        """Go on from the state that is kept, if there is one."""
        if self.kept is not None:
            self.trainer.go_on_from(self.kept)

    def write(self) -> bool:
        """Write its state; return whether it is written."""
        if self.kept is None:
            return True
        self.kept.write(self.trainer.iteration, self.trainer.state_bytes)
        return self.kept.iteration == self.trainer.iteration


class JointTrainer(Trainer):
    """Goes on with the trainings of several cohorts, which stand at the same place, as one batch.

    Each network has the bits that it has without the others. The trainings stay as they are until
    `give_back`.

    Parameters
    ----------
    trainings : sequence of CohortTraining
    """

    @plain_torch()
    def __init__(self, trainings: Sequence[CohortTraining]) -> None:
        self.trainings = list(trainings)
        first = self.trainings[0].trainer.rnn
        rnn = RNNTorch(
            [drawn for t in self.trainings for drawn in t.drawn],
            [t.settings.network for t in self.trainings for _ in t.drawn],
            [seed for t in self.trainings for seed in t.trainer.rnn.seeds],
            first.device,
            first.dtype,
        )
        tasks = [
            task_of(t.settings.task, seed) for t in self.trainings for seed in t.trainer.rnn.seeds
        ]
        super().__init__(rnn, tasks, [c for t in self.trainings for c in t.trainer.configs])
        names = self.record.names
        states = [t.trainer.contents() for t in self.trainings]
        arrays = [_widened(a, t.trainer.record.names, names)
                  for (_, a), t in zip(states, self.trainings, strict=True)]  # fmt: skip
        drawn_from = [one for values, _ in states for one in values["batches"]["drawn_from"]]
        batches = {**states[0][0]["batches"], "drawn_from": drawn_from}
        self.take_up({**states[0][0], "seconds": 0.0, "batches": batches}, _joined(arrays))

    def go_on(self, until: int, every: int | None = None) -> float:
        """Do an iteration, on a GPU some; return the mean loss of those that were trained.

        Parameters
        ----------
        until : int
            None is done after this one.
        every : int, optional
            States are to be written every so many.
        """
        with plain_torch(), self._threads():
            began, before = time.perf_counter(), self.iteration
            done = self.advance(min(self._at_once(every), until - before))
            took = time.perf_counter() - began
            self.seconds += took
            self._pace = took / max(1, self.iteration - before)
            self._tell_watcher(done)
            _, loss, counted = done[-1]
            return float(loss[torch.as_tensor(counted)].mean())

    @property
    def has_over(self) -> bool:
        """Whether one of the trainings has no network left that is to be trained."""
        return any(not self.record.active[place].any() for place in self._places())

    @plain_torch()
    def give_back(self) -> None:
        """Bring each training to where this one is."""
        values, arrays = self.contents()
        drawn_from = values["batches"]["drawn_from"]
        for training, place in zip(self.trainings, self._places(), strict=True):
            trainer = training.trainer
            of_task = {**values["batches"], "drawn_from": drawn_from[place]}
            share = self.seconds * training.n_networks / self.rnn.n_networks
            own = {**values, "seconds": trainer.seconds + share, "batches": of_task}
            part = _part(arrays, place)
            trainer.take_up(own, _widened(part, self.record.names, trainer.record.names))
        self.seconds = 0.0

    def _places(self) -> list[slice]:
        ends = np.cumsum([t.n_networks for t in self.trainings]).tolist()
        return [slice(a, b) for a, b in zip([0, *ends], ends, strict=False)]


def _joined(states: Sequence[Arrays]) -> Arrays:
    """Return the arrays of several trainings as those of one with all their networks."""
    joint: Arrays = {}
    generators: list[NDArray[Any]] = []
    for state in states:
        generators += [array for name, array in state.items() if name.startswith(GENERATOR)]
    for name, array in states[0].items():
        if name in SHARED:
            joint[name] = array.copy()
        elif not name.startswith(GENERATOR):
            axis = NETWORK_AXIS.get(name, 0)
            joint[name] = np.concatenate([state[name] for state in states], axis)
    return joint | {f"{GENERATOR}{i}": array for i, array in enumerate(generators)}


def _part(arrays: Arrays, place: slice) -> Arrays:
    """Return the arrays of those networks of a training that have these places, as copies."""
    part: Arrays = {}
    for name, array in arrays.items():
        if name in SHARED:
            part[name] = array.copy()
        elif not name.startswith(GENERATOR):
            before = (slice(None),) * NETWORK_AXIS.get(name, 0)
            part[name] = array[(*before, place)].copy()
        elif place.start <= (i := int(name.removeprefix(GENERATOR))) < place.stop:
            part[f"{GENERATOR}{i - place.start}"] = array.copy()
    return part


def _widened(arrays: Arrays, names: Sequence[str], wanted: Sequence[str]) -> Arrays:
    """Return a training's arrays with the curves ``wanted`` in place of those named ``names``.

    A curve that is not there is 0 throughout: it is a term that only companions have.
    """
    curves = arrays["curves"]
    chosen = np.zeros((len(wanted), *curves.shape[1:]), dtype=curves.dtype)
    for i, name in enumerate(wanted):
        if name in names:
            chosen[i] = curves[names.index(name)]
    return {**arrays, "curves": chosen}
