"""What happened to each network of a training, iteration by iteration."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from tasks_lib.brief import brief

from .traces import TrainingTrace

FIRST_ROOM = 64  # iterations


@brief
@dataclass(frozen=True)
class TrainedNetwork:
    """A trained network: its weights, status and curves.

    Attributes
    ----------
    seed : int
    status : {"finished", "diverged"}
        Diverged: loss or gradient stopped being finite; weights are the last finite ones.
    iterations : int
        Optimiser steps that its weights have seen.
    loss : float
        Loss of the last finite iteration, before its step.
    r2 : float or None
        Noise-free pooled R^2 on the task's batch.
    weights : dict
        W_rec, W_inp, W_out, b_rec, x_init as NumPy arrays.
    loss_curve : array
        Finite loss of each iteration that was done, in order; where the weights are those of an
        earlier validation, these are more than ``iterations``.
    term_curves : dict
        ``task`` and penalties by name -> loss of each of those iterations, before its weight;
        empty where there is the task alone.
    gradient_curves : dict
        Name -> norm of the gradient of that term times its weight; empty where not monitored.
    stopped_by : {"score", "patience"} or None
        What ended the training before its last iteration.
    score_curve : array (V, 2)
        Iteration and noise-free pooled R^2 of each validation, in order.
    traces : list of TrainingTrace
        What was recorded on the way, in order.
    snapshots : dict
        Iteration -> weights by name, as they were after so many iterations.
    """

    seed: int
    status: str
    iterations: int
    loss: float
    r2: float | None
    weights: dict[str, NDArray[Any]]
    loss_curve: NDArray[np.float32]
    term_curves: dict[str, NDArray[np.float32]] = field(default_factory=dict)
    gradient_curves: dict[str, NDArray[np.float32]] = field(default_factory=dict)
    stopped_by: str | None = None
    score_curve: NDArray[np.float64] = field(default_factory=lambda: np.empty((0, 2)))
    traces: list[TrainingTrace] = field(default_factory=list)
    snapshots: dict[int, dict[str, NDArray[Any]]] = field(default_factory=dict)


class TrainingRecord:
    """Progress of K networks: which still train, the steps of their weights, and their losses.

    Attributes
    ----------
    iteration : int
        Optimiser steps done.
    active : array (K,)
        Networks that still train: neither diverged nor stopped.
    diverged : array (K,)
        Networks whose loss or gradient stopped being finite.
    weights_seen : array (K,)
        Optimiser steps that the present weights have seen.
    """

    def __init__(self, n_networks: int, names: Sequence[str] = ()) -> None:
        self.iteration = 0
        self.names = ("loss", *names)
        self.active: NDArray[np.bool_] = np.ones(n_networks, dtype=bool)
        self.diverged: NDArray[np.bool_] = np.zeros(n_networks, dtype=bool)
        self.weights_seen: NDArray[np.int64] = np.zeros(n_networks, dtype=np.int64)
        self._n_losses: NDArray[np.int64] = np.zeros(n_networks, dtype=np.int64)
        # (room, names, K): of each iteration done, and room for more.
        self._values: Tensor | None = None

    def advance(
        self, loss: Tensor, curves: dict[str, Tensor], newly_diverged: NDArray[np.bool_]
    ) -> None:
        """Count an iteration: losses (K,), other values (K,), and which networks diverged (K,)."""
        if newly_diverged.any():
            self.diverged |= newly_diverged
            self.active &= ~newly_diverged
            # Its loss was not finite: the step before is what a diverged network returns to.
            self.weights_seen[newly_diverged] = max(self.iteration - 1, 0)
        values = {"loss": loss, **curves}
        row = self._room_for_one(loss)[self.iteration]
        torch.stack([values[name] for name in self.names], out=row)
        self.iteration += 1
        np.copyto(self.weights_seen, self.iteration, where=self.active)
        np.copyto(self._n_losses, self.iteration, where=self.active)

    def advance_by(self, rows: Tensor, diverged_at: NDArray[np.int64]) -> None:
        """Count iterations: values (n, names, K), and in which each network diverged, or -1.

        Those after the last network stopped do not count.
        """
        for i, row in enumerate(rows.unbind(0)):
            if not self.active.any():
                return
            values = dict(zip(self.names, row, strict=True))
            self.advance(values["loss"], values, diverged_at == i)

    def _room_for_one(self, loss: Tensor) -> Tensor:
        """Return the values, with room for those of one more; it grows by half each time."""
        shape = len(self.names), len(loss)
        if self._values is None:
            self._values = loss.new_empty((FIRST_ROOM, *shape))
        elif self.iteration == len(self._values):
            larger = loss.new_empty((self.iteration * 3 // 2 + FIRST_ROOM, *shape))
            larger[: self.iteration] = self._values
            self._values = larger
        return self._values

    def means(self, iteration: int, which: NDArray[np.bool_]) -> dict[str, float]:
        """Return the mean of each value over some networks (K,), in an iteration that was done."""
        assert self._values is not None
        row = self._values[iteration - 1][:, torch.as_tensor(which)]
        return dict(zip(self.names, map(float, row.mean(dim=1)), strict=True))

    def mark_diverged(self, which: NDArray[np.bool_]) -> None:
        """Count networks (K,) as diverged in their last step, which is taken back."""
        self.diverged |= which
        self.active &= ~which
        self.weights_seen[which] -= 1

    def stop_networks(self, which: NDArray[np.bool_], weights_seen: NDArray[np.int64]) -> None:
        """Stop training networks (K,), with weights that have seen so many steps (K,)."""
        self.active &= ~which
        self.weights_seen = np.where(which, weights_seen, self.weights_seen)

    def loss_curve(self, index: int) -> NDArray[np.float32]:
        """Return the finite losses of one network, in order."""
        return self._curve("loss", index)

    def term_curves(
        self, index: int, kind: str, terms: Sequence[str]
    ) -> dict[str, NDArray[np.float32]]:
        """Return the curves of one network, ``loss`` or ``gradient``, of those of these terms."""
        recorded = [term for term in terms if f"{kind}.{term}" in self.names]
        return {term: self._curve(f"{kind}.{term}", index) for term in recorded}

    def _curve(self, name: str, index: int) -> NDArray[np.float32]:
        if self._values is None:
            return np.empty(0, dtype=np.float32)
        values = self._values[: self._n_losses[index], self.names.index(name), index]
        return values.cpu().numpy().astype(np.float32)

    def _curves(self) -> NDArray[Any]:
        """Return (names, K, iterations)."""
        if self._values is None:
            return np.empty((len(self.names), len(self.active), 0), dtype=np.float32)
        done = self._values[: self.iteration].cpu().numpy()
        return np.ascontiguousarray(np.moveaxis(done, 0, 2))

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return the record as arrays by name."""
        return {
            "iteration": np.array(self.iteration),
            "active": self.active,
            "diverged": self.diverged,
            "weights_seen": self.weights_seen,
            "n_losses": self._n_losses,
            "curves": self._curves(),
        }

    def load(self, arrays: dict[str, NDArray[Any]]) -> None:
        """Restore the record from `arrays`."""
        self.iteration = int(arrays["iteration"])
        self.active, self.diverged = arrays["active"], arrays["diverged"]
        self.weights_seen, self._n_losses = arrays["weights_seen"], arrays["n_losses"]
        rows = np.ascontiguousarray(np.moveaxis(arrays["curves"], 2, 0))
        self._values = torch.from_numpy(rows)
