"""The weights of K networks at times of their training."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ..network.connectivity import WEIGHTS
from ..network.rnn_torch import RNNTorch


def snapshot_iterations(number: int, max_iter: int) -> list[int]:
    """Return the iterations after which weights are kept: 0, and ``number`` of equal ratio.

    The k-th is max_iter^(k / number), rounded; fewer where two are the same. None for number 0.
    """
    if not number:
        return []
    return sorted({0, *(round(max_iter ** (k / number)) for k in range(1, number + 1))})


class Snapshots:
    """Keeps the weights of K networks at `snapshot_iterations`, on the host.

    Parameters
    ----------
    rnn : RNNTorch
    number : int
        How many, beside those before training.
    max_iter : int
    """

    def __init__(self, rnn: RNNTorch, number: int, max_iter: int) -> None:
        self.rnn = rnn
        self.due = snapshot_iterations(number, max_iter)
        self._iterations: list[int] = []
        self._weights: list[dict[str, NDArray[Any]]] = []  # name -> (K, ...)
        self._active: list[NDArray[np.bool_]] = []  # (K,) each

    def next_due(self, iteration: int) -> int | None:
        """Return the next iteration after which weights are kept."""
        return next((i for i in self.due if i > iteration), None)

    def take(self, iteration: int, active: NDArray[np.bool_]) -> None:
        """Keep the weights of networks (K,) that still train, where it is time to."""
        if iteration not in self.due or iteration in self._iterations or not active.any():
            return
        with torch.no_grad():
            each = [self.rnn.weights(i) for i in range(self.rnn.n_networks)]
        self._iterations.append(iteration)
        self._weights.append({name: np.stack([own[name] for own in each]) for name in WEIGHTS})
        self._active.append(active.copy())

    def of(self, index: int) -> dict[int, dict[str, NDArray[Any]]]:
        """Return iteration -> weights by name of one network, where all of them are finite."""
        kept = zip(self._iterations, self._weights, self._active, strict=True)
        found = {
            iteration: {name: array[index] for name, array in weights.items()}
            for iteration, weights, active in kept
            if active[index]
        }
        return {
            iteration: weights
            for iteration, weights in found.items()
            if all(np.isfinite(array).all() for array in weights.values())
        }

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return what was kept by name; weights as (S, K, ...)."""
        if not self.due:
            return {}
        k = self.rnn.n_networks
        now = {name: self.rnn.effective(name) for name in WEIGHTS}
        kept = {
            f"snapshot.{name}": np.stack([own[name] for own in self._weights])
            if self._weights
            else np.empty((0, *now[name].shape), dtype=np.float32)
            for name in WEIGHTS
        }
        return kept | {
            "snapshot.iterations": np.array(self._iterations, dtype=np.int64),
            "snapshot.active": np.array(self._active, dtype=np.bool_).reshape(-1, k),
        }

    def load(self, arrays: dict[str, NDArray[Any]]) -> None:
        """Go back to what `arrays` gave."""
        if not self.due:
            return
        self._iterations = arrays["snapshot.iterations"].tolist()
        self._weights = [
            {name: arrays[f"snapshot.{name}"][i] for name in WEIGHTS}
            for i in range(len(self._iterations))
        ]
        self._active = list(arrays["snapshot.active"])
