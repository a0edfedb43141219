"""Batches of K networks: drawn once or anew for each iteration, reproducibly."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from tasks_lib import Task
from tasks_lib.errors import ParameterError
from tasks_lib.masks import as_nan, check_asked, read_mask, steps_of_batch

from ..network.connectivity import stream
from ..network.rnn_torch import RNNTorch
from .state import generator_state, set_generator_state

Batch = tuple[Tensor, Tensor]  # inputs (..., T, B, n_inputs), targets (..., T, B, n_outputs)


class Batches:
    """The batches that K networks are trained on, in the internal layout.

    Parameters
    ----------
    rnn : RNNTorch
    task : Task or sequence of K Tasks
        One task for all networks, or one for each, which then draws that network's batches.
    same : bool
        Whether one batch serves all iterations.

    Attributes
    ----------
    steps : array (M,) of int
        Steps that may count; where a trial asks nothing at one of them its target is NaN.
    checks : bool
        Whether trials in which nothing is asked are refused here, because nobody looks later.
    """

    def __init__(self, rnn: RNNTorch, task: Task | Sequence[Task], same: bool) -> None:
        self.rnn = rnn
        self.tasks = [task] * rnn.n_networks if isinstance(task, Task) else list(task)
        if len(self.tasks) != rnn.n_networks:
            raise ParameterError(
                "task", len(self.tasks), f"there are {rnn.n_networks} networks", "give one for each"
            )
        self.tasks[0].check_network(rnn, "make the network with the task's numbers")
        masks = [
            read_mask(task.mask, task.n_steps, field=f"{type(task).__name__}.mask").steps
            for task in dict.fromkeys(self.tasks)
        ]
        self.steps = masks[0]
        # Where the masks of the networks' tasks differ, each is put into its own targets.
        self._masks_differ = not all(np.array_equal(masks[0], other) for other in masks)
        if self._masks_differ:
            self.steps = np.unique(np.concatenate(masks))
        self.same = same
        self.checks = False
        self._batch: Batch | None = None
        # Where the tasks' generators stood before the batch in use was drawn.
        self._drawn_from = [generator_state(task.rng) for task in self.tasks]

    def next(self) -> Batch:
        """Return the batch of the next iteration."""
        if self._batch is None or not self.same:
            self._drawn_from = [generator_state(task.rng) for task in self.tasks]
            self._batch = self._draw(self.tasks)
        return self._batch

    def first(self) -> Batch:
        """Return the batch that fresh tasks draw."""
        tasks = {id(task): copy.copy(task) for task in self.tasks}
        for task in tasks.values():
            task.reset()
        return self._draw([tasks[id(task)] for task in self.tasks])

    def validation(self) -> Batch:
        """Return trials that training does not draw, each network's from its own seed."""
        tasks = [copy.copy(task) for task in self.tasks]
        for task, seed in zip(tasks, self.rnn.seeds, strict=True):
            task.reset(int(stream(seed, "validation").generate_state(1)[0]))
        return self._draw(tasks)

    def _draw(self, tasks: Sequence[Task]) -> Batch:
        if all(task is tasks[0] for task in tasks):
            inputs, targets, _ = tasks[0].get_batch()
            targets = self._own_targets(tasks[0], targets)
        else:
            batches = [task.get_batch() for task in tasks]
            inputs = np.stack([b[0] for b in batches])
            targets = np.stack(
                [self._own_targets(task, b[1]) for task, b in zip(tasks, batches, strict=True)]
            )
        return self.rnn.to_internal(inputs), self.rnn.to_internal(targets)

    def _own_targets(self, task: Task, targets: NDArray[Any]) -> NDArray[Any]:
        """Return a task's targets, NaN where its mask is not the common one."""
        own = steps_of_batch(task.mask, targets, type(task).__name__)
        if self.checks:
            check_asked((~np.isnan(targets[:, own])).any(axis=(0, 1)))
        if not self._masks_differ:
            return targets
        return as_nan(targets, np.isin(np.arange(task.n_steps), own))

    def state(self) -> dict[str, Any]:
        """Return where the tasks' generators stood, JSON-able."""
        return {"has_batch": self._batch is not None, "drawn_from": self._drawn_from}

    def load(self, state: dict[str, Any]) -> None:
        """Go back to a state: the batch in use is drawn again from where it was drawn."""
        self._drawn_from = list(state["drawn_from"])
        for task, drawn_from in zip(self.tasks, self._drawn_from, strict=True):
            set_generator_state(task.rng, drawn_from)
        self._batch = self._draw(self.tasks) if state["has_batch"] else None
