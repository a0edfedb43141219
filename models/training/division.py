"""Which networks of a cohort are one batch, and where the states of those batches are kept."""

from __future__ import annotations

import copy
import hashlib
import json
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
import torch

from tasks_lib import Task
from tasks_lib.errors import check_int

from ..network.config import NetworkConfig
from ..network.connectivity import stream
from .checkpoints import Checkpoints, KeptState, Schedule
from .config import TrainingConfig
from .memory import TrainingSize, plan_memory
from .sweep import joint_penalties

# Of networks that a CPU trains as one batch; see `groups`.
MOST_NETWORKS = 16
MOST_VALUES = 2**24
# What says, beside the states of trainings, which networks are one batch. Each kind of device has
# its own, and states of its own: another could not go on with them to the same bits.
DIVISION = "division_{kind}.json"


@dataclass(frozen=True)
class Division:
    """How the networks of a cohort are divided.

    Attributes
    ----------
    parts : tuple of range
        Places of the networks that are one batch, one batch after the other.
    trials_at_once : int or None
        Trials whose trajectories are in memory at a time; None for all.
    """

    parts: tuple[range, ...]
    trials_at_once: int | None = None

    def to_bytes(self) -> bytes:
        """Return it as a file, with its hash: an altered digit would be another division."""
        return json.dumps({**self._plain(), "sha256": self._digest()}).encode()

    @classmethod
    def from_bytes(cls, content: bytes, name: str, n_networks: int) -> Division | None:
        """Read the division of so many networks from a file; None where it is none of these."""
        try:
            kept = json.loads(bytes(content))
            parts = tuple(range(int(first), int(last)) for first, last in kept["parts"])
            trials = kept["trials_at_once"]
            trials = None if trials is None else check_int("trials_at_once", trials, minimum=1)
            found = cls(parts, trials)
            # One of an earlier version has no hash.
            if "sha256" in kept and kept["sha256"] != found._digest():
                raise ValueError("sha256")
        except (ValueError, TypeError, KeyError, ArithmeticError):
            warnings.warn(f"{name} is damaged. The networks are divided anew.", stacklevel=4)
            return None
        edges = [0, *(part.stop for part in parts)]
        whole = all(parts) and [part.start for part in parts] == edges[:-1]
        return found if whole and edges[-1] == n_networks else None

    def _digest(self) -> str:
        return hashlib.sha256(json.dumps(self._plain()).encode()).hexdigest()

    def _plain(self) -> dict[str, object]:
        parts = [[part.start, part.stop] for part in self.parts]
        return {"parts": parts, "trials_at_once": self.trials_at_once}


class CohortStates:
    """The division of a cohort and the states of its batches, among checkpoints.

    Parameters
    ----------
    store : Checkpoints or None
        None: nothing is kept.
    kind : str
        Of the device.
    seeds : sequence of int
        Of all networks of the cohort.
    """

    def __init__(self, store: Checkpoints | None, kind: str, seeds: Sequence[int]) -> None:
        self.store, self.kind, self.seeds = store, kind, [int(seed) for seed in seeds]
        # What is to be written before any other state: how the networks are divided, and the last
        # states of finished batches, as long as the store does not take them.
        self.unwritten: dict[str, bytes] = {}

    def division(self, divide: Callable[[], Division]) -> Division:
        """Return how an earlier call divided the networks, or else the division that is given."""
        name = DIVISION.format(kind=self.kind)
        content = None if self.store is None else self.store.read(name)
        kept = None if content is None else Division.from_bytes(content, name, len(self.seeds))
        if kept is not None:
            return kept
        made = divide()
        self.unwritten[name] = made.to_bytes()
        return made

    def of_part(self, part: range, schedule: Schedule) -> KeptState | None:
        """Return where the state of one batch is kept; None where nothing is."""
        if self.store is None:
            return None
        # Seeds may come twice in a sweep, so that the place of the networks is in the name too.
        own = self.seeds[part[0]], self.seeds[part[-1]]
        name = f"networks_{part[0]}_{part[-1]}_seeds_{own[0]}_{own[1]}_{self.kind}.npz"
        return KeptState(self.store, name, schedule, self.write_pending)

    def write_pending(self) -> None:
        """Write what was not written yet."""
        if self.store is not None:
            for name in [*self.unwritten]:
                self.store.write(name, self.unwritten[name])
                del self.unwritten[name]


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
    most = most_on_cpu(n_values, training)
    number = -(-n_networks // most)
    edges = [i * n_networks // number for i in range(number + 1)]
    return [range(first, last) for first, last in pairwise(edges)]


def most_on_cpu(n_values: int, training: TrainingConfig) -> int:
    """Return how many networks of T B N values a CPU trains as one batch at most."""
    if training.patience or training.stop_score is not None:
        return 1
    return max(1, min(MOST_NETWORKS, MOST_VALUES // n_values))


def divided(size: TrainingSize, n_networks: int) -> Division:
    """Return which networks are one batch, and the trials that are in memory at a time."""
    plan = plan_memory(size, n_networks)
    parts = [range(n_networks)]
    if size.device.type == "cpu":
        parts = groups(n_networks, n_values(size), size.training)
    most = plan.networks_at_once
    return Division(
        tuple(part[first : first + most] for part in parts for first in range(0, len(part), most)),
        plan.trials_at_once,
    )


def n_values(size: TrainingSize) -> int:
    """Return the values of a network's states in an iteration, T B N."""
    return size.n_steps * size.n_trials * size.network.n_units


def size_of(
    task: Task,
    nets: Sequence[NetworkConfig],
    trainings: Sequence[TrainingConfig],
    device: torch.device,
    dtype: torch.dtype,
) -> TrainingSize:
    """Return what the memory of a training of these networks depends on, from a batch of the task.

    Where they differ, what takes most: the noise and the penalties of all of them.
    """
    own = copy.copy(task)  # what it draws here, no training misses
    own.reset()
    inputs, targets, _ = own.get_batch()
    _, n_steps, n_trials = inputs.shape
    penalties = {term.name: term.largest for term in joint_penalties(trainings)}
    return TrainingSize(
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


def task_of(task: Callable[[int], Task] | Task, seed: int) -> Task:
    """Return the task that a network of this seed draws its batches from."""
    if isinstance(task, Task):
        task.reset()
        return task
    return task(int(stream(seed, "task").generate_state(1)[0]))
