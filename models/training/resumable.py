"""Saving the state of a training, and resuming from it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor

from tasks_lib.documents import read_file

from ..machine.atomic_file import write_atomically
from ..network.rnn_torch import RNNTorch
from .batches import Batches
from .checkpoints import MAX_BYTES
from .early_stopping import BestWeights
from .record import TrainingRecord
from .snapshots import Snapshots
from .state import TrainingState
from .stepper import Stepper
from .traces import Traces


class ResumableTraining:
    """A training whose state can be saved and loaded at any iteration; base of `Trainer`.

    Attributes
    ----------
    rnn : RNNTorch
    batches : Batches
    steps : Stepper
    best : BestWeights
    record : TrainingRecord
    traces : Traces
    snapshots : Snapshots
    identity : dict
        What training it is (`models.training.state.training_identity`).
    seconds : float
        Time that its iterations took, interruptions left out.
    """

    rnn: RNNTorch
    batches: Batches
    steps: Stepper
    best: BestWeights
    record: TrainingRecord
    traces: Traces
    snapshots: Snapshots
    identity: dict[str, Any]
    seconds: float

    @property
    def iteration(self) -> int:
        """Optimiser steps done."""
        return self.record.iteration

    def save_state(self, path: str | Path) -> None:
        """Save the state of the training; on a CPU it resumes bit-identically.

        What a task draws must come from its own ``rng``. A file of that name is replaced only by a
        whole one.
        """
        write_atomically(path, self._state().write)

    def state_bytes(self) -> bytes:
        """Return what `save_state` writes."""
        return self._state().to_bytes()

    def _state(self) -> TrainingState:
        return TrainingState(self.identity, *self.contents())

    def contents(self) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
        """Return the plain values and the arrays of the state, which may share memory with it."""
        arrays = self._arrays()
        arrays |= {name: t.detach().cpu().numpy() for name, t in self._tensors().items()}
        arrays |= {name: g.get_state().numpy() for name, g in self.steps.generators().items()}
        values = {
            "seconds": self.seconds,
            "n_simulations": self.rnn.n_simulations,
            "batches": self.batches.state(),
        }
        return values, arrays

    def load_state(self, path: str | Path) -> None:
        """Resume from a file of `save_state`.

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

    def load_state_bytes(self, content: bytes, source: str = "bytes") -> None:
        """Resume from the bytes of `state_bytes`; see `load_state`.

        Parameters
        ----------
        content : bytes
        source : str
            Where they come from, for the error.
        """
        state = TrainingState.from_bytes(content, self.identity, source)
        wanted = {**self._arrays(), **self.steps.generators()}
        state.check_holds(
            source, {*wanted, *self._tensors()}, ("seconds", "n_simulations", "batches")
        )
        self.take_up(state.values, state.arrays)

    @torch.no_grad()
    def take_up(self, values: Mapping[str, Any], arrays: dict[str, NDArray[Any]]) -> None:
        """Go on from what `contents` gave of this training; arrays of the record are kept as such.

        Parameters
        ----------
        values, arrays : dict
        """
        self.record.load(arrays)
        self.best.load(arrays)
        self.traces.load(arrays)
        self.snapshots.load(arrays)
        self.steps.optimiser.n_steps = self.iteration
        self.rnn.n_simulations = int(values["n_simulations"])
        # Copied into place: where an array lies in memory can change how its sums are rounded.
        for name, tensor in self._tensors().items():
            tensor.copy_(torch.from_numpy(arrays[name]))
        for name, generator in self.steps.generators().items():
            generator.set_state(torch.from_numpy(arrays[name]))
        self.seconds = float(values["seconds"])
        self.batches.load(values["batches"])

    def _arrays(self) -> dict[str, NDArray[Any]]:
        """Return what the host keeps of the training, by name."""
        kept = (self.record, self.best, self.traces, self.snapshots)
        return {name: array for each in kept for name, array in each.arrays().items()}

    def _tensors(self) -> dict[str, Tensor]:
        """Return every tensor that an iteration changes, by name."""
        names = (f"best{name}" for name in self.steps.params)
        best = dict(zip(names, self.best.weights, strict=True))
        return {**self.steps.tensors(), **best, **self.traces.changes.tensors()}
