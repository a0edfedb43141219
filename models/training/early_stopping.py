"""Early stopping: the best weights by a validation score, and when a training ends."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from .config import TrainingConfig

# Why a training stopped before its last iteration.
STOPS = (None, "score", "patience")


class BestWeights:
    """Keeps the weights with the best validation score of each of K networks.

    Parameters
    ----------
    params : sequence of Tensor (K, ...)
        The trained weights.
    config : TrainingConfig
    """

    def __init__(self, params: Sequence[Tensor], config: TrainingConfig) -> None:
        k = len(params[0])
        self.config = config
        self.params = list(params)
        self.weights = [p.detach().clone() for p in params]
        self.score: NDArray[np.float64] = np.full(k, -np.inf)
        self.iteration: NDArray[np.int64] = np.zeros(k, dtype=np.int64)
        # Validations since the best one.
        self._waited: NDArray[np.int64] = np.zeros(k, dtype=np.int64)
        # Index into STOPS.
        self._stop: NDArray[np.int64] = np.zeros(k, dtype=np.int64)
        self._scores: list[NDArray[np.float64]] = []  # (K,) at each validation

    def is_due(self, iteration: int) -> bool:
        """Whether to validate after this many iterations."""
        interval = self.config.validation_interval
        return interval > 0 and (iteration % interval == 0 or iteration == self.config.max_iter)

    @torch.no_grad()
    def update(
        self, scores: NDArray[np.float64], iteration: int, active: NDArray[np.bool_]
    ) -> NDArray[np.bool_]:
        """Take the scores (K,) after ``iteration`` iterations; return which networks stop, (K,).

        A score that is not finite is never the best one. Networks that are not active stay as
        they are.
        """
        scores = np.where(np.isfinite(scores), scores, -np.inf)
        better = active & (scores > self.score)
        for p, best in zip(self.params, self.weights, strict=True):
            best[torch.as_tensor(better)] = p[torch.as_tensor(better)]
        self.score = np.where(better, scores, self.score)
        self.iteration = np.where(better, iteration, self.iteration)
        self._waited = np.where(better, 0, self._waited + active)
        self._scores.append(np.where(active, scores, np.nan))
        reached = tired = np.zeros_like(better)
        if self.config.stop_score is not None:
            reached = active & (self.score >= self.config.stop_score)
        if self.config.patience:
            tired = active & (self._waited >= self.config.patience)
        if iteration < self.config.max_iter:
            self._stop = np.where(reached, 1, np.where(tired, 2, self._stop))
        return reached | tired

    @torch.no_grad()
    def restore(self, which: NDArray[np.bool_]) -> None:
        """Give networks (K,) their best weights back, those that have any."""
        chosen = torch.as_tensor(which & np.isfinite(self.score))
        for p, best in zip(self.params, self.weights, strict=True):
            p[chosen] = best[chosen]

    def stopped_by(self, index: int) -> str | None:
        """Return what stopped one network's training early, if anything did."""
        return STOPS[self._stop[index]]

    def score_curve(self, index: int) -> NDArray[np.float64]:
        """Return iteration and score (V, 2) of one network's validations with a finite score."""
        scores = np.array([s[index] for s in self._scores], dtype=np.float64)
        steps = self.config.validation_interval * np.arange(1, len(scores) + 1)
        rows = np.stack([np.minimum(steps, self.config.max_iter), scores], axis=1)
        return rows[np.isfinite(scores)]

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return the scores by name; the weights are tensors of their own."""
        return {
            "best.score": self.score,
            "best.iteration": self.iteration,
            "best.waited": self._waited,
            "best.stop": self._stop,
            "best.scores": np.array(self._scores).reshape(-1, len(self.score)),
        }

    def load(self, arrays: dict[str, NDArray[Any]]) -> None:
        """Go back to what `arrays` gave."""
        self.score, self.iteration = arrays["best.score"], arrays["best.iteration"]
        self._waited, self._stop = arrays["best.waited"], arrays["best.stop"]
        self._scores = list(arrays["best.scores"])
