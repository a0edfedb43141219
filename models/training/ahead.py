"""Iterations on a GPU that are not waited for: what came of them is looked at every so many."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..engine import NetworkKind, choose_back_end
from ..network.dropout_mask import DropoutMask
from ..network.rnn_torch import RNNTorch
from ..network.run import RunMemory
from .batches import Batch, Batches
from .captured import CapturedIteration, CudaGraphs, Graphs, Part
from .losses import LossFunction, Started
from .pulled import Pulled
from .stepper import Stepper
from .task_error import TaskErrors

MOST_AT_ONCE = 50  # iterations between two looks at most


def runs_ahead(device: torch.device) -> bool:
    """Return whether iterations on a device are not waited for one by one."""
    return device.type != "cpu"


def graphs_for(rnn: RNNTorch, memory: RunMemory) -> Graphs | None:
    """Return what captures iterations of networks; None where it cannot."""
    if rnn.device.type != "cuda" or memory.trials_at_once is not None:
        return None
    kind = NetworkKind(rnn.equation, rnn.n_units, rnn.dtype, rnn.device)
    return CudaGraphs(rnn.device) if choose_back_end(kind).can_be_captured else None


@dataclass(frozen=True, eq=False)
class Look:
    """What came of some iterations, on the host.

    Attributes
    ----------
    rows : Tensor (n, names, K)
        What is recorded of each, on the CPU.
    diverged_at : array (K,) of int
        In which of them each network diverged; -1 where it did not.
    """

    rows: Tensor
    diverged_at: NDArray[np.int64]


class Ahead:
    """Does iterations of a training without waiting for the device in between.

    What changes from one iteration to the next lies in the device's memory: the place in the table
    of noise levels and of Adam's corrections, the number of the simulation, which networks train,
    the batch, and which units are dropped.

    Parameters
    ----------
    rnn : RNNTorch
    batches : Batches
    losses : LossFunction
    steps : Stepper
    names : sequence of str
        What is recorded, as in `TrainingRecord.names`.
    memory : RunMemory
    graphs : Graphs, optional
        What captures an iteration, if anything does.

    Attributes
    ----------
    reads_memory : bool
        Whether the number and the level of noise are taken from the device's memory, as graphs
        need it. A back end that cannot be captured would wait for them.
    """

    def __init__(
        self,
        rnn: RNNTorch,
        batches: Batches,
        losses: LossFunction,
        steps: Stepper,
        names: Sequence[str],
        memory: RunMemory,
        graphs: Graphs | None = None,
    ) -> None:
        self.rnn, self.batches, self.losses, self.steps = rnn, batches, losses, steps
        self.names, self.memory = tuple(names), memory
        self.config = steps.config
        self.reads_memory = graphs is not None
        # Iterations before this one, and before the first since the last look.
        self._now = self._first = 0
        device, k = rnn.device, rnn.n_networks
        real = torch.float32 if device.type == "mps" else torch.float64
        # Noise level, and Adam's factor and epsilon, of each iteration until the next look.
        self.table = torch.zeros(MOST_AT_ONCE, 3, dtype=real, device=device)
        self.place = torch.zeros(1, dtype=torch.int64, device=device)
        self.number = torch.zeros((), dtype=torch.int64, device=device)
        self.trains = torch.ones(k, dtype=torch.bool, device=device)
        self.rows = torch.zeros(MOST_AT_ONCE, len(names), k, dtype=rnn.dtype, device=device)
        self.diverged_at = torch.full((k,), -1, dtype=torch.int64, device=device)
        self.factor = torch.ones(k, rnn.n_units, dtype=rnn.dtype, device=device)
        # Its own: graphs hold what it keeps of a batch. Of fresh ones the host has seen all.
        self.errors = TaskErrors(losses.mask, looks=self.config.same_batch)
        self._given: Batch | None = None
        self._batch: Batch | None = None
        self._row = self.table[0]
        self._started: Started | None = None
        self._pulled: list[Pulled] = []
        self._values: Mapping[str, Tensor] = {}
        self._outside: tuple[list[Pulled], Mapping[str, Tensor]] | None = None
        names_of_terms = [term.name for term in losses.terms.all]
        penalties = Part(
            self._take_penalties,
            self._take_penalties_outside if names_of_terms else None,
            self._expect_penalties,
            f"The penalties {', '.join(names_of_terms)}",
        )
        parts = [Part(self._start), penalties, Part(self._end)]
        self.iteration = CapturedIteration(parts, graphs, self._release)

    @torch.no_grad()
    def run(self, iteration: int, n: int, active: NDArray[np.bool_]) -> Look:
        """Do n iterations after ``iteration`` others, of networks (K,) that are active.

        A network that diverges in one of them is left as `Stepper` leaves it.
        """
        optimiser = self.steps.optimiser
        done = range(iteration, iteration + n)
        rows = [(self.config.noise_level(i), *optimiser.factors(i + 1)) for i in done]
        self.table[:n] = torch.tensor(rows, dtype=self.table.dtype)
        self.place.zero_()
        self.number.fill_(self.rnn.n_simulations)
        self.trains.copy_(torch.from_numpy(active))
        self.diverged_at.fill_(-1)
        self._first = iteration
        for i in done:
            self._now = i
            self._one()
        self.rnn.n_simulations += n
        optimiser.n_steps += n
        return Look(self.rows[:n].cpu(), self.diverged_at.cpu().numpy())

    def go_back_to(self, iteration: int) -> None:
        """Count only so many iterations; those beyond changed no network."""
        beyond = self.steps.optimiser.n_steps - iteration
        self.steps.optimiser.n_steps -= beyond
        self.rnn.n_simulations -= beyond

    def _one(self) -> None:
        if self.steps.dropout is not None:
            self.factor.copy_(self.steps.dropout.draw().factor)
        self._take_batch(self.batches.next())
        self.iteration.run()

    def _begin_anew(self, batch: Batch) -> None:
        self._batch, self._outside = batch, None
        self.iteration.forget()

    def _take_batch(self, given: Batch) -> None:
        """Put a batch where the iteration finds it."""
        if given is self._given:
            return
        self._given = given
        if self.config.same_batch:
            self._begin_anew(given)  # it is drawn again where a state is loaded
        elif self._batch is None or any(
            old.shape != new.shape for old, new in zip(self._batch, given, strict=True)
        ):
            self._begin_anew((given[0].clone(), given[1].clone()))
        else:
            for old, new in zip(self._batch, given, strict=True):
                old.copy_(new, non_blocking=True)

    def _release(self) -> None:
        self._started, self._pulled, self._values = None, [], {}

    # The parts of an iteration; nothing in them waits for the device ---------------------------

    def _start(self) -> None:
        assert self._batch is not None
        self._row = self.table.index_select(0, self.place)[0]
        dropout = self.steps.dropout
        dropped = None
        if dropout is not None:
            dropped = DropoutMask(self.factor, dead=self.config.dropout_kind == "dead")
        level: float | Tensor = self._row[0]
        number: int | Tensor = self.number
        if not self.reads_memory:
            level = self.config.noise_level(self._now)
            number = self.rnn.n_simulations + self._now - self._first
        self._started = self.losses.start(
            *self._batch, level, number, dropped, self.memory, self.errors
        )

    def _take_penalties(self) -> None:
        self._pulled, self._values = self._penalties()
        if self._outside is None and self.iteration.graphs is not None:
            # In case that they cannot be captured.
            values = {name: value.clone() for name, value in self._values.items()}
            self._outside = [pulled.cloned() for pulled in self._pulled], values

    def _penalties(self) -> tuple[list[Pulled], dict[str, Tensor]]:
        assert self._started is not None
        return self.losses.terms.pull(self._started.trials, self.config.monitor)

    def _take_penalties_outside(self) -> None:
        assert self._outside is not None
        (kept, values), (found, own) = self._outside, self._penalties()
        for pulled, new in zip(kept, found, strict=True):
            pulled.overwrite(new)
        for name, value in values.items():
            value.copy_(own[name])

    def _expect_penalties(self) -> None:
        assert self._outside is not None
        self._pulled, self._values = self._outside

    def _end(self) -> None:
        assert self._started is not None
        config, steps = self.config, self.steps
        descent = self.losses.finish(
            self._started, self._pulled, self._values, config.task_safe_gradients, config.monitor
        )
        if steps.dropout is not None and steps.dropout.observes:
            steps.dropout.observe(descent.run.states)
        diverged = steps.follow(descent, self.trains, (self._row[1], self._row[2]))
        recorded = {"loss": descent.total, **descent.curves}
        row = torch.stack([recorded[name] for name in self.names])
        self.rows.index_copy_(0, self.place, row[None])
        self.diverged_at.copy_(torch.where(diverged, self.place, self.diverged_at))
        self.trains.logical_and_(~diverged)
        self.place.add_(1)
        self.number.add_(1)
