"""How large the gradient of K networks is beside its noise, from two halves of some trials."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from ..engine import Cotangent
from ..machine.torch_modes import without_graph
from ..network.by_network import inner
from ..network.noise import RunNoise
from ..network.rnn_torch import RNNTorch
from .batches import Batch
from .task_error import TaskErrors

MOST_TRIALS = 32  # of both halves together
# Trainings count their simulations from 0: these numbers are beyond all of theirs.
FIRST_NUMBER = 2**31


class GradientNoise:
    """Estimates square and variance of the gradient of the task's loss, without bias.

    From g_1 and g_2, the gradients of the mean loss of two halves of b trials that no trial and no
    noise is shared by: |G|^2 = <g_1, g_2> and tr S = b |g_1 - g_2|^2 / 2, with G the mean gradient
    and S the covariance of that of one trial. These are the estimators of McCandlish, Kaplan,
    Amodei et al. (2018, arXiv:1812.06162, appendix A.1) for batches of b and 2 b trials.

    Parameters
    ----------
    rnn : RNNTorch
    steps : Tensor (M,)
        Steps that may count.
    """

    def __init__(self, rnn: RNNTorch, steps: Tensor) -> None:
        self.rnn = rnn
        self.errors = [TaskErrors(steps) for _ in range(2)]
        self._trials: Batch | None = None
        self._targets: list[Tensor] = []

    def choose(self, batch: Batch, most: int | None = None) -> None:
        """Choose trials of a batch, at random and the same for all networks.

        Parameters
        ----------
        batch : tuple of Tensor
        most : int, optional
            Trials that fit into memory, where that is bounded.
        """
        n_trials = batch[0].shape[-2]
        half = min(n_trials, MOST_TRIALS, n_trials if most is None else most) // 2
        if half == 0:
            return
        order = np.random.default_rng(0).permutation(n_trials)[: 2 * half]
        chosen = torch.as_tensor(order, device=batch[0].device)
        u, t = (each.index_select(-2, chosen) for each in batch)
        self._trials = u, t
        self._targets = [part.contiguous() for part in torch.chunk(t, 2, dim=-2)]

    @without_graph
    def estimate(self, number: int, level: float) -> tuple[Tensor, Tensor] | None:
        """Return the square (K,) of the gradient and its variance (K,) from trial to trial.

        None where there is one trial alone. Nothing waits for the device but the first time.

        Parameters
        ----------
        number : int
            How often it was asked before: each time the noise is another.
        level : float
            Factor on the noise (annealing).
        """
        if self._trials is None:
            return None
        u, _ = self._trials
        run = self.rnn.run(u, RunNoise(True, level, FIRST_NUMBER + number))
        half = self._targets[0].shape[-2]
        arriving = []
        for i, (errors, targets) in enumerate(zip(self.errors, self._targets, strict=True)):
            own = slice(i * half, (i + 1) * half)
            slope = torch.zeros_like(run.outputs)
            there = torch.zeros_like(run.outputs[:, :, own])
            there[:, errors.steps] = errors(run.outputs[:, :, own], targets).slope()
            slope[:, :, own] = there
            arriving.append(Cotangent(slope))
        one, other = map(self.rnn.raw_gradients, run.effective_gradients(arriving))
        difference = one.with_rows(one.rows - other.rows)
        return inner(one, other), half / 2 * inner(difference, difference)
