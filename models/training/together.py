"""Training several cohorts as one batch, each with the bits that it has alone."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import torch

from tasks_lib import Task
from tasks_lib.errors import ParameterError, kind_and_text

from ..machine.devices import checked_device
from ..network.batch import check_networks
from ..network.config import NetworkConfig
from .checkpoints import CHECKPOINT_SECONDS, Schedule, TrainingStopped
from .cohort import CohortResult
from .config import TrainingConfig
from .division import most_on_cpu, n_values, size_of
from .joint import CohortSettings, CohortTraining, JointTrainer
from .memory import plan_memory
from .sweep import joint_penalties
from .trainer import Progress

# Values of a network's states in an iteration, T B N, up to which a CPU trains networks of several
# cohorts as one batch: with more, little is won (benchmarks/together.md).
PAYS_UP_TO = 2**19
MOST_ON_GPU = 1024  # networks of one batch
log = logging.getLogger(__name__)


def networks_together(
    task: Callable[[int], Task] | Task,
    network: NetworkConfig,
    training: TrainingConfig,
    device: str | None = None,
    dtype: torch.dtype = torch.float32,
    only_where_it_pays: bool = True,
) -> int:
    """Return how many networks like these, of whatever cohorts, are best trained as one batch.

    On a GPU as many as its memory holds; on a CPU at most 16, and 1 where trajectories are so long
    that a batch is hardly faster, or networks may stop early, which would cost as much as those
    that train.

    Parameters
    ----------
    task : Task, or callable seed -> Task
    network, training : NetworkConfig, TrainingConfig
    device : str, optional
        A torch device; the GPU where there is one.
    dtype : torch.dtype
        Precision of the training.
    only_where_it_pays : bool
        False: as many as can be one batch.
    """
    chosen = torch.device(checked_device(device))
    one = task if isinstance(task, Task) else task(0)
    size = size_of(one, [network], [training], chosen, dtype)
    most = MOST_ON_GPU
    if chosen.type == "cpu":
        if only_where_it_pays and not pays_on_cpu(n_values(size), training):
            return 1
        most = most_on_cpu(n_values(size), training)
    plan = plan_memory(size, most)
    return 1 if plan.trials_at_once is not None else plan.networks_at_once


def pays_on_cpu(n_values: int, training: TrainingConfig) -> bool:
    """Return whether a CPU trains networks of T B N values better in a batch of several cohorts."""
    return n_values <= PAYS_UP_TO and most_on_cpu(n_values, training) > 1


def check_together(networks: Sequence[NetworkConfig], trainings: Sequence[TrainingConfig]) -> None:
    """Refuse networks and their trainings that cannot be one batch.

    Raises
    ------
    ParameterError
        Naming the field that differs.
    """
    check_networks(networks)
    joint_penalties(trainings)


def train_together(
    cohorts: Sequence[CohortSettings],
    device: str | None = None,
    progress: Progress | None = None,
    dtype: torch.dtype = torch.float32,
    checkpoint_every: int | None = None,
    checkpoint_seconds: float = CHECKPOINT_SECONDS,
    stop: Callable[[], bool] | None = None,
) -> Iterator[tuple[int, CohortResult | None]]:
    """Train cohorts as one batch; yield the place and the result of each as soon as it is trained.

    On a CPU each network has the bits that it has in `train_cohort`, where its cohort is trained
    alone; so has each state that is kept, so that either goes on with what the other left. Cohorts
    that have got further, in another call, are joined when the others have come as far.

    None in place of a result: the cohort has been left out, and the others go on. It is one that
    is not wanted any more, cannot be one batch with the first (`check_together`; other masks or
    sizes of batches), is divided for its memory, or fails where it is trained alone:
    `train_cohort` tells why. Where there is not memory for all, one batch is trained after the
    other. What `models.watching` is told are means over the batch.

    Parameters
    ----------
    cohorts : sequence of CohortSettings
    device, dtype, checkpoint_every, checkpoint_seconds
        As of `train_cohort`.
    progress : callable, optional
        Called as ``progress(step, n_steps, mean_loss)``: iterations done, the mean of all cohorts.
    stop : callable, optional
        Asked after every iteration. Where it says True, all states are written and the training
        ends.

    Raises
    ------
    ParameterError
        Where a task is not made anew for each seed.
    TrainingStopped
        Where ``stop`` said so before the end.
    Exception
        Of whatever kind, where checkpoints cannot be read or written.
    """
    for cohort in cohorts:
        if isinstance(cohort.task, Task) or not callable(cohort.task):
            raise ParameterError(
                "task", cohort.task, "is no function of a seed", "give one that makes a new task"
            )
    batch = _Batch(cohorts, torch.device(checked_device(device)), progress, dtype,
                   Schedule(checkpoint_every, checkpoint_seconds), stop)  # fmt: skip
    yield from batch.run()


class _Batch:
    """The cohorts of one call: those that are still trained, and what was settled meanwhile."""

    def __init__(
        self,
        cohorts: Sequence[CohortSettings],
        device: torch.device,
        progress: Progress | None,
        dtype: torch.dtype,
        schedule: Schedule,
        stop: Callable[[], bool] | None,
    ) -> None:
        self.cohorts, self.device, self.dtype = cohorts, device, dtype
        self.progress, self.schedule = progress, schedule
        self._stop = stop
        self.live: dict[int, CohortTraining] = {}
        # One by one, where together they fail and none of them does alone.
        self.apart = False
        self._has_said = False

    def run(self) -> Iterator[tuple[int, CohortResult | None]]:
        """Yield each cohort as it is trained, or left out."""
        for i in range(len(self.cohorts)):
            if not self._begin(i):
                yield i, None
        while self.live:
            yield from self._settled()
            group = self._group()
            if group:
                yield from ((i, None) for i in self._advance(group))

    # Which cohorts -------------------------------------------------------------------------------

    def _begin(self, i: int) -> bool:
        """Begin one training, or go on with it; return whether it can be one of the batch."""
        try:
            training = CohortTraining.begun(self.cohorts[i], self.device, self.dtype)
            if training is None or not self._fits(training):
                return False
        except (Exception, SystemExit) as error:  # of somebody's task, say
            self._say(i, error)
            return False
        training.resume()
        self.live[i] = training
        return True

    def _fits(self, training: CohortTraining) -> bool:
        if not self.live:
            return True
        first = next(iter(self.live.values()))
        every = [*self.live.values(), training]
        try:
            check_together(
                [t.settings.network for t in every], [t.settings.training for t in every]
            )
        except ParameterError:
            return False
        ours, others = training.trainer.batches, first.trainer.batches
        # Penalties see the steps of the mask, and all batches are one array.
        return np.array_equal(ours.steps, others.steps) and [
            a.shape[-3:] for a in ours.first()
        ] == [a.shape[-3:] for a in others.first()]

    def _settled(self) -> Iterator[tuple[int, CohortResult | None]]:
        for i, training in list(self.live.items()):
            result = None
            if not training.settings.is_unwanted():
                if not training.is_over:
                    continue
                try:
                    result = self._result(training)
                except (Exception, SystemExit) as error:
                    self._say(i, error)
                else:
                    training.write()
            del self.live[i]
            yield i, result

    def _result(self, training: CohortTraining) -> CohortResult:
        trainer = training.trainer
        networks = trainer.run_training()
        return CohortResult(
            networks, str(self.device), trainer.seconds, training.n_together,
            trainer.product_precision,
        )  # fmt: skip

    def _group(self) -> list[int]:
        """Return those that are trained next: the last ones, as many as there is memory for."""
        if not self.live:
            return []
        last = min(training.place for training in self.live.values())
        group = [i for i, training in self.live.items() if training.place == last]
        return group[:1] if self.apart else self._that_fit_in_memory(group)

    def _that_fit_in_memory(self, group: list[int]) -> list[int]:
        of_group = [self.live[i] for i in group]
        nets = [t.settings.network for t in of_group]
        trainings = [t.settings.training for t in of_group]
        number = sum(t.n_networks for t in of_group)
        task = of_group[0].trainer.batches.tasks[0]
        plan = plan_memory(size_of(task, nets, trainings, self.device, self.dtype), number)
        most = 0 if plan.trials_at_once is not None else plan.networks_at_once
        sizes = np.cumsum([t.n_networks for t in of_group])
        return group[: max(1, int((sizes <= most).sum()))]

    # Training ------------------------------------------------------------------------------------

    def _advance(self, group: list[int]) -> list[int]:
        """Train some together until something changes; return those that fail alone."""
        trainings = [self.live[i] for i in group]
        until = self._until(trainings)
        joint: JointTrainer | None = None
        is_leaving = stops = False
        while not is_leaving:
            try:
                joint = JointTrainer(trainings) if joint is None else joint
                loss = joint.go_on(until, self.schedule.every)
                stops = self._stop is not None and self._stop()
                is_due = self.schedule.is_due(joint.iteration)
                is_leaving = (
                    joint.iteration >= until
                    or stops
                    or joint.has_over
                    or any(training.settings.is_unwanted() for training in trainings)
                )
                if is_due or is_leaving:
                    joint.give_back()
            except (Exception, SystemExit) as error:  # of somebody's task or penalty, say
                at = trainings[0].trainer.iteration if joint is None else joint.iteration
                return self._advance_each(group, at + 1, error)
            for training in trainings:
                training.n_together = max(training.n_together, len(group))
            self._report(group, joint.iteration, loss)
            if is_due:
                self._write(trainings)
        if stops:
            self._stop_if_not_over()
        return []

    def _until(self, trainings: Sequence[CohortTraining]) -> int:
        """Return the iteration at which others join, or at which these are over."""
        (iteration, _), last = trainings[0].place, trainings[0].settings.training.max_iter
        ahead = [t.trainer.iteration for t in self.live.values()]
        return min([last, *(there for there in ahead if there > iteration)])

    def _advance_each(self, group: list[int], until: int, error: BaseException) -> list[int]:
        """Train each alone beyond where they failed together; return those that fail alone too."""
        failed = []
        for i in group:
            training = self.live[i]
            try:
                alone = JointTrainer([training])
                while alone.iteration < until and not alone.is_over:
                    alone.go_on(until)
                    if self._stop is not None and self._stop():
                        break
                alone.give_back()
            except (Exception, SystemExit) as its_own:
                self._say(i, its_own)
                del self.live[i]
                failed.append(i)
            else:
                if self._stop is not None and self._stop():
                    self._stop_if_not_over()
        if not failed:
            log.warning("%s; these cohorts are trained one by one", kind_and_text(error))
            self.apart = True
        return failed

    def _stop_if_not_over(self) -> None:
        if not all(training.is_over for training in self.live.values()):
            self._write(list(self.live.values()))
            raise TrainingStopped(min(t.trainer.iteration for t in self.live.values()))

    def _write(self, trainings: Sequence[CohortTraining]) -> None:
        began = time.monotonic()
        if all([training.write() for training in trainings]):
            self.schedule.written(began)
        else:
            self.schedule.failed()

    def _report(self, group: Sequence[int], iteration: int, loss: float) -> None:
        if self.progress is None:
            return
        last = self.cohorts[group[0]].training.max_iter
        done = last * (len(self.cohorts) - len(self.live))
        for i, training in self.live.items():
            done += iteration if i in group else training.trainer.iteration
        # The first time, how far the last of them is: no cohort goes on from before that.
        step = max(iteration, done // len(self.cohorts)) if self._has_said else iteration
        self._has_said = True
        self.progress(step, last, loss)

    def _say(self, i: int, error: BaseException) -> None:
        seeds = self.cohorts[i].seeds
        log.warning("the cohort of seed %s is left out: %s", seeds[0], kind_and_text(error))
