"""Noise-free scores of K networks during their training."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from tasks_lib.errors import ParameterError

from ..network.rnn_torch import RNNTorch
from ..network.run import RunMemory
from ..performance.scores import r2_pooled
from .batches import Batch, Batches


class Scorer:
    """Runs K networks without noise and scores them.

    Parameters
    ----------
    rnn : RNNTorch
    batches : Batches
    memory : RunMemory
    """

    def __init__(self, rnn: RNNTorch, batches: Batches, memory: RunMemory) -> None:
        self.rnn, self.batches, self.memory = rnn, batches, memory

    def outputs(self, u: Tensor) -> Tensor:
        """Return the noise-free outputs; the next run overwrites them."""
        return self.rnn.run(u, memory=self.memory).outputs

    @torch.no_grad()
    def scores(self, u: Tensor, t: Tensor, outputs: Tensor | None = None) -> list[float | None]:
        """Return the pooled R^2 of each network, noise-free, None where there is none."""
        if outputs is None:
            outputs = self.outputs(u)
        scores = []
        for y, wanted in zip(outputs, t.expand_as(outputs), strict=True):
            predicted, target = (a.movedim(-1, 0).double().cpu().numpy() for a in (y, wanted))
            score = r2_pooled(predicted, target, self.batches.steps)
            scores.append(score if score is not None and np.isfinite(score) else None)
        return scores

    def validation(self, interval: int) -> Batch:
        """Return the trials of the validations, one every ``interval`` iterations.

        Raises
        ------
        ParameterError
            Where their targets do not vary.
        """
        batch = self.batches.validation()
        silent = torch.zeros_like(batch[1]).expand(self.rnn.n_networks, *batch[1].shape[-3:])
        if None in self.scores(*batch, outputs=silent):
            raise ParameterError(
                "validation_interval",
                interval,
                "the task's targets do not vary, so that R^2 is not defined",
                "set it to 0",
            )
        return batch
