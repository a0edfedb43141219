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
from .batches import Batches
from .checkpoints import CHECKPOINT_SECONDS, CheckpointFolder, KeptState, Schedule, TrainingStopped
from .config import TrainingConfig
from .early_stopping import BestWeights
from .losses import LossFunction
from .memory import bound_to_trajectories
from .record import TrainedNetwork, TrainingRecord
from .resumable import ResumableTraining
from .scorer import Scorer
from .state import training_identity
from .stepper import Stepper
from .sweep import joint_penalties

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
            Called as ``progress(iteration, max_iter, mean_loss)`` after every iteration.
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
            Asked after every iteration. Where it says True before the training's end, the state is
            written and the training ends.

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
            self._go_on_from(kept)
        with self._threads():
            while not self._is_over():
                began = time.perf_counter()
                counted = self.record.active.copy()
                loss = self._iterate()
                self.seconds += time.perf_counter() - began
                if kept is not None and kept.schedule.is_due(self.iteration):
                    kept.write(self.iteration, self.state_bytes)
                if progress is not None:
                    mean = float(loss[torch.as_tensor(counted)].mean())
                    progress(self.iteration, self.config.max_iter, mean)
                if stop is not None and stop() and not self._is_over():
                    if kept is not None:
                        kept.write(self.iteration, self.state_bytes)
                    raise TrainingStopped(self.iteration)
            networks = self._networks()
            if kept is not None:
                kept.write(self.iteration, self.state_bytes)
        return networks

    def _is_over(self) -> bool:
        return self.iteration >= self.config.max_iter or not self.record.active.any()

    def _go_on_from(self, kept: KeptState) -> None:
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

    def _threads(self) -> AbstractContextManager[None]:
        return torch_on_one() if self.rnn.device.type == "cpu" else nullcontext()

    def _iterate(self) -> Tensor:
        """Do one optimiser step and what follows from it; return the losses (K,)."""
        done = self.steps.step(self.batches.next(), self.iteration, self.record.active)
        self.record.advance(done.loss, done.curves, done.newly_diverged)
        if self._validation is not None and self.best.is_due(self.iteration):
            scores = [-np.inf if s is None else s for s in self.scorer.scores(*self._validation)]
            active = self.record.active
            stopped = self.best.update(np.array(scores), self.iteration, active)
            if self.iteration == self.config.max_iter:
                # Those that never had a score stay as they are, and are looked at in the end.
                stopped = active & np.isfinite(self.best.score)
            self._stop_at_best(stopped)
        return done.loss

    @torch.no_grad()
    def _stop_at_best(self, which: NDArray[np.bool_]) -> None:
        """Stop training networks (K,) and give them back their best weights."""
        if not which.any():
            return
        self.best.restore(which)
        seen = np.where(np.isfinite(self.best.score), self.best.iteration, self.record.weights_seen)
        self.record.stop_networks(which, seen)
        self.steps.keep(torch.as_tensor(which))

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
        networks = []
        for i, seed in enumerate(self.rnn.seeds):
            curve, terms = self.record.loss_curve(i), self.losses.names_of(i)
            networks.append(
                TrainedNetwork(
                    seed=seed,
                    status="diverged" if self.record.diverged[i] else "finished",
                    iterations=int(self.record.weights_seen[i]),
                    loss=float(curve[-1]) if curve.size else float("nan"),
                    r2=scores[i],
                    weights=self.rnn.weights(i),
                    loss_curve=curve,
                    term_curves=self.record.term_curves(i, "loss", terms if terms[1:] else ()),
                    gradient_curves=self.record.term_curves(i, "gradient", terms),
                    stopped_by=self.best.stopped_by(i),
                    score_curve=self.best.score_curve(i),
                )
            )
        return networks
