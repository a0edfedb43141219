"""Training K networks of one shape together."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from tasks_lib import Task
from tasks_lib.errors import ParameterError

from ..engine import Buffers, torch_on_one
from ..machine.torch_modes import plain_torch
from ..network.batch import one_for_each
from ..network.rnn_torch import RNNTorch
from ..network.run import RunMemory
from .ahead import MOST_AT_ONCE, Ahead, graphs_for, runs_ahead
from .batches import Batches
from .checkpoints import CHECKPOINT_SECONDS, CheckpointFolder, KeptState, Schedule, TrainingStopped
from .config import TrainingConfig
from .early_stopping import BestWeights
from .losses import LossFunction
from .memory import bound_to_trajectories
from .precision import multiplying, product_precision
from .record import TrainedNetwork, TrainingRecord
from .results import trained_networks
from .resumable import ResumableTraining
from .scorer import Scorer
from .snapshots import Snapshots
from .state import training_identity
from .stepper import Stepper
from .sweep import joint_penalties
from .traces import Traces
from .watching import watcher_at

# On a GPU what came of iterations is looked at after about so many seconds.
SECONDS_AHEAD = 1.0

Progress = Callable[[int, int, float], None]  # iteration, of how many, mean loss


class Trainer(ResumableTraining):
    """Trains the networks of an `RNNTorch` on a task.

    Parameters
    ----------
    rnn : RNNTorch
        One network or K networks.
    task : Task or sequence of K Tasks
        The task. With ``same_batch=False`` every network draws its batches from its own copy.
    config : TrainingConfig or sequence of K TrainingConfigs, optional
        How to train: all networks alike, or each in its own way. Those ways may differ in the
        learning rate, weight decay, largest norm of the gradient and weights of penalties.

    trials_at_once : int, optional
        Trials whose trajectories are in memory at a time, where those of a batch are too many
        (`models.training.memory`); they are then run twice.

    Attributes
    ----------
    config : TrainingConfig
        That of the first network, for what all have in common.
    configs : list of TrainingConfig (K,)
    iteration : int
        Optimiser steps done.
    seconds : float
        Time they took, interruptions left out.
    """

    @plain_torch()
    def __init__(
        self,
        rnn: RNNTorch,
        task: Task | Sequence[Task],
        config: TrainingConfig | Sequence[TrainingConfig] | None = None,
        trials_at_once: int | None = None,
    ) -> None:
        if any(p.is_inference() for p in rnn.parameters()):
            raise ParameterError(
                "rnn",
                "weights of torch.inference_mode",
                "cannot be trained",
                "make the network outside of it",
            )
        self.rnn = rnn
        self.configs = one_for_each(
            "config", TrainingConfig() if config is None else config, rnn.n_networks
        )
        penalties = joint_penalties(self.configs)
        self.config = self.configs[0]
        used = [term for term in penalties if term.is_used]
        bound = bound_to_trajectories(used, self.config)
        if trials_at_once is not None and bound:
            raise ParameterError(
                "trials_at_once",
                trials_at_once,
                f"{' and '.join(bound)} need all trajectories at a time",
                "leave it out",
            )
        self.batches = Batches(rnn, task, self.config.same_batch)
        rnn.enforce_constraints()
        self.identity = training_identity(rnn, self.batches.tasks, self.configs, trials_at_once)
        mask = torch.as_tensor(self.batches.steps, device=rnn.device)
        self.losses = LossFunction(rnn, mask, penalties)
        memory = RunMemory(Buffers(), trials_at_once)
        self.steps = Stepper(rnn, self.losses, self.configs, memory)
        self.scorer = Scorer(rnn, self.batches, memory)
        self.best = BestWeights(list(self.steps.params.values()), self.config)
        self.record = TrainingRecord(rnn.n_networks, self._curves())
        self.ahead: Ahead | None = None
        if runs_ahead(rnn.device):
            self.batches.checks = not self.config.same_batch
            self.ahead = Ahead(
                rnn, self.batches, self.losses, self.steps, self.record.names, memory,
                graphs_for(rnn, memory),
            )  # fmt: skip
        params = list(self.steps.params.values())
        self.traces = Traces(rnn, self.batches, params, self.config, memory)
        self.snapshots = Snapshots(rnn, self.config.snapshots, self.config.max_iter)
        self._pace: float | None = None  # seconds of an iteration
        self.seconds = 0.0
        interval = self.config.validation_interval
        self._validation = self.scorer.validation(interval) if interval else None

    def _curves(self) -> list[str]:
        """Return the names of what is recorded of every iteration beside the loss."""
        names = self.losses.names
        monitored = [f"gradient.{name}" for name in names] if self.config.monitor else []
        # With the task alone its loss is the loss.
        return [f"loss.{name}" for name in names if len(names) > 1] + monitored

    # Single steps ------------------------------------------------------------------------------

    def train_step(
        self, input_batch: ArrayLike | Tensor, target_batch: ArrayLike | Tensor
    ) -> tuple[Tensor, Tensor]:
        """Return the loss, linked to the graph, and the loss of each trial.

        Parameters
        ----------
        input_batch : array (n_inputs, T, B)
        target_batch : array (n_outputs, T, B)
            NaN where nothing is asked.

        Returns
        -------
        loss : Tensor, scalar or (K,)
            Masked mean squared error plus weighted penalties, with noise.
        trial_losses : Tensor (B,) or (K, B)
            Mean squared error of each trial.
        """
        u, t = self.rnn.to_internal(input_batch), self.rnn.to_internal(target_batch)
        losses = self.losses(u, t, noise=True)
        return self.rnn._public(losses.total), self.rnn._public(losses.by_trial)

    @torch.no_grad()
    def eval_step(
        self, input_batch: ArrayLike | Tensor, target_batch: ArrayLike | Tensor, noise: bool = False
    ) -> Tensor:
        """Return the loss detached from the graph, noise-free by default; scalar or (K,)."""
        u, t = self.rnn.to_internal(input_batch), self.rnn.to_internal(target_batch)
        return self.rnn._public(self.losses(u, t, noise).total)

    @plain_torch()
    def run_training(
        self,
        progress: Progress | None = None,
        checkpoint: str | Path | KeptState | None = None,
        checkpoint_every: int | None = None,
        checkpoint_seconds: float = CHECKPOINT_SECONDS,
        stop: Callable[[], bool] | None = None,
    ) -> list[TrainedNetwork]:
        """Train to the end, and return every network.

        Parameters
        ----------
        progress : callable, optional
            Called as ``progress(iteration, max_iter, mean_loss)`` after every iteration; on a GPU
            after some, for each of them.
        checkpoint : str, Path or KeptState, optional
            File of the training's state: read first where it exists, written as the training goes
            and when it is over. One that cannot be used is passed over with a warning. A
            `KeptState` lies in any `Checkpoints`, and has its own schedule.
        checkpoint_every : int, optional
            Iterations from one writing to the next. Without it time decides.
        checkpoint_seconds : float
            Seconds from one writing to the next, or 100 times what the last one took (ten minutes
            at most), if that is longer.
        stop : callable, optional
            Asked after every iteration, on a GPU after about a second. Where it says True before
            the training's end, the state is written and the training ends.

        Raises
        ------
        TrainingStopped
            Where ``stop`` said so.
        """
        schedule = Schedule(checkpoint_every, checkpoint_seconds)
        kept = None
        if isinstance(checkpoint, KeptState):
            kept = checkpoint
        elif checkpoint is not None:
            path = Path(checkpoint)
            kept = KeptState(CheckpointFolder(path.parent), path.name, schedule)
        if kept is not None:
            self.go_on_from(kept)
        with self._threads():
            while not self.is_over:
                began, before = time.perf_counter(), self.iteration
                done = self.advance(self._at_once(None if kept is None else kept.schedule.every))
                took = time.perf_counter() - began
                self.seconds += took
                self._pace = took / max(1, self.iteration - before)
                if kept is not None and kept.schedule.is_due(self.iteration):
                    kept.write(self.iteration, self.state_bytes)
                if progress is not None:
                    for iteration, loss, counted in done:
                        mean = float(loss[torch.as_tensor(counted)].mean())
                        progress(iteration, self.config.max_iter, mean)
                self._tell_watcher(done)
                if stop is not None and stop() and not self.is_over:
                    if kept is not None:
                        kept.write(self.iteration, self.state_bytes)
                    raise TrainingStopped(self.iteration)
            networks = self._networks()
            if kept is not None:
                kept.write(self.iteration, self.state_bytes)
        return networks

    @property
    def product_precision(self) -> str:
        """How it multiplies with the recurrent weights: ``gpu_precision``, ``ieee`` on a CPU."""
        return product_precision(self.rnn, self.config.gpu_precision)

    @property
    def is_over(self) -> bool:
        """Whether no iteration is left, or no network that is to be trained."""
        return self.iteration >= self.config.max_iter or not self.record.active.any()

    def go_on_from(self, kept: KeptState) -> None:
        """Go on from a state that is kept, if it is there and can be used."""
        content = kept.read()
        if content is None:
            return
        try:
            self.load_state_bytes(content, kept.source)
        except ParameterError as error:
            warnings.warn(f"{error}. This training starts over.", stacklevel=3)
        else:
            kept.iteration = self.iteration

    # Inside ------------------------------------------------------------------------------------

    def _tell_watcher(self, done: Sequence[tuple[int, Tensor, NDArray[np.bool_]]]) -> None:
        """Tell who watches of iterations: number, losses (K,), networks that trained (K,)."""
        for iteration, _, counted in done:
            watcher = watcher_at(iteration, self.config.max_iter)
            if watcher is not None:
                means = self.record.means(iteration, counted)
                watcher(iteration, self.config.max_iter, means)

    def _threads(self) -> AbstractContextManager[None]:
        return torch_on_one() if self.rnn.device.type == "cpu" else nullcontext()

    def _at_once(self, every: int | None) -> int:
        """Return how many iterations to do before the next look at what came of them.

        One on a CPU. On a GPU as many as `SECONDS_AHEAD` take, but none beyond a validation, a
        trace, weights that are to be kept or a state that is to be written after so many.
        """
        if self.ahead is None or self._pace is None:
            return 1
        most = min(MOST_AT_ONCE, self.config.max_iter - self.iteration)
        for interval in (self.config.validation_interval, every):
            if interval:
                most = min(most, interval - self.iteration % interval)
        for due in (self.traces.next_due(self.iteration), self.snapshots.next_due(self.iteration)):
            if due is not None:
                most = min(most, due - self.iteration)
        return max(1, min(most, int(SECONDS_AHEAD / max(self._pace, 1e-9))))

    @multiplying
    def advance(self, n: int) -> list[tuple[int, Tensor, NDArray[np.bool_]]]:
        """Do n iterations and what follows from them; a GPU is waited for once.

        On a CPU one is done. Nothing is validated between them, so that n should end where a
        validation is due.

        Returns
        -------
        list
            Of each: its number, the losses (K,), and which networks (K,) trained.
        """
        if self.iteration == 0:
            self._look_at_weights()
        first, counted = self.iteration, self.record.active.copy()
        if self.ahead is None:
            return [(first + 1, self._iterate(), counted)]
        look = self.ahead.run(first, n, counted)
        self.record.advance_by(look.rows, look.diverged_at)
        self.ahead.go_back_to(self.iteration)  # where the last network diverged on the way
        self._look_at_weights()
        self._validate()
        trained = (counted & ~((look.diverged_at >= 0) & (look.diverged_at < i)) for i in range(n))
        found = zip(range(first + 1, self.iteration + 1), look.rows[:, 0], trained, strict=False)
        return list(found)

    def _iterate(self) -> Tensor:
        """Do one optimiser step and what follows from it; return the losses (K,)."""
        if self.ahead is not None:
            return self.advance(1)[0][1]
        done = self.steps.step(self.batches.next(), self.iteration, self.record.active)
        self.record.advance(done.loss, done.curves, done.newly_diverged)
        self._look_at_weights()
        self._validate()
        return done.loss

    def _look_at_weights(self) -> None:
        """Record what is due of the weights of this iteration; it changes nothing."""
        for each in (self.traces, self.snapshots):
            each.take(self.iteration, self.record.active)

    def _validate(self) -> None:
        """Score the networks where it is time to, and stop those that are to stop."""
        if self._validation is None or not self.best.is_due(self.iteration):
            return
        scores = [-np.inf if s is None else s for s in self.scorer.scores(*self._validation)]
        active = self.record.active
        stopped = self.best.update(np.array(scores), self.iteration, active)
        if self.iteration == self.config.max_iter:
            # Those that never had a score stay as they are, and are looked at in the end.
            stopped = active & np.isfinite(self.best.score)
        self._stop_at_best(stopped)

    @torch.no_grad()
    def _stop_at_best(self, which: NDArray[np.bool_]) -> None:
        """Stop training networks (K,) and give them back their best weights."""
        if not which.any():
            return
        self.best.restore(which)
        seen = np.where(np.isfinite(self.best.score), self.best.iteration, self.record.weights_seen)
        self.record.stop_networks(which, seen)
        self.steps.keep(torch.as_tensor(which))

    @multiplying
    def _networks(self) -> list[TrainedNetwork]:
        """Return what came out; R^2 is on the batch that fresh tasks draw."""
        inputs, targets = self.batches.first()
        with torch.no_grad():
            outputs = self.scorer.outputs(inputs)
            # No loss has been taken of the weights that the last step made.
            is_finite = torch.isfinite(outputs).flatten(1).all(dim=1).cpu().numpy()
            diverged = self.record.active & ~is_finite
            if diverged.any():
                self.steps.take_back(torch.as_tensor(diverged, device=self.rnn.device))
                self.record.mark_diverged(diverged)
                outputs = self.scorer.outputs(inputs)
        scores = self.scorer.scores(inputs, targets, outputs)
        return trained_networks(
            self.rnn, self.losses, self.record, self.best, self.traces, self.snapshots, scores
        )
