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
from tasks_lib.documents import read_file
from tasks_lib.errors import ParameterError

from ..engine import Buffers, torch_on_one
from ..machine.atomic_file import write_atomically
from ..network.batch import one_for_each
from ..network.by_network import inner
from ..network.rnn_torch import RNNTorch
from ..performance.scores import r2_pooled
from .adam import Adam
from .batches import Batch, Batches
from .checkpoints import (
    CHECKPOINT_SECONDS,
    MAX_BYTES,
    CheckpointFolder,
    KeptState,
    Schedule,
    TrainingStopped,
)
from .config import TrainingConfig
from .dropout import UnitDropout
from .early_stopping import BestWeights
from .losses import LossFunction
from .memory import bound_to_trajectories
from .record import TrainedNetwork, TrainingRecord
from .state import TrainingState, training_identity
from .sweep import joint_penalties

Progress = Callable[[int, int, float], None]  # iteration, of how many, mean loss


class Trainer:
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

    def __init__(
        self,
        rnn: RNNTorch,
        task: Task | Sequence[Task],
        config: TrainingConfig | Sequence[TrainingConfig] | None = None,
        trials_at_once: int | None = None,
    ) -> None:
        self.rnn = rnn
        self.trials_at_once = trials_at_once
        self.configs = one_for_each(
            "config", TrainingConfig() if config is None else config, rnn.n_networks
        )
        penalties = joint_penalties(self.configs)
        self.config = self.configs[0]
        used = [name for name, spec in penalties.items() if any(spec["weight"])]
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
        self.params = dict(rnn.named_parameters())
        self.optimizer = Adam(
            list(self.params.values()),
            [c.learning_rate(rnn.n_units) for c in self.configs],
            [c.weight_decay for c in self.configs],
        )
        self._largest_norm = torch.tensor(
            [c.max_grad_norm for c in self.configs], dtype=rnn.dtype, device=rnn.device
        )
        mask = torch.as_tensor(self.batches.mask, device=rnn.device)
        self.losses = LossFunction(rnn, mask, penalties)
        self.dropout = UnitDropout(rnn, self.config) if self.config.dropout_rate else None
        self.best = BestWeights(list(self.params.values()), self.config)
        self.record = TrainingRecord(rnn.n_networks, self._curves())
        self.seconds = 0.0
        self._buffers = Buffers()
        self._validation = self._checked_validation() if self.config.validation_interval else None
        # The weights of the last finite loss, to which a diverged network returns.
        self._previous = [p.detach().clone() for p in self.params.values()]

    def _curves(self) -> list[str]:
        """Return the names of what is recorded of every iteration beside the loss."""
        names = self.losses.names
        monitored = [f"gradient.{name}" for name in names] if self.config.monitor else []
        # With the task alone its loss is the loss.
        return [f"loss.{name}" for name in names if len(names) > 1] + monitored

    @property
    def iteration(self) -> int:
        """Optimiser steps done."""
        return self.record.iteration

    # Single steps ------------------------------------------------------------------------------

    def train_step(
        self, input_batch: ArrayLike | Tensor, target_batch: ArrayLike | Tensor
    ) -> tuple[Tensor, Tensor]:
        """Return the loss, linked to the graph, and the loss of each trial.

        Parameters
        ----------
        input_batch : array (n_inputs, T, B)
        target_batch : array (n_outputs, T, B)

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

    # State -------------------------------------------------------------------------------------

    def save_state(self, path: str | Path) -> None:
        """Write all that the training needs to go on elsewhere, on a CPU the same to the bit.

        What a task draws must come from its own ``rng``. A file of that name is replaced only by a
        whole one.
        """
        write_atomically(path, self._state().write)

    def state_bytes(self) -> bytes:
        """Return what `save_state` writes."""
        return self._state().to_bytes()

    def _state(self) -> TrainingState:
        arrays = {**self.record.arrays(), **self.best.arrays()}
        arrays |= {name: t.detach().cpu().numpy() for name, t in self._tensors().items()}
        arrays |= {name: g.get_state().numpy() for name, g in self._generators().items()}
        values = {
            "seconds": self.seconds,
            "n_simulations": self.rnn.n_simulations,
            "batches": self.batches.state(),
        }
        return TrainingState(self.identity, values, arrays)

    def load_state(self, path: str | Path) -> None:
        """Go on from a file of `save_state`.

        Raises
        ------
        ParameterError
            Where the file cannot be read, is damaged, foreign, or the state of another training;
            the trainer is then left as it was.
        """
        content = read_file(
            "checkpoint", path, MAX_BYTES, "give a file of `save_state` that can be read"
        )
        self.load_state_bytes(content, str(path))

    @torch.no_grad()
    def load_state_bytes(self, content: bytes, source: str = "bytes") -> None:
        """Go on from what `state_bytes` gave; see `load_state`.

        Parameters
        ----------
        content : bytes
        source : str
            Where they come from, for the error.
        """
        state = TrainingState.from_bytes(content, self.identity, source)
        wanted = {**self.record.arrays(), **self.best.arrays(), **self._generators()}
        state.check_holds(
            source, {*wanted, *self._tensors()}, ("seconds", "n_simulations", "batches")
        )
        self.record.load(state.arrays, self.rnn.device)
        self.best.load(state.arrays)
        self.optimizer.n_steps = self.iteration
        self.rnn.n_simulations = int(state.values["n_simulations"])
        # Copied into place: where an array lies in memory can change how its sums are rounded.
        for name, tensor in self._tensors().items():
            tensor.copy_(torch.from_numpy(state.arrays[name]))
        for name, generator in self._generators().items():
            generator.set_state(torch.from_numpy(state.arrays[name]))
        self.seconds = float(state.values["seconds"])
        self.batches.load(state.values["batches"])

    def _tensors(self) -> dict[str, Tensor]:
        """Return every tensor that an iteration changes, by name."""
        tensors: dict[str, Tensor] = {}
        blocks = zip(self.params.items(), self._previous, self.best.weights, strict=True)
        for (name, p), previous, best in blocks:
            tensors |= {f"weights{name}": p, f"previous{name}": previous, f"best{name}": best}
            for moment, tensor in self.optimizer.state[p].items():
                tensors[f"adam{name}.{moment}"] = tensor
        if self.dropout is not None:
            tensors["participation"] = self.dropout.participation
        return tensors

    def _generators(self) -> dict[str, torch.Generator]:
        """Return every random generator of the networks, by name."""
        if self.dropout is None:
            return {}
        return {f"dropout.{i}": g for i, g in enumerate(self.dropout.generators)}

    # Inside ------------------------------------------------------------------------------------

    def _threads(self) -> AbstractContextManager[None]:
        return torch_on_one() if self.rnn.device.type == "cpu" else nullcontext()

    def _iterate(self) -> Tensor:
        """Do one optimiser step and what follows from it; return the losses (K,)."""
        inputs, targets = self.batches.next()
        loss, curves, newly_diverged = self._step(inputs, targets)
        self.record.advance(loss, curves, newly_diverged)
        if self._validation is not None and self.best.is_due(self.iteration):
            scores = [-np.inf if s is None else s for s in self._scores(*self._validation)]
            active = self.record.active
            stopped = self.best.update(np.array(scores), self.iteration, active)
            if self.iteration == self.config.max_iter:
                # Those that never had a score stay as they are, and are looked at in the end.
                stopped = active & np.isfinite(self.best.score)
            self._rest(stopped)
        return loss

    @torch.no_grad()
    def _step(self, u: Tensor, t: Tensor) -> tuple[Tensor, dict[str, Tensor], NDArray[np.bool_]]:
        """Do one optimiser step.

        Return the losses (K,), what else is recorded (K,), and which networks diverged in it (K,).
        """
        kept, dead = None, False
        if self.dropout is not None:
            kept, dead = self.dropout.draw(), self.dropout.is_dead
        level = self.config.noise_level(self.iteration)
        descent = self.losses.descent(
            u, t, level, kept, dead,
            self.config.task_safe_gradients, self.config.monitor,
            self._buffers, self.trials_at_once,
        )  # fmt: skip
        if self.dropout is not None and self.dropout.observes:
            self.dropout.observe(descent.run.states)
        loss, slopes = descent.total, descent.gradients
        norms = inner(slopes, slopes).sqrt()
        active = torch.as_tensor(self.record.active, device=self.rnn.device)
        healthy = torch.isfinite(loss) & torch.isfinite(norms)
        newly_diverged = active & ~healthy
        frozen = ~(active & healthy)
        rests = bool(frozen.any())
        scale = (self._largest_norm / norms.clamp_min(1e-30)).clamp_max(1.0)
        if rests:  # a diverged network goes back to the weights of its last finite loss
            self._return(frozen)
        steps = []
        for p, previous, g in zip(self.params.values(), self._previous, slopes, strict=True):
            step = g * scale.view(-1, *[1] * (g.ndim - 1))
            if rests:
                step[frozen] = 0.0
            steps.append(step)
            previous.copy_(p.detach())
        self.optimizer.step(steps)
        self.rnn.enforce_constraints(self.optimizer)
        if rests:
            self._return(frozen)
        curves = {f"loss.{name}": v for name, v in descent.terms.items()}
        curves |= {f"gradient.{name}": v for name, v in descent.norms.items()}
        return loss, curves, newly_diverged.cpu().numpy()

    @torch.no_grad()
    def _return(self, which: Tensor) -> None:
        """Put networks (K,) back to the weights of before the step."""
        for p, previous in zip(self.params.values(), self._previous, strict=True):
            p[which] = previous[which]

    @torch.no_grad()
    def _rest(self, which: NDArray[np.bool_]) -> None:
        """Let networks (K,) rest at their best weights."""
        if not which.any():
            return
        self.best.restore(which)
        seen = np.where(np.isfinite(self.best.score), self.best.iteration, self.record.weights_seen)
        self.record.rest(which, seen)
        for p, previous in zip(self.params.values(), self._previous, strict=True):
            previous[torch.as_tensor(which)] = p[torch.as_tensor(which)]

    def _checked_validation(self) -> Batch:
        batch = self.batches.validation()
        silent = torch.zeros_like(batch[1]).expand(self.rnn.n_networks, *batch[1].shape[-3:])
        if None in self._scores(*batch, outputs=silent):
            raise ParameterError(
                "validation_interval",
                self.config.validation_interval,
                "the task's targets do not vary, so that R^2 is not defined",
                "set it to 0",
            )
        return batch

    def _outputs(self, u: Tensor) -> Tensor:
        """Return the noise-free outputs; the next run overwrites them."""
        return self.rnn.run(u, buffers=self._buffers, trials_at_once=self.trials_at_once).outputs

    @torch.no_grad()
    def _scores(self, u: Tensor, t: Tensor, outputs: Tensor | None = None) -> list[float | None]:
        """Return the pooled R^2 of each network, noise-free, None where there is none."""
        if outputs is None:
            outputs = self._outputs(u)
        scores = []
        for y, wanted in zip(outputs, t.expand_as(outputs), strict=True):
            predicted, target = (a.movedim(-1, 0).double().cpu().numpy() for a in (y, wanted))
            score = r2_pooled(predicted, target, self.batches.mask)
            scores.append(score if score is not None and np.isfinite(score) else None)
        return scores

    def _networks(self) -> list[TrainedNetwork]:
        """Return what came out; R^2 is on the batch that fresh tasks draw."""
        inputs, targets = self.batches.first()
        with torch.no_grad():
            outputs = self._outputs(inputs)
            # No loss has been taken of the weights that the last step made.
            lost = self.record.active & ~torch.isfinite(outputs).flatten(1).all(dim=1).cpu().numpy()
            if lost.any():
                self._return(torch.as_tensor(lost, device=self.rnn.device))
                self.record.lose(lost)
                outputs = self._outputs(inputs)
        scores = self._scores(inputs, targets, outputs)
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
